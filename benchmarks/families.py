"""Random moment problems whose truth is known before anybody solves them.

Truth never comes from the code under test: either by construction (the moments of an
exp-polynomial, by an independent quadrature in longdouble, have that exp-polynomial as their
answer; moments of a density with a floor are inside; moments of few atoms are on the boundary; a
point beyond a boundary point, seen from inside, is outside) or by theory (skewness and kurtosis on
the line, recursion by degree on the half line).

Moments are handed over as float64, correctly rounded: Chebyshev moments for an interval, raw ones
else. Rounding can leave open on which side of the boundary they are; `independent.decided` says so
(see there), and such a case is marked `undecided`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.independent import (
    EPS,
    HALF,
    INTERVAL,
    LINE,
    REAL,
    NotThere,
    blur,
    chebyshev,
    coefficients,
    decided,
    gauss_legendre,
    last_coefficient,
    moments_of,
    moments_of_density,
    newton,
    powers,
    rule,
)
from benchmarks.judge import features

INF = math.inf
DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Case:
    """One problem and what is true of it."""

    family: str
    k: int
    support: tuple[float, ...]
    moments: tuple[float, ...]
    kind: str
    truth: str  # solvable | infeasible | atomic | no-maximum
    undecided: bool = False
    # other statuses that would be right, by a rule stated where it is used
    honest: tuple[str, ...] = ()
    # rounding the moments moves log p by more than ENOUGH_BLUR: ATOMIC and ILL_CONDITIONED
    # are right
    blurred: bool = False
    entropy: float | None = None  # in x
    slack: float = 0.0  # how far the rounding of the moments may move that entropy
    steep: float = 0.0  # how far an error of one in each moment would: see Uncertainty
    # counts for the promise: inside, spikes no narrower than 1e-3, k <= 16, Chebyshev
    headline: bool = False
    note: str = ""

    @property
    def discrete(self) -> bool:
        return len(self.support) > 2


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def some_interval(rng) -> tuple[float, float]:
    choices = (
        (-1.0, 1.0),
        (-1.0, 1.0),
        (0.0, 1.0),
        (-8.0, 8.0),
        (2.0, 7.0),
        (-1e-3, 3e-3),
        (0.0, 1e5),
    )
    return choices[rng.integers(len(choices))]


def on_interval(
    family,
    k,
    rng,
    m,
    *,
    truth="solvable",
    blurred=False,
    known=None,
    entropy=None,
    headline=True,
    note="",
):
    lo, hi = some_interval(rng)
    m = np.asarray(m, dtype=REAL)[: k + 1]
    rounded = tuple(float(v) for v in m)
    side = decided("interval", np.array(rounded, dtype=REAL))
    if entropy is not None:
        entropy = float(entropy) + math.log((hi - lo) / 2)
    undecided = side != ("outside" if truth == "infeasible" else "inside") and truth != "atomic"
    return Case(
        family,
        k,
        (lo, hi),
        rounded,
        "chebyshev",
        truth,
        undecided,
        (),
        blurred if known is None else known.blurred,
        entropy,
        0.0 if known is None else known.slack,
        0.0 if known is None else known.steep,
        headline and truth == "solvable" and not undecided and k <= 16,
        note,
    )


ENOUGH_BLUR = 1e-2
ROUNDINGS = 32.0  # of a term of the exponent, on its way into an entropy


def half_ulp(m):
    error = 2.0**-53 * np.abs(np.asarray(m, dtype=float))
    error[0] = 0
    return error


@dataclass(frozen=True)
class Uncertainty:
    """What half a unit in the last place of the moments does to a known answer.

    blurred  it moves log p by ENOUGH_BLUR and more; or, where mass can escape, it decides whether
             there is a maximum
    slack    by how much it moves the entropy: dH = -c.dm - dm.H^-1.dm / 2, the worst signs; and
             what the rounding of longdouble puts into the entropy of `truth` itself
    steep    by how much the entropy moves when each moment, as `judge.py` counts it, moves by one:
             sum |c_j| in the judge's functions, of size 1
    """

    blurred: bool
    slack: float
    steep: float


def uncertainty(truth, m, loc=0.0, scale=1.0):
    """Of the moments m of (t - loc) / scale under `truth`."""
    domain, c = truth.domain, truth.c
    t, w = rule(lambda s: domain.exponent(s, c), domain.breaks(c))
    log_p = truth.logpdf(t)
    p = w * np.exp(log_p)
    p = p / p.sum()
    k = len(m) - 1
    error = half_ulp(m)
    phi = domain.features((t - loc) / scale, k)
    moved = blur(phi, p, error)
    blurred = not moved < ENOUGH_BLUR
    if not blurred and domain.name != "interval" and k == len(c):
        last, doubt = last_coefficient(phi, p, log_p, error)
        blurred = not last > doubt
    with np.errstate(all="ignore"):
        slack = np.abs(coefficients(phi, p, log_p)) @ error + moved**2 / 2
        slack += ROUNDINGS * EPS * (np.abs(c) @ np.abs(truth.moments[1 : len(c) + 1]))
        mean = p @ t
        if domain.name == "half":
            f = features((0.0, INF), t / mean, k)
        elif domain.name == "line":
            f = features((-INF, INF), (t - mean) / np.sqrt(p @ (t - mean) ** 2), k)
        else:
            f = features((-1.0, 1.0), t, k)
        sizes = np.sqrt(np.maximum(1, p @ f**2))
        steep = (np.abs(coefficients(f, p, log_p)) @ sizes)[()]
    return Uncertainty(
        blurred,
        float(slack) if np.isfinite(slack) else INF,
        float(steep) if np.isfinite(steep) else INF,
    )


def second_look(case):
    """Is the answer to these Chebyshev moments blurred? From an independent solution, or from a
    near-solution (decrement below 1e-2); slow, so asked only when the answer matters.
    """
    m = np.array(case.moments, dtype=REAL)
    try:
        c = newton(INTERVAL, m, np.zeros(case.k, dtype=REAL), steps=60, tolerance=1e-12).c
    except NotThere as short:
        if not short.decrement < 1e-2:
            return False
        c = short.c
    except ArithmeticError:
        return False
    return uncertainty(moments_of(INTERVAL, c), m).blurred


def is_blurred_source(t, p, m):
    """The same under the measure that the moments come from, where the answer is not known: it
    shares the first k moments with the answer, and so its lumps.
    """
    if len(t) <= len(m):
        return True
    return not blur(chebyshev(t, len(m) - 1), p / p.sum(), half_ulp(m)) < ENOUGH_BLUR


# ---------------------------------------- interval
def smooth(rng, k):
    size = log_uniform(rng, 0.1, 30)
    c = rng.standard_normal(k) * size / np.sqrt(np.arange(1, k + 1))
    truth = moments_of(INTERVAL, c.astype(REAL))
    known = uncertainty(truth, truth.moments)
    return on_interval("smooth", k, rng, truth.moments, known=known, entropy=truth.entropy)


def betas(rng, k):
    """Mixtures of one to three beta densities; their exponents are multiples of 1/2, so that
    t = -cos(theta) makes them trigonometric polynomials."""
    total = np.zeros(k + 1, dtype=REAL)
    weights = rng.dirichlet(np.ones(rng.integers(1, 4)))
    theta_breaks = np.linspace(REAL(0), np.pi.__float__(), 40).astype(REAL)
    theta_breaks = theta_breaks * (REAL(np.arccos(REAL(-1))) / theta_breaks[-1])
    for weight in weights:
        a, b = rng.integers(1, 41, 2)  # twice the exponents of the beta law

        def log_density(theta, a=a, b=b):
            s, c = np.sin(theta / 2), np.cos(theta / 2)
            small = np.finfo(REAL).tiny
            return (a - 1) * np.log(np.maximum(s, small)) + (b - 1) * np.log(np.maximum(c, small))

        m = moments_of_density(
            log_density, theta_breaks, lambda theta, k: chebyshev(-np.cos(theta), k), k
        )
        total = total + REAL(weight) * m
    total[0] = 1
    return on_interval("betas", k, rng, total)


def mixture(parts, floor, k):
    """Chebyshev moments of sum weight * normal(centre, width) cut to [-1, 1], plus floor * uniform;
    and that measure as nodes and weights.
    """
    t, p = _flat_rule(floor)
    nodes, weights = [t], [p]
    for weight, centre, width in parts:
        centre, width = REAL(centre), REAL(width)
        lo, hi = max(REAL(-1), centre - 14 * width), min(REAL(1), centre + 14 * width)

        def exponent(t, c=centre, w=width):
            return -(((t - c) / w) ** 2) / 2

        t, w = rule(exponent, np.linspace(lo, hi, 12))
        w = w * np.exp(exponent(t))
        nodes.append(t)
        weights.append(REAL(weight) * w / w.sum())
    t, p = np.concatenate(nodes), np.concatenate(weights)
    m = p @ chebyshev(t, k)
    return m / m[0], t, p


def _flat_rule(mass):
    x, w = gauss_legendre(48)
    return x, REAL(mass) * w / 2


def random_spikes(rng, widths):
    n = rng.integers(1, 5)
    centres = rng.uniform(-0.9, 0.9, n)
    weights = rng.dirichlet(np.full(n, 2.0))
    return [(w, c, log_uniform(rng, *widths)) for w, c in zip(weights, centres, strict=True)]


def spikes(rng, k):
    parts = random_spikes(rng, (1e-3, 1e-1))
    floor = log_uniform(rng, 1e-3, 0.3)
    parts = [(w * (1 - floor), c, s) for w, c, s in parts]
    m, t, p = mixture(parts, floor, k)
    return on_interval("spikes + floor", k, rng, m, blurred=is_blurred_source(t, p, m))


def pure_spikes(rng, k):
    m, t, p = mixture(random_spikes(rng, (1e-3, 1e-1)), 0.0, k)
    return on_interval("spikes alone", k, rng, m, blurred=is_blurred_source(t, p, m))


def blurred_atoms(rng, k):
    n = rng.integers(1, 6)
    floor = 10.0 ** -rng.integers(2, 5)
    atoms = rng.uniform(-1, 1, n).astype(REAL)
    weights = rng.dirichlet(np.full(n, 2.0)).astype(REAL) * (1 - REAL(floor))
    t, p = (np.concatenate(v) for v in zip(_flat_rule(floor), (atoms, weights), strict=True))
    m = p @ chebyshev(t, k)
    m[0] = 1
    return on_interval(
        "blurred atoms", k, rng, m, blurred=is_blurred_source(t, p, m), note=f"blur {floor:g}"
    )


def layers(rng, k):
    which = rng.integers(4)
    if which == 0:  # arcsine, tilted by a smooth factor: singular at both ends
        tilt = rng.normal(0, 1, 3).astype(REAL)
        pi = np.arccos(REAL(-1))
        m = moments_of_density(
            lambda a: chebyshev(-np.cos(a), 3)[..., 1:] @ tilt,
            np.linspace(REAL(0), pi, 40),
            lambda a, k: chebyshev(-np.cos(a), k),
            k,
        )
        m[0] = 1
        return on_interval("layers", k, rng, m, note="arcsine, tilted")
    if which == 1:  # truncated exponential: its own answer
        rate = REAL(log_uniform(rng, 1, 1e4) * rng.choice([-1, 1]))
        c = np.zeros(k, dtype=REAL)
        c[0] = rate / 2
        truth = moments_of(INTERVAL, c)
        return on_interval(
            "layers",
            k,
            rng,
            truth.moments,
            known=uncertainty(truth, truth.moments),
            entropy=truth.entropy,
            note=f"rate {rate:.3g}",
        )
    if which == 2:  # heavy tails on a wide interval: the answer has layers at both ends
        width, centre = REAL(log_uniform(rng, 0.02, 0.3)), REAL(rng.uniform(-0.5, 0.5))
        power = rng.choice([1.0, 1.5, 2.0, 3.0])
        breaks = np.unique(
            np.clip(
                np.concatenate(
                    [[-1, 1], centre + width * np.sinh(np.linspace(-6, 6, 80)).astype(REAL)]
                ),
                -1,
                1,
            )
        )
        m = moments_of_density(
            lambda t: -REAL(power) * np.log1p(((t - centre) / width) ** 2), breaks, chebyshev, k
        )
        m[0] = 1
        return on_interval("layers", k, rng, m, note="Student-like")
    steep = log_uniform(rng, 10, 1e3)  # exp-polynomial with a steep end
    c = rng.standard_normal(k)
    c = c * steep / max(np.abs(c).sum(), 1e-9)
    truth = moments_of(INTERVAL, c.astype(REAL))
    known = uncertainty(truth, truth.moments)
    return on_interval(
        "layers", k, rng, truth.moments, known=known, entropy=truth.entropy, note="steep"
    )


@cache
def columns():
    return json.loads((DATA / "columns.json").read_text())


def empirical(rng, k):
    if rng.random() < 0.4:
        row = columns()[rng.integers(len(columns()))]
        m, distinct, note = row["chebyshev"][: k + 1], row["distinct"], row["name"]
        blurred = False
    else:
        n = int(log_uniform(rng, 60, 5000))
        law = rng.integers(4)
        if law == 0:
            x = rng.lognormal(0, rng.uniform(0.3, 2), n)
        elif law == 1:
            x = rng.pareto(rng.uniform(1, 4), n)
        elif law == 2:
            x = rng.standard_t(rng.uniform(1, 5), n)
        else:
            x = rng.exponential(1, n) ** rng.uniform(0.5, 3)
        x = x.astype(REAL)
        t = ((x - x.min()) - (x.max() - x)) / (x.max() - x.min())
        m, distinct = chebyshev(t, k).mean(axis=0), n
        blurred = is_blurred_source(t, np.full(n, 1 / REAL(n)), m)
        note = f"{('lognormal', 'pareto', 'student', 'exponential power')[law]}, n = {n}"
    if k + 1 >= 2 * distinct - 2:
        return None
    return on_interval("real columns", k, rng, m, blurred=blurred, headline=False, note=note)


# ---------------------------------------- half line
def side_note(above, shift):
    return f"m_k {'above' if above else 'below'} by {float(shift):.1e}"


def unbounded(
    family,
    k,
    support,
    m,
    name,
    *,
    truth="solvable",
    entropy=None,
    honest=(),
    known=None,
    note="",
):
    rounded = tuple(float(v) for v in m)
    centred = np.array(rounded, dtype=REAL)
    side = decided(name, centred)
    undecided = side != ("outside" if truth == "infeasible" else "inside") and truth != "atomic"
    return Case(
        family,
        k,
        support,
        rounded,
        "raw",
        truth,
        undecided,
        tuple(honest),
        known is not None and known.blurred,
        entropy,
        0.0 if known is None else known.slack,
        0.0 if known is None else known.steep,
        False,
        note,
    )


def random_half_line(rng, k):
    """A random exp-polynomial on [0, inf) of degree k and moderate size, mean about 1."""
    c = rng.normal(0, 1.5, k) / np.array([math.factorial(j) for j in range(1, k + 1)])
    c[-1] = -abs(c[-1]) - 0.02 / math.factorial(k)
    if k == 1:
        c[0] = -log_uniform(rng, 0.1, 10)
    return c.astype(REAL)


def half_line_polynomial(rng, k):
    scale = REAL(2.0 ** rng.integers(-20, 21))
    truth = moments_of(HALF, random_half_line(rng, k))
    m = truth.moments * scale ** np.arange(k + 1)
    entropy = truth.entropy + math.log(float(scale))
    return unbounded(
        "half line: exp-polynomials",
        k,
        (0.0, INF),
        m,
        "half",
        entropy=entropy,
        known=uncertainty(truth, truth.moments),
    )


def half_line_beyond(rng, k):
    """f_{k-1} is an exp-polynomial; m_k above its k-th moment has no maximum, below it has."""
    truth = moments_of(HALF, random_half_line(rng, k - 1), k)
    above = rng.random() < 0.6
    m = truth.moments.copy()
    shift = REAL(log_uniform(rng, 1e-4, 0.3))
    m[k] = m[k] * (1 + shift) if above else m[k] * (1 - shift)
    if decided("half", m) != "inside":  # too far below: left the moment space
        return None
    scale = REAL(2.0 ** rng.integers(-20, 21))
    return unbounded(
        "half line: around the edge",
        k,
        (0.0, INF),
        m * scale ** np.arange(k + 1),
        "half",
        truth="no-maximum" if above else "solvable",
        known=uncertainty(truth, m),
        note=side_note(above, shift),
    )


@cache
def laws():
    return json.loads((DATA / "half_line_laws.json").read_text())


def half_line_law(rng, k):
    rows = [r for r in laws() if len(r["moments"]) == k + 1]
    rows = [r for r in rows if r["margin"] is None or abs(r["margin"]) > 1e-7]
    if not rows:
        return None
    row = rows[rng.integers(len(rows))]
    scale = REAL(log_uniform(rng, 1e-3, 1e3))
    m = np.array(row["moments"], dtype=REAL) * scale ** np.arange(k + 1)
    start, sign = 0.0, 1
    if rng.random() < 0.3:
        sign = -1
    m = m * REAL(sign) ** np.arange(k + 1)
    entropy = None if row["entropy"] is None else row["entropy"] + math.log(float(scale))
    return replace(
        unbounded(
            "half line: gamma, Weibull, lognormal",
            k,
            (0.0, INF),
            np.abs(m),
            "half",
            truth="solvable" if row["exists"] else "no-maximum",
            entropy=entropy,
            note=f"{row['law']}({row['parameter']})",
        ),
        support=(start, INF) if sign > 0 else (-INF, start),
        moments=tuple(float(v) for v in m),
    )


# ---------------------------------------- line
LEAST_SKEW = 0.02


def junk(rng, k):
    """k = 4 on the line: inside iff kurtosis > 1 + skew^2; a maximum iff skew != 0 or kurtosis <=
    3.

    Next to the line (|skew| < 0.02, kurtosis > 3) the answer has a lump beyond 600 standard
    deviations, exponents of 1e5 and more: ILL_CONDITIONED is honest there.
    """
    skew = 0.0 if rng.random() < 0.35 else rng.choice([-1, 1]) * log_uniform(rng, 2e-3, 3)
    kurtosis = 1 + skew**2 + log_uniform(rng, 1e-3, 6)
    if rng.random() < 0.5:
        kurtosis = rng.uniform(max(1.01 + skew**2, 3), 12)
    if skew == 0 and abs(kurtosis - 3) < 1e-5:
        return None
    truth = "no-maximum" if skew == 0 and kurtosis > 3 else "solvable"
    honest = (
        ("ILL_CONDITIONED",) if 0 < abs(skew) < LEAST_SKEW and kurtosis > 3 - LEAST_SKEW else ()
    )
    m = np.array([1, 0, 1, skew, kurtosis], dtype=REAL)
    scale = REAL(2.0 ** rng.integers(-20, 21))
    return unbounded(
        "line: around Junk's line",
        4,
        (-INF, INF),
        m * scale ** np.arange(5),
        "line",
        truth=truth,
        honest=honest,
        note=f"skew {skew:.4g}, kurtosis {kurtosis:.6g}",
    )


def random_line(rng, k):
    c = rng.normal(0, 1, k) / np.array([math.factorial(j) ** 0.5 for j in range(1, k + 1)])
    c[-1] = -log_uniform(rng, 1e-3, 1)
    if rng.random() < 0.4 and k >= 4:  # wells
        c[1] = log_uniform(rng, 0.5, 4)
    return c.astype(REAL)


def standardised(truth, k):
    """Raw moments of (x - mean) / sd, integrated as such (raw moments would cancel), its mean
    and sd.
    """
    t, w = rule(lambda s: LINE.exponent(s, truth.c), LINE.breaks(truth.c))
    p = w * np.exp(truth.logpdf(t))
    p = p / p.sum()
    mean = p @ t
    sd = np.sqrt(p @ (t - mean) ** 2)
    m = p @ powers((t - mean) / sd, k)
    m[:3] = 1, 0, 1
    return m, mean, sd


def line_polynomial(rng, k):
    truth = moments_of(LINE, random_line(rng, k))
    m, mean, sd = standardised(truth, k)
    scale = REAL(2.0 ** rng.integers(-20, 21))
    return unbounded(
        "line: wells, sextics, octics",
        k,
        (-INF, INF),
        m * scale ** np.arange(k + 1),
        "line",
        entropy=truth.entropy + math.log(float(scale / sd)),
        known=uncertainty(truth, m, mean, sd),
    )


def line_odd(rng, k):
    """Odd degree on the line: no maximum, whatever the moments (inside) are."""
    truth = moments_of(LINE, random_line(rng, k + 1))
    m, _, _ = standardised(truth, k)
    m[k] = m[k] + REAL(rng.choice([-1, 1]) * log_uniform(rng, 1e-2, 1)) * math.gamma(k / 2 + 1)
    if k == 3 and abs(m[3]) < 1e-3:
        return None
    return unbounded("line: odd degrees", k, (-INF, INF), m, "line", truth="no-maximum")


def line_beyond(rng, k):
    """Symmetric exp-polynomial of degree k - 2; m_k above its own has no maximum, below it has."""
    c = random_line(rng, k - 2)
    c[::2] = 0
    truth = moments_of(LINE, c, k)
    m = truth.moments.copy()
    m[1::2] = 0
    m = m / np.sqrt(m[2]) ** np.arange(k + 1)
    above = rng.random() < 0.6
    shift = REAL(log_uniform(rng, 1e-3, 0.3))
    m[k] = m[k] * (1 + shift) if above else m[k] * (1 - shift)
    if decided("line", m) != "inside":
        return None
    return unbounded(
        "line: around the edge",
        k,
        (-INF, INF),
        m,
        "line",
        truth="no-maximum" if above else "solvable",
        note=side_note(above, shift),
    )


# ---------------------------------------- discrete
def some_points(rng):
    n = int(rng.integers(3, 25))
    if rng.random() < 0.5:
        return np.arange(1.0, n + 1)
    return np.unique(np.round(rng.uniform(-5, 5, n), 3))


def discrete(rng, k):
    points = some_points(rng)
    if len(points) < k + 3:
        return None
    t = (points.astype(REAL) - points.mean()) / (np.ptp(points) / 2)
    c = (rng.standard_normal(k) * log_uniform(rng, 0.1, 8) / np.sqrt(np.arange(1, k + 1))).astype(
        REAL
    )
    e = chebyshev(t, k)[:, 1:] @ c
    p = np.exp(e - e.max())
    p = p / p.sum()
    m = p @ powers(points.astype(REAL), k)
    m[0] = 1
    # raw moments of scattered points lose digits: the exact answer to the rounded ones is
    # near this one
    return Case(
        "discrete points",
        k,
        tuple(points),
        tuple(float(v) for v in m),
        "raw",
        "solvable",
        entropy=float(-(p * np.log(p)).sum()),
        slack=1e-9,
        undecided=bool(p.min() < 1e-9) or k > 6,
    )


# ---------------------------------------- outside, and on the boundary
def few_atoms(rng, index, lo=-1.0, hi=1.0, gap=0.08):
    """Atoms whose index (an inner one counts 1, an end one half) is at most `index`."""
    for _ in range(200):
        ends = [v for v in (lo, hi) if math.isfinite(v) and rng.random() < 0.25]
        room = int(index - 0.5 * len(ends))
        if room + len(ends) < 1:
            continue
        inner = rng.uniform(
            lo if math.isfinite(lo) else -3,
            hi if math.isfinite(hi) else 3,
            rng.integers(0, room + 1),
        )
        atoms = np.sort(np.concatenate([ends, inner]))
        if len(atoms) == 0:
            continue
        near_end = [abs(a - e) for a in inner for e in (lo, hi) if math.isfinite(e)]
        if min([*np.diff(atoms), *near_end, 9.0]) > gap:
            counted = 2 * len(inner) + len(ends)
            weights = rng.dirichlet(np.full(len(atoms), 3.0))
            if weights.min() > 0.02:
                return atoms, weights, counted
    return None


def atomic(rng, k):
    where = rng.choice(["interval", "interval", "half", "line"])
    if where != "interval" and k > 8:
        where = "interval"
    if where == "line" and k % 2:
        return None
    limits = {"interval": (-1.0, 1.0), "half": (0.0, INF), "line": (-INF, INF)}[where]
    found = few_atoms(rng, min(k / 2, 5), *limits)
    if found is None:
        return None
    atoms, weights, counted = found
    if where == "line" and counted > k:
        return None
    weights = weights.astype(REAL) / weights.astype(REAL).sum()  # to one, in REAL
    if where == "interval":
        m = weights @ chebyshev(atoms.astype(REAL), k)
        inside = decided("interval", m[:counted]) == "inside"
        m[0] = 1
        return on_interval("atoms alone", k, rng, m, truth="atomic") if inside else None
    m = weights @ powers(atoms.astype(REAL), k)
    m[0] = 1
    below = m[: counted if where == "half" else counted - 1]
    if len(below) > 1 and decided(where, below) != "inside":
        return None
    return unbounded("atoms alone", k, limits, m, where, truth="atomic")


def infeasible(rng, k):
    """b + delta (b - m), with b on the boundary and m inside, lies outside."""
    where = rng.choice(["interval", "interval", "half", "line"])
    if where != "interval" and k > 8:
        where = "interval"
    limits = {"interval": (-1.0, 1.0), "half": (0.0, INF), "line": (-INF, INF)}[where]
    k_even = k - (k % 2) if where == "line" else k
    if k_even < 2 and where == "line":
        return None
    found = few_atoms(rng, min(k_even / 2, 4), *limits)
    if found is None or found[2] > k_even:
        return None
    atoms, weights, _ = found
    weights = weights.astype(REAL) / weights.astype(REAL).sum()  # to one, in REAL
    delta = REAL(log_uniform(rng, 1e-7, 0.3))
    if where == "interval":
        boundary = weights @ chebyshev(atoms.astype(REAL), k)
        inner, _, _ = mixture([(0.5, 0.1, 0.5)], 0.5, k)
    else:
        boundary = weights @ powers(atoms.astype(REAL), k)
        j = range(k + 1)
        if where == "half":
            inner = np.array([math.factorial(i) for i in j], dtype=REAL)
        else:
            inner = np.array([0 if i % 2 else math.prod(range(1, i, 2)) for i in j], dtype=REAL)
    m = boundary + delta * (boundary - inner)
    m[0] = 1
    note = f"delta {float(delta):.1e}"
    if where == "interval":
        return on_interval("infeasible", k, rng, m, truth="infeasible", note=note)
    return unbounded("infeasible", k, limits, m, where, truth="infeasible", note=note)


EVERY = tuple(range(2, 21))
FAMILIES: dict[str, tuple[Callable, tuple[int, ...], float]] = {
    # name: (generator, degrees, share of the problems)
    "smooth": (smooth, EVERY, 2.0),
    "betas": (betas, EVERY, 1.5),
    "spikes": (spikes, EVERY, 3.0),
    "pure-spikes": (pure_spikes, EVERY, 1.5),
    "blurred-atoms": (blurred_atoms, EVERY, 1.5),
    "layers": (layers, EVERY, 1.5),
    "real-columns": (empirical, EVERY, 1.0),
    "half-polynomials": (half_line_polynomial, tuple(range(1, 9)), 1.0),
    "half-edge": (half_line_beyond, tuple(range(2, 7)), 1.0),
    "half-laws": (half_line_law, tuple(range(1, 9)), 1.0),
    "junk": (junk, (4,), 1.0),
    "line-polynomials": (line_polynomial, (2, 4, 6, 8), 1.0),
    "line-odd": (line_odd, (3, 5, 7), 0.4),
    "line-edge": (line_beyond, (4, 6, 8), 0.6),
    "discrete": (discrete, tuple(range(1, 9)), 0.7),
    "atomic": (atomic, EVERY, 1.0),
    "infeasible": (infeasible, EVERY, 1.3),
}


def draw(family: str, seed: tuple[int, ...]) -> Case:
    """The problem of that family with that seed; the degree is drawn too."""
    make, degrees, _ = FAMILIES[family]
    rng = np.random.default_rng(seed)
    for _ in range(1000):
        k = int(degrees[rng.integers(len(degrees))])
        try:
            case = make(rng, k)
        except ArithmeticError:  # the independent quadrature would not resolve it: draw again
            continue
        if case is not None:
            return case
    raise RuntimeError(f"family {family} yields nothing")
