"""The transforms as modules: parameters, buffers, running statistics. Formulas are elsewhere."""

import math
import warnings

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torch_bridge import copula, shift
from torch_bridge.ops.columns import as_columns

NORMAL_DTYPES = (torch.float32, torch.float64)


class ColumnNorm(nn.Module):
    """What BatchNorm's relatives share: affine parameters, running statistics, state files.

    Not a `_BatchNorm`: torch's converters and fusers replace those without asking.
    A subclass defines `own_buffers`, `own_defaults` and `forward`.
    """

    _version = 3  # 2 is BatchNorm's; up to there the own buffers are missing from a state file

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
    ):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.has_bias = bias
        where = {"device": device, "dtype": dtype}
        self.weight = self.bias = None
        if affine:
            self.weight = nn.Parameter(torch.empty(num_features, **where))
            if bias:
                self.bias = nn.Parameter(torch.empty(num_features, **where))
        for name, (shape, kind) in self.buffers_with_shapes(dtype).items():
            value = torch.empty(shape, device=device, dtype=kind) if track_running_stats else None
            self.register_buffer(name, value)

    def buffers_with_shapes(self, dtype):
        """name -> (shape, dtype) of every buffer, BatchNorm's first."""
        wide = dtype if dtype in NORMAL_DTYPES else torch.float32
        count = self.num_features
        names = {"running_mean": ((count,), wide), "running_var": ((count,), wide)}
        for name, (shape, kind) in self.own_buffers().items():
            names[name] = ((count, *shape), kind or wide)
        return names | {"num_batches_tracked": ((), torch.int64)}

    def own_buffers(self):
        """name -> (shape after the features, dtype or None for that of the statistics)."""
        return {}

    def own_defaults(self, mean, var):
        """name -> value of the own buffers, of normal columns with these statistics."""
        return {}

    @torch.no_grad()
    def reset_running_stats(self):
        if not self.track_running_stats:
            return
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()
        if self.running_mean.is_meta:
            return
        for name, value in self.own_defaults(self.running_mean, self.running_var).items():
            getattr(self, name).copy_(value)

    @torch.no_grad()
    def reset_parameters(self):
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def check_input(self, x):
        if x.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {x.ndim}D input)")
        if x.shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} features, got input of {x.shape[1]}")

    def check_batch(self, x):
        """More than one value per column, in BatchNorm's words."""
        if x.numel() == x.shape[1]:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {x.size()}"
            )

    def uses_batch(self):
        return self.training or not self.track_running_stats

    def updates_statistics(self):
        """False in the second forward pass of activation checkpointing, which runs in backward."""
        if not (self.training and self.track_running_stats):
            return False
        return torch.compiler.is_compiling() or torch._C._current_graph_task_id() == -1

    def average_factor(self):
        """Weight of this batch; counts it. momentum None is the average over all batches."""
        self.num_batches_tracked.add_(1)
        if self.momentum is None:
            return 1.0 / self.num_batches_tracked.double()
        return torch.full_like(self.num_batches_tracked, self.momentum, dtype=torch.float64)

    def with_affine(self, y):
        """weight * y + bias along dimension 1, in y's dtype."""
        shape = (1, -1) + (1,) * (y.ndim - 2)
        if self.weight is not None:
            y = y * self.weight.to(y.dtype).view(shape)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype).view(shape)
        return y

    def without_affine(self, y):
        shape = (1, -1) + (1,) * (y.ndim - 2)
        if self.bias is not None:
            y = y - self.bias.to(y.dtype).view(shape)
        if self.weight is not None:
            y = y / self.weight.to(y.dtype).view(shape)
        return y

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, errors
    ):
        version = local_metadata.get("version")
        if self.track_running_stats and (version is None or version < 3):
            if prefix + "num_batches_tracked" not in state_dict:
                state_dict[prefix + "num_batches_tracked"] = self.num_batches_tracked.new_zeros(())
            mean = state_dict.get(prefix + "running_mean")
            var = state_dict.get(prefix + "running_var")
            if mean is not None and var is not None:
                for name, value in self.own_defaults(mean, var).items():
                    state_dict.setdefault(prefix + name, value)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, errors
        )

    def extra_repr(self):
        text = (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )
        return text + (", bias=False" if self.affine and not self.has_bias else "")


