"""How the answer moves with its moments, and error bars.

With log p = Σ_{j>=0} c_j φ_j(t) and H = Cov(φ_i, φ_j), i, j = 1 … k, the minimum of the dual is
where E[φ] = m, so that dm = H dc and dc/dm = H⁻¹. The frame x = loc + scale·t is only a coordinate
and stays where it is. φ̂ = P φ are the polynomials orthonormal under p (`dual`), H = P⁻¹P⁻ᵀ, and
since φ̂_j, j >= 1, has mean 0 under p, c_0 = -log Z is taken care of by P_j0. With z = P dm, the
moments' change in orthonormal terms, everything becomes a sum over j = 1 … k:

    d log p(x) = Σ_j φ̂_j(t) z_j                 dc = Pᵀ z
    d F(x)     = Σ_j Φ̂_j(x) z_j                 Φ̂_j(x) = E[φ̂_j; X <= x]
    d F⁻¹(u)   = -dF(x)/p(x)  at x = F⁻¹(u)     from F(F⁻¹(u)) = u
    d entropy  = -Σ_j c_j dm_j                  from entropy = D(c) and dD/dm = -c

Error bars are the same sums for a random z (delta method). With dm of covariance V, z has the
covariance P V Pᵀ. Moments that are means of n samples have V = H/n under the fitted density, and
then PVPᵀ = 1/n:

    Var log p(x) = Σ_j φ̂_j(t)²/n      n times that, plus 1, is the reciprocal Christoffel function
    Var F(x)     = Σ_j Φ̂_j(x)²/n      <= F(1-F)/n by Bessel's inequality: never worse than counting

For weighted samples n is (Σw)²/Σw² (Kish 1965). The rounding of float64 is no random thing:
the certificate knows blur = 10^-digits >= |z|, and by Cauchy-Schwarz each sum above is at most blur
times the root of the sum of squares.

Arnoldi on multiplication by t gives the coefficients from which φ̂ is evaluated, and P. φ̂ is never
evaluated from P, whose entries are large and cancel where p is narrow (Brubeck, Nakatsukasa &
Trefethen 2021, SIAM Review 63:405). Φ̂ is integrated from the lighter tail by Gauss-Legendre on the
density's own panels.

Source for dc/dm: Mead & Papanicolaou, J. Math. Phys. 25 (1984) 2404; for the delta method, van der
Vaart, Asymptotic Statistics (1998), ch. 3.
"""

from __future__ import annotations

import numpy as np

from maxent.quadrature import panel_rule
from maxent.transform import NONE

KINDS = ("basis", "raw", "central", "standardized", "chebyshev")
# Points whose nodes are held in memory at one time.
BLOCK = 4096
# Panels end where p is e^-50 of its maximum: below, a mass is not known relatively.
DEEPEST = 1e-18
# Outer edges of panels, recovered from their nodes, are right to this share of the whole range.
SNAP = 1e-13
# A covariance may be indefinite by so much of its largest eigenvalue: rounding.
INDEFINITE = 1e-12


