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
Both halves of a panel get their values at once, in loops long enough to vectorise; coefficients are
asked for only where the values do not show already that the panel must be bisected.
"""

import math

import numpy as np

from .compiled import inlined, inner

MAX_PANELS = 192
DEEPEST = 127  # panels that wait while others are looked at
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
def climb(c, rec, t, now, before, total):
    """sum_j c_j phi_j(t_i) into total, for all t at once; now and before are for its own use."""
    n, k = t.shape[0], rec.shape[1]
    for i in range(n):
        now[i], before[i], total[i] = 1.0, 0.0, c[0]
    j = 0
    while j + 2 <= k:  # two at a time, or most of the time would go to and from memory
        up, shift, down, share = rec[0, j], rec[1, j], rec[2, j], c[j + 1]
        up_, shift_, down_, share_ = rec[0, j + 1], rec[1, j + 1], rec[2, j + 1], c[j + 2]
        for i in range(n):
            one = (up * t[i] + shift) * now[i] - down * before[i]
            two = (up_ * t[i] + shift_) * one - down_ * now[i]
            before[i], now[i] = one, two
            total[i] += share * one + share_ * two
        j += 2
    if j < k:
        up, shift, down, share = rec[0, j], rec[1, j], rec[2, j], c[j + 1]
        for i in range(n):
            total[i] += share * ((up * t[i] + shift) * now[i] - down * before[i])


@inner(fastmath={"contract"})
def expand_locally(values, transform, local):
    """Chebyshev coefficients of a panel's values, (n,), n whole fours, zeros after k + 1."""
    n = values.shape[0]
    for j in range(n):
        local[j] = 0.0
    for i in range(0, n, 4):
        v0, v1, v2, v3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        for j in range(n):
            low = transform[i, j] * v0 + transform[i + 1, j] * v1
            local[j] += low + (transform[i + 2, j] * v2 + transform[i + 3, j] * v3)


@inner
def sharpest(target, k, nodes, noise):
    """No panel on which the exponent varies by more than this is `resolved_to` target."""
    most = 0.0
    for e in range(len(ELLIPSES)):
        rho = ELLIPSES[e]
        spare = target + 2.0 * nodes * LOG_ELLIPSES[e]
        most = max(most, spare / (1.0 + 0.5 * (rho + 1.0 / rho)))
    return 2.0 * (most + k * noise)


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
    n = local_points.shape[0]
    local, t, now, before = np.empty(n), np.empty(2 * n), np.empty(2 * n), np.empty(2 * n)
    stack_l, stack_r, seen = np.empty(DEEPEST), np.empty(DEEPEST), np.empty(DEEPEST * n)
    most = left.shape[0]
    bound = np.empty(most)
    centre = 0.5 * (lo + hi)
    size = 0.0
    for j in range(1, k + 1):
        size += abs(c[j])
    noise = NOISE * size
    steep = sharpest(coarse, k, nodes, noise)
    count = 0
    gaps = 0
    top = 0
    stack_l[0], stack_r[0] = lo, hi
    for i in range(n):
        t[i] = centre + 0.5 * (hi - lo) * local_points[i]
    climb(c, rec, t[:n], now, before, seen)
    peak = seen[0]
    for i in range(1, n):
        peak = max(peak, seen[i])
    while top >= 0:
        a, b = stack_l[top], stack_r[top]
        values = seen[top * n : (top + 1) * n]
        half = 0.5 * (b - a)
        middle = 0.5 * (a + b)
        least, highest = values[0], values[0]
        for i in range(1, n):
            least, highest = min(least, values[i]), max(highest, values[i])
        widest = half > NARROWEST * (abs(middle - centre) + half)
        if not (widest and highest >= peak - depth and highest - least > steep):
            expand_locally(values, local_transform, local)
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
                top -= 1
                continue
            target = coarse
            if fine > -np.inf:
                target = min(coarse, fine + peak - local[0])
            if not widest or resolved_to(target, local, k, half, nodes, noise):
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
                top -= 1
                continue
        if top + 1 == DEEPEST:
            return -1, peak, gaps
        # the left half is the next
        stack_l[top], stack_r[top] = middle, b
        stack_l[top + 1], stack_r[top + 1] = a, middle
        for i in range(n):
            t[i] = 0.5 * (middle + b) + 0.5 * half * local_points[i]
            t[n + i] = 0.5 * (a + middle) + 0.5 * half * local_points[i]
        values = seen[top * n : (top + 2) * n]
        climb(c, rec, t, now, before, values)
        for i in range(2 * n):
            peak = max(peak, values[i])
        top += 1
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
