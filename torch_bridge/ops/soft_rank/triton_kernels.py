"""The passes of `cuda` over the values, one column a program; rows as in `triton_columns`.

u is an element's place in boxes of the window [0, BOXES); xi in [-1, 1] its place in its box. u is
taken in float64: near the end of the window float32 would keep a box to 2^-17 only.
"""

import triton
import triton.language as tl

from torch_bridge.ops.triton_columns import mean_and_variance, row_offsets

BOXES: tl.constexpr = tl.constexpr(128)
POWERS: tl.constexpr = tl.constexpr(8)
COARSE: tl.constexpr = tl.constexpr(-8192)  # the 13 bits that tf32 drops of a float32


@triton.jit
def frame(x, gamma, spreads, c, stride_c, size, count, chunks, CHUNKS: tl.constexpr):
    """(mean, gamma) of column c, float64."""
    one = c + tl.arange(0, 1)
    first = tl.load(x + one.to(tl.int64) * stride_c).to(tl.float64)
    mean, _ = mean_and_variance(first, spreads, one, one < count, chunks, size, count, CHUNKS)
    return tl.sum(mean, 0), tl.load(gamma + c)


@triton.jit
def place(value, mean, gamma):
    return (value.to(tl.float64) - mean) * gamma + BOXES / 2


@triton.jit
def box_of(u, inside):
    """(box, xi), of a box that exists where u is not inside."""
    safe = tl.where(inside, u, 0.0)
    box = safe.to(tl.int32)
    return box, (2.0 * (safe - box.to(tl.float64)) - 1.0).to(tl.float32)


@triton.jit
def moments(
    x, g, gamma, spreads, part, outside, counts, size, count, size_b, stride_a, stride_c, stride_b,
    g_a, g_c, g_b, chunk, spread_chunks,
    CHUNKS: tl.constexpr, R: tl.constexpr, WEIGHTED: tl.constexpr,
):
    """part (chunks, C, BOXES, 2 POWERS): sums of xi^q by box, and of what tf32 drops of them.

    A matrix of ones and zeros (boxes, elements) times one of powers (elements, 2 q). Rows that lie
    outside the window are put down in outside (C, size), counts (C,) of them.
    """
    c = tl.program_id(0)
    mean, rate = frame(x, gamma, spreads, c, stride_c, size, count, spread_chunks, CHUNKS)
    boxes = tl.arange(0, BOXES)[:, None]
    q = tl.arange(0, 2 * POWERS)[None, :]
    start = tl.program_id(1) * chunk
    x += c.to(tl.int64) * stride_c
    g += c.to(tl.int64) * g_c
    total = tl.zeros((BOXES, 2 * POWERS), tl.float32)
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = rows < size
        value = tl.load(x + row_offsets(rows, size_b, stride_a, stride_b), mask=held, other=0.0)
        u = place(value, mean, rate)
        inside = held & (u >= 0.0) & (u < BOXES)
        box, xi = box_of(u, inside)
        weight = tl.where(inside, 1.0, 0.0)
        if WEIGHTED:
            given = tl.load(g + row_offsets(rows, size_b, g_a, g_b), mask=inside, other=0.0)
            weight = given.to(tl.float32)
        square = xi * xi
        fourth = square * square
        power = tl.where((q & 1) > 0, xi[:, None], 1.0) * weight[:, None]
        power = power * tl.where((q & 2) > 0, square[:, None], 1.0)
        power = power * tl.where((q & 4) > 0, fourth[:, None], 1.0)
        coarse = (power.to(tl.int32, bitcast=True) & COARSE).to(tl.float32, bitcast=True)
        term = tl.where(q < POWERS, coarse, power - coarse)
        one = tl.where((box[None, :] == boxes) & inside[None, :], 1.0, 0.0)
        total = tl.dot(one, term, total, input_precision="tf32")
        beyond = held & (u == u) & (inside == 0)
        at = tl.atomic_add(counts + c + rows * 0, 1, mask=beyond)
        tl.store(outside + c.to(tl.int64) * size + at, rows, mask=beyond)
    at = part + (tl.program_id(1) * count + c).to(tl.int64) * (BOXES * 2 * POWERS)
    tl.store(at + boxes * (2 * POWERS) + q, total)


@triton.jit
def polynomial(row, box, xi, held):
    """The polynomial of a box, row (POWERS, BOXES), at xi."""
    value = tl.load(row + (POWERS - 1) * BOXES + box, mask=held, other=0.0)
    for step in tl.static_range(1, POWERS):
        value = value * xi + tl.load(row + (POWERS - 1 - step) * BOXES + box, mask=held, other=0.0)
    return value


