"""Is there a distribution with these moments? The loops of `maxent.feasibility`: derivation there.

One column at a time: a polynomial q >= 0 on the support is built for every order from the moments
below it, and E[q] = Σ q_i m_i is compared with Σ |q_i| error_i. Where that is not clear at once,
q is built and summed again in double-double.

Codes of `verdict`: 0 interior, 1 boundary within the uncertainty, 2 proven infeasible.

The polynomial that decided is named by four integers and a float, in `form` and `ratio`:

    form = (base order, side, i, h)   q = base · 1                       i = h = 0
                                      q = base · (1 + sign(i) T_|i|)     interval
                                      q = base · t^i (1 − ratio t^h)²    half line and line

where base is the polynomial of that order (interval: the one that belongs to reflection
coefficient `side` = ±1).
"""

import math

import numpy as np

from .compiled import inlined, inner, kernel
from .double_double import ROUNDING, add, divide, multiply, multiply_float, subtract
from .recurrence import copy

INTERIOR = 0
BOUNDARY = 1
INFEASIBLE = 2

CLEAR = 64.0  # a margin this many tolerances wide is believed without double-double
FLOAT_ROUNDING = 2.0**-52  # of one moment, in the float64 pass, where `error` may be smaller
HUGE_ROUNDING = 2.0**-40  # of the plain sum for moments that double-double cannot hold
FOLLOW_UP = 4.0  # tolerances that a product with the boundary polynomial must be below zero


# --- interval: Levinson's recursion for the trigonometric moments -------------------------------


@inlined
def _clear_on_interval(m, error, phi, new, p):
    """Float64 pass: (all orders clearly interior, worst margin, its tolerance)."""
    k = m.shape[0] - 1
    phi[0] = 1.0
    energy = m[0]
    worst_margin = np.inf
    worst_tolerance = 1.0
    for n in range(1, k + 1):
        alpha = 0.0
        for i in range(n):
            alpha += phi[i] * m[i + 1]
        alpha /= energy
        side = 1.0 if alpha >= 0.0 else -1.0
        margin = 2.0 * energy * (1.0 - abs(alpha))
        for i in range(n + 1):
            p[i] = (phi[i - 1] if i > 0 else 0.0) - side * (phi[n - 1 - i] if i < n else 0.0)
        direct = 0.0
        tolerance = 0.0
        noise = 0.0
        largest = 0.0
        for i in range(n + 1):
            r = 0.0
            for j in range(n + 1 - i):
                r += p[j] * p[j + i]
            if i > 0:
                r *= 2.0
            direct += r * m[i]
            tolerance += abs(r) * error[i]
            noise += abs(r)
            largest = max(largest, abs(r))
        if not (
            abs(alpha) < 1.0
            and direct > CLEAR * (tolerance + (2.0 * n + 8.0) * FLOAT_ROUNDING * noise)
            and abs(direct - margin) < 0.1 * direct
        ):
            return False, 0.0, 0.0
        if direct * worst_tolerance < worst_margin * tolerance or n == 1:
            worst_margin = direct / largest
            worst_tolerance = tolerance / largest
        for i in range(n + 1):
            new[i] = (phi[i - 1] if i > 0 else 0.0) - alpha * (phi[n - 1 - i] if i < n else 0.0)
        phi, new = new, phi
        energy *= 1.0 - alpha * alpha
    return True, worst_margin, worst_tolerance


@inner
def _autocorrelation(ph, pl, n, qh, ql):
    """The Chebyshev coefficients of |P(e^{iθ})|², P of degree n, in double-double."""
    for i in range(n + 1):
        rh, rl = 0.0, 0.0
        for j in range(n + 1 - i):
            xh, xl = multiply(ph[j], pl[j], ph[j + i], pl[j + i])
            rh, rl = add(rh, rl, xh, xl)
        if i > 0:
            rh *= 2.0
            rl *= 2.0
        qh[i] = rh
        ql[i] = rl


