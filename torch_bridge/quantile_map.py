"""The evaluation map through running quantiles.

The elements of a batch fall into bins of equal width in the normal score of u (fine in the tails,
where a Gaussian target moves most); a bin keeps its weight and its sums of x and y. The bins' mean
points lie on the batch map up to second order in the bin width; a monotone cubic joins them. Bins
are plain averages over elements, so that those of two halves add up to those of the whole.

Beyond the outer points the map is a line. Few values fall into the outer bins, and two of their
points can lie side by side by chance: the line through them would carry an outlier anywhere. Its
slope is therefore that of the chord over the outer TAIL bins.

    bins    (C, 3, BINS): weight, sum of x, sum of y, each divided by n
    knots   of the bins: x, y and slope, each (C, BINS), in order
    pieces  of the knots: see `torch_bridge.ops.cubic_pieces`
"""

import math

import torch

from torch_bridge import copula
from torch_bridge.ops import normal, statistics
from torch_bridge.ops.cubic_pieces import interval, pieces_of

BINS = 64  # a power of two
LARGEST_SCORE = 4.0  # bins cover normal scores in [-4, 4]; the outer two take what lies beyond
TAIL = 8  # bins, a standard deviation in normal score, on which the lines beyond the ends rest
STEEPEST = 3.0  # secants: a monotone cubic's slope is at most this (Fritsch and Carlson 1980)


def bin_scores():
    """Midpoints of the bins in normal score."""
    width = 2 * LARGEST_SCORE / BINS
    return torch.linspace(
        -LARGEST_SCORE + width / 2, LARGEST_SCORE - width / 2, BINS, dtype=torch.float64
    )


def bin_sums(x, y, score):
    """x, y and the normal score of u, each (A, C, B) -> (C, 3, K) float64."""
    sums = statistics.bin_sums(x, y, score, BINS, -LARGEST_SCORE, LARGEST_SCORE)
    return sums / max(1, x.shape[0] * x.shape[2])


def normal_bins(mean, var, target):
    """The bins of a normal column with these statistics (C,)."""
    score = bin_scores().to(mean.device)
    weight = torch.exp(-0.5 * score * score)
    weight = (weight / weight.sum()).expand(len(mean), -1)
    p = normal.distribution(-score.abs())
    y = copula.quantile(target, torch.where(score > 0, -p, p)).to(score.dtype).detach()
    x = mean.double()[:, None] + var.double().sqrt()[:, None] * score
    return torch.stack([weight, weight * x, weight * y], 1)


def knots_of(bins):
    """Knots (C, K) of x and of y, and slopes: a monotone cubic (Fritsch and Carlson's condition).

    Bins that never held anything move to the end, where they lie on the line beyond.
    """
    weight, sum_x, sum_y = bins.double().unbind(1)
    count = weight.shape[1]
    held = weight > 0
    place = torch.arange(count, device=bins.device)
    order = torch.argsort(torch.where(held, place, place + count), dim=1)
    safe = torch.where(held, weight, 1.0)
    x, y = (sum_x / safe).gather(1, order), (sum_y / safe).gather(1, order)
    number = held.sum(1, keepdim=True)
    last = (number - 1).clamp_min(0)
    inside = place < number
    x = torch.where(inside, x, -math.inf).cummax(1).values
    y = torch.where(inside, y, -math.inf).cummax(1).values
    first, upper = torch.zeros_like(last), chord(x, y, (last - TAIL).clamp_min(0), last)
    lower = chord(x, y, first, last.clamp_max(TAIL))
    x_last, y_last = x.gather(1, last), y.gather(1, last)
    run = x_last - x.gather(1, (number - 2).clamp_min(0))
    step = torch.where(run > 0, run, 1.0) * (place - last)
    x = torch.where(inside, x, x_last + step)
    y = torch.where(inside, y, y_last + upper * step)

    h = x[:, 1:] - x[:, :-1]
    secant = torch.where(h > 0, (y[:, 1:] - y[:, :-1]) / torch.where(h > 0, h, 1.0), 0.0)
    left, right = secant[:, :-1], secant[:, 1:]
    w_left, w_right = 2 * h[:, 1:] + h[:, :-1], h[:, 1:] + 2 * h[:, :-1]
    both = (left > 0) & (right > 0)
    mean = (w_left + w_right) / (
        w_left / torch.where(both, left, 1.0) + w_right / torch.where(both, right, 1.0)
    )
    middle = torch.where(both, mean, 0.0)
    lower = torch.minimum(lower, STEEPEST * secant[:, :1])
    upper = torch.minimum(upper, STEEPEST * secant[:, -1:])
    return x, y, torch.cat([lower, middle, upper], 1)


def chord(x, y, begin, end):
    """The slope (C, 1) from knot `begin` to knot `end`, (C, 1) each; 0 where x is the same."""
    run = x.gather(1, end) - x.gather(1, begin)
    return (y.gather(1, end) - y.gather(1, begin)) / torch.where(run > 0, run, torch.inf)


def pieces_in(dtype, bins):
    """The pieces of the map in `dtype`, to whose precision the knots are rounded."""
    x, y, slopes = knots_of(bins)
    return pieces_of(x.to(dtype), y, slopes)


def hermite(t, h, y0, y1, d0, d1):
    rest = 1 - t
    return (
        y0 * rest * rest * (1 + 2 * t)
        + y1 * t * t * (3 - 2 * t)
        + h * t * rest * (d0 * rest - d1 * t)
    )


def inverse(knots, y):
    """x (A, C, B) where the cubic through the knots is y: bisection in the right piece, then one
    Newton step.

    The Newton step carries the derivative. Where the cubic is flat, any point of the flat piece.
    """
    knot_x, knot_y, slopes = (part.to(y.dtype) for part in knots)
    at = interval(torch.cat([knot_y[:, :-1], torch.full_like(knot_y[:, :1], torch.nan)], 1), y)
    x0, y0, d0 = (part.reshape(-1)[at] for part in (knot_x, knot_y, slopes))
    x1, y1, d1 = (part.reshape(-1)[at + 1] for part in (knot_x, knot_y, slopes))
    h = x1 - x0
    low, high = torch.zeros_like(y), torch.ones_like(y)
    goal = y.detach()
    for _ in range(-int(math.log2(torch.finfo(y.dtype).eps))):
        middle = 0.5 * (low + high)
        below = hermite(middle, h, y0, y1, d0, d1) < goal
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    t = 0.5 * (low + high)
    rest = 1 - t
    slope = 6 * t * rest * (y1 - y0) + h * (d0 * rest * (1 - 3 * t) + d1 * t * (3 * t - 2))
    t = t + (y - hermite(t, h, y0, y1, d0, d1)) / torch.where(slope > 0, slope, math.inf)
    inside = x0 + h * t
    below = x0 + (y - y0) / torch.where(d0 > 0, d0, math.inf)
    above = x1 + (y - y1) / torch.where(d1 > 0, d1, math.inf)
    return torch.where(goal < y0, below, torch.where(goal > y1, above, inside))
