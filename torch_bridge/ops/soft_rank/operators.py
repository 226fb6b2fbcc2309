"""Sigmoid sums as torch operators, and their derivatives of every order that has a kernel.

With t = gamma x and K_m(w)_i = sum_j w_j sigma^(m)(t_i - t_j):

    folded rank    r_i = K_0(1)_i, handed out as r_i where r_i <= n/2 and as r_i - n above, so that
                   both tails keep all their digits. The fold moves by a constant: the derivatives
                   are those of r.
    its gradient   G(g)_k = g_k K_1(1)_k - K_1(g)_k = sum_j (g_k - g_j) sigma'(t_k - t_j).
                   G is symmetric in its argument, so it is also the directional derivative.
    to t           v . dG(g)/dt = vg K_2(1) + K_2(vg) - v K_2(g) - g K_2(v)
    weighted sums  y = K_m(w), cotangent g; sigma^(m) has parity (-1)^{m+1} for m >= 1:
                   to w: sum g - K_0(g) for m = 0, (-1)^{m+1} K_m(g) for m >= 1
                   to t: g K_{m+1}(w) - (-1)^m w K_{m+1}(g)
                   directional: K_m(dw) + dt K_{m+1}(w) - K_{m+1}(w dt)
    to x, gamma    dx = gamma dt and dgamma = sum_k dt_k (x_k - a) for any a: sum_k dt_k = 0.

The sums are opaque operators (a compiler sees one node with known shapes), the rules above are
autograd Functions over them. Shapes: x, w, g (A, C, B), gamma (C,) float64; a column is x[:, c, :].
"""

import inspect

import torch

from torch_bridge.ops.columns import columnwise
from torch_bridge.ops.soft_rank import cpu, cuda, tables, tensors

METHODS = ("auto", "grid", "sort", "pairwise")


def on_cpu(x, method):
    return x.device.type == "cpu" and method != "pairwise" and not method.startswith("tensors")


def in_torch(method):
    """'tensors-sort' names the torch form of a method where the CPU kernels would be taken. The
    window's kernels lack derivatives of the gradient, which are summed after sorting.
    """
    return "auto" if method == "window" else method.removeprefix("tensors-")


LIBRARY = torch.library.Library("maxent", "FRAGMENT")


def operator(schema, fake):
    """Registers a function as an operator, without the layers that torch.library.custom_op puts
    around it at every call: the autograd Functions below do their work.
    """

    def register(function):
        LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
        name = schema.split("(")[0]
        LIBRARY.impl(name, function, "CompositeExplicitAutograd")
        torch.library.register_fake(f"maxent::{name}", fake, lib=LIBRARY)
        return getattr(torch.ops.maxent, name).default

    return register


def blank_rank(x, gamma, method, with_density, fold):
    density = columnwise(x) if with_density else x.new_empty(0)
    return torch.empty_like(x), density, gamma.new_empty((2, x.shape[1]))


@operator(
    "soft_rank(Tensor x, Tensor gamma, str method, bool with_density, bool fold) "
    "-> (Tensor, Tensor, Tensor)",
    blank_rank,
)
def rank_op(x, gamma, method, with_density, fold):
    if x.numel() == 0:
        return blank_rank(x, gamma, method, with_density, fold)
    if on_cpu(x, method):
        return cpu.rank(x, gamma, method, with_density, fold)
    if method == "window":
        return *cuda.rank(x, gamma, with_density, fold), gamma.new_zeros((2, x.shape[1]))
    ranks, density = tensors.rank(x, gamma, in_torch(method), fold)
    density = density if with_density else x.new_empty(0)
    return ranks, density, gamma.new_zeros((2, x.shape[1]))


@operator(
    "rank_gradient(Tensor x, Tensor gamma, Tensor g, Tensor density, Tensor low_high, str method, "
    "bool to_x) -> Tensor",
    lambda x, *_: torch.empty_like(x),
)
def rank_gradient_op(x, gamma, g, density, low_high, method, to_x):
    """G(g), or its product with gamma."""
    if x.numel() == 0:
        return torch.empty_like(x)
    if on_cpu(x, method):
        return cpu.rank_gradient(x, gamma, g, density, low_high, method, to_x)
    if method == "window":
        return cuda.rank_gradient(x, gamma, g, density, to_x)
    dt = tensors.rank_gradient(x, gamma, g, density, in_torch(method))
    return scaled_by(gamma, dt) if to_x else dt


@operator(
    "sigmoid_sum(Tensor x, Tensor gamma, Tensor? w, int order, str method) -> Tensor",
    lambda x, *_: torch.empty_like(x),
)
def sigmoid_sum_op(x, gamma, w, order, method):
    if x.numel() == 0:
        return torch.empty_like(x)
    if on_cpu(x, method):
        return cpu.weighted_sum(x, gamma, w, order, method)
    return tensors.weighted_sum(x, gamma, w, order, in_torch(method))


