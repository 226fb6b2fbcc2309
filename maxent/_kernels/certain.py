"""Certain columns: narrow spikes, satellites, layers; to rounding, in few steps.

The exponent is kept as  q = sum_j y_j phi_j  in the polynomials phi orthonormal under exp(q)
itself, given by their recurrence R (`_kernels.stieltjes`): the answer is (R, y). Its coefficients
in a fixed basis are large and cancel, and rounding them to float64 can move the moments by more
than 1e-10.  In these polynomials the dual has Hessian 1 and gradient

    g_j = E[phi_j] - mu_j,      mu_j = sum_i P_ji m_i  in double-double,

and Newton's step is -g.  What rounding of m alone can do to mu_j is the floor f_j of degree j.
Degrees count up to the first whose floor is above a trusted size, and of g_j only what exceeds
f_j is a reason to move, until nothing else is left to do.  If then a moment is still off, g_j moves
on as long as it moves a moment by more than is wanted: T_i = sum_j (P^-1)_ij phi_j.

On an interval the descent starts where Burg's spectrum has its peaks.  With A(z) the prediction
polynomial of order n of the moments taken as autocorrelations, the mean of |A(e^(i theta))|^2 is E,
the error of prediction (Levinson 1947, Burg 1975), so that q = -alpha |A|^2 / E, a polynomial of
degree n, has

    D = log ∫ exp(q) + alpha,

and the least D over n and a few alpha is taken; elsewhere the caller says where to start.  From
there every step is Newton's where that is to be believed, otherwise that of the model in
`_kernels.lumps`, and it is accepted by the slope of D at its end: D itself is a difference of
numbers too large to show the last digits.

A start that is nothing where the answer has a little mass, far out, has polynomials so large there
that no step is right.  The last attempt therefore follows the path of moments

    m + epsilon (m_0 - m),      0 < epsilon <= 1,

m_0 those of a start that is nowhere small, on an interval the uniform density.  All of them are
inside, and their answer has a share epsilon of the start's mass everywhere (or what its k moments
tell of that): as epsilon falls, lumps narrow and the places between them empty by degrees.
Every step is one towards a smaller epsilon, and how much smaller, the share of the degrees decides
that Newton's step puts in doubt: E[K min(1, dq^2)] of the k + 1 that E[K] is.
"""

import math
from collections import namedtuple

import numpy as np

from .compiled import ZERO, inlined, inner, kernel
from .descent import CONVERGED, OUT_OF_STEPS, STALLED, summits
from .dual import dot, dot3
from .lumps import (
    MOST_CLUSTERS,
    MOST_TERMS,
    add_point,
    allocate_lumps,
    describe,
    divide,
    make_room,
    minimise_model,
)
from .panels import place, survey
from .recurrence import copy, copy_rows, fill, table
from .stieltjes import expand, mean_of, project, stieltjes, sum_series
from .window import BOUNDED, window

