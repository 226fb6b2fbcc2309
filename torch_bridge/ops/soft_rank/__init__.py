"""Sums of sigmoids over all pairs, in linear time.

    operators   the sums as differentiable torch operators
    cpu         plan and threads for CPU tensors  ->  kernels, the numba loops
    vectors     the innermost steps of those loops as vector instructions
    cuda        the same for CUDA tensors: launches of  ->  triton_kernels
    tensors     the same sums in torch operations, for any device
    tables      the constants of both, with their derivation
"""

from torch_bridge.ops.soft_rank.operators import METHODS, rank, rank_gradient, sigmoid_sum

__all__ = ["METHODS", "rank", "rank_gradient", "sigmoid_sum"]
