"""The copula transform: soft ranks, a target's quantile function, and its evaluation maps.

**Transform.** r_i = sum_j sigma(gamma (x_i - x_j)), u = r/n, y = F^{-1}(u) for any F, per column.
Ranks do not change when x is shifted, so standardising x first only divides gamma by the standard
deviation: no standardised copy is ever made. u travels *folded*: v = u where u <= 1/2 and
v = u - 1 above, whose digits are those of the smaller tail. In float32 at n = 1e6, F^{-1} of r/n
is off by 1.6e-2 in the upper tail; of v, by less than 1e-6.

**Evaluation maps** replace the batch by running sums, each of them a plain average over elements,
so that sums of two halves add up to the sums of the whole:

    regression   E t^j (j = 0..2d) and E t^j y (j = 0..d) with t = (x - center) / scale in a frame
                 that the first batch fixes; y is then the least-squares polynomial of degree d,
                 from the Hankel system  sum_k E t^{j+k} c_k = E t^j y.
    quantiles    see `torch_bridge.quantile_map`.
"""

import math

import torch

from torch_bridge.ops import normal
from torch_bridge.ops.columns import (
    as_columns,
    column_values,
    permutation_for,
    reduced_dimensions,
)
from torch_bridge.ops.soft_rank import METHODS, cuda, rank, sigmoid_sum
from torch_bridge.ops.statistics import column_variance

RIDGE = 1e-14  # of the Hankel diagonal: makes constant columns solvable, and nothing else different


def wide_dtype(x):
    """The dtype in which statistics of x are kept: at least float32."""
    if not x.is_floating_point():
        raise TypeError(f"expected a floating tensor, got {x.dtype}; convert it with x.float()")
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def check_strength(strength):
    if not isinstance(strength, torch.Tensor) and not strength >= 0:
        raise ValueError(f"strength must be at least 0 (math.inf for hard ranks), got {strength}")


def check_method(method):
    if method.removeprefix("tensors-") not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")


def soft_rank(x, strength=1.0, dim=0, *, weights=None, normalize=False, method="auto"):
    """r_i = sum_j w_j sigmoid(strength (x_i - x_j)) over all j along `dim`, self included.

    x: any floating tensor; half precisions give float32 ranks (bfloat16 cannot hold 257).
    strength: a number, or a tensor that broadcasts to the dimensions that stay; differentiable.
    math.inf gives hard ranks, less 1/2, ties shared evenly: 1/2, 3/2, ... dim: an int or several.
    weights: None for ones, or a tensor like x. normalize: divide by the total weight.
    method: "auto", "grid", "sort", or "pairwise" (the definition: n^2 work).

    Raises ValueError for a negative strength or an unknown method, TypeError for integers,
    IndexError for a dimension that x does not have. Source: `torch_bridge.ops.soft_rank`.

    >>> functional.soft_rank(torch.tensor([0.1, -3.3, 10.7, 2.1, 0.0]), 1e4)
    tensor([2.5000, 0.5000, 4.5000, 3.5000, 1.5000])
    """
    check_strength(strength)
    check_method(method)
    dims = reduced_dimensions(x, dim)
    wide = x.to(wide_dtype(x))
    columns, restore = as_columns(wide, dims)
    gamma = column_values(strength, wide, dims)
    if weights is not None:
        weights = weights.to(wide.dtype).expand_as(wide)
        order = columns  # weights take x's arrangement, whatever their own strides
        w = arranged_as(weights, wide, dims)
        r = sigmoid_sum(order, gamma, w, 0, method)
        total = w.sum((0, 2), keepdim=True)
        return restore(r / total if normalize else r)
    total = columns.shape[0] * columns.shape[2]
    r, _, _ = rank(columns, gamma, method, needs_slope(wide, gamma))
    return restore(r / total if normalize else r)


def arranged_as(other, x, dims):
    """`other`, of x's shape, as columns in the order in which x's columns run."""
    blank = torch.empty_strided(x.shape, x.stride(), dtype=other.dtype, device=x.device)
    return as_columns(blank.copy_(other), dims)[0]


