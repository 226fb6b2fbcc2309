"""What a sketch counts in a chunk, and the sums of one basis turned to those of another.

Widening. A sketch holds S_i = Σ w T_i(t), t = (x - loc)/scale. In another frame s = α t + β, with

    α = scale/scale',    β = (loc - loc')/scale',

and any polynomial φ_j(s) is Σ_{i<=j} C_ji T_i(t), so that Σ w φ_j(s) = Σ_i C_ji S_i. The rows of C
follow the recurrence of φ, with  t T_0 = T_1  and  t T_i = (T_{i+1} + T_{i-1})/2. For φ = T and
|α t + β| <= 1 on [-1, 1] each row of C is bounded (|C_ji| <= 2, the Chebyshev coefficients of a
function of size 1): nothing is lost, however often one widens.
"""

import numpy as np

from .compiled import inner, kernel
from .recurrence import fill

# One pair in so many values is looked at for ties, and no more than MOST_PAIRS a chunk.
PAIR_EVERY = 256
FEWEST_PAIRS = 8
MOST_PAIRS = 1024
AT_LOW = 5  # place of the counts at the ends
# C is bounded by 2 there, and its own rounding is a few units a row.
COEFFICIENT_ROUNDING = 4.0 * 2.0**-53


@kernel
def survey(x, y, weights, counts, range_):
    """Count a chunk of x (n,) whose transformed values are y (n,); weights (n,) > 0, or (0,).

    counts: values, NaN, +inf, -inf, zeros (of x), at the lowest, at the highest, pairs looked at,
    equal pairs. range_: lowest and highest finite y. Returns Σw and Σw² of the finite y.
    """
    n = y.shape[0]
    weighted = weights.shape[0] > 0
    low, high = np.inf, -np.inf
    at_low = at_high = finite = 0
    mass = 0.0
    square = 0.0
    for i in range(n):
        value = y[i]
        if x[i] == 0:
            counts[4] += 1
        if value != value:
            counts[1] += 1
        elif value == np.inf:
            counts[2] += 1
        elif value == -np.inf:
            counts[3] += 1
        else:
            finite += 1
            if value <= low:
                at_low = at_low + 1 if value == low else 1
                low = value
            if value >= high:
                at_high = at_high + 1 if value == high else 1
                high = value
            if weighted:
                mass += weights[i]
                square += weights[i] ** 2
    if not weighted:
        mass = square = float(finite)
    counts[0] = finite
    counts[5], counts[6] = at_low, at_high
    range_[0], range_[1] = low, high
    pairs = min(n // PAIR_EVERY + FEWEST_PAIRS, MOST_PAIRS, n - 1)
    state = np.uint64(n)
    for _ in range(pairs):  # a linear congruential generator (Knuth's MMIX constants)
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        first = np.int64(state >> np.uint64(33)) % n
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        other = np.int64(state >> np.uint64(33)) % (n - 1)
        other += other >= first
        a, b = y[first], y[other]
        if abs(a) < np.inf and abs(b) < np.inf:
            counts[7] += 1
            counts[8] += a == b
    return mass, square


@inner
def expand_column(sums, a, b, rec, work, out, error):
    """One column of `expand`; work: (3, m+2)."""
    m = rec.shape[1]
    before, now, after = work[0], work[1], work[2]
    fill(before, 0.0)
    fill(now, 0.0)
    fill(after, 0.0)
    now[0] = 1.0
    for j in range(m + 1):
        total = 0.0
        size = 0.0
        for i in range(j + 1):
            total += now[i] * sums[i]
            size += abs(now[i])
        out[j] = total
        error[j] = (j + 1) * COEFFICIENT_ROUNDING * size * sums[0] if j else 0.0
        if j == m:
            break
        up, shift, down = rec[0, j], rec[1, j], rec[2, j]
        for i in range(j + 2):
            times_t = 0.5 * now[i + 1] if i + 1 <= j else 0.0
            if i == 1:
                times_t += now[0]
            elif i > 1:
                times_t += 0.5 * now[i - 1]
            after[i] = up * (a * times_t + b * now[i]) + shift * now[i] - down * before[i]
        before, now, after = now, after, before


@kernel
def expand(sums, alpha, beta, rec, out, error):
    """S (columns, k+1) in the frame α t + β (columns,) and the basis `rec` (3, m), m <= k.

    out, error: (columns, m+1); error bounds what the rounding of C and of one unit 2^-53 of Σw in
    each S_i does to out.
    """
    work = np.empty((3, rec.shape[1] + 2))
    for j in range(sums.shape[0]):
        expand_column(sums[j], alpha[j], beta[j], rec, work, out[j], error[j])


@kernel
def frame(low, high):
    """(loc, scale) of a range, as `maxent.support.frame_of` has it."""
    loc = low + (0.5 * high - 0.5 * low)
    return loc, max(high - loc, loc - low)


@kernel
def merge(counts, mass, range_, sums, more_counts, more_mass, more_range, more_sums, rec):
    """Add the second set of columns to the first, over the union of their ranges."""
    size = sums.shape[1]
    work = np.empty((3, size + 1))
    turned, error = np.empty(size), np.empty(size)
    for column in range(sums.shape[0]):
        mine, other = range_[column], more_range[column]
        low, high = min(mine[0], other[0]), max(mine[1], other[1])
        for end in range(2):
            place = AT_LOW + end
            union = low if end == 0 else high
            count = counts[column, place] if mine[end] == union else 0
            if other[end] == union:
                count += more_counts[column, place]
            counts[column, place] = count
        for i in range(counts.shape[1]):
            if i != AT_LOW and i != AT_LOW + 1:
                counts[column, i] += more_counts[column, i]
        for i in range(2):
            mass[column, i] += more_mass[column, i]
        if high < low:
            continue
        loc, scale = frame(low, high)
        if mine[0] <= mine[1] and (mine[0] != low or mine[1] != high):
            old_loc, old = frame(mine[0], mine[1])
            a, b = old / scale, (old_loc - loc) / scale
            expand_column(sums[column], a, b, rec, work, turned, error)
            for i in range(size):
                sums[column, i] = turned[i]
        if other[0] <= other[1]:
            if other[0] != low or other[1] != high:
                old_loc, old = frame(other[0], other[1])
                a, b = old / scale, (old_loc - loc) / scale
                expand_column(more_sums[column], a, b, rec, work, turned, error)
            else:
                for i in range(size):
                    turned[i] = more_sums[column, i]
            for i in range(size):
                sums[column, i] += turned[i]
        mine[0], mine[1] = low, high
