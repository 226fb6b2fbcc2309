"""A small model of a density in lumps, in place of the dual where a step is long.

A density that is a few narrow lumps cannot be moved by Newton's method.  To carry a lump over a of
its own standard deviations the exponent must change by  a s - a^2/2  (s the standardised place):
the lump keeps its mass, but Newton's quadratic takes the a^2/2 for a loss of mass and forbids it.
A model that knows the lumps allows it.  With nodes divided at the valleys of q into clusters l,

    e_l = log mass,      a_l = E_l[phi],      V_l = Cov_l[phi],

log ∫ exp(q + x·phi) is that of Gaussian lumps, and the change x of the exponent is the minimum of

    G(x) = log sum_l exp(e_l + a_l·x + x·V_l x/2) - mu·x,

which is convex.  Places where the density is not seen, because it is nothing there, join as points
(V = 0), so that the model keeps it nothing: those that x would raise, found by exchange.
"""

import math
from collections import namedtuple

import numpy as np

from .compiled import inner
from .dual import dot3

# Nodes are divided where q falls this far below the peaks on both sides.
VALLEY = 2.0
# So many clusters at most, and with the points so many terms.
MOST_CLUSTERS = 30
MOST_TERMS = 128
REGISTERS = 16  # numbers that a loop over terms takes at once
FAST = {"reassoc", "contract", "nsz"}

# e, a and V, the terms of a degree side by side: (terms,), (k, terms), (clusters, k, k).
Lumps = namedtuple("Lumps", "log_mass mean spread")


@inner
def allocate_lumps(k):
    return Lumps(
        np.zeros(MOST_TERMS), np.zeros((k, MOST_TERMS)), np.zeros((MOST_CLUSTERS, k, k))
    )


@inner
def divide(q, n, first):
    """Clusters of the nodes 0 … n-1: first[l] begins cluster l; returns how many (or too many)."""
    count = 1
    first[0] = 0
    peak = q[0]
    valley = q[0]
    at = 0
    rising = True
    for i in range(1, n):
        if rising:
            if q[i] > peak:
                peak = q[i]
            elif q[i] < peak - VALLEY:
                rising = False
                valley = q[i]
                at = i
        elif q[i] < valley:
            valley = q[i]
            at = i
        elif q[i] > valley + VALLEY:
            if count == MOST_CLUSTERS:
                return count + 1
            first[count] = at
            count += 1
            rising = True
            peak = q[i]
    first[count] = n
    return count


@inner
def describe(own, used, p, first, count, share, centred, lumps):
    """Log mass, mean and covariance of phi_1 … phi_used in every cluster."""
    for l in range(count):
        begin = first[l]
        n = first[l + 1] - begin
        mass = 0.0
        for i in range(n):
            mass += p[begin + i]
        lumps.log_mass[l] = math.log(max(mass, 1e-300))
        inverse = 1.0 / max(mass, 1e-300)
        for i in range(n):
            share[i] = p[begin + i] * inverse
        spread = lumps.spread[l]
        for j in range(used):
            row = own[j + 1, begin:]
            mean = dot3(share, row, own[0], n)
            lumps.mean[j, l] = mean
            for i in range(n):
                centred[j, i] = row[i] - mean
            for other in range(j + 1):
                spread[j, other] = dot3(share, centred[j], centred[other], n)
                spread[other, j] = spread[j, other]


@inner
def add_point(lumps, terms, log_mass, own, i, used):
    """A term without width at node i; returns the number of terms."""
    lumps.log_mass[terms] = log_mass
    for j in range(used):
        lumps.mean[j, terms] = own[j + 1, i]
    return terms + 1


@inner
def whole(terms):
    """Terms up to whole registers: those beyond have no mass."""
    return (terms + REGISTERS - 1) // REGISTERS * REGISTERS


@inner(fastmath=FAST)
def exponents(lumps, terms, count, used, x, G, e):
    """e_l(x) and its gradient G_l, (used, terms); returns the largest."""
    n = whole(terms)
    for l in range(n):
        e[l] = lumps.log_mass[l]
    for j in range(used):
        row, mean, xj = G[j], lumps.mean[j], x[j]
        for l in range(n):
            row[l] = mean[l]
            e[l] += xj * mean[l]
    for l in range(count):
        for j in range(used):
            v = lumps.spread[l, j]
            change = 0.0
            for i in range(used):
                change += v[i] * x[i]
            G[j, l] += change
            e[l] += 0.5 * x[j] * change
    top = e[0]
    for l in range(1, terms):
        top = max(top, e[l])
    return top
