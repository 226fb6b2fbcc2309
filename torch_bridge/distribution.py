"""The maximum-entropy density on an interval as a torch distribution.

    log p(x) = sum_{j=1}^k c_j T_j(t) - log Z - log h,  t = (x - middle) / h,  h = (high - low) / 2

T_j are Chebyshev polynomials: t, 2t^2 - 1, 4t^3 - 3t, … . Everything is a function of c, low and
high in tensor operations (see `ops.panels`), so gradients of every order flow into all three.
"""

import math

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch.distributions import Distribution, constraints, kl

from maxent.status import SolveError, Status
from torch_bridge.ops.dual_solve import dual_solve
from torch_bridge.ops.panels import Panels, edges_of, series


class MaxEnt(Distribution):
    """Maximum-entropy distribution on [low, high] with Chebyshev coefficients.

    coefficients  (*batch, k), k >= 1: c_1 … c_k of log p; c_0 is the normaliser and not given
    low, high     numbers or tensors that broadcast with `batch`; finite, low < high

    `rsample` is differentiable by implicit reparametrisation: dx = -(dF/dc) dc / p. Next to cdf and
    icdf there are `ccdf` and `iccdf` for the upper tail, whose small probabilities 1 - u loses.

    Raises TypeError for coefficients that are no floating tensor, and with validate_args ValueError
    for low >= high, an end that is not finite, a value outside the support or a probability outside
    [0, 1]. Without validation log_prob is -inf outside the support, and icdf nan.

    Source of the implicit gradient: Figurnov, Mohamed & Mnih, NeurIPS 2018, equation 5.

    >>> law = torch_bridge.MaxEnt(torch.tensor([0.0, -4.0]), low=0.0, high=10.0)
    >>> law.icdf(torch.tensor([0.5, 0.975]))
    tensor([5.0000, 7.4493])
    >>> law.log_prob(torch.tensor(2.0))
    tensor(-4.0220)
    """

    arg_constraints = {
        "coefficients": constraints.real_vector,
        "low": constraints.dependent(is_discrete=False, event_dim=0),
        "high": constraints.dependent(is_discrete=False, event_dim=0),
    }
    has_rsample = True

    def __init__(self, coefficients, low=-1.0, high=1.0, validate_args=None):
        if not isinstance(coefficients, torch.Tensor) or not coefficients.is_floating_point():
            raise TypeError(f"coefficients must be a floating tensor, got {coefficients!r}")
        if coefficients.ndim == 0 or coefficients.shape[-1] == 0:
            raise ValueError(
                "coefficients need a last dimension of k >= 1 values (c_1 … c_k), got shape "
                f"{tuple(coefficients.shape)}"
            )
        where = {"dtype": coefficients.dtype, "device": coefficients.device}
        low, high = (torch.as_tensor(end, **where) for end in (low, high))
        batch = torch.broadcast_shapes(coefficients.shape[:-1], low.shape, high.shape)
        self.coefficients = coefficients.expand(*batch, coefficients.shape[-1])
        self.low, self.high = low.expand(batch), high.expand(batch)
        super().__init__(batch, validate_args=validate_args)
        if self._validate_args:
            self._check_ends()

    def _check_ends(self):
        """A dependent constraint is not looked at by torch, so low > high would pass."""
        low, high = self.low, self.high
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise ValueError(f"low and high must be finite, got low={low}, high={high}")
        if not bool((low < high).all()):
            raise ValueError(
                f"low must be below high, got low={low}, high={high}; have they changed places?"
            )

    @classmethod
    def from_density(cls, density, *, dtype=torch.float64, device=None, validate_args=None):
        """Of a `maxent.Density` on an interval (or a batch of them), with its coefficients.

        ValueError for another support or a transform, and where a column was not solved (its
        certificate says why). A column that the core holds in polynomials of its own is rounded to
        Chebyshev.
        """
        if density.basis.name != "chebyshev" or density.domain.atoms_of_reference() is not None:
            raise ValueError(f"a torch MaxEnt needs an interval, not {density.domain}")
        if density.transform.name != "none":
            raise ValueError(f"a torch MaxEnt has no {density.transform}: wrap it in torch's own")
        c = torch.tensor(density.coefficients[..., 1:], dtype=dtype, device=device)
        if not bool(torch.isfinite(c).all()):
            raise ValueError(f"there is no density to take over: {density.certificate!r}")
        low, high = (
            torch.tensor(np.asarray(end), dtype=dtype, device=device) for end in density.support()
        )
        return cls(c, low, high, validate_args=validate_args)

    @classmethod
    def from_moments(cls, moments, low=-1.0, high=1.0, *, kind="raw", validate_args=None):
        """The maximum-entropy distribution with these moments, differentiable in them.

        moments: (*batch, k+1), 1 <= k <= 16, float32 or float64; the first is 1, as in
        `maxent.solve`. kind: "raw", E x^j, or "chebyshev", E T_j(t). low, high: as for the class.
        Raw moments on a narrow or distant interval lose digits: prefer float64, or Chebyshev.

        Raises ValueError for a first moment that is not 1 or another kind, and maxent.SolveError
        where no density with these moments was found (`maxent.check` says why). With
        validate_args=False such columns are nan.
        """
        if kind not in ("raw", "chebyshev"):
            raise ValueError(f"kind must be raw or chebyshev, got {kind!r}")
        validate = cls._validate_args if validate_args is None else validate_args
        if moments.ndim == 0 or moments.shape[-1] < 2:
            raise ValueError(f"moments need m0 = 1 and m1 at least, got {tuple(moments.shape)}")
        off = (moments[..., 0] - 1).abs()
        if validate and not bool((off <= 64 * torch.finfo(moments.dtype).eps).all()):
            raise ValueError(
                f"the first moment must be 1, got {moments[..., 0].tolist()}; "
                "did you leave out m0 = 1?"
            )
        if kind == "raw":
            moments = _chebyshev_from_raw(moments, low, high)
        c, info = dual_solve(moments[..., 1:], ridge=0.0)
        solved = info.status == Status.SOLVED.value
        if validate and not bool(solved.all()):
            statuses = tuple(Status(value) for value in info.status.flatten().tolist())
            failed = [j for j, status in enumerate(statuses) if status is not Status.SOLVED]
            raise SolveError(
                f"no density was found for {len(failed)} of {len(statuses)} columns, the first at "
                f"{failed[0]}: {statuses[failed[0]].message}",
                statuses[failed[0]],
                statuses,
            )
        c = torch.where(solved[..., None], c, torch.nan)
        return cls(c, low, high, validate_args=validate_args)

    @property
    def degree(self):
        return self.coefficients.shape[-1]

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        return constraints.interval(self.low, self.high)

    def expand(self, batch_shape, _instance=None):
        new = self._get_checked_instance(MaxEnt, _instance)
        batch_shape = torch.Size(batch_shape)
        new.coefficients = self.coefficients.expand(*batch_shape, self.degree)
        new.low, new.high = self.low.expand(batch_shape), self.high.expand(batch_shape)
        super(MaxEnt, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    # ------------------------------------------------------------------ shapes

    @property
    def _half(self):
        return 0.5 * (self.high - self.low)

    @property
    def _middle(self):
        return 0.5 * (self.high + self.low)

    @property
    def _panels(self):
        """The masses for the batch as one dimension, with the graph of this moment."""
        c = self.coefficients.reshape(-1, self.degree)
        return Panels(c, self._cuts(c))

    def _cuts(self, c):
        """The cuts, kept until the coefficients change in place."""
        version = None if c.is_inference() else c._version
        kept = self.__dict__.get("_edges")
        if kept is None or kept[0] != version:
            kept = self._edges = (version, edges_of(c))
        return kept[1]

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_edges"}

    def _as_rows(self, value):
        """(*sample, *batch) -> (B, n) and the way back."""
        shape = torch.broadcast_shapes(value.shape, self._batch_shape)
        count = self._batch_shape.numel()
        rows = value.expand(shape).reshape(-1, count).transpose(0, 1)
        return rows, lambda result: result.transpose(0, 1).reshape(shape)

    def _reference(self, value):
        return (value - self._middle) / self._half

    # ----------------------------------------------------------------- density

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        t, restore = self._as_rows(self._reference(value))
        panels = self._panels
        rows = series(panels.c, t.clamp(-1, 1)) - panels.log_total[:, None]
        inside = (value >= self.low) & (value <= self.high) | torch.isnan(value)
        return torch.where(inside, restore(rows) - torch.log(self._half), -torch.inf)

    def entropy(self):
        """In nats."""
        panels = self._panels
        means = panels.basis_means(self.degree)
        entropy = panels.log_total - (panels.c * means).sum(1)
        return entropy.reshape(self._batch_shape) + torch.log(self._half)

    def chebyshev_moments(self, degree=None):
        """E T_1(t) … E T_degree(t), (*batch, degree); degree is by default that of the density."""
        degree = self.degree if degree is None else degree
        return self._panels.basis_means(degree).reshape(*self._batch_shape, degree)

    @property
    def mean(self):
        return self._middle + self._half * self.chebyshev_moments(1)[..., 0]

    @property
    def variance(self):
        panels = self._panels
        t = panels.t - panels.mean(panels.t)[:, None]
        return panels.mean(t * t).reshape(self._batch_shape) * self._half**2

    # ------------------------------------------------------------ probability

    def cdf(self, value):
        return self._probability(value, upper=False)

    def ccdf(self, value):
        """P(X > value), with the digits of the upper tail."""
        return self._probability(value, upper=True)

    def _probability(self, value, upper):
        if self._validate_args:
            self._validate_sample(value)
        t, restore = self._as_rows(self._reference(value))
        rows = self._panels.probability(t.clamp(-1, 1), torch.full_like(t, upper, dtype=torch.bool))
        return restore(rows)

    def icdf(self, value):
        return self._quantile(value, upper=False)

    def iccdf(self, value):
        """The x with P(X > x) = value."""
        return self._quantile(value, upper=True)

    def _quantile(self, value, upper):
        """From the smaller of the two tails; nan where `value` is no probability."""
        value = torch.as_tensor(value, dtype=self.low.dtype, device=self.low.device)
        valid = (value >= 0) & (value <= 1)
        if self._validate_args and not bool((valid | torch.isnan(value)).all()):
            raise ValueError(f"expected probabilities within [0, 1], got {value}")
        q, restore = self._as_rows(torch.where(valid, value, 0.5))
        other = q > 0.5
        tail = torch.where(other, 1 - q, q)
        t = self._panels.quantile(tail, other ^ upper)
        x = self._middle + self._half * restore(t)
        x = torch.minimum(torch.maximum(x, self.low), self.high)
        return torch.where(valid, x, torch.nan)

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.icdf(torch.rand(shape, dtype=self.low.dtype, device=self.low.device))

    def __repr__(self):
        return f"MaxEnt(degree: {self.degree}, batch_shape: {tuple(self._batch_shape)})"


def _chebyshev_from_raw(moments, low, high):
    """E x^j -> E T_j(t), j = 0 … k: t^j by the binomial theorem, T_j by its powers."""
    k = moments.shape[-1] - 1
    low, high = (
        torch.as_tensor(end, dtype=moments.dtype, device=moments.device) for end in (low, high)
    )
    slope = 2 / (high - low)
    offset = -(high + low) / (high - low)
    powers = []
    for j in range(k + 1):
        terms = [
            math.comb(j, i) * slope**i * offset ** (j - i) * moments[..., i] for i in range(j + 1)
        ]
        powers.append(sum(terms))
    powers = torch.stack(powers, -1)
    table = np.zeros((k + 1, k + 1))
    for j in range(k + 1):
        table[j, : j + 1] = chebyshev.cheb2poly(np.eye(k + 1)[j, : j + 1])
    return powers @ powers.new_tensor(table).T


@kl.register_kl(MaxEnt, MaxEnt)
def _kl(p, q):
    """E_p[log p - log q]: exact to rounding, since both logarithms are polynomials on p's panels;
    inf where q's support does not hold p's.
    """
    batch = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    p, q = p.expand(batch), q.expand(batch)
    panels, other = p._panels, q._panels
    column = lambda value: value.reshape(-1, 1)  # noqa: E731
    x = column(p._middle) + column(p._half) * panels.t
    t = ((x - column(q._middle)) / column(q._half)).clamp(-1, 1)
    logs = series(panels.c, panels.t) - series(other.c, t)
    within = (q.low <= p.low) & (p.high <= q.high)
    kl = (panels.mean(logs) - panels.log_total + other.log_total).reshape(batch)
    return torch.where(within, kl - torch.log(p._half) + torch.log(q._half), torch.inf)
