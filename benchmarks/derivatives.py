"""How the answer moves with its moments, and error bars: formulas against solving again."""

from __future__ import annotations

import numpy as np

import maxent
from benchmarks import rivals
from benchmarks.racing import OURS, Row, race, threads
from benchmarks.solve import LAWS, moments_of

TITLE = "Sensitivity, k = 6"
ERROR = (
    "derivatives: largest difference from solving again at m ± 1e-5, over the largest derivative; "
    "error bars: largest relative difference from the spread of 2,000 repeated experiments"
)
SAMPLES, REPETITIONS, RESAMPLES = 10_000, 2000, 200
STEP = 1e-5
U = np.linspace(0.1, 0.9, 9)


def rows(options):
    m, _ = moments_of(LAWS["two humps"], 6)
    density = maxent.solve(m, support=(-1, 1), kind="chebyshev")
    # between two humps a quantile is no linear function of the moments: one hump
    single = solve(moments_of(LAWS["beta(2, 5)"], 6)[0])
    with threads(1):
        yield from _derivatives(density, m, options)
        yield from _error_bars(single, options)


def solve(m):
    return maxent.solve(m, support=(-1, 1), kind="chebyshev")


def again(m):
    """d ppf(U)/dm by central differences: (9, k)."""
    steps = STEP * np.eye(m.size)[1:]
    return (solve(m + steps).ppf(U[:, None]) - solve(m - steps).ppf(U[:, None])) / (2 * STEP)


def again_by_rival(m):
    """dc/dm by central differences of the trust-exact dual: log p at nine places."""
    x = np.linspace(-0.9, 0.9, 9)
    out = []
    for step in STEP * np.eye(m.size)[1:]:
        out.append(
            (rivals.trust_exact(m + step)[0](x) - rivals.trust_exact(m - step)[0](x)) / (2 * STEP)
        )
    return np.array(out).T


def _derivatives(density, m, options):
    works = {
        OURS: lambda: density.moments_sensitivity().ppf(U),
        "maxent, dc/dm alone": lambda: density.moments_sensitivity().coefficients(),
        "maxent, solved again at m ± h": lambda: again(m),
        "trust-exact, solved again at m ± h": lambda: again_by_rival(m),
    }
    times = race(works, options.budget)
    exact = density.moments_sensitivity().ppf(U)
    gap = float(np.abs(again(m) - exact).max() / np.abs(exact).max())
    for method, seconds in times.items():
        error = gap if method == OURS else None
        yield Row("sensitivity", "two humps, d ppf(u)/dm, 9 u", method, seconds, error=error)


def _error_bars(density, options):
    rng = np.random.default_rng(0)
    data = density.rvs(SAMPLES, random_state=rng)
    fitted = maxent.fit(data, 6, support=(-1, 1))

    def bootstrap():
        resampled = data[rng.integers(0, SAMPLES, (SAMPLES, RESAMPLES))]
        return maxent.fit(resampled, 6, support=(-1, 1), axis=0).ppf(U[:, None]).std(axis=1)

    works = {
        OURS: lambda: fitted.standard_error(samples=SAMPLES).ppf(U),
        "bootstrap, 200 fits by maxent": bootstrap,
    }
    times = race(works, options.budget)
    number = 200 if options.quick else REPETITIONS
    x, w = np.polynomial.legendre.leggauss(400)
    T = rivals.chebyshev(x, 6)
    p = w * density.pdf(x)
    covariance = np.cov(T[:, 1:].T, aweights=p, bias=True)
    noise = rng.multivariate_normal(np.zeros(6), covariance / SAMPLES, number)
    moments = np.column_stack([np.ones(number), np.asarray(p @ T)[1:] + noise])
    spread = solve(moments).ppf(U[:, None]).std(axis=1)
    for method, seconds in times.items():
        said = works[method]()
        error = float(np.abs(said / spread - 1).max())
        yield Row(
            "sensitivity", "beta(2, 5), error bars of 9 quantiles", method, seconds, error=error
        )
