"""BatchNorm exchanged and put back, statistics made anew, layers folded into their neighbours."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import torch_bridge
from torch_bridge import (
    Copula,
    Copula1d,
    Copula2d,
    LogShift,
    MomentMatch1d,
    MomentMatch2d,
    SqrtShift,
    convert_batchnorm,
    fold,
    revert,
    update_stats,
)

pytestmark = pytest.mark.filterwarnings("ignore:the .* evaluation map")


class Block(nn.Module):
    """A residual block whose norm layer occurs twice, one of them without affine part."""

    def __init__(self, **options):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, **options)
        self.again = self.norm
        self.plain = nn.BatchNorm2d(4, affine=False, momentum=0.3, eps=1e-3)

    def forward(self, x):
        return x + self.plain(self.again(self.conv(torch.relu(self.norm(self.conv(x))))))


def network(**options):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, **options),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.ModuleDict({"block": Block(**options)})["block"],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    for _ in range(3):
        net(torch.randn(8, 3, 9, 9))
    return net


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"track_running_stats": False}])
def test_round_trip_is_bitwise(options):
    net = network(**options)
    net[4].plain.eval()
    x = torch.randn(6, 3, 9, 9)
    before = copy.deepcopy(net)
    parameters = {name: id(value) for name, value in net.named_parameters()}
    buffers = {name: value.data_ptr() for name, value in net.named_buffers()}

    assert convert_batchnorm(net, Copula2d, strength=5.0, eval_map="linear") is net
    layers = [m for m in net.modules() if isinstance(m, Copula2d)]
    assert len(layers) == 3 and net[4].again is net[4].norm
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    assert {name: id(value) for name, value in net.named_parameters()} == parameters
    assert net[4].plain.momentum == 0.3 and net[4].plain.eps == 1e-3 and not net[4].plain.training
    assert net[1].fixed_strength == 5.0 and net[1].eval_map == "linear"
    assert net(x).shape == (6, 2)

    if "track_running_stats" not in options:  # the batch above was counted
        for layer, norm in zip((net[1], net[4].norm), (before[1], before[4].norm), strict=True):
            times = 2 if layer is net[4].norm else 1
            assert layer.num_batches_tracked == norm.num_batches_tracked + times
    net.load_state_dict(before.state_dict(), strict=False)

    assert revert(net) is net
    for ours, theirs in zip(net.modules(), before.modules(), strict=True):
        assert type(ours) is type(theirs) and ours.training == theirs.training
    assert {name: id(value) for name, value in net.named_parameters()} == parameters
    assert {name: value.data_ptr() for name, value in net.named_buffers()} == buffers
    for mode in (True, False):
        torch.manual_seed(3)
        got = net.train(mode)(x)
        torch.manual_seed(3)
        assert torch.equal(got, before.train(mode)(x))


@pytest.mark.parametrize("layer", [Copula2d, MomentMatch2d])
def test_the_new_layer_starts_from_batch_norms_statistics(layer):
    net = network()
    x = torch.randn(6, 3, 9, 9)
    wanted = net.eval()(x)
    torch.testing.assert_close(convert_batchnorm(net, layer)(x), wanted, rtol=2e-2, atol=2e-2)


def test_a_lone_layer_and_other_dtypes():
    norm = nn.BatchNorm1d(5, dtype=torch.float64, momentum=None)
    norm.qconfig = "kept"
    layer = convert_batchnorm(norm, Copula)
    assert type(layer) is Copula and layer.weight is norm.weight and layer.momentum is None
    assert layer.running_mean.dtype == layer.weight.dtype == torch.float64
    back = revert(layer)
    assert type(back) is nn.BatchNorm1d and back.qconfig == "kept" and back.momentum is None
    assert type(revert(Copula2d(3))) is nn.BatchNorm2d
    meta = convert_batchnorm(nn.BatchNorm2d(3, device="meta"), Copula2d)
    assert meta.weight.is_meta and meta.running_bins.is_meta
    linear = nn.Linear(2, 2)
    assert convert_batchnorm(linear, Copula1d) is linear and revert(linear) is linear


class Activated(nn.BatchNorm2d):
    """A BatchNorm that does more, as many libraries have one."""

    def forward(self, x):
        return torch.relu(super().forward(x))


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match=r"1 is a BatchNorm2d.*2D or 3D.*mean Copula2d"):
        convert_batchnorm(network(), Copula1d)
    with pytest.raises(TypeError, match="norm layer"):
        convert_batchnorm(network(), nn.Identity)
    with pytest.raises(TypeError, match="lazy"):
        convert_batchnorm(network(), torch_bridge.LazyCopula2d)
    with pytest.raises(ValueError, match="run a batch"):
        convert_batchnorm(nn.Sequential(nn.LazyBatchNorm2d()), Copula2d)
    with pytest.raises(ValueError, match="any rank"):
        revert(nn.Sequential(Copula(3)))
    net = nn.Sequential(Activated(3))
    with pytest.warns(UserWarning, match="0 is a Activated"):
        convert_batchnorm(net, Copula2d)
    assert type(net[0]) is Activated


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.parametrize("layer", [Copula2d, MomentMatch2d])
def test_torchs_own_converters_leave_the_layers_alone(layer):
    """Subclasses of BatchNorm they would replace by SyncBatchNorm, or fuse, without asking."""
    net = convert_batchnorm(network(), layer)
    twin = copy.deepcopy(net)
    nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert [type(m) for m in net.modules()] == [type(m) for m in twin.modules()]
    x = torch.randn(5, 3, 9, 9)
    assert torch.equal(net.eval()(x), twin.eval()(x))
    from torch.fx.experimental.optimization import fuse  # slow to import

    class Leaf(torch.fx.Tracer):
        def is_leaf_module(self, module, name):
            return isinstance(module, layer) or super().is_leaf_module(module, name)

    pair = nn.Sequential(nn.Conv2d(3, 4, 3), layer(4)).eval()
    graph = torch.fx.GraphModule(pair, Leaf().trace(pair))
    fused = fuse(graph, no_trace=True)
    assert any(isinstance(m, layer) for m in fused.modules())
    torch.testing.assert_close(fused(x), pair(x))


def batches(count=4, size=16):
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(size, 3, 9, 9, generator=generator) for _ in range(count)]


def test_update_stats_is_torchs_for_batch_norm():
    ours, theirs = network(), network()
    torch.manual_seed(1)
    update_stats(batches(), ours.eval())
    torch.manual_seed(1)
    update_bn(batches(), theirs.eval())
    assert not any(m.training for m in ours.modules())
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name


def test_update_stats_is_the_average_over_the_loader():
    layer = Copula1d(4, eval_map="linear")
    layer(torch.full((8, 4), 100.0) + torch.randn(8, 4))  # to be forgotten
    x = torch.randn(4, 32, 4, dtype=torch.float64) * 2 + 1
    net = nn.Sequential(layer.double(), nn.Dropout(0.0).eval())
    update_stats([(part, "label") for part in x], net)
    assert layer.momentum == 0.1 and layer.training and not net[1].training
    torch.testing.assert_close(layer.running_mean, x.mean((0, 1)))
    once = Copula1d(4, eval_map="linear", momentum=None).double()
    for part in x:
        once(part)
    torch.testing.assert_close(layer.running_sums, once.running_sums)
    with pytest.raises(ValueError, match="no batch"):
        update_stats([], net)
    assert layer.momentum == 0.1
    update_stats([], nn.Linear(1, 1))  # nothing to update, nothing to say


def trained(layer, shape):
    """With statistics, weights and biases that are not the defaults."""
    torch.manual_seed(2)
    for _ in range(3):
        layer(3 + 2 * torch.randn(shape).exp())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return layer.eval()


FOLDED = {
    "quantile": lambda **o: Copula1d(6, **o),
    "linear": lambda **o: Copula1d(6, eval_map="linear", **o),
    "cubic": lambda **o: Copula1d(6, eval_map="cubic", **o),
    "moments": lambda **o: MomentMatch1d(6, **o),
    "moments of a range": lambda **o: MomentMatch1d(6, support="data", **o),
    "log": lambda **o: LogShift(6),
    "log of all": lambda **o: LogShift(1, b=3.0),
    "sqrt": lambda **o: SqrtShift(6),
}


@pytest.mark.parametrize("name", FOLDED)
def test_fold_between_linears(name):
    layer = trained(FOLDED[name](), (64, 6))
    first, last = nn.Linear(5, 6, bias=name != "linear"), nn.Linear(6, 3)
    x = torch.randn(100, 5)
    wanted = last(layer(first(x)))
    before = copy.deepcopy(nn.Sequential(first, layer, last).state_dict())
    new_first, bare, new_last = fold(first, layer, last)
    torch.testing.assert_close(new_last(bare(new_first(x))), wanted, rtol=1e-5, atol=1e-5)
    after = nn.Sequential(first, layer, last).state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not torch.equal(new_first.weight, first.weight)
    if isinstance(layer, (Copula1d, MomentMatch1d)):
        assert bare.weight is None and bare.bias is None
        assert (bare.running_mean == 0).all()
        assert not torch.allclose(bare(first(x)), layer(first(x)))  # it did change
    only_first, half, none = fold(first, layer)
    assert none is None
    torch.testing.assert_close(last(half(only_first(x))), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_fold_between_convolutions(groups):
    layer = trained(Copula2d(6), (8, 6, 5, 5))
    first = nn.Conv2d(4, 6, 3, padding=1, groups=groups)
    last = nn.Conv2d(6, 8, 3, groups=groups, bias=False)
    x = torch.randn(3, 4, 8, 8)
    new_first, bare, new_last = fold(first, layer, last)
    torch.testing.assert_close(
        new_last(bare(new_first(x))), last(layer(first(x))), rtol=1e-5, atol=2e-5
    )
    padded = nn.Conv2d(6, 8, 3, padding=1)
    with pytest.raises(ValueError, match="pads with zeros"):
        fold(first, layer, padded)
    without = trained(Copula2d(6, bias=False), (8, 6, 5, 5))
    new_first, bare, new_last = fold(first, without, padded)
    torch.testing.assert_close(
        new_last(bare(new_first(x))), padded(without(first(x))), rtol=1e-5, atol=2e-5
    )


def test_fold_refuses_what_it_cannot():
    layer = Copula1d(6).eval()
    with pytest.raises(TypeError, match="Linear or Conv"):
        fold(nn.ReLU(), layer)
    with pytest.raises(ValueError, match="6 features, the Linear 5"):
        fold(nn.Linear(3, 5), layer)
    with pytest.raises(TypeError, match="layers of this package"):
        fold(nn.Linear(3, 5), nn.BatchNorm1d(5))
    with pytest.raises(ValueError, match="running statistics"):
        fold(nn.Linear(3, 6), Copula1d(6, track_running_stats=False))
