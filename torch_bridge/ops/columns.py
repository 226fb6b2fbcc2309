"""A tensor as columns: any set of reduced dimensions, without a copy where the layout allows."""

import math
from collections.abc import Sequence

import torch


def reduced_dimensions(x, dim):
    """dim as a sorted tuple of non-negative ints."""
    dims = tuple(dim) if isinstance(dim, Sequence) else (dim,)
    if any(not -x.ndim <= d < x.ndim for d in dims):
        raise IndexError(f"dim {dim} is out of range for a tensor of {x.ndim} dimensions")
    dims = tuple(sorted(d % x.ndim for d in dims))
    if len(set(dims)) < len(dims):
        raise ValueError(f"dim {dim} names a dimension twice")
    return dims


def permutation_for(x, dims):
    """An order of the dimensions in which kept ones are neighbours; memory order if that has it."""
    order = sorted(range(x.ndim), key=lambda d: -x.stride(d))
    kept = [d not in dims for d in order]
    changes = sum(kept[i] != kept[i - 1] for i in range(1, x.ndim))
    if changes <= 1 or (changes == 2 and not kept[0]):
        return order
    return [d for d in range(x.ndim) if d not in dims] + list(dims)


def as_columns(x, dims):
    """x -> (A, C, B), whose column c is x[:, c, :], and the function that undoes it.

    The columns run over the kept dimensions, in the order `kept_order` gives.
    """
    if x.ndim > 1 and x.is_contiguous() and dims == (0, *range(2, x.ndim)):  # the usual, quickly
        size_a, count, *rest = x.shape
        return x.view(size_a, count, math.prod(rest)), lambda columns: columns.reshape_as(x)
    order = permutation_for(x, dims)
    kept = [i for i, d in enumerate(order) if d not in dims]
    first, last = (kept[0], kept[-1] + 1) if kept else (x.ndim, x.ndim)
    shape = [x.shape[d] for d in order]
    sizes = [math.prod(part) for part in (shape[:first], shape[first:last], shape[last:])]
    inverse = sorted(range(x.ndim), key=lambda i: order[i])

    def restore(columns):
        return columns.reshape(shape).permute(inverse)

    return x.permute(order).reshape(sizes), restore


def column_values(value, x, dims):
    """A number or tensor that broadcasts to x's kept dimensions -> (C,) in as_columns' order."""
    if not isinstance(value, torch.Tensor):
        count = math.prod(x.shape[d] for d in range(x.ndim) if d not in dims)
        return torch.full((count,), value, device=x.device, dtype=torch.float64)
    order = [d for d in permutation_for(x, dims) if d not in dims]
    natural = sorted(order)
    value = value.to(x.device, torch.float64).expand([x.shape[d] for d in natural])
    return value.permute([natural.index(d) for d in order]).reshape(-1)


def fold_columns(size, value, dim, column):
    """For vmap: the batch dimension `dim` of `size` (None: none) moved into dimension `column`."""
    if value is None:
        return None
    if dim is None:
        value = value.unsqueeze(column)
        shape = list(value.shape)
        shape[column] = size
        value = value.expand(shape)
    else:
        value = value.movedim(dim, column)
    return value.flatten(column, column + 1)


def unfold_columns(size, value, column):
    """The inverse of fold_columns: dimension `column` is then the batch dimension."""
    return value.unflatten(column, (size, -1))


def columnwise(x):
    """An empty tensor of x's shape (A, C, B) in which every column lies in one piece."""
    size_a, _, size_b = x.shape
    return x.new_empty_strided(x.shape, (size_b, size_a * size_b, 1))
