"""What a training step of a copula layer needs beside the ranks, in one pass each.

    operators   column_variance, bin_sums, normal_quantile, as torch operators
    kernels     their loops for CPU tensors
    cuda        their launches for CUDA tensors  ->  triton_kernels
"""

from torch_bridge.ops.statistics.operators import (
    bin_sums,
    column_variance,
    is_plain,
    mean_and_variance,
    normal_quantile,
)

__all__ = ["bin_sums", "column_variance", "is_plain", "mean_and_variance", "normal_quantile"]
