"""Values of a solved density: log p at many points, nodes for expectations, and how a density in
its own polynomials looks in the basis of its support."""

import math

import numpy as np

from .compiled import ZERO, kernel
from .dual import DEPTH, allocate, dot, dot3, spread_out
from .recurrence import series, table
from .stieltjes import expand
from .window import window


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


@kernel
def translate(y, own, recurrences, ends, rule, P, expected, sizes, edges):
    """What the support's basis (recurrences (columns, 3, k)) sees of exp(sum_j y_j phi_j), y
    (columns, k+1), phi by the recurrences own (columns, 3, k).

    P (columns, k+1, k+1): row j is phi_j in that basis.  expected, sizes (columns, k+1): means and
    root mean squares of its functions, untouched where no panels resolve the density.  edges
    (columns, 2): the window outside of which it is negligible.
    """
    k = own.shape[2]
    work = allocate(k, rule[0].shape[0], ZERO)
    t, _, p, phi, _, _, _ = work
    for i in range(y.shape[0]):
        expand(recurrences[i], own[i], P[i])
        edges[i, 0], edges[i, 1] = window(y[i], own[i], ends, DEPTH)
        n, _ = spread_out(y[i], own[i], ends, rule, work)
        if n > 0:
            table(t, n, recurrences[i], phi)
            for j in range(k + 1):
                expected[i, j] = dot(p, phi[j], n)
                sizes[i, j] = math.sqrt(dot3(p, phi[j], phi[j], n))
