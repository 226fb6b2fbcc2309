"""The certain path: narrow spikes, satellites, layers and moments at the edge of existence.

Answers are judged by composite Gauss-Legendre on panels that shrink geometrically towards every
spike and both ends, from nothing but (R, y); the solver's panels and sums are not used.
"""

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre

import maxent
from benchmarks.families import draw
from benchmarks.judge import judge
from maxent import solver
from maxent._kernels.descent import CONVERGED
from maxent._kernels.window import BOUNDED
from maxent.basis import CHEBYSHEV
from maxent.certificate import certify
from maxent.dual import best_attempt, minimise_hard
from maxent.problem import MomentProblem
from maxent.quadrature import panel_rule
from tests.problems import SOLVABLE

STEPS = 80
# Beyond which no attempt begins but the path of moments, which may take as many again and 500; one
# that has begun may end its line search.
MOST_EVALUATIONS = 2 * (250 + 40) + 500
FEW, MANY = 12, 24


def solve(m, limit=STEPS):
    """(R, y, codes, info, peaks) for m (columns, k+1)."""
    columns, k = m.shape[0], m.shape[1] - 1
    R, y = np.zeros((columns, 3, k)), np.zeros((columns, k + 1))
    codes, info = np.zeros(columns, np.int64), np.zeros((columns, 7))
    peaks, number = np.zeros((columns, 24)), np.zeros(columns, np.int64)
    rec, starts, rule = CHEBYSHEV.recurrences(k, 1)[0], np.zeros((1, k + 1)), panel_rule(k)
    for i in range(columns):
        codes[i], number[i] = best_attempt(
            m[i], rec, BOUNDED, starts, rule, limit, R[i], y[i], info[i], peaks[i]
        )
    return R, y, codes, info, [row[:n] for row, n in zip(peaks, number, strict=True)]


def log_density(R, y, t):
    before, now, total = np.zeros_like(t), np.ones_like(t), np.full_like(t, y[0])
    for j in range(len(y) - 1):
        before, now = now, (R[0, j] * t + R[1, j]) * now - R[2, j] * before
        # degrees without a part may be infinite where they are not wanted
        total = total + (y[j + 1] * now if y[j + 1] else 0.0)
    return total


def judged(R, y, peaks):
    """Chebyshev moments of exp(sum y phi), mass first, (k+1,), and how far two rules differ."""
    k = len(y) - 1
    shrink = 2.0 * 2.0 ** -np.arange(0.0, 30.0, 0.5)
    centres = np.concatenate([peaks, [-1.0, 1.0]])
    cuts = [centres, (centres[:, None] + shrink).ravel(), (centres[:, None] - shrink).ravel()]
    cuts.append(np.linspace(-1, 1, 400))
    cuts = np.unique(np.clip(np.concatenate(cuts), -1, 1))
    half, middle = np.diff(cuts) / 2, (cuts[1:] + cuts[:-1]) / 2
    answers = []
    for n in (FEW, MANY):
        x, w = legendre.leggauss(n)
        t = middle[:, None] + half[:, None] * x
        p = np.exp(log_density(R, y, t)) * w * half[:, None]
        answers.append(np.tensordot(p, chebyshev.chebvander(t, k), 2))
    return answers[1], np.max(np.abs(answers[1] - answers[0]))


def spikes(number, width, k, seed):
    """Moments of a mixture of normals of that width, cut at 12 widths or the ends of [-1, 1]."""
    rng = np.random.default_rng(seed)
    centres, shares = np.sort(rng.uniform(-0.9, 0.9, number)), rng.dirichlet(np.full(number, 3.0))
    x, w = legendre.leggauss(60)
    m = np.zeros(k + 1)
    for centre, share in zip(centres, shares, strict=True):
        lo, hi = max(-1.0, centre - 12 * width), min(1.0, centre + 12 * width)
        t = (lo + hi) / 2 + (hi - lo) / 2 * x
        p = np.exp(-0.5 * ((t - centre) / width) ** 2) * w
        m += share * (chebyshev.chebvander(t, k).T @ (p / p.sum()))
    return m


def check(m, most_steps, most_evaluations):
    R, y, codes, info, peaks = solve(m)
    assert np.all(codes == CONVERGED), (np.flatnonzero(codes != CONVERGED), info[:, 4])
    for i in range(len(m)):
        moments, doubt = judged(R[i], y[i], peaks[i])
        assert doubt < 2e-11
        np.testing.assert_allclose(moments, m[i], rtol=0, atol=1.2e-10)
        assert info[i, 4] <= 1e-10
    assert np.median(info[:, 0]) <= most_steps
    assert np.median(info[:, 1]) <= most_evaluations
    assert np.max(info[:, 1]) <= MOST_EVALUATIONS
    return R, y, info, peaks


