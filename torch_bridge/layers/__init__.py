"""The transforms as modules: parameters, buffers, running statistics. Formulas are elsewhere."""

from torch_bridge.layers.copula import (
    Copula,
    Copula1d,
    Copula2d,
    Copula3d,
    LazyCopula,
    LazyCopula1d,
    LazyCopula2d,
    LazyCopula3d,
)
from torch_bridge.layers.moment_match import (
    LazyMomentMatch,
    LazyMomentMatch1d,
    LazyMomentMatch2d,
    LazyMomentMatch3d,
    MomentMatch,
    MomentMatch1d,
    MomentMatch2d,
    MomentMatch3d,
)
from torch_bridge.layers.shift import LogShift, SqrtShift

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
    "MomentMatch",
    "MomentMatch1d",
    "MomentMatch2d",
    "MomentMatch3d",
    "SqrtShift",
]
