"""Does a returned density have the moments that were asked for? Measured from outside.

Only the public `logpdf` is used, in the user's coordinate. The rule shares nothing with the
library's own: `logpdf` is scanned on many scales at once, every local maximum is sharpened by
zooming, and Gauss-Legendre panels shrink geometrically towards every maximum and every end point; a
panel on which 12 and 20 nodes disagree is halved.

Errors are stated in functions of unit size: Chebyshev polynomials of t in [-1, 1] (interval),
Laguerre polynomials of (x - a) / E[x - a] (half line), Hermite polynomials of (x - mean) / sd over
sqrt(j!) (line), the last two divided by their root mean square where that is above 1. The targets
are computed from the input in exact rational arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

REAL = np.longdouble
NEGLIGIBLE = 75.0  # exp(-75) = 3e-33
FEW, MANY = (np.polynomial.legendre.leggauss(n) for n in (12, 20))


@dataclass(frozen=True)
class Verdict:
    moment_error: float  # largest, in the normalised basis, order 0 (the mass) apart
    mass_error: float
    uncertainty: float  # of the judge: how far its two rules disagree
    entropy: float

    @property
    def worst(self) -> float:
        worst = max(self.moment_error, self.mass_error)
        return worst if math.isfinite(worst) else math.inf


# ---------------------------------------- targets
def frame(
    support: tuple[float, float], moments: np.ndarray, kind: str
) -> tuple[float, float, list[Fraction]]:
    """(loc, scale, target): x = loc + scale t, and E[phi_j(t)] as exact as the input is."""
    lo, hi = support
    m = [Fraction(float(v)) for v in moments]
    k = len(m) - 1
    if math.isfinite(lo) and math.isfinite(hi):
        loc, scale = (Fraction(lo) + Fraction(hi)) / 2, (Fraction(hi) - Fraction(lo)) / 2
        if kind == "chebyshev":
            return float(loc), float(scale), m
        return (
            float(loc),
            float(scale),
            _combine(_chebyshev_rows(k), _shifted(_raw(m, kind), loc, scale)),
        )
    if kind == "chebyshev":
        raise ValueError("Chebyshev moments need an interval")
    m = _raw(m, kind)
    if math.isinf(lo) and math.isinf(hi):
        mean = m[1] if k else Fraction(0)
        sd = Fraction(math.sqrt(m[2] - mean**2)) if k > 1 else Fraction(1)
        return float(mean), float(sd), _combine(_hermite_rows(k), _shifted(m, mean, sd))
    start = Fraction(lo) if math.isfinite(lo) else Fraction(hi)
    scale = Fraction(float(m[1] - start))
    return float(start), float(scale), _combine(_laguerre_rows(k), _shifted(m, start, scale))


def _raw(m: list[Fraction], kind: str) -> list:
    if kind in ("central", "standardized") and len(m) > 2:
        mean, variance = m[1], m[2]
        central = [Fraction(1), Fraction(0), *m[2:]]
        if kind == "standardized":
            sd = Fraction(math.sqrt(variance))
            central[3:] = [v * sd**j for j, v in enumerate(m[3:], start=3)]
        return [
            sum(math.comb(j, i) * mean ** (j - i) * central[i] for i in range(j + 1))
            for j in range(len(m))
        ]
    return m


def _shifted(m: list, loc: Fraction, scale: Fraction) -> list:
    """E[((x - loc) / scale)^j]"""
    return [
        sum(math.comb(j, i) * (-loc) ** (j - i) * m[i] for i in range(j + 1)) / scale**j
        for j in range(len(m))
    ]


def _recurrence_rows(k: int, step: Callable) -> list[list[Fraction]]:
    rows = [[Fraction(1)]]
    for j in range(k):
        a, b, d = step(j)
        up = [Fraction(0)] + [a * v for v in rows[-1]]
        here = [b * v for v in rows[-1]]
        back = [d * v for v in rows[-2]] if j else []
        rows.append(
            [
                up[i] + (here[i] if i < len(here) else 0) - (back[i] if i < len(back) else 0)
                for i in range(len(up))
            ]
        )
    return rows


def _chebyshev_rows(k):
    return _recurrence_rows(k, lambda j: (Fraction(2 if j else 1), Fraction(0), Fraction(1)))


def _laguerre_rows(k):
    return _recurrence_rows(
        k, lambda j: (Fraction(-1, j + 1), Fraction(2 * j + 1, j + 1), Fraction(j, j + 1))
    )


def _hermite_rows(k):
    rows = _recurrence_rows(k, lambda j: (Fraction(1), Fraction(0), Fraction(j)))
    return [[v / Fraction(math.sqrt(math.factorial(j))) for v in row] for j, row in enumerate(rows)]


def _combine(rows: list, m: list) -> list:
    return [sum(a * b for a, b in zip(row, m, strict=False)) for row in rows]


def features(support: tuple[float, float], t: np.ndarray, k: int) -> np.ndarray:
    """phi_0..phi_k at t by the recurrence, longdouble, (..., k+1)."""
    lo, hi = support
    out = np.empty((*t.shape, k + 1), dtype=REAL)
    out[..., 0] = 1
    if k == 0:
        return out
    if math.isfinite(lo) and math.isfinite(hi):
        out[..., 1] = t
        for j in range(1, k):
            out[..., j + 1] = 2 * t * out[..., j] - out[..., j - 1]
    elif math.isinf(lo) and math.isinf(hi):
        out[..., 1] = t
        for j in range(1, k):
            out[..., j + 1] = (t * out[..., j] - np.sqrt(REAL(j)) * out[..., j - 1]) / np.sqrt(
                REAL(j + 1)
            )
    else:
        out[..., 1] = 1 - t
        for j in range(1, k):
            out[..., j + 1] = ((2 * j + 1 - t) * out[..., j] - j * out[..., j - 1]) / REAL(j + 1)
    return out


# ---------------------------------------- where to look
def _grid(support: tuple[float, float], loc: float, scale: float) -> np.ndarray:
    """Scan points in x, on every scale from 1e-14 to far beyond the mass."""
    lo, hi = support
    if math.isfinite(lo) and math.isfinite(hi):
        length = hi - lo
        inner = (1 - np.cos(np.pi * np.arange(1, 1500) / 1500)) / 2 * length
        near = np.geomspace(1e-15, 1e-2, 150) * length
        return np.unique(np.concatenate([[lo, hi], lo + inner, lo + near, hi - near]))
    away = np.geomspace(1e-12, 1e9, 1500) * abs(scale)
    flat = np.linspace(0, 12, 500) * abs(scale)
    away = np.unique(np.concatenate([away, flat]))
    if math.isfinite(lo):
        return np.unique(lo + away)
    if math.isfinite(hi):
        return np.unique(hi - away)
    return np.unique(np.concatenate([loc - away, loc + away]))


def _safe(logpdf: Callable, x: np.ndarray) -> np.ndarray:
    value = np.asarray(logpdf(x), dtype=float)
    return np.where(np.isnan(value), np.inf, value)  # nan inside the support is never right


def _maxima(logpdf: Callable, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Places of the local maxima, sharpened by zooming; plateaus of rounding noise are left out."""
    padded = np.concatenate([[-np.inf], value, [-np.inf]])
    peak = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]) & np.isfinite(value)
    index = np.flatnonzero(peak)
    left, right = x[np.maximum(index - 1, 0)], x[np.minimum(index + 1, len(x) - 1)]
    drop = value[index] - np.minimum(
        value[np.maximum(index - 1, 0)], value[np.minimum(index + 1, len(x) - 1)]
    )
    keep = drop > 1e-7
    left, right = left[keep], right[keep]
    if left.size == 0:
        return np.zeros(0)
    if left.size > 80:
        order = np.argsort(-drop[keep])[:80]
        left, right = left[order], right[order]
    step = np.linspace(0, 1, 33)
    for _ in range(9):
        zoom = left[:, None] + (right - left)[:, None] * step
        value = _safe(logpdf, zoom)
        best = np.argmax(value, axis=1)
        row = np.arange(len(best))
        left, right = zoom[row, np.maximum(best - 1, 0)], zoom[row, np.minimum(best + 1, 32)]
    return (left + right) / 2


