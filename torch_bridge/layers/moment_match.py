"""Moment matching in the place of BatchNorm."""

import math

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer

from torch_bridge import copula, moment_matching
from torch_bridge.layers.column_norm import ColumnNorm, LazyColumnNorm, approach
from torch_bridge.matched import How, matched
from torch_bridge.moment_matching import KNOTS
from torch_bridge.ops import match, monotone_table, short_map
from torch_bridge.ops.columns import as_columns
from torch_bridge.ops.dual_solve import dual_solve
from torch_bridge.ops.dual_solve.operators import RIDGE
from torch_bridge.ops.precision import without_autocast


class MomentMatch(ColumnNorm):
    """y = weight * F2^-1(F1(x)) + bias along dimension 1 of an (N, C, ...) input.

    F1 is the maximum-entropy distribution of the first `degree` moments of each feature's column;
    F2 the `target`: see `functional.moment_match` for degree, target, support, ridge and
    target_support. learn_target: the target's moments are a parameter, `target_moments`; "normal"
    then is where they begin.

    In evaluation F1 is that of the running averages of the batches' *moments* (an average of moment
    vectors is one of a distribution, which an average of coefficients is not), solved when the
    mode changes and applied as a table.

    Buffers beside BatchNorm's: running_moments; coefficients of the last solve, from which the next
    one starts; and what that solve said of each feature: status (values of maxent.Status),
    residual and steps, which state files leave out.

    Raises ValueError for options out of range, an input of other features, or one value per
    feature in training.

    >>> layer = torch_bridge.MomentMatch(4)
    >>> layer(torch.randn(64, 4).exp()).shape, layer.status.tolist()
    (torch.Size([64, 4]), [0, 0, 0, 0])
    """

    TRANSIENT = ("status", "residual", "steps", "table", "cubics")

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
        degree=6,
        target="normal",
        learn_target=False,
        target_support="real",
        support="real",
        ridge=RIDGE,
    ):
        moment_matching.check_degree(degree)
        moment_matching.check_ridge(ridge)
        moment_matching.check_support(support)
        moment_matching.check_support(target_support)
        if learn_target and isinstance(target, str) and target == "normal":
            standard = torch.tensor([[0.0], [1.0], [0.0], [1.0]])  # mean, var, center, scale
            target = moment_matching.normal_moments(*standard, "real", degree)[0]
        if learn_target and not isinstance(target, torch.Tensor):
            raise ValueError(
                "a target that is learned begins at moments: give a tensor of them, or "
                f'"normal"; got {target!r}'
            )
        moment_matching.check_target(target)
        self.degree = degree
        self.support = support
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.ridge = ridge
        self.target_support = target_support
        self.learn_target = learn_target
        self.target = target
        if isinstance(target, torch.Tensor):
            self.target = target.detach().clone()
            kind = dtype or torch.get_default_dtype()
            value = torch.empty(target.shape, device=device, dtype=kind)
            if learn_target:
                self.target_moments = nn.Parameter(value)
            else:
                self.register_buffer("target_moments", value)
        self.table_is_of = None  # eager mode compares this, a compiled graph the flag
        self.table_is_fresh = False
        self.reset_parameters()

    def own_buffers(self):
        """The running moments; the last solve; the evaluation map."""
        buffers = {
            "running_moments": ((self.degree,), None),
            "coefficients": ((self.degree,), None),
            "status": ((), torch.int8),
            "residual": ((), None),
            "steps": ((), torch.int32),
            "table": ((KNOTS, 2), None),
            "cubics": ((KNOTS - 1, 4), None),
        }
        return buffers if self.support == "real" else buffers | {"running_range": ((2,), None)}

    def own_defaults(self, mean, var):
        """Those of a normal column of this mean and variance; nothing is solved yet."""
        values = {}
        if self.support == "real":
            center, scale = mean, torch.sqrt(var)
        else:
            if self.support == "data":
                reach = 3 * torch.sqrt(var)
                low, high = mean - reach, mean + reach
            else:
                low, high = (torch.full_like(mean, end) for end in self.support)
            center, scale = moment_matching.frame_of_range(low, high)
            values["running_range"] = torch.stack([low, high], 1)
        values["running_moments"] = moment_matching.normal_moments(
            mean, var, center, scale, self.support, self.degree
        )
        like = torch.zeros_like(values["running_moments"])
        return values | {
            "coefficients": like,
            "status": like[:, 0],
            "residual": like[:, 0],
            "steps": like[:, 0],
            "table": like[:, :1, None].expand(-1, KNOTS, 2),
            "cubics": like[:, :1, None].expand(-1, KNOTS - 1, 4),
        }

    @torch.no_grad()
    def own_in_frame(self, shift, scale):
        """Moments are those of standardised columns already; a range moves along."""
        if self.support != "real":
            moved = (self.running_range - shift[:, None]) / scale[:, None]
            self.running_range.copy_(moved)

    def reset_parameters(self):
        """Statistics of N(0, 1) columns, weight 1, bias 0, the target as it was given."""
        super().reset_parameters()
        if isinstance(getattr(self, "target", None), torch.Tensor):
            with torch.no_grad():
                self.target_moments.copy_(self.target)

    def aim(self):
        """What table_of takes as target."""
        return self.target_moments if isinstance(self.target, torch.Tensor) else self.target

    def forward(self, x):
        """Of shape and dtype of x; in training the running statistics move along."""
        self.check_input(x)
        wide = copula.wide_dtype(x)
        shared = self.shares_batch()
        if x.numel() == 0 and not shared:
            return self.with_affine(x.to(wide)).to(x.dtype)
        with without_autocast(x):
            columns, restore = as_columns(x, (0, *range(2, x.ndim)))
            if not self.uses_batch():
                y = self.evaluation(columns.to(wide))
                return self.with_affine(restore(y)).to(x.dtype)
            if not shared:
                self.check_batch(x)
            return restore(self.matched(columns, shared))

    def matched(self, columns, shared):
        """The map of this batch; in training the running statistics move along."""
        start = sync = None
        support = self.support
        if self.track_running_stats:
            start = self.coefficients
            support = support if support in ("real", "data") else self.running_range
        if shared:
            sync = (self.process_group, self.running_mean if self.track_running_stats else 0.0)
        how = How(self.degree, support, self.eps, self.ridge, self.aim(), self.target_support)
        y, found = matched(columns, how, self.weight, self.bias, start, sync)
        if self.updates_statistics():
            self.update(found)
        return y

    def table_for(self, c):
        """The table (C, knots, 2) of t -> y, without the affine part, for coefficients c."""
        return moment_matching.table_of(c, self.aim(), KNOTS, self.ridge, self.target_support)

    @torch.no_grad()
    def update(self, found):
        """One batch into the running statistics; the moments begin with the first batch."""
        if self.support == "real" and match.notes(found):
            self.num_batches_tracked.add_(1)
            running = (self.running_mean, self.running_var, self.running_moments)
            solve = (self.coefficients, self.status, self.residual, self.steps)
            parts = (found.mean, found.var, found.moments, found.coefficients, *found.info)
            match.note(
                self.num_batches_tracked, parts, found.count, self.momentum, running + solve
            )
            self.table_is_fresh = False
            return
        factor = self.average_factor()
        n = found.count
        mean, var, moments = (v.detach() for v in (found.mean, found.var, found.moments))
        approach(self.running_mean, mean, factor)
        less = (n - 1).clamp_min(1) if isinstance(n, torch.Tensor) else max(n - 1, 1)
        unbiased = (var * (n / less)).to(var.dtype)
        approach(self.running_var, unbiased, factor)
        first = torch.where(self.num_batches_tracked == 1, 1.0, factor)
        approach(self.running_moments, moments, first)
        if self.support == "data":
            center, scale = found.center.detach(), found.scale.detach()
            approach(self.running_range, torch.stack([center - scale, center + scale], 1), first)
        self.note(found.coefficients.detach(), found.info)

    def note(self, c, info):
        """Keep what a solve found and said; the evaluation map is then no longer up to date."""
        self.coefficients.copy_(c)
        self.status.copy_(info.status)
        self.residual.copy_(info.residual)
        self.steps.copy_(info.steps)
        self.table_is_fresh = False

    def solved(self):
        """(coefficients, info) of the running moments; not of anything that was solved before."""
        wide = self.running_moments.to(copula.wide_dtype(self.running_moments))
        return dual_solve(wide, ridge=self.ridge)

    def frame(self):
        """(center, scale) (C,) of the evaluation map."""
        if self.support == "real":
            return self.running_mean, torch.sqrt(self.running_var + self.eps)
        return moment_matching.frame_of_range(*self.running_range.unbind(1))

    def sources(self):
        """What the evaluation map is made of, as far as eager mode can tell."""
        tensors = [self.running_moments]
        if isinstance(self.target, torch.Tensor):
            tensors.append(self.target_moments)
        return tuple((id(v), v._version) for v in tensors)

    @torch.no_grad()
    def maps(self):
        """(table, cubics) of the running moments: the buffers if they are up to date."""
        if torch.compiler.is_compiling():
            if self.table_is_fresh:
                return self.table, self.cubics
            table = self.table_for(self.solved()[0])
            return table, monotone_table.powers(table)
        if self.table_is_fresh and self.table_is_of == self.sources():
            return self.table, self.cubics
        c, info = self.solved()
        table = self.table_for(c)
        cubics = monotone_table.powers(table)
        if torch._C._functorch.peek_interpreter_stack() is None:
            self.note(c, info)
            self.table.copy_(table)
            self.cubics.copy_(cubics)
            self.table_is_of, self.table_is_fresh = self.sources(), True
        return table, cubics

    def evaluation(self, columns):
        """The evaluation map of (A, C, B), before the affine part."""
        table, cubics = self.maps()
        center, scale = self.frame()
        squash = moment_matching.squash_of(self.support)
        return monotone_table.apply(table, cubics, columns, center, scale, squash)

    def train(self, mode=True):
        """As nn.Module; evaluation's table is made here."""
        super().train(mode)
        if not mode and self.track_running_stats and self.is_ready():
            self.maps()
        return self

    def is_ready(self):
        """Whether the buffers hold numbers yet."""
        moments = self.running_moments
        return not isinstance(moments, UninitializedBuffer) and not moments.is_meta

    def in_evaluation(self, y, name):
        """The values of y as columns, and their way back."""
        if self.uses_batch():
            raise RuntimeError(f"{name}() is of the evaluation map: call eval() first")
        self.check_input(y)
        return as_columns(y.to(copula.wide_dtype(y)), (0, *range(2, y.ndim)))

    def inverse(self, y):
        """x with forward(x) = y in evaluation mode, of y's shape and dtype.

        Raises RuntimeError in training mode.
        """
        columns, restore = self.in_evaluation(y, "inverse")
        columns = as_columns(self.without_affine(restore(columns)), (0, *range(2, y.ndim)))[0]
        t = monotone_table.inverse(self.maps()[0].to(columns.dtype), columns)
        z = moment_matching.unsquash(t) if self.support == "real" else t
        center, scale = (part.to(z.dtype)[:, None] for part in self.frame())
        return restore(center + scale * z).to(y.dtype)

    def log_abs_det_jacobian(self, x, y=None):
        """log |d forward / dx| of every element in evaluation mode, of x's shape and dtype; y is
        not needed (torch.distributions hands it over). Raises RuntimeError in training mode.
        """
        columns, restore = self.in_evaluation(x, "log_abs_det_jacobian")
        center, scale = (part.to(columns.dtype)[:, None] for part in self.frame())
        z = (columns - center) / scale
        total = -torch.log(scale)
        if self.support == "real":
            t = moment_matching.squash(z)
            total = total + 1.5 * torch.log1p(-t * t) - math.log(moment_matching.SQUASH)
        else:
            t = z
        total = total + torch.log(monotone_table.evaluate(self.maps()[0], t, 1))
        if self.weight is not None:
            total = total + torch.log(self.weight.abs().to(total.dtype))[:, None]
        return restore(total).to(x.dtype)

    @torch.no_grad()
    def freeze(self):
        """The evaluation map as it is now, the affine part folded in: a module without parameters.

        Features whose map a polynomial follows to 1e-4 of a standard deviation of y are evaluated
        by it; `error` of the module says how far it is off. Raises RuntimeError in training mode.
        """
        if self.uses_batch():
            raise RuntimeError("freeze() is of the evaluation map: call eval() first")
        table = self.maps()[0]
        below, above, _ = moment_matching.distribution(self.coefficients.double(), KNOTS)
        fit = short_map.fit(table, below, above)
        squash = moment_matching.squash_of(self.support)
        rows = short_map.rows_of(fit, *self.frame(), squash)
        if self.weight is not None:
            rows[4:] *= self.weight.double().cpu()
        if self.bias is not None:
            rows[-1] += self.bias.double().cpu()
        affine = moment_matching.affine_table(table, self.weight, self.bias)
        return Frozen(affine, rows, fit.error, squash > 0, self.RANKS)

    def extra_repr(self):
        """What repr(layer) shows."""
        target = self.target
        if isinstance(target, torch.Tensor):
            target = "learned" if self.learn_target else "moments"
        elif not isinstance(target, str):
            target = type(target).__name__
        return (
            f"{super().extra_repr()}, degree={self.degree}, target={target}, "
            f"support={self.support}, ridge={self.ridge}"
        )


