"""A Density as a distribution of scipy.stats, of the old kind and of the new.

Old: a frozen `rv_continuous` whose every method is that of the Density, without scipy's generic
integrals. Freezing makes a distribution anew from its constructor's arguments
(`_updated_ctor_param`), and pickling does too: the density is one of them.

New: one class for each degree, basis and kind of end, made once. Coefficients, frame and ends are
its parameters, which broadcast as scipy's do, so that a batch of densities is one object.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from scipy import stats

from maxent.basis import Laguerre
from maxent.density import Density
from maxent.support import HalfLine, Interval, RealLine

# make_distribution of scipy 1.15 takes old distributions only.
HAS_NEW = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 16)


class MaxEntContinuous(stats.rv_continuous):
    """rv_continuous of one density (continuous, batch_shape ())."""

    def __init__(self, density, **given):
        lower, upper = density.support()
        given["a"], given["b"] = float(lower), float(upper)
        given.setdefault("name", "maxent")
        super().__init__(**given)
        self.density = density

    def _updated_ctor_param(self):
        return {**super()._updated_ctor_param(), "density": self.density}

    def _pdf(self, x):
        return self.density.pdf(x)

    def _logpdf(self, x):
        return self.density.logpdf(x)

    def _cdf(self, x):
        return self.density.cdf(x)

    def _logcdf(self, x):
        return self.density.logcdf(x)

    def _sf(self, x):
        return self.density.sf(x)

    def _logsf(self, x):
        return self.density.logsf(x)

    def _ppf(self, q):
        return self.density.ppf(q)

    def _isf(self, q):
        return self.density.isf(q)

    def _munp(self, n):
        return self.density.moment(int(n))

    def _stats(self):
        d = self.density
        return d.mean(), d.variance(), d.skewness(), d.kurtosis() - 3.0

    def _entropy(self):
        return self.density.entropy()


def frozen(density):
    """See `Density.to_scipy`."""
    _check(density)
    if density.batch_shape:
        raise ValueError(
            f"scipy's frozen distributions are single, not a batch {density.batch_shape}: take "
            "density[j], or to_scipy(new=True), which broadcasts"
        )
    return MaxEntContinuous(density)()


def _check(density):
    if density.domain.atoms_of_reference() is not None:
        raise ValueError("a Discrete density has no continuous distribution: use rv_discrete")
    if not np.isfinite(density.coefficients).all():
        raise ValueError(f"there is no density to hand over: {density.certificate!r}")


# --------------------------------------------------------------------- the new infrastructure


def distribution(density):
    """See `Density.to_scipy`."""
    if not HAS_NEW:
        raise ImportError("the new kind of distribution needs scipy 1.16 or later")
    _check(density)
    if density._own:
        raise ValueError(
            "a density between narrow spikes is held in polynomials of its own, which no "
            "parameters of scipy's express to the digit: use to_scipy() of a single column"
        )
    if density.transform.name != "none":
        raise ValueError(
            f"to_scipy(new=True) knows no {density.transform}: use to_scipy(), or scipy's own "
            "transformations of the density of the transformed values"
        )
    lower, upper = density.domain.bounds
    c = density.coefficients
    numbers = {f"c{j}": c[..., j] for j in range(density.degree + 1)}
    if density.basis.name != "chebyshev":
        numbers |= {"centre": density.loc, "unit": density.scale}
    if density.basis.name == "laguerre":
        alpha = np.broadcast_to(density.basis.shape, np.size(density.loc))
        numbers["alpha"] = alpha.reshape(density.batch_shape)
    if np.isfinite(lower).all():
        numbers["low"] = lower
    if np.isfinite(upper).all():
        numbers["high"] = upper
    return _family(density.basis.name, "low" in numbers, "high" in numbers, density.degree)(
        **{name: np.asarray(value)[()] for name, value in numbers.items()}
    )


@lru_cache(maxsize=64)
def _family(basis, bounded_below, bounded_above, degree):
    """The class of all densities of one degree on one kind of support."""
    names = [f"c{j}" for j in range(degree + 1)]
    names += [] if basis == "chebyshev" else ["centre", "unit"]
    names += ["alpha"] if basis == "laguerre" else []
    real = {"endpoints": (-np.inf, np.inf), "typical": (-1.0, 1.0)}
    parameters = dict.fromkeys(names, real)
    support = ["low" if bounded_below else -np.inf, "high" if bounded_above else np.inf]
    if bounded_below:
        parameters["low"] = {"endpoints": (-np.inf, np.inf), "typical": (-1.0, 0.0)}
    if bounded_above:
        below = "low" if bounded_below else -np.inf
        parameters["high"] = {"endpoints": (below, np.inf), "typical": (1.0, 2.0)}

    class MaxEnt:
        __make_distribution_version__ = "1.16.0"

        @property
        def parameters(self):
            return parameters

        @property
        def support(self):
            return {"endpoints": tuple(support), "inclusive": (True, True)}

    def method(name):
        def one(self, x, **given):
            density = _of_parameters(degree, **given)
            return getattr(density, name)(x)

        return one

    for name, ours in {
        "pdf": "pdf",
        "logpdf": "logpdf",
        "cdf": "cdf",
        "logcdf": "logcdf",
        "ccdf": "sf",
        "logccdf": "logsf",
        "icdf": "ppf",
        "iccdf": "isf",
    }.items():
        setattr(MaxEnt, name, method(ours))
    MaxEnt.entropy = lambda self, **given: _of_parameters(degree, **given).entropy()
    MaxEnt.moment = lambda self, order, kind="raw", **given: _of_parameters(degree, **given).moment(
        int(order), kind
    )
    MaxEnt.__name__ = f"MaxEnt{degree}"
    return stats.make_distribution(MaxEnt())


def _of_parameters(degree, **given):
    """The Density whose parameters scipy hands back, each broadcast to what it likes."""
    values = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in given.values()))
    shape = values[0].shape
    key = degree, tuple(given), shape, np.stack(values).tobytes()
    return _density(*key)


@lru_cache(maxsize=16)
def _density(degree, names, shape, data):
    values = dict(zip(names, np.frombuffer(data).reshape(len(names), *shape), strict=True))
    c = np.stack([values[f"c{j}"] for j in range(degree + 1)], axis=-1)
    low, high = values.get("low"), values.get("high")
    zero, basis = np.zeros(shape), None
    if low is not None and high is not None:
        support = Interval(low, high)
        loc, scale = (np.reshape(v, shape) for v in support.frame(zero.ravel(), None))
    else:
        loc, scale = values["centre"], values["unit"]
        if low is None and high is None:
            support = RealLine()
        else:
            end = low if high is None else high
            support = HalfLine(float(end.ravel()[0]), upward=high is None)
            alpha = values["alpha"]
            basis = Laguerre("laguerre", alpha.ravel() if shape else alpha)
    return Density(support, c, loc, scale, None, shape, basis=basis)