MOST_PANELS = 256
MOST_GAPS = 256
# Points of a gap at which the model is watched.
WATCHED = 6
# exp(q) is neglected where q is this far below its maximum: e^-45 = 3e-20.
DEPTH = 45.0
# Fewer panels hold too few nodes for a basis of degree 32.
FEWEST_PANELS = 4
# Logarithms of the quadrature's error: of a panel's own mass, and of the whole on the way and at
# the end.
PANEL_ERROR = -9.0
ROUGH, FINE = -30.0, -37.0
# The same where only D is asked for, to choose the start.
START_DEPTH, START_ERROR = 20.0, -20.0
# alpha of the start: the first to find the order n, then these.
ALPHAS = (0.5, 0.2, 1.0)
# D of the start falls and then rises with n: no higher n is tried after so many that were worse.
ENOUGH_WORSE = 2
# A start with a decrement beyond this is too sharp to be left by steps of any kind.
HOPELESS = 1e3
# The floor up to which a degree counts.  It is cut to a tenth after so many steps, and wherever a
# step came to less than STUCK of its length, which may be so often.
# One value for each attempt, the last of which follows the path of moments.
TRUST = (0.01, 1.0, 0.01)
PATIENCE = 12
STUCK = 0.02
OFTEN = 4
# Where no step is left and a moment is off, the next aim is to meet all to this share of that, but
# never less than the other; the floor counts no more.
SHARE, AIM = 0.1, 1e-11
# A degree is left out when so large a gradient moves no moment by the aim.
LARGEST = 2.0
# Newton's step is believed where E[K min(1, dq^2)], K = sum phi_j^2, is below this: K is what one
# node more of the density's change can do to the Hessian.
BELIEVED = 0.01
# The quadrature becomes fine below this.
NEAR = 0.1
# The moments are looked at below this decrement; no step is left below the other.
POLISHED, STILL = 1e-6, 1e-10
# Moment errors: nothing better is expected, good if still, good enough.
EXACT, GOOD, ENOUGH = 1e-13, 1e-11, 1e-10
# Log density that an unseen place may not reach; what counts as unseen, of nodes and of a trial.
VISIBLE, UNSEEN, FAINT = -24.0, -28.0, -20.0
# No attempt begins, and no step, after so many evaluations of the density for one column; the path
# may take as many again.
MOST_EVALUATIONS = 250
# Along the path epsilon falls by this factor at first. Newton's step puts a share of the degrees in
# doubt: beyond LOST the step is taken back and the next is as long as its root; from CLOSE on it is
# corrected without going further, so often at most; below CLOSE the next step goes further: as the
# square if no correction was needed, by a shorter way if they were in vain.
RATIO = 0.1
CLOSE, LOST = 0.3, 0.8
CORRECTIONS = 3
LONGER, SHORTER, HALF = 2.0, 0.7, 0.5
BOLDEST, TIMID, SHORTEST = 1e-4, 0.9, 0.95
# How often unseen places join the model: before the step is tried, and after.
FORESEEN, EXCHANGES = 6, 8
# A step is accepted when D rises at its end by less than this share of its fall at the beginning;
# otherwise it is cut to this length, so often for the model's step and for Newton's.
STEEP = 0.7
CUT = 0.4
MODEL_CUTS, NEWTON_CUTS = 4, 12

Work = namedtuple(
    "Work",
    "t w p q change share label own phi centred left right gap_left gap_right gap_t gap_w gap_q "
    "gap_change gap_own high_at high low R R_before R_anchor mu noise size g y kept x trial anchor "
    "sought far c A before first",
)


@inner
def allocate(k, nodes):
    """The arrays of one column's work, for panels of so many nodes."""
    size = MOST_PANELS * nodes
    watched = MOST_GAPS * WATCHED
    return Work(
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty((k + 1, size)),
        np.empty((k + 1, size)),
        np.empty((k + 1, size)),
        np.empty(MOST_PANELS),
        np.empty(MOST_PANELS),
        np.empty(MOST_GAPS),
        np.empty(MOST_GAPS),
        np.empty(watched),
        np.empty(watched),
        np.empty(watched),
        np.empty(watched),
        np.empty((k + 1, watched)),
        np.empty(MOST_GAPS, np.int64),
        np.empty((k + 1, k + 1)),
        np.empty((k + 1, k + 1)),
        np.empty((3, k)),
        np.empty((3, k)),
        np.empty((3, k)),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(k + 1),
        np.empty(MOST_CLUSTERS + 1, np.int64),
    )


@inner
def lay(c, rec, ends, rule, depth, error, work):
    """Nodes for exp(sum c_j phi_j): returns (their number or -1, largest exponent, gaps)."""
    points, weights, local_points, local_transform = rule
    left, right = work.left, work.right
    lo, hi = window(c, rec, ends, depth)
    if not lo < hi:
        return -1, np.inf, 0
    count, peak, gaps = survey(
        c,
        rec,
        lo,
        hi,
        depth,
        points.shape[0],
        local_points,
        local_transform,
        left,
        right,
        PANEL_ERROR,
        error,
        work.gap_left,
        work.gap_right,
    )
    if count <= 0 or not peak < np.inf:
        return -1, peak, gaps
    while count < FEWEST_PANELS:
        for i in range(count - 1, -1, -1):
            a, b = left[i], right[i]
            middle = 0.5 * (a + b)
            left[2 * i], right[2 * i] = a, middle
            left[2 * i + 1], right[2 * i + 1] = middle, b
        count *= 2
    return place(left, right, count, points, weights, work.t, work.w), peak, gaps


@inner
def watch(gaps, work):
    """Points in the gaps, and the lengths they stand for; returns how many."""
    n = 0
    for i in range(gaps):
        half = 0.5 * (work.gap_right[i] - work.gap_left[i])
        middle = 0.5 * (work.gap_right[i] + work.gap_left[i])
        for j in range(WATCHED):
            work.gap_t[n] = middle - half * math.cos(math.pi * j / (WATCHED - 1))
            work.gap_w[n] = 2.0 * half / WATCHED
            n += 1
    return n


