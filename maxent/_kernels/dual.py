"""One column: the density exp(q) on panels, its moments, its orthonormal polynomials, Newton's
descent.

All arrays of a column's work are one `Work` tuple, allocated once and shared by many columns.
"""

import math

import numpy as np

from .compiled import inner
from .exponential import exponential
from .panels import MAX_PANELS, place, refine
from .recurrence import fill, table
from .window import window

EPS = 2.0**-53
# exp(q) is neglected where q is this far below its maximum: e^-50 = 2e-22.
DEPTH = 50.0


@inner(fastmath={"reassoc", "contract", "nsz"})
def dot(a, b, n):
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@inner(fastmath={"reassoc", "contract", "nsz"})
def dot3(w, a, b, n):
    total = 0.0
    for i in range(n):
        total += w[i] * a[i] * b[i]
    return total


@inner
def allocate(k, nodes, fixed):
    """(t, w, p, tables, Phi, left, right) for one column of degree k; `fixed` nodes or panels."""
    size = max(MAX_PANELS * nodes, fixed)
    return (
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty((k + 1, size)),
        np.empty((k + 1, size)),
        np.empty(MAX_PANELS),
        np.empty(MAX_PANELS),
    )


@inner
def spread_out(c, rec, ends, rule, work):
    """Nodes and probabilities of exp(q) on panels: returns (number of nodes, log of the integral).

    The number is negative when exp(q) is not integrable or cannot be resolved.
    """
    t, w, p, phi, basis, left, right = work
    points, weights, local_points, local_transform = rule
    lo, hi = window(c, rec, ends, DEPTH)
    if not lo < hi:
        return -1, 0.0
    count, _ = refine(
        c, rec, lo, hi, DEPTH, points.shape[0], local_points, local_transform, left, right
    )
    if count <= 0:
        return -1, 0.0
    n = place(left, right, count, points, weights, t, w)
    return n, normalise(c, rec, n, t, w, phi, p, basis[0])


@inner
def normalise(c, rec, n, t, w, phi, p, q):
    """Probabilities w exp(q) / Z into p, the basis into phi, q destroyed; returns log Z."""
    k = c.shape[0] - 1
    table(t, n, rec, phi)
    for i in range(n):
        q[i] = c[0]
    for j in range(1, k + 1):
        cj = c[j]
        for i in range(n):
            q[i] += cj * phi[j, i]
    peak = -np.inf
    for i in range(n):
        peak = max(peak, q[i])
    for i in range(n):
        q[i] -= peak
    exponential(q[:n], p[:n])
    total = 0.0
    for i in range(n):
        p[i] *= w[i]
        total += p[i]
    for i in range(n):
        p[i] /= total
    return peak + math.log(total)


@inner
def orthonormalise(t, n, p, rec, basis, P):
    """Polynomials orthonormal under p: values times sqrt(p) into basis[j], coefficients in phi into
    P[j, :j+1].

    Lanczos on multiplication by t, each vector orthogonalised against its two predecessors and then
    against all (Brubeck, Nakatsukasa & Trefethen 2021).  Returns how many degrees exist: fewer than
    k when p sits on few nodes.
    """
    k = rec.shape[1]
    for j in range(k + 1):
        fill(P[j], 0.0)
    P[0, 0] = 1.0
    for i in range(n):
        basis[0, i] = math.sqrt(p[i])
    for j in range(k):
        now, new = basis[j], basis[j + 1]
        for i in range(n):
            new[i] = t[i] * now[i]
        for i in range(j + 1):
            x = P[j, i] / rec[0, i]
            P[j + 1, i + 1] += x
            P[j + 1, i] -= x * rec[1, i]
            if i > 0:
                P[j + 1, i - 1] += x * rec[2, i]
        before = math.sqrt(dot(new, new, n))
        for l in range(max(j - 1, 0), j + 1):
            take_away(dot(basis[l], new, n), l, n, basis, new, P[l], P[j + 1])
        l = 0
        while l + 3 <= j:
            h0, h1, h2, h3 = four_dots(basis[l], basis[l + 1], basis[l + 2], basis[l + 3], new, n)
            b0, b1, b2, b3 = basis[l], basis[l + 1], basis[l + 2], basis[l + 3]
            for i in range(n):
                new[i] -= h0 * b0[i] + h1 * b1[i] + (h2 * b2[i] + h3 * b3[i])
            for i in range(l + 4):
                low = h0 * P[l, i] + h1 * P[l + 1, i]
                P[j + 1, i] -= low + (h2 * P[l + 2, i] + h3 * P[l + 3, i])
            l += 4
        while l <= j:
            take_away(dot(basis[l], new, n), l, n, basis, new, P[l], P[j + 1])
            l += 1
        norm = math.sqrt(dot(new, new, n))
        if not norm > 64.0 * EPS * before:
            return j
        for i in range(n):
            new[i] /= norm
        for i in range(j + 2):
            P[j + 1, i] /= norm
    return k


@inner(fastmath={"reassoc", "contract", "nsz"})
def four_dots(a, b, c, d, new, n):
    sa, sb, sc, sd = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        x = new[i]
        sa += a[i] * x
        sb += b[i] * x
        sc += c[i] * x
        sd += d[i] * x
    return sa, sb, sc, sd


@inner
def take_away(h, l, n, basis, new, row, new_row):
    """h times the polynomial l from the new one, in values and coefficients."""
    old = basis[l]
    for i in range(n):
        new[i] -= h * old[i]
    for i in range(l + 1):
        new_row[i] -= h * row[i]
