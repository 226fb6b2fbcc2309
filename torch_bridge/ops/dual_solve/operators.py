"""The coefficients c of p(t) = exp(sum_j c_j T_j(t)) / Z on [-1, 1] whose moments are given.

They minimise the ridged dual, with E the mean under p:

    D(c) = log Z(c) - c . m + ridge/2 |c|^2,    gradient  E T + ridge c - m,
    H = Cov(T) + ridge,    H_ij = (E T_{i+j} + E T_{|i-j|})/2 - E T_i E T_j + ridge delta_ij.

At the minimum E T + ridge c = m, hence dc/dm = H^-1, which is symmetric: the derivative forwards
and backwards is one and the same solve with the H of the answer. c enters that rule as the output
of the operator, with its own derivative, so that derivatives of every order are right.

(A last full Newton step left in the graph has the same first derivative; for second derivatives it
takes two, and one is silently wrong.)
"""

from typing import NamedTuple

import torch

from maxent.status import Status
from torch_bridge.ops.dual_solve import cuda, kernels, tables, tensors
from torch_bridge.ops.precision import without_autocast

LARGEST_DEGREE = 16
RIDGE = 1e-4
STEPS = {torch.float32: 20, torch.float64: 32}  # no column of the tests takes so many
# Largest residual that counts as none, times the size of the exponent, which rounding grows with:
# 8 eps, and in float64 what the rule of integration leaves of atoms. Coefficients that run away
# must not excuse themselves: beyond LARGEST_SIZE, twice that of atoms, size excuses no more.
TOLERANCE = {torch.float32: 1e-6, torch.float64: 2e-12}
LARGEST_SIZE = 512.0
# A column is held to be atoms where the ridge keeps a moment this far from its value.
HELD_BACK = 3e-3


class SolveInfo(NamedTuple):
    """What is said about every column, tensors of the shape of the batch.

    status: values of maxent.Status as int8: SOLVED; ATOMIC (solved, but the ridge keeps a moment
    off by more than 0.003: nearly atoms); NOT_CONVERGED; NOT_FINITE.
    residual: largest |E T_j + ridge c_j - m_j|, E by an unrelated, finer rule. steps: of Newton.
    """

    status: torch.Tensor
    residual: torch.Tensor
    steps: torch.Tensor