@inner
def _average(qh, ql, n, m, error):
    """E[q]/max|q_i|, the tolerance Σ|q_i| error_i in the same unit, and that unit."""
    eh, el = 0.0, 0.0
    tolerance = 0.0
    largest = 0.0
    size = 0.0
    for i in range(n + 1):
        xh, xl = multiply_float(qh[i], ql[i], m[i])
        eh, el = add(eh, el, xh, xl)
        tolerance += abs(qh[i]) * error[i]
        size += max(1.0, abs(m[i]))
        largest = max(largest, abs(qh[i]))
    if largest == 0.0:
        return 0.0, 0.0, 0.0
    if not math.isfinite(eh):  # moments beyond 1e300 break the splitting, not the plain sum
        eh = 0.0
        for i in range(n + 1):
            eh += qh[i] / largest * m[i]
            tolerance += HUGE_ROUNDING * abs(qh[i]) * abs(m[i])
        eh *= largest
    # every q_i carries the rounding of the largest one
    tolerance += 16.0 * (n + 8.0) * ROUNDING * largest * size
    if not math.isfinite(tolerance):
        tolerance = np.inf
    return eh / largest, tolerance / largest, largest


@inner
def levinson(m, steps, alpha_high, alpha_low):
    """Reflection coefficients α_1 … α_steps, in double-double."""
    phih = np.zeros(steps + 1)
    phil = np.zeros(steps + 1)
    newh = np.zeros(steps + 1)
    newl = np.zeros(steps + 1)
    phih[0] = 1.0
    energyh, energyl = m[0], 0.0
    for n in range(1, steps + 1):
        ah, al = 0.0, 0.0
        for i in range(n):
            xh, xl = multiply_float(phih[i], phil[i], m[i + 1])
            ah, al = add(ah, al, xh, xl)
        ah, al = divide(ah, al, energyh, energyl)
        alpha_high[n - 1] = ah
        alpha_low[n - 1] = al
        _levinson_step(phih, phil, n, ah, al, newh, newl)
        phih, newh = newh, phih
        phil, newl = newl, phil
        xh, xl = multiply(ah, al, ah, al)
        xh, xl = subtract(1.0, 0.0, xh, xl)
        energyh, energyl = multiply(energyh, energyl, xh, xl)


@inner
def _levinson_step(phih, phil, n, ah, al, newh, newl):
    """zΦ − αΦ* from Φ of degree n − 1."""
    for i in range(n + 1):
        xh, xl = 0.0, 0.0
        if i < n:
            xh, xl = multiply(phih[n - 1 - i], phil[n - 1 - i], -ah, -al)
        if i > 0:
            xh, xl = add(xh, xl, phih[i - 1], phil[i - 1])
        newh[i] = xh
        newl[i] = xl


@inner
def _twisted(qh, ql, n, i, side, outh, outl):
    """The Chebyshev coefficients of q (1 + side T_i)."""
    for j in range(n + i + 1):
        outh[j] = 0.0
        outl[j] = 0.0
    for j in range(n + 1):
        outh[j], outl[j] = add(outh[j], outl[j], qh[j], ql[j])
        xh, xl = 0.5 * side * qh[j], 0.5 * side * ql[j]
        outh[j + i], outl[j + i] = add(outh[j + i], outl[j + i], xh, xl)
        d = abs(j - i)
        outh[d], outl[d] = add(outh[d], outl[d], xh, xl)


