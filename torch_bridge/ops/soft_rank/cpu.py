"""The fast sigmoid sums of CPU tensors: a plan per column, the kernels, threads over columns.

Every function takes x of shape (A, C, B), any strides, float32 or float64, whose column c consists
of all x[:, c, :], and gamma of shape (C,). Results have x's layout and dtype.
"""

import concurrent.futures
import dataclasses
import functools
import os

import numpy as np
import torch

from torch_bridge.ops.soft_rank import kernels, tables

TILE = 512  # elements of a tile: its few arrays stay in the first-level cache
BLOCK = 16  # columns of a block where rows are contiguous: one cache line of float32
PARALLEL = 1 << 17  # elements below which a second thread costs more than it saves

# Nanoseconds of a forward and a backward pass together, measured on one core: by itemsize, for
# the two grids of tables.GRIDS (a point, a box) and for the sort (a point). Only ratios matter.
GRID_COST = {4: ((26.0, 430.0), (20.0, 700.0)), 8: ((36.0, 1500.0), (30.0, 2700.0))}
SORT_COST = {4: 300.0, 8: 420.0}
SORT_SELF = (0.5, 0.25, 0.0, -0.125)  # sigma^(m)(0): the term j = i


def workspace_limit(size):
    """Coefficients that one column may have, so that memory stays linear in its size."""
    return size // 2 + 8192


