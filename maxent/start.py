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
from maxent._kernels.window import HALF
from maxent.quadrature import gauss_hermite, gauss_laguerre


def first_exponent(support, moments, share):
    """-share·K as coefficients (columns, k+1), for interior moments; k even on the line."""
    k = moments.shape[1] - 1
    half = support.ends == HALF
    t, w = (gauss_laguerre if half else gauss_hermite)(k + 2)
    recs = support.basis.recurrence(k + 1), support.basis.recurrence(k)
    c = np.zeros(moments.shape)
    unbounded_start(np.ascontiguousarray(moments), recs, half, share, t, w, c)
    return c
