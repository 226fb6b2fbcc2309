"""Verdicts against known truth, and every proof against an independent evaluation."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxent._kernels.conversion import power_to_basis
from maxent.basis import CHEBYSHEV, HERMITE, LAGUERRE
from maxent.feasibility import (
    BOUNDARY,
    INFEASIBLE,
    INTERIOR,
    examine,
    examine_discrete,
)
from tests.problems import SOLVABLE, UNSOLVABLE

EXACT = settings(derandomize=True, deadline=None, max_examples=60)


def from_powers(basis, power, loc=0.0, scale=1.0, exact=False):
    """Moments and their error in the basis, for E[x^j] that were rounded once (or not at all)."""
    power = np.atleast_2d(np.array([float(p) for p in power]))
    error = np.zeros_like(power) if exact else np.spacing(abs(power)) / 2
    error[:, 0] = 0.0
    ones = np.ones(1)
    return power_to_basis(
        power, error, loc * ones, scale * ones, basis.recurrence(power.shape[1] - 1)
    )


def exactly(basis, power, loc=0, scale=1):
    """E[φ_j] of rational E[x^j] as fractions."""
    recurrence = basis.recurrence(len(power) - 1)
    a, b, d = ([Fraction(float(v)) for v in row] for row in recurrence)
    loc, scale = Fraction(loc), Fraction(scale)
    rows = [[Fraction(1)]]
    for j in range(len(a)):
        new = [Fraction(0)] * (j + 2)
        for i, c in enumerate(rows[j]):
            new[i + 1] += a[j] / scale * c
            new[i] += (b[j] - a[j] * loc / scale) * c
        for i, c in enumerate(rows[j - 1] if j else []):
            new[i] -= d[j] * c
        rows.append(new)
    return [sum(c * p for c, p in zip(row, power, strict=False)) for row in rows]


def rounded(fractions):
    """One column of correctly rounded moments and their half ulps."""
    m = np.array([[float(f) for f in fractions]])
    error = np.spacing(abs(m)) / 2
    error[:, 0] = 0.0
    return m, error


def of_atoms(basis, t, weights, k):
    """Correctly rounded E[φ_j] of atoms at floats t; weights are normalised exactly."""
    t = [Fraction(float(x)) for x in t]
    w = [Fraction(float(x)) for x in weights]
    power = [sum(wi * x**j for wi, x in zip(w, t, strict=True)) / sum(w) for j in range(k + 1)]
    return rounded(exactly(basis, power))


def beta_powers(a, b, k):
    """E[x^j] of Beta(a, b) on [0, 1]."""
    p = [Fraction(1)]
    for j in range(k):
        p.append(p[-1] * Fraction(a + j) / Fraction(a + b + j))
    return p


def check_witness(result, column=0):
    """q >= 0 on a dense grid of the support, and E[q] < 0 in mpmath, from the printed numbers."""
    q = result.witness(column)
    assert result.verdict[column] == INFEASIBLE
    assert q.proven
    assert q.order <= result.order[column]
    grid = {
        "chebyshev": np.linspace(-1, 1, 20001),
        "laguerre": np.concatenate([np.linspace(0, 50, 20001), np.geomspace(50, 1e9, 500)]),
        "hermite": np.concatenate([np.linspace(-30, 30, 20001), [-1e9, -1e5, 1e5, 1e9]]),
    }[result.basis.name]
    assert (q(grid) >= 0).all()
    assert q(grid).max() > 0
    with mpmath.workdps(120):
        # q as a polynomial in t from its factors, then into the basis by dividing out φ_j
        poly = [mpmath.mpf(q.sign)]
        low = mpmath.mpf(0) if result.basis.name == "laguerre" else mpmath.mpf(-1)
        roots = [mpmath.mpf(r) for r in q.double_roots for _ in (0, 1)]
        roots += [mpmath.mpf(r) for r in q.simple_roots] + [low] * q.lower
        for r in roots:
            poly = [
                (poly[i - 1] if i else 0) - (poly[i] * r if i < len(poly) else 0)
                for i in range(len(poly) + 1)
            ]
        for _ in range(q.upper):
            poly = [
                (poly[i] if i < len(poly) else 0) - (poly[i - 1] if i else 0)
                for i in range(len(poly) + 1)
            ]
        n = len(poly) - 1
        a, b, d = result.basis.recurrence(max(n, 1))
        phi = [[mpmath.mpf(1)]]
        for j in range(n):
            new = [mpmath.mpf(0)] * (j + 2)
            for i, c in enumerate(phi[j]):
                new[i + 1] += mpmath.mpf(a[j]) * c
                new[i] += mpmath.mpf(b[j]) * c
            for i, c in enumerate(phi[j - 1] if j else []):
                new[i] -= mpmath.mpf(d[j]) * c
            phi.append(new)
        average = tolerance = largest = mpmath.mpf(0)
        for j in range(n, -1, -1):
            c = poly[j] / phi[j][j]
            for i in range(j + 1):
                poly[i] -= c * phi[j][i]
            average += c * mpmath.mpf(result.moments[column, j])
            tolerance += abs(c) * mpmath.mpf(result.error[column, j])
            largest = max(largest, abs(c))
        assert average < -tolerance
        assert float(average / largest) == pytest.approx(q.value, rel=1e-12)
        assert float(average / largest) == pytest.approx(result.margin[column], rel=1e-6, abs=1e-15)


# --- interior -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 8, 17, 30])
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 5), (5, 2), (Fraction(1, 2), Fraction(1, 2)), (Fraction(1, 2), 3)]
)
def test_beta_is_interior(shape, k):
    half = Fraction(1, 2)
    m, error = rounded(exactly(CHEBYSHEV, beta_powers(*shape, k), half, half))
    result = examine(CHEBYSHEV, m, error)
    assert result.verdict[0] == INTERIOR
    assert result.order[0] == k + 1
    assert result.margin[0] > 1e3 * result.tolerance[0]
    assert result.witness(0) is None
    assert result.atoms(0) is None


@pytest.mark.parametrize("k", [1, 2, 3, 6, 12, 20])
def test_exponential_and_normal_are_interior(k):
    m = np.zeros((1, k + 1))
    m[0, 0] = 1.0  # both bases are orthonormal for their density
    for basis in (LAGUERRE, HERMITE):
        result = examine(basis, m, np.full_like(m, 1e-16))
        assert result.verdict[0] == INTERIOR
        assert result.margin[0] > 0


@pytest.mark.parametrize("rate", [1, 2, 5])
def test_gamma_is_interior(rate):
    power = [Fraction(math.factorial(j + rate - 1), math.factorial(rate - 1)) for j in range(11)]
    m, error = rounded(exactly(LAGUERRE, power, 0, rate))
    assert examine(LAGUERRE, m, error).verdict[0] == INTERIOR


# --- infeasible ---------------------------------------------------------------------------------

INFEASIBLE_POWERS = {
    # name: basis, powers, loc, scale, smallest bad order
    "mean above": (CHEBYSHEV, [1, 1.2], 0.5, 0.5, 1),
    "mean below": (CHEBYSHEV, [1, -0.5, 3, 4], 0.5, 0.5, 1),
    "variance negative": (CHEBYSHEV, [1, 0.5, 0.2], 0.5, 0.5, 2),
    "variance too large": (CHEBYSHEV, [1, 0.5, 0.6], 0.5, 0.5, 2),
    "third moment": (CHEBYSHEV, [1, 0.5, 0.3, 0.25], 0.5, 0.5, 3),
    "after a constant": (CHEBYSHEV, [1, 0.3, 0.09, 0.03], 0.0, 1.0, 3),
    "after two ends": (CHEBYSHEV, [1, 0, 1, 0, 1, 0.25], 0.0, 1.0, 5),
    "kurtosis below 1 + skewness²": (HERMITE, [1, 0, 1, 1, 1.9], 0.0, 1.0, 4),
    "line, variance negative": (HERMITE, [1, 2, 3.5], 2.0, 1.0, 2),
    "line, sixth after two atoms": (HERMITE, [1, 0, 1, 0, 1, 0, 0.5], 0.0, 1.0, 6),
    "line, fifth after two atoms": (HERMITE, [1, 0, 1, 0, 1, 0.5, 1], 0.0, 1.0, 6),
    "line, sixth after two atoms, eighth finite": (
        HERMITE,
        [1, 0, 1, 0, 1, 0, 5, 0, 20],
        0.0,
        1.0,
        8,
    ),
    "half line, mean": (LAGUERRE, [1, -0.1], 0.0, 2.0, 1),
    "half line, variance": (LAGUERRE, [1, 2, 3.9, 24], 0.0, 2.0, 2),
    "half line, third": (LAGUERRE, [1, 2, 5, 12.4], 0.0, 2.0, 3),
    "half line, after zero": (LAGUERRE, [1, 0, 1, 2], 0.0, 1.0, 3),
    "half line, reflected": (LAGUERRE, [1, 0.1], 0.0, -2.0, 1),
}


@pytest.mark.parametrize("name", INFEASIBLE_POWERS)
def test_infeasible_with_a_proof(name):
    basis, power, loc, scale, order = INFEASIBLE_POWERS[name]
    result = examine(basis, *from_powers(basis, power, loc, scale))
    assert result.order[0] == order
    check_witness(result)


def test_sentences():
    def sentence(name):
        basis, power, loc, scale, _ = INFEASIBLE_POWERS[name]
        return (
            examine(basis, *from_powers(basis, power, loc, scale)).witness(0).describe(loc, scale)
        )

    assert sentence("mean above") == "E[1 − x] = −0.2, but this is never negative between 0 and 1"
    assert sentence("variance negative") == (
        "E[(x − 0.5)²] = −0.05, but a square cannot be negative on average"
    )
    assert sentence("variance too large") == (
        "E[x(1 − x)] = −0.1, but this is never negative between 0 and 1"
    )
    assert (
        sentence("half line, third")
        == "E[x(x − 2.5)²] = −0.1, but this is never negative for x ≥ 0"
    )
    assert sentence("half line, reflected") == "E[−x] = −0.1, but this is never negative for x ≤ 0"
    m, error = from_powers(CHEBYSHEV, [1, 12.3], 12.0, 2.0)
    m[0, 1] = -1.5
    assert examine(CHEBYSHEV, m, error).witness(0).describe(12.0, 2.0) == (
        "E[x − 10] = −1, but this is never negative between 10 and 14"
    )


@pytest.mark.parametrize("digits", [3, 6, 9, 12])
def test_a_slight_excess_is_proven_and_the_sentence_still_holds(digits):
    """m₄ below its least value by 10^−digits, the rest from Beta(2, 3)."""
    half = Fraction(1, 2)
    exact = exactly(CHEBYSHEV, beta_powers(2, 3, 4), half, half)
    m, error = rounded(exact)
    # least m₄ on the boundary by bisection on exact Toeplitz determinants
    low, high = Fraction(-2), exact[4]
    while high - low > Fraction(1, 10**20):
        middle = (low + high) / 2
        inside = toeplitz_determinant([*exact[:4], middle]) > 0 and minus(exact[:4], middle) > 0
        low, high = (low, middle) if inside else (middle, high)
    m[0, 4] = float(high - Fraction(1, 10**digits))
    result = examine(CHEBYSHEV, m, error)
    assert result.order[0] == 4
    check_witness(result)
    assert "²" in result.witness(0).describe(0.5, 0.5)
    m[0, 4] = float(high)
    assert examine(CHEBYSHEV, m, error).verdict[0] == BOUNDARY


def toeplitz_determinant(m):
    return determinant([[m[abs(i - j)] for j in range(len(m))] for i in range(len(m))])


def minus(lower, last):
    """The Hankel form of order 4 in Chebyshev coordinates: E[(u0 + u1 T1 + u2 T2)²] > 0."""
    m = [*lower, last]
    return determinant([[(m[i + j] + m[abs(i - j)]) / 2 for j in range(3)] for i in range(3)])


def determinant(rows):
    rows = [list(map(Fraction, r)) for r in rows]
    result = Fraction(1)
    for i in range(len(rows)):
        if rows[i][i] == 0:
            return Fraction(0)
        result *= rows[i][i]
        for j in range(i + 1, len(rows)):
            f = rows[j][i] / rows[i][i]
            rows[j] = [a - f * b for a, b in zip(rows[j], rows[i], strict=True)]
    return result


@EXACT
@given(
    st.integers(1, 10),
    st.lists(st.floats(-1, 1), min_size=11, max_size=11),
    st.floats(1e-14, 1.0),
)
def test_interval_verdict_is_the_sign_of_the_toeplitz_form(k, noise, size):
    """Random moments around uniform's: all leading Toeplitz minors > 0 exactly when feasible."""
    half = Fraction(1, 2)
    m, error = rounded(exactly(CHEBYSHEV, beta_powers(1, 1, k), half, half))
    m[0, 1:] += np.array(noise[:k]) * size
    result = examine(CHEBYSHEV, m, np.zeros_like(error))
    exact = [Fraction(x) for x in m[0]]
    minors = [toeplitz_determinant(exact[: n + 1]) for n in range(1, k + 1)]
    if result.verdict[0] == INTERIOR:
        assert all(x > 0 for x in minors)
    elif result.verdict[0] == INFEASIBLE:
        assert all(x > 0 for x in minors[: result.order[0] - 1])
        assert minors[result.order[0] - 1] < 0
        check_witness(result)
    else:
        pytest.fail("exact moments in general position are on one side or the other")


