"""Sketch: a column of any size, on any number of machines, as k + 3 numbers and a few counts.

A sketch holds the range of what it has seen and Σ w T_j(t) over it, t the position in the range,
from -1 to 1. One pass is enough, because the range may grow afterwards: T_j of a narrower range is
a combination of T_0 … T_j of the wider one with bounded coefficients (`_kernels.sketching`). So
`a + b` is: widen both to the union of their ranges, and add. It commutes exactly and associates to
rounding, whatever the offset and spread of the data, where power sums about a fixed origin lose all
digits.

The frame of a range, x = loc + scale·t, is a function of its two ends alone, so that equal ranges
need no widening. Values that are no finite number are counted and left out of the sums.

A density cannot hold atoms: the same value over and over (zeros where nothing happened, the end of
a gauge). Sums do not show them; three kinds of count do: zeros, values at either end, and how often
two values picked at random in a chunk are equal (an estimate of Σ p_i², the sum over all atoms).
"""

from __future__ import annotations

import warnings

import numpy as np

from maxent._kernels.sketching import expand, frame, merge, survey
from maxent.basis import CHEBYSHEV
from maxent.sketch.sample import MEAN_ROUNDING, Sample
from maxent.support import frame_of
from maxent.transform import NONE, as_transform

COUNTS = (
    "values",
    "nan",
    "above",  # +inf
    "below",  # -inf
    "zeros",
    "at_low",
    "at_high",
    "pairs",
    "ties",
)
VALUES, NAN, ABOVE, BELOW, ZEROS, AT_LOW, AT_HIGH, PAIRS, TIES = range(len(COUNTS))
MAX_DEGREE = 64
# Rows taken in at a time: a block stays in the cache, and huge arrays are never copied.
ROWS = 1 << 16
# A share of equal values that a smooth density describes badly, in a column of so many values; and
# of equal pairs, of which so many must have been seen. (Values rounded to a tenth of their standard
# deviation: 0.028 of the pairs.)
ATOM, ATOM_VALUES = 0.05, 100
TIED, TIED_PAIRS = 0.02, 6


