"""One pass each where nothing is traced (on a GPU in float32); else tensor operations.

    mean_and_variance   (2, C) float64: mean and mean square about it
    column_variance     (C,) float64, with  d var = (2 / n) sum_i (x_i - mean) dx_i
    bin_sums            (C, 3, bins) float64: 1, x, y summed over the elements of each bin
    normal_quantile     of folded probabilities, elementwise; see `torch_bridge.ops.normal`

x, y (A, C, B), whose column c is all of x[:, c, :].
"""

import numpy as np
import torch

from torch_bridge.ops.chebyshev.operators import aligned, in_blocks
from torch_bridge.ops.cuda_columns import AVAILABLE
from torch_bridge.ops.soft_rank.cpu import columns_of, in_threads
from torch_bridge.ops.statistics import cuda, kernels

CHUNK = 1 << 15  # elements that one thread takes at a time


def is_plain(x):
    """Whether the loops may be called on x."""
    return (
        (
            (x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64))
            or (x.is_cuda and x.dtype == torch.float32 and AVAILABLE)
        )
        and x.numel() > 0
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch.autograd.forward_ad._current_level < 0
    )


@torch.library.custom_op("maxent::column_moments", mutates_args=())
def moments_op(x: torch.Tensor) -> torch.Tensor:
    if x.is_cuda:
        return cuda.moments(x)
    out = np.empty((2, x.shape[1]))
    source = columns_of(x)

    def work(first, shape):
        own = np.empty((2, shape[2]))
        kernels.moments(source.flat, source.shifted(first), shape, own)
        out[:, first : first + shape[2]] = own

    in_blocks(source, work)
    return torch.from_numpy(out)


@moments_op.register_fake
def _(x):
    return x.new_empty((2, x.shape[1]), dtype=torch.float64)


def mean_and_variance(x):
    """(2, C) float64 of x, not differentiated."""
    if is_plain(x):
        return moments_op(x.detach())
    wide = x.detach().double()
    return torch.stack([wide.mean((0, 2)), wide.var((0, 2), correction=0)])


def variance_in_torch(x):
    """In x's dtype, without overflow for columns of 1e30."""
    largest = x.detach().abs().amax((0, 2))
    largest = torch.where(largest == 0, 1.0, largest)
    var = torch.var(x / largest[:, None], (0, 2), correction=0)
    return var.double() * largest.double().square()


class Variance(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        mean, var = moments_op(x)
        ctx.save_for_backward(x)
        # g falls as 1 / var, which float32 cannot hold for columns of 1e30: in two steps
        ctx.width = torch.where(var > 0, var.sqrt(), 1.0)
        ctx.mean = mean.to(x.dtype)
        return var

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        factor = (g * (2 / (x.shape[0] * x.shape[2])) * ctx.width).to(x.dtype)[:, None]
        width = ctx.width.to(x.dtype)[:, None]
        if torch.is_grad_enabled():
            return (x - x.mean((0, 2), keepdim=True)) / width * factor
        return (x - ctx.mean[:, None]).div_(width).mul_(factor)


def column_variance(x):
    """(C,) float64, the mean square about the mean; differentiable."""
    return Variance.apply(x) if is_plain(x) else variance_in_torch(x)


@torch.library.custom_op("maxent::bin_sums", mutates_args=())
def bin_sums_op(
    x: torch.Tensor, y: torch.Tensor, score: torch.Tensor, bins: int, low: float, high: float
) -> torch.Tensor:
    if x.is_cuda:
        return cuda.bin_sums(x, y.to(x.dtype), score.to(x.dtype), bins, low, high)
    out = np.zeros((x.shape[1], 3, bins))
    source = columns_of(x)
    others = [columns_of(aligned(v.to(x.dtype), x)) for v in (y, score)]

    def work(first, shape):
        rest = [part for other in others for part in (other.flat, other.shifted(first))]
        kernels.bin_sums(
            source.flat, source.shifted(first), *rest, shape, low, bins / (high - low),
            out[first : first + shape[2]],
        )

    in_blocks(source, work)
    return torch.from_numpy(out)


@bin_sums_op.register_fake
def _(x, y, score, bins, low, high):
    return x.new_empty((x.shape[1], 3, bins), dtype=torch.float64)


def bin_sums(x, y, score, bins, low, high):
    """`bins` bins of equal width from low to high, the outer two with all that lies beyond."""
    if is_plain(x):
        return bin_sums_op(x, y, score, bins, low, high)
    count = x.shape[1]
    index = ((score - low) * (bins / (high - low))).to(torch.int64).clamp(0, bins - 1)
    index = (index + bins * torch.arange(count, device=x.device)[:, None]).flatten()
    sums = [
        torch.zeros(count * bins, dtype=torch.float64, device=x.device).scatter_add_(
            0, index, value.double().flatten()
        )
        for value in (torch.ones_like(x), x, y)
    ]
    return torch.stack(sums).view(3, count, bins).transpose(0, 1)


@torch.library.custom_op("maxent::normal_quantile", mutates_args=())
def normal_quantile_op(v: torch.Tensor) -> torch.Tensor:
    if v.is_cuda:
        return cuda.normal_quantile(v)
    y = torch.empty_like(v)
    source = v if v.stride() == y.stride() else torch.empty_like(v).copy_(v)
    flat, out = (t.as_strided((t.numel(),), (1,)).numpy() for t in (source, y))

    def work(first):
        kernels.normal_quantile(flat[first : first + CHUNK], out[first : first + CHUNK])

    in_threads(work, range(0, v.numel(), CHUNK), v.numel())
    return y


@normal_quantile_op.register_fake
def _(v):
    return torch.empty_like(v)


def normal_quantile(v):
    if is_plain(v):
        return normal_quantile_op(v)
    y = torch.special.ndtri(v.abs().clamp_min(kernels.SMALLEST_TAIL))
    return torch.where(v < 0, -y, y)