def exact_powers(basis, m):
    """E[t^j] as fractions from E[φ_j], by t φ_j = (φ_{j+1} − b φ_j + d φ_{j−1})/a."""
    a, b, d = ([Fraction(float(v)) for v in row] for row in basis.recurrence(len(m) - 1))
    expansion, power = [Fraction(1)], [Fraction(1)]
    for _ in range(1, len(m)):
        new = [Fraction(0)] * (len(expansion) + 1)
        for i, c in enumerate(expansion):
            new[i + 1] += c / a[i]
            new[i] -= c * b[i] / a[i]
            if i:
                new[i - 1] += c * d[i] / a[i]
        expansion = new
        power.append(sum(c * Fraction(float(x)) for c, x in zip(expansion, m, strict=False)))
    return power


def hankel_minor(power, n, half):
    """The minor that order n adds: E[π²] > 0, or E[t π²] > 0 for odd n on the half line."""
    size, shift = (n // 2 + 1, n % 2) if half else (n // 2 + 1, 0)
    return determinant([[power[i + j + shift] for j in range(size)] for i in range(size)])


@EXACT
@given(
    st.sampled_from([LAGUERRE, HERMITE]),
    st.integers(1, 8),
    st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    st.floats(1e-12, 1.0),
)
def test_unbounded_verdict_is_the_sign_of_the_hankel_form(basis, k, noise, size):
    """Random moments around the exponential's or the normal's."""
    m = np.zeros((1, k + 1))
    m[0, 0] = 1.0
    m[0, 1:] = np.array(noise[:k]) * size
    result = examine(basis, m, np.zeros_like(m))
    half = basis is LAGUERRE
    power = exact_powers(basis, m[0])
    orders = [n for n in range(1, k + 1) if half or n % 2 == 0]
    minors = {n: hankel_minor(power, n, half) for n in orders}
    if result.verdict[0] == INFEASIBLE:
        bad = result.order[0]
        assert all(minors[n] > 0 for n in orders if n < bad)
        assert minors[bad] < 0
        check_witness(result)
    else:
        assert result.verdict[0] == INTERIOR
        assert all(x > 0 for x in minors.values())


@EXACT
@given(
    st.sampled_from([CHEBYSHEV, LAGUERRE, HERMITE]),
    st.integers(1, 14),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=1, max_size=12),
    st.floats(1e-8, 1),
)
def test_moments_of_a_measure_never_yield_a_witness(basis, k, atoms, spread):
    """Nearly coincident atoms, few and many: rounding alone must not prove anything."""
    t = np.array([a for a, _ in atoms]) * spread
    if basis is LAGUERRE:
        t = abs(t) * 3
    if basis is HERMITE:
        t = t * 3
    m, error = of_atoms(basis, t, [w for _, w in atoms], k)
    result = examine(basis, m, error)
    assert result.verdict[0] != INFEASIBLE
    assert result.witness(0) is None


