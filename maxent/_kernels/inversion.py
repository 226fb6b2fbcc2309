"""Mass to the left and to the right of a point under exp(q), and the points for given masses.

A column is laid out once, as a `table` of panels: their ends, the local Chebyshev coefficients of q
(normalised: the masses sum to 1), the shares of the Gauss nodes, and the mass before and after each
panel, summed from its own side, so that neither tail ever comes out of a difference.

Inside a panel everything is measured from one `side` (0 left, 1 right) by z in [0, 1], the share of
the panel's width between that side and the point:

    M(z) = width · z ∫_0^1 exp(q(z y)) dy,       M'(z) = width · exp(q(z)).

A panel resolved by its Gauss rule has resolved sub-panels, so M is right to rounding, relatively,
for every z, however steep the density.
"""

import math

import numpy as np
from numba import njit

from .panels import MAX_PANELS, refine
from .recurrence import series
from .window import BOUNDED, window

# Inside, exp(q) is neglected e^-55 below its maximum: 1e-24, times at most 1e8 for a width.
CORE_DEPTH = 55.0
# Outside of the outermost core panels, to where the masses leave float64: ln 5e-324 is -744.4.
TAIL_DEPTH = 745.0
# No more panels than that, whatever the density: 16 spikes with all of their flanks need about 400.
CAPACITY = 2048
# A step below that leaves an error of its cube, below rounding.
LAST_STEP = 2e-6
MOST_STEPS = 60
# Below that a mass is taken from its logarithm.
TINY = 1e-290


@njit(cache=True, nogil=True)
def fill(c, rec, lo, hi, depth, rule, left, right, count):
    """Append the panels of [lo, hi] that matter, halving where there are too many for one `refine`.

    Returns the new count, -1 when there is no room.
    """
    points, _, local_points, local_transform = rule
    some_left = np.empty(MAX_PANELS)
    some_right = np.empty(MAX_PANELS)
    ends = np.empty(64)
    top = 0
    ends[0] = hi
    while top >= 0:
        n, _ = refine(
            c,
            rec,
            lo,
            ends[top],
            depth,
            points.shape[0],
            local_points,
            local_transform,
            some_left,
            some_right,
        )
        if n < 0:
            if top == 63:
                return -1
            ends[top + 1] = 0.5 * (lo + ends[top])
            top += 1
            continue
        if count + n > left.shape[0]:
            return -1
        left[count : count + n] = some_left[:n]
        right[count : count + n] = some_right[:n]
        count += n
        lo = ends[top]
        top -= 1
    return count


@njit(cache=True, nogil=True)
def localise(c, rec, a, b, rule, local):
    """Chebyshev coefficients of q on [a, b] into local, (k+1,)."""
    _, _, local_points, local_transform = rule
    k = c.shape[0] - 1
    half = 0.5 * (b - a)
    middle = 0.5 * (a + b)
    local[:] = 0.0
    for i in range(k + 1):
        value = series(c, rec, middle + half * local_points[i])
        for j in range(k + 1):
            local[j] += local_transform[j, i] * value


@njit(cache=True, nogil=True)
def exponents(local, start, slope, points, q, one, two):
    """q at the local places start + slope (1 + points), by Clenshaw's rule on all at once."""
    n = points.shape[0]
    k = local.shape[0] - 1
    for i in range(n):
        one[i] = 0.0
        two[i] = 0.0
    for j in range(k, 0, -1):
        l = local[j]
        for i in range(n):
            s = start + slope * (1.0 + points[i])
            value = 2.0 * s * one[i] - two[i] + l
            two[i] = one[i]
            one[i] = value
    for i in range(n):
        s = start + slope * (1.0 + points[i])
        q[i] = local[0] + s * one[i] - two[i]


