"""Double-double arithmetic: a number is the unevaluated sum hi + lo of two floats, |lo| <= ulp/2.

About 32 decimal digits. The error of one operation relative to its result, with u = 2^-53: add
3u², multiply 7u², divide 15u² (Joldes, Muller and Popescu, "Tight and rigorous error bounds for
basic building blocks of double-word arithmetic", ACM TOMS 44(2), 2017). ROUNDING bounds them all.

Every function takes and returns floats; a pair is two consecutive arguments. The error-free product
uses Veltkamp's splitting (Dekker 1971) because numba has no fused multiply-add; it is exact while
|a|, |b| < 2^996 and |a b| > 2^-968. None of this survives `fastmath`, so nothing here or above may
be compiled with it.
"""

import math

from .compiled import inner

ROUNDING = 2.0**-102
SPLITTER = 134217729.0  # 2^27 + 1


@inner
def two_sum(a, b):
    """hi = fl(a + b) and lo with hi + lo = a + b exactly."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@inner
def fast_two_sum(a, b):
    """The same where |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


@inner
def two_product(a, b):
    """hi = fl(a b) and lo with hi + lo = a b exactly."""
    p = a * b
    c = SPLITTER * a
    a1 = c - (c - a)
    a2 = a - a1
    c = SPLITTER * b
    b1 = c - (c - b)
    b2 = b - b1
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


@inner
def add(ah, al, bh, bl):
    sh, sl = two_sum(ah, bh)
    th, tl = two_sum(al, bl)
    vh, vl = fast_two_sum(sh, sl + th)
    return fast_two_sum(vh, tl + vl)


@inner
def subtract(ah, al, bh, bl):
    return add(ah, al, -bh, -bl)


@inner
def multiply(ah, al, bh, bl):
    ph, pl = two_product(ah, bh)
    return fast_two_sum(ph, pl + (ah * bl + al * bh))


@inner
def multiply_float(ah, al, b):
    ph, pl = two_product(ah, b)
    return fast_two_sum(ph, pl + al * b)


@inner
def divide(ah, al, bh, bl):
    q = ah / bh
    ph, pl = multiply_float(bh, bl, q)
    rh, rl = add(ah, al, -ph, -pl)
    r = rh / bh
    ph, pl = multiply_float(bh, bl, r)
    rh, rl = add(rh, rl, -ph, -pl)
    qh, ql = fast_two_sum(q, r)
    return add(qh, ql, rh / bh, 0.0)


@inner
def square_root(ah, al):
    if ah <= 0.0:
        return math.sqrt(ah), 0.0
    s = math.sqrt(ah)
    ph, pl = two_product(s, s)
    rh, _ = add(ah, al, -ph, -pl)
    return fast_two_sum(s, rh / (2.0 * s))
