"""Copula transforms in the place of BatchNorm."""

import warnings

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer

from torch_bridge import copula, quantile_map
from torch_bridge.distributed import gather_rows
from torch_bridge.layers.column_norm import ColumnNorm, LazyColumnNorm, approach
from torch_bridge.ops import cubic_pieces
from torch_bridge.ops.columns import as_columns
from torch_bridge.ops.statistics import mean_and_variance


class Copula(ColumnNorm):
    """y = weight * F^{-1}(soft rank / n) + bias along dimension 1 of an (N, C, ...) input.

    target: F, see `functional.copula_transform`; a module among its kind trains along.
    strength: slope of the sigmoids, in standard deviations if `standardize`; a number or one per
    feature; a parameter (its logarithm, `log_strength`) if `learn_strength`.
    eval_map: "quantile" (monotone, the default), "linear", "quadratic" or "cubic" in x; the last
    two need not be monotone, and `eval()` warns where they are not.

    Raises ValueError for an unknown target, method or eval_map, a negative strength, an input of
    other features, or one value per feature in training. The sums are
    derived in `torch_bridge.ops.soft_rank`, the maps in `torch_bridge.copula`.

    >>> layer = torch_bridge.Copula(4)
    >>> layer(torch.randn(16, 4).exp()).shape
    torch.Size([16, 4])
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
        self.map_is_of, self.map_pieces = (None, 0), {}  # see pieces
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
        """Of shape () or (num_features,); positive."""
        return self.log_strength.exp() if self.learn_strength else self.fixed_strength

    def own_buffers(self):
        """The sums that the evaluation map is made of."""
        if self.degree:
            return {
                "frame": ((2,), torch.float64),
                "running_sums": ((3 * self.degree + 2,), torch.float64),
            }
        return {"running_bins": ((3, quantile_map.BINS), torch.float64)}

    def own_defaults(self, mean, var):
        """Those sums for a normal column of this mean and variance."""
        with torch.no_grad():
            if self.degree:
                sums = copula.normal_sums(self.degree, self.target, device=mean.device)
                frame = torch.stack([mean.double(), (var.double() + self.eps).sqrt()], 1)
                return {"frame": frame, "running_sums": sums.expand(len(mean), -1).clone()}
            return {"running_bins": quantile_map.normal_bins(mean, var, self.target)}

    def own_in_frame(self, shift, scale):
        """The sums of x, or the regression's frame, in (x - shift) / scale."""
        if self.degree:
            center, width = self.frame.unbind(1)
            self.frame.copy_(torch.stack([(center - shift) / scale, width / scale], 1))
            return
        weight, sum_x, _ = self.running_bins.unbind(1)
        sum_x.copy_((sum_x - shift[:, None] * weight) / scale[:, None])
        if not self.training:
            self.prepare()

    def forward(self, x):
        """Of shape and dtype of x; in training the running sums move along."""
        self.check_input(x)
        wide = x.to(copula.wide_dtype(x))
        rows = slice(None)
        if self.shares_batch():
            wide, rows = gather_rows(wide, self.process_group)
        if wide.numel() == 0:
            return self.with_affine(wide).to(x.dtype)
        if not self.uses_batch():
            return self.evaluation(wide).to(x.dtype)
        self.check_batch(wide)
        dims = (0, *range(2, x.ndim))
        y, v = copula.transform(
            wide, self.strength, self.target, dims, self.standardize, self.eps, self.method
        )
        if self.updates_statistics():
            self.update(wide.detach(), y.detach(), v.detach(), dims)
        return self.with_affine(y[rows]).to(x.dtype)

    @torch.no_grad()
    def update(self, x, y, v, dims):
        """One batch into the running statistics; the own buffers begin with the first batch."""
        n = x.numel() / x.shape[1]
        factor = self.average_factor()
        x3, y3 = as_columns(x, dims)[0], as_columns(y, dims)[0]
        mean, var = mean_and_variance(x3)
        approach(self.running_mean, mean, factor)
        approach(self.running_var, var * (n / max(1, n - 1)), factor)
        first = self.num_batches_tracked == 1
        own = torch.where(first, 1.0, factor)
        if self.degree:
            frame = torch.stack([mean, (var + self.eps).sqrt()], 1).double()
            self.frame.copy_(torch.where(first, frame, self.frame.double()))
            sums = copula.regression_sums(self.in_frame(x3), y3, self.degree)
            approach(self.running_sums, sums, own)
            return
        score = y if self.target == "normal" else copula.quantile("normal", v)
        bins = quantile_map.bin_sums(x3, y3, as_columns(score, dims)[0])
        approach(self.running_bins, bins, own)

    def in_frame(self, x):
        """(A, C, B) in the regression's coordinate."""
        center, scale = self.frame.to(torch.float64).unbind(1)
        return ((x - center[:, None]) / scale[:, None]).to(x.dtype)

    def evaluation(self, x):
        """The evaluation map of x in a wide dtype."""
        columns, restore = as_columns(x, (0, *range(2, x.ndim)))
        if self.degree:
            coefficients = copula.regression_coefficients(self.running_sums, self.degree)
            y = restore(copula.polynomial(coefficients, self.in_frame(columns)))
            return self.with_affine(y)
        weight = columns.new_ones(self.num_features) if self.weight is None else self.weight
        bias = columns.new_zeros(self.num_features) if self.bias is None else self.bias
        weight, bias = weight.to(x.dtype), bias.to(x.dtype)
        return restore(cubic_pieces.apply(self.pieces(x.dtype), columns, weight, bias))

    def pieces(self, dtype):
        """The quantile map's pieces in `dtype`: those made before, or anew where the running bins
        have changed since.
        """
        bins = self.running_bins
        if torch.compiler.is_exporting() and dtype in self.map_pieces:
            return self.map_pieces[dtype].to(bins.device)
        untracked = (
            torch.compiler.is_compiling()
            or torch._C._functorch.peek_interpreter_stack() is not None
            or bins.is_inference()
        )
        if untracked:
            with torch.no_grad():
                return quantile_map.pieces_in(dtype, bins)
        of, version = self.map_is_of
        if of is not bins or version != bins._version:
            self.map_is_of, self.map_pieces = (bins, bins._version), {}
        if dtype not in self.map_pieces:
            with torch.inference_mode(False), torch.no_grad():
                self.map_pieces[dtype] = quantile_map.pieces_in(dtype, bins)
        return self.map_pieces[dtype]

    def prepare(self):
        """Make the pieces that evaluation will use, if the buffers hold numbers yet: an exporter
        takes them as constants.
        """
        if self.degree or not self.track_running_stats:
            return
        bins = self.running_bins
        if not (isinstance(bins, UninitializedBuffer) or bins.is_meta):
            self.pieces(copula.wide_dtype(self.running_mean))

    def _load_from_state_dict(self, *args):
        super()._load_from_state_dict(*args)
        if not self.training:
            self.prepare()

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
            x = quantile_map.inverse(quantile_map.knots_of(self.running_bins), columns)
        return restore(x).to(y.dtype)

    def train(self, mode=True):
        """As nn.Module; makes evaluation's map, and warns where a polynomial is not monotone."""
        leaving = self.training and not mode
        super().train(mode)
        if not mode:
            self.prepare()
        if leaving and self.degree > 1 and self.track_running_stats:
            self.warn_where_not_monotone()
        return self

    @torch.no_grad()
    def warn_where_not_monotone(self):
        """Count the features whose polynomial falls somewhere, and say so."""
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
        """What repr(layer) shows."""
        target = self.target if isinstance(self.target, str) else type(self.target).__name__
        strength = "learned" if self.learn_strength else self.fixed_strength
        if isinstance(strength, torch.Tensor):
            strength = "per feature"
        raw = "" if self.standardize else ", standardize=False"
        return (
            f"{super().extra_repr()}, target={target}, strength={strength}{raw}, "
            f"eval_map={self.eval_map}"
        )