class Sketch:
    """Mergeable moments of one column or of a batch: `update`, `+`, `fit`, `to_bytes`, `to_json`.

    degree: how many moments are kept, 1 … 64. transform: None, "log", "asinh", "sqrt", or a
    Transform with constants of its own; the moments are those of the transformed values.

    batch_shape  () for one column; None before the first data
    count, nan, infinite, zeros  (*batch) how many finite values, NaN, infinite values and zeros;
                 what lies outside of the transform's domain counts as NaN, and log 0 as infinite
    low, high    (*batch) the range of the finite values, in the unit of x
    weight       (*batch) Σw (the count where there are no weights)

    Only sketches of the same degree, transform and batch_shape merge. Raises ValueError or
    TypeError for a degree or transform that is none.

    >>> parts = [maxent.Sketch.of(np.arange(100 * i, 100 * i + 100), 4) for i in range(5)]
    >>> sum(parts)
    <Sketch, degree 4: 500 values in [0, 499]>
    >>> sum(parts).fit().ppf([0.25, 0.5]).round(3).tolist()
    [124.545, 249.5]
    >>> len(sum(parts).to_bytes())
    71
    """

    def __init__(self, degree=6, *, transform=None):
        if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)):
            raise TypeError(f"degree must be an integer, not {degree!r}")
        if not 1 <= degree <= MAX_DEGREE:
            raise ValueError(f"degree must be between 1 and {MAX_DEGREE}, not {degree}")
        self.degree = int(degree)
        self.transform = as_transform(transform)
        self.batch_shape = None
        self._counts = np.zeros((0, len(COUNTS)), np.int64)
        self._mass = np.zeros((0, 2))  # Σw, Σw²
        self._range = np.zeros((0, 2))  # of the transformed values; inf, -inf without any
        self._sums = np.zeros((0, self.degree + 1))

    @classmethod
    def of(cls, data, degree=6, *, weights=None, axis=None, transform=None):
        """The sketch of one array, or of an iterator of chunks."""
        return cls(degree, transform=transform).update(data, weights=weights, axis=axis)

    # ---------------------------------------------------------------------- data

    def update(self, data, *, weights=None, axis=None):
        """Take in values; returns the sketch itself.

        data: an array-like as for `maxent.fit` (1-D is one column, n-D a batch along `axis`), or an
        iterator of such arrays. weights: (n,) >= 0, not with an iterator.

        Raises ValueError or TypeError for bad input, and then takes in nothing of that array.
        """
        if hasattr(data, "__next__"):
            if weights is not None:
                raise ValueError("weights belong to one array: update with each chunk and its own")
            for chunk in data:
                self.update(chunk, axis=axis)
            return self
        if np.ndim(data) > 0 and np.size(data) == 0:
            return self
        nothing = weights is not None and np.size(weights) > 0 and not np.any(weights)
        sample = Sample.of(data, np.ones(np.shape(weights)) if nothing else weights, axis)
        if self.batch_shape is not None and sample.batch_shape != self.batch_shape:
            raise ValueError(
                f"the chunk is a batch of shape {sample.batch_shape}, the sketch one of "
                f"{self.batch_shape}"
            )
        chunk = self._blank(sample.batch_shape)
        if nothing:
            return self._absorb(chunk)
        kept = None if sample.weights is None else sample.weights > 0
        weights = np.empty(0) if kept is None else sample.weights[kept]
        for j, column in enumerate(sample.columns):
            column = column if kept is None or kept.all() else column[kept]
            for start in range(0, column.size, ROWS):
                rows = slice(start, start + ROWS)
                chunk._take(j, np.array(column[rows], dtype=float), weights[rows])
        return self._absorb(chunk)

    def _blank(self, batch_shape):
        """An empty sketch of that shape."""
        new = Sketch(self.degree, transform=self.transform)
        columns = int(np.prod(batch_shape))
        new.batch_shape = batch_shape
        new._counts = np.zeros((columns, len(COUNTS)), np.int64)
        new._mass = np.zeros((columns, 2))
        new._range = np.tile([np.inf, -np.inf], (columns, 1))
        new._sums = np.zeros((columns, self.degree + 1))
        return new

    def _take(self, j, x, weights):
        """One block of column j: x (n,) contiguous, weights (n,) or (0,)."""
        y = self.transform.forward(x)
        counts, range_ = np.zeros((1, len(COUNTS)), np.int64), np.empty((1, 2))
        mass, sums = np.empty((1, 2)), np.zeros((1, self.degree + 1))
        mass[0] = survey(x, y, weights, counts[0], range_[0])
        rec = CHEBYSHEV.recurrence(self.degree).copy()
        if counts[0, VALUES]:
            loc, scale = frame(*range_[0])
            if counts[0, ABOVE] or counts[0, BELOW]:
                y = np.where(np.isfinite(y), y, np.nan)
            unit = scale if scale > 0.0 else 1.0
            block = Sample(y[:, None], weights if weights.size else None, ())
            at = np.array([loc]), np.array([unit])
            found = block.sums(*at, -np.inf, np.inf, rec)[:, 0]
            sums[0] = found * (mass[0, 0] / found[0])
        rows = slice(j, j + 1)
        mine = self._counts[rows], self._mass[rows], self._range[rows], self._sums[rows]
        merge(*mine, counts, mass, range_, sums, rec)

    def _absorb(self, other):
        if other.batch_shape is None:
            return self
        if self.batch_shape is None:
            self.batch_shape = other.batch_shape
            for name in ("_counts", "_mass", "_range", "_sums"):
                setattr(self, name, getattr(other, name).copy())
            return self
        merge(*self._numbers(), *other._numbers(), CHEBYSHEV.recurrence(self.degree).copy())
        return self

    def _numbers(self):
        return self._counts, self._mass, self._range, self._sums

    def __add__(self, other):
        """The sketch of both data sets together; neither is changed."""
        if not isinstance(other, Sketch):
            return NotImplemented
        if self.degree != other.degree:
            raise ValueError(
                f"sketches of degree {self.degree} and {other.degree} do not merge: make both "
                "with the same degree"
            )
        if self.transform != other.transform:
            raise ValueError(
                f"sketches of {self.transform} and {other.transform} do not merge: the constants "
                "must be the same for all parts (choose them from a pilot sample)"
            )
        if None not in (self.batch_shape, other.batch_shape) and (
            self.batch_shape != other.batch_shape
        ):
            raise ValueError(
                f"batches of shape {self.batch_shape} and {other.batch_shape} do not merge"
            )
        return Sketch(self.degree, transform=self.transform)._absorb(self)._absorb(other)

    def __radd__(self, other):
        """0 + sketch, so that sum(sketches) works."""
        return (
            self + Sketch(self.degree, transform=self.transform) if other == 0 else NotImplemented
        )

    # -------------------------------------------------------------------- numbers

    def _of_batch(self, values):
        return values.reshape(self.batch_shape or ())[()] if values.size else values

    @property
    def count(self):
        """How many finite values, (*batch)."""
        return self._of_batch(self._counts[:, VALUES])

    @property
    def nan(self):
        """How many NaN, (*batch)."""
        return self._of_batch(self._counts[:, NAN])

    @property
    def infinite(self):
        """How many infinite values, (*batch)."""
        return self._of_batch(self._counts[:, ABOVE] + self._counts[:, BELOW])

    @property
    def zeros(self):
        """How many x = 0, (*batch)."""
        return self._of_batch(self._counts[:, ZEROS])

    @property
    def weight(self):
        """Σw of the finite values, (*batch)."""
        return self._of_batch(self._mass[:, 0])

    @property
    def low(self):
        """The lowest finite value, in the unit of x, (*batch)."""
        return self._of_batch(self._bounds()[0])

    @property
    def high(self):
        """The highest finite value, in the unit of x, (*batch)."""
        return self._of_batch(self._bounds()[1])

    def _bounds(self):
        none = self._counts[:, VALUES] == 0
        ends = self.transform.inverse(np.where(none[:, None], np.nan, self._range))
        return ends[:, 0], ends[:, 1]

    def chebyshev_moments(self):
        """E[T_j(t)], t = ((y - low) - (high - y))/(high - low) of the (transformed) data y, whose
        range is [low, high]: (*batch, k+1).

        nan for a column without values; for a constant one t = 0.
        """
        self._require_data()
        low, high = self._range.T
        loc, scale = frame_of(low, high)
        with np.errstate(invalid="ignore", divide="ignore"):
            half = np.where(high > low, 0.5 * high - 0.5 * low, 1.0)
            beta = (0.5 * (loc - low) - 0.5 * (high - loc)) / half
            out = np.empty_like(self._sums)
            rec = CHEBYSHEV.recurrence(self.degree).copy()
            expand(self._sums, scale / half, beta, rec, out, np.empty_like(out))
            out /= self._mass[:, :1]
        return out.reshape(*self.batch_shape, -1)

    def __getitem__(self, index):
        """The sketch of one column, or of a smaller batch."""
        if not self.batch_shape:
            raise IndexError("a sketch of one column cannot be indexed")
        picked = np.arange(len(self._counts)).reshape(self.batch_shape)[index]
        part = self._blank(np.shape(picked))
        for name in ("_counts", "_mass", "_range", "_sums"):
            setattr(part, name, getattr(self, name)[np.ravel(picked)])
        return part

    def __eq__(self, other):
        if not isinstance(other, Sketch):
            return NotImplemented
        return (
            (self.degree, self.transform, self.batch_shape)
            == (other.degree, other.transform, other.batch_shape)
            and np.array_equal(self._counts, other._counts)
            and np.array_equal(self._mass, other._mass)
            and np.array_equal(self._range, other._range)
            and np.array_equal(self._sums, other._sums)
        )

    __hash__ = None

    def __repr__(self):
        what = f"degree {self.degree}"
        if self.transform != NONE:
            what += f", {self.transform}"
        if self.batch_shape is None:
            return f"<Sketch, {what}: no data>"
        if self.batch_shape:
            total = self._counts[:, VALUES].sum()
            return f"<Sketch, batch {self.batch_shape}, {what}: {total:,} values>"
        left_out = self._counts[0, [NAN, ABOVE, BELOW]].sum()
        extra = f", {left_out:,} NaN or infinite" if left_out else ""
        return (
            f"<Sketch, {what}: {self.count:,} values in [{self.low:.6g}, {self.high:.6g}]{extra}>"
        )

    # ----------------------------------------------------------------------- bytes

    def to_bytes(self):
        """The sketch as bytes, the same on every machine; see `maxent.sketch.format`."""
        from maxent.sketch import format

        return format.to_bytes(self)

    @staticmethod
    def from_bytes(data):
        """The sketch that `to_bytes` wrote. Raises ValueError for anything else."""
        from maxent.sketch import format

        return format.from_bytes(data)

    def to_json(self):
        """The sketch as one JSON document, with every digit."""
        from maxent.sketch import format

        return format.to_json(self)

    @staticmethod
    def from_json(text):
        """The sketch that `to_json` wrote. Raises ValueError for anything else."""
        from maxent.sketch import format

        return format.from_json(text)

    def __reduce__(self):
        return Sketch.from_bytes, (self.to_bytes(),)

    # ------------------------------------------------------------------------- fit

    def fit(self, degree=None, *, support=None, nan_policy="raise", throw=True):
        """The maximum-entropy density of everything taken in.

        degree: at most that of the sketch, which is the default; or "auto". support, throw: as for
        `maxent.fit`; of a transformed sketch the ends are those of x. nan_policy: "raise", or
        "omit" to leave NaN and infinite values out.

        A column with atoms gets a UserWarning that says what to do instead. On half lines and the
        line the moments are turned from the basis of the range, which costs digits where the range
        is wide: the certificate says how many are left.
        """
        from maxent import solver

        self._require_data()
        self._warn_of_atoms()
        degree = self.degree if degree is None else degree
        return solver.fit_moments(self, degree, support, nan_policy, throw)

    def _require_data(self):
        if self.batch_shape is None:
            raise ValueError("the sketch has seen no data")

    def _warn_of_atoms(self):
        for j in range(len(self._counts)):
            found = self._atoms(j)
            if found:
                where = f"column {j}: " if self.batch_shape else ""
                warnings.warn(
                    f"{where}{found}; a density has no atoms. Take them out and keep their share "
                    "(mixed data), use maxent.Discrete(points) (few values), or spread rounded "
                    "values over their step",
                    UserWarning,
                    stacklevel=3,
                )

    def _atoms(self, j):
        """What speaks for atoms, in words, or None."""
        counts = self._counts[j]
        n = counts[VALUES]
        if n < ATOM_VALUES or self._range[j, 0] == self._range[j, 1]:
            return None
        low, high = (end[j] for end in self._bounds())
        shares = {"exactly 0": counts[ZEROS], f"exactly {low:.6g}, the lowest": counts[AT_LOW]}
        shares[f"exactly {high:.6g}, the highest"] = counts[AT_HIGH]
        for what, number in shares.items():
            if number > ATOM * n:
                return f"{100 * number / n:.3g} % of the values are {what}"
        pairs, ties = counts[PAIRS], counts[TIES]
        if ties >= TIED_PAIRS and ties > TIED * pairs:
            return (
                f"{100 * ties / pairs:.2g} % of pairs of values picked at random are equal: "
                "few distinct values, or values repeated often"
            )
        return None

    # ---------------------------------------- what MomentProblem asks of a source of moments

    @property
    def most_moments(self):
        """How many moments there are to match."""
        return self.degree

    @property
    def size(self):
        """How many columns."""
        return len(self._counts)

    def faults(self, nan_policy):
        """Why each column cannot be fitted, in words, or None."""
        out = []
        for values, nan, above, below in self._counts[:, : BELOW + 1].tolist():
            note = None
            if (nan or above + below) and nan_policy == "raise":
                of = "" if self.transform == NONE else f" after {self.transform}"
                total = values + nan + above + below
                note = f"{nan} of {total} values are NaN and {above + below} infinite{of}"
            out.append(note)
        return out

    def spread(self):
        """(count, low, high, mean, variance) of the finite transformed values, each (columns,)."""
        low, high = self._range.T
        loc, scale = frame_of(low, high)
        with np.errstate(all="ignore"):
            m = self._sums / self._mass[:, :1]
            mean = loc + scale * m[:, 1]
            second = 0.5 * (m[:, 2] + 1.0) if self.degree > 1 else np.ones(len(m))
            variance = np.maximum(scale**2 * (second - m[:, 1] ** 2), 0.0)
        return self._counts[:, VALUES], low, high, mean, variance

    def effective_size(self):
        """(Σw)²/Σw², (columns,)."""
        with np.errstate(all="ignore"):
            return self._mass[:, 0] ** 2 / self._mass[:, 1]

    def pick(self, index):
        """The columns `index` as a flat batch."""
        part = self._blank((len(index),))
        for name in ("_counts", "_mass", "_range", "_sums"):
            setattr(part, name, getattr(self, name)[index])
        return part

    def moments(self, support, basis, loc, scale, degree):
        """E[phi_j((y - loc)/scale)] and what they may be off by, both (columns, degree+1)."""
        if degree > self.degree:
            raise ValueError(f"the sketch holds {self.degree} moments, fewer than {degree}")
        old_loc, old_scale = frame_of(*self._range.T)
        alpha, beta = old_scale / scale, (old_loc - loc) / scale
        out = np.empty((self.size, degree + 1))
        error = np.empty_like(out)
        for j, rec in enumerate(basis.recurrences(degree, self.size)):
            one = slice(j, j + 1)
            expand(self._sums[one], alpha[one], beta[one], rec, out[one], error[one])
        mass = self._mass[:, :1]
        out, error = out / mass, error / mass
        exact = (alpha == 1.0) & (beta == 0.0) & (basis is CHEBYSHEV)
        error[exact] = 0.0
        error = np.maximum(error, MEAN_ROUNDING * np.maximum(1.0, np.abs(out)))
        out[:, 0], error[:, 0] = 1.0, 0.0
        return out, error

    def outside_points(self, support):
        """None: the values themselves are gone, and whether each is a point cannot be known."""
        return [None] * self.size
