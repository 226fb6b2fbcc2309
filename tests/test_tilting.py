"""Any functions, a reference, uncertain values: against closed forms, by other integrals."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import maxent
from maxent import SolveError, Status, tilt
from maxent.tilting import Tilted

LINE, HALF = (-np.inf, np.inf), (0.0, np.inf)
ROWS = {
    row["name"]: row
    for row in json.loads(
        (Path(__file__).parent / "data" / "reference.json").read_text(encoding="utf-8")
    )
}
U = np.array([1e-9, 0.01, 0.3, 0.5, 0.9, 1 - 1e-9])


def identity(x):
    return x


def log_rest(x):
    return np.log1p(-x)


@pytest.mark.parametrize(
    "name, functions",
    [("H3_gamma_log", [identity, np.log]), ("I16_beta_log", [np.log, log_rest])],
)
def test_log_moments_give_gamma_and_beta_as_in_the_reference(name, functions):
    row = ROWS[name]
    density = tilt(functions, row["moments"][1:], support=tuple(map(float, row["support"])))
    c = np.array(row["c"], dtype=float)
    np.testing.assert_allclose(density.coefficients, c[1:], atol=1e-9)
    assert density.entropy() == pytest.approx(float(row["entropy"]), abs=1e-9)
    for u, x in row["ppf"].items():
        assert density.ppf(float(u)) == pytest.approx(float(x), rel=1e-9)
    x = np.array(row["pdf_at"], dtype=float)
    log_p = c[0] + sum(a * f(x) for a, f in zip(c[1:], functions))
    np.testing.assert_allclose(density.logpdf(x), log_p, atol=1e-9)


@pytest.mark.parametrize("shape, rate", [(0.3, 1.0), (2.3, 1.7), (50.0, 0.01)])
def test_gamma_of_any_shape_and_scale(shape, rate):
    means = [shape / rate, special.digamma(shape) - math.log(rate)]
    density, truth = (
        tilt([identity, np.log], means, support=HALF),
        stats.gamma(shape, scale=1 / rate),
    )
    np.testing.assert_allclose(density.ppf(U), truth.ppf(U), rtol=1e-9)
    np.testing.assert_allclose(density.isf(U), truth.isf(U), rtol=1e-9)
    x = truth.ppf([0.2, 0.7])
    np.testing.assert_allclose(density.cdf(x), [0.2, 0.7], rtol=1e-10)
    far = truth.isf(1e-30)
    assert density.sf(far) == pytest.approx(1e-30, rel=1e-6)
    assert density.variance() == pytest.approx(truth.var(), rel=1e-10)
    assert density.entropy() == pytest.approx(truth.entropy(), abs=1e-9)


@pytest.mark.parametrize("a, b", [(0.6, 0.7), (2.5, 3.5), (200.0, 300.0)])
def test_beta_with_and_without_poles_at_the_ends(a, b):
    psi = special.digamma
    means = [psi(a) - psi(a + b), psi(b) - psi(a + b)]
    density = tilt([np.log, log_rest], means, support=(0, 1))
    np.testing.assert_allclose(density.coefficients, [a - 1, b - 1], atol=2e-9)
    u = U[1:-1]
    np.testing.assert_allclose(density.ppf(u), stats.beta(a, b).ppf(u), rtol=1e-9)


def test_powers_and_no_reference_are_solve():
    known = maxent.solve([1, 0.1, 0.3, 0.1], support=(-1, 1))
    density = tilt([identity, np.square, lambda x: x**3], [0.1, 0.3, 0.1], support=(-1, 1))
    np.testing.assert_allclose(density.ppf(U), known.ppf(U), atol=1e-10)
    np.testing.assert_allclose(density.coefficients, known.lagrange_multipliers()[1:], rtol=1e-8)
    far = tilt([identity, np.square], [100.0, 10001.0], support=LINE)
    np.testing.assert_allclose(far.ppf(U), stats.norm(100).ppf(U), rtol=1e-10)


def test_a_normal_reference_is_moved_and_no_more():
    """The closest density to N(0, 1) with mean a is N(a, 1), at a distance of a²/2."""
    normal = maxent.solve([1, 0, 1], support=LINE)
    for reference in (normal, lambda x: 7.0 * np.exp(-0.5 * x**2)):
        density = tilt([identity], [0.5], reference=reference, support=LINE)
        np.testing.assert_allclose(density.ppf(U), stats.norm(0.5).ppf(U), atol=1e-9)
    assert tilt([identity], [0.5], reference=normal).relative_entropy() == pytest.approx(0.125)


def test_an_indicator_makes_a_step():
    density = tilt([lambda x: (x <= 0).astype(float)], [0.3], support=(-1, 3), breaks=[0])
    np.testing.assert_allclose(density.pdf([-0.5, 1.0]), [0.3, 0.7 / 3], rtol=1e-12)
    assert density.cdf(0.0) == pytest.approx(0.3, abs=1e-13)


# ---------------------------------------------------------------------------------- uncertain


def test_an_interval_binds_at_its_nearer_end_or_not_at_all():
    normal = maxent.solve([1, 0, 1], support=LINE)
    for pair, mean in [((0.2, 0.7), 0.2), ((-0.2, 0.7), 0.0), ((-0.9, -0.4), -0.4)]:
        density = tilt([identity], [pair], reference=normal)
        assert density.mean() == pytest.approx(mean, abs=1e-10)
        assert (density.coefficients[0] == 0) == (mean == 0)
        np.testing.assert_allclose(density.ppf(U), stats.norm(mean).ppf(U), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_intervals_satisfy_the_conditions_of_the_relaxed_optimum(seed):
    """Each mean within its interval, at the end that its multiplier pulls from (Kuhn & Tucker)."""
    rng = np.random.default_rng(seed)
    functions = [lambda x, j=j: np.cos(j * np.pi * x) for j in range(1, 6)]
    centre = rng.uniform(-0.15, 0.15, 5)
    half = rng.uniform(0.0, 0.12, 5)
    density = tilt(functions, list(zip(centre - half, centre + half)), support=(0, 1))
    for c, f, m, d in zip(density.coefficients, functions, centre, half):
        mean = integrate.quad(lambda x: f(x) * density.pdf(x), 0, 1, epsabs=1e-13)[0]  # noqa: B023
        assert abs(mean - m) <= d + 1e-10
        if c != 0:
            assert mean == pytest.approx(m - np.sign(c) * d, abs=1e-10)


def test_a_standard_error_draws_the_mean_back_to_the_reference():
    """For N(0, 1) and E x = m ± s the mean is m/(1 + s²)."""
    normal = maxent.solve([1, 0, 1], support=LINE)
    for s in (0.0, 0.5, 2.0):
        density = tilt([identity], [0.8], errors=[s], reference=normal)
        assert density.mean() == pytest.approx(0.8 / (1 + s**2), abs=1e-10)


# -------------------------------------------------------------------- options, Buchen & Kelly

STRIKES = np.arange(70.0, 140.0, 10.0)
SPOT, VOLATILITY = 100.0, 0.2


def payoffs():
    return [identity, *(lambda x, k=k: np.maximum(x - k, 0.0) for k in STRIKES)]


def black_scholes(k):
    d = (math.log(SPOT / k) + 0.5 * VOLATILITY**2) / VOLATILITY
    return SPOT * stats.norm.cdf(d) - k * stats.norm.cdf(d - VOLATILITY)


PRICES = np.array([black_scholes(k) for k in STRIKES])


def price(density, k):
    """By quadrature between the strikes, on pdf alone."""
    edges = [k, *(s for s in STRIKES if s > k), 200.0, 400.0, 1600.0]
    return sum(
        integrate.quad(lambda x: (x - k) * density.pdf(x), a, b, epsabs=1e-12, limit=200)[0]
        for a, b in pairwise(edges)
    )


def test_a_risk_neutral_density_gives_its_prices_back():
    density = tilt(payoffs(), [SPOT, *PRICES], support=HALF, breaks=STRIKES)
    assert density.certificate.status is Status.SOLVED
    for k, known in zip(STRIKES[::3], PRICES[::3]):
        assert price(density, k) == pytest.approx(known, abs=1e-8)
    log_p = density.logpdf(np.array([101.0, 104.0, 107.0]))  # exponential between strikes
    assert log_p[0] - 2 * log_p[1] + log_p[2] == pytest.approx(0.0, abs=1e-9)


def test_bid_and_ask_leave_it_as_smooth_as_they_allow():
    quotes = [(0.98 * p - 0.02, 1.02 * p + 0.02) for p in PRICES]
    density = tilt(payoffs(), [SPOT, *quotes], support=HALF, breaks=STRIKES)
    exact = tilt(payoffs(), [SPOT, *PRICES], support=HALF, breaks=STRIKES)
    assert density.entropy() > exact.entropy()
    assert density.mean() == pytest.approx(SPOT, rel=1e-10)
    assert (density.coefficients[1:] == 0).any()
    for k, (bid, ask) in zip(STRIKES, quotes):
        assert bid - 1e-8 <= density.expect(lambda x: np.maximum(x - k, 0.0)) <= ask + 1e-8  # noqa: B023


def test_quotes_that_contradict_each_other_are_named():
    wrong = PRICES.copy()
    wrong[3] += 3.0
    with pytest.raises(SolveError, match="value 4 would have to be lower by") as failure:
        tilt(payoffs(), [SPOT, *wrong], support=HALF, breaks=STRIKES)
    assert failure.value.status is Status.INFEASIBLE


def test_what_has_no_answer_says_so():
    with pytest.raises(SolveError, match=r"value 1 would have to be higher by 0\.0"):
        tilt([identity, np.square], [0.5, 0.2], support=(0, 1))
    with pytest.raises(SolveError, match="NO_MAXIMUM"):
        tilt([identity], [0.5], support=LINE)


def test_the_certificate_sees_what_is_wrong():
    density = tilt([identity, np.log], [3.0, 0.92], support=HALF)
    assert density.certificate.moment_error < 1e-12
    moved = Tilted(density._problem, density._grid, density.coefficients + 1e-8, 0)
    assert moved.certificate.status is Status.NOT_CONVERGED
    assert moved.certificate.moment_error > 1e-9


def test_edges_of_the_domain():
    density = tilt([identity], [0.4], support=(0, 1))
    x = [-1.0, 0.0, 1.0, 2.0, np.nan]
    np.testing.assert_array_equal(density.cdf(x), [0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(density.sf(x), [1, 1, 0, 0, np.nan])
    np.testing.assert_array_equal(density.pdf([-1.0, 2.0, np.nan]), [0, 0, np.nan])
    np.testing.assert_array_equal(density.ppf([0, 1, -0.1, np.nan]), [0, 1, np.nan, np.nan])
    assert isinstance(density.ppf(0.3), float) and density.cdf([]).shape == (0,)
    assert density.cdf(density.ppf(0.3)) == pytest.approx(0.3, abs=1e-14)


@pytest.mark.parametrize(
    "arguments, options, said",
    [
        (([], []), {"support": (0, 1)}, "one function of x or more"),
        (([3], [1]), {"support": (0, 1)}, "one function of x or more"),
        (([identity], [1, 2]), {"support": (0, 1)}, "1 functions, but 2 values"),
        (([identity], [np.nan]), {"support": (0, 1)}, "finite numbers, or pairs"),
        (([identity], [(0.7, 0.2)]), {"support": (0, 1)}, "no interval low <= high"),
        (([identity], [0.5]), {}, "say where the density lives"),
        (([identity], [0.5]), {"support": (0, 1), "errors": [-1]}, "standard errors >= 0"),
        (([identity], [0.5]), {"support": (0, 1), "reference": 3}, "a Density or a function"),
        (([identity], [4.5]), {"support": maxent.Discrete([1, 2])}, "Discrete support"),
    ],
)
def test_bad_input_is_named(arguments, options, said):
    with pytest.raises((ValueError, TypeError), match=said):
        tilt(*arguments, **options)
