"""Newton's iteration in a Triton kernel, one program a column: `kernels` for CUDA tensors.

All in float64: a column has a few thousand numbers, and what it takes is hidden behind the latency
of the iteration. Vectors of the degree are padded to KP, of the moments to MP, of the nodes to N,
all powers of two; padded nodes have weight 0 and padded coefficients the unit matrix. RIDGE and EPS
are constants of the compilation, since a number that is passed arrives in float32.
"""

import triton
import triton.language as tl

ARMIJO: tl.constexpr = tl.constexpr(1e-4)
SHRINK: tl.constexpr = tl.constexpr(0.25)
ROUNDING: tl.constexpr = tl.constexpr(4.0)
LOG_2: tl.constexpr = tl.constexpr(0.6931471805599453)


@triton.jit
def density(c, table, weights, nodes, K: tl.constexpr, KP: tl.constexpr, N: tl.constexpr):
    """(p, log Z): the masses at the nodes under c, with sum 1; table (…, nodes) from T_0."""
    node = tl.arange(0, N)
    j = tl.arange(0, KP)
    held = (j < K)[:, None] & (node < nodes)[None, :]
    basis = tl.load(table + (j + 1)[:, None] * nodes + node[None, :], mask=held, other=0.0)
    q = tl.sum(basis * c[:, None], 0)
    inside = node < nodes
    peak = tl.max(tl.where(inside, q, -float("inf")), 0)
    w = tl.load(weights + node, mask=inside, other=0.0)
    p = tl.where(inside, tl.exp(q - peak), 0.0) * w
    mass = tl.sum(p, 0)
    return p / mass, peak + tl.log(mass)


@triton.jit
def means(p, table, nodes, COUNT: tl.constexpr, MP: tl.constexpr, N: tl.constexpr):
    """E T_0 … E T_{COUNT - 1} (MP,) under the masses p."""
    node = tl.arange(0, N)
    j = tl.arange(0, MP)
    held = (j < COUNT)[:, None] & (node < nodes)[None, :]
    basis = tl.load(table + j[:, None] * nodes + node[None, :], mask=held, other=0.0)
    return tl.sum(basis * p[None, :], 1)


@triton.jit
def hessian_of(mean, RIDGE: tl.constexpr, K: tl.constexpr, KP: tl.constexpr):
    """(E T_1 … (KP,), Cov(T) + ridge (KP, KP)) from E T_0 … E T_2k; see `operators`."""
    flat = tl.arange(0, KP * KP)
    i = flat // KP
    j = flat % KP
    held = (i < K) & (j < K)
    plus = tl.gather(mean, tl.where(held, i + j + 2, 0), 0)
    minus = tl.gather(mean, tl.where(held, tl.abs(i - j), 0), 0)
    mu_i = tl.gather(mean, tl.where(held, i + 1, 0), 0)
    mu_j = tl.gather(mean, tl.where(held, j + 1, 0), 0)
    covariance = 0.5 * (plus + minus) - mu_i * mu_j + tl.where(i == j, RIDGE, 0.0)
    covariance = tl.where(held, covariance, tl.where(i == j, 1.0, 0.0))
    own = tl.arange(0, KP)
    mu = tl.gather(mean, tl.where(own < K, own + 1, 0), 0)
    return tl.where(own < K, mu, 0.0), tl.reshape(covariance, (KP, KP))


@triton.jit
def solved(matrix, b, K: tl.constexpr, KP: tl.constexpr):
    """(matrix^-1 b (KP,), whether matrix is positive definite), by elimination without pivots."""
    own = tl.arange(0, KP)
    row_number = own[:, None]
    column_number = own[None, :]
    definite = True
    for step in tl.static_range(K):
        row = tl.sum(tl.where(row_number == step, matrix, 0.0), 0)
        column = tl.sum(tl.where(column_number == step, matrix, 0.0), 1)
        pivot = tl.sum(tl.where(own == step, row, 0.0), 0)
        value = tl.sum(tl.where(own == step, b, 0.0), 0)
        definite = definite & (pivot > 0.0)
        pivot = tl.where(pivot > 0.0, pivot, 1.0)
        factor = tl.where(own == step, 0.0, column / pivot)
        matrix = matrix - factor[:, None] * row[None, :]
        b = b - factor * value
    diagonal = tl.sum(tl.where(row_number == column_number, matrix, 0.0), 1)
    return b / tl.where(own < K, diagonal, 1.0), definite