@kernel
def examine_interval(moments, error):
    """Chebyshev moments (columns, k+1) of something on [−1, 1].

    Returns verdict, order, margin, tolerance (columns,), form (columns, 4), ratio and excess
    (columns,), the last two unused here.
    """
    columns, size = moments.shape
    k = size - 1
    verdict = np.zeros(columns, dtype=np.int64)
    order = np.full(columns, k + 1, dtype=np.int64)
    margin = np.full(columns, np.inf)
    tolerance = np.zeros(columns)
    form = np.zeros((columns, 4), dtype=np.int64)
    ratio = np.zeros(columns)
    excess = np.zeros(columns)
    phih, phil = np.zeros(size + 1), np.zeros(size + 1)
    newh, newl = np.zeros(size + 1), np.zeros(size + 1)
    ph, pl = np.zeros(size + 1), np.zeros(size + 1)
    qh, ql = np.zeros(size + 1), np.zeros(size + 1)
    baseh, basel = np.zeros(size + 1), np.zeros(size + 1)
    for column in range(columns):
        m = moments[column]
        e = error[column]
        clear, value, slack = _clear_on_interval(m, e, phih, newh, ph)
        if clear:
            margin[column] = value
            tolerance[column] = slack
            continue
        margin[column] = np.inf
        tolerance[column] = 1.0
        phih[0], phil[0] = 1.0, 0.0
        energyh, energyl = m[0], 0.0
        for n in range(1, k + 1):
            ah, al = 0.0, 0.0
            for i in range(n):
                xh, xl = multiply_float(phih[i], phil[i], m[i + 1])
                ah, al = add(ah, al, xh, xl)
            ah, al = divide(ah, al, energyh, energyl)
            side = 1 if ah >= 0.0 else -1
            _levinson_step(phih, phil, n, float(side), 0.0, ph, pl)
            _autocorrelation(ph, pl, n, qh, ql)
            value, slack, _ = _average(qh, ql, n, m, e)
            if value < -slack:
                verdict[column] = INFEASIBLE
                order[column] = n
                margin[column] = value
                tolerance[column] = slack
                form[column, 0], form[column, 1] = n, side
                break
            if verdict[column] == INTERIOR and not value > slack:
                verdict[column] = BOUNDARY
                order[column] = n
                margin[column] = value
                tolerance[column] = slack
                form[column, 0], form[column, 1] = n, side
                copy(qh, n + 1, baseh)
                copy(ql, n + 1, basel)
            if verdict[column] == INTERIOR and value * tolerance[column] < margin[column] * slack:
                margin[column] = value
                tolerance[column] = slack
            xh, xl = multiply(ah, al, ah, al)
            xh, xl = subtract(1.0, 0.0, xh, xl)
            energyh, energyl = multiply(energyh, energyl, xh, xl)
            if not energyh > 0.0:
                break
            _levinson_step(phih, phil, n, ah, al, newh, newl)
            phih, newh = newh, phih
            phil, newl = newl, phil
        if verdict[column] == BOUNDARY:
            # E[q] = 0 leaves only the atoms, so E[q T_i] = 0 too: q (1 ± T_i) >= 0 says how nearly
            n = order[column]
            for i in range(1, k - n + 1):
                for side in (1, -1):
                    _twisted(baseh, basel, n, i, float(side), qh, ql)
                    value, slack, _ = _average(qh, ql, n + i, m, e)
                    if value < -FOLLOW_UP * slack and verdict[column] == BOUNDARY:
                        verdict[column] = INFEASIBLE
                        order[column] = n + i
                        margin[column] = value
                        tolerance[column] = slack
                        form[column, 2] = side * i
                if verdict[column] == INFEASIBLE:
                    break
    return verdict, order, margin, tolerance, form, ratio, excess


@kernel
def interval_jacobi(m, order, side):
    """Jacobi matrix of the measure on the boundary at `order`: diagonal, squared off-diagonal.

    Geronimus' relations with the reflection coefficients below `order` and the last one set to
    `side`.
    """
    high = np.zeros(order + 2)
    low = np.zeros(order + 2)
    if order > 1:
        levinson(m, order - 1, high[: order - 1], low[: order - 1])
    high[order - 1], low[order - 1] = float(side), 0.0
    atoms = order // 2 + (1 if order % 2 == 1 or side > 0 else 0)
    diagonal = np.zeros(atoms)
    squares = np.zeros(max(atoms - 1, 0))
    for n in range(atoms):
        # α_{2n−1}, α_{2n}, α_{2n+1} of Simon's numbering, from 0, with α_{−1} = −1
        bh, bl = -1.0, 0.0
        if n > 0:
            bh, bl = high[2 * n - 1], low[2 * n - 1]
        onemh, oneml = subtract(1.0, 0.0, bh, bl)
        oneph, onepl = add(1.0, 0.0, bh, bl)
        dh, dl = multiply(onemh, oneml, high[2 * n], low[2 * n])
        if n > 0:
            xh, xl = multiply(oneph, onepl, high[2 * n - 2], low[2 * n - 2])
            dh, dl = subtract(dh, dl, xh, xl)
        diagonal[n] = 0.5 * dh
        if n + 1 < atoms:
            xh, xl = multiply(high[2 * n], low[2 * n], high[2 * n], low[2 * n])
            xh, xl = subtract(1.0, 0.0, xh, xl)
            xh, xl = multiply(xh, xl, onemh, oneml)
            yh, yl = add(1.0, 0.0, high[2 * n + 1], low[2 * n + 1])
            xh, xl = multiply(xh, xl, yh, yl)
            squares[n] = 0.25 * xh
    return diagonal, squares


