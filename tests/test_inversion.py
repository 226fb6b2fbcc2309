"""The cdf and its inverse, in the reference coordinate: closed forms, mpmath, and laws.

An error in u counts from the nearer end, |F(t) - u| / min(u, 1-u), less what rounding t does to F.
"""

import copy
import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from maxent import inversion
from maxent._kernels import inversion as kernels
from maxent.basis import CHEBYSHEV, HERMITE, LAGUERRE
from maxent.inversion import Inversion, Steps
from maxent.support import HalfLine, Interval, RealLine

TAIL = np.array([5e-324, 1e-310, 1e-300, 1e-100, 1e-20, 1e-12, 1e-6, 0.1, 0.3, 0.5])
RANDOM = np.random.default_rng(20240)
MANY = RANDOM.random(20_000)
ROUNDING = 3e-15


def normalised(c, basis, ends):
    c = np.array(c, dtype=float)
    c[0] -= Inversion(c, basis, ends)._log_z
    return Inversion(c, basis, ends)


def on_interval(power):
    """exp of a polynomial in powers of t on [-1, 1]."""
    return normalised(np.polynomial.chebyshev.poly2cheb(power), CHEBYSHEV, Interval.ends)


def spikes(places, width):
    """Lumps of about that width and equal height."""
    power = -np.polynomial.Polynomial.fromroots(np.repeat(places, 2))
    power *= 0.5 / width**2 / np.abs(0.5 * power.deriv(2)(np.array(places))).max()
    return power.coef


NORMAL = Inversion([-0.5 * np.log(2 * np.pi) - 0.5, 0.0, -np.sqrt(0.5)], HERMITE, RealLine.ends)
EXPONENTIAL = Inversion([-1.0, 1.0], LAGUERRE, HalfLine.ends)
UNIFORM = Inversion([-np.log(2.0)], CHEBYSHEV, Interval.ends)
COLUMNS = {
    "uniform": UNIFORM,
    "exponential": EXPONENTIAL,
    "normal": NORMAL,
    "quartic": normalised([-1.0, 0.3, 0.5, 0.2, -0.4], HERMITE, RealLine.ends),
    "far apart": normalised([-4.5, 0.0, 20.0, 0.0, -9.0], HERMITE, RealLine.ends),
    "half line": normalised([-1.0, 0.5, 0.2, 0.3], LAGUERRE, HalfLine.ends),
    "steep": on_interval([0.0, 300.0]),
    "truncated normal": on_interval([0.0, 80.0, -50.0]),
    "ten": on_interval([0.0, 1.0, -3.0, 2.0, 4.0, -5.0, 6.0, -4.0, 3.0, 8.0, -9.0]),
    "waves": on_interval(4 * np.polynomial.chebyshev.cheb2poly(np.eye(11)[10])),
    "spikes": on_interval(spikes([-0.6, 0.1, 0.7], 1e-3)),
    "valley": on_interval(spikes([-0.5, 0.5], 0.03)),
}
each = pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())


def density(column, t):
    return np.exp(column.basis.evaluate(t, column.coefficients.size - 1) @ column.coefficients)


def error_in_u(column, t, u, roundings=1):
    """Relative, from the nearer end; t's own rounding taken off. u is taken as exact."""
    near = np.where(u <= 0.5, u, 1.0 - u)
    got = np.where(u <= 0.5, by_panels(column, t, 0), by_panels(column, t, 1))
    return np.maximum(np.abs(got - near) - roundings * blur(column, t), 0.0) / near


def blur(column, t):
    """What a rounding of t does to F."""
    return density(column, t) * np.spacing(np.abs(t))


def allowed(u):
    """Rounding, and that of an exponent as far down as u is."""
    return ROUNDING - 5e-16 * np.log(u)


def by_panels(column, t, side):
    """cdf or sf, never by cells."""
    return np.concatenate([(column.sf if side else column.cdf)(part) for part in chunks(t)])