@pytest.mark.parametrize("k", [4, 8, 12])
@pytest.mark.parametrize("width", [0.1, 0.01, 0.001])
def test_spikes(k, width):
    m = np.array([spikes(n, width, k, 50 * s + n) for n in (1, 2, 3) for s in range(5)])
    check(m, 12, 40)


def test_one_spike_is_found_at_once():
    m = np.array([spikes(1, 0.001, 8, s) for s in range(10)])
    _, _, info, peaks = check(m, 2, 10)
    assert np.max(info[:, 0]) <= 4
    for s, at in enumerate(peaks):
        centre = np.random.default_rng(s).uniform(-0.9, 0.9, 1)
        assert np.min(np.abs(at - centre)) < 1e-3


@pytest.mark.parametrize("k", [4, 9, 16])
def test_arcsine(k):
    m = np.zeros((1, k + 1))
    m[0, 0] = 1.0
    check(m, 20, 40)


@pytest.mark.parametrize("background", [1e-2, 1e-3])
@pytest.mark.parametrize("k", [6, 8])
def test_atoms_over_a_uniform_background(background, k):
    """Four atoms, blurred by nothing: the answer's lumps are what the background makes of them."""
    j = np.arange(k + 1)
    uniform = np.where(j % 2, 0.0, 1.0 / (1.0 - j**2 + (j == 1)))
    columns = []
    for s in range(5):
        rng = np.random.default_rng(s)
        atoms, shares = rng.uniform(-0.95, 0.95, 4), rng.dirichlet(np.full(4, 3.0))
        m = chebyshev.chebvander(atoms, k).T @ shares
        columns.append((1 - background) * m + background * uniform)
    check(np.array(columns), 20, 60)


@pytest.mark.parametrize("rate", [1.0, 100.0, 1e4])
def test_a_truncated_exponential_is_its_own_answer(rate):
    """Counted are five of about that rate: by the last bits, one takes 25 or 250 evaluations."""
    k = 6
    rates = rate * np.linspace(0.9, 1.1, 5)
    cuts = np.concatenate([[0.0], np.geomspace(1e-6, 2.0, 80)])
    x, w = legendre.leggauss(40)
    m = np.zeros((len(rates), k + 1))
    for lo, hi in pairwise(cuts):
        u = (lo + hi) / 2 + (hi - lo) / 2 * x
        phi = chebyshev.chebvander(u - 1.0, k)
        for row, r in zip(m, rates, strict=True):
            row += phi.T @ (np.exp(-r * u) * w * (hi - lo) / 2)
    R, y, _, _ = check(m / m[:, :1], 30, 120)
    u = np.array([0.1, 1.0, 3.0]) / rate if rate > 2 else np.array([0.1, 1.0, 1.9])
    truth = np.log(rate / -np.expm1(-2 * rate)) - rate * u
    # what rounding of the moments leaves of the density: the layer is 1 / rate wide
    tolerance = 1e-6 if rate < 1e3 else 0.01
    np.testing.assert_allclose(log_density(R[2], y[2], u - 1.0), truth, rtol=0, atol=tolerance)


@pytest.mark.parametrize("k", [8, 9, 11, 13])
def test_samples_of_heavy_tails_on_their_own_range(k):
    """The largest of 100,000 values is hundreds of times the mean: a layer and satellites.

    How many evaluations one of them takes hangs by the last bits: the median is of fourteen. (Of
    the next, rounding leaves nothing at k = 13: it is refused.)
    """
    moments = []
    for seed in range(14):
        x = np.random.default_rng(seed).lognormal(0, 1.5, 100_000)
        t = ((x - x.min()) - (x.max() - x)) / np.ptp(x)
        moments.append(chebyshev.chebvander(t, k).mean(axis=0))
    check(np.array(moments), 60, 220)
    density = maxent.fit(x, k)
    assert density.certificate.status is maxent.Status.SOLVED
    assert density.mean() == pytest.approx(x.mean(), rel=1e-9)


def test_polynomials_are_orthonormal_under_the_answer():
    m = spikes(3, 0.05, 6, 1)[None]
    R, y, _, _ = check(m, 20, 60)
    x, w = legendre.leggauss(2000)
    before, now, rows = np.zeros_like(x), np.ones_like(x), [np.ones_like(x)]
    for j in range(6):
        before, now = now, (R[0, 0, j] * x + R[0, 1, j]) * now - R[0, 2, j] * before
        rows.append(now)
    gram = (np.array(rows) * w * np.exp(log_density(R[0], y[0], x))) @ np.array(rows).T
    np.testing.assert_allclose(gram, np.eye(7), atol=1e-8)


