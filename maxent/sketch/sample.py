"""Samples to moments: the mean of each basis function over the data, one column at a time.

The moments are taken in the reference coordinate directly, t = (x - loc)/scale, never through
powers of x: an offset of 1e9 with spread 1 costs nothing but the digits that the data themselves
have lost.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent._kernels.moments import basis_means, spread
from maxent.transform import NONE

# A blocked mean of numbers of size <= 1: what its own rounding may be off by.
MEAN_ROUNDING = 4.0 * 2.0**-53


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Columns of data: `columns` is a list of 1-D arrays (views where possible), with batch_shape.

    weights: 1-D or None, shared by the columns. The moments are those of the data as they are.
    """

    transform = NONE
    most_moments = np.inf

    columns: list
    weights: np.ndarray | None
    batch_shape: tuple

    @classmethod
    def of(cls, data, weights=None, axis=None):
        """Checks data of any real dtype: 1-D is one column; n-D needs the axis of the samples
        (default 0)."""
        array = real_array(data, "data")
        if isinstance(array, np.ma.MaskedArray):
            array = np.ma.filled(array.astype(float), np.nan)
        if array.ndim == 0:
            raise ValueError(f"data must be a list of values, not the single number {array}")
        axis = 0 if axis is None else axis
        if not isinstance(axis, (int, np.integer)) or not -array.ndim <= axis < array.ndim:
            raise ValueError(f"axis {axis!r} is not one of the {array.ndim} axes of the data")
        moved = np.moveaxis(array, axis, 0)
        if moved.shape[0] == 0:
            raise ValueError("data are empty: there is nothing to fit")
        batch_shape = moved.shape[1:]
        if array.dtype.kind == "b":
            moved = moved.astype(float)
        flat = moved.reshape(moved.shape[0], -1)
        columns = [flat[:, j] for j in range(flat.shape[1])]
        if not columns:
            raise ValueError(f"data of shape {array.shape} have no columns")
        if weights is not None:
            weights = np.array(real_array(weights, "weights"), dtype=float)
            if weights.shape != (flat.shape[0],):
                raise ValueError(
                    f"weights of shape {weights.shape} do not fit {flat.shape[0]} values a column"
                )
            bad = ~(np.isfinite(weights) & (weights >= 0))
            if bad.any():
                raise ValueError(f"weights must be finite and >= 0, not {weights[bad][0]:g}")
            if not weights.any():
                raise ValueError("all weights are zero")
        return cls(columns, weights, batch_shape)

    # ---------------------------------------- what MomentProblem asks of a source of moments

    def faults(self, nan_policy):
        """Why each column cannot be fitted, in words, or None."""
        out = []
        for column in self.columns:
            missing = np.isnan(column).sum() if column.dtype.kind == "f" else 0
            found = missing and nan_policy == "raise"
            out.append(f"{int(missing)} of {column.size} values are NaN" if found else None)
        return out

    def spread(self):
        """(count, lowest, highest, mean, variance), each (columns,), of what is not NaN."""
        weights = _weights(self.weights)
        return tuple(np.array([spread(column, weights) for column in self.columns]).T)

    def effective_size(self):
        """How many values are not NaN, or with weights their (Σw)²/Σw², (columns,)."""
        kept = [~np.isnan(column) for column in self.columns]
        if self.weights is None:
            return np.array([float(k.sum()) for k in kept])
        with np.errstate(all="ignore"):
            some = [self.weights[k] for k in kept]
            return np.array([w.sum() ** 2 / (w @ w) for w in some])

    def pick(self, index):
        return dataclasses.replace(self, columns=[self.columns[j] for j in index])

    def outside_points(self, support):
        """A value of each column that is no point of a Discrete support, or None."""
        strange = [column[~np.isin(column, support.points)] for column in self.columns]
        return [values[0] if len(values) else None for values in strange]

    def moments(self, support, loc, scale, degree):
        """E[phi_j(t)] and their rounding, both (columns, degree+1)."""
        lo, hi = (-1.0, 1.0) if support.basis.name == "chebyshev" else (-np.inf, np.inf)
        if support.basis.name == "laguerre":
            lo = 0.0
        rec = support.basis.recurrence(degree)
        weights = _weights(self.weights)
        out = np.empty((len(self.columns), degree + 1))
        for j, column in enumerate(self.columns):
            basis_means(column, weights, loc[j], scale[j], lo, hi, rec, out[j])
        error = np.full(out.shape, MEAN_ROUNDING) * np.maximum(1.0, np.abs(out))
        error[:, 0] = 0.0
        return out, error


def _weights(weights):
    return np.empty(0) if weights is None else weights


def real_array(value, what):
    """An array of real numbers, or a TypeError that says what it was."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{what} must be numbers, not the {type(value).__name__} {value[:40]!r}")
    try:
        array = value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{what} must be a regular array of numbers: {error}") from None
    if array.dtype.kind == "O":
        try:
            array = array.astype(float)
        except OverflowError:
            raise ValueError(f"{what} hold a number too large for float64") from None
        except (TypeError, ValueError) as error:
            raise TypeError(f"{what} must be numbers: {error}") from None
    if array.dtype.kind == "c":
        raise TypeError(f"{what} must be real, not complex (a value such as {array.ravel()[:1]})")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} must be numbers, not an array of dtype {array.dtype}")
    if array.dtype == np.float16 or array.dtype == np.longdouble:
        array = array.astype(float)
    return array
