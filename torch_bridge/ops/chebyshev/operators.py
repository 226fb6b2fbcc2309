"""Two operators, closed under differentiation:

    series  y = sum_j a_j T_j(t)             dy = series(a', t) dt + series(da, t)
    sums    s_j = sum over a column of w T_j(t)   ds_j = sum dw T_j + sum w dt T_j'

with a' = D a the coefficients of the derivative, D_ij = 2 j / (1 + delta_i0) for j > i, j - i odd.
Each is the transpose of the other. t, w (A, C, B), whose column c is all of x[:, c, :]; a and s
(C, k + 1) with T_0 = 1, T_1 = t, T_2 = 2 t^2 - 1. The derivative needs no more memory than t.
"""

import numpy as np
import torch

from torch_bridge.ops.chebyshev import kernels
from torch_bridge.ops.columns import fold_columns, unfold_columns
from torch_bridge.ops.soft_rank.cpu import columns_of, in_threads

TILE = 512  # elements of a tile: its few arrays stay in the first-level cache


def differentiation(like):
    """D, as a tensor of like's dtype and device, for series of like.shape[-1] terms."""
    j = torch.arange(like.shape[-1], device=like.device)
    i = j[:, None]
    picked = (j > i) & ((j - i) % 2 == 1)
    return torch.where(picked, 2.0 * j, 0.0).to(like.dtype) / (1 + (i == 0).to(like.dtype))


def derivative(a):
    """Coefficients (C, k + 1) of the derivative of a series."""
    return a @ differentiation(a).T


def in_blocks(source, work):
    """work(first, shape) for every block of columns of `source`."""
    block = source.block

    def one(first):
        columns = min(block, source.count - first)
        work(first, source.shape(columns, TILE // columns))

    in_threads(one, range(0, source.count, block), source.size * source.count)


@torch.library.custom_op("maxent::chebyshev_sums", mutates_args=())
def sums_op(t: torch.Tensor, w: torch.Tensor | None, terms: int) -> torch.Tensor:
    if t.device.type != "cpu" or t.numel() == 0:
        return sums_in_torch(t, w, terms)
    out = np.empty((t.shape[1], terms))
    source = columns_of(t)
    other = source if w is None else columns_of(aligned(w, t))

    def work(first, shape):
        kernels.sums(
            source.flat, source.shifted(first), shape, other.flat, other.shifted(first),
            w is not None, out[first : first + shape[2]],
        )

    in_blocks(source, work)
    return torch.from_numpy(out).to(t.dtype)


@sums_op.register_fake
def _(t, w, terms):
    return t.new_empty((t.shape[1], terms))


def aligned(w, t):
    """w in t's arrangement, so that one block of columns is one block of both."""
    return w if w.stride() == t.stride() else torch.empty_like(t).copy_(w)


@torch.library.custom_op("maxent::chebyshev_series", mutates_args=())
def series_op(a: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    if t.device.type != "cpu" or t.numel() == 0:
        return series_in_torch(a, t)
    out = torch.empty_like(t)
    source, target = columns_of(t), columns_of(out)
    values = a.detach().double().T.contiguous().numpy()

    def work(first, shape):
        own = np.ascontiguousarray(values[:, first : first + shape[2]])
        kernels.series(
            source.flat, source.shifted(first), shape, own, target.flat, target.shifted(first)
        )

    in_blocks(source, work)
    return out


@series_op.register_fake
def _(a, t):
    return torch.empty_like(t)


def sums_in_torch(t, w, terms):
    before = torch.ones_like(t) if w is None else w
    now, found = before * t, []
    for _ in range(terms):
        found.append(before.sum((0, 2)))
        before, now = now, 2 * t * now - before
    return torch.stack(found, 1)


def series_in_torch(a, t):
    a = a.to(t.dtype)[:, :, None]
    now, before = torch.zeros_like(t), torch.zeros_like(t)
    for j in range(a.shape[1] - 1, 0, -1):
        now, before = a[:, j] + 2 * t * now - before, now
    return a[:, 0] + t * now - before


class Sums(torch.autograd.Function):
    @staticmethod
    def forward(t, w, terms):
        return sums_op(t, w, terms)

    @staticmethod
    def setup_context(ctx, inputs, output):
        t, w, ctx.terms = inputs
        ctx.weighted = w is not None
        ctx.save_for_backward(*(t, w) if ctx.weighted else (t,))

    @staticmethod
    def backward(ctx, g):
        t, *w = ctx.saved_tensors
        dt = dw = None
        if ctx.needs_input_grad[0]:
            dt = series(derivative(g), t)
            dt = dt * w[0] if ctx.weighted else dt
        if ctx.weighted and ctx.needs_input_grad[1]:
            dw = series(g, t)
        return dt, dw, None

    @staticmethod
    def vmap(info, in_dims, t, w, terms):
        t, w = (fold_columns(info.batch_size, v, d, 1) for v, d in zip((t, w), in_dims[:2]))
        return unfold_columns(info.batch_size, sums(t, w, terms), 0), 0


class SumsForward(Sums):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Sums.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*(inputs[:2] if ctx.weighted else inputs[:1]))

    @staticmethod
    def jvp(ctx, dt, dw, _terms):
        t, *w = ctx.saved_tensors
        total = 0.0
        if dt is not None:
            by_t = sums(t, dt * w[0] if ctx.weighted else dt, ctx.terms)
            total = by_t @ differentiation(by_t)
        if dw is not None:
            total = total + sums(t, dw, ctx.terms)
        return total


class Series(torch.autograd.Function):
    @staticmethod
    def forward(a, t):
        return series_op(a, t)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        a, t = ctx.saved_tensors
        da = sums(t, g, a.shape[1]).to(a.dtype) if ctx.needs_input_grad[0] else None
        dt = g * series(derivative(a), t) if ctx.needs_input_grad[1] else None
        return da, dt

    @staticmethod
    def vmap(info, in_dims, a, t):
        size = info.batch_size
        y = series(fold_columns(size, a, in_dims[0], 0), fold_columns(size, t, in_dims[1], 1))
        return unfold_columns(size, y, 1), 1


class SeriesForward(Series):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Series.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, da, dt):
        a, t = ctx.saved_tensors
        total = 0.0
        if da is not None:
            total = series(da, t)
        if dt is not None:
            total = total + dt * series(derivative(a), t)
        return total


# A Function with a jvp cannot be traced by torch.compile, one without has no forward mode.


def sums(t, w, terms):
    """(C, terms): sum over a column of w T_j(t), j < terms; w None for ones."""
    rule = Sums if torch.compiler.is_compiling() else SumsForward
    return rule.apply(t, w, terms)


def series(a, t):
    """sum_j a_j T_j(t), a (C, terms), t (A, C, B)."""
    rule = Series if torch.compiler.is_compiling() else SeriesForward
    return rule.apply(a, t)
