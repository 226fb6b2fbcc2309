"""What one column of the certain path works with: its arrays, and the nodes under its density.

Panels are laid where exp(q) is more than e^-DEPTH of its maximum, as fine as the quadrature's error
asks for (`_kernels.panels`). The gaps between them hold nothing yet; a few points in each are
watched, so that no step raises a density that nobody looks at.
"""

import math
from collections import namedtuple

import numpy as np

from .compiled import inner
from .exponential import exponential
from .lumps import MOST_CLUSTERS
from .panels import place, survey
from .window import window

MOST_PANELS = 256
MOST_GAPS = 256
# Points of a gap at which the model is watched.
WATCHED = 6
# exp(q) is neglected where q is this far below its maximum: e^-45 = 3e-20.
DEPTH = 45.0
# Fewer panels hold too few nodes for a basis of degree 32.
FEWEST_PANELS = 4
# Logarithms of the quadrature's error: of a panel's own mass, and of the whole on the way and at
# the end.
PANEL_ERROR = -9.0
ROUGH, FINE = -30.0, -37.0

# What lies on the nodes t: probabilities p, exponents q, values of polynomials; and their panels.
Grid = namedtuple("Grid", "t w p q change share own phi centred left right")
# What lies between the panels: the gaps and the points in them, of each gap the highest.
Between = namedtuple("Between", "left right t w q change own at")
# What is of the degrees, (k+1,), and of pairs of them; the recurrences R.
Work = namedtuple(
    "Work",
    "high low R R_before R_anchor mu noise size g y kept x trial anchor sought far c A before "
    "first",
)


@inner
def allocate(k, nodes):
    """The arrays of one column's work, for panels of so many nodes."""
    size = MOST_PANELS * nodes
    watched = MOST_GAPS * WATCHED
    grid = Grid(
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty((k + 1, size)),
        np.empty((k + 1, size)),
        np.empty((k + 1, size)),
        np.empty(MOST_PANELS),
        np.empty(MOST_PANELS),
    )
    between = Between(
        np.empty(MOST_GAPS),
        np.empty(MOST_GAPS),
        np.empty(watched),
        np.empty(watched),
        np.empty(watched),
        np.empty(watched),
        np.empty((k + 1, watched)),
        np.empty(MOST_GAPS, np.int64),
    )
    return grid, between, Work(
        np.empty((k + 1, k + 1)),
        np.empty((k + 1, k + 1)),
        np.empty((3, k)),
        np.empty((3, k)),
        np.empty((3, k)),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(MOST_CLUSTERS + 1, np.int64),
    )


@inner
def lay(c, rec, ends, rule, depth, error, grid, between):
    """Nodes for exp(sum c_j phi_j): returns (their number or -1, largest exponent, gaps)."""
    points, weights, local_points, local_transform = rule
    left, right = grid.left, grid.right
    lo, hi = window(c, rec, ends, depth)
    if not lo < hi:
        return -1, np.inf, 0
    count, peak, gaps = survey(
        c,
        rec,
        lo,
        hi,
        depth,
        points.shape[0],
        local_points,
        local_transform,
        left,
        right,
        PANEL_ERROR,
        error,
        between.left,
        between.right,
    )
    if count <= 0 or not peak < np.inf:
        return -1, peak, gaps
    while count < FEWEST_PANELS:
        for i in range(count - 1, -1, -1):
            a, b = left[i], right[i]
            middle = 0.5 * (a + b)
            left[2 * i], right[2 * i] = a, middle
            left[2 * i + 1], right[2 * i + 1] = middle, b
        count *= 2
    return place(left, right, count, points, weights, grid.t, grid.w), peak, gaps


@inner
def watch(gaps, between):
    """Points in the gaps, and the lengths they stand for; returns how many."""
    n = 0
    for i in range(gaps):
        half = 0.5 * (between.right[i] - between.left[i])
        middle = 0.5 * (between.right[i] + between.left[i])
        for j in range(WATCHED):
            between.t[n] = middle - half * math.cos(math.pi * j / (WATCHED - 1))
            between.w[n] = 2.0 * half / WATCHED
            n += 1
    return n


@inner
def weigh(n, peak, grid):
    """Masses of exp(q - peak) into p; their sum."""
    for i in range(n):
        grid.change[i] = grid.q[i] - peak
    exponential(grid.change[:n], grid.p[:n])
    total = 0.0
    for i in range(n):
        grid.p[i] *= grid.w[i]
        total += grid.p[i]
    return total


@inner
def normalise(n, watched, grid, between):
    """q to a log density, on the nodes and in the gaps, p its probabilities; what q lost."""
    peak = -np.inf
    for i in range(n):
        peak = max(peak, grid.q[i])
    total = weigh(n, peak, grid)
    shift = peak + math.log(total)
    inverse = 1.0 / total
    for i in range(n):
        grid.p[i] *= inverse
        grid.q[i] -= shift
    for i in range(watched):
        between.q[i] -= shift
    return shift
