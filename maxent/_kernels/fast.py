"""Ordinary columns on an interval: minimised and confirmed in microseconds, or handed on.

The dual of `_kernels.descent` with one Gauss-Legendre rule and one table of T_j for all columns.
The product rule T_i T_j = (T_{i+j} + T_{|i-j|})/2 makes the Hessian of the first 2k means,

    H_ij = (E[T_{i+j}] + E[T_{|i-j|}])/2 - E[T_i] E[T_j] = U^T U,      P = U^-T,

so that a Newton step is one exponential a node, 2k sums over the nodes, and one small Cholesky
factorisation. Nothing here is believed that is not proved or measured:

  * the rule is fine enough, by Trefethen's bound on the Gauss error (Approximation Theory and
    Approximation Practice, 2013, theorem 19.3) for n nodes and f = p T_j analytic in an ellipse,

        |error| <= 64/15 max_ellipse |f| rho^(-2n) / (rho^2 - 1),      |p| = exp(Re log p),

    where  Re log p = c_0 + sum_j c_j (rho^j + rho^-j)/2 cos(j theta)  on the ellipse of radius rho;
  * mass and moments are measured again by Clenshaw-Curtis with both end points and twice as many
    nodes, from q summed downwards, T_j by recurrence, and the exponential of the C library.

A column that fails either, or whose Cholesky pivots are small, is left to the certain path.
"""

import math

import numpy as np
from numba import njit

from .newton import GRADIENT_ROUNDING, first_length

# How a column ended.
CONFIRMED, TOO_COARSE, REFUSED = 0, 1, 2
HALVINGS = 6
ARMIJO = 1e-4
DECREMENT = 1e-13
BLURRED = 4.0
# The Hessian is a difference of numbers of O(1) known to a few 2^-53: a pivot below this has lost
# more than two thirds of its digits.
SMALLEST_PIVOT = 1e-11
# Far from the answer a rule that is too coarse is no reason to stop.
NEAR = 0.5

# exp: x = n log 2 + r with |r| <= log(2)/2, and Taylor's polynomial of degree 13 (4e-18 left over).
# Adding SHIFTER rounds to an integer and leaves it in the low bits.
LOG2E = 1.4426950408889634
LN2_HIGH = 0.693147180369123816490
LN2_LOW = 1.90821492927058770002e-10
SHIFTER = 6755399441055744.0  # 1.5 * 2^52
LOWEST, HIGHEST = -700.0, 700.0


@njit(cache=True, nogil=True, fastmath={"contract"})
def exponential(x, out):
    """exp(x) into out, both (n,), in loops that vectorise; x is held within ±700."""
    n = x.shape[0]
    bits = out.view(np.int64)
    for i in range(n):
        v = x[i]
        v = v if v > LOWEST else LOWEST
        v = v if v < HIGHEST else HIGHEST
        z = v * LOG2E + SHIFTER
        whole = z - SHIFTER
        r = v - whole * LN2_HIGH
        r = r - whole * LN2_LOW
        s = 1.6059043836821613e-10
        s = s * r + 2.08767569878681e-09
        s = s * r + 2.505210838544172e-08
        s = s * r + 2.755731922398589e-07
        s = s * r + 2.7557319223985893e-06
        s = s * r + 2.48015873015873e-05
        s = s * r + 1.984126984126984e-04
        s = s * r + 1.388888888888889e-03
        s = s * r + 8.333333333333333e-03
        s = s * r + 4.1666666666666664e-02
        s = s * r + 1.6666666666666666e-01
        s = s * r + 0.5
        s = s * r + 1.0
        x[i] = s * r + 1.0
        out[i] = z
    for i in range(n):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(n):
        out[i] *= x[i]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def means(c, table, weights, q, p, out):
    """Means of T_1 … T_2k under exp(sum c_j T_j), relative to its mass, into out; the mass."""
    k = c.shape[0] - 1
    n = weights.shape[0]
    for i in range(n):
        q[i] = c[0]
    for j in range(1, k + 1):
        cj = c[j]
        row = table[j]
        for i in range(n):
            q[i] += cj * row[i]
    exponential(q, p)
    mass = 0.0
    for i in range(n):
        p[i] *= weights[i]
        mass += p[i]
    out[0] = 1.0
    for j in range(1, 2 * k + 1):
        row = table[j]
        total = 0.0
        for i in range(n):
            total += p[i] * row[i]
        out[j] = total / mass
    return mass


