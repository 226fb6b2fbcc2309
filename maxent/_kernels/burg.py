"""Burg's density, which has the moments of an interval's column and whose logarithm costs k² steps.

The Chebyshev moments of p(t), t = cos theta, are autocorrelations m_j = E[cos j theta]. With A(z)
the prediction polynomial of order k (Levinson 1947) and E its error, the spectrum E / |A|^2 has the
same (Burg 1975), which makes

    p(t) = E / (pi |A(e^(i theta))|^2 sin theta)

a density with all k moments: not that of largest entropy, but on the way there. A has no zero in
the unit disc, so that log A = sum g_n z^n there, and z A' = A sum n g_n z^n gives them one by one;
log p has the Chebyshev coefficients

    -2 g_n  and, for even n, + 2/n from -log sin theta,      n g_n = n a_n - sum_j j g_j a_(n-j).

Cut off at degree k they would oscillate, so they are damped towards it; and where they are large,
for a spectrum with narrow peaks, the start is a part of the way only.
"""

from .compiled import inner
from .recurrence import fill

# Sum of |c_j| beyond which the start is a part of the way.
STEEPEST = 10.0


@inner
def levinson(m, most, A, before):
    """The prediction polynomial of order `most`; returns (order reached, error of prediction)."""
    fill(A, 0.0)
    A[0] = 1.0
    error = 1.0
    size = 1.0
    for j in range(1, most + 1):
        s = 0.0
        for i in range(j):
            s += A[i] * m[j - i]
        reflection = -s / error
        next_error = error * (1.0 - reflection * reflection)
        # |A|^2 sums products as large as size^2, whose rounding must stay below a share of E.
        if not abs(reflection) < 1.0 or next_error < 1e-13 + 1e-15 * size * size:
            return j - 1, error
        for i in range(j + 1):
            before[i] = A[i] + reflection * A[j - i]
        size = 0.0
        for i in range(j + 1):
            A[i] = before[i]
            size += abs(A[i])
        error = next_error
    return most, error


@inner
def log_density(m, share, A, g, c):
    """Into c (k+1,) that share of the damped coefficients of log p, and c_0 = 0. A, g (k+1,) are
    overwritten.
    """
    k = m.shape[0] - 1
    levinson(m, k, A, g)
    size = 0.0
    c[0] = 0.0
    for n in range(1, k + 1):
        s = n * A[n]
        for j in range(1, n):
            s -= g[j] * A[n - j]
        g[n] = s  # n times g_n
        place = n / (k + 1.0)
        c[n] = ((2.0 if n % 2 == 0 else 0.0) - 2.0 * s) / n * (1.0 - place * place)
        size += abs(c[n])
    share *= min(1.0, STEEPEST / size) if size > 0.0 else 1.0
    for n in range(1, k + 1):
        c[n] *= share
