"""Certain columns: narrow spikes, satellites, layers; to rounding, in few steps.

The exponent is kept as  q = sum_j y_j phi_j  in the polynomials phi orthonormal under exp(q)
itself, given by their recurrence R (`_kernels.stieltjes`): the answer is (R, y). Its coefficients
in a fixed basis are large and cancel, and rounding them to float64 can move the moments by more
than 1e-10.  In these polynomials the dual has Hessian 1 and gradient

    g_j = E[phi_j] - mu_j,      mu_j = sum_i P_ji m_i  in double-double,

and Newton's step is -g.  What rounding of m alone can do to mu_j is the floor f_j of degree j.
Degrees count up to the first whose floor is above a trusted size, and of g_j only what exceeds
f_j is a reason to move, until nothing else is left to do.  Then m is taken at its word: the floor
has the worst signs of all roundings, and with g_j left anywhere within it moments may be off by
1e-11.  If a moment still is, degrees join as long as g_j moves a moment by more than is wanted:
T_i = sum_j (P^-1)_ij phi_j.

The descent starts on an interval where Burg's spectrum has its peaks (`certain_start`), elsewhere
where the caller says.  Every step is Newton's where that is to be believed, otherwise that of a
model in lumps (`certain_step`), and it is accepted by the slope of D at its end.

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

import numpy as np

from .certain_nodes import DEPTH, FINE, ROUGH, allocate, lay, normalise, watch
from .certain_start import start
from .certain_step import model_step, negate, search
from .compiled import ZERO, inner, kernel
from .descent import CONVERGED, OUT_OF_STEPS, STALLED, summits
from .dual import dot, dot3
from .lumps import MOST_CLUSTERS, allocate_lumps, divide
from .lumps_minimum import allocate_scratch
from .recurrence import copy, copy_rows, fill, table
from .stieltjes import expand, mean_of, project, stieltjes, sum_series
from .window import BOUNDED

# A start with a decrement beyond this is too sharp to be left by steps of any kind.
HOPELESS = 1e3
# The floor up to which a degree counts.  It is cut to a tenth after so many steps, and wherever a
# step came to less than STUCK of its length, which may be so often; where nothing is left to do
# with fewer degrees, all come back once.
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
# Moment errors: nothing better is expected; nor is it where what is left to do is SMALL beside the
# floor; good; good if still; good enough (for `certificate`). What is good takes one step more, and
# so does what has all degrees and a floor that is not LOW: within it log p may be off by as much.
ROUNDING, MET, EXACT, GOOD, ENOUGH = 2e-15, 1e-14, 1e-13, 1e-11, 5e-11
SMALL, LOW = 1e-6, 1e-6
# No attempt begins, and no step, after so many evaluations of the density for one column; the path
# may take so many beyond both. It goes by small steps: LONG_WAY times as many as another attempt.
MOST_EVALUATIONS, PATH_EVALUATIONS = 250, 500
LONG_WAY = 4
# Along the path epsilon falls by this factor at first. Newton's step puts a share of the degrees in
# doubt: beyond LOST the step is taken back and the next is as long as its root; from CLOSE on it is
# corrected without going further, so often at most; below CLOSE the next step goes further: as the
# square if no correction was needed, by a shorter way if they were in vain.
RATIO = 0.1
CLOSE, LOST = 0.3, 0.8
CORRECTIONS = 3
LONGER, SHORTER, HALF = 2.0, 0.7, 0.5
BOLDEST, TIMID, SHORTEST = 1e-4, 0.9, 0.95


@inner
def gradient(n, trust, aim, eased, grid, work):
    """g and the aim mu it is counted from; returns (decrement, its floor, degrees that count).

    eased: 1 where a gap within the floor is left alone, 0 where none is. With an aim > 0, and eased
    0, degrees count by what they do: as long as g_j = LARGEST moves some moment by more than that
    share of its size, T_i = sum_j (P^-1)_ij phi_j, with P^-1 in work.high.
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
        expected = dot(grid.p, grid.own[j], n)
        gap = expected - mu[j]
        gap = math.copysign(max(0.0, abs(gap) - eased * slack), gap)
        g[j] = gap
        mu[j] = expected - gap
        used = j
        decrement += gap * gap
        floor += noise[j] * noise[j]
    return math.sqrt(decrement), math.sqrt(floor), used


