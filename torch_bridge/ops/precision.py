"""Statistics are computed in the dtype they are given in, whatever autocast is set to."""

import contextlib

import torch


def without_autocast(x):
    """A context in which operations on x's device keep its dtype."""
    if torch.amp.is_autocast_available(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()  # the meta device has no autocast to turn off
