"""Soft ranks against their definition, the laws they obey, and their derivatives."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis.extra import numpy as hnp

from torch_bridge.functional import soft_rank
from torch_bridge.ops.soft_rank import cpu, rank, sigmoid_sum, tables

METHODS = ["auto", "sort", "tensors-sort"]


def definition(x, strength, weights=None):
    """(n,) float64: sum_j w_j sigmoid(strength (x_i - x_j)), differentiable."""
    s = torch.sigmoid(strength * (x[:, None] - x[None, :]))
    return (s if weights is None else s * weights).sum(1)


def column(kind, n, generator):
    normal = torch.randn(n, generator=generator, dtype=torch.float64)
    if kind == "normal":
        return normal
    if kind == "ties":
        return torch.randint(0, 7, (n,), generator=generator).double()
    if kind == "constant":
        return torch.full((n,), 7.3, dtype=torch.float64)
    if kind == "outlier":
        normal[0] = 1e6
        return normal
    if kind == "cauchy":
        return normal / torch.randn(n, generator=generator, dtype=torch.float64)
    return normal.exp()


KINDS = ["normal", "ties", "constant", "outlier", "cauchy", "lognormal"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_definition(method, kind, dtype):
    """Values and gradients, relative to n; strength * range from 1e-3 to 1e8."""
    generator = torch.Generator().manual_seed(0)
    allowed = {torch.float32: (1e-6, 1e-6), torch.float64: (1e-10, 1e-10)}[dtype]
    if dtype == torch.float64 and method == "sort":
        allowed = (1e-14, 1e-14)
    elif dtype == torch.float64 and method == "tensors-sort":
        # the gradient of nearly equal ranks adds up alternating terms of the exponential series
        allowed = (1e-14, 1e-12)
    for n in (1, 2, 3, 17, 64, 65, 400):
        x = column(kind, n, generator).to(dtype)
        g = torch.randn(n, generator=generator, dtype=torch.float64)
        span = (x.max() - x.min()).item() or 1.0
        for product in (1e-3, 1.0, 50.0, 3e3, 1e8):
            strength = product / span
            x.requires_grad_()
            r = soft_rank(x, strength, method=method)
            (dx,) = torch.autograd.grad(r, x, g.to(dtype))
            exact = x.detach().double().requires_grad_()
            wanted = definition(exact, strength)
            (slope,) = torch.autograd.grad(wanted, exact, g)
            assert r.dtype == dtype
            assert (r - wanted).abs().max() <= allowed[0] * n
            scale = strength * n * max(1.0, g.abs().max().item())
            assert (dx - slope).abs().max() <= allowed[1] * scale
            x = x.detach()


@pytest.mark.parametrize("kind", KINDS)
def test_sorted_sums_of_every_order(kind):
    """Relative to n and the weights: nearly equal values, clusters with ties between, gaps."""
    generator = torch.Generator().manual_seed(2)
    for n in (3, 30, 300):
        x = column(kind, n, generator)
        clusters = column("ties", n, generator) + 1e-9 * x
        weights = torch.randn(n, generator=generator, dtype=torch.float64)
        for values in (x, clusters):
            span = (values.max() - values.min()).item() or 1.0
            for product in (1e-3, 1.0, 5.0, 300.0, 1e8):
                s = product / span * (values[:, None] - values[None, :])
                gamma = torch.tensor([product / span], dtype=torch.float64)
                for order in range(tables.ORDERS):
                    matrix = torch.from_numpy(tables.sigmoid_derivative(s, order))
                    for w in (torch.ones_like(weights), weights):
                        given = values[:, None, None], gamma, w[:, None, None]
                        got = sigmoid_sum(*given, order, "sort")[:, 0, 0]
                        allowed = 1e-14 * n * max(1.0, w.abs().max().item())
                        assert (got - matrix @ w).abs().max() <= allowed


@pytest.mark.parametrize("method", METHODS)
def test_four_thousand(method):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4096, generator=generator, dtype=torch.float64)
    g = torch.rand(4096, generator=generator, dtype=torch.float64)
    for strength in (1e-3, 10.0, 1e3):
        leaf = x.clone().requires_grad_()
        wanted = definition(leaf, strength)
        (slope,) = torch.autograd.grad(wanted, leaf, g)
        r = soft_rank(leaf, strength, method=method)
        (dx,) = torch.autograd.grad(r, leaf, g)
        assert (r - wanted).abs().max() <= 1e-14 * 4096
        allowed = 1e-12 if method == "tensors-sort" else 1e-14
        assert (dx - slope).abs().max() <= allowed * strength * 4096
        single = soft_rank(x.float(), strength, method=method)
        wanted = definition(x.float().double(), strength)
        assert (single - wanted).abs().max() <= 1e-6 * 4096


@pytest.mark.parametrize("method", [*METHODS, "pairwise"])
def test_weights(method):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(200, generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.rand(200, generator=generator, dtype=torch.float64, requires_grad=True)
    g = torch.randn(200, generator=generator, dtype=torch.float64)
    got = torch.autograd.grad(soft_rank(x, 3.0, weights=w, method=method), (x, w), g)
    wanted = torch.autograd.grad(definition(x, 3.0, w), (x, w), g)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-11)


def test_thesis_example():
    x = torch.tensor([0.1, -3.3, 10.7, 2.1, 0.0])
    wanted = torch.tensor([2.0, 0.0, 4.0, 3.0, 1.0]) + 0.5
    for strength in (1e4, math.inf):
        torch.testing.assert_close(soft_rank(x, strength), wanted)
        torch.testing.assert_close(soft_rank(x, strength, normalize=True), wanted / 5)


def test_hard_ranks_share_ties_and_have_no_gradient():
    x = torch.tensor([3.0, 1.0, 3.0, 2.0], requires_grad=True)
    r = soft_rank(x, math.inf)
    assert r.tolist() == [3.0, 0.5, 3.0, 1.5]
    r.sum().backward()
    assert x.grad.tolist() == [0.0] * 4


@pytest.mark.parametrize("method", METHODS)
@hypothesis.given(
    x=hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-50, 50, width=32)),
    exponent=st.floats(-2, 4),
)
def test_laws(method, x, exponent):
    x, strength = torch.from_numpy(x), 10.0**exponent
    n = len(x)
    r = soft_rank(x, strength, method=method)
    near = {"rtol": 0, "atol": 1e-12 * n}
    assert abs(r.sum().item() - n * n / 2) <= 1e-11 * n
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    torch.testing.assert_close(soft_rank(x[order], strength, method=method), r[order], **near)
    shifted = soft_rank(x + 64.0, strength, method=method)
    torch.testing.assert_close(shifted, definition(x + 64.0, strength), **near)
    torch.testing.assert_close(soft_rank(x * 4, strength / 4, method=method), r, **near)
    ascending = r[x.argsort()]
    assert (ascending.diff() >= -1e-12 * n).all()
    weights = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(soft_rank(leaf, strength, method=method), leaf, weights)
    assert slope.sum().abs() <= 1e-11 * strength * n * n


@pytest.mark.parametrize("method", ["auto", "sort", "tensors-sort", "tensors-grid", "pairwise"])
def test_derivatives_by_differences(method):
    """First and second, backward and forward, of ranks in x and strength."""
    generator = torch.Generator().manual_seed(3)
    shape = (6, 2, 2) if method in ("auto", "sort") else (3, 2, 1)  # torch operations are slower
    x = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    strength = torch.tensor([2.0, 0.7], dtype=torch.float64, requires_grad=True)
    w = torch.rand(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    def ranks(x, strength):
        return soft_rank(x, strength, dim=(0, 2), method=method)

    def sums(x, strength, w):
        return sigmoid_sum(x, strength, w, 1, method)

    for function, inputs in ((ranks, (x, strength)), (sums, (x, strength, w))):
        assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True)


def test_third_derivative_and_none_beyond():
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    fast = soft_rank(x, 2.0).pow(2).sum()
    slow = definition(x, 2.0).pow(2).sum()
    for _ in range(3):
        (fast,) = torch.autograd.grad(fast.sin().sum(), x, create_graph=True)
        (slow,) = torch.autograd.grad(slow.sin().sum(), x, create_graph=True)
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)
    with pytest.raises(NotImplementedError, match="3 derivatives"):
        torch.autograd.grad(fast.sum(), x)


def test_func_transforms():
    x = torch.randn(3, 7, dtype=torch.float64)

    def loss(x, strength=2.0):
        return (soft_rank(x, strength) ** 2).sin().sum()

    def slow(x, strength=2.0):
        return (definition(x, strength) ** 2).sin().sum()

    many = torch.func.vmap(torch.func.grad(loss))(x)
    torch.testing.assert_close(many, torch.stack([torch.func.grad(slow)(row) for row in x]))
    hessian = torch.func.hessian(loss)(x[0])
    torch.testing.assert_close(hessian, torch.func.hessian(slow)(x[0]))
    reverse = torch.func.jacrev(torch.func.jacrev(loss))(x[0])
    torch.testing.assert_close(reverse, hessian)
    strengths = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    per_strength = torch.func.vmap(loss, in_dims=(None, 0))(x[0], strengths)
    torch.testing.assert_close(per_strength, torch.stack([slow(x[0], s) for s in strengths]))


def test_layouts_and_dimensions_agree():
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(4, 3, 5, 6, generator=generator)
    last = x.contiguous(memory_format=torch.channels_last)
    stretched = torch.randn(4, 6, 5, 12, generator=generator)[:, ::2, :, ::2].copy_(x)
    for dims in ((0,), (1,), (3,), (0, 2, 3), (1, 3), (0, 1, 2, 3)):
        kept = [x.shape[d] for d in range(4) if d not in dims]
        strength = torch.rand(kept, generator=generator) + 1
        wanted = soft_rank(x.double(), strength.double(), dims, method="pairwise").float()
        for given in (x, last, stretched, x.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)):
            r = soft_rank(given, strength, dims)
            torch.testing.assert_close(r, wanted, rtol=1e-6, atol=1e-5)
    assert soft_rank(last, 1.0, (0, 2, 3)).is_contiguous(memory_format=torch.channels_last)


def test_columns_do_not_depend_on_their_neighbours():
    """Blocks and tiles with a rest in either direction: bit for bit the column on its own."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(2 * cpu.ROWS + 77, cpu.BLOCK + 3, generator=generator)
    g = torch.randn(x.shape, generator=generator)
    for given in (x, x.t().contiguous().t()):
        leaf = given.clone(memory_format=torch.preserve_format).requires_grad_()
        r = soft_rank(leaf, 10.0)
        r.backward(g)
        assert r.stride() == leaf.stride()
        for c in range(x.shape[1]):
            single = x[:, c].clone().requires_grad_()
            alone = soft_rank(single, 10.0)
            alone.backward(g[:, c])
            assert torch.equal(r[:, c], alone) and torch.equal(leaf.grad[:, c], single.grad)


