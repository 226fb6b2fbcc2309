"""The moment-matching layer: shapes it gives, derivatives, degenerate columns, evaluation."""

import copy
import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.autograd.gradcheck import GradcheckError

import maxent
import torch_bridge
from maxent.status import Status
from tests.torch.columns import battery, squashed
from torch_bridge import MomentMatch, MomentMatch1d, MomentMatch2d, moment_matching
from torch_bridge.functional import moment_match
from torch_bridge.ops.dual_solve import operators

DTYPES = [torch.float32, torch.bfloat16, torch.float64]


def columns_of(names, n=2048, seed=0, dtype=torch.float64):
    found = battery(n, seed)
    return torch.stack([found[name] for name in names], 1).to(dtype)


def shape_of(y):
    y = y.detach().double().numpy()
    return scipy.stats.kstest(y, "norm").statistic, scipy.stats.kurtosis(y, fisher=False)


def test_shapes_of_five_columns():
    """KS distance to N(0, 1) and kurtosis at N = 2048, k = 6, the mean over four draws."""
    names = ["normal", "lognormal", "cubic", "bimodal", "t3"]
    found = []
    for seed in range(4):
        y = moment_match(columns_of(names, seed=seed, dtype=torch.float32))
        found.append([shape_of(column) for column in y.T])
    ks, kurtosis = np.array(found).mean(0).T
    limits = [0.02, 0.065, 0.16, 0.02, 0.02]
    assert (ks <= limits).all(), ks
    assert ((kurtosis >= 2) & (kurtosis <= 5.5)).all(), kurtosis
    raw = columns_of(names)
    before = [shape_of((c - c.mean()) / c.std())[0] for c in raw.T]
    assert (ks[1:] < 0.75 * np.array(before[1:])).all()


def test_exact_moments_on_the_range_of_the_data():
    """ridge 0, float64: the first k moments of the matched density are the batch's."""
    x = columns_of(["normal", "lognormal", "bimodal", "t3", "uniform"])
    _, found = moment_matching.fit(x[:, :, None], 6, "data", 1e-5, 0.0)
    assert (found.info.status == 0).all()
    nodes, weights = np.polynomial.legendre.leggauss(300)
    for c, column in zip(found.coefficients, x.T, strict=True):
        density = np.polynomial.chebyshev.Chebyshev([0.0, *c.numpy()])
        p = weights * np.exp(density(nodes))
        low, high = column.min().item(), column.max().item()
        place = (2 * column.numpy() - low - high) / (high - low)
        for j in range(1, 7):
            ours = (p * nodes**j).sum() / p.sum()
            assert abs(ours - (place**j).mean()) < 1e-10


def test_is_the_core_density_carried_to_the_normal():
    """y = Phi^-1(F(t)) with F the cdf of maxent.solve's answer to the same moments."""
    x = columns_of(["normal", "uniform", "t3"])
    y = moment_match(x, ridge=0.0)
    for column, ours in zip(x.T, y.T, strict=True):
        t = squashed(column).numpy()
        m = np.polynomial.chebyshev.chebvander(t, 6).mean(0)
        density = maxent.solve(m, support=(-1, 1), kind="chebyshev")
        inner = abs(t) < 0.95
        theirs = -scipy.stats.norm.ppf(density.sf(t[inner]))
        assert abs(ours.numpy()[inner] - theirs).max() < 2e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("support", ["real", "data", (-2.0, 8.0)])
