"""The operators of `torch_bridge.ops.match`: allocation and launches; x, g, y (A, C, B)."""

import torch

from maxent.status import Status
from torch_bridge.ops.cuda_columns import AVAILABLE, WARPS, Plan, on_its_device, padded, spreads_of
from torch_bridge.ops.dual_solve import cuda as dual_solve
from torch_bridge.ops.dual_solve import operators as dual
from torch_bridge.ops.soft_rank.operators import operator

TABLED = 2  # columns a program where each has k + 1 tables
CELLS = 128
SQUASH = 2.0
SAYINGS = {
    "TOLERANCE": dual.TOLERANCE[torch.float32], "LARGEST_SIZE": dual.LARGEST_SIZE,
    "HELD_BACK": dual.HELD_BACK, "SOLVED": Status.SOLVED.value, "ATOMIC": Status.ATOMIC.value,
    "NOT_CONVERGED": Status.NOT_CONVERGED.value, "NOT_FINITE": Status.NOT_FINITE.value,
}


def serves(x, degree):
    """Whether the passes compute x's moment matching, and its derivative as autograd takes it."""
    return (
        x.is_cuda
        and x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and degree <= dual_solve.LARGEST_DEGREE
        and 0 < x.shape[0] * x.shape[2] < 1 << 31
        and AVAILABLE
        and (
            torch.compiler.is_compiling()
            or (
                torch._C._functorch.peek_interpreter_stack() is None
                and torch.autograd.forward_ad._current_level < 0
            )
        )
    )


def notes(found):
    """Whether `note` takes a moment_matching.Fit into running statistics."""
    return (
        found.mean.is_cuda
        and found.mean.dtype == torch.float32
        and isinstance(found.count, int)
        and AVAILABLE
        and not torch.compiler.is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
    )


def slots(k):
    """Sums a column that `moments` takes, padded."""
    return padded(2 * k + 2)


def blank_match(x, weight, bias, start, eps, ridge, nodes, steps):
    count, k = start.shape
    columns = [x.new_empty(count, dtype=torch.float32) for _ in range(4)]
    return (
        torch.empty_like(x), *columns[:3],
        x.new_empty((count, k), dtype=torch.float32), x.new_empty((count, k), dtype=torch.float32),
        x.new_empty(count, dtype=torch.int8), columns[3], x.new_empty(count, dtype=torch.int32),
        x.new_empty((count, 3), dtype=torch.float32),
        x.new_empty((count, slots(k)), dtype=torch.float64),
        x.new_empty((count, 4, CELLS), dtype=torch.float32),
    )


@operator(
    "match(Tensor x, Tensor? weight, Tensor? bias, Tensor start, float eps, float ridge, int nodes,"
    " int steps) -> (" + ", ".join(["Tensor"] * 12) + ")",
    blank_match,
)
@on_its_device
def match_op(x, weight, bias, start, eps, ridge, nodes, steps):
    """(y, mean, var, scale, moments, coefficients, status, residual, steps taken, frame, averages,
    cubics).
    """
    from torch_bridge.ops.match import triton_passes, triton_steps

    found = blank_match(x, weight, bias, start, eps, ridge, nodes, steps)
    y, *of_columns, frame, averages, cubics = found
    weight, bias = (None if part is None else part.contiguous() for part in (weight, bias))
    k = start.shape[1]
    plan, sums = Plan(x, 1024), Plan(x, 512)
    strides = x.stride()
    spreads = spreads_of(x, plan)
    width, padded_spreads = slots(k), padded(plan.chunks)
    part = x.new_empty((sums.chunks, plan.count, width), dtype=torch.float32)
    triton_passes.moments[sums.grid](
        x, spreads, part, *plan.lengths, *strides, sums.chunk, plan.chunks, eps, K=k, SLOTS=width,
        CHUNKS=padded_spreads, **sums.tile,
    )
    triton_steps.fit[(plan.count,)](
        x, spreads, part, start.contiguous(), plan.size, plan.count, strides[1], plan.chunks,
        sums.chunks, eps, steps, *dual_solve.rules(k, nodes, x.device), frame, averages,
        *of_columns, **SAYINGS, RIDGE=ridge, EPS=torch.finfo(torch.float32).eps,
        **dual_solve.sizes(k, nodes), SLOTS=width, SPREADS=padded_spreads,
        CHUNKS=padded(sums.chunks), num_warps=dual_solve.WARPS,
    )
    triton_steps.table[(plan.count,)](of_columns[4], cubics, K=k, KP=padded(k), num_warps=WARPS)
    triton_passes.apply[plan.grid](
        x, y, frame, cubics, weight, bias, *plan.lengths, *strides, *y.stride(), plan.chunk,
        **plan.tile, WEIGHTED=weight is not None, BIASED=bias is not None,
    )
    return found


