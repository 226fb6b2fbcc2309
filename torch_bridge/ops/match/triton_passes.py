"""The passes of `torch_bridge.ops.match` over the values, in tiles of `triton_columns`.

Programs (column block, chunk of rows) leave partial sums of their chunk, that `triton_steps` adds
up: nothing is added atomically, so that a result is the same every time. Sums are held as tiles,
one by one by name, and reduced once at the end: at every tile it would take as long as all else.
"""

import triton
import triton.language as tl

from torch_bridge.ops.triton_columns import mean_and_variance, places

CELLS: tl.constexpr = tl.constexpr(128)
SQUARE: tl.constexpr = tl.constexpr(4.0)  # of moment_matching.SQUASH
SMALLEST_VARIANCE: tl.constexpr = tl.constexpr(1e-19)


@triton.jit
def squashed(value, high, low, unit):
    """(t, z, dt/dz) of z = (value - mean) * unit, the mean in two parts."""
    z = ((value - high) - low) * unit
    r = 1.0 / tl.sqrt(SQUARE + z * z)
    return z * r, z, SQUARE * r * r * r


@triton.jit
def following(now, before, twice):
    """(T_{j+1}, T_j) from T_j, T_{j-1} and 2 t."""
    return twice * now - before, now


@triton.jit
def put(total, sums, slot, SLOT: tl.constexpr):
    """total (BC, SLOTS) with the sums (BC, R) over R in one slot."""
    return tl.where(slot == SLOT, tl.sum(sums, 1)[:, None], total)


@triton.jit
def moments(
    x, spreads, part, size, count, size_b, stride_a, stride_c, stride_b, chunk, chunks, eps,
    K: tl.constexpr, SLOTS: tl.constexpr, CHUNKS: tl.constexpr, BC: tl.constexpr, R: tl.constexpr,
):
    """part (chunks, C, SLOTS) float32: sums of T_1 … T_{K+2}, then of T_j'(t) dt/dz, j = 1 … K."""
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    held_c = c < count
    first = tl.load(x + c.to(tl.int64) * stride_c, mask=held_c, other=0.0).to(tl.float64)
    mean, var = mean_and_variance(first, spreads, c, held_c, chunks, size, count, CHUNKS)
    high = mean.to(tl.float32)[:, None]
    low = (mean - mean.to(tl.float32).to(tl.float64)).to(tl.float32)[:, None]
    unit = (1.0 / tl.sqrt(tl.maximum(var + eps, SMALLEST_VARIANCE))).to(tl.float32)[:, None]
    zero = tl.zeros((BC, R), tl.float32)
    t1 = zero
    t2 = zero
    t3 = zero
    t4 = zero
    t5 = zero
    t6 = zero
    t7 = zero
    t8 = zero
    t9 = zero
    t10 = zero
    u1 = zero
    u2 = zero
    u3 = zero
    u4 = zero
    u5 = zero
    u6 = zero
    u7 = zero
    u8 = zero
    start = tl.program_id(1) * chunk
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = held_c[:, None] & (rows < size)[None, :]
        at = places(rows, c, size_b, stride_a, stride_c, stride_b)
        value = tl.load(x + at, mask=held, other=0.0).to(tl.float32)
        t, _, rate = squashed(value, high, low, unit)
        one = tl.where(held, 1.0, 0.0)
        a = tl.where(held, t, 0.0)
        b = one
        twice = 2.0 * t
        t1 += a
        a, b = following(a, b, twice)
        t2 += a
        a, b = following(a, b, twice)
        t3 += a
        a, b = following(a, b, twice)
        if K > 1:
            t4 += a
            a, b = following(a, b, twice)
        if K > 2:
            t5 += a
            a, b = following(a, b, twice)
        if K > 3:
            t6 += a
            a, b = following(a, b, twice)
        if K > 4:
            t7 += a
            a, b = following(a, b, twice)
        if K > 5:
            t8 += a
            a, b = following(a, b, twice)
        if K > 6:
            t9 += a
            a, b = following(a, b, twice)
        if K > 7:
            t10 += a
        a = tl.where(held, rate, 0.0)
        b = zero
        u1 += a
        if K > 1:
            a, b = following(a, b, twice)
            u2 += a
        if K > 2:
            a, b = following(a, b, twice)
            u3 += a
        if K > 3:
            a, b = following(a, b, twice)
            u4 += a
        if K > 4:
            a, b = following(a, b, twice)
            u5 += a
        if K > 5:
            a, b = following(a, b, twice)
            u6 += a
        if K > 6:
            a, b = following(a, b, twice)
            u7 += a
        if K > 7:
            a, b = following(a, b, twice)
            u8 += a
    slot = tl.arange(0, SLOTS)[None, :]
    total = tl.zeros((BC, SLOTS), tl.float32)
    total = put(put(put(total, t1, slot, 0), t2, slot, 1), t3, slot, 2)
    total = put(total, u1, slot, K + 2)
    if K > 1:
        total = put(put(total, t4, slot, 3), 2.0 * u2, slot, K + 3)
    if K > 2:
        total = put(put(total, t5, slot, 4), 3.0 * u3, slot, K + 4)
    if K > 3:
        total = put(put(total, t6, slot, 5), 4.0 * u4, slot, K + 5)
    if K > 4:
        total = put(put(total, t7, slot, 6), 5.0 * u5, slot, K + 6)
    if K > 5:
        total = put(put(total, t8, slot, 7), 6.0 * u6, slot, K + 7)
    if K > 6:
        total = put(put(total, t9, slot, 8), 7.0 * u7, slot, K + 8)
    if K > 7:
        total = put(put(total, t10, slot, 9), 8.0 * u8, slot, K + 9)
    at = part + (tl.program_id(1) * count + c)[:, None] * SLOTS + slot
    tl.store(at, total, mask=held_c[:, None] & (slot < 2 * K + 2))


