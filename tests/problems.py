"""The table of known answers: every problem that the tests solve or expect to be refused, one row
each.

A row that is solvable carries log p exactly, as coefficients with 20 and more digits in Chebyshev
polynomials of t in [-1, 1] or in powers of t, with x = loc + scale * t; `tests/test_problems.py`
checks the table itself with mpmath (p integrates to 1 and has the moments, the quantiles are its
quantiles). The answers come from closed forms, from `data/reference.json` and from `data/hard.json`
(see `data/README.md`), never from the code under test.

A row that is not solvable carries the status that it deserves, and why.

    select("spike", "layer")          rows with any of these tags
    SOLVABLE, UNSOLVABLE              the two halves of what a solver of power and Chebyshev moments
    can be asked LOG_MOMENTS                       rows of E[ln x]: known answers for later LIMITS
    solvable in theory, beyond float64 or beyond this library: honest refusals are fine
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import mpmath as mp

DATA = Path(__file__).with_name("data")
DIGITS = 40
INF = math.inf


@dataclass(frozen=True)
class Problem:
    """One row. `name` is the pytest id."""

    name: str
    support: tuple[float, ...]  # (lo, hi), or the points of a discrete support
    moments: tuple[float, ...]  # taken as exact; the first is 1
    kind: str = "raw"  # raw | central | standardized | chebyshev | log
    tags: frozenset[str] = frozenset()
    status: str = "SOLVED"  # the name of the status that it deserves
    also: frozenset[str] = frozenset()  # other statuses that would be honest
    why: str = ""
    # the answer, for solvable rows
    basis: str = "power"  # chebyshev | power
    c: tuple[str, ...] = ()  # log p(x) = sum_j c_j phi_j((x - loc) / scale), with the constant
    loc: float = 0.0
    scale: float = 1.0
    entropy: str = ""
    ppf: tuple[tuple[str, str], ...] = ()  # (u, x)
    pdf_at: tuple[float, ...] = ()
    # what float64 can be asked for: how far (entropy, x, relative pdf) the answer moves when
    # the input is rounded
    drift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    probabilities: tuple[str, ...] = field(default=(), repr=False)  # discrete: the answer itself

    def __str__(self) -> str:
        return self.name

    @property
    def degree(self) -> int:
        return len(self.moments) - 1

    @property
    def discrete(self) -> bool:
        return "discrete" in self.tags

    def logpdf(self, x: object) -> mp.mpf:
        """log p at x, in mpmath at its present precision."""
        return log_polynomial(self.basis, self.c, (mp.mpf(x) - self.loc) / self.scale)

    @property
    def pdf(self) -> tuple[tuple[float, float], ...]:
        with mp.workdps(DIGITS):
            return tuple((x, float(mp.exp(self.logpdf(x)))) for x in self.pdf_at)

    @property
    def spread(self) -> float:
        """A length to measure quantile errors by: the support's, or what lies between the
        outer stated quantiles.
        """
        lo, hi = self.support[0], self.support[-1]
        if math.isfinite(hi - lo):
            return hi - lo
        return max(abs(float(a[1]) - float(b[1])) for a in self.ppf for b in self.ppf)


@lru_cache(maxsize=4096)
def _parsed(c: tuple[str, ...]) -> tuple[mp.mpf, ...]:
    with mp.workdps(DIGITS + 10):
        return tuple(mp.mpf(v) for v in c)


def log_polynomial(basis: str, c: tuple[str, ...], t: mp.mpf) -> mp.mpf:
    c = _parsed(c)
    if basis == "power":
        return mp.polyval(c[::-1], t)
    b0 = b1 = mp.mpf(0)
    for a in c[:0:-1]:  # Clenshaw
        b0, b1 = a + 2 * t * b0 - b1, b0
    return c[0] + t * b0 - b1


# ---------------------------------------- from files
TAGS = {
    "beta25": "smooth",
    "mix05": "smooth",
    "truncexp3": "smooth",
    "uniform": "smooth",
    "atoms4": "near-boundary",
    "lognormal1000": "empirical",
}


def _tags(row: dict) -> frozenset[str]:
    lo, hi = row["support"]
    where = "line" if lo == "-inf" else "half-line" if hi == "inf" else "interval"
    extra = {row["tag"]} if "tag" in row else {t for key, t in TAGS.items() if key in row["name"]}
    if row["kind"] == "log":
        extra.add("log-moments")
    edge = row["name"] in ("c/normal/k4", "d/exponential/k2")
    return frozenset({where, row["kind"], *extra, *(["edge"] if edge else [])})


def _from_file(name: str) -> list[Problem]:
    out = []
    for row in json.loads((DATA / name).read_text()):
        lo, hi = (float(v) for v in row["support"])
        frame = ((lo + hi) / 2, (hi - lo) / 2) if row["basis"] == "chebyshev" else (0.0, 1.0)
        out.append(
            Problem(
                name=row["name"],
                support=(lo, hi),
                moments=tuple(row["moments"]),
                kind=row["kind"],
                tags=_tags(row),
                why=row["source"],
                basis=row["basis"],
                c=tuple(row["c"]),
                loc=frame[0],
                scale=frame[1],
                entropy=row["entropy"],
                ppf=tuple(row["ppf"].items()),
                pdf_at=tuple(float(x) for x in row["pdf_at"]),
                drift=tuple(row["drift"]),
            )
        )
    return out


# ---------------------------------------- closed forms
def _text(values: object) -> tuple[str, ...]:
    return tuple(mp.nstr(mp.mpf(v), 30) for v in values)


def uniform(lo: float, hi: float, k: int) -> Problem:
    m = [
        (mp.mpf(hi) ** (j + 1) - mp.mpf(lo) ** (j + 1)) / ((j + 1) * (mp.mpf(hi) - lo))
        for j in range(k + 1)
    ]
    length = mp.mpf(hi) - lo
    return Problem(
        f"uniform[{lo:g},{hi:g}]/k{k}",
        (lo, hi),
        tuple(float(v) for v in m),
        "raw",
        frozenset({"closed", "interval", "raw", "smooth"}),
        why="uniform",
        c=_text([-mp.log(length)] + [0] * k),
        entropy=mp.nstr(mp.log(length), 30),
        ppf=tuple(
            (f"{u}", mp.nstr(lo + length * mp.mpf(str(u)), 25)) for u in (0.01, 0.25, 0.5, 0.99)
        ),
        pdf_at=(lo, (lo + hi) / 2, hi),
        drift=(0.0, 0.0, 1e-15 * 10**k),
    )


# |d log p| at the end of the layer when every Chebyshev moment moves by half a unit in its last
# place, the worst signs: from the inverse covariance, in 40 digits.
LAYER_DRIFT = {(1, 1): 5e-17, (20, 2): 9e-15, (300, 4): 2.5e-8, (1e4, 1): 6e-13, (1e4, 3): 1.3e-5}


def truncated_exponential(rate: float, k: int) -> Problem:
    """Density rate exp(-rate x) / (1 - exp(-rate)) on [0, 1], from k Chebyshev moments of t =
    2x - 1.
    """
    r = mp.mpf(rate)
    # E[t^j] by quadrature-free recursion on I_j = int_{-1}^{1} t^j exp(-r t / 2) dt would
    # cancel: integrate instead
    layer = (
        [mp.mpf(0)]
        + [mp.mpf(2) ** j / r for j in range(-4, 9) if mp.mpf(2) ** j / r < 1]
        + [mp.mpf(1)]
    )
    z = -mp.expm1(-r) / r
    m = [
        mp.quad(lambda x, j=j: mp.chebyt(j, 2 * x - 1) * mp.exp(-r * x), layer) / z
        if j
        else mp.mpf(1)
        for j in range(k + 1)
    ]
    c0 = mp.log(r / -mp.expm1(-r))
    mean = (m[1] + 1) / 2
    return Problem(
        f"truncated-exponential{rate:g}/k{k}",
        (0.0, 1.0),
        tuple(float(v) for v in m),
        "chebyshev",
        frozenset({"closed", "interval", "chebyshev", "layer"}),
        why="a layer of width 1/rate at the left end",
        c=_text([c0, -r]),
        entropy=mp.nstr(r * mean - c0, 30),
        ppf=tuple(
            (f"{u}", mp.nstr(-mp.log1p(mp.mpf(str(u)) * mp.expm1(-r)) / r, 25))
            for u in (0.01, 0.25, 0.5, 0.99)
        ),
        pdf_at=(0.0, 0.5 / rate, min(1.0, 2 / rate)),
        drift=(1e-16 * rate, 1e-16, LAYER_DRIFT[rate, k]),
    )


def normal(mean: float, sd: float, k: int, kind: str = "raw") -> Problem:
    mu, s = mp.mpf(mean), mp.mpf(sd)
    double = [mp.mpf(0) if j % 2 else mp.fac2(j - 1) if j else mp.mpf(1) for j in range(k + 1)]
    if kind == "raw":
        m = [
            sum(mp.binomial(j, i) * mu ** (j - i) * s**i * double[i] for i in range(j + 1))
            for j in range(k + 1)
        ]
    else:
        m = [double[j] * s**j for j in range(k + 1)]
        m[1] = mu
        if kind == "standardized":
            m[3:] = double[3:]
    z = {
        u: mp.sqrt(2) * mp.erfinv(2 * mp.mpf(u) - 1)
        for u in ("0.01", "0.25", "0.5", "0.99", "0.999")
    }
    relative = abs(mean / sd) + 1
    return Problem(
        f"normal({mean:g},{sd:g})/{kind}/k{k}",
        (-INF, INF),
        tuple(float(v) for v in m),
        kind,
        frozenset({"closed", "line", kind, *(["edge"] if k > 2 else [])}),
        why="normal",
        c=_text([-mp.log(2 * mp.pi) / 2 - mp.log(s), 0, mp.mpf(-1) / 2]),
        loc=mean,
        scale=sd,
        entropy=mp.nstr(mp.log(2 * mp.pi * mp.e) / 2 + mp.log(s), 30),
        ppf=tuple((u, mp.nstr(mu + s * v, 25)) for u, v in z.items()),
        pdf_at=(mean - sd, mean, mean + 2 * sd),
        drift=(1e-16 * relative**2, 1e-16 * relative * abs(mean), 3e-16 * relative**2)
        if kind == "raw"
        else (0.0, 0.0, 0.0),
    )


def exponential(start: float, mean: float, k: int, left: bool = False) -> Problem:
    """On [start, inf) with E[x - start] = mean; `left`: mirrored, on (-inf, start]."""
    sign = -1 if left else 1
    a, b = mp.mpf(start), mp.mpf(mean)
    m = [
        sum(
            mp.binomial(j, i) * a ** (j - i) * (sign * b) ** i * mp.factorial(i)
            for i in range(j + 1)
        )
        for j in range(k + 1)
    ]
    quantile = {u: -b * mp.log1p(-mp.mpf(u)) for u in ("0.01", "0.25", "0.5", "0.99")}
    if left:
        quantile = {mp.nstr(1 - mp.mpf(u), 6): q for u, q in quantile.items()}
    return Problem(
        f"exponential({start:g},{mean:g}{',left' if left else ''})/k{k}",
        (-INF, start) if left else (start, INF),
        tuple(float(v) for v in m),
        "raw",
        frozenset({"closed", "half-line", "raw", *(["edge"] if k > 1 else [])}),
        why="exponential",
        c=_text([-mp.log(b), -1]),
        loc=start,
        scale=sign * mean,
        entropy=mp.nstr(1 + mp.log(b), 30),
        ppf=tuple((u, mp.nstr(a + sign * q, 25)) for u, q in quantile.items()),
        pdf_at=(start, start + sign * mean, start + sign * 5 * mean),
        drift=(0.0, 0.0, 0.0)
        if start == 0
        else (1e-15, 1e-16 * abs(start), 1e-15 * (1 + abs(start) / mean)),
    )


def truncated_normal(lo: float, hi: float, mean: float, sd: float) -> Problem:
    """A normal cut to [lo, hi]: k = 2, closed form. hi may be inf."""
    mu, s, a, b = mp.mpf(mean), mp.mpf(sd), mp.mpf(lo), mp.mpf(hi)

    def cdf(x):
        return mp.ncdf((x - mu) / s) if mp.isfinite(x) else mp.mpf(1)

    def density(x):
        return mp.npdf((x - mu) / s) / s if mp.isfinite(x) else mp.mpf(0)

    mass = cdf(b) - cdf(a)
    first = mu + s**2 * (density(a) - density(b)) / mass
    edge = a * density(a) - (b * density(b) if mp.isfinite(b) else 0)
    second = mu * first + s**2 + s**2 * edge / mass
    c0 = -mp.log(mass) - mp.log(s) - mp.log(2 * mp.pi) / 2
    entropy = -c0 + (second - 2 * mu * first + mu**2) / (2 * s**2)
    finite = mp.isfinite(b)
    u = ("0.01", "0.25", "0.5", "0.9")
    ppf = [
        (
            v,
            mp.nstr(
                mp.findroot(
                    lambda x, v=v: (cdf(x) - cdf(a)) / mass - mp.mpf(v),
                    _bracket(v, a, b, mu, s, cdf, mass),
                    solver="illinois",
                    tol=1e-50,
                    verify=False,
                ),
                25,
            ),
        )
        for v in u
    ]
    return Problem(
        f"truncated-normal[{lo:g},{hi:g}]({mean:g},{sd:g})",
        (lo, hi),
        (1.0, float(first), float(second)),
        "raw",
        frozenset({"closed", "interval" if finite else "half-line", "raw"}),
        why="a normal cut off",
        c=_text([c0, 0, mp.mpf(-1) / 2]),
        loc=mean,
        scale=sd,
        entropy=mp.nstr(entropy, 30),
        ppf=tuple(ppf),
        pdf_at=tuple(float(x) for _, x in ppf),
        drift=(1e-15, 1e-16 / sd, 3e-16 / sd**2),
    )


def _bracket(u, a, b, mu, s, cdf, mass):
    lo, hi = a, b if mp.isfinite(b) else max(mu, a) + 20 * s
    for _ in range(40):
        middle = (lo + hi) / 2
        if (cdf(middle) - cdf(a)) / mass < mp.mpf(u):
            lo = middle
        else:
            hi = middle
    return lo, hi


def quartic(scale: float) -> Problem:
    """exp(-(x/scale)^4) / (2 scale Gamma(5/4)) on the line."""
    s = mp.mpf(scale)
    m2, m4 = mp.gamma(mp.mpf(3) / 4) / mp.gamma(mp.mpf(1) / 4), mp.mpf(1) / 4
    log_z = mp.log(2 * mp.gamma(mp.mpf(5) / 4))
    return Problem(
        f"quartic({scale:g})",
        (-INF, INF),
        tuple(float(v) for v in (1, 0, m2 * s**2, 0, m4 * s**4)),
        "raw",
        frozenset({"closed", "line", "raw"}),
        why="exp(-x^4)",
        c=_text([-log_z - mp.log(s), 0, 0, 0, -1]),
        scale=scale,
        entropy=mp.nstr(log_z + mp.log(s) + m4, 30),
        ppf=(("0.5", "0"),),
        pdf_at=(0.0, scale, -1.5 * scale),
        drift=(1e-15, 0.0, 1e-14),
    )


def loaded_die(mean: float, faces: int = 6) -> Problem:
    """Jaynes' die: p_i proportional to r^i with the given mean."""

    def gap(r):
        return sum(i * r**i for i in range(1, faces + 1)) / sum(
            r**i for i in range(1, faces + 1)
        ) - mp.mpf(mean)

    r = mp.findroot(gap, (mp.mpf("0.05"), mp.mpf(20)), solver="illinois", tol=1e-60, verify=False)
    z = sum(r**i for i in range(1, faces + 1))
    p = [r**i / z for i in range(1, faces + 1)]
    return Problem(
        f"die{faces}/mean{mean:g}",
        tuple(float(i) for i in range(1, faces + 1)),
        (1.0, mean),
        "raw",
        frozenset({"closed", "discrete", "raw"}),
        why="Jaynes' die",
        entropy=mp.nstr(-sum(q * mp.log(q) for q in p), 30),
        probabilities=_text(p),
    )


