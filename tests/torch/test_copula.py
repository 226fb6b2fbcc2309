"""The copula transform: shapes, tails, targets, and the evaluation maps."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from scipy import interpolate, stats

import torch_bridge
from torch_bridge import copula, quantile_map
from torch_bridge.functional import copula_transform, soft_rank
from torch_bridge.ops import normal, statistics


def columns(n=2048):
    """(n, 4): normal, lognormal, bimodal, Student t with 3 degrees of freedom."""
    generator = np.random.default_rng(0)
    z = generator.standard_normal((4, n))
    bimodal = np.where(generator.random(n) < 0.4, 0.3 * z[2] - 2, 0.5 * z[2] + 2)
    t3 = stats.t(3).rvs(n, random_state=generator)
    return torch.tensor(np.stack([z[0], np.exp(z[1]), bimodal, t3], 1), dtype=torch.float32)


def distance(y, cdf):
    """Kolmogorov-Smirnov distance to a cdf."""
    u = np.sort(cdf(np.asarray(y, dtype=np.float64)))
    k = np.arange(1, len(u) + 1) / len(u)
    return max(abs(u - k).max(), abs(u - k + 1 / len(u)).max())


@pytest.mark.parametrize("target", ["normal", "uniform", "logistic", "laplace"])
def test_shape_of_the_output(target):
    """KS at most 0.02 on every column, for a high strength."""
    cdf = {
        "normal": stats.norm,
        "uniform": stats.uniform,
        "logistic": stats.logistic,
        "laplace": stats.laplace,
    }[target].cdf
    y = copula_transform(columns(), 100.0, target)
    for j in range(4):
        assert distance(y[:, j], cdf) <= 0.02


def test_scale_does_not_matter():
    """[1, 2, 3] and [100, 200, 300] give the same output; without standardising they do not."""
    x = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(copula_transform(x), copula_transform(100 * x), rtol=1e-4, atol=1e-5)
    raw = [copula_transform(v, 0.1, standardize=False) for v in (x, 100 * x)]
    assert (raw[0] - raw[1]).abs().max() > 0.5


def test_tails_in_float32():
    """At n = 1e6 the outputs are right to 1e-6, where the quantile of float32 r/n is not."""
    n = 1_000_000
    x = torch.randn(n, generator=torch.Generator().manual_seed(0))
    y = copula_transform(x, 100.0, standardize=False)
    exact = copula_transform(x.double(), 100.0, standardize=False)
    # 1e-6 in the tails; in the middle slopes amplify nothing
    assert (y - exact).abs().max() <= 1e-6
    careless = torch.special.ndtri(soft_rank(x, 100.0, normalize=True))
    assert (careless - exact).abs().max() > 1e-3


def test_tail_quantiles_against_scipy():
    v = torch.tensor([1e-30, 1e-12, 1e-7, 0.01, 0.3, 0.5], dtype=torch.float64)
    laws = {"normal": stats.norm, "logistic": stats.logistic, "laplace": stats.laplace}
    for name, law in laws.items():
        for dtype, rtol in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
            low = copula.quantile(name, v.to(dtype))
            high = copula.quantile(name, -v.to(dtype))
            wanted = torch.tensor(law.ppf(v.numpy()))
            torch.testing.assert_close(low.double(), wanted, rtol=rtol, atol=0.1 * rtol)
            torch.testing.assert_close(high, -low, rtol=0, atol=0)


def test_normal_quantile_is_finite_with_finite_slope():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        v = torch.tensor([0.0, -0.0, 0.25, -0.25, 0.5], dtype=dtype, requires_grad=True)
        y = normal.quantile(v)
        assert y.dtype == dtype and torch.isfinite(y).all()
        y.sum().backward()
        assert not v.grad.isnan().any()
    y = torch.tensor([-30.0, -8.0, 0.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        normal.distribution(y), torch.tensor(stats.norm.cdf(y.numpy())), rtol=1e-12, atol=0
    )


class FromAbove:
    """Exponential law as a target object with both tails."""

    def __init__(self):
        self.asked = 0

    def icdf(self, u):
        return -torch.log1p(-u)

    def iccdf(self, q):
        self.asked += 1
        return -torch.log(q)


class Arrays:
    """The same law as an object that works on arrays, as maxent.Density does."""

    def icdf(self, u):
        return -np.log1p(-u)

    def isf(self, q):
        return -np.log(q)

    def pdf(self, x):
        return np.exp(-x)


def test_target_objects():
    x = torch.randn(300, 2, dtype=torch.float64, requires_grad=True)
    g = torch.randn(300, 2, dtype=torch.float64)
    u = soft_rank(x, 10.0) / 300
    wanted = -torch.log1p(-u)
    (slope,) = torch.autograd.grad(wanted, x, g)
    own = torch.distributions.Exponential(torch.ones((), dtype=torch.float64))
    for target in (FromAbove(), Arrays(), own):
        y = copula_transform(x, 10.0, target, standardize=False)
        torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
        (got,) = torch.autograd.grad(y, x, g)
        torch.testing.assert_close(got, slope, rtol=1e-8, atol=1e-8)
    with pytest.raises(ValueError, match="target must be one of"):
        copula_transform(x, target="gauss")
    with pytest.raises(TypeError, match="needs an icdf"):
        copula_transform(x, target=3)


def test_learnable_target_and_strength_train():
    class Stretched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.log_scale = torch.nn.Parameter(torch.zeros(()))

        def icdf(self, u):
            return self.log_scale.exp() * torch.special.ndtri(u)

    layer = torch_bridge.Copula1d(3, target=Stretched(), strength=5.0, learn_strength=True)
    layer(torch.randn(64, 3)).pow(2).mean().backward()
    assert {name for name, _ in layer.named_parameters()} == {
        "weight",
        "bias",
        "log_strength",
        "target.log_scale",
    }
    for name, parameter in layer.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert layer.log_strength.grad != 0 and layer.target.log_scale.grad != 0


def test_derivatives_by_differences():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    strength = torch.tensor([2.0, 0.7], dtype=torch.float64, requires_grad=True)

    def function(x, strength):
        return copula_transform(x, strength)

    assert torch.autograd.gradcheck(function, (x, strength))
    assert torch.autograd.gradgradcheck(function, (x, strength))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_awkward_columns_stay_finite(dtype):
    generator = torch.Generator().manual_seed(1)
    n = 256
    z = torch.randn(n, generator=generator)
    kinds = [
        z,
        z.exp(),
        z.relu(),
        z**3,
        torch.zeros(n),
        torch.full((n,), 7.3),
        (z > 1).float(),
        1e30 * z,
        torch.cat([z[:-1], torch.tensor([1e6])]),
    ]
    x = torch.stack(kinds, 1).to(dtype).requires_grad_()
    layer = torch_bridge.Copula1d(len(kinds))
    with torch.no_grad():
        layer.bias.fill_(0.25)
    y = layer(x)
    (slope,) = torch.autograd.grad((y * torch.randn(y.shape, generator=generator)).sum(), x)
    assert torch.isfinite(y).all() and torch.isfinite(slope).all()
    assert (y[:, 4:6] == 0.25).all(), "a constant column gives the bias"
    torch.testing.assert_close(y[:, 7], y[:, 0], rtol=0, atol=0.02)
    assert torch.isfinite(layer.eval()(x)).all()


def trained(eval_map, x, batches=3, **options):
    layer = torch_bridge.Copula1d(x.shape[1], eval_map=eval_map, momentum=None, **options)
    y = [layer(part) for part in x.chunk(batches)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a polynomial is not monotone
        return layer.eval(), torch.cat(y).detach()


def test_quantile_map_reproduces_training():
    """rms 0.03 and at most 0.2 from the training outputs of one batch; monotone; invertible."""
    x = columns()
    layer, y = trained("quantile", x, batches=1, strength=30.0)
    error = (layer(x) - y).abs()
    assert error.pow(2).mean(0).sqrt().max() <= 0.03
    assert error.max() <= 0.2
    wide = torch.linspace(-20, 20, 4001)[:, None].expand(-1, 4)
    assert (layer(wide).diff(dim=0) >= 0).all()
    torch.testing.assert_close(layer.inverse(layer(x)), x, rtol=1e-3, atol=1e-3)
    exact, _ = trained("quantile", x.double(), batches=1, strength=30.0)
    back = exact.inverse(exact(x.double()))
    torch.testing.assert_close(back, x.double(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eval_map", ["linear", "quadratic", "cubic"])
def test_regression_equals_offline_least_squares(eval_map):
    """To 1e-10, over three batches of a cumulative average; and no polynomial does better."""
    degree = {"linear": 1, "quadratic": 2, "cubic": 3}[eval_map]
    x = columns(3 * 512).double()
    layer, y = trained(eval_map, x)
    got = layer(x).detach()
    for j in range(4):
        t = (x[:, j] - x[:, j].mean()) / x[:, j].std()
        design = torch.stack([t**i for i in range(degree + 1)], 1)
        fitted = design @ torch.linalg.lstsq(design, y[:, j, None], driver="gelsd").solution
        scale = fitted.abs().max().item()
        torch.testing.assert_close(got[:, j, None], fitted, rtol=0, atol=1e-10 * scale)
    if degree == 1:
        torch.testing.assert_close(layer.inverse(got.detach()), x, rtol=1e-9, atol=1e-9)
    else:
        with pytest.raises(RuntimeError, match="need not be monotone"):
            layer.inverse(got)
    # stated errors: on a normal column all maps are close, on the others the degree decides
    rms = (got - y).pow(2).mean(0).sqrt()
    assert rms[0] <= 0.15 and rms.max() <= {1: 0.8, 2: 0.6, 3: 0.5}[degree]


def test_sums_of_halves_are_the_sums_of_the_whole():
    """Running sums are averages over elements: two halves of one frame merge into the whole."""
    x = columns(1000).double()[:, :, None]
    y = torch.tanh(x)
    for function in (
        lambda x, y: copula.regression_sums(x, y, 3),
        lambda x, y: quantile_map.bin_sums(x, y, x),
    ):
        whole = function(x, y)
        halves = 0.3 * function(x[:300], y[:300]) + 0.7 * function(x[300:], y[300:])
        torch.testing.assert_close(halves, whole, rtol=1e-12, atol=1e-12)


def test_a_map_that_is_not_monotone_warns():
    x = columns()[:, 2:3]  # bimodal: the parabola turns between the two humps
    layer = torch_bridge.Copula1d(1, eval_map="quadratic", strength=100.0)
    layer(x)
    with pytest.warns(UserWarning, match="quadratic evaluation map of 1 of 1 features"):
        layer.eval()
    monotone = torch_bridge.Copula1d(1, eval_map="cubic")
    monotone(columns()[:, :1])
    monotone.eval()  # warnings are errors here


def test_inverse_belongs_to_evaluation():
    with pytest.raises(RuntimeError, match="call eval"):
        torch_bridge.Copula1d(2).inverse(torch.randn(3, 2))


def test_evaluation_before_training_is_the_identity_for_a_normal_target():
    x = torch.randn(100, 3)
    for eval_map in ("quantile", "linear", "quadratic", "cubic"):
        layer = torch_bridge.Copula1d(3, eval_map=eval_map).eval()
        torch.testing.assert_close(layer(x), x, rtol=1e-4, atol=1e-4)


def test_drifting_inputs_are_followed():
    """After a drift the quantile map forgets, as BatchNorm's statistics do."""
    layer = torch_bridge.Copula1d(1)
    generator = torch.Generator().manual_seed(3)
    for step in range(60):
        shift = min(step, 10.0)
        x = shift + math.exp(shift / 10) * torch.randn(512, 1, generator=generator)
        y = layer(x)
    layer.eval()
    assert (layer(x) - y).abs().mean() < 0.1


