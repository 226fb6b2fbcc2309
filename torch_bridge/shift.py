"""Log-shift and sqrt-shift, with the slopes that the textbook forms lose.

With q = b|x| and an exponent k = e^c,

    log-shift   g(x) = sign(x) a log(1 + q^k)
    sqrt-shift  h(x) = sign(x) (sqrt(q^k + 1/4) - 1/2) = sign(x) q^k / (sqrt(q^k + 1/4) + 1/2),

there b = e^a and k = e^b. Neither q^k nor its reciprocal may overflow, so each is written twice:

    q <= 1:  g = a log1p(q^k)                       h = q^k / (sqrt(q^k + 1/4) + 1/2)
    q >= 1:  g = a (k log q + log1p(q^-k))          h = q^{k/2} / (sqrt(1 + q^-k/4) + q^{-k/2}/2)

Slopes, with r = q^k / (1 + q^k) for g and r = q^k / (2 sqrt(q^k + 1/4)) for h:

    dg/dx = a k r / |x|     dg/da = g / a     dg/dlog b = sign(x) a k r    dg/dc = dg/dlog b log q
    dh/dx = k r / |x|                         dh/da = sign(x) k r          dh/db = dh/da log q

r/|x| = b q^{k-1} (...) has the limit b at x = 0 if k = 1, and 0 if k > 1. If k < 1 it is
infinite; there, and only there, the slope in x is taken no closer to zero than |x| = delta.
Autograd of the textbook form would give 0 at x = 0 for every k, or nan.

The inverses: q^k = expm1(|y| / a), and q^k = |y| (|y| + 1).
"""

import math

import torch

DELTA = 1e-3  # |x| below which a slope with k < 1 grows no further: 44 b^(1/4) at k = 1/4




def widened(x):
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


class Logarithm:
    """sign(x) a log(1 + q^k) / a: value and r as functions of q and k."""

    @staticmethod
    def value(q, k):
        small, large = q.clamp(max=1.0), q.clamp(min=1.0)
        below = torch.log1p(small**k)
        above = k * torch.log(large) + torch.log1p(large**-k)
        return torch.where(q <= 1, below, above)

    @staticmethod
    def ratio(q, k):
        """r = q^k / (1 + q^k)."""
        small, large = q.clamp(max=1.0), q.clamp(min=1.0)
        lower = small**k
        return torch.where(q <= 1, lower / (1 + lower), 1 / (1 + large**-k))

    @staticmethod
    def slope(q, k):
        """r / q."""
        small, large = q.clamp(max=1.0), q.clamp(min=1.0)
        return torch.where(
            q <= 1, small ** (k - 1) / (1 + small**k), 1 / (large * (1 + large**-k))
        )

    @staticmethod
    def inverse(z, k):
        """q from z = log(1 + q^k) >= 0."""
        small, large = z.clamp(max=1.0), z.clamp(min=1.0)
        below = torch.expm1(small) ** (1 / k)
        above = torch.exp((large + torch.log1p(-torch.exp(-large))) / k)
        return torch.where(z <= 1, below, above)


class SquareRoot:
    """sign(x) (sqrt(q^k + 1/4) - 1/2): value and r as functions of q and k."""

    @staticmethod
    def value(q, k):
        small, large = q.clamp(max=1.0), q.clamp(min=1.0)
        lower = small**k
        below = lower / (torch.sqrt(lower + 0.25) + 0.5)
        half = large ** (-k / 2)
        above = large ** (k / 2) / (torch.sqrt(1 + 0.25 * half * half) + 0.5 * half)
        return torch.where(q <= 1, below, above)

    @staticmethod
    def ratio(q, k):
        """r = q^k / (2 sqrt(q^k + 1/4))."""
        small, large = q.clamp(max=1.0), q.clamp(min=1.0)
        lower = small**k
        below = lower / (2 * torch.sqrt(lower + 0.25))
        above = large ** (k / 2) / (2 * torch.sqrt(1 + 0.25 * large**-k))
        return torch.where(q <= 1, below, above)

    @staticmethod
    def slope(q, k):
        """r / q."""
        small, large = q.clamp(max=1.0), q.clamp(min=1.0)
        below = small ** (k - 1) / (2 * torch.sqrt(small**k + 0.25))
        above = large ** (k / 2 - 1) / (2 * torch.sqrt(1 + 0.25 * large**-k))
        return torch.where(q <= 1, below, above)

    @staticmethod
    def inverse(z, k):
        """q from z = sqrt(q^k + 1/4) - 1/2 >= 0."""
        return z ** (1 / k) * (z + 1) ** (1 / k)


