"""Ordinary columns on an interval: minimised and confirmed in microseconds, or handed on.

The dual of `_kernels.descent` with tables of T_j that all columns share. The product rule
T_i T_j = (T_{i+j} + T_{|i-j|})/2 makes the Hessian of the first 2k means,

    H_ij = (E[T_{i+j}] + E[T_{|i-j|}])/2 - E[T_i] E[T_j] = U^T U,      P = U^-T,

so that a Newton step is one exponential a node, 2k sums over the nodes, and one small Cholesky
factorisation. Of the T_j only those up to k are needed: T_{k+j} = 2 T_k T_j - T_{k-j}.

**The step.** Newton's step s = sum_j s_j (T_j - E[T_j]) is the change of log p that would be right
if 1 + s were exp(s): it asks for the density p (1 + s). Where p has to vanish, s = -1 takes a
factor e off it at a time, and ten steps pass so. What p (1 + s) really asks of log p is
log(1 + s), and its projection on the polynomials, H^-1 Cov(T, log(1 + s)), is the step taken: of
third order near the answer (s - s²/2 is Chebyshev's method), twice as fast on the way. As 1 + s may
be negative the logarithm is replaced by its Padé approximant s (6 + s)/(6 + 4s) above -1 and its
tangent's slope below. Where it does not lead down, Newton's own step does. Lumps that are to move
further than their width are put in their places (`_kernels.satellites`).

**The last step** is not evaluated. After a corrected step v, p (1 + s) is p exp(v + r) with r what
the projection left, orthogonal to the polynomials under p: the moments of p exp(v) are off by
-Cov(T, s r) and terms of higher order, which is a decrement of at most the square root of
E[s² r²]. That is summed, and where it is rounding, v is the last step.

**The start** is Burg's density (`_kernels.burg`), or on a second try a flatter one.

**The rules.** First one Gauss-Legendre rule on [-1, 1]; if that is too coarse, panels out of one
tree of halves and halves of halves, deepest at the two ends: a column takes from it the panels that
its own density asks for. Nothing here is believed that is not proved or measured:

  * the rule is fine enough, by Trefethen's bound on the Gauss error (Approximation Theory and
    Approximation Practice, 2013, theorem 19.3) for n nodes on a panel of half width h, and
    f = p T_j analytic in an ellipse of radius rho about it,

        |error| <= h 64/15 max_ellipse |f| rho^(-2n) / (1 - rho^-2),      |p| = exp(Re log p),

    where  Re log p = l_0 + sum_j l_j (rho^j + rho^-j)/2 cos(j theta)  on the ellipse, l the
    Chebyshev coefficients of log p on the panel. A panel is left out only where l_0 + sum |l_j|
    proves that its mass is nothing;
  * mass and moments are measured again by Clenshaw-Curtis with both end points and twice as many
    nodes, from q summed downwards and T_j by recurrence; what was left out is looked at again, too.
    Decrement, condition and digits are from these means.

A column that fails either, or whose Cholesky pivots are small, is left to the certain path.
"""

import math

import numpy as np

from .burg import log_density
from .compiled import FALSE, TRUE, ZERO, inlined, inner, kernel
from .exponential import exponential
from .newton import GRADIENT_ROUNDING
from .recurrence import copy
from .satellites import put_back, set_aside