def test_battery_is_finite_and_a_missing_value_stays_in_its_column(support, dtype):
    found = battery()
    x = torch.stack([*found.values(), found["normal"]], 1).to(dtype).requires_grad_()
    g = torch.randn_like(x)
    module = MomentMatch(x.shape[1], support=support)
    y = module(x)
    (slope,) = torch.autograd.grad(y, x, g)
    assert y.dtype == slope.dtype == dtype
    assert torch.isfinite(y).all() and torch.isfinite(slope).all()
    dirty = x.detach().clone()
    dirty[17, -1] = math.nan
    dirty.requires_grad_()
    z = MomentMatch(x.shape[1], support=support)(dirty)
    (other,) = torch.autograd.grad(z, dirty, g)
    assert torch.equal(z[:, :-1], y[:, :-1]) and torch.equal(other[:, :-1], slope[:, :-1])
    assert z[:, -1].isnan().all()
    if support == "real":
        status = dict(zip(found, module.status.tolist(), strict=False))
        for name in ("zero", "constant", "sparse", "binary", "outlier"):
            assert status[name] == Status.ATOMIC.value
        assert module.steps.max() <= 12 or dtype == torch.float64
        # a constant column gives the bias
        with torch.no_grad():
            module.bias.fill_(0.5)
        for name in ("zero", "constant"):
            y = module(x)[:, list(found).index(name)]
            assert (y - 0.5).abs().max() < 1e-2
        clean = module.eval()(x.float())
        assert torch.isfinite(clean).all()


def small(names, n=6):
    return columns_of(names, n=6, seed=3)[:n].clone().requires_grad_()


def zero_and_sparse(n=6):
    x = torch.zeros(n, 2, dtype=torch.float64)
    x[3, 1] = 1.0
    return x.requires_grad_()


@pytest.mark.parametrize(
    "support", ["real", pytest.param((-3.0, 6.0), marks=pytest.mark.slow)]
)
def test_derivatives(support):
    module = MomentMatch(2, support=support, dtype=torch.float64, track_running_stats=False)
    for x in (small(["normal", "lognormal"]), zero_and_sparse()):
        assert torch.autograd.gradcheck(
            module, (x,), eps=1e-6, atol=1e-4, rtol=1e-4, check_forward_ad=True
        )
    x = small(["normal", "lognormal"], 4)
    assert torch.autograd.gradgradcheck(module, (x,), atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["uniform", "logistic", "laplace", "moments"])
def test_derivatives_of_targets(target):
    learn = target == "moments"
    module = MomentMatch(
        2, target="normal" if learn else target, learn_target=learn, dtype=torch.float64,
        track_running_stats=False,
    )
    x = small(["normal", "lognormal"], 7)
    assert torch.autograd.gradcheck(module, (x,), atol=1e-4, rtol=1e-4, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(module, (x,), atol=1e-3, rtol=1e-3)
    if learn:
        values = {"weight": module.weight.detach(), "bias": module.bias.detach()}
        start = module.target_moments.detach().clone().requires_grad_()

        def by_target(moments):
            return torch.func.functional_call(module, values | {"target_moments": moments}, (x,))

        assert torch.autograd.gradcheck(by_target, (start,), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 0.0])
def test_a_damped_or_missing_solve_fails_the_check(factor, monkeypatch):
    full = operators.solve_with_hessian
    monkeypatch.setattr(operators, "solve_with_hessian", lambda *args: factor * full(*args))
    module = MomentMatch(2, dtype=torch.float64, track_running_stats=False)
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(module, (small(["normal", "lognormal"]),), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [
    {}, {"support": "data"}, {"support": (-4.0, 9.0)}, {"target": "logistic"}, {"degree": 4},
    {"learn_target": True},
])
def test_evaluation(options):
    """The map of the running moments: near training's, inverted, its slope known, frozen."""
    x = columns_of(["normal", "lognormal", "bimodal"], n=500)
    module = MomentMatch(3, momentum=None, dtype=torch.float64, **options)
    with torch.no_grad():
        module.weight.uniform_(0.5, 2.0)
        module.bias.uniform_()
    trained = module(x)
    module.eval()
    y = module(x)
    # the unbiased variance is the only difference
    assert (y - trained).abs().max() < 0.03 * trained.std()
    assert (module.inverse(y) - x).abs().max() < 1e-8
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(module(leaf).sum(), leaf)
    torch.testing.assert_close(module.log_abs_det_jacobian(x), slope.log())
    assert (module.freeze()(x) - y).abs().max() < 2e-3 * y.std()
    for method in ("inverse", "log_abs_det_jacobian"):
        with pytest.raises(RuntimeError, match="eval"):
            getattr(module.train(), method)(x)


