"""BatchNorm exchanged for another layer and back, statistics made anew, neighbours made to help.

    convert_batchnorm(model, Copula2d)        revert(model)
    sync_(model, group)                       statistics over all processes
    update_stats(loader, model)               fold(previous, layer, following)
"""

import copy
import warnings

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from torch_bridge.layers.column_norm import ColumnNorm
from torch_bridge.layers.shift import Shift

RANKS = {nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,), nn.BatchNorm3d: (5,)}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def convert_batchnorm(module, layer_class, **options):
    """`module` with every BatchNorm in it replaced by a `layer_class`, as is `module` if it is one.

    layer_class: a norm layer of this package of the same rank, or a rank-free one; options go to
    its constructor, next to BatchNorm's own settings. Weight, bias, running mean and variance are
    the same tensors as before, so optimisers and state files stay valid; the layer starts from
    BatchNorm's statistics as if its columns were normal. A layer that occurs twice stays one.
    SyncBatchNorm hands on its process group.

    Works in place, and returns the module. Subclasses of BatchNorm that are not torch's own may do
    more than BatchNorm (an activation, say): they are left, with a UserWarning.

    Raises TypeError for a class that is no norm layer of this package, ValueError where the rank
    does not fit or a BatchNorm is still lazy.

    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    >>> torch_bridge.convert_batchnorm(net, torch_bridge.Copula2d)[1].num_features
    8
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, ColumnNorm)):
        raise TypeError(f"layer_class must be a norm layer such as Copula2d, got {layer_class!r}")
    if issubclass(layer_class, LazyModuleMixin):
        raise TypeError(f"{layer_class.__name__} is lazy; BatchNorm's features are known already")

    def convert(name, found):
        if not isinstance(found, _BatchNorm):
            return found
        if isinstance(found, LazyModuleMixin):
            raise ValueError(f"{name or 'the module'} is lazy: run a batch through it first")
        if type(found) not in (*RANKS, nn.SyncBatchNorm):
            warnings.warn(
                f"{name or 'the module'} is a {type(found).__name__}, which may do more than "
                "BatchNorm: left as it is",
                stacklevel=4,
            )
            return found
        return from_batchnorm(name, found, layer_class, options)

    return replaced(module, convert)


def from_batchnorm(name, norm, layer_class, options):
    ranks = RANKS.get(type(norm))
    if ranks and layer_class.RANKS and set(ranks) != set(layer_class.RANKS):
        raise ValueError(
            f"{name or 'the module'} is a {type(norm).__name__}, but {layer_class.__name__} takes "
            f"{' or '.join(f'{n}D' for n in layer_class.RANKS)} input; "
            f"did you mean {layer_class.__name__[:-2]}{type(norm).__name__[-2:]}?"
        )
    like = norm.weight if norm.weight is not None else norm.running_mean
    layer = layer_class(
        norm.num_features,
        norm.eps,
        norm.momentum,
        norm.affine,
        norm.track_running_stats,
        None if like is None else like.device,
        None if like is None else like.dtype,
        bias=norm.bias is not None or not norm.affine,
        **options,
    )
    hand_over(norm, layer)
    if norm.track_running_stats and not norm.running_mean.is_meta:
        layer.reset_own_stats()
    layer.converted_from = type(norm)
    if isinstance(norm, nn.SyncBatchNorm):
        layer.sync, layer.process_group = True, norm.process_group
    return layer


def hand_over(old, new):
    """What both kinds of layer have: the same tensors, the mode, the quantisation settings."""
    new.weight, new.bias = old.weight, old.bias
    for buffer in BUFFERS:
        setattr(new, buffer, getattr(old, buffer))
    new.training = old.training
    if hasattr(old, "qconfig"):
        new.qconfig = old.qconfig


def revert(module):
    """`module` with every norm layer of this package replaced by the BatchNorm it came from.

    Parameters and statistics are the same tensors, so revert(convert_batchnorm(model, ...)) gives
    the outputs of the model bitwise. A layer that was made and not converted becomes the BatchNorm
    of its rank. Works in place, and returns the module.

    Raises ValueError for a rank-free layer that was not converted: no BatchNorm takes every rank.

    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    >>> type(torch_bridge.revert(torch_bridge.convert_batchnorm(net, torch_bridge.Copula2d))[1])
    <class 'torch.nn.modules.batchnorm.BatchNorm2d'>
    """
    return replaced(
        module, lambda name, found: to_batchnorm(name, found)
        if isinstance(found, ColumnNorm) else found
    )


def to_batchnorm(name, layer):
    kind = getattr(layer, "converted_from", None)
    if kind is None:
        fitting = [norm for norm, ranks in RANKS.items() if layer.RANKS == ranks]
        if not fitting:
            raise ValueError(
                f"{name or 'the module'} is a {type(layer).__name__}, which takes input of any "
                "rank; no BatchNorm does"
            )
        (kind,) = fitting
    like = layer.weight if layer.weight is not None else layer.running_mean
    norm = kind(
        layer.num_features,
        layer.eps,
        layer.momentum,
        layer.affine,
        layer.track_running_stats,
        device=None if like is None else like.device,
        dtype=None if like is None else like.dtype,
    )
    hand_over(layer, norm)
    if kind is nn.SyncBatchNorm:
        norm.process_group = layer.process_group
    return norm


def sync_(module, group=None):
    """Let every norm layer of this package in `module` take its statistics over all processes of
    `group` (None: of all) in training, as convert_sync_batchnorm does for BatchNorm. In place;
    returns the module.

    It works on every device and backend, with unequal batches, and with a process that has none.

    Raises ValueError where there is no such layer: was the model not converted yet?

    >>> net = torch_bridge.sync_(torch.nn.Sequential(torch_bridge.Copula1d(3)))
    >>> net[0].sync
    True
    """
    layers = [layer for layer in module.modules() if isinstance(layer, ColumnNorm)]
    if not layers:
        raise ValueError("no norm layer of this package here: call convert_batchnorm first?")
    for layer in layers:
        layer.sync, layer.process_group = True, group
    return module


def replaced(module, function, name="", seen=None):
    """`module` with function(name, child) in the place of every child; one that occurs twice is
    replaced once."""
    seen = {} if seen is None else seen
    if id(module) in seen:
        return seen[id(module)][1]
    new = function(name, module)
    seen[id(module)] = module, new  # the old one is kept alive, lest its id be given away
    if new is module:
        for child_name, child in list(module._modules.items()):
            if child is not None:
                path = f"{name}.{child_name}" if name else child_name
                setattr_module(module, child_name, replaced(child, function, path, seen))
    return new


def setattr_module(module, name, child):
    if module._modules[name] is not child:
        module._modules[name] = child


@torch.no_grad()
def update_stats(loader, model, device=None):
    """Running statistics of all norm layers, BatchNorm's too, anew: the average over `loader`.

    loader: batches, or tuples of which the first part goes to model(...); device: where to.
    As torch.optim.swa_utils.update_bn, which passes over every layer that is no BatchNorm: after
    weights were averaged, or for statistics of all data instead of the last few batches.

    Raises ValueError when the loader is empty: the statistics are gone then.

    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch_bridge.Copula1d(4))
    >>> torch_bridge.update_stats([torch.randn(16, 3) for _ in range(5)], net)
    >>> net[1].num_batches_tracked
    tensor(5)
    """
    modes = {module: module.training for module in model.modules()}
    layers = {
        module: module.momentum
        for module in modes
        if isinstance(module, (ColumnNorm, _BatchNorm)) and module.track_running_stats
    }
    if not layers:
        return
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    count = 0
    try:
        for batch in loader:
            batch = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(batch if device is None else batch.to(device))
            count += 1
    finally:
        for layer, momentum in layers.items():
            layer.momentum = momentum
        for module, training in modes.items():
            if module.training != training:
                module.train(training)
    if not count:
        raise ValueError("the loader gave no batch: the statistics are those of a new layer")


def fold(previous, layer, following=None):
    """(previous, layer, following) for evaluation, with less left to do in `layer`.

    Scale and shift of the layer's input go into the Linear or Conv before it, scale and shift of
    its output into the one after; between them stays the bare map of standardised columns. All are
    copies, in evaluation mode. Either neighbour may be None. They must be neighbours: with an
    activation between them the result is another function.

    layer: a norm layer, or LogShift, SqrtShift, whose factors b (e^a) and a are folded. Weights are
    computed in float64 and rounded to their dtype.

    Raises TypeError for neighbours of another kind, ValueError where the numbers of features do
    not fit, and for a following convolution that pads with zeros when the layer has a bias: zeros
    beyond the border would have to become minus that bias.

    >>> linear, layer = torch.nn.Linear(3, 4), torch_bridge.Copula1d(4).eval()
    >>> first, bare, _ = torch_bridge.fold(linear, layer)
    >>> x = torch.randn(5, 3)
    >>> torch.allclose(bare(first(x)), layer(linear(x)), atol=1e-5)
    True
    """
    if not isinstance(layer, (ColumnNorm, Shift)):
        raise TypeError(f"only layers of this package fold, not {type(layer).__name__}")
    layer = copy.deepcopy(layer).eval()
    if previous is not None:
        previous = copy.deepcopy(previous).eval()
        check_neighbour(previous, layer, "out")
        shift, scale = layer.take_input_affine()
        change_outputs(previous, shift, scale)
    if following is not None:
        following = copy.deepcopy(following).eval()
        check_neighbour(following, layer, "in")
        scale, shift = layer.take_output_affine()
        change_inputs(following, scale, shift)
    return previous, layer, following


def check_neighbour(module, layer, side):
    if not isinstance(module, (nn.Linear, *CONVOLUTIONS)):
        raise TypeError(f"a layer folds into Linear or Conv, not {type(module).__name__}")
    count = getattr(layer, "num_features", None) or layer.num_parameters
    kind = "features" if isinstance(module, nn.Linear) else "channels"
    there = getattr(module, f"{side}_{kind}")
    if count not in (1, there):
        raise ValueError(f"the layer has {count} features, the {type(module).__name__} {there}")


@torch.no_grad()
def change_outputs(module, shift, scale):
    """module(x) becomes (module(x) - shift) / scale."""
    weight = module.weight.double()
    scale, shift = (value.double().expand(len(weight)) for value in (scale, shift))
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.double()
    set_weights(module, weight / scale.view(-1, *[1] * (weight.ndim - 1)), (bias - shift) / scale)


@torch.no_grad()
def change_inputs(module, scale, shift):
    """module(x) becomes module(scale x + shift)."""
    if isinstance(module, CONVOLUTIONS):
        pads = module.padding != "valid" and any(
            module.padding if isinstance(module.padding, tuple) else (1,)
        )
        if pads and module.padding_mode == "zeros" and bool((shift != 0).any()):
            raise ValueError(
                "the convolution after the layer pads with zeros, which the layer's bias does not "
                "reach: fold with following=None, or give the layer no bias"
            )
    weight = module.weight.double()
    groups = getattr(module, "groups", 1)
    inputs = weight.shape[1] * groups
    scale, shift = (value.double().expand(inputs) for value in (scale, shift))
    # a row of the weight sees the inputs of its own group
    rows = torch.arange(len(weight), device=weight.device) // (len(weight) // groups)
    scale, shift = (value.view(groups, -1)[rows] for value in (scale, shift))
    ones = [1] * (weight.ndim - 2)
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.double()
    bias = bias + (weight * shift.view(*shift.shape, *ones)).flatten(1).sum(1)
    set_weights(module, weight * scale.view(*scale.shape, *ones), bias)


def set_weights(module, weight, bias):
    dtype = module.weight.dtype
    module.weight = nn.Parameter(weight.to(dtype), module.weight.requires_grad)
    trains = module.weight.requires_grad if module.bias is None else module.bias.requires_grad
    module.bias = nn.Parameter(bias.to(dtype), trains)
