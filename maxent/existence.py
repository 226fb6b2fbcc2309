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
from maxent.basis import OwnBasis
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

    undecided (columns,): True where the rounding of the moments leaves open whether there is one.
    """

    minimum: dual.Minimum
    refused: np.ndarray
    order: np.ndarray
    excess: np.ndarray
    entropy: np.ndarray
    undecided: np.ndarray


def minimise(problem):
    """A Ladder for moments interior to those of a half line or the line."""
    half = problem.support.ends == HALF
    columns, size = problem.moments.shape
    refused, undecided = np.zeros(columns, bool), np.zeros(columns, bool)
    order = np.zeros(columns, int)
    excess, entropy = np.zeros(columns), np.zeros(columns)
    if half or size % 2 == 1:
        minimum = _descend(problem)
    else:
        minimum = dual.minimise(problem, np.zeros((columns, size)), 0)
    index = np.flatnonzero(minimum.code != CONVERGED)
    if index.size:
        found, *verdict = _climb(problem.columns(index))
        minimum.put(index, found)
        for array, found in zip((refused, order, excess, entropy, undecided), verdict, strict=True):
            array[index] = found
    return Ladder(minimum, refused, order, excess, entropy, undecided)


def satellites(support, minimum, column):
    """[(where, mass)] of lumps of little mass far from the rest, in the reference coordinate.

    Near the edge of existence the answer is a plain density and such a lump, which no plot shows.
    """
    peaks = minimum.peaks[column, : minimum.number[column]]
    if peaks.size < 2:
        return []
    c, basis = minimum.coefficients[column], OwnBasis("own", minimum.series[column])
    degree = c.size - 1
    rec = basis.recurrence(degree).copy()
    t, p = evaluation.nodes(c, rec, support.ends, panel_rule(degree))
    q = basis.evaluate(t, degree) @ c
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


def _descend(problem, warm=None):
    """Minimise from one start after the other, until every column has converged.

    With `warm` there is known to be a minimum, but for rounding: what plain Newton misses is then
    sought in lumps.
    """
    minimum = dual.minimise(problem, first_exponent(problem, SHARES[0]) if warm is None else warm)
    for share in SHARES[1:] if warm is None else SHARES:
        index = np.flatnonzero(minimum.code != CONVERGED)
        if not index.size:
            return minimum
        part = problem.columns(index)
        _improve(minimum, index, dual.minimise(part, first_exponent(part, share)))
    index = np.flatnonzero(minimum.code != CONVERGED)
    if warm is not None and index.size:
        part = problem.columns(index)
        starts = [warm[index], *(first_exponent(part, share) for share in SHARES)]
        _improve(minimum, index, dual.minimise_hard(part, np.stack(starts, axis=1)))
    return minimum


def _improve(minimum, index, again):
    """The columns `index` are `again` where that has converged."""
    better = again.code == CONVERGED
    minimum.put(index[better], again.pick(better))


def _climb(problem):
    """Degree by degree: (Minimum, refused, order, excess, entropy of the supremum, undecided)."""
    moments = problem.moments
    columns, size = moments.shape
    k = size - 1
    half = problem.support.ends == HALF
    stride = 1 if half else 2
    c = np.zeros((columns, size))
    exists = np.zeros(columns, bool)  # is c the solution of the degree below?
    refused = np.zeros(columns, bool)
    order = np.zeros(columns, int)
    excess, entropy = np.zeros(columns), np.full(columns, np.inf)
    steps = np.zeros((2, columns), int)
    undecided, index, found = np.zeros(columns, bool), np.zeros(0, int), None
    for d in range(stride, k + 1, stride):
        above = equal = tried = np.zeros(columns, bool)
        warm = first_exponent(problem.up_to(d), SHARES[0])
        if exists.any():
            score, noise, unit, free, newton = _look_up(problem, c, d, half)
            warm[exists] = newton[exists]
            above = exists & free & (score > noise)
            equal = exists & free & (np.abs(score) <= noise)
            tried = equal & (score < 0.0)  # the moments as they stand have an answer
            order[above] = d
            excess[above] = _times(score[above], unit[above])
            entropy[above] = -np.einsum("ij,ij->i", c, moments)[above]
        refused = above
        index = np.flatnonzero(~above & (~equal | tried))
        if index.size:
            found = _descend(problem.columns(index).up_to(d), warm[index])
            steps[:, index] += found.steps, found.evaluations
            better = (found.code == CONVERGED) | ~equal[index]
            exists[index[better]] = found.code[better] == CONVERGED
            c[index[better]] = 0.0
            c[index[better], : d + 1] = found.named[better]
            equal[index[better]] = False
        exists[above] = False
        undecided = equal
    if k % stride:
        refused = exists.copy()
        if exists.any():
            score, noise, unit, *_ = _look_up(problem, c, k, True)
            refused &= np.abs(score) > noise
            excess[refused] = _times(score[refused], unit[refused])
            entropy[refused] = -np.einsum("ij,ij->i", c, moments)[refused]
        elif k == 1:
            refused[:], excess[:], entropy[:] = True, np.inf, np.inf
        order[refused] = k
    minimum = dual.minimise(problem, c, 0)
    own = np.zeros(columns, bool)
    if k % stride == 0 and index.size:
        own[index] = found.own & better
        minimum.put(index[own[index]], found.pick(own[index]))
    minimum.steps[:], minimum.evaluations[:] = steps
    minimum.code[exists & ~refused] = CONVERGED
    return minimum, refused, order, excess, entropy, undecided


def _times(score, unit):
    """score · unit, infinite where that is too large for a float64."""
    with np.errstate(over="ignore"):
        return score * unit


def _look_up(problem, c, d, half):
    """(excess of m_d in standard units, its noise, the unit in t^d, may it decide?, Newton's next
    c).

    All under exp(c·φ), whose moments below d are the given ones, so that Newton at degree d moves
    along the one polynomial of degree d alone.
    """
    expected, P = dual.look_ahead(problem, c[:, : d + 1], d)
    gap = problem.moments[:, : d + 1] - expected
    blur = problem.error[:, : d + 1] + SOLVER_ROUNDING * np.maximum(1.0, np.abs(expected))
    row = P[:, d]
    lead = np.prod(problem.recurrences(d)[:, 0], axis=1)  # leading coefficient of φ_d
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