@triton.jit
def tails(s):
    """(sigma(s), sigma(-s)), each with its digits; s float64."""
    e = tl.exp(-tl.abs(s).to(tl.float32))
    large = 1.0 / (1.0 + e)
    return tl.where(s >= 0.0, large, e * large), tl.where(s >= 0.0, e * large, large)


@triton.jit
def folded(value, size):
    """Of a rank or a rank less size, the one of at most size / 2."""
    value = tl.where(value > 0.5 * size, value - size, value)
    return tl.where(value < -0.5 * size, value + size, value)


@triton.jit
def ranks(
    x, y, slope, gamma, spreads, local, lower, outside, counts, size, count, size_b,
    stride_a, stride_c, stride_b, y_a, y_c, y_b, chunk, spread_chunks,
    CHUNKS: tl.constexpr, R: tl.constexpr, FOLD: tl.constexpr, SLOPED: tl.constexpr,
):
    """Ranks, and their slopes (C, size), of what lies in the window; nan where x is.

    local (C, 2, POWERS, BOXES): of the ranks, from below where lower (C, BOXES), else minus those
    from above; and of the slopes.
    """
    c = tl.program_id(0)
    mean, rate = frame(x, gamma, spreads, c, stride_c, size, count, spread_chunks, CHUNKS)
    start = tl.program_id(1) * chunk
    own = local + c.to(tl.int64) * (2 * POWERS * BOXES)
    beyond = tl.load(counts + c)
    outside += c.to(tl.int64) * size
    x += c.to(tl.int64) * stride_c
    y += c.to(tl.int64) * y_c
    slope += c.to(tl.int64) * size
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = rows < size
        value = tl.load(x + row_offsets(rows, size_b, stride_a, stride_b), mask=held, other=0.0)
        u = place(value, mean, rate)
        inside = held & (u >= 0.0) & (u < BOXES)
        box, xi = box_of(u, inside)
        rank = polynomial(own, box, xi, inside)
        from_below = tl.load(lower + c * BOXES + box, mask=inside, other=1) > 0
        density = tl.zeros((R,), tl.float32)
        if SLOPED:
            density = polynomial(own + POWERS * BOXES, box, xi, inside)
        for k in range(beyond):
            other = tl.load(outside + k)
            there = tl.load(x + row_offsets(other, size_b, stride_a, stride_b))
            above, below = tails(u - place(there, mean, rate))
            rank += tl.where(from_below, above, -below)
            density += above * below
        if FOLD:
            rank = folded(rank, size)
        else:
            rank = tl.where(from_below, rank, size + rank)
        known = inside | (held & (u != u))
        rank = tl.where(u == u, rank, float("nan"))
        tl.store(y + row_offsets(rows, size_b, y_a, y_b), rank, mask=known)
        if SLOPED:
            density = tl.where(u == u, density, float("nan"))
            tl.store(slope + rows, density, mask=known)


@triton.jit
def ranks_outside(
    x, y, slope, gamma, spreads, outside, counts, size, count, size_b,
    stride_a, stride_c, stride_b, y_a, y_c, y_b, spread_chunks, programs,
    CHUNKS: tl.constexpr, R: tl.constexpr, FOLD: tl.constexpr, SLOPED: tl.constexpr,
):
    """The same of what lies outside, by the definition."""
    c = tl.program_id(0)
    beyond = tl.load(counts + c)
    mean, rate = frame(x, gamma, spreads, c, stride_c, size, count, spread_chunks, CHUNKS)
    x += c.to(tl.int64) * stride_c
    y += c.to(tl.int64) * y_c
    slope += c.to(tl.int64) * size
    outside += c.to(tl.int64) * size
    for k in range(tl.program_id(1), beyond, programs):
        own = tl.load(outside + k)
        u = place(tl.load(x + row_offsets(own, size_b, stride_a, stride_b)), mean, rate)
        lower = tl.zeros((R,), tl.float32)
        upper = tl.zeros((R,), tl.float32)
        density = tl.zeros((R,), tl.float32)
        for row in range(0, size, R):
            rows = row + tl.arange(0, R)
            held = rows < size
            value = tl.load(x + row_offsets(rows, size_b, stride_a, stride_b), mask=held, other=0.0)
            above, below = tails(u - place(value, mean, rate))
            lower += tl.where(held, above, 0.0)
            upper += tl.where(held, below, 0.0)
            density += tl.where(held, above * below, 0.0)
        from_below = tl.sum(lower, 0)
        from_above = tl.sum(upper, 0)
        rank = tl.where(from_below <= from_above, from_below, -from_above)
        if FOLD == 0:
            rank = tl.where(from_below <= from_above, from_below, size - from_above)
        tl.store(y + row_offsets(own, size_b, y_a, y_b), rank)
        if SLOPED:
            tl.store(slope + own, tl.sum(density, 0))


