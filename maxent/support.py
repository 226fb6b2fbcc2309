"""Where a distribution lives, and the affine frame x = loc + scale·t in which it is solved.

    Interval [a, b]         t in [-1, 1]    loc = (a+b)/2, scale = (b-a)/2        Chebyshev
    HalfLine [a, ∞)         t in [0, ∞)     loc = a, scale = E[x] - a             Laguerre, of shape
    HalfLine (-∞, b]        t in [0, ∞)     loc = b, scale = E[x] - b < 0         scale²/Var[x] >= 1
    RealLine                t on the line   loc = E[x], scale = √Var[x]           Hermite
    Discrete points         t in [-1, 1]    the frame of their range              Chebyshev

Bounds may be arrays: a batch whose columns have supports of their own.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property, lru_cache

import numpy as np

from maxent._kernels.window import BOUNDED, HALF, LINE
from maxent.basis import CHEBYSHEV, HERMITE, LAGUERRE, Laguerre

NARROWEST = 4.0 * np.finfo(float).tiny  # the scale of a narrower support has no reciprocal
MOST_SHAPE = 2.0**40  # beyond, t does not tell the places within the column apart to 1e-10


def frame_of(lower, upper):
    """(loc, scale) with (x - loc)/scale in [-1, 1] for every x of [lower, upper], rounding
    included: far from 0 the middle is no float64, and the farther end sets the scale."""
    with np.errstate(invalid="ignore", over="ignore"):  # inf, -inf: the range of nothing
        loc = lower + (0.5 * upper - 0.5 * lower)
        return loc, np.maximum(upper - loc, loc - lower)


class Support:
    """Base of the kinds of support. `basis` and `ends` say how its reference coordinate works.

    >>> [isinstance(s, maxent.Support) for s in (maxent.Interval(0, 1), maxent.RealLine())]
    [True, True]
    """

    basis = None
    ends = BOUNDED

    def frame(self, mean, variance):
        """(loc, scale), each of mean's shape."""
        raise NotImplementedError

    def basis_for(self, mean, variance):
        """The basis of columns with that mean and variance, (columns,)."""
        return self.basis

    @property
    def bounds(self):
        """(lower, upper): floats, or arrays where columns differ."""
        raise NotImplementedError

    def contains(self, x):
        """True where x lies in the support, ends included; of x's shape."""
        lower, upper = self.bounds
        return (np.asarray(x) >= lower) & (np.asarray(x) <= upper)

    def __getitem__(self, index):
        """The support of one column of a batch."""
        return self

    def columns(self, index):
        """The support of some columns of a batch, counted flat."""
        return self

    def atoms_of_reference(self):
        """(t, weights) of a discrete reference measure, or None for the Lebesgue measure."""
        return None


@dataclasses.dataclass(frozen=True, eq=False)
class Interval(Support):
    """[lower, upper], in the unit of x; arrays of shape (*batch) give each column its own interval.

    Raises ValueError where the ends are not finite, equal or swapped.

    >>> maxent.Interval(0, 1)
    [0, 1]
    >>> maxent.Interval([0, 0], [1, 5]).bounds[1].tolist()
    [1.0, 5.0]
    """

    lower: np.ndarray
    upper: np.ndarray

    basis = CHEBYSHEV
    ends = BOUNDED

    def __post_init__(self):
        lower, upper = np.broadcast_arrays(
            np.asarray(self.lower, float), np.asarray(self.upper, float)
        )
        with np.errstate(all="ignore"):
            bad = ~(upper - lower > NARROWEST) | ~np.isfinite(upper - lower)
        if bad.any():
            first = np.flatnonzero(bad.ravel())[0]
            a, b = lower.ravel()[first], upper.ravel()[first]
            if a > b:
                slip = "are lower and upper swapped?"
            elif a == b:
                slip = "a single point has no density"
            else:
                slip = "both ends must be numbers, their difference finite and not subnormal"
            raise ValueError(f"support ({a:g}, {b:g}) is not an interval: {slip}")
        lower, upper = lower.copy(), upper.copy()
        lower.setflags(write=False)
        upper.setflags(write=False)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def bounds(self):
        return self.lower[()], self.upper[()]

    @cached_property
    def _frame(self):
        frame = tuple(np.ravel(part) for part in frame_of(self.lower, self.upper))
        for part in frame:
            part.setflags(write=False)
        return frame

    def frame(self, mean, variance):
        """(loc, scale), each of mean's shape."""
        loc, scale = self._frame
        if loc.shape == mean.shape:
            return loc, scale
        return np.broadcast_to(loc, mean.shape), np.broadcast_to(scale, mean.shape)

    def __getitem__(self, index):
        return self._part(lambda end: end[index])

    def columns(self, index):
        return self._part(lambda end: end.ravel()[index])

    def _part(self, pick):
        if self.lower.ndim == 0:
            return self
        part = object.__new__(Interval)  # of ends that have been checked: this is done a lot
        object.__setattr__(part, "lower", pick(self.lower))
        object.__setattr__(part, "upper", pick(self.upper))
        return part

    def __repr__(self):
        if self.lower.ndim:
            return f"<{self.lower.size} intervals>"
        return f"[{self.lower:.6g}, {self.upper:.6g}]"


