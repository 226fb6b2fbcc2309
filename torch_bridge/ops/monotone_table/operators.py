"""A table holds value and slope at K knots, equally spaced on [-1, 1]; slopes are per cell.

In a cell, with s in [0, 1] from its left knot, the cubic of Hermite

    y = v0 (1 - s)^2 (1 + 2 s) + d0 s (1 - s)^2 + v1 s^2 (3 - 2 s) - d1 s^2 (1 - s),

beyond the ends the line with the end's slope. The cell is found by arithmetic, not by search. y is
linear in the table and smooth in t, so that two operators suffice for derivatives of every order:

    evaluate   E_r(V, t) = sum_i V_i B_i^(r)(t)        dE_r = E_r(dV, t) + E_{r+1}(V, t) dt
    spread     S_r(t, g)_i = sum_n g_n B_i^(r)(t_n)    dS_r = S_r(t, dg) + S_{r+1}(t, g dt)

Each is the transpose of the other in its linear argument. V (C, K, 2), t and g (A, C, B).
"""

import numpy as np
import torch

from torch_bridge.ops import match
from torch_bridge.ops.chebyshev.operators import aligned, in_blocks
from torch_bridge.ops.columns import fold_columns, unfold_columns
from torch_bridge.ops.monotone_table import kernels
from torch_bridge.ops.soft_rank.cpu import columns_of

ORDERS = 4  # the fourth derivative of a cubic is 0


def on_cpu(t):
    return t.is_cpu and t.numel() > 0


@torch.library.custom_op("maxent::table_evaluate", mutates_args=())
def evaluate_op(table: torch.Tensor, t: torch.Tensor, order: int) -> torch.Tensor:
    if not on_cpu(t):
        return evaluate_in_torch(table, t, order)
    out = torch.empty_like(t)
    source, target = columns_of(t), columns_of(out)
    values = table.detach().double().flatten(1).numpy()

    def work(first, shape):
        kernels.evaluate(
            source.flat, source.shifted(first), shape, values[first : first + shape[2]], order,
            target.flat, target.shifted(first),
        )

    in_blocks(source, work)
    return out


@evaluate_op.register_fake
def _(table, t, order):
    return torch.empty_like(t)


@torch.library.custom_op("maxent::table_spread", mutates_args=())
def spread_op(t: torch.Tensor, g: torch.Tensor, order: int, knots: int) -> torch.Tensor:
    if not on_cpu(t):
        return spread_in_torch(t, g, order, knots)
    table = np.zeros((t.shape[1], 2 * knots))
    source, weight = columns_of(t), columns_of(aligned(g, t))

    def work(first, shape):
        kernels.spread(
            source.flat, source.shifted(first), shape, weight.flat, weight.shifted(first), order,
            table[first : first + shape[2]],
        )

    in_blocks(source, work)
    return torch.from_numpy(table).to(t.dtype).view(-1, knots, 2)


@spread_op.register_fake
def _(t, g, order, knots):
    return t.new_empty((t.shape[1], knots, 2))


@torch.library.custom_op("maxent::table_apply", mutates_args=())
def apply_op(
    cubics: torch.Tensor, x: torch.Tensor, center: torch.Tensor, scale: torch.Tensor, squash: float
) -> torch.Tensor:
    out = torch.empty_like(x)
    source, target = columns_of(x), columns_of(out)
    values = cubics.detach().to(x.dtype).flatten(1).numpy()
    frame = torch.stack([center, scale.reciprocal()]).to(x.dtype).numpy()
    number = values.dtype.type
    cells = cubics.shape[1]
    numbers = number(0.5 * cells), number(cells), number(cells - 1), number(0)
    square = number(squash * squash if squash else -1.0)

    def work(first, shape):
        here = slice(first, first + shape[2])
        kernels.apply(
            source.flat, source.shifted(first), shape, np.ascontiguousarray(frame[:, here]), square,
            numbers, values[here], target.flat, target.shifted(first),
        )

    in_blocks(source, work)
    return out


@apply_op.register_fake
def _(cubics, x, center, scale, squash):
    return torch.empty_like(x)


def powers(table):
    """(C, K - 1, 4): the cubic of every cell in powers of s."""
    v0, d0, v1, d1 = table[:, :-1, 0], table[:, :-1, 1], table[:, 1:, 0], table[:, 1:, 1]
    rise = v1 - v0
    return torch.stack([v0, d0, 3 * rise - 2 * d0 - d1, d0 + d1 - 2 * rise], 2)