@lru_cache(maxsize=1)
def _closed() -> tuple[Problem, ...]:
    with mp.workdps(DIGITS):
        return (
            *(uniform(lo, hi, k) for lo, hi, k in ((0, 1, 1), (-1, 1, 2), (2, 5, 3), (-1, 1, 8))),
            *(
                truncated_exponential(r, k)
                for r, k in ((1, 1), (20, 2), (300, 4), (1e4, 1), (1e4, 3))
            ),
            *(
                normal(mu, s, k)
                for mu, s, k in (
                    (0, 1, 2),
                    (3, 2, 2),
                    (-0.5, 0.1, 2),
                    (0, 1, 3),
                    (0, 1, 6),
                    (0, 2, 8),
                )
            ),
            normal(1e6, 1, 2, "central"),
            normal(1e6, 1, 4, "standardized"),
            normal(-3, 1e-6, 4, "central"),
            normal(1e4, 1, 2),
            *(
                exponential(a, b, k)
                for a, b, k in ((0, 1, 1), (0, 1e-3, 1), (5, 2, 1), (0, 1, 3), (0, 1, 5))
            ),
            exponential(2, 3, 1, left=True),
            *(
                truncated_normal(*v)
                for v in (
                    (-1, 1, 0.3, 0.02),
                    (-1, 1, 0, 0.01),
                    (0, 1, 0.2, 1.5),
                    (0, INF, 1, 0.7),
                    (0, INF, -1, 1),
                    (2, INF, 4, 1),
                )
            ),
            quartic(1.0),
            quartic(50.0),
            *(loaded_die(m) for m in (4.5, 3.5, 1.2, 5.9)),
            loaded_die(2.5, 3),
        )