class Frozen(nn.Module):
    """MomentMatch in evaluation, without what trains: see ops.short_map for what it computes.

    Buffers: the tables (C, knots, 2) and their cubics; rows, of ops.short_map.rows_of; error (C,):
    how far a feature's polynomial is from its table, in standard deviations of y, infinite where
    the table itself is used.
    """

    def __init__(self, table, rows, error, squash, ranks):
        super().__init__()
        cubics = monotone_table.powers(table)
        for name, value in {"table": table, "cubics": cubics, "rows": rows, "error": error}.items():
            self.register_buffer(name, value.to(table.device, table.dtype, copy=True))
        self.squash = squash
        self.ranks = ranks

    def forward(self, x):
        """Of shape and dtype of x."""
        if x.ndim < 2 or (self.ranks and x.ndim not in self.ranks):
            raise ValueError(f"a frozen layer of ranks {self.ranks} got {x.ndim}D input")
        wide = copula.wide_dtype(x)
        if x.dtype != wide:
            return self(x.to(wide)).to(x.dtype)
        columns, restore = as_columns(x, (0, *range(2, x.ndim)))
        own = self._buffers  # past Module.__getattr__, which a small batch would notice
        y = short_map.apply(own["rows"], own["table"], own["cubics"], columns, self.squash)
        return restore(y)


