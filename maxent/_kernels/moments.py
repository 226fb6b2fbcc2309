"""Weighted means of basis functions over data, one pass a column, in blocks.

Shift and scale come first, t = (x - loc)/scale, and nothing here may reassociate that subtraction.
"""

import numpy as np
from numba import njit

from .recurrence import fill

BLOCK = 1024


@njit(cache=True, nogil=True, error_model="numpy")
def basis_means(x, weights, loc, scale, lo, hi, rec, out):
    """Mean of phi_j((x_i - loc)/scale), t clipped to [lo, hi], into out[j]; returns Σ weights.

    x: (n,), any strides. weights: (n,), or (0,) for all equal.  Values with NaN are left out.
    """
    k = rec.shape[1]
    n = x.shape[0]
    weighted = weights.shape[0] > 0
    t = np.empty(BLOCK)
    before = np.empty(BLOCK)
    now = np.empty(BLOCK)
    w = np.empty(BLOCK)
    fill(out, 0.0)
    mass = 0.0
    for start in range(0, n, BLOCK):
        size = 0
        for i in range(start, min(start + BLOCK, n)):
            value = x[i]
            if value == value:
                s = (value - loc) / scale
                t[size] = min(max(s, lo), hi)
                w[size] = weights[i] if weighted else 1.0
                size += 1
        total = 0.0
        for i in range(size):
            before[i] = 0.0
            now[i] = 1.0
            total += w[i]
        mass += total
        for j in range(k):
            a, b, d = rec[0, j], rec[1, j], rec[2, j]
            total = 0.0
            for i in range(size):
                after = (a * t[i] + b) * now[i] - d * before[i]
                before[i] = now[i]
                now[i] = after
                total += w[i] * after
            out[j + 1] += total
    out[0] = mass
    if mass > 0.0:
        for j in range(k + 1):
            out[j] /= mass
    return mass


@njit(cache=True, nogil=True, error_model="numpy")
def spread(x, weights):
    """(count, lowest, highest, mean, variance) of the values that are not NaN, two passes."""
    weighted = weights.shape[0] > 0
    low, high = np.inf, -np.inf
    count = 0
    mass = 0.0
    shift = 0.0
    for i in range(x.shape[0]):
        value = x[i]
        if value == value and not (weighted and weights[i] == 0.0):
            if count == 0:
                shift = value
            count += 1
            low = min(low, value)
            high = max(high, value)
    first = 0.0
    for i in range(x.shape[0]):
        value = x[i]
        if value == value:
            w = weights[i] if weighted else 1.0
            mass += w
            first += w * (value - shift)
    if count == 0 or not mass > 0.0:
        return 0, np.nan, np.nan, np.nan, np.nan
    mean = shift + first / mass
    second = 0.0
    for i in range(x.shape[0]):
        value = x[i]
        if value == value:
            w = weights[i] if weighted else 1.0
            second += w * (value - mean) ** 2
    return count, low, high, mean, second / mass
