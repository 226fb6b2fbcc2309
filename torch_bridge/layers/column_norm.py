"""What BatchNorm and its relatives share: parameters, running statistics, state files."""

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from torch_bridge.distributed import processes

NORMAL_DTYPES = (torch.float32, torch.float64)


class ColumnNorm(nn.Module):
    """What BatchNorm's relatives share: affine parameters, running statistics, state files.

    Not a `_BatchNorm`: torch's converters and fusers replace those without asking.
    A subclass defines `own_buffers`, `own_defaults` and `forward`; RANKS are the numbers of
    dimensions that its input may have, None for any from 2. TRANSIENT are the buffers that state
    files leave out.
    """

    RANKS = None
    TRANSIENT = ()
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
        self.sync, self.process_group = False, None  # see conversion.sync_
        where = {"device": device, "dtype": dtype}
        self.weight = self.bias = None
        if affine:
            self.weight = nn.Parameter(torch.empty(num_features, **where))
            if bias:
                self.bias = nn.Parameter(torch.empty(num_features, **where))
        for name, (shape, kind) in self.buffers_with_shapes(dtype).items():
            value = torch.empty(shape, device=device, dtype=kind) if track_running_stats else None
            self.register_buffer(name, value, persistent=name not in self.TRANSIENT)

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

    def own_in_frame(self, shift, scale):
        """Change the own buffers to those of columns (x - shift) / scale."""

    @torch.no_grad()
    def reset_running_stats(self):
        if not self.track_running_stats:
            return
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()
        self.reset_own_stats()

    @torch.no_grad()
    def reset_own_stats(self):
        """The own buffers, as for normal columns with the running mean and variance."""
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
        if x.ndim < 2 or (self.RANKS and x.ndim not in self.RANKS):
            ranks = " or ".join(f"{rank}D" for rank in self.RANKS or ()) or "at least 2D"
            raise ValueError(f"expected {ranks} input (got {x.ndim}D input)")
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

    def shares_batch(self):
        """Whether the rows of other processes count too."""
        return self.sync and self.training and processes(self.process_group) > 1

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
        if self.weight is not None and self.bias is not None:
            bias, weight = self.bias.to(y.dtype), self.weight.to(y.dtype)
            return torch.addcmul(bias.view(shape), y, weight.view(shape))
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

    @torch.no_grad()
    def take_input_affine(self):
        """(shift, scale), float64, with which the input is standardised in evaluation; from here on
        the layer expects (x - shift) / scale. Raises ValueError without running statistics.
        """
        if not self.track_running_stats:
            raise ValueError("a layer without running statistics standardises by every batch anew")
        shift = self.running_mean.double()
        scale = (self.running_var.double() + self.eps).sqrt()
        self.own_in_frame(shift, scale)
        self.running_mean.zero_()
        self.running_var.fill_(1 - self.eps)
        return shift, scale

    @torch.no_grad()
    def take_output_affine(self):
        """(weight, bias); from here on the layer has none."""
        like = torch.ones(self.num_features) if self.weight is None else self.weight
        scale = torch.ones_like(like) if self.weight is None else self.weight
        shift = torch.zeros_like(like) if self.bias is None else self.bias
        self.affine, self.weight, self.bias = False, None, None
        return scale.detach(), shift.detach()

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
                    if name not in self.TRANSIENT:
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


def approach(buffer, value, factor):
    """buffer += factor (value - buffer), in place. What either dtype cannot hold counts as its
    largest number: an average that became infinite once would be nan ever after.
    """
    largest = min(torch.finfo(part.dtype).max for part in (value, buffer))
    value = value.clamp(-largest, largest).to(buffer.dtype)
    buffer.lerp_(value, factor.to(buffer.dtype))
