"""Density against closed forms, under both sets of names, and its manners at the edges."""

import copy
import pickle

import numpy as np
import pytest
from scipy import integrate, special, stats

import maxent

INF = np.inf
truncated_normal = stats.truncnorm(-2.0, 4.0, loc=1.0, scale=0.5)  # on [0, 3]
truncated_exponential = stats.truncexpon(3.0, loc=1.0, scale=2.0)  # on [1, 7]


def raw(law, k):
    return [1.0, *(float(law.moment(j)) for j in range(1, k + 1))]


LAWS = {
    "uniform": (stats.uniform(2.0, 3.0), (2.0, 5.0), 3),
    "truncated exponential": (truncated_exponential, (1.0, 7.0), 1),
    "truncated normal": (truncated_normal, (0.0, 3.0), 2),
    "normal": (stats.norm(3.0, 2.0), (-INF, INF), 2),
    "normal k=4": (stats.norm(-1.0, 0.1), (-INF, INF), 4),
    "exponential": (stats.expon(2.0, 3.0), (2.0, INF), 1),
    "exponential k=2": (stats.expon(0.0, 1.0), (0.0, INF), 2),
    "half normal": (stats.truncnorm(-0.5, INF, loc=0.5, scale=1.0), (0.0, INF), 2),
}


def isf(law, u):
    """Where scipy's own is inaccurate: P(X > x) = P(Z > x - 1/2)/P(Z > -1/2)."""
    if law is LAWS["half normal"][0]:
        return 0.5 - special.ndtri(u * special.ndtr(0.5))
    return law.isf(u)


@pytest.fixture(params=LAWS, scope="module")
def pair(request):
    law, support, k = LAWS[request.param]
    return law, maxent.solve(raw(law, k), support=support)


U = np.array([1e-12, 1e-6, 1e-3, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1 - 1e-6])


