"""How fast, how right, and against whom: a table a section.

    python -m benchmarks [--quick] [--json] [--sections solve,batch] [--peer-path CLONE]
                         [--budget SECONDS] [--output FOLDER]

All contenders of a case take turns in one process, warmed up, on one thread unless said otherwise;
the median of up to seven rounds counts, in processor time (threads: by the clock), and
"× ours" is the ratio to the row of `maxent`: read ratios, because other work slows everybody. Rows
where we lose say "faster than ours", goals that are missed say MISSED. `--peer-path` takes a clone
of PyMaxEnt. Without `--quick` and `--sections` the results go to benchmarks/results/ and the tables
into benchmarks/README.md; `--output` sends the results elsewhere and leaves the page alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
import time
from pathlib import Path

# One thread for everybody's linear algebra: said before NumPy comes in.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

SECTIONS = {
    "solve": "solve",
    "batch": "batch",
    "hard": "hard",
    "data": "data_fit",
    "inversion": "inversion",
    "sensitivity": "derivatives",
    "import": "importing",
}
HERE = Path(__file__).parent
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="small cases, some seconds")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--sections", help=", ".join(SECTIONS))
    parser.add_argument("--peer-path", type=Path, help="a clone of PyMaxEnt")
    parser.add_argument("--budget", type=float, help="seconds a contender may take in a case")
    parser.add_argument("--output", type=Path, help="folder for speed.json and speed.png")
    options = parser.parse_args(arguments)
    names = options.sections.split(",") if options.sections else list(SECTIONS)
    unknown = sorted(set(names) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")

    from benchmarks import batch, racing

    budget = options.budget or (0.05 if options.quick else 2.0)
    choice = racing.Options(options.quick, budget, options.peer_path)
    machine = racing.machine()
    texts, rows = [], []
    start = time.perf_counter()
    for name in names:
        module = importlib.import_module(f"benchmarks.{SECTIONS[name]}")
        found = []
        for row in module.rows(choice):
            found.append(row)
            _progress(f"{name}: {row.case}, {row.method}")
        rows += found
        texts.append(racing.table(found, module.TITLE))
        if module.ERROR:
            texts.append(f"Error: {module.ERROR}.\n")
        if not options.json:
            _progress("")
            print("\n".join(texts[-2:] if module.ERROR else texts[-1:]), flush=True)
    _progress("")
    result = {"machine": machine, "budget": budget, "quick": options.quick}
    result["rows"] = [dataclasses.asdict(row) for row in rows]
    whole = not options.quick and not options.sections
    folder = options.output or (HERE / "results" if whole else None)
    if "batch" in names and folder:
        result["growth"] = batch.growth(choice)
    result["seconds"] = round(time.perf_counter() - start, 1)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=1, ensure_ascii=False)
        (folder / "speed.json").write_text(text + "\n", encoding="utf-8")
        if "growth" in result:
            from benchmarks import picture

            picture.draw(result["growth"], folder / "speed.png")
    if whole and not options.output:
        _into_page(machine, texts)
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def _progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _into_page(machine, texts):
    page = HERE / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    said = ", ".join(f"{k} {v}" for k, v in machine.items() if k not in ("date", "processor"))
    head = f"Last run: {machine['date']}, {machine['processor']}, {said.replace('_', ' ')}.\n"
    body = "\n".join([BEGIN, head, *texts, END])
    page.write_text(f"{before}{body}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
