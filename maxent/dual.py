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

Ordinary columns on an interval need none of that: `shortcut` minimises and confirms them on fixed
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

# Nodes of the shortcut's rules: the first is enough for nine ordinary columns in ten, the last for
# densities about as narrow as 1/50 of the interval.
LEVELS = (1, 2, 4)
# Radii of the ellipses on which the integrand is bounded, and the error asked for.
ELLIPSES = np.array([1.06, 1.12, 1.2, 1.3, 1.45, 1.65, 2.0, 2.5, 3.3, 4.5, 6.5, 10.0])
QUADRATURE_ERROR = 1e-15


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


def minimise(support, moments, start, limit=MOST_STEPS):
    """Minimise D for each column of moments (columns, k+1) from `start`, same shape."""
    columns, size = moments.shape
    k = size - 1
    reference = support.atoms_of_reference()
    nodes, weights = (np.empty(0), np.empty(0)) if reference is None else reference
    coefficients = np.array(start, dtype=float)
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
        support.basis.recurrence(k),
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
        np.tile(support.basis.recurrence(k), (columns, 1, 1)),
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


def minimise_on_interval(support, moments, limit=CERTAIN_STEPS):
    """A Minimum for Chebyshev moments (columns, k+1) of any kind, spikes and end-point layers too.

    Every density is held in its own polynomials (`_kernels.certain`).
    """
    columns, size = moments.shape
    k = size - 1
    basis = support.basis
    recurrence, y = np.zeros((columns, 3, k)), np.zeros((columns, size))
    code, info = np.empty(columns, np.int64), np.zeros((columns, 7))
    peaks, number = np.zeros((columns, MOST_PEAKS)), np.zeros(columns, np.int64)
    rule = panel_rule(k)
    certain.certain_columns(
        moments, basis.recurrence(k), rule, limit, recurrence, y, code, info, peaks, number
    )
    P, expected = np.zeros((columns, size, size)), np.full((columns, size), np.nan)
    sizes, named = np.ones((columns, size)), np.full((columns, size), np.nan)
    for j in range(columns):
        P[j] = basis.coefficients_of(recurrence[j])
        named[j] = y[j] @ P[j]
        t, p = evaluation.nodes(y[j], recurrence[j], support.ends, rule)
        if t.size:
            phi = basis.evaluate(t, k)
            expected[j], sizes[j] = p @ phi, np.sqrt(p @ phi**2)
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
        np.tile([-1.0, 1.0], (columns, 1)),
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
    _solve_columns(0, limit, believed, *arrays)
    for level in range(1, len(LEVELS)):
        index = np.flatnonzero(codes == fast.TOO_COARSE)
        if not index.size:
            break
        part = [array[index] for array in arrays]
        _solve_columns(level, limit, believed, *part)
        for array, new in zip(arrays[2:], part[2:], strict=True):
            array[index] = new
    return Shortcut(coefficients, codes == fast.CONFIRMED, numbers)


def _solve_columns(level, limit, believed, moments, error, coefficients, codes, numbers):
    rule = _fixed_rule(moments.shape[1] - 1, level)
    fast.solve_columns(moments, error, rule, limit, believed, coefficients, codes, numbers)


@lru_cache(maxsize=64)
def _fixed_rule(k, level):
    """What `_kernels.fast` shares between columns: (T_j at n Gauss nodes, j <= 2k; weights; cosh
    and the rest of the bound's logarithm, one row an ellipse; cos(j θ) at equal steps; nodes and
    weights of the rule that confirms).
    """
    n = LEVELS[level] * (4 * k + 24)
    t, weights = gauss_legendre(n)
    j = np.arange(2 * k + 1)
    table = np.cos(j[:, None] * np.arccos(t))
    rho = ELLIPSES
    cosh = 0.5 * (rho[:, None] ** j[: k + 1] + rho[:, None] ** -j[: k + 1])
    rest = k * np.log(rho) + np.log(64 / 15 / (rho**2 - 1)) - 2 * n * np.log(rho)
    rest -= np.log(QUADRATURE_ERROR)
    steps = 4 * k
    cosines = np.cos(j[: k + 1, None] * (np.pi / steps) * np.arange(steps + 1))
    rule = table, weights, cosh, rest, cosines, *clenshaw_curtis(2 * n + 1)
    for array in rule:
        array.setflags(write=False)
    return rule


def look_ahead(support, coefficients, degree):
    """(E[φ_j], P) up to `degree` under exp(Σ c_j φ_j), for c (columns, at most degree+1)."""
    columns = coefficients.shape[0]
    c = np.zeros((columns, degree + 1))
    c[:, : coefficients.shape[1]] = coefficients
    expected = np.full((columns, degree + 1), np.nan)
    orthonormal = np.zeros((columns, degree + 1, degree + 1))
    descent.look_ahead(
        c, support.basis.recurrence(degree), support.ends, panel_rule(degree), orthonormal, expected
    )
    return expected, orthonormal
