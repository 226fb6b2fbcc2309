"""An independent answer to "which density has these moments?", to judge `maxent` by.

Nothing here imports `maxent`, and nothing is shared with it: other quadrature, other arithmetic,
other stopping.

Arithmetic: `numpy.longdouble` (64-bit mantissa on x86, eps 1.1e-19; `DIGITS_LEFT` says what this
machine has), and mpmath to polish a single problem to as many digits as one likes. A density is
written in a basis as

    p(t) = exp(sum_j c_j phi_j(t) - log Z),   j = 1..k,

with phi_j the Chebyshev polynomials T_j (interval, t in [-1, 1]), or plain powers t^j (half line
and line, t standardised by the caller so that the numbers stay tame).

Quadrature: Gauss-Legendre of `NODES` nodes on panels that are halved until the exponent varies by
less than `VARIATION` on each, and dropped where it is `NEGLIGIBLE` below its maximum. A polynomial
exponent of degree <= 32 that varies by less than 3 over a panel is integrated by 24 nodes to the
last digit of a longdouble.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

REAL = np.longdouble
EPS = float(np.finfo(REAL).eps)
NODES = 24
VARIATION = 3.0
NEGLIGIBLE = 110.0  # exp(-110) = 1e-48: below the rounding of every high moment that is asked for
MAX_PANELS = 6000

DIGITS_LEFT = -np.log10(EPS)


# ---------------------------------------- quadrature
@cache
def gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1] in longdouble: numpy's double nodes, polished by Newton on
    P_n.
    """
    x = np.polynomial.legendre.leggauss(n)[0].astype(REAL)
    for _ in range(3):
        before, value = np.ones_like(x), x.copy()
        for j in range(2, n + 1):
            before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / REAL(j)
        slope = n * (before - x * value) / (1 - x * x)
        x = x - value / slope
    before, value = np.ones_like(x), x.copy()
    for j in range(2, n + 1):
        before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / REAL(j)
    slope = n * (before - x * value) / (1 - x * x)
    return x, 2 / ((1 - x * x) * slope * slope)


