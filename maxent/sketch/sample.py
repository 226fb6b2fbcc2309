"""Samples to moments: the mean of each basis function over the data, one column at a time.

The moments are taken in the reference coordinate directly, t = (x - loc)/scale, never through
powers of x: an offset of 1e9 with spread 1 costs nothing but the digits that the data themselves
have lost.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
from numba import config

from maxent._kernels import moments as kernels
from maxent.transform import NONE

# A blocked mean of numbers of size <= 1: what its own rounding may be off by.
MEAN_ROUNDING = 4.0 * 2.0**-53
# Rows of one column are worked on so many flushes at a time where they lie; other data are copied
# piece by piece into the cache. From so many values on threads are worth their while.
FLUSHES = 16
MANY = 1 << 18
# A variance that is so small beside the square of the shift was lost to it.
CANCELLED = 1e-2


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Columns of data: `table` (n, columns) of any real dtype and strides, with batch_shape.

    weights: (n,) or None, shared by the columns. The moments are those of the data as they are.
    """

    transform = NONE
    most_moments = np.inf

    table: np.ndarray
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
        if not flat.shape[1]:
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
        return cls(flat, weights, batch_shape)

    @property
    def columns(self):
        """The columns, as views."""
        return list(self.table.T)

    @cached_property
    def _survey(self):
        """What `kernels.survey` finds, (8, columns), and the mean and variance."""
        start = np.array(self.table[0], dtype=float)
        shift = np.where(np.isfinite(start), start, 0.0)
        with np.errstate(all="ignore"):
            found, mean, variance = self._about(shift)
            lost = variance <= CANCELLED * (mean - shift) ** 2
            if lost.any():
                found, mean, variance = self._about(np.where(np.isfinite(mean), mean, 0.0))
        return found, mean, variance

    def _about(self, shift):
        parts = self._in_pieces(kernels.survey, 8, shift)
        found = _added(parts)
        found[kernels.LOW] = parts[:, kernels.LOW].min(axis=0)
        found[kernels.HIGH] = parts[:, kernels.HIGH].max(axis=0)
        first, second = found[[kernels.FIRST, kernels.SECOND]] / found[kernels.MASS]
        return found, shift + first, np.maximum(second - first**2, 0.0)

    def sums(self, loc, scale, lo, hi, recurrence):
        """Σ w phi_j(t), (k+1, columns), t = (x - loc)/scale clipped to [lo, hi]; loc, scale
        (columns,)."""
        size = recurrence.shape[1] + 1
        return _added(self._in_pieces(kernels.basis_sums, size, loc, scale, lo, hi, recurrence))

    # ---------------------------------------- what MomentProblem asks of a source of moments

    def faults(self, nan_policy):
        """Why each column cannot be fitted, in words, or None."""
        missing = self._survey[0][kernels.MISSING]
        return [
            f"{int(m)} of {len(self.table)} values are NaN" if m and nan_policy == "raise" else None
            for m in missing
        ]

    def spread(self):
        """(count, lowest, highest, mean, variance), each (columns,), of what is not NaN."""
        found, mean, variance = self._survey
        none = found[kernels.COUNT] == 0.0
        low, high = (np.where(none, np.nan, found[i]) for i in (kernels.LOW, kernels.HIGH))
        return found[kernels.COUNT], low, high, mean, variance

    def effective_size(self):
        """How many values are not NaN, or with weights their (Σw)²/Σw², (columns,)."""
        found, _, _ = self._survey
        with np.errstate(all="ignore"):
            return found[kernels.MASS] ** 2 / found[kernels.SQUARES]

    def pick(self, index):
        every = len(index) == self.table.shape[1]
        return self if every else dataclasses.replace(self, table=self.table[:, index])

    def outside_points(self, support):
        """A value of each column that is no point of a Discrete support, or None."""
        strange = [column[~np.isin(column, support.points)] for column in self.columns]
        return [values[0] if len(values) else None for values in strange]

    def moments(self, support, basis, loc, scale, degree):
        """E[phi_j(t)] and their rounding, both (columns, degree+1)."""
        lo, hi = (-1.0, 1.0) if support.basis.name == "chebyshev" else (-np.inf, np.inf)
        if support.basis.name == "laguerre":
            lo = 0.0
        if basis is support.basis:
            sums = self.sums(loc, scale, lo, hi, basis.recurrence(degree).copy())
        else:
            sums = np.empty((degree + 1, len(loc)))
            for j in range(len(loc)):
                one = slice(j, j + 1)
                part = self.pick(np.array([j])).sums(
                    loc[one], scale[one], lo, hi, basis[j].recurrence(degree).copy()
                )
                sums[:, one] = part
        out = (sums / sums[0]).T
        error = np.full(out.shape, MEAN_ROUNDING) * np.maximum(1.0, np.abs(out))
        error[:, 0] = 0.0
        return out, error

    def _in_pieces(self, kernel, size, *arguments):
        """The kernel's results, (flushes, size, columns), on all rows.

        Those of `arguments` that are (columns,) are cut to the columns of a piece.
        """
        n, columns = self.table.shape
        by_column = columns == 1 or abs(self.table.strides[0]) < abs(self.table.strides[1])
        whole = self.table.T if by_column else self.table
        in_place = self.table.dtype == np.float64 and whole.flags.c_contiguous
        flat = _read_only(whole.reshape(-1)) if in_place else None
        width = 1 if by_column else kernels.WIDTH
        height = kernels.FLUSH * (FLUSHES if in_place and width == 1 else 1)
        out = np.empty((-(-n // kernels.FLUSH), size, columns))
        weights = np.empty(0) if self.weights is None else self.weights

        def one(place):
            row, column = place
            rows = slice(row, min(row + height, n))
            these = slice(column, min(column + width, columns))
            if in_place:
                start = column * n + row if by_column else row * columns + column
                piece, stride = flat, 1 if by_column else columns
            else:
                piece = _read_only(np.array(self.table[rows, these], float, order="C").reshape(-1))
                start, stride = 0, these.stop - these.start
            some = [_of_columns(v, these) for v in arguments]
            flushes = slice(row // kernels.FLUSH, -(-rows.stop // kernels.FLUSH))
            found = np.empty((flushes.stop - flushes.start, size, these.stop - these.start))
            kernel(piece, start, stride, rows.stop - row, weights[rows], *some, found)
            out[flushes, :, these] = found

        places = [(i, j) for i in range(0, n, height) for j in range(0, columns, width)]
        if config.NUMBA_NUM_THREADS > 1 and self.table.size > MANY:
            with ThreadPoolExecutor(config.NUMBA_NUM_THREADS) as pool:
                list(pool.map(one, places))
        else:
            for place in places:
                one(place)
        return out


def _read_only(array):
    """A view by which nothing is changed: kernels are compiled for those alone."""
    view = array.view()
    view.setflags(write=False)
    return view


def _of_columns(value, columns):
    one_a_column = isinstance(value, np.ndarray) and value.ndim == 1
    return _read_only(np.ascontiguousarray(value[columns])) if one_a_column else value


def _added(parts):
    """The sum over the first axis, pairwise: NumPy adds so along the last axis."""
    return np.ascontiguousarray(np.moveaxis(parts, 0, -1)).sum(axis=-1)


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
