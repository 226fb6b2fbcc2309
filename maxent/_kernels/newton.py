"""Newton's direction and its step length, for any convex function; nothing here knows of moments.

The function gives its gradient g and a triangular P with  Hessian = P^-1 P^-T.  Newton's direction
is -P^T P g, and its decrement |P g| the distance to the minimum in the Hessian's own measure.
"""

import math

from .compiled import inner

# Rounding in a gradient whose entries are means of O(1) numbers.
GRADIENT_ROUNDING = 2.5e-16
# A direction is used while rounding in the gradient, as seen through P, stays below this.
BLUR = 1e-3
# Far away a step moves about this many standard deviations of the exponent.
REACH = 1.5


@inner
def direction(P, g, rows, step):
    """Newton's direction into `step`; returns (decrement, its rounding, rows used).

    Rows (degrees) whose decrement is only rounding are left alone.
    """
    k = g.shape[0] - 1
    decrement = 0.0
    blur = 0.0
    for i in range(k + 1):
        step[i] = 0.0
    used = 0
    for j in range(1, rows + 1):
        s = 0.0
        size = 0.0
        for i in range(1, j + 1):
            s += P[j, i] * g[i]
            size += abs(P[j, i])
        size *= GRADIENT_ROUNDING
        if size > BLUR:
            break
        used = j
        decrement += s * s
        blur += size * size
        for i in range(j + 1):
            step[i] -= P[j, i] * s
    return math.sqrt(decrement), math.sqrt(blur), used


@inner
def first_length(decrement):
    """Full near the minimum, shorter far away."""
    return 1.0 if decrement < 1.0 else REACH / (0.5 + decrement)
