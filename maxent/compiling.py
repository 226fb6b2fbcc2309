"""All kernels compiled at once and kept on the disk, instead of at the first call of each kind.

    maxent compile

Each part below calls what users call, and together they call for every kernel
(`tests/test_compiling.py`). The parts share the processors; what one of them has compiled, a later
one finds on the disk.
"""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import os

import numpy as np

from maxent import dual
from maxent.certificate import certify
from maxent.problem import MomentProblem
from maxent.sketch import Sketch
from maxent.solver import check, fit, solve
from maxent.support import Discrete

LINE, HALF = (-np.inf, np.inf), (0.0, np.inf)


def hard_columns():
    """What spikes need: the certain path and its certificate."""
    places = np.concatenate([c + 1e-4 * np.linspace(-1, 1, 101) for c in (-0.6, 0.1, 0.7)])
    moments = np.cos(np.arange(10)[:, None] * np.arccos(places)).mean(axis=1)
    problem = MomentProblem.from_moments(moments, (-1, 1), "chebyshev")
    certify(problem, dual.minimise_hard(problem))


def ordinary_columns():
    """An interval's columns, one or many, with their quantiles and moments."""
    density = solve([1, 0.1, 0.3], support=(-1, 1))
    solve([[1, 0.1, 0.3]] * 300, support=(-1, 1)).ppf(0.5)
    density.pdf(0.5), density.logcdf(-0.9), density.entropy(), density.skewness()
    check([1, 0.5, 0.2], support=(0, 1)), check([1, 0, 0.25, 0, 0.0625], support=(-1, 1))


def other_columns():
    """The line with its far tails, the half line, given points."""
    solve([1, 0, 1, 0, 2.5], support=LINE).logcdf(-60), solve([1, 1, 1.8], support=HALF)
    check([1, 0, 1, 0, 3.5], support=LINE), check([1, 1, 2, 7], support=HALF)
    check([1, 2, 4, 8], support=HALF)
    solve([1, 4.5], support=Discrete(range(1, 7))).ppf(0.5)


def tables():
    """Quantiles and probabilities of many points."""
    density = solve([1, 0.1, 0.3], support=(-1, 1))
    u = np.linspace(0, 1, 1000)
    density.ppf(u), density.cdf(u)


def data():
    """Moments of data, sketches, error bars."""
    x = np.linspace(-1, 1, 1000)
    density = fit(x, 4)
    fit(x, 4, weights=x + 2)
    density.standard_error(samples=10).ppf(0.5)
    sketch = Sketch(6).update(x) + Sketch(6).update(2 * x)
    sketch.fit(4), sketch.chebyshev_moments()


# The longest first: the others go beside it.
PARTS = hard_columns, ordinary_columns, other_columns, tables, data


def compile_all(processes=None, progress=None):
    """Compile what is not on the disk yet, in as many processes as there are processors.

    progress(done, total), where given, is called before the first part and after each.
    Raises ValueError for less than one process.
    """
    if processes is None:
        processes = os.cpu_count() or 1
    if processes < 1:
        raise ValueError(f"{processes} processes compile nothing: give 1 or more")
    processes = min(processes, len(PARTS))
    progress = progress or (lambda done, total: None)
    progress(0, len(PARTS))
    # not a fork, for the caller may have threads; and a compiler's garbage is a sixth of its time
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, gc.disable) as pool:
        running = [pool.submit(part) for part in PARTS]
        for done, part in enumerate(concurrent.futures.as_completed(running), 1):
            part.result()
            progress(done, len(PARTS))
