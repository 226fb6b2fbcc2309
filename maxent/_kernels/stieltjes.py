"""The polynomials orthonormal under the current density, by their recurrence alone.

For weights p on nodes t (Stieltjes 1884; Gautschi 2004, section 2.2.3.1)

    beta_{j+1} phi_{j+1} = (t - alpha_j) phi_j - beta_j phi_{j-1},      alpha_j = E[t phi_j^2],

so that R, with rows 1/beta, -alpha/beta, beta_j/beta_{j+1} like those of every basis, is all there
is to store.  Rounding that has spoilt the orthogonality of phi_j here spoils it in the same way
wherever R is used: phi_j = sum_i P_ji T_i is an exact statement about R, and the means
sum_i P_ji m_i, where P is large and alternating, are summed in double-double.
"""

import math

from .compiled import inner
from .double_double import add, divide, multiply, multiply_float
from .dual import dot3
from .recurrence import fill

# What rounding of the moments to float64 puts into sum_i P_ji m_i, as a share of sum |P_ji m_i|.
ROUNDING = 1.1e-16


@inner
def stieltjes(t, n, p, R, own, moved):
    """R (3, k) and the values own[j, i] for probabilities p; False where p has too few nodes."""
    k = R.shape[1]
    for i in range(n):
        own[0, i] = 1.0
        moved[i] = p[i] * t[i]
    beta = 0.0
    for j in range(k):
        now = own[j]
        after = own[j + 1]
        before = own[max(j - 1, 0)]
        alpha = dot3(moved, now, now, n)
        for i in range(n):
            after[i] = (t[i] - alpha) * now[i] - beta * before[i]
        norm = math.sqrt(dot3(p, after, after, n))
        if not norm > 0.0:
            return False
        R[0, j] = 1.0 / norm
        R[1, j] = -alpha / norm
        R[2, j] = beta / norm
        inverse = 1.0 / norm
        for i in range(n):
            after[i] *= inverse
        beta = norm
    return True


@inner
def mean_of(m, R, rec, high, low, mean, noise):
    """sum_i P_ji m_i into mean[j], what the rounding of m puts into it into noise[j].

    high + low is P in double-double, (k+1, k+1).
    """
    k = m.shape[0] - 1
    for j in range(k + 1):
        fill(high[j], 0.0)
        fill(low[j], 0.0)
    high[0, 0] = 1.0
    for j in range(k):
        for i in range(j + 1):
            xh, xl = high[j, i], low[j, i]
            accumulate(high, low, j + 1, i, xh, xl, R[1, j])
            share, rest = divide(R[0, j], 0.0, rec[0, i], 0.0)
            xh, xl = multiply(xh, xl, share, rest)
            accumulate(high, low, j + 1, i + 1, xh, xl, 1.0)
            if rec[1, i] != 0.0:
                accumulate(high, low, j + 1, i, xh, xl, -rec[1, i])
            if i > 0:
                accumulate(high, low, j + 1, i - 1, xh, xl, rec[2, i])
        for i in range(j):
            accumulate(high, low, j + 1, i, high[j - 1, i], low[j - 1, i], -R[2, j])
    for j in range(k + 1):
        sh, sl = 0.0, 0.0
        size = 0.0
        for i in range(j + 1):
            ph, pl = multiply_float(high[j, i], low[j, i], m[i])
            sh, sl = add(sh, sl, ph, pl)
            size += abs(ph)
        mean[j] = sh
        noise[j] = ROUNDING * size


@inner
def accumulate(high, low, j, i, xh, xl, share):
    """Add share x to the entry (j, i)."""
    ph, pl = multiply_float(xh, xl, share)
    high[j, i], low[j, i] = add(high[j, i], low[j, i], ph, pl)


@inner
def expand(R, rec, inverse):
    """T_i = sum_j inverse_ij phi_j, row by row, from  a t phi_j = phi_{j+1} - b phi_j + d phi_{j-1}
    with the rows a, b, d of R.
    """
    k = R.shape[1]
    for i in range(k + 1):
        fill(inverse[i], 0.0)
    inverse[0, 0] = 1.0
    for i in range(k):
        for j in range(i + 1):
            share = rec[0, i] * inverse[i, j] / R[0, j]
            inverse[i + 1, j + 1] += share
            inverse[i + 1, j] += rec[1, i] * inverse[i, j] - share * R[1, j]
            if j > 0:
                inverse[i + 1, j - 1] += share * R[2, j]
        for j in range(i):
            inverse[i + 1, j] -= rec[2, i] * inverse[i - 1, j]


@inner
def sum_series(y, own, n, out):
    """sum_j y_j own[j, i] into out[i]."""
    for i in range(n):
        out[i] = y[0]
    for j in range(1, y.shape[0]):
        share = y[j]
        row = own[j]
        if share != 0.0:
            for i in range(n):
                out[i] += share * row[i]


@inner
def project(q, own, n, p, y, rest):
    """y with q = sum_j y_j phi_j, each coefficient from what the lower degrees left; q keeps."""
    for i in range(n):
        rest[i] = q[i]
    for j in range(y.shape[0]):
        row = own[j]
        share = dot3(p, rest, row, n)
        y[j] = share
        for i in range(n):
            rest[i] -= share * row[i]
