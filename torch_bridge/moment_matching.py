"""The moment-matching transform: a column's maximum-entropy distribution carried to a target.

    y = F2^-1(F1(x)),   F1 of the maximum-entropy density of the column's first k moments.

**Frame.** x -> t in [-1, 1], per column: t = z / sqrt(4 + z^2), z = (x - mean) / sqrt(var + eps)
("real": six moments of t say more of a heavy tail than six powers of x), or x's range moved to
[-1, 1] ("data": the batch's own; (lo, hi): a fixed one). Moments m_j = E T_j(t).

**Density.** p(t) = exp(sum c_j T_j(t)) / Z with c = dual_solve(m). Its distribution function at K
equally spaced knots is summed from Simpson's rule over each cell, from below (F) and from above
(S = 1 - F), both sums of positive terms: each keeps its digits where it is small.

**Table.** At the knots y = Q(F), dy/dt = p Q'(F), with Q = F2^-1; between them Hermite's cubic, and
beyond the outer knots, where Q would be infinite, the line with the last slope. A slope is held
below three times the rise per cell on either side, which makes any such cubic monotone (Fritsch
and Carlson, Monotone piecewise cubic interpolation, SIAM J. Numer. Anal. 17, 1980); it is active
only where the density is narrower than the knots. The table, not the formula, is the transform: its
derivatives are exact derivatives of what is computed.

Gradients pass through x -> t -> y, and through t -> m -> c -> table -> y.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch

from torch_bridge import copula
from torch_bridge.distributed import all_sum, mean_and_variance
from torch_bridge.ops import chebyshev, monotone_table, normal
from torch_bridge.ops.constants import constants
from torch_bridge.ops.dual_solve import SolveInfo, dual_solve
from torch_bridge.ops.dual_solve.operators import LARGEST_DEGREE, RIDGE

SQUASH = 2.0  # half of [-1, 1] is |z| < 1.15; with 3, six moments say less of humps and of z^3
KNOTS = 129
HUGE = 1e15  # squares of larger numbers are taken in units of the column's largest, for float32
STEEPEST = 3.0


class Fit(NamedTuple):
    """What was found on the way: per column, (C,) or (C, degree); count: the number of rows, an int
    or, shared by processes, a tensor ().
    """

    count: int | torch.Tensor
    mean: torch.Tensor
    var: torch.Tensor
    center: torch.Tensor
    scale: torch.Tensor
    moments: torch.Tensor
    coefficients: torch.Tensor
    info: SolveInfo


def check_degree(degree):
    if not 1 <= degree <= LARGEST_DEGREE:
        raise ValueError(f"degree must be from 1 to {LARGEST_DEGREE}, got {degree}")


def check_ridge(ridge):
    if not ridge >= 0:
        raise ValueError(f"ridge must be at least 0, got {ridge}")


def check_support(support):
    if isinstance(support, str):
        if support not in ("real", "data"):
            raise ValueError(f'support must be "real", "data" or (lo, hi), got {support!r}')
        return
    low, high = support
    if not -float("inf") < low < high < float("inf"):
        raise ValueError(f"a support (lo, hi) must be finite with lo < hi, got {support}")


def check_target(target):
    """A name, an object with icdf, or a tensor of moments E T_j of the target."""
    if not isinstance(target, torch.Tensor):
        copula.check_target(target)
    elif target.ndim not in (1, 2) or not 1 <= target.shape[-1] <= LARGEST_DEGREE:
        raise ValueError(
            "target moments must be E T_1 … E T_k, of shape (k,) or (features, k), "
            f"got {tuple(target.shape)}"
        )


def squash_of(support):
    return SQUASH if isinstance(support, str) and support == "real" else 0.0


def standard_frame(x, eps, sync=None):
    """(z, count, mean, var, sqrt(var + eps)) of the columns of (A, C, B), the last three (C,)."""
    if sync is not None:
        count, mean, var = mean_and_variance(x, (0, 2), *sync)
        scale = torch.sqrt(var + eps)
        return (x - mean[:, None]) / scale[:, None], count, mean, var, scale
    count = x.shape[0] * x.shape[2]
    largest = x.detach().abs().amax((0, 2))
    unit = torch.where(largest > HUGE, largest, 1.0)
    scaled = x / unit[:, None]
    mean = scaled.mean((0, 2))
    d = scaled - mean[:, None]
    var = d.square().mean((0, 2))
    # in units of 1e30 eps vanishes; a deviation below this is rounding of a constant
    floor = torch.finfo(x.dtype).tiny ** 0.5
    scale = torch.sqrt((var + eps / unit / unit).clamp_min(floor))
    return d / scale[:, None], count, mean * unit, var * unit * unit, scale * unit


def frame_of(x, support, eps, sync=None):
    """(t, count, mean, var, center, scale) of the columns of (A, C, B): t in their frame, the last
    four (C,)."""
    if isinstance(support, str) and support == "real":
        z, count, mean, var, scale = standard_frame(x, eps, sync)
        return squash(z), count, mean, var, mean, scale
    _, count, mean, var, _ = standard_frame(x.detach(), eps, sync)
    if isinstance(support, str):
        if sync is not None:
            raise ValueError('support="data" needs all rows in one process; use "real" or (lo, hi)')
        low, high = x.amin((0, 2)), x.amax((0, 2))
    elif isinstance(support, torch.Tensor):
        low, high = support.to(x.dtype).unbind(1)
    else:
        low, high = (x.new_full((x.shape[1],), end) for end in support)
    center, scale = frame_of_range(low, high)
    return (x - center[:, None]) / scale[:, None], count, mean, var, center, scale


def frame_of_range(low, high):
    """(center, scale) that move [low, high] to [-1, 1]; an empty range has scale 1."""
    half = 0.5 * high - 0.5 * low
    return 0.5 * low + 0.5 * high, torch.where(half > 0, half, 1.0)


def squash(z):
    return z * torch.rsqrt(SQUASH * SQUASH + z * z)


def unsquash(t):
    """The inverse, held finite at the ends."""
    eps = torch.finfo(t.dtype).eps
    rest = ((1 - t) * (1 + t)).clamp_min(eps * eps)
    return SQUASH * t * torch.rsqrt(rest)


def moments_of(t, degree, sync=None):
    """E T_1 … E T_k (C, degree) of the columns of (A, C, B)."""
    sums = chebyshev.sums(t, None, degree + 1)
    if sync is not None:
        sums = all_sum(sums.double(), sync[0]).to(t.dtype)
    return sums[:, 1:] / sums[:, :1]


def normal_moments(mean, var, center, scale, support, degree):
    """The moments (C, degree) of N(mean, var) in a frame, all (C,)."""
    z = torch.linspace(-8, 8, 1601, dtype=torch.float64, device=mean.device)
    weight = torch.exp(-0.5 * z * z)
    x = mean.double() + var.double().sqrt() * z[:, None]
    t = (x - center.double()) / scale.double()
    t = squash(t) if squash_of(support) else t.clamp(-1, 1)
    weighted = (weight / weight.sum())[:, None, None].expand(-1, t.shape[1], 1)
    return chebyshev.sums(t[..., None], weighted.contiguous(), degree + 1)[:, 1:]


@functools.lru_cache
def grid_array(degree, points):
    t = np.linspace(-1, 1, points)
    return (np.polynomial.chebyshev.chebvander(t, degree)[:, 1:].T.copy(),)


def grid_values(degree, points, like):
    """T_1 … T_k at equally spaced points, (degree, points), in like's dtype and device."""
    if torch.compiler.is_compiling():
        t = torch.linspace(-1, 1, points, dtype=torch.float64, device=like.device)
        j = torch.arange(1, degree + 1, device=like.device)
        return torch.cos(j[:, None] * torch.acos(t)).to(like.dtype)
    return constants(grid_array, (degree, points), like.dtype, like.device)[0]