def test_strided_and_expanded_inputs():
    generator = torch.Generator().manual_seed(5)
    base = torch.randn(60, 8, generator=generator, dtype=torch.float64)
    for x in (base[::2, ::3], base.t()[:, :9].t(), base[:, :1].expand(60, 4)):
        torch.testing.assert_close(soft_rank(x, 2.0), soft_rank(x, 2.0, method="pairwise"))
    x = base.clone().requires_grad_()
    soft_rank(x, 2.0).sum().backward()  # the cotangent is an expanded scalar
    torch.testing.assert_close(x.grad, torch.zeros_like(x), atol=1e-11, rtol=0)


def test_half_precisions_give_float32_ranks():
    x = torch.randn(300)
    for dtype in (torch.float16, torch.bfloat16):
        half = x.to(dtype).requires_grad_()
        r = soft_rank(half, 5.0)
        assert r.dtype == torch.float32
        torch.testing.assert_close(r, soft_rank(half.detach().float(), 5.0))
        r[0].backward()
        assert half.grad.dtype == dtype


def test_missing_and_infinite_values_stay_in_their_column():
    x = torch.randn(50, 20)
    clean = soft_rank(x, 3.0)
    dirty = x.clone()
    dirty[3, 4], dirty[5, 17] = math.nan, math.inf
    r = soft_rank(dirty, 3.0)
    good = [c for c in range(20) if c not in (4, 17)]
    assert r[:, [4, 17]].isnan().all()
    assert torch.equal(r[:, good], clean[:, good])


