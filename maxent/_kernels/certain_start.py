"""Where the certain path begins on an interval: where Burg's spectrum has its peaks.

With A(z) the prediction polynomial of order n of the moments taken as autocorrelations, and E its
error (`_kernels.burg`), the mean of |A(e^(i theta))|^2 is E, so that
q = -alpha |A|^2 / E, a polynomial of degree n, has

    D = log ∫ exp(q) + alpha,

and the least D over n and a few alpha is taken.
"""

import math

import numpy as np

from .burg import levinson
from .certain_nodes import lay, weigh
from .compiled import ZERO, inlined, inner
from .recurrence import copy, fill, table
from .stieltjes import sum_series

# D is asked for to a few digits: see `certain_nodes`.
START_DEPTH, START_ERROR = 20.0, -20.0
# alpha: the first to find the order n, then these.
ALPHAS = (0.5, 0.2, 1.0)
# D falls and then rises with n: no higher n is tried after so many that were worse.
ENOUGH_WORSE = 2


@inner
def spectrum(A, order, scale, c):
    """-scale |A(e^(i theta))|^2 as Chebyshev coefficients of t = cos theta, into c."""
    fill(c, 0.0)
    for j in range(order + 1):
        s = 0.0
        for i in range(order + 1 - j):
            s += A[i] * A[i + j]
        c[j] = -scale * s * (1.0 if j == 0 else 2.0)


@inner
def integral(c, rec, ends, rule, grid, between):
    """log ∫ exp(sum c_j T_j) to a few digits; NaN where the panels do not suffice."""
    n, peak, _ = lay(c, rec, ends, rule, START_DEPTH, START_ERROR, grid, between)
    if n < 0:
        return np.nan
    table(grid.t, n, rec, grid.phi)
    sum_series(c, grid.phi, n, grid.q)
    return peak + math.log(weigh(n, peak, grid))


@inlined
def start(m, rec, ends, rule, cap, grid, between, work):
    """The start's coefficients into work.c; returns (order, evaluations); order 0: uniform."""
    trial, c = work.trial, work.c
    fill(c, 0.0)
    least = math.log(2.0)
    best = ZERO
    worse = 0
    evaluations = 0
    for order in range(2, cap + 1, 2):
        reached, error = levinson(m, order, work.A, work.before)
        if reached < order:
            break
        spectrum(work.A, order, ALPHAS[0] / error, trial)
        d = integral(trial, rec, ends, rule, grid, between) + ALPHAS[0]
        evaluations += 1
        if d < least:
            least = d
            best = order
            worse = 0
            copy(trial, c.shape[0], c)
        else:
            worse += 1
            if worse == ENOUGH_WORSE:
                break
    if best > 0:
        _, error = levinson(m, best, work.A, work.before)
        for alpha in ALPHAS[1:]:
            spectrum(work.A, best, alpha / error, trial)
            d = integral(trial, rec, ends, rule, grid, between) + alpha
            evaluations += 1
            if d < least:
                least = d
                copy(trial, c.shape[0], c)
    return best, evaluations