# ---------------------------------------- unsolvable rows
UNIT, BOTH, HALF, LEFT, LINE = (0.0, 1.0), (-1.0, 1.0), (0.0, INF), (-INF, 0.0), (-INF, INF)
DIE = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


def row(status, name, support, moments, why, *, tag="theory", kind="raw", also=()):
    """A problem without an answer."""
    lo, hi = support[0], support[-1]
    where = "line" if lo == -INF and hi == INF else "half-line" if INF in (-lo, hi) else "interval"
    if len(support) > 2:
        where = "discrete"
    tags = frozenset({"refused", where, tag})
    return Problem(name, support, tuple(moments), kind, tags, status, frozenset(also), why)


def _powers(points: list[float], weights: list[float], k: int) -> tuple[float, ...]:
    """Raw moments of atoms, correctly rounded."""
    with mp.workdps(DIGITS):
        return tuple(
            float(
                sum(
                    mp.mpf(str(w)) * mp.mpf(str(x)) ** j
                    for x, w in zip(points, weights, strict=True)
                )
            )
            for j in range(k + 1)
        )


FIVE = (
    1.0,
    0.03,
    -0.201,
    0.0297,
    0.22195,
    0.153993,
    -0.1729101,
    0.07760217,
    -0.549253565,
    -0.0747403767,
    -0.12161283501,
)
FIVE_RAW = (
    1.0,
    0.03,
    0.3995,
    0.029925,
    0.30224375,
    0.0376558125,
    0.254493434375,
    0.04420708078125,
    0.2189536377734375,
    0.04860244981757812,
    0.18950956448240233,
)
LAPLACE = (1.0, 0.0, 2.0, 0.0, 24.0)

