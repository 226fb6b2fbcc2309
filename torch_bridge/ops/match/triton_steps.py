"""The steps of `torch_bridge.ops.match` between passes: one program a column, in float64.

Scalars that matter are constants of the compilation, since a number that is passed arrives in
float32.
"""

import triton
import triton.language as tl

from torch_bridge.ops.dual_solve.triton_kernels import (
    density,
    hessian_of,
    means,
    solve_column,
    solved,
)
from torch_bridge.ops.match.triton_passes import CELLS, SMALLEST_VARIANCE, following
from torch_bridge.ops.triton_columns import mean_and_variance

STEEPEST: tl.constexpr = tl.constexpr(3.0)
SMALLEST_TAIL: tl.constexpr = tl.constexpr(1e-30)
ROOT_2_PI: tl.constexpr = tl.constexpr(2.5066282746310002)


@triton.jit
def added(
    part, chunks, count, column, WIDTH: tl.constexpr, SLOTS: tl.constexpr, CHUNKS: tl.constexpr
):
    """The sums over all chunks (SLOTS,) float64 of a column."""
    slot = tl.arange(0, SLOTS)[None, :]
    p = tl.arange(0, CHUNKS)[:, None]
    at = part + (p * count + column) * SLOTS + slot
    found = tl.load(at, mask=(p < chunks) & (slot < WIDTH), other=0.0)
    return tl.sum(found.to(tl.float64), 0)


@triton.jit
def fit(
    x, spreads, part, start, size, count, stride_c, spread_chunks, chunks, eps, steps,
    table, weights, nodes, fine, fine_weights, fine_nodes,
    frame, averages, mean_out, var_out, scale_out, m_out, c_out, status, residual, taken,
    TOLERANCE: tl.constexpr, LARGEST_SIZE: tl.constexpr, HELD_BACK: tl.constexpr,
    SOLVED: tl.constexpr, ATOMIC: tl.constexpr, NOT_CONVERGED: tl.constexpr,
    NOT_FINITE: tl.constexpr, RIDGE: tl.constexpr, EPS: tl.constexpr,
    K: tl.constexpr, KP: tl.constexpr, MP: tl.constexpr, N: tl.constexpr, FINE: tl.constexpr,
    SLOTS: tl.constexpr, SPREADS: tl.constexpr, CHUNKS: tl.constexpr,
):
    """Of a column: mean, variance, frame (C, 3), averages of `moments` (C, SLOTS), coefficients,
    and what is said of them, as in dual_solve.
    """
    column = tl.program_id(0)
    one = column + tl.arange(0, 1)
    first = tl.load(x + one.to(tl.int64) * stride_c).to(tl.float64)
    means_of, vars_of = mean_and_variance(
        first, spreads, one, one < count, spread_chunks, size, count, SPREADS
    )
    mean = tl.sum(means_of, 0)
    var = tl.sum(vars_of, 0)
    scale = tl.sqrt(tl.maximum(var + eps, SMALLEST_VARIANCE))
    high = mean.to(tl.float32)
    tl.store(scale_out + column, scale.to(tl.float32))
    tl.store(mean_out + column, high)
    tl.store(var_out + column, var.to(tl.float32))
    tl.store(frame + column * 3, high)
    tl.store(frame + column * 3 + 1, (mean - high.to(tl.float64)).to(tl.float32))
    tl.store(frame + column * 3 + 2, (1.0 / scale).to(tl.float32))
    slot = tl.arange(0, SLOTS)
    average = added(part, chunks, count, column, 2 * K + 2, SLOTS, CHUNKS) / size
    tl.store(averages + column * SLOTS + slot, average)
    own = tl.arange(0, KP)
    held = own < K
    m = tl.where(held, tl.gather(average, tl.where(held, own, 0), 0), 0.0)
    warm = tl.load(start + column * K + own, mask=held, other=0.0).to(tl.float64)
    c, worst, needed = solve_column(
        m, warm, steps, table, weights, nodes, fine, fine_weights, fine_nodes,
        RIDGE, EPS, K, KP, MP, N, FINE,
    )
    tl.store(m_out + column * K + own, m.to(tl.float32), mask=held)
    tl.store(c_out + column * K + own, c.to(tl.float32), mask=held)
    tl.store(residual + column, worst.to(tl.float32))
    tl.store(taken + column, needed)
    sum_c = tl.sum(tl.abs(c), 0)
    size_c = tl.minimum(1.0 + sum_c, LARGEST_SIZE)
    held_back = RIDGE * tl.max(tl.abs(c), 0) > HELD_BACK
    said = tl.where(held_back, ATOMIC, SOLVED)
    said = tl.where(worst <= TOLERANCE * size_c, said, NOT_CONVERGED)
    said = tl.where((sum_c - sum_c) == 0.0, said, NOT_FINITE)
    tl.store(status + column, said.to(tl.int8))