# --- half line and line: the modified Chebyshev algorithm ---------------------------------------


@inner
def _reciprocals(recurrence, out):
    """1/a, b/a, d/a in double-double: t φ_j = (φ_{j+1} − b_j φ_j + d_j φ_{j−1})/a_j."""
    for j in range(recurrence.shape[1]):
        a = recurrence[0, j]
        out[0, j], out[1, j] = divide(1.0, 0.0, a, 0.0)
        out[2, j], out[3, j] = divide(recurrence[1, j], 0.0, a, 0.0)
        out[4, j], out[5, j] = divide(recurrence[2, j], 0.0, a, 0.0)


@inner
def _times_t(vh, vl, n, rec, outh, outl):
    """t Σ v_j φ_j, v of degree n, into degree n + 1."""
    for j in range(n + 2):
        xh, xl = 0.0, 0.0
        if j > 0:
            xh, xl = multiply(vh[j - 1], vl[j - 1], rec[0, j - 1], rec[1, j - 1])
        if j <= n and rec[2, j] != 0.0:
            yh, yl = multiply(vh[j], vl[j], rec[2, j], rec[3, j])
            xh, xl = subtract(xh, xl, yh, yl)
        if j < n:
            yh, yl = multiply(vh[j + 1], vl[j + 1], rec[4, j + 1], rec[5, j + 1])
            xh, xl = add(xh, xl, yh, yl)
        outh[j] = xh
        outl[j] = xl


@inner
def _square(ph, pl, l, recurrence, rec, outh, outl, work):
    """(Σ_{j<=l} p_j φ_j)², by φ_{i+1} p = (a_i t + b_i)(φ_i p) − d_i (φ_{i−1} p)."""
    nowh, nowl, oldh, oldl = work[0], work[1], work[2], work[3]
    newh, newl = work[4], work[5]
    for j in range(2 * l + 1):
        outh[j] = 0.0
        outl[j] = 0.0
        nowh[j] = ph[j] if j <= l else 0.0
        nowl[j] = pl[j] if j <= l else 0.0
        oldh[j] = 0.0
        oldl[j] = 0.0
    for i in range(l + 1):
        for j in range(l + i + 1):
            xh, xl = multiply(nowh[j], nowl[j], ph[i], pl[i])
            outh[j], outl[j] = add(outh[j], outl[j], xh, xl)
        if i == l:
            break
        _times_t(nowh, nowl, l + i, rec, newh, newl)
        a, b, d = recurrence[0, i], recurrence[1, i], recurrence[2, i]
        for j in range(l + i + 2):
            xh, xl = multiply_float(newh[j], newl[j], a)
            if j <= l + i:
                yh, yl = multiply_float(nowh[j], nowl[j], b)
                xh, xl = add(xh, xl, yh, yl)
            if j < l + i:
                yh, yl = multiply_float(oldh[j], oldl[j], d)
                xh, xl = subtract(xh, xl, yh, yl)
            newh[j], newl[j] = xh, xl
        oldh, nowh, newh = nowh, newh, oldh
        oldl, nowl, newl = nowl, newl, oldl


@inner
def _times_t_float(v, n, rec, out):
    for j in range(n + 2):
        x = 0.0
        if j > 0:
            x = v[j - 1] * rec[0, j - 1]
        if j <= n:
            x -= v[j] * rec[2, j]
        if j < n:
            x += v[j + 1] * rec[4, j + 1]
        out[j] = x


@inner
def _square_tolerance(p, l, odd, recurrence, rec, error, work):
    """Σ |q_i| error_i and max |q_i| for q = p² or t p², in float64."""
    out, now, old, new = work[0], work[1], work[2], work[3]
    for j in range(2 * l + 1):
        out[j] = 0.0
        now[j] = p[j] if j <= l else 0.0
        old[j] = 0.0
    for i in range(l + 1):
        for j in range(l + i + 1):
            out[j] += now[j] * p[i]
        if i == l:
            break
        _times_t_float(now, l + i, rec, new)
        a, b, d = recurrence[0, i], recurrence[1, i], recurrence[2, i]
        for j in range(l + i + 1):
            new[j] = a * new[j] + b * now[j]
            if j < l + i:
                new[j] -= d * old[j]
        new[l + i + 1] *= a
        old, now, new = now, new, old
    n = 2 * l
    if odd:
        _times_t_float(out, n, rec, new)
        out, new = new, out
        n += 1
    tolerance = 0.0
    largest = 0.0
    for j in range(n + 1):
        tolerance += abs(out[j]) * (error[j] + FLOAT_ROUNDING)
        largest = max(largest, abs(out[j]))
    return tolerance, largest


