"""The minimum of G, the model of `_kernels.lumps`, and what of the model is then left out.

G has as many scales as lumps, so its minimum is found with the masses exp(nu_l) as variables of
their own (primal-dual Newton).  With r_l = e_l(x) + s - nu_l, G_l = a_l + V_l x, one step solves

    [ sum e^nu        sum e^nu G^T            ] [ds]   [ 1  - sum e^nu (1 + r)   ]
    [ sum e^nu G      sum e^nu (V + G G^T)    ] [dx] = [ mu - sum e^nu (1 + r) G ],

    dnu = r + ds + G·dx,

and a few damped Newton steps on G itself make the result safe.
"""

import math
from collections import namedtuple

import numpy as np

from .compiled import inlined, inner
from .dual import dot
from .exponential import exponential
from .lumps import FAST, MOST_TERMS, exponents, whole

# A primal-dual step changes a log mass by this at most, and stops when none changes by SETTLED.
LONGEST = 5.0
MOST_DUAL_STEPS = 40
SETTLED = 0.01
# Log masses are kept in these bounds; below FORGOTTEN they need not settle.
LIGHTEST, FORGOTTEN, HEAVIEST = -80.0, -50.0, 5.0
# What a term that has just joined may weigh at first: little, for a log mass that is to vanish
# falls by one a step, and one that is to grow rises by LONGEST.
NEWCOMER = -24.0
# Points with less are left out when there is no room.
IDLE = -36.0
# Damped Newton stops when the terms that matter change by less than this.
MOST_NEWTON_STEPS = 20
CALM = 0.1

Scratch = namedtuple("Scratch", "nu e mass moved change G centred H b d best")


@inner
def allocate_scratch(k):
    return Scratch(
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros((k, MOST_TERMS)),
        np.zeros((k, MOST_TERMS)),
        np.zeros((k + 1, k + 2)),
        np.zeros(k),
        np.zeros(k + 1),
        np.zeros(k),
    )


@inner(fastmath=FAST)
def solve_positive(H, n, x):
    """x of H x = b by H = U^T U; False where there is none. H: the upper half, b in column n."""
    for j in range(n):
        l = 0
        while l + 4 <= j:
            a, b, c, d = H[l, j], H[l + 1, j], H[l + 2, j], H[l + 3, j]
            for i in range(j, n + 1):
                low = a * H[l, i] + b * H[l + 1, i]
                H[j, i] -= low + (c * H[l + 2, i] + d * H[l + 3, i])
            l += 4
        while l < j:
            a = H[l, j]
            for i in range(j, n + 1):
                H[j, i] -= a * H[l, i]
            l += 1
        if not H[j, j] > 0.0:
            return False
        scale = 1.0 / math.sqrt(H[j, j])
        for i in range(j, n + 1):
            H[j, i] *= scale
    for j in range(n - 1, -1, -1):
        s = H[j, n]
        for i in range(j + 1, n):
            s -= H[j, i] * x[i]
        x[j] = s / H[j, j]
    return True


@inner(fastmath=FAST)
def second_moments(lumps, terms, count, used, mass, G, weighted, H):
    """sum_l mass_l (V_l + G_l G_l^T) into the upper half of H."""
    n = whole(terms)
    for j in range(used):
        row = G[j]
        for l in range(n):
            weighted[l] = mass[l] * row[l]
        for i in range(j, used):
            H[j, i] = dot(weighted, G[i], n)
    for l in range(count):
        f = mass[l]
        for j in range(used):
            v = lumps.spread[l, j]
            for i in range(j, used):
                H[j, i] += f * v[i]


@inner(fastmath=FAST)
def along(G, terms, used, d, out):
    """G_l·d of every term."""
    n = whole(terms)
    for l in range(n):
        out[l] = 0.0
    for j in range(used):
        row, dj = G[j], d[j]
        for l in range(n):
            out[l] += dj * row[l]