def distribution(c, knots):
    """F and S = 1 - F (C, knots) at the knots, and p per cell."""
    q = c @ grid_values(c.shape[1], 2 * knots - 1, c)
    p = torch.exp(q - q.detach().amax(1, keepdim=True))
    ends = p[:, ::2]
    cells = (ends[:, :-1] + 4 * p[:, 1::2] + ends[:, 1:]) / 6
    place = torch.arange(knots, device=c.device)
    before = (place[:-1, None] < place).to(c.dtype)
    lower, upper = cells @ before, cells @ (1 - before)
    total = lower[:, -1:]
    return lower / total, upper / total, ends / total


def folded(lower, upper):
    """v = u where u <= 1/2 and u - 1 above, from both tails."""
    return torch.where(lower <= upper, lower, -upper)


def quantile_with_slope(target, v):
    """(Q, dQ/du) at the folded probabilities v (C, n), none of them an end; None: slope unknown."""
    tail = v.abs()
    if target == "normal":
        far = tail <= normal.SMALLEST_TAIL  # held at that value, with slope 0
        y = normal.quantile(torch.where(far, torch.where(v < 0, -1e-30, 1e-30), v))
        return y, torch.where(far, 0.0, normal.slope(torch.where(far, 0.0, y)))
    y = copula.quantile(target, v)
    if target == "uniform":
        return y, torch.ones_like(v)
    if target == "logistic":
        return y, 1 / (tail * (1 - tail)).clamp_min(normal.SMALLEST_TAIL)
    if target == "laplace":
        return y, 1 / tail.clamp_min(normal.SMALLEST_TAIL)
    return y, None