def chunks(values):
    return np.array_split(values, values.size // (inversion.MANY - 1) + 1)


# Closed forms


def test_uniform():
    u = np.linspace(0.0, 1.0, 101)
    np.testing.assert_allclose(UNIFORM.ppf(u), 2 * u - 1, atol=3e-16)
    np.testing.assert_allclose(UNIFORM.cdf(2 * u - 1), u, atol=3e-16)
    np.testing.assert_allclose(UNIFORM.isf(u), 1 - 2 * u, atol=3e-16)


def test_exponential():
    np.testing.assert_allclose(EXPONENTIAL.isf(TAIL[1:]), -np.log(TAIL[1:]), rtol=2e-15)
    np.testing.assert_allclose(EXPONENTIAL.ppf(TAIL[2:]), -np.log1p(-TAIL[2:]), rtol=2e-15)
    t = 10.0 ** np.linspace(-300, 2.84, 400)
    np.testing.assert_allclose(EXPONENTIAL.cdf(t), -np.expm1(-t), rtol=2e-15)
    np.testing.assert_allclose(EXPONENTIAL.sf(t), np.exp(-t), rtol=2e-13)
    np.testing.assert_allclose(EXPONENTIAL.logsf(1e3 * t), -1e3 * t, rtol=1e-14, atol=3e-16)


def test_normal():
    np.testing.assert_allclose(
        NORMAL.ppf(TAIL[2:]), special.ndtri(TAIL[2:]), rtol=1e-15, atol=1e-15
    )
    np.testing.assert_allclose(
        NORMAL.isf(TAIL[2:]), -special.ndtri(TAIL[2:]), rtol=1e-15, atol=1e-15
    )
    t = np.linspace(-37.0, 37.0, 201)
    np.testing.assert_allclose(NORMAL.cdf(t), special.ndtr(t), rtol=1e-12)
    np.testing.assert_allclose(NORMAL.sf(t), special.ndtr(-t), rtol=1e-12)
    far = np.append(-(10.0 ** np.arange(2, 7)), np.linspace(-60.0, 36.0, 200))
    np.testing.assert_allclose(NORMAL.logcdf(far), special.log_ndtr(far), rtol=1e-12)
    np.testing.assert_allclose(NORMAL.logsf(-far), special.log_ndtr(far), rtol=1e-12)


@pytest.mark.parametrize("a", [0.1, 2.0, 50.0, 340.0])
def test_exponential_cut_off_at_both_ends(a):
    """p = a exp(a t) / 2 sinh(a): all at one end, and its mirror image."""
    c = [np.log(a) - a - np.log1p(-np.exp(-2 * a)), a]
    up = Inversion(c, CHEBYSHEV, Interval.ends)
    down = Inversion([c[0], -c[1]], CHEBYSHEV, Interval.ends)
    s = 10.0 ** np.linspace(-8, np.log10(1.99), 200)  # the distance to an end
    t = s - 1.0
    s = t + 1.0  # as t is rounded
    tail, head = np.expm1(a * s) / np.expm1(2 * a), np.expm1(-a * s) / np.expm1(-2 * a)
    for got, want in [
        (up.cdf(t), tail),
        (down.sf(-t), tail),
        (down.cdf(t), head),
        (up.sf(-t), head),
    ]:
        np.testing.assert_allclose(got, want, rtol=1e-15 * (20 + 2 * a))
    u = TAIL[2:]
    want = np.log1p(u * np.expm1(2 * a)) / a - 1
    np.testing.assert_allclose(up.ppf(u), want, atol=4e-16, rtol=1e-15)
    np.testing.assert_allclose(down.isf(u), -want, atol=4e-16, rtol=1e-15)


def test_normal_cut_off():
    """Mean 0.8, standard deviation 0.1, on [-1, 1]."""
    column = COLUMNS["truncated normal"]
    total = special.ndtr(2.0) - special.ndtr(-18.0)
    t = np.linspace(-0.99, 0.99, 199)
    left = special.ndtr(10 * (t - 0.8)) - special.ndtr(-18.0)
    right = special.ndtr(-10 * (t - 0.8)) - special.ndtr(-2.0)
    np.testing.assert_allclose(column.cdf(t), left / total, rtol=5e-13)
    np.testing.assert_allclose(column.sf(t), right / total, rtol=5e-13)


# Against mpmath


@pytest.mark.parametrize("name", ["ten", "spikes", "valley", "quartic", "far apart", "half line"])
def test_mpmath(name):
    column = COLUMNS[name]
    rec = column.basis.recurrence(column.coefficients.size - 1)
    lo, hi = {0: (-1, 1), 1: (0, 60), 2: (-14, 14)}[column.ends]
    t = column.ppf([1e-12, 0.01, 0.3, 0.5, 0.8, 0.999])

    def p(x):
        before, now, total = mp.mpf(0), mp.mpf(1), mp.mpf(column.coefficients[0])
        for j in range(rec.shape[1]):
            a, b, d = (mp.mpf(float(v)) for v in rec[:, j])
            before, now = now, (a * x + b) * now - d * before
            total += mp.mpf(column.coefficients[j + 1]) * now
        return mp.exp(total)

    with mp.workdps(30):
        cuts = [lo, *np.unique(column.ppf(np.linspace(0.0, 1.0, 33)[1:-1])), hi]
        at = [mp.quad(p, [lo, *(x for x in cuts[1:-1] if x < v), v]) for v in t[:4]]
        beyond = [mp.quad(p, [v, *(x for x in cuts[1:-1] if x > v), hi]) for v in t]
        total = at[-1] + beyond[3]
        # c is rounded: so is q, by eps times the sum of |c|, and F by as much of itself.
        blur = 1e-14 + 3e-17 * np.abs(column.coefficients).sum()
        for v, left in zip(t[:4], at, strict=True):
            assert column.cdf(v) == pytest.approx(float(left / total), rel=blur)
        for v, right in zip(t, beyond, strict=True):
            assert column.sf(v) == pytest.approx(float(right / total), rel=blur)


def test_weights():
    nodes, weights, _, _ = inversion._constants(CHEBYSHEV, 6)[1]
    with mp.workdps(30):
        for x, w in zip(nodes, weights, strict=True):
            root = mp.findroot(lambda v: mp.legendre(20, v), mp.mpf(x))
            exact = 2 * (1 - root**2) / (20 * mp.legendre(19, root)) ** 2
            assert float(w / exact) == pytest.approx(1.0, rel=5e-15)


# Laws for every column


@each
def test_quantiles_of_few(column):
    u = np.concatenate([MANY[:400], TAIL[4:], 1 - 10.0 ** -np.arange(1, 13)])
    assert (error_in_u(column, column.ppf(u), u) <= allowed(u)).all()
    for t, mass in [(column.ppf(TAIL), column.cdf), (column.isf(TAIL), column.sf)]:
        error = np.abs(mass(t) - TAIL) - blur(column, t)
        assert (error <= allowed(TAIL) * TAIL + 5e-323).all()


@each
def test_quantiles_of_many(column):
    t = column.ppf(MANY)
    assert error_in_u(column, t, MANY, roundings=2).max() < 1e-12
    mirrored = column.isf(MANY)
    exact = np.where(MANY > 0.5, 1 - MANY, MANY)
    got = np.where(MANY > 0.5, by_panels(column, mirrored, 0), by_panels(column, mirrored, 1))
    assert (np.abs(got - exact) - 2 * blur(column, mirrored) <= 1e-12 * exact).all()


@each
def test_masses_of_many(column):
    t = np.concatenate([column.ppf(MANY), column.ppf(TAIL), column.isf(TAIL)])
    for side, method in enumerate([column.cdf, column.sf]):
        exact = by_panels(column, t, side)
        assert (np.abs(method(t) - exact) <= 1e-12 * exact + 2 * blur(column, t)).all()


@each
def test_cdf_and_sf_make_one(column):
    t = np.concatenate([column.ppf(MANY[:300]), column.isf(TAIL[1:])])
    np.testing.assert_allclose(column.cdf(t) + column.sf(t), 1.0, atol=ROUNDING)
    rtol = 1e-12 + 2e-16 * np.abs(column.coefficients).sum()
    np.testing.assert_allclose(np.exp(column.logcdf(t)), column.cdf(t), rtol=rtol, atol=1e-320)
    np.testing.assert_allclose(np.exp(column.logsf(t)), column.sf(t), rtol=rtol, atol=1e-320)


@each
def test_monotone(column):
    """Whatever the way of calculation, and across the borders of panels and cells."""
    borders = np.concatenate([column._shallow[4], column._cells[0]])
    near = (borders[:, None] + np.arange(-3, 4) * 1e-13).ravel()
    u = np.sort(np.concatenate([MANY, near, TAIL, 10.0 ** -np.arange(1.0, 40.0, 0.1)]))
    u = u[(u > 0.0) & (u < 1.0)]
    many = column.ppf(u)
    few = np.concatenate([column.ppf(part) for part in chunks(u)])
    for t in (many, few):
        slack = 4 * np.spacing(np.abs(t[1:])) + 4 * np.spacing(u[1:]) / density(column, t[1:])
        assert (np.diff(t) >= -slack).all()


@each
def test_round_trip(column):
    """t -> u -> t wherever u tells t apart: a rounding of u is a small step in t."""
    t = np.concatenate([column.ppf(MANY[:300]), column.isf(TAIL[3:])])
    for back, u in [(column.ppf, column.cdf(t)), (column.isf, column.sf(t))]:
        step = np.spacing(u) / density(column, t) + np.spacing(np.abs(t))
        some = step < 1e-6
        assert (np.abs(back(u) - t)[some] <= 30 * step[some] + 1e-14 * np.abs(t[some])).all()


@each
def test_steps(column):
    """Third order from a good start: two steps a value. They must not creep up."""
    u = MANY[:2000]
    rule = column._constants[1]
    steps = kernels.points_for(u, 0, 0.0, column._shallow, column.ends, rule, np.empty(u.size))
    assert steps <= 2.2 * u.size


@pytest.mark.parametrize("name", ["normal", "exponential", "ten", "spikes"])
def test_sizes(name):
    """Panels and cells, which set-up pays for. They must not creep up."""
    panels = {"normal": 28, "exponential": 13, "ten": 45, "spikes": 50}[name]
    cells = {"normal": 121, "exponential": 73, "ten": 124, "spikes": 528}[name]
    assert COLUMNS[name]._shallow[0].size <= panels + 4
    assert COLUMNS[name]._cells[0].size <= cells * 1.1


@each
@pytest.mark.parametrize("shift", [-3000.0, 0.7, 3000.0])
def test_the_first_coefficient_is_free(column, shift):
    c = column.coefficients + np.eye(1, column.coefficients.size)[0] * shift
    again = Inversion(c, column.basis, column.ends)
    t = column.ppf(TAIL[1:])
    assert again._log_z == pytest.approx(shift, abs=1e-11)
    for name in ("cdf", "sf", "logcdf", "logsf"):
        want, got = getattr(column, name)(t), getattr(again, name)(t)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-320)


