"""Spikes, end-point layers, satellites, the boundary: where a fixed grid sees nothing."""

from __future__ import annotations

import numpy as np

import maxent
from benchmarks import rivals
from benchmarks.racing import OURS, Row, race
from benchmarks.solve import error

TITLE = "Hard problems"
ERROR = "largest moment or mass error, by `judge.py`"
HARD = (
    "spikes3_w1e-3_floor.1/k8",
    "spikes3_w1e-3_floor.1/k12",
    "spikes3_w1e-3_floor.1/k16",
    "spikes2_w1e-2_floor.1/k10",
    "spike1_w0.001/k2",
    "e/atoms4_eps1e-2/k10/chebyshev",
    "b/lognormal1000/k6/chebyshev",
    "student_on_8/k12",
    "truncated-exponential10000/k3",
    "I10_arcsine_k20",
    "skew0.2_kurt4",
    "lognormal0.5/k4",
)
# Narrow normal laws, equally likely: (places, width, k)
SPIKES = (
    ((-0.4, 0.5), 1e-3, 6),
    ((-0.4, 0.5), 1e-3, 10),
    ((-0.4, 0.1, 0.7), 1e-2, 10),
    ((-0.4, 0.1, 0.7), 1e-3, 8),
    ((-0.4, 0.1, 0.7), 1e-3, 12),
)
REFUSED = (
    ("infeasible, k = 6", (1.0, 0.1, -0.9, 0.9, 0.2, 0.1, 0.0), "chebyshev"),
    ("negative variance", (1.0, 0.5, 0.2), "raw"),
    ("two atoms, k = 4", (1.0, 0.0, 0.25, 0.0, 0.0625), "raw"),
)
GOAL, REFUSAL_GOAL = 2e-3, 0.2e-3


def rows(options):
    from tests.problems import SOLVABLE

    named = {p.name: p for p in SOLVABLE}
    problems = [(name, named[name].moments, named[name].support, named[name].kind) for name in HARD]
    for places, width, k in SPIKES:
        name = f"{len(places)} spikes of width {width:g}, k = {k}"
        problems.append((name, spikes(places, width, k), (-1.0, 1.0), "chebyshev"))
    spent = []
    for name, moments, support, kind in problems[:2] if options.quick else problems:
        m = np.array(moments)
        works = {OURS: lambda m=m, support=support, kind=kind: _solve(m, support, kind)}
        if kind == "chebyshev":
            works["trust-exact, 200 nodes"] = lambda m=m: rivals.trust_exact(m)
        times = race(works, options.budget)
        spent.append(times[OURS])
        for method, work in works.items():
            answer = work()
            if method == OURS:
                logpdf, note = answer.logpdf, answer.certificate.status.name
                wrong = None if note != "SOLVED" else error(logpdf, m, support, kind)
                note = f"{note}, {answer.certificate.steps} steps"
            else:
                flat, flag = answer
                wrong = error(flat, m) if flag else None
                note = "" if flag else "says that it failed"
                if flag and wrong > 1e-6:
                    note = "wrong without a word"
            goal = GOAL if method == OURS else None
            yield Row("hard", name, method, times[method], error=wrong, note=note, goal=goal)
    yield Row(
        "hard",
        "median of the above",
        OURS,
        float(np.median(spent)),
        goal=1e-3,
    )
    for name, moments, kind in REFUSED:
        m = np.array(moments)
        works = {OURS: lambda m=m, kind=kind: _solve(m, (-1, 1), kind)}
        if kind == "chebyshev":
            works["trust-exact, 200 nodes"] = lambda m=m: rivals.trust_exact(m)
        times = race(works, options.budget)
        for method, work in works.items():
            if method == OURS:
                note = work().certificate.status.name
            else:
                note = "says that it failed" if not work()[1] else "returns a density"
            goal = REFUSAL_GOAL if method == OURS else None
            yield Row("hard", name, method, times[method], note=note, goal=goal)


def spikes(places, width, k):
    """Chebyshev moments by Gauss-Hermite, exact to rounding; what lies beyond ±1 is nothing."""
    z, w = np.polynomial.hermite_e.hermegauss(40)
    t = np.add.outer(np.array(places), width * z)
    return (w / w.sum()) @ rivals.chebyshev(t, k).mean(axis=0)


def _solve(moments, support, kind):
    return maxent.solve(moments, support=support, kind=kind, throw=False)
