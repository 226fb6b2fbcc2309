"""Integrals of p = exp(sum_j c_j T_j(t)) on [-1, 1], in plain tensor operations.

**Panels.** The interval is cut where it matters for each column by itself: the exponent e(t) may
change by about VARIATION within a panel as long as it is above its maximum less DEPTH, and its
bend, h sqrt|e''| for a panel of width h, by about BEND (a top is flat, but no line), and every
panel is at most 1/BASE of the interval in the angle arccos t. A polynomial of degree k has at most
k monotone pieces, each of which crosses the band of height DEPTH once, and k/2 tops, so that
k (DEPTH / VARIATION + PEAK / 2) + BASE panels always suffice. Where to cut is found by
equidistribution, refined ROUNDS times; it is a choice, no function of c, and has no derivative.

**Rule.** n = NODES Gauss-Legendre points a panel leave |p^(2n)| h^{2n+1} n!^4 / ((2n+1) (2n)!^3).
For e^{at} across a panel, with r = VARIATION / 2, that is 2e-14 of the panel's mass; on the top of
a normal peak, BEND standard deviations wide, 1e-13.

**Tails.** The mass below t is that of the panels below, summed from below, and that of the part of
its own panel, by the same rule on [edge, t]; the mass above likewise from above. Neither is ever a
difference, so both keep their digits.

**Quantile.** In the panel that holds the mass the exponent is first taken to be a line,
s = log1p(f (e^a - 1)) / a, f the fraction of the panel's mass; Newton's steps follow. The last two
are attached to the graph: with x0 constant at the root, x1 = x0 - (F(x0; c) - q) / p(x0; c) has
the right first derivative in c and q, and a second such step the right second one.
"""

import math

import numpy as np
import torch

VARIATION = 3.5
BEND = 1.6
TOP = VARIATION / BEND  # standard deviations from a normal top to where its slope takes over
PEAK = TOP / BEND  # panels that the bend asks for there, beyond those for the variation
DEPTH = 70.0  # e^-70 = 4e-31: tails are relatively right down to there
BASE = 32
NODES = 8
ROUNDS = 3  # one is enough for spikes of a thousandth of the interval; the rest is margin
PARTS = 4  # each round looks at so many points a panel
DETACHED = 2  # Newton steps from a start that is right up to the curvature of a panel
ATTACHED = 2
BLOCK = 8192  # values whose nodes are held at one time: they stay in the cache


def panel_count(degree):
    return BASE + math.ceil(degree * (DEPTH / VARIATION + 0.5 * PEAK))


def series(c, t):
    """sum_j c_j T_j(t), j = 1 … k, by Clenshaw; c (B, k), t (B, ...)."""
    c = c.reshape(c.shape[0], *[1] * (t.ndim - 1), c.shape[1]).unbind(-1)
    if len(c) == 1:
        return c[0] * t
    twice = 2 * t
    now, before = torch.addcmul(c[-2], c[-1], twice), c[-1]
    for value in c[-3::-1]:
        now, before = torch.addcmul(value - before, twice, now), now
    return torch.addcmul(-before, t, now)


