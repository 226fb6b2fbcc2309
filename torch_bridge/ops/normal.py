"""The standard normal where both tails must be right, in every floating dtype.

A folded probability v stands for u = v where v >= 0 and for u = 1 + v where v < 0: the smaller
tail with its digits. Since F^{-1}(1 - q) = -F^{-1}(q) for a symmetric F, its quantile is
sign(v) F^{-1}(|v|), with slope 1 / p(y) either way.
"""

import math

import torch

from torch_bridge.ops.statistics import is_plain, normal_quantile
from torch_bridge.ops.statistics.cuda import quantile_gradient

SMALLEST_TAIL = 1e-30  # F^{-1} = -11.46: keeps the quantile and its slope finite in float32


def quantile(v):
    """F^{-1} of the folded probability v: the normal quantile, right to rounding in both tails."""
    wide = v.to(torch.float32) if v.dtype in (torch.float16, torch.bfloat16) else v
    rule = Quantile if torch.compiler.is_compiling() else QuantileForward
    return rule.apply(wide).to(v.dtype)


def slope(y):
    """d F^{-1} / du = 1 / p(y) = sqrt(2 pi) e^{y^2/2}."""
    return torch.exp(y * y * 0.5) * math.sqrt(2 * math.pi)


class Quantile(torch.autograd.Function):
    """Saves y alone: its slope is a function of it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(v):
        return normal_quantile(v)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return grad * slope(y)
        if is_plain(y) and y.is_cuda:
            return quantile_gradient(y, grad)
        rise = y.square().mul_(0.5).exp_()  # in place: nothing else sees it
        return rise.mul_(grad).mul_(math.sqrt(2 * math.pi))


class QuantileForward(Quantile):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Quantile.setup_context(ctx, inputs, output)
        ctx.save_for_forward(output)

    @staticmethod
    def jvp(ctx, dv):
        (y,) = ctx.saved_tensors
        return dv * slope(y)


def distribution(y):
    """F(y) by erfc, which keeps the lower tail; for the upper tail take distribution(-y)."""
    wide = y.to(torch.float32) if y.dtype in (torch.float16, torch.bfloat16) else y
    return (0.5 * torch.erfc(-wide / math.sqrt(2))).to(y.dtype)