def place(t, knots):
    """(number of the cell in the flattened knots, s, what lies beyond the ends in cells)."""
    cells = knots - 1
    u = (t + 1) * (0.5 * cells)
    inside = u.detach().clamp(0, cells)
    inside = torch.where(inside == inside, inside, 0.0)
    cell = inside.to(torch.int64).clamp(max=cells - 1)
    column = torch.arange(t.shape[1], device=t.device)[:, None]
    s = (u - cell).clamp(0, 1)
    return cell + knots * column, s, u - cell - s


def basis(s, over, order):
    """B^(order) of left value, left slope, right value, right slope; see kernels.basis."""
    r = 1 - s
    if order == 0:
        right = s * s * (3 - 2 * s)
        return 1 - right, s * r * r + over.clamp(max=0), right, over.clamp(min=0) - s * s * r
    if order == 1:
        right = 6 * s * r
        return -right, r * (1 - 3 * s), right, s * (3 * s - 2)
    inside = (over == 0).to(s.dtype)
    if order == 2:
        right = (6 - 12 * s) * inside
        return -right, (6 * s - 4) * inside, right, (6 * s - 2) * inside
    return 12 * inside, 6 * inside, -12 * inside, 6 * inside


def evaluate_in_torch(table, t, order):
    knots = table.shape[1]
    index, s, over = place(t, knots)
    value, slope = table.to(t.dtype).reshape(-1, 2).unbind(1)
    a0, b0, a1, b1 = basis(s, over, order)
    y = a0 * value[index] + b0 * slope[index] + a1 * value[index + 1] + b1 * slope[index + 1]
    return y * (0.5 * (knots - 1)) ** order


def spread_in_torch(t, g, order, knots):
    index, s, over = place(t, knots)
    scale = (0.5 * (knots - 1)) ** order
    total = t.new_zeros((t.shape[1] * knots, 2))
    a0, b0, a1, b1 = (weight * g * scale for weight in basis(s, over, order))
    for at, pair in ((index, (a0, b0)), (index + 1, (a1, b1))):
        total = total.index_put((at.flatten(),), torch.stack(pair, -1).view(-1, 2), accumulate=True)
    return total.view(-1, knots, 2)


def coordinate(x, center, scale, squash):
    """t = z or z / sqrt(squash^2 + z^2), z = (x - center) / scale; x (A, C, B), the others (C,)."""
    z = (x - center.to(x.dtype)[:, None]) / scale.to(x.dtype)[:, None]
    return z * torch.rsqrt(squash * squash + z * z) if squash else z


class Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(table, t, order):
        return evaluate_op(table, t, order)

    @staticmethod
    def setup_context(ctx, inputs, output):
        table, t, ctx.order = inputs
        ctx.save_for_backward(table, t)

    @staticmethod
    def backward(ctx, g):
        table, t = ctx.saved_tensors
        by_table = by_t = None
        if ctx.needs_input_grad[0]:
            by_table = spread(t, g, ctx.order, table.shape[1]).to(table.dtype)
        if ctx.needs_input_grad[1]:
            by_t = g * evaluate(table, t, ctx.order + 1)
        return by_table, by_t, None

    @staticmethod
    def vmap(info, in_dims, table, t, order):
        size = info.batch_size
        table, t = fold_columns(size, table, in_dims[0], 0), fold_columns(size, t, in_dims[1], 1)
        return unfold_columns(size, evaluate(table, t, order), 1), 1


class EvaluateForward(Evaluate):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Evaluate.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def jvp(ctx, dtable, dt, _order):
        table, t = ctx.saved_tensors
        total = 0.0
        if dtable is not None:
            total = evaluate(dtable, t, ctx.order)
        if dt is not None:
            total = total + dt * evaluate(table, t, ctx.order + 1)
        return total


class Spread(torch.autograd.Function):
    @staticmethod
    def forward(t, g, order, knots):
        return spread_op(t, g, order, knots)

    @staticmethod
    def setup_context(ctx, inputs, output):
        t, g, ctx.order, ctx.knots = inputs
        ctx.save_for_backward(t, g)

    @staticmethod
    def backward(ctx, table):
        t, g = ctx.saved_tensors
        by_t = g * evaluate(table, t, ctx.order + 1) if ctx.needs_input_grad[0] else None
        by_g = evaluate(table, t, ctx.order) if ctx.needs_input_grad[1] else None
        return by_t, by_g, None, None

    @staticmethod
    def vmap(info, in_dims, t, g, order, knots):
        t, g = (fold_columns(info.batch_size, v, d, 1) for v, d in zip((t, g), in_dims[:2]))
        return unfold_columns(info.batch_size, spread(t, g, order, knots), 0), 0


