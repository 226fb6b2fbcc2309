"""MaxEnt as a torch distribution: the core's answers, torch's habits, derivatives of every kind."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch.distributions import (
    Categorical,
    ExpTransform,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

import maxent
from tests.problems import SOLVABLE
from torch_bridge import Copula1d, MaxEnt
from torch_bridge.ops import panels

INTERVALS = [
    row
    for row in SOLVABLE
    if len(row.support) == 2 and all(map(math.isfinite, row.support)) and row.kind != "log"
]


def three(dtype=torch.float64, grad=False):
    """A batch of three on three intervals."""
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(3, 4, generator=generator, dtype=torch.float64).to(dtype)
    low = torch.tensor([-1.0, 0.0, 2.0], dtype=dtype)
    high = torch.tensor([0.5, 3.0, 2.5], dtype=dtype)
    return tuple(value.requires_grad_(grad) for value in (c, low, high))


def inside(low, high, count):
    u = torch.rand(count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (low + (high - low) * u.to(low.dtype)).detach()


@pytest.mark.parametrize("row", INTERVALS, ids=str)
def test_agrees_with_the_core_on_known_answers(row):
    density = maxent.solve(np.array(row.moments), support=row.support, kind=row.kind)
    law = MaxEnt.from_density(density)
    assert law.entropy().item() == pytest.approx(density.entropy(), abs=1e-9)
    u = np.array([1e-10, 1e-6, 0.01, 0.2, 0.5, 0.8, 0.99])
    tolerance = {"rtol": 1e-7, "atol": 1e-9}
    for quantile, cdf in (("ppf", "cdf"), ("isf", "ccdf")):
        x = getattr(density, quantile)(u)
        # x is rounded: the smallest probabilities change by the density times its last digit
        slack = density.pdf(x) * np.spacing(np.abs(row.support).max())
        got = getattr(law, cdf)(torch.tensor(x)).numpy()
        assert (np.abs(got - u) <= 1e-7 * u + 4 * slack).all()
        back = getattr(law, {"ppf": "icdf", "isf": "iccdf"}[quantile])(torch.tensor(u)).numpy()
        width = row.support[1] - row.support[0]
        assert np.abs(density.cdf(back) - density.cdf(x)).max() <= 1e-9
        assert np.abs(back - x)[1:].max() <= 1e-6 * width
    grid = np.linspace(*row.support, 23)
    log_p = law.log_prob(torch.tensor(grid)).numpy()
    near = density.logpdf(grid) > -100
    np.testing.assert_allclose(log_p[near], density.logpdf(grid)[near], **tolerance)


@pytest.mark.parametrize("kind", ["raw", "chebyshev"])
def test_from_moments(kind):
    """The core's answer; its derivative is the inverse Hessian; what is refused, and how."""
    x = np.random.default_rng(0).beta(2, 3, size=(400, 3)) * 4 - 1
    density = maxent.fit(x, degree=4, support=(-1, 3))
    moments = np.stack([np.asarray(density.moment(j, kind)) for j in range(5)], -1)
    given = torch.tensor(moments, requires_grad=True)
    law = MaxEnt.from_moments(given, -1.0, 3.0, kind=kind)
    wanted = MaxEnt.from_density(density)
    torch.testing.assert_close(law.coefficients, wanted.coefficients, rtol=1e-9, atol=1e-9)

    def quantiles(m):
        full = torch.cat([torch.ones_like(m[..., :1]), m], -1)
        law = MaxEnt.from_moments(full, -1.0, 3.0, kind=kind)
        return law.icdf(torch.tensor([0.1], dtype=m.dtype))

    first = given.detach()[0, 1:].requires_grad_()
    (slope,) = torch.autograd.grad(quantiles(first).sum(), first)
    by_core = density[0].moments_sensitivity(kind).ppf(0.1)
    np.testing.assert_allclose(slope.numpy(), by_core, rtol=1e-6)
    assert torch.autograd.gradcheck(quantiles, (first,), check_forward_ad=True)
    single = MaxEnt.from_moments(given.detach().float(), -1.0, 3.0, kind=kind)
    torch.testing.assert_close(single.mean.double(), wanted.mean, rtol=1e-4, atol=1e-4)

    with pytest.raises(ValueError, match="leave out m0"):
        MaxEnt.from_moments(given[:, 1:], -1.0, 3.0, kind=kind)
    with pytest.raises(ValueError, match="kind"):
        MaxEnt.from_moments(given, -1.0, 3.0, kind="central")
    impossible = torch.tensor([[1.0, 0.0, 0.3], [1.0, 0.9, 0.1]], dtype=torch.float64)
    if kind == "raw":
        with pytest.raises(maxent.SolveError, match="1 of 2 columns, the first at 1") as error:
            MaxEnt.from_moments(impossible)
        assert error.value.statuses[0] is maxent.Status.SOLVED
        loose = MaxEnt.from_moments(impossible, validate_args=False)
        assert loose.mean[0].isfinite() and loose.mean[1].isnan()