@triton.jit
def gradient(
    x, g, slope, dx, gamma, spreads, local, outside, counts, size, count, size_b,
    stride_a, stride_c, stride_b, g_a, g_c, g_b, dx_a, dx_c, dx_b, chunk, spread_chunks,
    CHUNKS: tl.constexpr, R: tl.constexpr, SCALED: tl.constexpr,
):
    """g_i K_1(1)_i - K_1(g)_i of what lies in the window, times gamma if SCALED; local (C, POWERS,
    BOXES) of K_1(g).
    """
    c = tl.program_id(0)
    mean, rate = frame(x, gamma, spreads, c, stride_c, size, count, spread_chunks, CHUNKS)
    factor = rate.to(tl.float32)
    start = tl.program_id(1) * chunk
    own = local + c.to(tl.int64) * (POWERS * BOXES)
    beyond = tl.load(counts + c)
    outside += c.to(tl.int64) * size
    x += c.to(tl.int64) * stride_c
    g += c.to(tl.int64) * g_c
    dx += c.to(tl.int64) * dx_c
    slope += c.to(tl.int64) * size
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = rows < size
        value = tl.load(x + row_offsets(rows, size_b, stride_a, stride_b), mask=held, other=0.0)
        given = tl.load(g + row_offsets(rows, size_b, g_a, g_b), mask=held, other=0.0)
        u = place(value, mean, rate)
        inside = held & (u >= 0.0) & (u < BOXES)
        box, xi = box_of(u, inside)
        sums = polynomial(own, box, xi, inside)
        for k in range(beyond):
            other = tl.load(outside + k)
            there = tl.load(x + row_offsets(other, size_b, stride_a, stride_b))
            above, below = tails(u - place(there, mean, rate))
            weight = tl.load(g + row_offsets(other, size_b, g_a, g_b)).to(tl.float32)
            sums += weight * above * below
        density = tl.load(slope + rows, mask=held, other=0.0)
        result = given.to(tl.float32) * density - sums
        if SCALED:
            result = result * factor
        known = inside | (held & (u != u))
        result = tl.where(u == u, result, float("nan"))
        tl.store(dx + row_offsets(rows, size_b, dx_a, dx_b), result, mask=known)


@triton.jit
def gradient_outside(
    x, g, slope, dx, gamma, spreads, outside, counts, size, count, size_b,
    stride_a, stride_c, stride_b, g_a, g_c, g_b, dx_a, dx_c, dx_b, spread_chunks, programs,
    CHUNKS: tl.constexpr, R: tl.constexpr, SCALED: tl.constexpr,
):
    """The same of what lies outside, by the definition."""
    c = tl.program_id(0)
    beyond = tl.load(counts + c)
    mean, rate = frame(x, gamma, spreads, c, stride_c, size, count, spread_chunks, CHUNKS)
    x += c.to(tl.int64) * stride_c
    g += c.to(tl.int64) * g_c
    dx += c.to(tl.int64) * dx_c
    slope += c.to(tl.int64) * size
    outside += c.to(tl.int64) * size
    for k in range(tl.program_id(1), beyond, programs):
        own = tl.load(outside + k)
        u = place(tl.load(x + row_offsets(own, size_b, stride_a, stride_b)), mean, rate)
        sums = tl.zeros((R,), tl.float32)
        for row in range(0, size, R):
            rows = row + tl.arange(0, R)
            held = rows < size
            value = tl.load(x + row_offsets(rows, size_b, stride_a, stride_b), mask=held, other=0.0)
            given = tl.load(g + row_offsets(rows, size_b, g_a, g_b), mask=held, other=0.0)
            above, below = tails(u - place(value, mean, rate))
            sums += tl.where(held, given.to(tl.float32) * above * below, 0.0)
        given = tl.load(g + row_offsets(own, size_b, g_a, g_b)).to(tl.float32)
        result = given * tl.load(slope + own) - tl.sum(sums, 0)
        if SCALED:
            result = result * rate.to(tl.float32)
        tl.store(dx + row_offsets(own, size_b, dx_a, dx_b), result)