@triton.jit
def cell_of(t):
    """(number of the cell, place within it)."""
    u = (t + 1.0) * (0.5 * CELLS)
    inside = tl.minimum(tl.maximum(tl.where(u == u, u, 0.0), 0.0), CELLS - 1.0)
    cell = inside.to(tl.int32)
    s = u - cell.to(tl.float32)
    return cell, tl.where(u == u, tl.minimum(tl.maximum(s, 0.0), 1.0), u)


@triton.jit
def cubic(row, cell, s, held):
    """The cubics of a row (4, CELLS) of pointers at s, and their slopes by s."""
    c0 = tl.load(row + cell, mask=held, other=0.0)
    c1 = tl.load(row + CELLS + cell, mask=held, other=0.0)
    c2 = tl.load(row + 2 * CELLS + cell, mask=held, other=0.0)
    c3 = tl.load(row + 3 * CELLS + cell, mask=held, other=0.0)
    return c0 + s * (c1 + s * (c2 + s * c3)), c1 + s * (2.0 * c2 + 3.0 * s * c3)


@triton.jit
def frame_of(frame, c, held):
    """high, low, unit (BC, 1) of columns c."""
    high = tl.load(frame + c * 3, mask=held, other=0.0)[:, None]
    low = tl.load(frame + c * 3 + 1, mask=held, other=0.0)[:, None]
    return high, low, tl.load(frame + c * 3 + 2, mask=held, other=0.0)[:, None]


@triton.jit
def apply(
    x, y, frame, cubics, weight, bias, size, count, size_b, stride_a, stride_c, stride_b,
    out_a, out_c, out_b, chunk, BC: tl.constexpr, R: tl.constexpr,
    WEIGHTED: tl.constexpr, BIASED: tl.constexpr,
):
    """y = weight * cubics(t(x)) + bias."""
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    held_c = c < count
    high, low, unit = frame_of(frame, c, held_c)
    w = tl.full((BC,), 1.0, tl.float32)
    if WEIGHTED:
        w = tl.load(weight + c, mask=held_c, other=0.0).to(tl.float32)
    b = tl.zeros((BC,), tl.float32)
    if BIASED:
        b = tl.load(bias + c, mask=held_c, other=0.0).to(tl.float32)
    row_of = cubics + (c * (4 * CELLS))[:, None]
    start = tl.program_id(1) * chunk
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = held_c[:, None] & (rows < size)[None, :]
        at = places(rows, c, size_b, stride_a, stride_c, stride_b)
        value = tl.load(x + at, mask=held, other=0.0).to(tl.float32)
        t, _, _ = squashed(value, high, low, unit)
        cell, s = cell_of(t)
        found, _ = cubic(row_of, cell, s, held)
        to = places(rows, c, size_b, out_a, out_c, out_b)
        tl.store(y + to, w[:, None] * found + b[:, None], mask=held)


@triton.jit
def term(by_row, number, cell, s, given, held):
    """given times the derivative of y by one coefficient."""
    found, _ = cubic(by_row + number * 4 * CELLS, cell, s, held)
    return tl.where(held, given * found, 0.0)


