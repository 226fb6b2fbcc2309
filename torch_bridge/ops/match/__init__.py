"""Moment matching of CUDA tensors in five passes over the values: three forward, two backward.

The map is that of `torch_bridge.moment_matching` with support "real" and target "normal":
z = (x - mean) / scale, t = z / sqrt(4 + z^2), m_j = E T_j(t), c = dual_solve(m), y = V(c, t) by the
table of c, and weight * y + bias. Forward: mean and variance; moments; y. Backward, with dy the
cotangent times the weight, one pass for sums and one for the result:

    G_j    = sum_n dy_n dV/dc_j (t_n)                       dV/dc a table as V itself is
    h      = H^-1 G                                         the cotangent of m, see ops.dual_solve
    dz_n   = t'(z_n) (dy_n V'(t_n) + sum_j h_j T_j'(t_n) / N)
    dx_n   = (dz_n - E dz - z_n E(dz z)) / scale            E over the column

The averages of dz need no third pass: they are sums of dy V' t' and of dy V' t' z, taken together
with G, plus h_j / N times E t' T_j', taken with the moments, and E t' z T_j', which is a sum of two
moments: with z t' = t (1 - t^2) it is j (m_|j-2| - m_{j+2}) / 4.

    cuda             the operators: allocation and launches
    triton_passes    over the values
    triton_steps     between them, a program a column
"""

from torch_bridge.ops.match.cuda import (
    SQUASH,
    applies,
    apply_op,
    match_gradient_op,
    match_op,
    note,
    notes,
    serves,
)

__all__ = [
    "SQUASH", "applies", "apply_op", "match_gradient_op", "match_op", "note", "notes", "serves",
]
