"""Tables and Chebyshev sums: values against numpy and scipy, and both forms against each other."""

import math

import numpy as np
import pytest
import scipy.interpolate
import torch

from torch_bridge.ops import chebyshev, monotone_table
from torch_bridge.ops.chebyshev.operators import derivative, series_in_torch, sums_in_torch
from torch_bridge.ops.monotone_table import operators

LAYOUTS = {
    "rows": lambda x: x.permute(0, 2, 1).flatten(0, 1)[..., None],
    "columns": lambda x: x,
    "strided": lambda x: x.repeat(1, 1, 2)[:, :, ::2],
}


def example(dtype=torch.float64, columns=5, knots=9):
    generator = torch.Generator().manual_seed(0)
    t = 2.6 * torch.rand(4, columns, 50, generator=generator, dtype=dtype) - 1.3
    steps = torch.rand(columns, knots, generator=generator, dtype=dtype) + 0.2
    value = steps.cumsum(1)
    slope = torch.minimum(steps, steps.roll(-1, 1)) * 0.9
    return t, torch.stack([value, slope], 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_forms_agree_with_scipy(layout, dtype):
    t, table = example(dtype)
    t = LAYOUTS[layout](t)
    g = torch.randn(t.shape, dtype=dtype)
    knots = np.linspace(-1, 1, table.shape[1])
    tolerance = {"rtol": 1e-4, "atol": 1e-3} if dtype == torch.float32 else {}
    for order in range(4):
        fast = operators.evaluate_op(table, t, order)
        torch.testing.assert_close(fast, operators.evaluate_in_torch(table, t, order), **tolerance)
        torch.testing.assert_close(
            operators.spread_op(t, g, order, 9),
            operators.spread_in_torch(t, g, order, 9),
            **(tolerance and {"rtol": 1e-3, "atol": 0.05}),
        )
        for c in range(5):
            curve = scipy.interpolate.CubicHermiteSpline(
                knots, table[c, :, 0].double(), table[c, :, 1].double() * 4
            )
            x = t[:, c].double().numpy()
            inside = abs(x) <= 1
            gap = fast[:, c].numpy()[inside] - curve.derivative(order)(x)[inside]
            assert abs(gap).max() < (1e-9 if dtype == torch.float64 else 2e-3)
            end = np.clip(x, -1, 1)
            line = [curve(end) + curve.derivative()(end) * (x - end), curve.derivative()(end), 0, 0]
            gap = fast[:, c].numpy() - (line[order] + 0 * x)
            assert abs(gap[~inside]).max() < (1e-9 if dtype == torch.float64 else 1e-3)


@pytest.mark.parametrize("squash", [0.0, 3.0])
def test_apply_is_evaluate_of_the_coordinate(squash):
    x, table = example()
    center, scale = torch.randn(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64) + 0.5
    t = operators.coordinate(x, center, scale, squash)
    expected = monotone_table.evaluate(table, t)
    cubics = monotone_table.powers(table)
    for given in (x, x.clone().requires_grad_()):
        y = monotone_table.apply(table, cubics, given, center, scale, squash)
        torch.testing.assert_close(y, expected)


def test_far_outside_the_line_goes_on():
    t, table = example()
    for far in (1e3, -1e25):
        t[0, 0, 0] = far
        y = monotone_table.evaluate(table, t)[0, 0, 0].item()
        value, slope = table[0, -1 if far > 0 else 0].tolist()
        assert abs(y - (value + slope * 4 * (far - math.copysign(1, far)))) < 1e-9 * abs(far)


def test_missing_values_are_passed_on():
    t, table = example()
    t[1, 2, 3] = torch.nan
    for order in (0, 1):
        for form in (operators.evaluate_op, operators.evaluate_in_torch):
            y = form(table, t, order)
            assert y.isnan().sum() == 1 and y[1, 2, 3].isnan()


def test_derivatives_of_every_order():
    t, table = example(columns=2, knots=5)
    t = t[:1, :, :6].clone().requires_grad_()
    table.requires_grad_()
    checks = {"check_forward_ad": True, "check_batched_grad": True}
    for order in (0, 1):

        def f(table, t, order=order):
            return monotone_table.evaluate(table, t, order)

        assert torch.autograd.gradcheck(f, (table, t), **checks)
        assert torch.autograd.gradgradcheck(f, (table, t))
    g = torch.randn(t.shape, dtype=t.dtype, requires_grad=True)

    def transpose(t, g):
        return operators.spread(t, g, 0, 5)

    assert torch.autograd.gradcheck(transpose, (t, g), **checks)
    assert torch.autograd.gradgradcheck(transpose, (t, g))
    y = monotone_table.evaluate(table, t).detach().requires_grad_()
    assert torch.autograd.gradcheck(monotone_table.inverse, (table, y))


def test_inverse():
    t, table = example()
    y = monotone_table.evaluate(table, t)
    torch.testing.assert_close(monotone_table.inverse(table, y), t, rtol=1e-9, atol=1e-9)
    t, table = example(torch.float32)
    y = monotone_table.evaluate(table, t)
    torch.testing.assert_close(monotone_table.inverse(table, y), t, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chebyshev_against_numpy(layout):
    t = LAYOUTS[layout](example()[0])
    a, w = torch.randn(5, 7, dtype=torch.float64), torch.randn(t.shape, dtype=torch.float64)
    y = chebyshev.series(a, t)
    s = chebyshev.sums(t, w, 7)
    plain = chebyshev.sums(t, None, 7)
    for c in range(5):
        x = t[:, c].numpy().ravel()
        V = np.polynomial.chebyshev.chebvander(x, 6)
        assert np.allclose(y[:, c].numpy().ravel(), V @ a[c].numpy())
        assert np.allclose(s[c], V.T @ w[:, c].numpy().ravel())
        assert np.allclose(plain[c], V.sum(0))
        slope = np.polynomial.chebyshev.chebder(a[c].numpy())
        assert np.allclose(derivative(a)[c, :-1], slope) and derivative(a)[c, -1] == 0
    torch.testing.assert_close(series_in_torch(a, t), y)
    torch.testing.assert_close(sums_in_torch(t, w, 7), s)


def test_chebyshev_derivatives():
    t = (torch.rand(1, 2, 5, dtype=torch.float64) * 2 - 1).requires_grad_()
    a = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(1, 2, 5, dtype=torch.float64, requires_grad=True)
    checks = {"check_forward_ad": True, "check_batched_grad": True}
    for f, inputs in [
        (chebyshev.series, (a, t)),
        (lambda t, w: chebyshev.sums(t, w, 4), (t, w)),
        (lambda t: chebyshev.sums(t, None, 4), (t,)),
    ]:
        assert torch.autograd.gradcheck(f, inputs, **checks)
        assert torch.autograd.gradgradcheck(f, inputs)