# fmt: off
UNSOLVABLE: tuple[Problem, ...] = (
    # outside the moment space
    row("INFEASIBLE", "mean-outside", UNIT, (1, 1.2), "the mean lies outside the support"),
    row("INFEASIBLE", "variance-negative", UNIT, (1, 0.5, 0.2), "variance -0.05"),
    row("INFEASIBLE", "infeasible_var/k2", BOTH, (1, 0.5, 0.2), "m2 < m1^2"),
    row("INFEASIBLE", "infeasible_var/k2/chebyshev", BOTH, (1, 0.5, -0.6),
        "m2 < m1^2", kind="chebyshev"),
    row("INFEASIBLE", "variance-too-large", UNIT, (1, 0.5, 0.55), "variance beyond two end atoms"),
    row("INFEASIBLE", "third-moment", UNIT, (1, 0.5, 0.3, 0.25), "m3 > what [0, 1] allows"),
    row("INFEASIBLE", "chebyshev-above-one", BOTH, (1, 0, 0, 1.01),
        "|T_3| <= 1", kind="chebyshev"),
    row("INFEASIBLE", "samples-left-the-support", UNIT, _powers([0.2, 1.5], [0.5, 0.5], 3),
        "the data reach 1.5"),
    row("INFEASIBLE", "mean-negative", HALF, (1, -0.5), "mean left of the support"),
    row("INFEASIBLE", "half-variance", HALF, (1, 2, 3.9), "m2 < m1^2"),
    row("INFEASIBLE", "half-third", HALF, (1, 1, 1.5, 2.2), "m1 m3 < m2^2"),
    row("INFEASIBLE", "half-mirrored", LEFT, (1, 0.5), "mean right of the support"),
    row("INFEASIBLE", "kurt-below-1+skew2", LINE, (1, 0, 1, 1, 1.9), "kurtosis < 1 + skew^2"),
    row("INFEASIBLE", "line-variance", LINE, (1, 3, 8.9), "m2 < m1^2"),
    row("INFEASIBLE", "line-sixth", LINE, (1, 0, 1, 0, 3, 0, 8.9), "m2 m6 < m4^2"),
    row("INFEASIBLE", "die-mean-7", DIE, (1, 7.0), "mean beyond the last face"),
    row("INFEASIBLE", "die-variance", DIE, (1, 3.5, 12.3),
        "variance 0.05: between two faces it is at least 0.25"),
    # on its boundary: atoms and nothing else
    row("ATOMIC", "one-atom", UNIT, (1, 0.5, 0.25), "a constant"),
    row("ATOMIC", "end-atom", UNIT, (1, 0.0), "all mass at the left end"),
    row("ATOMIC", "right-end-atom", UNIT, (1, 1.0), "all mass at the right end"),
    row("ATOMIC", "both-ends", UNIT, (1, 0.3, 0.3), "atoms at 0 and 1"),
    row("ATOMIC", "two-atoms", BOTH, _powers([-0.3, 0.6], [0.25, 0.75], 4), "two atoms"),
    row("ATOMIC", "three-atoms/k8", BOTH, _powers([-0.5, 0.1, 0.6], [0.25, 0.25, 0.5], 8),
        "three atoms"),
    row("ATOMIC", "five-samples/k10/chebyshev", BOTH, FIVE, "five atoms", kind="chebyshev"),
    row("ATOMIC", "five-samples/k10/raw", BOTH, FIVE_RAW, "five atoms"),
    row("ATOMIC", "fair-die/k10", (1.0, 6.0), _powers([1, 2, 3, 4, 5, 6], [1 / 6] * 6, 10),
        "six atoms, two of them at the ends, count five", also=("ILL_CONDITIONED",)),
    row("ATOMIC", "half-at-start", HALF, (1, 0.0), "all mass at the start"),
    row("ATOMIC", "half-one-atom", HALF, (1, 2, 4), "a constant"),
    row("ATOMIC", "half-two-atoms", HALF, _powers([1, 3], [0.5, 0.5], 4), "two atoms"),
    row("ATOMIC", "half-start-and-one", HALF, _powers([0, 2], [0.5, 0.5], 3), "atoms at 0 and 2"),
    row("ATOMIC", "two-atoms-on-the-line", LINE, (1, 0, 1, 0, 1), "atoms at -1 and 1"),
    row("ATOMIC", "line-constant", LINE, (1, 3, 9), "a constant"),
    row("ATOMIC", "line-three-atoms", LINE, _powers([-1, 0, 2], [0.25, 0.5, 0.25], 6),
        "three atoms"),
    row("ATOMIC", "die-mean-6", DIE, (1, 6.0), "only the last face"),
    row("ATOMIC", "die-variance-least", DIE, (1, 3.5, 12.5), "only faces 3 and 4"),
    # inside, without a maximum
    row("NO_MAXIMUM", "junk-line-3.5", LINE, (1, 0, 1, 0, 3.5), "skew 0, kurtosis above 3"),
    row("NO_MAXIMUM", "junk-line-3.0001", LINE, (1, 0, 1, 0, 3.0001), "skew 0, kurtosis above 3"),
    row("NO_MAXIMUM", "laplace/k4", LINE, LAPLACE, "Laplace: kurtosis 6"),
    row("NO_MAXIMUM", "laplace-standardized", LINE, (1, 5, 2, 0, 6),
        "Laplace", kind="standardized"),
    row("NO_MAXIMUM", "laplace-central", LINE, (1, -7, 2, 0, 24), "Laplace", kind="central"),
    row("NO_MAXIMUM", "student5/k4", LINE, (1, 0, 5 / 3, 0, 25), "Student t5: kurtosis 9"),
    row("NO_MAXIMUM", "line-k1", LINE, (1, 0.0), "a mean alone holds nothing together"),
    row("NO_MAXIMUM", "line-skew/k3", LINE, (1, 0, 1, 0.5), "odd degree"),
    row("NO_MAXIMUM", "line-k5", LINE, (1, 0, 1, 0, 2.5, 0.3), "odd degree"),
    row("NO_MAXIMUM", "bimodal2/k6", LINE, (1, 0, 5, 0, 43, 0, 499),
        "m6 = 499 is above 462.84 of the k = 4 answer"),
    row("NO_MAXIMUM", "normal-heavy/k6", LINE, (1, 0, 1, 0, 3, 0, 15.1),
        "m6 above 15 of the normal"),
    row("NO_MAXIMUM", "gamma2/k3", HALF, (1, 2, 6, 24), "m3 = 24 is above 22.3955 of k = 2"),
    row("NO_MAXIMUM", "gamma2-mean1/k3", HALF, (1, 1, 1.5, 3), "as gamma2/k3, scaled"),
    row("NO_MAXIMUM", "gamma2-mean1/k5", HALF, (1, 1, 1.5, 3, 7.5, 22.5),
        "m5 above that of k = 4"),
    row("NO_MAXIMUM", "gamma3/k3", HALF, (1, 3, 12, 60), "m3 above that of k = 2"),
    row("NO_MAXIMUM", "half-k2", HALF, (1, 1, 2.1), "m2 > 2 m1^2"),
    row("NO_MAXIMUM", "half-k2-shifted", (5.0, INF), (1, 6, 37.5), "as half-k2, from 5"),
    row("NO_MAXIMUM", "half-k2-mirrored", LEFT, (1, -1, 2.1), "as half-k2, mirrored"),
    row("NO_MAXIMUM", "lognormal1/k2", HALF, (1, 1, math.e), "m2 / m1^2 = e"),
    row("NO_MAXIMUM", "lognormal1/k4", HALF, (1, 1, math.e, math.e ** 3, math.e ** 6),
        "m4 = 403 is above 319.6 of k = 3"),
    row("NO_MAXIMUM", "exponential-heavy/k3", HALF, (1, 1, 2, 6.01), "m3 above 6 of Exp(1)"),
)
# fmt: on