# --- boundary -----------------------------------------------------------------------------------

ATOMS = {
    # name: basis, positions, weights, order of the boundary
    "five samples": (CHEBYSHEV, [-0.9, -0.35, 0.05, 0.4, 0.95], [1, 1, 1, 1, 1], 10),
    "constant": (CHEBYSHEV, [0.3], [1], 2),
    "constant at the end": (CHEBYSHEV, [1.0], [1], 1),
    "constant at the other end": (CHEBYSHEV, [-1.0], [1], 1),
    "two values": (CHEBYSHEV, [-0.2, 0.7], [1, 3], 4),
    "two ends": (CHEBYSHEV, [-1.0, 1.0], [1, 3], 2),
    "end and inside": (CHEBYSHEV, [-1.0, 0.25], [1, 3], 3),
    "inside and end": (CHEBYSHEV, [0.25, 1.0], [1, 3], 3),
    "die": (CHEBYSHEV, [-1.0, -0.6, -0.2, 0.2, 0.6, 1.0], [1] * 6, 10),
    "line, constant": (HERMITE, [0.0], [1], 2),
    "line, two": (HERMITE, [-1.0, 1.0], [1, 1], 4),
    "line, three": (HERMITE, [-2.0, 0.5, 1.5], [1, 2, 3], 6),
    "half line, at 0": (LAGUERRE, [0.0], [1], 1),
    "half line, constant": (LAGUERRE, [1.0], [1], 2),
    "half line, 0 and 2": (LAGUERRE, [0.0, 2.0], [1, 1], 3),
    "half line, three": (LAGUERRE, [0.5, 1.0, 3.0], [2, 2, 1], 6),
    "half line, 0, 1, 3": (LAGUERRE, [0.0, 1.0, 3.0], [2, 2, 1], 5),
}


