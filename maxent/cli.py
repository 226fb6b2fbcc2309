"""The command line: `maxent fit | quantile | sample | check | sketch | merge | compile`.

    maxent fit FILE --column NAME --degree 6 --plot fit.png
    maxent fit --moments 1,0,1,0,2.5 --support=-inf,inf
    maxent quantile --example faithful -p 0.05,0.5,0.95
    maxent sample --example faithful -n 1000 --seed 1
    maxent check --moments 1,0.5,0.2 --support 0,1
    maxent sketch part-*.parquet --column price --transform log -o prices.mx
    maxent merge monday.mx tuesday.mx -o both.mx
    maxent fit both.mx
    maxent compile

Data go to stdout, all talk to stderr. Exit codes: 0 an answer, 1 no answer (the reason is a
`Status`), 2 a wrong command or bad input. With --json stdout gets exactly one document or nothing;
in it an infinite number is the string "inf" or "-inf" and what is not a number is null.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import sys
import threading
import time
import warnings
from enum import Enum

import numpy as np

from maxent import compiling, plot, reading
from maxent.sketch import Sketch
from maxent.solver import check, fit, solve
from maxent.status import SolveError
from maxent.transform import NONE, Transform

OK, NO_ANSWER, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

KINDS = ("raw", "central", "standardized", "chebyshev")
DEGREE = 6
PATIENCE = (
    2.0  # seconds before a word about waiting: most files and all later runs are done by then
)
PRINTED = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LISTS = ("--support", "--moments")  # options whose value may begin with a minus sign


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without Greek letters still gets an answer
        sys.stdout.reconfigure(errors="replace")
    try:
        arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        code = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has all it wants, as in `maxent sample ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except SolveError as error:
        return _complain(error, NO_ANSWER)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        return _complain(error, BAD_INPUT)


def _complain(error: Exception, code: int) -> int:
    message = " ".join(str(error).split()) or type(error).__name__
    print(f"maxent: {message}", file=sys.stderr)
    return code


# ------------------------------------------------------------------------------- arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line instead of the whole usage."""
        self.exit(BAD_INPUT, f"maxent: {message} ({self.prog} --help says more)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="maxent",
        description="The distribution of maximum entropy, from data or from moments.",
        epilog="Exit codes: 0 an answer, 1 no answer (stderr says why), 2 wrong command or input.",
    )
    parser.add_argument("--version", action=_Version, help="print the version and stop")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    source = _source_options()
    add = commands.add_parser("fit", parents=[source], help="fit a density and describe it")
    add.add_argument("--plot", metavar="FILE", help="draw the density (png, pdf, svg, ...)")
    add.set_defaults(run=_run_fit)

    add = commands.add_parser("quantile", parents=[source], help="quantiles of the density")
    add.add_argument(
        "-p",
        "--probability",
        metavar="P,...",
        type=_numbers,
        default=list(PRINTED),
        help=f"probabilities between 0 and 1 (default: {','.join(map(str, PRINTED))})",
    )
    add.set_defaults(run=_run_quantile)

    add = commands.add_parser("sample", parents=[source], help="draw from it, one value a line")
    add.add_argument("-n", "--size", type=_size, default=10, help="how many values (default: 10)")
    add.add_argument("--seed", type=_size, help="for the same values again")
    add.set_defaults(run=_run_sample)

    add = commands.add_parser("check", help="has any distribution these moments?")
    _moment_options(add, required=True)
    add.add_argument("--json", action="store_true", help="one JSON document on stdout")
    add.set_defaults(run=_run_check)

    add = commands.add_parser(
        "sketch", help="the moments of files of any size, read piece by piece, to merge and fit"
    )
    add.add_argument("files", nargs="+", metavar="FILE", help="CSV, Parquet, npy, npz or -")
    add.add_argument("--column", metavar="NAME", help="which column of them")
    add.add_argument(
        "--degree", metavar="K", type=_size, default=DEGREE, help=f"moments to keep ({DEGREE})"
    )
    add.add_argument(
        "--transform",
        metavar="NAME[,LOC,SCALE]",
        type=_transform,
        help="log, asinh or sqrt of (x - LOC)/SCALE (0 and 1); sketches of one kind merge",
    )
    _sketch_options(add)
    add.set_defaults(run=_run_sketch)

    add = commands.add_parser("merge", help="one sketch out of several")
    add.add_argument("files", nargs="+", metavar="SKETCH", help="what `maxent sketch` wrote")
    _sketch_options(add)
    add.set_defaults(run=_run_merge)

    add = commands.add_parser(
        "compile", help="compile everything now, not at the first call of each kind"
    )
    add.add_argument("--jobs", metavar="N", type=_size, help="processes (default: processors)")
    add.set_defaults(run=_run_compile)
    return parser


