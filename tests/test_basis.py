"""The bases: the first few functions by name, and orthogonality under their own weight."""

import numpy as np
import pytest

from maxent import CHEBYSHEV, HERMITE, LAGUERRE
from maxent.basis import Laguerre, OwnBasis
from maxent.quadrature import gauss, gauss_hermite, gauss_laguerre

T = np.linspace(-1.0, 3.0, 9)


@pytest.mark.parametrize(
    "basis, first",
    [
        (CHEBYSHEV, [T**0, T, 2 * T**2 - 1, 4 * T**3 - 3 * T]),
        (HERMITE, [T**0, T, (T**2 - 1) / np.sqrt(2), (T**3 - 3 * T) / np.sqrt(6)]),
        (LAGUERRE, [T**0, 1 - T, 1 - 2 * T + T**2 / 2, 1 - 3 * T + 1.5 * T**2 - T**3 / 6]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_first_four(basis, first):
    np.testing.assert_allclose(basis.evaluate(T, 3), np.transpose(first), atol=1e-13)


def test_chebyshev_is_a_cosine():
    theta = np.linspace(0.0, np.pi, 50)
    expected = np.cos(np.outer(theta, np.arange(31)))
    np.testing.assert_allclose(CHEBYSHEV.evaluate(np.cos(theta), 30), expected, atol=1e-13)


@pytest.mark.parametrize("basis, rule", [(HERMITE, gauss_hermite), (LAGUERRE, gauss_laguerre)])
def test_orthonormal(basis, rule):
    t, w = rule(24)
    phi = basis.evaluate(t, 20)
    np.testing.assert_allclose(phi.T @ (w[:, None] * phi), np.eye(21), atol=1e-10)


def test_shapes_and_read_only():
    assert CHEBYSHEV.evaluate(0.3, 5).shape == (6,)
    assert CHEBYSHEV.evaluate(np.zeros((2, 0, 3)), 5).shape == (2, 0, 3, 6)
    assert HERMITE.recurrence(7).shape == (3, 7)
    with pytest.raises(ValueError):
        HERMITE.recurrence(7)[0, 0] = 1.0


def test_own_polynomials_are_equal_only_when_their_recurrences_are():
    one, other = CHEBYSHEV.recurrence(3), 2 * CHEBYSHEV.recurrence(3)
    a, b, c = (OwnBasis("chebyshev", rows) for rows in (one, one.copy(), other))
    assert a == b and hash(a) == hash(b)
    assert a != c and hash(a) != hash(c) and a != CHEBYSHEV


@pytest.mark.parametrize("shape", [1.0, 2.5, 300.0])
def test_laguerre_of_a_shape_is_orthonormal_under_its_gamma_law(shape):
    """E[t^j] = shape (shape + 1) … / shape^j, the gamma law of mean 1 and variance 1/shape."""
    basis = Laguerre("laguerre", shape)
    t, w = gauss(basis.recurrences(12, 1))
    raw = np.cumprod(np.append(1.0, (shape + np.arange(8)) / shape))
    np.testing.assert_allclose(w[0] @ t[0][:, None] ** np.arange(9), raw, rtol=1e-11)
    phi = basis.evaluate(t[0], 10)
    np.testing.assert_allclose(phi.T @ (w[0][:, None] * phi), np.eye(11), atol=1e-8)
    other = basis.evaluate(t[0] * 1.01, 10)
    assert abs(other.T @ (w[0][:, None] * other) - np.eye(11)).max() > 1e-2


def test_a_batch_of_shapes_is_its_columns():
    batch = Laguerre("laguerre", [1.0, 4.0])
    rows = batch.recurrences(5, 2)
    np.testing.assert_array_equal(rows[0], LAGUERRE.recurrence(5))
    np.testing.assert_array_equal(rows[1], batch[1].recurrence(5))
    assert batch[0] == LAGUERRE and batch[1] != LAGUERRE