def needs_slope(x, gamma):
    """Whether a derivative may be asked for; inside a compiled graph it always may."""
    if torch.compiler.is_compiling():
        return True
    return torch._C._functorch.peek_interpreter_stack() is not None or (
        torch.is_grad_enabled() and (x.requires_grad or gamma.requires_grad)
    ) or torch.autograd.forward_ad._current_level >= 0


def folded_probability(x, strength, dims, method="auto"):
    """v with u = r/n = v where v >= 0 and 1 + v where v < 0; |v| <= 1/2. x in a wide dtype."""
    columns, restore = as_columns(x, dims)
    gamma = column_values(strength, x, dims)
    folded, _, _ = rank(columns, gamma, method, needs_slope(x, gamma), fold=True)
    return restore(folded / (columns.shape[0] * columns.shape[2]))


def standardized_strength(x, strength, dims, eps):
    """strength / sqrt(var + eps) per column in float64, without overflow for columns of 1e30."""
    kept = [d for d in permutation_for(x, dims) if d not in dims]
    var = column_variance(as_columns(x, dims)[0]).view([x.shape[d] for d in kept])
    var = var.permute([kept.index(d) for d in sorted(kept)])
    return strength / torch.sqrt(var + eps)


def copula_transform(
    x, strength=10.0, target="normal", dim=0, *, standardize=True, eps=1e-5, method="auto"
):
    """y = F^{-1}(soft_rank(x) / n), F the target: "normal", "uniform", "logistic", "laplace" or
    any object with `icdf` (and `iccdf` or `isf`, if its upper tail matters).

    standardize: strength counts in standard deviations of the column (eps as in BatchNorm);
    without it, in units of x. The result has x's shape and dtype. Raises as soft_rank does, and
    ValueError or TypeError for an unknown target.

    >>> functional.copula_transform(torch.tensor([1.0, 2.0, 300.0]), math.inf)
    tensor([-0.9674,  0.0000,  0.9674])
    """
    check_strength(strength)
    check_method(method)
    dims = reduced_dimensions(x, dim)
    return transform(x.to(wide_dtype(x)), strength, target, dims, standardize, eps, method)[0].to(
        x.dtype
    )


def transform(x, strength, target, dims, standardize, eps, method):
    """(y, v) of x in a wide dtype; see copula_transform and folded_probability."""
    if x.numel() == 0:
        return x.clone(), x.clone()
    if standardize:
        rows = math.prod([x.shape[d] for d in dims])
        if method == "auto" and cuda.serves(x, strength, rows):
            method = "window"
        strength = standardized_strength(x, strength, dims, eps)
    v = folded_probability(x, strength, dims, method)
    return quantile(target, v), v


def symmetric(tail_quantile):
    """v -> the quantile of a distribution that is symmetric about 0."""

    def function(v):
        y = tail_quantile(v.abs().clamp_min(normal.SMALLEST_TAIL))
        return torch.where(v < 0, -y, y)

    return function


TARGETS = {
    "normal": normal.quantile,
    "uniform": lambda v: torch.where(v < 0, 1 + v, v),
    "logistic": symmetric(lambda q: torch.log(q) - torch.log1p(-q)),
    "laplace": symmetric(lambda q: torch.log(2 * q)),
}


def check_target(target):
    if isinstance(target, str) and target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    if not isinstance(target, str) and not hasattr(target, "icdf"):
        raise TypeError(f"a target needs an icdf method; {type(target).__name__} has none")


def quantile(target, v):
    """F^{-1} of the folded probability v."""
    check_target(target)
    if isinstance(target, str):
        return TARGETS[target](v)
    upper = v < 0
    lower_only = torch.where(upper, 1 + v, v)
    if hasattr(target, "pdf"):  # works on arrays
        return ArrayQuantile.apply(v, target)
    from_above = getattr(target, "iccdf", getattr(target, "isf", None))
    if from_above is None:
        return target.icdf(lower_only)
    return torch.where(
        upper,
        from_above(torch.where(upper, -v, 0.5)),
        target.icdf(torch.where(upper, 0.5, v)),
    )


