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
"""

from __future__ import annotations

import dataclasses

import numpy as np

from maxent._kernels import descent
from maxent.quadrature import panel_rule

MOST_STEPS = 300
MOST_PEAKS = 24


@dataclasses.dataclass(frozen=True, eq=False)
class Minimum:
    """Where the descent of each column ended; every array begins with the axis (columns,).

    coefficients (k+1): c, with c_0 = -log Z.  code: see `_kernels.descent`.  orthonormal (k+1,
    k+1): P. expected (k+1): E[φ_j] as the solver's own rule has it.  sizes (k+1): √E[φ_j²].
    steps, evaluations, decrement, blur (rounding of the decrement).  peaks, edges: for the
    certificate.
    """

    coefficients: np.ndarray
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

    @property
    def stationary(self):
        return (self.code == descent.CONVERGED) | (self.code == descent.STALLED)

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
        np.ascontiguousarray(nodes),
        np.ascontiguousarray(weights),
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
