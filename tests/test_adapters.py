"""scipy, scikit-learn and dask see the same density that we do."""

import os
import pickle
import signal
import time

import numpy as np
import pytest
import scipy
from scipy import integrate, stats

import maxent

LINE, HALF = (-np.inf, np.inf), (0.0, np.inf)


def gamma_sample(n=2000):
    return np.random.default_rng(0).gamma(3.0, size=n)


# ------------------------------------------------------------------------------------- scipy


@pytest.fixture(scope="module")
def density():
    return maxent.fit(gamma_sample(), 5)


def test_a_frozen_distribution_answers_as_the_density(density):
    frozen = density.to_scipy()
    x, u = np.linspace(-1, 12, 14), np.array([0.0, 1e-9, 0.3, 1.0])
    for ours, theirs, at in [
        ("pdf", "pdf", x),
        ("logpdf", "logpdf", x),
        ("cdf", "cdf", x),
        ("sf", "sf", x),
        ("ppf", "ppf", u),
        ("isf", "isf", u),
    ]:
        np.testing.assert_array_equal(getattr(frozen, theirs)(at), getattr(density, ours)(at))
    for name in ("mean", "var", "std", "median", "entropy", "support"):
        assert getattr(frozen, name)() == pytest.approx(getattr(density, name)(), rel=1e-14)
    skewness, excess = density.skewness(), density.kurtosis() - 3
    assert frozen.stats("sk") == pytest.approx((skewness, excess), rel=1e-12)
    assert frozen.moment(3) == pytest.approx(density.moment(3), rel=1e-12)
    assert frozen.expect(lambda v: v**2) == pytest.approx(density.moment(2), rel=1e-9)
    assert frozen.interval(0.9) == pytest.approx(density.interval(0.9), rel=1e-12)
    assert frozen.rvs(3, random_state=1).shape == (3,)
    moved = frozen.dist(loc=10.0, scale=2.0)
    assert moved.ppf(0.3) == pytest.approx(10 + 2 * density.ppf(0.3), rel=1e-14)


def test_frozen_distributions_work_where_scipy_takes_one(density):
    x = gamma_sample()
    frozen = density.to_scipy()
    ours = stats.kstest(x, density.cdf)
    assert stats.kstest(x, frozen.cdf) == ours
    assert ours.pvalue > 0.2
    assert stats.kstest(x + 0.3, frozen.cdf).pvalue < 1e-6
    again = pickle.loads(pickle.dumps(frozen))
    assert again.cdf(2.0) == frozen.cdf(2.0)
    known = {"loc": 0.0, "scale": 1.0}
    for shift, small in ((0.0, False), (1.0, True)):
        result = stats.goodness_of_fit(
            frozen.dist,
            x[:200] + shift,
            statistic="ks",
            known_params=known,
            n_mc_samples=99,
            rng=np.random.default_rng(0),
        )
        assert (result.pvalue < 0.05) == small
        distance = stats.kstest(x[:200] + shift, density.cdf).statistic
        assert result.statistic == pytest.approx(distance, rel=1e-12)


def test_a_transformed_density_is_frozen_in_x():
    x = np.exp(gamma_sample())
    density = maxent.Sketch.of(x, 4, transform="log").fit()
    frozen = density.to_scipy()
    assert frozen.ppf(0.4) == density.ppf(0.4)
    assert frozen.mean() == density.mean()
    refusal = ValueError if NEW else ImportError
    with pytest.raises(refusal, match="knows no Transform" if NEW else "needs scipy 1.16"):
        density.to_scipy(new=True)


NEW = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 16)
needs_new = pytest.mark.skipif(not NEW, reason="scipy < 1.16")


@needs_new
def test_the_new_kind_answers_as_the_density(density):
    new = density.to_scipy(new=True)
    x, u = np.linspace(0.5, 10, 14), np.array([1e-9, 0.3, 0.999])
    np.testing.assert_array_equal(new.pdf(x), density.pdf(x))
    np.testing.assert_array_equal(new.logccdf(x), density.logsf(x))
    np.testing.assert_array_equal(new.icdf(u), density.ppf(u))
    np.testing.assert_array_equal(new.iccdf(u), density.isf(u))
    assert new.pdf(-1.0) == 0
    assert new.support() == density.support()
    assert new.mean() == density.mean()
    assert new.variance() == pytest.approx(density.variance(), rel=1e-12)
    assert new.kurtosis() == pytest.approx(density.kurtosis(), rel=1e-10)
    assert new.entropy() == density.entropy()
    mass = integrate.quad(new.pdf, *new.support())[0]
    assert mass == pytest.approx(1.0, abs=1e-9)


