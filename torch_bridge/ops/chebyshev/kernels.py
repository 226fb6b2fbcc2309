"""Recurrences over tiles; see `soft_rank.kernels` for x, x_at, shape and tiles."""

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank.kernels import PAD, load, store

CONTRACT = {"contract", "nsz"}


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def sums(t, at, shape, weights, weights_at, weighted, out):
    """out (columns, k + 1) = sums of w T_j(t) over the block's columns; w = 1 unless weighted."""
    size_b, size, columns, rows = shape
    degrees = out.shape[1]
    tile = np.empty((columns, rows + PAD), t.dtype)
    weight = np.empty((columns, rows + PAD), weights.dtype)
    now, before = np.empty(rows), np.empty(rows)
    total = np.zeros((columns, degrees, rows))
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(t, at, size_b, first, last, tile)
        if weighted:
            load(weights, weights_at, size_b, first, last, weight)
        for c in range(columns):
            x = tile[c, :count]
            row = total[c, 0]
            for i in range(count):
                before[i] = weight[c, i] if weighted else 1.0
                row[i] += before[i]
                now[i] = before[i] * x[i]
            for j in range(1, degrees):
                row = total[c, j]
                for i in range(count):
                    value = now[i]
                    row[i] += value
                    now[i] = 2.0 * np.float64(x[i]) * value - before[i]
                    before[i] = value
    for c in range(columns):
        for j in range(degrees):
            s = 0.0
            for r in range(rows):
                s += total[c, j, r]
            out[c, j] = s


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def series(t, at, shape, a, out, out_at):
    """out = sum_j a_j T_j(t), a (k + 1, columns)."""
    size_b, size, columns, rows = shape
    k = a.shape[0] - 1
    tile = np.empty((columns, rows + PAD), t.dtype)
    now, before = np.empty(rows), np.empty(rows)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(t, at, size_b, first, last, tile)
        for c in range(columns):
            x = tile[c, :count]
            for i in range(count):
                now[i] = a[k, c]
                before[i] = 0.0
            for j in range(k - 1, 0, -1):
                for i in range(count):
                    value = a[j, c] + 2.0 * np.float64(x[i]) * now[i] - before[i]
                    before[i] = now[i]
                    now[i] = value
            for i in range(count):
                x[i] = a[0, c] + np.float64(x[i]) * now[i] - before[i]
        store(out, out_at, size_b, first, last, tile)