def rule(like):
    """Gauss-Legendre points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return like.new_tensor(0.5 + 0.5 * points), like.new_tensor(0.5 * weights)


def fractions(count, like):
    return torch.arange(count, device=like.device, dtype=like.dtype) / count


@torch.no_grad()
def edges_of(c):
    """(B, P + 1): -1, the cuts, 1."""
    c = c.detach()
    count = panel_count(c.shape[1])
    angle = torch.arange(count + 1, device=c.device, dtype=c.dtype) * (math.pi / count)
    edges = -torch.cos(angle).expand(c.shape[0], -1)
    edges = torch.cat([-torch.ones_like(edges[:, :1]), edges[:, 1:-1],
                       torch.ones_like(edges[:, :1])], 1)
    for _ in range(ROUNDS):
        edges = equidistributed(c, edges, count)
    return edges


def equidistributed(c, edges, count):
    widths = edges[:, 1:] - edges[:, :-1]
    t = edges[:, :-1, None] + widths[:, :, None] * fractions(PARTS, c)
    t = torch.cat([t.flatten(1), edges[:, -1:]], 1)
    e = series(c, t)
    rise, h = e[:, 1:] - e[:, :-1], (t[:, 1:] - t[:, :-1]).clamp_min(torch.finfo(t.dtype).tiny)
    change = rise.abs()
    padded = torch.cat([change[:, :1], change, change[:, -1:]], 1)
    # a peak between two points is higher than both, by at most a quarter of the changes beside it
    highest = torch.maximum(e[:, 1:], e[:, :-1]) + 0.25 * (padded[:, 2:] + padded[:, :-2])
    heard = highest >= e.amax(1, keepdim=True) - DEPTH
    angle = torch.acos(t.clamp(-1, 1))
    slope = rise / h
    slope = torch.cat([slope[:, :1], slope, slope[:, -1:]], 1)
    # h^2 |e''|, from the slopes of the intervals on either side, which lie about 2h apart
    bend = (0.5 * h * (slope[:, 2:] - slope[:, :-2]).abs()).clamp(max=DEPTH).sqrt()
    load = torch.maximum(change.clamp(max=DEPTH) / VARIATION, bend / BEND)
    load = torch.where(heard, load, 0.0)
    load = load + (angle[:, :-1] - angle[:, 1:]).clamp_min(0) * (BASE / math.pi)
    total = torch.cumsum(load, 1)
    total = torch.cat([torch.zeros_like(total[:, :1]), total], 1)
    goal = fractions(count, c)[1:] * total[:, -1:]
    place = bracket(total, goal)
    low, high = total.gather(1, place), total.gather(1, place + 1)
    left, right = t.gather(1, place), t.gather(1, place + 1)
    share = (goal - low) / torch.where(high > low, high - low, 1.0)
    inner = torch.minimum(left + (right - left) * share.clamp(0, 1), right)
    return torch.cat([edges[:, :1], inner, edges[:, -1:]], 1)


def bracket(knots, values):
    """(B, n) index i with knots[i] <= value < knots[i + 1], the ends widened; knots (B, P + 1)."""
    place = torch.searchsorted(knots.contiguous(), values.contiguous(), right=True)
    return (place - 1).clamp(0, knots.shape[1] - 2)


class Panels:
    """The masses of a batch of columns: c (B, k), edges (B, P + 1).

    shift  (B, 1)       the exponent's maximum, which every mass is less
    t, w   (B, P·NODES) nodes and their masses         total  (B, 1)
    below  (B, P + 1)   mass below each edge, summed from below; above from above
    """

    def __init__(self, c, edges):
        self.c, self.edges = c, edges
        points, weights = rule(c)
        widths = edges[:, 1:] - edges[:, :-1]
        t = (edges[:, :-1, None] + widths[:, :, None] * points).flatten(1)
        e = series(c, t)
        self.t = t
        self.shift = e.detach().amax(1, keepdim=True)
        self.w = torch.exp(e - self.shift) * (widths[:, :, None] * weights).flatten(1)
        mass = self.w.reshape(*widths.shape, NODES).sum(2)
        none = torch.zeros_like(mass[:, :1])
        self.below = torch.cat([none, torch.cumsum(mass, 1)], 1)
        self.above = torch.cat([torch.cumsum(mass.flip(1), 1).flip(1), none], 1)
        self.total = self.below[:, -1:]

    @property
    def log_total(self):
        """(B,): log of the integral of p."""
        return (torch.log(self.total) + self.shift).squeeze(1)

    def mean(self, values):
        """(B,): the mean of a function given at the nodes, (B, P·NODES)."""
        return (self.w * values).sum(1) / self.total.squeeze(1)

    def basis_means(self, degree):
        """(B, degree): E T_1 … E T_degree."""
        before, now, means = torch.ones_like(self.t), self.t, []
        for _ in range(degree):
            means.append(self.mean(now))
            before, now = now, 2 * self.t * now - before
        return torch.stack(means, 1)

    def density(self, t):
        shift = self.shift.reshape(-1, *[1] * (t.ndim - 1))
        return torch.exp(series(self.c, t) - shift)

    def tail(self, t, upper, place=None):
        """Mass beyond t (B, n): below it, or above it where `upper`."""
        if place is None:
            place = bracket(self.edges, t.detach())
        block = max(1, BLOCK // t.shape[0])
        if t.shape[1] <= block:
            return self.tail_of_block(t, upper, place)
        parts = zip(t.split(block, 1), upper.split(block, 1), place.split(block, 1))
        return torch.cat([self.tail_of_block(*part) for part in parts], 1)

    def tail_of_block(self, t, upper, place):
        left, right = self.edges.gather(1, place), self.edges.gather(1, place + 1)
        points, weights = rule(t)
        edge = torch.where(upper, right, left)
        way = t - edge
        inside = self.density(edge[:, :, None] + way[:, :, None] * points)
        part = (inside * weights).sum(2) * torch.where(upper, -way, way)
        rest = torch.where(
            upper, self.above.gather(1, place + 1), self.below.gather(1, place)
        )
        return rest + part

    def probability(self, t, upper):
        """P(T <= t), or P(T >= t) where `upper`."""
        return (self.tail(t, upper) / self.total).clamp(0, 1)

    def quantile(self, q, upper):
        """t (B, n) with probability(t, upper) = q, for q in [0, 1]; exact where q is small."""
        with torch.no_grad():
            start, low, high, place = self.start(q.detach() * self.total.detach(), upper)
            t = start
            for _ in range(DETACHED):
                t = self.newton(t, q.detach(), upper, place).clamp(low, high)
        for _ in range(ATTACHED):
            t = self.newton(t, q, upper, place)
        return t.clamp(-1, 1)

    def newton(self, t, q, upper, place):
        excess = self.tail(t, upper, place) - q * self.total
        p = self.density(t)
        # in a gap where p underflows the mass is flat, and any point of the gap is the quantile
        step = torch.where(p > 0, excess / torch.where(p > 0, p, 1.0), 0.0)
        return t + torch.where(upper, step, -step)

    def start(self, mass, upper):
        """The panel whose part of the mass is sought, and a point in it."""
        below, above = self.below.detach(), self.above.detach()
        last = self.edges.shape[1] - 2
        place = torch.where(
            upper, last - bracket(above.flip(1), mass), bracket(below, mass)
        )
        left, right = self.edges.gather(1, place), self.edges.gather(1, place + 1)
        beyond = torch.where(upper, above.gather(1, place + 1), below.gather(1, place))
        whole = torch.where(
            upper, above.gather(1, place), below.gather(1, place + 1)
        ) - beyond
        share = ((mass - beyond) / torch.where(whole > 0, whole, 1.0)).clamp(0, 1)
        rise = series(self.c.detach(), right) - series(self.c.detach(), left)
        a = torch.where(upper, -rise, rise).clamp(-50, 50)
        flat = a.abs() < 1e-3
        steep = torch.where(flat, 1.0, a)
        s = torch.where(flat, share, torch.log1p(share * torch.expm1(steep)) / steep).clamp(0, 1)
        t = torch.where(upper, right - s * (right - left), left + s * (right - left))
        return t, left, right, place
