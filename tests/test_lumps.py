"""The model in lumps of `_kernels.lumps`, where the minimum is known."""

import numpy as np
import pytest

from tests.kernels import FromPython

lumps, minimum = FromPython("lumps"), FromPython("lumps_minimum")

FEW = 9  # steps


def two_points():
    """Two points of mass 1/2 where a function is -1 and 1, and room to work in."""
    model = lumps.allocate_lumps(1)
    model.log_mass[:2] = np.log(0.5)
    model.mean[0, :2] = -1.0, 1.0
    return model, minimum.allocate_scratch(1)


@pytest.mark.parametrize("mu", [-0.6, 0.0, 0.3])
def test_two_points_share_the_mean(mu):
    model, scratch = two_points()
    mu, x = np.array([mu]), np.zeros(1)
    minimum.travel(model, 2, 0, 2, mu, 1, x, scratch)
    minimum.settle(model, 2, 2, mu, 1, x, scratch)
    assert np.tanh(x[0]) == pytest.approx(mu[0], abs=1e-3)  # of a model no more is asked


@pytest.mark.parametrize("place", [1e3, 1e4, 1e6])
def test_a_place_that_is_to_stay_empty_costs_few_steps(place):
    # without it x = 0.3 would raise it to exp(-100 + 0.3 place)
    model, scratch = two_points()
    mu, x = np.array([0.3]), np.zeros(1)
    minimum.travel(model, 2, 0, 2, mu, 1, x, scratch)
    model.log_mass[2], model.mean[0, 2] = -100.0, place
    steps = minimum.travel(model, 3, 2, 2, mu, 1, x, scratch)
    assert steps <= FEW
    exponents = model.log_mass[:3] + model.mean[0, :3] * x[0]
    masses = np.exp(exponents - exponents.max())
    masses /= masses.sum()
    assert masses @ model.mean[0, :3] == pytest.approx(0.3, abs=1e-2)
