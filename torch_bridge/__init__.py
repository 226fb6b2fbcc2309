"""Differentiable torch layers that give activations a chosen shape.

    functional   the transforms as functions of tensors
    layers       the same as modules, with parameters and running statistics
    losses       how far columns are from normal
    conversion   BatchNorm exchanged for them and back, statistics anew, folding into neighbours
    distributed  sums over processes, with their derivatives
    distribution the maximum-entropy density as a torch.distributions.Distribution
"""

from torch_bridge import functional
from torch_bridge.conversion import convert_batchnorm, fold, revert, sync_, update_stats
from torch_bridge.distribution import MaxEnt
from torch_bridge.layers import (
    Copula,
    Copula1d,
    Copula2d,
    Copula3d,
    LazyCopula,
    LazyCopula1d,
    LazyCopula2d,
    LazyCopula3d,
    LazyMomentMatch,
    LazyMomentMatch1d,
    LazyMomentMatch2d,
    LazyMomentMatch3d,
    LogShift,
    MomentMatch,
    MomentMatch1d,
    MomentMatch2d,
    MomentMatch3d,
    SqrtShift,
)
from torch_bridge.losses import MomentLoss, NegentropyLoss, sliced

__all__ = [
    "Copula",
    "Copula1d",
    "Copula2d",
    "Copula3d",
    "LazyCopula",
    "LazyCopula1d",
    "LazyCopula2d",
    "LazyCopula3d",
    "LazyMomentMatch",
    "LazyMomentMatch1d",
    "LazyMomentMatch2d",
    "LazyMomentMatch3d",
    "LogShift",
    "MaxEnt",
    "MomentLoss",
    "MomentMatch",
    "MomentMatch1d",
    "MomentMatch2d",
    "MomentMatch3d",
    "NegentropyLoss",
    "SqrtShift",
    "convert_batchnorm",
    "fold",
    "functional",
    "revert",
    "sliced",
    "sync_",
    "update_stats",
]