@needs_new
@pytest.mark.parametrize("support, degree", [(None, 4), (LINE, 2), (HALF, 2), ((-np.inf, 30), 1)])
def test_the_new_kind_broadcasts_over_a_batch(support, degree):
    table = np.random.default_rng(1).gamma(9.0, size=(500, 3))
    batch = maxent.fit(table, degree, support=support)
    new = batch.to_scipy(new=True)
    x = np.array([[4.0], [9.0]])
    np.testing.assert_array_equal(new.cdf(x), batch.cdf(x))
    np.testing.assert_array_equal(new.icdf([0.1, 0.5, 0.9]), batch.ppf([0.1, 0.5, 0.9]))
    np.testing.assert_allclose(new.mean(), batch.mean(), rtol=1e-14)
    assert new.sample((2,), rng=0).shape == (2, 3)
    one = batch[0].to_scipy(new=True)
    assert type(one) is type(new)  # a class for each degree, not for each density


def test_what_scipy_cannot_hold_is_refused(density):
    batch = maxent.fit(np.random.default_rng(1).random((50, 2)), 2)
    with pytest.raises(ValueError, match=r"not a batch \(2,\)"):
        batch.to_scipy()
    die = maxent.solve([1, 4.5], support=maxent.Discrete(range(1, 7)))
    with pytest.raises(ValueError, match="Discrete"):
        die.to_scipy()
    nothing = maxent.fit([1.0, 1.0], 2, throw=False)
    with pytest.raises(ValueError, match=r"no density to hand over.*ATOMIC"):
        nothing.to_scipy()


# ------------------------------------------------------------------------------ scikit-learn


@pytest.fixture(scope="module")
def transformer():
    pytest.importorskip("sklearn")
    from maxent.adapters.sklearn import MaxEntTransformer

    return MaxEntTransformer


