"""Does the maximum exist? Degree by degree, on the half line and the line.

On an interval, and on points, interior moments always have a maximum-entropy density. Elsewhere mass can
escape to infinity with none of the entropy, and the supremum may not be attained. With f_d the density of
degree d (if there is one) and m_d[f] its d-th moment, for interior moments:

    half line   f_1 exists.  If f_{d-1} exists, f_d exists iff m_d <= m_d[f_{d-1}]; if not, f_d exists.
    line        f_2 exists.  Odd d: only as f_{d-1}, when m_d = m_d[f_{d-1}].  Even d: f_d fails exactly
                when f_{d-2} has the moment m_{d-1} too, and m_d > m_d[f_{d-2}].

(Junk 1998; Frontini & Tagliani; the line at degree 4 is Junk's: zero skewness, kurtosis above 3.) So the
degrees are solved in turn, each from the one before: the start is warm, and every refusal is proved by
the density that approaches the supremum.

What decides is the excess  e_d = P_d · m,  the mean of f's orthonormal polynomial of degree d under the
given moments, which is (m_d - m_d[f]) over its scale, against what the moments' rounding does to it,
Σ |P_dj| error_j.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent import dual
from maxent._kernels.window import HALF
from maxent.status import Status

# How far below zero a new leading coefficient starts, in units of the basis.
FIRST_LEAD = 1e-2
# What the solver's own rounding does to a mean of its density, relative to sizes of O(1).
SOLVER_ROUNDING = 1e-14


@dataclasses.dataclass(frozen=True, eq=False)
class Ladder:
    """minimum: that of the last degree.  refused (columns,): True where there is no maximum; for those

    order    the moment that is too large
    excess   by how much, in t^order
    below    the density that approaches the supremum: its coefficients (columns, k+1)
    """

    minimum: dual.Minimum
    refused: np.ndarray
    order: np.ndarray
    excess: np.ndarray
    below: np.ndarray


def climb(support, moments, error):
    """Solve degree by degree up to k, for moments (columns, k+1) interior to those of the support."""
    columns, size = moments.shape
    k = size - 1
    half = support.ends == HALF
    first, stride = (1, 1) if half else (2, 2)
    top = k if half else k - k % 2
    c = np.zeros((columns, max(size, first + 1)))
    c[:, first] = 1.0 if half else -np.sqrt(0.5)
    exists = np.ones(columns, bool)
    order = np.zeros(columns, int)
    excess = np.zeros(columns)
    work = np.zeros((2, columns), int)
    if top >= first:
        _solve(support, moments, c, first, np.arange(columns), work)
    for d in range(first + stride, top + 1, stride):
        score, noise, scale, free = _look_up(support, moments, error, c, d, half)
        decided = exists & free
        above = decided & (score > noise)
        equal = decided & (np.abs(score) <= noise)
        order[above] = d
        excess[above] = (score * scale)[above]
        exists = ~above
        index = np.flatnonzero(~above & ~equal)
        c[index, d] = FIRST_LEAD * _falling(d, half)
        exists[index] &= _solve(support, moments, c, d, index, work)
    if top < k:
        score, noise, scale, _ = _look_up(support, moments, error, c, k, True) if top else (
            np.ones(columns), np.zeros(columns), np.ones(columns), None
        )
        odd = ~(np.abs(score) <= noise)
        order[odd & exists] = k
        excess[odd & exists] = (score * scale)[odd & exists]
        exists &= ~odd
    minimum = dual.minimise(support, moments, c[:, :size], 0)
    minimum.steps[:], minimum.evaluations[:] = work
    return Ladder(minimum, order > 0, order, excess, c[:, :size])


def _falling(d, half):
    """The sign of a coefficient of phi_d that sends the exponent to -∞: leading terms of L_d alternate."""
    return -1.0 if not half or d % 2 == 0 else 1.0


def _solve(support, moments, c, d, index, work):
    """Solve degree d for the columns `index`, in place; returns where a minimum was reached."""
    if not index.size:
        return np.zeros(0, bool)
    found = dual.minimise(support, moments[index, : d + 1], c[index, : d + 1])
    c[index, : d + 1] = found.coefficients
    work[0, index] += found.steps
    work[1, index] += found.evaluations
    return found.stationary


def _look_up(support, moments, error, c, d, half):
    """(excess of m_d in standard units, its noise, the unit in t^d, may it decide?) under exp(c·phi)."""
    expected, P = dual.look_ahead(support, c[:, : d + 1], d)
    gap = moments[:, : d + 1] - expected
    blur = error[:, : d + 1] + SOLVER_ROUNDING * np.maximum(1.0, np.abs(expected))
    row = P[:, d]
    sign = -np.sign(row[:, d]) * _falling(d, half and support.ends == HALF)
    score = sign * np.einsum("ij,ij->i", row, gap)
    noise = np.einsum("ij,ij->i", np.abs(row), blur)
    lead = np.prod(support.basis.recurrence(d)[0])
    scale = 1.0 / np.abs(row[:, d] * lead)
    free = np.isfinite(score) & (noise > 0)
    if not half:
        odd = np.einsum("ij,ij->i", P[:, d - 1], gap)
        free &= np.abs(odd) <= np.einsum("ij,ij->i", np.abs(P[:, d - 1]), blur)
    return np.nan_to_num(score), noise, np.nan_to_num(scale), free
