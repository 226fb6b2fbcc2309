"""P(x) between knots x_0 <= x_1 <= .., a power of two of them, with values and slopes there.

On [x_j, x_{j+1}), with s = (x - x_j) / h in [0, 1], P is Hermite's cubic in powers of s,

    c_0 = y_j,  c_1 = h d_j,  c_2 = 3 (y_{j+1} - y_j) - h (2 d_j + d_{j+1}),
    c_3 = h (d_j + d_{j+1}) - 2 (y_{j+1} - y_j);

beyond the ends the line with the end's slope. The piece is found by halving: log2(count) times
j += step where x >= x_{j+step}, which is a gather and a comparison, the same for every element.
Pieces (C, 6, count): x_j, 1 / h, c_0..c_3; the last begins at nan, above which nothing lies.
"""

import numpy as np
import torch

from torch_bridge.ops.chebyshev.operators import in_blocks
from torch_bridge.ops.cubic_pieces import kernels
from torch_bridge.ops.soft_rank.cpu import columns_of


def pieces_of(x, y, slopes):
    """Knots, values and slopes (C, count) -> pieces in x's dtype, in whose knots they are exact."""
    knots, y, slopes = x.double(), y.double(), slopes.double()
    h, rise = knots.diff(dim=1), y.diff(dim=1)
    steepest = torch.finfo(x.dtype).max  # 1 / h of subnormal h would be infinite
    rate = (1 / torch.where(h > 0, h, 1.0)).clamp(max=steepest)
    left, right = h * slopes[:, :-1], h * slopes[:, 1:]
    pieces = torch.stack(
        [knots[:, :-1], rate, y[:, :-1], left, 3 * rise - 2 * left - right,
         left + right - 2 * rise],
        1,
    )
    last = torch.zeros_like(pieces[:, :, :1])
    last[:, 0] = torch.nan
    return torch.cat([pieces, last], 2).to(x.dtype)


def interval(left, x):
    """Places in the flattened `left` (C, count), ascending, of the last one <= x (A, C, B), or of
    a row's first; count is a power of two.
    """
    count = left.shape[1]
    at = count * torch.arange(left.shape[0], device=x.device)[:, None]
    flat, at = left.reshape(-1), at.expand_as(x)
    step = count // 2
    while step:
        at = at + step * (x >= flat[at + step])
        step //= 2
    return at


@torch.library.custom_op("maxent::pieces_apply", mutates_args=())
def apply_op(
    pieces: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    out = torch.empty_like(x)
    source, target = columns_of(x), columns_of(out)
    values, frame = pieces.numpy(), torch.stack([weight, bias]).numpy()

    def work(first, shape):
        here = slice(first, first + shape[2])
        kernels.apply(
            source.flat, source.shifted(first), shape, values[here],
            np.ascontiguousarray(frame[:, here]), target.flat, target.shifted(first),
        )

    in_blocks(source, work)
    return out


@apply_op.register_fake
def _(pieces, x, weight, bias):
    return torch.empty_like(x)


def apply_in_torch(pieces, x):
    left, rate, *powers = pieces.unbind(1)
    at = interval(left, x.detach())
    s = (x - left.reshape(-1)[at]) * rate.reshape(-1)[at]
    v = s.clamp(0, 1)
    c0, c1, c2, c3 = (power.reshape(-1)[at] for power in powers)
    steepness = c1 + v.detach() * (2 * c2 + v.detach() * (3 * c3))
    return c0 + v * (c1 + v * (c2 + v * c3)) + (s - v) * steepness


def apply(pieces, x, weight, bias):
    """weight P(x) + bias; x (A, C, B), weight and bias (C,), all of one dtype.

    One pass where nothing is differentiated or traced, and otherwise tensor operations that every
    exporter knows.
    """
    plain = (
        x.device.type == "cpu"
        and x.numel() > 0
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch.autograd.forward_ad._current_level < 0
        and not (
            torch.is_grad_enabled() and any(v.requires_grad for v in (pieces, x, weight, bias))
        )
    )
    if plain:
        return apply_op(pieces, x, weight, bias)
    return apply_in_torch(pieces, x) * weight[:, None] + bias[:, None]
