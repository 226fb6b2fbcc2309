"""The loops of the fast sigmoid sums on the CPU; both methods are derived in `tables`.

Letters and shapes, the same in every kernel:

    x, x_at     a flat array and (offset, stride_a, stride_c, stride_b): element (a, c, b) of a
                column-wise problem; column c consists of all (a, b), b running faster
    shape       (size_b, size, columns, rows): values of b, elements of a column, columns of the
                block, elements of each column in a tile
    tile        rows * columns float64 values, the column index running fastest
    frame (4, rows * columns)   per tile position: lowest value, parts per unit of x, the column's
                last part (clamps rounding and keeps nan out of the index), its first part
    moments (parts, fine), local (parts, slots, fine)   the block's workspace; the polynomials that
                one pass evaluates share a cache line

The kernels check nothing.
"""

import functools
import types

import numpy as np
from numba import njit

# FMA contraction only: reassociation would let the compiler undo careful sums.
CONTRACT = {"contract"}
SMALL = 80.0


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


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def accumulate(out, matrix, source, shift):
    """out[r, b] += sum_i matrix[i, r] source[i, b - shift], where b - shift is a box.

    out (rows, boxes), source (inner, boxes), inner a multiple of 4. The loop runs along the boxes,
    which are many, so that it vectorises without a reduction.
    """
    boxes = out.shape[1]
    first, last = max(shift, 0), min(boxes + shift, boxes)
    for r in range(out.shape[0]):
        for i in range(0, source.shape[0], 4):
            c0, c1, c2, c3 = matrix[i, r], matrix[i + 1, r], matrix[i + 2, r], matrix[i + 3, r]
            for b in range(first, last):
                at = b - shift
                out[r, b] += (c0 * source[i, at] + c1 * source[i + 1, at]) + (
                    c2 * source[i + 2, at] + c3 * source[i + 3, at]
                )


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def sweep(series, decay, side):
    """series (terms, boxes): exponentials that leave each box -> those that arrive from afar.

    From the left (side 0): S_b = decay (S_{b-1} + E_{b-2}), S_0 = S_1 = 0; from the right mirrored.
    terms is a multiple of 4; four recurrences at a time hide each other's latency.
    """
    terms, boxes = series.shape
    step = 1 if side == 0 else -1
    start = 0 if side == 0 else boxes - 1
    for k in range(0, terms, 4):
        d0, d1, d2, d3 = decay[k], decay[k + 1], decay[k + 2], decay[k + 3]
        s0 = s1 = s2 = s3 = 0.0
        e0 = e1 = e2 = e3 = 0.0  # E of the box before, which may first arrive at the next one
        b = start
        for _ in range(boxes):
            n0, n1, n2, n3 = series[k, b], series[k + 1, b], series[k + 2, b], series[k + 3, b]
            series[k, b], series[k + 1, b], series[k + 2, b], series[k + 3, b] = s0, s1, s2, s3
            s0, s1, s2, s3 = d0 * (s0 + e0), d1 * (s1 + e1), d2 * (s2 + e2), d3 * (s3 + e3)
            e0, e1, e2, e3 = n0, n1, n2, n3
            b += step


