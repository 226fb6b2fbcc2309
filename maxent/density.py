"""The answer as an object: a maximum-entropy density, or a batch of them, in the user's x.

In the reference coordinate log p(t) = Σ_j c_j φ_j(t); with x = loc + scale·t the user sees
p(x) = p(t)/|scale|. Where scale < 0 (half line to -∞) the two tails change places.

With a transform y = g(x) (`transform`) all of that holds for y, and the user still sees x:
probabilities and quantiles go through g, and the density of x is that of y times dy/dx.
"""

from __future__ import annotations

import numpy as np

from maxent._kernels import evaluation
from maxent._kernels.conversion import basis_to_power
from maxent.inversion import LEFT, MANY, RIGHT, Inversion, Steps, points_of_columns
from maxent.quadrature import integrate, panel_rule
from maxent.transform import NONE

MOMENT_KINDS = ("raw", "central", "standardized", "chebyshev")
# Where integrals of functions of a transformed x are cut first: at quantiles, far into the tails,
# where a power of x may outgrow the density. And the error they settle to, of the integral of |f|.
MAPPED_AT = np.array([0.0, 1e-300, 1e-150, 1e-75, 1e-38, 1e-19, 1e-10, 1e-5, 1e-3, 0.02, 0.2, 0.5])
MAPPED_ERROR = 1e-12
LEFT_OVER = 1e-9