@triton.jit
def exponent(c, t, K: tl.constexpr, KP: tl.constexpr):
    """sum_j c_j T_j(t) in float64, c (KP,)."""
    own = tl.arange(0, KP)
    before = t * 0.0 + 1.0
    now = t
    total = t * 0.0
    for j in tl.static_range(K):
        total += tl.sum(tl.where(own == j, c, 0.0), 0) * now
        now, before = following(now, before, 2.0 * t)
    return total


@triton.jit
def polynomial(t, J: tl.constexpr):
    """T_J(t)."""
    before = t * 0.0 + 1.0
    now = t
    for _ in tl.static_range(J - 1):
        now, before = following(now, before, 2.0 * t)
    return now


@triton.jit
def ratio(
    r, a0, a1, a2, a3, a4, a5, a6, a7, b1, b2, b3, b4, b5, b6, b7,
):
    above = a0 + r * (a1 + r * (a2 + r * (a3 + r * (a4 + r * (a5 + r * (a6 + r * a7))))))
    below = 1.0 + r * (b1 + r * (b2 + r * (b3 + r * (b4 + r * (b5 + r * (b6 + r * b7))))))
    return above / below


@triton.jit
def normal_quantile(p):
    """Of a lower tail 0 < p <= 1/2: Wichura's AS 241, see `statistics.kernels`."""
    q = p - 0.5
    middle = q * ratio(
        0.180625 - q * q,
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
        1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3,
        4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
        5.2264952788528545610e3,
    )
    r = tl.sqrt(-tl.log(p))
    tail = ratio(
        r - 1.6,
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4,
        2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    )
    far = ratio(
        r - 5.0,
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
        2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
        2.71155556874348757815e-5, 2.01033439929228813265e-7,
        5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    )
    return tl.where(p >= 0.075, middle, -tl.where(r <= 5.0, tail, far))


@triton.jit
def knots(c, K: tl.constexpr, KP: tl.constexpr):
    """At the knots 1 … 127, places 1 … of vectors (CELLS,): both tails, p per cell, y, dQ/du, the
    slope as it is and as it is held; and for derivatives the peak and the total of the density.
    """
    place = tl.arange(0, CELLS)
    step = 2.0 / CELLS
    t = place.to(tl.float64) * step - 1.0
    here = exponent(c, t, K, KP)
    half = exponent(c, t + 0.5 * step, K, KP)
    after = exponent(c, t + step, K, KP)
    half_before = exponent(c, t - 0.5 * step, K, KP)
    before = exponent(c, t - step, K, KP)
    peak = tl.max(tl.maximum(tl.maximum(here, half), after), 0)
    p = tl.exp(here - peak)
    middle = 4.0 * tl.exp(half - peak)
    cell = (p + middle + tl.exp(after - peak)) / 6.0
    left = (tl.exp(before - peak) + 4.0 * tl.exp(half_before - peak) + p) / 6.0
    left = tl.where(place > 0, left, 0.0)
    total = tl.sum(cell, 0)
    lower = tl.cumsum(left, 0) / total
    upper = tl.cumsum(cell, 0, reverse=True) / total
    p = p / total
    below = lower <= upper
    tail = tl.where(below, lower, upper)
    far = tail <= SMALLEST_TAIL
    y = normal_quantile(tl.where(far, SMALLEST_TAIL, tail))
    y = tl.where(below, y, -y)
    rate = tl.where(far, 0.0, ROOT_2_PI * tl.exp(0.5 * y * y))
    slope = p * rate
    up = tl.gather(y, tl.minimum(place + 1, CELLS - 1), 0) - y
    down = y - tl.gather(y, tl.maximum(place - 1, 0), 0)
    held = tl.where(place < CELLS - 1, tl.minimum(slope, STEEPEST * tl.maximum(up, 0.0)), slope)
    held = tl.where(place > 1, tl.minimum(held, STEEPEST * tl.maximum(down, 0.0)), held)
    return lower, upper, p, y, rate, slope, held, up, down, peak, total


