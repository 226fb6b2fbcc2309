"""The shortcut for ordinary columns: the certain path's answers, in counted steps, or none at all.

No timing here: what must not creep up are Newton steps and densities evaluated.
"""

import itertools
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.linalg import solve_toeplitz

import maxent
from benchmarks.hard import spikes
from maxent import Status, dual, solver
from maxent.certificate import BELIEVED, MOST_DIGITS, digits_left
from maxent.quadrature import gauss_legendre
from maxent.support import Interval
from tests.kernels import FromPython

fast, burg = FromPython("fast"), FromPython("burg")
UNIT = Interval(-1.0, 1.0)
COLUMNS = Path(__file__).parents[1] / "benchmarks" / "data" / "columns.json"
NODES, WEIGHTS = gauss_legendre(300)
DEGREES = (1, 2, 3, 4, 6, 8, 10, 14, 20, 32)


def mixtures(columns, k, seed, narrowest=0.12):
    """Chebyshev moments (columns, k+1) of mixtures of three normals cut off at ±1."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(3), columns)[:, :, None]
    mean = rng.uniform(-0.8, 0.8, (columns, 3, 1))
    width = rng.uniform(narrowest, 0.5, (columns, 3, 1))
    p = (share / width * np.exp(-0.5 * ((NODES - mean) / width) ** 2)).sum(axis=1) * WEIGHTS
    moments = p @ chebyshev.chebvander(NODES, k) / p.sum(axis=1)[:, None]
    moments[:, 0] = 1.0
    return moments


def rounding(moments):
    error = 2.0**-53 * np.abs(moments)
    error[:, 0] = 0.0
    return error


def shortcut(moments, **options):
    return dual.shortcut(moments, rounding(moments), BELIEVED, **options)


def certain_only(monkeypatch):
    monkeypatch.setattr(solver, "_take_shortcut", lambda *_: None)


# ------------------------------------------------------------------ the pieces
def test_exponential():
    x = np.concatenate(
        [np.linspace(-699.0, 699.0, 100_001), np.linspace(-1.0, 1.0, 100_001), [0.0]]
    )
    out = np.empty_like(x)
    fast.exponential(x, out)
    np.testing.assert_allclose(out, np.exp(x), rtol=5e-16)
    assert out[-1] == 1.0
    far = np.array([-np.inf, -800.0, 800.0, np.inf, np.nan])
    out = np.empty_like(far)
    fast.exponential(far, out)
    np.testing.assert_allclose(out, np.exp([-700.0, -700.0, 700.0, 700.0, np.nan]), rtol=5e-16)


@pytest.mark.parametrize("k", (1, 4, 9))
def test_the_start_is_burgs_density(k):
    """By definition: the prediction polynomial from Toeplitz equations, logarithms by integrals."""
    m = mixtures(1, k, seed=k, narrowest=0.4)[0]
    A = np.concatenate([[1.0], -solve_toeplitz(m[:-1], m[1:])])
    error, n = m @ A, 4096
    theta = 2 * np.pi * (np.arange(n) + 0.5) / n
    log = np.log(error) - 2 * np.log(np.abs(np.exp(1j * np.outer(theta, np.arange(k + 1))) @ A))
    p = np.exp(log) / n
    for j in range(k + 1):  # the same moments
        assert abs(p @ np.cos(j * theta) - m[j]) < 1e-13
    expected = np.zeros(k + 1)
    for j in range(1, k + 1):
        sine = mp.quad(lambda x, j=j: mp.log(mp.sin(x)) * mp.cos(j * x), [0, mp.pi / 2, mp.pi])
        expected[j] = 2 * (log @ np.cos(j * theta)) / n - float(2 * sine / mp.pi)
        expected[j] *= 1 - (j / (k + 1)) ** 2
    c, A, g = np.empty((3, k + 1))
    burg.log_density(m, 1.0, A, g, c)
    assert np.abs(c).sum() < 9.0
    np.testing.assert_allclose(c, expected, atol=1e-12)
    some = np.empty(k + 1)
    burg.log_density(m, 0.25, A, g, some)
    np.testing.assert_allclose(some, 0.25 * c, rtol=1e-15)


def test_a_start_with_a_narrow_peak_is_a_part_of_the_way():
    k = 20
    c, A, g = np.empty((3, k + 1))
    places = 0.98 + 1e-2 * np.linspace(-1, 1, 101)
    m = np.cos(np.arange(k + 1)[:, None] * np.arccos(places)).mean(axis=1)
    burg.log_density(m, 1.0, A, g, c)
    assert abs(np.abs(c).sum() - 10.0) < 1e-12
    atom = np.cos(np.arange(k + 1) * 1.0)  # Levinson's recursion ends at once
    burg.log_density(atom, 1.0, A, g, c)
    assert np.isfinite(c).all() and np.abs(c).sum() <= 10.0 + 1e-12


@pytest.mark.parametrize("k", (1, 2, 3, 4, 5, 6, 7, 8, 20))
def test_means_are_those_of_a_far_finer_rule(k):
    """Rows are taken by pairs, and one alone; the means beyond k come from products."""
    c = np.append(0.0, np.resize([0.7, -1.1, 0.4, 0.3], k) / np.arange(1, k + 1))
    table, weights, *_ = dual._fixed_rule(k)
    out = np.empty(2 * k + 1)
    n = weights.size
    mass = fast.means(c, table, weights, np.empty(n), np.empty(n), out)
    p = np.exp(chebyshev.chebval(NODES, c)) * WEIGHTS
    assert abs(mass / p.sum() - 1) < 1e-15
    np.testing.assert_allclose(out, p @ chebyshev.chebvander(NODES, 2 * k) / p.sum(), atol=2e-15)


def test_the_factor_is_that_of_the_covariance():
    c = np.array([0.0, 0.7, -1.1, 0.4, 0.3])
    p = np.exp(chebyshev.chebval(NODES, c)) * WEIGHTS
    p /= p.sum()
    phi = chebyshev.chebvander(NODES, 8)
    mean = p @ phi
    covariance = (phi.T * p) @ phi - np.outer(mean, mean)
    m = np.array([1.0, 0.1, 0.2, -0.1, 0.3])
    U, P = np.zeros((4, 5)), np.empty((4, 4))
    assert fast.factorise(mean, m, U)
    fast.invert(U, P)
    upper = np.triu(U[:, :4])
    np.testing.assert_allclose(upper.T @ upper, covariance[1:5, 1:5], atol=1e-15)
    np.testing.assert_allclose(P @ covariance[1:5, 1:5] @ P.T, np.eye(4), atol=1e-13)
    np.testing.assert_allclose(U[:, 4], P @ (mean[1:5] - m[1:]), atol=1e-13)
    assert not fast.factorise(np.ones(9), m, U), "one atom has no covariance"


def exponents(k, size, seed):
    """Coefficients (20, k+1) whose size is `size`, and the integrals of p T_j, (20, k+1)."""
    rng = np.random.default_rng(seed)
    t, w = gauss_legendre(1200)
    phi = chebyshev.chebvander(t, k)
    c = rng.normal(size=(20, k + 1)) * size / (1 + np.arange(k + 1))
    c[:, 0] = 0.0
    q = c @ phi.T
    top = q.max(axis=1)
    c[:, 0] = -top - np.log(np.exp(q - top[:, None]) @ w)
    return c, (w * np.exp(c @ phi.T)) @ phi


@pytest.mark.parametrize("k", (2, 6, 12))
@pytest.mark.parametrize("size", (1.0, 10.0, 100.0, 1000.0))
def test_the_bound_is_a_bound(k, size):
    """Where the rule is said to be fine enough it is; and somewhere it is not said."""
    table, weights, growth, rest, cosines, *_ = dual._fixed_rule(k)
    values = np.empty(cosines.shape[1])
    said = 0
    for c, truth in zip(*exponents(k, size, k), strict=True):
        if fast.proved(c, growth, rest, cosines, values):
            said += 1
            found = (weights * np.exp(c @ table[: k + 1])) @ table[: k + 1].T
            np.testing.assert_allclose(found, truth, atol=1e-14 + 1e-15 * np.abs(c).sum())
    assert said == 20 if size == 1.0 else said < 20 or size == 10.0


def picked_by(c, slack=0.0):
    """(table, weights, panels) that the kernel picks for c, or None."""
    k = c.size - 1
    tree = dual._tree(k)
    picked = fast.room_for_panels(k)
    if not fast.choose(c, tree, picked, slack):
        return None
    assert fast.covered(c, tree, picked, slack)
    size = fast.width(picked, tree)
    table, weights = np.empty((2 * k + 1, size)), np.empty(size)
    fast.gather(picked, tree, table, weights)
    number = picked[0][0]
    return table, weights, [fast.place(p) for p in picked[0][1 : number + 1]], picked[2]


@pytest.mark.parametrize("k", (2, 6, 12))
@pytest.mark.parametrize("size", (1.0, 10.0, 100.0, 1000.0))
def test_panels_integrate_what_they_say(k, size):
    found = 0
    for c, truth in zip(*exponents(k, size, k), strict=True):
        picked = picked_by(c)
        if picked is None:
            continue
        found += 1
        table, weights, panels, _ = picked
        with np.errstate(under="ignore"):
            got = (weights * np.exp(c @ table[: k + 1])) @ table[: k + 1].T
        np.testing.assert_allclose(got, truth, atol=1e-14 + 1e-15 * np.abs(c).sum())
        # the panels, those left out too, are all of [-1, 1]
        ends = [(middle - half, middle + half) for middle, half, _ in panels]
        assert ends[0][0] == -1.0 and ends[-1][1] == 1.0
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    assert found >= 15


def test_panels_for_one_density_are_not_those_for_another():
    narrow = np.zeros(7)
    narrow[:3] = -2000.0, 0.0, -2000.0  # exp(-4000 t²)
    wide = np.zeros(7)
    k = 6
    tree, picked = dual._tree(k), fast.room_for_panels(k)
    assert fast.choose(wide, tree, picked, 0.0)
    assert fast.covered(wide, tree, picked, 0.0)
    assert not fast.covered(narrow, tree, picked, 0.0), "too coarse"
    assert fast.choose(narrow, tree, picked, 0.0)
    assert not fast.covered(wide, tree, picked, 0.0), "what was left out is not nothing"
    weights = picked_by(narrow)[1]
    assert weights.sum() < 0.5


def test_the_corrected_step_is_nearer():
    """From the uniform density to one far from it: log p at the nodes, off by how much?"""
    k = 6
    truth = np.array([0.0, 1.5, -1.0, 0.6, 0.0, 0.2, 0.1])
    table, weights, *_ = dual._fixed_rule(k)
    n = weights.size
    q, p, mean, aim = np.empty(n), np.empty(n), np.empty(2 * k + 1), np.empty(2 * k + 1)
    fast.means(truth, table, weights, q, p, aim)
    fast.means(np.zeros(k + 1), table, weights, q, p, mean)
    U, y = np.empty((k, k + 1)), np.empty(k + 1)
    assert fast.factorise(mean, aim[: k + 1], U)
    step, bent = np.zeros(k + 1), np.zeros(k + 1)
    fast.back(U, U[:, k].copy(), step)
    s = step[1:] @ (table[1 : k + 1] - mean[1 : k + 1, None])
    fast.correct(mean, table, p, U, s.copy(), y, bent)
    # by hand: the projection of the logarithm on the polynomials
    phi = table[1 : k + 1]
    above = np.maximum(s, -1.0)
    log = above * (6 + above) / (6 + 4 * above) + 4 * (s - above)
    centred = phi - mean[1 : k + 1, None]
    expected = np.linalg.solve((centred * weights) @ centred.T, (centred * weights) @ log)
    np.testing.assert_allclose(bent[1:], expected, atol=1e-12)
    size = np.abs(truth[1:] - step[1:]).max()
    assert np.abs(truth[1:] - bent[1:]).max() < 0.5 * size


def moments_of(c, k):
    p = np.exp(chebyshev.chebval(NODES, c)) * WEIGHTS
    return p @ chebyshev.chebvander(NODES, k) / p.sum()


@pytest.mark.parametrize("away", (1e-2, 1e-3, 1e-4))
@pytest.mark.parametrize("k", (1, 3, 6))
def test_what_a_corrected_step_leaves(k, away):
    """Bounded by what is summed; from the uniform density too, whose s² has no part in T_1."""
    rng = np.random.default_rng(k)
    table, weights, *_ = dual._fixed_rule(k)
    n = weights.size
    for start in (np.zeros(k + 1), 0.3 * rng.normal(size=k + 1), 2.0 * rng.normal(size=k + 1)):
        aim = moments_of(start + away * rng.normal(size=k + 1), k)
        q, p, mean, now = np.empty(n), np.empty(n), np.empty(2 * k + 1), np.empty(n)
        fast.means(start, table, weights, q, p, mean)
        U, P, y = np.empty((k, k + 1)), np.empty((k, k)), np.empty(k + 1)
        step, bent = np.zeros((2, k + 1))
        assert fast.factorise(mean, aim, U)
        fast.invert(U, P)
        fast.back(U, U[:, k].copy(), step)
        q[:] = step[1:] @ (table[1:] - mean[1 : k + 1, None])
        rise = fast.correct(mean, table, p, U, q, y, bent)
        bound = fast.left_over(bent, rise, table, p, q, now)
        left = np.linalg.norm(P @ (moments_of(start + bent, k) - aim)[1:])
        assert left < 1.1 * bound + 1e-14
        if bound > 1e-12:
            assert bound < 100.0 * left, "and not by far too much"
        before, after = (
            np.exp(chebyshev.chebval(NODES, c)) @ WEIGHTS
            for c in (start, start + bent + rise * (np.arange(k + 1) == 0))
        )
        assert abs(after / before - 1) < bound + 1e-14, "c_0 keeps the mass"


def lump_and_satellite(place):
    """Coefficients (7,) of a density: a wide lump, and a light one of width 0.03 at place."""
    x = np.concatenate([np.linspace(-0.95, -0.25, 30), place + 0.03 * np.linspace(-2, 2, 30)])
    low = -0.5 * ((x + 0.6) / 0.12) ** 2
    high = -8.0 - 0.5 * ((x - place) / 0.03) ** 2
    c = chebyshev.chebfit(x, np.where(x < 0, low, high), 6)
    c[0] -= np.log(WEIGHTS @ np.exp(chebyshev.chebval(NODES, c)))
    return c


@pytest.mark.parametrize("far", (0.0, 0.01, 0.15))
def test_a_satellite_is_carried_to_its_place(far):
    """Where it is to move by less than its width it is left to `correct`."""
    k = 6
    truth, c = lump_and_satellite(0.6), lump_and_satellite(0.6 + far)
    phi = chebyshev.chebvander(NODES, 2 * k)
    aim = (WEIGHTS * np.exp(chebyshev.chebval(NODES, truth))) @ phi[:, : k + 1]
    p = WEIGHTS * np.exp(chebyshev.chebval(NODES, c))
    table, mean = np.ascontiguousarray(phi[:, : k + 1].T), p @ phi
    right = NODES > 0.3

    def place(density):
        mass = WEIGHTS[right] @ density[right]
        return (WEIGHTS * NODES)[right] @ density[right] / mass, mass

    wanted, light = place(np.exp(chebyshev.chebval(NODES, truth)))
    before, _ = place(p / WEIGHTS)
    assert light < 1e-3
    assert abs(abs(before - wanted) - far) < 0.5 * far + 1e-9
    U, y = np.empty((k, k + 1)), np.empty(k + 1)
    assert fast.factorise(mean, aim, U)
    step, bent, carried = np.zeros((3, k + 1))
    fast.back(U, U[:, k].copy(), step)
    s = step[1:] @ (table[1 : k + 1] - mean[1 : k + 1, None])
    fast.correct(mean, table, p, U, s.copy(), y, bent)
    work = np.empty(NODES.size), np.empty(4 * k + 1), np.empty(2 * k + 1), np.empty(k + 1)
    moved = fast.carry(c, table, WEIGHTS, p.copy(), s.copy(), *work, U, y, carried)
    assert moved == (far > 0.1)
    if moved:
        asked = place(p * (1 + s) / WEIGHTS)
        for way, met in ((carried, True), (bent, False)):
            found = place(np.exp(chebyshev.chebval(NODES, c + way)))
            assert (abs(found[0] - asked[0]) < 0.01) == met
            assert (abs(np.log(found[1] / asked[1])) < 0.3) == met


# ------------------------------------------------------------------ the answers
@pytest.mark.parametrize("k", DEGREES)
def test_the_answer_is_the_certain_paths(k, monkeypatch):
    moments = mixtures(40, k, seed=k)
    quick = maxent.solve(moments, support=(-1, 1), kind="chebyshev")
    certain_only(monkeypatch)
    sure = maxent.solve(moments, support=(-1, 1), kind="chebyshev")
    x = np.linspace(-1, 1, 101)
    for j in range(len(moments)):
        allowed = 1e-12 + 10.0 ** (1.0 - min(quick.certificate.digits[j], MOST_DIGITS))
        log_p, other = quick[j].logpdf(x), sure[j].logpdf(x)
        weight = np.exp(other) / np.exp(other).sum()
        gap = np.sqrt(weight @ (log_p - other) ** 2)
        assert gap < allowed
        if sure.certificate.condition[j] < 1e6:
            np.testing.assert_allclose(log_p, other, atol=1e-10)
            one, two = quick.certificate, sure.certificate
            assert one.condition[j] == pytest.approx(two.condition[j], rel=1e-6)
            assert one.digits[j] > two.digits[j] - 1.5


@pytest.mark.parametrize("k", DEGREES)
def test_known_coefficients_come_back(k):
    rng = np.random.default_rng(k)
    c = rng.normal(size=(30, k + 1)) / np.sqrt(1 + np.arange(k + 1))
    phi = chebyshev.chebvander(NODES, k)
    p = np.exp(c @ phi.T) * WEIGHTS
    c[:, 0] -= np.log(p.sum(axis=1))
    moments = p @ phi / p.sum(axis=1)[:, None]
    moments[:, 0] = 1.0
    found = shortcut(moments)
    assert found.confirmed.all()
    condition = found.numbers[:, 5]
    error = np.abs(found.coefficients - c).max(axis=1)
    assert np.all(error < 1e-13 * np.sqrt(condition) + 1e-14 * condition)


def test_every_confirmed_answer_is_confirmed_by_the_certificates_own_measure():
    moments = np.concatenate([mixtures(60, 8, seed=5), mixtures(60, 8, seed=6, narrowest=0.01)])
    problem = maxent.problem.MomentProblem.from_moments(moments, UNIT, "chebyshev")
    found = dual.shortcut(problem.moments, problem.error, BELIEVED)
    assert found.confirmed.sum() > 60
    for c, m in zip(found.coefficients[found.confirmed], moments[found.confirmed], strict=True):
        t, w = gauss_legendre(2000)
        measured = (w * np.exp(chebyshev.chebval(t, c))) @ chebyshev.chebvander(t, 8)
        np.testing.assert_allclose(measured, m, atol=2e-13)


@pytest.mark.parametrize("width", (1e-2, 1e-3, 1e-4))
def test_what_a_fixed_rule_cannot_see_is_handed_on(width):
    """Two spikes between the nodes: no answer, rather than one that only the nodes confirm."""
    t, w = gauss_legendre(4000)
    p = np.exp(-0.5 * ((t - 0.2123) / width) ** 2) + np.exp(-0.5 * ((t + 0.5011) / width) ** 2)
    p *= w
    for k in (4, 6, 8, 12):
        m = (p @ chebyshev.chebvander(t, k) / p.sum())[None]
        m[:, 0] = 1.0
        codes, c, numbers = np.empty(1, np.int64), np.zeros_like(m), np.zeros((1, 7))
        dual._solve_columns(False, 50, BELIEVED, m, rounding(m), c, codes, numbers)
        assert codes[0] != fast.CONFIRMED
        found = shortcut(m)
        if found.confirmed[0]:  # panels may see them, and then the answer is right
            assert np.abs(found.coefficients).sum() < fast.LOUDEST
            answer = maxent.solve(m[0], support=(-1, 1), kind="chebyshev")
            measured = [answer.moment(j, kind="chebyshev") for j in range(k + 1)]
            np.testing.assert_allclose(measured, m[0], atol=1e-11)
        assert width > 1e-3 or not found.confirmed[0]


def test_no_steps_no_answer():
    moments = mixtures(20, 6, seed=1)
    found = shortcut(moments, limit=1)
    assert not found.confirmed.any()
    assert np.all(found.numbers[:, 0] <= 1 * 2)


def test_a_decrement_that_stands_still_is_given_up():
    found = shortcut(spikes((-0.4, 0.1, 0.7), 1e-2, 10)[None])
    assert not found.confirmed[0]
    assert found.numbers[0, 0] <= 35, "and not the fifty that are allowed"


def test_columns_that_are_nearly_atoms_are_not_tried(monkeypatch):
    tried = []

    def spy(moments, error, believed, **options):
        tried.append(len(moments))
        return ours(moments, error, believed, **options)

    ours = dual.shortcut
    monkeypatch.setattr(dual, "shortcut", spy)
    moments = np.stack([mixtures(1, 10, seed=0)[0], spikes((-0.4, 0.5), 1e-3, 10)])
    density = maxent.solve(moments, support=(-1, 1), kind="chebyshev")
    assert tried == [1]
    assert [s.name for s in density.certificate.status] == ["SOLVED", "SOLVED"]


# ------------------------------------------------------------------ the work
# k: (share confirmed, mean steps, mean evaluations, most steps) of 400 mixtures
WORK = {6: (1.0, 2.7, 3.8, 6), 10: (1.0, 2.4, 3.5, 9), 20: (0.995, 2.3, 3.3, 13)}


@pytest.mark.parametrize("k", WORK)
def test_steps_and_evaluations_do_not_creep_up(k):
    """Of loops kept on disk, as users have them: the last bits of loops just compiled differ, and
    with them the steps of the worst column.
    """
    share, steps, evaluations, most = WORK[k]
    moments = mixtures(400, k, seed=k)
    shortcut(moments)  # compiled and kept, if it was not
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        found = fresh.submit(shortcut, moments).result()
    numbers = found.numbers[found.confirmed]
    assert found.confirmed.mean() >= share
    assert numbers[:, 0].mean() <= steps
    assert numbers[:, 1].mean() <= evaluations
    assert numbers[:, 0].max() <= most


@pytest.mark.parametrize("k", (6, 10))
def test_real_columns_are_ordinary(k):
    """Layers at the ends, satellites and all; measured by a rule finer than any panel."""
    columns = json.loads(COLUMNS.read_text(encoding="utf-8"))
    moments = np.array([column["chebyshev"][: k + 1] for column in columns])
    found = shortcut(moments)
    assert found.confirmed.all()
    steps, evaluations = {6: (5.2, 7.3), 10: (6.6, 9.2)}[k]
    assert found.numbers[:, 0].mean() <= steps and found.numbers[:, 1].mean() <= evaluations
    assert found.numbers[:, 0].max() <= 14
    t, w = gauss_legendre(2000)
    for c, m in zip(found.coefficients, moments, strict=True):
        with np.errstate(under="ignore"):
            measured = (w * np.exp(chebyshev.chebval(t, c))) @ chebyshev.chebvander(t, k)
        np.testing.assert_allclose(measured, m, atol=1e-12)


@pytest.mark.parametrize("k", WORK)
def test_the_first_rule_is_enough_for_most(k):
    moments = mixtures(400, k, seed=k)
    codes = np.empty(400, np.int64)
    coefficients, numbers = np.zeros_like(moments), np.zeros((400, 7))
    arrays = moments, rounding(moments), coefficients, codes, numbers
    dual._solve_columns(False, 50, BELIEVED, *arrays)
    assert np.mean(codes == fast.CONFIRMED) > 0.75


# ------------------------------------------------------------------ batches
def batch_with_everything():
    moments = mixtures(700, 6, seed=9)
    moments[3, 4] = np.nan
    moments[100, 2] = -1.5  # infeasible
    moments[200] = chebyshev.chebvander([0.3], 6)[0]  # one atom
    t, w = gauss_legendre(4000)
    p = w * np.exp(-0.5 * ((t - 0.2) / 1e-3) ** 2)
    moments[300] = p @ chebyshev.chebvander(t, 6) / p.sum()
    moments[300, 0] = 1.0
    return moments


def solve_batch(moments):
    return maxent.solve(moments, support=(-1, 1), kind="chebyshev", throw=False)


def test_statuses_are_those_of_the_certain_path(monkeypatch):
    moments = batch_with_everything()
    quick = solve_batch(moments)
    certain_only(monkeypatch)
    sure = solve_batch(moments)
    assert list(quick.certificate.status) == list(sure.certificate.status)
    assert {s.name for s in quick.certificate.status} == {
        "SOLVED",
        "INFEASIBLE",
        "ATOMIC",
        "NOT_FINITE",
    }


def batch_of_supports(kind):
    """(raw moments (300, 5), support): feasible, infeasible and infinite ones in turn."""
    rng = np.random.default_rng(5)
    lower, width = rng.normal(size=300), rng.uniform(0.5, 3.0, 300)
    x = lower[:, None] + width[:, None] * rng.uniform(size=(300, 50)) ** 2
    moments = np.stack([(x**j).mean(axis=1) for j in range(5)], axis=1)
    moments[::7, 1] = lower[::7] - 1.0
    moments[::11, 3] = np.inf
    if kind == "intervals":
        return moments, maxent.Interval(lower, lower + width)
    return moments, (lower.min(), np.inf)


@pytest.mark.parametrize("kind", ["one interval", "intervals", "half line"])
def test_threads_change_nothing(kind, monkeypatch):
    if kind == "one interval":
        moments, options = batch_with_everything(), {"support": (-1, 1), "kind": "chebyshev"}
    else:
        moments, support = batch_of_supports(kind)
        options = {"support": support}
    one, two = [], []
    for threads, into in ((1, one), (2, two)):
        monkeypatch.setattr(solver.config, "NUMBA_NUM_THREADS", threads)
        batch = maxent.solve(moments, throw=False, **options)
        certificate = batch.certificate
        into += [batch.coefficients, certificate.digits, certificate.steps]
        into += [certificate.status, certificate.message]
    assert len(set(one[-1])) > 3
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_column_alone_is_the_column_in_a_batch():
    moments = batch_with_everything()
    batch = solve_batch(moments)
    for j in (0, 3, 100, 200, 300, 699):
        alone = solve_batch(moments[j])
        np.testing.assert_array_equal(alone.coefficients, batch.coefficients[j])
        one, other = alone.certificate, batch.certificate[j]
        assert (one.status, one.message, one.steps) == (other.status, other.message, other.steps)


def test_messages_are_written_when_asked_for(monkeypatch):
    told = []
    describe = solver._describe
    monkeypatch.setattr(solver, "_describe", lambda *a: told.append(a[-1]) or describe(*a))
    batch = solve_batch(batch_with_everything())
    assert told == []
    assert "cannot be negative" in batch.certificate[100].message
    assert told == [100]
    assert batch.certificate[0].message == Status.SOLVED.message
    copy = pickle.loads(pickle.dumps(batch.certificate))
    np.testing.assert_array_equal(copy.message, batch.certificate.message)
    assert copy.message.shape == batch.batch_shape


def test_digits_left():
    np.testing.assert_allclose(
        digits_left(np.array([0.0, 1e-20, 1e-7, 1.0, 10.0])), [MOST_DIGITS, MOST_DIGITS, 7, 0, 0]
    )