@pytest.mark.parametrize("more", [0, 1, 2, 5])
@pytest.mark.parametrize("name", ATOMS)
def test_atoms_come_back(name, more):
    basis, t, weights, order = ATOMS[name]
    result = examine(basis, *of_atoms(basis, t, weights, order + more))
    assert result.verdict[0] == BOUNDARY
    assert result.order[0] == order
    found, found_weights = result.atoms(0)
    np.testing.assert_allclose(found, t, atol=1e-6)
    np.testing.assert_allclose(found_weights, np.array(weights) / sum(weights), atol=1e-6)
    assert result.mismatch(0) < 1e-12
    assert result.excess[0] == 0
    assert result.resolved(0)
    blur, gap = result.spread(0)
    assert 0 < blur < 1e-3
    assert gap == (pytest.approx(np.diff(t).min(), abs=1e-5) if len(t) > 1 else np.inf)


def test_sentences_on_the_boundary():
    def sentence(basis, power, loc=0.0, scale=1.0):
        result = examine(basis, *from_powers(basis, power, loc, scale))
        return result.describe(0, loc, scale)

    assert sentence(CHEBYSHEV, [1, 0.5, 0.3], 0.5, 0.5) == ""
    assert sentence(CHEBYSHEV, [1, 0.5, 0.2], 0.5, 0.5).startswith("E[(x − 0.5)²] = −0.05, but")
    assert sentence(CHEBYSHEV, [1, 0.25, 0.25], 0.5, 0.5) == (
        "the first 2 moments are those of atoms at 0 (weight 0.75), 1 (weight 0.25) "
        "and of nothing else"
    )
    assert sentence(HERMITE, [1, 0, 1, 0, 1, 0, 5]) == (
        "the first 4 moments are those of atoms at −1 (weight 0.5), 1 (weight 0.5), but moment 6 "
        "is not theirs: only a vanishing mass ever farther out could make the difference"
    )


