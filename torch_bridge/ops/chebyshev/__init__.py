"""Chebyshev series of many columns, and the sums that are their transpose, in one pass each.

    operators   both as differentiable torch operators, and in torch operations
    kernels     the loops for CPU tensors
"""

from torch_bridge.ops.chebyshev.operators import series, sums

__all__ = ["series", "sums"]
