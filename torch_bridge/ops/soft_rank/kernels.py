"""The loops of the fast sigmoid sums on the CPU; both methods are derived in `tables`.

Letters and shapes, the same in every kernel:

    x, x_at     a flat array and (offset, stride_a, stride_c, stride_b): element (a, c, b) of a
                column-wise problem; column c consists of all (a, b), b running faster
    shape       (size_b, size, columns, rows): values of b, elements of a column, columns of the
                block, elements of each column in a tile
    tile        rows * columns float64 values, the column index running fastest
    frame (4, rows * columns)   per tile position: lowest value, parts per unit of x, the column's
                last part (clamps rounding and keeps nan out of the index), its first part
    moments, local (parts, fine)   the block's workspace

The kernels check nothing.
"""

import functools
import types

import numpy as np
from numba import njit

# FMA contraction only: reassociation would let the compiler undo careful sums.
CONTRACT = {"contract"}


@njit(cache=True, nogil=True)
def load(x, x_at, shape, first, last, tile):
    """Elements first..last-1 of each column of the block into the tile."""
    offset, stride_a, stride_c, stride_b = x_at
    size_b, _, columns, _ = shape
    a = first // size_b
    b = first - a * size_b
    i = 0
    while first < last:
        run = min(size_b - b, last - first)
        at = offset + a * stride_a + b * stride_b
        if stride_b == columns and (columns == 1 or stride_c == 1):
            for r in range(run * columns):
                tile[i + r] = x[at + r]
        elif columns == 1:
            for r in range(run):
                tile[i + r] = x[at + r * stride_b]
        elif stride_c == 1:
            for r in range(run):
                for c in range(columns):
                    tile[i + r * columns + c] = x[at + r * stride_b + c]
        else:
            for r in range(run):
                for c in range(columns):
                    tile[i + r * columns + c] = x[at + r * stride_b + c * stride_c]
        i += run * columns
        first += run
        a += 1
        b = 0


@njit(cache=True, nogil=True)
def store(x, x_at, shape, first, last, tile):
    """The tile into elements first..last-1 of each column of the block."""
    offset, stride_a, stride_c, stride_b = x_at
    size_b, _, columns, _ = shape
    a = first // size_b
    b = first - a * size_b
    i = 0
    while first < last:
        run = min(size_b - b, last - first)
        at = offset + a * stride_a + b * stride_b
        if stride_b == columns and (columns == 1 or stride_c == 1):
            for r in range(run * columns):
                x[at + r] = tile[i + r]
        elif columns == 1:
            for r in range(run):
                x[at + r * stride_b] = tile[i + r]
        elif stride_c == 1:
            for r in range(run):
                for c in range(columns):
                    x[at + r * stride_b + c] = tile[i + r * columns + c]
        else:
            for r in range(run):
                for c in range(columns):
                    x[at + r * stride_b + c * stride_c] = tile[i + r * columns + c]
        i += run * columns
        first += run
        a += 1
        b = 0


@njit(cache=True, nogil=True)
def extremes(x, x_at, shape, out):
    """out (2, columns): each column's smallest and largest value; nan where one is not finite."""
    _, size, columns, rows = shape
    width = rows * columns
    tile = np.empty(width)
    low = np.full(width, np.inf)
    high = np.full(width, -np.inf)
    missing = np.zeros(width)
    for first in range(0, size, rows):
        last = min(first + rows, size)
        load(x, x_at, shape, first, last, tile)
        for i in range((last - first) * columns):
            value = tile[i]
            low[i] = value if value < low[i] else low[i]
            high[i] = value if value > high[i] else high[i]
            missing[i] += value - value
    for c in range(columns):
        for r in range(1, rows):
            low[c] = min(low[c], low[r * columns + c])
            high[c] = max(high[c], high[r * columns + c])
            missing[c] += missing[r * columns + c]
        out[0, c] = low[c] + missing[c]
        out[1, c] = high[c] + missing[c]


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def locate(tile, count, frame, fine, at, xi):
    """Workspace index of the part in which each value lies, and its coordinate there."""
    low, scale, last_part, start = frame[0], frame[1], frame[2], frame[3]
    for i in range(count):
        u = (tile[i] - low[i]) * scale[i]
        u = u if u > 0.0 else 0.0
        part = np.int32(u if u < last_part[i] else last_part[i])
        at[i] = (np.int32(start[i]) + part) * np.int32(fine)
        v = u - part
        xi[i] = v + v - 1.0