def test_moments_infeasible_by_rounding_end_in_bounds_without_nan():
    """Atoms alone, and moments that no density has: no answer, but an end, and finite numbers."""
    k = 8
    atoms = chebyshev.chebvander(np.array([-0.5, 0.2, 0.7]), k).T @ np.array([0.3, 0.3, 0.4])
    wrong = atoms + 1e-15 * np.resize([1, -1], k + 1)
    wrong[0] = 1.0
    edge = np.ones(k + 1)
    R, y, codes, info, _ = solve(np.array([atoms, wrong, edge]))
    assert np.all(np.isfinite(R)) and np.all(np.isfinite(y))
    assert not np.any(np.isnan(info))
    assert np.max(info[:, 1]) <= MOST_EVALUATIONS
    for i in range(3):
        assert codes[i] != CONVERGED or info[i, 4] <= 1e-10


def test_a_column_does_not_depend_on_its_company():
    """Nothing of one column's work is left for the next: models with many points were."""
    m = np.array([spikes(3, 0.001, 12, s) for s in range(6)])
    together = maxent.solve(m, support=(-1, 1), kind="chebyshev", throw=False)
    for i in range(len(m)):
        alone = maxent.solve(m[i], support=(-1, 1), kind="chebyshev", throw=False)
        np.testing.assert_array_equal(together.coefficients[i], alone.coefficients)


def test_two_spikes_do_not_share_their_polynomials():
    """Densities of one degree in polynomials of their own, one after the other."""
    places = np.array([0.3, -0.5, 0.0])
    moments = np.stack([np.ones(3), places, 2 * (places**2 + 1e-6) - 1], axis=1)
    alone = [maxent.solve(m, support=(-1, 1), kind="chebyshev") for m in moments]
    batch = maxent.solve(moments, support=(-1, 1), kind="chebyshev")
    assert sum(bool(density._own) for density in alone) >= 2
    for density, place in zip([*alone, *batch], [*places, *places], strict=True):
        assert density.ppf(0.5) == pytest.approx(place, abs=1e-12)
        assert density.cdf(place) == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(("number", "k", "seed"), [(3, 15, 6), (4, 15, 6), (2, 13, 6)])
def test_the_certificate_measures_where_the_polynomials_are_loud(number, k, seed):
    """Layers of 1e-14 of the mass at the ends, where the terms of log p reach 1e6 and cancel: their
    rounding is no excuse for what lies beside them. The mass seemed 1e-10 off.
    """
    m = spikes(number, 0.03, k, seed)
    certificate = maxent.solve(m, support=(-1, 1), kind="chebyshev", throw=False).certificate
    assert certificate.status is maxent.Status.SOLVED
    assert certificate.mass_error < 1e-12


def drawn_spikes(number):
    return draw("pure-spikes", (2028, 3, number))


@pytest.mark.parametrize("number", [210, 968, 972, 1350])
def test_the_path_of_moments_arrives_after_many_small_steps(number):
    """Two lumps and nothing between them: the other attempts come nowhere near. Whether 972 is
    solved hangs by the last bits, which differ between loops just compiled and loops kept on disk.
    """
    case = drawn_spikes(number)
    density = maxent.solve(case.moments, support=case.support, kind=case.kind, throw=number != 972)
    if density.certificate.status is not maxent.Status.SOLVED:
        assert density.certificate.status is maxent.Status.ILL_CONDITIONED
        return
    verdict = judge(density.logpdf, case.support, np.array(case.moments), case.kind)
    assert max(verdict.worst, verdict.uncertainty) < 1e-10


@pytest.mark.parametrize("number", [149, 203])
def test_a_layer_narrower_than_float64_is_said_to_be_one(number):
    """The moments are met, but at an end the density falls within two spacings of float64."""
    case = drawn_spikes(number)
    density = maxent.solve(case.moments, support=case.support, kind=case.kind, throw=False)
    assert density.certificate.status is maxent.Status.ILL_CONDITIONED
    assert density.certificate.moment_error < 1e-10


@pytest.mark.parametrize("number", [167, 205])
def test_moments_are_met_closer_than_the_worst_rounding_of_all_could_move_them(number):
    """What the floors of all degrees leave alone, one by one, is moments off by 4e-12 and more."""
    case = drawn_spikes(number)
    m = MomentProblem.from_moments(case.moments, case.support, case.kind).moments
    R, y, codes, info, peaks = solve(m)
    assert codes[0] == CONVERGED
    assert info[0, 3] > 1e-5, "the floor is far above rounding"
    assert info[0, 1] <= 15
    moments, _ = judged(R[0], y[0], peaks[0])
    np.testing.assert_allclose(moments, m[0], rtol=0, atol=2e-13)