@njit(cache=True, nogil=True)
def factorise(mean, m, U):
    """U of H = U^T U, (k, k), and U^-T (gradient) in its column k; False where a pivot is small."""
    k = m.shape[0] - 1
    for j in range(k):
        row = U[j]
        mj = mean[j + 1]
        for i in range(j, k):
            row[i] = 0.5 * (mean[i + j + 2] + mean[i - j]) - mj * mean[i + 1]
        row[k] = mj - m[j + 1]
        for l in range(j):
            above = U[l]
            share = above[j]
            for i in range(j, k + 1):
                row[i] -= share * above[i]
        pivot = row[j]
        if not pivot > SMALLEST_PIVOT:
            return False
        scale = 1.0 / math.sqrt(pivot)
        for i in range(j, k + 1):
            row[i] *= scale
    return True


@njit(cache=True, nogil=True)
def invert(U, P):
    """P = U^-T, lower triangular, (k, k)."""
    k = U.shape[0]
    for j in range(k):
        row = P[j]
        for i in range(k):
            row[i] = 0.0
        row[j] = 1.0
        for l in range(j):
            share = U[l, j]
            other = P[l]
            for i in range(l + 1):
                row[i] -= share * other[i]
        scale = 1.0 / U[j, j]
        for i in range(j + 1):
            row[i] *= scale


@njit(cache=True, nogil=True)
def blur(P, error):
    """Standard deviation under p of what moments off by `error` (k+1,) do to log p."""
    k = P.shape[0]
    total = 0.0
    for j in range(k):
        size = 0.0
        for i in range(j + 1):
            size += abs(P[j, i]) * error[i + 1]
        total += size * size
    return math.sqrt(total)


@njit(cache=True, nogil=True)
def proved(c, nodes, log_growth, log_factor, cosines, values):
    """Do `nodes` Gauss points integrate p T_j, j <= k, to rounding? First by sum |c_j| cosh, then
    by the maximum over the ellipse: a cosine polynomial of degree k whose values at n + 1 >= 4k + 1
    equal steps lie within R of their middle stays within R / cos(pi k / 2n) of it.
    """
    k = c.shape[0] - 1
    n = cosines.shape[1] - 1
    for e in range(log_factor.shape[0]):
        most = c[0]
        for j in range(1, k + 1):
            most += abs(c[j]) * log_growth[e, j]
        if most + log_factor[e] < 0.0:
            return True
    widening = 1.0 / math.cos(0.5 * math.pi * k / n)
    for e in range(log_factor.shape[0]):
        for i in range(n + 1):
            values[i] = 0.0
        for j in range(1, k + 1):
            cj = c[j] * log_growth[e, j]
            row = cosines[j]
            for i in range(n + 1):
                values[i] += cj * row[i]
        low = values[0]
        high = values[0]
        for i in range(n + 1):
            low = min(low, values[i])
            high = max(high, values[i])
        if c[0] + 0.5 * (low + high) + 0.5 * (high - low) * widening + log_factor[e] < 0.0:
            return True
    return False


@njit(cache=True, nogil=True, fastmath={"contract"})
def measure(c, t, w, f, now, before, out):
    """Integrals of T_0 … T_k exp(q) by the nodes t and weights w, q summed downwards."""
    k = c.shape[0] - 1
    n = t.shape[0]
    for i in range(n):
        now[i] = c[k]
        before[i] = 0.0
    for j in range(k - 1, 0, -1):
        cj = c[j]
        for i in range(n):
            new = cj + 2.0 * t[i] * now[i] - before[i]
            before[i] = now[i]
            now[i] = new
    for i in range(n):
        f[i] = w[i] * math.exp(c[0] + t[i] * now[i] - before[i])
        before[i] = 1.0
        now[i] = t[i]
    out[0] = plain_sum(f)
    for j in range(1, k + 1):
        out[j] = step_and_sum(f, t, now, before)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def plain_sum(f):
    total = 0.0
    for i in range(f.shape[0]):
        total += f[i]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def step_and_sum(f, t, now, before):
    """sum f T_j for T_j in `now`, which then becomes T_{j+1}."""
    total = 0.0
    for i in range(f.shape[0]):
        x = now[i]
        total += f[i] * x
        now[i] = 2.0 * t[i] * x - before[i]
        before[i] = x
    return total


