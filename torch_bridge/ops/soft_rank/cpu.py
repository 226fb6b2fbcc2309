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

from torch_bridge.ops.columns import columnwise
from torch_bridge.ops.soft_rank import kernels, tables

ROWS = 512  # elements of each column in a tile: its few arrays stay in the second-level cache
BLOCK = 16  # columns of a tile where neighbours lie side by side: a cache line of float32
PAIRWISE = 64  # elements up to which "auto" takes the definition: n^2 / 2 divisions, nothing else
PARALLEL = 1 << 17  # elements below which a second thread costs more than it saves

# Nanoseconds of a forward and a backward pass together, measured on one core: by itemsize, for
# the two grids of tables.GRIDS (a point, a box) and for the sort (a point); and what a column on
# its own costs besides. Only ratios matter.
GRID_COST = {4: ((18.0, 255.0), (12.0, 520.0)), 8: ((35.0, 660.0), (23.0, 1490.0))}
SORT_COST = {4: 400.0, 8: 580.0}
ALONE_COST = 4e5


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
        return 1 if stride_b < stride_c else BLOCK

    def shape(self, columns, rows=ROWS):
        return (self.size_b, self.size, columns, min(rows, self.size))

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


def pairwise_blocks(source, work):
    """work(first, last) for ranges of columns."""
    step = max(1, PARALLEL // (2 * source.size**2))

    def one(first):
        work(first, min(first + step, source.count))

    in_threads(one, range(0, source.count, step), source.size**2 * source.count)


def extremes(x):
    """(2, C) float64 tensor: smallest and largest value of a column, nan if any is not finite."""
    source = columns_of(x)
    low_high = np.empty((2, source.count))
    block = source.block

    def work(first):
        columns = min(block, source.count - first)
        out = np.empty((2, columns))
        kernels.extremes(source.flat, source.shifted(first), source.shape(columns), out)
        low_high[:, first : first + columns] = out

    in_threads(work, range(0, source.count, block), source.size * source.count)
    return torch.from_numpy(low_high)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done with each column: the grid that most share, or a way of its own.

    low, scale, boxes (C,); alone and missing (C,) bool: columns that are too wide for the grid,
    columns that answer nan.
    """

    grid: tables.Grid
    low: np.ndarray
    scale: np.ndarray
    boxes: np.ndarray
    alone: np.ndarray
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
        alone = ~fits if method == "grid" else cost > size * SORT_COST[itemsize] + ALONE_COST
        total = np.where(alone, size * SORT_COST[itemsize] + ALONE_COST, cost).sum()
        if total < best_cost:
            best, best_cost, best_alone = grid, total, alone
    if method == "sort":
        best_alone = np.ones_like(missing)
    if method == "grid" and (best_alone & ~missing).any():
        worst = np.nanmax(np.where(missing, np.nan, span))
        raise ValueError(
            f"method='grid' cannot hold strength * range = {worst:.3g} for columns of {size} "
            "elements; use method='auto' or 'sort'"
        )
    by_grid = ~(best_alone | missing)
    return Plan(
        best,
        np.where(by_grid, low, 0.0),
        np.where(by_grid, gamma * best.children / best.width, 0.0),
        np.where(by_grid, boxes, 1).astype(np.int64),
        best_alone & ~missing,
        missing,
    )


def run_blocks(source, plan, work, factor=None):
    """work(first, shape, frame, starts, parts) for every block that has a grid column."""
    block = source.block
    by_grid = ~(plan.alone | plan.missing)

    def one(first):
        columns = min(block, source.count - first)
        here = slice(first, first + columns)
        if not by_grid[here].any():
            return
        parts = plan.boxes[here] * plan.grid.children
        starts = np.cumsum(parts) - parts
        frame = np.ones((5, columns))
        frame[0] = plan.low[here]
        frame[1] = plan.scale[here]
        frame[2] = parts - 1
        frame[3] = starts
        if factor is not None:
            frame[4] = factor[here]
        work(first, source.shape(columns), frame, starts, parts)

    in_threads(one, range(0, source.count, block), source.size * source.count)


def translate(grid, moments, starts, parts, order, total, local, slot=0):
    arrays = tables.grid_tables(grid, order)
    kernels.translate(moments, starts, parts, grid.children, order, total, *arrays, local, slot)


def kernels_of(grid):
    return kernels.grid_kernels(grid.fine)


NOTHING = {kind: np.empty(0, kind) for kind in (np.float32, np.float64)}
NOWHERE = (0, 0, 0, 0)


def workspace(grid, parts, slots, dtype):
    """(moments, local) of a block: see `kernels`."""
    count = parts.sum()
    return (
        np.zeros((count, grid.fine)),
        np.empty((count, grid.fine // 4, slots, 4), dtype),
    )


def rank(x, gamma, method, with_density, fold):
    """Ranks (folded: r - n where r > n/2), slopes sum_j sigma'(t_i - t_j), and the extremes."""
    ranks = torch.empty_like(x)
    density = columnwise(x) if with_density else x.new_empty(0)
    source, target = columns_of(x), columns_of(ranks)
    slope = columns_of(density) if with_density else None
    strength = np.ascontiguousarray(gamma.numpy())
    if method == "auto" and source.size <= PAIRWISE:

        def definition(first, last):
            to = (slope.flat, slope.shifted(first)) if with_density else (density.numpy(), NOWHERE)
            kernels.pairwise_rank(
                source.flat, source.shifted(first), source.size_b, source.size,
                strength[first:last], fold, target.flat, target.shifted(first), *to,
            )

        pairwise_blocks(source, definition)
        return ranks, density, gamma.new_zeros((2, x.shape[1]))
    low_high = extremes(x)
    plan = make_plan(source.size, x.element_size(), gamma.numpy(), low_high.numpy(), method)
    loops, total = kernels_of(plan.grid), float(source.size) if fold else 0.0

    def by_grid(first, shape, frame, starts, parts):
        moments, local = workspace(plan.grid, parts, 2 if with_density else 1, source.flat.dtype)
        nothing = NOTHING[source.flat.dtype.type]
        at, to = source.shifted(first), target.shifted(first)
        loops.spread(source.flat, at, nothing, NOWHERE, shape, frame, moments)
        translate(plan.grid, moments, starts, parts, 0, total, local)
        if not with_density:
            loops.evaluate(
                source.flat, at, nothing, NOWHERE, nothing, NOWHERE, shape, frame, local, total,
                target.flat, to,
            )
            return
        translate(plan.grid, moments, starts, parts, 1, 0.0, local, 1)
        loops.evaluate_two(
            source.flat, at, shape, frame, local, total, target.flat, to,
            slope.flat, slope.shifted(first),
        )

    run_blocks(source, plan, by_grid)

    def alone(c):
        lone = LoneColumn(source.column(c), gamma[c].item(), x.element_size(), method)
        target.assign(c, lone.sum(None, 0, fold))
        if with_density:
            slope.assign(c, lone.sum(None, 1))

    lone_columns(plan, alone, source)
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
        moments, local = workspace(plan.grid, parts, 1, source.flat.dtype)
        nothing = NOTHING[source.flat.dtype.type]
        at = source.shifted(first)
        w = (nothing, NOWHERE) if weights is None else (weights.flat, weights.shifted(first))
        loops.spread(source.flat, at, *w, shape, frame, moments)
        translate(plan.grid, moments, starts, parts, order, 0.0, local)
        loops.evaluate(
            source.flat, at, nothing, NOWHERE, nothing, NOWHERE, shape, frame, local, 0.0,
            target.flat, target.shifted(first),
        )

    run_blocks(source, plan, by_grid)

    def alone(c):
        lone = LoneColumn(source.column(c), gamma[c].item(), x.element_size(), method)
        target.assign(c, lone.sum(None if weights is None else weights.column(c), order))

    lone_columns(plan, alone, source)
    for c in np.flatnonzero(plan.missing):
        target.assign(c, np.full(source.size, np.nan))
    return y


def rank_gradient(x, gamma, g, density, low_high, method, to_x):
    """g_k density_k - sum_j g_j sigma'(t_k - t_j): the gradient of sum_i g_i r_i in t = gamma x,
    or in x itself (0 where gamma is infinite).
    """
    strength = np.ascontiguousarray(gamma.numpy())
    factor = np.where(np.isinf(strength), 0.0, strength) if to_x else np.ones(len(strength))
    y = torch.empty_like(x)
    source, target = columns_of(x), columns_of(y)
    cotangent = columns_of(g)
    if method == "auto" and source.size <= PAIRWISE:

        def definition(first, last):
            kernels.pairwise_gradient(
                source.flat, source.shifted(first), source.size_b, source.size,
                strength[first:last], factor[first:last], cotangent.flat,
                cotangent.shifted(first), target.flat, target.shifted(first),
            )

        pairwise_blocks(source, definition)
        return y
    slope = columns_of(density)
    plan = make_plan(source.size, x.element_size(), gamma.numpy(), low_high.numpy(), method)
    loops = kernels_of(plan.grid)

    def by_grid(first, shape, frame, starts, parts):
        moments, local = workspace(plan.grid, parts, 1, source.flat.dtype)
        at, g_at = source.shifted(first), cotangent.shifted(first)
        loops.spread(source.flat, at, cotangent.flat, g_at, shape, frame, moments)
        translate(plan.grid, moments, starts, parts, 1, 0.0, local)
        loops.evaluate(
            source.flat, at, cotangent.flat, g_at, slope.flat, slope.shifted(first), shape, frame,
            local, 0.0, target.flat, target.shifted(first),
        )

    run_blocks(source, plan, by_grid, factor)

    def alone(c):
        lone = LoneColumn(source.column(c), gamma[c].item(), x.element_size(), method)
        w = cotangent.column(c)
        target.assign(c, factor[c] * (w * slope.column(c) - lone.sum(w, 1)))

    lone_columns(plan, alone, source)
    for c in np.flatnonzero(plan.missing):
        target.assign(c, np.full(source.size, np.nan))
    return y


NO_WEIGHT = np.empty(0)
FAR = 40.0  # e^-40 is below the rounding of 1: values further apart see each other as infinite
SAMPLE = 1001  # values whose median is near enough to the column's


def pulled_in(values, gamma, room):
    """The column with its outliers moved nearer, or None where that does not fit `room` boxes.

    A gap longer than FAR / gamma may be cut to that length without changing any sum. Outliers are
    what lies outside a window around the median; they must be few, and only they are sorted.
    """
    size = len(values)
    if not np.isfinite(gamma) or size < 64:
        return None
    center = np.median(values[:: max(1, size // SAMPLE)])
    half = room / (4 * gamma)
    outside = np.flatnonzero((values > center + half) | (values < center - half))
    if len(outside) > min(size // 8, room / (4 * FAR)):
        return None
    moved = values.copy()
    for side in (1.0, -1.0):
        chosen = outside[side * (values[outside] - center) > 0]
        chosen = chosen[np.argsort(side * values[chosen], kind="stable")]
        steps = np.diff(side * values[chosen], prepend=center * side + half)
        moved[chosen] = center + side * (half + np.minimum(steps, FAR / gamma).cumsum())
    return moved


class LoneColumn:
    """A column that the common grid cannot hold: on a grid of its own if pulled in, else sorted."""

    def __init__(self, values, gamma, itemsize, method):
        self.gamma, self.itemsize = gamma, itemsize
        grid = tables.GRIDS[itemsize][0]
        room = min(
            workspace_limit(len(values)) / grid.fine,
            (SORT_COST[itemsize] - GRID_COST[itemsize][0][0])
            * len(values)
            / GRID_COST[itemsize][0][1],
        )
        self.near = None if method == "sort" else pulled_in(values, gamma, room)
        if self.near is not None:
            low_high = np.array([[self.near.min()], [self.near.max()]])
            self.plan = make_plan(len(values), itemsize, np.array([gamma]), low_high, "auto")
            if self.plan.alone[0]:
                self.near = None
        if self.near is None:
            self.permutation = np.argsort(values)
            self.place, self.step = np.empty(len(values)), np.empty(len(values), np.uint8)
            ascending = values[self.permutation]
            kernels.positions(ascending, gamma, FAR, self.place, self.step)

    def sum(self, weight, order, fold=False):
        """sum_j w_j sigma^(order)(gamma (x_i - x_j)); weight None means ones."""
        if self.near is None:
            return self.by_sort(weight, order, fold)
        size = len(self.near)
        result, at = np.empty(size), (0, 0, 1, 1)
        loops, total = kernels_of(self.plan.grid), float(size) if fold else 0.0

        def work(first, shape, frame, starts, parts):
            moments, local = workspace(self.plan.grid, parts, 1, np.float64)
            nothing = NOTHING[np.float64]
            w = (nothing, NOWHERE) if weight is None else (weight, at)
            loops.spread(self.near, at, *w, shape, frame, moments)
            translate(self.plan.grid, moments, starts, parts, order, total, local)
            loops.evaluate(
                self.near, at, nothing, NOWHERE, nothing, NOWHERE, shape, frame, local, total,
                result, at,
            )

        run_blocks(Columns(self.near, at, size, size, 1), self.plan, work)
        return result

    def by_sort(self, weight, order, fold):
        arrays = tables.sorted_tables(self.itemsize, order, int(FAR))
        w = NO_WEIGHT if weight is None else weight[self.permutation]
        part = np.empty_like(self.place)
        loop = kernels.sorted_kernel(tables.GRIDS[self.itemsize][0].coarse)
        loop(self.place, self.step, w, order, *arrays, part)
        if order == 0 and weight is None:
            before = np.arange(0.5, len(part))
            upper = before + part > 0.5 * len(part) if fold else np.zeros(len(part), bool)
            before[upper] -= len(part)  # exact: minus the values after it and half of itself
            part += before
        elif order == 0:
            part += np.cumsum(w) - 0.5 * w
        result = np.empty_like(part)
        result[self.permutation] = part
        return result


def lone_columns(plan, work, source):
    in_threads(work, np.flatnonzero(plan.alone), source.size * int(plan.alone.sum()))


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
