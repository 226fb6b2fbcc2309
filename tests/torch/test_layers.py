"""The layers as citizens of PyTorch: BatchNorm's habits, and where it falls short, better ones.

Each test runs over KINDS: every norm layer and evaluation map there is.
"""

import ast
import copy
import inspect
import io
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import torch_bridge

pytestmark = pytest.mark.filterwarnings("ignore:the cubic evaluation map")

KINDS = {
    "quantile": ("Copula", {}),
    "linear": ("Copula", {"eval_map": "linear"}),
    "cubic": ("Copula", {"eval_map": "cubic"}),
    "moments": ("MomentMatch", {}),
}
FAMILIES = sorted({family for family, _ in KINDS.values()})
SHAPES = {"": (6, 5, 4), "1d": (8, 5), "2d": (4, 5, 3, 3), "3d": (3, 5, 2, 3, 2)}
SHIFTS = [torch_bridge.LogShift, torch_bridge.SqrtShift]
ROOT = Path(torch_bridge.__file__).parent

each_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, features=5, rank="1d", **options):
    family, own = KINDS[kind]
    return getattr(torch_bridge, family + rank)(features, **own, **options)


def same_state(a, b):
    a, b = dict(a.named_buffers()), dict(b.named_buffers())
    assert list(a) == list(b)
    return all(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)


# 1. Construction


@pytest.mark.parametrize("family", FAMILIES)
def test_signature_begins_like_batch_norms(family):
    for rank in SHAPES:
        layer = getattr(torch_bridge, family + rank)
        ours = list(inspect.signature(layer).parameters.values())
        theirs = list(inspect.signature(nn.BatchNorm2d).parameters.values())
        count = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in theirs)
        for a, b in zip(ours[:count], theirs[:count], strict=True):
            assert (a.name, a.default, a.kind) == (b.name, b.default, b.kind)
        assert ours[count].name == "bias"
        assert all(p.kind is p.KEYWORD_ONLY for p in ours[count:])
        assert not issubclass(layer, nn.modules.batchnorm._BatchNorm)


@pytest.mark.parametrize("rank", SHAPES)
@each_kind
def test_ranks_of_input(kind, rank):
    shape = SHAPES[rank]
    x = torch.randn(shape)
    module = make(kind, rank=rank)
    assert module(x).shape == shape
    assert module.eval()(x).shape == shape
    assert "5, eps=1e-05" in repr(module)
    with pytest.raises(ValueError, match="expected 5 features"):
        module(torch.randn(shape[0], 6, *shape[2:]))
    with pytest.raises(ValueError, match="expected"):
        module(torch.randn(4))
    if rank:
        with pytest.raises(ValueError, match="D input"):
            module(torch.randn(2, 5, *[2] * 5))


@pytest.mark.parametrize("rank", SHAPES)
@each_kind
def test_lazy_becomes_the_plain_class(kind, rank):
    family, own = KINDS[kind]
    plain = getattr(torch_bridge, family + rank)
    lazy = getattr(torch_bridge, "Lazy" + family + rank)
    x = torch.randn(SHAPES[rank])
    for options in ({}, {"affine": False}, {"bias": False}, {"track_running_stats": False}):
        module = lazy(**own, **options)
        y = module(x)
        assert type(module) is plain and module.num_features == 5
        torch.testing.assert_close(y, plain(5, **own, **options)(x))
        assert module.eval()(x).shape == x.shape


@each_kind
def test_copies_are_bitwise(kind):
    module = make(kind)
    x = torch.randn(64, 5)
    module(x)
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    loaded = make(kind)
    loaded.load_state_dict(torch.load(stored))
    stored = io.BytesIO()
    torch.save(module, stored)
    stored.seek(0)
    whole = torch.load(stored, weights_only=False)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), whole, loaded):
        if twin is not loaded:
            assert same_state(module, twin)
        assert all(
            torch.equal(value, twin.state_dict()[name])
            for name, value in module.state_dict().items()
        )
        for mode in (True, False):
            pair = copy.deepcopy(twin), copy.deepcopy(module)
            y, z = (each.train(mode)(x) for each in pair)
            assert torch.equal(y, z)
    with torch.no_grad():
        fresh = make(kind, device="meta").to_empty(device="cpu")
        fresh.reset_parameters()
    assert all(
        torch.equal(value, fresh.state_dict()[name])
        for name, value in make(kind).state_dict().items()
    )
    assert torch.equal(fresh(x), make(kind)(x))


