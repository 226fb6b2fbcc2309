"""Columns in tiles, and their mean and variance, for Triton kernels.

A tile is BC columns by R rows; row i of column c is x[i // size_b, c, i % size_b].
"""

import triton
import triton.language as tl


@triton.jit
def row_offsets(rows, size_b, stride_a, stride_b):
    """Offsets of rows (R,) within a column."""
    return (rows // size_b).to(tl.int64) * stride_a + (rows % size_b).to(tl.int64) * stride_b


@triton.jit
def places(rows, c, size_b, stride_a, stride_c, stride_b):
    """Offsets of the tile rows (R,) x columns c (BC,)."""
    along = row_offsets(rows, size_b, stride_a, stride_b)
    return c.to(tl.int64)[:, None] * stride_c + along[None, :]


@triton.jit
def spread(
    x, part, size, count, size_b, stride_a, stride_c, stride_b, chunk,
    BC: tl.constexpr, R: tl.constexpr,
):
    """part (chunks, 2, C) float64: sums of d and d^2, d = x less the column's first value, which is
    no further than sqrt(size) standard deviations from the mean.
    """
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    held_c = c < count
    first = tl.load(x + c.to(tl.int64) * stride_c, mask=held_c, other=0.0).to(tl.float64)
    once = tl.zeros((BC, R), tl.float64)
    twice = tl.zeros((BC, R), tl.float64)
    start = tl.program_id(1) * chunk
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = held_c[:, None] & (rows < size)[None, :]
        at = places(rows, c, size_b, stride_a, stride_c, stride_b)
        value = tl.load(x + at, mask=held, other=0.0).to(tl.float64)
        d = tl.where(held, value - first[:, None], 0.0)
        once += d
        twice += d * d
    at = part + (tl.program_id(1) * 2) * count + c
    tl.store(at, tl.sum(once, 1), mask=held_c)
    tl.store(at + count, tl.sum(twice, 1), mask=held_c)


@triton.jit
def mean_and_variance(first, part, c, held, chunks, size, count, CHUNKS: tl.constexpr):
    """Of columns c (BC,), float64, from what `spread` left."""
    p = tl.arange(0, CHUNKS)
    at = part + (p * 2 * count)[:, None] + c[None, :]
    held = (p < chunks)[:, None] & held[None, :]
    apart = tl.sum(tl.load(at, mask=held, other=0.0), 0) / size
    square = tl.sum(tl.load(at + count, mask=held, other=0.0), 0) / size
    return first + apart, tl.maximum(square - apart * apart, 0.0)