class _Column:
    """φ̂ and Φ̂ of one solved column, at points t of its reference coordinate.

    P (k, k): z = P dm; the row and column of φ_0 are left out.
    slopes (k,): log p = Σ_j slopes_j φ̂_j and a constant, so that d entropy = -slopes·z. With a
    transform y = g(x), p is the density of x and log p has the summand log dy/dx, of which only
    the projection on φ̂ counts: bend (k,).
    """

    def __init__(self, density, j):
        _, loc, scale, support = density._column(j)
        self.k = density.degree
        self.c, self.basis = density._series(j)
        atoms = support.atoms_of_reference()
        if atoms is None:
            t, p = density._nodes(j, self.k)
            self.gauss = panel_rule(self.k)[:2]
            nodes = self.gauss[0].size
            ends = t.reshape(-1, nodes)[:, [0, -1]]
            middle, half = ends.mean(axis=1), 0.5 * np.diff(ends)[:, 0] / self.gauss[0][-1]
            self.left, self.right = middle - half, middle + half
            self._snap(support)
        else:
            t, weights = atoms
            p = weights * np.exp(self.basis.evaluate(t, self.k) @ self.c)
            p /= p.sum()
            self.gauss, nodes = None, 1
            self.left = self.right = t
        Q = self._arnoldi(t, p)
        self.P = self._in_basis(density.basis[j])[1:, 1:]
        self.bend = (p * density.transform.log_slope(loc + scale * t)) @ Q[:, 1:]
        self.slopes = (p * (self.basis.evaluate(t, self.k) @ self.c)) @ Q[:, 1:] + self.bend
        part = (p[:, None] * Q).reshape(-1, nodes, self.k + 1).sum(axis=1)
        zero = np.zeros((1, self.k + 1))
        self.before = np.concatenate([zero, np.cumsum(part, axis=0)])
        self.after = np.concatenate([np.cumsum(part[::-1], axis=0)[::-1], zero])

    def _snap(self, support):
        """The ends of the support, exactly: thin tails begin there."""
        lower, upper = {"chebyshev": (-1.0, 1.0), "laguerre": (0.0, np.inf)}.get(
            support.basis.name, (-np.inf, np.inf)
        )
        width = np.diff([self.left[0], self.right[-1]])[0]
        if abs(self.left[0] - lower) <= SNAP * width:
            self.left[0] = lower
        if abs(self.right[-1] - upper) <= SNAP * width:
            self.right[-1] = upper

    def _arnoldi(self, t, p):
        """φ̂ at the nodes, (n, k+1); keeps the coefficients of the recurrence."""
        Q = np.ones((t.size, self.k + 1))
        self.h = np.zeros((self.k + 1, self.k + 1))
        for j in range(self.k):
            v = t * Q[:, j]
            for _ in range(2):
                along = Q[:, : j + 1].T @ (p * v)
                v = v - Q[:, : j + 1] @ along
                self.h[: j + 1, j] += along
            self.h[j + 1, j] = np.sqrt(p @ v**2)
            Q[:, j + 1] = v / self.h[j + 1, j]
        return Q

    def _in_basis(self, basis):
        """φ̂ in terms of φ: P, (k+1, k+1), with t φ_i = (φ_{i+1} - b_i φ_i + d_i φ_{i-1})/a_i."""
        a, b, d = basis.recurrence(self.k)
        P = np.eye(self.k + 1)
        for j in range(self.k):
            x = P[j, : self.k] / a
            row = -P[: j + 1].T @ self.h[: j + 1, j]
            row[1:] += x
            row[:-1] -= b * x
            row[:-2] += (d * x)[1:]
            P[j + 1] = row / self.h[j + 1, j]
        return P

    def polynomials(self, t):
        """φ̂_0 … φ̂_k at t (n,): (n, k+1)."""
        Q = np.ones((t.size, self.k + 1))
        for j in range(self.k):
            Q[:, j + 1] = (t * Q[:, j] - Q[:, : j + 1] @ self.h[: j + 1, j]) / self.h[j + 1, j]
        return Q

    def partial_means(self, t):
        """∫_{-∞}^t φ̂_j p for j = 0 … k, (n, k+1); j >= 1 right relatively in both tails."""
        out = np.empty((t.size, self.k + 1))
        for at in range(0, t.size, BLOCK):
            out[at : at + BLOCK] = self._partial_means(t[at : at + BLOCK])
        return out

    def _partial_means(self, t):
        begun = np.searchsorted(self.left, t, side="right")  # panels (or atoms) at or before t
        low = self._whole(begun)
        if self.gauss is None:
            return low
        i = np.maximum(begun - 1, 0)
        inside = (begun > 0) & (t < self.right[i])
        if inside.any():
            low[inside] = self._within(t[inside], i[inside])
        return low

    def _whole(self, i):
        """The first i panels, from the lighter side."""
        low = self.before[i]
        return np.where(low[:, :1] <= 0.5, low, np.eye(1, self.k + 1) - self.after[i])

    def _within(self, t, i):
        """The panels before panel i and a piece of it, or from the other end where that is
        lighter."""
        out = self.before[i] + self._piece(self.left[i], t)
        heavy = np.flatnonzero(out[:, 0] > 0.5)
        i, t = i[heavy], t[heavy]
        beyond = self.after[i + 1] + self._piece(t, self.right[i])
        out[heavy] = np.eye(1, self.k + 1) - beyond  # φ̂_0 has mean 1, all others 0
        return out

    def _piece(self, a, b):
        """∫_a^b φ̂_j p, a and b (n,) in one panel: (n, k+1)."""
        nodes, weights = self.gauss
        half = 0.5 * (b - a)
        t = (a + half)[:, None] + half[:, None] * nodes
        p = np.exp(self.basis.evaluate(t, self.k) @ self.c) * weights * half[:, None]
        return np.einsum("ns,nsj->nj", p, self.polynomials(t.ravel()).reshape(*t.shape, self.k + 1))


