"""The grid on a GPU, for columns whose strength is known in standard deviations; see `tables`.

A window of 128 boxes of width 1 about the column's mean: at strength 10 it reaches to 6.4 standard
deviations on either side, and at the most n (2 strength / 128)^2 elements lie beyond (Chebyshev).
Those are summed by the definition, against everything, so that every column is right.

    moments    sum_j w_j xi_j^q by box, q < 8: on the GPU's matrix units, as a matrix of ones and
               zeros times one of powers, in tf32 with what it drops as powers of their own; no
               atomic additions, which hold a GPU up where many meet one address
    between    all boxes at once: one product with the matrix of all translations A_l, Chebyshev
               series at both ends turned into powers; float64
    ranks      the polynomial of an element's box

The ranks' polynomials are kept from below where that tail is the smaller, else from above with
minus: each tail is a sum of positive terms and keeps its digits.
"""

import functools

import numpy as np
import torch

from torch_bridge.ops.constants import constants
from torch_bridge.ops.cuda_columns import AVAILABLE, Plan, cut, on_its_device, padded, spreads_of
from torch_bridge.ops.soft_rank import tables

BOXES = 128
POWERS = 8
STRONGEST = 12.0  # beyond it too much may lie outside the window
SMALLEST = 65  # fewer elements have a matrix of pairs that is as fast
OUTSIDE = 16  # programs a column for what lies outside


def serves(x, strength, rows):
    """Whether columns of `rows` elements, standardised up to this strength, are summed here."""
    return (
        x.is_cuda
        and x.dtype == torch.float32
        and not isinstance(strength, torch.Tensor)
        and strength <= STRONGEST
        and SMALLEST <= rows < 1 << 31
        and AVAILABLE
    )


@functools.lru_cache
def translations():
    """Powers of all boxes -> powers of all boxes, (BOXES POWERS, 3 BOXES POWERS) float64: of
    sigma(t - t'), sigma(t' - t) and sigma'(t - t').
    """
    change = np.stack([tables.chebyshev_to_powers(row) for row in np.eye(POWERS)])
    points, transform = tables.chebyshev_points(POWERS), tables.chebyshev_transform(POWERS)
    apart = np.arange(1 - BOXES, BOXES)[:, None, None]  # target less source
    s = apart + (points[:, None] - points[None, :]) / 2
    target, source = np.arange(BOXES)[None, :], np.arange(BOXES)[:, None]
    found = []
    for values in (
        tables.sigmoid_derivative(s, 0), tables.sigmoid_derivative(-s, 0),
        tables.sigmoid_derivative(s, 1),
    ):
        series = change.T @ (transform @ values @ transform.T) @ change  # target, source powers
        blocks = series[target - source + BOXES - 1]  # (source, target, target q, source q)
        found.append(blocks.transpose(0, 3, 1, 2).reshape(BOXES * POWERS, BOXES * POWERS))
    return (np.concatenate(found, 1),)


class Columns:
    """x (A, C, B) as the kernels take it, every column in one piece or in long ones."""

    def __init__(self, x, gamma):
        from torch_bridge.ops.soft_rank import triton_kernels

        self.kernels = triton_kernels
        self.x, self.gamma = x, gamma
        size_a, self.count, self.size_b = x.shape
        self.size = size_a * self.size_b
        plan = Plan(x, 1024)
        self.spreads = spreads_of(x, plan)
        if x.stride(2) != 1 or self.size_b < 32:
            self.x = self.together(x)
        self.spread_chunks = plan.chunks
        self.outside = torch.empty((self.count, self.size), dtype=torch.int32, device=x.device)
        self.counts = torch.zeros(self.count, dtype=torch.int32, device=x.device)

    def together(self, other):
        """other (A, C, B) with every column in one piece, as (1, C, A B)."""
        return other.permute(1, 0, 2).reshape(1, self.count, self.size)

    def aligned(self, other):
        """other in x's shape."""
        return other if self.x.shape == other.shape else self.together(other)

    def cut(self, rows):
        """(grid, chunk) of programs that take `rows` at a time."""
        chunks, chunk = cut(self.size, self.count, rows)
        return (self.count, chunks), chunk

    def lengths(self):
        return self.size, self.count, self.x.shape[2]

    def local(self, g, first):
        """Powers (C, orders, POWERS BOXES) of the sums around every box, from order `first` on."""
        grid, chunk = self.cut(128)
        part = self.gamma.new_empty((grid[1], self.count, BOXES, 2, POWERS), dtype=torch.float32)
        weight = self.x if g is None else g
        self.kernels.moments[grid](
            self.x, weight, self.gamma, self.spreads, part, self.outside, self.counts,
            *self.lengths(), *self.x.stride(), *weight.stride(), chunk, self.spread_chunks,
            CHUNKS=padded(self.spread_chunks), R=128, WEIGHTED=g is not None, num_warps=4,
        )
        if torch.are_deterministic_algorithms_enabled():
            self.put_in_order()
        powers = part.sum((0, 3), dtype=torch.float64).flatten(1)
        (matrix,) = constants(translations, (), torch.float64, self.x.device)
        found = powers @ matrix[:, first * BOXES * POWERS :]
        return found.view(self.count, -1, BOXES, POWERS)

    def put_in_order(self):
        """The rows outside, which the programs put down in the order they came in."""
        place = torch.arange(self.size, dtype=torch.int32, device=self.x.device)
        beyond = place[None, :] >= self.counts[:, None]
        self.outside = torch.where(beyond, self.size, self.outside).sort(1).values