def _breaks(
    support: tuple[float, float], loc: float, scale: float, peaks: np.ndarray, grid: np.ndarray
) -> np.ndarray:
    lo, hi = support
    finite = [v for v in support if math.isfinite(v)]
    length = hi - lo if len(finite) == 2 else abs(scale)
    shrink = length * 2.0 ** np.arange(-46.0, 31.0 if len(finite) < 2 else 1.0)
    centres = np.concatenate([peaks, finite, [loc]])
    near = np.concatenate(
        [centres, (centres[:, None] + shrink).ravel(), (centres[:, None] - shrink).ravel()]
    )
    points = np.concatenate([near, grid[:: max(1, len(grid) // 96)], grid[[0, -1]]])
    return np.unique(points[(points >= grid[0]) & (points <= grid[-1])])


def judge(
    logpdf: Callable,
    support: tuple[float, float],
    moments: np.ndarray,
    kind: str,
    *,
    rounds: int = 14,
) -> Verdict:
    """Recompute mass, moments and entropy of exp(logpdf) and compare."""
    k = len(moments) - 1
    loc, scale, target = frame(support, moments, kind)
    target = np.array(
        [REAL(v.numerator) / REAL(v.denominator) if _small(v) else REAL(float(v)) for v in target]
    )
    grid = _grid(support, loc, scale)
    value = _safe(logpdf, grid)
    peaks = _maxima(logpdf, grid, value)
    top = max(float(np.max(value)), float(np.max(_safe(logpdf, peaks))) if peaks.size else -np.inf)
    if not math.isfinite(top):
        return Verdict(math.inf, math.inf, math.inf, math.nan)
    points = _breaks(support, loc, scale, peaks, grid)
    left, right = points[:-1], points[1:]
    at = _safe(logpdf, points)
    middle = _safe(logpdf, (left + right) / 2)
    alive = np.maximum(np.maximum(at[:-1], at[1:]), middle) > top - NEGLIGIBLE
    alive |= np.concatenate([alive[1:], [False]]) | np.concatenate([[False], alive[:-1]])
    left, right = left[alive], right[alive]

    total = np.zeros(2 * k + 1, dtype=REAL)  # E phi_0..k, then E phi_1..k squared
    entropy, disagreement = REAL(0), 0.0
    for r in range(rounds):
        fine = _panel(logpdf, support, loc, scale, left, right, k, MANY)
        coarse = _panel(logpdf, support, loc, scale, left, right, k, FEW)
        size = 1 + np.max(np.abs(fine[:, 1 + k : 1 + 2 * k]), axis=1, initial=0)
        gap = np.max(np.abs(fine[:, : k + 1] - coarse[:, : k + 1]), axis=1) / np.sqrt(size)
        good = (gap < 1e-15) | (right - left <= 4e-16 * (np.abs(left) + np.abs(right)))
        if r == rounds - 1:
            disagreement = float(np.sum(gap[~good]))
            good[:] = True
        total += fine[good][:, : 2 * k + 1].sum(axis=0)
        entropy += fine[good][:, -1].sum()
        left, right = left[~good], right[~good]
        if left.size == 0:
            break
        if left.size > 3000:  # noise, not features
            disagreement = float(np.sum(gap[~good]))
            total += fine[~good][:, : 2 * k + 1].sum(axis=0)
            entropy += fine[~good][:, -1].sum()
            break
        half = (left + right) / 2
        left, right = np.concatenate([left, half]), np.concatenate([half, right])
    mass = total[0]
    size = np.sqrt(np.maximum(1, total[k + 1 :]))
    error = np.abs(total[1 : k + 1] - target[1:]) / size
    worst = float(np.max(error, initial=0))
    return Verdict(worst, float(abs(mass - 1)), disagreement, float(entropy))


def _small(v: Fraction) -> bool:
    return False


def _panel(logpdf, support, loc, scale, left, right, k, rule):
    """Integrals of p phi_0..k, p phi_1..k^2 and -p log p over each panel: (panels, 2k+2),
    longdouble.
    """
    node, weight = rule
    half = (right - left) / 2
    x = (left + half)[:, None] + half[:, None] * node
    log_p = _safe(logpdf, x)
    with np.errstate(over="ignore", invalid="ignore"):
        p = np.exp(log_p.astype(REAL)) * weight * half[:, None].astype(REAL)
    t = (x.astype(REAL) - REAL(loc)) / REAL(scale)
    phi = features(support, t, k)
    out = np.empty((len(left), 2 * k + 2), dtype=REAL)
    out[:, : k + 1] = np.einsum("pn,pnj->pj", p, phi)
    out[:, k + 1 : 2 * k + 1] = np.einsum("pn,pnj->pj", p, phi[..., 1:] ** 2)
    out[:, -1] = -np.sum(np.where(p > 0, p * log_p, 0), axis=1)
    return out