def test_evaluation_in_float32():
    x = columns_of(["normal", "lognormal", "t3"], n=500, dtype=torch.float32)
    module = MomentMatch(3, momentum=None)
    module(x)
    module.eval()
    back = module.inverse(module(x))
    assert ((back - x).abs() / (1 + x.abs())).max() < 1e-5


def test_the_table_follows_its_sources():
    """Whatever changes the statistics changes evaluation, without a call to eval()."""
    x = columns_of(["normal", "lognormal"], dtype=torch.float32)
    trained = MomentMatch(2, momentum=None)
    trained(x)
    trained.eval()
    fresh = MomentMatch(2).eval()
    fresh(x)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(x), trained(x))
    flag = MomentMatch(2, momentum=None)
    flag(x)
    flag.training = False
    torch.testing.assert_close(flag(x), trained(x))
    copied = copy.deepcopy(trained)
    with torch.no_grad():
        copied.running_moments.mul_(0.5)
    assert not torch.equal(copied(x), trained(x))
    swapped = dict(trained.named_buffers()) | dict(trained.named_parameters())
    swapped["running_moments"] = copied.running_moments
    y = torch.func.functional_call(trained, swapped, (x,))
    torch.testing.assert_close(y, copied(x))


def test_running_moments_average_moments():
    """Two batches with momentum None: the mean of their moments, solved."""
    a, b = (columns_of(["normal", "lognormal"], seed=seed) for seed in (0, 1))
    module = MomentMatch(2, momentum=None, dtype=torch.float64)
    found = []
    for part in (a, b):
        module(part)
        _, fit = moment_matching.fit(part[:, :, None], 6, "real", 1e-5, 1e-4)
        found.append(fit.moments)
    torch.testing.assert_close(module.running_moments, (found[0] + found[1]) / 2)


