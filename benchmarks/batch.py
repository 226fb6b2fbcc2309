"""Many columns at once, certificate included."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

import maxent
from benchmarks import rivals
from benchmarks.racing import OURS, Row, race, threads
from benchmarks.solve import error

TITLE = "Batches of columns on [-1, 1], one thread"
ERROR = "largest moment or mass error of 5 columns, by `judge.py`"
GOALS = {6: 15e-6, 10: 30e-6, 20: 200e-6}
COLUMNS = 10_000
SLOW_COLUMNS = 20  # for rivals that go one by one
STEP_COLUMNS = 500  # for those that go in step
JUDGED = 5
REAL = Path(__file__).with_name("data") / "columns.json"


def smooth(columns, k, seed=0):
    """Chebyshev moments of mixtures of two beta laws, (columns, k+1)."""
    rng = np.random.default_rng(seed)
    x, w = np.polynomial.legendre.leggauss(200)
    T = w[:, None] * rivals.chebyshev(x, k)
    out = []
    for _ in range(0, columns, 1000):
        a, b = rng.uniform(1.5, 9.0, (2, 2, 1000, 1))
        q = (a - 1) * np.log1p(x) + (b - 1) * np.log1p(-x)
        p = np.exp(q - q.max(axis=-1, keepdims=True))
        p /= (p * w).sum(axis=-1, keepdims=True)
        share = rng.uniform(0.2, 0.8, (1000, 1))
        out.append((share * p[0] + (1 - share) * p[1]) @ T)
    m = np.concatenate(out)[:columns]
    m[:, 0] = 1.0
    return m


def real(columns, k):
    """Moments of real columns, over and over: (columns, k+1), and how many differ."""
    found = [c["chebyshev"][: k + 1] for c in json.loads(REAL.read_text(encoding="utf-8"))]
    solved = maxent.solve(np.array(found), support=(-1, 1), kind="chebyshev", throw=False)
    good = [m for m, s in zip(found, solved.certificate.status, strict=True) if s.name == "SOLVED"]
    return np.array(good)[np.arange(columns) % len(good)], len(good), len(found)


def solve(moments):
    return maxent.solve(moments, support=(-1, 1), kind="chebyshev", throw=False)


def rows(options):
    columns = 300 if options.quick else COLUMNS
    for k in (6,) if options.quick else (6, 10, 20):
        yield from _one(f"k = {k}, mixtures of betas", smooth(columns, k), options, GOALS[k])
        if k <= 10 and not options.quick:
            moments, good, of = real(columns, k)
            case = f"k = {k}, real columns"
            note = f"{good} of {of} columns have a density, in turn"
            yield from _one(case, moments, options, GOALS[k], note)
    if not options.quick:
        yield from _threads(smooth(columns, 6), options)


def _one(case, moments, options, goal, note=""):
    few = moments[:SLOW_COLUMNS]
    works = {
        OURS: lambda: solve(moments),
        "maxent, a call a column": lambda: [solve(m) for m in few],
        "NumPy Newton, batched": lambda: rivals.newton_batch(moments[:STEP_COLUMNS]),
        "trust-exact, a column at a time": lambda: [rivals.trust_exact(m) for m in few],
    }
    judged = np.linspace(0, len(few) - 1, JUDGED).astype(int)
    with threads(1):
        answer = solve(moments)
        status = answer.certificate.status
        solved = sum(s.name == "SOLVED" for s in status)
        try:
            with np.errstate(all="raise"):
                c = rivals.newton_batch(few)
        except (np.linalg.LinAlgError, FloatingPointError):
            del works["NumPy Newton, batched"]
            yield Row("batch", case, "NumPy Newton, batched", None, "column", note="breaks down")
        times = race(works, options.budget)
    for method in works:
        one_by_one = method.endswith(("column", "at a time"))
        size = len(few) if one_by_one else len(moments)
        if method == "NumPy Newton, batched":
            size = min(STEP_COLUMNS, len(moments))
        if method == OURS:
            wrong = max(error(answer[int(j)].logpdf, moments[j]) for j in judged)
            said = f"{solved} of {len(moments)} solved" + (f"; {note}" if note else "")
        elif method == "NumPy Newton, batched":
            wrong = max(error(rivals.log_density(c[j]), moments[j]) for j in judged)
            said = "no certificate"
        elif method.startswith("trust"):
            wrong = max(error(rivals.trust_exact(few[j])[0], moments[j]) for j in judged)
            said = "no certificate"
        else:
            wrong, said = None, ""
        yield Row(
            "batch",
            case,
            method,
            times[method] / size,
            "column",
            wrong,
            said,
            goal=goal if method == OURS else None,
        )


def _threads(moments, options):
    def on(number):
        with threads(number):
            solve(moments)

    works = {"one thread": lambda: on(1), "two threads": lambda: on(2)}
    times = race(works, options.budget, time.perf_counter)
    gain = times["one thread"] / times["two threads"]
    met = "met" if gain >= 1.8 else "MISSED"
    for method, seconds in times.items():
        note = (
            f"{gain:.2f}× as fast by the clock; goal 1.8×: {met}" if method == "two threads" else ""
        )
        yield Row(
            "batch",
            "threads, k = 6",
            method,
            seconds / len(moments),
            "column",
            note=note,
            versus="one thread",
        )


def growth(options):
    """Seconds for the picture. "k": rows k, a column of a batch, one call, trust-exact; "columns":
    rows n, the batch by maxent, by NumPy Newton (null where it was not run)."""
    by_k, by_columns = [], []
    with threads(1):
        for k in (2, 4, 6) if options.quick else (2, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32):
            moments = smooth(20 if options.quick else 500, k, seed=1)
            times = race(
                {
                    "batch": lambda m=moments: solve(m),
                    "single": lambda m=moments: solve(m[0]),
                    "trust": lambda m=moments: rivals.trust_exact(m[0]),
                },
                0.3 * options.budget,
            )
            by_k.append([k, times["batch"] / len(moments), times["single"], times["trust"]])
        for n in (1, 10, 100) if options.quick else (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000):
            moments = smooth(n, 6, seed=2)
            works = {"ours": lambda m=moments: solve(m)}
            if n <= 1000:
                works["newton"] = lambda m=moments: rivals.newton_batch(m)
            both = race(works, 0.3 * options.budget)
            by_columns.append([n, both["ours"], both.get("newton")])
    return {"k": by_k, "columns": by_columns}