@njit(cache=True, nogil=True)
def lay(c, rec, ends, rule):
    """The table of a column: (left, right, local, shares, before, after); empty: not integrable.

    left, right (P,); local (P, k+1); shares (P, n): mass of each node; before, after (P+1,): mass
    to the left and to the right of the left end of panel i.
    """
    points, weights, _, _ = rule
    n = points.shape[0]
    k = c.shape[0] - 1
    left = np.empty(CAPACITY)
    right = np.empty(CAPACITY)
    count = 0
    lo, hi = window(c, rec, ends, CORE_DEPTH + TAIL_DEPTH)
    if lo < hi:
        core_left = np.empty(CAPACITY)
        core_right = np.empty(CAPACITY)
        core = fill(c, rec, lo, hi, CORE_DEPTH, rule, core_left, core_right, 0)
        if core > 0:
            if core_left[0] > lo:
                count = fill(c, rec, lo, core_left[0], TAIL_DEPTH, rule, left, right, 0)
            if 0 <= count <= CAPACITY - core:
                left[count : count + core] = core_left[:core]
                right[count : count + core] = core_right[:core]
                count += core
                if core_right[core - 1] < hi:
                    count = fill(
                        c, rec, core_right[core - 1], hi, TAIL_DEPTH, rule, left, right, count
                    )
            else:
                count = -1
    count = max(count, 0)
    local = np.empty((count, k + 1))
    shares = np.empty((count, n))
    mass = np.empty(count)
    q = np.empty(n)
    one = np.empty(n)
    two = np.empty(n)
    keep = 0
    for i in range(count):
        localise(c, rec, left[i], right[i], rule, local[keep])
        half = 0.5 * (right[i] - left[i])
        exponents(local[keep], -1.0, 1.0, points, q, one, two)
        mass[keep] = 0.0
        for j in range(n):
            shares[keep, j] = half * weights[j] * math.exp(q[j])
            mass[keep] += shares[keep, j]
        if mass[keep] > 0.0:
            left[keep], right[keep] = left[i], right[i]
            keep += 1
    before = np.zeros(keep + 1)
    after = np.zeros(keep + 1)
    for i in range(keep):
        before[i + 1] = before[i] + mass[i]
        after[keep - 1 - i] = after[keep - i] + mass[keep - 1 - i]
    if keep > 0:
        # Both sums, so that the middle knows no favourite.
        total = 0.5 * (before[keep] + after[0])
        shift = math.log(total)
        for i in range(keep):
            local[i, 0] -= shift
        shares /= total
        before /= total
        after /= total
    return (
        left[:keep].copy(),
        right[:keep].copy(),
        local[:keep].copy(),
        shares[:keep].copy(),
        before,
        after,
    )


@njit(cache=True, nogil=True)
def part(local, z, side, width, rule, q, one, two):
    """M(z): the mass of a panel between its `side` and z."""
    points, weights, _, _ = rule
    if side == 0:
        exponents(local, -1.0, z, points, q, one, two)
    else:
        exponents(local, 1.0, -z, points, q, one, two)
    total = 0.0
    for i in range(points.shape[0]):
        total += weights[i] * math.exp(q[i])
    return 0.5 * width * z * total


@njit(cache=True, nogil=True)
def slope(local, s):
    """(q, dq/ds) at the local place s in [-1, 1]."""
    k = local.shape[0] - 1
    one = 0.0
    two = 0.0
    d_one = 0.0
    d_two = 0.0
    for j in range(k, 0, -1):
        d_value = 2.0 * (one + s * d_one) - d_two
        d_two = d_one
        d_one = d_value
        value = 2.0 * s * one - two + local[j]
        two = one
        one = value
    return local[0] + s * one - two, one + s * d_one - d_two


@njit(cache=True, nogil=True)
def last_at_most(sorted_values, n, x):
    """The last i < n with sorted_values[i] <= x, -1 if none."""
    lo, hi = -1, n
    while hi - lo > 1:
        middle = (lo + hi) >> 1
        if sorted_values[middle] <= x:
            lo = middle
        else:
            hi = middle
    return lo


