"""Panels that resolve exp(polynomial), and the weighted nodes on them.

The exponent q(t) = sum_j c_j phi_j(t) has degree k, so on any panel it is known exactly from k + 1
values (or the next multiple of four): its local Chebyshev coefficients l_0 ... l_k.  They give two
bounds that no sampling could:

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
LOG_ELLIPSES = tuple(math.log(rho) for rho in ELLIPSES)
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
    for e in range(len(ELLIPSES)):
        rho = ELLIPSES[e]
        spare = target + 2.0 * nodes * LOG_ELLIPSES[e]
        shrink = 1.0 / rho
        up = 1.0
        down = 1.0
        for j in range(1, k + 1):
            up *= rho
            down *= shrink
            spare -= max(0.0, abs(local[j]) - noise) * (1.0 + 0.5 * (up + down))
            if spare < 0.0:
                break
        if spare > 0.0:
            beyond = half * (0.5 * (rho + 1.0 / rho) - 1.0)
            reach = max(0.5 * half * (rho - 1.0 / rho), math.sqrt(beyond * (2.0 + beyond)))
            if spare > 2.0 * k * math.asinh(reach):
                return True
    return False


@inner(fastmath={"contract"})
def look(c, rec, middle, half, points, transform, values, local):
    """Chebyshev coefficients of sum_j c_j phi_j on a panel into local, its values there into
    values; returns the largest.  Both (n,), n whole fours: zeros follow the k + 1 coefficients.
    """
    n = points.shape[0]
    for i in range(0, n, 4):
        t0, t1 = middle + half * points[i], middle + half * points[i + 1]
        t2, t3 = middle + half * points[i + 2], middle + half * points[i + 3]
        now0, now1, now2, now3 = 1.0, 1.0, 1.0, 1.0
        before0, before1, before2, before3 = 0.0, 0.0, 0.0, 0.0
        sum0, sum1, sum2, sum3 = c[0], c[0], c[0], c[0]
        for j in range(rec.shape[1]):
            up, shift, down, share = rec[0, j], rec[1, j], rec[2, j], c[j + 1]
            before0, now0 = now0, (up * t0 + shift) * now0 - down * before0
            before1, now1 = now1, (up * t1 + shift) * now1 - down * before1
            before2, now2 = now2, (up * t2 + shift) * now2 - down * before2
            before3, now3 = now3, (up * t3 + shift) * now3 - down * before3
            sum0 += share * now0
            sum1 += share * now1
            sum2 += share * now2
            sum3 += share * now3
        values[i], values[i + 1], values[i + 2], values[i + 3] = sum0, sum1, sum2, sum3
    peak = values[0]
    for i in range(1, n):
        peak = max(peak, values[i])
    for j in range(0, n, 4):
        sum0, sum1, sum2, sum3 = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            value = values[i]
            sum0 += transform[j, i] * value
            sum1 += transform[j + 1, i] * value
            sum2 += transform[j + 2, i] * value
            sum3 += transform[j + 3, i] * value
        local[j], local[j + 1], local[j + 2], local[j + 3] = sum0, sum1, sum2, sum3
    return peak


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
    values, local = np.empty(local_points.shape[0]), np.empty(local_points.shape[0])
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
        peak = max(peak, look(c, rec, middle, half, local_points, local_transform, values, local))
        spread = 0.0
        for j in range(1, k + 1):
            spread += abs(local[j])
        beyond = max(abs(a), abs(b)) - 1.0
        factor = k * math.log1p(beyond) if beyond > 0.0 else 0.0
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
