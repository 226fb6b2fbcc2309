"""How far columns are from N(0, 1), as losses for embeddings (*, samples, features).

Every column is squashed, t = z / sqrt(9 + z^2), and described by m_j = E T_j(t), j = 1 … k: bounded
functions of z whose slopes fall off as |z|^-3, so that no sample, however far out, has a large
gradient. With m° and C the moments and the covariance of T_1(t) … T_k(t) for z ~ N(0, 1),

    MomentLoss      (m - m°)ᵀ C⁻¹ (m - m°): squared means of the polynomials orthonormal under the
                    normal law. For n normal samples n times the loss has k degrees of freedom in
                    chi²: Neyman's smooth test (Skandinavisk Aktuarietidskrift 20 (1937) 149).
    NegentropyLoss  KL(p_m | p_m°), p_m the maximum-entropy density with moments m. With V(m) the
                    minimum of the dual and -V(m) its entropy, this is
                    V(m) - V(m°) - c°·(m - m°), whose gradient is c(m) - c°. By Pythagoras for
                    exponential families no law with moments m is nearer to p_m° than p_m is, and
                    near the normal the loss is half of MomentLoss (Csiszár, Annals of Probability 3
                    (1975) 146).

In training, sums and counts are summed over the processes (`distributed.all_sum`): every process
has the loss of the union of the samples, and DDP's averaged gradient is the one of that loss.
"""

import functools
import math

import numpy as np
import torch
from torch import nn

from torch_bridge.distributed import all_sum, processes
from torch_bridge.ops import chebyshev
from torch_bridge.ops.dual_solve import dual_solve, tables, tensors
from torch_bridge.ops.dual_solve.operators import LARGEST_DEGREE, RIDGE
from torch_bridge.ops.precision import without_autocast

SQUASH = 3.0  # t = z / sqrt(SQUASH^2 + z^2): half of [-1, 1] is |z| < 1.7
REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": lambda values: values}


@functools.lru_cache
def normal_moments(degree):
    """m° (k,) and the lower triangular L (k, k) with L C Lᵀ = 1, float64.

    Trapezoidal rule in z: for a Gaussian, right to rounding long before a step of 1/64.
    """
    z = np.arange(-12, 12 + 1 / 64, 1 / 64)
    weights = np.exp(-0.5 * z * z) / (64 * math.sqrt(2 * math.pi))
    table = np.polynomial.chebyshev.chebvander(z / np.sqrt(SQUASH**2 + z * z), degree)[:, 1:]
    mean = weights @ table
    # QR, since C itself would lose half of the digits of L
    r = np.linalg.qr(np.sqrt(weights)[:, None] * (table - mean), mode="r")
    return mean, np.linalg.inv(r).T


def squash(z):
    """z / sqrt(9 + z^2), for any finite z: its square need not be finite."""
    s = z / SQUASH
    return s / torch.hypot(s, torch.ones_like(s))


class ColumnLoss(nn.Module):
    """What the losses share: from embeddings to one value a column."""

    def __init__(
        self, degree=6, *, standardize=False, eps=1e-5, reduction="mean", process_group=None
    ):
        super().__init__()
        if not 1 <= degree <= LARGEST_DEGREE:
            raise ValueError(f"degree must be from 1 to {LARGEST_DEGREE}, got {degree}")
        if reduction not in REDUCTIONS:
            names = ", ".join(REDUCTIONS)
            raise ValueError(f"reduction must be one of {names}, got {reduction!r}")
        self.degree = degree
        self.standardize = standardize
        self.eps = eps
        self.reduction = reduction
        self.process_group = process_group
        mean, triangle = normal_moments(degree)
        self.register_buffer("target", torch.tensor(mean), persistent=False)
        self.register_buffer("triangle", torch.tensor(triangle), persistent=False)

    def forward(self, z):
        """The loss, of z's dtype if that is float64, else float32."""
        if z.ndim < 2:
            raise ValueError(f"expected (*, samples, features), got shape {tuple(z.shape)}")
        shared = self.training and processes(self.process_group) > 1
        if z.shape[-2] == 0 and not shared:
            raise ValueError(f"there are no samples in {tuple(z.shape)}; dimension -2 counts them")
        with without_autocast(z):
            wide = z if z.dtype == torch.float64 else z.float()
            columns = wide.movedim(-2, 0).flatten(1)[..., None]
            moments = self.moments(columns, shared)
            values = self.distance(moments).reshape(*z.shape[:-2], z.shape[-1])
            return REDUCTIONS[self.reduction](values)

    def total(self, sums, shared):
        return all_sum(sums, self.process_group) if shared else sums

    def moments(self, x, shared):
        """E T_1 … E T_k (C, k) of the squashed columns of (n, C, 1)."""
        if self.standardize:
            ones = torch.full_like(x[:1, :, 0].detach().sum(0), len(x))
            count, first = self.total(torch.stack([ones, x.sum((0, 2))]), shared)
            d = x - (first / count)[:, None]
            var = self.total(d.square().sum((0, 2)), shared) / count
            x = d / torch.sqrt(var + self.eps)[:, None]
        sums = self.total(chebyshev.sums(squash(x), None, self.degree + 1), shared)
        return sums[:, 1:] / sums[:, :1].detach()

    def extra_repr(self):
        text = f"degree={self.degree}, reduction={self.reduction}"
        return text + (", standardize=True" if self.standardize else "")