@pytest.mark.parametrize("k", [6, 10, 16])
@pytest.mark.parametrize("width", [Fraction(1, 1000), Fraction(1, 10000)])
def test_a_narrow_lump_on_the_boundary_is_not_taken_for_atoms(width, k):
    """Uniform on 0.3 ± width: at k = 6 and more its rounded moments are on the boundary."""
    ends = [Fraction(3, 10) - width, Fraction(3, 10) + width]
    power = [
        (ends[1] ** (j + 1) - ends[0] ** (j + 1)) / ((j + 1) * 2 * width) for j in range(k + 1)
    ]
    result = examine(CHEBYSHEV, *rounded(exactly(CHEBYSHEV, power)))
    assert result.verdict[0] == BOUNDARY
    assert not result.resolved(0)


def test_arrays_at_the_edge_of_float64_end_in_a_verdict():
    rng = np.random.default_rng(5)
    for basis in (CHEBYSHEV, LAGUERRE, HERMITE):
        for k in (1, 7, 60):
            for size in (5e-324, 1e-300, 1e-20, 1.0, 1e300):
                m = rng.normal(size=(4, k + 1)) * size
                m[:, 0] = 1.0
                m[0, 1:] = 0.0
                result = examine(basis, m, np.spacing(abs(m)))
                for j in range(4):
                    q = result.witness(j)
                    if q is not None:
                        assert q.proven
                        assert "E[" in q.describe(0.5, 2.0)
                    atoms = result.atoms(j)
                    if atoms is not None:
                        assert atoms[1].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("name", ATOMS)
