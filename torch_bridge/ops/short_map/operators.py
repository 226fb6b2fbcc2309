"""y = P(v(x)) inside each column's window, the table outside; x (A, C, B), see `fits`."""

import functools

import numpy as np
import torch

from torch_bridge.ops import match, monotone_table
from torch_bridge.ops.monotone_table.operators import plain
from torch_bridge.ops.short_map import kernels
from torch_bridge.ops.short_map.kernels import WIDTH
from torch_bridge.ops.short_map.vectors import LANES
from torch_bridge.ops.soft_rank.cpu import PARALLEL, in_threads


def rows_of(fit, center, scale, squash):
    """Everything that a value's column says of it, (DEGREE + 5, C): the frame, u = x * rows[0] +
    rows[1], in which the squash is u / sqrt(1 + u^2); the window and the coefficients, for 2 v in
    the place of v.
    """
    unit = (1 / (scale.double() * (squash or 1.0))).to(scale.dtype).double().cpu()
    frame = torch.stack([unit, -center.double().cpu() * unit])
    halves = 0.5 ** torch.arange(len(fit.coefficients) - 1, -1, -1, dtype=torch.float64)
    return torch.cat([frame, 2 * fit.window, fit.coefficients * halves[:, None]])


def pieces(length):
    """(starts, length of a piece): pieces of one length, at most WIDTH, that cover range(length)
    and overlap where they must.
    """
    number = -(-length // WIDTH)
    width = min(length, -(-length // (number * LANES)) * LANES)
    return np.minimum(np.arange(number) * width, length - width), width


@functools.lru_cache(maxsize=64)
def runs(size_a, columns, size_b, threads):
    """[(starts, firsts, width, size_b)] for as many threads: runs of `width` values of an array
    (A, C, B) begin at the sum of a start and a first, which says whose values they are.

    Runs may overlap: a value computed twice is cheaper than a run of another length.
    """
    period = columns * size_b
    starts = np.arange(size_a) * period
    if size_b >= WIDTH:  # runs inside a column
        inside, width = pieces(size_b)
        starts, firsts = (starts[:, None] + inside).ravel(), np.arange(columns) * size_b
    elif period > WIDTH:  # inside a row
        firsts, width = pieces(period)
    else:  # of several rows
        width = period * min(size_a, WIDTH // period)
        starts = np.minimum(np.arange(0, size_a * period, width), size_a * period - width)
        firsts = np.zeros(1, np.int64)
    parts = max(1, min(threads, size_a * period // PARALLEL))
    if len(starts) >= len(firsts):
        return [(some, firsts, width, size_b) for some in np.array_split(starts, parts)]
    return [(starts, some, width, size_b) for some in np.array_split(firsts, parts)]


def on_arrays(rows, x):
    """Whether the values themselves are at hand: nobody differentiates, traces or looks on."""
    return (
        x.numel() >= LANES
        and type(x) is torch.Tensor
        and not torch._C._len_torch_dispatch_stack()
        and plain(rows, x)
    )


def in_one_pass(rows, cubics, x, squash):
    x = x.contiguous()
    out = torch.empty_like(x)
    source, rest = x.numpy(), (rows.numpy(), cubics.numpy(), squash or None, out.numpy())
    items = runs(*x.shape, torch.get_num_threads())
    in_threads(lambda item: kernels.apply(source, *item, *rest), items, x.numel())
    return out


def in_torch(rows, table, cubics, x, squash):
    """The same in tensor operations that every exporter knows, and that have derivatives."""
    unit, offset, slope, shift, *powers = rows.to(x.dtype)[:, :, None]
    u = x * unit + offset
    t = u * torch.rsqrt(1 + u * u) if squash else u
    v = t * slope + shift
    inside = v.abs() < 2
    place = torch.where(inside, v, 0.0)
    y = powers[0]
    for power in powers[1:]:
        y = y * place + power
    none, one = torch.zeros_like(unit[:, 0]), torch.ones_like(unit[:, 0])
    return torch.where(inside, y, monotone_table.apply(table, cubics, t, none, one, 0.0))


def apply(rows, table, cubics, x, squash):
    """monotone_table.apply to within fit.error; rows of `rows_of`, cubics = powers(table)."""
    if on_arrays(rows, x):
        return in_one_pass(rows, cubics, x, squash)
    unit, offset = rows[0], rows[1]
    if squash and match.applies(table, cubics, x, offset, unit, match.SQUASH):
        center, scale = -offset / unit, 1 / (match.SQUASH * unit)
        return match.apply_op(x, cubics, center, scale)  # the table itself
    return in_torch(rows, table, cubics, x, squash)