class Copula1d(Copula):
    """`Copula` for inputs (N, C) or (N, C, L); raises ValueError for others.

    >>> torch_bridge.Copula1d(4)(torch.randn(8, 4)).shape
    torch.Size([8, 4])
    """

    RANKS = (2, 3)


class Copula2d(Copula):
    """`Copula` for inputs (N, C, H, W); raises ValueError for others.

    >>> torch_bridge.Copula2d(4)(torch.randn(8, 4, 5, 5)).shape
    torch.Size([8, 4, 5, 5])
    """

    RANKS = (4,)


class Copula3d(Copula):
    """`Copula` for inputs (N, C, D, H, W); raises ValueError for others.

    >>> torch_bridge.Copula3d(4)(torch.randn(2, 4, 3, 3, 3)).shape
    torch.Size([2, 4, 3, 3, 3])
    """

    RANKS = (5,)


class LazyCopula(LazyColumnNorm, Copula):
    """`Copula` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyCopula()
    >>> layer(torch.randn(8, 4)).shape, layer.num_features
    (torch.Size([8, 4]), 4)
    """

    cls_to_become = Copula


class LazyCopula1d(LazyColumnNorm, Copula1d):
    """`Copula1d` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyCopula1d()
    >>> layer(torch.randn(8, 4)).shape, layer.num_features
    (torch.Size([8, 4]), 4)
    """

    cls_to_become = Copula1d


class LazyCopula2d(LazyColumnNorm, Copula2d):
    """`Copula2d` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyCopula2d()
    >>> layer(torch.randn(8, 4, 5, 5)).shape, layer.num_features
    (torch.Size([8, 4, 5, 5]), 4)
    """

    cls_to_become = Copula2d


class LazyCopula3d(LazyColumnNorm, Copula3d):
    """`Copula3d` that takes num_features from its first input.

    >>> layer = torch_bridge.LazyCopula3d()
    >>> layer(torch.randn(2, 4, 3, 3, 3)).shape, layer.num_features
    (torch.Size([2, 4, 3, 3, 3]), 4)
    """

    cls_to_become = Copula3d
