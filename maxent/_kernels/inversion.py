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

from .compiled import inlined, inner, kernel
from .panels import MAX_PANELS, NARROWEST, NOISE, refine, resolved
from .recurrence import fill, series
from .window import BOUNDED, HALF, window

# Between the outermost panels exp(q) is neglected e^-55 below its maximum, that is 1e-24.
CORE_DEPTH = 55.0
# A shallow table goes on outside of them for e^-45 more, and so is right, relatively, for masses
# above FLOOR; a deep one goes to the smallest float64, e^-744. Many panels, seldom wanted.
SHALLOW, DEEP = 45.0, 700.0
FLOOR = 1e-22
# No more panels than that, whatever the density: 16 spikes with all of their flanks need about 400.
CAPACITY = 2048
# What a step leaves is about its cube: the last is the one whose cube is below that share of z.
LAST_CUBE = 1e-17
MOST_STEPS = 60
# Degree of the polynomials of cells; `by_cells` spells it out.
DEGREE = 7
# A panel with less than that of the mass beside it is no place for a quantile in float64.
NOTHING = 1e-16
# The error of a cell is below that share of its mass, so that its polynomials rise.
MONOTONE = 1e-6
# Narrower a cell of a panel never is: there rounding is what the error shows.
SMALLEST = 1e-4
# Bins of a guide for each cell.
BINS = 8
# Values that are looked up together.
BLOCK = 256


@inlined
def core(c, rec, lo, hi, rule, left, right):
    """The panels of [lo, hi] that matter, halving where they are too many for one `refine`.

    Returns their number, -1 when there is no room, and the largest exponent seen.
    """
    points, _, local_points, local_transform = rule
    some_left = np.empty(MAX_PANELS)
    some_right = np.empty(MAX_PANELS)
    ends = np.empty(64)
    top = 0
    ends[0] = hi
    count = 0
    peak = -np.inf
    while top >= 0:
        n, seen = refine(
            c,
            rec,
            lo,
            ends[top],
            CORE_DEPTH,
            points.shape[0],
            local_points,
            local_transform,
            some_left,
            some_right,
        )
        peak = max(peak, seen)
        if n < 0:
            if top == 63:
                return -1, peak
            ends[top + 1] = 0.5 * (lo + ends[top])
            top += 1
            continue
        if count + n > left.shape[0]:
            return -1, peak
        for i in range(n):
            left[count], right[count] = some_left[i], some_right[i]
            count += 1
        lo = ends[top]
        top -= 1
    return count, peak


@inner
def above(c, rec, lo, hi, floor, rule, left, right):
    """The panels of [lo, hi] on which q comes above `floor`; their number, or -1: no room."""
    points, _, _, _ = rule
    k = c.shape[0] - 1
    local = np.empty(k + 1)
    stack_l = np.empty(128)
    stack_r = np.empty(128)
    noise = 0.0
    for j in range(1, k + 1):
        noise += NOISE * abs(c[j])
    count = 0
    top = 0
    stack_l[0], stack_r[0] = lo, hi
    while top >= 0:
        a, b = stack_l[top], stack_r[top]
        top -= 1
        localise(c, rec, a, b, rule, local)
        upper = local[0]
        for j in range(1, k + 1):
            upper += abs(local[j])
        if upper < floor:
            continue
        half = 0.5 * (b - a)
        middle = 0.5 * (a + b)
        if half <= NARROWEST * (abs(middle) + half) or resolved(
            local, k, half, points.shape[0], noise
        ):
            if count == left.shape[0]:
                return -1
            left[count], right[count] = a, b
            count += 1
        else:
            if top + 2 >= 128:
                return -1
            stack_l[top + 1], stack_r[top + 1] = middle, b
            stack_l[top + 2], stack_r[top + 2] = a, middle
            top += 2
    return count


@inner
def localise(c, rec, a, b, rule, local):
    """Chebyshev coefficients of q on [a, b] into local, (k+1,)."""
    _, _, local_points, local_transform = rule
    k = c.shape[0] - 1
    half = 0.5 * (b - a)
    middle = 0.5 * (a + b)
    for j in range(k + 1):
        local[j] = 0.0
    for i in range(local_points.shape[0]):
        value = series(c, rec, middle + half * local_points[i])
        for j in range(k + 1):
            local[j] += local_transform[i, j] * value


