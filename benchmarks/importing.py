"""What comes before the first answer: import, and compilation, which the disk remembers."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.racing import OURS, Row

TITLE = "Import and first call"
ERROR = ""
ROUNDS = 5
FOUNDATION = "import numpy, numba, scipy.linalg"
IMPORT_GOAL, COMPILE_GOAL = 0.3, 40.0
FIRST = """
import time
import maxent
start = time.process_time()
d = maxent.solve([1, 0.1, 0.3], support=(-1, 1))
d.ppf(0.5)
print(time.process_time() - start)
"""
EVERYTHING = """
import time
from maxent import compiling
start = time.process_time()
for part in compiling.PARTS:
    part()
print(time.process_time() - start)
"""
ALL_AT_ONCE = """
import time
from maxent import compiling
if __name__ == "__main__":
    start = time.perf_counter()
    compiling.compile_all(2)
    print(time.perf_counter() - start)
"""


def rows(options):
    rounds = 1 if options.quick else ROUNDS
    works = {
        "numpy, numba, scipy.linalg": FOUNDATION,
        OURS: f"{FOUNDATION}, maxent",
        "scipy.stats": f"{FOUNDATION}, scipy.stats",
    }
    spent = {name: [] for name in works}
    timed = "import time; s = time.process_time(); {}; print(time.process_time() - s)"
    for _ in range(rounds):
        for name, code in works.items():
            spent[name].append(_run(timed.format(code)))
    base = statistics.median(spent["numpy, numba, scipy.linalg"])
    for name, values in spent.items():
        added = statistics.median(values) - base
        if name == OURS:
            met = "met" if added <= IMPORT_GOAL else "MISSED"
            note = f"{added:.2f} s more than its foundation; goal 0.3 s: {met}"
        else:
            note = f"{added:.2f} s more" if name == "scipy.stats" else ""
        versus = "numpy, numba, scipy.linalg"
        yield Row("import", "import", name, statistics.median(values), note=note, versus=versus)
    first = [_run(FIRST) for _ in range(rounds)]
    yield Row("import", "first solve and quantile", OURS, statistics.median(first), note="compiled")
    if options.quick:
        return
    case = "every kernel"
    with tempfile.TemporaryDirectory() as empty:
        cold = _run(EVERYTHING, NUMBA_CACHE_DIR=empty)
        warm = _run(EVERYTHING, NUMBA_CACHE_DIR=empty)
    with tempfile.TemporaryDirectory() as empty:
        both = _run(ALL_AT_ONCE, NUMBA_CACHE_DIR=empty)
    yield Row("import", case, OURS, cold, note="compiled", goal=COMPILE_GOAL)
    note = "by the clock"
    yield Row("import", case, "maxent compile, 2 processes", both, note=note, goal=COMPILE_GOAL)
    yield Row("import", case, "maxent, compiled before", warm)


def _run(code, **environment):
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    return float(done.stdout.split()[-1])
