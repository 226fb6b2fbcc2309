"""What is asked: moments of each column in the basis of their support, with what each may be off
by.

Power moments become basis moments in double-double; the rounding of the input, half a unit in the
last place of each moment, is carried along as `error` and decides later what the moments can prove.

    raw           E[x^j]                                    1, mean, …
    central       E[(x - mean)^j]                           1, mean, variance, …
    standardized  E[((x - mean)/sd)^j]                      1, mean, variance, skewness, kurtosis
    (3 for a normal), …
    chebyshev     E[T_j(t)], t the reference coordinate     1, …          (interval and discrete
    points)
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent._kernels.conversion import power_to_basis
from maxent.basis import Basis
from maxent.sketch import real_array
from maxent.support import NARROWEST, Discrete, Interval, Support, as_support
from maxent.transform import NONE, Transform

KINDS = ("raw", "central", "standardized", "chebyshev")
MAX_DEGREE = 64
HALF_ULP = 2.0**-53
CANCELLED = 2.0**-50
WIDEST = 2.0**1022  # half a range that would overflow
# A constant column gets a range this much wider than itself, so that it has a frame.
CONSTANT_MARGIN = 2.0**-10


@dataclasses.dataclass(frozen=True, eq=False)
class MomentProblem:
    """moments, error (columns, k+1) in `basis`; loc, scale (columns,): x = loc + scale·t.

    finite (columns,): False where data or moments hold NaN or infinity.
    samples (columns,): of data, how many values, or (Σw)²/Σw² (Kish 1965); else None.
    transform: of the data, before the moments were taken; the support is that of the transformed.

    The constructors `from_moments` and `from_source` raise ValueError or TypeError for bad input.

    >>> problem = maxent.MomentProblem.from_moments([1, 0.5, 0.3], (0, 1))
    >>> problem.moments.round(3).tolist()  # E T_j(2x - 1)
    [[1.0, 0.0, -0.6]]
    """

    support: Support
    moments: np.ndarray
    error: np.ndarray
    loc: np.ndarray
    scale: np.ndarray
    finite: np.ndarray
    batch_shape: tuple
    basis: Basis
    samples: np.ndarray | None = None
    transform: Transform = NONE

    @property
    def degree(self):
        return self.moments.shape[1] - 1

    def columns(self, index):
        """The problem of some columns only, counted flat, as a flat batch."""
        moments = np.ascontiguousarray(self.moments[index])
        return dataclasses.replace(
            self,
            support=self.support.columns(index),
            moments=moments,
            error=np.ascontiguousarray(self.error[index]),
            loc=self.loc[index],
            scale=self.scale[index],
            finite=self.finite[index],
            batch_shape=moments.shape[:1],
            basis=self.basis[index],
        )

    def up_to(self, degree):
        """The problem of the first moments only."""
        return dataclasses.replace(
            self,
            moments=np.ascontiguousarray(self.moments[:, : degree + 1]),
            error=np.ascontiguousarray(self.error[:, : degree + 1]),
        )

    def recurrences(self, k):
        """Of the basis of every column: (columns, 3, k)."""
        return self.basis.recurrences(k, self.moments.shape[0])

    @classmethod
    def from_moments(cls, moments, support, kind="raw"):
        """moments (*batch, k+1), k >= 1; see the module for `kind`."""
        support = as_support(support)
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        array = real_array(moments, "moments")
        array = array.astype(float)  # a copy, which is written to below
        if isinstance(array, np.ma.MaskedArray):
            array = array.filled(np.nan)
        if array.ndim == 0 or array.shape[-1] < 2:
            raise ValueError(
                f"moments of shape {array.shape}: the last axis holds m0 = 1 and one moment or more"
            )
        if array.shape[-1] > MAX_DEGREE + 1:
            raise ValueError(
                f"{array.shape[-1] - 1} moments are more than the {MAX_DEGREE} that float64 can use"
            )
        batch_shape = array.shape[:-1]
        given = array.reshape(-1, array.shape[-1])
        if given.shape[0] == 0:
            raise ValueError(f"moments of shape {array.shape} hold no column")
        finite = np.isfinite(given).all(axis=1)
        if not finite.all():
            given[~finite] = 0.0
            given[~finite, 0] = 1.0
        wrong = ~(np.abs(given[:, 0] - 1.0) <= 1e-9)
        if wrong.any():
            column = np.flatnonzero(wrong)[0]
            where = "" if batch_shape == () else f" (column {column})"
            raise ValueError(
                f"moments[..., 0] is m0 and must be 1, not {given[column, 0]:g}{where}: "
                "did you leave out m0 = 1?"
            )
        given[:, 0] = 1.0
        _check_columns(support, batch_shape)
        if kind == "chebyshev":
            if support.basis.name != "chebyshev":
                raise ValueError(f"Chebyshev moments need an interval, not the support {support}")
            zero = np.zeros(given.shape[0])
            loc, scale = support.frame(zero, zero)
            basis_moments, error = given, HALF_ULP * np.abs(given)
            error[:, 0] = 0.0
            basis = support.basis
        else:
            with np.errstate(all="ignore"):  # what overflows comes out as an infinite error
                basis_moments, error, loc, scale, basis = _from_powers(given, support, kind)
        return cls(support, basis_moments, error, loc, scale, finite, batch_shape, basis)

    @classmethod
    def from_source(cls, source, degree, support=None, nan_policy="raise"):
        """Moments of a Sample or a Sketch. Returns (problem, notes): notes[j] says why column j is
        not finite."""
        if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)):
            raise TypeError(f"degree must be an integer, not {degree!r}")
        if not 1 <= degree <= MAX_DEGREE:
            raise ValueError(f"degree must be between 1 and {MAX_DEGREE}, not {degree}")
        if nan_policy not in ("raise", "omit"):
            raise ValueError(f"nan_policy must be 'raise' or 'omit', not {nan_policy!r}")
        count, low, high, mean, variance = source.spread()
        notes = source.faults(nan_policy)
        for j in range(len(notes)):
            if notes[j] is None:
                notes[j] = _fault(count[j], low[j], high[j], variance[j])
        finite = np.array([note is None for note in notes])
        low, high = np.where(finite, low, -1.0), np.where(finite, high, 1.0)
        mean, variance = np.where(finite, mean, 0.0), np.where(finite, variance, 1.0)
        if support is None:
            margin = np.where(low == high, CONSTANT_MARGIN * np.maximum(np.abs(low), 1e-290), 0.0)
            margin = np.where((low == high) & (low == 0.0), 1.0, margin)
            support = Interval(
                (low - margin).reshape(source.batch_shape),
                (high + margin).reshape(source.batch_shape),
            )
        else:
            support = as_support(support)
            _check_columns(support, source.batch_shape)
            support = _transformed(support, source.transform)
            _check_inside(support, source, low, high, finite)
        loc, scale, basis = _frame(support, mean, variance, degree)
        moments = np.zeros((len(notes), degree + 1))
        error = np.zeros_like(moments)
        moments[:, 0] = 1.0
        index = np.flatnonzero(finite)
        if index.size:
            part = source.pick(index)
            moments[index], error[index] = part.moments(
                support, basis[index], loc[index], scale[index], degree
            )
        size = source.effective_size()
        problem = cls(
            support,
            moments,
            error,
            loc,
            scale,
            finite,
            source.batch_shape,
            basis,
            size,
            source.transform,
        )
        return problem, notes


def _transformed(support, transform):
    """The support of y, for a support of x."""
    if transform == NONE:
        return support
    if isinstance(support, Discrete):
        raise ValueError(f"Discrete support needs data as they are, not {transform}")
    lower, upper = support.bounds
    least, _ = transform.domain
    if np.any(np.asarray(lower) < least):
        raise ValueError(
            f"the support begins at {np.min(lower):.6g}, below {least:.6g}, where {transform} "
            "begins"
        )
    ends = transform.forward(lower), transform.forward(upper)
    if np.ndim(lower):
        return Interval(*ends)
    return as_support(ends)


def _fault(count, low, high, variance):
    """Why a column of data has no moments in float64, or None."""
    if count == 0:
        return "no value is left"
    if not (np.isfinite([low, high]).all() and high / 2 - low / 2 < WIDEST):
        return f"a value is infinite or too large ({low:g} … {high:g})"
    if not np.isfinite(variance):
        return f"values as large as {max(-low, high):g} have no finite variance"
    if low < high and not high - low > NARROWEST:
        return f"the range is too narrow for float64 ({low:g} … {high:g})"
    return None


def _frame(support, mean, variance, degree):
    """(loc, scale, basis)."""
    loc, scale = support.frame(mean, variance)
    return (
        np.ascontiguousarray(np.ravel(loc), dtype=float),
        np.ascontiguousarray(np.ravel(scale), dtype=float),
        support.basis_for(mean, variance) if degree > 1 else support.basis,
    )


def _from_powers(given, support, kind):
    """Basis moments, errors and frame from raw, central or standardized moments (columns, k+1)."""
    columns, size = given.shape
    power = given.copy()
    error = HALF_ULP * np.abs(power)
    mean = given[:, 1].copy()
    variance = given[:, 2] if size > 2 else np.ones(columns)
    centre, unit = np.zeros(columns), np.ones(columns)
    if kind == "raw":
        if size > 2:  # a difference that is all rounding says nothing of the spread
            variance = np.where(variance - mean**2 > CANCELLED * mean**2, variance - mean**2, 0.0)
    elif size > 2 or kind == "central":
        centre = mean
        power[:, 1] = 0.0
        error[:, 1] = HALF_ULP * np.abs(mean)
        if kind == "standardized":
            negative = ~(variance > 0)
            unit = np.where(negative, 1.0, np.sqrt(np.where(negative, 1.0, variance)))
            power[~negative, 2] = 1.0
            error[:, 1] /= unit
            error[negative, 3:] = np.inf
            power[negative, 3:] = 0.0
    loc, scale, basis = _frame(support, mean, variance, size - 1)
    error[:, 0] = 0.0
    place, width = (loc - centre) / unit, scale / unit
    if basis is support.basis:
        rows = basis.recurrence(size - 1).copy()  # what is read-only would compile anew
        moments, error = power_to_basis(power, error, place, width, rows)
    else:
        moments = np.empty_like(power)
        for j, rows in enumerate(basis.recurrences(size - 1, columns)):
            one = slice(j, j + 1)
            moments[one], error[one] = power_to_basis(
                power[one], error[one], place[one], width[one], rows
            )
    moments[:, 0] = 1.0
    error[:, 0] = 0.0
    return moments, error, loc, scale, basis


def _check_columns(support, batch_shape):
    lower = np.shape(support.bounds[0])
    if lower and lower != batch_shape:
        raise ValueError(
            f"support has bounds of shape {lower}, the moments are a batch {batch_shape}"
        )


def _check_inside(support, source, low, high, finite):
    lower, upper = (np.broadcast_to(v, source.batch_shape).ravel() for v in support.bounds)
    out = finite & ((low < lower) | (high > upper))
    if out.any():
        j = np.flatnonzero(out)[0]
        value = low[j] if low[j] < lower[j] else high[j]
        where = "" if len(finite) == 1 else f" (column {j})"
        raise ValueError(
            f"the value {value:.10g}{where} lies outside the support "
            f"[{lower[j]:.6g}, {upper[j]:.6g}]: "
            "is the support too narrow, or is this value an error?"
        )
    if isinstance(support, Discrete):
        for value, ok in zip(source.outside_points(support), finite, strict=True):
            if ok and value is not None:
                raise ValueError(f"the value {value:g} is not one of the points of {support}")
