"""`degree="auto"`: as many moments as pay, and the answer is that of the degree that was chosen."""

import numpy as np
import pytest
from scipy import stats

import maxent

LINE = (-np.inf, np.inf)


def columns():
    rng = np.random.default_rng(0)
    n = 4000
    two = np.where(rng.random(n) < 0.4, rng.normal(-1.5, 0.4, n), rng.normal(1, 0.5, n))
    normal = stats.truncnorm(-3, 3).rvs(n, random_state=rng)
    return np.stack([rng.random(n), normal, two, rng.beta(2, 5, n)], axis=1)


TABLE = columns()


def test_a_family_is_recognised_by_its_number_of_moments():
    density = maxent.fit(TABLE, "auto")
    uniform, normal, two, _ = density.degrees
    assert uniform == 1
    assert normal == 2
    assert two >= 6


def test_the_criterion_is_the_smallest_of_all_degrees():
    """By hand: the likelihood of the data themselves, degree by degree."""
    x = TABLE[:, 3]
    score = []
    for k in range(1, 13):
        loglike = maxent.fit(x, k).logpdf(x).sum()
        score.append(-2 * loglike + k * np.log(x.size) * x.size / (x.size - k - 2))
    assert maxent.fit(x, "auto").degree == int(np.argmin(score)) + 1


@pytest.mark.parametrize("n", [5, 8, 12, 20])
def test_a_few_values_are_not_taken_for_a_curve(n):
    """The likelihood has no upper bound: with Schwarz's penalty alone a third of these columns, and
    more, would take as many moments as there are values, or twelve.
    """
    x = np.random.default_rng(n).normal(size=(n, 60))
    degrees = maxent.fit(x, "auto").degrees
    assert (degrees <= max(1, n - 3)).all()
    assert np.mean(degrees <= 2) >= 0.9
    schwarz = np.array([
        2 * n * maxent.fit(x, k, throw=False).entropy() + k * np.log(n)
        for k in range(1, min(12, n) + 1)
    ])
    assert np.mean(np.nanargmin(schwarz, axis=0) + 1 > 2) >= 0.3


def test_few_values_on_the_line_are_a_normal():
    assert maxent.fit([1.0, 2.0, 4.0], "auto", support=LINE).degree == 2


def test_each_column_is_the_single_fit_of_its_degree():
    batch = maxent.fit(TABLE, "auto")
    assert batch.degree == batch.degrees.max()
    x = np.linspace(-2, 2, 9)[:, None] * [0.2, 1, 1, 0.2]
    u = np.array([0.1, 0.5, 0.9])
    bars = batch.standard_error()
    slopes = batch.moments_sensitivity().coefficients()
    for j, k in enumerate(batch.degrees):
        one = maxent.fit(TABLE[:, j], int(k))
        assert batch[j].degree == k
        assert batch[j] == one
        assert (batch.coefficients[j, k + 1 :] == 0).all()
        np.testing.assert_allclose(batch.pdf(x)[:, j], one.pdf(x[:, j]), rtol=1e-12)
        ones = one.standard_error()
        np.testing.assert_allclose(bars.ppf(u[:, None])[:, j], ones.ppf(u), rtol=1e-9)
        np.testing.assert_allclose(bars.entropy()[j], ones.entropy(), rtol=1e-9)
        np.testing.assert_allclose(
            slopes[j, :k, :k], one.moments_sensitivity().coefficients(), rtol=1e-6
        )
        assert (slopes[j, k:] == 0).all()


def test_a_sketch_chooses_the_same():
    sketch = maxent.Sketch.of(TABLE, 12)
    ours, theirs = sketch.fit("auto"), maxent.fit(TABLE, "auto")
    np.testing.assert_array_equal(ours.degrees, theirs.degrees)
    np.testing.assert_allclose(ours.ppf(0.3), theirs.ppf(0.3), rtol=1e-9)
    assert maxent.Sketch.of(TABLE[:, 2], 4).fit("auto").degree <= 4


def test_degrees_without_an_answer_are_passed_over():
    x = np.random.default_rng(0).normal(size=3000)
    density = maxent.fit(x, "auto", support=LINE)
    assert density.degree == 2  # of degree 1 the line has no maximum
    points = np.repeat([0.0, 1.0, 3.0], [50, 30, 20])
    assert maxent.fit(points, "auto").degree == 2  # three atoms: no density of degree 4 and more
    batch = maxent.fit(np.stack([x[:100], np.full(100, np.nan)], axis=1), "auto", throw=False)
    assert [s.name for s in batch.certificate.status] == ["SOLVED", "NOT_FINITE"]
    assert "100 of 100 values are NaN" in batch.certificate.message[1]
    with pytest.raises(maxent.SolveError, match="ATOMIC"):
        maxent.fit([2.0, 2.0, 2.0], "auto", support=LINE)


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="a number or 'auto', not 'best'"):
        maxent.fit(TABLE, "best")
