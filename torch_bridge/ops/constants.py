"""Arrays of numbers as tensors. On another device than the CPU they are kept: a copy from the host
makes the device wait, and cannot be captured in a CUDA graph.
"""

import torch

KEPT = {}


def constants(make, arguments, dtype, device):
    """The arrays of make(*arguments) as tensors; the arguments are hashable."""
    if device.type == "cpu":
        return tuple(torch.tensor(part, dtype=dtype) for part in make(*arguments))
    key = make, arguments, dtype, device
    found = KEPT.get(key)
    if found is None:
        with torch.inference_mode(False):
            found = tuple(torch.tensor(a, dtype=dtype, device=device) for a in make(*arguments))
        if all(type(part) is torch.Tensor for part in found):  # not those of a tracer
            KEPT[key] = found
    return found
