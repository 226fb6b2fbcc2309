"""The cdf of exp(q) and its inverse, in the reference coordinate t.

    F(t) = ∫_{-∞}^t exp(q),    S(t) = ∫_t^∞ exp(q),    q(t) = Σ_{j=0}^k c_j φ_j(t)

Each is integrated from its own side on panels that resolve exp(q), and so is right relatively, down
to the smallest float64, in its own tail. Their inverses go the same way: u <= 1/2 by the mass from
its side, u > 1/2 by 1 - u, which is then exact, from the other. What has more than a maximum and
some tails needs no care, because nothing here knows of maxima.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent._kernels import inversion as kernels
from maxent.quadrature import panel_rule

LEFT, RIGHT = 0, 1
# Probabilities of atoms are known to some units in the last place: so are the heights of the steps.
TIE = 8 * 2.0**-53


def _flat(values):
    """(float64 1-D, contiguous and writeable as the kernels are compiled for, its shape)."""
    values = np.asarray(values, dtype=float)
    flat = np.ascontiguousarray(values).reshape(-1)
    return (flat if flat.flags.writeable else flat.copy()), values.shape


@dataclasses.dataclass(frozen=True, eq=False)
class Inversion:
    """One column. coefficients: (k+1,), c_0 = -log Z; basis, ends: those of its support.

    Everything takes arrays of any shape and gives float64 arrays of that shape. t outside of the
    support has mass 0 or 1; u outside of [0, 1] has no point (nan); nan gives nan.
    """

    coefficients: np.ndarray
    basis: object
    ends: int

    def __post_init__(self):
        c = np.array(self.coefficients, dtype=float)
        k = c.size - 1
        rec = self.basis.recurrence(k).copy()
        rule = tuple(a.copy() for a in panel_rule(k))
        table = kernels.lay(c, rec, self.ends, rule)
        if not table[0].size:
            raise ValueError(
                f"exp(q) with the coefficients {c} is not integrable, or too rough for float64"
            )
        c.setflags(write=False)
        object.__setattr__(self, "coefficients", c)
        object.__setattr__(self, "_work", (table, c.copy(), rec, self.ends, rule))

    def __reduce__(self):
        return type(self), (self.coefficients, self.basis, self.ends)

    def _mass(self, t, side, logs):
        flat, shape = _flat(t)
        out = np.empty(flat.size)
        kernels.masses(flat, side, logs, *self._work, out)
        return out.reshape(shape)

    def cdf(self, t):
        return self._mass(t, LEFT, False)

    def sf(self, t):
        return self._mass(t, RIGHT, False)

    def logcdf(self, t):
        return self._mass(t, LEFT, True)

    def logsf(self, t):
        return self._mass(t, RIGHT, True)

    def _points(self, u, side):
        flat, shape = _flat(u)
        out = np.empty(flat.size)
        table, _, _, ends, rule = self._work
        kernels.points_for(flat, side, table, ends, rule, out)
        return out.reshape(shape)

    def ppf(self, u):
        """The t with cdf(t) = u."""
        return self._points(u, LEFT)

    def isf(self, u):
        """The t with sf(t) = u."""
        return self._points(u, RIGHT)


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
