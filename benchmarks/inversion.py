"""ppf, cdf, pdf and draws of one density, and what it takes to set them up."""

from __future__ import annotations

import copy

import numpy as np

import maxent
from benchmarks import rivals
from benchmarks.racing import OURS, Row, race, threads
from benchmarks.solve import LAWS, moments_of

TITLE = "Quantiles, cdf, pdf, draws; two humps on [-1, 1], k = 10"
ERROR = "ppf: largest |F(x) - u| at 2,000 u, cdf and pdf: largest absolute, by 4,000 Gauss panels"
RESOLUTION = 1e-12  # in u, what UNU.RAN is asked for
PANELS, NODES = 4000, 12


class Truth:
    """F by Gauss-Legendre on equal panels, from the public logpdf."""

    def __init__(self, density, lower, upper):
        self.density = density
        self.edges = np.linspace(lower, upper, PANELS + 1)
        self.points, self.weights = np.polynomial.legendre.leggauss(NODES)
        mass = self.piece(self.edges[:-1], self.edges[1:])
        self.before = np.append(0.0, np.cumsum(mass))

    def piece(self, a, b):
        half = 0.5 * (b - a)
        x = (a + half)[:, None] + half[:, None] * self.points
        return (np.exp(self.density.logpdf(x)) @ self.weights) * half

    def cdf(self, x):
        x = np.asarray(x, float)
        i = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, PANELS - 1)
        return (self.before[i] + self.piece(self.edges[i], x)) / self.before[-1]


def rows(options):
    moments, _ = moments_of(LAWS["two humps"], 10)
    density = maxent.solve(moments, support=(-1, 1), kind="chebyshev")
    truth = Truth(density, -1.0, 1.0)
    n = 20_000 if options.quick else 1_000_000
    rng = np.random.default_rng(0)
    u, x = rng.random(n), density.ppf(rng.random(n))
    some = np.linspace(0.0005, 0.9995, 2000)
    wanted = np.linspace(0.1, 0.9, 9)
    grid = rivals.interpolated(density, -1.0, 1.0)
    peer = rivals.unuran(density, -1.0, 1.0, RESOLUTION)
    given = rivals.from_pdf(density, -1.0, 1.0)
    density.ppf(u)

    def u_error(points, probabilities=some):
        return float(np.abs(truth.cdf(points) - probabilities).max())

    ours = u_error(density.ppf(np.append(u[: max(0, 600 - some.size)], some))[-some.size :])
    interp = u_error(np.interp(some, *grid))
    unuran = u_error(peer.ppf(some))
    transformer = _transformer(density)

    # many quantiles
    works = {
        OURS: lambda: density.ppf(u),
        "UNU.RAN": lambda: peer.ppf(u),
        "np.interp": lambda: np.interp(u, *grid),
    }
    wrong = {OURS: ours, "UNU.RAN": unuran, "np.interp": interp}
    if transformer:
        column = u[:, None]
        works["sklearn QuantileTransformer"] = lambda: transformer.inverse_transform(column)
        wrong["sklearn QuantileTransformer"] = u_error(
            transformer.inverse_transform(some[:, None])[:, 0]
        )
    yield from _rows(f"ppf of {n:.0e}", works, wrong, options, n, "value", 30e-9)

    # set-up
    many = u[:600]
    works = {
        OURS: lambda: copy.copy(density).ppf(many),
        "UNU.RAN": lambda: rivals.unuran(density, -1.0, 1.0, RESOLUTION),
        "np.interp": lambda: rivals.interpolated(density, -1.0, 1.0),
    }
    yield from _rows("set-up (ours with 600 values)", works, {}, options, 1, "call", 1.5e-3)

    # few quantiles
    works = {
        OURS: lambda: copy.copy(density).ppf(wanted),
        "maxent, set up": lambda: density.ppf(wanted),
        "UNU.RAN, set up": lambda: peer.ppf(wanted),
        "rv_continuous from the pdf": lambda: given.ppf(wanted),
    }
    wrong = {
        OURS: u_error(copy.copy(density).ppf(wanted), wanted),
        "UNU.RAN, set up": u_error(peer.ppf(wanted), wanted),
        "rv_continuous from the pdf": u_error(given.ppf(wanted), wanted),
    }
    yield from _rows("ppf of 9, set-up included", works, wrong, options, 1, "call", 100e-6)

    # cdf
    at = density.ppf(some)
    works = {
        OURS: lambda: density.cdf(x),
        "np.interp": lambda: np.interp(x, grid[1], grid[0]),
    }
    exact = truth.cdf(at)
    padded = np.append(x[:600], at)
    wrong = {
        OURS: float(np.abs(density.cdf(padded)[600:] - exact).max()),
        "np.interp": float(np.abs(np.interp(at, grid[1], grid[0]) - exact).max()),
    }
    yield from _rows(f"cdf of {n:.0e}", works, wrong, options, n, "value")

    # pdf
    c = np.array(density.coefficients)
    works = {
        OURS: lambda: density.pdf(x),
        "NumPy Clenshaw (chebval) and exp": lambda: np.exp(np.polynomial.chebyshev.chebval(x, c)),
        "np.exp alone": lambda: np.exp(x),
    }
    yield from _rows(f"pdf of {n:.0e}", works, {}, options, n, "value")

    # draws
    generator = np.random.default_rng(1)
    works = {
        OURS: lambda: density.rvs(n, random_state=generator),
        "UNU.RAN rvs": lambda: peer.rvs(n),
        "Generator.normal": lambda: generator.normal(size=n),
    }
    times = race(works, options.budget)
    for method, seconds in times.items():
        goal = 2 * times["Generator.normal"] / n if method == OURS else None
        yield Row(
            "inversion", f"draws, {n:.0e}", method, seconds / n, "value", goal=goal,
            note="another law" if method == "Generator.normal" else "",
        )  # fmt: skip


def _rows(case, works, wrong, options, size, per, goal=None):
    with threads(1):
        times = race(works, options.budget)
    for method, seconds in times.items():
        note = ""
        if method.startswith("sklearn"):
            note = "from 100,000 samples of the law"
        if case.startswith("set-up") and method == "UNU.RAN":
            gain = seconds / times[OURS]
            note = f"goal 10× as long as ours: {'met' if gain >= 10 else 'MISSED'}"
        yield Row(
            "inversion",
            case,
            method,
            seconds / size,
            per,
            wrong.get(method),
            note,
            goal=goal if method == OURS else None,
        )


def _transformer(density):
    try:
        from sklearn.preprocessing import QuantileTransformer
    except ImportError:
        return None
    data = density.rvs(100_000, random_state=2)[:, None]
    return QuantileTransformer(n_quantiles=1000, random_state=0).fit(data)
