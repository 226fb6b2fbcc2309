"""The cdf of exp(q) and its inverse, in the reference coordinate t.

    F(t) = ∫_{-∞}^t exp(q),    S(t) = ∫_t^∞ exp(q),    q(t) = Σ_{j=0}^k c_j φ_j(t)

Each is integrated from its own side on panels that resolve exp(q), and so is right relatively, down
to the smallest float64, in its own tail. Their inverses go the same way: u <= 1/2 by the mass from
its side, u > 1/2 by 1 - u, which is then exact, from the other. On its panel a quantile takes two
steps of third order.

For many values, F and its inverse are polynomials of degree 7 on cells (Derflinger, Hörmann and
Leydold 2010), compared with F between their nodes; the two tails beyond them go by panels. The
error in u is some 1e-15 of min(u, 1-u) for few values, and some 1e-13 for many.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property, lru_cache

import numpy as np

from maxent._kernels import inversion as kernels
from maxent.quadrature import gauss_legendre, panel_rule

LEFT, RIGHT = 0, 1
# From so many values on cells pay for themselves: they cost as much as 100 to 500 values by panels.
# The number of values decides, and nothing else, so that the same call gives the same answer again.
MANY = 500
# Polynomials of cells; their error in u is at most so much of min(u, 1-u), and outside of the edges
# the few values that are left go by steps.
CELL_NODES = 3
CELL_TOLERANCE = 2e-13
CELL_EDGE = 1e-3
MOST_CELLS = 4096
# Below that a mass is taken from its logarithm.
TINY = 1e-290
# Probabilities of atoms are known to some units in the last place: so are the heights of the steps.
TIE = 8 * 2.0**-53


def _flat(values):
    """(float64 1-D, contiguous and writeable as the kernels are compiled for, its shape)."""
    values = np.asarray(values, dtype=float)
    flat = np.ascontiguousarray(values).reshape(-1)
    return (flat if flat.flags.writeable else flat.copy()), values.shape


@lru_cache(maxsize=64)
def _constants(basis, k):
    """The recurrence and the panel rule, in arrays that are the kernels' own."""
    return basis.recurrence(k).copy(), panel_rule(k)


@lru_cache(maxsize=1)
def _cell_rule():
    """(points, weights, places, to_powers) of a cell on [-1, 1].

    places: (2d+1,), Chebyshev's extrema and the middles between them; points and weights: a short
    Gauss rule between any two; to_powers: (d+1, d+1), values at the extrema to powers.
    """
    d = kernels.DEGREE
    places = -np.cos(np.pi * np.arange(2 * d + 1) / (2 * d))
    x, w = gauss_legendre(CELL_NODES)
    half = 0.5 * np.diff(places)
    middle = 0.5 * (places[1:] + places[:-1])
    points = (middle[:, None] + half[:, None] * x).ravel()
    weights = (half[:, None] * w).ravel()
    points.setflags(write=False)  # as the nodes of a panel: one signature for both
    return points, weights, places, np.linalg.inv(np.vander(places[::2], increasing=True))