@inner
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


@kernel
def lay(c, rec, ends, rule, tail):
    """The table of a column, (left, right, local, shares, before, after), and ln ∫ exp(q).

    Empty where exp(q) is not integrable, or not within CAPACITY panels.
    tail: SHALLOW or DEEP. left, right (P,); local (P, k+1); shares (P, n): mass of each node;
    before, after (P+1,): mass to the left and to the right of the left end of panel i.
    """
    points, weights, _, _ = rule
    n = points.shape[0]
    k = c.shape[0] - 1
    left = np.empty(CAPACITY)
    right = np.empty(CAPACITY)
    count = 0
    peak = 0.0
    lo, hi = window(c, rec, ends, CORE_DEPTH + tail)
    if lo < hi:
        core_left = np.empty(CAPACITY)
        core_right = np.empty(CAPACITY)
        inner, peak = core(c, rec, lo, hi, rule, core_left, core_right)
        floor = peak - CORE_DEPTH - tail
        if inner > 0:
            if core_left[0] > lo:
                count = above(c, rec, lo, core_left[0], floor, rule, left, right)
            if 0 <= count <= CAPACITY - inner:
                for i in range(inner):
                    left[count], right[count] = core_left[i], core_right[i]
                    count += 1
                lo = core_right[inner - 1]
                if lo < hi:
                    more = above(c, rec, lo, hi, floor, rule, left[count:], right[count:])
                    count = count + more if more >= 0 else -1
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
        local[keep, 0] -= peak
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
    shift = 0.0
    if keep > 0:
        # Both sums, so that the middle knows no favourite.
        total = 0.5 * (before[keep] + after[0])
        shift = math.log(total)
        for i in range(keep):
            local[i, 0] -= shift
            for j in range(n):
                shares[i, j] /= total
        for i in range(keep + 1):
            before[i] /= total
            after[i] /= total
    table = (left[:keep].copy(), right[:keep].copy(), local[:keep], shares[:keep], before, after)
    return table, peak + shift


@inner
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


@inner
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


@inner
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


@inlined
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
    z = (right[i] - t if side else t - left[i]) / width
    rest = after[i + 1] if side else before[i]
    return rest + part(local[i], z, side, width, rule, q, one, two)


@inlined
def log_integral(c, rec, lo, hi, floor, rule):
    """ln ∫ exp(q) over [lo, hi], neglecting what is below exp(floor)."""
    points, weights, _, _ = rule
    left = np.empty(CAPACITY)
    right = np.empty(CAPACITY)
    count = above(c, rec, lo, hi, floor, rule, left, right)
    if count < 0:
        return np.nan
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


@kernel
def log_tails(t, side, c, log_z, rec, ends, rule, out):
    """ln of the mass to the `side` of every t, where it is too small for float64, into out."""
    for i in range(t.shape[0]):
        x = t[i]
        # On the line q falls for good from here, and twice as far by more than CORE_DEPTH.
        if side == 0:
            lo = -1.0 if ends == BOUNDED else (0.0 if ends == HALF else min(2.0 * x, x - 1.0))
            hi = x
        else:
            lo = x
            hi = 1.0 if ends == BOUNDED else max(2.0 * x, x + 1.0)
        out[i] = -np.inf
        if lo < hi < np.inf:
            floor = series(c, rec, x) - CORE_DEPTH
            out[i] = log_integral(c, rec, lo, hi, floor, rule) - log_z