class LazyColumnNorm(LazyModuleMixin):
    """Takes num_features from the first input, then becomes the plain class."""

    weight: UninitializedParameter
    bias: UninitializedParameter

    def __init__(
        self,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
        **options,
    ):
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=bias, **options)
        self.affine = affine
        self.track_running_stats = track_running_stats
        where = {"device": device, "dtype": dtype}
        if affine:
            self.weight = UninitializedParameter(**where)
            if bias:
                self.bias = UninitializedParameter(**where)
        if track_running_stats:
            for name, (shape, kind) in self.buffers_with_shapes(dtype).items():
                value = UninitializedBuffer(device=device, dtype=kind)
                setattr(self, name, value if shape else torch.zeros((), device=device, dtype=kind))

    def reset_parameters(self):
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def reset_running_stats(self):
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_running_stats()

    def initialize_parameters(self, x):
        if not self.has_uninitialized_params():
            return
        self.num_features = x.shape[1]
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                parameter.materialize((self.num_features,))
        if self.track_running_stats:
            for name, (shape, _) in self.buffers_with_shapes(None).items():
                if shape:
                    getattr(self, name).materialize(shape)
        self.reset_parameters()


class Copula(ColumnNorm):
    """y = weight * F^{-1}(soft rank / n) + bias along dimension 1 of an (N, C, ...) input.

    target: F, see `functional.copula_transform`; a module among its kind trains along.
    strength: slope of the sigmoids, in standard deviations if `standardize`; a number or one per
    feature; a parameter (its logarithm, `log_strength`) if `learn_strength`.
    eval_map: "quantile" (monotone, the default), "linear", "quadratic" or "cubic" in x; the last
    two need not be monotone, and `eval()` warns where they are not.
    """

    DEGREES = {"linear": 1, "quadratic": 2, "cubic": 3}

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
        target="normal",
        strength=10.0,
        learn_strength=False,
        standardize=True,
        eval_map="quantile",
        method="auto",
    ):
        if eval_map != "quantile" and eval_map not in self.DEGREES:
            names = ", ".join(["quantile", *self.DEGREES])
            raise ValueError(f"eval_map must be one of {names}, got {eval_map!r}")
        copula.check_target(target)
        copula.check_method(method)
        copula.check_strength(strength)
        self.degree = self.DEGREES.get(eval_map, 0)
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.target = target
        self.standardize = standardize
        self.eval_map = eval_map
        self.method = method
        self.learn_strength = learn_strength
        if learn_strength:
            logarithm = torch.as_tensor(strength, dtype=torch.float32, device=device).log()
            self.log_strength = nn.Parameter(logarithm.clone())
        elif isinstance(strength, torch.Tensor):
            self.register_buffer("fixed_strength", strength.detach().clone())
        else:
            self.fixed_strength = float(strength)
        self.reset_parameters()

    @property
    def strength(self):
        return self.log_strength.exp() if self.learn_strength else self.fixed_strength

    def own_buffers(self):
        if self.degree:
            return {
                "frame": ((2,), torch.float64),
                "running_sums": ((3 * self.degree + 2,), torch.float64),
            }
        return {"running_bins": ((3, copula.BINS), torch.float64)}

    def own_defaults(self, mean, var):
        with torch.no_grad():
            if self.degree:
                sums = copula.normal_sums(self.degree, self.target, device=mean.device)
                frame = torch.stack([mean.double(), (var.double() + self.eps).sqrt()], 1)
                return {"frame": frame, "running_sums": sums.expand(len(mean), -1).clone()}
            return {"running_bins": copula.normal_bins(mean, var, self.target)}

    def forward(self, x):
        self.check_input(x)
        wide = x.to(copula.wide_dtype(x))
        if x.numel() == 0:
            return self.with_affine(wide).to(x.dtype)
        if not self.uses_batch():
            return self.with_affine(self.evaluation(wide)).to(x.dtype)
        self.check_batch(x)
        dims = (0, *range(2, x.ndim))
        y, v = copula.transform(
            wide, self.strength, self.target, dims, self.standardize, self.eps, self.method
        )
        if self.updates_statistics():
            self.update(wide.detach(), y.detach(), v.detach(), dims)
        return self.with_affine(y).to(x.dtype)

    @torch.no_grad()
    def update(self, x, y, v, dims):
        """One batch into the running statistics; the own buffers begin with the first batch."""
        n = x.numel() / x.shape[1]
        factor = self.average_factor()
        mean, var = x.mean(dims), x.var(dims, correction=0)
        approach(self.running_mean, mean, factor)
        approach(self.running_var, var * (n / max(1, n - 1)), factor)
        first = self.num_batches_tracked == 1
        own = torch.where(first, 1.0, factor)
        x3, y3 = as_columns(x, dims)[0], as_columns(y, dims)[0]
        if self.degree:
            frame = torch.stack([mean, (var + self.eps).sqrt()], 1).double()
            self.frame.copy_(torch.where(first, frame, self.frame.double()))
            sums = copula.regression_sums(self.in_frame(x3), y3, self.degree)
            approach(self.running_sums, sums, own)
            return
        score = y if self.target == "normal" else copula.quantile("normal", v)
        bins = copula.bin_sums(x3, y3, as_columns(score, dims)[0])
        approach(self.running_bins, bins, own)

    def in_frame(self, x):
        """(A, C, B) in the regression's coordinate."""
        center, scale = self.frame.to(torch.float64).unbind(1)
        return ((x - center[:, None]) / scale[:, None]).to(x.dtype)

    def evaluation(self, x):
        """The evaluation map, before the affine part."""
        columns, restore = as_columns(x, (0, *range(2, x.ndim)))
        if self.degree:
            coefficients = copula.regression_coefficients(self.running_sums, self.degree)
            return restore(copula.polynomial(coefficients, self.in_frame(columns)))
        return restore(by_rows(copula.monotone_cubic, copula.knots_of(self.running_bins), columns))

    def inverse(self, y):
        """x with forward(x) = y in evaluation mode, for the monotone maps."""
        if self.uses_batch():
            raise RuntimeError("inverse() inverts the evaluation map: call eval() first")
        if self.degree > 1:
            raise RuntimeError(f"the {self.eval_map} map need not be monotone and has no inverse")
        self.check_input(y)
        value = self.without_affine(y.to(copula.wide_dtype(y)))
        columns, restore = as_columns(value, (0, *range(2, y.ndim)))
        if self.degree:
            constant, slope = copula.regression_coefficients(self.running_sums, 1).unbind(1)
            center, scale = self.frame.double().unbind(1)
            t = (columns - constant[:, None]) / slope[:, None]
            x = (center[:, None] + scale[:, None] * t).to(value.dtype)
        else:
            knots = copula.knots_of(self.running_bins)
            x = by_rows(copula.monotone_cubic_inverse, knots, columns)
        return restore(x).to(y.dtype)

    def train(self, mode=True):
        leaving = self.training and not mode
        super().train(mode)
        if leaving and self.degree > 1 and self.track_running_stats:
            self.warn_where_not_monotone()
        return self

    @torch.no_grad()
    def warn_where_not_monotone(self):
        sums = self.running_sums
        if isinstance(sums, UninitializedBuffer) or sums.is_meta or not self.num_batches_tracked:
            return
        coefficients = copula.regression_coefficients(sums, self.degree)
        count = int((copula.smallest_slope(coefficients) < 0).sum())
        if count:
            warnings.warn(
                f"the {self.eval_map} evaluation map of {count} of {self.num_features} features "
                'is not monotone within 3 standard deviations; eval_map="quantile" always is',
                stacklevel=3,
            )

    def extra_repr(self):
        target = self.target if isinstance(self.target, str) else type(self.target).__name__
        strength = "learned" if self.learn_strength else self.fixed_strength
        if isinstance(strength, torch.Tensor):
            strength = "per feature"
        raw = "" if self.standardize else ", standardize=False"
        return (
            f"{super().extra_repr()}, target={target}, strength={strength}{raw}, "
            f"eval_map={self.eval_map}"
        )