@on_its_device
def rank(x, gamma, with_density, fold):
    """Ranks and their slopes; see cpu.rank."""
    columns = Columns(x, gamma)
    lower, upper, slope = columns.local(None, 0).unbind(1)
    from_below = lower[:, :, 0] <= upper[:, :, 0]
    local = torch.stack([torch.where(from_below[:, :, None], lower, -upper), slope], 1)
    local = local.transpose(2, 3).to(torch.float32).contiguous()
    from_below = from_below.to(torch.int8)
    density = columns.x.new_empty((columns.count, columns.size if with_density else 0))
    y = torch.empty_like(columns.x)
    grid, chunk = columns.cut(1024)
    ends = {"CHUNKS": padded(columns.spread_chunks), "R": 1024, "FOLD": fold,
            "SLOPED": with_density}
    given = columns.lengths() + columns.x.stride() + y.stride()
    columns.kernels.ranks[grid](
        columns.x, y, density, gamma, columns.spreads, local, from_below, columns.outside,
        columns.counts, *given, chunk, columns.spread_chunks, **ends,
    )
    columns.kernels.ranks_outside[(columns.count, OUTSIDE)](
        columns.x, y, density, gamma, columns.spreads, columns.outside, columns.counts, *given,
        columns.spread_chunks, OUTSIDE, **ends,
    )
    size_a, _, size_b = x.shape
    if not with_density:
        return as_given(columns, y, x), x.new_empty(0)
    return as_given(columns, y, x), density.view(-1, size_a, size_b).transpose(0, 1)


def as_given(columns, y, x):
    """y in x's arrangement."""
    if y.shape == x.shape:
        return y
    size_a, count, size_b = x.shape
    return torch.empty_like(x).copy_(y.view(count, size_a, size_b).transpose(0, 1))


@on_its_device
def rank_gradient(x, gamma, g, density, to_x):
    """g K_1(1) - K_1(g), or its product with gamma; density as `rank` gave it."""
    columns = Columns(x, gamma)
    g = columns.aligned(g)
    local = columns.local(g, 2)[:, 0].transpose(1, 2).to(torch.float32).contiguous()
    slope = density.transpose(0, 1).reshape(columns.count, columns.size)
    dx = torch.empty_like(columns.x)
    grid, chunk = columns.cut(1024)
    given = columns.lengths() + columns.x.stride() + g.stride() + dx.stride()
    ends = {"CHUNKS": padded(columns.spread_chunks), "R": 1024, "SCALED": to_x}
    columns.kernels.gradient[grid](
        columns.x, g, slope, dx, gamma, columns.spreads, local, columns.outside, columns.counts,
        *given, chunk, columns.spread_chunks, **ends,
    )
    columns.kernels.gradient_outside[(columns.count, OUTSIDE)](
        columns.x, g, slope, dx, gamma, columns.spreads, columns.outside, columns.counts, *given,
        columns.spread_chunks, OUTSIDE, **ends,
    )
    return as_given(columns, dx, x)