class MomentMatch1d(MomentMatch):
    """`MomentMatch` for inputs (N, C) or (N, C, L); raises ValueError for others.

    >>> torch_bridge.MomentMatch1d(4)(torch.randn(8, 4)).shape
    torch.Size([8, 4])
    """

    RANKS = (2, 3)


class MomentMatch2d(MomentMatch):
    """`MomentMatch` for inputs (N, C, H, W); raises ValueError for others.

    >>> torch_bridge.MomentMatch2d(4)(torch.randn(8, 4, 5, 5)).shape
    torch.Size([8, 4, 5, 5])
    """

    RANKS = (4,)


class MomentMatch3d(MomentMatch):
    """`MomentMatch` for inputs (N, C, D, H, W); raises ValueError for others.

    >>> torch_bridge.MomentMatch3d(4)(torch.randn(2, 4, 3, 3, 3)).shape
    torch.Size([2, 4, 3, 3, 3])
    """

    RANKS = (5,)


class LazyMomentMatch(LazyColumnNorm, MomentMatch):
    """`MomentMatch` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyMomentMatch()
    >>> layer(torch.randn(8, 4)).shape, layer.num_features
    (torch.Size([8, 4]), 4)
    """

    cls_to_become = MomentMatch


class LazyMomentMatch1d(LazyColumnNorm, MomentMatch1d):
    """`MomentMatch1d` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyMomentMatch1d()
    >>> layer(torch.randn(8, 4)).shape, layer.num_features
    (torch.Size([8, 4]), 4)
    """

    cls_to_become = MomentMatch1d


class LazyMomentMatch2d(LazyColumnNorm, MomentMatch2d):
    """`MomentMatch2d` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyMomentMatch2d()
    >>> layer(torch.randn(8, 4, 5, 5)).shape, layer.num_features
    (torch.Size([8, 4, 5, 5]), 4)
    """

    cls_to_become = MomentMatch2d


class LazyMomentMatch3d(LazyColumnNorm, MomentMatch3d):
    """`MomentMatch3d` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyMomentMatch3d()
    >>> layer(torch.randn(2, 4, 3, 3, 3)).shape, layer.num_features
    (torch.Size([2, 4, 3, 3, 3]), 4)
    """

    cls_to_become = MomentMatch3d