class _Answers:
    """Of every solved column of a density: φ̂(x), Φ̂(x), and what a method makes of them."""

    def __init__(self, density):
        self.density = density
        self._known = {}

    def _column(self, j):
        if j not in self._known:
            self._known[j] = _Column(self.density, j)
        return self._known[j]

    def _columns(self):
        """(index, _Column or None) of all columns."""
        number = int(np.prod(self.density.batch_shape))
        return [(j, self._column(j) if self.density._solved(j) else None) for j in range(number)]

    def _over(self, x, method, *size):
        """method(j, values (n,)) -> (n, *size) for each column, at x that broadcasts with the
        batch."""
        x = np.asarray(x, dtype=float)
        shape = np.broadcast_shapes(x.shape, self.density.batch_shape)
        number = int(np.prod(self.density.batch_shape))
        flat = np.broadcast_to(x, shape).reshape(-1, number)
        out = np.full((*flat.shape, *size), np.nan)
        for j, column in self._columns():
            if column is not None:
                known = np.flatnonzero(~np.isnan(flat[:, j]))
                out[known, j] = method(j, flat[known, j])
        return out.reshape((*shape, *size))[()]

    def _log_slopes(self, j, x):
        """φ̂_1 … φ̂_k at x (n,), nan outside of the support: (n, k)."""
        _, loc, scale, support = self.density._column(j)
        y = self.density.transform.place(x)
        out = self._column(j).polynomials((y - loc) / scale)[:, 1:]
        out[~support.contains(y)] = np.nan
        return out

    def _slopes(self, j, x):
        """Φ̂_1 … Φ̂_k at x (n,): (n, k)."""
        _, loc, scale, _ = self.density._column(j)
        t = (self.density.transform.place(x) - loc) / scale
        return np.sign(scale) * self._column(j).partial_means(t)[:, 1:]

    def _quantile_slopes(self, j, u, upward="ppf", downward="isf"):
        """-Φ̂/p at the quantiles of u (n,): (n, k); nan where the tail is too thin to know."""
        *_, support = self.density._column(j)
        if support.atoms_of_reference() is not None:
            raise ValueError("the quantiles of Discrete support jump: they have no derivative")
        x = self.density._quantile(j, u, upward, downward)
        with np.errstate(divide="ignore", invalid="ignore"):
            out = -self._slopes(j, x) / np.exp(self.density._logpdf(j, x))[:, None]
        out[~(np.minimum(u, 1.0 - u) >= DEEPEST)] = np.nan
        out[((u == 0.0) | (u == 1.0)) & np.isfinite(x)] = 0.0
        return out


