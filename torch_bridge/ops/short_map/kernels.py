"""Polynomials over runs of at most WIDTH neighbouring values, each with its own column's numbers.

rows (DEGREE + 5, C) are those of `operators.rows_of`. Runs are taken RUNS at a time, LANES values
of each; where a run is no multiple of LANES the last step begins earlier, and what it computes a
second time is the same. Values outside their column's window are noted, and done again by the
table once there are enough of them: one by one, each would wait for memory.
"""

import math

import numpy as np
from numba import njit

from torch_bridge.ops.short_map.vectors import FAST, LANES, RUNS, lowest_bit, sixteen_of_four

WIDTH = 256  # the numbers of a run's columns fill half of the first-level cache
NOTED = 256  # at least LANES * RUNS


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath={"contract", "nsz"})
def from_table(x, places, owners, rows, cubics, squash, out):
    """The values at `places` of the columns `owners`; see `monotone_table.kernels.apply`."""
    cells = cubics.shape[1]
    for i in range(len(places)):
        k, c = places[i], owners[i]
        t = np.float64(x[k]) * rows[0, c] + rows[1, c]
        if squash is not None:
            t /= math.sqrt(t * t + 1.0)
        u = (t + 1.0) * (0.5 * cells)
        inside = min(u if u > 0.0 else 0.0, 1.0 * cells)  # a nan's is 0
        cell = np.uint32(min(inside, cells - 1.0))
        s = inside - cell
        c0, c1, c2, c3 = cubics[c, cell]
        steepness = c1 + s * (2.0 * c2 + s * (3.0 * c3))
        out[k] = c0 + s * (c1 + s * (c2 + s * c3)) + (u - inside) * steepness


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def four(starts, i, first):
    """Where four runs begin; the last one again where there are no more."""
    last = len(starts) - 1
    return (
        starts[min(i, last)] + first,
        starts[min(i + 1, last)] + first,
        starts[min(i + 2, last)] + first,
        starts[min(i + 3, last)] + first,
    )


@njit(cache=True, nogil=True, fastmath=set(FAST), error_model="numpy")
def apply(x, starts, firsts, width, size_b, rows, cubics, squash, out):
    """The runs of `width` values that begin at starts[i] + firsts[j]; those of one j share their
    columns. x and out (A, C, B), cubics (C, cells, 4), C-contiguous; squash: True, or None.
    """
    values, target = x.ravel(), out.ravel()
    height, columns = rows.shape
    steps = (width + LANES - 1) // LANES
    tile = np.empty((steps, height, LANES), x.dtype)
    owner = np.empty(width, np.int64)
    places, owners = np.empty(NOTED, np.uint64), np.empty(NOTED, np.uint64)
    noted = 0
    for first in firsts:
        c, b = first // size_b, first % size_b
        for i in range(width):
            owner[i] = c
            b += 1
            if b == size_b:
                b = 0
                c = c + 1 if c + 1 < columns else 0
        for step in range(steps):
            at = min(step * LANES, width - LANES)
            for j in range(height):
                for i in range(LANES):
                    tile[step, j, i] = rows[j, owner[at + i]]
        following = four(starts, 0, first)
        for i in range(0, len(starts), RUNS):
            group, following = following, four(starts, i + RUNS, first)
            at = place = 0
            for _ in range(steps):
                far = sixteen_of_four(x, group, following, at, tile, place, squash, out)
                while far != 0:
                    bit = lowest_bit(far)
                    far &= far - np.uint64(1)
                    lane = at + bit % LANES
                    places[noted] = group[bit // LANES] + lane
                    owners[noted] = owner[lane]
                    noted += 1
                at = min(at + LANES, width - LANES)
                place += height * LANES
                if noted > NOTED - LANES * RUNS:
                    from_table(values, places[:noted], owners[:noted], rows, cubics, squash, target)
                    noted = 0
    from_table(values, places[:noted], owners[:noted], rows, cubics, squash, target)