@triton.jit
def descend(
    m, start, steps, table, weights, nodes,
    RIDGE: tl.constexpr, EPS: tl.constexpr, K: tl.constexpr, KP: tl.constexpr, MP: tl.constexpr,
    N: tl.constexpr,
):
    """(c (KP,), the number of steps) from m and a start (KP,); see kernels.descend."""
    c = tl.zeros((KP,), tl.float64)
    d = start
    length = 1.0 + tl.sum(c, 0)
    dual = LOG_2 + tl.sum(c, 0)
    decrement = tl.sum(c, 0)
    near = dual < 0.0
    running = dual > 0.0
    taken = steps
    step = 0
    while (step <= steps) & running:
        trial = c + length * d
        p, log_z = density(trial, table, weights, nodes, K, KP, N)
        mean = means(p, table, nodes, 2 * K + 1, MP, N)
        mu, hessian = hessian_of(mean, RIDGE, K, KP)
        value = log_z + tl.sum(trial * (0.5 * RIDGE * trial - m), 0)
        size = 1.0 + tl.abs(log_z) + tl.sum(tl.abs(trial), 0)
        noise = ROUNDING * EPS * size
        lower = value <= dual - ARMIJO * length * decrement + noise
        g = mu + RIDGE * trial - m
        newton, definite = solved(hessian, -g, K, KP)
        c = tl.where(lower, trial, c)
        # the step after one whose gain was rounding is the last
        last = lower & (near | (definite == 0))
        taken = tl.where(last, step, taken)
        running = running & (last == 0)
        fell = -tl.sum(g * newton, 0)
        d = tl.where(lower, newton, d)
        dual = tl.where(lower, value, dual)
        decrement = tl.where(lower, fell, decrement)
        near = lower & (fell <= noise)
        length = tl.where(lower, 1.0, length * tl.where(step > 0, SHRINK, 0.0))
        step += 1
    return c, taken


@triton.jit
def solve_column(
    m, start, steps, table, weights, nodes, fine, fine_weights, fine_nodes,
    RIDGE: tl.constexpr, EPS: tl.constexpr, K: tl.constexpr, KP: tl.constexpr, MP: tl.constexpr,
    N: tl.constexpr, FINE: tl.constexpr,
):
    """(c (KP,), residual, steps taken); nan where m is not finite."""
    own = tl.arange(0, KP)
    total = tl.sum(m, 0)
    finite = (total - total) == 0.0
    warm = tl.sum(start, 0)
    start = tl.where((warm - warm) == 0.0, start, 0.0)
    c, taken = descend(
        tl.where(finite, m, 0.0), tl.where(finite, start, 0.0), tl.where(finite, steps, 0),
        table, weights, nodes, RIDGE, EPS, K, KP, MP, N,
    )
    p, _ = density(c, fine, fine_weights, fine_nodes, K, KP, FINE)
    measured = tl.sum(
        tl.load(
            fine + (own + 1)[:, None] * fine_nodes + tl.arange(0, FINE)[None, :],
            mask=(own < K)[:, None] & (tl.arange(0, FINE) < fine_nodes)[None, :], other=0.0,
        ) * p[None, :], 1,
    )
    apart = tl.where(own < K, tl.abs(measured + RIDGE * c - m), 0.0)
    residual = tl.max(apart, 0)
    nan = float("nan")
    return tl.where(finite, c, nan), tl.where(finite, residual, nan), taken


@triton.jit
def solve(
    m, start, steps, table, weights, nodes, fine, fine_weights, fine_nodes, c, residual, taken,
    RIDGE: tl.constexpr, EPS: tl.constexpr, K: tl.constexpr, KP: tl.constexpr, MP: tl.constexpr,
    N: tl.constexpr, FINE: tl.constexpr,
):
    """Every row of m (C, K) -> c, residual, taken; one program a row."""
    column = tl.program_id(0)
    own = tl.arange(0, KP)
    held = own < K
    at = column * K + own
    found, worst, count = solve_column(
        tl.load(m + at, mask=held, other=0.0).to(tl.float64),
        tl.load(start + at, mask=held, other=0.0).to(tl.float64),
        steps, table, weights, nodes, fine, fine_weights, fine_nodes,
        RIDGE, EPS, K, KP, MP, N, FINE,
    )
    tl.store(c + at, found, mask=held)
    tl.store(residual + column, worst)
    tl.store(taken + column, count)