def slope_in_x(form, x, log_b, k, delta):
    """d/dx of sign(x) form(b|x|, k): finite at x = 0."""
    b = torch.exp(log_b)
    nearest = (k < 1).to(x.dtype) * delta
    return k * b * form.slope(b * torch.maximum(x.abs(), nearest), k)


def slope_in_log_b(form, x, log_b, k):
    return torch.sign(x) * k * form.ratio(torch.exp(log_b) * x.abs(), k)


def logarithm_of(x, log_b):
    """log(b|x|), 0 at x = 0, where it only ever meets a factor 0."""
    return torch.where(x == 0, 0.0, torch.log(torch.where(x == 0, 1.0, x.abs())) + log_b)


class Shift(torch.autograd.Function):
    """sign(x) form(e^{log_b} |x|, e^c); derivatives as at the head of this file."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, log_b, c, form, delta):
        return torch.sign(x) * form.value(torch.exp(log_b) * x.abs(), torch.exp(c))

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, log_b, c, ctx.form, ctx.delta = inputs
        ctx.save_for_backward(x, log_b, c)

    @staticmethod
    def backward(ctx, grad):
        x, log_b, c = ctx.saved_tensors
        k = torch.exp(c)
        dx = dlog_b = dc = None
        if ctx.needs_input_grad[0]:
            dx = grad * slope_in_x(ctx.form, x, log_b, k, ctx.delta)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            by_log_b = grad * slope_in_log_b(ctx.form, x, log_b, k)
            dlog_b = by_log_b.sum_to_size(log_b.shape)
            dc = (by_log_b * logarithm_of(x, log_b)).sum_to_size(c.shape)
        return dx, dlog_b, dc, None, None


class ShiftForward(Shift):
    @staticmethod
    def setup_context(ctx, inputs, output):
        Shift.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def jvp(ctx, dx, dlog_b, dc, _form, _delta):
        x, log_b, c = ctx.saved_tensors
        k = torch.exp(c)
        total = torch.zeros_like(x)
        if dx is not None:
            total = total + dx * slope_in_x(ctx.form, x, log_b, k, ctx.delta)
        if dlog_b is not None:
            total = total + dlog_b * slope_in_log_b(ctx.form, x, log_b, k)
        if dc is not None:
            by_log_b = slope_in_log_b(ctx.form, x, log_b, k)
            total = total + dc * by_log_b * logarithm_of(x, log_b)
        return total


def shifted(form, x, log_b, c, delta):
    rule = Shift if torch.compiler.is_compiling() else ShiftForward
    return rule.apply(x, log_b, c, form, delta)


def tensors_like(x, *values):
    """The values as tensors of x's device, in the dtype to compute in."""
    dtype = widened(x)
    return [torch.as_tensor(v, device=x.device, dtype=dtype) for v in values]


