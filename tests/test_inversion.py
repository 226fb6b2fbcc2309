"""The cdf and its inverse, in the reference coordinate."""

import numpy as np
import pytest
from scipy import special

from maxent.basis import CHEBYSHEV, HERMITE, LAGUERRE
from maxent.inversion import Inversion, Steps
from maxent.support import HalfLine, Interval, RealLine

NORMAL = Inversion([-0.5 * np.log(2 * np.pi) - 0.5, 0.0, -np.sqrt(0.5)], HERMITE, RealLine.ends)
EXPONENTIAL = Inversion([-1.0, 1.0], LAGUERRE, HalfLine.ends)
UNIFORM = Inversion([-np.log(2.0)], CHEBYSHEV, Interval.ends)
TAIL = np.array([1e-300, 1e-100, 1e-20, 1e-6, 0.1, 0.3])


def test_normal():
    np.testing.assert_allclose(NORMAL.ppf(TAIL), special.ndtri(TAIL), rtol=3e-15)
    np.testing.assert_allclose(NORMAL.isf(TAIL), -special.ndtri(TAIL), rtol=3e-15)
    t = np.linspace(-60.0, 36.0, 401)
    np.testing.assert_allclose(NORMAL.logcdf(t), special.log_ndtr(t), rtol=5e-13)


def test_exponential():
    np.testing.assert_allclose(EXPONENTIAL.isf(TAIL), -np.log(TAIL), rtol=1e-14)
    np.testing.assert_allclose(EXPONENTIAL.ppf(TAIL), -np.log1p(-TAIL), rtol=1e-14)


@pytest.mark.parametrize("one", [NORMAL, EXPONENTIAL, UNIFORM, Steps([0.0, 1.0], [0.5, 0.5])])
def test_edges(one):
    assert np.isnan(one.ppf([np.nan, -0.1, 1.1])).all()
    assert np.isnan(one.cdf(np.nan))
    assert one.ppf(np.zeros((2, 0))).shape == (2, 0)
    assert one.cdf(-np.inf) == one.sf(np.inf) == 0.0
    assert one.cdf(np.inf) == one.sf(-np.inf) == 1.0