# How a column ended.
CONFIRMED, TOO_COARSE, REFUSED = 0, 1, 2
# Halvings of a step, on panels and on the first rule: more would be the rule's fault.
HALVINGS, FEW = 6, 3
ARMIJO = 1e-4
# From here Newton's step squares the decrement to nothing, and is not evaluated any more; or what
# is left is the rounding of the gradient, seen through the smallest pivot.
LAST = 1e-9
BLURRED = 4.0
# The Hessian is a difference of numbers of O(1) known to a few 2^-53: a pivot below this has lost
# nearly all of its digits.
SMALLEST_PIVOT = 1e-13
# Far from the answer a rule that is too coarse is no reason to stop, nor is it on the first steps
# from a start that is rougher than the answer.
NEAR, OFTEN = 0.5, 3
# On panels, a decrement that did not fall to this share of the least in so many steps stands still.
LESS, IDLE = 0.9, 12
# How much of Burg's log density is the start on panels where all of it led nowhere.
AGAIN = 0.5
# The step is corrected while the decrement is below; above, p (1 + s) is not to be believed.
CORRECTED = 2.0
# Below, no satellite moves further than its width, and a corrected step may be the last: where it
# leaves a decrement below LEFT, and rounding of the Hessian, a share 1/pivot of it, no more.
CREEPING, LEFT = 1e-3, 1e-15
REST = 3  # steps until a correction that did not lead down is tried again
# The logarithm of the mass below which a panel is left out.
NOTHING = -43.0
LN2 = 0.6931471805599453
MOST_PANELS, MOST_KEPT, STACK = 96, 32, 32
# Where the first rule led nowhere, integrals are good to 1e-15 exp(ROUGH) at first: until a step
# from a decrement below SOON, and in no case below CLOSE.
ROUGH, ROUGHNESS = 16.0, 1e-7
SOON, CLOSE = 0.1, 1e-2
# Panels are chosen with so much to spare, or the next step would ask for others.
MARGIN = 4.0
WIDER = 4  # ellipses on which the sharper bound is tried
# Sum |c_j| beyond which log p loses more than 1e-12 in rounding: such a density is to be held in
# its own polynomials, which is not done here.
LOUDEST = 1e4
CHOICES = 4  # of panels, before a step counts as too long


@inner(fastmath={"reassoc", "contract", "nsz"})
def combine(c, table, q):
    """sum_j c_j T_j, j = 0 … k, at the nodes, four rows at a time after the first k mod 4."""
    k = c.shape[0] - 1
    n = q.shape[0]
    rest = k % 4
    o, a = c[0], c[1] if rest > 0 else 0.0
    b, d = c[2] if rest > 1 else 0.0, c[3] if rest > 2 else 0.0
    second, third = min(2, k), min(3, k)
    for i in range(n):
        q[i] = o + a * table[1, i] + b * table[second, i] + d * table[third, i]
    j = 1 + rest
    while j < k:
        a, b, d, e = c[j], c[j + 1], c[j + 2], c[j + 3]
        for i in range(n):
            low = a * table[j, i] + b * table[j + 1, i]
            q[i] += low + (d * table[j + 2, i] + e * table[j + 3, i])
        j += 4


@inner(fastmath={"reassoc", "contract", "nsz"})
def project(p, table, out):
    """sum_i p_i T_j(t_i) into out[j], j = 1, 2, …, four rows at a time; out[0] is left alone."""
    size = out.shape[0]
    n = p.shape[0]
    j = 1
    while j + 4 <= size:
        a, b, d, e = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            x = p[i]
            a += x * table[j, i]
            b += x * table[j + 1, i]
            d += x * table[j + 2, i]
            e += x * table[j + 3, i]
        out[j], out[j + 1], out[j + 2], out[j + 3] = a, b, d, e
        j += 4
    while j < size:
        a = 0.0
        for i in range(n):
            a += p[i] * table[j, i]
        out[j] = a
        j += 1


@inner(fastmath={"reassoc", "contract", "nsz"})
def project_twice(p, high, table, out):
    """sum_i p_i T_j(t_i) into out[j], j = 1 … 2k, out[0] being their total, from T_j up to k:

        T_{k+j} = 2 T_k T_j - T_{k-j},

    two rows at a time. high (n,): overwritten, by p T_k.
    """
    k = table.shape[0] - 1
    n = p.shape[0]
    for i in range(n):
        high[i] = p[i] * table[k, i]
    j = 1
    while j + 1 <= k:
        a, b, ah, bh = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            x, y = p[i], high[i]
            t = table[j, i]
            a += x * t
            ah += y * t
            t = table[j + 1, i]
            b += x * t
            bh += y * t
        out[j], out[j + 1], out[k + j], out[k + j + 1] = a, b, ah, bh
        j += 2
    while j <= k:
        a, ah = 0.0, 0.0
        for i in range(n):
            a += p[i] * table[j, i]
            ah += high[i] * table[j, i]
        out[j], out[k + j] = a, ah
        j += 1
    for j in range(1, k + 1):
        out[k + j] = 2.0 * out[k + j] - out[k - j]