def exact_decrement(m, R, y):
    """How far exp(sum y_j phi_j) is from the density of the moments m, taken as exact: Newton's
    decrement, the standard deviation of what is to be added to log p, in 60 digits.
    """
    k = len(m) - 1
    panels, at = [], [(-1.0, 1.0)]
    x = np.cos(np.pi * (np.arange(25) + 0.5) / 25)
    peak = log_density(R, y, np.linspace(-1, 1, 4001)).max()
    while at:  # halves, until log p changes by no more than 5 or is 90 below its peak
        lo, hi = at.pop()
        q = log_density(R, y, (lo + hi) / 2 + (hi - lo) / 2 * x)
        peak = max(peak, q.max())
        if np.ptp(q) <= 5.0:
            panels.append((lo, hi))
        elif q.max() + np.ptp(q) / 4 > peak - 90.0:
            at += [(lo, (lo + hi) / 2), ((lo + hi) / 2, hi)]
    exact = np.frompyfunc(mp.mpf, 1, 1)
    with mp.workdps(60):
        nodes, weights = gauss_legendre_exactly(40)
        lo, hi = exact(np.array(panels).T)
        half = (hi - lo)[:, None] / 2
        t = ((hi + lo)[:, None] / 2 + half * nodes).ravel()
        q = log_density(exact(R), exact(y), t)
        p = (half * weights).ravel() * np.frompyfunc(mp.exp, 1, 1)(q - q.max())
        T = [t**0, t]
        for _ in range(2, 2 * k + 1):
            T.append(2 * t * T[-1] - T[-2])
        mean = [p @ row / p.sum() for row in T]
        degrees = range(1, k + 1)
        g = mp.matrix([mean[j] - mp.mpf(m[j]) for j in degrees])
        H = mp.matrix(
            [
                [(mean[i + j] + mean[abs(i - j)]) / 2 - mean[i] * mean[j] for j in degrees]
                for i in degrees
            ]
        )
        return float(mp.sqrt((g.T * mp.lu_solve(H, g))[0]))


def gauss_legendre_exactly(n):
    nodes = []
    for x in legendre.leggauss(n)[0]:
        x = mp.mpf(x)
        for _ in range(4):
            before, p = mp.mpf(1), x
            for j in range(2, n + 1):
                before, p = p, ((2 * j - 1) * x * p - (j - 1) * before) / j
            slope = n * (x * p - before) / (x * x - 1)
            x -= p / slope
        nodes.append((x, 2 / ((1 - x * x) * slope**2)))
    return np.array(nodes).T


@pytest.mark.parametrize("name", ["spikes 205", "spikes 654", "truncated-exponential10000/k3"])
def test_the_answer_is_that_of_the_moments_to_the_last_place(name):
    """Their rounding leaves two to five digits of it, and would be an excuse to stop earlier: 2e-5
    away from it, at the exponential. Plain Newton finds other lumps, with masses that no moment
    shows, and digits enough of those.
    """
    kind, _, number = name.partition(" ")
    case = (
        drawn_spikes(int(number))
        if kind == "spikes"
        else next(problem for problem in SOLVABLE if problem.name == name)
    )
    problem = MomentProblem.from_moments(case.moments, case.support, case.kind)
    m = problem.moments[0]
    plain, certain = solver._minimise_plainly(problem), minimise_hard(problem)
    far = [exact_decrement(m, found.series[0], found.coefficients[0]) for found in (plain, certain)]
    assert far[1] < 1e-11 < 1e-7 < far[0]
    density = maxent.solve(case.moments, support=case.support, kind=case.kind)
    assert density.certificate.digits < 5
    np.testing.assert_array_equal(density.coefficients, certain.named[0])


def test_of_two_answers_that_are_not_sure_the_one_with_more_digits_counts():
    """Of eleven degrees, rounding leaves four to the certain path."""
    case = drawn_spikes(231)
    problem = MomentProblem.from_moments(case.moments, case.support, case.kind)
    certain = minimise_hard(problem)
    assert certain.used[0] < problem.degree
    plain, hard = (certify(problem, m)[4][0] for m in (solver._minimise_plainly(problem), certain))
    minimum, verdict = solver._minimise_on_interval(problem)
    assert verdict[4][0] == plain > hard
    assert not minimum.own[0]


@pytest.mark.parametrize("number", [983, 1189, 1219])
def test_where_degrees_are_lost_in_rounding_the_status_says_so(number):
    case = drawn_spikes(number)
    density = maxent.solve(case.moments, support=case.support, kind=case.kind, throw=False)
    assert density.certificate.status is maxent.Status.ILL_CONDITIONED
