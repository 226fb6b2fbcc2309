"""Layers on a GPU: the CPU's answers, no word with the host, captured in a CUDA graph."""

import copy
import os

import pytest
import torch

from tests.torch.columns import battery
from torch_bridge import (
    Copula1d,
    Copula2d,
    LogShift,
    MaxEnt,
    MomentMatch1d,
    MomentMatch2d,
    SqrtShift,
)
from torch_bridge.functional import copula_transform, dual_solve, moment_match, soft_rank
from torch_bridge.losses import MomentLoss, NegentropyLoss

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic products
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype"),
]


@pytest.fixture(autouse=True)
def the_host_may_ask_again():
    yield
    torch.cuda.set_sync_debug_mode("default")


LAYERS = {
    "moment_match": lambda c: MomentMatch1d(c),
    "copula": lambda c: Copula1d(c),
    "log_shift": lambda c: LogShift(c),
    "sqrt_shift": lambda c: SqrtShift(c),
}


def columns(n=2048):
    """(n, columns) float32 of the battery that float32 can hold."""
    return torch.stack(list(battery(n).values()), 1).float()


def step(layer, x, g):
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(g)
    return y.detach(), x.grad


def apart(a, b, least=0.0):
    """Largest difference of a column, in units of the column's largest value, or of `least`:
    outputs of constant columns are 0 to rounding.
    """
    a, b = a.detach().cpu().double().flatten(1), b.detach().cpu().double().flatten(1)
    same = a == b  # infinite variances too
    size = b.abs().amax(0)
    difference = torch.where(same, 0.0, a - b).abs().amax(0)
    return (difference / torch.where(size > 0, size, 1.0).clamp_min(least)).max().item()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_layer_trains_and_evaluates_as_on_the_cpu(name, dtype):
    x = columns().to(dtype)
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    here = LAYERS[name](x.shape[1]).double()
    there = LAYERS[name](x.shape[1]).cuda()
    if dtype == torch.float64:
        there.double()
    tolerance = {torch.float32: 2e-4, torch.bfloat16: 2e-2, torch.float64: 1e-7}[dtype]
    expected, slopes = step(here, x.double(), g.double())
    found, their_slopes = step(there, x.cuda(), g.cuda())
    assert found.dtype == dtype and found.is_cuda
    assert torch.isfinite(found).all() and torch.isfinite(their_slopes).all()
    assert apart(found, expected, 1.0) < tolerance
    assert apart(their_slopes, slopes) < 10 * tolerance
    # float32 has no number for a variance of 1e60: that column's running statistics are others
    kept = [i for i, column in enumerate(battery()) if column != "huge"]
    for key, own in here.state_dict().items():
        if own.is_floating_point() and own.ndim == 1:
            assert apart(there.state_dict()[key].cpu()[None, kept], own[None, kept]) < 1e-4, key
    here.eval(), there.eval()
    found, expected = there(x.cuda()).cpu(), here(x.double())
    assert apart(found[:, kept], expected[:, kept], 1.0) < 5 * tolerance


@pytest.mark.parametrize("layer", [MomentMatch2d, Copula2d])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_convolutions(layer, form):
    x = torch.randn(16, 5, 24, 24, generator=torch.Generator().manual_seed(0)).exp()
    x = x.contiguous(memory_format=form)
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    expected, slopes = step(layer(5), x, g)
    found, their_slopes = step(layer(5).cuda(), x.cuda(), g.cuda())
    assert found.is_contiguous(memory_format=form)
    columns_of = [v.movedim(1, -1).reshape(-1, 5) for v in (found, expected, their_slopes, slopes)]
    assert apart(*columns_of[:2]) < 1e-4
    assert apart(*columns_of[2:]) < 1e-3


@pytest.mark.parametrize("name", LAYERS)
def test_a_training_step_asks_the_host_nothing_and_is_captured_in_a_graph(name):
    x = columns(512).cuda()
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).cuda()
    layer = LAYERS[name](x.shape[1]).cuda()
    expected = step(copy.deepcopy(layer), x, g)
    static = x.clone().requires_grad_()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # compiles, and makes the constants
            static.grad = None
            copy.deepcopy(layer)(static).backward(g)
        torch.cuda.set_sync_debug_mode("error")
        static.grad = None
        layer(static).backward(g)
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.current_stream().wait_stream(stream)
    layer.reset_parameters()
    graph = torch.cuda.CUDAGraph()
    static.grad = None
    with torch.cuda.graph(graph):
        y = layer(static)
        y.backward(g)
    with torch.no_grad():
        static.copy_(x.flip(0))
    graph.replay()
    torch.cuda.synchronize()
    assert apart(y, expected[0].flip(0)) < 1e-4
    flipped = step(LAYERS[name](x.shape[1]).cuda(), x.flip(0), g)
    assert apart(static.grad, flipped[1]) < 1e-3


