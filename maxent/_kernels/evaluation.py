"""Values of a solved density: log p at many points, and nodes for expectations."""

import numpy as np

from .compiled import ZERO, kernel
from .dual import allocate, spread_out
from .recurrence import series


@kernel
def log_density(x, c, rec, loc, scale, lower, upper, shift, out):
    """log p(x_i) - shift; -inf outside [lower, upper], nan for nan."""
    for i in range(x.shape[0]):
        value = x[i]
        if value != value:
            out[i] = np.nan
        elif value < lower or value > upper or abs(value) == np.inf:
            out[i] = -np.inf
        else:
            out[i] = series(c, rec, (value - loc) / scale) - shift


@kernel
def nodes(c, rec, ends, rule):
    """(t, p): nodes and probabilities of exp(q)."""
    work = allocate(rec.shape[1], rule[0].shape[0], ZERO)
    n, _ = spread_out(c, rec, ends, rule, work)
    n = max(n, 0)
    return work[0][:n].copy(), work[2][:n].copy()
