"""The Triton kernel's launch: padded sizes, and the rules of integration kept on the device."""

import torch

from torch_bridge.ops.constants import constants
from torch_bridge.ops.cuda_columns import AVAILABLE, on_its_device, padded
from torch_bridge.ops.dual_solve import tables

LARGEST_DEGREE = 8  # above it a program's numbers no longer fit its registers
WARPS = 2


def serves(m):
    """Whether the kernel may be called on moments m (C, k)."""
    return m.is_cuda and m.shape[1] <= LARGEST_DEGREE and AVAILABLE


def rules(k, nodes, device):
    """rule_arrays and check_arrays on the device, float64, with their numbers of nodes."""
    rule = constants(tables.rule_arrays, (2 * k, nodes), torch.float64, device)
    check = constants(tables.check_arrays, (k, nodes), torch.float64, device)
    return *rule, nodes, *check, nodes + nodes // 2


def sizes(k, nodes):
    """What the kernels take as K, KP, MP, N, FINE."""
    return {
        "K": k, "KP": padded(k), "MP": padded(2 * k + 1), "N": padded(nodes),
        "FINE": padded(nodes + nodes // 2),
    }


@on_its_device
def solve(m, start, ridge, nodes, steps):
    """(c, residual, steps taken) of m (C, k)."""
    from torch_bridge.ops.dual_solve import triton_kernels

    count, k = m.shape
    c, residual = torch.empty_like(m), m.new_empty(count)
    taken = torch.empty(count, dtype=torch.int32, device=m.device)
    if count:
        triton_kernels.solve[(count,)](
            m.contiguous(), start.contiguous(), steps, *rules(k, nodes, m.device),
            c, residual, taken, RIDGE=ridge, EPS=torch.finfo(m.dtype).eps, **sizes(k, nodes),
            num_warps=WARPS,
        )
    return c, residual, taken
