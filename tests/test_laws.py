"""What must hold for every answer, whatever the moments: symmetries, sensitivity, agreement of the
methods.

Examples are drawn anew with `pytest --hypothesis-profile=wide`.
"""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
from hypothesis import assume, given
from hypothesis import strategies as st

import maxent
from benchmarks.independent import HALF, INTERVAL, LINE, REAL, moments_of, newton
from maxent import Status

NODE, WEIGHT = np.polynomial.legendre.leggauss(200)
LINE_SUPPORT, HALF_SUPPORT = (-np.inf, np.inf), (0.0, np.inf)
U = np.array([1e-6, 0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999, 1 - 1e-6])


# ---------------------------------------- problems, drawn as the moments of a known answer
@st.composite
def bounded(draw, degrees=(1, 12), size=12.0):
    """Chebyshev moments of a random exp-polynomial: (moments, its coefficients)."""
    k = draw(st.integers(*degrees))
    seed = draw(st.integers(0, 2**32 - 1))
    scale = draw(st.floats(0.05, size))
    c = np.random.default_rng(seed).standard_normal(k) * scale / np.sqrt(np.arange(1, k + 1))
    truth = moments_of(INTERVAL, c.astype(REAL))
    return truth.moments.astype(float), c


@st.composite
def half(draw, degrees=(1, 5)):
    k = draw(st.integers(*degrees))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    c = rng.normal(0, 1, k) / [math.factorial(j) for j in range(1, k + 1)]
    c[-1] = -abs(c[-1]) - 0.05 / math.factorial(k)
    m = moments_of(HALF, c.astype(REAL)).moments.astype(float)
    if k > 1:  # a lump far from the end is badly described by raw moments about it
        assume(m[2] > 1.1 * m[1] ** 2)
    return m, c


@st.composite
def line(draw, degrees=(2, 4, 6)):
    k = draw(st.sampled_from(degrees))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    c = rng.normal(0, 0.7, k) / [math.sqrt(math.factorial(j)) for j in range(1, k + 1)]
    c[-1] = -rng.uniform(0.02, 0.6)
    truth = moments_of(LINE, c.astype(REAL))
    return truth.moments.astype(float), c


def affine(m, shift, scale):
    """Raw moments of shift + scale x, in longdouble."""
    m = np.asarray(m, dtype=REAL)
    shift, scale = REAL(shift), REAL(scale)
    return np.array(
        [
            float(sum(math.comb(j, i) * shift ** (j - i) * scale**i * m[i] for i in range(j + 1)))
            for j in range(len(m))
        ]
    )


def solve(m, support, kind="raw"):
    return maxent.solve(np.asarray(m, dtype=float), support=support, kind=kind)


def slopes(density):
    """c_1..c_k: the coefficients of log p without the constant."""
    c = np.asarray(density.coefficients, dtype=float)
    assert c.ndim == 1
    return c[1:]


def spread(density):
    low, high = density.ppf(np.array([0.01, 0.99]))
    return high - low


# ---------------------------------------- the coordinate does not matter
scales = st.floats(-6, 6).map(lambda e: 10.0**e)
shifts = st.floats(-1e6, 1e6)


@given(bounded(), shifts, scales)
def test_interval_is_affine(problem, shift, scale):
    """Chebyshev moments live in the reference coordinate: the same density, moved."""
    m, _ = problem
    lo, hi = shift - scale, shift + scale
    assume(hi - lo > 1e-3 * scale and abs((lo + hi) / 2 - shift) < 1e-9 * scale)
    one, two = solve(m, (-1.0, 1.0), "chebyshev"), solve(m, (lo, hi), "chebyshev")
    loc, half_width = (lo + hi) / 2, (hi - lo) / 2
    rounding = 4e-16 * (1 + abs(shift) / scale)
    x = one.ppf(U)
    slope = np.max(np.abs(np.gradient(one.logpdf(x), x))) if len(m) > 1 else 0
    np.testing.assert_allclose(
        two.ppf(U), loc + half_width * x, atol=(1e-9 + rounding) * scale, rtol=4e-16
    )
    np.testing.assert_allclose(
        two.pdf(loc + half_width * x) * half_width,
        one.pdf(x),
        rtol=1e-8 + 30 * rounding * (1 + slope),
    )
    assert abs(two.entropy() - one.entropy() - math.log(half_width)) < 1e-9


