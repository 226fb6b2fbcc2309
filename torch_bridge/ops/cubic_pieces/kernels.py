"""The pieces over tiles; `soft_rank.kernels` has x, x_at, shape and tiles, `operators` P."""

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank.kernels import PAD, load, store

CONTRACT = {"contract", "nsz"}


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def search(x, count, left, at):
    """The last piece that begins at or below x, by halving: a fixed number of steps, no branch."""
    step = np.uint32(left.size // 2)
    for i in range(count):
        at[i] = step if x[i] >= left[step] else np.uint32(0)
    while step > 1:
        step = np.uint32(step >> np.uint32(1))
        for i in range(count):
            there = np.uint32(at[i] + step)
            at[i] = there if x[i] >= left[there] else at[i]


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def apply(x, x_at, shape, pieces, frame, out, out_at):
    """frame[0] P(x) + frame[1]; pieces (columns, 6, count), frame (2, columns), in x's dtype."""
    size_b, size, columns, rows = shape
    tile = np.empty((columns, rows + PAD), x.dtype)
    at = np.empty(rows, np.uint32)
    zero, one = frame[0, 0] * 0, frame[0, 0] * 0 + 1
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(x, x_at, size_b, first, last, tile)
        for c in range(columns):
            t = tile[c]
            left, rate = pieces[c, 0], pieces[c, 1]
            c0, c1, c2, c3 = pieces[c, 2], pieces[c, 3], pieces[c, 4], pieces[c, 5]
            weight, bias = frame[0, c], frame[1, c]
            search(t, count, left, at)
            for i in range(count):
                j = at[i]
                s = (t[i] - left[j]) * rate[j]
                v = s if s > zero else zero
                v = v if v < one else one
                a1, a2, a3 = c1[j], c2[j], c3[j]
                steepness = a1 + v * (a2 + a2 + v * (a3 + a3 + a3))
                value = c0[j] + v * (a1 + v * (a2 + v * a3)) + (s - v) * steepness
                t[i] = weight * value + bias
        store(out, out_at, size_b, first, last, tile)