class ArrayQuantile(torch.autograd.Function):
    """The quantile of an object that works on arrays; its slope is 1 / pdf."""

    @staticmethod
    def forward(ctx, v, target):
        values = v.detach().double().cpu().numpy()
        y = target.icdf(abs(values))
        from_above = getattr(target, "iccdf", getattr(target, "isf", None))
        above = target.icdf(1 + values) if from_above is None else from_above(abs(values))
        above, y = (torch.as_tensor(part, device=v.device) for part in (above, y))
        y = torch.where(v < 0, above, y)
        slope = 1 / torch.as_tensor(target.pdf(y.cpu().numpy()), device=v.device)
        ctx.save_for_backward(slope.to(v.dtype))
        return y.to(v.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad * slope, None


# Regression. Sums (C, 3d + 2): E t^0..E t^2d, then E y..E t^d y.


def regression_sums(t, y, degree):
    """t, y (A, C, B) -> averages over A and B, float64."""
    t, y = t.double(), y.double()
    power, moments, products = torch.ones_like(t), [], []
    for j in range(2 * degree + 1):
        moments.append(power.mean((0, 2)))
        if j <= degree:
            products.append((power * y).mean((0, 2)))
        power = power * t
    return torch.stack(moments + products, 1)


def normal_sums(degree, target, **where):
    """The sums (3d + 2,) of t ~ N(0, 1) with y the target's quantile at the same probability."""
    t = torch.linspace(-8, 8, 1601, dtype=torch.float64, **where)
    weight = torch.exp(-0.5 * t * t)
    p = normal.distribution(-t.abs())
    y = quantile(target, torch.where(t > 0, -p, p))
    sums = regression_sums(t[:, None, None], t.new_zeros(len(t), 1, 1), degree)[0] * 0
    for j in range(2 * degree + 1):
        sums[j] = (weight * t**j).sum() / weight.sum()
    for j in range(degree + 1):
        sums[2 * degree + 1 + j] = (weight * t**j * y).sum() / weight.sum()
    return sums


def regression_coefficients(sums, degree):
    """(C, 3d + 2) -> (C, d + 1), by a Cholesky decomposition written out (d + 1 <= 4)."""
    sums = sums.double()
    size = degree + 1
    # scale to a unit diagonal: powers of t differ by orders of magnitude
    diagonal = [sums[:, 2 * j] for j in range(size)]
    scale = [torch.where(d > 0, d, 1.0).rsqrt() for d in diagonal]
    lower = [[None] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            value = sums[:, i + j] * scale[i] * scale[j]
            value = value - sum(lower[i][k] * lower[j][k] for k in range(j))
            if i == j:
                lower[i][i] = torch.sqrt(value.clamp_min(0.0) + RIDGE)
            else:
                lower[i][j] = value / lower[j][j]
    solution = [sums[:, 2 * degree + 1 + i] * scale[i] for i in range(size)]
    for i in range(size):
        solution[i] = solution[i] - sum(lower[i][k] * solution[k] for k in range(i))
        solution[i] = solution[i] / lower[i][i]
    for i in reversed(range(size)):
        solution[i] = solution[i] - sum(lower[k][i] * solution[k] for k in range(i + 1, size))
        solution[i] = solution[i] / lower[i][i]
    return torch.stack([value * s for value, s in zip(solution, scale, strict=True)], 1)


def polynomial(coefficients, t):
    """sum_j c_j t^j; coefficients (C, d + 1), t (A, C, B)."""
    c = coefficients.to(t.dtype)[:, :, None]
    value = c[:, -1]
    for j in range(c.shape[1] - 2, -1, -1):
        value = value * t + c[:, j]
    return value


def smallest_slope(coefficients):
    """(C,): the smallest slope of the polynomial over t in [-3, 3], by values on a grid."""
    t = torch.linspace(-3, 3, 61, dtype=coefficients.dtype, device=coefficients.device)
    slope = sum(
        j * coefficients[:, j, None] * t ** (j - 1) for j in range(1, coefficients.shape[1])
    )
    return slope.amin(1)