coefficients = st.lists(st.floats(-30, 30), min_size=1, max_size=9)


@given(coefficients, st.lists(st.floats(1e-3, 1 - 1e-3), min_size=2, max_size=30))
def test_any_column(c, u):
    column = normalised([0.0, *c], CHEBYSHEV, Interval.ends)
    mirrored = normalised([0.0, *(v * (-1) ** j for j, v in enumerate(c, 1))], CHEBYSHEV, 0)
    u = np.sort(u)
    t = column.ppf(u)
    assert (np.diff(t) >= -4 * np.spacing(1.0)).all()
    np.testing.assert_allclose(mirrored.isf(u), -t, atol=1e-12 * (1 + np.abs(c).sum()))
    assert (np.abs(column.cdf(t) - u) <= 1e-14 + blur(column, t)).all()


# The edge of the contract

ATOMS = Steps([-1.0, 0.0, 1.0], [0.25, 0.5, 0.25])


@pytest.mark.parametrize("one", [*COLUMNS.values(), ATOMS], ids=[*COLUMNS.keys(), "atoms"])
def test_edges(one):
    lowest, highest = {0: (-1, 1), 1: (0, np.inf), 2: (-np.inf, np.inf)}[getattr(one, "ends", 0)]
    for size in (1, inversion.MANY + 1):
        full = np.ones(size)
        for u in (np.nan, -0.1, 1.1, np.inf, -np.inf):
            assert np.isnan(one.ppf(u * full)).all()
            assert np.isnan(one.isf(u * full)).all()
        assert (one.ppf(0 * full) == lowest).all() and (one.ppf(full) == highest).all()
        assert (one.isf(0 * full) == highest).all() and (one.isf(full) == lowest).all()
        for method in (one.cdf, one.sf, one.logcdf, one.logsf):
            assert np.isnan(method(np.nan * full)).all()
        for t in (-np.inf, *([lowest - 1.0] if np.isfinite(lowest) else [])):
            assert (one.cdf(t * full) == 0).all() and (one.logcdf(t * full) == -np.inf).all()
            assert (one.sf(t * full) == 1).all() and (one.logsf(t * full) == 0).all()
        for t in (np.inf, *([highest + 1.0] if np.isfinite(highest) else [])):
            assert (one.cdf(t * full) == 1).all() and (one.logcdf(t * full) == 0).all()
            assert (one.sf(t * full) == 0).all() and (one.logsf(t * full) == -np.inf).all()