def test_against_closed_forms(pair):
    law, density = pair
    x = law.ppf(np.linspace(0.01, 0.99, 25))
    close = {"rtol": 1e-8, "atol": 1e-12}
    np.testing.assert_allclose(density.pdf(x), law.pdf(x), **close)
    np.testing.assert_allclose(density.logpdf(x), law.logpdf(x), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(density.cdf(x), law.cdf(x), **close)
    np.testing.assert_allclose(density.sf(x), law.sf(x), **close)
    np.testing.assert_allclose(density.logcdf(x), law.logcdf(x), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(density.logsf(x), law.logsf(x), rtol=1e-7, atol=1e-9)
    spread = float(law.std())
    np.testing.assert_allclose(density.ppf(U), law.ppf(U), rtol=1e-8, atol=1e-8 * spread)
    np.testing.assert_allclose(density.isf(U), isf(law, U), rtol=1e-8, atol=1e-8 * spread)
    assert density.mean() == pytest.approx(law.mean(), rel=1e-12)
    assert density.var() == pytest.approx(law.var(), rel=1e-10)
    assert density.std() == pytest.approx(law.std(), rel=1e-10)
    assert density.median() == pytest.approx(law.median(), rel=1e-9)
    assert density.entropy() == pytest.approx(-law.expect(law.logpdf), abs=1e-8)
    for n in range(5):
        assert density.moment(n) == pytest.approx(law.moment(n), rel=1e-9)
    assert density.moment(3, "central") == pytest.approx(
        law.expect(lambda x: (x - law.mean()) ** 3), abs=1e-8 * spread**3
    )
    skew, excess = (float(v) for v in law.stats("sk"))
    assert density.skewness() == pytest.approx(skew, abs=1e-8)
    assert density.kurtosis() == pytest.approx(excess + 3, abs=1e-8)
    np.testing.assert_allclose(density.interval(0.9), law.ppf([0.05, 0.95]), rtol=1e-8, atol=1e-9)
    assert density.expect(np.cos) == pytest.approx(law.expect(np.cos), abs=1e-9)


def test_both_sets_of_names(pair):
    _, density = pair
    x, u = density.ppf([0.2, 0.7]), np.array([0.2, 0.7])
    for old, new, at in (
        ("ppf", "icdf", u), ("isf", "iccdf", u), ("sf", "ccdf", x), ("logsf", "logccdf", x)
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(density, old)(at), getattr(density, new)(at))
    assert density.var() == density.variance()
    assert density.std() == density.standard_deviation()
    np.testing.assert_array_equal(
        density.rvs(size=5, random_state=3), density.sample(5, rng=np.random.default_rng(3))
    )


def test_round_trip(pair):
    _, density = pair
    x = density.ppf(np.linspace(1e-3, 1 - 1e-3, 999))
    spread = density.std()
    np.testing.assert_allclose(density.ppf(density.cdf(x)), x, rtol=1e-12, atol=1e-11 * spread)
    np.testing.assert_allclose(density.isf(density.sf(x)), x, rtol=1e-12, atol=1e-11 * spread)
    assert (np.diff(density.ppf(np.linspace(0, 1, 3001))) >= 0).all()


@pytest.mark.parametrize("name", ["normal", "exponential", "half normal"])
def test_far_tail(name):
    law, support, k = LAWS[name]
    density = maxent.solve(raw(law, k), support=support)
    for u in (1e-20, 1e-100, 1e-300):
        x = density.isf(u)
        assert np.isfinite(x)
        assert density.sf(x) == pytest.approx(u, rel=1e-9)
        assert x == pytest.approx(isf(law, u), rel=1e-7)


def test_the_lower_half_line_is_the_mirror_image():
    up = maxent.solve([1, 2.0, 5.0], support=(0, INF))
    down = maxent.solve([1, -2.0, 5.0], support=(-INF, 0))
    x, u = np.linspace(0.1, 6, 7), np.array([1e-300, 1e-9, 0.3, 0.999])
    np.testing.assert_allclose(down.pdf(-x), up.pdf(x), rtol=1e-12)
    np.testing.assert_allclose(down.cdf(-x), up.sf(x), rtol=1e-12)
    np.testing.assert_allclose(down.ppf(u), -up.isf(u), rtol=1e-12)
    assert down.support() == (-INF, 0.0)
    assert down.ppf(0.0) == -INF and down.ppf(1.0) == 0.0
    assert down.skewness() == pytest.approx(-up.skewness(), rel=1e-10)


def test_edges_of_the_contract():
    density = maxent.solve([1, 0.4, 0.2], support=(0, 1))
    np.testing.assert_array_equal(density.pdf([-0.1, 1.1, -INF, INF]), 0.0)
    np.testing.assert_array_equal(density.logpdf([-0.1, 1.1]), -INF)
    np.testing.assert_array_equal(density.cdf([-3.0, 0.0, 1.0, 7.0]), [0, 0, 1, 1])
    np.testing.assert_array_equal(density.ppf([0.0, 1.0]), [0.0, 1.0])
    np.testing.assert_array_equal(density.isf([0.0, 1.0]), [1.0, 0.0])
    assert np.isnan(density.ppf([-0.1, 1.1, np.nan])).all()
    for method in ("pdf", "logpdf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf"):
        call = getattr(density, method)
        assert np.isnan(call(np.nan))
        assert isinstance(call(0.5), float)
        assert call(np.array([])).shape == (0,)
        assert call(np.full((2, 3), 0.5)).shape == (2, 3)
        assert call(np.float32(0.5)).dtype == np.float64
        assert call(np.array([1, 0])).dtype == np.float64


def test_draws_are_distributed_as_they_say():
    density = maxent.solve([1, 0.4, 0.2], support=(0, 1))
    draws = density.rvs(size=20_000, random_state=np.random.default_rng(7))
    assert stats.kstest(draws, density.cdf).pvalue > 1e-3
    assert stats.kstest(draws, stats.uniform.cdf).pvalue < 1e-6
    assert isinstance(density.rvs(random_state=1), float)
    assert density.rvs(size=(2, 3), random_state=1).shape == (2, 3)
    assert not np.array_equal(density.rvs(size=4), density.rvs(size=4))


def test_draws_by_quasi_monte_carlo():
    """Balanced points: a mean of 1,024 is off by far less than 1/√1024 of the spread."""
    density = maxent.solve([1, 0.4, 0.2], support=(0, 1))
    draws = density.sample(1024, rng=stats.qmc.Sobol(1, seed=5))
    points = stats.qmc.Sobol(1, seed=5).random(1024)[:, 0]
    np.testing.assert_array_equal(draws, density.ppf(points))
    assert abs(draws.mean() - 0.4) < 1e-4 * density.std()
    assert abs(density.sample(1024, rng=5).mean() - 0.4) > 1e-4 * density.std()
    batch = maxent.solve([[1, 0.4, 0.2], [1, 0.6, 0.4], [1, 0.5, 0.3]], support=(0, 1))
    joint = batch.rvs((16, 16), random_state=stats.qmc.Halton(3, seed=2))
    assert joint.shape == (16, 16, 3)
    np.testing.assert_allclose(joint.mean(axis=(0, 1)), [0.4, 0.6, 0.5], atol=5e-3)
    assert (np.abs(np.corrcoef(joint.reshape(-1, 3).T) - np.eye(3)) < 0.05).all()
    assert isinstance(density.sample(rng=stats.qmc.Sobol(1, seed=5)), float)
    with pytest.raises(ValueError, match="2 dimensions does not fit 3 columns"):
        batch.sample(4, rng=stats.qmc.Sobol(2, seed=1))


def test_immutable_and_picklable(pair):
    _, density = pair
    with pytest.raises(AttributeError):
        density.loc = 3
    with pytest.raises(ValueError):
        density.coefficients[0] = 3.0
    for twin in (pickle.loads(pickle.dumps(density)), copy.deepcopy(density), copy.copy(density)):
        assert twin == density
        assert twin.ppf(0.3) == density.ppf(0.3)
        with pytest.raises(ValueError):
            twin.coefficients[0] = 3.0
    assert "degree" in repr(density) and "SOLVED" in repr(density)


def test_lagrange_multipliers_are_those_of_the_powers_of_x():
    density = maxent.solve([1, 2.3, 5.6, 14.0], support=(1, 4))
    x = np.linspace(1, 4, 7)
    powers = np.polynomial.polynomial.polyval(x, density.lagrange_multipliers())
    np.testing.assert_allclose(powers, density.logpdf(x), atol=1e-10)
    series = np.polynomial.chebyshev.chebval(
        (x - 2.5) / 1.5, density.lagrange_multipliers("chebyshev")
    )
    np.testing.assert_allclose(series, density.logpdf(x), atol=1e-12)
    normal = maxent.solve([1, 3.0, 13.0], support=(-INF, INF))
    np.testing.assert_allclose(
        normal.lagrange_multipliers(),
        [-0.5 * np.log(2 * np.pi * 4) - 9 / 8, 3 / 4, -1 / 8], rtol=1e-12,
    )  # fmt: skip
    with pytest.raises(ValueError, match="kind"):
        normal.lagrange_multipliers("chebyshev")


def test_moments_by_scipys_quad():
    density = maxent.solve([1, 0.1, 0.3, 0.05, 0.2], support=(-1, 1))
    mean = density.mean()
    for n in range(9):
        expected = integrate.quad(lambda x, n=n: x**n * density.pdf(x), -1, 1)[0]
        assert density.moment(n) == pytest.approx(expected, abs=1e-12)
        central = integrate.quad(lambda x, n=n: (x - mean) ** n * density.pdf(x), -1, 1)[0]
        assert density.moment(n, "central") == pytest.approx(central, abs=1e-12)
        t_n = integrate.quad(
            lambda x, n=n: np.cos(n * np.arccos(x)) * density.pdf(x), -1, 1
        )[0]  # fmt: skip
        assert density.moment(n, "chebyshev") == pytest.approx(t_n, abs=1e-10)


@pytest.mark.parametrize("order", [-1, 1.5, True, "2"])
def test_wrong_order(order):
    density = maxent.solve([1, 0.4], support=(0, 1))
    with pytest.raises(ValueError, match="order"):
        density.moment(order)


def test_discrete():
    """Jaynes' die: mean 4.5."""
    die = maxent.solve([1, 4.5], support=maxent.Discrete(range(1, 7)))
    p = die.pmf(np.arange(1, 7))
    ratios = p[1:] / p[:-1]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-12)
    assert p.sum() == pytest.approx(1, abs=1e-14) and p @ np.arange(1, 7) == pytest.approx(4.5)
    assert p[0] == pytest.approx(0.0543532, abs=1e-7)  # Jaynes 1983, p. 244: .05435 … .34749
    assert die.pmf([0, 1.5, 7]).tolist() == [0, 0, 0] and np.isnan(die.pmf(np.nan))
    assert die.cdf([0.5, 1, 1.5, 6, 9]) == pytest.approx([0, p[0], p[0], 1, 1])
    assert die.ppf([0, p[0] / 2, 0.5, 1]).tolist() == [1, 1, 5, 6]
    assert set(die.rvs(100, random_state=1)) <= set(range(1, 7))
    assert die.entropy() == pytest.approx(-p @ np.log(p))
    assert die.expect(lambda x: x**2) == pytest.approx(p @ np.arange(1, 7) ** 2)


def test_a_prior_on_points():
    """With weights the answer is weights · exp(λ x): a tilted binomial is a binomial."""
    points = np.arange(6)
    support = maxent.Discrete(points, stats.binom(5, 0.5).pmf(points))
    density = maxent.solve([1, 1.5], support=support)
    np.testing.assert_allclose(density.pmf(points), stats.binom(5, 0.3).pmf(points), rtol=1e-10)


SPIKES = np.concatenate([c + 1e-4 * np.linspace(-1, 1, 101) for c in (-0.6, 0.1, 0.7)])
BATCHES = {
    "interval": ([[1, 0.1, 0.4, 0.05], [1, -0.3, 0.3, -0.2], [1, 0.5, 0.4, 0.3]], (-1, 1), "raw"),
    "upward": ([[1, 2, 5], [1, 3, 12]], (0, np.inf), "raw"),
    "downward": ([[1, -2, 5], [1, -3, 12]], (-np.inf, 0), "raw"),
    "line": ([[1, 0, 1, 0.1, 2.5], [1, 4, 17, 76.1, 354]], (-np.inf, np.inf), "raw"),
    "own basis": (
        [
            np.cos(np.arange(10)[:, None] * np.arccos(SPIKES)).mean(axis=1),
            np.eye(1, 10)[0],
        ],
        (-1, 1),
        "chebyshev",
    ),
    "points": ([[1, 4.5], [1, 3.5]], maxent.Discrete([1, 2, 3, 4, 5, 6]), "raw"),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("method", ["ppf", "isf"])
def test_quantiles_of_a_batch_are_those_of_its_columns_to_the_last_digit(name, method):
    moments, support, kind = BATCHES[name]
    density = maxent.solve(moments, support=support, kind=kind, throw=False)
    u = np.array([0.0, 5e-324, 1e-300, 1e-9, 0.2, 0.5, 0.9, 1 - 1e-12, 1.0, np.nan, -0.1, 1.1])
    together = getattr(density, method)(u[:, None])
    for j in range(len(density)):
        assert np.array_equal(together[:, j], getattr(density[j], method)(u), equal_nan=True)


def test_few_quantiles_of_a_batch_need_no_table_that_is_kept():
    moments, support, kind = BATCHES["interval"]
    density = maxent.solve([*moments, [1, 2, 1, 1]], support=support, kind=kind, throw=False)
    few = density.ppf(np.linspace(0.1, 0.9, 9)[:, None])
    assert not density._inversions
    assert np.isnan(few[:, 3]).all() and np.isfinite(few[:, :3]).all()
    density.ppf(1e-300)  # beyond the shallow table
    assert sorted(density._inversions) == [0, 1, 2]
