"""Derivatives of the answer against solving again at m ± h; error bars against samples, and against
known answers that rounding has moved."""

import pickle

import numpy as np
import pytest

import maxent
from maxent import dual
from maxent.problem import MomentProblem
from tests.problems import SOLVABLE

INF = np.inf
U = np.array([1e-6, 1e-3, 0.03, 0.2, 0.5, 0.8, 0.97, 0.999, 1 - 1e-6])

CASES = {
    "interval": ([1, 0.1, 0.4, 0.05, 0.25, 0.03, 0.18], (-1, 1), "raw"),
    "interval chebyshev": ([1, 0.1, -0.2, 0.05, 0.1, 0.03, 0.02], (-3, 5), "chebyshev"),
    "interval central": ([1, 0.3, 0.04, 0.001, 0.005], (0, 1), "central"),
    "one moment": ([1, 0.3], (0, 1), "raw"),
    "one moment, standardized": ([1, 0.3], (0, 1), "standardized"),
    "half line": ([1, 2.0, 6.0], (0, INF), "raw"),
    "half line, odd": ([1, 2.0, 6.0, 21.0], (0, INF), "raw"),
    "half line downward": ([1, -2.0, 6.0], (-INF, 1), "raw"),
    "half line downward, central": ([1, -2.0, 3.0, -2.0, 22.0], (-INF, 1), "central"),
    "line": ([1, 1.0, 3, 5.5, 20.0], (-INF, INF), "raw"),
    "line central": ([1, 1.0, 2.0, 0.5, 10.0], (-INF, INF), "central"),
    "line standardized": ([1, 1.0, 2.0, 0.2, 2.7], (-INF, INF), "standardized"),
    "normal": ([1, 3.0, 0.25], (-INF, INF), "central"),
    "die": ([1, 4.5, 21.8], maxent.Discrete(range(1, 7)), "raw"),
    "die standardized": ([1, 3.4, 2.0, 0.1], maxent.Discrete([1, 2, 3, 5, 8]), "standardized"),
}


def solved(name):
    moments, support, kind = CASES[name]
    return maxent.solve(moments, support=support, kind=kind)


def difference(moments, support, kind, i, h, value):
    """Central difference of value(density) by moment i."""
    up, down = np.array(moments, float), np.array(moments, float)
    up[i] += h
    down[i] -= h
    above, below = (maxent.solve(m, support=support, kind=kind) for m in (up, down))
    return (value(above) - value(below)) / (up[i] - down[i])


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_solving_again(name):
    moments, support, kind = CASES[name]
    density = solved(name)
    slope = density.moments_sensitivity(kind)
    x = density.ppf(U)
    methods = {"logpdf": x, "pdf": x, "cdf": x, "ppf": U}
    if isinstance(support, maxent.Discrete):
        del methods["ppf"]
    for i in range(1, len(moments)):
        h = 2e-5 * max(0.3, abs(moments[i]))
        for method, at in methods.items():
            fresh = difference(
                moments, support, kind, i, h, lambda d, m=method, a=at: getattr(d, m)(a)
            )
            ours = getattr(slope, method)(at)[:, i - 1]
            np.testing.assert_allclose(ours, fresh, rtol=1e-4, atol=1e-5 * np.abs(ours).max())
        fresh = difference(moments, support, kind, i, h, maxent.Density.entropy)
        assert slope.entropy()[i - 1] == pytest.approx(fresh, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_coefficients_move_by_the_inverse_covariance(name):
    density = solved(name)
    H = covariance(density)
    k = density.degree
    np.testing.assert_allclose(
        density.moments_sensitivity().coefficients() @ H, np.eye(k), atol=1e-9
    )


def covariance(density):
    """Cov(φ_i, φ_j), i, j = 1 … k, by `expect`."""

    def phi(j):
        return lambda x: density.basis.evaluate((x - density.loc) / density.scale, j)[..., j]

    k = density.degree
    mean = [density.expect(phi(j)) for j in range(k + 1)]
    return np.array(
        [
            [
                density.expect(lambda x, i=i, j=j: (phi(i)(x) - mean[i]) * (phi(j)(x) - mean[j]))
                for j in range(1, k + 1)
            ]
            for i in range(1, k + 1)
        ]
    )


@pytest.mark.parametrize("name", ["interval", "half line, odd", "line"])
def test_coefficients_in_a_frame_that_stays_where_it_is(name):
    """The frame of the half line and the line is made of the moments; dc/dm holds it fixed."""
    density = solved(name)
    m = np.array([[density.expect(lambda x, j=j: phi_of(density, x, j)) for j in range(7)]])
    m = m[:, : density.degree + 1].copy()
    slope = density.moments_sensitivity().coefficients()
    h = 1e-6
    for i in range(1, m.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = m.copy()
            moved[0, i] += sign * h
            start = density.coefficients[None].copy()
            zero = np.zeros(1)
            problem = MomentProblem(
                density.domain, moved, zero, zero, zero, np.ones(1, bool), (1,), density.basis
            )
            ends.append(dual.minimise(problem, start).coefficients[0, 1:])
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * h), slope[:, i - 1], rtol=1e-5)


