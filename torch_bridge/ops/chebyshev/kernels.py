"""Recurrences over tiles; see `soft_rank.kernels` for x, x_at, shape and tiles."""

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank.kernels import load, store

CONTRACT = {"contract", "nsz"}


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def sums(t, at, shape, weights, weights_at, weighted, out):
    """out (columns, k + 1) = sums of w T_j(t) over the block's columns; w = 1 unless weighted."""
    _, size, columns, rows = shape
    width = rows * columns
    degrees = out.shape[1]
    now, before, x = np.empty(width), np.empty(width), np.empty(width)
    total = np.zeros((degrees, width))
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = (last - first) * columns
        load(t, at, shape, first, last, x)
        if weighted:
            load(weights, weights_at, shape, first, last, before)
        else:
            before[:count] = 1.0
        row = total[0]
        for i in range(count):
            row[i] += before[i]
            now[i] = before[i] * x[i]
        for j in range(1, degrees):
            row = total[j]
            for i in range(count):
                value = now[i]
                row[i] += value
                now[i] = 2.0 * x[i] * value - before[i]
                before[i] = value
    for j in range(degrees):
        for c in range(columns):
            s = 0.0
            for r in range(rows):
                s += total[j, r * columns + c]
            out[c, j] = s


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def series(t, at, shape, tiled, out, out_at):
    """out = sum_j a_j T_j(t), a (k + 1, rows * columns) repeated for the rows of a tile."""
    _, size, columns, rows = shape
    width = rows * columns
    k = tiled.shape[0] - 1
    now, before, x = np.empty(width), np.empty(width), np.empty(width)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = (last - first) * columns
        load(t, at, shape, first, last, x)
        row = tiled[k]
        for i in range(count):
            now[i] = row[i]
            before[i] = 0.0
        for j in range(k - 1, 0, -1):
            row = tiled[j]
            for i in range(count):
                value = row[i] + 2.0 * x[i] * now[i] - before[i]
                before[i] = now[i]
                now[i] = value
        row = tiled[0]
        for i in range(count):
            x[i] = row[i] + x[i] * now[i] - before[i]
        store(out, out_at, shape, first, last, x)