@pytest.mark.parametrize("one", [NORMAL, UNIFORM, ATOMS], ids=["normal", "uniform", "atoms"])
@pytest.mark.parametrize("name", ["cdf", "sf", "logcdf", "logsf", "ppf", "isf"])
def test_shapes(one, name):
    method = getattr(one, name)
    for shape in [(), (0,), (3,), (2, 0), (2, 3), (30, 40)]:
        values = np.full(shape, 0.25)
        assert method(values).shape == shape
        assert method(values.astype(np.float32)).dtype == np.float64
    fixed = np.full((40, 30), 0.25)
    fixed.setflags(write=False)
    assert method(fixed.T).shape == (30, 40)
    assert (fixed == 0.25).all()
    assert method(0.25) == method([0.25])[0]


def test_the_answer_for_one_value_does_not_depend_on_the_others_of_few():
    for column in COLUMNS.values():
        u = np.concatenate([TAIL, MANY[:20]])
        assert (column.ppf(u) == [column.ppf(v) for v in u]).all()
        t = column.ppf(u)
        assert (column.cdf(t) == [column.cdf(v) for v in t]).all()


def test_pickled_copied_and_closed():
    for one in (NORMAL, COLUMNS["ten"], ATOMS):
        for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
            assert (again.ppf(MANY) == one.ppf(MANY)).all()
        with pytest.raises(AttributeError):
            one.points = one.coefficients = None
    with pytest.raises(ValueError):
        NORMAL.coefficients[0] = 1.0


