"""solve, fit and check: batches, bad columns, bad input."""

import subprocess
import sys

import numpy as np
import pytest

import maxent
from maxent import SolveError, Status

RNG = np.random.default_rng(20261122)


@pytest.fixture(scope="module")
def table():
    """1,000 columns of many shapes and units."""
    x = RNG.normal(size=(400, 1000))
    x[:, 200:400] = np.exp(x[:, 200:400])
    x[:, 400:600] **= 3
    x[:, 600:800] = np.where(RNG.random((400, 200)) < 0.3, x[:, 600:800] / 5 - 2, x[:, 600:800])
    return x * 10.0 ** RNG.uniform(-6, 6, 1000) + 10.0 ** RNG.uniform(-3, 6, 1000)


def test_a_batch_equals_the_loop_of_singles(table):
    batch = maxent.fit(table, axis=0)
    assert batch.batch_shape == (1000,) and len(batch) == 1000
    assert (batch.certificate.status == Status.SOLVED).all()
    u = np.array([0.01, 0.3, 0.5, 0.99])
    for j in range(1000):
        single = maxent.fit(table[:, j])
        np.testing.assert_allclose(
            batch[j].coefficients, single.coefficients, rtol=1e-12, atol=1e-12
        )
        np.testing.assert_allclose(batch[j].ppf(u), single.ppf(u), rtol=1e-12)
        assert batch[j].support() == single.support()
        assert batch[j].certificate.status is Status.SOLVED


