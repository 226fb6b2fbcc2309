"""Sketches: any order and tree of merging gives the one-pass moments; bytes are themselves or
nothing; what was seen is counted; a transformed column is fitted in the user's x."""

import json
import pickle
import random

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import maxent
from maxent import Sketch, Transform

PARTS = 512
LINE = (-np.inf, np.inf)


def columns():
    rng = np.random.default_rng(3)
    n = 40_000
    yield "normal", rng.normal(size=n)
    yield "far from 0", rng.normal(1e9, 1.0, n)
    yield "random walk", rng.normal(size=n).cumsum()
    yield "heavy tail", rng.pareto(1.1, n)


COLUMNS = dict(columns())


def trees(parts):
    """The sketches merged from the left, from the right, shuffled, and by halves."""
    yield sum(parts)
    total = parts[-1]
    for part in parts[-2::-1]:
        total = part + total
    yield total
    shuffled = parts.copy()
    random.Random(1).shuffle(shuffled)
    yield sum(shuffled)
    while len(parts) > 1:
        parts = [sum(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    yield parts[0]


def one_pass(x, degree):
    """E[T_j] over the range of x by another road: cosines of j arccos t, in the longest floats."""
    x = x.astype(np.longdouble)
    t = ((x - x.min()) - (x.max() - x)) / (x.max() - x.min())
    angle = np.arccos(np.clip(t, -1, 1))
    return np.array([np.cos(j * angle).mean() for j in range(degree + 1)]).astype(float)


@pytest.mark.parametrize("name", COLUMNS)
def test_any_order_and_tree_gives_the_one_pass_moments(name):
    x = COLUMNS[name]
    rough = one_pass(x, 12)
    whole = Sketch.of(x, 12)
    parts = [Sketch.of(part, 12) for part in np.array_split(x, PARTS)]
    for tree in [whole, *trees(parts)]:
        assert (tree.count, tree.low, tree.high) == (x.size, x.min(), x.max())
        np.testing.assert_allclose(tree.chebyshev_moments(), rough, atol=1e-13, rtol=1e-13)


def test_power_sums_would_not_do():
    """The negation: raw sums of the same columns lose what the sketch keeps."""
    x = COLUMNS["far from 0"]
    raw = [np.mean(x**j) for j in range(5)]
    variance = raw[2] - raw[1] ** 2
    assert abs(variance / x.var() - 1) > 1.0
    _, _, _, _, kept = Sketch.of(x, 4).spread()
    assert kept[0] == pytest.approx(x.var(), rel=1e-12)


def test_fit_of_an_array_is_the_fit_of_a_sketch_of_one_chunk():
    x = np.random.default_rng(0).gamma(3.0, size=20_000)
    sketch = Sketch.of(x, 8)
    q = np.linspace(0, 1, 41)
    for support in (None, (0, 50), (0, np.inf)):
        ours = sketch.fit(6, support=support)
        array = maxent.fit(x, 6, support=support)
        assert ours.samples == array.samples == x.size
        np.testing.assert_allclose(ours.ppf(q), array.ppf(q), rtol=1e-9)
    assert sketch.fit().degree == 8
    with pytest.raises(ValueError, match="holds 8 moments, fewer than 9"):
        sketch.fit(9)


def test_the_line_and_the_half_line_are_reached_from_chebyshev_moments():
    x = np.random.default_rng(1).normal(5.0, 2.0, 50_000)
    density = Sketch.of(x, 2).fit(support=LINE)
    assert density.mean() == pytest.approx(x.mean(), rel=1e-13)
    assert density.std() == pytest.approx(x.std(), rel=1e-12)
    below = Sketch.of(-np.abs(x), 1).fit(support=(-np.inf, 0))
    assert below.mean() == pytest.approx(-np.abs(x).mean(), rel=1e-13)


def test_digits_lost_on_the_way_to_the_line_are_told():
    """One far value: the moments about the mean come out of a difference, and their error with
    them."""
    x = np.append(np.random.default_rng(1).normal(size=1000), 1e7)
    problem, _ = maxent.MomentProblem.from_source(Sketch.of(x, 2), 2, LINE)
    exact, _ = maxent.MomentProblem.from_source(maxent.sketch.Sample.of(x), 2, LINE)
    gap = np.abs(problem.moments - exact.moments)
    assert (gap <= problem.error + exact.error)[0, 1:].all()
    wide = Sketch.of(np.append(np.random.default_rng(1).normal(size=10_000), 1e5), 6)
    with pytest.raises(maxent.SolveError):
        wide.fit(support=LINE)


# ----------------------------------------------------------------------------------- laws


chunks = st.lists(
    st.lists(st.floats(-1e12, 1e12, width=64), max_size=6), min_size=3, max_size=3
).map(lambda lists: [np.array(v, float) for v in lists])


def close(a, b):
    assert a.batch_shape == b.batch_shape
    if a.batch_shape is None:
        return
    np.testing.assert_array_equal(a._range, b._range)
    np.testing.assert_array_equal(a._counts, b._counts)
    np.testing.assert_allclose(a._mass, b._mass, rtol=1e-14)
    np.testing.assert_allclose(a._sums, b._sums, atol=1e-13 * max(1.0, a._mass[:, 0].max()))


@given(chunks, st.integers(1, 20), st.floats(1e-3, 1e3))
def test_merging_is_associative_and_commutative(parts, degree, weight):
    a, b, c = (
        Sketch.of(part, degree, weights=np.full(part.size, w)) if part.size else Sketch(degree)
        for part, w in zip(parts, (1.0, weight, 1.0))
    )
    close((a + b) + c, a + (b + c))
    assert a + b == b + a
    assert a + Sketch(degree) == a == Sketch(degree) + a


@given(chunks, st.sampled_from([None, "log", "asinh", "sqrt"]))
def test_bytes_and_json_come_back_as_they_were(parts, transform):
    sketch = Sketch(5, transform=transform)
    for part in parts:
        if part.size:
            sketch.update(part)
    for back in (
        Sketch.from_bytes(sketch.to_bytes()),
        Sketch.from_json(sketch.to_json()),
        pickle.loads(pickle.dumps(sketch)),
    ):
        assert back == sketch
        assert back.to_bytes() == sketch.to_bytes()


@given(chunks, st.floats(1, 1e6))
def test_widening_is_the_same_as_having_known_the_range(parts, wide):
    """Merging with two far values is as if T_j had been taken over the wide range at once."""
    x = np.concatenate(parts)
    ends = np.array([-2e12 * wide, 2e12 * wide])
    merged = sum(Sketch.of(v, 9) for v in (x, ends) if v.size)
    every = np.append(x, ends)
    t = (every / (2e12 * wide)).astype(np.longdouble)
    expected = [np.cos(j * np.arccos(t)).mean() for j in range(10)]
    np.testing.assert_allclose(
        merged.chebyshev_moments(), np.array(expected, dtype=float), atol=2e-13
    )


# ----------------------------------------------------------------------------------- bytes


def table():
    rng = np.random.default_rng(5)
    return Sketch.of(rng.normal(size=(500, 3)), 4, weights=rng.random(500))


@pytest.mark.parametrize("make", [table, lambda: Sketch.of([1.0, 2.5, 7.0], 10)])
def test_damaged_bytes_are_refused(make):
    good = make().to_bytes()
    for size in range(len(good)):
        with pytest.raises(ValueError, match=r"cut short|not a sketch|damaged"):
            Sketch.from_bytes(good[:size])
    for place in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            with pytest.raises(ValueError, match=r"damaged|not a sketch"):
                Sketch.from_bytes(bytes(bad))
    with pytest.raises(ValueError, match="damaged"):
        Sketch.from_bytes(good + b"\0")


@pytest.mark.parametrize(
    "foreign", [b"", b"PK\x03\x04 a zip", b"1,2,3\n", b"\x93NUMPY" + b"0" * 99]
)
def test_foreign_bytes_are_refused(foreign):
    with pytest.raises(ValueError, match="not a sketch"):
        Sketch.from_bytes(foreign)


def checksummed(body):
    import zlib

    return body + zlib.crc32(body).to_bytes(4, "little")


def test_bytes_with_a_right_checksum_must_make_sense_too():
    good = Sketch.of([1.0, 2.5, 7.0], 2).to_bytes()[:-4]
    assert Sketch.from_bytes(checksummed(good)).count == 3
    newer = checksummed(good[:4] + b"\x02" + good[5:])
    with pytest.raises(ValueError, match=r"version 2 .* newer maxent"):
        Sketch.from_bytes(newer)
    strange = good[:-8] + np.array([1e9], "<f8").tobytes()  # E[T_2] far above 1
    with pytest.raises(ValueError, match="column 0 cannot come from data"):
        Sketch.from_bytes(checksummed(strange))
    with pytest.raises(ValueError, match="too many"):
        Sketch.from_bytes(checksummed(good + b"\0"))
    with pytest.raises(ValueError, match="transform 9"):
        Sketch.from_bytes(checksummed(good[:6] + b"\x09" + good[7:]))
    with pytest.raises(TypeError, match="from int"):
        Sketch.from_bytes(5)


def test_bytes_are_the_same_on_every_machine():
    """Written once and kept: the format is little-endian and does not drift."""
    sketch = Sketch.of(np.array([0.0, 1.0, 2.0, np.nan]), 2)
    parts = sketch.to_bytes()
    assert parts[:9] == b"\x89MXS" + bytes([1, 2, 0, 0, 0])
    assert parts[9:15] == bytes([3, 1, 0, 0, 1, 1])  # counts; then at_high, pairs, ties
    numbers = np.frombuffer(parts[18:-4], "<f8")
    np.testing.assert_array_equal(numbers, [0.0, 2.0, 0.0, 1.0])  # range, Σ T_1, Σ T_2 at -1, 0, 1


@pytest.mark.parametrize(
    "change, said",
    [
        ({"format": "maxent density"}, "format"),
        ({"version": 7}, "version 7"),
        ({"degree": 3}, "cannot reshape|makes no sense"),
        ({"sums": [[5.0, 0.0]]}, "cannot come from data"),
        ({"counts": {}}, "values"),
    ],
)
def test_strange_json_is_refused(change, said):
    good = json.loads(Sketch.of([1.0, 2.5, 7.0], 2).to_json())
    assert Sketch.from_json(json.dumps(good)).count == 3
    with pytest.raises(ValueError, match=f"not the JSON form of a sketch.*({said})"):
        Sketch.from_json(json.dumps(good | change))
    with pytest.raises(ValueError, match="not the JSON form"):
        Sketch.from_json("[1, 2]")


def test_a_column_takes_about_a_hundred_bytes():
    assert len(Sketch.of(COLUMNS["normal"], 10).to_bytes()) <= 125


# ------------------------------------------------------------------------------------ data


def test_chunks_arrays_and_iterators_are_the_same_data():
    x = COLUMNS["heavy tail"][:5000]
    one = Sketch.of(x, 6)
    by_hand = Sketch(6)
    for part in np.array_split(x, 7):
        by_hand.update(part)
    iterated = Sketch(6).update(iter(np.array_split(x, 7)))
    assert iterated == by_hand
    np.testing.assert_allclose(by_hand.chebyshev_moments(), one.chebyshev_moments(), atol=1e-14)
    assert Sketch.of(x.tolist(), 6) == one
    assert Sketch.of(x.astype(np.float32), 6).count == x.size
    assert Sketch(6).update([]).batch_shape is None


def test_weights_count_values_so_many_times():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=300), rng.integers(0, 4, 300)
    weighted, repeated = Sketch.of(x, 6, weights=w), Sketch.of(np.repeat(x, w), 6)
    np.testing.assert_allclose(
        weighted.chebyshev_moments(), repeated.chebyshev_moments(), atol=1e-14
    )
    assert weighted.weight == repeated.weight == w.sum()
    assert weighted.count == (w > 0).sum()
    assert weighted.effective_size()[0] == pytest.approx(w.sum() ** 2 / (w**2).sum())
    before = weighted.to_bytes()
    assert weighted.update(x, weights=np.zeros(300)).to_bytes() == before
    with pytest.raises(ValueError, match="do not fit"):
        weighted.update(x, weights=np.zeros(299))
    with pytest.raises(ValueError, match="degree must be between 1 and 64, not 0"):
        weighted.fit(0)
    with pytest.raises(ValueError, match="weights belong to one array"):
        Sketch(6).update(iter([x]), weights=w)


def test_a_batch_is_its_columns():
    table = np.random.default_rng(2).normal(size=(1000, 3)) * [1, 10, 100]
    batch = Sketch.of(table[:400], 6) + Sketch.of(table[400:], 6)
    assert batch.batch_shape == (3,)
    density = batch.fit()
    for j in range(3):
        alone = Sketch.of(table[:400, j], 6) + Sketch.of(table[400:, j], 6)
        assert batch[j] == alone
        np.testing.assert_array_equal(density[j].coefficients, alone.fit().coefficients)
    assert batch[1:].batch_shape == (2,)
    with pytest.raises(ValueError, match=r"shape \(2,\), the sketch one of \(3,\)"):
        batch.update(table[:, :2])


def test_what_is_no_finite_number_is_counted_and_named():
    x = np.array([1.0, np.nan, 2.0, np.inf, 4.0, -np.inf, np.nan, 0.0])
    sketch = Sketch.of(x, 2)
    assert (sketch.count, sketch.nan, sketch.infinite, sketch.zeros) == (4, 2, 2, 1)
    assert (sketch.low, sketch.high) == (0.0, 4.0)
    with pytest.raises(ValueError, match="2 of 8 values are NaN and 2 infinite"):
        sketch.fit()
    clean = maxent.fit(x[np.isfinite(x)], 2)
    assert sketch.fit(nan_policy="omit").ppf(0.3) == pytest.approx(clean.ppf(0.3), rel=1e-12)
    nothing = Sketch.of([np.nan, np.nan], 2)
    assert np.isnan(nothing.low)
    with pytest.raises(ValueError, match="no value is left"):
        nothing.fit(nan_policy="omit")
    with pytest.raises(ValueError, match="seen no data"):
        Sketch(2).fit()


def test_only_like_sketches_merge():
    x = [1.0, 2.0, 3.0]
    for other, said in [
        (Sketch.of(x, 4), "degree 3 and 4"),
        (Sketch.of(x, 3, transform="log"), "constants must be the same"),
        (Sketch.of([x, x], 3), "batches of shape"),
    ]:
        with pytest.raises(ValueError, match=said):
            Sketch.of(x, 3) + other
    log = Sketch.of(x, 3, transform=Transform("log", scale=2.0))
    with pytest.raises(ValueError, match="constants must be the same"):
        log + Sketch.of(x, 3, transform="log")
    with pytest.raises(TypeError):
        Sketch.of(x, 3) + x


@pytest.mark.parametrize("degree", [0, 65, 2.5, True, None])
def test_a_degree_is_a_whole_number_from_1_to_64(degree):
    with pytest.raises((ValueError, TypeError), match="degree must be"):
        Sketch(degree)


# ----------------------------------------------------------------------------------- atoms


def test_zeros_ends_and_ties_are_pointed_out():
    rng = np.random.default_rng(0)
    x = rng.gamma(2.0, size=20_000)
    Sketch.of(x, 4).fit()  # says nothing
    zeros = np.where(rng.random(x.size) < 0.1, 0.0, rng.normal(size=x.size))
    with pytest.warns(UserWarning, match=r"10\.1 % of the values are exactly 0; .*Take them out"):
        Sketch.of(zeros, 4).fit()
    with pytest.warns(UserWarning, match="exactly 2, the highest"):
        Sketch.of(np.minimum(x, 2.0), 4).fit()
    with pytest.warns(UserWarning, match="exactly 1, the lowest"):
        sum(Sketch.of(part, 4) for part in np.split(np.maximum(x, 1.0), 10)).fit()
    with pytest.warns(UserWarning, match=r"pairs .* are equal: few distinct values"):
        sum(Sketch.of(part, 4) for part in np.split(rng.poisson(3.0, 20_000), 10)).fit()
    batch = Sketch.of(np.stack([x, zeros], axis=1), 4)
    with pytest.warns(UserWarning, match=r"^column 1: 10\.1 %"):
        batch.fit()


# ------------------------------------------------------------------------------- transforms


def test_a_normal_in_log_is_a_lognormal_in_x():
    x = np.random.default_rng(0).lognormal(1.0, 0.5, 50_000)
    y = np.log(x)
    sketch = Sketch.of(x[:20_000], 2, transform="log") + Sketch.of(x[20_000:], 2, transform="log")
    density = sketch.fit(support=(0, np.inf))
    m, s = y.mean(), y.std()
    u = np.array([1e-12, 0.01, 0.5, 0.99])
    normal = maxent.fit(y, 2, support=LINE)
    np.testing.assert_allclose(density.ppf(u), np.exp(normal.ppf(u)), rtol=1e-12)
    np.testing.assert_allclose(density.isf(u), np.exp(normal.isf(u)), rtol=1e-12)
    at = np.exp(m + s * np.array([-2.0, 0.3]))
    closed = np.exp(-0.5 * np.array([4.0, 0.09])) / (s * np.sqrt(2 * np.pi) * at)
    np.testing.assert_allclose(density.pdf(at), closed, rtol=1e-11)
    mean = np.exp(m + s**2 / 2)
    assert density.mean() == pytest.approx(mean, rel=1e-11)
    assert density.variance() == pytest.approx(mean**2 * np.expm1(s**2), rel=1e-10)
    assert density.moment(3) == pytest.approx(np.exp(3 * m + 4.5 * s**2), rel=1e-10)
    assert density.entropy() == pytest.approx(m + 0.5 * np.log(2 * np.pi * np.e * s**2), rel=1e-11)
    assert density.expect(np.log) == pytest.approx(m, rel=1e-11)
    assert density.support() == (0.0, np.inf)
    np.testing.assert_array_equal(density.pdf([-1.0, 0.0, np.nan, np.inf]), [0, 0, np.nan, 0])
    np.testing.assert_array_equal(density.cdf([-1.0, 0.0, np.nan, np.inf]), [0, 0, np.nan, 1])
    assert pickle.loads(pickle.dumps(density)) == density
    assert density != normal
    with pytest.raises(ValueError, match="no polynomial in x"):
        density.lagrange_multipliers()


def test_infinite_moments_are_nan_and_not_a_number_found_by_accident():
    """Exponential in log x, of mean 1/λ: Pareto in x, whose moments end at λ."""
    x = np.exp(np.random.default_rng(0).exponential(1 / 2.5, 50_000))
    density = Sketch.of(x, 1, transform="log").fit(support=(1, np.inf))
    rate = 1 / np.log(x).mean()
    assert density.sf(100.0) == pytest.approx(100.0**-rate, rel=1e-10)
    assert density.mean() == pytest.approx(rate / (rate - 1), rel=1e-9)
    assert np.isnan(density.moment(3))


@pytest.mark.parametrize("name", ["log", "asinh", "sqrt"])
def test_pdf_is_the_slope_of_cdf_and_integrates_to_moments(name):
    x = COLUMNS["heavy tail"]
    transform = Transform.of(name, x[:500])
    density = Sketch.of(x, 6, transform=transform).fit()
    q = np.array([0.02, 0.3, 0.8, 0.99])
    at = density.ppf(q)
    np.testing.assert_allclose(density.cdf(at), q, rtol=1e-12)
    np.testing.assert_allclose(density.sf(at), 1 - q, rtol=1e-12)
    h = 1e-5 * at
    slope = (density.cdf(at + h) - density.cdf(at - h)) / (2 * h)
    np.testing.assert_allclose(density.pdf(at), slope, rtol=1e-7)
    low, high = density.support()
    assert (low, high) == pytest.approx((x.min(), x.max()), rel=1e-12)

    def by_parts(f, slope):  # E f = f(a) + ∫ f'(x) sf(x) dx, with nothing of pdf or expect in it
        edges = [low, *density.isf([0.9, 0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-6]), high]
        return f(low) + float(
            mpmath.quad(lambda v: slope(float(v)) * float(density.sf(float(v))), edges)
        )

    with mpmath.workdps(15):
        assert density.mean() == pytest.approx(by_parts(lambda v: v, lambda v: 1), rel=1e-8)
    assert density.entropy() == pytest.approx(-density.expect(density.logpdf), rel=1e-10)


def test_error_bars_of_a_transformed_density_are_those_of_its_quantiles():
    """z standard errors of y become dx/dy of them in x; entropy moves by its derivative."""
    x = np.random.default_rng(0).lognormal(size=20_000)
    log, plain = Sketch.of(x, 4, transform="log").fit(), maxent.fit(np.log(x), 4)
    u = np.array([0.05, 0.5, 0.95])
    bars = log.standard_error().ppf(u) / log.ppf(u)
    np.testing.assert_allclose(bars, plain.standard_error().ppf(u), rtol=1e-9)
    at = log.ppf(u)
    np.testing.assert_allclose(
        log.standard_error().cdf(at), plain.standard_error().cdf(np.log(at)), rtol=1e-9
    )
    moved = log.moments_sensitivity().entropy()
    h = 1e-5
    m = Sketch.of(x, 4, transform="log").chebyshev_moments()
    ends = np.log([x.min(), x.max()])
    for j in range(1, 5):
        values = []
        for sign in (1, -1):
            shifted = m.copy()
            shifted[j] += sign * h
            d = maxent.solve(shifted, support=ends, kind="chebyshev")
            values.append(d.entropy() + d.mean())  # entropy of e^Y: that of Y, plus E[Y]
        assert moved[j - 1] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)
    with pytest.raises(ValueError, match="of kind basis, not raw"):
        log.moments_sensitivity("raw")


