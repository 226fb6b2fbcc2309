"""Panels that resolve exp(polynomial), and the weighted nodes on them.

The exponent q(t) = sum_j c_j phi_j(t) has degree k, so on any panel it is known exactly from k + 1
values: its local Chebyshev coefficients l_0 ... l_k.  They give two bounds that no sampling could:

    upper bound      max q  <=  l_0 + sum_{j>=1} |l_j|
    Gauss error      |E| <= C exp(max Re q on the Bernstein ellipse rho) rho^(-2n),
                     Re q <= l_0 + sum_{j>=1} |l_j| (rho^j + rho^-j)/2        (Trefethen 2008, Thm
                     4.5)

A panel is dropped where the first lies `depth` below the highest value seen, kept where the second
is below the rounding, and bisected otherwise.  No spike, satellite or end-point layer can hide.
"""

import math

import numpy as np
from numba import njit

from .recurrence import series

MAX_PANELS = 192
# A panel is never narrower than this share of its distance from the centre of the window: below it
# the nodes coincide in float64.
NARROWEST = 4e-15
# The Bernstein ellipses tried, and the relative quadrature error asked for (log of 2^-53, rounded).
ELLIPSES = (1.9, 2.5, 4.0, 7.0, 12.0)
LOG_ROUNDING = -37.0
# What rounding alone puts into a local coefficient, as a share of sum |c_j|.
NOISE = 1e-15


@njit(cache=True, nogil=True)
def resolved(local, k, half, nodes, noise):
    """True when `nodes` Gauss points integrate exp(q) phi_k over the panel to rounding."""
    for rho in ELLIPSES:
        growth = 0.0
        up = 1.0
        down = 1.0
        for j in range(1, k + 1):
            up *= rho
            down /= rho
            growth += max(0.0, abs(local[j]) - noise) * (1.0 + 0.5 * (up + down))
        minor = 0.5 * half * (rho - 1.0 / rho)
        beyond = half * (0.5 * (rho + 1.0 / rho) - 1.0)
        reach = max(minor, math.sqrt(beyond * (2.0 + beyond)))
        growth += 2.0 * k * math.asinh(reach)
        if growth - 2.0 * nodes * math.log(rho) < LOG_ROUNDING:
            return True
    return False


@njit(cache=True, nogil=True)
def refine(c, rec, lo, hi, depth, nodes, local_points, local_transform, left, right):
    """Fill `left`, `right` with the panels of [lo, hi] that matter, in order; return their number.

    The number is -1 when more than MAX_PANELS are needed.  `depth`: how far below the maximum the
    exponent (plus what phi_k may add to it) can be neglected.  Second result: the largest exponent
    seen.
    """
    k = c.shape[0] - 1
    values = np.empty(k + 1)
    local = np.empty(k + 1)
    stack_l = np.empty(128)
    stack_r = np.empty(128)
    bound = np.empty(MAX_PANELS)
    centre = 0.5 * (lo + hi)
    peak = -np.inf
    size = 0.0
    for j in range(1, k + 1):
        size += abs(c[j])
    noise = NOISE * size
    count = 0
    top = 0
    stack_l[0], stack_r[0] = lo, hi
    while top >= 0:
        a, b = stack_l[top], stack_r[top]
        top -= 1
        half = 0.5 * (b - a)
        middle = 0.5 * (a + b)
        for i in range(k + 1):
            values[i] = series(c, rec, middle + half * local_points[i])
            peak = max(peak, values[i])
        spread = 0.0
        for j in range(k + 1):
            total = 0.0
            for i in range(k + 1):
                total += local_transform[j, i] * values[i]
            local[j] = total
            if j > 0:
                spread += abs(total)
        factor = k * math.log1p(max(0.0, max(abs(a), abs(b)) - 1.0))
        upper = local[0] + spread + factor
        if upper < peak - depth:
            continue
        if half <= NARROWEST * (abs(middle - centre) + half) or resolved(
            local, k, half, nodes, noise
        ):
            if count == MAX_PANELS:
                keep = 0
                for i in range(count):
                    if bound[i] >= peak - depth:
                        left[keep], right[keep], bound[keep] = left[i], right[i], bound[i]
                        keep += 1
                if keep == MAX_PANELS:
                    return -1, peak
                count = keep
            left[count], right[count], bound[count] = a, b, upper
            count += 1
        else:
            if top + 2 >= 128:
                return -1, peak
            stack_l[top + 1], stack_r[top + 1] = middle, b
            stack_l[top + 2], stack_r[top + 2] = a, middle
            top += 2
    keep = 0
    for i in range(count):
        if bound[i] >= peak - depth:
            left[keep], right[keep] = left[i], right[i]
            keep += 1
    return keep, peak


@njit(cache=True, nogil=True)
def place(left, right, count, points, weights, t, w):
    """Gauss nodes and weights of the `count` panels into t, w; return how many."""
    n = points.shape[0]
    at = 0
    for i in range(count):
        half = 0.5 * (right[i] - left[i])
        middle = 0.5 * (right[i] + left[i])
        for j in range(n):
            t[at] = middle + half * points[j]
            w[at] = half * weights[j]
            at += 1
    return at
