"""The transforms as functions of tensors."""

from torch_bridge.copula import copula_transform, soft_rank
from torch_bridge.matched import moment_match
from torch_bridge.ops.dual_solve import dual_solve
from torch_bridge.shift import (
    log_shift,
    log_shift_inverse,
    log_shift_log_det,
    sqrt_shift,
    sqrt_shift_inverse,
    sqrt_shift_log_det,
)

__all__ = [
    "copula_transform",
    "dual_solve",
    "log_shift",
    "log_shift_inverse",
    "log_shift_log_det",
    "moment_match",
    "soft_rank",
    "sqrt_shift",
    "sqrt_shift_inverse",
    "sqrt_shift_log_det",
]