@triton.jit
def store_cubics(out, y, slope):
    """The four powers of every cell into out (4, CELLS): Hermite's cubics through y and slope at
    the knots 1 … 127, the outer cells on the line with the outer slope.
    """
    place = tl.arange(0, CELLS)
    next_one = tl.minimum(place + 1, CELLS - 1)
    right = tl.gather(y, next_one, 0)
    right_slope = tl.gather(slope, next_one, 0)
    edge = place == 0
    y = tl.where(edge, right - right_slope, y)
    slope = tl.where(edge, right_slope, slope)
    right = tl.where(place == CELLS - 1, y + slope, right)
    right_slope = tl.where(place == CELLS - 1, slope, right_slope)
    rise = right - y
    tl.store(out + place, y.to(tl.float32))
    tl.store(out + CELLS + place, slope.to(tl.float32))
    tl.store(out + 2 * CELLS + place, (3.0 * rise - 2.0 * slope - right_slope).to(tl.float32))
    tl.store(out + 3 * CELLS + place, (slope + right_slope - 2.0 * rise).to(tl.float32))


@triton.jit
def table(coefficients, cubics, K: tl.constexpr, KP: tl.constexpr):
    """cubics (C, 4, CELLS) of t -> y."""
    column = tl.program_id(0)
    own = tl.arange(0, KP)
    c = tl.load(coefficients + column * K + own, mask=own < K, other=0.0).to(tl.float64)
    _, _, _, y, _, _, slope, _, _, _, _ = knots(c, K, KP)
    store_cubics(cubics + column * 4 * CELLS, y, slope)


@triton.jit
def jacobian(coefficients, out, K: tl.constexpr, KP: tl.constexpr):
    """out (C, K, 4, CELLS): the derivative of the cubics by each coefficient."""
    column = tl.program_id(0)
    own = tl.arange(0, KP)
    c = tl.load(coefficients + column * K + own, mask=own < K, other=0.0).to(tl.float64)
    lower, upper, p, y, rate, slope, held, up, down, peak, total = knots(c, K, KP)
    place = tl.arange(0, CELLS)
    step = 2.0 / CELLS
    t = place.to(tl.float64) * step - 1.0
    scale = 1.0 / total
    here = tl.exp(exponent(c, t, K, KP) - peak) * scale
    half = 4.0 * tl.exp(exponent(c, t + 0.5 * step, K, KP) - peak) * scale
    after = tl.exp(exponent(c, t + step, K, KP) - peak) * scale
    half_before = 4.0 * tl.exp(exponent(c, t - 0.5 * step, K, KP) - peak) * scale
    before = tl.exp(exponent(c, t - step, K, KP) - peak) * scale
    for j in tl.static_range(K):
        at_here = polynomial(t, j + 1)
        cell = here * at_here + half * polynomial(t + 0.5 * step, j + 1)
        cell = (cell + after * polynomial(t + step, j + 1)) / 6.0
        left = before * polynomial(t - step, j + 1)
        left = (left + half_before * polynomial(t - 0.5 * step, j + 1) + here * at_here) / 6.0
        left = tl.where(place > 0, left, 0.0)
        by_total = tl.sum(cell, 0)
        by_lower = tl.cumsum(left, 0) - lower * by_total
        by_upper = tl.cumsum(cell, 0, reverse=True) - upper * by_total
        by_y = rate * tl.where(lower <= upper, by_lower, -by_upper)
        by_slope = p * rate * (at_here - by_total + y * by_y)
        by_up = tl.gather(by_y, tl.minimum(place + 1, CELLS - 1), 0) - by_y
        by_down = by_y - tl.gather(by_y, tl.maximum(place - 1, 0), 0)
        from_up = (place < CELLS - 1) & (held < slope) & (held == STEEPEST * tl.maximum(up, 0.0))
        from_down = (place > 1) & (held < slope) & (held == STEEPEST * tl.maximum(down, 0.0))
        by_held = tl.where(from_up, STEEPEST * by_up * tl.where(up > 0, 1.0, 0.0), by_slope)
        by_held = tl.where(
            from_down & (from_up == 0), STEEPEST * by_down * tl.where(down > 0, 1.0, 0.0), by_held
        )
        store_cubics(out + (column * K + j) * 4 * CELLS, by_y, by_held)


