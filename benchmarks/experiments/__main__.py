"""What the layers do to training: the thesis's four claims, measured.

    python -m benchmarks.experiments --preset cpu [--data FOLDER] [--workers 2]   within an hour
    python -m benchmarks.experiments --preset cpu-conv                CIFAR-10, a small net
    python -m benchmarks.experiments --preset gpu --device cuda       everything, 9 minutes a call
    python -m benchmarks.experiments --preset quick                   needs no data, half a minute
    python -m benchmarks.experiments --costs                          step time and memory
    python -m benchmarks.experiments --report                         the pages' tables and pictures

A call goes on where the last one stopped, however that ended: every finished run is a line of
OUTPUT/PRESET.jsonl, and its printed lines are in OUTPUT/PRESET.log. Exit code 3 says that time ran
out and that the same call goes on. `--data` (or $MAXENT_DATA) is the folder of mnist.npz and
cifar10.npz; `--peer-path` a clone of github.com/DanielEftekhari/normality-normalization, whose
layers then join in.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# One thread for everybody's linear algebra, said before NumPy comes in; and no window for pictures.
os.environ.setdefault("MPLBACKEND", "Agg")
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

RESULTS = Path(__file__).parents[1] / "results" / "experiments"
DOCS = Path(__file__).parents[2] / "docs"
PAGES = DOCS / "experiments.md", DOCS / "moment_matching.md"
GPU_MINUTES = 9.0
UNFINISHED = 3


def main(arguments=None):
    from benchmarks.experiments import costs, report, sweep, training

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments", description=__doc__.splitlines()[0],
        epilog=__doc__.partition("\n\n")[2], formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    todo = parser.add_mutually_exclusive_group(required=True)
    todo.add_argument("--preset", choices=list(sweep.PRESETS))
    todo.add_argument("--costs", action="store_true", help="step times and memory; a quiet machine")
    todo.add_argument("--report", action="store_true", help="page and pictures from the results")
    parser.add_argument("--data", type=Path, help="folder of mnist.npz and cifar10.npz")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, help="processes; 2, and 1 on another device")
    parser.add_argument("--minutes", type=float, help="start nothing that would end later")
    parser.add_argument("--peer-path", type=Path, help="a clone of NormalNorm's repository")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    output = options.output
    output.mkdir(parents=True, exist_ok=True)
    if options.costs:
        costs.write(costs.measure(options.device, options.peer_path), output / "costs.json")
        print(*report.Report({}, costs_of(output)).cost_table(), sep="\n")
        return 0
    if options.report:
        whole = published(output)
        blocks = whole.blocks()
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            page.write_text(report.with_blocks(text, blocks), encoding="utf-8")
        report.write_summary(output / "verdicts.json", whole)
        draw(report.PUBLISHED, output, DOCS / "images")
        return 0
    parts, results = read(output, options.preset)
    minutes = options.minutes or (GPU_MINUTES if options.preset == "gpu" else None)
    print(training.heading())
    try:
        finished = sweep.run(
            parts, results, output / f"{options.preset}.log", folder=options.data,
            device=options.device, peer_path=options.peer_path, minutes=minutes,
            workers=options.workers or (2 if options.device == "cpu" else 1),
        )
    except FileNotFoundError as error:
        parser.error(str(error))
    if not finished:
        print("time is up: the same command goes on")
        return UNFINISHED
    whole = report.Report({options.preset: read(output, options.preset)})
    for name, lines in whole.blocks().items():
        print(f"\n{name}\n", *lines, sep="\n")
    draw([options.preset], output, output)
    return 0


def read(output, preset):
    """(parts, results) of a preset; NormalNorm is in the parts where it was run."""
    from benchmarks.experiments import nets, sweep

    parts, results = sweep.PRESETS[preset], sweep.Results(output / f"{preset}.jsonl")
    if any(run["config"]["system"] in nets.PEERS for run in results.records.values()):
        parts = [sweep.with_peers(part) for part in parts]
    return parts, results


def published(output=RESULTS):
    """The Report of the presets whose results are in the repository."""
    from benchmarks.experiments import report

    found = {preset: read(output, preset) for preset in report.PUBLISHED}
    return report.Report(found, costs_of(output))


def costs_of(output):
    path = output / "costs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def draw(presets, output, folder):
    from benchmarks.experiments import figures

    for number, preset in enumerate(presets):
        costs = None if number else costs_of(output)
        for path in figures.draw(preset, *read(output, preset), costs, folder):
            print(f"drawn: {path}")


if __name__ == "__main__":
    sys.exit(main())
