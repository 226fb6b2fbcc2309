"""The layers as citizens of PyTorch: BatchNorm's habits, and where it falls short, better ones."""

import copy
import inspect
import io
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import torch_bridge
from torch_bridge import Copula, Copula1d, Copula2d, Copula3d

pytestmark = pytest.mark.filterwarnings("ignore:the cubic evaluation map")

MAPS = ["quantile", "linear", "cubic"]
SHAPES = {Copula1d: (8, 5), Copula2d: (4, 5, 3, 3), Copula3d: (3, 5, 2, 3, 2), Copula: (6, 5, 4)}


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert list(a) == list(b)
    return all(torch.equal(a[name], b[name]) for name in a)


def test_signature_begins_like_batch_norms():
    ours = list(inspect.signature(Copula2d).parameters.values())
    theirs = list(inspect.signature(nn.BatchNorm2d).parameters.values())
    count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in theirs)
    for a, b in zip(ours[:count], theirs[:count], strict=True):
        assert (a.name, a.default, a.kind) == (b.name, b.default, b.kind)
    assert ours[count].name == "bias" and ours[count].kind is ours[count].KEYWORD_ONLY
    assert not issubclass(Copula2d, nn.modules.batchnorm._BatchNorm)


@pytest.mark.parametrize("layer", SHAPES)
def test_ranks_of_input(layer):
    shape = SHAPES[layer]
    x = torch.randn(shape)
    module = layer(5)
    assert module(x).shape == shape
    assert module.eval()(x).shape == shape
    assert "5, eps=1e-05" in repr(module)
    with pytest.raises(ValueError, match="expected 5 features"):
        module(torch.randn(shape[0], 6, *shape[2:]))
    with pytest.raises(ValueError, match="expected"):
        module(torch.randn(4))
    if layer is not Copula:
        with pytest.raises(ValueError, match="D input"):
            module(torch.randn(2, 5, *[2] * 5))


@pytest.mark.parametrize("name", ["Copula", "Copula1d", "Copula2d", "Copula3d"])
def test_lazy_becomes_the_plain_class(name):
    plain, lazy = getattr(torch_bridge, name), getattr(torch_bridge, "Lazy" + name)
    x = torch.randn(SHAPES[plain])
    for options in ({}, {"affine": False}, {"bias": False}, {"track_running_stats": False}):
        module = lazy(eval_map="cubic", **options)
        y = module(x)
        assert type(module) is plain and module.num_features == 5
        torch.testing.assert_close(y, plain(5, eval_map="cubic", **options)(x))
        assert module.eval()(x).shape == x.shape


@pytest.mark.parametrize("eval_map", MAPS)
def test_copies_are_bitwise(eval_map):
    module = Copula1d(5, eval_map=eval_map)
    x = torch.randn(64, 5)
    module(x)
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    loaded = Copula1d(5, eval_map=eval_map)
    loaded.load_state_dict(torch.load(stored))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded):
        assert same_state(module, twin)
        torch.manual_seed(0)
        assert torch.equal(twin(x), copy.deepcopy(module)(x))
    with torch.no_grad():
        fresh = Copula1d(5, eval_map=eval_map, device="meta").to_empty(device="cpu")
        fresh.reset_parameters()
        assert same_state(fresh, Copula1d(5, eval_map=eval_map))


@pytest.mark.parametrize("eval_map", MAPS)
def test_loads_a_batch_norm(eval_map):
    """Strictly; evaluation then is close to BatchNorm's, whose columns it takes to be normal."""
    norm = nn.BatchNorm1d(5)
    norm(3 + 2 * torch.randn(512, 5))
    with torch.no_grad():
        norm.weight.uniform_()
        norm.bias.uniform_()
    for version in (2, None, 1):
        state = norm.state_dict()
        if version is None:
            state._metadata.clear()
        else:
            state._metadata[""]["version"] = version
        if version == 1:
            del state["num_batches_tracked"]
        module = Copula1d(5, eval_map=eval_map)
        module.load_state_dict(state)
        x = 3 + 2 * torch.randn(100, 5)
        torch.testing.assert_close(module.eval()(x), norm.eval()(x), rtol=1e-3, atol=1e-3)
    incomplete = module.state_dict()
    own = "running_bins" if eval_map == "quantile" else "running_sums"
    del incomplete[own]
    with pytest.raises(RuntimeError, match=own):
        Copula1d(5, eval_map=eval_map).load_state_dict(incomplete)


def test_buffers_are_updated_in_place_and_as_batch_norms():
    module, norm = Copula1d(5), nn.BatchNorm1d(5)
    before = {name: value.data_ptr() for name, value in module.named_buffers()}
    for _ in range(3):
        x = torch.randn(32, 5) + 2
        module(x), norm(x)
    assert before == {name: value.data_ptr() for name, value in module.named_buffers()}
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(module, name), getattr(norm, name))
    module.eval()(x)
    assert module.num_batches_tracked == 3


@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(parameters, given):
    for eval_map in MAPS:
        module = Copula2d(5, dtype=parameters, eval_map=eval_map)
        assert module.running_mean.dtype == torch.float32
        x = torch.randn(4, 5, 3, 3).to(given).requires_grad_()
        y = module(x)
        assert y.dtype == given
        y.float().pow(2).sum().backward()
        assert x.grad.dtype == given
        assert module.eval()(x).dtype == given
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Copula1d(5)(nn.Linear(3, 5)(torch.randn(7, 3))).dtype == torch.bfloat16