class MomentLoss(ColumnLoss):
    """Squared means of `degree` polynomials orthonormal under N(0, 1), squashed: 0 for a normal
    column, `degree`/n on average for n normal samples.

    degree: how many moments count. standardize: about the batch's own mean and standard deviation
    (eps as in BatchNorm), so that the shape alone counts. reduction: over the columns, "mean",
    "sum" or "none" (*, features). process_group: whose samples count in training; None for all.

    Raises ValueError for a degree out of range, another reduction, or input without samples.

    >>> loss = torch_bridge.MomentLoss()
    >>> z = torch.special.ndtri(torch.linspace(0.0005, 0.9995, 1000))[:, None]
    >>> bool(loss(z) < 1e-4), bool(loss(z.exp()) > 1)
    (True, True)
    """

    def distance(self, moments):
        """One value a column, from moments (C, degree)."""
        centred = moments - self.target.to(moments.dtype)
        return (centred @ self.triangle.to(moments.dtype).T).square().sum(1)


class NegentropyLoss(ColumnLoss):
    """Divergence, in nats, of the maximum-entropy density of a column's moments from that of a
    normal column's: 0 for a normal column, `degree`/2n on average for n normal samples, less what
    the ridge takes.

    ridge: of the dual, as in `functional.dual_solve`; the loss is that of the ridged dual, and its
    gradient exact. Other arguments and errors as for MomentLoss.

    Raises ValueError also for a negative ridge.

    >>> loss = torch_bridge.NegentropyLoss()
    >>> z = torch.special.ndtri(torch.linspace(0.0005, 0.9995, 1000))[:, None]
    >>> bool(loss(z) < 1e-4), bool(loss(z.exp()) > 0.3)
    (True, True)
    """

    def __init__(self, degree=6, *, ridge=RIDGE, **options):
        super().__init__(degree, **options)
        self.ridge = ridge
        coefficients, _ = dual_solve(self.target, ridge=ridge)
        self.register_buffer("reference", coefficients, persistent=False)
        self.register_buffer("least", self.dual(coefficients[None], self.target), persistent=False)

    def dual(self, c, m):
        """log Z(c) - c·m + ridge |c|²/2, (C,)."""
        table, weights = tables.rule(2 * self.degree, tables.default_nodes(self.degree, c.dtype), c)
        _, log_z = tensors.log_density(c, table, weights.log())
        return log_z - (c * m).sum(1) + 0.5 * self.ridge * (c * c).sum(1)

    def distance(self, moments):
        """One value a column, from moments (C, degree)."""
        c, _ = dual_solve(moments, ridge=self.ridge)
        reference, target = self.reference.to(moments.dtype), self.target.to(moments.dtype)
        value = self.least.to(moments.dtype) - self.dual(c, moments)
        return value - (moments - target) @ reference


class Sliced(nn.Module):
    """A loss of columns, of random directions in the feature space: see `sliced`."""

    def __init__(self, loss, num_slices):
        super().__init__()
        if num_slices < 1:
            raise ValueError(f"num_slices must be at least 1, got {num_slices}")
        self.loss = loss
        self.num_slices = num_slices

    def forward(self, z):
        """The loss of z (*, samples, features) along num_slices directions, drawn anew."""
        wide = z if z.dtype == torch.float64 else z.float()
        directions = torch.randn(
            z.shape[-1], self.num_slices, dtype=wide.dtype, device=z.device
        )
        if self.training:
            # the sum of the processes' draws is as isotropic, and the same on all of them
            directions = all_sum(directions, getattr(self.loss, "process_group", None))
        with without_autocast(z):
            return self.loss(wide @ nn.functional.normalize(directions, dim=0))

    def extra_repr(self):
        return f"num_slices={self.num_slices}"


def sliced(loss, num_slices=256):
    """`loss` of z (*, samples, features) seen along random directions: by Cramér and Wold, features
    are jointly N(0, 1) and independent if and only if every direction is N(0, 1).

    loss: a MomentLoss or NegentropyLoss, or any module of (*, samples, columns). The directions
    come from torch's random generator and are the same on every process in training.

    Raises ValueError for num_slices < 1.

    >>> loss = torch_bridge.sliced(torch_bridge.MomentLoss(), num_slices=64)
    >>> loss(torch.randn(2, 128, 16)).shape
    torch.Size([])
    """
    return Sliced(loss, num_slices)
