"""Functions of one variable, one a column, as cubic pieces between knots wherever they are.

    operators   pieces_of knots and slopes, apply, interval
    kernels     the loops for CPU tensors
"""

from torch_bridge.ops.cubic_pieces.operators import apply, interval, pieces_of

__all__ = ["apply", "interval", "pieces_of"]