def test_a_nan_column_leaves_its_neighbours_as_they_are():
    x = columns(512).cuda()
    spoilt = x.clone()
    spoilt[3, 4] = float("nan")
    others = [c for c in range(x.shape[1]) if c != 4]
    for function in (moment_match, copula_transform):
        y, z = function(x), function(spoilt)
        assert torch.isnan(z[:, 4]).any()
        assert torch.isfinite(z[:, others]).all()
        assert apart(z[:, others], y[:, others]) < 1e-6


def test_the_solver_and_the_distribution():
    m = torch.tensor([[0.1, -0.5, 0.05, 0.1, 0.0, 0.02]], dtype=torch.float64)
    c, _ = dual_solve(m)
    their, their_info = dual_solve(m.cuda())
    assert torch.allclose(their.cpu(), c, atol=1e-9) and their_info.status.item() == 0
    here, there = MaxEnt(c[0]), MaxEnt(c[0].cuda())
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    assert torch.allclose(there.icdf(u.cuda()).cpu(), here.icdf(u), atol=1e-8)
    assert torch.allclose(there.log_prob(here.icdf(u).cuda()).cpu(), here.log_prob(here.icdf(u)))
    assert there.rsample((5,)).is_cuda


def test_losses():
    z = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    for loss in (MomentLoss(), NegentropyLoss()):
        here, there = z.clone().requires_grad_(), z.cuda().requires_grad_()
        a, b = loss(here), copy.deepcopy(loss).cuda()(there)
        a.backward(), b.backward()
        assert abs(a.item() - b.item()) < 1e-4 * (1 + abs(a.item()))
        assert apart(there.grad, here.grad) < 1e-3


def test_soft_ranks():
    x = columns()
    for strength in (0.1, 10.0, float("inf")):
        assert apart(soft_rank(x.cuda(), strength), soft_rank(x, strength)) < 1e-6


@pytest.mark.parametrize("shape", [(100_000, 3, 1), (64, 3, 1600)])
def test_a_copula_is_right_within_its_window_and_beyond(shape):
    """Normal, heavy-tailed and with one value 1e6 standard deviations out, against float64."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x[:, 1] = (1.2 * x[:, 1]).exp()
    x[0, 2, 0] = 1e6
    g = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    here, there = x.double().requires_grad_(), x.cuda().requires_grad_()
    u = copula_transform(here, target="uniform", dim=(0, 2))
    v = copula_transform(there, target="uniform", dim=(0, 2))
    assert (u - v.cpu()).abs().max() < 1e-6
    u.backward(g.double()), v.backward(g.cuda())
    error = (here.grad - there.grad.cpu()).abs().amax((0, 2))
    assert (error < 1e-5 * here.grad.abs().amax((0, 2))).all()
    y, z = copula_transform(here, dim=(0, 2)), copula_transform(there, dim=(0, 2))
    assert (y - z.cpu()).abs().max() < 4e-6


def test_deterministic_algorithms_repeat_bitwise():
    x = torch.randn(4096, 5, generator=torch.Generator().manual_seed(0)).cuda()
    g = torch.randn(4096, 5, generator=torch.Generator().manual_seed(1)).cuda()
    torch.use_deterministic_algorithms(True)
    try:
        for name in ("copula", "moment_match"):
            first, second = (step(LAYERS[name](5).cuda(), x, g) for _ in range(2))
            assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


def test_second_derivatives():
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
    found = []
    for device in ("cpu", "cuda"):
        z = x.to(device).requires_grad_()
        (first,) = torch.autograd.grad(moment_match(z).square().sum(), z, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), z)
        found.append(second)
    assert apart(found[1], found[0]) < 1e-2


def test_compiled():
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(0)).cuda()
    g = torch.randn(256, 4, generator=torch.Generator().manual_seed(1)).cuda()
    for name in ("copula", "moment_match"):
        layer = LAYERS[name](4).cuda()
        expected = step(copy.deepcopy(layer), x, g)
        found = step(torch.compile(layer, fullgraph=True), x, g)
        assert apart(found[0], expected[0]) < 1e-4
        assert apart(found[1], expected[1]) < 1e-3