@torch.library.custom_op("maxent::dual_solve", mutates_args=())
def dual_solve_op(
    m: torch.Tensor, start: torch.Tensor, ridge: float, nodes: int, steps: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if m.device.type == "cpu":
        return solve_on_cpu(m, start, ridge, nodes, steps)
    if cuda.serves(m):
        return cuda.solve(m, start, ridge, nodes, steps)
    return solve_in_torch(m, start, ridge, nodes, steps)


@dual_solve_op.register_fake
def _(m, start, ridge, nodes, steps):
    column = m.new_empty(len(m))
    return torch.empty_like(m), column, torch.empty_like(column, dtype=torch.int32)


def solve_in_torch(m, start, ridge, nodes, steps):
    with without_autocast(m):
        c, taken = tensors.solve(m, start, ridge, nodes, steps)
        c = torch.where(torch.isfinite(m).all(1, keepdim=True), c, torch.nan)
        return c, tensors.residual(c, m, ridge, nodes), taken


def solve_on_cpu(m, start, ridge, nodes, steps):
    count, k = m.shape
    eps = torch.finfo(m.dtype).eps
    values, first = (part.detach().double().contiguous().numpy() for part in (m, start))
    c = torch.empty((count, k), dtype=torch.float64)
    residual = torch.empty(count, dtype=torch.float64)
    taken = torch.empty(count, dtype=torch.int32)
    rules = *tables.rule_arrays(2 * k, nodes), *tables.check_arrays(k, nodes)
    outputs = c.numpy(), residual.numpy(), taken.numpy()
    kernels.solve_columns(values, first, ridge, eps, steps, *rules, *outputs)
    return c.to(m.dtype), residual.to(m.dtype), taken


def solve_with_hessian(c, g, ridge, nodes):
    """H(c)^-1 g, differentiable in both."""
    with without_autocast(c):
        _, hessian = tensors.moments_and_hessian(c, nodes, ridge)
        return tensors.solve_hessian(hessian, g)


class DualSolve(torch.autograd.Function):
    @staticmethod
    def forward(m, start, ridge, nodes, steps):
        return dual_solve_op(m, start, ridge, nodes, steps)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, _, ctx.ridge, ctx.nodes, _ = inputs
        c, residual, taken = output
        ctx.mark_non_differentiable(residual, taken)
        ctx.save_for_backward(c)

    @staticmethod
    def backward(ctx, g, _residual, _taken):
        (c,) = ctx.saved_tensors
        return solve_with_hessian(c, g, ctx.ridge, ctx.nodes), None, None, None, None

    @staticmethod
    def vmap(info, in_dims, m, start, ridge, nodes, steps):
        size = info.batch_size
        m, start = (
            part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
            for part, dim in zip((m, start), in_dims[:2], strict=True)
        )
        found = solve(m.flatten(0, 1), start.flatten(0, 1), ridge, nodes, steps)
        return tuple(part.unflatten(0, (size, -1)) for part in found), (0, 0, 0)


class DualSolveForward(DualSolve):
    @staticmethod
    def setup_context(ctx, inputs, output):
        DualSolve.setup_context(ctx, inputs, output)
        ctx.save_for_forward(output[0])

    @staticmethod
    def jvp(ctx, dm, _start, _ridge, _nodes, _steps):
        (c,) = ctx.saved_tensors
        return solve_with_hessian(c, dm, ctx.ridge, ctx.nodes), None, None


def solve(m, start, ridge, nodes, steps):
    # a Function with a jvp cannot be traced by torch.compile, one without has no forward mode
    rule = DualSolve if torch.compiler.is_compiling() else DualSolveForward
    return rule.apply(m, start, ridge, nodes, steps)


def dual_solve(moments, start=None, *, ridge=RIDGE, nodes=None, steps=None):
    """(coefficients, info) of the maximum-entropy densities with these moments on [-1, 1].

    moments: (*batch, k), E T_1 … E T_k (without m0 = 1), float32 or float64, 1 <= k <= 16.
    start: coefficients like moments, of a problem nearby; the answer does not depend on it.
    ridge: of the dual; E T_j + ridge c_j = m_j is what is solved. 0 matches exactly, and then has
    no answer on the boundary (atoms): float64 is advised.
    nodes: of the rule of integration, even; None for what the degree needs.
    steps: at most so many Newton steps; None for 20, in float64 32.

    coefficients (*batch, k), log p = sum_j c_j T_j - log Z; nan where moments are not finite.
    Differentiable to any order, in both modes. No value is read on the host; whether a column was
    solved is said in `info` (SolveInfo: status, residual, steps), never raised.

    Raises TypeError for moments of another dtype, ValueError for options out of range.

    >>> c, info = torch_bridge.functional.dual_solve(torch.tensor([[0.0, -0.6, 0.0, 0.1]]))
    >>> c.shape, info.status.tolist()
    (torch.Size([1, 4]), [0])
    """
    if moments.dtype not in STEPS:
        raise TypeError(f"moments must be float32 or float64, got {moments.dtype}")
    k = moments.shape[-1] if moments.ndim else 0
    if not 1 <= k <= LARGEST_DEGREE:
        raise ValueError(f"moments must hold 1 to {LARGEST_DEGREE} numbers a column, got {k}")
    if not ridge >= 0:
        raise ValueError(f"ridge must be at least 0, got {ridge}")
    nodes = tables.default_nodes(k, moments.dtype) if nodes is None else nodes
    if nodes % 2 or nodes <= 2 * k:
        raise ValueError(f"nodes must be even and more than twice the degree {k}, got {nodes}")
    if start is not None and start.shape != moments.shape:
        raise ValueError(
            f"start must have the moments' shape {tuple(moments.shape)}, got {tuple(start.shape)}"
        )
    m = moments.reshape(-1, k)
    first = torch.zeros_like(m) if start is None else start.detach().to(m.dtype).reshape(-1, k)
    limit = STEPS[m.dtype] if steps is None else steps
    c, residual, taken = solve(m, first, float(ridge), nodes, limit)
    batch = moments.shape[:-1]
    c_now, m_now = c.detach(), m.detach()
    size = (1 + c_now.abs().sum(1)).clamp(max=LARGEST_SIZE)
    solved = residual <= TOLERANCE[m.dtype] * size
    atomic = ridge * c_now.abs().amax(1) > HELD_BACK
    status = torch.where(atomic, Status.ATOMIC.value, Status.SOLVED.value)
    status = torch.where(solved, status, Status.NOT_CONVERGED.value)
    status = torch.where(torch.isfinite(m_now).all(1), status, Status.NOT_FINITE.value)
    info = (status.to(torch.int8), residual, taken)
    return c.reshape(moments.shape), SolveInfo(*(part.reshape(batch) for part in info))
