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
from .lumps import FAST, MOST_TERMS, exponents
from .recurrence import copy

# A primal-dual step changes a log mass by this at most, and stops when none changes by SETTLED.
LONGEST = 5.0
MOST_DUAL_STEPS = 40
SETTLED = 0.01
# Log masses are kept in these bounds; below FORGOTTEN they need not settle.
LIGHTEST, FORGOTTEN, HEAVIEST = -80.0, -50.0, 5.0
# What a term that has just joined may weigh at first.
NEWCOMER = -2.0
# Points with less are left out when there is no room.
IDLE = -36.0
# Damped Newton stops when the terms that matter change by less than this.
MOST_NEWTON_STEPS = 20
CALM = 0.1

Scratch = namedtuple("Scratch", "nu e share slope curve G H b d best")


@inner
def allocate_scratch(k):
    return Scratch(
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros(MOST_TERMS),
        np.zeros((MOST_TERMS, k)),
        np.zeros((k + 1, k + 1)),
        np.zeros(k + 1),
        np.zeros(k + 1),
        np.zeros(k),
    )


@inner(fastmath=FAST)
def solve_positive(H, b, x, n):
    """x = H^-1 b by Cholesky's factor in the lower half of H; False where there is none."""
    for i in range(n):
        row = H[i]
        for j in range(i):
            other = H[j]
            s = row[j]
            for l in range(j):
                s -= row[l] * other[l]
            row[j] = s / other[j]
        s = row[i]
        for l in range(i):
            s -= row[l] * row[l]
        if not s > 0.0:
            return False
        row[i] = math.sqrt(s)
    for i in range(n):
        row = H[i]
        s = b[i]
        for l in range(i):
            s -= row[l] * x[l]
        x[i] = s / row[i]
    for i in range(n - 1, -1, -1):
        row = H[i]
        x[i] /= row[i]
        s = x[i]
        for l in range(i):
            x[l] -= row[l] * s
    return True


@inner
def travel(lumps, terms, known, count, mu, used, x, scratch):
    """The minimum of G by primal-dual Newton from x; x is the best point met; steps taken.

    The first `known` terms have taken part before, and keep their masses.
    """
    nu, e, _, _, _, G, H, b, d, best = scratch
    norm = -exponents(lumps, terms, count, used, x, G, e)
    for l in range(known, terms):
        nu[l] = min(max(e[l] + norm, LIGHTEST), NEWCOMER if known > 0 else 0.0)
    for j in range(used):
        best[j] = x[j]
    least = np.inf
    steps = 0
    while steps < MOST_DUAL_STEPS:
        top = exponents(lumps, terms, count, used, x, G, e)
        total = 0.0
        for l in range(terms):
            total += math.exp(e[l] - top)
        value = top + math.log(total)
        for j in range(used):
            value -= mu[j] * x[j]
        if value < least:
            least = value
            for j in range(used):
                best[j] = x[j]
        for j in range(used + 1):
            for i in range(j + 1):
                H[j, i] = 0.0
        b[0] = 1.0
        for j in range(used):
            b[j + 1] = mu[j]
        for l in range(terms):
            f = math.exp(nu[l])
            if f < 1e-40:
                continue
            fr = f * (1.0 + e[l] + norm - nu[l])
            row = G[l]
            b[0] -= fr
            H[0, 0] += f
            for j in range(used):
                b[j + 1] -= fr * row[j]
                fg = f * row[j]
                target = H[j + 1]
                target[0] += fg
                for i in range(j + 1):
                    target[i + 1] += fg * row[i]
                if l < count:
                    v = lumps.spread[l, j]
                    for i in range(j + 1):
                        target[i + 1] += f * v[i]
        for j in range(used + 1):
            H[j, j] += 1e-13 * (1.0 + H[j, j])
        if not solve_positive(H, b, d, used + 1):
            break
        worst = 0.0
        for l in range(terms):
            change = e[l] + norm + d[0] - nu[l]
            for j in range(used):
                change += G[l, j] * d[j + 1]
            if nu[l] > FORGOTTEN or change > 0.0:
                worst = max(worst, abs(change))
            change = min(max(change, -LONGEST), LONGEST)
            nu[l] = min(max(nu[l] + change, LIGHTEST), HEAVIEST)
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
    _, e, share, slope, curve, G, H, b, d, _ = scratch
    for _ in range(MOST_NEWTON_STEPS):
        top = exponents(lumps, terms, count, used, x, G, e)
        total = 0.0
        for l in range(terms):
            share[l] = math.exp(e[l] - top)
            total += share[l]
        for j in range(used):
            b[j] = 0.0
            for i in range(j + 1):
                H[j, i] = 0.0
        for l in range(terms):
            share[l] /= total
            if share[l] > 1e-40:
                for j in range(used):
                    b[j] += share[l] * G[l, j]
        for l in range(terms):
            f = share[l]
            if f > 1e-40:
                row = G[l]
                for j in range(used):
                    fg = f * (row[j] - b[j])
                    target = H[j]
                    for i in range(j + 1):
                        target[i] += fg * (row[i] - b[i])
                    if l < count:
                        v = lumps.spread[l, j]
                        for i in range(j + 1):
                            target[i] += f * v[i]
        for j in range(used):
            b[j] = mu[j] - b[j]
            H[j, j] += 1e-14
        if not solve_positive(H, b, d, used):
            break
        falling = 0.0
        aim = 0.0
        for j in range(used):
            falling += b[j] * d[j]
            aim += mu[j] * d[j]
        for l in range(terms):
            s = 0.0
            u = 0.0
            for j in range(used):
                s += G[l, j] * d[j]
                if l < count:
                    f = 0.0
                    for i in range(used):
                        f += lumps.spread[l, j, i] * d[i]
                    u += f * d[j]
            slope[l] = s
            curve[l] = u
        length = line(e, slope, curve, terms, aim, falling)
        worst = 0.0
        for l in range(terms):
            leverage = 0.0
            for j in range(used):
                leverage += G[l, j] * G[l, j]
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
            copy(lumps.mean[l], used, lumps.mean[kept])
            nu[kept] = nu[l]
            kept += 1
    return kept