@inner
def levinson(m, most, A, before):
    """The prediction polynomial of order `most`; returns (order reached, error of prediction)."""
    fill(A, 0.0)
    A[0] = 1.0
    error = 1.0
    size = 1.0
    for j in range(1, most + 1):
        s = 0.0
        for i in range(j):
            s += A[i] * m[j - i]
        reflection = -s / error
        next_error = error * (1.0 - reflection * reflection)
        # |A|^2 sums products as large as size^2, whose rounding must stay below a share of E.
        if not abs(reflection) < 1.0 or next_error < 1e-13 + 1e-15 * size * size:
            return j - 1, error
        for i in range(j + 1):
            before[i] = A[i] + reflection * A[j - i]
        size = 0.0
        for i in range(j + 1):
            A[i] = before[i]
            size += abs(A[i])
        error = next_error
    return most, error


@inner
def spectrum(A, order, scale, c):
    """-scale |A(e^(i theta))|^2 as Chebyshev coefficients of t = cos theta, into c."""
    fill(c, 0.0)
    for j in range(order + 1):
        s = 0.0
        for i in range(order + 1 - j):
            s += A[i] * A[i + j]
        c[j] = -scale * s * (1.0 if j == 0 else 2.0)


@inner
def integral(c, rec, ends, rule, work):
    """log ∫ exp(sum c_j T_j) to a few digits; NaN where the panels do not suffice."""
    n, peak, _ = lay(c, rec, ends, rule, START_DEPTH, START_ERROR, work)
    if n < 0:
        return np.nan
    table(work.t, n, rec, work.phi)
    sum_series(c, work.phi, n, work.q)
    total = 0.0
    for i in range(n):
        total += work.w[i] * math.exp(work.q[i] - peak)
    return peak + math.log(total)


@inner
def start(m, rec, ends, rule, cap, work):
    """The start's coefficients into work.c; returns (order, evaluations); order 0: uniform."""
    trial, c = work.trial, work.c
    fill(c, 0.0)
    least = math.log(2.0)
    best = ZERO
    worse = 0
    evaluations = 0
    for order in range(2, cap + 1, 2):
        reached, error = levinson(m, order, work.A, work.before)
        if reached < order:
            break
        spectrum(work.A, order, ALPHAS[0] / error, trial)
        d = integral(trial, rec, ends, rule, work) + ALPHAS[0]
        evaluations += 1
        if d < least:
            least = d
            best = order
            worse = 0
            copy(trial, c.shape[0], c)
        else:
            worse += 1
            if worse == ENOUGH_WORSE:
                break
    if best > 0:
        _, error = levinson(m, best, work.A, work.before)
        for alpha in ALPHAS[1:]:
            spectrum(work.A, best, alpha / error, trial)
            d = integral(trial, rec, ends, rule, work) + alpha
            evaluations += 1
            if d < least:
                least = d
                copy(trial, c.shape[0], c)
    return best, evaluations


@inner
def normalise(n, watched, work):
    """q to a log density, on the nodes and in the gaps, p its probabilities; what q lost."""
    peak = -np.inf
    for i in range(n):
        peak = max(peak, work.q[i])
    total = 0.0
    for i in range(n):
        work.p[i] = work.w[i] * math.exp(work.q[i] - peak)
        total += work.p[i]
    shift = peak + math.log(total)
    inverse = 1.0 / total
    for i in range(n):
        work.p[i] *= inverse
        work.q[i] -= shift
    for i in range(watched):
        work.gap_q[i] -= shift
    return shift


@inner
def gradient(n, trust, aim, work):
    """g and the aim mu it is counted from; returns (decrement, its floor, degrees that count).

    With an aim > 0, P^-1 in work.high, g_j is left alone while it moves no moment by that share of
    its size, T_i = sum_j (P^-1)_ij phi_j.
    """
    mu, noise, g = work.mu, work.noise, work.g
    k = g.shape[0] - 1
    fill(g, 0.0)
    decrement = 0.0
    floor = 0.0
    used = 0
    for j in range(1, k + 1):
        slack = noise[j]
        if aim > 0.0:
            most = 0.0
            for i in range(j, k + 1):
                most = max(most, abs(work.high[i, j]) / work.size[i])
            slack = aim / most
            if not slack < LARGEST:
                break
        elif not slack <= trust:
            break
        expected = dot(work.p, work.own[j], n)
        gap = expected - mu[j]
        gap = math.copysign(max(0.0, abs(gap) - slack), gap)
        g[j] = gap
        mu[j] = expected - gap
        used = j
        decrement += gap * gap
        floor += noise[j] * noise[j]
    return math.sqrt(decrement), math.sqrt(floor), used


