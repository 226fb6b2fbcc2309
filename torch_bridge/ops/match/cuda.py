"""The operators of `torch_bridge.ops.match`: allocation and launches; x, g, y (A, C, B)."""

import torch

from torch_bridge.ops.dual_solve import cuda as dual_solve
from torch_bridge.ops.soft_rank.operators import operator

PROGRAMS = 1056  # eight on each of an H100's 132 multiprocessors
CELLS = 128
WARPS = 4


def serves(x, degree):
    """Whether the passes compute x's moment matching, and its derivative as autograd takes it."""
    return (
        x.is_cuda
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and degree <= dual_solve.LARGEST_DEGREE
        and x.shape[0] * x.shape[2] < 1 << 31
        and dual_solve.available()
        and (
            torch.compiler.is_compiling()
            or (
                torch._C._functorch.peek_interpreter_stack() is None
                and torch.autograd.forward_ad._current_level < 0
            )
        )
    )


class Plan:
    """Tiles and chunks for an (A, C, B) tensor: rows that lie side by side, or columns that do."""

    def __init__(self, x):
        size_a, self.count, self.size_b = x.shape
        self.size = size_a * self.size_b
        together = x.stride(2) == 1 and self.size_b >= 32
        self.columns = 1 if together else 8
        self.rows = min(1024 if together else 128, dual_solve.padded(self.size))
        blocks = -(-self.count // self.columns)
        chunks = max(1, min(PROGRAMS // blocks, -(-self.size // self.rows)))
        self.chunk = -(-self.size // chunks // self.rows) * self.rows
        self.chunks = -(-self.size // self.chunk)
        self.grid = blocks, self.chunks
        self.tile = {"BC": self.columns, "R": self.rows, "num_warps": WARPS}

    def lengths(self):
        return self.size, self.count, self.size_b


def blank_match(x, weight, bias, start, eps, ridge, nodes, steps):
    count, k = start.shape
    column = x.new_empty(count, dtype=torch.float32)
    averages = x.new_empty((count, slots(k)), dtype=torch.float64)
    return (
        torch.empty_like(x), column, torch.empty_like(column),
        x.new_empty((count, k), dtype=torch.float32), x.new_empty((count, k), dtype=torch.float32),
        torch.empty_like(column), torch.empty_like(column, dtype=torch.int32),
        x.new_empty((count, 3), dtype=torch.float32), averages,
        x.new_empty((count, 4, CELLS), dtype=torch.float32),
    )


def slots(k):
    """Sums a column that `moments` takes, padded."""
    return dual_solve.padded(2 * k + 2)


@operator(
    "match(Tensor x, Tensor? weight, Tensor? bias, Tensor start, float eps, float ridge, int nodes,"
    " int steps) -> (" + ", ".join(["Tensor"] * 10) + ")",
    blank_match,
)
def match_op(x, weight, bias, start, eps, ridge, nodes, steps):
    """(y, mean, var, moments, coefficients, residual, steps taken, frame, averages, cubics)."""
    from torch_bridge.ops.match import triton_kernels as kernels

    found = blank_match(x, weight, bias, start, eps, ridge, nodes, steps)
    if x.numel() == 0:
        return found
    y, mean, var, m, c, residual, taken, frame, averages, cubics = found
    k = start.shape[1]
    plan = Plan(x)
    given = *plan.lengths(), *x.stride()
    spreads = x.new_empty((plan.chunks, 2, plan.count), dtype=torch.float64)
    kernels.spread[plan.grid](x, spreads, *given, plan.chunk, **plan.tile)
    width = slots(k)
    part = x.new_empty((plan.chunks, plan.count, width), dtype=torch.float32)
    kernels.moments[plan.grid](
        x, spreads, part, *given, plan.chunk, plan.chunks, eps, K=k, SLOTS=width, **plan.tile
    )
    kernels.fit[(plan.count,)](
        x, spreads, part, start.contiguous(), plan.size, plan.count, x.stride(1), plan.chunks,
        plan.chunks, eps, steps, *dual_solve.rules(k, nodes, x.device), frame, averages, mean, var,
        m, c, residual, taken, RIDGE=ridge, EPS=torch.finfo(torch.float32).eps,
        **dual_solve.sizes(k, nodes), SLOTS=width, num_warps=dual_solve.WARPS,
    )
    kernels.table[(plan.count,)](c, cubics, K=k, num_warps=WARPS)
    kernels.apply[plan.grid](
        x, y, frame, cubics, weight, bias, *given, *y.stride(), plan.chunk, **plan.tile,
        WEIGHTED=weight is not None, BIASED=bias is not None,
    )
    return found


def blank_gradient(x, g, weight, c, frame, averages, cubics, ridge, nodes):
    column = x.new_empty(x.shape[1], dtype=torch.float32)
    return torch.empty_like(x), column, torch.empty_like(column)


@operator(
    "match_gradient(Tensor x, Tensor g, Tensor? weight, Tensor c, Tensor frame, Tensor averages, "
    "Tensor cubics, float ridge, int nodes) -> (Tensor, Tensor, Tensor)",
    blank_gradient,
)
def match_gradient_op(x, g, weight, c, frame, averages, cubics, ridge, nodes):
    """(dx, the sums of g y and of g)."""
    from torch_bridge.ops.match import triton_kernels as kernels

    found = blank_gradient(x, g, weight, c, frame, averages, cubics, ridge, nodes)
    dx, by_weight, by_bias = found
    count, k = c.shape
    plan = Plan(x)
    given = *plan.lengths(), *x.stride()
    by_c = x.new_empty((count, k, 4, CELLS), dtype=torch.float32)
    kernels.jacobian[(count,)](c, by_c, K=k, num_warps=WARPS)
    width = dual_solve.padded(k + 4)
    part = x.new_empty((plan.chunks, count, width), dtype=torch.float32)
    kernels.pull[plan.grid](
        x, g, frame, cubics, by_c, weight, part, *given, *g.stride(), plan.chunk, K=k, SLOTS=width,
        **plan.tile, WEIGHTED=weight is not None,
    )
    back = x.new_empty((count, k + 2), dtype=torch.float32)
    table, weights, nodes, *_ = dual_solve.rules(k, nodes, x.device)
    sizes = {name: value for name, value in dual_solve.sizes(k, nodes).items() if name != "FINE"}
    kernels.combine[(count,)](
        part, c, averages, frame, back, by_weight, by_bias, plan.size, count, plan.chunks,
        table, weights, nodes, RIDGE=ridge, **sizes, SLOTS=width, AVERAGES=averages.shape[1],
        num_warps=dual_solve.WARPS,
    )
    kernels.push[plan.grid](
        x, g, dx, frame, cubics, weight, back, *given, *g.stride(), *dx.stride(), plan.chunk, K=k,
        **plan.tile, WEIGHTED=weight is not None,
    )
    return found
