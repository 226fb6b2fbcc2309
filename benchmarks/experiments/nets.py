"""The systems that are compared, and the nets in which they take their turn.

The thesis's perceptron is 784-400-196-100-64-10 with the transform before the ReLU of the layers of
100 and 64. Its convolutional nets have 2 or 4 convolutions and 3 linear layers; their widths are
not known here and were chosen for the processor at hand. Layers are counted from 1, and a net is
made with the list of those that get a transform; that of the last layer acts on its ten outputs.
Nothing but the linear layers and convolutions draws random numbers, so that after one seed all
systems start from the same weights.
"""

import importlib.util
import math
import warnings

import torch
from torch import nn

from torch_bridge import Copula, LogShift, MomentMatch, SqrtShift

POLYNOMIALS = ("linear", "quadratic", "cubic")
MAPS = (*POLYNOMIALS, "quantile")


class CopulaOfAllMaps(Copula):
    """A Copula for all four evaluation maps: training does not depend on the map, so one training
    serves them all. `use` is the map of the next evaluation. The polynomials' running sums forget
    within a hundred batches, so that it is enough to keep them, by `collects`, in the last ones,
    and the time of a training step is that of a Copula.
    """

    def __init__(self, features):
        super().__init__(features)
        self.use, self.collects = "quantile", False
        self.polynomials = nn.ModuleDict(
            {name: Copula(features, affine=False, eval_map=name) for name in POLYNOMIALS}
        )

    def train(self, mode=True):
        with warnings.catch_warnings():
            # of polynomials that fall somewhere: they are counted at the end of every run
            warnings.simplefilter("ignore", UserWarning)
            return super().train(mode)

    def update(self, x, y, v, dims):
        super().update(x, y, v, dims)
        for layer in self.polynomials.values() if self.collects else ():
            layer.update(x, y, v, dims)

    def evaluation(self, x):
        if self.use == "quantile":
            return super().evaluation(x)
        return self.with_affine(self.polynomials[self.use].evaluation(x))


def batch_norm(features, rank):
    return nn.BatchNorm2d(features) if rank == 4 else nn.BatchNorm1d(features)


def layer_norm(features, rank):
    return nn.GroupNorm(1, features) if rank == 4 else nn.LayerNorm(features)


# name -> what it is called on the page, and how it is made of the number of features and the rank
# of its input
SYSTEMS = {
    "plain": ("plain", lambda features, rank: nn.Identity()),
    "batch_norm": ("BatchNorm", batch_norm),
    "layer_norm": ("LayerNorm", layer_norm),
    "log_shift": ("log-shift", lambda features, rank: LogShift(features)),
    "sqrt_shift": ("sqrt-shift", lambda features, rank: SqrtShift(features)),
    "copula": ("copula", lambda features, rank: CopulaOfAllMaps(features)),
    "moments_4": ("moments, k = 4", lambda features, rank: MomentMatch(features, degree=4)),
    "moments_6": ("moments, k = 6", lambda features, rank: MomentMatch(features, degree=6)),
    "batch_norm_log": (
        "BatchNorm + log-shift",
        lambda features, rank: nn.Sequential(batch_norm(features, rank), LogShift(features)),
    ),
}
# Of a clone of github.com/DanielEftekhari/normality-normalization: (name, noise in training)
PEERS = {
    "normal_norm": ("NormalNorm, no noise", 0.0),
    "normal_norm_noise": ("NormalNorm", 0.4),
}
LABELS = {name: label for name, (label, _) in (SYSTEMS | PEERS).items()}


def transform(system, features, rank, peer_path=None):
    """The module of a system for inputs of this rank. Raises ValueError for an unknown system, and
    for a peer's without `peer_path`.
    """
    if system in SYSTEMS:
        return SYSTEMS[system][1](features, rank)
    if system not in PEERS:
        raise ValueError(f"no system {system!r}: {', '.join(LABELS)}")
    if peer_path is None:
        raise ValueError(f"{system} needs --peer-path, a clone of its authors' repository")
    spec = importlib.util.spec_from_file_location("normal_norm_layers", f"{peer_path}/layers.py")
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    kind = layers.BatchNormalNorm2d if rank == 4 else layers.BatchNormalNorm1d
    return kind(features, noise_train=PEERS[system][1])


