"""Functions of one variable, one a column, as tables: cubic pieces between equally spaced knots.

    operators   evaluate, its transpose, the inverse; as differentiable torch operators
    kernels     the loops for CPU tensors
"""

from torch_bridge.ops.monotone_table.operators import apply, evaluate, inverse, powers

__all__ = ["apply", "evaluate", "inverse", "powers"]
