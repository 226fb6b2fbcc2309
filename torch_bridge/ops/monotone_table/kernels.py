"""Lookups over tiles; see `soft_rank.kernels` for x, x_at, shape and tiles, `operators` for B."""

import math

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank.kernels import PAD, load, store

CONTRACT = {"contract", "nsz"}


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def basis(s, over, order):
    """B^(order) of the left value and slope, the right value and slope, in units of a cell."""
    if order == 0:
        r = 1.0 - s
        right = s * s * (3.0 - 2.0 * s)
        return (
            1.0 - right,
            s * r * r + min(over, 0.0),
            right + 0.0 * over,
            max(over, 0.0) - s * s * r,
        )
    if order == 1:
        right = 6.0 * s * (1.0 - s) + 0.0 * over
        return -right, (1.0 - s) * (1.0 - 3.0 * s), right, s * (3.0 * s - 2.0)
    if over != 0.0:
        return 0.0 * over, 0.0, 0.0, 0.0
    if order == 2:
        right = 6.0 - 12.0 * s
        return -right, 6.0 * s - 4.0, right, 6.0 * s - 2.0
    return 12.0, 6.0, -12.0, 6.0


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def positions(x, count, cells, at, over):
    """t in `x` -> place within the cell in x, its number in `at`, what lies beyond in `over`."""
    half = 0.5 * cells
    for i in range(count):
        u = x[i] * half + half
        v = u if u > 0.0 else 0.0
        v = v if v < cells else cells
        over[i] = u - v
        j = min(np.int32(v), np.int32(cells - 1))
        at[i] = j
        x[i] = v - j


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def evaluate(t, at, shape, table, order, out, out_at):
    """The functions, or their derivatives of `order`, at t; table (columns, 2 knots)."""
    size_b, size, columns, rows = shape
    cells = table.shape[1] // 2 - 1
    scale = (0.5 * cells) ** order
    tile = np.empty((columns, rows + PAD), t.dtype)
    x, over, index = np.empty(rows), np.empty(rows), np.empty(rows, dtype=np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(t, at, size_b, first, last, tile)
        for c in range(columns):
            for i in range(count):
                x[i] = tile[c, i]
            positions(x, count, cells, index, over)
            row = table[c]
            for i in range(count):
                a0, b0, a1, b1 = basis(x[i], over[i], order)
                j = 2 * index[i]
                value = a0 * row[j] + b0 * row[j + 1] + a1 * row[j + 2] + b1 * row[j + 3]
                tile[c, i] = value * scale
        store(out, out_at, size_b, first, last, tile)


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def spread(t, at, shape, g, g_at, order, table):
    """The transpose of `evaluate`: sums of g B^(order)(t) into table (columns, 2 knots)."""
    size_b, size, columns, rows = shape
    cells = table.shape[1] // 2 - 1
    scale = (0.5 * cells) ** order
    tile = np.empty((columns, rows + PAD), t.dtype)
    weight = np.empty((columns, rows + PAD), g.dtype)
    x, over, index = np.empty(rows), np.empty(rows), np.empty(rows, dtype=np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(t, at, size_b, first, last, tile)
        load(g, g_at, size_b, first, last, weight)
        for c in range(columns):
            for i in range(count):
                x[i] = tile[c, i]
            positions(x, count, cells, index, over)
            row = table[c]
            for i in range(count):
                a0, b0, a1, b1 = basis(x[i], over[i], order)
                w = weight[c, i] * scale
                j = 2 * index[i]
                row[j] += w * a0
                row[j + 1] += w * b0
                row[j + 2] += w * a1
                row[j + 3] += w * b1


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "arcp"})
def apply(x, x_at, shape, center, inverse_scale, squash, table, out, out_at):
    """evaluate(t(x)), t = z or z / sqrt(squash^2 + z^2) with z = (x - center) inverse_scale.

    center, inverse_scale (columns,); table (columns, 4 cells): the cubic of each cell in powers of
    the place within it.
    """
    size_b, size, columns, rows = shape
    cells = table.shape[1] // 4
    tile = np.empty((columns, rows + PAD), x.dtype)
    t, over, index = np.empty(rows), np.empty(rows), np.empty(rows, dtype=np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(x, x_at, size_b, first, last, tile)
        for c in range(columns):
            for i in range(count):
                t[i] = (tile[c, i] - center[c]) * inverse_scale[c]
            if squash > 0.0:
                for i in range(count):
                    t[i] /= math.sqrt(squash * squash + t[i] * t[i])
            positions(t, count, cells, index, over)
            row = table[c]
            for i in range(count):
                j = 4 * index[i]
                s = t[i]
                value = row[j] + s * (row[j + 1] + s * (row[j + 2] + s * row[j + 3]))
                if over[i] != 0.0:
                    slope = row[j + 1] + s * (2.0 * row[j + 2] + s * 3.0 * row[j + 3])
                    value += over[i] * slope
                tile[c, i] = value
        store(out, out_at, size_b, first, last, tile)