def panels(exponent: Callable, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right ends of panels on which `exponent` varies little; parts without mass are
    dropped.
    """
    left, right = breaks[:-1].astype(REAL), breaks[1:].astype(REAL)
    probe = (1 - np.cos(np.pi * np.arange(13, dtype=REAL) / 12)) / 2
    done_l, done_r = [], []
    top = -np.inf
    count = 0
    for _ in range(200):
        if left.size == 0:
            break
        value = exponent(left[:, None] + (right - left)[:, None] * probe)
        top = max(top, float(value.max()))
        alive = value.max(axis=1) > top - NEGLIGIBLE
        left, right, value = left[alive], right[alive], value[alive]
        fine = np.ptp(value, axis=1) <= VARIATION
        done_l.append(left[fine])
        done_r.append(right[fine])
        count += int(fine.sum())
        left, right = left[~fine], right[~fine]
        if left.size + count > MAX_PANELS:
            raise ArithmeticError(f"more than {MAX_PANELS} panels: the exponent varies too much")
        middle = (left + right) / 2
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    return np.concatenate(done_l), np.concatenate(done_r)


def rule(
    exponent: Callable, breaks: np.ndarray, nodes: int = NODES
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (for dt) on panels that resolve exp(exponent) between the first and the
    last break.
    """
    left, right = panels(exponent, breaks)
    x, w = gauss_legendre(nodes)
    half = (right - left) / 2
    t = ((left + right) / 2)[:, None] + half[:, None] * x
    return t.ravel(), (half[:, None] * w).ravel()


# ---------------------------------------- the three bases
def chebyshev(t: np.ndarray, k: int) -> np.ndarray:
    """T_0..T_k, shape t.shape + (k+1,)."""
    t = np.asarray(t)
    out = np.empty((*t.shape, k + 1), dtype=t.dtype)
    out[..., 0] = 1
    if k:
        out[..., 1] = t
    for j in range(2, k + 1):
        out[..., j] = 2 * t * out[..., j - 1] - out[..., j - 2]
    return out


def powers(t: np.ndarray, k: int) -> np.ndarray:
    """1, t, t^2, ..., t^k, shape t.shape + (k+1,)."""
    t = np.asarray(t)
    out = np.empty((*t.shape, k + 1), dtype=t.dtype)
    out[..., 0] = 1
    for j in range(1, k + 1):
        out[..., j] = out[..., j - 1] * t
    return out


@dataclass(frozen=True)
class Domain:
    """Where t lives and which functions are averaged there."""

    name: str
    features: Callable

    def breaks(self, c: np.ndarray) -> np.ndarray:
        """Break points between which all of the mass lies; fine enough that no mode hides
        between two of them.
        """
        k = len(c)
        if self.name == "interval":
            return -np.cos(np.pi * np.arange(8 * k + 9, dtype=REAL) / (8 * k + 8))
        if c[-1] >= 0 and np.any(c[1:] != 0):
            raise ArithmeticError("the leading coefficient is not negative: no density")
        ends = (
            [self._end(c)]
            if self.name == "half"
            else [self._end(c), self._end(c * (-1.0) ** np.arange(1, k + 1))]
        )
        grid = np.concatenate([[0], np.geomspace(REAL(1e-6), 1, 60)]).astype(REAL)
        right = ends[0] * grid
        return right if self.name == "half" else np.concatenate([-ends[1] * grid[:0:-1], right])

    def _end(self, c: np.ndarray) -> np.longdouble:
        """A point beyond all stationary points of the exponent from which it has fallen by
        NEGLIGIBLE below its top.
        """
        derivative = (c * np.arange(1, len(c) + 1)).astype(float)
        roots = np.roots(derivative[::-1]) if len(c) > 1 else np.zeros(0)
        reach = REAL(max([1e-300, *np.abs(roots)]) if roots.size else 1e-3 / abs(float(c[0])))
        top = max(
            0.0, float(np.max(self.exponent(reach * np.linspace(0, 1, 4001).astype(REAL), c)))
        )
        while float(self.exponent(reach, c)) > top - NEGLIGIBLE - 40:
            reach = reach * REAL(1.25)
        return reach

    def exponent(self, t: np.ndarray, c: np.ndarray) -> np.ndarray:
        return self.features(np.asarray(t, dtype=REAL), len(c))[..., 1:] @ c


INTERVAL = Domain("interval", chebyshev)
HALF = Domain("half", powers)
LINE = Domain("line", powers)
DOMAINS = {d.name: d for d in (INTERVAL, HALF, LINE)}


# ---------------------------------------- moments of a given density
@dataclass(frozen=True)
class Truth:
    """A density exp(c . phi - log Z) and what follows from it, in longdouble. `moments[0]` = 1."""

    domain: Domain
    c: np.ndarray
    log_z: np.longdouble
    moments: np.ndarray  # (degree asked for + 1,)

    @property
    def entropy(self) -> float:
        """-E log p, in the t coordinate."""
        return float(self.log_z - self.c @ self.moments[1 : len(self.c) + 1])

    def logpdf(self, t: np.ndarray) -> np.ndarray:
        return self.domain.exponent(t, self.c) - self.log_z


def moments_of(
    domain: Domain, c: np.ndarray, degree: int | None = None, nodes: int = NODES
) -> Truth:
    """log Z and E[phi_0..phi_degree] of exp(c . phi)."""
    c = np.asarray(c, dtype=REAL)
    degree = len(c) if degree is None else degree
    t, w = rule(lambda s: domain.exponent(s, c), domain.breaks(c), nodes)
    if t.size == 0:
        raise ArithmeticError("no panel has any mass: the exponent is not finite")
    e = domain.exponent(t, c)
    top = e.max()
    p = w * np.exp(e - top)
    z = p.sum()
    m = p @ domain.features(t, degree) / z
    m[0] = 1
    return Truth(domain, c, top + np.log(z), m)


def moments_of_density(
    logpdf: Callable, breaks: np.ndarray, features: Callable, degree: int, nodes: int = NODES
) -> np.ndarray:
    """E[phi_0..phi_degree] of any smooth density given by a longdouble log; divided by its mass."""
    t, w = rule(logpdf, np.asarray(breaks, dtype=REAL), nodes)
    e = logpdf(t)
    p = w * np.exp(e - e.max())
    return p @ features(t, degree) / p.sum()


# ---------------------------------------- Newton, in longdouble
def _orthonormal(basis: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q, R with basis = Q R and Q orthonormal for `weight` (modified Gram-Schmidt, twice)."""
    q = basis * np.sqrt(weight)[:, None]
    n = q.shape[1]
    total = np.eye(n, dtype=REAL)
    for _ in range(2):
        r = np.zeros((n, n), dtype=REAL)
        for j in range(n):
            r[j, j] = np.sqrt(q[:, j] @ q[:, j])
            q[:, j] = q[:, j] / r[j, j]
            if j + 1 < n:
                r[j, j + 1 :] = q[:, j] @ q[:, j + 1 :]
                q[:, j + 1 :] = q[:, j + 1 :] - np.outer(q[:, j], r[j, j + 1 :])
        total = r @ total
    return q, total


def _solve_upper(r: np.ndarray, b: np.ndarray) -> np.ndarray:
    x = np.zeros_like(b)
    for i in range(len(b) - 1, -1, -1):
        x[i] = (b[i] - r[i, i + 1 :] @ x[i + 1 :]) / r[i, i]
    return x


def _solve_lower_of(r: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve R^T x = b with R upper triangular."""
    x = np.zeros_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - r[:i, i] @ x[:i]) / r[i, i]
    return x


class NotThere(ArithmeticError):
    """Newton stopped short: at coefficients c, with that decrement."""

    def __init__(self, message: str, c: np.ndarray, decrement: float):
        super().__init__(f"{message}: decrement {decrement:.1e}")
        self.c, self.decrement = c, decrement


def newton(
    domain: Domain,
    moments: np.ndarray,
    start: np.ndarray,
    *,
    steps: int = 400,
    tolerance: float = 1e-28,
) -> Truth:
    """The maximum-entropy density, by damped Newton in a basis orthonormal for the current density.

    Raises NotThere when it does not arrive: that is no proof of anything.
    """
    m = np.asarray(moments, dtype=REAL)
    k = len(m) - 1
    c = np.asarray(start, dtype=REAL)

    def dual(c):
        if not np.all(np.isfinite(c)) or (domain.name != "interval" and c[-1] >= 0):
            return np.inf, None
        try:
            t, w = rule(lambda s: domain.exponent(s, c), domain.breaks(c))
        except ArithmeticError:
            return np.inf, None
        if t.size == 0:
            return np.inf, None
        e = domain.exponent(t, c)
        top = e.max()
        p = w * np.exp(e - top)
        z = p.sum()
        return top + np.log(z) - c @ m[1:], (t, p / z)

    value, state = dual(c)
    if state is None:
        raise ArithmeticError("no density at the start")
    stuck = 0
    for _ in range(steps):
        t, p = state
        _q, r = _orthonormal(domain.features(t, k), p)
        # phi = q_hat R with q_hat orthonormal under p; the first is the constant 1.
        # E_target[q_hat] = R^-T m.
        target = _solve_lower_of(r, m)
        residual = target[1:]  # E_p[q_hat_j] = 0 for j >= 1
        decrement = residual @ residual
        full = np.concatenate([[REAL(0)], residual])
        step = _solve_upper(r, full)[1:]
        if decrement < tolerance:
            if domain.name == "interval" or k == 1 or (c + step)[-1] < 0:
                c = c + step
            return moments_of(domain, c, k)
        scale = REAL(1)
        for _ in range(60):
            new_value, new_state = dual(c + scale * step)
            allowed = 50 * EPS * (1 + abs(value)) - REAL(1e-4) * scale * decrement
            if new_state is not None and new_value <= value + allowed:
                break
            scale = scale / 2
        else:
            raise NotThere("line search failed", c, float(decrement))
        stuck = stuck + 1 if scale == 1 and decrement < 1e-20 else 0
        c, value, state = c + scale * step, new_value, new_state
        if stuck > 3:
            return moments_of(domain, c, k)
    raise NotThere(f"not there after {steps} steps", c, float(decrement))


def solve(domain: Domain, moments: np.ndarray, start: np.ndarray | None = None) -> Truth:
    """`newton` from a start that always is a density: uniform, exponential or normal with the
    mean (and variance).
    """
    m = np.asarray(moments, dtype=REAL)
    k = len(m) - 1
    if start is None:
        start = np.zeros(k, dtype=REAL)
        if domain.name == "half":
            start[0] = -1 / m[1]
            if (
                k > 1
            ):  # a little of the top power makes it a density whose slope exists in every direction
                start[-1] = -REAL(1e-4) / m[1] ** k
        elif domain.name == "line":
            variance = m[2] - m[1] ** 2
            start[:2] = m[1] / variance, -1 / (2 * variance)
            if k > 2:
                start[-1] = -REAL(1e-4) / variance ** (k // 2)
    return newton(domain, m, start)


def walk(
    domain: Domain, *waypoints: np.ndarray, start: np.ndarray | None = None, smallest: float = 1e-7
) -> Truth:
    """`solve` for the first moments, then continuation along segments to the last: lumps far
    out grow slowly.
    """
    truth = solve(domain, waypoints[0], start)
    for before, after in itertools.pairwise(waypoints):
        a, b = np.asarray(before, dtype=REAL), np.asarray(after, dtype=REAL)
        place, stride = 0.0, 0.25
        while place < 1:
            ahead = min(1.0, place + stride)
            try:
                truth = newton(domain, a + REAL(ahead) * (b - a), truth.c, steps=60)
                place, stride = ahead, stride * 1.6
            except ArithmeticError:
                stride /= 2
                if stride < smallest:
                    raise
    return truth


@dataclass(frozen=True)
class Existence:
    """What the recursion by degree on the half line says of m_1..m_k."""

    exists: bool
    truth: Truth | None  # the density, when it was computed
    largest: (
        float | None
    )  # m_k[f_{k-1}], the largest m_k that has a maximum; None when every m_k has one


def half_line(moments: np.ndarray, *, compute: bool = True) -> Existence:
    """Does a maximum-entropy density on [0, inf) with these interior moments exist? Moments of mean
    1, please.

    k = 1 always; if f_{k-1} exists, f_k exists iff m_k <= m_k[f_{k-1}]; if f_{k-1} does not, f_k
    always exists.
    """
    m = np.asarray(moments, dtype=REAL)
    k = len(m) - 1
    if k == 1:
        return Existence(True, solve(HALF, m), None)
    lower = half_line(m[:-1])
    if lower.exists:
        above = moments_of(HALF, lower.truth.c, k).moments
        if m[k] > above[k]:
            return Existence(False, None, float(above[k]))
        if not compute:
            return Existence(True, None, float(above[k]))
        gap = min(REAL(0.02), (1 - m[k] / above[k]) / 2)
        if gap < 1e-12:
            return Existence(
                True, moments_of(HALF, np.append(lower.truth.c, REAL(0)), k), float(above[k])
            )
        near = m.copy()
        near[k] = above[k] * (1 - gap)
        start = np.append(lower.truth.c, -REAL(1e-3) * gap / above[k])
        return Existence(True, walk(HALF, near, m, start=start), float(above[k]))
    if not compute:
        return Existence(True, None, None)
    below = half_line(m[:-2]) if k > 2 else None
    c = below.truth.c if below is not None else np.zeros(0)
    above = moments_of(HALF, c, k).moments
    near, beyond = m.copy(), m.copy()
    near[k - 1], near[k] = above[k - 1] * REAL(0.99), above[k] * REAL(0.96)
    beyond[k - 1], beyond[k] = above[k - 1] * REAL(1.03), above[k] * REAL(1.05)
    start = np.append(c, [REAL(0), -REAL(1e-3) / above[k]])
    return Existence(True, walk(HALF, near, beyond, m, start=start), None)


# ---------------------------------------- more digits
def polish(truth: Truth, moments: list, digits: int = 40, nodes: int = 40) -> dict:
    """Newton in mpmath from a longdouble answer, on its panels: {c, log_z, entropy, residual} as
    mpf.

    `moments` are the exact ones (numbers or strings), 1 first. `residual` is re-measured with
    another number of nodes on halved panels.
    """
    import mpmath as mp

    domain, k = truth.domain, len(truth.c)
    left, right = panels(lambda s: domain.exponent(s, truth.c), domain.breaks(truth.c))
    with mp.workdps(digits + 15):
        m = [mp.mpf(v) for v in moments]
        c = [_to_mp(v) for v in truth.c]

        def features(t):
            row = [mp.mpf(1), t]
            for _ in range(2, 2 * k + 1):
                row.append(2 * t * row[-1] - row[-2] if domain.name == "interval" else row[-1] * t)
            return row

        def integrate(ends, n, c, upto):
            x, w = _gauss_legendre_mp(n, digits + 15)
            total = [mp.mpf(0)] * (upto + 1)
            for a, b in ends:
                half, middle = (b - a) / 2, (a + b) / 2
                for xi, wi in zip(x, w, strict=True):
                    row = features(middle + half * xi)
                    p = half * wi * mp.exp(mp.fdot(c, row[1 : k + 1]))
                    for j in range(upto + 1):
                        total[j] += p * row[j]
            return total

        ends = [(_to_mp(a), _to_mp(b)) for a, b in zip(left, right, strict=True)]
        for _ in range(12):
            s = integrate(ends, nodes, c, 2 * k)
            e = [v / s[0] for v in s]
            cov = mp.matrix(k, k)
            for i in range(1, k + 1):
                for j in range(1, k + 1):
                    both = (e[i + j] + e[abs(i - j)]) / 2 if domain.name == "interval" else e[i + j]
                    cov[i - 1, j - 1] = both - e[i] * e[j]
            gap = mp.matrix([m[j] - e[j] for j in range(1, k + 1)])
            step = mp.lu_solve(cov, gap)
            c = [ci + si for ci, si in zip(c, step, strict=True)]
            if max(abs(v) for v in step) < mp.mpf(10) ** (-digits) * (1 + max(abs(v) for v in c)):
                break
        halves = [piece for a, b in ends for piece in ((a, (a + b) / 2), ((a + b) / 2, b))]
        s = integrate(halves, nodes - 9, c, k)
        log_z = mp.log(s[0])
        residual = max(abs(s[j] / s[0] - m[j]) / (1 + abs(m[j])) for j in range(1, k + 1))
        entropy = log_z - mp.fdot(c, m[1:])
        return {"c": c, "log_z": log_z, "entropy": entropy, "residual": residual}


def _to_mp(value) -> object:
    """A longdouble as an exact mpf."""
    import mpmath as mp

    high = float(value)
    return mp.mpf(high) + mp.mpf(float(value - REAL(high)))


@cache
def _gauss_legendre_mp(n: int, digits: int) -> tuple[list, list]:
    import mpmath as mp

    with mp.workdps(digits + 5):
        nodes, weights = [], []
        for guess in np.polynomial.legendre.leggauss(n)[0]:
            x = mp.mpf(float(guess))
            for _ in range(7):
                before, value = mp.mpf(1), x
                for j in range(2, n + 1):
                    before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
                slope = n * (before - x * value) / (1 - x * x)
                x -= value / slope
            before, value = mp.mpf(1), x
            for j in range(2, n + 1):
                before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
            slope = n * (before - x * value) / (1 - x * x)
            nodes.append(x)
            weights.append(2 / ((1 - x * x) * slope**2))
        return nodes, weights


# ---------------------------------------- how far from the boundary
def _positive_definite(matrix: np.ndarray) -> bool:
    a = matrix.copy()
    n = len(a)
    for j in range(n):
        if not a[j, j] > 0:
            return False
        a[j + 1 :, j] = a[j + 1 :, j] / a[j, j]
        for i in range(j + 1, n):
            a[i, j + 1 :] = a[i, j + 1 :] - a[i, j] * a[j, j + 1 :]
    return True


def localising(name: str, moments: np.ndarray) -> list[np.ndarray]:
    """The matrices that must be positive definite for moments inside the moment space.

    interval (Chebyshev moments): E[T_iT_j] and E[(1-t^2)T_iT_j] (even k) or E[(1+-t)T_iT_j] (odd
    k). half line (powers): E[t^{i+j}] and E[t^{i+j+1}].   line: E[t^{i+j}].   Power matrices have a
    unit diagonal.
    """
    m = np.asarray(moments, dtype=REAL)
    k = len(m) - 1

    def at(j):
        return m[np.abs(j)]

    def grid(n):
        return np.arange(n)[:, None], np.arange(n)[None, :]

    if name == "interval":

        def product(n, weight):  # weight: {order: coefficient} of the Chebyshev multiplier
            i, j = grid(n)
            total = np.zeros((n, n), dtype=REAL)
            for order, factor in weight.items():
                for s in (i + j, i - j):
                    total = total + factor * (at(s + order) + at(s - order)) / 4
            return total

        one = {0: REAL(1)}
        if k % 2 == 0:
            n = k // 2
            out = [product(n + 1, one)]
            if n:
                out.append(product(n, {0: REAL(0.5), 2: REAL(-0.5)}))
            return out
        n = (k - 1) // 2
        return [product(n + 1, {0: REAL(1), 1: REAL(1)}), product(n + 1, {0: REAL(1), 1: REAL(-1)})]

    def hankel(n, shift):
        i, j = grid(n)
        a = m[i + j + shift]
        d = np.sqrt(np.abs(np.diag(a)))  # 0, and nan below, only for atoms at 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return a / (d[:, None] * d[None, :])

    if name == "line":
        return [hankel(k // 2 + 1, 0)]
    return [hankel(k // 2 + 1, 0), *([hankel((k + 1) // 2, 1)] if k else [])]


def decided(name: str, moments: np.ndarray, ulps: float = 1.0) -> str:
    """'inside', 'outside' or 'undecided', for moments known to `ulps` roundings of float64.

    Every moment is known to 2^-53 (interval: absolute, since |T_j| <= 1; powers: relative), so each
    n by n matrix is known to n * 2^-53 in norm: inside when its smallest eigenvalue is above that,
    outside when it is below minus that.
    """
    verdict = "inside"
    for a in localising(name, moments):
        n = len(a)
        if not np.all(np.isfinite(a)):
            return "outside"
        slack = REAL(2.0**-53 * ulps * n)
        eye = np.eye(n, dtype=REAL)
        if not _positive_definite(a + slack * eye):
            return "outside"
        if not _positive_definite(a - slack * eye):
            verdict = "undecided"
    return verdict


# ---------------------------------------- what the input's rounding leaves
def blur(phi: np.ndarray, p: np.ndarray, error: np.ndarray) -> float:
    """Standard deviation of log p, under p, when moment j is off by error_j, the worst signs (first
    order). 1e-2: two digits of the density are left. phi (nodes, k+1), p (nodes,) sums to 1.

    With phi = R^T q, q orthonormal under p:  d log p = q . R^-T dm, so blur^2 = sum_i (sum_j
    |R^-T_ij| error_j)^2.
    """
    with np.errstate(all="ignore"):  # a basis that is dependent to the last digit: infinite blur
        _, r = _orthonormal(phi, p)
        total = np.sqrt(np.sum(_moved(r, error)[1:] ** 2))
    return float(total) if np.isfinite(total) else float("inf")


def _moved(r: np.ndarray, error: np.ndarray) -> np.ndarray:
    """sum_j |R^-T_ij| error_j."""
    columns = [_solve_lower_of(r, column) for column in np.eye(len(r), dtype=REAL)]
    return np.abs(np.stack(columns, axis=1)) @ np.asarray(error, dtype=REAL)


def last_coefficient(
    phi: np.ndarray, p: np.ndarray, log_p: np.ndarray, error: np.ndarray
) -> tuple[float, float]:
    """The last coefficient of log p in polynomials orthonormal under p, and by how much moments off
    by `error` may move it, to first order. Without it the density is of a lower degree: where it
    is the smaller of the two, the same moments to their rounding may have no maximum.
    """
    q, r = _orthonormal(phi, p)
    return float(abs(q[:, -1] @ (np.sqrt(p) * log_p))), float(_moved(r, error)[-1])


def coefficients(phi: np.ndarray, p: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """c with log p = phi c, (k+1,)."""
    q, r = _orthonormal(phi, p)
    return _solve_upper(r, q.T @ (np.sqrt(p) * log_p))


# ---------------------------------------- quantiles
def quantiles(truth: Truth, u: list[float]) -> list[np.longdouble]:
    """t with F(t) = u, by bisection on the integrated panels."""
    domain, c = truth.domain, truth.c
    left, right = panels(lambda s: domain.exponent(s, c), domain.breaks(c))
    order = np.argsort(left)
    left, right = left[order], right[order]
    x, w = gauss_legendre(NODES)

    def mass(a, b):
        t = (a + b)[..., None] / 2 + ((b - a) / 2)[..., None] * x
        return (np.exp(truth.logpdf(t)) @ w) * (b - a) / 2

    below = np.concatenate([[REAL(0)], np.cumsum(mass(left, right))])
    out = []
    for value in u:
        i = int(np.clip(np.searchsorted(below, REAL(value)) - 1, 0, len(left) - 1))
        lo, hi = left[i], right[i]
        for _ in range(80):
            middle = (lo + hi) / 2
            if below[i] + mass(left[i : i + 1], np.array([middle]))[0] < value:
                lo = middle
            else:
                hi = middle
        out.append((lo + hi) / 2)
    return out