def test_atoms_are_not_on_the_boundary_one_order_below(name):
    basis, t, weights, order = ATOMS[name]
    if order > 1:
        result = examine(basis, *of_atoms(basis, t, weights, order - 1))
        assert result.verdict[0] == INTERIOR


@pytest.mark.parametrize("name", [n for n in ATOMS if ATOMS[n][0] is CHEBYSHEV])
@pytest.mark.parametrize("later", [1, 2, 4])
def test_a_later_moment_that_the_atoms_do_not_have(name, later):
    basis, t, weights, order = ATOMS[name]
    for change in (1e-3, -1e-3):
        m, error = of_atoms(basis, t, weights, order + later)
        m[0, -1] += change
        result = examine(basis, m, error)
        assert result.order[0] == order + later
        check_witness(result)


@pytest.mark.parametrize("power, excess", [([1, 0, 1, 0, 1, 0, 5], 4), ([1, 0, 1, 0, 1, 0.5], 0.5)])
def test_the_last_moment_may_exceed_the_atoms_by_escaping_mass(power, excess):
    result = examine(HERMITE, *from_powers(HERMITE, power))
    assert result.verdict[0] == BOUNDARY
    assert result.order[0] == 4
    assert result.excess[0] == pytest.approx(excess)


def test_die_as_raw_moments():
    faces = range(1, 7)
    for k, verdict in ((9, INTERIOR), (10, BOUNDARY), (13, BOUNDARY)):
        power = [sum(Fraction(x) ** j for x in faces) / 6 for j in range(k + 1)]
        result = examine(CHEBYSHEV, *from_powers(CHEBYSHEV, power, 3.5, 2.5))
        assert result.verdict[0] == verdict
    t, weights = result.atoms(0)
    np.testing.assert_allclose(3.5 + 2.5 * t, np.arange(1, 7), atol=1e-6)
    np.testing.assert_allclose(weights, 1 / 6, atol=1e-6)


# --- rounding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end, first_bad", [(0, 25), (1, 16), (10, 9)])
def test_rounded_raw_moments_are_doubtful_but_not_proven_infeasible(end, first_bad):
    """Uniform on [end, end + 1]: taken as exact, the rounded powers stop being feasible."""
    exact_verdicts = {}
    for k in range(2, 33):
        power = [Fraction((end + 1) ** (j + 1) - end ** (j + 1), j + 1) for j in range(k + 1)]
        honest = examine(CHEBYSHEV, *from_powers(CHEBYSHEV, power, end + 0.5, 0.5))
        assert honest.verdict[0] != INFEASIBLE
        taken_as_exact = examine(
            CHEBYSHEV, *from_powers(CHEBYSHEV, power, end + 0.5, 0.5, exact=True)
        )
        exact_verdicts[k] = taken_as_exact.verdict[0]
    bad = [k for k, v in exact_verdicts.items() if v == INFEASIBLE]
    assert min(bad) == first_bad


def test_rounded_raw_moments_on_the_symmetric_interval_stay_interior():
    for k in (10, 20, 30):
        power = [Fraction(1 + (-1) ** j, 2 * (j + 1)) for j in range(k + 1)]
        m, error = from_powers(CHEBYSHEV, power, exact=True)
        assert examine(CHEBYSHEV, m, error).verdict[0] == INTERIOR


