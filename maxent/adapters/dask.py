"""Densities of dask arrays and of dask dataframe columns: a sketch a block, merged in a tree.

Every block becomes a `maxent.Sketch` where it lies, and what travels is k + 3 numbers a column.
Eight sketches at a time are merged into one, so that no machine waits for all blocks and none
holds more than a few of them. The same graph runs on threads, processes and a `distributed`
cluster; a lost worker's blocks are sketched again, and counted once.
"""

from __future__ import annotations

import dask
import numpy as np

from maxent.sketch import Sketch
from maxent.solver import AUTO_DEGREE

FAN_IN = 8


def sketch(data, degree=6, *, weights=None, transform=None):
    """A delayed `maxent.Sketch` of all blocks: `.compute()` gives the Sketch.

    data: a dask array, (n,) or (n, columns); a dask Series; a dask DataFrame of numbers, whose
    columns become a batch. weights: a dask array (n,) with the blocks of `data`, or None. degree,
    transform: as for `Sketch`.

    Raises TypeError for what is no dask collection, ValueError for weights in other blocks.
    """
    level = [
        _sketch(block, w, degree, transform) for block, w in _with_weights(_blocks(data), weights)
    ]
    while len(level) > 1:
        level = [_merge(level[i : i + FAN_IN]) for i in range(0, len(level), FAN_IN)]
    return level[0]


def fit(
    data, degree=6, *, support=None, weights=None, transform=None, nan_policy="raise", throw=True
):
    """The maximum-entropy density of a dask collection, by one pass over its blocks.

    degree: a number, or "auto" (up to 12, by BIC). The other arguments are those of `sketch` and
    `maxent.Sketch.fit`, and so is what is raised.
    """
    moments = AUTO_DEGREE if degree == "auto" else degree
    total = sketch(data, moments, weights=weights, transform=transform).compute()
    return total.fit(degree, support=support, nan_policy=nan_policy, throw=throw)


def _blocks(data):
    """The blocks of rows, each a delayed array or frame."""
    if not dask.is_dask_collection(data) or not hasattr(data, "to_delayed"):
        raise TypeError(
            f"data must be a dask array, Series or DataFrame, not {type(data).__name__}; "
            "maxent.fit takes what is in memory"
        )
    if hasattr(data, "partitions") and not hasattr(data, "chunks"):  # Series, DataFrame
        return list(data.to_delayed())
    if data.ndim > 2:
        raise ValueError(f"data of shape {data.shape}: reshape them to (n, columns)")
    if data.ndim == 2:
        data = data.rechunk({1: -1})
    return list(data.to_delayed().ravel())


def _with_weights(blocks, weights):
    if weights is None:
        return [(block, None) for block in blocks]
    parts = _blocks(weights)
    if len(parts) != len(blocks):
        raise ValueError(f"weights come in {len(parts)} blocks, the data in {len(blocks)}")
    return list(zip(blocks, parts, strict=True))


@dask.delayed(pure=True)
def _sketch(block, weights, degree, transform):
    if hasattr(block, "to_numpy"):  # pandas, whose missing values become NaN
        block = block.to_numpy(dtype=float, na_value=np.nan)
    new = Sketch(degree, transform=transform)
    return new if np.size(block) == 0 else new.update(block, weights=weights)


@dask.delayed(pure=True)
def _merge(parts):
    return sum(parts)
