"""What a training step of a copula layer needs beside the ranks, in one pass each over CPU tensors.

    operators   column_variance, bin_sums, normal_quantile, as torch operators
    kernels     their loops
"""

from torch_bridge.ops.statistics.operators import (
    bin_sums,
    column_variance,
    mean_and_variance,
    normal_quantile,
)

__all__ = ["bin_sums", "column_variance", "mean_and_variance", "normal_quantile"]