@functools.cache
def grid_kernels(coarse, children, fine):
    """The grid loops compiled for these sizes."""

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def spread(x, x_at, shape, frame, moments):
        """moments += sums of T_q(xi) over the elements of each part."""
        _, size, columns, rows = shape
        tile = np.empty(rows * columns)
        xi = np.empty(rows * columns)
        at = np.empty(rows * columns, np.int32)
        flat = moments.reshape(moments.size)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            count = (last - first) * columns
            load(x, x_at, shape, first, last, tile)
            locate(tile, count, frame, fine, at, xi)
            for i in range(count):
                base = np.uint32(at[i])
                t1 = xi[i]
                twice = t1 + t1
                t0 = 1.0
                flat[base] += 1.0
                flat[base + np.uint32(1)] += t1
                for q in range(2, fine):
                    t2 = twice * t1 - t0
                    flat[base + np.uint32(q)] += t2
                    t0 = t1
                    t1 = t2

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def spread_weighted(x, x_at, shape, frame, moments, w, w_at):
        """The same sums with weights w."""
        _, size, columns, rows = shape
        tile = np.empty(rows * columns)
        weight = np.empty(rows * columns)
        xi = np.empty(rows * columns)
        at = np.empty(rows * columns, np.int32)
        flat = moments.reshape(moments.size)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            count = (last - first) * columns
            load(x, x_at, shape, first, last, tile)
            load(w, w_at, shape, first, last, weight)
            locate(tile, count, frame, fine, at, xi)
            for i in range(count):
                base = np.uint32(at[i])
                z = xi[i]
                twice = z + z
                t0 = weight[i]
                t1 = z * t0
                flat[base] += t0
                flat[base + np.uint32(1)] += t1
                for q in range(2, fine):
                    t2 = twice * t1 - t0
                    flat[base + np.uint32(q)] += t2
                    t0 = t1
                    t1 = t2

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def translate(moments, starts, parts, order, total, near, leave, decay, arrive, up, down,
                  local):
        """moments -> local polynomials in powers of xi, one column after another.

        starts, parts (columns,): a column's first part and number of parts, multiples of
        `children`. With total > 0 (order 0, unit weights) boxes of the upper half hold r - total.
        """
        terms = decay.size
        most = 0
        for c in range(starts.size):
            most = max(most, parts[c] // children)
        box = np.zeros((most, coarse))
        mass = np.zeros(most)
        series = np.zeros((most, coarse))
        state = np.zeros(terms)
        for c in range(starts.size):
            boxes = parts[c] // children
            first = starts[c]
            for b in range(boxes):
                mass[b] = 0.0
                for q in range(coarse):
                    box[b, q] = 0.0
                    series[b, q] = 0.0
                for child in range(children):
                    part = first + b * children + child
                    mass[b] += moments[part, 0]
                    if children == 1:
                        for q in range(coarse):
                            box[b, q] = moments[part, q]
                    else:
                        for i in range(fine):
                            value = moments[part, i]
                            for q in range(coarse):
                                box[b, q] += value * up[child, i, q]
            for b in range(boxes):
                for source in range(max(b - 1, 0), min(b + 2, boxes)):
                    for i in range(coarse):
                        value = box[source, i]
                        for q in range(coarse):
                            series[b, q] += value * near[b - source + 1, i, q]
            for side in range(2):
                state[:] = 0.0
                for step in range(2, boxes):
                    b = step if side == 0 else boxes - 1 - step
                    source = b - 2 if side == 0 else b + 2
                    for i in range(coarse):
                        value = box[source, i]
                        for k in range(terms):
                            state[k] += value * leave[side, i, k]
                    for k in range(terms):
                        state[k] *= decay[k]
                        value = state[k]
                        for q in range(coarse):
                            series[b, q] += value * arrive[side, k, q]
            if order == 0:
                left = 0.0  # the weight up to box b - 2: sigma is 1 less its series there
                for b in range(boxes):
                    if b >= 2:
                        left += mass[b - 2]
                    middle = left + 0.5 * mass[b]
                    if b >= 1:
                        middle += mass[b - 1]
                    series[b, 0] += left - total if 2.0 * middle > total > 0.0 else left
            for b in range(boxes):
                for child in range(children):
                    part = first + b * children + child
                    for q in range(fine):
                        local[part, q] = 0.0
                    for i in range(coarse):
                        value = series[b, i]
                        for q in range(fine):
                            local[part, q] += value * down[child, i, q]

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def evaluate(x, x_at, shape, frame, local, total, y, y_at):
        """y = the local polynomial; with total > 0 folded into [-total/2, total/2]."""
        _, size, columns, rows = shape
        tile = np.empty(rows * columns)
        xi = np.empty(rows * columns)
        at = np.empty(rows * columns, np.int32)
        half = 0.5 * total if total > 0.0 else np.inf
        flat = local.reshape(local.size)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            count = (last - first) * columns
            load(x, x_at, shape, first, last, tile)
            locate(tile, count, frame, fine, at, xi)
            for i in range(count):
                base = np.uint32(at[i])
                z = xi[i]
                value = flat[base + np.uint32(fine - 1)]
                for q in range(fine - 2, -1, -1):
                    value = value * z + flat[base + np.uint32(q)]
                value = value - total if value > half else value
                tile[i] = value + total if value < -half else value
            store(y, y_at, shape, first, last, tile)

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def evaluate_two(x, x_at, shape, frame, local, total, local_2, y, y_at, y_2):
        """`evaluate` and, in the same pass, a second polynomial into y_2, laid out as y."""
        _, size, columns, rows = shape
        tile = np.empty(rows * columns)
        tile_2 = np.empty(rows * columns)
        xi = np.empty(rows * columns)
        at = np.empty(rows * columns, np.int32)
        half = 0.5 * total if total > 0.0 else np.inf
        flat = local.reshape(local.size)
        flat_2 = local_2.reshape(local_2.size)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            count = (last - first) * columns
            load(x, x_at, shape, first, last, tile)
            locate(tile, count, frame, fine, at, xi)
            for i in range(count):
                base = np.uint32(at[i])
                z = xi[i]
                value = flat[base + np.uint32(fine - 1)]
                value_2 = flat_2[base + np.uint32(fine - 1)]
                for q in range(fine - 2, -1, -1):
                    value = value * z + flat[base + np.uint32(q)]
                    value_2 = value_2 * z + flat_2[base + np.uint32(q)]
                value = value - total if value > half else value
                tile[i] = value + total if value < -half else value
                tile_2[i] = value_2
            store(y, y_at, shape, first, last, tile)
            store(y_2, y_at, shape, first, last, tile_2)

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def evaluate_gradient(x, x_at, shape, frame, local, g, g_at, density, y, y_at):
        """y = g * density - the local polynomial; density laid out as y."""
        _, size, columns, rows = shape
        tile = np.empty(rows * columns)
        cotangent = np.empty(rows * columns)
        slope = np.empty(rows * columns)
        xi = np.empty(rows * columns)
        at = np.empty(rows * columns, np.int32)
        flat = local.reshape(local.size)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            count = (last - first) * columns
            load(x, x_at, shape, first, last, tile)
            load(g, g_at, shape, first, last, cotangent)
            load(density, y_at, shape, first, last, slope)
            locate(tile, count, frame, fine, at, xi)
            for i in range(count):
                base = np.uint32(at[i])
                z = xi[i]
                value = flat[base + np.uint32(fine - 1)]
                for q in range(fine - 2, -1, -1):
                    value = value * z + flat[base + np.uint32(q)]
                tile[i] = cotangent[i] * slope[i] - value
            store(y, y_at, shape, first, last, tile)

    return types.SimpleNamespace(
        spread=spread,
        spread_weighted=spread_weighted,
        translate=translate,
        evaluate=evaluate,
        evaluate_two=evaluate_two,
        evaluate_gradient=evaluate_gradient,
    )


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def sorted_series(x, gamma, weight, series, sign, out):
    """out_i = sum over j != i of the exponential series at gamma |x_i - x_j|, weights w_j.

    x (n,) ascending. weight (n,), or empty for ones. series (terms,). The sum over the left
    neighbours is multiplied by `sign`. State k holds sum_j w_j e^{-k gamma |x_i - x_j|}.
    """
    size = x.size
    terms = series.size
    state = np.zeros(terms)
    powers = np.empty(terms)
    unit = weight.size == 0
    for side in range(2):
        state[:] = 0.0
        for step in range(size):
            i = step if side == 0 else size - 1 - step
            value = 0.0
            if step > 0:
                source = i - 1 if side == 0 else i + 1
                gap = abs(x[i] - x[source])
                z = np.exp(-gamma * gap) if gap > 0.0 else 1.0
                w = 1.0 if unit else weight[source]
                # z, z^2, ... by doubling: log k roundings where repeated products have k
                powers[0] = z
                known = 1
                while known < terms:
                    top = powers[known - 1]
                    for k in range(min(known, terms - known)):
                        powers[known + k] = powers[k] * top
                    known *= 2
                for k in range(terms):
                    state[k] = powers[k] * (state[k] + w)
                    value += series[k] * state[k]
            if side == 0:
                out[i] = sign * value
            else:
                out[i] += value