# channels of the convolutions (kernel 5, the first of stride 2), after which of them the image
# is halved, and the widths of the linear layers
NETS = {
    "mlp": {"channels": (), "halve": (), "widths": (400, 196, 100, 64)},
    "cnn5": {"channels": (16, 32), "halve": (1, 2), "widths": (120, 84)},
    "cnn7": {"channels": (16, 16, 32, 32), "halve": (2, 4), "widths": (120, 84)},
}


def network(net, shape, classes, make, at):
    """nn.Sequential for images of `shape` (channels, height, width).

    make(features, rank) gives the transform of the layers `at`; it is called `transform<layer>`.
    Raises ValueError for an unknown net or a layer that the net does not have.
    """
    if net == "resnet":
        return Residual(shape, classes, make, at)
    if net not in NETS:
        raise ValueError(f"no net {net!r}: {', '.join([*NETS, 'resnet'])}")
    plan = NETS[net]
    depth = len(plan["channels"]) + len(plan["widths"]) + 1
    if not set(at) <= set(range(1, depth + 1)):
        raise ValueError(f"{net} has layers 1 to {depth}; a transform was asked for at {list(at)}")
    made, layer = nn.Sequential(), 0

    def after(features, rank):
        if layer in at:
            made.add_module(f"transform{layer}", make(features, rank))
        if layer < depth:
            made.add_module(f"relu{layer}", nn.ReLU())

    last, *size = shape
    for channels in plan["channels"]:
        layer += 1
        stride = 2 if layer == 1 else 1
        made.add_module(f"layer{layer}", nn.Conv2d(last, channels, 5, stride, padding=2))
        size = [(side + stride - 1) // stride for side in size]
        after(channels, 4)
        if layer in plan["halve"]:
            made.add_module(f"halve{layer}", nn.MaxPool2d(2))
            size = [side // 2 for side in size]
        last = channels
    made.add_module("flatten", nn.Flatten())
    last *= math.prod(size)
    for width in (*plan["widths"], classes):
        layer += 1
        made.add_module(f"layer{layer}", nn.Linear(last, width))
        after(width, 2)
        last = width
    return made


class Residual(nn.Module):
    """A small residual net of today: a convolution, three stages of 32, 64 and 128 channels with a
    residual pair of convolutions each, the mean over the image, a linear layer. Layers 1 to 10 are
    the convolutions in order; transforms may stand after any.
    """

    WIDTHS = (32, 64, 128)

    def __init__(self, shape, classes, make, at):
        super().__init__()
        if not set(at) <= set(range(1, 11)):
            raise ValueError(f"resnet has transforms at 1 to 10; they were asked for at {list(at)}")
        layer = 0

        def part(last, channels, stride=1):
            nonlocal layer
            layer += 1
            made = nn.Sequential(nn.Conv2d(last, channels, 3, stride, padding=1))
            if layer in at:
                made.add_module(f"transform{layer}", make(channels, 4))
            return made

        self.first = part(shape[0], self.WIDTHS[0])
        last, self.down, self.pairs = self.WIDTHS[0], nn.ModuleList(), nn.ModuleList()
        for channels in self.WIDTHS:
            self.down.append(part(last, channels, 2))
            pair = nn.Sequential(part(channels, channels), nn.ReLU(), part(channels, channels))
            self.pairs.append(pair)
            last = channels
        self.last = nn.Linear(last, classes)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for down, pair in zip(self.down, self.pairs, strict=True):
            x = torch.relu(down(x))
            x = torch.relu(x + pair(x))
        return self.last(x.mean((2, 3)))


def transforms(net):
    """layer -> its transform, in order."""
    found = {}
    for name, module in net.named_modules():
        last = name.rpartition(".")[2]
        if last.startswith("transform"):
            found[int(last.removeprefix("transform"))] = module
    return dict(sorted(found.items()))