@njit(cache=True, nogil=True)
def descend(m, c, rule, limit, work, counts):
    """Newton's descent from c, in place: on success 0, c[0] = -log Z, and U, P belong to c.

    counts: steps, evaluations, decrement; they are added to, but for the decrement.
    """
    table, weights, log_growth, log_factor, cosines, _, _ = rule
    q, p, values, mean, trial_mean, trial, step, U, P, flat = work
    k = m.shape[0] - 1
    n = weights.shape[0]
    mass = means(c, table, weights, q, p, mean)
    counts[1] += 1
    c[0] -= math.log(mass)
    d = -c[0]
    for j in range(1, k + 1):
        d -= c[j] * m[j]
    for steps in range(limit + 1):
        if not factorise(mean, m, U):
            return REFUSED
        decrement = 0.0
        for j in range(k):
            decrement += U[j, k] * U[j, k]
        decrement = math.sqrt(decrement)
        counts[2] = decrement
        if decrement < 1e-9:
            invert(U, P)
            if decrement <= max(DECREMENT, BLURRED * blur(P, flat)):
                return (
                    CONFIRMED
                    if proved(c, n, log_growth, log_factor, cosines, values)
                    else TOO_COARSE
                )
        elif decrement < NEAR and not proved(c, n, log_growth, log_factor, cosines, values):
            return TOO_COARSE
        if steps == limit:
            return REFUSED
        for j in range(k - 1, -1, -1):
            row = U[j]
            s = row[k]
            for i in range(j + 1, k):
                s += row[i] * step[i + 1]
            step[j + 1] = -s / row[j]
        length = first_length(decrement)
        counts[0] += 1
        found = False
        for _ in range(HALVINGS):
            # log Z moves by about this: the exponent stays normalised, and needs no peak taken out
            trial[0] = c[0]
            for j in range(1, k + 1):
                trial[j] = c[j] + length * step[j]
                trial[0] -= length * step[j] * mean[j]
            mass = means(trial, table, weights, q, p, trial_mean)
            counts[1] += 1
            trial[0] -= math.log(mass)
            lower = -trial[0]
            size = abs(lower)
            for j in range(1, k + 1):
                lower -= trial[j] * m[j]
                size += abs(trial[j])
            if lower <= d - ARMIJO * length * decrement * decrement + 1e-15 * size:
                found = True
                break
            length *= 0.5
        if not found:
            return REFUSED
        d = lower
        c[:] = trial
        mean, trial_mean = trial_mean, mean
    return REFUSED


@njit(cache=True, nogil=True)
def solve_columns(m, error, rule, limit, believed, c, codes, numbers):
    """Every row of m (columns, k+1), from its row of c; codes says how it ended.

    numbers (columns, 7): steps, evaluations, decrement, moment error, mass error, condition, and
    what `error` and moment error together blur.
    """
    _, weights, _, _, cosines, t, w = rule
    k = m.shape[1] - 1
    fine = t.shape[0]
    flat = np.full(k + 1, GRADIENT_ROUNDING)
    q, p = np.empty(weights.shape[0]), np.empty(weights.shape[0])
    values, now, before = np.empty(cosines.shape[1]), np.empty(fine), np.empty(fine)
    f, measured, off = np.empty(fine), np.empty(k + 1), np.empty(k + 1)
    mean, trial_mean = np.empty(2 * k + 1), np.empty(2 * k + 1)
    trial, step = np.empty(k + 1), np.empty(k + 1)
    U, P = np.empty((k, k + 1)), np.empty((k, k))
    work = q, p, values, mean, trial_mean, trial, step, U, P, flat
    for column in range(m.shape[0]):
        out = numbers[column]
        codes[column] = descend(m[column], c[column], rule, limit, work, out)
        if codes[column] != CONFIRMED:
            continue
        measure(c[column], t, w, f, now, before, measured)
        out[3] = 0.0
        off[0] = 0.0
        for j in range(1, k + 1):
            gap = abs(measured[j] / measured[0] - m[column, j])
            off[j] = error[column, j] + gap
            out[3] = max(out[3], gap)
        out[4] = abs(measured[0] - 1.0)
        trace = 0.0
        inverse = 0.0
        for j in range(k):
            for i in range(j + 1):
                trace += U[i, j] * U[i, j]
                inverse += P[j, i] * P[j, i]
        out[5] = trace * inverse
        out[6] = blur(P, off)
        if not (out[3] <= believed and out[4] <= believed and out[6] < 1.0):
            codes[column] = TOO_COARSE
