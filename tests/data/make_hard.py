"""Write hard.json: the hard problems whose answers no closed form gives. `python -m
tests.data.make_hard`

Every answer comes from `benchmarks.independent`: Newton in longdouble, polished by Newton in mpmath
from the float64 moments taken as exact, residual re-measured with another rule.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np

from benchmarks.independent import (
    DOMAINS,
    INTERVAL,
    REAL,
    chebyshev,
    half_line,
    moments_of,
    moments_of_density,
    polish,
    quantiles,
    solve,
    walk,
)

QUANTILES = [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999]


def log_mixture(parts, floor):
    """log of sum weight * normal(centre, width) / its mass on [-1, 1], plus floor * uniform."""

    def log_density(t):
        total = np.full(t.shape, REAL(floor) / 2)
        for weight, centre, width in parts:
            z = (t - REAL(centre)) / REAL(width)
            total = total + REAL(weight) / REAL(width) * np.exp(-z * z / 2) / np.sqrt(
                2 * REAL(np.pi)
            )
        return np.log(np.maximum(total, np.finfo(REAL).tiny))

    return log_density


def mixture_moments(parts, floor, k):
    breaks = [-1, 1]
    for _, centre, width in parts:
        breaks += [centre + s * width * 1.6**j for s in (-1, 1) for j in range(-4, 14)] + [centre]
    breaks = np.unique(np.clip(np.array(breaks, dtype=REAL), -1, 1))
    return moments_of_density(log_mixture(parts, floor), breaks, chebyshev, k)


def truncated_student(k):
    """Chebyshev moments of (1 + x^2)^-2 on [-8, 8]: its maximum-entropy answers have layers at
    both ends.
    """
    breaks = np.linspace(-1, 1, 101)
    return moments_of_density(lambda t: -2 * np.log1p((8 * t) ** 2), breaks, chebyshev, k)


def cases():
    """(name, domain, support, kind, float64 moments, tags, source)"""
    three = [(0.3, -0.6, 1e-3), (0.3, 0.05, 1e-3), (0.3, 0.7, 1e-3)]
    for k in (4, 8, 12, 16):
        m = mixture_moments(three, 0.1, k)
        yield (
            f"spikes3_w1e-3_floor.1/k{k}",
            "interval",
            (-1.0, 1.0),
            "chebyshev",
            m,
            "spike",
            "3 spikes + uniform",
        )
    two = [(0.5, -0.4, 1e-2), (0.4, 0.3, 1e-2)]
    for k in (6, 10, 14):
        m = mixture_moments(two, 0.1, k)
        yield (
            f"spikes2_w1e-2_floor.1/k{k}",
            "interval",
            (-1.0, 1.0),
            "chebyshev",
            m,
            "spike",
            "2 spikes + uniform",
        )
    for width in (1e-1, 1e-2, 1e-3):
        m = mixture_moments([(1.0, 0.3, width)], 0.0, 2)
        yield (
            f"spike1_w{width:g}/k2",
            "interval",
            (-1.0, 1.0),
            "chebyshev",
            m,
            "spike",
            "one spike, no floor",
        )
    for k in (4, 8, 12):
        m = truncated_student(k)
        yield (
            f"student_on_8/k{k}",
            "interval",
            (-8.0, 8.0),
            "chebyshev",
            m,
            "layer",
            "(1+x^2)^-2 on [-8, 8]",
        )
    for kurtosis in (3.5, 6.0, 20.0):
        raw = [1, 0, 1, 0, kurtosis]
        # on [-8, 8], t = x / 8: T_2 = 2t^2 - 1, T_4 = 8t^4 - 8t^2 + 1
        m = [1, 0, 2 / 64 - 1, 0, 8 * kurtosis / 4096 - 8 / 64 + 1]
        yield (
            f"kurt{raw[4]:g}_on_8/k4",
            "interval",
            (-8.0, 8.0),
            "chebyshev",
            m,
            "layer",
            "layers at both ends",
        )
    m = [1, 0, 2e-4 - 1, 0, 8 * 3e-8 - 8e-4 + 1]
    yield (
        "variance1e-4_kurt3/k4",
        "interval",
        (-1.0, 1.0),
        "chebyshev",
        m,
        "spike",
        "nearly normal, sd 0.01",
    )
    for skew, kurtosis in ((0.2, 4.0), (0.1, 3.2), (0.5, 5.0), (1.0, 6.0)):
        m = [1, 0, 1, skew, kurtosis]
        tag = "satellite"
        yield (
            f"skew{skew:g}_kurt{kurtosis:g}",
            "line",
            (-np.inf, np.inf),
            "raw",
            m,
            tag,
            "satellite lump far out",
        )
    for sigma, k in ((1.0, 3), (0.5, 4), (0.5, 1)):
        m = [float(mp.exp((mp.mpf(j) ** 2 - j) * mp.mpf(sigma) ** 2 / 2)) for j in range(k + 1)]
        yield (
            f"lognormal{sigma:g}/k{k}",
            "half",
            (0.0, np.inf),
            "raw",
            m,
            "lump",
            f"lognormal of mean 1, {sigma:g}",
        )
    rng = np.random.default_rng(20)
    for k in (5, 12, 20):
        c = (rng.standard_normal(k) * 3 / np.sqrt(np.arange(1, k + 1))).astype(REAL)
        yield (
            f"random/k{k}",
            "interval",
            (-1.0, 1.0),
            "chebyshev",
            moments_of(INTERVAL, c).moments,
            "random",
            "random",
        )


def main():
    rows = []
    for name, domain, support, kind, m, tag, source in cases():
        m = [float(v) for v in m]
        if tag == "satellite":
            truth = walk(
                DOMAINS[domain], [1, 0, 1, 0, 2.3], [1, 0, 1, m[3], 2.3 + 1.4 * m[3] ** 2], m
            )
        elif tag == "lump":
            truth = half_line(m).truth
        else:
            truth = solve(DOMAINS[domain], np.array(m, dtype=REAL))
        digits = polish(truth, m, digits=28)
        assert digits["residual"] < 1e-25, (name, digits["residual"])
        moved = max(abs(a - mp.mpf(float(b))) for a, b in zip(digits["c"], truth.c, strict=True))
        loc, scale = (
            ((support[0] + support[1]) / 2, (support[1] - support[0]) / 2)
            if domain == "interval"
            else (0, 1)
        )
        t = quantiles(truth, QUANTILES)
        at = [float(v) for v in t[::2]]
        row = {
            "name": name,
            "support": [float(v) if np.isfinite(v) else str(v) for v in support],
            "kind": kind,
            "moments": m,
            "basis": "chebyshev" if domain == "interval" else "power",
            "c": [mp.nstr(v, 24) for v in [-digits["log_z"] - mp.log(scale), *digits["c"]]],
            "entropy": mp.nstr(digits["entropy"] + mp.log(scale), 24),
            "pdf_at": [str(float(loc + scale * v)) for v in at],
            "ppf": {
                str(u): np.format_float_positional(loc + scale * v, 17)
                for u, v in zip(QUANTILES, t, strict=True)
            },
            "drift": [0.0, 0.0, 0.0],
            "condition": None,
            "source": source,
            "tag": tag,
        }
        residual, size = float(digits["residual"]), float(np.abs(truth.c).max())
        print(
            f"{name:30s} residual {residual:.0e}, polish moved c by {float(moved):.0e} "
            f"of {size:.1e}"
        )
        rows.append(json.dumps(row, separators=(",", ":")))
    Path(__file__).with_name("hard.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    with mp.workdps(50):
        main()
