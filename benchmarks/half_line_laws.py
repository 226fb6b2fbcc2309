"""Write data/half_line_laws.json: on which degrees do ordinary laws on [0, inf) have an answer?

    python -m benchmarks.half_line_laws

Truth by the recursion over the degree (`independent.half_line`), in longdouble, for laws scaled to
mean 1. A degree whose recursion takes longer than `PATIENCE` seconds, or fails, ends the law there.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import mpmath as mp
import numpy as np

from benchmarks.independent import REAL, half_line

PATIENCE = 25
HIGHEST = 8
FILE = Path(__file__).with_name("data") / "half_line_laws.json"


def gamma(shape, j):
    return mp.rf(shape, j)


def weibull(shape, j):
    return mp.gamma(1 + mp.mpf(j) / shape)


def lognormal(sigma, j):
    return mp.exp(mp.mpf(sigma) ** 2 * j**2 / 2)


LAWS = (
    *((gamma, a) for a in (0.3, 0.5, 0.8, 1.3, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)),
    *((weibull, a) for a in (0.6, 0.8, 1.2, 1.5, 2.0, 3.0, 5.0)),
    *((lognormal, s) for s in (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.25)),
)


def give_up(*_):
    raise TimeoutError


def main() -> None:
    signal.signal(signal.SIGALRM, give_up)
    rows = []
    for law, parameter in LAWS:
        with mp.workdps(40):
            raw = [law(mp.mpf(str(parameter)), j) for j in range(HIGHEST + 1)]
            exact = [v / raw[1] ** j for j, v in enumerate(raw)]
            m = np.array([REAL(mp.nstr(v, 25)) for v in exact])
        for k in range(1, HIGHEST + 1):
            signal.alarm(PATIENCE)
            try:
                found = half_line(m[: k + 1])
            except (ArithmeticError, TimeoutError, ValueError, IndexError) as reason:
                print(f"{law.__name__}({parameter}) ends at k = {k}: {reason!r}", flush=True)
                break
            finally:
                signal.alarm(0)
            margin = None if found.largest is None else float(m[k]) / found.largest - 1
            row = {
                "law": law.__name__,
                "parameter": parameter,
                "moments": [float(v) for v in m[: k + 1]],
                "exists": found.exists,
                "margin": margin,
                "entropy": found.truth.entropy if found.truth else None,
            }
            rows.append(json.dumps(row, separators=(",", ":")))
            print(
                f"{law.__name__}({parameter}) k = {k}: {found.exists}, margin {margin}", flush=True
            )
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