@given(line(), shifts, scales)
def test_line_is_affine(problem, shift, scale):
    """Central moments: shift by any amount without loss."""
    m, _ = problem
    central = affine(m, -m[1], 1.0)
    moved = central * scale ** np.arange(len(m))
    central[1], moved[1] = 0.0, shift
    one, two = solve(central, LINE_SUPPORT, "central"), solve(moved, LINE_SUPPORT, "central")
    x = one.ppf(U)
    slack = 1e-7 * scale * spread(one) + 4e-16 * abs(shift)
    np.testing.assert_allclose(two.ppf(U), shift + scale * x, atol=slack)
    assert abs(two.entropy() - one.entropy() - math.log(scale)) < 1e-8


@given(half(), st.floats(-4, 4), scales)
def test_half_line_is_affine(problem, shift, scale):
    m, _ = problem
    one = solve(m, HALF_SUPPORT)
    two = solve(affine(m, 0.0, scale), HALF_SUPPORT)
    x = one.ppf(U)
    np.testing.assert_allclose(two.ppf(U), scale * x, atol=1e-8 * scale * spread(one))
    assert abs(two.entropy() - one.entropy() - math.log(scale)) < 1e-8
    if len(m) <= 4:  # raw moments about another origin lose digits with the degree
        three = solve(affine(m, shift, 1.0), (shift, np.inf))
        np.testing.assert_allclose(three.ppf(U), shift + x, atol=1e-6 * spread(one))


@given(bounded())
def test_interval_reflects(problem):
    """To the bounds for rounding that the answers themselves state."""
    m, _ = problem
    signs = (-1.0) ** np.arange(len(m))
    one, two = solve(m, (-1.0, 1.0), "chebyshev"), solve(m * signs, (-1.0, 1.0), "chebyshev")
    x = np.linspace(-1, 1, 41)
    bound, mirrored = one.rounding_error(), two.rounding_error()
    for found, wanted, slack in (
        (two.pdf(-x), one.pdf(x), bound.pdf(x) + mirrored.pdf(-x)),
        (two.sf(-x), one.cdf(x), bound.cdf(x) + mirrored.sf(-x)),
        (-two.isf(U), one.ppf(U), bound.ppf(U) + mirrored.isf(U)),
    ):
        assert np.all(np.abs(found - wanted) <= slack + 1e-12 * (1 + np.abs(wanted)))


@given(line())
def test_line_reflects(problem):
    m, _ = problem
    one = solve(m, LINE_SUPPORT)
    two = solve(m * (-1.0) ** np.arange(len(m)), LINE_SUPPORT)
    np.testing.assert_allclose(two.isf(U), -one.ppf(U), atol=1e-7 * spread(one))


@given(half())
def test_half_line_reflects(problem):
    m, _ = problem
    one = solve(m, HALF_SUPPORT)
    two = solve(m * (-1.0) ** np.arange(len(m)), (-np.inf, 0.0))
    np.testing.assert_allclose(two.isf(U), -one.ppf(U), atol=1e-7 * spread(one))


# ---------------------------------------- the known answer comes back
# 100 panels of 20 nodes on [-1, 1]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
FINE = (np.arange(-99, 100, 2)[:, None] + NODES).ravel() / 100
FINE_WEIGHTS = np.tile(WEIGHTS, 100) / 100


@given(bounded())
def test_exp_polynomial_is_its_own_answer(problem):
    """Judged against an independent solution of the rounded moments, by the bound for rounding that
    the answer states: for half a unit in the last place, and what its moments are off by as well,
    which is not more than it says.
    """
    m, c = problem
    density = solve(m, (-1.0, 1.0), "chebyshev")
    exact = moments_of(INTERVAL, c.astype(REAL))
    try:
        rounded = newton(INTERVAL, m.astype(REAL), exact.c)
    except ArithmeticError:
        assume(False)
    off = density.certificate.moment_error
    p = np.exp(density.logpdf(FINE)) * FINE_WEIGHTS
    its = p @ np.polynomial.chebyshev.chebvander(FINE, len(c))
    rounding = 2.0**-51 * (1.0 + np.abs(density.coefficients).sum())  # of the exponent
    assert np.abs(its / its[0] - m).max() <= off + rounding
    x = np.linspace(-1, 1, 101).astype(REAL)
    log_p = rounded.logpdf(x)
    likely = log_p > log_p.max() - 20
    found = density.logpdf(x.astype(float))
    bound = (1.0 + off / 2.0**-53) * density.rounding_error().logpdf(x.astype(float))
    assert np.all(np.abs(found - log_p)[likely] <= 1e-11 + bound[likely])
    assert abs(float(density.entropy()) - exact.entropy) < 1e-9