def test_targets():
    x = columns_of(["normal", "lognormal", "t3"])
    uniform = moment_match(x, target="uniform")
    assert 0 <= uniform.min() and uniform.max() <= 1
    assert scipy.stats.kstest(uniform[:, 2], "uniform").statistic < 0.02
    gumbel = torch.distributions.Gumbel(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    y = moment_match(x, target=gumbel)
    assert scipy.stats.kstest(y[:, 2].numpy(), "gumbel_r").statistic < 0.02
    density = maxent.solve([1, 0, 1, 0, 2.5], support=(-math.inf, math.inf))
    y = moment_match(x, target=density)
    assert scipy.stats.kstest(y[:, 2].numpy(), density.cdf).statistic < 0.02
    # a density on [0, 2] by its first two moments in its own place
    y = moment_match(x, target=torch.tensor([0.2, -0.5]), target_support=(0.0, 2.0))
    place = y[:, 2] - 1
    assert y.min() >= 0 and y.max() <= 2
    assert abs(place.mean() - 0.2) < 0.02 and abs((2 * place**2 - 1).mean() + 0.5) < 0.03


def test_learning_a_target():
    """The target's moments move towards a bimodal output that the loss asks for."""
    torch.manual_seed(0)
    x = torch.randn(256, 2)
    module = MomentMatch(2, learn_target=True, affine=False, degree=4)
    before = module.target_moments.detach().clone()
    optimiser = torch.optim.Adam([module.target_moments], 0.01)
    losses = []
    for _ in range(30):
        y = module(x)
        loss = (y.square() - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert "target=learned" in repr(module)
    module.reset_parameters()
    assert torch.equal(module.target_moments, before)


def test_other_dimensions_and_layouts():
    x = columns_of(["normal", "lognormal"], n=60)
    y = moment_match(x)
    torch.testing.assert_close(moment_match(x.T.contiguous(), 1).T, y)
    grid = x.view(5, 3, 4, 2).permute(0, 3, 1, 2)
    torch.testing.assert_close(
        moment_match(grid, (0, 2, 3)), y.view(5, 3, 4, 2).permute(0, 3, 1, 2)
    )
    last = MomentMatch2d(2, affine=False, dtype=torch.float64)(
        grid.contiguous(memory_format=torch.channels_last)
    )
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert moment_match(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("options, match", [
    ({"degree": 17}, "degree"), ({"ridge": -1.0}, "ridge"), ({"support": "line"}, "support"),
    ({"support": (1.0, 1.0)}, "lo < hi"), ({"target": "cauchy"}, "target"),
    ({"target": torch.zeros(2, 3, 4)}, "target moments"),
])
def test_wrong_options(options, match):
    for call in (lambda: MomentMatch(3, **options), lambda: moment_match(torch.ones(4), **options)):
        with pytest.raises(ValueError, match=match):
            call()
    with pytest.raises(ValueError, match="learned"):
        MomentMatch(3, target="uniform", learn_target=True)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_traces_as_one_graph_for_all_batch_sizes(momentum):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    for mode in (True, False):
        module = MomentMatch1d(3, momentum=momentum)
        module(torch.randn(64, 3))
        module.train(mode)
        twin = copy.deepcopy(module).train(mode)
        torch._dynamo.reset()
        compiled = torch.compile(module, fullgraph=True, backend=backend)
        graphs.clear()
        for n in (5, 16, 17, 33):
            x = torch.randn(n, 3)
            torch.testing.assert_close(compiled(x), twin(x), rtol=1e-4, atol=1e-4)
        assert len(graphs) <= 2
        for name, value in twin.state_dict().items():
            torch.testing.assert_close(module.state_dict()[name], value, rtol=1e-4, atol=1e-4)
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_inductor():
    torch._dynamo.reset()
    module = MomentMatch2d(4)
    twin = copy.deepcopy(module)
    compiled = torch.compile(module, fullgraph=True)
    for mode in (True, False):
        module.train(mode), twin.train(mode)
        for n in (6, 9):
            x = torch.randn(n, 4, 3, 3, requires_grad=True)
            g = torch.randn(n, 4, 3, 3)
            y, z = compiled(x), twin(x)
            torch.testing.assert_close(y, z, rtol=1e-4, atol=1e-4)
            (a,), (b,) = torch.autograd.grad(y, x, g), torch.autograd.grad(z, x, g)
            torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)
    torch._dynamo.reset()


def test_export_with_a_dynamic_batch():
    module = MomentMatch1d(3)
    for _ in range(5):
        module(torch.randn(64, 3).exp())
    module.eval()
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(
        module, (torch.randn(8, 3),), dynamic_shapes={"x": {0: batch}}
    ).module()
    for n in (3, 50):
        x = 3 * torch.randn(n, 3)
        assert (exported(x) - module(x)).abs().max() <= 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning",
                            "ignore::FutureWarning")
def test_onnx(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    module = MomentMatch2d(3)
    for _ in range(5):
        module(torch.randn(16, 3, 4, 4).exp())
    module.eval()
    batch = torch.export.Dim("batch", min=2)
    path = tmp_path / "layer.onnx"
    torch.onnx.export(
        module, (torch.randn(8, 3, 4, 4),), path, dynamo=True, dynamic_shapes={"x": {0: batch}}
    )
    session = runtime.InferenceSession(path)
    for n in (3, 20):
        x = 3 * torch.randn(n, 3, 4, 4)
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert abs(y - module(x).detach().numpy()).max() <= 1e-5


def test_a_network_trains():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), MomentMatch2d(8), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 2),
    )
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    x, labels = torch.randn(64, 3, 8, 8), torch.arange(64) % 2
    x[labels == 1] += 0.5
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(net(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert (net[1].status == Status.SOLVED.value).all() and net[1].steps.max() <= 6


def test_public_names():
    for name in ("", "1d", "2d", "3d"):
        assert hasattr(torch_bridge, f"MomentMatch{name}")
        assert hasattr(torch_bridge, f"LazyMomentMatch{name}")
