"""The log-partition dual of one column, minimised.

    D(c) = log ∫ exp(Σ_{j>=1} c_j φ_j) dν - Σ_{j>=1} c_j m_j
    gradient  E[φ_j] - m_j            Hessian  Cov(φ_i, φ_j)

with E and Cov under p = exp(Σ c_j φ_j)/Z. D is convex, needs no c_0 (it is -log Z), and cannot
overflow once the largest exponent is taken out. Where its gradient is zero p has the moments m,
and among all densities with those moments the largest entropy, D itself (Jaynes 1957; Mead &
Papanicolaou 1984).

The integrals use panels that provably resolve exp(q) (`_kernels.panels`). The Hessian is never
formed: polynomials orthonormal under p itself, φ̂ = P φ, give Hessian = P⁻¹P⁻ᵀ, so that Newton's
direction is -PᵀP g, and only the square root of the condition number is felt (Alldredge, Hauck,
O'Leary & Tits 2014).

Ordinary columns on an interval need none of that: `shortcut` minimises and confirms them on shared
rules, for a hundredth of the price (`_kernels.fast`).
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from maxent._kernels import certain, descent, evaluation, fast
from maxent.quadrature import clenshaw_curtis, gauss_legendre, panel_rule

MOST_STEPS = 300
ORDINARY_STEPS = 50  # of the shortcut
PLAIN_STEPS = 60  # of plain Newton on an interval, before the column counts as hard
CERTAIN_STEPS = 80  # of an attempt at a hard column
MOST_PEAKS = 24

# Radii of the ellipses on which the integrand is bounded, for the rule on [-1, 1] and for panels,
# and the error asked for.
ELLIPSES = np.array([1.06, 1.12, 1.2, 1.3, 1.45, 1.65, 2.0, 2.5, 3.3, 4.5, 6.5, 10.0])
PANEL_ELLIPSES = np.array([1.5, 2.0, 2.6, 3.5, 5.0, 8.0])
QUADRATURE_ERROR = 1e-15
DEPTH = 12  # how often a panel may be halved
LOOK = 5  # nodes of the measurement on a panel that was left out


@dataclasses.dataclass(frozen=True, eq=False)
class Minimum:
    """Where the descent of each column ended; every array begins with the axis (columns,).

    coefficients (k+1): c, with c_0 = -log Z, of the polynomials whose recurrence is series (3, k):
    the support's basis, or where that would lose digits (`own`) those orthonormal under p.
    named (k+1): the same in the support's basis, rounded once.
    code: see `_kernels.descent`.  orthonormal (k+1, k+1): P.  expected (k+1): E[φ_j] as the
    solver's own rule has it.  sizes (k+1): √E[φ_j²].  steps, evaluations, decrement, blur (rounding
    of the decrement), used (degrees).  peaks, number, edges: for the certificate.
    """

    coefficients: np.ndarray
    named: np.ndarray
    own: np.ndarray
    series: np.ndarray
    code: np.ndarray
    orthonormal: np.ndarray
    expected: np.ndarray
    sizes: np.ndarray
    steps: np.ndarray
    evaluations: np.ndarray
    decrement: np.ndarray
    blur: np.ndarray
    used: np.ndarray
    peaks: np.ndarray
    number: np.ndarray
    edges: np.ndarray

    def pick(self, index):
        """Some columns only."""
        return Minimum(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))

    def put(self, index, other):
        """Overwrite the columns `index` by those of another Minimum."""
        for field in dataclasses.fields(self):
            getattr(self, field.name)[index] = getattr(other, field.name)


def minimise(problem, start, limit=MOST_STEPS):
    """Minimise D for each column of a MomentProblem from `start` (columns, k+1)."""
    start = np.array(start, dtype=float)
    start[:, 0] = 0.0
    return _descend(problem, problem.moments, start, limit)


def _descend(problem, moments, coefficients, limit):
    """`minimise` for moments (columns, k+1) of any degree k in the problem's bases, in place."""
    support = problem.support
    columns, size = moments.shape
    k = size - 1
    recurrences = problem.recurrences(k)
    reference = support.atoms_of_reference()
    nodes, weights = (np.empty(0), np.empty(0)) if reference is None else reference
    code = np.empty(columns, np.int64)
    orthonormal = np.zeros((columns, size, size))
    expected = np.full((columns, size), np.nan)
    sizes = np.ones((columns, size))
    info = np.zeros((columns, 7))
    peaks = np.zeros((columns, MOST_PEAKS))
    number = np.zeros(columns, np.int64)
    edges = np.zeros((columns, 2))
    descent.descend_columns(
        np.ascontiguousarray(moments),
        coefficients,
        recurrences,
        support.ends,
        panel_rule(k),
        np.array(nodes),  # a copy: what is read-only would compile anew
        np.array(weights),
        limit,
        code,
        orthonormal,
        expected,
        info,
        sizes,
        peaks,
        number,
        edges,
    )
    steps, evaluations, decrement, blur, _, used, _ = info.T
    return Minimum(
        coefficients,
        coefficients.copy(),
        np.zeros(columns, bool),
        recurrences,
        code,
        orthonormal,
        expected,
        sizes,
        steps.astype(int),
        evaluations.astype(int),
        decrement.copy(),
        blur.copy(),
        used.astype(int),
        peaks,
        number,
        edges,
    )


