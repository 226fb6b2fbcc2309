"""Newton's iteration column by column, in float64: `tensors` with an exit of its own per column."""

import math

import numpy as np
from numba import njit

from maxent._kernels.exponential import exponential

ARMIJO = 1e-4
SHRINK = 0.25
ROUNDING = 4.0


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def means(c, table, weights, q, p, out):
    """Means of the rows of `table` under exp(sum c_j T_j) into out; log of the mass."""
    k = c.shape[0]
    n = weights.shape[0]
    for i in range(n):
        q[i] = 0.0
    for j in range(k):
        cj = c[j]
        row = table[j + 1]
        for i in range(n):
            q[i] += cj * row[i]
    peak = q[0]
    for i in range(n):
        peak = max(peak, q[i])
    for i in range(n):
        q[i] -= peak
    exponential(q, p)
    mass = 0.0
    for i in range(n):
        p[i] *= weights[i]
        mass += p[i]
    scale = 1.0 / mass
    for j in range(out.shape[0]):
        row = table[j]
        total = 0.0
        for i in range(n):
            total += p[i] * row[i]
        out[j] = total * scale
    return peak + math.log(mass)


@njit(cache=True, nogil=True)
def newton(mean, g, ridge, L, d):
    """-H^-1 g into d by a Cholesky factor in L; False where H is not positive definite."""
    k = g.shape[0]
    for i in range(k):
        for j in range(i + 1):
            s = 0.5 * (mean[i + j + 2] + mean[i - j]) - mean[i + 1] * mean[j + 1]
            if i == j:
                s += ridge
            for l in range(j):
                s -= L[i, l] * L[j, l]
            if i > j:
                L[i, j] = s / L[j, j]
            elif s > 0.0:
                L[i, i] = math.sqrt(s)
            else:
                return False
    for i in range(k):
        s = -g[i]
        for l in range(i):
            s -= L[i, l] * d[l]
        d[i] = s / L[i, i]
    for i in range(k - 1, -1, -1):
        s = d[i]
        for l in range(i + 1, k):
            s -= L[l, i] * d[l]
        d[i] = s / L[i, i]
    return True


@njit(cache=True, nogil=True)
def descend(m, start, ridge, eps, steps, table, weights, c, work):
    """c from m and a start, both (k,); the number of steps."""
    q, p, mean, trial, g, d, L = work
    k = m.shape[0]
    for j in range(k):
        c[j] = 0.0
        d[j] = start[j]
    length = 1.0
    dual = math.log(2.0)
    decrement = 0.0
    near = False
    for step in range(steps + 1):
        for j in range(k):
            trial[j] = c[j] + length * d[j]
        log_z = means(trial, table, weights, q, p, mean)
        value = log_z
        size = 1.0 + abs(log_z)
        for j in range(k):
            value += trial[j] * (0.5 * ridge * trial[j] - m[j])
            size += abs(trial[j])
        noise = ROUNDING * eps * size
        if not value <= dual - ARMIJO * length * decrement + noise:
            length *= SHRINK if step > 0 else 0.0
            near = False
            continue
        for j in range(k):
            c[j] = trial[j]
            g[j] = mean[j + 1] + ridge * c[j] - m[j]
        # the step after one whose gain was rounding is the last
        if near or not newton(mean, g, ridge, L, d):
            return step
        dual = value
        decrement = 0.0
        for j in range(k):
            decrement -= g[j] * d[j]
        near = decrement <= noise
        length = 1.0
    return steps


@njit(cache=True, nogil=True)
def solve_columns(m, start, ridge, eps, steps, table, weights, fine, fine_weights, c, residual,
                  taken):
    """Every row of m (C, k) -> c (C, k); residual and steps taken (C,). `fine` measures again."""
    k = m.shape[1]
    n = max(weights.shape[0], fine_weights.shape[0])
    q, p, measured = np.empty(n), np.empty(n), np.empty(k + 1)
    mean, trial, g, d = np.empty(2 * k + 1), np.empty(k), np.empty(k), np.empty(k)
    L, zero = np.empty((k, k)), np.zeros(k)
    nodes = weights.shape[0]
    work = q[:nodes], p[:nodes], mean, trial, g, d, L
    check_q, check_p = q[: fine_weights.shape[0]], p[: fine_weights.shape[0]]
    for column in range(m.shape[0]):
        total = 0.0
        warm = 0.0
        for j in range(k):
            total += m[column, j]
            warm += start[column, j]
        if not math.isfinite(total):
            residual[column] = math.nan
            taken[column] = 0
            for j in range(k):
                c[column, j] = math.nan
            continue
        first = start[column] if math.isfinite(warm) else zero
        taken[column] = descend(
            m[column], first, ridge, eps, steps, table, weights, c[column], work
        )
        means(c[column], fine, fine_weights, check_q, check_p, measured)
        worst = 0.0
        for j in range(k):
            worst = max(worst, abs(measured[j + 1] + ridge * c[column, j] - m[column, j]))
        residual[column] = worst
