"""A fixed change of variable x -> y before the moments are taken: log, asinh or sqrt.

Powers on the raw scale describe the largest values of a heavy-tailed column; those of y describe
the bulk as well. The constants belong to the change, and must be the same wherever columns are to
be merged: choose them from a pilot sample (`Transform.of`), or by what is known of the unit.

    log      y = log((x - loc)/scale)       x > loc
    asinh    y = asinh((x - loc)/scale)     all x; linear near loc, logarithmic far out
    sqrt     y = sqrt((x - loc)/scale)      x >= loc
    none     y = x

With y = g(x), P(X <= x) is P(Y <= g(x)), a quantile of x is g⁻¹ of that of y, and the density of x
is that of y times g'(x).
"""

from __future__ import annotations

import dataclasses

import numpy as np

NAMES = ("none", "log", "asinh", "sqrt")


@dataclasses.dataclass(frozen=True)
class Transform:
    """A fixed change of variable y = g(x); two are equal when name and constants are.

    name: log, asinh or sqrt. loc, and scale > 0: in the unit of x. Raises ValueError for others.

    >>> transform = maxent.Transform("asinh", loc=5.0, scale=2.0)
    >>> transform.forward([5.0, 105.0]).round(3).tolist()
    [0.0, 4.605]
    >>> transform.inverse(transform.forward(105.0)).round(9).tolist()
    105.0
    """

    name: str
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        if self.name not in NAMES:
            raise ValueError(f"transform must be one of {', '.join(NAMES[1:])}, not {self.name!r}")
        loc, scale = float(self.loc), float(self.scale)
        if not np.isfinite(loc):
            raise ValueError(f"loc must be a finite number, not {self.loc}")
        if not (np.isfinite(scale) and scale > 0.0):
            raise ValueError(f"scale must be a number above 0, not {self.scale}")
        object.__setattr__(self, "loc", loc)
        object.__setattr__(self, "scale", scale)

    @classmethod
    def of(cls, name, pilot):
        """The transform with constants from a pilot sample, (n,): for asinh loc is the median and
        scale the median distance from it; otherwise loc is 0 and scale the median.

        Raises ValueError where the pilot has no such scale.
        """
        pilot = np.asarray(pilot, dtype=float)
        pilot = pilot[np.isfinite(pilot)]
        if pilot.size == 0:
            raise ValueError("the pilot sample holds no finite value")
        middle = float(np.median(pilot))
        if name != "asinh":
            return cls(name, 0.0, middle)
        return cls(name, middle, float(np.median(np.abs(pilot - middle))))

    @property
    def domain(self):
        """(lowest, highest) x."""
        return (self.loc, np.inf) if self.name in ("log", "sqrt") else (-np.inf, np.inf)

    def forward(self, x):
        """y; what lies outside of the domain is nan, and log gives -inf at loc."""
        if self.name == "none":
            return x
        with np.errstate(all="ignore"):
            z = (np.asarray(x, dtype=float) - self.loc) / self.scale
            return getattr(np, "arcsinh" if self.name == "asinh" else self.name)(z)

    def place(self, x):
        """y, but -inf for what lies below the domain: where no probability is."""
        y = self.forward(x)
        return y if self.name == "none" else np.where(np.isnan(y) & ~np.isnan(x), -np.inf, y)

    def inverse(self, y):
        """x."""
        if self.name == "none":
            return y
        y = np.asarray(y, dtype=float)
        with np.errstate(over="ignore"):
            if self.name == "log":
                return self.loc + self.scale * np.exp(y)
            return self.loc + self.scale * (np.sinh(y) if self.name == "asinh" else y * y)

    def log_slope(self, y):
        """log dy/dx at y."""
        y = np.asarray(y, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.name == "none":
                return np.zeros(y.shape)
            if self.name == "log":
                out = -y
            elif self.name == "asinh":  # -log cosh y, which itself overflows
                out = np.log(2.0) - np.abs(y) - np.log1p(np.exp(-2.0 * np.abs(y)))
            else:
                out = -np.log(2.0 * y)
        return out - np.log(self.scale)

    def __repr__(self):
        return f"Transform({self.name!r}, loc={self.loc!r}, scale={self.scale!r})"


NONE = Transform("none")


def as_transform(value):
    """A Transform from its name, from None, or as it is."""
    if value is None:
        return NONE
    if isinstance(value, Transform):
        return value
    if isinstance(value, str):
        return Transform(value)
    raise TypeError(f"transform must be a name or a Transform, not {repr(value)[:80]}")