def applies(table, cubics, x, center, scale, squash):
    """Whether apply_op is monotone_table.apply of these."""
    return (
        squash == SQUASH
        and cubics.shape[1] == CELLS
        and serves(x, 1)
        and not (
            torch.is_grad_enabled()
            and any(part.requires_grad for part in (table, x, center, scale))
        )
    )


@operator(
    "match_apply(Tensor x, Tensor cubics, Tensor center, Tensor scale) -> Tensor",
    lambda x, *_: torch.empty_like(x),
)
@on_its_device
def apply_op(x, cubics, center, scale):
    """The map of a table, cubics (C, CELLS, 4) its monotone_table.powers, center and scale (C,)."""
    from torch_bridge.ops.match import triton_passes

    y, plan = torch.empty_like(x), Plan(x, 1024)
    frame = torch.stack([center, torch.zeros_like(center), scale.reciprocal()], 1)
    triton_passes.apply[plan.grid](
        x, y, frame.to(torch.float32), cubics.to(torch.float32).transpose(1, 2).contiguous(), None,
        None, *plan.lengths, *x.stride(), *y.stride(), plan.chunk, **plan.tile, WEIGHTED=False,
        BIASED=False,
    )
    return y


def blank_gradient(x, g, weight, c, frame, averages, cubics, ridge, nodes):
    column = x.new_empty(x.shape[1], dtype=torch.float32)
    return torch.empty_like(x), column, torch.empty_like(column)


@operator(
    "match_gradient(Tensor x, Tensor g, Tensor? weight, Tensor c, Tensor frame, Tensor averages, "
    "Tensor cubics, float ridge, int nodes) -> (Tensor, Tensor, Tensor)",
    blank_gradient,
)
@on_its_device
def match_gradient_op(x, g, weight, c, frame, averages, cubics, ridge, nodes):
    """(dx, the sums of g y and of g)."""
    from torch_bridge.ops.match import triton_passes, triton_steps

    found = blank_gradient(x, g, weight, c, frame, averages, cubics, ridge, nodes)
    dx, by_weight, by_bias = found
    weight = None if weight is None else weight.contiguous()
    count, k = c.shape
    plan, sums = Plan(x, 1024), Plan(x, 512, TABLED)
    strides = *x.stride(), *g.stride()
    by_c = x.new_empty((count, k, 4, CELLS), dtype=torch.float32)
    triton_steps.jacobian[(count,)](c, by_c, K=k, KP=padded(k), num_warps=WARPS)
    width = padded(k + 4)
    part = x.new_empty((sums.chunks, count, width), dtype=torch.float32)
    weighted = weight is not None
    triton_passes.pull[sums.grid](
        x, g, frame, cubics, by_c, weight, part, *plan.lengths, *strides, sums.chunk, K=k,
        SLOTS=width, **sums.tile, WEIGHTED=weighted,
    )
    back = x.new_empty((count, k + 2), dtype=torch.float32)
    rule = dual_solve.rules(k, nodes, x.device)[:3]
    sizes = {name: value for name, value in dual_solve.sizes(k, nodes).items() if name != "FINE"}
    triton_steps.combine[(count,)](
        part, c, averages, frame, back, by_weight, by_bias, plan.size, count, sums.chunks, *rule,
        RIDGE=ridge, **sizes, SLOTS=width, AVERAGES=averages.shape[1], CHUNKS=padded(sums.chunks),
        num_warps=dual_solve.WARPS,
    )
    triton_passes.push[plan.grid](
        x, g, dx, frame, cubics, weight, back, *plan.lengths, *strides, *dx.stride(), plan.chunk,
        K=k, **plan.tile, WEIGHTED=weighted,
    )
    return found


@on_its_device
def note(batches, found, size, momentum, running):
    """A batch of `size` rows into the running statistics, in place; see MomentMatch.update.

    batches: how many there were, this one counted. found: mean, var, moments, coefficients, status,
    residual and steps taken; running: the buffers of each. momentum None: the average over all.
    """
    from torch_bridge.ops.match import triton_steps

    count, k = found[2].shape
    largest = min(torch.finfo(part.dtype).max for part in (found[1], running[1]))
    columns = 32
    triton_steps.note[(-(-count // columns),)](
        *found, batches, *running, count, size, LARGEST=largest,
        MOMENTUM=-1.0 if momentum is None else momentum, K=k, KP=padded(k), BC=columns,
        num_warps=1,
    )
    torch.autograd.graph.increment_version(running)
