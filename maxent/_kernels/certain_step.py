"""One step of the certain path: as far as the slope of D allows, along Newton's or the model's way.

Newton's step is -g, which is to be believed where it changes the density little. Elsewhere the step
is that of the model in `_kernels.lumps`: places where the density is nothing yet, and which the
step would raise, join the model as points, before the step is tried and after. A step is accepted
by the slope of D at its end: D itself is a difference of numbers too large to show the last digits.
"""

import math

import numpy as np

from .certain_nodes import DEPTH, WATCHED, lay, weigh
from .compiled import ZERO, inlined, inner
from .dual import dot
from .lumps import MOST_TERMS, add_point, describe
from .lumps_minimum import make_room, minimise_model
from .recurrence import fill, table
from .stieltjes import sum_series

# Log density that an unseen place may not reach; what counts as unseen, of nodes and of a trial.
VISIBLE, UNSEEN, FAINT = -24.0, -28.0, -20.0
# How often unseen places join the model: before the step is tried, and after.
FORESEEN, EXCHANGES = 6, 8
# A step is accepted when D rises at its end by less than this share of its fall at the beginning;
# otherwise it is cut to this length, so often for the model's step and for Newton's.
STEEP = 0.7
CUT = 0.4
MODEL_CUTS, NEWTON_CUTS = 4, 12


@inlined
def model_step(n, gaps, nodes, used, clusters, grid, between, work, lumps, scratch):
    """The model of the density and the step x to its minimum; returns the number of terms."""
    x, mu, own, gap_own = work.x, work.mu, grid.own, between.own
    watched = gaps * WATCHED
    table(between.t, watched, work.R, gap_own)
    describe(own, used, grid.p, work.first, clusters, grid.share, grid.centred, lumps)
    terms = clusters
    known = ZERO
    fill(x, 0.0)
    for _ in range(FORESEEN):
        minimise_model(lumps, terms, known, clusters, mu[1:], used, x[1:], scratch)
        terms = make_room(lumps, terms, clusters, used, x[1:], scratch)
        known = terms
        sum_series(x, gap_own, watched, between.change)
        for i in range(gaps):
            between.at[i] = highest(
                between.q, between.change, i * WATCHED, (i + 1) * WATCHED, np.inf
            )
        for i in range(gaps):
            at = between.at[i]
            level = between.q[at] + between.change[at]
            if not level > VISIBLE or terms == MOST_TERMS:
                continue
            # of gaps side by side only the highest
            if i > 0 and between.right[i - 1] == between.left[i]:
                other = between.at[i - 1]
                if between.q[other] + between.change[other] > level:
                    continue
            if i + 1 < gaps and between.right[i] == between.left[i + 1]:
                other = between.at[i + 1]
                if between.q[other] + between.change[other] > level:
                    continue
            log_mass = between.q[at] + math.log(between.w[at])
            terms = add_point(lumps, terms, log_mass, gap_own, at, used)
        sum_series(x, own, n, grid.change)
        for i in range(0, n, nodes):
            at = highest(grid.q, grid.change, i, i + nodes, UNSEEN)
            if at >= 0 and grid.q[at] + grid.change[at] > VISIBLE and terms < MOST_TERMS:
                terms = add_point(lumps, terms, grid.q[at] + math.log(grid.w[at]), own, at, used)
        if terms == known:
            break
    return terms


@inner
def highest(q, change, begin, end, below):
    """Where q + change is largest among begin … end-1 with q < below; -1: nowhere."""
    at = -1
    for i in range(begin, end):
        if q[i] < below and (at < 0 or q[i] + change[i] > q[at] + change[at]):
            at = i
    return at


@inner
def learn(n, nodes, log_z, y, used, terms, grid, lumps):
    """Peaks of a trial density that the model did not see become points; the number of terms."""
    q, own = grid.q, grid.own
    k = y.shape[0] - 1
    for i in range(0, n, nodes):
        at = i
        for j in range(i, i + nodes):
            if q[j] > q[at]:
                at = j
        if q[at] - log_z <= VISIBLE or terms == MOST_TERMS:
            continue
        before = 0.0
        for j in range(k + 1):
            before += y[j] * own[j, at]
        if before < FAINT:
            terms = add_point(lumps, terms, before + math.log(grid.w[at]), own, at, used)
    return terms


@inner
def negate(g, x):
    """Newton's step."""
    for j in range(g.shape[0]):
        x[j] = -g[j]


@inner
def fall(x, g):
    """Slope of D at the beginning of the step x."""
    total = 0.0
    for j in range(1, x.shape[0]):
        total += g[j] * x[j]
    return total


@inlined
def search(
    ends, rule, error, decrement, used, modelled, terms, clusters, grid, between, work, lumps,
    scratch,
):
    """Go from y along x as far as the slope of D allows, to work.trial and its nodes.

    Returns (nodes or -1, gaps, evaluations, length).
    """
    y, x, g, trial = work.y, work.x, work.g, work.trial
    nodes = rule[0].shape[0]
    slope = fall(x, g)
    length = 1.0
    exchanges = 0
    cuts = 0
    evaluations = 0
    if modelled and not slope < 0.0:
        modelled = False
        negate(g, x)
        slope = -decrement * decrement
    while True:
        for j in range(y.shape[0]):
            trial[j] = y[j] + length * x[j]
        n, peak, gaps = lay(trial, work.R, ends, rule, DEPTH, error, grid, between)
        evaluations += 1
        if n > 0:
            table(grid.t, n, work.R, grid.own)
            sum_series(trial, grid.own, n, grid.q)
            total = weigh(n, peak, grid)
            rise = 0.0
            for j in range(1, used + 1):
                rise += x[j] * (dot(grid.p, grid.own[j], n) / total - work.mu[j])
            if rise <= STEEP * abs(slope) + 1e-14 * decrement:
                return n, gaps, evaluations, length
            if modelled and exchanges < EXCHANGES and terms < MOST_TERMS:
                exchanges += 1
                more = learn(n, nodes, peak + math.log(total), y, used, terms, grid, lumps)
                if more > terms:
                    minimise_model(lumps, more, terms, clusters, work.mu[1:], used, x[1:], scratch)
                    terms = make_room(lumps, more, clusters, used, x[1:], scratch)
                    slope = fall(x, g)
                    if slope < 0.0:
                        length = 1.0
                        continue
        cuts += 1
        length *= CUT
        if modelled and (cuts == MODEL_CUTS or not slope < 0.0):
            modelled = False
            negate(g, x)
            slope = -decrement * decrement
            length = 1.0
            cuts = 0
        elif cuts == NEWTON_CUTS:
            length = 0.0  # back to where it began: another trust may find a way
        elif cuts > NEWTON_CUTS:
            return -1, gaps, evaluations, length
