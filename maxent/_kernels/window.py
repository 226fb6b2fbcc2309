"""A finite window of the reference coordinate outside of which exp(q) is as good as nothing.

On the line and the half line q falls for good once |t| is beyond every root of q', and all of
those lie within the Fujiwara bound  2 max_i |a_{n-i} / a_n|^(1/i)  of q' = sum_i a_i t^i
(Fujiwara 1916).  From there the window is doubled until q has fallen `depth` below its value at
the foot.
"""

import math

import numpy as np

from .compiled import inlined, inner
from .recurrence import fill, series

LINE, HALF, BOUNDED = 2, 1, 0
FARTHEST = 1e15


@inlined
def power_coefficients(c, rec, out):
    """Coefficients of sum_j c_j phi_j(t) in powers of t, into out[:k+1]."""
    k = c.shape[0] - 1
    before = np.zeros(k + 1)
    now = np.zeros(k + 1)
    after = np.zeros(k + 1)
    now[0] = 1.0
    fill(out, 0.0)
    out[0] = c[0]
    for j in range(k):
        a, b, d = rec[0, j], rec[1, j], rec[2, j]
        for i in range(k + 1):
            after[i] = b * now[i] - d * before[i]
            if i > 0:
                after[i] += a * now[i - 1]
        for i in range(k + 1):
            out[i] += c[j + 1] * after[i]
            before[i] = now[i]
            now[i] = after[i]


@inner
def window(c, rec, ends, depth):
    """(lo, hi) of the window; hi < lo where exp(q) is not integrable."""
    if ends == BOUNDED:
        return -1.0, 1.0
    k = c.shape[0] - 1
    a = np.empty(k + 1)
    power_coefficients(c, rec, a)
    top = k
    while top > 0 and a[top] == 0.0:
        top -= 1
    if top == 0 or not a[top] < 0.0 or (ends == LINE and top % 2 == 1):
        return 1.0, -1.0
    radius = 1.0
    lead = top * a[top]
    for i in range(1, top):
        ratio = abs((top - i) * a[top - i] / lead)
        radius = max(radius, 2.0 * ratio ** (1.0 / i))
    if not radius < FARTHEST:
        return 1.0, -1.0
    foot = a[0]
    hi = radius
    while series(c, rec, hi) + k * math.log(1.0 + hi) > foot - depth and hi < FARTHEST:
        hi *= 2.0
    lo = 0.0
    if ends == LINE:
        lo = -radius
        while series(c, rec, lo) + k * math.log(1.0 - lo) > foot - depth and -lo < FARTHEST:
            lo *= 2.0
    return lo, hi