def approach(buffer, value, factor):
    """buffer += factor (value - buffer), in place."""
    buffer.lerp_(value.to(buffer.dtype), factor.to(buffer.dtype))


def by_rows(function, knots, columns):
    """function(knots, (C, n)) applied to (A, C, B), the result in the same memory order."""
    size_a, count, size_b = columns.shape
    rows = columns.permute(1, 0, 2).reshape(count, size_a * size_b)
    values = function(knots, rows).view(count, size_a, size_b).permute(1, 0, 2)
    return torch.empty_like(columns).copy_(values)


class Copula1d(Copula):
    def check_input(self, x):
        if x.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {x.ndim}D input)")
        super().check_input(x)


class Copula2d(Copula):
    def check_input(self, x):
        if x.ndim != 4:
            raise ValueError(f"expected 4D input (got {x.ndim}D input)")
        super().check_input(x)


class Copula3d(Copula):
    def check_input(self, x):
        if x.ndim != 5:
            raise ValueError(f"expected 5D input (got {x.ndim}D input)")
        super().check_input(x)


class LazyCopula(LazyColumnNorm, Copula):
    cls_to_become = Copula


class LazyCopula1d(LazyColumnNorm, Copula1d):
    cls_to_become = Copula1d


class LazyCopula2d(LazyColumnNorm, Copula2d):
    cls_to_become = Copula2d