@njit(cache=True, nogil=True, fastmath=CONTRACT)
def translate(moments, starts, parts, children, order, total, near, leave, decay, arrive, up, down,
              local, slot):
    """moments -> local[:, slot], polynomials in powers of xi, one column after another.

    starts, parts (columns,): a column's first part and number of parts, multiples of `children`.
    With total > 0 (order 0, unit weights) boxes of the upper half hold r - total.
    """
    coarse, fine, terms = near.shape[1], moments.shape[1], decay.size
    inside = children * fine
    for c in range(starts.size):
        boxes = parts[c] // children
        first = starts[c]
        given = np.empty((inside, boxes))
        for b in range(boxes):
            for child in range(children):
                for i in range(fine):
                    given[child * fine + i, b] = moments[first + b * children + child, i]
        if children == 1:
            box = given
        else:
            box = np.zeros((coarse, boxes))
            accumulate(box, up, given, 0)
        field = np.zeros((coarse, boxes))
        for shift in range(-1, 2):
            accumulate(field, near[shift + 1], box, shift)
        if boxes > 2:
            for side in range(2):
                series = np.zeros((terms, boxes))
                accumulate(series, leave[side], box, 0)
                sweep(series, decay, side)
                accumulate(field, arrive[side], series, 0)
        if order == 0:
            left = 0.0  # the weight up to box b - 2: sigma is 1 less its series there
            before, here = 0.0, 0.0
            for b in range(boxes):
                left += before
                before, here = here, 0.0
                for child in range(children):
                    here += moments[first + b * children + child, 0]
                upper = 2.0 * (left + before) + here > total > 0.0
                field[0, b] += left - total if upper else left
        result = np.zeros((inside, boxes))
        accumulate(result, down, field, 0)
        for b in range(boxes):
            for child in range(children):
                for i in range(fine):
                    local[first + b * children + child, slot, i] = result[child * fine + i, b]


@functools.cache
def grid_kernels(fine):
    """The loops over points, compiled for parts of `fine` coefficients."""

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
    def evaluate_two(x, x_at, shape, frame, local, total, y, y_at, y_2):
        """`evaluate`, and the second slot's polynomial into y_2, laid out as y."""
        _, size, columns, rows = shape
        tile = np.empty(rows * columns)
        tile_2 = np.empty(rows * columns)
        xi = np.empty(rows * columns)
        at = np.empty(rows * columns, np.int32)
        half = 0.5 * total if total > 0.0 else np.inf
        flat = local.reshape(local.size)
        for first in range(0, size, rows):
            last = min(first + rows, size)
            count = (last - first) * columns
            load(x, x_at, shape, first, last, tile)
            locate(tile, count, frame, 2 * fine, at, xi)
            for i in range(count):
                base = np.uint32(at[i])
                z = xi[i]
                value = flat[base + np.uint32(fine - 1)]
                value_2 = flat[base + np.uint32(2 * fine - 1)]
                for q in range(fine - 2, -1, -1):
                    value = value * z + flat[base + np.uint32(q)]
                    value_2 = value_2 * z + flat[base + np.uint32(fine + q)]
                value = value - total if value > half else value
                tile[i] = value + total if value < -half else value
                tile_2[i] = value_2
            store(y, y_at, shape, first, last, tile)
            store(y_2, y_at, shape, first, last, tile_2)

    @njit(cache=True, nogil=True, fastmath=CONTRACT)
    def evaluate_gradient(x, x_at, shape, frame, local, g, g_at, density, density_at, y, y_at):
        """y = g * density - the local polynomial."""
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
            load(density, density_at, shape, first, last, slope)
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
        alive = terms  # states beyond are zero
        for step in range(size):
            i = step if side == 0 else size - 1 - step
            value = 0.0
            if step > 0:
                source = i - 1 if side == 0 else i + 1
                gap = gamma * (x[i] - x[source] if side == 0 else x[source] - x[i])
                gap = gap if x[i] != x[source] else 0.0  # ties, even where gamma is infinite
                z = np.exp(-gap)
                w = 1.0 if unit else weight[source]
                # powers below e^-SMALL change nothing, and turn into slow subnormal numbers
                used = terms if gap * terms < SMALL else int(SMALL / gap)
                for k in range(used, alive):
                    state[k] = 0.0
                alive = used
                # z, z^2, ... by doubling: log k roundings where repeated products have k
                powers[0] = z
                known = 1
                while known < used:
                    top = powers[known - 1]
                    for k in range(min(known, used - known)):
                        powers[known + k] = powers[k] * top
                    known *= 2
                for k in range(used):
                    state[k] = powers[k] * (state[k] + w)
                    value += series[k] * state[k]
            if side == 0:
                out[i] = sign * value
            else:
                out[i] += value