@pytest.mark.parametrize("output", ["uniform", "normal"])
def test_scikit_learns_own_checks_pass(transformer, output):
    from sklearn.utils.estimator_checks import check_estimator

    said = check_estimator(transformer(output_distribution=output), on_fail=None, on_skip=None)
    assert len(said) > 40
    failed = {c["check_name"]: c["exception"] for c in said if c["status"] == "failed"}
    assert not failed
    skipped = {c["check_name"] for c in said if c["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}


def test_columns_come_out_uniform_or_normal_and_go_back(transformer):
    rng = np.random.default_rng(0)
    X = np.stack([rng.gamma(3, size=3000), rng.normal(5, 2, 3000)], axis=1)
    for output, target in (("uniform", "uniform"), ("normal", "norm")):
        model = transformer(8, output_distribution=output).fit(X)
        Z = model.transform(X)
        for j in range(2):
            assert stats.kstest(Z[:, j], target).pvalue > 0.05
            assert stats.kstest(X[:, j], target).pvalue < 1e-6
        np.testing.assert_allclose(model.inverse_transform(Z), X, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(model.density_.coefficients, maxent.fit(X, 8).coefficients)


def test_the_edges_are_those_of_quantile_transformer(transformer):
    from sklearn.preprocessing import QuantileTransformer

    X = np.random.default_rng(0).random((1000, 1))
    far = np.array([[-5.0], [np.nan], [5.0]])
    for output in ("uniform", "normal"):
        theirs = QuantileTransformer(output_distribution=output, n_quantiles=100).fit(X)
        ours = transformer(output_distribution=output).fit(X)
        np.testing.assert_allclose(ours.transform(far), theirs.transform(far), rtol=1e-9)
        far_back = np.array([[-9.0], [np.nan], [9.0]])
        np.testing.assert_allclose(
            ours.inverse_transform(far_back), theirs.inverse_transform(far_back), rtol=1e-12
        )


def test_columns_that_have_no_density_get_the_next_best(transformer):
    rng = np.random.default_rng(0)
    X = np.stack([rng.random(300), np.full(300, 7.0), rng.integers(0, 3, 300)], axis=1)
    X[5, 0] = np.nan
    model = transformer(6).fit(X)
    assert model.degrees_[0] == 6
    assert model.degrees_[2] == 3
    Z = model.transform(X)
    assert np.isnan(Z[5, 0]) and np.isfinite(np.delete(Z, 5, axis=0)).all()
    assert np.ptp(Z[:, 1]) == 0
    assert (np.diff(Z[np.argsort(X[:, 2]), 2]) >= 0).all()
    auto = transformer("auto").fit(X)
    assert auto.degrees_[0] == 1


def test_chunks_names_pickles_and_pandas(transformer):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": gamma_sample(500), "b": gamma_sample(1000)[500:]})
    whole = transformer(4).fit(frame).set_output(transform="pandas")
    parts = transformer(4)
    for start in range(0, 500, 100):
        parts.partial_fit(frame[start : start + 100])
    out = whole.transform(frame)
    assert list(out.columns) == list(whole.get_feature_names_out()) == ["a", "b"]
    np.testing.assert_allclose(out, parts.transform(frame), atol=1e-10)
    again = pickle.loads(pickle.dumps(whole))
    np.testing.assert_array_equal(again.transform(frame), out)
    assert parts.transform(frame.astype(np.float32)).dtype == np.float32
    assert len(whole.sketch_.to_bytes()) < 200
    with pytest.raises(ValueError, match="uniform or normal, not 'cauchy'"):
        transformer(output_distribution="cauchy").fit(frame)
    weighted = transformer(4).fit(frame, sample_weight=np.r_[np.ones(250), np.zeros(250)])
    np.testing.assert_allclose(
        weighted.density_.coefficients, transformer(4).fit(frame[:250]).density_.coefficients
    )


# -------------------------------------------------------------------------------------- dask


@pytest.fixture(scope="module")
def adapter():
    pytest.importorskip("dask")
    from maxent.adapters import dask

    return dask


def test_blocks_are_merged_to_the_local_answer(adapter):
    import dask
    import dask.array as da

    x = gamma_sample(20_000)
    table = x.reshape(-1, 4)
    with dask.config.set(scheduler="synchronous"):
        ours = adapter.fit(da.from_array(x, chunks=700), 6)
        batch = adapter.fit(da.from_array(table, chunks=(300, 3)), 6)
        weighted = adapter.sketch(
            da.from_array(x, chunks=700), 6, weights=da.from_array(x, chunks=700), transform="log"
        ).compute()
        auto = adapter.fit(da.from_array(x, chunks=700), "auto")
    np.testing.assert_allclose(ours.ppf(0.3), maxent.fit(x, 6).ppf(0.3), rtol=1e-12)
    np.testing.assert_allclose(batch.ppf(0.3), maxent.fit(table, 6).ppf(0.3), rtol=1e-10)
    local = maxent.Sketch.of(x, 6, weights=x, transform="log")
    np.testing.assert_allclose(weighted.chebyshev_moments(), local.chebyshev_moments(), atol=1e-13)
    assert auto.degree == maxent.fit(x, "auto").degree


def test_columns_of_dataframes_are_fitted(adapter):
    pandas = pytest.importorskip("pandas")
    import dask
    import dask.dataframe as dd

    frame = pandas.DataFrame({"a": gamma_sample(3000), "b": gamma_sample(6000)[3000:]})
    frame.loc[7, "a"] = np.nan
    parts = dd.from_pandas(frame, npartitions=11)
    with dask.config.set(scheduler="synchronous"):
        one = adapter.fit(parts["b"], 4)
        both = adapter.fit(parts, 4, nan_policy="omit")
        with pytest.raises(ValueError, match="1 of 3000 values are NaN"):
            adapter.fit(parts["a"], 4)
    np.testing.assert_allclose(one.ppf(0.7), maxent.fit(frame["b"], 4).ppf(0.7), rtol=1e-10)
    np.testing.assert_allclose(both[1].ppf(0.7), one.ppf(0.7), rtol=1e-12)


def test_what_is_no_dask_collection_is_refused(adapter):
    import dask.array as da

    with pytest.raises(TypeError, match=r"not ndarray; maxent\.fit takes what is in memory"):
        adapter.sketch(gamma_sample(10))
    with pytest.raises(ValueError, match="weights come in 1 blocks, the data in 2"):
        adapter.sketch(da.ones(10, chunks=5), weights=da.ones(10))
    with pytest.raises(ValueError, match="reshape them"):
        adapter.sketch(da.ones((2, 2, 2)))


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def generated(seed):
    """A block as every process makes it, slow enough for a worker to be caught at work."""
    time.sleep(0.05)
    return np.random.default_rng(seed).normal(size=20_000)


def test_a_cluster_of_two_processes_that_loses_one_gives_the_local_answer(adapter, cluster):
    import dask
    import dask.array as da

    blocks = [
        da.from_delayed(dask.delayed(generated, pure=True)(seed), (20_000,), float)
        for seed in range(40)
    ]
    future = cluster.compute(adapter.sketch(da.concatenate(blocks), 10))
    workers = set(cluster.run(os.getpid).values())
    assert len(workers) == 2 and os.getpid() not in workers
    while not future.done() and len(cluster.has_what()) == 0:
        time.sleep(0.05)
    assert not future.done()
    os.kill(workers.pop(), signal.SIGKILL)
    total = future.result(timeout=120)
    local = sum(maxent.Sketch.of(generated(seed), 10) for seed in range(40))
    assert (total.count, total.low, total.high) == (800_000, local.low, local.high)
    np.testing.assert_allclose(total.chebyshev_moments(), local.chebyshev_moments(), atol=1e-12)