@inner(fastmath={"reassoc", "contract", "nsz"})
def means(c, table, weights, q, p, out):
    """Means of T_1 … T_2k under exp(sum c_j T_j), relative to its mass, into out; the mass.

    q, p (n,) are overwritten; p: the masses at the nodes.
    """
    combine(c, table, q)
    exponential(q, p)
    mass = 0.0
    for i in range(weights.shape[0]):
        p[i] *= weights[i]
        mass += p[i]
    out[0] = mass
    project_twice(p, q, table, out)
    out[0] = 1.0
    scale = 1.0 / mass
    for j in range(1, out.shape[0]):
        out[j] *= scale
    return mass


@inner(fastmath={"contract"})
def factorise(mean, m, U):
    """U of H = U^T U, (k, k), and U^-T (gradient) in its column k; False where a pivot is small."""
    k = m.shape[0] - 1
    for j in range(k):
        mj = mean[j + 1]
        for i in range(j, k):
            U[j, i] = 0.5 * (mean[i + j + 2] + mean[i - j]) - mj * mean[i + 1]
        U[j, k] = mj - m[j + 1]
        l = 0
        while l + 4 <= j:
            a, b, d, e = U[l, j], U[l + 1, j], U[l + 2, j], U[l + 3, j]
            for i in range(j, k + 1):
                low = a * U[l, i] + b * U[l + 1, i]
                U[j, i] -= low + (d * U[l + 2, i] + e * U[l + 3, i])
            l += 4
        while l < j:
            a = U[l, j]
            for i in range(j, k + 1):
                U[j, i] -= a * U[l, i]
            l += 1
        pivot = U[j, j]
        if not pivot > SMALLEST_PIVOT:
            return False
        scale = 1.0 / math.sqrt(pivot)
        for i in range(j, k + 1):
            U[j, i] *= scale
    return True


@inner
def invert(U, P):
    """P = U^-T, lower triangular, (k, k)."""
    k = U.shape[0]
    for j in range(k):
        row = P[j]
        for i in range(k):
            row[i] = 0.0
        row[j] = 1.0
        for l in range(j):
            share = U[l, j]
            other = P[l]
            for i in range(l + 1):
                row[i] -= share * other[i]
        scale = 1.0 / U[j, j]
        for i in range(j + 1):
            row[i] *= scale


@inner
def blur(P, error):
    """Standard deviation under p of what moments off by `error` (k+1,) do to log p."""
    k = P.shape[0]
    total = 0.0
    for j in range(k):
        size = 0.0
        for i in range(j + 1):
            size += abs(P[j, i]) * error[i + 1]
        total += size * size
    return math.sqrt(total)


@inner(fastmath={"reassoc", "contract", "nsz"})
def back(U, y, step):
    """step[1:] = -U^-1 y."""
    k = U.shape[0]
    for j in range(k - 1, -1, -1):
        row = U[j]
        s = y[j]
        for i in range(j + 1, k):
            s += row[i] * step[i + 1]
        step[j + 1] = -s / row[j]


@inner
def centre(step, mean):
    """Add to step[1:] the constant, in step[0], that makes its mean 0."""
    step[0] = 0.0
    for j in range(1, step.shape[0]):
        step[0] -= step[j] * mean[j]


@inner(fastmath={"reassoc", "contract", "nsz"})
def take_logarithm(p, q):
    """From s in q to p log(1 + s); the mass, and the integral of p log(1 + s)."""
    total = 0.0
    mass = 0.0
    for i in range(q.shape[0]):
        s = q[i]
        v = s if s > -1.0 else -1.0
        v = v * (6.0 + v) / (6.0 + 4.0 * v) + 4.0 * (s - v)
        mass += p[i]
        v *= p[i]
        total += v
        q[i] = v
    return mass, total


@inner(fastmath={"reassoc", "contract", "nsz"})
def correct(mean, table, p, U, q, y, out):
    """The step from p (1 + s) to the polynomial nearest its logarithm, into out (k+1,); that
    logarithm's mean.

    p (n,): masses at the nodes, of any total. q (n,): s. q and y (k+1,) are overwritten.
    """
    k = U.shape[0]
    mass, total = take_logarithm(p, q)
    project(q, table, y)
    scale = 1.0 / mass
    for j in range(1, k + 1):
        y[j] = (y[j] - mean[j] * total) * scale
    for j in range(k):  # U^-T y
        row = U[j]
        share = -y[j + 1] / row[j]
        for i in range(j + 1, k):
            y[i + 1] += share * row[i]
        y[j] = share
    back(U, y, out)
    centre(out, mean)
    return total * scale


