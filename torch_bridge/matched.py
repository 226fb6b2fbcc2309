"""The moment-matching transform of a batch: composed of the pieces of `moment_matching`, or, for
what a GPU meets in training (support "real", target "normal", no process to share with), in the
five passes of `torch_bridge.ops.match`, which compute the same map.

The five passes have a first derivative of their own; for derivatives of it the composition is made
again and differentiated.
"""

from typing import Any, NamedTuple

import torch

from torch_bridge import copula, moment_matching
from torch_bridge.moment_matching import Fit
from torch_bridge.ops import match, monotone_table
from torch_bridge.ops.columns import as_columns, reduced_dimensions
from torch_bridge.ops.dual_solve import SolveInfo, tables
from torch_bridge.ops.dual_solve.operators import RIDGE, STEPS
from torch_bridge.ops.precision import without_autocast


class How(NamedTuple):
    """What to match and to what; see moment_match. support: also a (C, 2) tensor of (lo, hi)."""

    degree: int
    support: Any
    eps: float
    ridge: float
    target: Any = "normal"
    target_support: Any = "real"


def matched(x, how, weight=None, bias=None, start=None, sync=None):
    """(y of x's dtype, Fit) of the columns of (A, C, B); weight, bias (C,) or None.

    start: coefficients (C, degree) of a problem nearby. sync: see moment_matching.fit.
    """
    wide = copula.wide_dtype(x)
    if passes_serve(x, how, sync):
        count, degree = x.shape[1], how.degree
        if start is None:
            start = x.new_zeros((count, degree), dtype=torch.float32)
        start = start.detach().to(torch.float32)
        y, mean, var, scale, m, c, *info = Match.apply(x, weight, bias, start, how)[:9]
        size = x.shape[0] * x.shape[2]
        return y, Fit(size, mean, var, mean, scale, m, c, SolveInfo(*info))
    y, found = composed(x.to(wide), how, weight, bias, start, sync)
    return y.to(x.dtype), found


def passes_serve(x, how, sync):
    """Whether the five passes compute this."""
    return (
        sync is None
        and isinstance(how.target, str)
        and how.target == "normal"
        and isinstance(how.support, str)
        and how.support == "real"
        and match.serves(x, how.degree)
    )


def composed(x, how, weight, bias, start=None, sync=None):
    """The same in a wide dtype, by differentiable operators."""
    t, found = moment_matching.fit(x, how.degree, how.support, how.eps, how.ridge, start, sync)
    table = moment_matching.table_of(
        found.coefficients, how.target, moment_matching.KNOTS, how.ridge, how.target_support
    )
    table = moment_matching.affine_table(table, weight, bias)
    return monotone_table.evaluate(table, t), found


class Match(torch.autograd.Function):
    """match.match_op with its first derivative; of the outputs only y has one."""

    @staticmethod
    def forward(ctx, x, weight, bias, start, how):
        ctx.how = how
        ctx.nodes = tables.default_nodes(how.degree, torch.float32)
        found = match.match_op(
            x, weight, bias, start, how.eps, how.ridge, ctx.nodes, STEPS[torch.float32]
        )
        c, frame, averages, cubics = found[5], *found[9:]
        ctx.save_for_backward(x, weight, bias, c, frame, averages, cubics)
        ctx.mark_non_differentiable(*found[1:])
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx, g, *_):
        if g is None:
            return None, None, None, None, None
        x, weight, bias, c, frame, averages, cubics = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            inputs = (x, weight, bias)
            wanted = [v for v, need in zip(inputs, ctx.needs_input_grad, strict=False) if need]
            y = composed(x.to(copula.wide_dtype(x)), ctx.how, weight, bias, c)[0].to(x.dtype)
            found = iter(torch.autograd.grad(y, wanted, g, create_graph=True))
            return *(next(found) if need else None for need in ctx.needs_input_grad[:3]), None, None
        dx, by_weight, by_bias = match.match_gradient_op(
            x, g, weight, c, frame, averages, cubics, ctx.how.ridge, ctx.nodes
        )
        by_weight = by_weight.to(weight.dtype) if ctx.needs_input_grad[1] else None
        by_bias = by_bias.to(bias.dtype) if ctx.needs_input_grad[2] else None
        return dx, by_weight, by_bias, None, None


def moment_match(
    x, dim=0, *, degree=6, target="normal", support="real", eps=1e-5, ridge=RIDGE,
    target_support="real", start=None,
):
    """y = F2^-1(F1(x)), F1 of the maximum-entropy density of the first moments along `dim`.

    x: any floating tensor; half precisions compute in float32. dim: an int or several.
    degree: how many moments, 1 to 16, of x in the frame that `support` names: "real" (standardised
    and squashed), "data" (the range of each column) or (lo, hi), outside which x counts as the end.
    target: "normal", "uniform", "logistic", "laplace", an object with `icdf`, or a tensor (k,) of
    moments E T_j(s), j = 1 … k, where s = y / sqrt(4 + y^2), or with `target_support=(lo, hi)` y's
    place on [-1, 1]; gradients flow into it.
    ridge: see ops.dual_solve; 0 matches the moments exactly. start: coefficients (columns, degree).

    Returns y of x's shape and dtype. Columns without a density (constant, few values) give finite
    values; nan stays in its column. Raises ValueError for options out of range. The derivation is
    at the head of `torch_bridge.moment_matching`.

    >>> x = torch.randn(512, 3, generator=torch.Generator().manual_seed(0)).exp()
    >>> y = torch_bridge.functional.moment_match(x)
    >>> y.mean(0).abs().max() < 0.1, (y.std(0) - 1).abs().max() < 0.1
    (tensor(True), tensor(True))
    """
    moment_matching.check_degree(degree)
    moment_matching.check_ridge(ridge)
    moment_matching.check_support(support)
    moment_matching.check_target(target)
    dims = reduced_dimensions(x, dim)
    if x.numel() == 0:
        return x.clone()
    how = How(degree, support, eps, ridge, target, target_support)
    with without_autocast(x):
        columns, restore = as_columns(x, dims)
        return restore(matched(columns, how, start=start)[0])
