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
# One of everything, so that every kernel is compiled: the spikes take the certain path.
EVERYTHING = """
import time
import numpy as np
import maxent
start = time.process_time()
x = np.linspace(-1, 1, 1000)
u = np.linspace(0, 1, 1000)
line, half = (-np.inf, np.inf), (0, np.inf)
d = maxent.solve([1, 0.1, 0.3], support=(-1, 1))
d.ppf(u), d.cdf(x), d.pdf(x), d.ppf(0.5), d.mean(), d.entropy(), d.logcdf(-0.9), d.skewness()
maxent.solve([[1, 0.1, 0.3]] * 300, support=(-1, 1)).ppf(0.5)
normal = maxent.solve([1, 0, 1, 0, 2.5], support=line)
normal.ppf(u), normal.logcdf(-60)
maxent.solve([1, 1, 1.8], support=half).ppf(u)
maxent.check([1, 0, 1, 0, 3.5], support=line), maxent.check([1, 1, 2, 7], support=half)
maxent.check([1, 2, 4, 8], support=half)
maxent.solve([1, 4.5], support=maxent.Discrete(range(1, 7))).ppf(u)
maxent.fit(x, 4), maxent.fit(x, 4, weights=u + 1), maxent.fit(x + 2, 4, support=half)
maxent.check([1, 0.5, 0.2], support=(0, 1))
d.standard_error(samples=10).ppf(0.5)
sketch = maxent.Sketch(6).update(x) + maxent.Sketch(6).update(2 * x)
sketch.fit(4), sketch.chebyshev_moments()
places = np.concatenate([c + 1e-4 * np.linspace(-1, 1, 101) for c in (-0.6, 0.1, 0.7)])
spikes = np.cos(np.arange(10)[:, None] * np.arccos(places)).mean(axis=1)
maxent.solve(spikes, support=(-1, 1), kind="chebyshev", throw=False).ppf(0.5)
print(time.process_time() - start)
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
    with tempfile.TemporaryDirectory() as empty:
        cold = _run(EVERYTHING, NUMBA_CACHE_DIR=empty)
        warm = _run(EVERYTHING, NUMBA_CACHE_DIR=empty)
    case = "one of everything"
    yield Row("import", case, OURS, cold, note="compiles all", goal=COMPILE_GOAL)
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