def test_unknown_moments_are_no_proof():
    m = np.array([[1.0, 0.1, np.nan, np.nan]])
    error = np.array([[0.0, 1e-16, np.inf, np.inf]])
    for basis in (CHEBYSHEV, LAGUERRE, HERMITE):
        result = examine(basis, m, error)
        assert result.verdict[0] == BOUNDARY
        assert result.tolerance[0] == np.inf


# --- laws ---------------------------------------------------------------------------------------


def mixed_columns(k):
    rng = np.random.default_rng(3)
    m = np.cos(np.arange(k + 1) * np.arccos(rng.uniform(-1, 1, size=(40, 12, 1)))).mean(axis=1)
    m[20:, 1:] += rng.normal(size=(20, k)) * 0.1
    return m, np.spacing(abs(m)) + 1e-16


@pytest.mark.parametrize("basis", [CHEBYSHEV, LAGUERRE, HERMITE], ids=lambda b: b.name)
def test_batch_equals_loop(basis):
    m, error = mixed_columns(8)
    together = examine(basis, m, error)
    for j in range(len(m)):
        alone = examine(basis, m[j : j + 1], error[j : j + 1])
        for field in ("verdict", "order", "margin", "tolerance", "excess"):
            assert getattr(together, field)[j] == getattr(alone, field)[0]


@pytest.mark.parametrize("basis", [CHEBYSHEV, HERMITE], ids=lambda b: b.name)
def test_reflection(basis):
    m, error = mixed_columns(9)
    here = examine(basis, m, error)
    there = examine(basis, m * (-1.0) ** np.arange(10), error)
    np.testing.assert_array_equal(here.verdict, there.verdict)
    np.testing.assert_array_equal(here.order, there.order)
    np.testing.assert_allclose(here.margin, there.margin, rtol=1e-9, atol=1e-14)


def test_infeasible_stays_infeasible_with_more_moments():
    m, error = mixed_columns(9)
    short = examine(CHEBYSHEV, m[:, :6], error[:, :6])
    full = examine(CHEBYSHEV, m, error)
    bad = short.verdict == INFEASIBLE
    assert bad.any()
    assert (full.verdict[bad] == INFEASIBLE).all()
    np.testing.assert_array_equal(full.order[bad], short.order[bad])


@pytest.mark.parametrize("basis", [CHEBYSHEV, LAGUERRE, HERMITE], ids=lambda b: b.name)
def test_every_witness_of_a_batch(basis):
    m, error = mixed_columns(8)
    result = examine(basis, m, error)
    bad = np.flatnonzero(result.verdict == INFEASIBLE)
    assert len(bad) > 5
    for j in bad[:12]:
        check_witness(result, j)


# --- discrete -----------------------------------------------------------------------------------

FACES = np.arange(1.0, 7.0)


def on_faces(power):
    m, error = from_powers(CHEBYSHEV, power, 3.5, 2.5)
    return examine_discrete(CHEBYSHEV, (FACES - 3.5) / 2.5, m, error)


def test_jaynes_die():
    assert on_faces([1, 4.5]).verdict[0] == INTERIOR
    assert on_faces([1, 6]).verdict[0] == BOUNDARY
    assert on_faces([1, 6.5]).witness(0).describe(3.5, 2.5) == (
        "E[6 − x] = −0.5, but this is never negative at the given points"
    )


def test_between_two_neighbouring_points():
    assert on_faces([1, 2.5, 6.51]).verdict[0] == INTERIOR
    edge = on_faces([1, 2.5, 6.5])
    assert edge.verdict[0] == BOUNDARY
    t, weights = edge.atoms(0)
    np.testing.assert_allclose(3.5 + 2.5 * t, [2, 3])
    np.testing.assert_allclose(weights, [0.5, 0.5])
    assert edge.mismatch(0) < 1e-15
    bad = on_faces([1, 2.5, 6.4])
    assert bad.order[0] == 2
    assert bad.witness(0).describe(3.5, 2.5) == (
        "E[(x − 2)(x − 3)] = −0.1, but this is never negative at the given points"
    )


def test_more_moments_than_points():
    power = [sum(Fraction(int(x)) ** j for x in FACES) / 6 for j in range(9)]
    assert on_faces(power).verdict[0] == INTERIOR
    power[7] += 1
    bad = on_faces(power)
    assert bad.verdict[0] == INFEASIBLE
    assert bad.order[0] == 7
    assert bad.witness(0).proven


