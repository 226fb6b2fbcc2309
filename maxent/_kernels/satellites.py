"""Satellites that Newton's step would take many steps to move, and where to put them in one.

A density p = exp(q), q of degree k, is one to k/2 + 1 lumps between valleys. A light one, of mass
M, mean μ and standard deviation σ, takes no part in the rest: to Newton's step s it is a place
where the density p (1 + s) asks for the mass and mean

    M' = ∫ p (1 + s),      μ' = ∫ t p (1 + s) / M'.

Where |μ' - μ| > σ, 1 + s changes sign within the lump, no logarithm of it exists, and q + s moves
the lump by about one σ: a satellite of σ = 0.01 that is 0.15 away takes some fifteen steps. But the
lump that is asked for is known. Near its place log p is to be that of the normal density with M',
μ' and σ; two nodes of Gauss and Hermite's, x = μ' ± σ with M'/2 each, stand for value and slope
there:

    log p(x) = log(M' / (σ sqrt(2π))) - 1/2.

So the lump's own nodes give way to these two, and the step is the polynomial nearest to the change
of log p that is asked for, in the mean square over the other nodes and these.
"""

import math

from .compiled import inner

# Heavier lumps are no satellites; lighter ones, and those that are to lose nearly all of their mass
# at once, are left to Newton's step.
HEAVIEST, LIGHTEST, LEAST_LEFT = 0.5, 1e-12, 1e-2
# The density at a lump's valleys, as a share of its peak's: more, and it is no lump of its own.
SHALLOW = 0.02
HALF_LOG_TAU = 0.9189385332046727


@inner(fastmath={"reassoc", "contract", "nsz"})
def set_aside(t, weights, p, s, density, lumps):
    """Lumps to be moved: M', μ', σ one after the other into `lumps`, their masses p set to 0.

    t: nodes from left to right, with their weights, masses p of any total, and s. Those that weigh
    nothing stand at the end. density: overwritten, at least as long. Returns how many.
    """
    n = t.shape[0]
    while n > 1 and weights[n - 1] == 0.0:
        n -= 1
    total = 0.0
    for i in range(n):
        total += p[i]
    for i in range(n):
        density[i] = p[i] / weights[i]
    found, begin, valley = 0, 0, 0.0
    while begin < n and 3 * found + 3 <= lumps.shape[0]:
        end = begin + 1
        here = density[begin]
        peak, falling = here, False
        left = valley
        while end < n:
            after = density[end]
            if falling and after > here:
                break
            falling = falling or after < here
            here = after
            peak = max(peak, here)
            end += 1
        valley = here if end < n else 0.0
        first, last = begin, end
        begin = end
        if max(left, valley) > SHALLOW * peak:
            continue
        middle = t[first]
        place, part, step = t[first:last], p[first:last], s[first:last]
        mass, moved, one, two, shift = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(last - first):
            x = place[i] - middle
            share = part[i] * step[i]
            mass += part[i]
            moved += share
            one += part[i] * x
            two += part[i] * x * x
            shift += share * x
        wanted = mass + moved
        if not (LIGHTEST * total < mass < HEAVIEST * total and wanted > LEAST_LEFT * mass):
            continue
        mean = one / mass
        sigma = math.sqrt(max(two / mass - mean * mean, 0.0))
        new = (one + shift) / wanted
        if not abs(new - mean) > sigma > 0.0 or not abs(middle + new) < 1.0 - sigma:
            continue
        lumps[3 * found], lumps[3 * found + 1] = wanted / total, middle + new
        lumps[3 * found + 2] = sigma
        found += 1
        for i in range(last - first):
            part[i] = 0.0
    return found


@inner
def put_back(lumps, found, total, c, sums, asked):
    """Add the nodes that stand for the lumps: mass and mass T_j to sums (2k+1,), the same times
    the change of log p = sum c_j T_j that is asked for to asked (k+1,).
    """
    k = c.shape[0] - 1
    for i in range(2 * found):
        lump = i // 2
        wanted, sigma = lumps[3 * lump], lumps[3 * lump + 2]
        x = lumps[3 * lump + 1] + (sigma if i % 2 else -sigma)
        weight = 0.5 * wanted * total
        change = math.log(wanted / sigma) - HALF_LOG_TAU - 0.5
        before, now = x, 1.0
        for j in range(k + 1):
            change -= c[j] * now
            before, now = now, 2.0 * x * now - before
        before, now = x, 1.0
        for j in range(2 * k + 1):
            sums[j] += weight * now
            if j <= k:
                asked[j] += weight * change * now
            before, now = now, 2.0 * x * now - before
