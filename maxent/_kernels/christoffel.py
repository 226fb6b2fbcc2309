"""-a times the reciprocal Christoffel function of given moments, as a polynomial in the basis.

See `maxent.start` for why.  The orthonormal polynomials come from the Jacobi matrix of the
moments, and the coefficients of their sum of squares from a Gauss rule of the basis' own weight,
which is exact.
"""

import math

import numpy as np

from .compiled import TRUE, kernel
from .feasibility import unbounded_jacobi
from .recurrence import table


@kernel
def unbounded_start(m, recurrences, share, rules, weights, c):
    """For line and half line, columns of m (columns, k+1).

    Even k = 2n:  Σ_{j<=n} φ̂_j(t)².   Odd k = 2n+1 (half line):  t Σ_{j<=n} κ_j(t)², κ_j
    orthonormal for t dμ. recurrences (columns, 3, k+1); rules, weights (columns, nodes): the Gauss
    rule of each basis' weight, exact to degree 2k.
    """
    columns, size = m.shape
    k = size - 1
    n = k // 2
    nodes = rules.shape[1]
    phi = np.empty((size + 1, nodes))
    squares_sum = np.empty(nodes)
    before, now = np.empty(nodes), np.empty(nodes)
    given = np.zeros(k + 2)
    for i in range(columns):
        long, t, w = recurrences[i], rules[i], weights[i]
        table(t, nodes, long, phi)
        for j in range(size):
            given[j] = m[i, j]
        odd = k % 2
        diagonal, squares = unbounded_jacobi(given, long, k + 1 if odd == 0 else k + 2, TRUE)
        if odd == 1:
            # qd: a_l = ζ_{2l} + ζ_{2l+1}, b_l = ζ_{2l-1} ζ_{2l};  for t dμ all indices move up by
            # one
            zeta = np.zeros(2 * n + 3)
            zeta[1] = diagonal[0]
            for l in range(1, n + 1):
                zeta[2 * l] = squares[l - 1] / zeta[2 * l - 1]
                zeta[2 * l + 1] = diagonal[l] - zeta[2 * l]
            norm = zeta[1]
            for l in range(n):
                diagonal[l] = zeta[2 * l + 1] + zeta[2 * l + 2]
                squares[l] = zeta[2 * l + 2] * zeta[2 * l + 3]
        else:
            norm = 1.0
        last = 0.0
        for s in range(nodes):
            before[s] = 0.0
            now[s] = 1.0 / math.sqrt(max(norm, 1e-300))
            squares_sum[s] = now[s] * now[s]
        for j in range(n):
            root = math.sqrt(max(squares[j], 1e-300))
            for s in range(nodes):
                after = ((t[s] - diagonal[j]) * now[s] - last * before[s]) / root
                before[s] = now[s]
                now[s] = after
                squares_sum[s] += after * after
            last = root
        for j in range(size):
            total = 0.0
            for s in range(nodes):
                factor = t[s] if odd == 1 else 1.0
                total += w[s] * squares_sum[s] * factor * phi[j, s]
            c[i, j] = -share * total
        c[i, 0] = 0.0
