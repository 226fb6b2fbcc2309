"""Does the maximum exist? Degree by degree, on the half line and the line.

On an interval, and on points, interior moments always have a maximum-entropy density. Elsewhere
mass can escape to infinity with none of the entropy, and the supremum may not be attained. With
f_d the density of degree d (if there is one) and m_d[f] its d-th moment, for interior moments:

    half line   f_1 exists.  If f_{d-1} exists, f_d exists iff m_d <= m_d[f_{d-1}]; if not, f_d
    exists.
    line        f_2 exists.  Odd d: only as f_{d-1}, when m_d = m_d[f_{d-1}].  Even d: f_d fails
    exactly
                when f_{d-2} has the moment m_{d-1} too, and m_d > m_d[f_{d-2}].

(Junk 1998; Frontini & Tagliani; the line at degree 4 is Junk's: zero skewness, kurtosis above 3.)
A column whose descent ends at a minimum needs no such question. Where it does not, the degrees are
climbed in turn, and every refusal is proved by the density that approaches the supremum.

What decides is the excess  e_d = P_d · m,  the mean of f's orthonormal polynomial of degree d
under the given moments, which is (m_d - m_d[f]) over its scale, against what the moments' rounding
does to it, Σ |P_dj| error_j.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from maxent import dual
from maxent._kernels import evaluation
from maxent._kernels.descent import CONVERGED
from maxent._kernels.window import HALF
from maxent.quadrature import panel_rule
from maxent.start import first_exponent

# Shares of the Christoffel function to start from, in turn: on the table of problems 1/2 was too
# narrow at high degrees and 1/10 too wide at low ones.
SHARES = (0.25, 0.1, 0.5)
# A lump is a satellite below this share of the mass, and beyond this distance (in scales).
SATELLITE_MASS = 1e-2
SATELLITE_DISTANCE = 5.0
# What the solver's own rounding does to a mean of its density, relative to sizes of O(1).
SOLVER_ROUNDING = 1e-14


@dataclasses.dataclass(frozen=True, eq=False)
class Ladder:
    """minimum: where each column ended.  refused (columns,): True where there is no maximum; for
    those

    order    the moment that is too large
    excess   by how much, in t^order
    entropy  the supremum, in t: the entropy of the density of lower degree that approaches it
    """

    minimum: dual.Minimum
    refused: np.ndarray
    order: np.ndarray
    excess: np.ndarray
    entropy: np.ndarray


def minimise(support, moments, error):
    """A Ladder for moments (columns, k+1) interior to those of a half line or the line."""
    half = support.ends == HALF
    columns, size = moments.shape
    refused = np.zeros(columns, bool)
    order = np.zeros(columns, int)
    excess, entropy = np.zeros(columns), np.zeros(columns)
    if half or size % 2 == 1:
        minimum = _descend(support, moments)
    else:
        minimum = dual.minimise(support, moments, np.zeros(moments.shape), 0)
    index = np.flatnonzero(minimum.code != CONVERGED)
    if index.size:
        found, *verdict = _climb(support, moments[index], error[index])
        minimum.put(index, found)
        refused[index], order[index], excess[index], entropy[index] = verdict
    return Ladder(minimum, refused, order, excess, entropy)


def satellites(support, minimum, column):
    """[(where, mass)] of lumps of little mass far from the rest, in the reference coordinate.

    Near the edge of existence the answer is a plain density and such a lump, which no plot shows.
    """
    peaks = minimum.peaks[column, : minimum.number[column]]
    if peaks.size < 2:
        return []
    degree = minimum.coefficients.shape[1] - 1
    rec = support.basis.recurrence(degree)
    t, p = evaluation.nodes(minimum.coefficients[column], rec, support.ends, panel_rule(degree))
    q = support.basis.evaluate(t, degree) @ minimum.coefficients[column]
    found = []
    for left, right in itertools.pairwise(peaks):
        between = np.flatnonzero((t >= left) & (t <= right))
        valley = t[between[np.argmin(q[between])]]
        for side in (t < valley, t > valley):
            mass = p[side].sum()
            if 0.0 < mass < SATELLITE_MASS:
                where = float(p[side] @ t[side] / mass)
                if abs(where - float(p[~side] @ t[~side])) > SATELLITE_DISTANCE:
                    found.append((where, float(mass)))
    return found


def _descend(support, moments, warm=None):
    """Minimise from one start after the other, until every column has converged."""
    minimum = dual.minimise(
        support, moments, first_exponent(support, moments, SHARES[0]) if warm is None else warm
    )
    for share in SHARES if warm is not None else SHARES[1:]:
        index = np.flatnonzero(minimum.code != CONVERGED)
        if not index.size:
            break
        part = np.ascontiguousarray(moments[index])
        again = dual.minimise(support, part, first_exponent(support, part, share))
        better = again.code == CONVERGED
        minimum.put(index[better], again.pick(better))
    return minimum


def _climb(support, moments, error):
    """Degree by degree: (Minimum, refused, order, excess, entropy of the supremum)."""
    columns, size = moments.shape
    k = size - 1
    half = support.ends == HALF
    stride = 1 if half else 2
    c = np.zeros((columns, size))
    exists = np.zeros(columns, bool)  # is c the solution of the degree below?
    refused = np.zeros(columns, bool)
    order = np.zeros(columns, int)
    excess, entropy = np.zeros(columns), np.full(columns, np.inf)
    steps = np.zeros((2, columns), int)
    for d in range(stride, k + 1, stride):
        above = equal = np.zeros(columns, bool)
        warm = first_exponent(support, np.ascontiguousarray(moments[:, : d + 1]), SHARES[0])
        if exists.any():
            score, noise, unit, free, newton = _look_up(support, moments, error, c, d, half)
            warm[exists] = newton[exists]
            above = exists & free & (score > noise)
            equal = exists & free & (np.abs(score) <= noise)
            order[above] = d
            excess[above] = (score * unit)[above]
            entropy[above] = -np.einsum("ij,ij->i", c, moments)[above]
        refused = above
        index = np.flatnonzero(~above & ~equal)
        if index.size:
            part = np.ascontiguousarray(moments[index, : d + 1])
            found = _descend(support, part, warm[index])
            steps[:, index] += found.steps, found.evaluations
            c[index] = 0.0
            c[index, : d + 1] = found.coefficients
            exists[index] = found.code == CONVERGED
        exists[above] = False
    if k % stride:
        refused = exists.copy()
        if exists.any():
            score, noise, unit, *_ = _look_up(support, moments, error, c, k, True)
            refused &= np.abs(score) > noise
            excess[refused] = (score * unit)[refused]
            entropy[refused] = -np.einsum("ij,ij->i", c, moments)[refused]
        elif k == 1:
            refused[:], excess[:], entropy[:] = True, np.inf, np.inf
        order[refused] = k
    minimum = dual.minimise(support, moments, c, 0)
    minimum.steps[:], minimum.evaluations[:] = steps
    minimum.code[exists & ~refused] = CONVERGED
    return minimum, refused, order, excess, entropy


def _look_up(support, moments, error, c, d, half):
    """(excess of m_d in standard units, its noise, the unit in t^d, may it decide?, Newton's next
    c).

    All under exp(c·φ), whose moments below d are the given ones, so that Newton at degree d moves
    along the one polynomial of degree d alone.
    """
    expected, P = dual.look_ahead(support, c[:, : d + 1], d)
    gap = moments[:, : d + 1] - expected
    blur = error[:, : d + 1] + SOLVER_ROUNDING * np.maximum(1.0, np.abs(expected))
    row = P[:, d]
    lead = np.prod(support.basis.recurrence(d)[0])  # leading coefficient of φ_d
    along = np.einsum("ij,ij->i", row, gap)
    score = np.sign(row[:, d] * lead) * along
    newton = c[:, : d + 1] + np.nan_to_num(along[:, None] * row)
    noise = np.einsum("ij,ij->i", np.abs(row), blur)
    with np.errstate(divide="ignore"):
        unit = 1.0 / np.abs(row[:, d] * lead)
    free = np.isfinite(score) & (noise > 0)
    if not half:
        odd = np.einsum("ij,ij->i", P[:, d - 1], gap)
        free &= np.abs(odd) <= np.einsum("ij,ij->i", np.abs(P[:, d - 1]), blur)
    return np.nan_to_num(score), noise, np.nan_to_num(unit), free, newton
