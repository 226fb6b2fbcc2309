"""y = P(v(x)) inside each column's window, the table outside; x (A, C, B), see `fits`."""

import functools

import numpy as np
import torch

from torch_bridge.ops import match, monotone_table
from torch_bridge.ops.monotone_table.operators import plain
from torch_bridge.ops.short_map import kernels
from torch_bridge.ops.short_map.kernels import WIDTH
from torch_bridge.ops.soft_rank.cpu import in_threads
from torch_bridge.ops.soft_rank.operators import operator


def rows_of(fit, center, scale, squash):
    """Everything that a value's column says of it, (DEGREE + 5, C): center and 1 / scale of the
    frame, in which the squash is u / sqrt(1 + u^2); the window; the coefficients."""
    unit = 1 / (scale.double().cpu() * (squash or 1.0))
    return torch.cat([torch.stack([center.double().cpu(), unit]), fit.window, fit.coefficients])


@functools.lru_cache(maxsize=64)
def runs(size_a, columns, size_b):
    """(starts of the runs, columns of the values of a run) for every tile of a contiguous array.

    All runs of a tile have one length and one pattern of columns. They may overlap: a value
    computed twice is cheaper than a run of another length.
    """
    if size_b >= WIDTH:  # runs inside a column
        inside = np.minimum(np.arange(0, size_b, WIDTH), size_b - WIDTH)
        starts = (np.arange(size_a)[:, None] * (columns * size_b) + inside).ravel()
        return [(starts + c * size_b, np.full(WIDTH, c)) for c in range(columns)]
    column = np.repeat(np.arange(columns), size_b)
    period = len(column)
    if period > WIDTH:  # runs inside a row
        starts = np.arange(size_a) * period
        firsts = np.minimum(np.arange(0, period, WIDTH), period - WIDTH)
        return [(starts + first, column[first : first + WIDTH]) for first in firsts]
    # over several rows, and rows by themselves where that does not reach
    total = size_a * period
    width = WIDTH if total >= WIDTH else period
    step = period * (width // period)
    starts = np.arange(0, total - width + 1, step)
    rest = np.arange(starts[-1] + step, total, period)
    return [(starts, np.resize(column, width)), (rest, column)]


@operator(
    "short_map(Tensor rows, Tensor cubics, Tensor x, bool squash) -> Tensor",
    lambda rows, cubics, x, squash: torch.empty_like(x, memory_format=torch.contiguous_format),
)
def apply_op(rows, cubics, x, squash):
    x = x.contiguous()
    out = torch.empty_like(x)
    number = x.numpy().dtype.type
    cells = cubics.shape[1]
    numbers = number(0.5 * cells), number(cells), number(cells - 1), number(0), number(1)
    rest = (
        rows.to(x.dtype).numpy(), cubics.to(x.dtype).view(-1, 4 * cells).numpy(), numbers,
        number(squash), out.view(-1).numpy(),
    )
    source = x.view(-1).numpy()
    in_threads(lambda tile: kernels.apply(source, *tile, *rest), runs(*x.shape), x.numel())
    return out


def in_torch(rows, table, cubics, x, squash):
    """The same in tensor operations that every exporter knows, and that have derivatives."""
    center, unit, slope, shift, *powers = rows.to(x.dtype)[:, :, None]
    z = (x - center) * unit
    t = z * torch.rsqrt(1 + z * z) if squash else z
    v = t * slope + shift
    inside = v.abs() <= 1
    place = torch.where(inside, v, 0.0)
    y = powers[0]
    for power in powers[1:]:
        y = y * place + power
    none, one = torch.zeros_like(center[:, 0]), torch.ones_like(center[:, 0])
    return torch.where(inside, y, monotone_table.apply(table, cubics, t, none, one, 0.0))


def apply(rows, table, cubics, x, squash):
    """monotone_table.apply to within fit.error; rows of `rows_of`, cubics = powers(table)."""
    if plain(rows, table, x):
        return apply_op(rows, cubics, x, squash)
    center, unit = rows[0], rows[1]
    if squash and match.applies(table, cubics, x, center, unit, match.SQUASH):
        return match.apply_op(x, cubics, center, 1 / (match.SQUASH * unit))  # the table itself
    return in_torch(rows, table, cubics, x, squash)
