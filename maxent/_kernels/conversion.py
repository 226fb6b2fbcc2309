"""Power moments E[x^j] to the moments of a basis, and back, in double-double.

A basis is its recurrence  φ_{j+1}(t) = (a_j t + b_j) φ_j(t) − d_j φ_{j−1}(t),  t = (x − loc)/scale,
so the coefficients C_ji of φ_j in powers of x obey

    C_{j+1,i} = A_j C_{j,i−1} + B_j C_{j,i} − d_j C_{j−1,i},  A_j = a_j/scale,  B_j = b_j − A_j loc,

and E[φ_j] = Σ_i C_ji E[x^i]. The sum cancels: on [−1, 1] at j = 30 the terms reach 1e10, on
[10, 11] 1e57. Double-double makes its own rounding small beside that of the input; what the
*input's* rounding does is Σ_i |C_ji| e_i, is unavoidable, and is returned.

Both conversions first measure x in units of 2^e >= |loc|, |scale|, which is exact and keeps every
intermediate number far from overflow.

The way back expands x^n = Σ_i K_ni φ_i with  t φ_j = (φ_{j+1} − b_j φ_j + d_j φ_{j−1})/a_j.
"""

import math

import numpy as np

from .compiled import inner, kernel
from .double_double import (
    ROUNDING,
    add,
    divide,
    multiply,
    multiply_float,
    subtract,
)
from .recurrence import fill

HALF_ULP = 2.0**-53
UPWARD = 1.0 + 2.0**-30  # the bounds are summed in float64: this much rounding they may suffer


@inner
def _unit(loc, scale):
    """The exponent e of the smallest power of two above |loc| and |scale|."""
    return math.frexp(max(abs(loc), abs(scale)))[1]


@inner
def basis_coefficients(loc, scale, recurrence, high, low, size):
    """C in `high` + `low`, (k+1, k+1), and in `size` the same recurrence run on absolute values.

    `size` bounds every term that was added on the way to C, so the rounding error of C_ji is at
    most about 6 j · ROUNDING · size_ji.
    """
    k = recurrence.shape[1]
    for j in range(k + 1):
        fill(high[j], 0.0)
        fill(low[j], 0.0)
        fill(size[j], 0.0)
    high[0, 0] = 1.0
    size[0, 0] = 1.0
    for j in range(k):
        ah, al = divide(recurrence[0, j], 0.0, scale, 0.0)
        bh, bl = multiply_float(ah, al, loc)
        size_b = abs(recurrence[1, j]) + abs(bh)
        bh, bl = subtract(recurrence[1, j], 0.0, bh, bl)
        d = recurrence[2, j]
        for i in range(j + 2):
            ch, cl, s = 0.0, 0.0, 0.0
            if i > 0:
                ch, cl = multiply(high[j, i - 1], low[j, i - 1], ah, al)
                s = abs(ah) * size[j, i - 1]
            if i <= j:
                ph, pl = multiply(high[j, i], low[j, i], bh, bl)
                ch, cl = add(ch, cl, ph, pl)
                s += size_b * size[j, i]
            if i < j:
                ph, pl = multiply_float(high[j - 1, i], low[j - 1, i], d)
                ch, cl = subtract(ch, cl, ph, pl)
                s += abs(d) * size[j - 1, i]
            high[j + 1, i] = ch
            low[j + 1, i] = cl
            size[j + 1, i] = s


@kernel
def power_to_basis(power, power_error, loc, scale, recurrence):
    """E[x^j] to E[φ_j((x − loc)/scale)], rounded once, with a bound on the error.

    power, power_error : (columns, k+1)    E[x^j] and what each may be off by (0: taken as exact)
    loc, scale : (columns,)                floats, taken as exact
    recurrence : (3, k)                    floats, taken as exact; they define φ

    Returns moments, error : (columns, k+1); what leaves the range of float64 is nan with error inf.
    """
    columns, n = power.shape
    moments = np.empty((columns, n))
    error = np.empty((columns, n))
    high = np.empty((n, n))
    low = np.empty((n, n))
    size = np.empty((n, n))
    for column in range(columns):
        if column == 0 or loc[column] != loc[column - 1] or scale[column] != scale[column - 1]:
            e = _unit(loc[column], scale[column])
            basis_coefficients(
                math.ldexp(loc[column], -e),
                math.ldexp(scale[column], -e),
                recurrence,
                high,
                low,
                size,
            )
        for j in range(n):
            mh, ml, bound, terms = 0.0, 0.0, 0.0, 0.0
            for i in range(j + 1):
                p = math.ldexp(power[column, i], -e * i)
                ph, pl = multiply_float(high[j, i], low[j, i], p)
                mh, ml = add(mh, ml, ph, pl)
                bound += abs(high[j, i]) * math.ldexp(power_error[column, i], -e * i)
                terms += size[j, i] * abs(p)
            bound += (6.0 * j + 8.0) * ROUNDING * terms + HALF_ULP * abs(mh)
            bound *= UPWARD
            if math.isfinite(mh) and math.isfinite(bound):
                moments[column, j] = mh
                error[column, j] = bound
            else:
                moments[column, j] = np.nan
                error[column, j] = np.inf
        moments[column, 0] = power[column, 0]
        error[column, 0] = power_error[column, 0]
    return moments, error


@kernel
def basis_to_power(moments, loc, scale, recurrence):
    """E[φ_j((x − loc)/scale)] to E[x^j], both (columns, k+1), rounded once."""
    columns, n = moments.shape
    k = n - 1
    power = np.empty((columns, n))
    old_high = np.empty(n + 1)
    old_low = np.empty(n + 1)
    new_high = np.empty(n + 1)
    new_low = np.empty(n + 1)
    for column in range(columns):
        e = _unit(loc[column], scale[column])
        shift = math.ldexp(loc[column], -e)
        s = math.ldexp(scale[column], -e)
        fill(old_high, 0.0)
        fill(old_low, 0.0)
        old_high[0] = 1.0
        power[column, 0] = moments[column, 0]
        for j in range(1, n):
            fill(new_high, 0.0)
            fill(new_low, 0.0)
            for i in range(j):  # x φ_i = loc φ_i + scale (φ_{i+1} − b_i φ_i + d_i φ_{i−1})/a_i
                fh, fl = divide(s, 0.0, recurrence[0, i], 0.0)
                fh, fl = multiply(fh, fl, old_high[i], old_low[i])
                new_high[i + 1], new_low[i + 1] = add(new_high[i + 1], new_low[i + 1], fh, fl)
                ph, pl = multiply_float(fh, fl, -recurrence[1, i])
                gh, gl = multiply_float(old_high[i], old_low[i], shift)
                ph, pl = add(ph, pl, gh, gl)
                new_high[i], new_low[i] = add(new_high[i], new_low[i], ph, pl)
                if i > 0:
                    ph, pl = multiply_float(fh, fl, recurrence[2, i])
                    new_high[i - 1], new_low[i - 1] = add(new_high[i - 1], new_low[i - 1], ph, pl)
            old_high, new_high = new_high, old_high
            old_low, new_low = new_low, old_low
            mh, ml = 0.0, 0.0
            for i in range(min(j, k) + 1):
                ph, pl = multiply_float(old_high[i], old_low[i], moments[column, i])
                mh, ml = add(mh, ml, ph, pl)
            power[column, j] = math.ldexp(mh, e * j)
    return power