def test_panels_hold_what_they_promise():
    """Within the depth no panel's exponent changes by much more than VARIATION, spikes included."""
    spike = maxent.solve([1.0, 0.3, 0.3**2 + 1e-6], support=(-1.0, 1.0))
    c = torch.tensor(np.stack([spike.coefficients[1:], [3.0, 2.0], [0.0, 0.0]]))
    edges = panels.edges_of(c)
    assert (edges.diff(dim=1) > 0).all()
    e = panels.series(c, edges)
    e = e - e.amax(1, keepdim=True)
    heard = torch.minimum(e[:, 1:], e[:, :-1]) > -panels.DEPTH
    change = torch.where(heard, e.diff(dim=1).abs(), 0.0)
    assert change.max() <= 1.5 * panels.VARIATION
    assert heard[0].sum() > 20  # the spike did get its panels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_both_tails(dtype):
    law = MaxEnt(*three(dtype))
    assert law.batch_shape == (3,) and law.event_shape == () and law.has_rsample
    for shape in ((), (2,), (4, 2), (0,)):
        x = law.sample(shape)
        assert x.shape == (*shape, 3) and x.dtype == dtype
        assert law.log_prob(x).shape == law.cdf(x).shape == law.icdf(law.cdf(x)).shape == x.shape
    for value in (law.mean, law.variance, law.stddev, law.entropy()):
        assert value.shape == (3,) and value.dtype == dtype
    assert MaxEnt(torch.zeros(2, dtype=dtype)).sample().shape == ()
    many = MaxEnt(torch.zeros(5, 1, 2, dtype=dtype), torch.zeros(4, dtype=dtype))
    assert many.batch_shape == (5, 4)
    eps = torch.finfo(dtype).eps
    u = torch.linspace(0.001, 0.999, 500, dtype=dtype)[:, None].expand(-1, 3)
    assert (law.cdf(law.icdf(u)) - u).abs().max() <= 200 * eps
    assert (law.ccdf(law.iccdf(u)) - u).abs().max() <= 200 * eps
    x = law.sample((100,))
    assert (law.cdf(x) + law.ccdf(x) - 1).abs().max() <= 100 * eps
    assert (law.icdf(u).diff(dim=0) > 0).all()
    q = torch.tensor([0.0, 1.0], dtype=dtype)[:, None]
    assert torch.equal(law.icdf(q), torch.stack([law.low, law.high]))
    assert torch.equal(law.iccdf(q), torch.stack([law.high, law.low]))
    # a tail of 1e-12, which 1 - u cannot hold in float32
    steep = MaxEnt(torch.tensor([-40.0, 0.0], dtype=dtype))
    q = torch.tensor([1e-12, 1e-6], dtype=dtype)
    wanted = -1 - torch.log(q.double() + math.exp(-80)) / 40
    torch.testing.assert_close(steep.iccdf(q).double(), wanted, rtol=0, atol=20 * eps)
    torch.testing.assert_close(steep.ccdf(steep.iccdf(q)), q, rtol=2e3 * eps, atol=0)
    assert steep.icdf(1 - q)[0] != steep.iccdf(q)[0] or dtype == torch.float64