@triton.jit
def pull(
    x, g, frame, cubics, by_c, weight, part, size, count, size_b, stride_a, stride_c, stride_b,
    g_a, g_c, g_b, chunk, K: tl.constexpr, SLOTS: tl.constexpr, BC: tl.constexpr, R: tl.constexpr,
    WEIGHTED: tl.constexpr,
):
    """part (chunks, C, SLOTS): sums of g, g y, and with g times the weight those of g y' dt/dz,
    g y' dt/dz z, g dy/dc_1 … g dy/dc_K.
    """
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    held_c = c < count
    high, low, unit = frame_of(frame, c, held_c)
    w = tl.full((BC,), 1.0, tl.float32)
    if WEIGHTED:
        w = tl.load(weight + c, mask=held_c, other=0.0).to(tl.float32)
    row_of = cubics + (c * (4 * CELLS))[:, None]
    by_row = by_c + (c * (K * 4 * CELLS))[:, None]
    zero = tl.zeros((BC, R), tl.float32)
    by_bias = zero
    by_weight = zero
    to_mean = zero
    to_scale = zero
    g1 = zero
    g2 = zero
    g3 = zero
    g4 = zero
    g5 = zero
    g6 = zero
    g7 = zero
    g8 = zero
    start = tl.program_id(1) * chunk
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = held_c[:, None] & (rows < size)[None, :]
        at = places(rows, c, size_b, stride_a, stride_c, stride_b)
        value = tl.load(x + at, mask=held, other=0.0).to(tl.float32)
        at = places(rows, c, size_b, g_a, g_c, g_b)
        given = tl.load(g + at, mask=held, other=0.0).to(tl.float32)
        t, z, rate = squashed(value, high, low, unit)
        cell, s = cell_of(t)
        found, slope = cubic(row_of, cell, s, held)
        by_bias += given
        by_weight += tl.where(held, given * found, 0.0)
        given = given * w[:, None]
        to_z = tl.where(held, given * slope * (0.5 * CELLS) * rate, 0.0)
        to_mean += to_z
        to_scale += tl.where(held, to_z * z, 0.0)
        g1 += term(by_row, 0, cell, s, given, held)
        if K > 1:
            g2 += term(by_row, 1, cell, s, given, held)
        if K > 2:
            g3 += term(by_row, 2, cell, s, given, held)
        if K > 3:
            g4 += term(by_row, 3, cell, s, given, held)
        if K > 4:
            g5 += term(by_row, 4, cell, s, given, held)
        if K > 5:
            g6 += term(by_row, 5, cell, s, given, held)
        if K > 6:
            g7 += term(by_row, 6, cell, s, given, held)
        if K > 7:
            g8 += term(by_row, 7, cell, s, given, held)
    slot = tl.arange(0, SLOTS)[None, :]
    total = tl.zeros((BC, SLOTS), tl.float32)
    total = put(put(total, by_bias, slot, 0), by_weight, slot, 1)
    total = put(put(total, to_mean, slot, 2), to_scale, slot, 3)
    total = put(total, g1, slot, 4)
    if K > 1:
        total = put(total, g2, slot, 5)
    if K > 2:
        total = put(total, g3, slot, 6)
    if K > 3:
        total = put(total, g4, slot, 7)
    if K > 4:
        total = put(total, g5, slot, 8)
    if K > 5:
        total = put(total, g6, slot, 9)
    if K > 6:
        total = put(total, g7, slot, 10)
    if K > 7:
        total = put(total, g8, slot, 11)
    at = part + (tl.program_id(1) * count + c)[:, None] * SLOTS + slot
    tl.store(at, total, mask=held_c[:, None] & (slot < K + 4))


@triton.jit
def push(
    x, g, dx, frame, cubics, weight, back, size, count, size_b, stride_a, stride_c, stride_b,
    g_a, g_c, g_b, out_a, out_c, out_b, chunk, K: tl.constexpr, BC: tl.constexpr, R: tl.constexpr,
    WEIGHTED: tl.constexpr,
):
    """dx from g and what `combine` found."""
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    held_c = c < count
    high, low, unit = frame_of(frame, c, held_c)
    w = tl.full((BC,), 1.0, tl.float32)
    if WEIGHTED:
        w = tl.load(weight + c, mask=held_c, other=0.0).to(tl.float32)
    row_of = cubics + (c * (4 * CELLS))[:, None]
    own = back + c * (K + 2)
    mean_dz = tl.load(own, mask=held_c, other=0.0)[:, None]
    mean_dz_z = tl.load(own + 1, mask=held_c, other=0.0)[:, None]
    start = tl.program_id(1) * chunk
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = held_c[:, None] & (rows < size)[None, :]
        at = places(rows, c, size_b, stride_a, stride_c, stride_b)
        value = tl.load(x + at, mask=held, other=0.0).to(tl.float32)
        given = tl.load(
            g + places(rows, c, size_b, g_a, g_c, g_b), mask=held, other=0.0
        ).to(tl.float32)
        t, z, rate = squashed(value, high, low, unit)
        cell, s = cell_of(t)
        _, slope = cubic(row_of, cell, s, held)
        dt = given * w[:, None] * slope * (0.5 * CELLS)
        before = t * 0.0
        now = before + 1.0
        for j in tl.static_range(K):
            h = tl.load(own + 2 + j, mask=held_c, other=0.0)[:, None]
            dt += (j + 1.0) * h * now
            after = 2.0 * t * now - before
            before = now
            now = after
        result = (dt * rate - mean_dz - z * mean_dz_z) * unit
        tl.store(dx + places(rows, c, size_b, out_a, out_c, out_b), result, mask=held)