@inlined
def _follow_up(baseh, basel, n, m, e, half, rec, powh, powl, qh, ql):
    """After E[base] = 0 at order n the base times t^i must vanish in the mean as well.

    Returns order (0: nothing found), margin, tolerance, i, h, ratio, excess.
    """
    k = m.shape[0] - 1
    top = k - n
    copy(baseh, n + 1, powh[0])
    copy(basel, n + 1, powl[0])
    for i in range(1, top + 1):
        _times_t(powh[i - 1], powl[i - 1], n + i - 1, rec, powh[i], powl[i])
    step = 1 if half else 2
    value, slack, largest = 0.0, 0.0, 0.0
    for degree in range(1, top + 1):
        if half or degree % 2 == 0:
            value, slack, largest = _average(powh[degree], powl[degree], n + degree, m, e)
            if value < -FOLLOW_UP * slack:
                return n + degree, value, slack, degree, 0, 0.0, 0.0
        for i in range(degree % 2 if half else 0, degree - 1, step):
            if (degree - i) % 2 == 1:
                continue
            h = (degree - i) // 2
            if h > step:
                continue
            middle, _, unit_middle = _average(powh[i + h], powl[i + h], n + i + h, m, e)
            last, _, unit_last = _average(powh[degree], powl[degree], n + degree, m, e)
            best = middle * unit_middle / (last * unit_last) if last > 0.0 else 0.0
            for ratio in (best, math.copysign(1.0, middle)):
                # where E[base t^(i+2h)] is 0 too, any ratio of that sign will do
                if not math.isfinite(ratio) or ratio == 0.0 or (h == 2 and ratio < 0.0):
                    continue
                for j in range(n + degree + 1):
                    xh, xl = 0.0, 0.0
                    if j <= n + i:
                        xh, xl = powh[i, j], powl[i, j]
                    if j <= n + i + h:
                        yh, yl = multiply_float(powh[i + h, j], powl[i + h, j], 2.0 * ratio)
                        xh, xl = subtract(xh, xl, yh, yl)
                    yh, yl = multiply_float(powh[degree, j], powl[degree, j], ratio)
                    yh, yl = multiply_float(yh, yl, ratio)
                    qh[j], ql[j] = add(xh, xl, yh, yl)
                value, slack, _ = _average(qh, ql, n + degree, m, e)
                if value < -FOLLOW_UP * slack:
                    return n + degree, value, slack, i, h, ratio, 0.0
    excess = 0.0
    if top > 0:
        value, slack, largest = _average(powh[top], powl[top], n + top, m, e)
        if abs(value) > FOLLOW_UP * slack:
            excess = value * largest
    return 0, 0.0, 0.0, 0, 0, 0.0, excess


@inner
def _chebyshev_row(sh, sl, l, ah, al, bh, bl, k, rec):
    """Row l + 1 of σ_{l,j} = E[π_l φ_j] from rows l and l − 1 (rolling, three rows)."""
    now, old, new = l % 3, (l + 2) % 3, (l + 1) % 3
    for j in range(l + 1, k - l):
        xh, xl = multiply(sh[now, j + 1], sl[now, j + 1], rec[0, j], rec[1, j])
        if rec[2, j] != 0.0:
            yh, yl = multiply(sh[now, j], sl[now, j], rec[2, j], rec[3, j])
            xh, xl = subtract(xh, xl, yh, yl)
        if j - 1 >= l:
            yh, yl = multiply(sh[now, j - 1], sl[now, j - 1], rec[4, j], rec[5, j])
            xh, xl = add(xh, xl, yh, yl)
        yh, yl = multiply(sh[now, j], sl[now, j], ah, al)
        xh, xl = subtract(xh, xl, yh, yl)
        if l > 0:
            yh, yl = multiply(sh[old, j], sl[old, j], bh, bl)
            xh, xl = subtract(xh, xl, yh, yl)
        sh[new, j], sl[new, j] = xh, xl