@kernel(fastmath={"contract"})
def by_cells(x, flip_x, begins, rows, guide, targets, flip_value, out):
    """The polynomial of the cell of every x, within the cell's own targets; NaN outside of cells.

    flip: 1 - x for x, 1 - value for the value. In blocks, so that the search, whose branches go
    either way, does not hold up the arithmetic.
    """
    last = begins.shape[0] - 2
    start, stop = begins[0], begins[last + 1]
    per = (guide.shape[0] - 2) / (stop - start)
    low = np.empty(BLOCK, np.uint32)
    high = np.empty(BLOCK, np.uint32)
    one = np.uint64(1)
    for begin in range(0, x.shape[0], BLOCK):
        some = x[begin : begin + BLOCK]
        values = out[begin : begin + BLOCK]
        for n in range(some.shape[0]):
            v = 1.0 - some[n] if flip_x else some[n]
            b = np.uint64((v - start) * per) if v >= start and v < stop else np.uint64(0)
            low[n] = guide[b]
            high[n] = guide[b + one]
        for n in range(some.shape[0]):
            v = 1.0 - some[n] if flip_x else some[n]
            i = np.uint64(low[n])
            if v < stop and begins[i + one] <= v:
                i += one
                hi = np.uint64(high[n]) + one
                while hi > i + one:
                    middle = (i + hi) >> one
                    if begins[middle] <= v:
                        i = middle
                    else:
                        hi = middle
                low[n] = i
        for n in range(some.shape[0]):
            v = 1.0 - some[n] if flip_x else some[n]
            i = np.uint64(low[n])
            inside = v >= start and v < stop
            v -= rows[i, 0]
            square = v * v
            # Estrin's order of DEGREE 7.
            value = ((rows[i, 1] + rows[i, 2] * v) + (rows[i, 3] + rows[i, 4] * v) * square) + (
                (rows[i, 5] + rows[i, 6] * v) + (rows[i, 7] + rows[i, 8] * v) * square
            ) * (square * square)
            value = min(max(value, targets[i, 0]), targets[i, 1])
            value = 1.0 - value if flip_value else value
            values[n] = value if inside else np.nan


@kernel
def masses(t, side, floor, table, ends, rule, out):
    """Mass to the `side` of every t, flat, into out; those below `floor` are left negative."""
    n = rule[0].shape[0]
    q = np.empty(n)
    one = np.empty(n)
    two = np.empty(n)
    lowest = -1.0 if ends == BOUNDED else (0.0 if ends == HALF else -np.inf)
    highest = 1.0 if ends == BOUNDED else np.inf
    for i in range(t.shape[0]):
        x = t[i]
        if math.isnan(x):
            out[i] = np.nan
        elif x <= lowest or x >= highest:
            out[i] = 1.0 if (x >= highest) == (side == 0) else 0.0
        else:
            mass = mass_beyond(x, side, table, rule, q, one, two)
            out[i] = min(1.0, mass) if mass >= floor else -1.0


@inlined
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


@inner
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
            if abs(bend) < 1e-16:
                new = z + newton
            elif bend > -1.0:
                new = z + math.log1p(bend) / rise
        # The step before the bracket: on the root itself the bracket is a point beside z.
        size = abs(new - z) * (1.0 + abs(rise))
        if size * size * size <= LAST_CUBE * z:
            return min(max(new, lo), hi), step
        if new >= 1.0 and hi == 1.0 and z < 1.0:
            new = 1.0
        elif not lo < new < hi:
            new = 0.5 * (lo + hi)
            if not lo < new < hi:
                return z, step
        z = new
    return z, MOST_STEPS


@inner
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
        z, steps = invert_panel(wanted, side, local[i], shares[i], width, rule, q, one, two)
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
    z, steps = invert_panel(wanted, side, local[i], shares[i], width, rule, q, one, two)
    return max(right[i] - z * width, left[i]), steps


@kernel
def points_for(u, side, floor, table, ends, rule, out):
    """The points with mass u to their `side`, flat, into out; returns the steps taken.

    Those whose mass from the nearer side is below `floor` are left infinite.
    """
    n = rule[0].shape[0]
    q = np.empty(n)
    one = np.empty(n)
    two = np.empty(n)
    lowest = -1.0 if ends == BOUNDED else (0.0 if ends == HALF else -np.inf)
    highest = 1.0 if ends == BOUNDED else np.inf
    steps = 0
    for i in range(u.shape[0]):
        v = u[i]
        if not 0.0 <= v <= 1.0:
            out[i] = np.nan
        elif v == 0.0 or v == 1.0:
            out[i] = highest if (v == 1.0) == (side == 0) else lowest
        else:
            near = side
            if v > 0.5:
                v = 1.0 - v
                near = 1 - side
            if v < floor:
                out[i] = np.inf
            else:
                out[i], taken = point_for(v, near, table, rule, q, one, two)
                steps += taken
    return steps