def test_channels_last_is_kept():
    x = torch.randn(4, 5, 6, 7)
    last = x.contiguous(memory_format=torch.channels_last)
    for eval_map in MAPS:
        module = Copula2d(5, eval_map=eval_map)
        for mode in (True, False):
            module.train(mode)
            y = module(last)
            assert y.is_contiguous(memory_format=torch.channels_last)
            twin = copy.deepcopy(module)
            torch.testing.assert_close(twin.eval()(last), twin(x))
    module = Copula2d(5)
    torch.testing.assert_close(module(last), Copula2d(5)(x))


def test_batches_of_one_and_none():
    with pytest.raises(ValueError) as theirs:
        nn.BatchNorm1d(5)(torch.randn(1, 5))
    with pytest.raises(ValueError) as ours:
        Copula1d(5)(torch.randn(1, 5))
    assert str(ours.value) == str(theirs.value)
    assert Copula1d(5).eval()(torch.randn(1, 5)).shape == (1, 5)
    module = Copula1d(5)
    before = copy.deepcopy(module)
    assert module(torch.randn(0, 5)).shape == (0, 5)
    assert same_state(module, before)


def test_a_missing_value_stays_in_its_column():
    x = torch.randn(40, 5)
    dirty = x.clone()
    dirty[7, 2] = float("nan")
    good = [0, 1, 3, 4]
    for eval_map in MAPS:
        a, b = Copula1d(5, eval_map=eval_map), Copula1d(5, eval_map=eval_map)
        y, z = a(x), b(dirty)
        assert torch.equal(y[:, good], z[:, good]) and z[:, 2].isnan().all()
        y, z = a.eval()(x), b.eval()(x)
        assert torch.equal(y[:, good], z[:, good])


def test_checkpointing_updates_once():
    x = torch.randn(32, 5, requires_grad=True)
    plain = Copula1d(5)
    plain(x).sum().backward()
    for reentrant in (True, False):
        module = Copula1d(5)
        checkpoint(module, x, use_reentrant=reentrant).sum().backward()
        assert same_state(module, plain)


def test_without_statistics_evaluation_uses_the_batch():
    module = Copula1d(5, track_running_stats=False)
    x = torch.randn(32, 5)
    assert torch.equal(module(x), module.eval()(x))
    assert not list(module.buffers())


def test_vmap_over_models_and_double_backward():
    x = torch.randn(3, 16, 5, dtype=torch.float64)
    module = Copula1d(5, track_running_stats=False, dtype=torch.float64)
    many = torch.func.vmap(module)(x)
    torch.testing.assert_close(many, torch.stack([module(part) for part in x]))
    evaluated = Copula1d(5, dtype=torch.float64).eval()
    torch.testing.assert_close(
        torch.func.vmap(evaluated)(x), torch.stack([evaluated(part) for part in x])
    )
    leaf = x[0].clone().requires_grad_()
    for training in (module, evaluated):
        assert torch.autograd.gradgradcheck(lambda v, f=training: f(v).sin(), (leaf,))


def test_a_convolution_trains():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        Copula2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        torch_bridge.LogShift(8),
        nn.Linear(8, 2),
    )
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    x, labels = torch.randn(64, 3, 8, 8), torch.arange(64) % 2
    x[labels == 1] += 0.5
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(net(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    state = net.state_dict()
    net.load_state_dict(state)


def test_deterministic_mode_repeats_bitwise():
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.randn(500, 5, requires_grad=True)
        results = []
        for _ in range(2):
            module = Copula1d(5)
            y = module(x)
            (slope,) = torch.autograd.grad(y.pow(3).sum(), x)
            results.append((y, slope, module.running_bins.clone()))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


def count_graphs(module):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, backend=backend), graphs


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("eval_map", MAPS)
def test_traces_as_one_graph_for_all_batch_sizes(eval_map, momentum):
    """fullgraph, training and evaluation, at most two graphs for batches of 5, 16, 17, 33."""
    module = Copula1d(4, eval_map=eval_map, momentum=momentum)
    twin = copy.deepcopy(module)
    compiled, graphs = count_graphs(module)
    for n in (5, 16, 17, 33):
        x = torch.randn(n, 4)
        torch.testing.assert_close(compiled(x), twin(x))
    assert len(graphs) <= 2
    assert same_state(module, twin)
    module.training = twin.training = False  # eval() would warn of the cubic
    compiled, graphs = count_graphs(module)
    for n in (5, 16, 17, 33):
        x = torch.randn(n, 4)
        torch.testing.assert_close(compiled(x), twin(x))
    assert len(graphs) <= 2
    torch._dynamo.reset()


def test_shift_layers_trace_as_one_graph():
    for layer in (torch_bridge.LogShift(4), torch_bridge.SqrtShift(4)):
        compiled, graphs = count_graphs(layer)
        for n in (5, 16, 17):
            x = torch.randn(n, 4, requires_grad=True)
            (a,) = torch.autograd.grad(compiled(x).sum(), x)
            (b,) = torch.autograd.grad(layer(x).sum(), x)
            torch.testing.assert_close(a, b)
        assert len(graphs) <= 2
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: Copula2d(4),
        lambda: Copula2d(4, eval_map="cubic"),
        lambda: torch_bridge.LogShift(4),
    ],
)
def test_inductor(make):
    """Compiled by inductor, backward too, in training and evaluation."""
    torch._dynamo.reset()
    module = make()
    twin = copy.deepcopy(module)
    compiled = torch.compile(module, fullgraph=True)
    for mode in (True, False):
        module.training = twin.training = mode
        for n in (6, 9):
            x = torch.randn(n, 4, 3, 3, requires_grad=True)
            g = torch.randn(n, 4, 3, 3)
            y, z = compiled(x), twin(x)
            torch.testing.assert_close(y, z, rtol=1e-4, atol=1e-5)
            (a,), (b,) = torch.autograd.grad(y, x, g), torch.autograd.grad(z, x, g)
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    torch._dynamo.reset()