class Density:
    """A maximum-entropy density; immutable, picklable. `density[j]` is one column of a batch.

    batch_shape   () for one density
    coefficients  (*batch, k+1): log p in `basis`, in the reference coordinate t = (x - loc)/scale
    basis         Basis: its columns differ in shape on the half line; basis[j] is that of column j
    loc, scale    (*batch)
    domain        Support, of y   certificate   Certificate
    transform     Transform, y = x unless the moments are those of transformed data
    samples       (*batch) how many samples the moments are means of, (Σw)²/Σw² with weights;
                  None where the moments were given

    Methods take x or u of any shape that broadcasts with batch_shape, and return float64. Outside
    the support pdf is 0; nan gives nan; probabilities outside [0, 1] give nan; a column that was
    not solved answers nan, and its certificate says why. Names are those of scipy.stats, old and
    new.

    >>> density = maxent.solve([1, 0, 1, 0, 2.5], support=(-np.inf, np.inf))
    >>> density.ppf([0.05, 0.25, 0.95]).round(4).tolist()
    [-1.636, -0.7288, 1.636]
    >>> density.sf(3).round(6), density.kurtosis().round(6)
    (np.float64(0.000119), np.float64(2.5))
    """

    def __init__(
        self,
        domain,
        coefficients,
        loc,
        scale,
        certificate,
        batch_shape,
        samples=None,
        own=None,
        transform=NONE,
        degrees=None,
        basis=None,
    ):
        self._set(
            domain=domain,
            coefficients=_read_only(coefficients, (*batch_shape, -1)),
            loc=_read_only(loc, batch_shape),
            scale=_read_only(scale, batch_shape),
            certificate=certificate,
            batch_shape=tuple(batch_shape),
            samples=None if samples is None else _read_only(samples, batch_shape),
            transform=transform,
            _degrees=None if degrees is None else np.reshape(degrees, batch_shape),
            basis=domain.basis if basis is None else basis,
            _own={} if own is None else own,
            _inversions={},
        )

    def _set(self, **values):
        self.__dict__.update(values)

    def __setattr__(self, name, value):
        raise AttributeError(f"a Density cannot be changed: {name}")

    def __delattr__(self, name):
        raise AttributeError(f"a Density cannot be changed: {name}")

    def __getstate__(self):
        return {**self.__dict__, "_inversions": {}}

    def __setstate__(self, state):
        self._set(**state)
        for name in ("coefficients", "loc", "scale"):
            self.__dict__[name].setflags(write=False)

    def __repr__(self):
        what = f"batch {self.batch_shape}" if self.batch_shape else f"on {self.domain}"
        if self.transform != NONE:
            what += f" of {self.transform}"
        return f"<Density {what}, degree {self.degree}: {self.certificate!r}>"

    def __eq__(self, other):
        if not isinstance(other, Density):
            return NotImplemented
        return (
            self.batch_shape == other.batch_shape
            and self.transform == other.transform
            and all(map(np.array_equal, self.support(), other.support()))
            and all(
                np.array_equal(a, b, equal_nan=True)
                for a, b in (
                    (self.coefficients, other.coefficients),
                    (self.loc, other.loc),
                    (self.scale, other.scale),
                )
            )
            and self.basis == other.basis
        )

    __hash__ = None

    def __len__(self):
        if not self.batch_shape:
            raise TypeError("a single Density has no length")
        return self.batch_shape[0]

    def __getitem__(self, index):
        """One column, or a smaller batch."""
        if not self.batch_shape:
            raise IndexError("a single Density cannot be indexed")
        picked = np.arange(int(np.prod(self.batch_shape))).reshape(self.batch_shape)[index]
        shape = np.shape(picked)
        degrees = None if self._degrees is None else self._degrees[index]
        size = self.degree + 1 if degrees is None else int(np.max(degrees, initial=1)) + 1
        own = {i: self._own[j] for i, j in enumerate(np.ravel(picked)) if j in self._own}
        return Density(
            self.domain[index],
            self.coefficients[index][..., :size],
            self.loc[index],
            self.scale[index],
            self.certificate[index],
            shape,
            None if self.samples is None else self.samples[index],
            {i: (c[:size], basis) for i, (c, basis) in own.items()},
            self.transform,
            degrees,
            self.basis[np.ravel(picked) if shape else int(picked)],
        )

    def __iter__(self):
        return (self[j] for j in range(len(self)))

    @property
    def degree(self):
        return self.coefficients.shape[-1] - 1

    @property
    def degrees(self):
        """The degree of each column, (*batch): they differ after `degree="auto"`, and coefficients
        above are 0."""
        if self._degrees is None:
            return np.full(self.batch_shape, self.degree)[()]
        return self._degrees[()]

    def support(self):
        """(lower, upper), ±inf where there is no end; arrays where columns differ."""
        lower, upper = self.domain.bounds
        return self.transform.inverse(lower), self.transform.inverse(upper)

    # ------------------------------------------------------------------ density

    def logpdf(self, x):
        """log p(x); for Discrete support the logarithm of the probability of the point x."""
        return self._by_column(self._logpdf, x)

    def pdf(self, x):
        """p(x), per unit of x; for Discrete support the probability of the point x."""
        return np.exp(self.logpdf(x))[()]

    pmf = pdf
    logpmf = logpdf

    def _logpdf(self, j, x):
        _, loc, scale, support = self._column(j)
        c, basis = self._series(j)
        lower, upper = support.bounds
        out = np.empty(x.size)
        rec = basis.recurrence(self.degree).copy()
        y = self.transform.place(x)
        reference = support.atoms_of_reference()
        shift = np.log(abs(scale)) if reference is None else 0.0
        evaluation.log_density(y.ravel(), c.copy(), rec, loc, scale, lower, upper, shift, out)
        out = out.reshape(x.shape)
        if reference is not None:
            place = np.clip(np.searchsorted(support.points, x), 0, support.points.size - 1)
            inside = support.contains(x) | np.isnan(x)
            out = np.where(inside, out + np.log(reference[1])[place], -np.inf)
        if self.transform != NONE:
            with np.errstate(invalid="ignore"):  # -inf + inf, of no use
                out = np.where(out == -np.inf, out, out + self.transform.log_slope(y))
        return out

    # ------------------------------------------------------------- distribution

    def cdf(self, x):
        """P(X <= x)."""
        return self._by_column(lambda j, v: self._tail(j, v, "cdf", "sf"), x)

    def sf(self, x):
        """P(X > x), accurate where it is small."""
        return self._by_column(lambda j, v: self._tail(j, v, "sf", "cdf"), x)

    def logcdf(self, x):
        """log P(X <= x)."""
        return self._by_column(lambda j, v: self._tail(j, v, "logcdf", "logsf"), x)

    def logsf(self, x):
        """log P(X > x), down to the smallest."""
        return self._by_column(lambda j, v: self._tail(j, v, "logsf", "logcdf"), x)

    def ppf(self, u):
        """The quantile: the x with P(X <= x) = u."""
        return self._by_column(
            lambda j, v: self._quantile(j, v, "ppf", "isf"), u, lambda v: self._quantiles(v, LEFT)
        )

    def isf(self, u):
        """The x with P(X > x) = u, accurate for small u."""
        return self._by_column(
            lambda j, v: self._quantile(j, v, "isf", "ppf"), u, lambda v: self._quantiles(v, RIGHT)
        )

    def _tail(self, j, x, upward, downward):
        _, loc, scale, _ = self._column(j)
        return getattr(self._inversion(j), upward if scale > 0 else downward)(
            (self.transform.place(x) - loc) / scale
        )

    def _quantile(self, j, u, upward, downward):
        _, loc, scale, support = self._column(j)
        lower, upper = support.bounds
        t = getattr(self._inversion(j), upward if scale > 0 else downward)(u)
        return self.transform.inverse(np.minimum(np.maximum(loc + scale * t, lower), upper))

    def _quantiles(self, u, side):
        """Few quantiles of many columns at once: x and u are (n, columns). Returns x and which
        columns are done, (columns,)."""
        n, columns = u.shape
        x, done = np.full(u.shape, np.nan), np.zeros(columns, bool)
        solved = np.isfinite(self.coefficients).all(axis=-1).ravel()
        solved[list(self._own)] = False
        index = np.flatnonzero(solved)
        if n >= MANY or not index.size or self.domain.atoms_of_reference() is not None:
            return x, done
        loc, scale = self.loc.ravel()[index], self.scale.ravel()[index]
        c = self.coefficients.reshape(columns, -1)[index]
        side = side if scale[0] > 0 else LEFT + RIGHT - side  # one sign in all columns
        t, done[index] = points_of_columns(
            c, self.basis[index], self.domain.ends, u[:, index].T, side
        )
        lower, upper = (
            np.broadcast_to(end, self.batch_shape).ravel()[index] for end in self.domain.bounds
        )
        inside = np.minimum(np.maximum(loc + scale * t.T, lower), upper)
        x[:, index] = self.transform.inverse(inside)
        return x, done

    def _inversion(self, j):
        if j not in self._inversions:
            c, _, _, support = self._column(j)
            reference = support.atoms_of_reference()
            if reference is None:
                self._inversions[j] = Inversion(*self._series(j), support.ends)
            else:
                t, weights = reference
                p = weights * np.exp(support.basis.evaluate(t, self.degree) @ c)
                self._inversions[j] = Steps(t, p / p.sum())
        return self._inversions[j]

    def interval(self, confidence=0.95):
        """(lower, upper) with equal tails."""
        tail = 0.5 * (1.0 - np.asarray(confidence, dtype=float))
        return self.ppf(tail), self.isf(tail)

    def median(self):
        """ppf(1/2)."""
        return self.ppf(0.5)

    def rvs(self, size=None, random_state=None):
        """Draws of shape (*size, *batch) by inversion; random_state: as rng in `sample`."""
        return self.sample(() if size is None else size, rng=random_state)

    def sample(self, shape=(), *, rng=None):
        """Draws of shape (*shape, *batch) by inversion; rng: Generator, RandomState, seed or None.

        Or a quasi-Monte Carlo engine (`scipy.stats.qmc`) with as many dimensions as there are
        columns, of which it takes one point a draw: the columns are then independent. Scramble it:
        unscrambled, its first point is 0, the lower end of the support, which may be -inf. Raises
        ValueError where the dimensions do not fit.
        """
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if hasattr(rng, "random") and hasattr(rng, "d"):
            columns = int(np.prod(self.batch_shape))
            if rng.d != columns:
                raise ValueError(
                    f"an engine of {rng.d} dimensions does not fit {columns} "
                    f"column{'s' if columns > 1 else ''}: one dimension a column"
                )
            points = rng.random(int(np.prod(shape)))
            return self.ppf(points.reshape((*shape, *self.batch_shape)))
        if not isinstance(rng, (np.random.Generator, np.random.RandomState)):
            rng = np.random.default_rng(rng)
        uniform = rng.random if isinstance(rng, np.random.Generator) else rng.random_sample
        return self.ppf(uniform((*shape, *self.batch_shape)))

    # ------------------------------------------------------------------ numbers

    def moment(self, order, kind="raw"):
        """E[X^order] (raw), about the mean (central), in standard deviations (standardized), or
        E[T_order] (of the transformed values, where there is a transform). nan where the integral
        does not settle, as for moments that are infinite."""
        if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order < 0:
            raise ValueError(f"order must be an integer >= 0, not {order!r}")
        if kind not in MOMENT_KINDS:
            raise ValueError(f"kind must be one of {', '.join(MOMENT_KINDS)}, not {kind!r}")
        if kind == "chebyshev":
            if self.basis.name != "chebyshev":
                raise ValueError(f"Chebyshev moments need an interval, not {self.domain}")
            return self._each(lambda j: self._means(j, order)[order])
        return self._each(lambda j: self._power(j, order, kind))

    def _power(self, j, order, kind):
        if self.transform != NONE:
            return self._mapped_power(j, order, kind)
        _, loc, scale, _ = self._column(j)
        n = max(int(order), 2)
        means = self._means(j, n)[None]
        rec = self.basis[j].recurrence(n)
        if kind == "raw":
            shift, unit = loc, scale
        else:
            in_t = basis_to_power(means, np.zeros(1), np.ones(1), rec)[0]
            shift, unit = -scale * in_t[1], scale
            if kind == "standardized":
                centred = basis_to_power(means, np.array([-in_t[1]]), np.ones(1), rec)[0]
                sd = np.sqrt(max(centred[2], 0.0))
                unit = np.sign(scale) / sd if sd > 0.0 else np.nan
                shift = -in_t[1] * unit
        return basis_to_power(means, np.array([shift]), np.array([unit]), rec)[0, order]

    def _mapped_power(self, j, order, kind):
        shift, unit = 0.0, 1.0
        if kind != "raw":
            shift = self._mapped_mean(j, lambda x: x)
            if kind == "standardized":
                unit = np.sqrt(self._mapped_mean(j, lambda x: (x - shift) ** 2))
        return self._mapped_mean(j, lambda x: ((x - shift) / unit) ** order)

    def _mapped_mean(self, j, function):
        """E[function(X)] where x is no polynomial in y: between quantiles, halved until it
        settles."""
        _, loc, scale, support = self._column(j)
        c, basis = self._series(j)
        inversion = self._inversion(j)
        t = np.unique(np.concatenate([inversion.ppf(MAPPED_AT), inversion.isf(MAPPED_AT)]))
        with np.errstate(over="ignore", invalid="ignore"):

            def integrand(t):
                p = np.exp(basis.evaluate(t, self.degree) @ c)
                x = self.transform.inverse(np.clip(loc + scale * t, *support.bounds))
                return np.where(p > 0.0, p * np.asarray(function(x), dtype=float), 0.0)

            t = t[np.isfinite(t)]
            total, size = integrate(integrand, t, MAPPED_ERROR)
            # Where an edge stands for infinity nothing may be left.
            left = np.abs(integrand(t[[0, -1]])) * np.diff(t)[[0, -1]]
            open_ended = ~np.isfinite([inversion.ppf(0.0), inversion.isf(0.0)])
            return np.nan if (left > LEFT_OVER * size)[open_ended].any() else total

    def _means(self, j, degree):
        """E[φ_0 … φ_degree] under column j."""
        c, _, _, support = self._column(j)
        degree = max(int(degree), self.degree)
        reference = support.atoms_of_reference()
        if reference is not None:
            t, weights = reference
            phi = support.basis.evaluate(t, degree)
            return (np.exp(phi[:, : c.size] @ c) * weights) @ phi
        t, p = self._nodes(j, degree)
        return p @ self.basis[j].evaluate(t, degree)

    def _nodes(self, j, degree):
        """Nodes t and their probabilities, for polynomials up to φ_degree²."""
        c, basis = self._series(j)
        padded = np.zeros(degree + 1)
        padded[: c.size] = c
        support = self._column(j)[-1]
        return evaluation.nodes(
            padded, basis.recurrence(degree).copy(), support.ends, panel_rule(degree)
        )

    def mean(self):
        """E X, in the unit of x."""
        return self.moment(1)

    def variance(self):
        """E (X - EX)²."""
        return self.moment(2, "central")

    def standard_deviation(self):
        """√variance, in the unit of x."""
        return np.sqrt(self.variance())[()]

    def skewness(self):
        """Third standardized moment."""
        return self.moment(3, "standardized")

    def kurtosis(self):
        """Fourth standardized moment: 3 for a normal."""
        return self.moment(4, "standardized")

    def entropy(self):
        """-∫ p log p dx in nats; for Discrete support -Σ p log(p/weight)."""

        def one(j):
            c, _, scale, support = self._column(j)
            if support.atoms_of_reference() is not None:
                return -c @ self._means(j, self.degree)
            t, p = self._nodes(j, self.degree)
            c, basis = self._series(j)
            in_y = np.log(abs(scale)) - p @ (basis.evaluate(t, self.degree) @ c)
            if self.transform == NONE:
                return in_y
            slope = self._mapped_mean(
                j, lambda x: self.transform.log_slope(self.transform.place(x))
            )
            return in_y - slope

        return self._each(one)

    def expect(self, function):
        """E[function(X)] for a vectorised function of x, by Gauss-Legendre on the density's own
        panels. With a transform they are halved until the integral settles; nan where it does
        not."""

        def one(j):
            if self.transform != NONE:
                return self._mapped_mean(j, function)
            c, loc, scale, support = self._column(j)
            reference = support.atoms_of_reference()
            if reference is not None:
                t, weights = reference
                p = weights * np.exp(support.basis.evaluate(t, self.degree) @ c)
                return float(p @ np.asarray(function(support.points), dtype=float))
            t, p = self._nodes(j, self.degree)
            return float(p @ np.asarray(function(loc + scale * t), dtype=float))

        return self._each(one)

    def lagrange_multipliers(self, kind="raw"):
        """λ of log p(x) = Σ λ_j x^j (raw; x in the user's unit), or Σ λ_j T_j(t) (chebyshev):
        (*batch, k+1).

        Power coefficients of a high degree carry few digits: use `coefficients` to compute.
        Raises ValueError for another kind, and for a density of transformed values, whose logarithm
        is no polynomial in x.
        """
        if self.transform != NONE:
            raise ValueError(f"log p is no polynomial in x, but in y of {self.transform}")
        if kind == "chebyshev" and self.basis.name == "chebyshev":
            out = self.coefficients.copy()
        elif kind == "raw":
            out = np.array([self._powers(j) for j in range(self.loc.size)])
            out = out.reshape(self.coefficients.shape)
        else:
            raise ValueError(f"kind must be raw, or chebyshev on an interval, not {kind!r}")
        out[..., 0] -= np.log(np.abs(self.scale))
        return out

    def _powers(self, column):
        """Coefficients of Σ c_j φ_j((x - loc)/scale) in powers of x, (k+1,)."""
        c, loc, scale, _ = self._column(column)
        a, b, d = self.basis[column].recurrence(self.degree)
        t = np.polynomial.Polynomial([-loc / scale, 1.0 / scale])
        before, now = np.polynomial.Polynomial([0.0]), np.polynomial.Polynomial([1.0])
        total = c[0] * now
        for j in range(self.degree):
            before, now = now, (a[j] * t + b[j]) * now - d[j] * before
            total = total + c[j + 1] * now
        return np.pad(total.coef, (0, c.size - total.coef.size))

    def plot(self, ax=None, data=None):
        """Draw the density, over a histogram of `data` if given; returns the matplotlib axes."""
        from maxent import plot

        return plot.draw(self, ax=ax, data=data)

    def to_scipy(self, *, new=False):
        """The density as a distribution of scipy.stats.

        new=False: a frozen `rv_continuous`, for kstest, goodness_of_fit, pickle, expect and
        whatever takes one; not of a batch. new=True: an instance of scipy's newer kind
        (`make_distribution`, scipy 1.16 or later), which broadcasts over the batch; not of a
        transformed density, nor of one in polynomials of its own.

        Raises ValueError for what scipy's kind cannot hold, ImportError where scipy is too old.
        """
        from maxent.adapters import scipy

        return scipy.distribution(self) if new else scipy.frozen(self)

    # -------------------------------------------------------------- sensitivity

    def moments_sensitivity(self, kind="basis"):
        """Derivatives of the answer by its moments 1 … k: a Sensitivity with the methods
        coefficients, logpdf, pdf, cdf, ppf and entropy, whose last axis is the moment.

        kind: "basis" E[φ_j(t)], in the frame (loc, scale) held fixed, or as in `solve`.
        Raises ValueError for another kind. Source: `maxent.sensitivity`.
        """
        from maxent.sensitivity import Sensitivity

        return Sensitivity(self, kind)

    def standard_error(self, *, samples=None, errors=None, covariance=None, kind="basis"):
        """Standard errors of the answer: ErrorBars with the methods logpdf, pdf, cdf, sf, ppf, isf
        and entropy, each in the unit of the value.

        Give one of: samples, the (effective) number of independent samples whose means the moments
        are, (*batch) or a number (default: `density.samples`, which `fit` records); errors
        (*batch, k), standard errors of independent moments 1 … k of `kind`; covariance
        (*batch, k, k) of these.
        First order (delta method), and for `samples` under the fitted density; the ends of the
        support count as known. Raises ValueError when nothing, too much or no covariance is given.
        """
        from maxent import sensitivity

        if samples is None and errors is None and covariance is None:
            samples = self.samples
        return sensitivity.standard_error(
            self, samples=samples, errors=errors, covariance=covariance, kind=kind
        )

    def rounding_error(self):
        """What float64 may have cost: ErrorBars of bounds (first order), not standard errors, from
        the digits in the certificate: the rounding of the moments and of the solve."""
        from maxent import sensitivity

        return sensitivity.rounding_error(self)

    # names of the new scipy infrastructure, and the old ones
    icdf, ccdf, iccdf, logccdf = ppf, sf, isf, logsf
    var, std = variance, standard_deviation

    # ------------------------------------------------------------------ columns

    def _column(self, j):
        index = np.unravel_index(j, self.batch_shape) if self.batch_shape else ()
        support = self.domain[index] if self.batch_shape else self.domain
        return self.coefficients[index], float(self.loc[index]), float(self.scale[index]), support

    def _series(self, j):
        """log p(t) of column j: its coefficients and the basis in which they are best held."""
        if j in self._own:
            return self._own[j]
        return self._column(j)[0], self.basis[j]

    def _solved(self, j):
        index = np.unravel_index(j, self.batch_shape) if self.batch_shape else ()
        return bool(np.isfinite(self.coefficients[index]).all())

    def _by_column(self, method, x, together=None):
        """method(j, values) for each column; together(values) where it answers for many."""
        x = np.asarray(x, dtype=float)
        if not self.batch_shape:
            out = method(0, x) if self._solved(0) else np.full(x.shape, np.nan)
            return np.asarray(out, dtype=float)[()]
        shape = np.broadcast_shapes(x.shape, self.batch_shape)
        lead = shape[: len(shape) - len(self.batch_shape)]
        columns = int(np.prod(self.batch_shape))
        flat = np.broadcast_to(x, shape).reshape(-1, columns)
        if together is None:
            out, done = np.full(flat.shape, np.nan), np.zeros(columns, bool)
        else:
            out, done = together(flat)
        for j in np.flatnonzero(~done):
            if self._solved(j):
                out[:, j] = method(j, np.ascontiguousarray(flat[:, j]))
        return out.reshape(*lead, *self.batch_shape)

    def _each(self, function):
        columns = int(np.prod(self.batch_shape))
        out = np.array([function(j) if self._solved(j) else np.nan for j in range(columns)])
        return out.reshape(self.batch_shape)[()]


def _read_only(array, shape):
    """A copy of that shape."""
    array = np.array(array, dtype=float).reshape(shape)
    array.setflags(write=False)
    return array