@kernel
def points_of_columns(u, side, c, recurrences, ends, rule, out):
    """`points_for` the rows of u (columns, n), under the rows of c (columns, k+1), into out.

    recurrences: (columns, 3, k). By the shallow table of each: what that leaves over is infinite,
    and so is all of a column that has none.
    """
    for j in range(c.shape[0]):
        table, log_z = lay(c[j], recurrences[j], ends, rule, SHALLOW)
        if table[0].shape[0] > 0 and abs(log_z) < np.inf:
            points_for(u[j], side, FLOOR, table, ends, rule, out[j])
        else:
            fill(out[j], np.inf)


@inner
def fit_cell(local, z, h, width, fit, q, one, two, mass, inverse, forward):
    """Polynomials of a cell, the shares z to z + h of a panel; returns (mass, worst error in u).

    With y in [-1, 1] for the place in the cell and v in [-1, 1] for its mass: `inverse` has the
    powers of y(v), `forward` those of v(y), both through the same nodes y. Between the nodes, where
    the errors are largest, both are compared with the masses there.
    """
    points, weights, places, to_powers = fit
    d = DEGREE
    exponents(local, 2.0 * z - 1.0, h, points, q, one, two)
    each = points.shape[0] // (2 * d)
    mass[0] = 0.0
    at = 0
    for i in range(2 * d):
        total = 0.0
        for _ in range(each):
            total += weights[at] * math.exp(q[at])
            at += 1
        mass[i + 1] = mass[i] + total
    whole = mass[2 * d]
    if not whole > 0.0:
        return 0.0, np.inf
    for i in range(2 * d + 1):
        mass[i] = 2.0 * mass[i] / whole - 1.0
    for j in range(d + 1):
        forward[j] = 0.0
        for i in range(d + 1):
            forward[j] += to_powers[j, i] * mass[2 * i]
        one[j] = places[2 * j]
    # Newton's divided differences of y over v, then their powers.
    for level in range(1, d + 1):
        for j in range(d, level - 1, -1):
            one[j] = (one[j] - one[j - 1]) / (mass[2 * j] - mass[2 * (j - level)])
    for j in range(d + 1):
        inverse[j] = 0.0
    for j in range(d, -1, -1):
        for i in range(d - j, 0, -1):
            inverse[i] = inverse[i - 1] - mass[2 * j] * inverse[i]
        inverse[0] = one[j] - mass[2 * j] * inverse[0]
    worst = 0.0
    for i in range(1, 2 * d, 2):
        y = inverse[d]
        v = forward[d]
        for j in range(d - 1, -1, -1):
            y = y * mass[i] + inverse[j]
            v = v * places[i] + forward[j]
        rise = (mass[i + 1] - mass[i - 1]) / (places[i + 1] - places[i - 1])
        worst = max(worst, abs(v - mass[i]), abs(y - places[i]) * rise)
    # The nodes' weights are for [-1, 1].
    return 0.5 * width * h * whole, 0.25 * width * h * whole * worst


