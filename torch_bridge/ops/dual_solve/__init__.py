"""Maximum-entropy coefficients of many columns at once, differentiably.

    operators   dual_solve: the operator, its derivatives, what is said about every column
    tables      the rule of integration and the product rule
    tensors     Newton's iteration in torch operations, for any device
    kernels     the same for CPU tensors: the numba loop
    cuda        the same for CUDA tensors up to degree 8: launches of  ->  triton_kernels
"""

from torch_bridge.ops.dual_solve.operators import SolveInfo, dual_solve

__all__ = ["SolveInfo", "dual_solve"]