class Sensitivity(_Answers):
    """Derivatives of a density by its moments; from `density.moments_sensitivity`.

    The last axis of every result, k long, is the moment: 1 … k of `kind` (m0 stays 1). x and u
    broadcast with batch_shape; columns without an answer, and nan, give nan. Units: those of the
    result over those of the moment.
    """

    def __init__(self, density, kind="basis"):
        super().__init__(density)
        self.kind = kind
        k = density.degree
        number = int(np.prod(density.batch_shape))
        turn = moment_jacobian(density, kind)
        self._P = np.full((number, k, k), np.nan)
        for j, column in self._columns():
            if column is not None:
                self._P[j] = column.P
                self._P[j, np.ravel(density.degrees)[j] :] = 0.0
        self._turn = turn
        self._moved = self._P @ turn  # z = _moved @ d(given)

    def coefficients(self):
        """dc_i/dm_j, i, j = 1 … k, c in the reference basis: (*batch, k, k). H⁻¹ for "basis"."""
        k = self.density.degree
        out = self._P.swapaxes(1, 2) @ self._moved
        return out.reshape(*self.density.batch_shape, k, k)

    def entropy(self):
        """d entropy/dm, in nats: (*batch, k)."""
        k = self.density.degree
        c = self.density.coefficients.reshape(-1, k + 1)[:, 1:]
        out = np.einsum("bi,bij->bj", c, self._turn)
        for j, column in self._columns():
            if column is not None:
                out[j] += column.bend @ self._moved[j]
        return -out.reshape(*self.density.batch_shape, k)

    def logpdf(self, x):
        """d log p(x)/dm: (*x, k); nan outside of the support."""
        return self._over(x, lambda j, v: self._log_slopes(j, v) @ self._moved[j], self._k)

    def pdf(self, x):
        """d p(x)/dm: (*x, k); 0 outside of the support."""

        def one(j, v):
            p = np.exp(self.density._logpdf(j, v))[:, None]
            return np.where(p > 0, p * (self._log_slopes(j, v) @ self._moved[j]), 0.0)

        return self._over(x, one, self._k)

    def cdf(self, x):
        """d F(x)/dm: (*x, k)."""
        return self._over(x, lambda j, v: self._slopes(j, v) @ self._moved[j], self._k)

    def ppf(self, u):
        """d F⁻¹(u)/dm: (*u, k). nan beyond u = 1e-18 and 1 - 1e-18, but 0 at finite ends.

        Raises ValueError for Discrete support.
        """
        return self._over(u, lambda j, v: self._quantile_slopes(j, v) @ self._moved[j], self._k)

    @property
    def _k(self):
        return self.density.degree

    def __repr__(self):
        return f"<Sensitivity of {self.density!r} to its {self.kind} moments>"


class ErrorBars(_Answers):
    """Standard errors of a density's values; from `density.standard_error`, or the bounds of
    `density.rounding_error`.

    root (columns, k, r): root rootᵀ is the covariance of z = P dm. To first order: trust them where
    they are small (a tenth of p and less). x and u broadcast with batch_shape and give that shape.
    """

    def __init__(self, density, root):
        super().__init__(density)
        self._root = root

    def _length(self, j, slopes):
        return np.linalg.norm(slopes @ self._root[j], axis=-1)

    def logpdf(self, x):
        """Of log p(x); nan outside of the support."""
        return self._over(x, lambda j, v: self._length(j, self._log_slopes(j, v)))

    def pdf(self, x):
        """Of p(x), per unit of x; 0 outside of the support."""

        def one(j, v):
            p = np.exp(self.density._logpdf(j, v))
            return np.where(p > 0, p * self._length(j, self._log_slopes(j, v)), 0.0)

        return self._over(x, one)

    def cdf(self, x):
        """Of P(X <= x)."""
        return self._over(x, lambda j, v: self._length(j, self._slopes(j, v)))

    sf = cdf

    def ppf(self, u):
        """Of the quantile, in units of x. Raises ValueError for Discrete support."""
        return self._over(u, lambda j, v: self._length(j, self._quantile_slopes(j, v)))

    def isf(self, u):
        """Of the x with P(X > x) = u."""

        def one(j, v):
            return self._length(j, self._quantile_slopes(j, v, "isf", "ppf"))

        return self._over(u, one)

    def entropy(self):
        """Of the entropy, in nats: (*batch)."""
        out = np.full(len(self._root), np.nan)
        for j, column in self._columns():
            if column is not None:
                out[j] = self._length(j, column.slopes)
        return out.reshape(self.density.batch_shape)[()]