@dataclasses.dataclass(frozen=True)
class HalfLine(Support):
    """[end, ∞) when `upward`, else (-∞, end]; end in the unit of x. The same as (end, inf).

    Raises ValueError where the end is not finite.

    >>> maxent.HalfLine(2.0, upward=False)
    (-inf, 2]
    """

    end: float = 0.0
    upward: bool = True

    basis = LAGUERRE
    ends = HALF

    def __post_init__(self):
        if not np.isfinite(self.end):
            raise ValueError(f"the end of a half line must be a finite number, not {self.end}")

    @property
    def bounds(self):
        return (self.end, np.inf) if self.upward else (-np.inf, self.end)

    def frame(self, mean, variance):
        """(loc, scale), each of mean\'s shape."""
        scale = mean - self.end
        wrong = ~(scale > NARROWEST) if self.upward else ~(scale < -NARROWEST)
        unit = 1.0 if self.upward else -1.0
        return np.full(mean.shape, float(self.end)), np.where(wrong, unit, scale)

    def basis_for(self, mean, variance):
        """Far from the end, in terms of its width, a column has a gamma law's polynomials."""
        with np.errstate(all="ignore"):
            shape = (mean - self.end) ** 2 / variance
        known = np.isfinite(shape) & (variance > 0)
        return Laguerre("laguerre", np.where(known, np.clip(shape, 1.0, MOST_SHAPE), 1.0))

    def __repr__(self):
        return f"[{self.end:.6g}, inf)" if self.upward else f"(-inf, {self.end:.6g}]"


@dataclasses.dataclass(frozen=True)
class RealLine(Support):
    """(-∞, ∞). The same as (-inf, inf).

    >>> maxent.RealLine().bounds
    (-inf, inf)
    """

    basis = HERMITE
    ends = LINE

    @property
    def bounds(self):
        return -np.inf, np.inf

    def frame(self, mean, variance):
        """(loc, scale), each of mean\'s shape."""
        spread = np.sqrt(np.maximum(variance, 0.0))
        return mean, np.where(spread > NARROWEST, spread, np.where(mean == 0.0, 1.0, np.abs(mean)))

    def __repr__(self):
        return "(-inf, inf)"


@dataclasses.dataclass(frozen=True, eq=False)
class Discrete(Support):
    """Atoms at known places, such as the faces of a die.

    points: (n,), distinct and finite. weights: (n,) > 0, the reference measure (default: all 1);
    the answer has probabilities weights · exp(polynomial), and entropy relative to weights.

    Raises ValueError where points are not finite or not distinct, or weights do not fit them.

    >>> die = maxent.solve([1, 4.5], support=maxent.Discrete([1, 2, 3, 4, 5, 6]))
    >>> die.pmf(6).round(4)
    np.float64(0.3475)
    """

    points: np.ndarray
    weights: np.ndarray | None = None

    basis = CHEBYSHEV
    ends = BOUNDED

    def __post_init__(self):
        points = np.array(self.points, dtype=float)
        if points.ndim != 1 or points.size < 2:
            raise ValueError(
                f"Discrete needs a list of two points or more, not an array of shape {points.shape}"
            )
        if not np.isfinite(points).all():
            raise ValueError(f"a point must be finite, not {points[~np.isfinite(points)][0]}")
        weights = np.ones(points.size) if self.weights is None else np.array(self.weights, float)
        if weights.shape != points.shape or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError("weights must be positive and finite, one for each point")
        order = np.argsort(points, kind="stable")
        points, weights = points[order], weights[order]
        same = np.flatnonzero(np.diff(points) == 0)
        if same.size:
            raise ValueError(f"the point {points[same[0]]:g} is given twice")
        width = 0.5 * points[-1] - 0.5 * points[0]
        if not (np.isfinite(2.0 * width) and 2.0 * width > NARROWEST):
            raise ValueError(
                f"points from {points[0]:g} to {points[-1]:g}: their range is beyond float64"
            )
        points.setflags(write=False)
        weights.setflags(write=False)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", weights)

    @property
    def bounds(self):
        return self.points[0], self.points[-1]

    def frame(self, mean, variance):
        """(loc, scale), each of mean's shape."""
        loc, scale = frame_of(self.points[0], self.points[-1])
        return np.full(mean.shape, loc), np.full(mean.shape, scale)

    def contains(self, x):
        """True where x is one of the points."""
        return np.isin(x, self.points)

    def atoms_of_reference(self):
        """(t, weights) of the points."""
        loc, scale = self.frame(np.zeros(()), None)
        return np.clip((self.points - loc) / scale, -1.0, 1.0), self.weights

    def __repr__(self):
        return (
            f"Discrete({self.points.size} points in [{self.points[0]:.6g}, {self.points[-1]:.6g}])"
        )


def as_support(value):
    """A Support from (lo, hi) with ±inf allowed, or a Support as it is."""
    if isinstance(value, Support):
        return value
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        lower, upper = (float(v) for v in value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"support must be (lo, hi), with inf for no end, or a Support, not {repr(value)[:80]}"
        ) from None
    if np.isnan(lower) or np.isnan(upper):
        raise ValueError(f"support ({lower}, {upper}) has an end that is not a number")
    if lower == -np.inf and upper == np.inf:
        return RealLine()
    if upper == np.inf and np.isfinite(lower):
        return HalfLine(lower)
    if lower == -np.inf and np.isfinite(upper):
        return HalfLine(upper, upward=False)
    return _interval(lower + 0.0, upper + 0.0)  # -0 is 0


@lru_cache(maxsize=64)
def _interval(lower, upper):
    """Checking its ends takes as long as a solve, and they are often the same."""
    return Interval(lower, upper)