@inner
def doubt(n, used, work):
    """E[K min(1, dq^2)] of Newton's step dq = -g·phi."""
    change, share = work.change, work.share
    for i in range(n):
        change[i] = 0.0
        share[i] = 1.0
    for j in range(1, used + 1):
        row = work.own[j]
        gj = work.g[j]
        for i in range(n):
            change[i] += gj * row[i]
            share[i] += row[i] * row[i]
    total = 0.0
    for i in range(n):
        total += work.p[i] * share[i] * min(1.0, change[i] * change[i])
    return total


@inner
def moment_error(m, rec, n, work):
    """Largest |E[T_j] - m_j| / max(1, √E[T_j²]) on the nodes."""
    table(work.t, n, rec, work.phi)
    worst = 0.0
    for j in range(1, m.shape[0]):
        row = work.phi[j]
        size = max(1.0, math.sqrt(dot3(work.p, row, row, n)))
        worst = max(worst, abs(dot(work.p, row, n) - m[j]) / size)
    return worst


@inner
def model_step(n, gaps, nodes, used, clusters, work, lumps, scratch):
    """The model of the density and the step x to its minimum; returns the number of terms."""
    x, mu, own, gap_own = work.x, work.mu, work.own, work.gap_own
    watched = gaps * WATCHED
    table(work.gap_t, watched, work.R, gap_own)
    describe(own, used, work.p, work.first, clusters, work.share, work.centred, lumps)
    terms = clusters
    known = ZERO
    fill(x, 0.0)
    for _ in range(FORESEEN):
        minimise_model(lumps, terms, known, clusters, mu[1:], used, x[1:], scratch)
        terms = make_room(lumps, terms, clusters, used, x[1:], scratch)
        known = terms
        sum_series(x, gap_own, watched, work.gap_change)
        for i in range(gaps):
            work.high_at[i] = highest(
                work.gap_q, work.gap_change, i * WATCHED, (i + 1) * WATCHED, np.inf
            )
        for i in range(gaps):
            at = work.high_at[i]
            level = work.gap_q[at] + work.gap_change[at]
            if not level > VISIBLE or terms == MOST_TERMS:
                continue
            # of gaps side by side only the highest
            if i > 0 and work.gap_right[i - 1] == work.gap_left[i]:
                other = work.high_at[i - 1]
                if work.gap_q[other] + work.gap_change[other] > level:
                    continue
            if i + 1 < gaps and work.gap_right[i] == work.gap_left[i + 1]:
                other = work.high_at[i + 1]
                if work.gap_q[other] + work.gap_change[other] > level:
                    continue
            log_mass = work.gap_q[at] + math.log(work.gap_w[at])
            terms = add_point(lumps, terms, log_mass, gap_own, at, used)
        sum_series(x, own, n, work.change)
        for i in range(0, n, nodes):
            at = highest(work.q, work.change, i, i + nodes, UNSEEN)
            if at >= 0 and work.q[at] + work.change[at] > VISIBLE and terms < MOST_TERMS:
                terms = add_point(lumps, terms, work.q[at] + math.log(work.w[at]), own, at, used)
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
def learn(n, nodes, log_z, used, terms, work, lumps):
    """Peaks of a trial density that the model did not see become points; the number of terms."""
    q, own = work.q, work.own
    k = work.y.shape[0] - 1
    for i in range(0, n, nodes):
        at = i
        for j in range(i, i + nodes):
            if q[j] > q[at]:
                at = j
        if q[at] - log_z <= VISIBLE or terms == MOST_TERMS:
            continue
        before = 0.0
        for j in range(k + 1):
            before += work.y[j] * own[j, at]
        if before < FAINT:
            terms = add_point(lumps, terms, before + math.log(work.w[at]), own, at, used)
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