def test_closed_forms():
    """k = 1 is the truncated exponential, c = 0 the uniform law; moments against draws."""
    for dtype in (torch.float32, torch.float64):
        rate = torch.tensor([[0.5], [-3.0], [1e-4], [30.0]], dtype=dtype)
        law = MaxEnt(rate, 0.0, 2.0)
        x = torch.linspace(0, 2, 9, dtype=dtype)[:, None]
        a = rate[:, 0].double()
        log_p = a * (x - 1) - torch.log(2 * torch.sinh(a) / a)
        torch.testing.assert_close(law.log_prob(x).double(), log_p, rtol=1e-5, atol=2e-5)
        wanted = torch.expm1(a * x) / torch.expm1(2 * a)
        torch.testing.assert_close(law.cdf(x).double(), wanted, rtol=1e-4, atol=1e-7)
    flat = MaxEnt(torch.zeros(3, dtype=torch.float64), -1.0, 5.0)
    assert flat.entropy().item() == pytest.approx(math.log(6), abs=1e-13)
    assert flat.mean.item() == pytest.approx(2.0, abs=1e-13)
    assert flat.variance.item() == pytest.approx(3.0, abs=1e-12)
    assert kl_divergence(flat, flat).item() == pytest.approx(0.0, abs=1e-14)
    torch.manual_seed(0)
    law = MaxEnt(*three())
    x = law.sample((10_000,))
    error = law.stddev / 100
    assert ((x.mean(0) - law.mean).abs() <= 4 * error).all()
    assert ((x.var(0) - law.variance).abs() <= 0.05 * law.variance).all()
    assert ((-law.log_prob(x).mean(0) - law.entropy()).abs() <= 0.03).all()
    means = law.chebyshev_moments()
    t = 2 * (x - law.low) / (law.high - law.low) - 1
    assert ((torch.cos(2 * torch.acos(t.clamp(-1, 1))).mean(0) - means[:, 1]).abs() < 0.02).all()