def test_quantile_map_follows_its_bins():
    """Pieces are made once, and anew when the bins change; search by halving finds the cubic."""
    x = columns(512)
    layer, _ = trained("quantile", x, batches=1)
    with torch.no_grad():
        first = layer(x)
        made = layer.pieces(torch.float32)
        assert layer.pieces(torch.float32) is made
        layer.running_bins[:, 1] *= 2  # x of the map is doubled
        torch.testing.assert_close(layer(2 * x), first, rtol=1e-5, atol=1e-5)
        fresh, _ = trained("quantile", x[:, [1, 0, 3, 2]], batches=1)
        fresh.load_state_dict(layer.state_dict())
        assert torch.equal(fresh(x), layer(x))
        assert torch.equal(copy.deepcopy(layer)(x), layer(x))
        knots = [part.numpy() for part in quantile_map.knots_of(layer.running_bins)]
        inside = layer.double()(x.double()).numpy()
    for c, (kx, ky, slope) in enumerate(zip(*knots, strict=True)):
        wanted = interpolate.CubicHermiteSpline(kx, ky, slope)(x[:, c].double().numpy())
        within = (x[:, c].numpy() > kx[0]) & (x[:, c].numpy() < kx[-1])
        assert within.mean() > 0.9
        np.testing.assert_allclose(inside[within, c], wanted[within], rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("held", [64, 50])
def test_outliers_follow_the_tail_and_not_two_points_of_it(side, held):
    """Two points at an end lie side by side by chance; the line beyond is the last eight's."""
    bins = quantile_map.normal_bins(torch.zeros(1), torch.ones(1), "normal")
    if side < 0:  # as they are; those that hold nothing move up
        bins[:, :, : 64 - held] = 0
        end, before = 64 - held, 64 - held + 1
    else:
        bins[:, :, held:] = 0
        end, before = held - 1, held - 2
    weight, sum_x, _ = bins[0]
    sum_x[end] = weight[end] * (sum_x[before] / weight[before] + side * 1e-9)
    x, y, slopes = quantile_map.knots_of(bins)
    rise = (y[0, 1:held] - y[0, : held - 1]) / (x[0, 1:held] - x[0, : held - 1])
    assert rise.max() > 1e7
    layer = torch_bridge.Copula(1).eval()
    layer.running_bins.copy_(bins)
    far = layer(torch.tensor([[side * 100.0]], dtype=torch.float64))
    assert abs(float(far.detach()) - side * 100) < 15  # of eight bins the last has no width
    assert slopes[0, 0] < 1.2 and slopes[0, -1] < 1.2


def test_quantile_map_where_it_is_differentiated():
    """One pass and tensor operations agree, in value and slope, beyond the ends too."""
    x = columns(512)
    layer, _ = trained("quantile", x, batches=1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0]))
        layer.bias.fill_(0.25)
    wide = torch.linspace(-30, 30, 601, dtype=torch.float64)[:, None].expand(-1, 4)
    wide = wide.clone().requires_grad_()
    y = layer(wide)
    with torch.no_grad():
        torch.testing.assert_close(layer(wide), y, rtol=1e-13, atol=1e-13)
        rise = (layer(wide + 1e-6) - layer(wide - 1e-6)) / 2e-6
    (slope,) = torch.autograd.grad(y.sum(), wide)
    torch.testing.assert_close(slope, rise, rtol=1e-3, atol=1e-4)
    assert torch.isnan(layer(torch.full((1, 4), torch.nan))).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_pass_is_the_tensor_operations(dtype):
    """Variance and its slope, bins and normal quantiles: loops against torch, in any layout."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(6, 3, 700, generator=generator, dtype=dtype) + 100
    x[0, 0, 0], x[:, 1] = 1e4, 7.3
    small = torch.finfo(dtype).eps
    for v in (x, x.transpose(0, 2).contiguous().transpose(0, 2), x[::2, :, 3:]):
        mean, var = statistics.mean_and_variance(v)
        exact = v.double()
        longer = exact.numpy().astype(np.longdouble)
        for got, wanted in ((mean, longer.mean((0, 2))), (var, longer.var((0, 2)))):
            np.testing.assert_allclose(got, wanted.astype(float), rtol=1e-14, atol=1e-24)
        leaf = v.clone().requires_grad_()
        (slope,) = torch.autograd.grad(statistics.column_variance(leaf).log1p().sum(), leaf)
        wanted = 2 / (v.shape[0] * v.shape[2]) * (exact - mean[:, None]) / (1 + var)[:, None]
        torch.testing.assert_close(slope.double(), wanted, rtol=20 * small, atol=100 * small)
        score = torch.randn(v.shape, generator=generator, dtype=dtype) * 2
        got = statistics.bin_sums(v, -v, score, 16, -4.0, 4.0)
        place = ((score + 4) * 2).long().clamp(0, 15)
        for k in range(16):
            held = (place == k).double()
            sums = [held.sum((0, 2)), (held * exact).sum((0, 2)), -(held * exact).sum((0, 2))]
            torch.testing.assert_close(got[:, :, k], torch.stack(sums, 1), rtol=1e-12, atol=0)
    leaf = (1e30 * torch.randn(1, 1, 50, generator=generator, dtype=dtype)).requires_grad_()
    spread = statistics.column_variance(leaf).sqrt()  # of degree one: x . slope is its value
    (slope,) = torch.autograd.grad(spread.sum(), leaf)
    torch.testing.assert_close((leaf * slope).sum().double(), spread[0], rtol=1e-5, atol=0)
    p = torch.logspace(-30, math.log10(0.5), 4001, dtype=torch.float64)
    wanted = torch.special.ndtri(p)
    got = statistics.normal_quantile(torch.cat([p, -p]).to(dtype)).double()
    rtol, atol = (1e-14, 1e-15) if dtype == torch.float64 else (2e-7, 1e-7)
    torch.testing.assert_close(got, torch.cat([wanted, -wanted]), rtol=rtol, atol=atol)
