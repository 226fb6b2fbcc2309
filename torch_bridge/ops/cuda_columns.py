"""How CUDA columns (A, C, B) are cut into tiles and chunks, and their sums about a value."""

import functools
import importlib.util

import torch

PROGRAMS = 2112  # sixteen on each of an H100's 132 multiprocessors
MOST_CHUNKS = 128  # partial sums that one program adds up at a time
WARPS = 4
AVAILABLE = importlib.util.find_spec("triton") is not None  # it comes with torch for CUDA


def on_its_device(function):
    """function(x, ...) with x's device as the current one, to which Triton launches."""

    @functools.wraps(function)
    def there(x, *rest, **options):
        with torch.cuda.device_of(x):
            return function(x, *rest, **options)

    return there


def padded(count):
    """The next power of two, at least 2."""
    return max(2, 1 << (count - 1).bit_length())


def cut(size, blocks, rows):
    """(chunks, rows of a chunk) of columns of `size`, for programs that take `rows` at a time."""
    chunks = max(1, min(PROGRAMS // blocks, MOST_CHUNKS, -(-size // rows)))
    chunk = -(-size // chunks // rows) * rows
    return -(-size // chunk), chunk


class Plan:
    """Tiles and chunks for an (A, C, B) tensor: rows that lie side by side, or columns that do.

    A tile has `values` elements, in the second case of so many `columns`: 8 float32 fill a sector
    of memory, fewer leave more of the first-level cache to each column's tables.
    """

    def __init__(self, x, values, columns=8):
        size_a, self.count, self.size_b = x.shape
        self.size = size_a * self.size_b
        columns = 1 if x.stride(2) == 1 and self.size_b >= 32 else columns
        rows = min(values // columns, padded(self.size))
        blocks = -(-self.count // columns)
        self.chunks, self.chunk = cut(self.size, blocks, rows)
        self.grid = blocks, self.chunks
        self.tile = {"BC": columns, "R": rows, "num_warps": WARPS}
        self.lengths = self.size, self.count, self.size_b


def spreads_of(x, plan):
    """(chunks, 2, C) float64, of which triton_columns.mean_and_variance takes mean and variance."""
    from torch_bridge.ops import triton_columns

    found = x.new_empty((plan.chunks, 2, plan.count), dtype=torch.float64)
    triton_columns.spread[plan.grid](
        x, found, *plan.lengths, *x.stride(), plan.chunk, **plan.tile
    )
    return found
