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
def positions(x, count, numbers, at, s, over):
    """t in `x` -> its cell in `at`, the place within it in `s`, what lies beyond in `over`.

    numbers: half the number of cells, the number, the last cell, and 0, in the type to compute in.
    """
    half, cells, last_cell, zero = numbers
    for i in range(count):
        u = x[i] * half + half
        v = u if u > zero else zero
        v = v if v < cells else cells
        over[i] = u - v
        s[i] = v
        w = v if v < last_cell else last_cell
        at[i] = np.int32(w)
    for i in range(count):
        s[i] -= at[i]


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def evaluate(t, at, shape, table, order, out, out_at):
    """The functions, or their derivatives of `order`, at t; table (columns, 2 knots)."""
    size_b, size, columns, rows = shape
    cells = table.shape[1] // 2 - 1
    numbers = 0.5 * cells, 1.0 * cells, cells - 1.0, 0.0
    scale = (0.5 * cells) ** order
    tile = np.empty((columns, rows + PAD), t.dtype)
    s, over, index = np.empty(rows), np.empty(rows), np.empty(rows, np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(t, at, size_b, first, last, tile)
        for c in range(columns):
            x, row = tile[c], table[c]
            positions(x, count, numbers, index, s, over)
            for i in range(count):
                a0, b0, a1, b1 = basis(s[i], over[i], order)
                j = 2 * np.uint32(index[i])
                value = a0 * row[j] + b0 * row[j + 1] + a1 * row[j + 2] + b1 * row[j + 3]
                x[i] = value * scale
        store(out, out_at, size_b, first, last, tile)


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def spread(t, at, shape, g, g_at, order, table):
    """The transpose of `evaluate`: sums of g B^(order)(t) into table (columns, 2 knots)."""
    size_b, size, columns, rows = shape
    cells = table.shape[1] // 2 - 1
    numbers = 0.5 * cells, 1.0 * cells, cells - 1.0, 0.0
    scale = (0.5 * cells) ** order
    tile = np.empty((columns, rows + PAD), t.dtype)
    weight = np.empty((columns, rows + PAD), g.dtype)
    s, over, index = np.empty(rows), np.empty(rows), np.empty(rows, np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(t, at, size_b, first, last, tile)
        load(g, g_at, size_b, first, last, weight)
        for c in range(columns):
            row, given = table[c], weight[c]
            positions(tile[c], count, numbers, index, s, over)
            for i in range(count):
                a0, b0, a1, b1 = basis(s[i], over[i], order)
                w = given[i] * scale
                j = 2 * np.uint32(index[i])
                row[j] += w * a0
                row[j + 1] += w * b0
                row[j + 2] += w * a1
                row[j + 3] += w * b1


@njit(cache=True, nogil=True, fastmath={"contract", "nsz", "arcp"})
def apply(x, x_at, shape, frame, squash, numbers, cubics, out, out_at):
    """evaluate(t(x)), t = z or z / sqrt(squash + z^2) with z = (x - center) / scale.

    Everything in x's dtype. frame (2, columns): center and 1 / scale; squash: its square,
    negative for none; numbers as in `positions`; cubics (columns, 4 cells): powers of s.
    """
    size_b, size, columns, rows = shape
    zero = numbers[3]
    tile = np.empty((columns, rows + PAD), x.dtype)
    s, over = np.empty(rows, x.dtype), np.empty(rows, x.dtype)
    at = np.empty(rows, np.int32)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        count = last - first
        load(x, x_at, size_b, first, last, tile)
        for c in range(columns):
            t, row, center, unit = tile[c], cubics[c], frame[0, c], frame[1, c]
            if squash > zero:
                for i in range(count):
                    z = (t[i] - center) * unit
                    t[i] = z / math.sqrt(squash + z * z)
            else:
                for i in range(count):
                    t[i] = (t[i] - center) * unit
            positions(t, count, numbers, at, s, over)
            for i in range(count):
                j = 4 * np.uint32(at[i])
                v = s[i]
                c1, c2, c3 = row[j + 1], row[j + 2], row[j + 3]
                # beyond the ends s is 0 or 1, and the line goes on with the slope there
                steepness = c1 + v * (c2 + c2 + v * (c3 + c3 + c3))
                t[i] = row[j] + v * (c1 + v * (c2 + v * c3)) + over[i] * steepness
        store(out, out_at, size_b, first, last, tile)