@kernel
def examine_unbounded(moments, error, recurrences, half):
    """Moments (columns, k+1) in bases of `recurrences` (columns, 3, k), on [0, ∞) if `half`, else
    on the line.

    Returns the same as `examine_interval`.
    """
    columns, size = moments.shape
    k = size - 1
    verdict = np.zeros(columns, dtype=np.int64)
    order = np.full(columns, k + 1, dtype=np.int64)
    margin = np.full(columns, np.inf)
    tolerance = np.ones(columns)
    form = np.zeros((columns, 4), dtype=np.int64)
    ratio = np.zeros(columns)
    excess = np.zeros(columns)
    rec = np.zeros((6, size + 1))
    sh, sl = np.zeros((3, size + 1)), np.zeros((3, size + 1))
    ph, pl = np.zeros((3, size + 1)), np.zeros((3, size + 1))  # π_l, rolling
    kh, kl = np.zeros(size + 1), np.zeros(size + 1)  # the kernel polynomial K_l
    qh, ql = np.zeros(size + 2), np.zeros(size + 2)
    baseh, basel = np.zeros(size + 2), np.zeros(size + 2)
    powh, powl = np.zeros((size + 1, size + 2)), np.zeros((size + 1, size + 2))
    work = np.zeros((6, size + 2))
    for column in range(columns):
        m = moments[column]
        e = error[column]
        recurrence = recurrences[column]
        _reciprocals(recurrence, rec)
        for j in range(size):
            sh[0, j], sl[0, j] = m[j], 0.0
        ph[0, 0], pl[0, 0] = 1.0, 0.0
        kh[0], kl[0] = 1.0, 0.0
        normh, norml = m[0], 0.0  # h_l = E[π_l²]
        leadh, leadl = 1.0, 0.0  # leading coefficient of φ_l
        bh, bl = 0.0, 0.0  # β_l
        ah, al = 0.0, 0.0  # α_l of the recurrence of π
        evenh, evenl = 0.0, 0.0  # ζ_{2l}
        oddh, oddl = 0.0, 0.0  # ζ_{2l+1}
        for n in range(1, k + 1):
            l = n // 2
            odd = n % 2 == 1
            now, old = l % 3, (l + 2) % 3
            if odd:
                # α_l from σ_{l+1,l} = 0, π_{l+1} and the next row of σ
                ah, al = multiply(sh[now, l + 1], sl[now, l + 1], rec[0, l], rec[1, l])
                ah, al = divide(ah, al, sh[now, l], sl[now, l])
                ah, al = subtract(ah, al, rec[2, l], rec[3, l])
                if l > 0:
                    xh, xl = multiply(bh, bl, sh[old, l], sl[old, l])
                    xh, xl = divide(xh, xl, sh[now, l], sl[now, l])
                    ah, al = subtract(ah, al, xh, xl)
                if half:
                    oddh, oddl = subtract(ah, al, evenh, evenl)
            else:
                _times_t(ph[old], pl[old], l - 1, rec, ph[now], pl[now])
                for j in range(l):
                    xh, xl = multiply(ph[old, j], pl[old, j], ah, al)
                    ph[now, j], pl[now, j] = subtract(ph[now, j], pl[now, j], xh, xl)
                    if l > 1 and j < l - 1:
                        before = (l + 1) % 3
                        xh, xl = multiply(ph[before, j], pl[before, j], bh, bl)
                        ph[now, j], pl[now, j] = subtract(ph[now, j], pl[now, j], xh, xl)
                _chebyshev_row(sh, sl, l - 1, ah, al, bh, bl, k, rec)
                leadh, leadl = multiply_float(leadh, leadl, recurrence[0, l - 1])
                xh, xl = divide(sh[now, l], sl[now, l], leadh, leadl)
                bh, bl = divide(xh, xl, normh, norml)
                normh, norml = xh, xl
                if half:
                    evenh, evenl = divide(bh, bl, oddh, oddl)
                    for j in range(l + 1):
                        xh, xl = 0.0, 0.0
                        if j < l:
                            xh, xl = multiply(kh[j], kl[j], -evenh, -evenl)
                        kh[j], kl[j] = add(xh, xl, ph[now, j], pl[now, j])
            if odd and not half:
                continue
            # q = t K_l² of odd order, π_l² of even order
            expected = normh * oddh if odd else normh
            source_h = kh if odd else ph[now]
            source_l = kl if odd else pl[now]
            slack, largest = _square_tolerance(source_h, l, odd, recurrence, rec, e, work)
            if expected > CLEAR * slack:
                if verdict[column] == INTERIOR:
                    value = expected / largest
                    slack /= largest
                    if value * tolerance[column] < margin[column] * slack:
                        margin[column] = value
                        tolerance[column] = slack
                continue
            _square(source_h, source_l, l, recurrence, rec, qh, ql, work)
            if odd:
                _times_t(qh, ql, 2 * l, rec, work[0], work[1])
                copy(work[0], n + 1, qh)
                copy(work[1], n + 1, ql)
            value, slack, largest = _average(qh, ql, n, m, e)
            if value < -slack:
                verdict[column] = INFEASIBLE
                order[column] = n
                margin[column] = value
                tolerance[column] = slack
                form[column, 0] = n
                break
            if verdict[column] == INTERIOR and not value > slack:
                verdict[column] = BOUNDARY
                order[column] = n
                margin[column] = value
                tolerance[column] = slack
                form[column, 0] = n
                copy(qh, n + 1, baseh)
                copy(ql, n + 1, basel)
            if verdict[column] == INTERIOR and value * tolerance[column] < margin[column] * slack:
                margin[column] = value
                tolerance[column] = slack
            if not expected > 0.0:
                break
        if verdict[column] == BOUNDARY:
            found, value, slack, i, h, eps, left = _follow_up(
                baseh, basel, order[column], m, e, half, rec, powh, powl, qh, ql
            )
            excess[column] = left
            if found > 0:
                verdict[column] = INFEASIBLE
                order[column] = found
                margin[column] = value
                tolerance[column] = slack
                form[column, 2] = i
                form[column, 3] = h
                ratio[column] = eps
    return verdict, order, margin, tolerance, form, ratio, excess


