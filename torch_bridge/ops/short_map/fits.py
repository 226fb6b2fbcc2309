"""One polynomial a column for y(t), t the squashed coordinate, on the window where the values are.

A table costs four loads a value from places that no compiler knows beforehand; those take more time
than a polynomial of degree 16, whose coefficients lie side by side for neighbouring columns.
y(t) = F2^-1(F1(t)) is analytic where F1 has mass, so that Chebyshev's series on a window [lo, hi]
of t converges geometrically:

    v = (2 t - lo - hi) / (hi - lo),    y = P(v),   P of degree DEGREE,   |v| <= 1.

P is the truncated series plus the line that makes both ends those of the table, so that the map
goes on outside, by the table, without a step. It is accepted where

    |P - table| <= TOLERANCES * unit    on POINTS points, P evaluated in float32; unit = a standard
                                        deviation of y, half the distance of its quantiles at 0.159
                                        and 0.841;
    P' > 0                              on the whole window: on the points by more than the
                                        d^2/8 max |P'''| that it can dip between two of them, d
                                        their distance, and |P'''| at most the sum of its
                                        Chebyshev coefficients.

The window leaves out a share of F1 at either end: of TAILS the smallest that is accepted, by the
first of TOLERANCES or else the second. A column for which none is (a few atoms, humps with nothing
between them) keeps its table.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from torch_bridge.ops import monotone_table

DEGREE = 16
TOLERANCES = 1e-4, 1e-3  # a bfloat16 has steps of 4e-3
TAILS = 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2  # outside, a value takes a hundred times as long
NODES = 64
POINTS = 513
SIGMA = 0.15865525393145707  # F at one standard deviation below the mean of a normal


class Fit(NamedTuple):
    """window (2, C): v = t * window[0] + window[1]; coefficients (DEGREE + 1, C), highest first;
    error (C,): max |P - table| in standard deviations of y, infinite where the table stays."""

    window: torch.Tensor
    coefficients: torch.Tensor
    error: torch.Tensor


def quantile(mass, p):
    """Where the increasing rows of mass (C, K), at equally spaced points of [-1, 1], reach p."""
    at = (mass < p).sum(1, keepdim=True).clamp(1, mass.shape[1] - 1)
    left, right = mass.gather(1, at - 1), mass.gather(1, at)
    share = (p - left) / (right - left).clamp_min(torch.finfo(mass.dtype).tiny)
    return ((at - 1 + share.clamp(0, 1)) * (2 / (mass.shape[1] - 1)) - 1)[:, 0]


def fit(table, below, above):
    """The Fit of the tables (C, K, 2), float64; below and above (C, K): F1 and 1 - F1 at knots."""
    table, below, above = (part.detach().double().cpu() for part in (table, below, above))
    above = above.flip(1)
    sigma = torch.stack([quantile(below, SIGMA), -quantile(above, SIGMA)])
    low, high = monotone_table.evaluate(table, sigma[:, :, None])[..., 0]
    unit = 0.5 * (high - low)
    columns = len(table)
    window = torch.tensor([[0.0], [2.0]], dtype=torch.float64).repeat(1, columns)  # nothing inside
    coefficients = torch.zeros(DEGREE + 1, columns, dtype=torch.float64)
    error = torch.full((columns,), torch.inf, dtype=torch.float64)
    for tolerance, p in itertools.product(TOLERANCES, TAILS):
        left = torch.isinf(error).nonzero()[:, 0]
        if not len(left):
            break
        low, high = quantile(below[left], p), -quantile(above[left], p)
        center, half = 0.5 * (low + high), 0.5 * (high - low)
        powers, gap, rises = polynomials(table[left], center, half)
        gap = gap / unit[left]
        good = rises & (gap <= tolerance)
        at = left[good]
        window[:, at] = torch.stack([1 / half, -center / half])[:, good]
        coefficients[:, at] = powers[:, good]
        error[at] = gap[good]
    return Fit(window, coefficients, error)


def polynomials(table, center, half):
    """(powers (DEGREE + 1, C), largest distance from the table (C,), whether P increases (C,))."""
    cheb = np.polynomial.chebyshev
    angle = (np.arange(NODES) + 0.5) * (np.pi / NODES)
    points = np.linspace(-1, 1, POINTS)

    def on(v):
        t = torch.as_tensor(v)[:, None] * half + center
        return monotone_table.evaluate(table, t[:, :, None])[..., 0].numpy()

    series = np.cos(np.outer(np.arange(DEGREE + 1), angle)) @ on(np.cos(angle)) * (2 / NODES)
    series[0] /= 2
    exact = on(points)
    ends = exact[[0, -1]] - cheb.chebval([-1.0, 1.0], series).T
    series[0] += 0.5 * (ends[0] + ends[1])
    series[1] += 0.5 * (ends[1] - ends[0])
    to_powers = np.zeros((DEGREE + 1, DEGREE + 1))
    for j in range(DEGREE + 1):
        to_powers[: j + 1, j] = cheb.cheb2poly(np.eye(DEGREE + 1)[j])[: j + 1]
    powers = (to_powers @ series)[::-1]
    single = powers.astype(np.float32)
    v = points.astype(np.float32)[:, None]
    y = np.zeros((POINTS, len(table)), np.float32)
    for row in single:
        y = y * v + row
    slope = cheb.chebval(points, cheb.chebder(series)).min(1)
    dip = (2 / (POINTS - 1)) ** 2 / 8 * abs(cheb.chebder(series, 3)).sum(0)
    return (
        torch.as_tensor(powers.copy()),
        torch.as_tensor(abs(y - exact).max(0)),
        torch.as_tensor(slope > dip),
    )