@kernel
def cut(table, rule, fit, tolerance, edge, capacity):
    """The cells of a column from u = edge to u = 1 - edge.

    (u begins, t begins, u ranges, t ranges, inverse, forward, u guide, t guide): where cells begin,
    (cells+1,), with the last end; their ranges, (cells, 2); for t(u) and u(t) the place that they
    are expanded about, then the powers, (cells, DEGREE+2); for each of equal bins the cell that its
    left end is in. The error in u is at most `tolerance` min(u, 1-u). No cells where more than
    `capacity` would be needed.
    """
    left, right, local, _, before, after = table
    n = max(rule[0].shape[0], fit[0].shape[0])
    d = DEGREE
    q = np.empty(n)
    one = np.empty(n)
    two = np.empty(n)
    mass = np.empty(2 * d + 1)
    u = np.empty((capacity, 2))
    t = np.empty((capacity, 2))
    inverse = np.empty((capacity, d + 2))
    forward = np.empty((capacity, d + 2))
    begin, end = 0.0, 0.0
    for side in range(2):  # a loop, since a literal side would compile once more
        begin, end = end, point_for(edge, side, table, rule, q, one, two)[0]
    count = 0
    share = 0.25
    for i in range(left.shape[0]):
        if right[i] <= begin or left[i] >= end:
            continue
        weight = min(before[i + 1], after[i])
        if (
            before[i + 1] - before[i] < NOTHING * weight
            and after[i] - after[i + 1] < NOTHING * weight
        ):
            continue
        width = right[i] - left[i]
        z = max(0.0, (begin - left[i]) / width)
        at = -1.0
        low = 0.0
        last = min(1.0, (end - left[i]) / width)
        while z < last:
            if count == capacity:
                count = -1
                break
            if z != at:
                # Afresh, from the nearer side: sums of cells would drift.
                at = z
                for side in range(2):
                    if (after[i] < 0.5 or low > 0.5) if side else after[i] >= 0.5:
                        s = 1.0 - z if side else z
                        beside = part(local[i], s, side, width, rule, q, one, two)
                        low = 1.0 - (after[i + 1] + beside) if side else before[i] + beside
            h = share
            final = z + 1.1 * h >= last
            if final:
                h = last - z
            got, error = fit_cell(
                local[i],
                z,
                h,
                width,
                fit,
                q,
                one,
                two,
                mass,
                inverse[count, 1:],
                forward[count, 1:],
            )
            high = low + got
            allowed = min(tolerance * max(min(low, 1.0 - high), edge), MONOTONE * got)
            ratio = allowed / error if error > 0.0 else 1e9
            change = min(2.0, max(0.3, 0.9 * ratio ** (1.0 / (d + 2))))
            if not error <= allowed and h > SMALLEST:
                share = h * (min(change, 0.8) if error > 0.0 else 0.3)
                continue
            if not error < np.inf:
                # Next to nothing lies here, or not smoothly: the quantile jumps.
                z = last if final else z + h
                continue
            if not final or change < 1.0:
                share = h * change
            u[count, 0], u[count, 1] = low, high
            t[count, 0] = left[i] + z * width
            t[count, 1] = right[i] if final and last == 1.0 else left[i] + (z + h) * width
            # From [-1, 1] to u - u_c and t - t_c.
            middle_u = low + 0.5 * got
            middle_t = left[i] + (z + 0.5 * h) * width
            half_t = 0.5 * h * width
            inverse[count, 0] = middle_u
            forward[count, 0] = middle_t
            scale_u = half_t
            scale_t = 0.5 * got
            for j in range(d + 1):
                inverse[count, 1 + j] *= scale_u
                forward[count, 1 + j] *= scale_t
                scale_u /= 0.5 * got
                scale_t /= half_t
            inverse[count, 1] += middle_t
            forward[count, 1] += middle_u
            count += 1
            z = last if final else z + h
        if count < 0:
            break
    count = max(count, 0)
    bins = 2 + BINS * count if count else 0
    guides = np.empty((2, bins), np.uint32)
    begins = np.empty((2, count + 1))
    for i in range(count):
        begins[0, i] = u[i, 0]
        begins[1, i] = t[i, 0]
    if count:
        begins[0, count] = u[count - 1, 1]
        begins[1, count] = t[count - 1, 1]
        lead(begins[0], guides[0])
        lead(begins[1], guides[1])
    return (
        begins[0],
        begins[1],
        u[:count].copy(),
        t[:count].copy(),
        inverse[:count].copy(),
        forward[:count].copy(),
        guides[0],
        guides[1],
    )


@inner
def lead(begins, guide):
    """guide[b]: the last cell that begins surely before the b-th of equal bins, or at the start."""
    bins = guide.shape[0] - 2
    count = begins.shape[0] - 1
    step = (begins[count] - begins[0]) / bins
    at = 0
    for b in range(bins):
        # The bin of a value is rounded, and must not be beyond it.
        while at < count - 1 and begins[at + 1] <= begins[0] + (b - 1e-6) * step:
            at += 1
        guide[b] = at
    guide[bins] = count - 1
    guide[bins + 1] = count - 1
