"""Newton's descent on the dual of one column, and a loop over columns."""

import math

import numpy as np

from .compiled import inlined, inner, kernel
from .dual import DEPTH, allocate, dot, dot3, normalise, orthonormalise, spread_out
from .newton import direction, first_length
from .window import window

CONVERGED, STALLED, OUT_OF_STEPS, NOT_INTEGRABLE = 0, 1, 2, 3
ARMIJO = 1e-4
HALVINGS = 40
NEAR, STEEP = 1e-6, 0.7
# Too heavy a satellite loses e to the power of 1 a step: the decrement falls to 0.61.
SLOW = 0.9
# Converged: the decrement is down to rounding, or this small.
DECREMENT = 1e-13
BLURRED = 4.0


@inner
def value(c, m, log_z):
    """(D(c), what rounding can make of it)."""
    d = log_z
    size = abs(log_z)
    for j in range(1, c.shape[0]):
        d -= c[j] * m[j]
        size += abs(c[j] * m[j])
    return d, 4.5e-16 * size


@inlined
def lay_out(c, rec, ends, rule, fixed, work):
    """`spread_out`; or fixed > 0: that many nodes and weights (discrete points) stand in `work`."""
    if fixed > 0:
        t, w, p, phi, basis, _, _ = work
        return fixed, normalise(c, rec, fixed, t, w, phi, p, basis[0])
    return spread_out(c, rec, ends, rule, work)


@inlined
def descend(m, c, rec, ends, rule, fixed, limit, work, P, expected, info):
    """Minimise D from c, in place, c[0] of no account.  Returns a code; `info`: steps, evaluations,
    decrement, blur, |g|.

    On return c[0] = -log Z, P and `expected` belong to the answer.
    """
    t, _, p, phi, basis, _, _ = work
    k = m.shape[0] - 1
    g = np.empty(k + 1)
    step = np.empty(k + 1)
    trial = np.empty(k + 1)
    n, log_z = lay_out(c, rec, ends, rule, fixed, work)
    evaluations = 1
    if n <= 0:
        return NOT_INTEGRABLE
    d, noise = value(c, m, log_z)
    code = OUT_OF_STEPS
    previous = np.inf
    for steps in range(limit + 1):
        worst = 0.0
        for j in range(k + 1):
            expected[j] = dot(p, phi[j], n)
            g[j] = expected[j] - m[j]
            worst = max(worst, abs(g[j]) if j > 0 else 0.0)
        rows = orthonormalise(t, n, p, rec, basis, P)
        decrement, blur, used = direction(P, g, rows, step)
        info[0], info[1], info[2], info[3], info[4] = steps, evaluations, decrement, blur, worst
        info[5], info[6] = used, n
        if decrement <= max(DECREMENT, BLURRED * blur):
            code = CONVERGED
            break
        if decrement < NEAR and decrement > SLOW * previous:
            code = STALLED
            break
        if steps == limit:
            break
        previous = decrement
        length = first_length(decrement)
        found = False
        for _ in range(HALVINGS):
            trial[0] = 0.0
            for j in range(1, k + 1):
                trial[j] = c[j] + length * step[j]
            n, log_z = lay_out(trial, rec, ends, rule, fixed, work)
            evaluations += 1
            if n > 0:
                lower, slack = value(trial, m, log_z)
                if lower <= d - ARMIJO * length * decrement * decrement + slack + noise:
                    found = True
                    break
                if decrement < NEAR:  # too small a fall to be seen in D: its slope shows it
                    rise = 0.0
                    for j in range(1, k + 1):
                        rise += step[j] * (dot(p, phi[j], n) - m[j])
                    if rise <= STEEP * decrement * decrement:
                        found = True
                        break
            length *= 0.5
        if not found:
            n, log_z = lay_out(c, rec, ends, rule, fixed, work)
            code = STALLED
            break
        d, noise = lower, slack
        for j in range(1, k + 1):
            c[j] = trial[j]
    c[0] = -log_z
    return code


@inner
def summits(n, t, w, p, out):
    """Where the density p/w is highest locally, left to right, into out; returns how many."""
    found = 0
    highest = 0.0
    for i in range(n):
        highest = max(highest, p[i] / w[i])
    for i in range(n):
        here = p[i] / w[i]
        left = p[i - 1] / w[i - 1] if i > 0 else -1.0
        right = p[i + 1] / w[i + 1] if i + 1 < n else -1.0
        if here > left and here >= right and here > 1e-18 * highest and found < out.shape[0]:
            out[found] = t[i]
            found += 1
    return found


@kernel
def descend_columns(
    m,
    c,
    recurrences,
    ends,
    rule,
    nodes,
    weights,
    limit,
    codes,
    P,
    expected,
    info,
    sizes,
    peaks,
    number,
    edges,
):
    """`descend` for every row of m (columns, k+1); recurrences: (columns, 3, k); nodes, weights:
    (n,) of discrete points, or (0,).

    Further results of each column: sizes, the root mean squares of phi_j; peaks[:number], the local
    maxima; edges, the window outside of which the density is negligible.
    """
    fixed = nodes.shape[0]
    k = m.shape[1] - 1
    work = allocate(k, rule[0].shape[0], fixed)
    t, w, p, phi, _, _, _ = work
    for i in range(fixed):
        t[i] = nodes[i]
        w[i] = weights[i]
    for i in range(m.shape[0]):
        rec = recurrences[i]
        codes[i] = descend(
            m[i], c[i], rec, ends, rule, fixed, limit, work, P[i], expected[i], info[i]
        )
        if codes[i] == NOT_INTEGRABLE:
            continue
        n = int(info[i, 6])
        for j in range(k + 1):
            sizes[i, j] = math.sqrt(dot3(p, phi[j], phi[j], n))
        number[i] = summits(n, t, w, p, peaks[i])
        edges[i, 0], edges[i, 1] = window(c[i], rec, ends, DEPTH)