@kernel
def unbounded_jacobi(m, recurrence, order, half):
    """Jacobi matrix of the measure on the boundary at `order`: diagonal, squared off-diagonal.

    Even order 2l: the l zeros of π_l. Odd order 2l + 1 (half line): 0 and the l zeros of K_l.
    """
    size = m.shape[0]
    k = size - 1
    atoms = (order + 1) // 2
    diagonal = np.zeros(atoms)
    squares = np.zeros(max(atoms - 1, 0))
    rec = np.zeros((6, size + 1))
    _reciprocals(recurrence, rec)
    sh, sl = np.zeros((3, size + 1)), np.zeros((3, size + 1))
    for j in range(size):
        sh[0, j] = m[j]
    normh, norml = m[0], 0.0
    ah, al = 0.0, 0.0
    leadh, leadl = 1.0, 0.0
    bh, bl = 0.0, 0.0
    evenh, evenl = 0.0, 0.0
    oddh, oddl = 0.0, 0.0
    for l in range(atoms):
        now, old = l % 3, (l + 2) % 3
        if l > 0:
            _chebyshev_row(sh, sl, l - 1, ah, al, bh, bl, k, rec)
            leadh, leadl = multiply_float(leadh, leadl, recurrence[0, l - 1])
            xh, xl = divide(sh[now, l], sl[now, l], leadh, leadl)
            bh, bl = divide(xh, xl, normh, norml)
            normh, norml = xh, xl
            squares[l - 1] = bh
            if half:
                evenh, evenl = divide(bh, bl, oddh, oddl)
        if 2 * l + 1 < order or (2 * l + 1 == order and not half):
            ah, al = multiply(sh[now, l + 1], sl[now, l + 1], rec[0, l], rec[1, l])
            ah, al = divide(ah, al, sh[now, l], sl[now, l])
            ah, al = subtract(ah, al, rec[2, l], rec[3, l])
            if l > 0:
                xh, xl = multiply(bh, bl, sh[old, l], sl[old, l])
                xh, xl = divide(xh, xl, sh[now, l], sl[now, l])
                ah, al = subtract(ah, al, xh, xl)
            if half:
                oddh, oddl = subtract(ah, al, evenh, evenl)
            diagonal[l] = ah
        else:
            ah, al = evenh, evenl
            diagonal[l] = evenh
    return diagonal, squares
