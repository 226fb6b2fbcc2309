"""Statistics over all processes of a group, as if their rows were one batch.

What is summed are sums and counts, never means, so unequal shares give the answer of one process,
and a share without rows counts for nothing. The derivative of a sum over processes is the sum over
processes of the derivatives: with it, and with DDP's average of the gradients, a network gets the
gradient of the loss that one process would have computed.

Means and variances are taken locally, in two passes, and merged in float64,

    n = sum n_r,   mean = sum n_r mean_r / n,   n var = sum n_r (var_r + mean_r^2) - n mean^2,

all about a center that the processes share (the running mean, say): the last difference loses as
many digits as the square of the offset has (Chan, Golub & LeVeque, The American Statistician 37
(1983) 242).
"""

import math

import torch
import torch.distributed as dist
from torch.distributed import _functional_collectives as collectives


def processes(group=None):
    """How many processes `group` (None: all) has; 1 where there is nothing to communicate with."""
    if not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size(group)


class AllSum(torch.autograd.Function):
    """Sum over the processes; its derivative is of the same kind, to every order."""

    @staticmethod
    def forward(value, group):
        summed = collectives.all_reduce(value.contiguous(), "sum", group)
        return collectives.wait_tensor(summed)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.group = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        return AllSum.apply(grad, ctx.group), None


def all_sum(value, group=None):
    """Sum of `value` over the processes of `group` (None: all), differentiable; every process must
    call it, with a tensor of the same shape. Compiles as one graph."""
    if processes(group) == 1:
        return value
    group = dist.group.WORLD if group is None else group
    if torch.is_grad_enabled():
        return AllSum.apply(value, group)
    return AllSum.forward(value, group)


@torch.library.custom_op("maxent::snapshot", mutates_args=())
def snapshot(value: torch.Tensor) -> torch.Tensor:
    """A copy that a compiled backward pass saves: it recomputes an ordinary one, from a buffer that
    the forward pass has changed by then."""
    return value.clone()


@snapshot.register_fake
def _(value):
    return torch.empty_like(value)


def mean_and_variance(x, dims, group=None, center=0.0):
    """(count, mean, var) of x (any dtype of at least float32) along dims, over all processes.

    count: 0-dimensional, float64; mean, var (biased): of the remaining dimensions, x's dtype. One
    all-reduce of two values a column and a count. center: a guess of the mean that all processes
    share; it may be a buffer that is updated afterwards. A process may hold no rows; if none holds
    any, mean and var are nan.
    """
    if isinstance(center, torch.Tensor) and torch.compiler.is_compiling():
        center = snapshot(center)
    n = math.prod([x.shape[d] for d in dims])
    count = torch.full((1,), n, dtype=torch.float64, device=x.device)
    if n:
        var, mean = torch.var_mean(x, dims, correction=0)
        offset = mean.double() - center
        first, second = n * offset, n * (var.double() + offset.square())
    else:
        first = second = x.sum(dims).double()  # zeros that keep the graph alike on every process
    sums = all_sum(torch.cat([count, first.flatten(), second.flatten()]), group)
    total = sums[0].detach()
    first, second = (part.view(first.shape) for part in sums[1:].chunk(2))
    offset = first / total
    var = (second / total - offset.square()).clamp_min(0)
    return total, (offset + center).to(x.dtype), var.to(x.dtype)


class GatherRows(torch.autograd.Function):
    """The rows of all processes in order, given `sizes`, how many each of them holds."""

    @staticmethod
    def forward(x, sizes, rank, group):
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = x
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded, group)
        return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.sizes, ctx.rank, ctx.group = inputs

    @staticmethod
    def backward(ctx, grad):
        start = sum(ctx.sizes[: ctx.rank])
        rows = AllSum.apply(grad, ctx.group)[start : start + ctx.sizes[ctx.rank]]
        return rows, None, None, None


@torch.compiler.disable(reason="the processes' numbers of rows are read on the host")
def gather_rows(x, group=None):
    """(rows of all processes along dimension 0, slice of the own ones), differentiable.

    Shares may be unequal or empty; their sizes are read on the host, so a compiled graph ends here.
    """
    group = dist.group.WORLD if group is None else group
    sizes = torch.zeros(processes(group), dtype=torch.int64, device=x.device)
    rank = dist.get_rank(group)
    sizes[rank] = len(x)
    dist.all_reduce(sizes, group=group)
    sizes = sizes.tolist()
    start = sum(sizes[:rank])
    return GatherRows.apply(x, sizes, rank, group), slice(start, start + len(x))