def test_methods_of_a_batch_broadcast():
    part = maxent.fit(RNG.gamma(3.0, size=(200, 5)))
    u = np.array([[0.1], [0.5], [0.9]])
    q = part.ppf(u)
    assert q.shape == (3, 5)
    np.testing.assert_array_equal(q[:, 2], part[2].ppf([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(part.cdf(q), np.broadcast_to(u, (3, 5)), rtol=1e-12)
    assert part.mean().shape == part.entropy().shape == (5,)
    assert part.pdf(q[0]).shape == (5,)
    assert part.rvs(7, random_state=1).shape == (7, 5)
    assert part[1:3].batch_shape == (2,) and part[[0, 4]].ppf(0.5).shape == (2,)
    assert [d.median() for d in part] == part.median().tolist()
    with pytest.raises(ValueError):
        part.pdf(np.zeros(4))


def test_axes_and_dtypes(table):
    x = table[:50, :6]
    reference = maxent.fit(x, 4).coefficients
    np.testing.assert_allclose(maxent.fit(x.T, 4, axis=1).coefficients, reference, atol=1e-10)
    np.testing.assert_allclose(
        maxent.fit(x.reshape(50, 2, 3), 4).coefficients.reshape(6, 5), reference, atol=1e-10
    )
    whole = RNG.integers(-50, 50, 200)
    for dtype in (np.int8, np.int64, np.float32, np.float64):
        density = maxent.fit(whole.astype(dtype), 4)
        assert density.mean() == pytest.approx(whole.mean(), abs=1e-12)
    assert maxent.fit(list(map(float, whole)), 4) == maxent.fit(whole.astype(float)[::1], 4)
    strided = np.repeat(whole, 2)[::2]
    assert maxent.fit(strided, 4) == maxent.fit(whole, 4)


def test_moments_of_the_data(table):
    x = table[:, 3]
    density = maxent.fit(x, 5)
    for n in range(1, 6):
        assert density.moment(n) == pytest.approx(np.mean(x**n), rel=1e-11)
    weights = RNG.random(400)
    weighted = maxent.fit(x, 4, weights=weights)
    for n in range(1, 5):
        assert weighted.moment(n) == pytest.approx(np.average(x**n, weights=weights), rel=1e-11)
    assert weighted.moment(1) != pytest.approx(np.mean(x), rel=1e-6)


def test_a_large_offset_costs_only_the_digits_of_the_data():
    x = RNG.normal(size=100_000)
    near = maxent.fit(np.round(x * 2**20) / 2**20, 6)
    far = maxent.fit(np.round(x * 2**20) / 2**20 + 1e9, 6)
    u = np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(far.ppf(u) - 1e9, near.ppf(u), atol=1e-6)
    assert far.std() == pytest.approx(near.std(), rel=1e-9)


def test_bad_columns_do_not_spoil_the_others(table):
    x = table[:, :6].copy()
    clean = maxent.fit(x)
    x[3, 1] = np.nan
    x[:, 2] = 7.0
    x[:, 4] = np.where(x[:, 4] > np.median(x[:, 4]), 1.0, -1.0)
    x[0, 5] = np.inf
    density = maxent.fit(x, throw=False)
    assert [s.name for s in density.certificate.status] == [
        "SOLVED", "NOT_FINITE", "ATOMIC", "SOLVED", "ATOMIC", "NOT_FINITE"
    ]  # fmt: skip
    for j in (0, 3):
        np.testing.assert_array_equal(density[j].coefficients, clean[j].coefficients)
    for j in (1, 2, 4, 5):
        assert np.isnan(density[j].pdf(0.0)) and np.isnan(density[j].median())
        assert density[j].certificate.message
    assert "NaN" in density.certificate.message[1] and "infinite" in density.certificate.message[5]
    points, weights = density.certificate.atoms[2]
    assert points == pytest.approx([7.0]) and weights == pytest.approx([1.0])
    points, weights = density.certificate.atoms[4]
    assert points == pytest.approx([-1.0, 1.0], abs=1e-9) and weights == pytest.approx([0.5, 0.5])
    with pytest.raises(SolveError, match=r"column 1 .*column 2 .*column 4 .*column 5") as caught:
        maxent.fit(x)
    assert caught.value.statuses[2] is Status.ATOMIC
    with pytest.raises(ValueError, match=r"column 1 .*1 of 400 values are NaN"):
        maxent.fit(x[:, :2])


def test_nan_can_be_left_out():
    x = RNG.normal(size=300)
    holes = np.insert(x, [5, 200, 300], np.nan)
    masked = np.ma.masked_array(np.append(x, 1e30), mask=[False] * 300 + [True])
    want = maxent.fit(x)
    for data in (holes, masked):  # in another order of summation
        got = maxent.fit(data, nan_policy="omit")
        assert got.support() == want.support() and got.samples == want.samples == 300
        np.testing.assert_allclose(got.coefficients, want.coefficients, rtol=1e-12, atol=1e-12)


def test_a_batch_of_moments():
    m = np.array([[[1, 0.4, 0.2], [1, 0.5, 0.3]], [[1, 0.5, 0.2], [1, 0.6, np.nan]]])
    density = maxent.solve(m, support=(0, 1), throw=False)
    assert density.batch_shape == (2, 2)
    assert [s.name for s in density.certificate.status.ravel()] == [
        "SOLVED", "SOLVED", "INFEASIBLE", "NOT_FINITE"
    ]  # fmt: skip
    assert density.mean()[0].tolist() == pytest.approx([0.4, 0.5])
    assert np.isnan(density.mean()[1]).all()
    with pytest.raises(SolveError, match=r"column \(1, 0\) INFEASIBLE.*column \(1, 1\) NOT_FINITE"):
        maxent.solve(m, support=(0, 1))


def test_kinds_of_moments_agree():
    x = RNG.gamma(3.0, size=5000)
    raw = [np.mean(x**j) for j in range(5)]
    mean, sd = np.mean(x), np.std(x)
    central = [1, mean, *(np.mean((x - mean) ** j) for j in range(2, 5))]
    standardized = [1, mean, sd**2, *(np.mean(((x - mean) / sd) ** j) for j in (3, 4))]
    for support in ((0.0, 40.0), (0.0, np.inf)):
        answers = [
            maxent.solve(m, support=support, kind=kind).ppf([0.1, 0.5, 0.9])
            for m, kind in ((raw, "raw"), (central, "central"), (standardized, "standardized"))
        ]
        np.testing.assert_allclose(answers[1], answers[0], rtol=1e-8)
        np.testing.assert_allclose(answers[2], answers[0], rtol=1e-8)
    t = np.polynomial.chebyshev.chebvander(x / 20 - 1, 4).mean(axis=0)
    chebyshev = maxent.solve(t, support=(0, 40), kind="chebyshev")
    np.testing.assert_allclose(
        chebyshev.ppf([0.1, 0.5, 0.9]),
        maxent.solve(raw, support=(0.0, 40.0)).ppf([0.1, 0.5, 0.9]), rtol=1e-8,
    )  # fmt: skip


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda: maxent.solve([0.5, 0.2], support=(0, 1)), ValueError, "leave out m0"),
        (lambda: maxent.solve([1], support=(0, 1)), ValueError, "at least one moment|or more"),
        (lambda: maxent.solve(3, support=(0, 1)), ValueError, "shape"),
        (lambda: maxent.solve([1, 2j], support=(0, 1)), TypeError, "complex"),
        (lambda: maxent.solve("10", support=(0, 1)), TypeError, "str"),
        (lambda: maxent.solve([1, 0.5], support=(0, 1), kind="cumulant"), ValueError, "cumulant"),
        (
            lambda: maxent.solve([1, 0.5], support=(0, np.inf), kind="chebyshev"),
            ValueError, "Chebyshev",
        ),
        (lambda: maxent.fit([]), ValueError, "empty"),
        (lambda: maxent.fit(3.0), ValueError, "single number"),
        (lambda: maxent.fit([1, 2, 5.0], support=(0, 4)), ValueError, "5 lies outside"),
        (lambda: maxent.fit([1, 2, 3.0], degree=0), ValueError, "degree"),
        (lambda: maxent.fit([1, 2, 3.0], degree=2.5), TypeError, "degree"),
        (lambda: maxent.fit([1, 2, 3.0], weights=[1, 1]), ValueError, "weights"),
        (lambda: maxent.fit([1, 2, 3.0], weights=[1, -1, 1]), ValueError, "-1"),
        (lambda: maxent.fit([1, 2, 3.0], nan_policy="drop"), ValueError, "drop"),
        (lambda: maxent.fit([1, 2, np.nan]), ValueError, "NaN"),
        (lambda: maxent.fit([[1, 2], [3]]), ValueError, "regular"),
        (lambda: maxent.fit(["a", "b"]), TypeError, "numbers"),
        (lambda: maxent.fit([1, 2, 4.5], support=maxent.Discrete([1, 2, 3])), ValueError, "4.5"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_check():
    assert maxent.check([1, 0.5, 0.3], support=(0, 1)).status is Status.SOLVED
    report = maxent.check([1, 0.5, 0.2], support=(0, 1))
    assert not report and report.status is Status.INFEASIBLE and "(x − 0.5)²" in report.message
    atoms = maxent.check([1, 0.5, 0.25], support=(0, 1))
    assert atoms and atoms.status is Status.ATOMIC
    batch = maxent.check([[1, 0.5], [1, 1.5]], support=(0, 1))
    assert batch.feasible.tolist() == [True, False] and not batch


def test_import_is_lean():
    """Neither torch, matplotlib, pandas nor scipy.stats comes along."""
    code = "import maxent, sys; print([m for m in %r if m in sys.modules])"
    heavy = ["torch", "matplotlib", "pandas", "pyarrow", "scipy.stats"]
    done = subprocess.run(
        [sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_fit_remembers_how_many_samples_there_were():
    x = RNG.normal(size=(300, 2))
    x[:100, 1] = np.nan
    assert maxent.fit(x, 4, nan_policy="omit").samples.tolist() == [300, 200]
    weights = np.r_[np.ones(100), np.full(200, 0.5)]
    assert maxent.fit(x[:, 0], 4, weights=weights).samples == pytest.approx(200**2 / 150)
    assert maxent.solve([1, 0.5], support=(0, 1)).samples is None