FUNCTIONS = {
    "log_prob": (lambda law, x, u: law.log_prob(x)),
    "cdf": (lambda law, x, u: law.cdf(x)),
    "ccdf": (lambda law, x, u: law.ccdf(x)),
    "icdf": (lambda law, x, u: law.icdf(u)),
    "iccdf": (lambda law, x, u: law.iccdf(u)),
    "entropy": (lambda law, x, u: law.entropy()),
    "mean": (lambda law, x, u: law.mean),
    "variance": (lambda law, x, u: law.variance),
    "kl": (
        lambda law, x, u: kl_divergence(
            law, MaxEnt(law.coefficients.flip(0), law.low - 0.5, law.high + 1)
        )
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_first_order(name):
    """By coefficients, both ends, x and u; by reverse and forward mode."""
    c, low, high = three(grad=True)
    c = c[:2].detach().requires_grad_()
    low, high = (v[:2].detach().requires_grad_() for v in (low, high))
    x = (low + (high - low) * torch.tensor([[0.3, 0.9]])).detach().requires_grad_()
    u = torch.tensor([[0.2, 0.995]], dtype=torch.float64, requires_grad=True)

    def function(c, low, high, x, u):
        return FUNCTIONS[name](MaxEnt(c, low, high, validate_args=False), x, u)

    assert torch.autograd.gradcheck(function, (c, low, high, x, u), check_forward_ad=True)


@pytest.mark.parametrize("name", ["log_prob", "cdf", "icdf", "entropy"])
def test_derivatives_of_second_order(name):
    c = three()[0][:1, :2].clone().requires_grad_()
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda c, x, u: FUNCTIONS[name](MaxEnt(c, validate_args=False), x, u), (c, x, u)
    )


def test_an_attached_step_left_out_is_noticed(monkeypatch):
    """The negation: one step less and second derivatives are wrong, none and there are none."""
    c = three()[0][:1, :2].clone().requires_grad_()
    u = torch.tensor([0.9], dtype=torch.float64)

    def function(c):
        return MaxEnt(c).icdf(u)

    monkeypatch.setattr(panels, "ATTACHED", 1)
    assert torch.autograd.gradcheck(function, (c,))
    with pytest.raises(RuntimeError, match="mismatch"):
        torch.autograd.gradgradcheck(function, (c,))
    monkeypatch.setattr(panels, "ATTACHED", 0)
    assert not function(c).requires_grad


def test_reparametrised_samples_carry_the_gradient_of_an_expectation():
    """d/dc E[X²] by draws against d/dc of variance + mean²."""
    torch.manual_seed(1)
    c = torch.tensor([0.5, -2.0, 0.3], dtype=torch.float64, requires_grad=True)
    law = MaxEnt(c, 0.0, 3.0)
    x = law.rsample((5_000,))
    (by_draws,) = torch.autograd.grad(x.square().mean(), c)
    (exact,) = torch.autograd.grad(law.variance + law.mean**2, c)
    torch.testing.assert_close(by_draws, exact, rtol=0, atol=0.08)
    assert not law.sample((3,)).requires_grad
    assert MaxEnt(c.detach()).rsample((3,)).grad_fn is None


def test_gradients_are_finite_where_the_density_is_almost_zero():
    """Two lumps with a gap of e^-400 between them, and probabilities that fall into it."""
    c = torch.tensor([0.0, 0.0, 0.0, -200.0], dtype=torch.float64, requires_grad=True)
    law = MaxEnt(c)
    u = torch.tensor([0.0, 1e-300, 0.2, 0.5, 0.7, 1.0], dtype=torch.float64, requires_grad=True)
    x = law.icdf(u)
    grads = torch.autograd.grad(x.sum(), (c, u))
    assert torch.isfinite(x).all() and all(torch.isfinite(g).all() for g in grads)


def test_what_the_user_may_get_wrong():
    c = torch.zeros(3)
    with pytest.raises(ValueError, match="changed places"):
        MaxEnt(c, 1.0, 0.0)
    with pytest.raises(ValueError, match="low must be below high"):
        MaxEnt(c, torch.zeros(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="finite"):
        MaxEnt(c, 0.0, math.inf)
    with pytest.raises(ValueError, match="c_1"):
        MaxEnt(torch.tensor(1.0))
    with pytest.raises(TypeError, match="floating"):
        MaxEnt([1.0, 2.0])
    with pytest.raises(ValueError, match="coefficients"):
        MaxEnt(torch.tensor([float("nan")]))
    law = MaxEnt(c, 0.0, 1.0)
    for method in (law.log_prob, law.cdf, law.ccdf):
        with pytest.raises(ValueError, match="support"):
            method(torch.tensor(1.5))
    with pytest.raises(ValueError, match="probabilities"):
        law.icdf(torch.tensor(1.5))
    loose = MaxEnt(c, 0.0, 1.0, validate_args=False)
    nan = float("nan")
    x = torch.tensor([-1.0, 2.0, nan])
    torch.testing.assert_close(
        loose.log_prob(x), torch.tensor([-math.inf, -math.inf, nan]), equal_nan=True
    )
    torch.testing.assert_close(loose.cdf(x), torch.tensor([0.0, 1.0, nan]), equal_nan=True)
    assert loose.icdf(torch.tensor([1.5, -0.1, nan])).isnan().all()
    batch = maxent.fit(np.ones((50, 2)) * [[1, 2]], degree=3, throw=False)
    with pytest.raises(ValueError, match="no density"):
        MaxEnt.from_density(batch)
    with pytest.raises(ValueError, match="interval"):
        MaxEnt.from_density(maxent.solve([1, 0, 1], support=(-math.inf, math.inf)))


def test_inside_other_distributions():
    law = MaxEnt(*three())
    x = law.sample((7,))
    joint = Independent(law, 1)
    assert joint.event_shape == (3,)
    torch.testing.assert_close(joint.log_prob(x), law.log_prob(x).sum(-1))
    torch.testing.assert_close(joint.entropy(), law.entropy().sum())
    other = Independent(MaxEnt(law.coefficients * 0.5, law.low, law.high), 1)
    torch.testing.assert_close(
        kl_divergence(joint, other), kl_divergence(law, other.base_dist).sum()
    )
    logs = TransformedDistribution(law, [ExpTransform()])
    torch.testing.assert_close(logs.log_prob(x.exp()), law.log_prob(x) - x)
    torch.testing.assert_close(logs.icdf(logs.cdf(x.exp())), x.exp())
    assert logs.rsample((2,)).shape == (2, 3)
    weights = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    same = MaxEnt(three()[0], 0.0, 2.0)
    mixture = MixtureSameFamily(Categorical(weights), same)
    y = torch.linspace(0.1, 1.9, 5, dtype=torch.float64)
    torch.testing.assert_close(mixture.cdf(y), same.cdf(y[:, None]) @ weights)
    torch.testing.assert_close(mixture.log_prob(y).exp(), same.log_prob(y[:, None]).exp() @ weights)
    assert mixture.sample((4,)).shape == (4,)
    torch.testing.assert_close(mixture.mean, same.mean @ weights)
    layer = Copula1d(2, target=MaxEnt(torch.tensor([0.0, -30.0]), -3.0, 3.0), strength=100.0)
    out = layer(torch.randn(2000, 2))
    assert (out.abs() <= 3).all() and out.std() < 1.0


def test_expand():
    law = MaxEnt(*three())
    wide = law.expand((5, 3))
    assert isinstance(wide, MaxEnt) and wide.batch_shape == (5, 3)
    x = wide.sample()
    torch.testing.assert_close(wide.log_prob(x), law.log_prob(x))
    torch.testing.assert_close(wide.mean[2], law.mean)
    with pytest.raises(ValueError, match="support"):
        wide.log_prob(x + 10)


def test_divergence():
    law, wider = MaxEnt(*three()), MaxEnt(three()[0] * 0.3, -2.0, 4.0)
    torch.manual_seed(2)
    x = law.sample((10_000,))
    by_draws = (law.log_prob(x) - wider.log_prob(x)).mean(0)
    got = kl_divergence(law, wider)
    assert (got > 0).all()
    torch.testing.assert_close(got, by_draws, rtol=0, atol=0.03)
    assert (kl_divergence(wider, law) == math.inf).all()  # mass where law has none
    uniform = MaxEnt(torch.zeros(1, dtype=torch.float64), law.low, law.high)
    torch.testing.assert_close(
        kl_divergence(law, uniform), torch.log(law.high - law.low) - law.entropy()
    )
    with pytest.raises(NotImplementedError):
        kl_divergence(law, Normal(0.0, 1.0))


def test_copies():
    c = torch.nn.Parameter(torch.tensor([0.3, -1.0]))
    law = MaxEnt(c.detach(), 0.0, 2.0)
    x = law.sample((4,))
    for twin in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
        assert torch.equal(twin.log_prob(x), law.log_prob(x))
        assert twin.batch_shape == law.batch_shape
    assert "degree: 2" in repr(law)


def test_coefficients_changed_in_place_are_followed():
    """An optimiser's step moves the density, cuts and all; gradients after no_grad are there."""
    c = torch.nn.Parameter(torch.tensor([0.0, 0.0], dtype=torch.float64))
    law = MaxEnt(c)
    with torch.no_grad():
        law.log_prob(torch.zeros(1))
        c += torch.tensor([3000.0, -2500.0])
    assert law.log_prob(torch.tensor(0.3)).requires_grad
    fresh = MaxEnt(c.detach().clone())
    torch.testing.assert_close(law.entropy(), fresh.entropy(), rtol=1e-12, atol=0)
    assert law.entropy().item() == pytest.approx(math.log(0.01 * math.sqrt(2 * math.pi * math.e)))
    with torch.inference_mode():
        inferred = MaxEnt(torch.zeros(2))
        assert inferred.icdf(torch.tensor(0.25)).item() == pytest.approx(-0.5)


def test_func_transforms():
    c, low, high = three()
    x, u = inside(low, high, 4), torch.rand(4, 3, dtype=torch.float64)
    law = MaxEnt(c, low, high)

    def one(c, low, high, x, u):
        law = MaxEnt(c, low, high, validate_args=False)
        return torch.stack([law.log_prob(x), law.cdf(x), law.icdf(u)])

    many = torch.func.vmap(one, in_dims=(0, 0, 0, 1, 1), out_dims=2)(c, low, high, x, u)
    torch.testing.assert_close(many, torch.stack([law.log_prob(x), law.cdf(x), law.icdf(u)]))
    grads = torch.func.vmap(
        torch.func.grad(lambda *args: one(*args).sum()), in_dims=(0, 0, 0, 1, 1)
    )(c, low, high, x, u)
    leaf = c.clone().requires_grad_()
    (whole,) = torch.autograd.grad(
        sum(
            f.sum()
            for f in (
                MaxEnt(leaf, low, high).log_prob(x),
                MaxEnt(leaf, low, high).cdf(x),
                MaxEnt(leaf, low, high).icdf(u),
            )
        ),
        leaf,
    )
    torch.testing.assert_close(grads, whole)
    direction = torch.ones_like(c)
    _, slope = torch.func.jvp(lambda c: MaxEnt(c, low, high).icdf(u), (c,), (direction,))
    jacobian = torch.func.jacrev(lambda c: MaxEnt(c, low, high).icdf(u))(c)
    torch.testing.assert_close(slope, (jacobian * direction).sum((-2, -1)))
    hessian = torch.func.hessian(lambda c: MaxEnt(c).entropy())(c[0])
    torch.testing.assert_close(hessian, hessian.T)
