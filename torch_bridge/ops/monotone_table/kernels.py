"""Lookups over tiles; see `soft_rank.kernels` for x, x_at, shape and tiles, `operators` for B."""

import math

import numpy as np
from numba import njit

from torch_bridge.ops.soft_rank.kernels import load, store

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
    _, size, columns, rows = shape
    width = rows * columns
    cells = table.shape[1] // 2 - 1
    scale = (0.5 * cells) ** order
    x, over, index = np.empty(width), np.empty(width), np.empty(width, dtype=np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        load(t, at, shape, first, last, x)
        positions(x, (last - first) * columns, cells, index, over)
        i = 0
        for _ in range(last - first):
            for c in range(columns):
                a0, b0, a1, b1 = basis(x[i], over[i], order)
                j = 2 * index[i]
                row = table[c]
                value = a0 * row[j] + b0 * row[j + 1] + a1 * row[j + 2] + b1 * row[j + 3]
                x[i] = value * scale
                i += 1
        store(out, out_at, shape, first, last, x)


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def spread(t, at, shape, g, g_at, order, table):
    """The transpose of `evaluate`: sums of g B^(order)(t) into table (columns, 2 knots)."""
    _, size, columns, rows = shape
    width = rows * columns
    cells = table.shape[1] // 2 - 1
    scale = (0.5 * cells) ** order
    x, over, index = np.empty(width), np.empty(width), np.empty(width, dtype=np.int32)
    weight = np.empty(width)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        load(t, at, shape, first, last, x)
        load(g, g_at, shape, first, last, weight)
        positions(x, (last - first) * columns, cells, index, over)
        i = 0
        for _ in range(last - first):
            for c in range(columns):
                a0, b0, a1, b1 = basis(x[i], over[i], order)
                w = weight[i] * scale
                j = 2 * index[i]
                row = table[c]
                row[j] += w * a0
                row[j + 1] += w * b0
                row[j + 2] += w * a1
                row[j + 3] += w * b1
                i += 1


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "arcp"})
def apply(x, x_at, shape, frame, base, limits, cubics, out, out_at):
    """evaluate(t(x)), t = z or z / sqrt(squash^2 + z^2) with z = (x - center) / scale.

    Everything in x's dtype. frame (2, rows * columns): 1 / scale and -center / scale; base
    (rows * columns,): where the column's cubics begin; limits: squash^2 (negative: none), half the
    number of cells, the number, the last cell, 0; cubics: flat, four powers a cell.
    """
    _, size, columns, rows = shape
    width = rows * columns
    slope, shift = frame[0], frame[1]
    squash, half, cells, last_cell, zero = limits
    tile, over = np.empty(width, x.dtype), np.empty(width, x.dtype)
    at = np.empty(width, np.uint32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = (last - first) * columns
        load(x, x_at, shape, first, last, tile)
        if squash > zero:
            for i in range(count):
                z = tile[i] * slope[i] + shift[i]
                tile[i] = z / math.sqrt(squash + z * z)
        else:
            for i in range(count):
                tile[i] = tile[i] * slope[i] + shift[i]
        for i in range(count):
            u = tile[i] * half + half
            v = u if u > zero else zero
            v = v if v < cells else cells
            over[i] = u - v
            w = v if v < last_cell else last_cell
            j = np.int32(w)
            at[i] = base[i] + np.uint32(4 * j)
            tile[i] = v - x.dtype.type(j)
        for i in range(count):
            j = at[i]
            s = tile[i]
            c1, c2, c3 = cubics[j + 1], cubics[j + 2], cubics[j + 3]
            # beyond the ends s is 0 or 1, and the line goes on with the slope there
            steepness = c1 + s * (c2 + c2 + s * (c3 + c3 + c3))
            tile[i] = cubics[j] + s * (c1 + s * (c2 + s * c3)) + over[i] * steepness
        store(out, out_at, shape, first, last, tile)
