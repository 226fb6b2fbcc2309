"""Where Newton starts on the half line and the line: at the Christoffel function of the moments.

With φ̂_j the polynomials orthonormal under the *wanted* distribution, K_n(t) = Σ_{j<=n} φ̂_j(t)²
is of degree 2n, of size n + 1 where the distribution lives (E[K_n] = n + 1 exactly), and grows
like t^2n elsewhere. So exp(-a K_n) sits where the answer does, with the right widths, falls off at
infinity, and needs only the moments. For one normal distribution and a = 1/2 it is the answer. Odd
degrees on the half line take t K_n of t dμ instead.

(K_n is the reciprocal of the Christoffel function: Nevai 1986; Lasserre & Pauwels 2019 use it to
find supports.)
"""

from __future__ import annotations

import numpy as np

from maxent._kernels.christoffel import unbounded_start
from maxent.quadrature import gauss


def first_exponent(problem, share):
    """-share·K as coefficients (columns, k+1), for interior moments; k even on the line."""
    k = problem.degree
    recurrences = problem.recurrences(k + 2)
    t, w = gauss(recurrences)
    c = np.zeros(problem.moments.shape)
    long = np.ascontiguousarray(recurrences[:, :, : k + 1])
    unbounded_start(problem.moments, long, share, t, w, c)
    return c
