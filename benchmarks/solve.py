"""One density from its moments, one call from Python, everything included."""

from __future__ import annotations

import numpy as np

import maxent
from benchmarks import rivals
from benchmarks.judge import judge
from benchmarks.racing import OURS, Row, race

TITLE = "One solve"
ERROR = "largest moment or mass error of the returned log p, by `judge.py`"
GOALS = {6: 0.3e-3}
# quad and root take seconds beyond
MOST_FOR_QUAD = 6
LAWS = {
    "beta(2, 5)": lambda x: (1 + x) * (1 - x) ** 4,
    "two humps": lambda x: np.exp(-50 * (x - 0.5) ** 2) + np.exp(-50 * (x + 0.5) ** 2),
}


def moments_of(law, k):
    """(Chebyshev, power) moments of a law on [-1, 1], each (k+1,)."""
    x, w = np.polynomial.legendre.leggauss(400)
    p = w * law(x)
    p /= p.sum()
    return p @ rivals.chebyshev(x, k), p @ x[:, None] ** np.arange(k + 1)


def error(logpdf, moments, support=(-1.0, 1.0), kind="chebyshev"):
    with np.errstate(all="ignore"):
        return judge(logpdf, support, np.asarray(moments), kind).worst


def rows(options):
    peer = rivals.pymaxent(options.peer_path) if options.peer_path else None
    for k in (4,) if options.quick else (4, 6, 10, 20):
        for name, law in list(LAWS.items())[: 1 if options.quick else 2]:
            chebyshev, power = moments_of(law, k)
            works = {
                OURS: lambda m=chebyshev: maxent.solve(m, support=(-1, 1), kind="chebyshev"),
                "trust-exact, 200 nodes": lambda m=chebyshev: rivals.trust_exact(m),
            }
            if k <= MOST_FOR_QUAD:
                works["quad and root"] = lambda m=power: rivals.quad_and_root(m)
            if peer and k <= 10:
                works["PyMaxEnt"] = lambda m=power: peer(m)
            times = race(works, options.budget)
            case = f"k = {k}, {name}"
            for method, work in works.items():
                answer = work()
                note = ""
                if method == OURS:
                    logpdf, note = answer.logpdf, f"{answer.certificate.steps} steps"
                else:
                    logpdf, flag = answer
                    note = "" if flag else "says that it failed"
                yield Row(
                    "solve",
                    case,
                    method,
                    times[method],
                    error=error(logpdf, chebyshev),
                    note=note,
                    goal=GOALS.get(k) if method == OURS else None,
                )
    if not options.quick:
        yield from _unbounded(options, peer)


def _unbounded(options, peer):
    """Where the rivals' rules end: the line and the half line."""
    for case, moments, support in (
        ("line, k = 4, double well", (1.0, 0.0, 1.0, 0.0, 1.6), (-np.inf, np.inf)),
        ("half line, k = 4, gamma(3)", (1.0, 3.0, 12.0, 60.0, 360.0), (0.0, np.inf)),
    ):
        works = {
            OURS: lambda m=moments, s=support: maxent.solve(m, support=s),
            "quad and root": lambda m=moments, s=support: rivals.quad_and_root(m, *s),
        }
        if peer:
            works["PyMaxEnt"] = lambda m=moments, s=support: peer(m, *s)
        if "quad and root" in works and np.isinf(support).all():
            # a flat start is not a density on the line
            works["quad and root"] = lambda m=moments: rivals.quad_and_root(m, -12.0, 12.0)
        times = race(works, options.budget)
        for method, work in works.items():
            answer = work()
            logpdf = answer.logpdf if method == OURS else answer[0]
            note = "" if method == OURS or answer[1] else "says that it failed"
            if method == "quad and root" and np.isinf(support).all():
                note = "on ±12" + (f"; {note}" if note else "")
            yield Row(
                "solve",
                case,
                method,
                times[method],
                error=error(logpdf, moments, support, "raw"),
                note=note,
            )