class LazyCopula3d(LazyColumnNorm, Copula3d):
    cls_to_become = Copula3d


class Shift(nn.Module):
    """A monotone elementwise map with learnable parameters, one set or one per channel.

    num_parameters, channel_dim as num_parameters and dimension 1 of nn.PReLU. `learn` names the
    parameters that train; the others are buffers. Subclasses define STORED and the three maps.
    """

    STORED = {}  # the argument's letter -> the name it is stored under

    def __init__(self, num_parameters, values, channel_dim, learn, delta, device, dtype):
        super().__init__()
        unknown = set(learn) - set(self.STORED)
        if unknown:
            raise ValueError(
                f"learn may name {', '.join(self.STORED)}; got {''.join(sorted(unknown))!r}"
            )
        self.num_parameters = num_parameters
        self.channel_dim = channel_dim
        self.initial = dict(values)
        self.learn = "".join(name for name in self.STORED if name in learn)
        self.delta = delta
        for letter, stored in self.STORED.items():
            value = torch.empty(num_parameters, device=device, dtype=dtype)
            if letter in self.learn:
                self.register_parameter(stored, nn.Parameter(value))
            else:
                self.register_buffer(stored, value)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        for stored, value in zip(self.STORED.values(), self.initial.values(), strict=True):
            getattr(self, stored).fill_(value)

    def arguments(self, x):
        """The parameters, shaped to broadcast along channel_dim."""
        values = [getattr(self, stored) for stored in self.STORED.values()]
        if self.num_parameters == 1:
            return values
        dim = self.channel_dim % x.ndim
        if x.shape[dim] != self.num_parameters:
            raise ValueError(
                f"expected {self.num_parameters} channels in dimension {self.channel_dim}, "
                f"got {x.shape[dim]}"
            )
        return [value.view([-1 if d == dim else 1 for d in range(x.ndim)]) for value in values]

    def extra_repr(self):
        text = f"num_parameters={self.num_parameters}"
        if self.num_parameters != 1:
            text += f", channel_dim={self.channel_dim}"
        return text + (f", learn={self.learn!r}" if self.learn != "".join(self.STORED) else "")


class LogShift(Shift):
    """sign(x) a log((b|x|)^(e^c) + 1); b is stored as log b, and so stays positive.

    log_abs_det_jacobian(x, y) is per element, as in torch.distributions.
    """

    STORED = {"a": "a", "b": "log_b", "c": "c"}

    def __init__(
        self, num_parameters=1, a=1.0, b=1.0, c=0.0, *, channel_dim=1, learn="abc",
        delta=shift.DELTA, device=None, dtype=None,
    ):
        if not b > 0:
            raise ValueError(f"b must be positive, got {b}")
        values = {"a": a, "log_b": math.log(b), "c": c}
        super().__init__(num_parameters, values, channel_dim, learn, delta, device, dtype)

    def forward(self, x):
        return shift.log_shift(x, *self.arguments(x), delta=self.delta)

    def inverse(self, y):
        return shift.log_shift_inverse(y, *self.arguments(y))

    def log_abs_det_jacobian(self, x, y=None):
        return shift.log_shift_log_det(x, *self.arguments(x))


class SqrtShift(Shift):
    """sign(x) (sqrt((e^a |x|)^(e^b) + 1/4) - 1/2)."""

    STORED = {"a": "a", "b": "b"}

    def __init__(
        self, num_parameters=1, a=0.0, b=0.0, *, channel_dim=1, learn="ab",
        delta=shift.DELTA, device=None, dtype=None,
    ):
        values = {"a": a, "b": b}
        super().__init__(num_parameters, values, channel_dim, learn, delta, device, dtype)

    def forward(self, x):
        return shift.sqrt_shift(x, *self.arguments(x), delta=self.delta)

    def inverse(self, y):
        return shift.sqrt_shift_inverse(y, *self.arguments(y))

    def log_abs_det_jacobian(self, x, y=None):
        return shift.sqrt_shift_log_det(x, *self.arguments(x))