def _sketch_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("-o", "--output", metavar="FILE", help="where to; - for standard output")
    options.add_argument(
        "--json", action="store_true", help="the sketch as one JSON document on stdout"
    )


def _source_options() -> argparse.ArgumentParser:
    """Where the density comes from: the same options for every command that has one."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="CSV, Parquet, npy, npz, or a sketch; - for standard input",
    )
    options.add_argument("--column", metavar="NAME", help="which column of it")
    options.add_argument(
        "--example", metavar="NAME", help="a bundled table instead: " + ", ".join(reading.EXAMPLES)
    )
    options.add_argument(
        "--degree", metavar="K", type=_size, help=f"moments to match (default: {DEGREE})"
    )
    options.add_argument(
        "--nan",
        choices=("raise", "omit"),
        default="raise",
        help="what to do about missing values (default: raise)",
    )
    _moment_options(options, required=False)
    options.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return options


def _moment_options(options: argparse.ArgumentParser, *, required: bool) -> None:
    options.add_argument(
        "--moments",
        metavar="M0,M1,...",
        type=_numbers,
        required=required,
        help="moments instead of data; the first is m0 = 1",
    )
    options.add_argument(
        "--kind", choices=KINDS, default="raw", help="what the moments are (default: raw)"
    )
    options.add_argument(
        "--support",
        metavar="LO,HI",
        type=_support,
        required=required,
        help="where the density lives, -inf and inf allowed (default for data: their range)",
    )


def _joined(argv: list[str]) -> list[str]:
    """`--support -1,1` as `--support=-1,1`, lest argparse take -1,1 for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in LISTS and "," in word:
            word = f"{joined.pop()}={word}"
        joined.append(word)
    return joined


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list like 1,0.5,0.25") from None


def _support(text: str) -> tuple[float, float]:
    ends = _numbers(text)
    if len(ends) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pair like 0,1 or -inf,inf")
    return ends[0], ends[1]


def _transform(text: str) -> Transform:
    name, *constants = text.split(",")
    try:
        return Transform(name, *map(float, constants))
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _size(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return number


class _Version(argparse.Action):
    def __init__(self, option_strings, dest, help):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser, namespace, values, option_string=None):
        from importlib import metadata  # slow, and wanted by nobody else

        try:
            version = metadata.version("maxent")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"maxent {version}")
        parser.exit()


# --------------------------------------------------------------------------------- source


@dataclasses.dataclass(frozen=True)
class Source:
    """The density of one command, and what is known of where it comes from."""

    density: object
    title: str
    label: str | None = None
    data: np.ndarray | None = None
    values: int | None = None


def _source(arguments) -> Source:
    ways = [arguments.file, arguments.example, arguments.moments]
    if sum(way is not None for way in ways) != 1:
        raise ValueError("give one of FILE, --example and --moments")
    if arguments.moments is not None:
        return _source_of_moments(arguments)
    if arguments.file is not None and (found := reading.read_sketch(arguments.file)) is not None:
        return _source_of_sketch(arguments, found)
    if arguments.example is not None:
        data, column = reading.read_example(arguments.example, arguments.column)
        name = arguments.example
    else:
        progress = _Progress()
        try:
            data = reading.read_column(arguments.file, arguments.column, progress=progress)
        finally:
            progress.clear()  # before whatever is said next
        name = "stdin" if arguments.file == "-" else os.path.basename(arguments.file)
        column = arguments.column
    title = f"{name}: {column}" if column else name
    data = _without_missing(data, title, arguments.nan)
    degree = DEGREE if arguments.degree is None else arguments.degree
    with _patience():
        density = fit(data, degree, support=arguments.support)
    _mention_atoms(data, density)
    return Source(density, title, column, data, data.size)