@njit(cache=True, nogil=True)
def mass_beyond(t, side, table, rule, q, one, two):
    """Mass to the `side` of t."""
    left, right, local, _, before, after = table
    count = left.shape[0]
    i = last_at_most(left, count, t)
    if i < 0:
        return after[0] if side else before[0]
    if t >= right[i]:
        return after[i + 1] if side else before[i + 1]
    width = right[i] - left[i]
    if side == 0:
        z = (t - left[i]) / width
        return before[i] + part(local[i], z, 0, width, rule, q, one, two)
    z = (right[i] - t) / width
    return after[i + 1] + part(local[i], z, 1, width, rule, q, one, two)


@njit(cache=True, nogil=True)
def log_integral(c, rec, lo, hi, rule):
    """ln ∫ exp(q) over [lo, hi], wherever that lies."""
    points, weights, _, _ = rule
    left = np.empty(CAPACITY)
    right = np.empty(CAPACITY)
    count = fill(c, rec, lo, hi, CORE_DEPTH, rule, left, right, 0)
    n = points.shape[0]
    peak = -np.inf
    total = 0.0
    for i in range(count):
        half = 0.5 * (right[i] - left[i])
        middle = 0.5 * (right[i] + left[i])
        for j in range(n):
            value = series(c, rec, middle + half * points[j])
            if value > peak:
                total *= math.exp(peak - value)
                peak = value
            total += half * weights[j] * math.exp(value - peak)
    return peak + math.log(total) if total > 0.0 else -np.inf


@njit(cache=True, nogil=True)
def log_mass_beyond(t, side, table, c, rec, ends, rule, q, one, two):
    """ln of the mass to the `side` of t; where the table ends it is integrated on the spot."""
    m = mass_beyond(t, side, table, rule, q, one, two)
    if m > 0.5:
        return math.log1p(-mass_beyond(t, 1 - side, table, rule, q, one, two))
    if m > TINY:
        return math.log(m)
    # From here q falls for good, and twice as far it has fallen by more than CORE_DEPTH.
    if side == 0:
        lo = -1.0 if ends == BOUNDED else (0.0 if ends == 1 else min(2.0 * t, t - 1.0))
        return log_integral(c, rec, lo, t, rule) if t > lo else -np.inf
    hi = 1.0 if ends == BOUNDED else max(2.0 * t, t + 1.0)
    return log_integral(c, rec, t, hi, rule) if t < hi else -np.inf


@njit(cache=True, nogil=True)
def masses(t, side, logs, table, c, rec, ends, rule, out):
    """Mass (or its logarithm) to the `side` of every t, flat, into out."""
    n = rule[0].shape[0]
    q = np.empty(n)
    one = np.empty(n)
    two = np.empty(n)
    lowest = -1.0 if ends == BOUNDED else (0.0 if ends == 1 else -np.inf)
    highest = 1.0 if ends == BOUNDED else np.inf
    for i in range(t.shape[0]):
        x = t[i]
        if math.isnan(x):
            out[i] = np.nan
        elif x <= lowest or x >= highest:
            full = (x >= highest) == (side == 0)
            out[i] = (0.0 if full else -np.inf) if logs else (1.0 if full else 0.0)
        elif logs:
            out[i] = log_mass_beyond(x, side, table, c, rec, ends, rule, q, one, two)
        else:
            out[i] = min(1.0, mass_beyond(x, side, table, rule, q, one, two))


@njit(cache=True, nogil=True)
def first_guess(shares, weights, wanted, side):
    """z for the wanted mass: the shares of the nodes, each spread over its own weight.

    Partial sums of Gauss weights separate the nodes (Chebyshev, Markov and Stieltjes; Szegő 1939,
    §3.41).
    """
    n = shares.shape[0]
    z = 0.0
    for j in range(n):
        i = n - 1 - j if side else j
        if wanted < shares[i]:
            return z + 0.5 * weights[i] * wanted / shares[i]
        wanted -= shares[i]
        z += 0.5 * weights[i]
    return 1.0