def best_attempt(m, rec, ends, starts, rule, limit, R, y, info, peaks):
    """The best of all attempts at one hard column, R (3, k), y (k+1), info (7) and peaks; returns
    (code, number of peaks).

    starts (attempts, k+1): where to begin, elsewhere than on an interval. See
    `_kernels.certain.attempt`.
    """
    info[:] = 0.0
    info[4] = np.inf
    trial, last, cap = 0, len(certain.TRUST) - 1, m.size - 1
    while trial <= last:
        begin, trust = starts[min(trial, len(starts) - 1)], certain.TRUST[trial]
        code, cap, number, log_mass = certain.attempt(
            m, rec, ends, begin, rule, limit, trust, trial == last, cap, R, y, info, peaks
        )
        if code == descent.CONVERGED:
            break
        if cap < 0:
            trial = last if info[1] > certain.MOST_EVALUATIONS and trial < last else trial + 1
            cap = 0 if trial == last else m.size - 1
    y[0] -= log_mass
    return code, number


def minimise_hard(problem, starts=None, limit=CERTAIN_STEPS):
    """A Minimum for moments of any kind, those of spikes, satellites and end-point layers too.

    starts (columns, attempts, k+1): where to begin; on an interval nobody needs to say. Every
    density is held in its own polynomials (`_kernels.certain`).
    """
    moments, ends = problem.moments, problem.support.ends
    columns, size = moments.shape
    k = size - 1
    starts = np.zeros((columns, 1, size)) if starts is None else starts
    recurrence, y = np.zeros((columns, 3, k)), np.zeros((columns, size))
    code, info = np.empty(columns, np.int64), np.zeros((columns, 7))
    peaks, number = np.zeros((columns, MOST_PEAKS)), np.zeros(columns, np.int64)
    rule = panel_rule(k)
    recurrences = problem.recurrences(k)
    for j in range(columns):
        code[j], number[j] = best_attempt(
            moments[j],
            recurrences[j],
            ends,
            starts[j],
            rule,
            limit,
            recurrence[j],
            y[j],
            info[j],
            peaks[j],
        )
    P, expected = np.zeros((columns, size, size)), np.full((columns, size), np.nan)
    sizes, edges = np.ones((columns, size)), np.zeros((columns, 2))
    evaluation.translate(y, recurrence, recurrences, ends, rule, P, expected, sizes, edges)
    named = (y[:, None] @ P)[:, 0]
    steps, evaluations, decrement, blur, _, used, _ = info.T
    return Minimum(
        y,
        named,
        np.ones(columns, bool),
        recurrence,
        code,
        P,
        expected,
        sizes,
        steps.astype(int),
        evaluations.astype(int),
        decrement.copy(),
        blur.copy(),
        used.astype(int),
        peaks,
        number,
        edges,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Shortcut:
    """What became of each column; where not `confirmed` the other numbers mean nothing.

    coefficients (columns, k+1), confirmed (columns,); numbers (columns, 7): steps, evaluations,
    decrement, moment_error, mass_error, condition, and the blur of log p that the moments' error
    and moment_error cause.
    """

    coefficients: np.ndarray
    confirmed: np.ndarray
    numbers: np.ndarray


def shortcut(moments, error, believed, limit=ORDINARY_STEPS):
    """Minimise D on an interval for Chebyshev moments (columns, k+1) that make no trouble.

    error: of the moments. believed: largest error of mass and moments in a confirmed answer.
    """
    columns, size = moments.shape
    coefficients = np.zeros((columns, size))
    codes = np.empty(columns, np.int64)
    numbers = np.zeros((columns, 7))
    arrays = moments, error, coefficients, codes, numbers
    _solve_columns(False, limit, believed, *arrays)
    index = (codes != fast.CONFIRMED).nonzero()[0]
    if index.size == columns:
        _solve_columns(True, limit, believed, *arrays)
    elif index.size:
        part = [array[index] for array in arrays]
        _solve_columns(True, limit, believed, *part)
        for array, new in zip(arrays[2:], part[2:], strict=True):
            array[index] = new
    return Shortcut(coefficients, codes == fast.CONFIRMED, numbers)


def _solve_columns(panels, limit, believed, moments, error, coefficients, codes, numbers):
    k = moments.shape[1] - 1
    fast.solve_columns(
        moments,
        error,
        panels,
        _fixed_rule(k),
        _tree(k),
        limit,
        believed,
        coefficients,
        codes,
        numbers,
    )


# What is shared between columns: see `_kernels.fast.solve_columns`. The arrays stay writable, for
# those that are not would compile anew.
@lru_cache(maxsize=64)
def _fixed_rule(k):
    n = -(-(4 * k + 24) // 16) * 16  # whole registers
    t, weights = gauss_legendre(n)
    j = np.arange(k + 1)
    table = np.cos(j[:, None] * np.arccos(t))
    growth, rest = _bound(ELLIPSES, n, k)
    rest += k * np.log(ELLIPSES)
    steps = 4 * k
    cosines = np.cos(j[:, None] * (np.pi / steps) * np.arange(steps + 1))
    points, look = clenshaw_curtis(2 * n + 1)
    return table, weights.copy(), growth, rest, cosines, points.copy(), look.copy()


def _bound(rho, n, k):
    """(rho^j + rho^-j)/2, a row an ellipse, and the logarithm of what else is in the bound."""
    j = np.arange(k + 1)
    growth = 0.5 * (rho[:, None] ** j + rho[:, None] ** -j)
    rest = np.log(64 / 15 / (1 - rho**-2)) - 2 * n * np.log(rho) - np.log(QUADRATURE_ERROR)
    return growth, rest


@lru_cache(maxsize=64)
def _tree(k):
    theta = np.pi * (np.arange(k + 1) + 0.5) / (k + 1)
    transform = np.cos(np.outer(theta, np.arange(k + 1))) * (2.0 / (k + 1))
    transform[:, 0] *= 0.5
    x = 0.5 * np.cos(theta)
    j = np.arange(k + 1)[:, None]
    split = np.zeros(2 * ((k + 4) // 4 * 4,))
    split[: k + 1, : k + 1] = np.tril(np.cos(j * np.arccos(x - 0.5)) @ transform)
    n = -(-(k + 26) // 8) * 8  # whole registers
    growth, rest = _bound(PANEL_ELLIPSES, n, k)
    # |T_k| on an ellipse is at most r^k, r the radius of the ellipse about [-1, 1] on which the
    # point lies; it is largest about a panel at the end
    half = 0.5 ** np.arange(DEPTH + 1)[:, None, None]
    circle = PANEL_ELLIPSES[:, None] * np.exp(1j * np.linspace(0, np.pi, 181))
    z = 1 - half + half * 0.5 * (circle + 1 / circle)
    radius = np.abs(z + np.sqrt(z - 1) * np.sqrt(z + 1)).max(axis=2)
    factor = rest + np.log(half[:, :, 0]) + k * np.log(radius)
    rules = *gauss_legendre(n), *clenshaw_curtis(2 * n + 1), *clenshaw_curtis(LOOK)
    return split, growth, factor, *(array.copy() for array in rules)


def look_ahead(problem, coefficients, degree):
    """(E[φ_j], P) up to `degree` under exp(Σ c_j φ_j), for c (columns, at most degree+1)."""
    columns = coefficients.shape[0]
    c = np.zeros((columns, degree + 1))
    c[:, : coefficients.shape[1]] = coefficients
    here = _descend(problem, np.zeros_like(c), c, 0)
    return here.expected, here.orthonormal
