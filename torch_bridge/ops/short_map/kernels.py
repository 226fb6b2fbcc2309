"""Polynomials over runs of WIDTH neighbouring values, each with its own column's numbers.

rows (DEGREE + 5, C) are those of `operators.rows_of`, and tile holds the columns of one run.
"""

import math

import numpy as np
from numba import njit

from torch_bridge.ops.short_map.vectors import LANES, sixteen_of_four

WIDTH = 128
ROWS = 4  # runs that share the loads of a coefficient
FAST = {"contract", "nsz", "arcp", "afn", "reassoc"}  # lets 1 / sqrt be an estimate and a step
EXACT = {"contract", "nsz"}


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=FAST, error_model="numpy")
def place(x, tile, c, bend, one):
    """v."""
    u = (x - tile[0, c]) * tile[1, c]
    return u * (one / math.sqrt(bend * u * u + one)) * tile[2, c] + tile[3, c]


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=FAST, error_model="numpy")
def polynomial(v, k, c):
    """P(v) of degree 16; written out, for a loop over degrees keeps this from being vectorised."""
    y = k[4, c] * v + k[5, c]
    y = ((y * v + k[6, c]) * v + k[7, c]) * v + k[8, c]
    y = ((y * v + k[9, c]) * v + k[10, c]) * v + k[11, c]
    y = ((y * v + k[12, c]) * v + k[13, c]) * v + k[14, c]
    y = ((y * v + k[15, c]) * v + k[16, c]) * v + k[17, c]
    y = ((y * v + k[18, c]) * v + k[19, c]) * v + k[20, c]
    return y


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=FAST, error_model="numpy")
def one_run(x, count, tile, bend, one, y):
    """P(v) of one run; whether a value lies outside its window."""
    far = False
    for i in range(count):
        v = place(x[i], tile, i, bend, one)
        far |= abs(v) > one
        y[i] = polynomial(v, tile, i)
    return far


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=FAST, error_model="numpy")
def places(x, count, tile, bend, one, v):
    for i in range(count):
        v[i] = place(x[i], tile, i, bend, one)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=EXACT, error_model="numpy")
def from_table(x, count, tile, columns, cubics, numbers, bend, v, y):
    """What lies outside the window in one run; see `monotone_table.kernels.apply`."""
    half, cells, last_cell, zero, one = numbers
    places(x, count, tile, bend, one, v)
    for i in range(count):
        if abs(v[i]) > one:
            z = (x[i] - tile[0, i]) * tile[1, i]
            u = z / math.sqrt(bend * z * z + one) * half + half
            inside = u if u > zero else zero
            inside = inside if inside < cells else cells
            cell = np.int32(inside if inside < last_cell else last_cell)
            s = inside - cell
            row = cubics[columns[i]]
            j = 4 * np.uint32(cell)
            c1, c2, c3 = row[j + 1], row[j + 2], row[j + 3]
            steepness = c1 + s * (c2 + c2 + s * (c3 + c3 + c3))
            y[i] = row[j] + s * (c1 + s * (c2 + s * c3)) + (u - inside) * steepness


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath=FAST, error_model="numpy")
def four(x, starts, tile, bend, out):
    """Four whole runs; bit r of the answer: run r has a value outside its window."""
    far = np.int32(0)
    flat = tile.ravel()
    for i in range(0, WIDTH, LANES):
        far |= sixteen_of_four(x, starts, flat, WIDTH, i, bend, out)
    return far


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def apply(x, starts, columns, rows, cubics, numbers, bend, out):
    """The runs that begin at `starts`; columns (length of a run,): whose each of its values is.

    cubics (columns, 4 cells); numbers: half the number of cells, the number, the last cell, 0, 1.
    """
    one = numbers[4]
    count = len(columns)
    tile = np.empty((rows.shape[0], WIDTH), x.dtype)
    for j in range(rows.shape[0]):
        for c in range(count):
            tile[j, c] = rows[j, columns[c]]
    v = np.empty(count, x.dtype)
    done = 0
    if count == WIDTH:
        while done + ROWS <= len(starts):
            i = done
            group = starts[i], starts[i + 1], starts[i + 2], starts[i + 3]
            far = four(x, group, tile, bend, out)
            for j in range(ROWS):
                if far >> j & 1:
                    a, b = group[j], group[j] + count
                    from_table(x[a:b], count, tile, columns, cubics, numbers, bend, v, out[a:b])
            done += ROWS
    for a in starts[done:]:
        b = a + count
        if one_run(x[a:b], count, tile, bend, one, out[a:b]):
            from_table(x[a:b], count, tile, columns, cubics, numbers, bend, v, out[a:b])
