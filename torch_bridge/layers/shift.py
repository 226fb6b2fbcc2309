"""Monotone elementwise maps with learnable parameters."""

import math

import torch
from torch import nn

from torch_bridge import shift


class Shift(nn.Module):
    """A monotone elementwise map with learnable parameters, one set or one per channel.

    num_parameters, channel_dim as num_parameters and dimension 1 of nn.PReLU. `learn` names the
    parameters that train; the others are buffers. Subclasses define STORED and the three maps.
    """

    STORED = {}  # the argument's letter -> the name it is stored under
    GAIN = ""  # the stored logarithm of what multiplies x

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

    @torch.no_grad()
    def take_input_affine(self):
        """(shift, scale) that x may be divided by beforehand; from here on the layer expects it."""
        logarithm = getattr(self, self.GAIN)
        scale = torch.exp(-logarithm.double())
        logarithm.zero_()
        return torch.zeros_like(scale), scale

    @torch.no_grad()
    def take_output_affine(self):
        """(scale, shift) of the output, which the layer no longer has from here on."""
        scale = torch.ones_like(getattr(self, self.GAIN))
        return scale, torch.zeros_like(scale)

    def extra_repr(self):
        text = f"num_parameters={self.num_parameters}"
        if self.num_parameters != 1:
            text += f", channel_dim={self.channel_dim}"
        return text + (f", learn={self.learn!r}" if self.learn != "".join(self.STORED) else "")


class LogShift(Shift):
    """sign(x) a log((b|x|)^(e^c) + 1); b is stored as log b, and so stays positive.

    num_parameters, channel_dim: as num_parameters and dimension 1 of nn.PReLU; learn: the letters
    of the parameters that train. Raises ValueError for b <= 0, unknown letters, other channels.

    >>> torch_bridge.LogShift()(torch.tensor([-1.0, 0.0, 1.0])).detach()
    tensor([-0.6931,  0.0000,  0.6931])
    """

    STORED = {"a": "a", "b": "log_b", "c": "c"}
    GAIN = "log_b"

    def __init__(
        self, num_parameters=1, a=1.0, b=1.0, c=0.0, *, channel_dim=1, learn="abc",
        delta=shift.DELTA, device=None, dtype=None,
    ):
        if not b > 0:
            raise ValueError(f"b must be positive, got {b}")
        values = {"a": a, "log_b": math.log(b), "c": c}
        super().__init__(num_parameters, values, channel_dim, learn, delta, device, dtype)

    @torch.no_grad()
    def take_output_affine(self):
        """(a, 0), with a = 1 from here on."""
        scale = self.a.detach().clone()
        self.a.fill_(1)
        return scale, torch.zeros_like(scale)

    def forward(self, x):
        """Of shape and dtype of x."""
        return shift.log_shift(x, *self.arguments(x), delta=self.delta)

    def inverse(self, y):
        """x with forward(x) = y."""
        return shift.log_shift_inverse(y, *self.arguments(y))

    def log_abs_det_jacobian(self, x, y=None):
        """log |dy/dx| of every element, as in torch.distributions."""
        return shift.log_shift_log_det(x, *self.arguments(x))


class SqrtShift(Shift):
    """sign(x) (sqrt((e^a |x|)^(e^b) + 1/4) - 1/2); arguments and errors (it raises ValueError) as
    for LogShift.

    >>> torch_bridge.SqrtShift()(torch.tensor([-1.0, 0.0, 1.0])).detach()
    tensor([-0.6180,  0.0000,  0.6180])
    """

    STORED = {"a": "a", "b": "b"}
    GAIN = "a"

    def __init__(
        self, num_parameters=1, a=0.0, b=0.0, *, channel_dim=1, learn="ab",
        delta=shift.DELTA, device=None, dtype=None,
    ):
        values = {"a": a, "b": b}
        super().__init__(num_parameters, values, channel_dim, learn, delta, device, dtype)

    def forward(self, x):
        """Of shape and dtype of x."""
        return shift.sqrt_shift(x, *self.arguments(x), delta=self.delta)

    def inverse(self, y):
        """x with forward(x) = y."""
        return shift.sqrt_shift_inverse(y, *self.arguments(y))

    def log_abs_det_jacobian(self, x, y=None):
        """log |dy/dx| of every element, as in torch.distributions."""
        return shift.sqrt_shift_log_det(x, *self.arguments(x))