def test_empty_and_single():
    assert soft_rank(torch.zeros(0, 3)).shape == (0, 3)
    assert soft_rank(torch.zeros(3, 0)).shape == (3, 0)
    assert soft_rank(torch.tensor([4.0])).tolist() == [0.5]


def test_bad_arguments():
    x = torch.randn(5)
    with pytest.raises(ValueError, match="strength must be at least 0"):
        soft_rank(x, -1.0)
    with pytest.raises(ValueError, match="method must be one of"):
        soft_rank(x, method="fast")
    with pytest.raises(TypeError, match="floating"):
        soft_rank(torch.arange(5))
    with pytest.raises(IndexError, match="out of range"):
        soft_rank(x, dim=2)
    with pytest.raises(ValueError, match="strength \\* range = "):
        soft_rank(torch.tensor([0.0, 1.0, 1e9]), 1.0, method="grid")
    assert soft_rank(x, torch.tensor(-1.0)).isnan().all()  # a tensor is never read on the host


def test_an_outlier_column_leaves_the_others_to_the_grid():
    x = torch.randn(2000, 16)
    x[0, 3] = 1e6
    low_high = cpu.extremes(x[:, :, None])
    plan = cpu.make_plan(2000, 4, np.full(16, 10.0), low_high.numpy(), "auto")
    assert plan.alone.tolist() == [c == 3 for c in range(16)]
    r = soft_rank(x, 10.0)
    torch.testing.assert_close(r[:, 3], definition(x[:, 3].double(), 10.0).float())
    others = [c for c in range(16) if c != 3]
    torch.testing.assert_close(r[:, others], soft_rank(x[:, others], 10.0))