def _source_of_sketch(arguments, sketch: Sketch) -> Source:
    name = "stdin" if arguments.file == "-" else os.path.basename(arguments.file)
    if arguments.column is not None:
        raise ValueError(f"--column belongs to tables: {name} is the sketch of one column")
    if sketch.batch_shape:
        raise ValueError(f"{name} is a batch of {sketch.batch_shape} columns: fit it from Python")
    left_out = sketch.nan + sketch.infinite
    if left_out and arguments.nan == "raise":
        raise ValueError(
            f"{name}: {sketch.nan} values are NaN or missing, {sketch.infinite} infinite; "
            "--nan omit leaves them out"
        )
    with _patience(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        density = sketch.fit(arguments.degree, support=arguments.support, nan_policy=arguments.nan)
    for warning in said:
        print(f"maxent: {warning.message}", file=sys.stderr)
    if left_out:
        print(f"maxent: {left_out} values left out", file=sys.stderr)
    return Source(density, name, values=int(sketch.count))


def _source_of_moments(arguments) -> Source:
    for option in ("column", "degree"):
        if getattr(arguments, option) is not None:
            raise ValueError(f"--{option} belongs to data, not to --moments")
    if arguments.support is None:
        raise ValueError("moments need a --support, such as 0,1 or -inf,inf")
    with _patience():
        density = solve(arguments.moments, support=arguments.support, kind=arguments.kind)
    return Source(density, f"{len(arguments.moments) - 1} {arguments.kind} moments")


def _without_missing(data: np.ndarray, name: str, policy: str) -> np.ndarray:
    missing = np.count_nonzero(np.isnan(data))
    if missing == 0:
        return data
    if missing == data.size:
        raise ValueError(f"{name}: all {data.size} values are missing")
    if policy == "raise":
        raise ValueError(
            f"{name}: {missing} of {data.size} values are missing; --nan omit leaves them out"
        )
    print(f"maxent: {missing} of {data.size} values left out (missing)", file=sys.stderr)
    return data[~np.isnan(data)]


def _mention_atoms(data: np.ndarray, density) -> None:
    """A density over a handful of distinct values is smooth where the data are not: say so."""
    distinct = np.unique(data).size
    if distinct <= density.degree:
        print(
            f"maxent: only {distinct} distinct values for {density.degree} moments; "
            "for atoms at known places use maxent.Discrete from Python",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _patience():
    """A word on a terminal when an answer takes long, as only that of the first run does."""
    if not sys.stderr.isatty():
        yield
        return
    word = "maxent: compiling, once after each installation; `maxent compile` does all at once"
    timer = threading.Timer(PATIENCE, print, [word], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Progress:
    """A line on stderr while a long file is read; nothing unless stderr is a terminal."""

    def __init__(self):
        self.started = time.monotonic()
        self.shown = False

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - self.started > PATIENCE:
            self.shown = True
            print(f"\rreading {100 * done / max(total, 1):3.0f} %", end="", file=sys.stderr)

    def clear(self) -> None:
        if self.shown:
            print("\r             \r", end="", file=sys.stderr)


# -------------------------------------------------------------------------------- commands


def _run_fit(arguments) -> int:
    source = _source(arguments)
    report = _described(source)
    text = _as_json(report) if arguments.json else _as_table(report)
    if arguments.plot:
        title = source.title if source.data is None else f"{source.title}, {_caption(report)}"
        plot.save(source.density, arguments.plot, data=source.data, title=title, label=source.label)
    print(text)
    if arguments.plot:
        print(f"maxent: drawn in {arguments.plot}", file=sys.stderr)
    return OK


def _run_quantile(arguments) -> int:
    probabilities = np.array(arguments.probability)
    outside = probabilities[~((probabilities >= 0) & (probabilities <= 1))]
    if outside.size:
        raise ValueError(f"{outside[0]:g} is not a probability between 0 and 1")
    quantiles = _source(arguments).density.ppf(probabilities)
    if arguments.json:
        print(_as_json({"probabilities": probabilities, "quantiles": quantiles}))
    else:
        for u, x in zip(probabilities.tolist(), quantiles.tolist(), strict=True):
            print(f"{u!r}\t{x!r}")
    return OK


def _run_sample(arguments) -> int:
    density = _source(arguments).density
    values = density.rvs(arguments.size, random_state=np.random.default_rng(arguments.seed))
    if arguments.json:
        print(_as_json({"seed": arguments.seed, "sample": values}))
    else:
        sys.stdout.writelines(f"{x!r}\n" for x in values.tolist())
    return OK


def _run_check(arguments) -> int:
    report = check(arguments.moments, support=arguments.support, kind=arguments.kind)
    if arguments.json:
        print(_as_json(_fields(report)))
    else:
        print(f"{'feasible' if report.feasible else 'not feasible'}: {report.message}")
    return OK if report.feasible else NO_ANSWER


def _run_sketch(arguments) -> int:
    sketch = Sketch(arguments.degree, transform=arguments.transform)
    for file in arguments.files:
        progress = _Progress()
        try:
            for chunk in reading.read_chunks(file, arguments.column, progress=progress):
                sketch.update(chunk)
        finally:
            progress.clear()
    return _write_sketch(arguments, sketch)


def _run_merge(arguments) -> int:
    total = None
    for file in arguments.files:
        sketch = reading.read_sketch(file)
        if sketch is None:
            raise ValueError(f"{file} is no sketch: make one with maxent sketch")
        try:
            total = sketch if total is None else total + sketch
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    return _write_sketch(arguments, total)


def _run_compile(arguments) -> int:
    started = time.monotonic()

    def say(done: int, total: int) -> None:
        spent = time.monotonic() - started
        print(f"maxent: {done} of {total} parts compiled, {spent:.0f} s", file=sys.stderr)

    compiling.compile_all(arguments.jobs, say)
    return OK


def _write_sketch(arguments, sketch: Sketch) -> int:
    if arguments.output is None and not arguments.json:
        raise ValueError("say where the sketch goes: -o FILE, or --json")
    if arguments.output == "-" and arguments.json:
        raise ValueError("standard output takes one of -o - and --json")
    if arguments.output == "-":
        sys.stdout.buffer.write(sketch.to_bytes())
    elif arguments.output is not None:
        with open(arguments.output, "wb") as stream:
            stream.write(sketch.to_bytes())
    if arguments.json:
        print(sketch.to_json())
    what = repr(sketch)[len("<Sketch, ") : -1]
    where = "" if arguments.output in (None, "-") else f" in {arguments.output}"
    print(f"maxent: {what}{where}", file=sys.stderr)
    return OK


# ---------------------------------------------------------------------------------- output


def _described(source: Source) -> dict:
    density = source.density
    report = {
        "source": source.title,
        "values": source.values,
        "support": density.support(),
        "transform": None if density.transform == NONE else repr(density.transform),
        "degree": density.degree,
        "basis": density.basis.name,
        "coefficients": density.coefficients,
        "mean": density.mean(),
        "standard_deviation": density.std(),
        "skewness": density.moment(3, "standardized"),
        "kurtosis": density.moment(4, "standardized"),
        "entropy": density.entropy(),
        "probabilities": PRINTED,
        "quantiles": density.ppf(np.array(PRINTED)),
    }
    if source.data is not None:
        report["data_quantiles"] = np.quantile(source.data, PRINTED)
    report["certificate"] = _fields(density.certificate)
    return report


def _fields(record) -> dict:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _as_json(report: dict) -> str:
    return json.dumps(_plain(report), allow_nan=False)


def _plain(value):
    """What JSON knows: lists for arrays, names for enums, "inf" for infinity, null for nan."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.name
    if dataclasses.is_dataclass(value):
        return _plain(_fields(value))
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _caption(report: dict) -> str:
    return f"maximum entropy with {report['degree']} moments"


def _as_table(report: dict) -> str:
    """The fit for a person: about fifteen short lines."""
    number = _formatter(report["quantiles"], report["standard_deviation"])
    shape = _formatter([1.0], 1.0)
    lo, hi = report["support"]
    values = "" if report["values"] is None else f", {report['values']:,} values"
    certificate = report["certificate"]
    of = "" if report["transform"] is None else f", of {report['transform']}"
    rows = [
        f"{report['source']}{values}",
        "",
        f"  support       {'[' if math.isfinite(lo) else '('}{number(lo)}, "
        f"{number(hi)}{']' if math.isfinite(hi) else ')'}",
        f"  moments       {report['degree']} matched, {report['basis'].capitalize()} basis{of}",
        f"  mean          {number(report['mean'])}",
        f"  std. dev.     {report['standard_deviation']:.6g}",
        f"  skewness      {shape(report['skewness'])}",
        f"  kurtosis      {shape(report['kurtosis'])}  (3 for a normal)",
        f"  entropy       {report['entropy']:.6g} nats",
        "",
        *_quantile_rows(report, number),
        "",
        f"  certificate   {certificate['status'].name.lower()} in {certificate['steps']} steps",
        f"                moments met to {certificate['moment_error']:.1e}, "
        f"mass to {certificate['mass_error']:.1e}",
        f"                condition {certificate['condition']:.1e}, "
        f"input good to {certificate['digits']:.0f} digits",
    ]
    return "\n".join(rows)


def _quantile_rows(report: dict, number) -> list[str]:
    columns = [["quantiles", *(f"{100 * u:g} %  " for u in report["probabilities"])]]
    columns.append(["density", *map(number, report["quantiles"])])
    if "data_quantiles" in report:
        columns.append(["data", *map(number, report["data_quantiles"])])
    widths = [max(map(len, column)) for column in columns]
    return [
        "  " + "   ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    ]


def _formatter(values, spread):
    """Five digits of the spread: enough far from zero, and rounding noise near zero is dropped."""
    size = math.floor(math.log10(spread)) if spread > 0 else 0
    largest = float(np.abs(values).max())
    digits = min(16, max(6, 5 + math.ceil(math.log10(max(largest, 1e-300))) - size))
    return lambda x: f"{round(float(x), 5 - size) + 0.0:.{digits}g}"


if __name__ == "__main__":
    sys.exit(main())