@inner(fastmath={"reassoc", "contract", "nsz"})
def left_over(c, rise, table, p, q, now):
    """Standard deviation under p of s (log(1 + s) - sum c_j T_j): what the decrement will be.

    q (n,): p log(1 + s), and rise its mean; now (n,) is overwritten.
    """
    combine(c, table, now)
    mass = 0.0
    total = 0.0
    for i in range(p.shape[0]):
        mass += p[i]
        v = q[i] / p[i] if p[i] > 0.0 else 0.0
        v *= v - rise - now[i]
        total += p[i] * v * v
    return math.sqrt(total / mass)


@inner
def carry(c, table, weights, p, q, density, lumps, sums, asked, U, y, out):
    """`correct` where satellites are to move, into out (k+1,), c_0's change among them; False, and
    no change, where none is.

    table, weights: on panels, c_0 = -log Z, p (n,): masses at the nodes, q (n,): s. density (at
    least n), lumps (4k+1,), sums (2k+1,), asked, y (k+1,), and p, q, U, are overwritten. A step of
    0 where H is singular.
    """
    k = U.shape[0]
    mass = 0.0
    for i in range(p.shape[0]):
        mass += p[i]
    found = set_aside(table[1], weights, p, q, density, lumps)
    if found == 0:
        return False
    sums[0], asked[0] = take_logarithm(p, q)
    project_twice(p, density, table, sums)
    project(q, table, asked)
    put_back(lumps, found, mass, c, sums, asked)
    scale = 1.0 / sums[0]
    sums[0] = 1.0
    for j in range(1, 2 * k + 1):
        sums[j] *= scale
    for j in range(1, k + 1):
        asked[j] = sums[j] + (asked[j] - sums[j] * asked[0]) * scale
    if factorise(sums, asked, U):
        for j in range(k):
            y[j] = U[j, k]
        back(U, y, out)
        centre(out, sums)
        out[0] += asked[0] * scale
    else:
        for j in range(k + 1):
            out[j] = 0.0
    return True


@inner
def proved(c, log_growth, log_factor, cosines, values):
    """Does the rule on [-1, 1] integrate p T_j, j <= k, to rounding? First by sum |c_j| cosh, then
    by the maximum over the ellipse: a cosine polynomial of degree k whose values at n + 1 >= 4k + 1
    equal steps lie within R of their middle stays within R / cos(pi k / 2n) of it.
    """
    k = c.shape[0] - 1
    n = cosines.shape[1] - 1
    best, least = 0, np.inf
    for e in range(log_factor.shape[0]):
        most = c[0] + log_factor[e]
        for j in range(1, k + 1):
            most += abs(c[j]) * log_growth[e, j]
        if most < least:
            best, least = e, most
    if least < 0.0:
        return True
    # the second bound grows more slowly with the ellipse
    widening = 1.0 / math.cos(0.5 * math.pi * k / n)
    for e in range(best, min(best + WIDER, log_factor.shape[0])):
        for i in range(n + 1):
            values[i] = 0.0
        for j in range(1, k + 1):
            cj = c[j] * log_growth[e, j]
            for i in range(n + 1):
                values[i] += cj * cosines[j, i]
        low = values[0]
        high = values[0]
        for i in range(n + 1):
            low = min(low, values[i])
            high = max(high, values[i])
        if c[0] + 0.5 * (low + high) + 0.5 * (high - low) * widening + log_factor[e] < 0.0:
            return True
    return False


# What is known of a panel, and where it lies: of one with number p the halves have numbers 2p and
# 2p + 1, and [-1, 1] has number 1.
NEGLIGIBLE, RESOLVED, COARSE = 0, 1, 2
KEPT, LEFT_OUT = TRUE, FALSE


@inner
def place(panel):
    """Middle, half width, and how often [-1, 1] was halved."""
    depth = 0
    while panel >> (depth + 1):
        depth += 1
    half = 1.0 / (1 << depth)
    return (2 * (panel - (1 << depth)) + 1) * half - 1.0, half, depth