@dataclasses.dataclass(frozen=True, eq=False)
class Inversion:
    """One column. coefficients: (k+1,), c_0 is free; basis, ends: those of its support.

    Everything takes arrays of any shape and gives float64 arrays of that shape. t outside of the
    support has mass 0 or 1; u outside of [0, 1] has no point (nan); nan gives nan.
    """

    coefficients: np.ndarray
    basis: object
    ends: int

    def __post_init__(self):
        c = np.array(self.coefficients, dtype=float)
        object.__setattr__(self, "_constants", _constants(self.basis, c.size - 1))
        table, log_z = self._table(c, kernels.SHALLOW)
        object.__setattr__(self, "_shallow", table)
        object.__setattr__(self, "_log_z", log_z)
        if not (table[0].size and np.isfinite(log_z)):
            raise ValueError(
                f"exp(q) with the coefficients {c} is not integrable, or too rough for float64"
            )
        c.setflags(write=False)
        object.__setattr__(self, "coefficients", c)

    def __reduce__(self):
        return type(self), (self.coefficients, self.basis, self.ends)

    def _table(self, c, tail):
        rec, rule = self._constants
        return kernels.lay(c, rec, self.ends, rule, tail)

    @cached_property
    def _deep(self):
        return self._table(self.coefficients.copy(), kernels.DEEP)[0]

    @cached_property
    def _cells(self):
        _, rule = self._constants
        return kernels.cut(self._shallow, rule, _cell_rule(), CELL_TOLERANCE, CELL_EDGE, MOST_CELLS)

    def _panels(self, kernel, flat, side, left_over):
        """By the shallow table; what that leaves over, by the deep one."""
        _, rule = self._constants
        out = np.empty(flat.size)
        kernel(flat, side, kernels.FLOOR, self._shallow, self.ends, rule, out)
        rest = np.flatnonzero(out == left_over)
        if rest.size:
            found = np.empty(rest.size)
            kernel(flat[rest], side, 0.0, self._deep, self.ends, rule, found)
            out[rest] = found
        return out

    def _mass(self, t, side):
        flat, shape = _flat(t)
        if flat.size < MANY or not self._cells[-1].size:
            return self._panels(kernels.masses, flat, side, -1.0).reshape(shape)
        _, begins, u_ranges, _, _, rows, _, guide = self._cells
        out = np.empty(flat.size)
        kernels.by_cells(flat, False, begins, rows, guide, u_ranges, side == RIGHT, out)
        rest = np.flatnonzero(np.isnan(out))
        out[rest] = self._panels(kernels.masses, flat[rest], side, -1.0)
        return out.reshape(shape)

    def _points(self, u, side):
        flat, shape = _flat(u)
        if flat.size < MANY or not self._cells[-1].size:
            return self._panels(kernels.points_for, flat, side, np.inf).reshape(shape)
        begins, _, _, t_ranges, rows, _, guide, _ = self._cells
        out = np.empty(flat.size)
        kernels.by_cells(flat, side == RIGHT, begins, rows, guide, t_ranges, False, out)
        rest = np.flatnonzero(np.isnan(out))
        out[rest] = self._panels(kernels.points_for, flat[rest], side, np.inf)
        return out.reshape(shape)

    def cdf(self, t):
        return self._mass(t, LEFT)

    def sf(self, t):
        return self._mass(t, RIGHT)

    def _log_mass(self, t, side):
        flat, shape = _flat(t)
        mass = np.atleast_1d(self._mass(flat, side))
        large = np.flatnonzero(mass > 0.5)
        small = np.flatnonzero(mass < TINY)
        with np.errstate(divide="ignore"):
            out = np.log(mass)
        out[large] = np.log1p(-self._mass(flat[large], 1 - side))
        if small.size:
            found = np.empty(small.size)
            c = self.coefficients.copy()
            rec, rule = self._constants
            kernels.log_tails(flat[small], side, c, self._log_z, rec, self.ends, rule, found)
            out[small] = found
        return out.reshape(shape)

    def logcdf(self, t):
        return self._log_mass(t, LEFT)

    def logsf(self, t):
        return self._log_mass(t, RIGHT)

    def ppf(self, u):
        """The t with cdf(t) = u."""
        return self._points(u, LEFT)

    def isf(self, u):
        """The t with sf(t) = u."""
        return self._points(u, RIGHT)


def points_of_columns(coefficients, basis, ends, u, side):
    """Few quantiles of many columns in one call: those of `Inversion`, to the last digit.

    coefficients (columns, k+1) in `basis`; u (columns, n), n < MANY; side: LEFT for ppf, RIGHT for
    isf. Returns t (columns, n) and whether each column is done, (columns,): the others need an
    Inversion of their own.
    """
    columns, size = coefficients.shape
    out = np.empty(u.shape)
    kernels.points_of_columns(
        np.array(u, dtype=float, order="C"),
        side,
        np.array(coefficients),
        basis.recurrences(size - 1, columns),
        ends,
        panel_rule(size - 1),
        out,
    )
    return out, ~(np.isposinf(out) & (u > 0.0) & (u < 1.0)).any(axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """Atoms: points (n,) ascending, their probabilities (n,). The methods are Inversion's.

    cdf(t) counts t itself, sf(t) does not; ppf(u) is the first point where cdf reaches u, isf(u)
    the first where sf is down to u.
    """

    points: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self):
        points = np.array(self.points, dtype=float)
        p = np.array(self.probabilities, dtype=float)
        p = p / p.sum()
        before = np.append(0.0, np.cumsum(p))
        after = np.append(np.cumsum(p[::-1])[::-1], 0.0)
        # Each from its nearer side; one clamp for the last rounding, so that both stay monotone.
        cdf = np.maximum.accumulate(np.where(before > 0.5, 1.0 - after, before))
        sf = np.minimum.accumulate(np.where(after > 0.5, 1.0 - before, after))
        for name, value in (("points", points), ("probabilities", p)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_heights", (cdf, sf))

    def __reduce__(self):
        return type(self), (self.points, self.probabilities)

    def _at(self, t, heights):
        t = np.asarray(t, dtype=float)
        out = heights[np.searchsorted(self.points, t, side="right")]
        return np.where(np.isnan(t), np.nan, out)

    def cdf(self, t):
        return self._at(t, self._heights[LEFT])

    def sf(self, t):
        return self._at(t, self._heights[RIGHT])

    def logcdf(self, t):
        with np.errstate(divide="ignore"):
            return np.log(self.cdf(t))

    def logsf(self, t):
        with np.errstate(divide="ignore"):
            return np.log(self.sf(t))

    def _first(self, u, index):
        inside = (u >= 0.0) & (u <= 1.0)
        return np.where(inside, self.points[np.minimum(index, self.points.size - 1)], np.nan)

    def ppf(self, u):
        u = np.asarray(u, dtype=float)
        cdf = self._heights[LEFT][1:]
        return self._first(u, np.searchsorted(cdf, u * (1.0 - TIE), side="left"))

    def isf(self, u):
        u = np.asarray(u, dtype=float)
        sf = self._heights[RIGHT][1:]
        above = np.searchsorted(sf[::-1], u * (1.0 + TIE), side="right")
        return self._first(u, self.points.size - above)