class SpreadForward(Spread):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Spread.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def jvp(ctx, dt, dg, _order, _knots):
        t, g = ctx.saved_tensors
        total = 0.0
        if dg is not None:
            total = spread(t, dg, ctx.order, ctx.knots)
        if dt is not None:
            total = total + spread(t, g * dt, ctx.order + 1, ctx.knots)
        return total


def evaluate(table, t, order=0):
    """The functions of `table` (C, K, 2) at t (A, C, B), or their derivatives by t of `order`."""
    if order >= ORDERS:
        return torch.zeros_like(t)
    # a Function with a jvp cannot be traced by torch.compile, one without has no forward mode
    rule = Evaluate if torch.compiler.is_compiling() else EvaluateForward
    return rule.apply(table, t, order)


def spread(t, g, order, knots):
    """The transpose of evaluate in its table: (C, knots, 2)."""
    if order >= ORDERS:
        return t.new_zeros((t.shape[1], knots, 2))
    rule = Spread if torch.compiler.is_compiling() else SpreadForward
    return rule.apply(t, g, order, knots)


def plain(*inputs):
    """Whether nothing is differentiated, batched or traced, so that one pass on the CPU will do."""
    if (
        torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    ):
        return False
    graph = torch.is_grad_enabled()
    for v in inputs:
        if not on_cpu(v) or (graph and v.requires_grad):
            return False
    return True


def apply(table, cubics, x, center, scale, squash):
    """evaluate(table, coordinate(x, center, scale, squash)), cubics = powers(table).

    One pass where nothing is differentiated or traced; tensor operations that every exporter knows
    in an exported graph.
    """
    if torch.compiler.is_exporting():
        return evaluate_in_torch(table, coordinate(x, center, scale, squash), 0)
    if plain(table, x, center, scale):
        return apply_op(cubics, x, center, scale, squash)
    if match.applies(table, cubics, x, center, scale, squash):
        return match.apply_op(x, cubics, center, scale)
    return evaluate(table, coordinate(x, center, scale, squash))


def inverse(table, y):
    """t with evaluate(table, t) = y, for tables that increase; y (A, C, B).

    The cell by search among the values at the knots, the cubic by bisection, and two Newton steps
    that carry the first and second derivative. Beyond the ends the line is inverted.
    """
    count, knots, _ = table.shape
    value, slope = table.to(y.dtype).unbind(2)
    goal = y.detach()
    rows = goal.permute(1, 0, 2).reshape(count, -1).contiguous()
    cell = torch.searchsorted(value.detach().contiguous(), rows, right=True) - 1
    cell = cell.clamp(0, knots - 2).view(count, y.shape[0], y.shape[2]).permute(1, 0, 2)
    index = cell + knots * torch.arange(count, device=y.device)[:, None]
    value, slope = value.reshape(-1), slope.reshape(-1)
    ends = value[index], slope[index], value[index + 1], slope[index + 1]
    v0, d0, v1, d1 = (end.detach() for end in ends)

    def cubic(s):
        a0, b0, a1, b1 = basis(s, torch.zeros_like(s), 0)
        return a0 * v0 + b0 * d0 + a1 * v1 + b1 * d1

    low, high = torch.zeros_like(goal), torch.ones_like(goal)
    for _ in range(26 if y.dtype == torch.float32 else 54):
        middle = 0.5 * (low + high)
        below = cubic(middle) < goal
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    s = 0.5 * (low + high)
    s = torch.where(goal < v0, (goal - v0) / torch.where(d0 > 0, d0, torch.inf), s)
    s = torch.where(goal > v1, 1 + (goal - v1) / torch.where(d1 > 0, d1, torch.inf), s)
    t = (cell + s) * (2 / (knots - 1)) - 1
    for _ in range(2):
        rate = evaluate(table, t, 1)
        t = t + (y - evaluate(table, t)) / torch.where(rate > 0, rate, torch.inf)
    return t