# fmt: off
LIMITS: tuple[Problem, ...] = (
    row("SOLVED", "skew1e-4_kurt5", LINE, (1, 0, 1, 1e-4, 5),
        "exists, with a lump near 120,000 standard deviations: exponents of 1e10 leave few digits",
        tag="limit", also=("ILL_CONDITIONED",)),
    row("SOLVED", "spike-1e-6", BOTH, (1, 0.25, 0.0625 + 1e-12),
        "a normal of width 1e-6: four digits of the variance are left of sixteen",
        tag="limit", also=("ILL_CONDITIONED", "ATOMIC")),
    row("SOLVED", "raw-far-off/k8", (10.0, 11.0), uniform(10, 11, 8).moments,
        "uniform on [10, 11] by its raw moments: rounding decides",
        tag="limit", also=("ILL_CONDITIONED", "ATOMIC")),
    row("SOLVED", "fair-die/k9", (1.0, 6.0), _powers([1, 2, 3, 4, 5, 6], [1 / 6] * 6, 9),
        "one degree below the boundary", tag="limit", also=("ILL_CONDITIONED",)),
)
# fmt: on

_FILED = (*_from_file("reference.json"), *_from_file("hard.json"))
LOG_MOMENTS: tuple[Problem, ...] = tuple(p for p in _FILED if "log-moments" in p.tags)
SOLVABLE: tuple[Problem, ...] = (*(p for p in _FILED if "log-moments" not in p.tags), *_closed())
CONTINUOUS: tuple[Problem, ...] = tuple(p for p in SOLVABLE if not p.discrete)
PROBLEMS: tuple[Problem, ...] = (*SOLVABLE, *UNSOLVABLE, *LIMITS)


def select(*tags: str) -> list[Problem]:
    return [p for p in PROBLEMS if p.tags & set(tags)]