def test_threads_give_the_same_bits():
    x = torch.randn(9000, 48)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = soft_rank(x, 10.0)
        torch.set_num_threads(2)
        assert torch.equal(one, soft_rank(x, 10.0))
    finally:
        torch.set_num_threads(threads)


def test_folded_ranks_keep_the_upper_tail():
    """The fold keeps the digits of n - r, which float32 r cannot."""
    x = torch.linspace(0, 1, 3001)
    folded, _, _ = rank(x[:, None, None], torch.tensor([2e4], dtype=torch.float64), fold=True)
    folded, exact = folded[:, 0, 0], x.double()
    assert (folded.abs() <= 1500.5).all()
    upper = torch.sigmoid(2e4 * (exact[None, :] - exact[:, None])).sum(1)
    high = folded < 0
    torch.testing.assert_close(-folded[high].double(), upper[high], rtol=2e-7, atol=0)


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("place", [0, 1])
def test_grid_reaches_its_bound(itemsize, place):
    """Both grids, points anywhere in a box, boxes any distance apart, all four kernels."""
    grid = tables.GRIDS[itemsize][place]
    bound = 2.5 * (grid.width / grid.children / (4 * math.pi)) ** grid.fine
    nodes = np.linspace(-1, 1, 9)
    power = nodes[:, None] ** np.arange(grid.fine)
    chebyshev = np.polynomial.chebyshev.chebvander(nodes, grid.fine - 1)
    for order in range(3):
        near, leave, decay, arrive, up, down = tables.grid_tables(grid, order)
        up = up.reshape(grid.children, grid.fine, -1)
        down = down.reshape(-1, grid.children, grid.fine)
        for distance in (-7, -2, -1, 0, 1, 2, 3):
            for a in (0, grid.children - 1):
                for b in (0, grid.children - 1):
                    moments = chebyshev @ up[b]
                    if abs(distance) <= 1:
                        field = moments @ near.reshape(3, grid.coarse, -1)[1 - distance]
                    else:
                        side = 0 if distance > 0 else 1
                        out = leave.reshape(grid.coarse, 2, -1)[:, side]
                        series = (moments @ out) * decay ** (abs(distance) - 1)
                        field = series @ arrive.reshape(2, -1, grid.coarse)[side]
                    if order == 0 and distance > 1:
                        field[:, 0] += 1
                    got = field @ down[:, a] @ power.T
                    place_a = (2 * a + 1 + nodes) / grid.children
                    place_b = (2 * b + 1 + nodes) / grid.children
                    s = grid.width * (distance + (place_a[None, :] - place_b[:, None]) / 2)
                    error = abs(got - tables.sigmoid_derivative(s, order)).max()
                    # every derivative multiplies the bound by about fine / width of a part
                    growth = (2 * grid.fine * grid.children / grid.width) ** order
                    assert error <= bound * growth + 3e-14


def test_series_reach_their_bound():
    z = np.linspace(0, 1, 501)
    for terms in (8, 11, 16, 22):
        c = tables.exponential_series(1, terms)
        error = abs(np.polyval(np.append(c[::-1], 0.0), z) - z / (1 + z)).max()
        assert error <= tables.series_error(1, terms) + 1e-15
        if terms <= 16:
            assert error >= 0.05 * tables.series_error(1, terms)


@pytest.mark.slow
def test_memory_and_time_are_linear():
    """1e7 values: the time of 1e6 times ten, give or take a factor of two."""
    import time

    seconds = []
    for n in (1_000_000, 10_000_000):
        x = torch.randn(n, requires_grad=True)
        best = math.inf
        for _ in range(3):
            start = time.perf_counter()
            soft_rank(x, 10.0).sum().backward()
            best = min(best, time.perf_counter() - start)
        seconds.append(best)
    assert seconds[1] < 20 * seconds[0]


def test_the_page_shows_the_stored_results():
    import json
    import pathlib

    from benchmarks.soft_rank import table

    root = pathlib.Path(__file__).parents[2]
    page = (root / "docs" / "soft_rank.md").read_text(encoding="utf-8")
    shown = page.split("<!-- table -->")[1].split("<!-- end -->")[0].strip()
    stored = json.loads((root / "benchmarks" / "results" / "soft_rank.json").read_text())
    assert shown == "\n".join(table(stored))
    code = page.split("```python\n")[1].split("```")[0]
    exec(code, {})