# 2. State files


def within(norm):
    """Values up to two running standard deviations from the running mean."""
    z = torch.linspace(-2, 2, 41)[:, None]
    return norm.running_mean + z * norm.running_var.sqrt()


@pytest.mark.parametrize("version", [2, None, 1])
@each_kind
def test_loads_a_batch_norm(kind, version):
    """Strictly; evaluation then is close to BatchNorm's, whose columns it takes to be normal."""
    norm = nn.BatchNorm1d(5)
    norm(3 + 2 * torch.randn(512, 5))
    with torch.no_grad():
        norm.weight.uniform_()
        norm.bias.uniform_()
    state = norm.state_dict()
    if version is None:
        state._metadata.clear()
    else:
        state._metadata[""]["version"] = version
    if version == 1:
        del state["num_batches_tracked"]
    module = make(kind)
    module.load_state_dict(state)
    x = within(norm)
    torch.testing.assert_close(module.eval()(x), norm.eval()(x), rtol=0.02, atol=0.02)
    assert torch.equal(module.running_mean, norm.running_mean)
    for own in set(module.state_dict()) - set(norm.state_dict()):
        incomplete = module.state_dict()
        del incomplete[own]
        with pytest.raises(RuntimeError, match=own):
            make(kind).load_state_dict(incomplete)


@pytest.mark.parametrize("version", [1, 2])
@each_kind
def test_state_files_of_older_versions(kind, version):
    path = Path(__file__).with_name("data") / f"version_{version}.pt"
    state = torch.load(path)
    assert state._metadata[""]["version"] == version < make(kind)._version
    module, norm = make(kind), nn.BatchNorm1d(5)
    module.load_state_dict(state)
    norm.load_state_dict(torch.load(path))
    x = within(norm)
    torch.testing.assert_close(module.eval()(x), norm.eval()(x), rtol=0.02, atol=0.02)


@each_kind
def test_buffers_are_updated_in_place_and_as_batch_norms(kind):
    module, norm = make(kind), nn.BatchNorm1d(5)
    before = {name: value.data_ptr() for name, value in module.named_buffers()}
    for _ in range(3):
        x = torch.randn(32, 5) + 2
        module(x), norm(x)
    assert before == {name: value.data_ptr() for name, value in module.named_buffers()}
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(module, name), getattr(norm, name))
    module.eval()(x)
    assert module.num_batches_tracked == 3
    assert before == {name: value.data_ptr() for name, value in module.named_buffers()}
    assert isinstance(module.num_batches_tracked, torch.Tensor)


@each_kind
def test_without_statistics_evaluation_uses_the_batch(kind):
    module = make(kind, track_running_stats=False)
    x = torch.randn(32, 5)
    assert torch.equal(module(x), module.eval()(x))
    assert not module.state_dict().keys() & nn.BatchNorm1d(5, affine=False).state_dict().keys()


# 4. Dtypes and layouts


@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@each_kind
def test_dtypes(kind, parameters, given):
    module = make(kind, rank="2d", dtype=parameters)
    assert module.running_mean.dtype == torch.float32
    x = torch.randn(4, 5, 3, 3).to(given).requires_grad_()
    y = module(x)
    assert y.dtype == given
    y.float().pow(2).sum().backward()
    assert x.grad.dtype == given and torch.isfinite(x.grad).all()
    assert module.weight.grad.dtype == parameters
    assert module.eval()(x).dtype == given
    wide = make(kind, rank="2d")(x.detach().float())
    assert (y.float() - wide).abs().max() <= (0.1 if y.dtype.itemsize == 2 else 1e-3)