def fold_batch(info, in_dims, *arguments):
    """The vmapped dimension moved into the columns; None stays None."""
    folded = []
    for argument, dim in zip(arguments, in_dims, strict=True):
        if argument is None:
            folded.append(None)
            continue
        column = 0 if argument.ndim - (dim is not None) == 1 else 1
        if dim is None:
            argument = argument.unsqueeze(column)
            shape = list(argument.shape)
            shape[column] = info.batch_size
            argument = argument.expand(shape)
        else:
            argument = argument.movedim(dim, column)
        folded.append(argument.flatten(column, column + 1))
    return folded


def unfold_batch(info, result):
    return result.unflatten(1, (info.batch_size, -1))


def per_column(gamma, x):
    return gamma.to(x.dtype)[None, :, None]


def scaled_by(gamma, dt):
    """gamma dt; 0 where gamma is infinite: hard ranks are piecewise constant."""
    return per_column(torch.where(torch.isinf(gamma), 0.0, gamma), dt) * dt


def to_gamma(x, dt, gamma):
    if x.numel() == 0:
        return torch.zeros_like(gamma)
    return (dt * centred(x)).sum((0, 2), dtype=gamma.dtype)


def centred(x):
    return x - x.detach().mean((0, 2), keepdim=True)


def tangent_of_t(x, gamma, dx, dgamma):
    dt = 0.0
    if dx is not None:
        dt = scaled_by(gamma, dx)
    if dgamma is not None:
        dt = dt + per_column(dgamma, x) * centred(x)
    return dt


def derivatives_may_follow():
    """Whether autograd or a function transform watches, or a compiler."""
    return (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def known_signature(rule):
    """autograd asks for the signature of `forward` at every call: here it is found at once."""
    rule.forward.__signature__ = inspect.signature(rule.forward)
    return rule


@known_signature
class Rank(torch.autograd.Function):
    @staticmethod
    def forward(x, gamma, method, with_density, fold):
        return rank_op(x, gamma, method, with_density, fold)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, gamma, ctx.method, _, _ = inputs
        _, density, low_high = output
        ctx.mark_non_differentiable(density, low_high)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, gamma, density, low_high)

    @staticmethod
    def backward(ctx, g, _density, _low_high):
        if g is None:
            return None, None, None, None, None
        x, gamma, density, low_high = ctx.saved_tensors
        if not (ctx.needs_input_grad[1] or derivatives_may_follow()):
            dx = rank_gradient_op(x, gamma, g, density, low_high, ctx.method, True)
            return dx, None, None, None, None
        dt = rank_gradient(x, gamma, g, density, low_high, ctx.method)
        dx = scaled_by(gamma, dt) if ctx.needs_input_grad[0] else None
        dgamma = to_gamma(x, dt, gamma) if ctx.needs_input_grad[1] else None
        return dx, dgamma, None, None, None

    @staticmethod
    def vmap(info, in_dims, x, gamma, method, with_density, fold):
        x, gamma = fold_batch(info, in_dims[:2], x, gamma)
        ranks, density, low_high = rank(x, gamma, method, with_density, fold)
        density = unfold_batch(info, density) if with_density else density
        outputs = (unfold_batch(info, ranks), density, unfold_batch(info, low_high))
        return outputs, (1, 1 if with_density else None, 1)


class RankForward(Rank):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Rank.setup_context(ctx, inputs, output)
        ctx.save_for_forward(inputs[0], inputs[1], output[1], output[2])

    @staticmethod
    def jvp(ctx, dx, dgamma, _method, _with_density, _fold):
        x, gamma, density, low_high = ctx.saved_tensors
        dt = tangent_of_t(x, gamma, dx, dgamma)
        return rank_gradient(x, gamma, dt, density, low_high, ctx.method), None, None


@known_signature
class RankGradient(torch.autograd.Function):
    @staticmethod
    def forward(x, gamma, g, density, low_high, method):
        return rank_gradient_op(x, gamma, g, density, low_high, method, False)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, gamma, g, density, low_high, ctx.method = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, gamma, g, density, low_high)

    @staticmethod
    def backward(ctx, v):
        if v is None:
            return None, None, None, None, None, None
        x, gamma, g, density, low_high = ctx.saved_tensors
        dg = dx = dgamma = None
        if ctx.needs_input_grad[2]:
            dg = rank_gradient(x, gamma, v, density, low_high, ctx.method)
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:

            def second(w):
                return sigmoid_sum(x, gamma, w, 2, ctx.method)

            dt = v * g * second(None) + second(v * g) - v * second(g) - g * second(v)
            dx = scaled_by(gamma, dt) if ctx.needs_input_grad[0] else None
            dgamma = to_gamma(x, dt, gamma) if ctx.needs_input_grad[1] else None
        return dx, dgamma, dg, None, None, None

    @staticmethod
    def vmap(info, in_dims, x, gamma, g, density, low_high, method):
        folded = fold_batch(info, in_dims[:5], x, gamma, g, density, low_high)
        return unfold_batch(info, rank_gradient(*folded, method)), 1


