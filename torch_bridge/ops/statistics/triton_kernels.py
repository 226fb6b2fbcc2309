"""The loops of `kernels` for CUDA tensors."""

import triton
import triton.language as tl

from torch_bridge.ops.triton_columns import row_offsets

SMALLEST_TAIL: tl.constexpr = tl.constexpr(1e-30)
ROOT_2_PI: tl.constexpr = tl.constexpr(2.5066282746310002)
COARSE: tl.constexpr = tl.constexpr(-8192)  # the 13 bits that tf32 drops of a float32


@triton.jit
def normal_quantile(v, y, size, R: tl.constexpr):
    """Of folded probabilities in float32: Wichura, AS 241 (PPND7), Applied Statistics 37 (1988),
    477-484, a relative error of 1e-7 in exact arithmetic.
    """
    at = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    held = at < size
    value = tl.load(v + at, mask=held, other=0.5)
    p = tl.abs(value)
    q = p - 0.5
    r = 0.180625 - q * q
    above = 3.3871327179 + r * (50.434271938 + r * (159.29113202 + r * 59.109374720))
    below = 1.0 + r * (17.895169469 + r * (78.757757664 + r * 67.187563600))
    middle = q * above / below
    r = tl.sqrt(-tl.log(tl.maximum(p, SMALLEST_TAIL)))
    s = r.to(tl.float64) - 1.6  # in float32 the quotient alone would lose 1e-6 of a quantile of 5
    tail = (1.4234372777 + s * (2.7568153900 + s * (1.3067284816 + s * 0.17023821103))) / (
        1.0 + s * (0.73700164250 + s * 0.12021132975)
    )
    s = r - 5.0
    far = (6.6579051150 + s * (3.0812263860 + s * (0.42868294337 + s * 0.017337203997))) / (
        1.0 + s * (0.24197894225 + s * 0.012258202635)
    )
    tail = tail.to(tl.float32)
    found = tl.where(p >= 0.075, middle, -tl.where(r <= 5.0, tail, far))
    found = tl.where(value < 0.0, -found, found)
    tl.store(y + at, tl.where(value == value, found, value), mask=held)


@triton.jit
def quantile_gradient(y, g, out, size, R: tl.constexpr):
    """out = g dQ/du at the quantiles y."""
    at = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    held = at < size
    value = tl.load(y + at, mask=held, other=0.0)
    given = tl.load(g + at, mask=held, other=0.0)
    tl.store(out + at, given * (ROOT_2_PI * tl.exp(0.5 * value * value)), mask=held)


@triton.jit
def bin_sums(
    x, y, score, part, size, count, size_b, x_a, x_c, x_b, y_a, y_c, y_b, s_a, s_c, s_b, chunk,
    LOW: tl.constexpr, PER_UNIT: tl.constexpr, BINS: tl.constexpr, R: tl.constexpr,
):
    """part (chunks, C, BINS, 16): by bin the sums of 1, x and y, the latter two in two parts each
    (slots 1 to 4), so that tf32 keeps 22 bits of them.
    """
    c = tl.program_id(0).to(tl.int64)
    bins = tl.arange(0, BINS)[:, None]
    slot = tl.arange(0, 16)[None, :]
    start = tl.program_id(1) * chunk
    total = tl.zeros((BINS, 16), tl.float32)
    for row in range(0, chunk, R):
        rows = start + row + tl.arange(0, R)
        held = rows < size
        at = c * x_c + row_offsets(rows, size_b, x_a, x_b)
        a = tl.load(x + at, mask=held, other=0.0)
        at = c * y_c + row_offsets(rows, size_b, y_a, y_b)
        b = tl.load(y + at, mask=held, other=0.0)
        at = c * s_c + row_offsets(rows, size_b, s_a, s_b)
        u = (tl.load(score + at, mask=held, other=0.0) - LOW) * PER_UNIT
        u = tl.where(u == u, u, 0.0)
        bin_of = tl.minimum(tl.maximum(u, 0.0), BINS - 1.0).to(tl.int32)
        coarse_a = (a.to(tl.int32, bitcast=True) & COARSE).to(tl.float32, bitcast=True)
        coarse_b = (b.to(tl.int32, bitcast=True) & COARSE).to(tl.float32, bitcast=True)
        term = tl.where(slot == 0, tl.where(held, 1.0, 0.0)[:, None], 0.0)
        term = tl.where(slot == 1, coarse_a[:, None], term)
        term = tl.where(slot == 2, (a - coarse_a)[:, None], term)
        term = tl.where(slot == 3, coarse_b[:, None], term)
        term = tl.where(slot == 4, (b - coarse_b)[:, None], term)
        one = tl.where((bin_of[None, :] == bins) & held[None, :], 1.0, 0.0)
        total = tl.dot(one, term, total, input_precision="tf32")
    at = part + (tl.program_id(1) * count + c) * (BINS * 16)
    tl.store(at + bins * 16 + slot, total)
