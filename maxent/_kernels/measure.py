"""Mass and moments of exp(q) by a rule that shares nothing with the solver's.

Clenshaw-Curtis with 17 and 33 nodes, end points included, on intervals that are cut in three until
the two agree; q is summed downwards (Clenshaw).  The cuts start at the highest points given.
"""

import math

import numpy as np

from .compiled import inlined, inner, kernel
from .recurrence import fill

DEEPEST = 60
# Share of the whole by which two rules may differ on one interval: a hundred intervals stay far
# below what the certificate asks for, even if the finer rule were no better than the coarse one.
AGREE = 1e-13
# Rounding of q, as a share of sum |c_j phi_j|, beyond which two rules cannot agree.
ROUNDING = 4e-16
# Intervals narrower than this share of their position are not cut further.
NARROWEST = 1e-14


@inner
def clenshaw(c, rec, t):
    """sum_j c_j phi_j(t), summed downwards."""
    k = c.shape[0] - 1
    after = 0.0
    now = 0.0
    for j in range(k, -1, -1):
        new = c[j]
        if j < k:
            new += (rec[0, j] * t + rec[1, j]) * now
        if j + 1 < k:
            new -= rec[2, j + 1] * after
        after = now
        now = new
    return now


@inner
def loudness(c, rec, t):
    """sum |c_j phi_j(t)|."""
    before = 0.0
    now = 1.0
    total = abs(c[0])
    for j in range(c.shape[0] - 1):
        after = (rec[0, j] * t + rec[1, j]) * now - rec[2, j] * before
        total += abs(c[j + 1] * after)
        before = now
        now = after
    return total


@inner
def clenshaw_at(c, rec, t, now, q):
    """`clenshaw` at all of t, into q, a node beside the other: loops that the machine runs four at
    a time. now: space.
    """
    k = c.shape[0] - 1
    n = t.shape[0]
    for i in range(n):
        q[i] = c[k]
        now[i] = 0.0
    for j in range(k - 1, -1, -1):
        a, b, cj = rec[0, j], rec[1, j], c[j]
        d = rec[2, j + 1] if j + 1 < k else 0.0
        for i in range(n):
            x = q[i]
            q[i] = cj + (a * t[i] + b) * x - d * now[i]
            now[i] = x


@inner(fastmath={"reassoc", "contract", "nsz"})
def weigh(weights, row):
    total = 0.0
    for i in range(weights.shape[0]):
        total += weights[i] * row[i]
    return total


@inner
def weigh_all(f, rec, t, before, now, out):
    """sum_i f_i phi_j(t_i) into out[j]; |phi_k| is left in now. before: space."""
    n = t.shape[0]
    k = rec.shape[1]
    total = 0.0
    for i in range(n):
        before[i] = 0.0
        now[i] = 1.0
        total += f[i]
    out[0] = total
    for j in range(k):
        a, b, d = rec[0, j], rec[1, j], rec[2, j]
        for i in range(n):
            after = (a * t[i] + b) * now[i] - d * before[i]
            before[i] = now[i]
            now[i] = after
        out[j + 1] = weigh(f, now)
    for i in range(n):
        now[i] = abs(now[i])


@inlined
def measure(c, series, rec, lo, hi, peaks, number, depth, rule, out):
    """Means of phi_0 … phi_k under exp(q) over [lo, hi] into out; returns evaluations.

    series: the recurrence of the polynomials of which c are coefficients; rec: that of phi.
    peaks[:number], ascending: places to cut first.  rule: nodes (33,), weights (33,), weights of
    every second node (17,) for [-1, 1].
    """
    points, fine, coarse = rule
    k = c.shape[0] - 1
    n = points.shape[0]
    peak = -np.inf
    for i in range(number):
        peak = max(peak, clenshaw(c, series, peaks[i]))
    fill(out, 0.0)
    part = np.empty(k + 1)
    t, q, f = np.empty(n), np.empty(n), np.empty(n)
    fine_f, before, now = np.empty(n), np.empty(n), np.empty(n)
    stack_a = np.empty(4 * DEEPEST)
    stack_b = np.empty(4 * DEEPEST)
    level = np.empty(4 * DEEPEST, np.int64)
    evaluations = 0
    whole = math.exp(-peak)
    for piece in range(number + 1):
        a = lo if piece == 0 else peaks[piece - 1]
        b = hi if piece == number else peaks[piece]
        if not a < b:
            continue
        top = 0
        stack_a[0], stack_b[0], level[0] = a, b, 0
        while top >= 0:
            a, b, at = stack_a[top], stack_b[top], level[top]
            top -= 1
            half = 0.5 * (b - a)
            middle = 0.5 * (a + b)
            for i in range(n):
                t[i] = middle + half * points[i]
            clenshaw_at(c, series, t, now, q)
            evaluations += n
            summit = 0
            seen = False  # not by the summit: whatever is not a number must show in the sums
            for i in range(n):
                if q[i] > q[summit]:
                    summit = i
                faint = q[i] < peak - depth
                seen |= not faint
                f[i] = 0.0 if faint else math.exp(q[i] - peak)
                fine_f[i] = fine[i] * f[i]
            if not seen:
                continue
            weigh_all(fine_f, rec, t, before, now, part)
            sum_fine = part[0]
            high_fine = weigh(fine_f, now)
            sum_coarse = 0.0
            high_coarse = 0.0
            for i in range(coarse.shape[0]):
                x = coarse[i] * f[2 * i]
                sum_coarse += x
                high_coarse += x * now[2 * i]
            mass = half * sum_fine
            gap = half * abs(sum_fine - sum_coarse)
            high_gap = half * abs(high_fine - high_coarse)
            # What is neglected is a share of the whole, which is 1; rounding of q is excused only
            # in proportion to what lies in the interval itself.
            high = half * high_fine
            noise = ROUNDING * loudness(c, series, t[summit])
            if (
                (
                    gap > AGREE * whole + noise * mass
                    or high_gap > AGREE * max(whole, high) + noise * high
                )
                and at < DEEPEST
                and half > NARROWEST * max(abs(middle), 1e-3)
                and evaluations < 400000
            ):
                third = (b - a) / 3.0
                for s in range(3):
                    stack_a[top + 1] = a + s * third
                    stack_b[top + 1] = a + (s + 1) * third if s < 2 else b
                    level[top + 1] = at + 1
                    top += 1
                continue
            for j in range(k + 1):
                out[j] += half * part[j]
    shift = math.exp(peak)
    for j in range(k + 1):
        out[j] *= shift
    return evaluations


@kernel
def measure_columns(c, series, recurrences, ends_lo, ends_hi, peaks, numbers, depth, rule, out):
    """`measure` for every column; series, recurrences (columns, 3, k), peaks (columns, most)."""
    for i in range(c.shape[0]):
        measure(
            c[i],
            series[i],
            recurrences[i],
            ends_lo[i],
            ends_hi[i],
            peaks[i],
            numbers[i],
            depth,
            rule,
            out[i],
        )