@triton.jit
def combine(
    part, c, averages, frame, back, by_weight, by_bias, size, count, chunks, table, weights, nodes,
    RIDGE: tl.constexpr, K: tl.constexpr, KP: tl.constexpr, MP: tl.constexpr, N: tl.constexpr,
    SLOTS: tl.constexpr, AVERAGES: tl.constexpr, CHUNKS: tl.constexpr,
):
    """back (C, 2 + K): averages of dz and of dz z, and h / size; see `torch_bridge.ops.match`."""
    column = tl.program_id(0)
    total = added(part, chunks, count, column, K + 4, SLOTS, CHUNKS)
    slot = tl.arange(0, SLOTS)
    tl.store(by_bias + column, tl.sum(tl.where(slot == 0, total, 0.0), 0).to(tl.float32))
    tl.store(by_weight + column, tl.sum(tl.where(slot == 1, total, 0.0), 0).to(tl.float32))
    own = tl.arange(0, KP)
    held = own < K
    by_c = tl.where(held, tl.gather(total, tl.where(held, own + 4, 0), 0), 0.0)
    coefficients = tl.load(c + column * K + own, mask=held, other=0.0).to(tl.float64)
    p, _ = density(coefficients, table, weights, nodes, K, KP, N)
    _, hessian = hessian_of(means(p, table, nodes, 2 * K + 1, MP, N), RIDGE, K, KP)
    h, definite = solved(hessian, by_c, K, KP)
    h = tl.where(definite & held, h, 0.0) + tl.where(held, 0.0 * by_c, 0.0)
    average = tl.load(averages + column * AVERAGES + tl.arange(0, AVERAGES))
    slopes = tl.gather(average, tl.where(held, own + K + 2, 0), 0)
    ahead = tl.gather(average, tl.where(held, own + 2, 0), 0)
    # E T_|j - 2| for j = 1 …: E T_1, 1, E T_1, E T_2, …
    behind = tl.gather(average, tl.where(own == 0, 0, tl.maximum(own - 2, 0)), 0)
    behind = tl.where(own == 1, 1.0, behind)
    along = (own + 1).to(tl.float64) * (behind - ahead) / 4.0
    dz = tl.sum(tl.where(slot == 2, total, 0.0), 0) / size + tl.sum(h * slopes, 0) / size
    dz_z = tl.sum(tl.where(slot == 3, total, 0.0), 0) / size + tl.sum(h * along, 0) / size
    tl.store(back + column * (K + 2), dz.to(tl.float32))
    tl.store(back + column * (K + 2) + 1, dz_z.to(tl.float32))
    tl.store(back + column * (K + 2) + 2 + own, (h / size).to(tl.float32), mask=held)


@triton.jit
def note(
    mean, var, m, c, status, residual, taken, batches, running_mean, running_var, running_m,
    running_c, running_status, running_residual, running_taken, count, size, LARGEST: tl.constexpr,
    MOMENTUM: tl.constexpr, K: tl.constexpr, KP: tl.constexpr, BC: tl.constexpr,
):
    """A batch into the running statistics; see MomentMatch.update."""
    column = tl.program_id(0) * BC + tl.arange(0, BC)
    held = column < count
    seen = tl.load(batches)
    factor = tl.full((BC,), 0.0, tl.float64) + MOMENTUM
    if MOMENTUM < 0.0:
        factor = 1.0 / (factor * 0.0 + seen)
    factor = factor.to(tl.float32)
    old = tl.load(running_mean + column, mask=held, other=0.0)
    new = tl.load(mean + column, mask=held, other=0.0)
    tl.store(running_mean + column, old + factor * (new - old), mask=held)
    old = tl.load(running_var + column, mask=held, other=0.0)
    new = tl.load(var + column, mask=held, other=0.0) * (size / tl.maximum(size - 1.0, 1.0))
    new = tl.where(new > LARGEST, LARGEST, new)
    tl.store(running_var + column, old + factor * (new - old), mask=held)
    tl.store(running_status + column, tl.load(status + column, mask=held, other=0), mask=held)
    tl.store(running_taken + column, tl.load(taken + column, mask=held, other=0), mask=held)
    worst = tl.load(residual + column, mask=held, other=0.0)
    tl.store(running_residual + column, worst, mask=held)
    j = tl.arange(0, KP)[None, :]
    held = held[:, None] & (j < K)
    at = column[:, None] * K + j
    tl.store(running_c + at, tl.load(c + at, mask=held, other=0.0), mask=held)
    first = tl.where(factor * 0.0 + seen == 1.0, 1.0, factor)[:, None]
    old = tl.load(running_m + at, mask=held, other=0.0)
    new = tl.load(m + at, mask=held, other=0.0)
    tl.store(running_m + at, tl.where(first == 1.0, new, old + first * (new - old)), mask=held)