@given(bounded(degrees=(1, 10), size=5.0))
def test_one_more_moment_of_the_same_density_changes_nothing(problem):
    _m, c = problem
    more = moments_of(INTERVAL, c.astype(REAL), len(c) + 1).moments.astype(float)
    density = solve(more, (-1.0, 1.0), "chebyshev")
    found = slopes(density)
    allowed = 1e-14 * density.certificate.condition + 1e-10
    assert abs(found[-1]) < allowed * (1 + np.abs(found).max())


@given(bounded(degrees=(2, 12)))
def test_entropy_never_rises_with_the_degree(problem):
    """Up to the bounds for rounding; a degree may be refused where rounding hides a direction: the
    least eigenvalue of the covariance, from moments up to 2k of the density that they come from.
    """
    m, c = problem
    before, slack = math.log(2), 1e-12
    for k in range(1, len(m)):
        density = maxent.solve(m[: k + 1], support=(-1.0, 1.0), kind="chebyshev", throw=False)
        if density.certificate.status is Status.ILL_CONDITIONED:
            many = moments_of(INTERVAL, c.astype(REAL), 2 * k).moments
            i = np.arange(1, k + 1)
            products = (many[i[:, None] + i] + many[abs(i[:, None] - i)]) / 2
            covariance = products - np.outer(many[i], many[i])
            assert np.linalg.eigvalsh(covariance.astype(float))[0] < 1e-15
            return
        h, rounding = float(density.entropy()), float(density.rounding_error().entropy())
        assert h <= before + slack + rounding
        before, slack = h, 1e-12 + rounding


@given(bounded(degrees=(1, 8), size=4.0))
def test_the_entropys_slope_is_minus_the_coefficients(problem):
    """dH/dm_j = -c_j, by central differences at two steps, extrapolated to none (Richardson), of
    entropies of densities that miss their moments by what the certificates say.
    """
    m, _ = problem
    base = solve(m, (-1.0, 1.0), "chebyshev")
    c = slopes(base)
    assert c.shape == (len(m) - 1,)
    step = 1e-5 / math.sqrt(max(1.0, float(base.certificate.condition)))

    def entropy(j, change):
        moved = m.copy()
        moved[j] += change
        density = solve(moved, (-1.0, 1.0), "chebyshev")
        return float(density.entropy()), float(density.certificate.moment_error)

    for j in range(1, len(m)):
        quotients, missed = [], 0.0
        for h in (step, step / 2):
            (high, above), (low, below) = entropy(j, h), entropy(j, -h)
            quotients.append((high - low) / (2 * h))
            missed = max(missed, above, below)
        slope = (4 * quotients[1] - quotients[0]) / 3
        noise = 1e-13 + np.abs(c).sum() * missed  # in an entropy
        assert abs(slope + c[j - 1]) < 1e-5 * (1 + np.abs(c).max()) + 2 * noise / step


@given(bounded(degrees=(1, 6), size=3.0))
def test_the_coefficients_slope_is_the_inverse_covariance(problem):
    """dc/dm = Cov(T)^-1, the covariance by an unrelated quadrature."""
    m, _ = problem
    k = len(m) - 1
    base = solve(m, (-1.0, 1.0), "chebyshev")
    p = WEIGHT * base.pdf(NODE)
    t = np.polynomial.chebyshev.chebvander(NODE, k)[:, 1:]
    cov = (t * p[:, None]).T @ t - np.outer(p @ t, p @ t)
    inverse = np.linalg.inv(cov)
    step = 1e-6 / max(1.0, np.abs(inverse).max())
    for j in range(k):
        up, down = m.copy(), m.copy()
        up[j + 1] += step
        down[j + 1] -= step
        ends = [slopes(solve(v, (-1.0, 1.0), "chebyshev")) for v in (up, down)]
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(slope, inverse[j], atol=3e-4 * np.abs(inverse).max())


