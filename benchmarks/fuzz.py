"""Arbitrary input to solve, fit, check and the command line: what comes back?

    python -m benchmarks.fuzz --inputs 20000 [--seed 0]

Allowed: an answer with a certificate, a SolveError with a status, a ValueError or TypeError with a
message, and on the command line the exit codes 0, 1 and 2. Everything else is a finding: another
exception, a warning, an answer whose density does not have the moments that were asked for, more
than `PATIENCE` seconds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import io
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable

import numpy as np

PATIENCE = 20.0  # seconds for one input; the first pays for compiling
ENTRIES = ("solve", "solve", "solve", "fit", "fit", "check", "command line")


@dataclasses.dataclass(frozen=True)
class Finding:
    entry: str
    seed: tuple[int, ...]
    call: str
    what: str


class TooSlow(BaseException):
    """Not an Exception: nothing in between may swallow it."""


# ---------------------------------------- ingredients
ODD_NUMBERS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    3.0,
    1e-5,
    1e5,
    1e17,
    -1e30,
    1e150,
    1e300,
    1.7e308,
    -1.7e308,
    5e-324,
    -1e-310,
    2.2e-308,
    np.nan,
    np.inf,
    -np.inf,
    1 - 1e-16,
    1 + 1e-9,
    np.pi,
)
ODD_THINGS = (
    None,
    "",
    "1,0,1",
    b"1 0 1",
    "abc",
    {},
    {"a": 1},
    (),
    [],
    [[]],
    [1, [2, 3]],
    object(),
    lambda: 0,
    1j,
    True,
    range(3),
    {1, 2},
    float("nan"),
    [None, 1],
    ["1", "0", "1"],
    [1, "x"],
    10**400,
    [10**400, 1],
    bytearray(b"ab"),
)
KINDS = ("raw", "raw", "raw", "central", "standardized", "chebyshev")
ODD_KINDS = ("Raw", "", "cheb", None, 3, b"raw", ["raw"], "log")
SUPPORTS = (
    (-1.0, 1.0),
    (0.0, 1.0),
    (0.0, np.inf),
    (-np.inf, 0.0),
    (-np.inf, np.inf),
    (-3, 8),
    (1e6, 1e6 + 1),
)
ODD_SUPPORTS = (
    (1.0, 0.0),
    (1.0, 1.0),
    (np.nan, 1.0),
    (0.0, np.nan),
    (np.inf, np.inf),
    (-np.inf, -np.inf),
    (np.inf, -np.inf),
    (0.0,),
    (0.0, 1.0, 2.0),
    "0,1",
    b"01",
    None,
    1.0,
    (),
    [[0, 1]],
    (None, None),
    ("a", "b"),
    (0, 1j),
    (-1.7e308, 1.7e308),
    (0.0, 5e-324),
    (0.0, 1e-300),
    (1.0, 1.0 + 2e-16),
    (0, 10**400),
    np.array([0.0, 1.0]),
    (np.float32(0), np.int8(1)),
    (True, False),
    {0: 1},
    slice(0, 1),
    object(),
)


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def sound_moments(rng):
    """Moments that make sense, with their support and kind."""
    which = rng.integers(6)
    k = int(rng.integers(1, 9))
    if which == 0:
        x = rng.uniform(-1, 1, 400) ** int(rng.integers(1, 4))
        return np.array([np.mean(x**j) for j in range(k + 1)]), (-1.0, 1.0), "raw"
    if which == 1:
        t = np.cos(rng.uniform(0, np.pi, 400) ** rng.uniform(0.3, 1))
        return (
            np.array([np.mean(np.cos(j * np.arccos(t))) for j in range(k + 1)]),
            (-1.0, 1.0),
            "chebyshev",
        )
    if which == 2:
        x = rng.gamma(rng.uniform(0.5, 4), 1, 400)
        return np.array([np.mean(x**j) for j in range(k + 1)]), (0.0, np.inf), "raw"
    if which == 3:
        x = rng.normal(rng.normal(), 1, 400) + rng.choice([-2, 2], 400) * rng.uniform()
        return np.array([np.mean(x**j) for j in range(k + 1)]), (-np.inf, np.inf), "raw"
    if which == 4:
        return (
            np.array([1, rng.normal(), rng.uniform(0.1, 4), rng.normal(), rng.uniform(2, 6)]),
            (-np.inf, np.inf),
            "standardized",
        )
    x = rng.uniform(2, 5, 400)
    m = np.array([1, x.mean(), *(np.mean((x - x.mean()) ** j) for j in range(2, k + 2))])
    return m, (2.0, 5.0), "central"


MANY = (
    lambda rng, m: np.full(m.shape, np.nan),
    lambda rng, m: np.zeros(m.shape),
    lambda rng, m: np.ones(m.shape),
    lambda rng, m: m[1:],
    lambda rng, m: m * pick(rng, ODD_NUMBERS),
    lambda rng, m: m[::-1],
    lambda rng, m: np.concatenate([m, rng.normal(0, 1, 60 - len(m) if len(m) < 60 else 1)]),
    lambda rng, m: np.concatenate([m, np.zeros(61 - len(m))]) if len(m) < 61 else m,
    lambda rng, m: m[:1],
    lambda rng, m: m[:0],
    lambda rng, m: m[0],
    lambda rng, m: np.stack([m, m, m[::-1]]),
    lambda rng, m: np.stack([m, np.full(m.shape, np.nan)]),
    lambda rng, m: np.tile(m, (2, 3, 1)),
    lambda rng, m: np.zeros((0, len(m))),
    lambda rng, m: np.zeros((3, 0)),
    lambda rng, m: m[:, None],
    lambda rng, m: m.astype(np.float32),
    lambda rng, m: m.astype(np.float16),
    lambda rng, m: m.astype(np.longdouble),
    lambda rng, m: m.astype(complex),
    lambda rng, m: m + 1j * rng.normal(),
    lambda rng, m: m.astype(object),
    lambda rng, m: np.array([str(v) for v in m]),
    lambda rng, m: np.array([str(v).encode() for v in m]),
    lambda rng, m: np.round(m).astype(np.int64),
    lambda rng, m: m > 0,
    lambda rng, m: m.astype("M8[s]") if np.all(np.abs(m) < 1e9) else m,
    lambda rng, m: np.ma.masked_array(m, rng.random(m.shape) < 0.3),
    lambda rng, m: np.ma.masked_array(m, False),
    lambda rng, m: np.asfortranarray(np.tile(m, (4, 1)))[::2],
    lambda rng, m: np.matrix(m),
    lambda rng, m: list(m),
    lambda rng, m: tuple(float(v) for v in m),
    lambda rng, m: memoryview(np.ascontiguousarray(m)),
    lambda rng, m: (v for v in m),
    lambda rng, m: m.tobytes(),
    lambda rng, m: np.array(list(zip(m, m, strict=True)), dtype=[("a", float), ("b", float)]),
    lambda rng, m: m * (1 + rng.normal(0, 10.0 ** -rng.integers(1, 15), m.shape)),
)


def spoiled(rng, m):
    """The moments, or something that was made of them."""
    m = np.array(m, dtype=float)
    if rng.random() < 0.3:
        return m
    for _ in range(int(rng.integers(0, 3))):
        m[rng.integers(len(m))] = pick(rng, ODD_NUMBERS)
    if rng.random() < 0.5:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return pick(rng, MANY)(rng, m)
    return m


def some_support(rng, usual):
    import maxent

    roll = rng.random()
    if roll < 0.6:
        return usual
    if roll < 0.8:
        return pick(rng, SUPPORTS)
    if roll < 0.93:
        return pick(rng, ODD_SUPPORTS)
    points = pick(
        rng,
        (
            [1, 2, 3, 4, 5, 6],
            [0, 1],
            [1],
            [],
            [1, 1, 2],
            [3, 1, 2],
            [0, np.nan],
            [0, np.inf],
            [[1, 2], [3, 4]],
            "ab",
            None,
            [0, 1e308],
            [0, 5e-324],
            [1 + 1j, 2],
            np.arange(40.0),
            5,
        ),
    )
    return lambda: maxent.Discrete(points)


def some_kind(rng, usual):
    return usual if rng.random() < 0.85 else pick(rng, KINDS if rng.random() < 0.7 else ODD_KINDS)


# ---------------------------------------- the four entries
def a_solve(rng, function="solve"):
    import maxent

    m, support, kind = sound_moments(rng)
    m = spoiled(rng, m) if rng.random() < 0.93 else pick(rng, ODD_THINGS)
    options = {"support": some_support(rng, support), "kind": some_kind(rng, kind)}
    if function == "solve":
        options["throw"] = bool(rng.random() < 0.5)

    def call():
        given = {k: v() if k == "support" and callable(v) else v for k, v in options.items()}
        return getattr(maxent, function)(m, **given)

    return call, f"{function}({m!r}, {options!r})", (m, options)


def a_fit(rng):
    import maxent

    n = int(rng.choice([0, 1, 2, 3, 5, 20, 200, 3000]))
    columns = int(rng.choice([0, 1, 2, 5]))
    shape = (n,) if rng.random() < 0.6 else (n, columns) if rng.random() < 0.9 else (2, n, columns)
    x = pick(
        rng,
        (
            lambda: rng.normal(0, 1, shape),
            lambda: rng.lognormal(0, 2, shape),
            lambda: rng.integers(0, 3, shape),
            lambda: rng.normal(1e9, 1, shape),
            lambda: rng.normal(0, 1e-200, shape),
            lambda: rng.normal(0, 1, shape) * 1e300,
            lambda: np.full(shape, 3.0),
            lambda: rng.choice([0.0, 1.0], shape),
            lambda: rng.random(shape) < 0.5,
            lambda: rng.normal(0, 1, shape).astype(np.float32),
            lambda: rng.normal(0, 1, shape).astype(object),
            lambda: rng.standard_cauchy(shape),
        ),
    )()
    if np.size(x) and np.asarray(x).dtype.kind == "f" and rng.random() < 0.3:
        x = np.array(x)
        with np.errstate(all="ignore"):
            x.flat[rng.integers(x.size)] = pick(rng, ODD_NUMBERS)
    if rng.random() < 0.3 and getattr(x, "ndim", 0) == 1:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            x = (
                pick(rng, MANY[11:])(rng, np.array(x, dtype=float))
                if np.size(x) < 60 and np.size(x)
                else x
            )
    if rng.random() < 0.04:
        x = pick(rng, ODD_THINGS)
    degree = pick(
        rng,
        (
            0,
            1,
            2,
            3,
            4,
            6,
            6,
            6,
            10,
            16,
            20,
            60,
            -1,
            "auto",
            "6",
            2.5,
            None,
            True,
            10**9,
            np.int64(4),
            [4],
            np.nan,
        ),
    )
    if rng.random() < 0.6:
        degree = int(rng.integers(0, 13))
    options = {"degree": degree}
    if rng.random() < 0.35:
        options["support"] = some_support(rng, pick(rng, SUPPORTS))
    if rng.random() < 0.3:
        options["weights"] = pick(
            rng,
            (
                lambda: rng.random(n),
                lambda: -rng.random(n),
                lambda: np.zeros(n),
                lambda: np.full(n, np.nan),
                lambda: rng.random(n + 1),
                lambda: rng.random(shape),
                lambda: "w",
                lambda: 1.0,
                lambda: rng.random(n) * 1e300,
                lambda: np.full(n, np.inf),
                lambda: rng.integers(0, 2, n),
                lambda: rng.random(n) * 1e-310,
            ),
        )()
    if getattr(x, "ndim", 1) != 1 or rng.random() < 0.2:
        options["axis"] = pick(rng, (0, 0, 1, -1, None, 5, "0", 1.5))
    if rng.random() < 0.3:
        options["nan_policy"] = pick(rng, ("raise", "omit", "propagate", "", None, 1))
    options["throw"] = bool(rng.random() < 0.5)

    def call():
        given = {k: v() if k == "support" and callable(v) else v for k, v in options.items()}
        return maxent.fit(x, **given)

    return call, f"fit({x!r}, {options!r})", (x, options)


FILES = (
    b"",
    b"\n",
    b"x\n",
    b"x\n1\n2\n3\n4\n5\n6\n7\n8\n9\n",
    b"1\n2\n3.5\n4\n7\n11\n13\n2\n",
    b"x,y\n1,2\n3\n",
    b"x\na\nb\n",
    b"\x00\x01\x02\xff" * 20,
    b"PAR1garbage",
    b"\x93NUMPY\x01\x00junk",
    b"x\nnan\n1\n2\n3\n",
    b"x\n1e400\n2\n3\n",
    b"x\n5\n5\n5\n5\n",
    "\ufeffx\n1\n2\n4\n8\n9\n".encode(),
    b"x;y\n1,5;2\n2,5;3\n",
    b"\x1f\x8b\x08junk",
    b"PK\x03\x04junk",
    b"x\n" + b"\n".join(b"%d" % i for i in range(300)) + b"\n",
)


def a_command(rng):
    from maxent import cli

    content = pick(rng, FILES)
    words = [
        pick(
            rng,
            (
                "fit",
                "fit",
                "quantile",
                "sample",
                "check",
                "sketch",
                "",
                "--help",
                "--version",
                "fitt",
            ),
        )
    ]
    support = pick(
        rng, ("0,1", "-1,1", "0,inf", "-inf,inf", "1,0", "a,b", "0", "", "nan,1", "0,1,2")
    )
    if words[0] == "check" or rng.random() < 0.4:
        m, _, _ = sound_moments(rng)
        for _ in range(int(rng.integers(0, 2))):
            m[rng.integers(len(m))] = pick(rng, ODD_NUMBERS)
        text = ",".join(map(repr, m.tolist()))
        words += [
            "--moments",
            pick(rng, (text, text, text, "1", "", "1,2,x", ",", "2,0,1")),
            f"--support={support}",
        ]
    else:
        words += pick(
            rng,
            (
                ["FILE"],
                ["FILE"],
                ["FILE"],
                ["nothere.csv"],
                ["--example", "faithful"],
                ["--example", "no"],
                [],
                ["/"],
            ),
        )
        if rng.random() < 0.3:
            words += ["--column", pick(rng, ("x", "y", "1", "", "nope"))]
        if rng.random() < 0.3:
            words += [f"--support={support}"]
    if rng.random() < 0.6:
        words += [
            "--degree",
            pick(
                rng, ("0", "1", "2", "4", "8", "20", "60", "-1", "auto", "x", "2.5", "1000000000")
            ),
        ]
    if rng.random() < 0.3:
        words += ["--json"]
    if rng.random() < 0.2:
        words += ["--kind", pick(rng, (*KINDS, "nope"))]
    if rng.random() < 0.2:
        words += ["--nan", pick(rng, ("omit", "raise", "x"))]
    if words[0] == "quantile" and rng.random() < 0.7:
        words += ["-p", pick(rng, ("0.5", "0,1", "2", "x", "", "nan", "0.1,0.9"))]
    if words[0] == "sample" and rng.random() < 0.7:
        words += ["-n", pick(rng, ("5", "0", "-1", "x", "1e3"))]

    def call():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "data.csv")
            with open(path, "wb") as file:
                file.write(content)
            arguments = [path if w == "FILE" else w for w in words]
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    code = cli.main(arguments)
                except SystemExit as stop:
                    code = stop.code or 0
        return code, out.getvalue(), err.getvalue()

    return call, f"maxent {' '.join(words)}  (file {content[:40]!r})", None


# ---------------------------------------- judging
def accepted(entry: str, result: object, given: object) -> tuple[str, str | None]:
    """(kind of outcome, what is wrong or None)"""
    from maxent import Status

    if entry == "command line":
        code, out, err = result
        wrong = None
        if code not in (0, 1, 2):
            wrong = f"exit code {code!r}"
        elif "Traceback" in err or "Warning" in err:
            wrong = f"stderr: {err[-300:]}"
        elif code and not err.strip() and not out.strip():
            wrong = f"exit code {code} without a word"
        elif code == 2 and out.strip():  # `check` answers "no" with a report and exit code 1
            wrong = f"exit code {code}, yet stdout has {out[:100]!r}"
        return f"exit code {code}", wrong
    if entry == "check":
        statuses = np.atleast_1d(np.asarray(result.status, dtype=object)).ravel()
        if not all(isinstance(s, Status) for s in statuses):
            return "report", f"statuses {statuses!r}"
        return "report", None
    statuses = np.atleast_1d(np.asarray(result.certificate.status, dtype=object)).ravel()
    if not all(isinstance(s, Status) for s in statuses):
        return "answer", f"statuses {statuses!r}"
    if result.batch_shape == () and statuses.size == 1:
        if statuses[0] is not Status.SOLVED:
            return "status", None if np.isnan(
                result.ppf(0.5)
            ) else "refused, yet the median is not nan"
        median = float(result.ppf(0.5))
        if not np.isfinite(median):
            return "answer", f"solved, yet the median is {median}"
        if entry == "solve":
            return "answer", unsound(result, *given)
    return "answer", None


def unsound(density, m, options) -> str | None:
    """Do the moments that were asked for come back?"""
    from benchmarks.judge import judge

    support = options["support"]
    if callable(support):
        return None
    m = np.asarray(m, dtype=float).ravel()
    support = tuple(float(v) for v in support)
    if support[1] - support[0] < 1e-9 * max(map(abs, support)) or support[1] - support[0] < 1e-290:
        return None  # too narrow for float64 x to integrate over
    if options["kind"] != "chebyshev" and abs(m[1]) > 1e290:
        return None  # the judge's points, 1e9 scales out, would be infinite
    verdict = judge(density.logpdf, support, m, options["kind"])
    return (
        None if verdict.worst < 1e-8 else f"solved, yet the moments are off by {verdict.worst:.1e}"
    )


BUILD: dict[str, Callable] = {
    "solve": a_solve,
    "fit": a_fit,
    "check": lambda rng: a_solve(rng, "check"),
    "command line": a_command,
}


def one(seed: tuple[int, ...]) -> tuple[str, str, Finding | None]:
    """(entry, outcome, finding or None) of the input with that seed."""
    from maxent import SolveError

    rng = np.random.default_rng(seed)
    entry = pick(rng, ENTRIES)
    call, text, given = BUILD[entry](rng)
    text = text if len(text) < 1500 else text[:1200] + " ..."

    def finding(what):
        return entry, "FINDING", Finding(entry, seed, text, what)

    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with limited(PATIENCE * 2):
                result = call()
                seconds = time.perf_counter() - start
                outcome, wrong = accepted(entry, result, given)
        if wrong:
            return finding(wrong)
    except SolveError as error:
        seconds = time.perf_counter() - start
        outcome = "SolveError"
        if not str(error).strip():
            return finding("SolveError without a message")
    except (ValueError, TypeError) as error:
        seconds = time.perf_counter() - start
        outcome = type(error).__name__
        if len(str(error)) < 10:
            return finding(f"{outcome} says only {str(error)!r}")
        last = traceback.extract_tb(error.__traceback__)[-1]
        if f"{os.sep}maxent{os.sep}" not in last.filename:
            return finding(f"{outcome} from {last.filename}:{last.lineno}, not ours: {error}")
    except TooSlow:
        return finding(f"more than {PATIENCE * 2:.0f} s")
    except Exception as error:  # that is the question
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return finding(
            f"{type(error).__name__}: {error} ({os.path.basename(frame.filename)}:{frame.lineno})"
        )
    if seconds > PATIENCE:
        return finding(f"{seconds:.1f} s")
    return entry, outcome, None


@contextlib.contextmanager
def limited(seconds: float):
    """Interrupt Python code after that long (main thread, POSIX; elsewhere: no limit)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--inputs", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=int, default=20, help="how many to print (default 20)")
    options = parser.parse_args(arguments)
    count, found = collections.Counter(), []
    start = time.perf_counter()
    for i in range(options.inputs):
        entry, outcome, finding = one((options.seed, i))
        count[entry, outcome] += 1
        if finding:
            found.append(finding)
        if sys.stderr.isatty() and (i % 20 == 0 or i + 1 == options.inputs):
            left = (time.perf_counter() - start) / (i + 1) * (options.inputs - i - 1)
            print(
                f"\r{i + 1}/{options.inputs}  {left:4.0f} s left  findings: {len(found)} ",
                end="",
                file=sys.stderr,
            )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{options.inputs} inputs, {time.perf_counter() - start:.0f} s")
    for (entry, outcome), n in sorted(count.items()):
        print(f"  {entry:13s} {outcome:14s} {n:7d}")
    print(f"findings: {len(found)}")
    seen = collections.Counter()
    for f in found:
        key = (f.entry, f.what[:60])
        seen[key] += 1
        if seen[key] == 1 and len(seen) <= options.findings:
            print(f"\n{f.entry} {f.seed}: {f.what}\n    {f.call}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