def moments_quantile(target, v, support, ridge):
    """The same for the maximum-entropy distribution of target moments, (k,) or (C, k)."""
    knots = KNOTS
    moments = target.to(v.dtype).expand(len(v), -1) if target.ndim > 1 else target.to(v.dtype)[None]
    c, _ = dual_solve(moments, ridge=ridge)
    lower, upper, p = (part.expand(len(v), -1) for part in distribution(c, knots))
    from_below = torch.stack([lower, held_monotone(lower, p)], 2)
    from_above = torch.stack([upper.flip(1), held_monotone(upper.flip(1), p.flip(1))], 2)
    tail = v.abs()[None]
    below = monotone_table.inverse(from_below, tail)
    above = monotone_table.inverse(from_above, tail)
    rate = torch.where(
        v >= 0,
        monotone_table.evaluate(from_below, below, 1)[0],
        monotone_table.evaluate(from_above, above, 1)[0],
    )
    slope = 1 / rate.clamp_min(normal.SMALLEST_TAIL)
    s = torch.where(v >= 0, below[0], -above[0])
    if squash_of(support):
        y = unsquash(s)
        return y, slope * (1 + (y / SQUASH).square()) ** 1.5 * SQUASH
    low, high = support
    half = 0.5 * (high - low)
    return 0.5 * (low + high) + half * s, slope * half


def held_monotone(y, slope):
    """slope per cell (C, n), no steeper than a monotone cubic through y allows."""
    rise = (y[:, 1:] - y[:, :-1]).clamp_min(0) * STEEPEST
    slope = torch.cat([torch.minimum(slope[:, :-1], rise), slope[:, -1:]], 1)
    return torch.cat([slope[:, :1], torch.minimum(slope[:, 1:], rise)], 1)


def secant_slopes(y):
    """Slopes per cell from values alone: the harmonic mean of the rises on both sides."""
    rise = (y[:, 1:] - y[:, :-1]).clamp_min(torch.finfo(y.dtype).tiny)
    middle = 2 / (1 / rise[:, 1:] + 1 / rise[:, :-1])
    return torch.cat([rise[:, :1], middle, rise[:, -1:]], 1)


def table_of(c, target="normal", knots=KNOTS, ridge=RIDGE, target_support="real"):
    """The table (C, knots, 2) of t -> y for the coefficients c (C, k)."""
    lower, upper, p = distribution(c, knots)
    v = folded(lower, upper)
    by_moments = isinstance(target, torch.Tensor)
    bounded = target_support != "real" if by_moments else target == "uniform"
    if not bounded:
        v, p = v[:, 1:-1], p[:, 1:-1]
    if by_moments:
        y, rate = moments_quantile(target, v, target_support, ridge)
    else:
        y, rate = quantile_with_slope(target, v)
    slope = secant_slopes(y) if rate is None else held_monotone(y, p * rate)
    if not bounded:
        y = torch.cat([y[:, :1] - slope[:, :1], y, y[:, -1:] + slope[:, -1:]], 1)
        slope = torch.cat([slope[:, :1], slope, slope[:, -1:]], 1)
    return torch.stack([y, slope], 2)


def affine_table(table, weight, bias):
    """The table of weight * y + bias, both (C,) or None."""
    if weight is not None:
        table = table * weight.to(table.dtype)[:, None, None]
    if bias is not None:
        table = torch.stack([table[..., 0] + bias.to(table.dtype)[:, None], table[..., 1]], 2)
    return table


def fit(x, degree, support, eps, ridge, start=None, sync=None):
    """(t, Fit) of the columns of (A, C, B), in a wide dtype.

    support: also a (C, 2) tensor of (lo, hi). sync: None, or (process group, a mean nearby that all
    processes share): sums are then taken over all processes, once for count, mean and variance, and
    once for the moments, which are taken in the frame those make.
    """
    t, count, mean, var, center, scale = frame_of(x, support, eps, sync)
    # what lies outside a given support counts as its end
    m = moments_of(t if isinstance(support, str) else t.clamp(-1, 1), degree, sync)
    c, info = dual_solve(m, start, ridge=ridge)
    return t, Fit(count, mean, var, center, scale, m, c, info)