# ---------------------------------------- the methods agree with each other
def problems():
    return st.one_of(
        bounded().map(lambda p: (p[0], (-1.0, 1.0), "chebyshev")),
        half().map(lambda p: (p[0], HALF_SUPPORT, "raw")),
        line().map(lambda p: (p[0], LINE_SUPPORT, "raw")),
    )


@given(problems(), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_cdf_and_ppf_undo_each_other(problem, u):
    density = solve(*problem)
    u = np.array(u)
    x = density.ppf(u)
    np.testing.assert_allclose(density.cdf(x), u, atol=1e-11)
    np.testing.assert_allclose(density.sf(density.isf(u)), u, atol=1e-11)
    x = density.ppf(U)
    np.testing.assert_allclose(density.ppf(density.cdf(x)), x, atol=1e-9 * spread(density))
    x = density.ppf(np.sort(u))
    assert np.all(x[1:] >= x[:-1])


@given(problems())
def test_cdf_and_sf_are_complements_and_monotone(problem):
    density = solve(*problem)
    low, high = density.ppf(np.array([1e-9, 1 - 1e-9]))
    x = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 301)
    cdf, sf = density.cdf(x), density.sf(x)
    np.testing.assert_allclose(cdf + sf, 1.0, atol=1e-12)
    assert np.all(np.diff(cdf) >= -3e-16) and np.all(np.diff(sf) <= 3e-16)
    assert np.all((cdf >= 0) & (cdf <= 1) & (sf >= 0) & (sf <= 1))
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(density.logcdf(x), np.log(cdf), atol=1e-9, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@given(problems())
def test_moments_by_another_quadrature(problem):
    """scipy's adaptive Gauss-Kronrod, with break points at the density's own quantiles."""
    m, support, kind = problem
    density = solve(m, support, kind)
    points = np.unique(
        density.ppf(np.concatenate([[1e-15, 1e-12, 1e-9], U, [1 - 1e-9, 1 - 1e-13]]))
    )
    lo, hi = support
    points = np.unique(np.concatenate([[v for v in (lo, hi) if np.isfinite(v)], points]))
    if not np.isfinite(lo):
        points = np.concatenate([[points[0] - 2 * (points[-1] - points[0])], points])
    if not np.isfinite(hi):
        points = np.concatenate([points, [points[-1] + 2 * (points[-1] - points[0])]])
    functions = [
        (lambda x, j=j: math.cos(j * math.acos(x)) if kind == "chebyshev" else x**j)
        for j in range(len(m))
    ]
    for j, function in enumerate(functions):
        total = sum(
            scipy.integrate.quad(
                lambda x, f=function: f(x) * float(density.pdf(x)),
                a,
                b,
                epsabs=1e-13,
                epsrel=1e-12,
                limit=200,
            )[0]
            for a, b in itertools.pairwise(points)
        )
        assert abs(total - m[j]) < 2e-9 * max(1.0, abs(m[j]), abs(m[len(m) - 1])), j


@given(problems())
def test_pdf_is_the_slope_of_the_cdf(problem):
    density = solve(*problem)
    x = density.ppf(np.array([0.05, 0.3, 0.6, 0.9]))
    step = 1e-5 * spread(density)
    slope = (density.cdf(x + step) - density.cdf(x - step)) / (2 * step)
    assert np.all(np.abs(slope - density.pdf(x)) < 1e-4 * np.max(density.pdf(x)) + 1e-10 / step)


# ---------------------------------------- batches and samples
@given(st.lists(bounded(degrees=(5, 5)), min_size=1, max_size=6))
def test_batch_is_the_loop(columns):
    m = np.array([p[0] for p in columns])
    batch = maxent.solve(m, support=(-1.0, 1.0), kind="chebyshev")
    assert batch.batch_shape == (len(columns),)
    for j, column in enumerate(m):
        one = solve(column, (-1.0, 1.0), "chebyshev")
        np.testing.assert_allclose(batch[j].pdf(0.3), one.pdf(0.3), rtol=1e-12)
        np.testing.assert_allclose(batch[j].ppf(U), one.ppf(U), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            np.asarray(batch.entropy())[j], one.entropy(), rtol=0, atol=1e-12
        )


@st.composite
def samples(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(30, 300))
    law = draw(st.sampled_from(("normal", "exponential", "uniform", "standard_t")))
    return rng.standard_t(4, n) if law == "standard_t" else getattr(rng, law)(size=n), rng


@given(samples(), st.integers(1, 8))
def test_the_order_of_the_sample_does_not_matter(drawn, degree):
    x, rng = drawn
    one, two = maxent.fit(x, degree), maxent.fit(rng.permutation(x), degree)
    np.testing.assert_allclose(one.ppf(U), two.ppf(U), rtol=0, atol=1e-9 * np.ptp(x))
    # dH = -c·dm, and log p = c·T: hard columns are off by some 1e-11 in their moments, and say so
    off = one.certificate.moment_error + two.certificate.moment_error
    allowed = 1e-10 + degree * off * np.ptp(one.logpdf(x))
    assert abs(one.entropy() - two.entropy()) < allowed


@given(samples(), st.integers(1, 8))
def test_weights_are_repetitions(drawn, degree):
    x, rng = drawn
    times = rng.integers(1, 5, len(x))
    one = maxent.fit(x, degree, weights=times)
    two = maxent.fit(np.repeat(x, times), degree)
    three = maxent.fit(x, degree, weights=times * 0.125)
    for other in (two, three):
        np.testing.assert_allclose(one.ppf(U), other.ppf(U), rtol=0, atol=1e-9 * np.ptp(x))
        assert abs(one.entropy() - other.entropy()) < 1e-10


@given(samples(), st.integers(1, 6))
def test_a_sample_of_weight_zero_does_not_count(drawn, degree):
    x, _ = drawn
    support = (float(x.min()) - 1, float(x.max()) + 1)
    weights = np.ones(len(x) + 1)
    weights[-1] = 0
    one = maxent.fit(x, degree, support=support)
    two = maxent.fit(np.append(x, support[1] - 0.5), degree, support=support, weights=weights)
    np.testing.assert_allclose(one.ppf(U), two.ppf(U), rtol=0, atol=1e-9 * np.ptp(x))


@given(samples(), st.floats(-5, 5).map(lambda e: 10.0**e), st.floats(-1e6, 1e6))
def test_fit_is_affine(drawn, scale, shift):
    x, _ = drawn
    y = shift + scale * x
    assume(np.ptp(y) > 1e-6 * np.max(np.abs(y)))
    one, two = maxent.fit(x, 5), maxent.fit(y, 5)
    digits = 1e-9 + 1e-13 * np.max(np.abs(y)) / np.ptp(y)
    np.testing.assert_allclose(
        (two.ppf(U) - shift) / scale, one.ppf(U), rtol=0, atol=digits * np.ptp(x)
    )


def test_a_thousand_columns_are_a_thousand_fits():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 1000)) + (rng.random((200, 1000)) < 0.3) * rng.uniform(0, 4, 1000)
    batch = maxent.fit(x, degree=6, axis=0)
    assert batch.batch_shape == (1000,)
    entropy = np.asarray(batch.entropy())
    for j in range(0, 1000, 53):
        one = maxent.fit(np.ascontiguousarray(x[:, j]), degree=6)
        np.testing.assert_allclose(batch[j].ppf(U), one.ppf(U), rtol=1e-12, atol=1e-12)
        assert abs(entropy[j] - float(one.entropy())) < 1e-12


def test_only_the_bad_columns_fail():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(200, 6))
    x[3, 1] = np.nan
    x[:, 2] = 7.0
    x[:, 4] = rng.choice([0.0, 1.0], 200)
    batch = maxent.fit(x, degree=4, axis=0, throw=False)
    statuses = np.asarray(batch.certificate.status, dtype=object).ravel()
    good = np.array([s is Status.SOLVED for s in statuses])
    np.testing.assert_array_equal(good, [True, False, False, True, False, True])
    assert statuses[2] is Status.ATOMIC and statuses[4] is Status.ATOMIC
    medians = np.asarray(batch.ppf(0.5))
    np.testing.assert_array_equal(np.isnan(medians).ravel(), ~good)
    with pytest.raises((maxent.SolveError, ValueError)) as caught:
        maxent.fit(x, degree=4, axis=0)
    text = str(caught.value)
    assert any(f"{j}" in text for j in (1, 2, 4)), text