@each_kind
def test_autocast_is_batch_norms(kind):
    """bfloat16 in, bfloat16 out; float32 in, float32 out; statistics in float32 all the while."""
    x = torch.randn(17, 3)
    linear = nn.Linear(3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for given in (linear(x), x @ torch.ones(3, 5), torch.randn(17, 5)):
            ours, theirs = make(kind), nn.BatchNorm1d(5)
            assert ours(given).dtype == theirs(given).dtype == given.dtype
            for name, value in theirs.named_buffers():
                assert getattr(ours, name).dtype == value.dtype
                torch.testing.assert_close(
                    getattr(ours, name), value, rtol=1e-2, atol=1e-2
                )
        module = make(kind)
        exact = torch.randn(64, 5)
        inside = module(exact)
    torch.testing.assert_close(inside, make(kind)(exact))


@each_kind
def test_channels_last_is_kept(kind):
    x = torch.randn(4, 5, 6, 7)
    last = x.contiguous(memory_format=torch.channels_last)
    module = make(kind, rank="2d")
    for mode in (True, False):
        module.train(mode)
        y = module(last)
        assert y.is_contiguous(memory_format=torch.channels_last)
        twin = copy.deepcopy(module)
        torch.testing.assert_close(twin.eval()(last), twin(x))
    module = make(kind, rank="2d")
    torch.testing.assert_close(module(last), make(kind, rank="2d")(x))


# 5. Odd batches


@each_kind
def test_batches_of_one_and_none(kind):
    with pytest.raises(ValueError) as theirs:
        nn.BatchNorm1d(5)(torch.randn(1, 5))
    with pytest.raises(ValueError) as ours:
        make(kind)(torch.randn(1, 5))
    assert str(ours.value) == str(theirs.value)
    assert make(kind).eval()(torch.randn(1, 5)).shape == (1, 5)
    module = make(kind)
    before = copy.deepcopy(module)
    assert module(torch.randn(0, 5)).shape == (0, 5)
    assert same_state(module, before)
    assert module.eval()(torch.randn(0, 5)).shape == (0, 5)


@each_kind
def test_a_missing_value_stays_in_its_column(kind):
    x = torch.randn(40, 5)
    dirty = x.clone()
    dirty[7, 2] = float("nan")
    good = [0, 1, 3, 4]
    a, b = make(kind), make(kind)
    y, z = a(x), b(dirty)
    assert torch.equal(y[:, good], z[:, good]) and z[:, 2].isnan().all()
    y, z = a.eval()(x), b.eval()(x)
    assert torch.equal(y[:, good], z[:, good])


# 6. Compiled, exported


def count_graphs(module):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, backend=backend), graphs


@pytest.mark.parametrize("momentum", [0.1, None])
@each_kind
def test_traces_as_one_graph_for_all_batch_sizes(kind, momentum):
    """fullgraph, training and evaluation, at most two graphs for batches of 5, 16, 17, 33; compared
    in float64, since in float32 the sums of a cubic's powers are rounded in another order.
    """
    module = make(kind, 4, momentum=momentum).double()
    twin = copy.deepcopy(module)
    compiled, graphs = count_graphs(module)
    for n in (5, 16, 17, 33):
        x = torch.randn(n, 4, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), twin(x))
    assert len(graphs) <= 2
    for name, value in twin.named_buffers():
        torch.testing.assert_close(getattr(module, name), value)
    module.eval(), twin.eval()
    compiled, graphs = count_graphs(module)
    for n in (5, 16, 17, 33):
        x = torch.randn(n, 4, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), twin(x))
    assert len(graphs) <= 2
    torch._dynamo.reset()


@pytest.mark.parametrize("layer", SHIFTS)
def test_shift_layers_trace_as_one_graph(layer):
    layer = layer(4)
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
@pytest.mark.parametrize("name", [*KINDS, "LogShift", "SqrtShift"])
def test_inductor(name):
    """Compiled by inductor, backward too, in training and evaluation; in float64, since in float32
    a gradient through the solve is right to 1e-4 only, compiled or not."""
    torch._dynamo.reset()
    module = make(name, 4, "2d") if name in KINDS else getattr(torch_bridge, name)(4)
    module = module.double()
    twin = copy.deepcopy(module)
    compiled = torch.compile(module, fullgraph=True)
    for mode in (True, False):
        module.train(mode), twin.train(mode)
        for n in (6, 9):
            x = torch.randn(n, 4, 3, 3, dtype=torch.float64, requires_grad=True)
            g = torch.randn(n, 4, 3, 3, dtype=torch.float64)
            y, z = compiled(x), twin(x)
            torch.testing.assert_close(y, z, rtol=1e-4, atol=1e-5)
            (a,), (b,) = torch.autograd.grad(y, x, g), torch.autograd.grad(z, x, g)
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    torch._dynamo.reset()