def log_shift(x, a=1.0, log_b=0.0, c=0.0, *, delta=DELTA):
    """sign(x) a log((b|x|)^(e^c) + 1), b = e^{log_b}.

    x any shape; a, log_b, c numbers or tensors that broadcast to it; delta: where the slope in x of
    an exponent below 1 stops to grow. The result has x's shape and dtype. Raises RuntimeError where
    shapes do not broadcast. Source: the derivation at the head of `torch_bridge.shift`.

    >>> functional.log_shift(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.6931,  0.0000,  0.6931])
    """
    a, log_b, c = tensors_like(x, a, log_b, c)
    return (a * shifted(Logarithm, x.to(a.dtype), log_b, c, delta)).to(x.dtype)


def sqrt_shift(x, a=0.0, b=0.0, *, delta=DELTA):
    """sign(x) (sqrt((e^a |x|)^(e^b) + 1/4) - 1/2); arguments, result and errors as for log_shift,
    which raises RuntimeError where shapes do not broadcast.

    >>> functional.sqrt_shift(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.6180,  0.0000,  0.6180])
    """
    a, b = tensors_like(x, a, b)
    return shifted(SquareRoot, x.to(a.dtype), a, b, delta).to(x.dtype)


def log_shift_inverse(y, a=1.0, log_b=0.0, c=0.0):
    """x with log_shift(x) = y; a must not be 0 (the result is nan there, nothing is raised).

    >>> functional.log_shift_inverse(functional.log_shift(torch.tensor([-3.0, 0.5])))
    tensor([-3.0000,  0.5000])
    """
    a, log_b, c = tensors_like(y, a, log_b, c)
    z = y.to(a.dtype) / a
    q = Logarithm.inverse(z.abs(), torch.exp(c))
    return (torch.sign(z) * q * torch.exp(-log_b)).to(y.dtype)


def sqrt_shift_inverse(y, a=0.0, b=0.0):
    """x with sqrt_shift(x) = y, for any y; raises as log_shift does.

    >>> functional.sqrt_shift_inverse(torch.tensor([-0.5, 0.1]))
    tensor([-0.7500,  0.1100])
    """
    a, b = tensors_like(y, a, b)
    wide = y.to(a.dtype)
    q = SquareRoot.inverse(wide.abs(), torch.exp(b))
    return (torch.sign(wide) * q * torch.exp(-a)).to(y.dtype)


def softplus(z):
    """log(1 + e^z); torch's own drops the 1 beyond z = 20, ten digits too early for float64."""
    return torch.logaddexp(z, torch.zeros_like(z))


def log_shift_log_det(x, a=1.0, log_b=0.0, c=0.0):
    """log |d log_shift / dx| of every element; -inf or inf at x = 0 where the slope is 0 or inf.
    Raises as log_shift does.

    >>> functional.log_shift_log_det(torch.tensor([0.0, 1.0]))  # log of 1 / (1 + x)
    tensor([ 0.0000, -0.6931])
    """
    a, log_b, c = tensors_like(x, a, log_b, c)
    wide = x.to(a.dtype)
    k, z = torch.exp(c), torch.log(wide.abs()) + log_b
    # log of k b q^{k-1} / (1 + q^k); q^{k-1} = 1 at q = 0 if k = 1
    rest = torch.where(k == 1, 0.0, (k - 1) * z)
    return (torch.log(a.abs()) + c + log_b + rest - softplus(k * z)).to(x.dtype)


def sqrt_shift_log_det(x, a=0.0, b=0.0):
    """log |d sqrt_shift / dx| of every element; raises as log_shift does.

    >>> functional.sqrt_shift_log_det(torch.tensor([0.0, 2.0]))  # log of 1 / sqrt(1 + 4x)
    tensor([ 0.0000, -1.0986])
    """
    a, b = tensors_like(x, a, b)
    wide = x.to(a.dtype)
    k, z = torch.exp(b), torch.log(wide.abs()) + a
    rest = torch.where(k == 1, 0.0, (k - 1) * z)
    # 2 sqrt(q^k + 1/4) = sqrt(1 + 4 q^k)
    root = 0.5 * softplus(k * z + math.log(4.0))
    return (b + a + rest - root).to(x.dtype)