@inner
def search(ends, rule, error, decrement, used, modelled, terms, clusters, work, lumps, scratch):
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
        n, peak, gaps = lay(trial, work.R, ends, rule, DEPTH, error, work)
        evaluations += 1
        if n > 0:
            table(work.t, n, work.R, work.own)
            sum_series(trial, work.own, n, work.q)
            total = 0.0
            for i in range(n):
                work.p[i] = work.w[i] * math.exp(work.q[i] - peak)
                total += work.p[i]
            rise = 0.0
            for j in range(1, used + 1):
                rise += x[j] * (dot(work.p, work.own[j], n) / total - work.mu[j])
            if rise <= STEEP * abs(slope) + 1e-14 * decrement:
                return n, gaps, evaluations, length
            if modelled and exchanges < EXCHANGES and terms < MOST_TERMS:
                exchanges += 1
                more = learn(n, nodes, peak + math.log(total), used, terms, work, lumps)
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


@inner
def compare(m, share, rec, n, trust, aim, work):
    """`gradient` and `doubt` where the moments sought are m + share (m_0 - m), m_0 in work.far."""
    for j in range(m.shape[0]):
        work.sought[j] = m[j] + share * (work.far[j] - m[j])
    mean_of(work.sought, work.R, rec, work.high, work.low, work.mu, work.noise)
    if aim > 0.0:
        expand(work.R, rec, work.high)
        for i in range(m.shape[0]):
            total = 0.0
            for j in range(i + 1):
                total += work.high[i, j] * work.high[i, j]
            work.size[i] = max(1.0, math.sqrt(total))
    decrement, floor, used = gradient(n, trust, aim, work)
    return decrement, floor, used, doubt(n, used, work)


@inlined
def attempt(m, rec, ends, rule, limit, trust, follow, cap, R, y, info, work, lumps, scratch):
    """One descent from a start of order `cap` at most, or elsewhere than on an interval from
    work.c; follow: along the path of moments.

    R, y and info are replaced by anything with a lower moment error.  Returns (code, a lower cap
    with which to begin again or -1); work is added to info.
    """
    nodes = rule[0].shape[0]
    k = m.shape[0] - 1
    order = 0
    most = MOST_EVALUATIONS + (info[1] if follow else 0.0)
    if ends == BOUNDED:
        order, evaluations = start(m, rec, ends, rule, cap, work)
        info[1] += evaluations
    copy_rows(rec, work.R_before)
    copy(work.c, k + 1, work.trial)
    n, gaps = ZERO, ZERO
    error = ROUGH
    aim = 0.0
    cut = False
    stuck = 0
    patience = 0
    epsilon = 1.0 if follow else 0.0
    target = epsilon
    ratio = RATIO
    corrections = 0
    again = True
    if follow:
        limit *= 2
    for steps in range(limit + 1):
        if again:
            n, _, gaps = lay(work.trial, work.R_before, ends, rule, DEPTH, error, work)
            info[1] += 1
            if n < 0:
                return STALLED, order - 2
            table(work.t, n, work.R_before, work.own)
            sum_series(work.trial, work.own, n, work.q)
        watched = watch(gaps, work)
        table(work.gap_t, watched, work.R_before, work.gap_own)
        sum_series(work.trial, work.gap_own, watched, work.gap_q)
        normalise(n, watched, work)
        if steps == 0:
            table(work.t, n, rec, work.phi)
            for j in range(k + 1):
                work.far[j] = dot(work.p, work.phi[j], n)
        if not stieltjes(work.t, n, work.p, work.R, work.own, work.change):
            return STALLED, -1
        # Far from the density the higher polynomials are so large that the noise of a projection
        # would raise peaks there: their coefficients are carried over.
        expand(work.R, work.R_before, work.high)
        for j in range(k + 1):
            work.kept[j] = 0.0
            for i in range(j, k + 1):
                work.kept[j] += work.trial[i] * work.high[i, j]
        decrement, floor, used, doubted = compare(m, target, rec, n, trust, aim, work)
        if epsilon > 0.0:
            if target > 0.0 and doubted > LOST * (used + 1) and ratio < SHORTEST:
                ratio = ratio**HALF
                target = epsilon
                corrections = 0
                again = True
                copy_rows(work.R_anchor, work.R_before)
                copy(work.anchor, k + 1, work.trial)
                continue
            copy_rows(work.R_before, work.R_anchor)
            copy(work.trial, k + 1, work.anchor)
            epsilon = target
            near = doubted < CLOSE * (used + 1)
            onward = again or near or corrections == CORRECTIONS
            if not onward:
                corrections += 1
            elif epsilon > 0.0:
                if not again:
                    power = LONGER if corrections == 0 else 1.0 if near else SHORTER
                    ratio = max(BOLDEST, min(ratio, TIMID) ** power)
                corrections = 0
                target = 0.0
                decrement, floor, used, doubted = compare(m, target, rec, n, trust, aim, work)
                if doubted > CLOSE * (used + 1):
                    target = ratio * epsilon
                    decrement, floor, used, doubted = compare(m, target, rec, n, trust, aim, work)
        again = False
        if target == 0.0:
            patience += 1
            if patience % PATIENCE == 0:
                trust *= 0.1
        if steps == 0 and order > 0 and not decrement < HOPELESS:
            return STALLED, order - 2
        project(work.q, work.own, n, work.p, work.y, work.change)
        for j in range(used + 1, k + 1):
            work.y[j] = work.kept[j]
        if not info[4] < np.inf:
            copy_rows(work.R, R)
            copy(work.y, k + 1, y)
        if target == 0.0 and decrement < POLISHED and error == FINE:
            worst = moment_error(m, rec, n, work)
            if worst < info[4]:
                copy_rows(work.R, R)
                copy(work.y, k + 1, y)
                info[2], info[3], info[4], info[5], info[6] = decrement, floor, worst, used, n
            if worst < EXACT or (worst < GOOD and decrement < 10.0 * STILL):
                return CONVERGED, -1
            if decrement < STILL:
                if aim > 0.0 and (worst < ENOUGH or aim == AIM):
                    return (CONVERGED if info[4] < ENOUGH else STALLED), -1
                aim = max(AIM, SHARE * worst)
        if decrement < POLISHED or (target == 0.0 and doubted < NEAR):
            error = FINE
        if steps == limit or info[1] > most:
            break
        clusters = divide(work.q, n, work.first)
        terms = 0
        modelled = clusters <= MOST_CLUSTERS and (cut or not doubted < BELIEVED)
        if modelled:
            terms = model_step(n, gaps, nodes, used, clusters, work, lumps, scratch)
        else:
            negate(work.g, work.x)
        copy_rows(work.R, work.R_before)
        n, gaps, tried, length = search(
            ends, rule, error, decrement, used, modelled, terms, clusters, work, lumps, scratch
        )
        info[0] += 1
        info[1] += tried
        if n < 0:
            return (CONVERGED if info[4] < ENOUGH else STALLED), -1
        cut = length < 1.0
        if length < STUCK and target == 0.0:
            stuck += 1
            trust *= 0.1
            if stuck == OFTEN:
                return (CONVERGED if info[4] < ENOUGH else STALLED), -1
    return OUT_OF_STEPS, -1