@inner
def travel(lumps, terms, known, count, mu, used, x, scratch):
    """The minimum of G by primal-dual Newton from x; x is the best point met; steps taken.

    The first `known` terms have taken part before, and keep their masses.
    """
    nu, e, mass, moved, change, G, _, H, _, d, best = scratch
    n = whole(terms)
    norm = -exponents(lumps, terms, count, used, x, G, e)
    for l in range(known, terms):
        nu[l] = min(max(e[l] + norm, LIGHTEST), NEWCOMER if known > 0 else 0.0)
    for j in range(used):
        best[j] = x[j]
    least = np.inf
    steps = 0
    while steps < MOST_DUAL_STEPS:
        top = exponents(lumps, terms, count, used, x, G, e)
        for l in range(n):
            moved[l] = e[l] - top
        exponential(moved[:n], mass[:n])
        total = 0.0
        for l in range(terms):
            total += mass[l]
        value = top + math.log(total)
        for j in range(used):
            value -= mu[j] * x[j]
        if value < least:
            least = value
            for j in range(used):
                best[j] = x[j]
        H[0, 0] = 0.0
        H[0, used + 1] = 1.0
        for l in range(n):
            moved[l] = nu[l]
        exponential(moved[:n], mass[:n])
        for l in range(terms, n):
            mass[l], moved[l] = 0.0, 0.0
        for l in range(terms):
            moved[l] = mass[l] * (1.0 + e[l] + norm - nu[l])
            H[0, 0] += mass[l]
            H[0, used + 1] -= moved[l]
        for j in range(used):
            H[0, j + 1] = dot(mass, G[j], n)
            H[j + 1, used + 1] = mu[j] - dot(moved, G[j], n)
        second_moments(lumps, terms, count, used, mass, G, change, H[1:, 1:])
        for j in range(used + 1):
            H[j, j] += 1e-13 * (1.0 + H[j, j])
        if not solve_positive(H, used + 1, d):
            break
        along(G, terms, used, d[1:], change)
        worst = 0.0
        for l in range(terms):
            rise = e[l] + norm + d[0] - nu[l] + change[l]
            if nu[l] > FORGOTTEN or rise > 0.0:
                worst = max(worst, abs(rise))
            rise = min(max(rise, -LONGEST), LONGEST)
            nu[l] = min(max(nu[l] + rise, LIGHTEST), HEAVIEST)
        norm += d[0]
        for j in range(used):
            x[j] += d[j + 1]
        steps += 1
        if worst < SETTLED:
            break
    for j in range(used):
        x[j] = best[j]
    return steps


@inner
def settle(lumps, terms, count, mu, used, x, scratch):
    """Damped Newton on G from x, in place, until the Hessian gives out."""
    _, e, share, slope, curve, G, centred, H, b, d, _ = scratch
    n = whole(terms)
    for _ in range(MOST_NEWTON_STEPS):
        top = exponents(lumps, terms, count, used, x, G, e)
        for l in range(n):
            slope[l] = e[l] - top
        exponential(slope[:n], share[:n])
        total = 0.0
        for l in range(terms):
            total += share[l]
        for l in range(n):
            share[l] = share[l] / total if l < terms else 0.0
        for j in range(used):
            row, middle = G[j], dot(share, G[j], n)
            for l in range(n):
                centred[j, l] = row[l] - middle
            b[j] = mu[j] - middle
        second_moments(lumps, terms, count, used, share, centred, slope, H)
        for j in range(used):
            H[j, j] += 1e-14
            H[j, used] = b[j]
        if not solve_positive(H, used, d):
            break
        falling = 0.0
        aim = 0.0
        for j in range(used):
            falling += b[j] * d[j]
            aim += mu[j] * d[j]
        along(G, terms, used, d, slope)
        for l in range(terms):
            curve[l] = 0.0
        for l in range(count):
            for j in range(used):
                curve[l] += d[j] * dot(lumps.spread[l, j], d, used)
        length = line(e, slope, curve, terms, aim, falling)
        worst = 0.0
        for l in range(terms):
            leverage = 0.0
            for j in range(used):
                leverage += G[j, l] * G[j, l]
                if l < count:
                    leverage += lumps.spread[l, j, j]
            if share[l] * leverage > 0.01:
                worst = max(worst, abs(length * (slope[l] + 0.5 * length * curve[l])))
        for j in range(used):
            x[j] += length * d[j]
        if worst < CALM:
            break


@inner
def line(e, slope, curve, terms, aim, falling):
    """The length where G, with exponents e + slope s + curve s^2/2, has lost most of its slope."""
    low, high = 0.0, -1.0
    s = 1.0
    for _ in range(60):
        top = -np.inf
        for l in range(terms):
            top = max(top, e[l] + s * (slope[l] + 0.5 * s * curve[l]))
        total = 0.0
        rise = 0.0
        for l in range(terms):
            f = math.exp(e[l] + s * (slope[l] + 0.5 * s * curve[l]) - top)
            total += f
            rise += f * (slope[l] + s * curve[l])
        rise = rise / total - aim
        if abs(rise) <= 0.2 * falling:
            break
        if rise > 0.0:
            high = s
            s = 0.5 * (low + s)
        else:
            low = s
            s = 2.0 * s if high < 0.0 else 0.5 * (s + high)
        if s > 64.0:
            break
    return s


@inlined
def minimise_model(lumps, terms, known, count, mu, used, x, scratch):
    """x of the least G, from x; the first `known` terms took part in finding that."""
    travel(lumps, terms, known, count, mu, used, x, scratch)
    settle(lumps, terms, count, mu, used, x, scratch)


@inner
def make_room(lumps, terms, count, used, x, scratch):
    """Leave out the points that x makes nothing of, if many; returns the number of terms."""
    if terms < 3 * MOST_TERMS // 4:
        return terms
    nu, e = scratch.nu, scratch.e
    top = exponents(lumps, terms, count, used, x, scratch.G, e)
    kept = count
    for l in range(count, terms):
        if e[l] - top > IDLE:
            lumps.log_mass[kept] = lumps.log_mass[l]
            for j in range(used):
                lumps.mean[j, kept] = lumps.mean[j, l]
            nu[kept] = nu[l]
            kept += 1
    return kept
