"""Existence on the half line and line: Junk's line, the recursion by degree, satellites."""

import numpy as np
import pytest

import maxent
from maxent import Status

LINE, HALF = (-np.inf, np.inf), (0.0, np.inf)


def status(m, support):
    return maxent.solve(m, support=support, throw=False).certificate.status


@pytest.mark.parametrize("kurtosis", [3.0001, 3.5, 6.0, 50.0])
def test_junks_line(kurtosis):
    """Zero skewness: no maximum above 3, one at and below; with skewness there is one again."""
    assert status([1, 0, 1, 0, kurtosis], LINE) is Status.NO_MAXIMUM
    assert status([1, 0, 1, 0, 6 / kurtosis + 1], LINE) is Status.SOLVED
    assert status([1, 0, 1, 0, 3.0], LINE) is Status.SOLVED
    if kurtosis < 4:
        assert status([1, 0, 1, 0.3, kurtosis], LINE) is Status.SOLVED


def test_the_half_line_at_degree_two():
    """f_2 exists if and only if m_2 <= 2 m_1²."""
    for m2 in (1.1, 1.5, 1.999, 2.0):
        assert status([1, 1, m2], HALF) is Status.SOLVED
    for m2 in (2.0001, 2.5, 10.0):
        assert status([1, 1, m2], HALF) is Status.NO_MAXIMUM
        m3 = 1.5 * m2**2  # above the least third moment, m2²: f_2 does not exist, so f_3 does
        assert status([1, 1, m2, m3], HALF) is Status.SOLVED


@pytest.mark.parametrize("shape", [2.0, 3.0, 5.0])
def test_gamma_laws_have_even_degrees_only(shape):
    m = [1.0]
    for j in range(6):
        m.append(m[-1] * (shape + j))
    answers = [status(m[: k + 1], HALF).name for k in range(1, 6)]
    assert answers == ["SOLVED", "SOLVED", "NO_MAXIMUM", "SOLVED", "NO_MAXIMUM"]


def test_odd_degrees_on_the_line():
    assert status([1, 0.0], LINE) is Status.NO_MAXIMUM
    assert status([1, 0, 1, 0.1], LINE) is Status.NO_MAXIMUM
    assert status([1, 0, 1, 0.0], LINE) is Status.SOLVED
    f4 = maxent.solve([1, 0, 1, 0.3, 2.9], support=LINE)
    assert status([1, 0, 1, 0.3, 2.9, f4.moment(5)], LINE) is Status.SOLVED
    assert status([1, 0, 1, 0.3, 2.9, f4.moment(5) + 0.1], LINE) is Status.NO_MAXIMUM


def test_the_supremum_is_named():
    """The normal's entropy, never reached: and the answer nearby in mass comes close to it."""
    message = maxent.solve([1, 0, 1, 0, 3.5], support=LINE, throw=False).certificate.message
    assert "moment 4 is too large by 0.5" in message and "1.41894" in message
    assert "Use" in message
    near = maxent.solve([1, 0, 1, 0.1, 3.2], support=LINE)
    assert 1.41 < near.entropy() < 0.5 * np.log(2 * np.pi * np.e)
    scaled = maxent.solve([1, 0, 4, 0, 56], support=LINE, throw=False).certificate.message
    assert "too large by 8" in scaled and f"{0.5 * np.log(2 * np.pi * np.e * 4):.6g}" in scaled


def test_the_satellite_is_reported():
    """ANCHORS of the field: skewness .2, kurtosis 4 puts 7e-7 of the mass at 34 sd."""
    density = maxent.solve([1, 0, 1, 0.2, 4.0], support=LINE)
    assert "7e-07 of the mass sits near x = 33.93" in density.certificate.message
    assert density.sf(20.0) == pytest.approx(7e-7, rel=0.1)
    mirror = maxent.solve([1, 0, 1, -0.2, 4.0], support=LINE)
    assert "near x = -33.93" in mirror.certificate.message
    for plain in ([1, 0, 1], [1, 0, 1, 0, 1.5], [1, 0, 5, 0, 43]):
        assert "Note" not in maxent.solve(plain, support=LINE).certificate.message


def test_every_column_of_a_batch_for_itself():
    m = [[1, 0, 1, 0, k] for k in (2.0, 3.0, 3.5, 1.0, 0.9)]
    names = [s.name for s in maxent.solve(m, support=LINE, throw=False).certificate.status]
    assert names == ["SOLVED", "SOLVED", "NO_MAXIMUM", "ATOMIC", "INFEASIBLE"]


def test_a_column_far_from_the_end_of_the_half_line():
    """Lengths between 150 and 190 on [0, ∞): as on the line, but for a mass of nothing below 0."""
    x = 170.0 + np.linspace(-20.0, 20.0, 1001)
    line, half = (maxent.fit(x, degree=6, support=s) for s in (LINE, HALF))
    u = np.array([0.01, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(half.ppf(u), line.ppf(u), rtol=1e-9)
    assert half.certificate.digits > 10


def test_a_well_among_neighbours_that_are_solved():
    m = (1, 0, 1, 0.75, 5.25)
    density = maxent.solve(m, support=LINE, kind="standardized")
    got = [density.moment(j, "standardized") for j in (3, 4)]
    np.testing.assert_allclose(got, m[3:], rtol=1e-8)
