"""Power moments to basis moments and back, against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from maxent._kernels.conversion import basis_to_power, power_to_basis
from maxent.basis import CHEBYSHEV, HERMITE, LAGUERRE
from tests.kernels import FromPython

pairs = FromPython("double_double")

FRAMES = {
    "[-1,1]": (CHEBYSHEV, 0.0, 1.0),
    "[0,1]": (CHEBYSHEV, 0.5, 0.5),
    "[10,11]": (CHEBYSHEV, 10.5, 0.5),
    "[-8,8]": (CHEBYSHEV, 0.0, 8.0),
    "[1e6,1e6+1]": (CHEBYSHEV, 1e6 + 0.5, 0.5),
    "[-1e-6,3e-6]": (CHEBYSHEV, 1e-6, 2e-6),
    "line": (HERMITE, 0.37, 1.9),
    "line, tiny": (HERMITE, -3.3e-7, 1.1e-6),
    "half line": (LAGUERRE, -0.25, 1.7),
    "half line, reflected": (LAGUERRE, 4.5, -2.25),
}
EVERY_FRAME = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


def exact_basis_moments(power, loc, scale, recurrence):
    """E[φ_j] as fractions, from the same floats taken as exact."""
    a, b, d = ([Fraction(float(v)) for v in row] for row in recurrence)
    loc, scale = Fraction(loc), Fraction(scale)
    rows = [[Fraction(1)]]
    for j in range(len(a)):
        new = [Fraction(0)] * (j + 2)
        for i, c in enumerate(rows[j]):
            new[i + 1] += a[j] / scale * c
            new[i] += (b[j] - a[j] * loc / scale) * c
        for i, c in enumerate(rows[j - 1] if j else []):
            new[i] -= d[j] * c
        rows.append(new)
    return [sum(c * p for c, p in zip(row, power, strict=False)) for row in rows]


def exact_power_moments(loc, scale, k):
    """Of three atoms at loc + scale t with rational t and weights, well inside every support."""
    places = [
        Fraction(loc) + Fraction(scale) * t
        for t in (Fraction(1, 7), Fraction(1, 3), Fraction(9, 11))
    ]
    weights = [Fraction(1, 2), Fraction(1, 5), Fraction(3, 10)]
    return [sum(w * x**j for w, x in zip(weights, places, strict=True)) for j in range(k + 1)]


@EVERY_FRAME
@pytest.mark.parametrize("k", [1, 2, 5, 10, 20, 32])
def test_float_input_taken_as_exact(frame, k):
    basis, loc, scale = frame
    recurrence = basis.recurrence(k)
    power = np.array([[float(p) for p in exact_power_moments(loc, scale, k)]])
    exact = exact_basis_moments([Fraction(p) for p in power[0]], loc, scale, recurrence)
    moments, error = power_to_basis(
        power, np.zeros_like(power), np.array([loc]), np.array([scale]), recurrence
    )
    for j in range(k + 1):
        assert abs(Fraction(moments[0, j]) - exact[j]) <= Fraction(error[0, j])


@pytest.mark.parametrize(
    "name", ["[-1,1]", "[0,1]", "[-8,8]", "line", "half line", "half line, reflected"]
)
def test_last_bit_where_double_double_suffices(name):
    basis, loc, scale = FRAMES[name]
    k = 20
    recurrence = basis.recurrence(k)
    power = np.array([[float(p) for p in exact_power_moments(loc, scale, k)]])
    exact = exact_basis_moments([Fraction(p) for p in power[0]], loc, scale, recurrence)
    moments, error = power_to_basis(
        power, np.zeros_like(power), np.array([loc]), np.array([scale]), recurrence
    )
    assert all(moments[0, j] == float(exact[j]) for j in range(k + 1))
    assert (error[0, 1:] <= abs(moments[0, 1:]) * 2.0**-52 + 1e-13).all()


@EVERY_FRAME
def test_rounded_input_is_covered_by_the_bound_and_the_bound_is_not_idle(frame):
    basis, loc, scale = frame
    k = 24
    recurrence = basis.recurrence(k)
    true = exact_power_moments(loc, scale, k)
    exact = exact_basis_moments(true, loc, scale, recurrence)
    power = np.array([[float(p) for p in true]])
    half_ulp = np.spacing(abs(power)) / 2
    moments, error = power_to_basis(power, half_ulp, np.array([loc]), np.array([scale]), recurrence)
    assert np.isfinite(error).all()
    off = [float(abs(Fraction(m) - e)) for m, e in zip(moments[0], exact, strict=True)]
    assert (off <= error[0]).all()
    assert max(o / e for o, e in zip(off[1:], error[0, 1:], strict=True)) > 1e-3


@EVERY_FRAME
def test_there_and_back(frame):
    basis, loc, scale = frame
    k = 12
    recurrence = basis.recurrence(k)
    exact = exact_basis_moments(exact_power_moments(loc, scale, k), loc, scale, recurrence)
    moments = np.array([[float(m) for m in exact]])
    power = basis_to_power(moments, np.array([loc]), np.array([scale]), recurrence)
    # what rounding of the moments does to the powers: |x|^j, with t not above 1 here
    natural = np.array([(abs(loc) + 3 * k * abs(scale)) ** j for j in range(k + 1)])
    true = np.array([float(p) for p in exact_power_moments(loc, scale, k)])
    assert (abs(power[0] - true) <= 4e-16 * natural).all()
    again = exact_basis_moments([Fraction(p) for p in power[0]], loc, scale, recurrence)
    half_ulp = np.spacing(abs(power)) / 2
    moments2, error2 = power_to_basis(
        power, half_ulp, np.array([loc]), np.array([scale]), recurrence
    )
    assert (abs(moments2[0] - moments[0]) <= 2 * error2[0] + 1e-15 * abs(moments[0])).all()
    assert all(
        abs(Fraction(m) - a) <= Fraction(e)
        for m, a, e in zip(moments2[0], again, error2[0], strict=True)
    )


def test_batch_equals_loop():
    rng = np.random.default_rng(1)
    loc, scale = rng.normal(size=7), rng.uniform(0.5, 2, size=7)
    loc[3], scale[3] = loc[2], scale[2]
    recurrence = CHEBYSHEV.recurrence(9)
    power = rng.normal(size=(7, 10))
    error = abs(rng.normal(size=(7, 10))) * 1e-16
    together = power_to_basis(power, error, loc, scale, recurrence)
    back = basis_to_power(power, loc, scale, recurrence)
    for j in range(7):
        one = slice(j, j + 1)
        alone = power_to_basis(power[one], error[one], loc[one], scale[one], recurrence)
        np.testing.assert_array_equal(together[0][one], alone[0])
        np.testing.assert_array_equal(together[1][one], alone[1])
        np.testing.assert_array_equal(
            back[one], basis_to_power(power[one], loc[one], scale[one], recurrence)
        )


def test_out_of_range_is_nan_with_infinite_error():
    recurrence = CHEBYSHEV.recurrence(32)
    power = np.array([[1e12**j if j < 25 else 1e300 for j in range(33)]])
    moments, error = power_to_basis(
        power, power * 1e-16, np.array([1e12]), np.array([1e-3]), recurrence
    )
    assert np.isinf(error[0, -1])
    assert np.isnan(moments[0, -1])
    assert not np.isnan(error).any()


@pytest.mark.parametrize("seed", range(20))
def test_double_double_arithmetic(seed):
    rng = np.random.default_rng(seed)
    ah, bh = rng.normal(size=2) * 10.0 ** rng.integers(-8, 8, size=2)
    al, bl = ah * 2.0**-54 * rng.uniform(-1, 1), bh * 2.0**-54 * rng.uniform(-1, 1)
    a, b = Fraction(ah) + Fraction(al), Fraction(bh) + Fraction(bl)

    def value(pair):
        return Fraction(pair[0]) + Fraction(pair[1])

    assert value(pairs.two_sum(ah, bh)) == Fraction(ah) + Fraction(bh)
    assert value(pairs.two_product(ah, bh)) == Fraction(ah) * Fraction(bh)
    eps = Fraction(1, 2**102)
    assert abs(value(pairs.add(ah, al, bh, bl)) - (a + b)) <= eps * abs(a + b)
    assert abs(value(pairs.subtract(ah, al, bh, bl)) - (a - b)) <= eps * abs(a - b)
    assert abs(value(pairs.multiply(ah, al, bh, bl)) - a * b) <= eps * abs(a * b)
    assert abs(value(pairs.divide(ah, al, bh, bl)) - a / b) <= eps * abs(a / b)
    root = value(pairs.square_root(abs(ah), al if ah > 0 else -al))
    assert abs(root * root - abs(a)) <= 4 * eps * abs(a)