@inner(fastmath={"reassoc", "contract", "nsz"})
def judge(local, at, depth, growth, factor, slack):
    """What is known of a panel on which log p has the Chebyshev coefficients local[at] (k+1,)."""
    size = growth.shape[1]
    wide = 0.0
    for i in range(1, size):
        wide += abs(local[at, i])
    if local[at, 0] + wide < NOTHING + slack + LN2 * (depth - 1):
        return NEGLIGIBLE
    for e in range(growth.shape[0]):
        if local[at, 0] + factor[depth, e] + wide * growth[e, 1] > slack:
            continue
        most = 0.0
        for i in range(1, size):
            most += abs(local[at, i]) * growth[e, i]
        if local[at, 0] + factor[depth, e] + most < slack:
            return RESOLVED
    return COARSE


@inner(fastmath={"contract"})
def halve(stack, top, split):
    """From stack[top]: on the left half into stack[top + 1], on the right half in its place.

    T_j on one half is T_j on the other, mirrored: what is even in i + j is the same for both, what
    is odd has the other sign.
    """
    size = split.shape[0]
    right, left = stack[top], stack[top + 1]
    for i in range(0, size, 4):
        e0, e1, e2, e3 = 0.0, 0.0, 0.0, 0.0
        o0, o1, o2, o3 = 0.0, 0.0, 0.0, 0.0
        for j in range(i, size, 2):  # right[j < i] are not needed any more
            a, b = right[j], right[j + 1]
            e0 += a * split[j, i]
            o1 += a * split[j, i + 1]
            e2 += a * split[j, i + 2]
            o3 += a * split[j, i + 3]
            o0 += b * split[j + 1, i]
            e1 += b * split[j + 1, i + 1]
            o2 += b * split[j + 1, i + 2]
            e3 += b * split[j + 1, i + 3]
        left[i], left[i + 1], left[i + 2], left[i + 3] = e0 + o0, e1 + o1, e2 + o2, e3 + o3
        right[i], right[i + 1], right[i + 2], right[i + 3] = e0 - o0, e1 - o1, e2 - o2, e3 - o3