@inner
def doubt(n, used, g, grid):
    """E[K min(1, dq^2)] of Newton's step dq = -g·phi."""
    change, share = grid.change, grid.share
    for i in range(n):
        change[i] = 0.0
        share[i] = 1.0
    for j in range(1, used + 1):
        row = grid.own[j]
        gj = g[j]
        for i in range(n):
            change[i] += gj * row[i]
            share[i] += row[i] * row[i]
    total = 0.0
    for i in range(n):
        total += grid.p[i] * share[i] * min(1.0, change[i] * change[i])
    return total


@inner
def moment_error(m, rec, n, grid):
    """Largest |E[T_j] - m_j| / max(1, √E[T_j²]) on the nodes."""
    table(grid.t, n, rec, grid.phi)
    worst = 0.0
    for j in range(1, m.shape[0]):
        row = grid.phi[j]
        size = max(1.0, math.sqrt(dot3(grid.p, row, row, n)))
        worst = max(worst, abs(dot(grid.p, row, n) - m[j]) / size)
    return worst


@inner
def compare(m, share, rec, n, trust, aim, eased, grid, work):
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
    decrement, floor, used = gradient(n, trust, aim, eased, grid, work)
    return decrement, floor, used, doubt(n, used, work.g, grid)


@kernel
def attempt(m, rec, ends, begin, rule, limit, trust, follow, cap, R, y, info, peaks):
    """One descent for the moments m (k+1) in the basis of rec (3, k), on an interval Chebyshev's,
    from a start of order `cap` at most, elsewhere from `begin` (k+1); follow: along the path of
    moments.  rule: `panel_rule(k)`; limit: steps.

    R (3, k), y (k+1) and info (7) are replaced by anything with a lower moment error, and by what
    has an EXACT one and a lower decrement: log p = sum y_j phi_j, phi by R.  info: steps,
    evaluations, both added, decrement, its floor, largest moment error on the nodes, degrees that
    counted, nodes.

    Returns (code, a lower cap with which to begin again, or less than 0, number of local maxima of
    what is best so far, its log mass).  The maxima go into peaks; y is left with that mass.
    """
    nodes = rule[0].shape[0]
    k = m.shape[0] - 1
    grid, between, work = allocate(k, nodes)
    lumps, scratch = allocate_lumps(k), allocate_scratch(k)
    code = OUT_OF_STEPS
    order = 0
    trusted = trust
    most = MOST_EVALUATIONS + (PATH_EVALUATIONS + info[1] if follow else 0.0)
    if ends == BOUNDED:
        order, evaluations = start(m, rec, ends, rule, cap, grid, between, work)
        info[1] += evaluations
    else:
        copy(begin, k + 1, work.c)
    cap = -1
    copy_rows(rec, work.R_before)
    copy(work.c, k + 1, work.trial)
    n, gaps = ZERO, ZERO
    error = ROUGH
    aim, eased = 0.0, 1.0
    cut = False
    stuck = 0
    patience = 0
    epsilon = 1.0 if follow else 0.0
    target = epsilon
    ratio = RATIO
    corrections = 0
    again, last = True, False
    if follow:
        limit *= LONG_WAY
    for steps in range(limit + 1):
        if again:
            n, _, gaps = lay(work.trial, work.R_before, ends, rule, DEPTH, error, grid, between)
            info[1] += 1
            if n < 0:
                code, cap = STALLED, order - 2
                break
            table(grid.t, n, work.R_before, grid.own)
            sum_series(work.trial, grid.own, n, grid.q)
        watched = watch(gaps, between)
        table(between.t, watched, work.R_before, between.own)
        sum_series(work.trial, between.own, watched, between.q)
        normalise(n, watched, grid, between)
        if steps == 0:
            table(grid.t, n, rec, grid.phi)
            for j in range(k + 1):
                work.far[j] = dot(grid.p, grid.phi[j], n)
        if not stieltjes(grid.t, n, grid.p, work.R, grid.own, grid.change):
            code = STALLED
            break
        # Far from the density the higher polynomials are so large that the noise of a projection
        # would raise peaks there: their coefficients are carried over.
        expand(work.R, work.R_before, work.high)
        for j in range(k + 1):
            work.kept[j] = 0.0
            for i in range(j, k + 1):
                work.kept[j] += work.trial[i] * work.high[i, j]
        decrement, floor, used, doubted = compare(
            m, target, rec, n, trust, aim, eased, grid, work
        )
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
                decrement, floor, used, doubted = compare(
                    m, target, rec, n, trust, aim, eased, grid, work
                )
                if doubted > CLOSE * (used + 1):
                    target = ratio * epsilon
                    decrement, floor, used, doubted = compare(
                        m, target, rec, n, trust, aim, eased, grid, work
                    )
        again = False
        if target == 0.0:
            patience += 1
            if patience % PATIENCE == 0:
                trust *= 0.1
        if steps == 0 and order > 0 and not decrement < HOPELESS:
            code, cap = STALLED, order - 2
            break
        project(grid.q, grid.own, n, grid.p, work.y, grid.change)
        for j in range(used + 1, k + 1):
            work.y[j] = work.kept[j]
        if not info[4] < np.inf:
            copy_rows(work.R, R)
            copy(work.y, k + 1, y)
        if target == 0.0 and decrement < POLISHED and error == FINE:
            worst = moment_error(m, rec, n, grid)
            met = worst < ROUNDING or (decrement < SMALL * floor and worst < MET)
            met = met and (floor < LOW or used < k)
            if eased > 0.0 and not met:
                eased = 0.0
                decrement, floor, used, doubted = compare(
                    m, target, rec, n, trust, aim, eased, grid, work
                )
            if worst < info[4] or (worst < EXACT and decrement < info[2]):
                copy_rows(work.R, R)
                copy(work.y, k + 1, y)
                info[2], info[3], info[4], info[5], info[6] = decrement, floor, worst, used, n
            good = worst < EXACT or (worst < GOOD and decrement < 10.0 * STILL)
            if good and (last or met):
                code = CONVERGED
                break
            if good:
                last = True
            elif decrement < STILL:
                if aim > 0.0 and (worst < ENOUGH or aim == AIM):
                    code = STALLED
                    break
                if trust < trusted and not info[4] < ENOUGH:
                    trusted, trust = 0.0, trusted
                else:
                    aim = max(AIM, SHARE * worst)
        if decrement < POLISHED or (target == 0.0 and doubted < NEAR):
            error = FINE
        if steps == limit or info[1] > most:
            break
        clusters = divide(grid.q, n, work.first)
        terms = 0
        modelled = clusters <= MOST_CLUSTERS and (cut or not doubted < BELIEVED)
        if modelled:
            terms = model_step(n, gaps, nodes, used, clusters, grid, between, work, lumps, scratch)
        else:
            negate(work.g, work.x)
        copy_rows(work.R, work.R_before)
        n, gaps, tried, length = search(
            ends, rule, error, decrement, used, modelled, terms, clusters, grid, between, work,
            lumps, scratch,
        )
        info[0] += 1
        info[1] += tried
        if n < 0:
            code = STALLED
            break
        cut = length < 1.0
        if length < STUCK and target == 0.0:
            stuck += 1
            trust *= 0.1
            if stuck == OFTEN or (eased == 0.0 and info[4] < GOOD):
                code = STALLED
                break
    if info[4] < ENOUGH:  # however it came to an end
        code = CONVERGED
    if cap >= 0:
        return code, cap, ZERO, 0.0
    n, _, _ = lay(y, R, ends, rule, DEPTH, FINE, grid, between)
    if n < 0:
        return code, cap, ZERO, 0.0
    table(grid.t, n, R, grid.own)
    sum_series(y, grid.own, n, grid.q)
    shift = normalise(n, ZERO, grid, between)
    info[6] = n
    return code, cap, summits(n, grid.t, grid.w, grid.p, peaks), shift
