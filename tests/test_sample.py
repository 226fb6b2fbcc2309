"""Moments of arrays: against exact sums, and the same to the last digit however the data lie."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

import maxent
from maxent._kernels.moments import FLUSH, WIDTH
from maxent.sketch import Sample
from maxent.support import HalfLine, Interval, RealLine

RANDOM = np.random.default_rng(41)
# More than a flush and a part of a block; more columns than stand side by side.
ROWS, COLUMNS = FLUSH + 700, WIDTH + 3
UNITS = Interval(-1.0, 1.0)


def moments(table, degree=6, weights=None, support=UNITS):
    sample = Sample.of(table, weights)
    _, low, high, mean, variance = sample.spread()
    frame = support_frame(support, low, high, mean, variance)
    return sample.moments(support, support.basis, *frame, degree)[0]


def support_frame(support, low, high, mean, variance):
    if support is UNITS:
        return 0.5 * (low + high), 0.5 * (high - low)
    return support.frame(mean, variance)


@pytest.fixture(scope="module")
def table():
    x = RANDOM.gamma(3.0, size=(ROWS, COLUMNS))
    return x * 10.0 ** RANDOM.uniform(-3, 3, COLUMNS) + 10.0 ** RANDOM.uniform(-3, 6, COLUMNS)


@pytest.mark.parametrize("support", [UNITS, RealLine()], ids=["interval", "line"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_layout_gives_the_same_digits(table, support, weighted):
    weights = RANDOM.random(ROWS) if weighted else None
    want = moments(table, weights=weights, support=support)
    wide = np.zeros((2 * ROWS, 2 * COLUMNS))
    wide[::2, ::2] = table
    for same in (np.asfortranarray(table), wide[::2, ::2], table.astype(">f8")):
        np.testing.assert_array_equal(moments(same, weights=weights, support=support), want)
    for j in (0, WIDTH, COLUMNS - 1):
        alone = moments(table[:, j], weights=weights, support=support)
        np.testing.assert_array_equal(alone[0], want[j])


def test_threads_change_no_digit(monkeypatch):
    x = RANDOM.normal(size=400_000)
    found = []
    for number in (1, 2, 3):
        monkeypatch.setattr("maxent.sketch.sample.config.NUMBA_NUM_THREADS", number)
        found.append(moments(x, 8))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_against_exact_sums():
    """Offset 1e9, spread 1: t is exact in rationals, and so is T_j of it. (The middle of the range
    is rounded: an end that this puts outside is moved back.)"""
    x = 1e9 + RANDOM.normal(size=300)
    loc, scale = 0.5 * (x.min() + x.max()), 0.5 * (x.max() - x.min())
    before = [Fraction(1)] * x.size
    t = [(Fraction(v) - Fraction(loc)) / Fraction(scale) for v in x]
    now = t = [min(max(v, Fraction(-1)), Fraction(1)) for v in t]
    got = moments(x, 8)[0]
    assert got[0] == 1.0
    for j in range(1, 9):
        assert abs(float(sum(now) / x.size - Fraction(got[j]))) < 4 * 2.0**-53
        before, now = now, [2 * a * b - c for a, b, c in zip(t, now, before, strict=True)]


@pytest.mark.parametrize("dtype", ["f4", "i4", "u2", "i8"])
def test_other_numbers_are_those_of_float64(dtype):
    x = RANDOM.gamma(3.0, 100.0, size=(5000, 3)).astype(dtype)
    np.testing.assert_array_equal(moments(x), moments(x.astype(float)))


def test_nan_and_zero_weights_are_left_out(table):
    holes = table.copy()
    holes[::7] = np.nan
    kept = np.delete(table, np.s_[::7], axis=0)
    np.testing.assert_allclose(moments(holes), moments(kept), rtol=1e-14, atol=1e-15)
    weights = np.ones(ROWS)
    weights[::7] = 0.0
    weighed = moments(table, weights=weights)
    np.testing.assert_allclose(weighed, moments(kept), rtol=1e-14, atol=1e-15)
    assert not np.allclose(weighed, moments(table), rtol=1e-14, atol=1e-15)
    for sample in (Sample.of(holes), Sample.of(table, weights)):
        np.testing.assert_array_equal(sample.spread()[0], len(kept))
        np.testing.assert_array_equal(sample.effective_size(), len(kept))


def test_spread():
    x = RANDOM.normal(size=10_000)
    x[0] = 1e9  # a shift that would cost the variance every digit
    x[1] = np.nan
    count, low, high, mean, variance = (v[0] for v in Sample.of(x).spread())
    rest = x[~np.isnan(x)]
    assert (count, low, high) == (9999, rest.min(), 1e9)
    assert Sample.of(x).faults("raise") == ["1 of 10000 values are NaN"]
    assert mean == pytest.approx(rest.mean(), abs=1e-12 * rest.std())
    assert variance == pytest.approx(rest.var(), rel=1e-12)
    x[0] = 1e4
    x[2:] *= 1e-4  # and is seen to
    rest = x[~np.isnan(x)]
    assert Sample.of(x).spread()[4][0] == pytest.approx(rest.var(), rel=1e-12)


def test_half_line_and_line_by_their_own_recurrences(table):
    x = table[:, 0] - table[:, 0].min()
    for support in (HalfLine(0.0), RealLine()):
        loc, scale = support.frame(x.mean(keepdims=True), x.var(keepdims=True))
        want = support.basis.evaluate((x - loc) / scale, 5).mean(axis=0)
        got = Sample.of(x).moments(support, support.basis, loc, scale, 5)[0][0]
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def test_no_full_copy():
    """Strided float32: pieces of it only."""
    x = np.zeros((1_000_000, 2), np.float32)
    x[:, :] = RANDOM.random((1_000_000, 1), np.float32)
    maxent.fit(x[::2, 0])
    tracemalloc.start()
    Sample.of(x[::2, 0]).spread()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