@inner
def room_for_panels(k):
    """Panels from left to right, [how many, which]; the same, being chosen; whether one is kept;
    two stacks, of panels and of coefficients on them.
    """
    panels, chosen = np.zeros(MOST_PANELS + 1, np.int64), np.zeros(MOST_PANELS + 1, np.int64)
    keeps, numbers = np.zeros(MOST_PANELS + 1, np.bool_), np.zeros(STACK, np.int64)
    return panels, chosen, keeps, numbers, np.zeros((STACK, (k + 4) // 4 * 4))


@inner
def covered(c, tree, picked, slack):
    """Do the panels picked resolve exp(sum c_j T_j), and is the rest nothing?"""
    panels, _, keeps, numbers, stack = picked
    split, growth, factor = tree[0], tree[1], tree[2]
    top, at = ZERO, 1
    numbers[0] = 1
    for i in range(c.shape[0]):
        stack[0, i] = c[i]
    while top >= 0:
        panel = numbers[top]
        if panel == panels[at]:
            found = judge(stack, top, place(panel)[2], growth, factor, slack)
            if found == COARSE or (found == RESOLVED and not keeps[at]):
                return False
            at += 1
            top -= 1
            continue
        halve(stack, top, split)
        numbers[top] = 2 * panel + 1
        numbers[top + 1] = 2 * panel
        top += 1
    return True


@inner
def choose(c, tree, picked, slack):
    """Panels for exp(sum c_j T_j) into picked; False, and no change, where there are too many."""
    panels, chosen, keeps, numbers, stack = picked
    split, growth, factor = tree[0], tree[1], tree[2]
    deepest = factor.shape[0] - 1
    count, kept = 0, 0
    top = ZERO
    numbers[0] = 1
    for i in range(c.shape[0]):
        stack[0, i] = c[i]
    while top >= 0:
        panel = numbers[top]
        depth = place(panel)[2]
        found = judge(stack, top, depth, growth, factor, slack)
        if found == COARSE:
            if depth == deepest:
                return False
            halve(stack, top, split)
            numbers[top] = 2 * panel + 1
            numbers[top + 1] = 2 * panel
            top += 1
            continue
        kept += found == RESOLVED
        if kept > MOST_KEPT or count == MOST_PANELS:
            return False
        count += 1
        chosen[count] = panel if found == RESOLVED else -panel
        top -= 1
    if not kept:
        return False
    panels[0] = count
    for i in range(1, count + 1):
        keeps[i] = chosen[i] > 0
        panels[i] = abs(chosen[i])
    return True


@inner
def width(picked, tree):
    """How many nodes the panels have, rounded up to whole registers."""
    panels, keeps = picked[0], picked[2]
    kept = 0
    for i in range(1, panels[0] + 1):
        kept += keeps[i]
    return (kept * tree[3].shape[0] + 7) // 8 * 8


@inner
def spread(picked, keep, points, weights, at, t, w):
    """A rule of [-1, 1] on each panel that is kept, or is not, into t and w from `at` on; where it
    ends.
    """
    panels, keeps = picked[0], picked[2]
    for s in range(1, panels[0] + 1):
        if keeps[s] == keep:
            middle, half, _ = place(panels[s])
            end = at + points.shape[0]
            here, there = t[at:end], w[at:end]
            for i in range(points.shape[0]):
                here[i] = middle + half * points[i]
            for i in range(points.shape[0]):
                there[i] = half * weights[i]
            at = end
    return at


@inner
def gather(picked, tree, table, weights):
    """T_j at the nodes of the panels kept, (k+1, nodes), and weights; what is over weighs 0."""
    t = table[1]
    end = spread(picked, KEPT, tree[3], tree[4], ZERO, t, weights)
    for i in range(end, weights.shape[0]):
        t[i] = 0.0
        weights[i] = 0.0
    for i in range(weights.shape[0]):
        table[0, i] = 1.0
    for j in range(2, table.shape[0]):
        before, now, after = table[j - 2], table[j - 1], table[j]
        for i in range(weights.shape[0]):
            after[i] = 2.0 * t[i] * now[i] - before[i]


@inner
def views(size, rows, room):
    """Of the arrays in `room`: table (rows, size), weights, q, p (size,)."""
    table, weights, q, p = room
    return table[: rows * size].reshape(rows, size), weights[:size], q[:size], p[:size]


@inner
def refresh(c, tree, slack, picked, room, mean, counts):
    """`means` under c, whose c_0 becomes -log Z, on panels that c asks for; False without any."""
    for _ in range(CHOICES):
        if not choose(c, tree, picked, slack - MARGIN):
            return False
        table, weights, q, p = views(width(picked, tree), c.shape[0], room)
        gather(picked, tree, table, weights)
        counts[1] += 1
        rise = -math.log(means(c, table, weights, q, p, mean))
        c[0] += rise
        if rise < MARGIN:  # what was known of every panel with MARGIN to spare is still known
            return True
    return False


@inner
def value(c, m):
    """D, where c_0 = -log Z."""
    d = -c[0]
    for j in range(1, c.shape[0]):
        d -= c[j] * m[j]
    return d


@inlined
def descend(m, c, code, panels, base, tree, limit, picked, room, work, counts):
    """Descent from c, in place: on success CONFIRMED, and c[0] = -log Z.

    code: on panels, how it ended before. counts: steps and evaluations, which are added to.
    """
    values, mean, trial_mean, trial, step, bent, way, y, U, spare = work
    first_table, first_weights, growth, factor, cosines, _, _ = base
    k = m.shape[0] - 1
    rows = k + 1
    slack = ROUGH if panels and code == REFUSED else 0.0
    table, weights, q, p = first_table, first_weights, room[2], room[3]
    if panels:
        if not refresh(c, tree, slack, picked, room, mean, counts):
            return REFUSED
        table, weights, q, p = views(width(picked, tree), rows, room)
    else:
        c[0] -= math.log(means(c, table, weights, q, p, mean))
        counts[1] += 1
    d = value(c, m)
    looked = panels
    misses = 0
    least, idle = np.inf, 0
    rest = 0
    for steps in range(limit + 1):
        if not factorise(mean, m, U):
            return REFUSED
        decrement = 0.0
        for j in range(k):
            y[j] = U[j, k]
            decrement += y[j] * y[j]
        decrement = math.sqrt(decrement)
        if slack > 0.0 and decrement < CLOSE:
            slack = 0.0
            if not covered(c, tree, picked, slack):
                if not refresh(c, tree, slack, picked, room, mean, counts):
                    return REFUSED
                table, weights, q, p = views(width(picked, tree), rows, room)
                d = value(c, m)
                continue
        smallest = U[0, 0]
        for j in range(1, k):
            smallest = min(smallest, U[j, j])
        done = decrement < max(LAST, BLURRED * k * GRADIENT_ROUNDING / smallest)
        if decrement < NEAR and not done and not looked:
            looked = proved(c, growth, factor, cosines, values)
            misses += not looked
            if misses == OFTEN:
                return TOO_COARSE
        back(U, y, step)
        centre(step, mean)
        copy(step, rows, way)
        carried = False
        slope = -decrement * decrement
        length = 1.0 if decrement < 1.0 else 1.0 / (1.0 + decrement)
        rise = 0.0
        rest -= 1
        if not done and decrement < CORRECTED and rest <= 0:
            combine(step, table, q)
            if panels and CREEPING < decrement < NEAR:
                carried = carry(
                    c, table, weights, p, q, spare, values, trial_mean, trial, U, y, bent
                )
            if not carried:
                rise = correct(mean, table, p, U, q, y, bent)
            downhill = 0.0
            for j in range(1, k + 1):
                downhill += bent[j] * (mean[j] - m[j])
            if downhill < 0.1 * slope:
                copy(bent, rows, way)
                slope = downhill
                length = 1.0
                if decrement < min(CREEPING, LEFT / GRADIENT_ROUNDING * smallest * smallest):
                    done = left_over(bent, rise, table, p, q, spare[: q.shape[0]]) < LEFT
            else:
                carried = False
        if done:
            c[0] += rise
            for j in range(k + 1):
                c[j] += way[j]
            fine = panels or proved(c, growth, factor, cosines, values)
            return CONFIRMED if fine else TOO_COARSE
        idle = idle + 1 if decrement > LESS * least else 0
        least = min(least, decrement)
        if steps == limit or (panels and idle > IDLE):
            return REFUSED
        counts[0] += 1
        found = False
        rough = slack > 0.0
        if decrement < SOON:
            slack = 0.0
        for _ in range(HALVINGS if panels else FEW):
            # log Z moves by about -way[0]: the exponent stays normalised, no peak is taken out
            for j in range(k + 1):
                trial[j] = c[j] + length * way[j]
            # by convexity that is no less than the true exponent: what covers it covers the truth
            if panels and (carried or not covered(trial, tree, picked, slack)):
                found = refresh(trial, tree, slack, picked, room, trial_mean, counts)
                table, weights, q, p = views(width(picked, tree), rows, room)
            else:
                trial[0] -= math.log(means(trial, table, weights, q, p, trial_mean))
                counts[1] += 1
                found = True
            size = 0.0
            for j in range(k + 1):
                size += abs(trial[j])
            noise = 1e-15 * size + (ROUGHNESS if rough else 0.0)
            lower = value(trial, m)
            found = found and lower <= d + ARMIJO * length * slope + noise
            if found:
                break
            if length == 1.0 and slope != -decrement * decrement:
                rest = REST
                copy(step, rows, way)
                carried = False
                slope = -decrement * decrement
                length = 1.0 if decrement < 1.0 else 1.0 / (1.0 + decrement)
            else:
                length *= 0.5
        if not found:
            return REFUSED
        d = lower
        copy(trial, rows, c)
        copy(trial_mean, 2 * k + 1, mean)
    return REFUSED


@inner(fastmath={"contract"})
def measure(c, t, w, f, now, before, out):
    """Integrals of T_0 … T_2k exp(q) by the nodes t and weights w, q summed downwards."""
    k = c.shape[0] - 1
    n = t.shape[0]
    for i in range(n):
        now[i] = c[k]
        before[i] = 0.0
    for j in range(k - 1, 0, -1):
        cj = c[j]
        for i in range(n):
            new = cj + 2.0 * t[i] * now[i] - before[i]
            before[i] = now[i]
            now[i] = new
    for i in range(n):
        now[i] = c[0] + t[i] * now[i] - before[i]
    exponential(now, f)
    for i in range(n):
        f[i] *= w[i]
        before[i] = 1.0
        now[i] = t[i]
    out[0] = plain_sum(f)
    for j in range(1, out.shape[0]):
        out[j] = step_and_sum(f, t, now, before)


@inner(fastmath={"reassoc", "contract", "nsz"})
def plain_sum(f):
    total = 0.0
    for i in range(f.shape[0]):
        total += f[i]
    return total


@inner(fastmath={"reassoc", "contract", "nsz"})
def step_and_sum(f, t, now, before):
    """sum f T_j for T_j in `now`, which then becomes T_{j+1}."""
    total = 0.0
    for i in range(f.shape[0]):
        x = now[i]
        total += f[i] * x
        now[i] = 2.0 * t[i] * x - before[i]
        before[i] = x
    return total


@kernel
def solve_columns(m, error, panels, base, tree, limit, believed, c, codes, numbers):
    """Every row of m (columns, k+1); codes says how it ended.

    panels: whether to choose them for each column, beginning with its row of c and codes, or to use
    the rule on [-1, 1] and begin with Burg's density. Where that fails, c is left where to begin on
    panels.
    base: T_j at its nodes, j <= k; weights; cosh and the rest of the bound's logarithm, one row an
    ellipse; cos(j theta) at equal steps; nodes and weights of the rule that confirms.
    tree: T_j on the left half, in the polynomials of the half, (j, i) with zeros up to whole fours;
    cosh, one row an ellipse; the rest of the bound's logarithm, one row a depth; nodes and weights
    of a panel; those that confirm on it; those for a panel that is left out.
    numbers (columns, 7): steps, evaluations, decrement as it was measured, moment error, mass
    error, condition, and what `error` and moment error together blur.
    """
    k = m.shape[1] - 1
    most, fine = base[1].shape[0], base[5].shape[0]
    if panels:
        most = MOST_KEPT * tree[3].shape[0] + 7
        fine = MOST_KEPT * tree[5].shape[0] + MOST_PANELS * tree[7].shape[0]
    room = np.empty((k + 1) * most if panels else 0), np.empty(most), np.empty(most), np.empty(most)
    picked = room_for_panels(k)
    now, before, f = np.empty(fine), np.empty(fine), np.empty(fine)
    t, w = np.empty(fine), np.empty(fine)
    if not panels:
        copy(base[5], fine, t)
        copy(base[6], fine, w)
    off = np.empty(k + 1)
    mean, trial_mean, measured = np.empty(2 * k + 1), np.empty(2 * k + 1), np.empty(2 * k + 1)
    trial, step, y = np.empty(k + 1), np.empty(k + 1), np.empty(k + 1)
    bent, way = np.empty(k + 1), np.empty(k + 1)
    U, P = np.empty((k, k + 1)), np.empty((k, k))
    work = np.empty(base[4].shape[1]), mean, trial_mean, trial, step, bent, way, y, U, f
    for column in range(m.shape[0]):
        out = numbers[column]
        if not panels:
            log_density(m[column], 1.0, trial, step, c[column])
        codes[column] = descend(
            m[column], c[column], codes[column], panels, base, tree, limit, picked, room, work, out
        )
        if codes[column] != CONFIRMED:
            if codes[column] == REFUSED and not panels:
                log_density(m[column], AGAIN, trial, step, c[column])
            continue
        if panels:
            fine = spread(picked, KEPT, tree[5], tree[6], ZERO, t, w)
            fine = spread(picked, LEFT_OUT, tree[7], tree[8], fine, t, w)
        measure(c[column], t[:fine], w[:fine], f[:fine], now[:fine], before[:fine], measured)
        out[4] = abs(measured[0] - 1.0)
        scale = 1.0 / measured[0]
        measured[0] = 1.0
        for j in range(1, 2 * k + 1):
            measured[j] *= scale
        if not factorise(measured, m[column], U):
            codes[column] = TOO_COARSE
            continue
        invert(U, P)
        out[2], out[3] = 0.0, 0.0
        for j in range(1, k + 1):
            gap = abs(measured[j] - m[column, j])
            off[j] = error[column, j] + gap
            out[2] += U[j - 1, k] * U[j - 1, k]
            out[3] = max(out[3], gap)
        out[2] = math.sqrt(out[2])
        trace = 0.0
        inverse = 0.0
        for j in range(k):
            for i in range(j + 1):
                trace += U[i, j] * U[i, j]
                inverse += P[j, i] * P[j, i]
        out[5] = trace * inverse
        out[6] = blur(P, off)
        loud = 0.0
        for j in range(k + 1):
            loud += abs(c[column, j])
        if not (out[3] <= believed and out[4] <= believed and out[6] < 1.0 and loud < LOUDEST):
            codes[column] = TOO_COARSE