def test_values_outside_of_the_domain_are_counted():
    sketch = Sketch.of([-1.0, 0.0, 1.0, 2.0, 5.0], 2, transform="log")
    assert (sketch.count, sketch.nan, sketch.infinite, sketch.zeros) == (3, 1, 1, 1)
    with pytest.raises(ValueError, match=r"1 of 5 values are NaN and 1 infinite after Transform"):
        sketch.fit()
    with pytest.raises(ValueError, match="begins at -2, below 0"):
        sketch.fit(support=(-2, 10), nan_policy="omit")
    with pytest.raises(ValueError, match="Discrete support needs data as they are"):
        sketch.fit(support=maxent.Discrete([1, 2, 5]), nan_policy="omit")


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Transform("cube"), "log, asinh, sqrt, not 'cube'"),
        (lambda: Transform("log", scale=0.0), "scale must be a number above 0"),
        (lambda: Transform("log", loc=np.inf), "loc must be a finite number"),
        (lambda: Transform.of("asinh", [np.nan]), "no finite value"),
        (lambda: Transform.of("asinh", [2.0, 2.0, 2.0]), "scale must be a number above 0"),
    ],
)
def test_a_transform_without_sense_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
    with pytest.raises(TypeError, match="name or a Transform"):
        Sketch(3, transform=np.log)