def phi_of(density, x, j):
    return density.basis.evaluate((x - density.loc) / density.scale, j)[..., j]


def test_a_satellite_far_out_moves_as_it_should():
    """Skewness 0.2, kurtosis 4 on the line: 7e-7 of the mass sits near 34 standard deviations."""
    moments = [1.0, 0.0, 1.0, 0.2, 4.0]
    density = maxent.solve(moments, support=(-INF, INF), kind="standardized")
    slope = density.moments_sensitivity("standardized")
    x = np.array([-3.0, -1.0, 0.0, 2.0, 4.0, 33.0, 34.0, 35.0])
    h = 1e-5
    for i in (3, 4):
        for method in ("logpdf", "cdf"):
            fresh = difference(
                moments,
                (-INF, INF),
                "standardized",
                i,
                h,
                lambda d, m=method: getattr(d, "logpdf" if m == "logpdf" else "sf")(x),
            )
            ours = getattr(slope, method)(x)[:, i - 1] * (1 if method == "logpdf" else -1)
            np.testing.assert_allclose(ours, fresh, rtol=1e-4, atol=1e-12)


def test_spikes_are_resolved():
    """Three spikes of width 1e-3: the orthonormal polynomials there are far beyond P in float64."""
    rng = np.random.default_rng(3)
    x = (np.array([-0.4, 0.1, 0.7])[:, None] + 1e-3 * rng.standard_normal((3, 2000))).ravel()
    density = maxent.fit(x, 8, support=(-1, 1))
    bars = density.standard_error(samples=x.size)
    at = density.ppf(np.linspace(0.02, 0.98, 40))
    F = density.cdf(at)
    counted = np.sqrt(F * (1 - F) / x.size)
    assert (bars.cdf(at) <= counted * (1 + 1e-9)).all()
    # each of the k orthonormal polynomials has mean square 1
    mean = density.expect(lambda v: (bars.logpdf(v) ** 2) * x.size)
    assert mean == pytest.approx(8, rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_cdf_is_never_less_certain_than_by_counting(name):
    density = solved(name)
    x = density.ppf(np.linspace(0.001, 0.999, 101))
    F = density.cdf(x)
    bars = density.standard_error(samples=50)
    assert (bars.cdf(x) <= np.sqrt(F * (1 - F) / 50) * (1 + 1e-9)).all()
    assert bars.entropy() >= 0


def test_covariance_errors_and_samples_agree():
    density = solved("interval")
    k, n = density.degree, 400
    x = np.linspace(-0.9, 0.9, 7)
    by_samples = density.standard_error(samples=n)
    by_covariance = density.standard_error(covariance=covariance(density) / n)
    for method, at in (("pdf", x), ("cdf", x), ("ppf", U)):
        np.testing.assert_allclose(
            getattr(by_covariance, method)(at), getattr(by_samples, method)(at), rtol=1e-8
        )
    assert by_covariance.entropy() == pytest.approx(by_samples.entropy(), rel=1e-8)
    e = np.arange(1, k + 1) * 1e-4
    one = density.standard_error(errors=e, kind="raw").ppf(U)
    other = density.standard_error(covariance=np.diag(e**2), kind="raw").ppf(U)
    np.testing.assert_allclose(one, other, rtol=1e-8)
    slope = density.moments_sensitivity("raw").ppf(U)
    np.testing.assert_allclose(one, np.sqrt(((slope * e) ** 2).sum(axis=1)), rtol=1e-8)


def test_a_normal_has_the_error_bars_of_the_textbook():
    """Mean and variance of n samples: se(x_u) = σ sqrt((1 + z²/2)/n), z the standard quantile."""
    n, sd = 100, 0.5
    density = solved("normal")
    z = (density.ppf(U) - 3.0) / sd
    bars = density.standard_error(samples=n)
    np.testing.assert_allclose(bars.ppf(U), sd * np.sqrt((1 + z**2 / 2) / n), rtol=1e-9)
    thin = np.array([1e-14, 1e-6, 0.3, 0.999999])
    np.testing.assert_allclose(bars.isf(thin), bars.ppf(thin), rtol=1e-7)  # by symmetry
    assert bars.entropy() == pytest.approx(np.sqrt(0.5 / n), rel=1e-9)


@pytest.mark.parametrize(
    "name", ["interval", "half line", "half line downward", "line", "line central"]
)
def test_intervals_of_95_percent_cover(name):
    """200 fits of 10,000 draws: the truth lies within 1.96 standard errors as often as promised."""
    truth = solved(name)
    repetitions, n = 200, 10_000
    data = truth.rvs((n, repetitions), random_state=1)
    fitted = maxent.fit(data, truth.degree, support=truth.support(), axis=0)
    bars = fitted.standard_error()
    u = np.array([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    x = truth.ppf(u)
    for method, at in (("pdf", x), ("cdf", x), ("ppf", u)):
        exact = getattr(truth, method)(at)[:, None]
        error = np.abs(getattr(fitted, method)(at[:, None]) - exact)
        covered = (error <= 1.96 * getattr(bars, method)(at[:, None])).mean(axis=1)
        assert ((covered >= 0.90) & (covered <= 0.99)).all(), (method, covered)


def test_weighted_samples_count_by_their_effective_number():
    truth = solved("interval")
    repetitions, n = 200, 4000
    rng = np.random.default_rng(5)
    weights = rng.exponential(size=n)
    data = truth.rvs((n, repetitions), random_state=rng)
    fitted = maxent.fit(data, truth.degree, support=(-1, 1), axis=0, weights=weights)
    u = np.array([0.05, 0.5, 0.95])
    spread = fitted.ppf(u[:, None]).std(axis=1)
    said = fitted.standard_error().ppf(u[:, None]).mean(axis=1)
    np.testing.assert_allclose(said, spread, rtol=0.15)


@pytest.mark.parametrize("problem", [p for p in SOLVABLE if p.ppf], ids=str)
def test_rounding_stays_within_its_bounds(problem):
    """Quantiles known to 20 digits, from moments that are exact only before they are rounded."""
    support = problem.support if len(problem.support) == 2 else maxent.Discrete(problem.support)
    density = maxent.solve(problem.moments, support=support, kind=problem.kind)
    u = np.array([float(v) for v, _ in problem.ppf])
    exact = np.array([float(x) for _, x in problem.ppf])
    bound = density.rounding_error().ppf(u)
    ours = density.ppf(u)
    # of the inversion, and of x = loc + scale·t
    own = 4 * np.spacing(abs(density.loc) + abs(density.scale)) + 2.0**-51 / density.pdf(ours)
    assert (np.abs(ours - exact) <= 2 * bound + own).all()
    assert np.isfinite(bound).all()


def test_a_batch_is_its_columns():
    moments = np.array([[[1, 0.1, -0.2], [1, 0.2, -0.3]], [[1, 0, 0.1], [1, -0.3, 0.2]]])
    density = maxent.solve(moments, support=(0, 2), kind="chebyshev")
    slope, bars = density.moments_sensitivity("raw"), density.standard_error(samples=[[9, 16]] * 2)
    x, u = np.linspace(0, 2, 5)[:, None, None], np.array([0.2, 0.9])[:, None, None]
    assert slope.coefficients().shape == (2, 2, 2, 2)
    assert slope.entropy().shape == (2, 2, 2)
    assert slope.cdf(x).shape == (5, 2, 2, 2)
    assert bars.pdf(x).shape == (5, 2, 2)
    assert bars.entropy().shape == (2, 2)
    for i in range(2):
        for j in range(2):
            one = density[i, j]
            single, few = one.moments_sensitivity("raw"), one.standard_error(samples=[9, 16][j])
            np.testing.assert_array_equal(slope.coefficients()[i, j], single.coefficients())
            np.testing.assert_array_equal(slope.ppf(u)[:, i, j], single.ppf(u.ravel()))
            np.testing.assert_array_equal(slope.entropy()[i, j], single.entropy())
            np.testing.assert_array_equal(bars.pdf(x)[:, i, j], few.pdf(x.ravel()))


def test_supports_of_their_own_and_columns_without_an_answer():
    support = maxent.Interval([0.0, 10.0, 0.0], [1.0, 12.0, 1.0])
    moments = [[1, 0.2, 0.1], [1, 0.2, 0.1], [1, 0.2, 5.0]]
    density = maxent.solve(moments, support=support, kind="chebyshev", throw=False)
    bars = density.standard_error(samples=100)
    first, second, none = bars.ppf(np.full(3, 0.3))
    assert second == pytest.approx(2 * first)
    assert np.isnan(none)
    assert np.isnan(density.moments_sensitivity().coefficients()[2]).all()
    assert np.isnan(density.rounding_error().pdf([0.5, 11.0, 0.5])).tolist() == [False, False, True]


def test_edges_and_scalars():
    density = solved("half line")
    slope, bars = density.moments_sensitivity(), density.standard_error(samples=10)
    assert bars.pdf(-1.0) == 0.0
    assert np.isnan(bars.logpdf(-1.0))
    assert bars.cdf(-1.0) == 0.0
    assert bars.cdf(INF) == pytest.approx(0.0, abs=1e-12)
    assert bars.ppf(0.0) == 0.0
    assert np.isnan(bars.ppf(1.0))
    assert np.isnan(bars.ppf(1e-19))
    assert np.isnan(bars.ppf([-1.0, 2.0, np.nan])).all()
    assert np.isnan(bars.pdf(np.nan))
    assert np.ndim(bars.pdf(1.0)) == 0
    assert slope.pdf(1.0).shape == (2,)
    assert bars.ppf(np.empty((0, 3))).shape == (0, 3)
    tail = np.array([1e-3, 1e-8, 1e-15])
    linear = bars.ppf(tail) / tail  # p is finite at the end: se(x) is proportional to x there
    np.testing.assert_allclose(linear[1:], linear[1], rtol=1e-6)


def test_both_tails_are_right_relatively():
    """The normal's derivative by its mean is -p, far out where F itself is 1e-15."""
    density = maxent.solve([1, 0, 1], support=(-INF, INF))
    x = np.array([-8.0, -6.0, 6.0, 8.0])
    slope = density.moments_sensitivity("central").cdf(x)[:, 0]
    np.testing.assert_allclose(slope, -density.pdf(x), rtol=1e-9)


def test_fit_knows_its_error_bars():
    x = np.random.default_rng(2).beta(2, 5, (500, 3))
    weights = np.linspace(0, 1, 500)
    density = maxent.fit(x, 4, support=(0, 1), axis=0, weights=weights)
    effective = weights.sum() ** 2 / (weights**2).sum()
    by_hand = density.standard_error(samples=effective).ppf(0.5)
    np.testing.assert_allclose(density.standard_error().ppf(0.5), by_hand, rtol=1e-12)
    same = pickle.loads(pickle.dumps(density[1]))
    assert same.standard_error().ppf(0.5) == pytest.approx(by_hand[1])


def test_what_cannot_be_said_is_refused():
    density, die = solved("interval"), solved("die")
    with pytest.raises(ValueError, match="say how the moments are uncertain"):
        density.standard_error()
    with pytest.raises(ValueError, match="in one way"):
        density.standard_error(samples=3, errors=np.ones(6))
    with pytest.raises(ValueError, match="did you leave m0 in"):
        density.standard_error(errors=np.ones(7))
    with pytest.raises(ValueError, match="samples must be a number above 0, not -2"):
        density.standard_error(samples=-2)
    with pytest.raises(ValueError, match="errors must be >= 0, not -1"):
        density.standard_error(errors=-np.ones(6))
    with pytest.raises(ValueError, match="finite"):
        density.standard_error(errors=np.full(6, np.nan))
    with pytest.raises(ValueError, match="negative eigenvalue -1"):
        density.standard_error(covariance=-np.eye(6))
    with pytest.raises(ValueError, match="kind must be one of"):
        density.moments_sensitivity("cumulants")
    with pytest.raises(ValueError, match="need an interval"):
        solved("line").moments_sensitivity("chebyshev")
    with pytest.raises(ValueError, match="quantiles of Discrete support jump"):
        die.standard_error(samples=9).ppf(0.5)


@pytest.mark.slow
def test_of_a_thousand_intervals_from_ten_thousand_samples_95_percent_cover():
    rng = np.random.default_rng(0)
    truth = maxent.solve([1, 0, 0.2, 0.03, 0.09], support=(-1, 1))
    x, u = (
        np.array([-0.8, -0.4, 0.0, 0.4, 0.8]),
        np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]),
    )
    pdf, ppf = [], []
    for _ in range(10):
        fitted = maxent.fit(truth.sample((10_000, 100), rng=rng), 4, support=(-1, 1))
        bars = fitted.standard_error()
        error = fitted.pdf(x[:, None]) - truth.pdf(x)[:, None]
        pdf.append(np.abs(error) <= 1.96 * bars.pdf(x[:, None]))
        error = fitted.ppf(u[:, None]) - truth.ppf(u)[:, None]
        ppf.append(np.abs(error) <= 1.96 * bars.ppf(u[:, None]))
    for covered in (np.concatenate(pdf, axis=1), np.concatenate(ppf, axis=1)):
        share = covered.mean(axis=1)
        assert ((share >= 0.93) & (share <= 0.97)).all(), share
