"""Densities from data: nanoseconds a value, bytes a second, memory."""

from __future__ import annotations

import ctypes
import gc
import time
from pathlib import Path

import numpy as np

import maxent
from benchmarks.racing import OURS, Row, race, threads

TITLE = "Data to density, k = 6, one thread"
ERROR = "largest |F(x) - share of the data at most x| at nine deciles"
VALUES = 10_000_000
GOAL = 8e-9
MOST_MEMORY = 64 << 20


def rows(options):
    n = 200_000 if options.quick else VALUES
    rng = np.random.default_rng(0)
    x = rng.beta(2.0, 5.0, n)
    deciles = np.quantile(x, np.linspace(0.1, 0.9, 9))
    yield from _compare(f"{n:.0e} float64", x, deciles, options, GOAL)
    if options.quick:
        return
    with threads(1):
        yield from _variants(x, options)
        yield from _columns(rng, options)


def _compare(case, x, deciles, options, goal):
    works = {
        OURS: lambda: maxent.fit(x, 6),
        "np.sum": lambda: x.sum(),
        "power moments, np.mean(x**j)": lambda: [np.mean(x**j) for j in range(1, 7)],
        "np.quantile, 9 values": lambda: np.quantile(x, np.linspace(0.1, 0.9, 9)),
        "np.histogram, 100 bins": lambda: np.histogram(x, 100),
    }
    try:
        from sklearn.preprocessing import QuantileTransformer
    except ImportError:
        pass
    else:
        column = x[:, None]
        works["sklearn QuantileTransformer.fit"] = lambda: QuantileTransformer(
            n_quantiles=1000, subsample=10_000, random_state=0
        ).fit(column)
    with threads(1):
        times = race(works, options.budget)
        extra = extra_memory(lambda: maxent.fit(x, 6))
    density = maxent.fit(x, 6)
    wrong = float(np.abs(density.cdf(deciles) - np.linspace(0.1, 0.9, 9)).max())
    for method, seconds in times.items():
        note = f"{8 * x.size / seconds / 1e9:.2g} GB/s"
        if method == OURS and extra is not None:
            met = "met" if extra <= MOST_MEMORY else "MISSED"
            note += f"; {extra / 2**20:.0f} MB more memory, goal 64 MB: {met}"
        if method.startswith("sklearn"):
            note += "; subsamples 10,000 values"
        yield Row(
            "data",
            case,
            method,
            seconds / x.size,
            "value",
            wrong if method == OURS else None,
            note,
            goal=goal if method == OURS else None,
        )


def _variants(x, options):
    half = x[::2]
    single = x.astype(np.float32)
    whole = (1000 * x).astype(np.int32)
    weights = np.ones(x.size)
    works = {
        OURS: (x.size, lambda: maxent.fit(x, 6)),
        "every second value": (half.size, lambda: maxent.fit(half, 6)),
        "float32": (single.size, lambda: maxent.fit(single, 6)),
        "int32": (whole.size, lambda: maxent.fit(whole, 6)),
        "with weights": (x.size, lambda: maxent.fit(x, 6, weights=weights)),
        "k = 12": (x.size, lambda: maxent.fit(x, 12)),
    }
    times = race({name: work for name, (_, work) in works.items()}, options.budget)
    for name, (size, _) in works.items():
        method = name if name == OURS else f"maxent, {name}"
        yield Row("data", "kinds of input", method, times[name] / size, "value")


def _columns(rng, options):
    table = rng.gamma(3.0, size=(100_000, 256))

    def on(number):
        with threads(number):
            maxent.fit(table, 6, axis=0)

    works = {
        OURS: lambda: on(1),
        "maxent, two threads": lambda: on(2),
        "np.mean over the rows": lambda: table.mean(axis=0),
    }
    times = race(works, options.budget, time.perf_counter)
    for method, seconds in times.items():
        note = ""
        if method == "maxent, two threads":
            note = f"{times[OURS] / seconds:.2f}× as fast as one"
        yield Row(
            "data", "100,000 × 256, by the clock", method, seconds / table.size, "value", note=note
        )


def extra_memory(work):
    """Peak resident bytes during work() above those before it; None where /proc has no say."""

    def resident():
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return tuple(int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))

    try:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak
        before = resident()[0]
        work()
        return max(0, resident()[1] - before)
    except (OSError, KeyError):
        return None
