"""dual_solve: the right answer in both tiers, told when it is not, with right derivatives."""

import math

import numpy as np
import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

import maxent
from maxent.status import Status
from tests.torch.columns import ATOMS, battery_moments
from torch_bridge.ops.dual_solve import dual_solve, operators, tensors

TIERS = {"cpu": operators.solve_on_cpu, "tensors": operators.solve_in_torch}


@pytest.fixture(params=TIERS)
def tier(request, monkeypatch):
    """Both tiers run on the CPU; elsewhere only the second does."""
    monkeypatch.setattr(operators, "solve_on_cpu", TIERS[request.param])
    return request.param


def independent_moments(c, degree):
    """E T_j under c, in numpy: adaptive panels, nothing of the solver's."""
    edges = np.linspace(-1, 1, 401)
    t, w = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[:, None] / 2
    nodes = (edges[:-1, None] + half * (t + 1)).ravel()
    weights = (half * w).ravel()
    q = np.polynomial.chebyshev.chebval(nodes, [0.0, *c])
    p = weights * np.exp(q - q.max())
    return np.polynomial.chebyshev.chebvander(nodes, degree).T[1:] @ p / p.sum()


@pytest.mark.parametrize("degree", [4, 6, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_battery(tier, degree, dtype):
    """Solved in at most 12 steps in float32, about half that warm, measured independently."""
    names, exact = battery_moments(degree)
    m = exact.to(dtype)
    c, info = dual_solve(m)
    for name, status in zip(names, info.status.tolist(), strict=True):
        assert Status(status) in (Status.SOLVED, Status.ATOMIC), name
        if name in ATOMS:
            assert Status(status) is Status.ATOMIC, name
        if name in ("normal", "lognormal", "t3", "uniform"):
            assert Status(status) is Status.SOLVED, name
    eps = torch.finfo(dtype).eps
    for row, target in zip(c.double().numpy(), m.double().numpy(), strict=True):
        gap = independent_moments(row, degree) + 1e-4 * row - target
        limit = 3e-10 if dtype == torch.float64 else 8 * eps * (1 + abs(row).sum())
        assert abs(gap).max() <= limit
    if dtype == torch.float32:
        assert info.steps.max() <= 12
        _, other = battery_moments(degree, seed=1)
        _, warm = dual_solve(other.to(dtype), c)
        _, cold = dual_solve(other.to(dtype))
        assert warm.steps.double().mean() <= 0.6 * cold.steps.double().mean()


def test_same_problem_same_answer_as_the_core(tier):
    x = np.random.default_rng(0).beta(2, 3, size=(500, 3)) * 2 - 1
    for degree in (3, 6, 10):
        m = np.polynomial.chebyshev.chebvander(x, degree).mean(0)
        density = maxent.solve(m, support=(-1, 1), kind="chebyshev")
        c, info = dual_solve(torch.tensor(m[:, 1:]), ridge=0.0)
        assert (info.status == 0).all()
        ours, theirs = c.numpy(), density.coefficients[..., -degree:]
        assert abs(ours - theirs).max() <= 1e-9 * abs(theirs).max()


def test_exact_matching_in_float64(tier):
    names, m = battery_moments(6)
    keep = [names.index(name) for name in ("normal", "lognormal", "cubic", "bimodal", "t3")]
    c, info = dual_solve(m[keep], ridge=0.0)
    assert (info.status == 0).all()
    for row, target in zip(c.numpy(), m[keep].numpy(), strict=True):
        assert abs(independent_moments(row, 6) - target).max() < 1e-10


def test_what_is_not_solved_says_so(tier):
    _, m = battery_moments(6)
    _, info = dual_solve(m, steps=4)
    assert (info.status == Status.NOT_CONVERGED.value).all()
    # atoms without a ridge: there is no answer
    atoms = torch.tensor([[0.0, -1.0, 0.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
    c, info = dual_solve(atoms, ridge=0.0)
    assert torch.isfinite(c).all() and info.status.item() == Status.NOT_CONVERGED.value
    # more than a distribution can have
    c, info = dual_solve(torch.tensor([[1.5, 2.0]]), ridge=0.0)
    assert torch.isfinite(c).all() and info.status.item() == Status.NOT_CONVERGED.value
    # too few nodes for a narrow density: the solver's own rule sees nothing
    narrow = torch.tensor([[0.0, -1.0 + 2e-5, 0.0, 1.0 - 8e-5]], dtype=torch.float64)
    _, info = dual_solve(narrow, ridge=0.0, nodes=10)
    assert info.status.item() == Status.NOT_CONVERGED.value


def test_a_bad_column_or_a_bad_start_harms_nobody_else(tier):
    _, m = battery_moments(6)
    c, info = dual_solve(m)
    dirty = m.clone()
    dirty[3, 2] = math.nan
    start = torch.randn_like(m) * 50
    start[1] = math.inf
    start[2] = 1e6
    d, after = dual_solve(dirty)
    others = torch.arange(len(m)) != 3
    assert torch.equal(c[others], d[others]) and d[3].isnan().all()
    assert after.status[3] == Status.NOT_FINITE.value
    e, warm = dual_solve(m, start)
    assert torch.equal(warm.status, info.status)
    torch.testing.assert_close(e, c, rtol=1e-6, atol=1e-6)


def test_derivatives():
    names, m = battery_moments(6)
    ordinary = m[[names.index(name) for name in ("normal", "lognormal", "uniform")]]
    m = ordinary.clone().requires_grad_()

    def f(m):
        return dual_solve(m)[0]

    assert torch.autograd.gradcheck(f, (m,), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(f, (m,), rtol=1e-3, atol=1e-3)
    # forward over reverse is reverse over reverse, the Hessian is the inverse of the dual's
    hessian = torch.func.hessian(lambda m: (f(m[None]) ** 2).sum())(ordinary[0])
    (slope,) = torch.autograd.grad((f(m)[0] ** 2).sum(), m, create_graph=True)
    rows = [torch.autograd.grad(s, m, retain_graph=True)[0][0] for s in slope[0]]
    torch.testing.assert_close(hessian, torch.stack(rows))


@pytest.mark.parametrize("factor", [0.5, 0.0])
def test_a_damped_or_missing_derivative_is_caught(factor, monkeypatch):
    """What the checks above would say of a Newton step that is not full, or not there."""
    full = tensors.solve_hessian
    monkeypatch.setattr(
        operators,
        "solve_with_hessian",
        lambda c, g, ridge, nodes: (
            factor * full(tensors.moments_and_hessian(c, nodes, ridge)[1], g)
        ),
    )
    _, m = battery_moments(6)
    m = m[:2].clone().requires_grad_()
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(lambda m: dual_solve(m)[0], (m,))


def test_vmap_and_batch_shapes():
    _, m = battery_moments(5)
    m = m[:12].view(2, 3, 2, 5)
    c, info = dual_solve(m)
    assert c.shape == m.shape and info.status.shape == info.residual.shape == (2, 3, 2)
    many = torch.func.vmap(torch.func.vmap(lambda part: dual_solve(part)[0]), in_dims=1)(m)
    torch.testing.assert_close(many, c.transpose(0, 1))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda part: dual_solve(part)[0]))(m[:, 0, 0])
    assert jacobian.shape == (2, 5, 5)
    torch.testing.assert_close(jacobian, jacobian.transpose(1, 2))
    empty, info = dual_solve(torch.zeros(0, 5))
    assert empty.shape == (0, 5) and info.status.shape == (0,)


def test_traces_as_one_graph():
    _, m = battery_moments(6)
    torch._dynamo.reset()
    compiled = torch.compile(lambda m: dual_solve(m), fullgraph=True, backend="aot_eager")
    a, b = (m.float().clone().requires_grad_() for _ in range(2))
    (c, info), (d, same) = compiled(a), dual_solve(b)
    assert torch.equal(c, d) and torch.equal(info.status, same.status)
    g = torch.randn_like(c)
    c.backward(g), d.backward(g)
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-2, atol=1e-3)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "moments, options, match",
    [
        (torch.zeros(3), {"ridge": -1.0}, "ridge"),
        (torch.zeros(3, 17), {}, "17"),
        (torch.tensor(1.0), {}, "got 0"),
        (torch.zeros(3, 6), {"nodes": 33}, "nodes"),
        (torch.zeros(3, 6), {"nodes": 12}, "nodes"),
        (torch.zeros(3, 6), {"start": torch.zeros(2, 6)}, r"\(2, 6\)"),
    ],
)
def test_wrong_input(moments, options, match):
    with pytest.raises(ValueError, match=match):
        dual_solve(moments, **options)
    with pytest.raises(TypeError, match="bfloat16"):
        dual_solve(torch.zeros(3, dtype=torch.bfloat16))