def trained(name, x):
    """In evaluation mode, after two batches."""
    module = make(name, x.shape[1]) if name in KINDS else getattr(torch_bridge, name)(x.shape[1])
    module(x), module(x.flip(1))
    return module.eval()


@pytest.mark.parametrize("name", [*KINDS, "LogShift", "SqrtShift"])
def test_exports_with_a_dynamic_batch(name):
    """The exporter allows no value to be read on the host."""
    x = torch.randn(64, 4).exp()
    module = trained(name, x)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(module, (x[:7],), dynamic_shapes=({0: batch},)).module()
    for n in (2, 7, 33):
        torch.testing.assert_close(program(x[:n]), module(x[:n]))


ONNX = [
    pytest.param("LogShift"),
    *[pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
    pytest.param("SqrtShift", marks=pytest.mark.slow),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ONNX)
def test_onnx(name):
    """Evaluation in onnxruntime, with a batch of another size."""
    for library in ("onnx", "onnxscript"):
        pytest.importorskip(library)
    runtime = pytest.importorskip("onnxruntime")
    x = torch.randn(64, 4).exp()
    module = trained(name, x)
    program = torch.onnx.export(
        module, (x[:7],), dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch", min=2)},),
    )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    (given,) = session.get_inputs()
    (y,) = session.run(None, {given.name: x[:33].numpy()})
    torch.testing.assert_close(torch.from_numpy(y), module(x[:33]).detach(), rtol=1e-5, atol=1e-5)


# 7. Transforms and derivatives


@each_kind
def test_vmap_over_models_and_jvp_vjp_hessian(kind):
    x = torch.randn(3, 16, 2, dtype=torch.float64)
    for training in (True, False):
        options = {"track_running_stats": False} if training else {}
        models = [make(kind, 2, dtype=torch.float64, **options) for _ in range(3)]
        with torch.no_grad():
            for i, model in enumerate(models):
                if not training:
                    model(x.flatten(0, 1) * (1 + i))
                model.weight.fill_(1.0 + i)
                model.train(training)
        parameters, buffers = torch.func.stack_module_state(models)

        def call(parameters, buffers, x, base=models[0]):
            return torch.func.functional_call(base, (parameters, buffers), (x,))

        many = torch.func.vmap(call)(parameters, buffers, x)
        wanted = torch.stack([model(part) for model, part in zip(models, x, strict=True)])
        torch.testing.assert_close(many, wanted)

        model, tangent = models[0], torch.randn(16, 2, dtype=torch.float64)
        jacobian = torch.func.jacrev(model)(x[0])
        _, forward = torch.func.jvp(model, (x[0],), (tangent,))
        torch.testing.assert_close(forward, (jacobian * tangent).sum((-2, -1)))
        (backward,) = torch.func.vjp(model, x[0])[1](tangent)
        torch.testing.assert_close(backward, (jacobian * tangent[..., None, None]).sum((0, 1)))
        small = x[0, :5]
        hessian = torch.func.hessian(lambda v, f=model: f(v).sin().sum())(small).reshape(10, 10)
        torch.testing.assert_close(hessian, hessian.T)
        assert hessian.abs().max() > 0
        # not the points of the training batch, where the quantile map has its knots
        leaf = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(lambda v, f=model: f(v).sin(), (leaf,))


@pytest.mark.parametrize("reentrant", [True, False])
@each_kind
def test_checkpointing_leaves_the_statistics_as_they_are(kind, reentrant):
    x = torch.randn(32, 5, dtype=torch.float64, requires_grad=True)
    plain, module = (make(kind, dtype=torch.float64) for _ in range(2))
    for _ in range(2):
        (a,) = torch.autograd.grad(plain(x).pow(3).sum(), x)
        x.grad = None
        checkpoint(module, x, use_reentrant=reentrant).pow(3).sum().backward()
        torch.testing.assert_close(a, x.grad)
    assert same_state(module, plain)
    theirs, once = (nn.BatchNorm1d(5, dtype=torch.float64) for _ in range(2))  # counts twice
    checkpoint(theirs, x, use_reentrant=reentrant).sum().backward()
    once(x)
    assert not same_state(theirs, once)


# 9. Deterministic, without a look at the values


@each_kind
def test_deterministic_mode_repeats_bitwise(kind):
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.randn(500, 5, requires_grad=True)
        results = []
        for _ in range(2):
            module = make(kind)
            y = module(x)
            (slope,) = torch.autograd.grad(y.pow(3).sum(), x)
            results.append((y, slope, *module.buffers()))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", [*KINDS, "LogShift", "SqrtShift"])
def test_a_step_reads_no_value(name):
    """On the meta device, whose tensors have none: what a GPU would have to wait for raises."""
    where = {"device": "meta"}
    module = make(name, **where) if name in KINDS else getattr(torch_bridge, name)(5, **where)
    x = torch.randn(16, 5, device="meta", requires_grad=True)
    y = module(x)
    assert y.is_meta and y.shape == x.shape
    y.sum().backward()
    assert x.grad.is_meta
    assert module.eval()(x).is_meta
    with pytest.raises(RuntimeError):
        x.sum().item()


# What brings a value to the host, or makes a shape depend on one.
HOST = {"item", "tolist", "any", "all", "nonzero", "masked_select", "cpu", "numpy", "unique"}
ON_THE_CPU = {"kernels.py", "cpu.py", "tables.py"}
ALLOWED = {
    # checks of what the user gave, asked for by validate_args
    "distribution.py": {"_check_ends", "from_density", "from_moments", "_quantile"},
    # surgery on models, and exchanges whose sizes are unequal: not part of a step on one device
    "conversion.py": {"change_inputs"},
    "distributed.py": {"gather_rows"},
    # targets that work on arrays
    "copula.py": {"forward"},
    # a grid that was asked for by name is refused where it cannot hold the range
    "tensors.py": {"grid_sum"},
    # once, when a layer is frozen
    "moment_match.py": {"freeze"},
    "fits.py": {"fit", "polynomials", "on"},
    # the route of CPU tensors to the kernels
    "operators.py": None,
}


def host_calls(path):
    """(function, name) of every call of one of HOST, and of every boolean-mask assignment."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in HOST and not node.args:
                    yield function.name, node.func.attr
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Subscript) and isinstance(
                        target.slice, ast.Compare
                    ):
                        yield function.name, "a mask"


def test_no_source_line_waits_for_the_device():
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        allowed = ALLOWED.get(path.name, set())
        if path.name in ON_THE_CPU or allowed is None:
            continue
        calls = {(path.name, *call) for call in host_calls(path) if call[0] not in allowed}
        found |= calls
    assert not found
    assert any(True for _ in host_calls(ROOT / "distribution.py"))  # the search does find


# 11. No compiled extension


def test_nothing_is_compiled_at_installation():
    project = (ROOT.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert 'build-backend = "setuptools.build_meta"' in project
    assert "ext_modules" not in project and not (ROOT.parent / "setup.py").exists()
    assert not [p for p in ROOT.rglob("*") if p.suffix in (".c", ".cpp", ".cu", ".so", ".pyx")]
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names += [f"{node.module}.{a.name}" for a in node.names]
            # those files are imported where a CUDA tensor asks for them, and nowhere else
            if not path.name.startswith("triton_"):
                parts = {part for name in names for part in name.split(".")}
                assert not any(part.startswith("triton") for part in parts), path


@each_kind
def test_a_variance_that_float32_cannot_hold_leaves_the_averages_finite(kind):
    layer = make(kind)
    generator = torch.Generator().manual_seed(0)
    layer(1e30 * torch.randn(SHAPES["1d"], generator=generator))
    for _ in range(3):
        layer(torch.randn(SHAPES["1d"], generator=generator))
    assert torch.isfinite(layer.running_var).all() and (layer.running_var > 0).all()


# All together


@pytest.mark.parametrize("family", FAMILIES)
def test_a_convolution_trains(family):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), getattr(torch_bridge, family + "2d")(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), torch_bridge.LogShift(8), nn.Linear(8, 2),
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
    net.load_state_dict(net.state_dict())