@kernel
def certain_columns(
    m, recurrences, ends, starts, rule, limit, recurrence, y, codes, info, peaks, number
):
    """Every row of m (columns, k+1), moments in the bases of recurrences (columns, 3, k), which on
    an interval is Chebyshev's; rule: `panel_rule(k)`; limit: steps.

    starts (columns, attempts, k+1): where to begin, elsewhere than on an interval.

    recurrence (columns, 3, k), y (columns, k+1): log p = sum y_j phi_j, phi by that recurrence, the
    best of all attempts.  info (columns, 7): steps, evaluations, decrement, its floor, largest
    moment error on the nodes, degrees that counted, nodes.  peaks[:number], the local maxima.
    """
    k = m.shape[1] - 1
    work = allocate(k, rule[0].shape[0])
    lumps, scratch = allocate_lumps(k)
    for i in range(m.shape[0]):
        R, out = recurrence[i], y[i]
        fill(info[i], 0.0)
        info[i, 4] = np.inf
        trial = 0
        cap = k
        while trial < len(TRUST):
            if ends != BOUNDED:
                copy(starts[i, min(trial, starts.shape[1] - 1)], k + 1, work.c)
            codes[i], cap = attempt(
                m[i],
                recurrences[i],
                ends,
                rule,
                limit,
                TRUST[trial],
                trial == len(TRUST) - 1,
                cap,
                R,
                out,
                info[i],
                work,
                lumps,
                scratch,
            )
            if codes[i] == CONVERGED:
                break
            if cap < 0:
                trial += 1
                if info[i, 1] > MOST_EVALUATIONS:
                    trial = max(trial, len(TRUST) - 1)
                cap = 0 if trial == len(TRUST) - 1 else k
        n, _, _ = lay(out, R, ends, rule, DEPTH, FINE, work)
        number[i] = 0
        if n > 0:
            table(work.t, n, R, work.own)
            sum_series(out, work.own, n, work.q)
            out[0] -= normalise(n, ZERO, work)
            number[i] = summits(n, work.t, work.w, work.p, peaks[i])
            info[i, 6] = n
