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

from .compiled import inlined, inner

MAX_PANELS = 192
# A panel is never narrower than this share of its distance from the centre of the window: below it
# the nodes coincide in float64.
NARROWEST = 4e-15
# The Bernstein ellipses tried, and the relative quadrature error asked for (log of 2^-53, rounded).
ELLIPSES = (1.9, 2.5, 4.0, 7.0, 12.0)
LOG_ROUNDING = -37.0
# What rounding alone puts into a local coefficient, as a share of sum |c_j|.
NOISE = 1e-15


@inlined
def resolved(local, k, half, nodes, noise):
    """True when `nodes` Gauss points integrate exp(q) phi_k over the panel to rounding."""
    return resolved_to(LOG_ROUNDING, local, k, half, nodes, noise)


@inner
def resolved_to(target, local, k, half, nodes, noise):
    """True when the log of that integral's error, relative to exp(local[0]), is below target."""
    for rho in ELLIPSES:
        beyond = half * (0.5 * (rho + 1.0 / rho) - 1.0)
        reach = max(0.5 * half * (rho - 1.0 / rho), math.sqrt(beyond * (2.0 + beyond)))
        spare = target + 2.0 * nodes * math.log(rho) - 2.0 * k * math.asinh(reach)
        up = 1.0
        down = 1.0
        for j in range(1, k + 1):
            up *= rho
            down /= rho
            spare -= max(0.0, abs(local[j]) - noise) * (1.0 + 0.5 * (up + down))
            if spare < 0.0:
                break
        if spare > 0.0:
            return True
    return False


@inlined
def refine(c, rec, lo, hi, depth, nodes, local_points, local_transform, left, right):
    """Fill `left`, `right` with the panels of [lo, hi] that matter, in order; return their number.

    The number is -1 when more than `left` holds are needed.  `depth`: how far below the maximum the
    exponent (plus what phi_k may add to it) can be neglected.  Second result: the largest exponent
    seen.
    """
    none = np.empty(0)
    count, peak, _ = survey(
        c,
        rec,
        lo,
        hi,
        depth,
        nodes,
        local_points,
        local_transform,
        left,
        right,
        LOG_ROUNDING,
        -np.inf,
        none,
        none,
    )
    return count, peak


@inner
def survey(
    c,
    rec,
    lo,
    hi,
    depth,
    nodes,
    local_points,
    local_transform,
    left,
    right,
    coarse,
    fine,
    gap_left,
    gap_right,
):
    """`refine` that also notes the panels it drops, while there is room in gap_left, gap_right.

    The error of a panel's integral, relative to its own mass, has a logarithm below `coarse`; and
    where fine > -inf, relative to exp(peak) only, one below `fine`.  Returns the number of panels,
    the largest exponent seen, the number of gaps.
    """
    k = c.shape[0] - 1
    before = np.empty(k + 1)
    now = np.empty(k + 1)
    values = np.empty(k + 1)
    local = np.empty(k + 1)
    stack_l = np.empty(128)
    stack_r = np.empty(128)
    most = left.shape[0]
    bound = np.empty(most)
    centre = 0.5 * (lo + hi)
    peak = -np.inf
    size = 0.0
    for j in range(1, k + 1):
        size += abs(c[j])
    noise = NOISE * size
    count = 0
    gaps = 0
    top = 0
    stack_l[0], stack_r[0] = lo, hi
    while top >= 0:
        a, b = stack_l[top], stack_r[top]
        top -= 1
        half = 0.5 * (b - a)
        middle = 0.5 * (a + b)
        for i in range(k + 1):
            values[i] = c[0]
            before[i] = 0.0
            now[i] = 1.0
        for j in range(k):
            up, shift, down, share = rec[0, j], rec[1, j], rec[2, j], c[j + 1]
            for i in range(k + 1):
                t = middle + half * local_points[i]
                after = (up * t + shift) * now[i] - down * before[i]
                values[i] += share * after
                before[i] = now[i]
                now[i] = after
        for i in range(k + 1):
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
            if gaps < gap_left.shape[0]:
                gap_left[gaps], gap_right[gaps] = a, b
                gaps += 1
            continue
        target = coarse
        if fine > -np.inf:
            target = min(coarse, fine + peak - local[0])
        if half <= NARROWEST * (abs(middle - centre) + half) or resolved_to(
            target, local, k, half, nodes, noise
        ):
            if count == most:
                keep = 0
                for i in range(count):
                    if bound[i] >= peak - depth:
                        left[keep], right[keep], bound[keep] = left[i], right[i], bound[i]
                        keep += 1
                if keep == most:
                    return -1, peak, gaps
                count = keep
            left[count], right[count], bound[count] = a, b, upper
            count += 1
        else:
            if top + 2 >= 128:
                return -1, peak, gaps
            stack_l[top + 1], stack_r[top + 1] = middle, b
            stack_l[top + 2], stack_r[top + 2] = a, middle
            top += 2
    keep = 0
    for i in range(count):
        if bound[i] >= peak - depth:
            left[keep], right[keep] = left[i], right[i]
            keep += 1
        elif gaps < gap_left.shape[0]:
            gap_left[gaps], gap_right[gaps] = left[i], right[i]
            gaps += 1
    return keep, peak, gaps


@inner
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