@njit(cache=True, nogil=True)
def invert_panel(wanted, side, local, shares, width, rule, q, one, two):
    """(z, steps): M(z) = wanted on one panel.

    Each step solves exactly for the density p exp(q' (z - z0)): of third order, as Halley's, and
    exact in an exponential tail; z stays in a bracket.
    """
    weights = rule[1]
    z = first_guess(shares, weights, wanted, side)
    lo, hi = 0.0, 1.0
    for step in range(1, MOST_STEPS + 1):
        excess = part(local, z, side, width, rule, q, one, two) - wanted
        if excess == 0.0:
            return z, step
        if excess > 0.0:
            hi = z
        else:
            lo = z
        if side == 0:
            value, rise = slope(local, 2.0 * z - 1.0)
            rise *= 2.0
        else:
            value, rise = slope(local, 1.0 - 2.0 * z)
            rise *= -2.0
        density = width * math.exp(value)
        new = -1.0
        if density > 0.0:
            newton = -excess / density
            bend = rise * newton
            if abs(bend) < 1e-5:
                newton *= 1.0 - 0.5 * bend
                bend = 0.0
            if bend > -1.0:
                new = z + (newton if bend == 0.0 else math.log1p(bend) / rise)
        # The step before the bracket: on the root itself the bracket is a point beside z.
        if abs(new - z) * (1.0 + abs(rise)) < LAST_STEP:
            return min(max(new, lo), hi), step
        if new >= 1.0 and hi == 1.0 and z < 1.0:
            new = 1.0
        elif not lo < new < hi:
            new = 0.5 * (lo + hi)
            if not lo < new < hi:
                return z, step
        z = new
    return z, MOST_STEPS


@njit(cache=True, nogil=True)
def point_for(u, side, table, rule, q, one, two):
    """(t, steps): the mass to the `side` of t is u, 0 < u <= 1/2."""
    left, right, local, shares, before, after = table
    count = left.shape[0]
    if side == 0:
        i = max(last_at_most(before, count, u), 0)
        wanted = u - before[i]
        if wanted <= 0.0:
            return left[i], 0
        width = right[i] - left[i]
        z, steps = invert_panel(wanted, 0, local[i], shares[i], width, rule, q, one, two)
        return min(left[i] + z * width, right[i]), steps
    lo, hi = -1, count
    while hi - lo > 1:
        middle = (lo + hi) >> 1
        if after[middle + 1] <= u:
            hi = middle
        else:
            lo = middle
    i = min(hi, count - 1)
    wanted = u - after[i + 1]
    if wanted <= 0.0:
        return right[i], 0
    width = right[i] - left[i]
    z, steps = invert_panel(wanted, 1, local[i], shares[i], width, rule, q, one, two)
    return max(right[i] - z * width, left[i]), steps


@njit(cache=True, nogil=True)
def points_for(u, side, table, ends, rule, out):
    """The points with mass u to their `side`, flat, into out; returns the number of steps taken."""
    n = rule[0].shape[0]
    q = np.empty(n)
    one = np.empty(n)
    two = np.empty(n)
    lowest = -1.0 if ends == BOUNDED else (0.0 if ends == 1 else -np.inf)
    highest = 1.0 if ends == BOUNDED else np.inf
    steps = 0
    for i in range(u.shape[0]):
        v = u[i]
        if not 0.0 <= v <= 1.0:
            out[i] = np.nan
        elif v == 0.0 or v == 1.0:
            out[i] = highest if (v == 1.0) == (side == 0) else lowest
        elif v <= 0.5:
            out[i], taken = point_for(v, side, table, rule, q, one, two)
            steps += taken
        else:
            out[i], taken = point_for(1.0 - v, 1 - side, table, rule, q, one, two)
            steps += taken
    return steps
