"""Orthogonal polynomials, each of them nothing but its three-term recurrence

    phi_{j+1}(t) = (a_j t + b_j) phi_j(t) - d_j phi_{j-1}(t),    phi_0 = 1.

    Chebyshev   T_j:       1, t, 2t² - 1, …            for dt/√(1-t²)      on [-1, 1]
    Hermite     He_j/√j!:  1, t, (t² - 1)/√2, …        for exp(-t²/2) dt   on the line
    (probabilists')
    Laguerre    L_j:       1, 1 - t, 1 - 2t + t²/2, …  for exp(-t) dt      on [0, ∞)

The last two are orthonormal; the mean square of T_j is 1/2 from j = 1 on. Laguerre's come with a
shape a >= 1, which is 1 above: orthonormal under the gamma law of mean 1 and variance 1/a,

    L_j^(a-1)(a t) / √binom(j + a - 1, j):   1, √a (1 - t), …

(Szegő 1939, eq. 5.1.10), which for large a are Hermite's in √a (1 - t).
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np


@dataclasses.dataclass(frozen=True)
class Basis:
    """A family of polynomials; `name` is chebyshev, hermite or laguerre.

    >>> maxent.CHEBYSHEV.evaluate(0.5, 3).tolist()  # 1, t, 2t² - 1, 4t³ - 3t
    [1.0, 0.5, -0.5, -1.0]
    """

    name: str

    def recurrence(self, k):
        """Rows a, b, d for j = 0 … k-1, float64 of shape (3, k), read-only."""
        return _recurrence(self.name, k)

    def recurrences(self, k, columns):
        """The same for every column of a batch: (columns, 3, k)."""
        return np.tile(self.recurrence(k), (columns, 1, 1))

    def __getitem__(self, index):
        """The basis of some columns of a batch: here one for all."""
        return self

    def evaluate(self, t, k):
        """phi_0 … phi_k at t: shape (*t.shape, k+1)."""
        t = np.asarray(t, dtype=float)
        a, b, d = self.recurrence(k)
        out = np.empty((*t.shape, k + 1))
        out[..., 0] = 1.0
        for j in range(k):
            out[..., j + 1] = (a[j] * t + b[j]) * out[..., j]
            if j:
                out[..., j + 1] -= d[j] * out[..., j - 1]
        return out


@dataclasses.dataclass(frozen=True, eq=False)
class OwnBasis(Basis):
    """Polynomials orthonormal under one density: `rows` (3, k) is their recurrence.

    Between narrow spikes a polynomial that is O(1) on all of them has Chebyshev coefficients of 1e6
    and more, whose rounding shows; in this basis they are O(1).
    """

    rows: np.ndarray

    # Its own, or two densities would share what is cached for one of them: Basis compares names.
    def __eq__(self, other):
        same = isinstance(other, OwnBasis) and self.name == other.name
        return same and np.array_equal(self.rows, other.rows)

    def __hash__(self):
        return hash((self.name, self.rows.shape, self.rows.tobytes()))

    def recurrence(self, k):
        own = self.rows.shape[1]
        if k <= own:
            return self.rows[:, :k]
        return np.hstack([self.rows, np.zeros((3, k - own))])  # never used: c_j = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Laguerre(Basis):
    """shape: a number >= 1, or (columns,), one for each column of a batch."""

    shape: np.ndarray

    def __post_init__(self):
        shape = np.array(self.shape, dtype=float)
        shape.setflags(write=False)
        object.__setattr__(self, "shape", shape)

    def __eq__(self, other):
        return isinstance(other, Laguerre) and np.array_equal(self.shape, other.shape)

    def __hash__(self):
        return hash((self.name, self.shape.tobytes()))

    def recurrence(self, k):
        rows = _laguerre(self.shape, k)
        rows.setflags(write=False)
        return rows

    def recurrences(self, k, columns):
        return _laguerre(np.broadcast_to(self.shape, (columns,)), k)

    def __getitem__(self, index):
        return self if self.shape.ndim == 0 else Laguerre(self.name, self.shape[index])


CHEBYSHEV = Basis("chebyshev")
HERMITE = Basis("hermite")
LAGUERRE = Laguerre("laguerre", 1.0)


@lru_cache(maxsize=256)
def _recurrence(name, k):
    j = np.arange(k, dtype=float)
    if name == "chebyshev":
        rows = np.where(j > 0, 2.0, 1.0), np.zeros(k), np.where(j > 0, 1.0, 0.0)
    else:
        rows = 1.0 / np.sqrt(j + 1), np.zeros(k), np.sqrt(j / (j + 1))
    out = np.array(rows).reshape(3, k)
    out.setflags(write=False)
    return out


def _laguerre(shape, k):
    """Rows for every shape: (*shape.shape, 3, k)."""
    a, j = shape[..., None], np.arange(k, dtype=float)
    norm = np.sqrt((j + 1.0) * (j + a))
    return np.stack([-a / norm, (2.0 * j + a) / norm, np.sqrt(j * (j + a - 1.0)) / norm], axis=-2)