@EXACT
@given(
    st.integers(2, 40),
    st.integers(1, 10),
    st.integers(0, 2**32 - 1),
    st.floats(1e-9, 0.3),
)
def test_discrete_verdict_and_proof(size, k, seed, noise):
    """Positive weights everywhere: interior; pushed out: a proof that holds at every point."""
    rng = np.random.default_rng(seed)
    points = np.sort(rng.uniform(-1, 1, size))
    if np.diff(points).min() < 1e-3:
        points = np.linspace(-1, 1, size)
    weights = rng.uniform(0.2, 1, size)
    m, error = of_atoms(CHEBYSHEV, points, weights, k)
    assert examine_discrete(CHEBYSHEV, points, m, error).verdict[0] == INTERIOR
    m[0, 1:] += noise * rng.normal(size=k)
    result = examine_discrete(CHEBYSHEV, points, m, error)
    if result.verdict[0] == INFEASIBLE:
        q = result.witness(0)
        assert q.proven
        at_points = q(points)
        assert at_points.min() >= -1e-14 * max(1.0, at_points.max())
        assert (
            result.verdict[0]
            != examine_discrete(
                CHEBYSHEV, points, *of_atoms(CHEBYSHEV, points, weights, k)
            ).verdict[0]
        )
    else:
        # what is infeasible on the interval is infeasible on its points
        assert examine(CHEBYSHEV, m, error).verdict[0] != INFEASIBLE


def test_many_points():
    points = np.linspace(-1, 1, 500)
    m, error = of_atoms(CHEBYSHEV, points[200:202], [1, 1], 4)
    edge = examine_discrete(CHEBYSHEV, points, m, error)
    assert edge.verdict[0] == BOUNDARY
    assert edge.order[0] == 2
    np.testing.assert_allclose(edge.atoms(0)[0], points[200:202])


# --- the table of known answers -----------------------------------------------------------------


def examine_problem(problem):
    """Rows of power or Chebyshev moments, in the frame that a solver would choose."""
    support, m = problem.support, problem.moments
    if problem.discrete:
        loc, scale = (support[0] + support[-1]) / 2, (support[-1] - support[0]) / 2
        points = (np.array(support) - loc) / scale
        return examine_discrete(CHEBYSHEV, points, *from_powers(CHEBYSHEV, m, loc, scale))
    low, high = support
    if problem.kind == "chebyshev":
        return examine(CHEBYSHEV, *rounded(m))
    if math.isfinite(high - low):
        basis, loc, scale = CHEBYSHEV, (low + high) / 2, (high - low) / 2
    elif math.isfinite(low):
        basis, loc, scale = LAGUERRE, low, abs(m[1] - low) or 1.0
    elif math.isfinite(high):
        basis, loc, scale = LAGUERRE, high, -abs(m[1] - high) or -1.0
    else:
        variance = m[2] - m[1] ** 2 if len(m) > 2 else 1.0
        basis, loc, scale = HERMITE, m[1], math.sqrt(variance) if variance > 0 else 1.0
    return examine(basis, *from_powers(basis, m, loc, scale))


def rows(*statuses):
    return [
        p
        for p in (*SOLVABLE, *UNSOLVABLE)
        if p.status in statuses and p.kind in ("raw", "chebyshev")
    ]


@pytest.mark.parametrize("problem", rows("INFEASIBLE"), ids=str)
def test_infeasible_row(problem):
    result = examine_problem(problem)
    assert result.verdict[0] == INFEASIBLE
    if problem.discrete:
        assert result.witness(0).proven
    else:
        check_witness(result)


@pytest.mark.parametrize("problem", rows("ATOMIC"), ids=str)
def test_atomic_row(problem):
    result = examine_problem(problem)
    assert result.verdict[0] == BOUNDARY
    assert result.resolved(0)
    assert result.mismatch(0) < 1e-8


@pytest.mark.parametrize("problem", rows("SOLVED", "NO_MAXIMUM"), ids=str)
def test_feasible_row(problem):
    """Never refused; where rounding reaches the boundary, never mistaken for atoms."""
    result = examine_problem(problem)
    assert result.verdict[0] == INTERIOR or (
        result.verdict[0] == BOUNDARY and not result.resolved(0)
    )
