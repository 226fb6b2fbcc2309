"""Mass and moments of exp(q) by a rule that shares nothing with the solver's.

Clenshaw-Curtis with 17 and 33 nodes, end points included, on intervals that are cut in three until
the two agree; q is summed downwards (Clenshaw).  The cuts start at the highest points given.
"""

import math

import numpy as np
from numba import njit

from .recurrence import fill

DEEPEST = 60
AGREE = 2e-15
# Rounding of q, as a share of sum |c_j phi_j|, beyond which two rules cannot agree.
ROUNDING = 4e-16
# Intervals narrower than this share of their position are not cut further.
NARROWEST = 1e-14


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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
    stack_a = np.empty(4 * DEEPEST)
    stack_b = np.empty(4 * DEEPEST)
    level = np.empty(4 * DEEPEST, np.int64)
    evaluations = 0
    total = 0.0
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
            sum_fine = 0.0
            sum_coarse = 0.0
            high_fine = 0.0
            high_coarse = 0.0
            highest = -np.inf
            summit = middle
            fill(part, 0.0)
            for i in range(n):
                t = middle + half * points[i]
                q = clenshaw(c, series, t)
                evaluations += 1
                if q > highest:
                    highest = q
                    summit = t
                if q < peak - depth:
                    continue
                f = math.exp(q - peak)
                x = fine[i] * f
                before = 0.0
                now = 1.0
                part[0] += x
                for j in range(k):
                    after = (rec[0, j] * t + rec[1, j]) * now - rec[2, j] * before
                    part[j + 1] += x * after
                    before = now
                    now = after
                sum_fine += x
                high_fine += x * abs(now)
                if i % 2 == 0:
                    sum_coarse += coarse[i // 2] * f
                    high_coarse += coarse[i // 2] * f * abs(now)
            gap = half * abs(sum_fine - sum_coarse)
            high_gap = half * abs(high_fine - high_coarse)
            size = max(total, half * sum_fine)
            agree = AGREE + ROUNDING * loudness(c, series, summit)
            if (
                (gap > agree * size or high_gap > agree * max(size, half * high_fine))
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
            total += half * sum_fine
    shift = math.exp(peak)
    for j in range(k + 1):
        out[j] *= shift
    return evaluations


@njit(cache=True, nogil=True, error_model="numpy")
def measure_columns(c, series, rec, ends_lo, ends_hi, peaks, numbers, depth, rule, out):
    """`measure` for every column; series (columns, 3, k), peaks (columns, most)."""
    for i in range(c.shape[0]):
        measure(
            c[i], series[i], rec, ends_lo[i], ends_hi[i], peaks[i], numbers[i], depth, rule, out[i]
        )
