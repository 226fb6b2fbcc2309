"""The operators' launches for CUDA tensors."""

import torch

from torch_bridge.ops.cuda_columns import Plan, cut, on_its_device, spreads_of

ELEMENTS = 1024  # a program, of what goes element by element
ROWS = 128  # of a product on the matrix units


@on_its_device
def moments(x):
    """(2, C) float64: mean, and mean square about it."""
    plan = Plan(x, 1024)
    apart, square = spreads_of(x, plan).sum(0) / plan.size
    return torch.stack([x[0, :, 0].double() + apart, (square - apart * apart).clamp_min(0.0)])


@on_its_device
def normal_quantile(v):
    from torch_bridge.ops.statistics import triton_kernels

    y = torch.empty_like(v)
    source = v if v.stride() == y.stride() else torch.empty_like(v).copy_(v)
    grid = (-(-v.numel() // ELEMENTS),)
    triton_kernels.normal_quantile[grid](source, y, v.numel(), R=ELEMENTS)
    return y


@on_its_device
def quantile_gradient(y, g):
    """g dQ/du, at the quantiles y."""
    from torch_bridge.ops.statistics import triton_kernels

    out = torch.empty_like(y)
    given, at = (
        part if part.stride() == out.stride() else torch.empty_like(y).copy_(part)
        for part in (g, y)
    )
    grid = (-(-y.numel() // ELEMENTS),)
    triton_kernels.quantile_gradient[grid](at, given, out, y.numel(), R=ELEMENTS)
    return out


@on_its_device
def bin_sums(x, y, score, bins, low, high):
    """(C, 3, bins) float64; each of x, y, score (A, C, B)."""
    from torch_bridge.ops.statistics import triton_kernels

    size_a, count, size_b = x.shape
    if x.stride(2) != 1 or size_b < 32:  # every column in one piece
        x, y, score = (
            part.permute(1, 0, 2).reshape(1, count, size_a * size_b) for part in (x, y, score)
        )
    size = size_a * size_b
    chunks, chunk = cut(size, count, ROWS)
    part = torch.empty((chunks, count, bins, 16), dtype=torch.float32, device=x.device)
    triton_kernels.bin_sums[(count, chunks)](
        x, y, score, part, size, count, x.shape[2], *x.stride(), *y.stride(), *score.stride(),
        chunk, LOW=low, PER_UNIT=bins / (high - low), BINS=bins, R=ROWS, num_warps=4,
    )
    weight, *parts = part.sum(0, dtype=torch.float64)[..., :5].unbind(2)
    return torch.stack([weight, parts[0] + parts[1], parts[2] + parts[3]], 1)