@pytest.mark.parametrize(
    "c, basis, ends",
    [([0.0, 0.0, 1.0], HERMITE, 2), ([0.0, -1.0], LAGUERRE, 1), ([np.nan], CHEBYSHEV, 0)],
)
def test_what_has_no_integral_is_refused(c, basis, ends):
    with pytest.raises(ValueError, match="not integrable"):
        Inversion(c, basis, ends)


# Atoms


def test_steps_of_a_die():
    die = Steps(np.arange(1.0, 7.0), np.full(6, 1 / 6))
    sixths = np.arange(1, 7) / 6
    assert (die.ppf(sixths) == np.arange(1, 7)).all()
    assert (die.isf(1 - sixths) == np.arange(1, 7)).all()
    assert (die.ppf(sixths[:-1] + 1e-9) == np.arange(2, 7)).all()
    np.testing.assert_allclose(die.cdf([0.9, 1.0, 3.5, 6.0, 9.0]), [0, 1 / 6, 0.5, 1, 1])
    np.testing.assert_allclose(die.sf([0.9, 1.0, 3.5, 6.0, 9.0]), [1, 5 / 6, 0.5, 0, 0])


def test_atoms_keep_small_tails():
    atoms = Steps([0.0, 1.0, 2.0, 3.0], [1e-200, 1.0, 1e-30, 1e-300])
    np.testing.assert_allclose(atoms.cdf([0.0]), 1e-200)
    np.testing.assert_allclose(atoms.sf([1.0, 2.0]), [1e-30, 1e-300])
    np.testing.assert_allclose(atoms.logsf(2.0), np.log(1e-300))
    assert atoms.ppf(1e-201) == 0.0 and atoms.ppf(1e-199) == 1.0
    assert atoms.isf(1e-29) == 1.0 and atoms.isf(1e-31) == 2.0 and atoms.isf(1e-301) == 3.0


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_any_atoms(p, u):
    atoms = Steps(np.arange(len(p), dtype=float), np.array(p) / np.sum(p))
    for t, mass in [(atoms.ppf(u), atoms.cdf), (atoms.isf(u), atoms.sf)]:
        before, here = mass(t - 1.0), mass(t)
        assert min(before, here) - 1e-14 <= u <= max(before, here) + 1e-14
    t = np.arange(len(p), dtype=float)
    assert (atoms.ppf(atoms.cdf(t)) == t).all()
    assert (atoms.isf(atoms.sf(t)) == t).all()