class RankGradientForward(RankGradient):
    @staticmethod
    def setup_context(ctx, inputs, output):
        RankGradient.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:5])

    @staticmethod
    def jvp(ctx, dx, dgamma, dg, _density, _low_high, _method):
        x, gamma, g, density, low_high = ctx.saved_tensors
        total = 0.0
        if dg is not None:
            total = rank_gradient(x, gamma, dg, density, low_high, ctx.method)
        if dx is not None or dgamma is not None:
            dt = tangent_of_t(x, gamma, dx, dgamma)

            def second(w):
                return sigmoid_sum(x, gamma, w, 2, ctx.method)

            total = total + g * (dt * second(None) - second(dt)) - dt * second(g) + second(g * dt)
        return total


@known_signature
class SigmoidSum(torch.autograd.Function):
    @staticmethod
    def forward(x, gamma, w, order, method):
        return sigmoid_sum_op(x, gamma, w, order, method)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, gamma, w, ctx.order, ctx.method = inputs
        ctx.weighted = w is not None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*(x, gamma, w) if ctx.weighted else (x, gamma))

    @staticmethod
    def backward(ctx, g):
        if g is None:
            return None, None, None, None, None
        (x, gamma, *w), m = ctx.saved_tensors, ctx.order
        w = w[0] if ctx.weighted else None
        dx = dgamma = dw = None
        if ctx.needs_input_grad[2]:
            dw = sigmoid_sum(x, gamma, g, m, ctx.method)
            if m == 0:
                dw = g.sum((0, 2), keepdim=True) - dw
            elif m % 2 == 0:
                dw = -dw
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            after = sigmoid_sum(x, gamma, g, m + 1, ctx.method)
            after = after if w is None else w * after
            dt = g * sigmoid_sum(x, gamma, w, m + 1, ctx.method) - (-1) ** m * after
            dx = scaled_by(gamma, dt) if ctx.needs_input_grad[0] else None
            dgamma = to_gamma(x, dt, gamma) if ctx.needs_input_grad[1] else None
        return dx, dgamma, dw, None, None

    @staticmethod
    def vmap(info, in_dims, x, gamma, w, order, method):
        folded = fold_batch(info, in_dims[:3], x, gamma, w)
        return unfold_batch(info, sigmoid_sum(*folded, order, method)), 1


class SigmoidSumForward(SigmoidSum):
    @staticmethod
    def setup_context(ctx, inputs, output):
        SigmoidSum.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*(inputs[:3] if ctx.weighted else inputs[:2]))

    @staticmethod
    def jvp(ctx, dx, dgamma, dw, _order, _method):
        (x, gamma, *w), m = ctx.saved_tensors, ctx.order
        w = w[0] if ctx.weighted else None
        total = 0.0
        if dw is not None:
            total = sigmoid_sum(x, gamma, dw, m, ctx.method)
        if dx is not None or dgamma is not None:
            dt = tangent_of_t(x, gamma, dx, dgamma)
            wdt = dt if w is None else w * dt
            total = total + dt * sigmoid_sum(x, gamma, w, m + 1, ctx.method)
            total = total - sigmoid_sum(x, gamma, wdt, m + 1, ctx.method)
        return total


# A Function with a jvp cannot be traced by torch.compile, one without has no forward mode.


def rank(x, gamma, method="auto", with_density=True, fold=False):
    """r_i (fold: r_i - n where r_i > n/2); its slope K_1(1); and the columns' extremes."""
    rule = Rank if torch.compiler.is_compiling() else RankForward
    return rule.apply(x, gamma, method, with_density, fold)


def rank_gradient(x, gamma, g, density, low_high, method="auto"):
    """G(g)_k = sum_j (g_k - g_j) sigma'(t_k - t_j)."""
    rule = RankGradient if torch.compiler.is_compiling() else RankGradientForward
    return rule.apply(x, gamma, g, density, low_high, method)


def sigmoid_sum(x, gamma, w, order, method="auto"):
    """K_order(w)_i = sum_j w_j sigma^(order)(t_i - t_j); w None means ones."""
    if order >= tables.ORDERS:
        raise NotImplementedError(
            f"soft ranks have {tables.ORDERS - 1} derivatives; derivative {order} was asked for"
        )
    rule = SigmoidSum if torch.compiler.is_compiling() else SigmoidSumForward
    return rule.apply(x, gamma, w, order, method)