def standard_error(density, *, samples=None, errors=None, covariance=None, kind="basis"):
    """ErrorBars for one of the three ways in which moments are uncertain; see Density."""
    given = [v is not None for v in (samples, errors, covariance)]
    if sum(given) != 1:
        raise ValueError(
            "say how the moments are uncertain, in one way: samples=n (means of n samples), "
            "errors=(their standard errors) or covariance=(their covariance)"
        )
    k, shape = density.degree, density.batch_shape
    number = int(np.prod(shape))
    if samples is not None:
        n = np.broadcast_to(np.asarray(samples, dtype=float), shape).ravel()
        if not (n > 0).all():
            raise ValueError(f"samples must be a number above 0, not {n[~(n > 0)][0]:g}")
        return ErrorBars(density, _matched(density) / np.sqrt(n)[:, None, None])
    if errors is not None:
        e = _of_moments(errors, "errors", shape, (k,), number)
        if not (e >= 0).all():
            raise ValueError(f"errors must be >= 0, not {e[~(e >= 0)][0]:g}")
        root = e[:, None, :] * np.eye(k)
    else:
        V = _of_moments(covariance, "covariance", shape, (k, k), number)
        values, vectors = np.linalg.eigh(0.5 * (V + V.swapaxes(1, 2)))
        bad = values[:, 0] < -INDEFINITE * np.abs(values).max(axis=1)
        if bad.any():
            worst = values[bad, 0].min()
            raise ValueError(f"covariance is not one: it has the negative eigenvalue {worst:.3g}")
        root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return ErrorBars(density, Sensitivity(density, kind)._moved @ root)


def rounding_error(density):
    """ErrorBars that bound what rounding of the moments and of the solve does; see Density."""
    blur = np.ravel(10.0 ** -np.asarray(density.certificate.digits, dtype=float))
    return ErrorBars(density, _matched(density) * blur[:, None, None])


def _matched(density):
    """1 on the diagonal for the degrees of each column, (columns, k, k)."""
    k = density.degree
    return np.eye(k) * (np.arange(k) < np.ravel(density.degrees)[:, None])[:, :, None]


def _of_moments(value, name, shape, size, number):
    value = np.asarray(value, dtype=float)
    if value.shape[-len(size) :] != size:
        raise ValueError(
            f"{name} of shape {value.shape} must end in {size}: the moments 1 … {size[0]} "
            "(did you leave m0 in?)"
        )
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite")
    return np.broadcast_to(value, (*shape, *size)).reshape(number, *size)


def moment_jacobian(density, kind):
    """d E[φ_i(t)] / d(moment j of `kind`), i, j = 1 … k: (columns, k, k).

    With φ_i(t) = Σ_j B_ij y^j, y = x (raw) or x - mean: B where the moments of y enter linearly;
    the mean shifts, the variance of "standardized" stretches the whole distribution.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "chebyshev" and density.basis.name != "chebyshev":
        raise ValueError(f"Chebyshev moments need an interval, not {density.domain}")
    k = density.degree
    loc, scale = np.ravel(density.loc), np.ravel(density.scale)
    if kind in ("basis", "chebyshev"):
        return np.broadcast_to(np.eye(k), (loc.size, k, k))
    if density.transform != NONE:
        raise ValueError(f"moments of {density.transform} are of kind basis, not {kind}")
    if kind == "raw":
        return _in_powers(density.basis, k, loc, scale)[:, 1:, 1:]
    B = _in_powers(density.basis, k, loc - np.ravel(density.mean()), scale)
    central = np.array([np.ravel(density.moment(i, "central")) for i in range(k + 1)]).T
    out = B[:, 1:, 1:].copy()
    order = np.arange(1, k + 1)
    out[:, :, 0] = np.einsum("bij,bj->bi", B[:, 1:, 1:], order * central[:, :-1])
    if kind == "standardized" and k > 1:
        variance = central[:, 2]
        stretch = np.einsum("bij,bj->bi", B[:, 1:, 1:], order * central[:, 1:])
        out[:, :, 2:] *= np.sqrt(variance)[:, None, None] ** order[2:]
        out[:, :, 1] = stretch / (2.0 * variance)[:, None]
    return out


def _in_powers(basis, k, loc, scale):
    """Coefficients of φ_i((y - loc)/scale) in powers of y: (columns, k+1, k+1)."""
    a, b, d = basis.recurrences(k, loc.size).transpose(1, 2, 0)
    out = np.zeros((loc.size, k + 1, k + 1))
    out[:, 0, 0] = 1.0
    for i in range(k):
        out[:, i + 1] = (b[i] - a[i] * loc / scale)[:, None] * out[:, i]
        out[:, i + 1, 1:] += (a[i] / scale)[:, None] * out[:, i, :-1]
        if i:
            out[:, i + 1] -= d[i][:, None] * out[:, i - 1]
    return out