@dataclasses.dataclass(frozen=True)
class Columns:
    """x as the kernels see it."""

    flat: np.ndarray
    at: tuple  # offset, stride_a, stride_c, stride_b
    size_b: int
    size: int  # elements of a column
    count: int  # columns

    @property
    def block(self):
        """Columns that a tile covers: one where a column's own elements lie side by side."""
        _, _, stride_c, stride_b = self.at
        return 1 if stride_b < stride_c else min(BLOCK, self.count)

    def shape(self, columns, rows):
        return (self.size_b, self.size, columns, rows)

    def shifted(self, first):
        offset, stride_a, stride_c, stride_b = self.at
        return (offset + first * stride_c, stride_a, stride_c, stride_b)

    def column(self, c):
        """Column c as a new float64 array."""
        offset, stride_a, stride_c, stride_b = self.at
        return np.lib.stride_tricks.as_strided(
            self.flat[offset + c * stride_c :],
            (self.size // self.size_b, self.size_b),
            (stride_a * self.flat.itemsize, stride_b * self.flat.itemsize),
        ).astype(np.float64).ravel()

    def assign(self, c, values):
        offset, stride_a, stride_c, stride_b = self.at
        target = np.lib.stride_tricks.as_strided(
            self.flat[offset + c * stride_c :],
            (self.size // self.size_b, self.size_b),
            (stride_a * self.flat.itemsize, stride_b * self.flat.itemsize),
        )
        target[...] = values.reshape(target.shape)


def columns_of(tensor):
    """(A, C, B) tensor -> Columns, without a copy."""
    size_a, count, size_b = tensor.shape
    stride_a, stride_c, stride_b = tensor.stride()
    extent = 1 + (size_a - 1) * stride_a + (count - 1) * stride_c + (size_b - 1) * stride_b
    flat = tensor.detach().as_strided((extent,), (1,), tensor.storage_offset()).numpy()
    if size_b == 1:  # rows of a matrix: let the long direction be b
        return Columns(flat, (0, 0, stride_c, stride_a), size_a, size_a, count)
    return Columns(flat, (0, stride_a, stride_c, stride_b), size_b, size_a * size_b, count)


def extremes(x):
    """(2, C) float64 tensor: smallest and largest value of a column, nan if any is not finite."""
    source = columns_of(x)
    low_high = np.empty((2, source.count))
    block = source.block
    rows = max(1, TILE // block)

    def work(first):
        columns = min(block, source.count - first)
        out = np.empty((2, columns))
        kernels.extremes(source.flat, source.shifted(first), source.shape(columns, rows), out)
        low_high[:, first : first + columns] = out

    in_threads(work, range(0, source.count, block), source.size * source.count)
    return torch.from_numpy(low_high)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done with each column: the grid (its place in tables.GRIDS), or the sort.

    low, scale, boxes (C,); by_sort and missing (C,) bool: sorted columns, columns that answer nan.
    """

    grid: tables.Grid
    low: np.ndarray
    scale: np.ndarray
    boxes: np.ndarray
    by_sort: np.ndarray
    missing: np.ndarray


def make_plan(size, itemsize, gamma, low_high, method):
    low, high = low_high
    with np.errstate(invalid="ignore", over="ignore"):
        span = (high - low) * gamma
        boxes = np.floor(span / tables.GRIDS[itemsize][0].width) + 1  # one width for all grids
    missing = ~(np.isfinite(low) & np.isfinite(high) & (gamma >= 0))
    boxes = np.where(np.isfinite(boxes), boxes, np.inf)
    best, best_cost = None, np.inf
    for grid, (point, box) in zip(tables.GRIDS[itemsize], GRID_COST[itemsize], strict=True):
        cost = size * point + boxes * box
        fits = boxes * grid.children * grid.fine <= workspace_limit(size)
        cost = np.where(fits, cost, np.inf)
        by_sort = ~fits if method == "grid" else cost > size * SORT_COST[itemsize]
        total = np.where(by_sort, size * SORT_COST[itemsize], cost).sum()
        if total < best_cost:
            best, best_cost, best_sort = grid, total, by_sort
    if method == "sort":
        best_sort = np.ones_like(missing)
    if method == "grid" and (best_sort & ~missing).any():
        worst = np.nanmax(np.where(missing, np.nan, span))
        raise ValueError(
            f"method='grid' cannot hold strength * range = {worst:.3g} for columns of {size} "
            "elements; use method='auto' or 'sort'"
        )
    by_grid = ~(best_sort | missing)
    return Plan(
        best,
        np.where(by_grid, low, 0.0),
        np.where(by_grid, gamma * best.children / best.width, 0.0),
        np.where(by_grid, boxes, 1).astype(np.int64),
        best_sort & ~missing,
        missing,
    )


def run_blocks(source, plan, work):
    """work(first, columns, shape, frame, starts, parts) for every block that has a grid column."""
    block = source.block
    rows = max(1, TILE // block)
    by_grid = ~(plan.by_sort | plan.missing)

    def one(first):
        columns = min(block, source.count - first)
        here = slice(first, first + columns)
        if not by_grid[here].any():
            return
        parts = plan.boxes[here] * plan.grid.children
        starts = np.cumsum(parts) - parts
        frame = np.empty((4, rows, columns))
        frame[0] = plan.low[here]
        frame[1] = plan.scale[here]
        frame[2] = parts - 1
        frame[3] = starts
        shape = source.shape(columns, rows)
        work(first, shape, frame.reshape(4, rows * columns), starts, parts)

    in_threads(one, range(0, source.count, block), source.size * source.count)


def translate(grid, moments, starts, parts, order, total, local, slot=0):
    arrays = tables.grid_tables(grid, order)
    kernels.translate(moments, starts, parts, grid.children, order, total, *arrays, local, slot)


def kernels_of(grid):
    return kernels.grid_kernels(grid.fine)


def rank(x, gamma, method, with_density, fold):
    """Ranks (folded: r - n where r > n/2), slopes sum_j sigma'(t_i - t_j), and the extremes."""
    low_high = extremes(x)
    ranks = torch.empty_like(x)
    density = torch.empty_like(x) if with_density else x.new_empty(0)
    source, target = columns_of(x), columns_of(ranks)
    slope = columns_of(density) if with_density else None
    plan = make_plan(source.size, x.element_size(), gamma.numpy(), low_high.numpy(), method)
    loops, total = kernels_of(plan.grid), float(source.size) if fold else 0.0

    def by_grid(first, shape, frame, starts, parts):
        moments = np.zeros((parts.sum(), plan.grid.fine))
        local = np.empty((parts.sum(), 2 if with_density else 1, plan.grid.fine))
        at, to = source.shifted(first), target.shifted(first)
        loops.spread(source.flat, at, shape, frame, moments)
        translate(plan.grid, moments, starts, parts, 0, total, local)
        if not with_density:
            loops.evaluate(source.flat, at, shape, frame, local, total, target.flat, to)
            return
        translate(plan.grid, moments, starts, parts, 1, 0.0, local, 1)
        loops.evaluate_two(
            source.flat, at, shape, frame, local, total, target.flat, to, slope.flat
        )

    run_blocks(source, plan, by_grid)

    def by_sort(c):
        values = source.column(c)
        order = np.argsort(values)
        values = values[order]
        result = sorted_column(values, gamma[c].item(), NO_WEIGHT, 0, x.element_size())
        lower = np.arange(source.size) + 0.5 + result
        upper = np.arange(source.size)[::-1] + 0.5 - result
        out = np.empty(source.size)
        out[order] = np.where(lower <= upper, lower, -upper) if fold else lower
        target.assign(c, out)
        if with_density:
            out[order] = sorted_column(values, gamma[c].item(), NO_WEIGHT, 1, x.element_size())
            slope.assign(c, out)

    sort_columns(plan, by_sort, source)
    for c in np.flatnonzero(plan.missing):
        target.assign(c, np.full(source.size, np.nan))
        if with_density:
            slope.assign(c, np.full(source.size, np.nan))
    return ranks, density, low_high


def weighted_sum(x, gamma, weight, order, method, low_high=None):
    """y_i = sum_j w_j sigma^(order)(gamma (x_i - x_j)); weight None means ones."""
    low_high = extremes(x) if low_high is None else low_high
    y = torch.empty_like(x)
    source, target = columns_of(x), columns_of(y)
    weights = None if weight is None else columns_of(weight)
    plan = make_plan(source.size, x.element_size(), gamma.numpy(), low_high.numpy(), method)
    loops = kernels_of(plan.grid)

    def by_grid(first, shape, frame, starts, parts):
        moments = np.zeros((parts.sum(), plan.grid.fine))
        local = np.empty((len(moments), 1, plan.grid.fine))
        at = source.shifted(first)
        if weights is None:
            loops.spread(source.flat, at, shape, frame, moments)
        else:
            loops.spread_weighted(
                source.flat, at, shape, frame, moments, weights.flat, weights.shifted(first)
            )
        translate(plan.grid, moments, starts, parts, order, 0.0, local)
        loops.evaluate(
            source.flat, at, shape, frame, local, 0.0, target.flat, target.shifted(first)
        )

    run_blocks(source, plan, by_grid)

    def by_sort(c):
        values = source.column(c)
        permutation = np.argsort(values)
        values = values[permutation]
        w = NO_WEIGHT if weights is None else weights.column(c)[permutation]
        result = sorted_column(values, gamma[c].item(), w, order, x.element_size())
        if order == 0:
            w = np.ones(source.size) if weights is None else w
            result += np.cumsum(w) - 0.5 * w
        out = np.empty(source.size)
        out[permutation] = result
        target.assign(c, out)

    sort_columns(plan, by_sort, source)
    for c in np.flatnonzero(plan.missing):
        target.assign(c, np.full(source.size, np.nan))
    return y


def rank_gradient(x, gamma, g, density, low_high, method):
    """g_k density_k - sum_j g_j sigma'(t_k - t_j): the gradient of sum_i g_i r_i in t = gamma x."""
    y = torch.empty_like(density)
    source, target = columns_of(x), columns_of(y)
    slope, cotangent = columns_of(density), columns_of(g)
    plan = make_plan(source.size, x.element_size(), gamma.numpy(), low_high.numpy(), method)
    loops = kernels_of(plan.grid)

    def by_grid(first, shape, frame, starts, parts):
        moments = np.zeros((parts.sum(), plan.grid.fine))
        local = np.empty((len(moments), 1, plan.grid.fine))
        at, to = source.shifted(first), target.shifted(first)
        g_at = cotangent.shifted(first)
        loops.spread_weighted(source.flat, at, shape, frame, moments, cotangent.flat, g_at)
        translate(plan.grid, moments, starts, parts, 1, 0.0, local)
        loops.evaluate_gradient(
            source.flat, at, shape, frame, local, cotangent.flat, g_at, slope.flat,
            target.flat, to,
        )

    run_blocks(source, plan, by_grid)

    def by_sort(c):
        values = source.column(c)
        permutation = np.argsort(values)
        w = cotangent.column(c)
        result = sorted_column(values[permutation], gamma[c].item(), w[permutation], 1,
                               x.element_size())
        out = np.empty(source.size)
        out[permutation] = result
        target.assign(c, w * slope.column(c) - out)

    sort_columns(plan, by_sort, source)
    for c in np.flatnonzero(plan.missing):
        target.assign(c, np.full(source.size, np.nan))
    return y


NO_WEIGHT = np.empty(0)


def sorted_column(values, gamma, weight, order, itemsize):
    """The sum for one ascending column; for order 0 less the weight to the left and itself/2."""
    series = tables.derivative_series(1, tables.SORTED_TERMS[itemsize][order], order)
    out = np.empty_like(values)
    sign = -1.0 if order % 2 == 0 else 1.0
    kernels.sorted_series(values, gamma, weight, series, sign, out)
    if order > 0:
        out += SORT_SELF[order] * (1.0 if weight.size == 0 else weight)
    return out


def sort_columns(plan, work, source):
    in_threads(work, np.flatnonzero(plan.by_sort), source.size * int(plan.by_sort.sum()))


@functools.cache
def pool(process):
    """Threads of this process (a forked one needs its own); the kernels release the GIL."""
    return concurrent.futures.ThreadPoolExecutor(thread_name_prefix=f"soft_rank_{process}")


def in_threads(work, items, elements):
    """work(item) for every item, on as many threads as torch uses in this thread."""
    threads = min(torch.get_num_threads(), len(items))
    if threads < 2 or elements < PARALLEL:
        for item in items:
            work(item)
        return
    chunks = [items[i::threads] for i in range(threads)]

    def several(chunk):
        for item in chunk:
            work(item)

    list(pool(os.getpid()).map(several, chunks))
