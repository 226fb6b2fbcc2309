"""Losses of embeddings: zero for the normal, known in expectation, bounded in slope."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import maxent
from torch_bridge import MomentLoss, NegentropyLoss, losses, sliced

LOSSES = [MomentLoss, NegentropyLoss]


def normal_quantiles(n, dtype=torch.float64):
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n).to(dtype)[:, None]


def distance(z):
    """Kolmogorov-Smirnov distance of the first column from N(0, 1)."""
    return stats.kstest(z[:, 0].detach().numpy(), "norm").statistic


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_zero_for_the_normal_and_only_for_it(loss, standardize):
    measure = loss(standardize=standardize)
    z = normal_quantiles(20_000)
    assert 0 <= measure(z) < 1e-5
    others = {
        "lognormal": z.exp(), "uniform": math.sqrt(12) * (stats.norm.cdf(z.numpy()) - 0.5),
        "two points": z.sign(), "cube": z**3, "constant": 0 * z,
    }
    for name, value in others.items():
        assert measure(torch.as_tensor(value)) > 0.02, name
    moved = measure(2 * z + 1)
    assert moved < 1e-4 if standardize else moved > 0.1


def test_a_normal_sample_has_the_expectation_of_chi_squared():
    """n times the loss has `degree` degrees of freedom: mean and variance over 2,000 columns."""
    z = torch.randn(400, 2000, generator=torch.Generator().manual_seed(0))
    for degree in (2, 6):
        values = 400 * MomentLoss(degree, reduction="none")(z)
        assert values.mean().item() == pytest.approx(degree, rel=0.06)
        assert values.var().item() == pytest.approx(2 * degree, rel=0.35)


def test_polynomials_are_orthonormal_under_the_normal():
    """By another rule of integration than the one they are made with."""
    x, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    for degree in (3, 8):
        mean, triangle = losses.normal_moments(degree)
        t = x / np.sqrt(9 + x * x)
        table = np.polynomial.chebyshev.chebvander(t, degree)[:, 1:] - mean
        phi = table @ triangle.T
        np.testing.assert_allclose((weights[:, None] * phi).sum(0), 0, atol=1e-4)
        gram = phi.T @ (weights[:, None] * phi)
        np.testing.assert_allclose(gram, np.eye(degree), atol=1e-3)


def test_negentropy_is_the_divergence_of_two_densities_of_the_core():
    z = np.random.default_rng(1).normal(size=(300, 2)) ** 3 / 3
    t = z / np.sqrt(9 + z * z)
    normal, _ = losses.normal_moments(4)
    reference = maxent.solve([1, *normal], support=(-1, 1), kind="chebyshev")
    got = NegentropyLoss(4, ridge=0.0, reduction="none")(torch.tensor(z))
    for j in range(2):
        density = maxent.fit(t[:, j], degree=4, support=(-1, 1))
        wanted = density.expect(lambda x, p=density: p.logpdf(x) - reference.logpdf(x))
        assert got[j].item() == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_slope_stays_bounded_for_an_outlier(loss):
    """One sample goes to 1e6 and on to 1e30: neither its slope nor that of the others grows."""
    z = torch.randn(500, 1, generator=torch.Generator().manual_seed(2))
    for standardize in (False, True):
        measure = loss(standardize=standardize)
        norms = []
        for far in (0.0, 3.0, 1e2, 1e6, 1e30):
            x = z.clone()
            x[0] += far
            x.requires_grad_()
            (slope,) = torch.autograd.grad(measure(x), x)
            assert torch.isfinite(slope).all()
            norms.append(slope.norm().item())
            if far >= 1e6:
                assert slope[0].abs() < 1e-9
        assert max(norms) < 0.2 and max(norms[3:]) <= 1.01 * norms[2]
    # its negation: without the squash the slope follows the outlier
    x = z.clone()
    x[0] = 1e6
    x.requires_grad_()
    (slope,) = torch.autograd.grad(x.pow(4).mean().sub(3).square(), x)
    assert slope.norm() > 1e20


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_derivatives_by_differences(loss, standardize):
    z = torch.randn(7, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    z.requires_grad_()
    measure = loss(4, standardize=standardize)
    assert torch.autograd.gradcheck(measure, (z,))
    assert torch.autograd.gradgradcheck(measure, (z,))


def test_training_on_it_makes_columns_normal():
    """From skewed columns, by moving the samples: the losses fall, and the shape follows."""
    for loss in (MomentLoss(), NegentropyLoss()):
        z = (normal_quantiles(400, torch.float32) / 2).exp().repeat(1, 2).requires_grad_()
        optimiser = torch.optim.Adam([z], 0.05)
        before, far = loss(z).item(), distance(z)
        for _ in range(150):
            optimiser.zero_grad()
            loss(z).backward()
            optimiser.step()
        assert loss(z).item() < 0.01 * before
        assert distance(z) < 0.3 * far  # six moments do not say all


def test_shapes_dtypes_and_reductions():
    z = torch.randn(3, 64, 5)
    for loss in LOSSES:
        values = loss(reduction="none")(z)
        assert values.shape == (3, 5)
        torch.testing.assert_close(values[1], loss(reduction="none")(z[1]))
        torch.testing.assert_close(loss()(z), values.mean())
        torch.testing.assert_close(loss(reduction="sum")(z), values.sum())
        half = z.bfloat16()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = loss()(half)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, loss()(half.float()))
        assert loss()(z.double()).dtype == torch.float64
        assert not loss().state_dict() and "degree=6" in repr(loss())
        with pytest.raises(ValueError, match="no samples"):
            loss()(z[:, :0])
        with pytest.raises(ValueError, match="features"):
            loss()(z[0, 0])
        with pytest.raises(ValueError, match="degree"):
            loss(17)
        with pytest.raises(ValueError, match="reduction"):
            loss(reduction="max")


def test_sliced_sees_what_single_features_do_not():
    """Two features, each normal, together on a diagonal: no column betrays it, directions do."""
    torch.manual_seed(0)
    z = normal_quantiles(2000, torch.float32)
    both = torch.cat([z, z], 1)
    independent = torch.randn(2000, 2)
    loss = MomentLoss()
    assert loss(both) < 1e-3
    assert sliced(loss, 64)(both) > 20 * sliced(loss, 64)(independent)
    assert "num_slices=64" in repr(sliced(loss, 64))
    assert sliced(loss, 8)(torch.randn(2, 50, 3, dtype=torch.float64)).dtype == torch.float64
    torch.manual_seed(1)
    first = sliced(loss, 8)(independent)
    torch.manual_seed(1)
    assert torch.equal(sliced(loss, 8)(independent), first)
    with pytest.raises(ValueError, match="num_slices"):
        sliced(loss, 0)


def test_a_missing_value_stays_in_its_column():
    z = torch.randn(50, 3)
    dirty = z.clone()
    dirty[3, 1] = math.nan
    for loss in LOSSES:
        a, b = loss(reduction="none")(z), loss(reduction="none")(dirty)
        assert b[1].isnan() and torch.equal(a[[0, 2]], b[[0, 2]])
