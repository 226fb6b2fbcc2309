"""Shift layers against 40 digits, in their tails, at zero, and back."""

import copy

import mpmath
import pytest
import torch

import torch_bridge
from torch_bridge import functional, shift

POSITIVE = [5e-324, 1e-310, 1e-45, 1e-40, 1e-38, 1e-30, 1e-10, 1e-3, 0.01, 0.5, 1.0, 2.0, 10.0]
GRID = [0.0, *POSITIVE, 1e3, 1e10, 1e30]
GRID = GRID + [-value for value in GRID]
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
EXPONENTS = [0.25, 0.5, 0.9, 1.0, 1.7, 4.0]


def exact(kind, x, b, k):
    """a = 1.5 for the logarithm; x, b, k exact numbers."""
    if x == 0:
        return mpmath.mpf(0)
    power = (b * abs(x)) ** k
    value = power / (mpmath.sqrt(power + 0.25) + 0.5)
    if kind == "log":
        value = 1.5 * mpmath.log1p(power)
    return value if x > 0 else -value


def exact_slope(kind, x, b, k):
    q = b * abs(x)
    if q == 0:
        return {True: 1.5 * b if kind == "log" else b}.get(k == 1, mpmath.mpf(0))
    if kind == "log":
        return 1.5 * b * k * q ** (k - 1) / (1 + q**k)
    return b * k * q ** (k - 1) / (2 * mpmath.sqrt(q**k + 0.25))


def functions(kind):
    return {
        "log": (functional.log_shift, functional.log_shift_inverse, functional.log_shift_log_det),
        "sqrt": (
            functional.sqrt_shift,
            functional.sqrt_shift_inverse,
            functional.sqrt_shift_log_det,
        ),
    }[kind]


def arguments(kind, log_b, c):
    return (1.5, log_b, c) if kind == "log" else (log_b, c)


def close(got, wanted, dtype, digits):
    """Within `digits` roundings, or within the smallest numbers that dtype has."""
    info = torch.finfo(dtype)
    if abs(wanted) > info.max:
        return abs(got) == float("inf") and (got > 0) == (wanted > 0)
    smallest = info.smallest_normal * info.eps
    return abs(got - wanted) <= digits * info.eps * abs(wanted) + 1.5 * smallest


@pytest.mark.parametrize("kind", ["log", "sqrt"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", EXPONENTS)
def test_formulas_slopes_and_inverse_to_rounding(kind, dtype, k):
    forward, inverse, log_det = functions(kind)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x = torch.tensor(GRID, dtype=torch.float64).to(dtype).requires_grad_()
    info = torch.finfo(dtype)
    with mpmath.workdps(40):
        for b in (1.0, 3.0):
            parameters = [torch.tensor(v, dtype=torch.float64).log().to(wide) for v in (b, k)]
            # the parameters are logarithms: what they stand for is their exponential
            b_true, k_true = (mpmath.exp(mpmath.mpf(p.item())) for p in parameters)
            k_true = mpmath.mpf(1) if k == 1 else k_true
            given = arguments(kind, *parameters)
            y = forward(x, *given)
            assert y.dtype == dtype
            (slope,) = torch.autograd.grad(y.sum(), x)
            assert torch.isfinite(slope).all()
            back = inverse(y, *given)
            density = log_det(x, *given)
            for i, value in enumerate(x.tolist()):
                wanted = exact(kind, mpmath.mpf(value), b_true, k_true)
                # half a rounding of k moves q^k by k log q / 2 of them
                power = k * abs(mpmath.log(b_true * abs(value))) if value else 0
                own = 0 if dtype == torch.bfloat16 else power
                assert close(y[i].item(), wanted, dtype, 4 + own), (value, y[i].item(), wanted)
                true_slope = exact_slope(kind, mpmath.mpf(value), b_true, k_true)
                if k >= 1 or abs(value) >= shift.DELTA:
                    assert close(slope[i].item(), true_slope, dtype, 5 + own), (value, true_slope)
                if value and info.smallest_normal * 1e3 < abs(wanted) < info.max:
                    # x changes by (y / x) / (dy/dx) times y's relative rounding
                    bend = abs(wanted / (mpmath.mpf(value) * true_slope))
                    error = abs(back[i].item() - value) / abs(value)
                    assert error <= (6 + 2 * bend + 2 * own / k) * info.eps
                    rough = info.eps * (4 + 2 * power + 2 * abs(mpmath.log(true_slope)))
                    assert abs(density[i].item() - mpmath.log(true_slope)) <= rough


@pytest.mark.parametrize("kind", ["log", "sqrt"])
def test_slope_at_zero(kind):
    """ab (or e^a) for exponent one, nothing above, the slope at delta below."""
    forward = functions(kind)[0]
    for dtype in DTYPES:
        for k, b in ((1.0, 1.0), (1.0, 2.0), (1.7, 1.0), (4.0, 2.0)):
            x = torch.zeros(3, dtype=dtype, requires_grad=True)
            logs = torch.tensor([b, k], dtype=torch.float64).log().tolist()
            forward(x, *arguments(kind, *logs)).sum().backward()
            limit = (1.5 * b if kind == "log" else b) if k == 1 else 0.0
            wanted = torch.full((3,), limit, dtype=torch.float64)
            rtol = 1e-2 if dtype == torch.bfloat16 else 1e-6
            torch.testing.assert_close(x.grad.double(), wanted, rtol=rtol, atol=0)
        x = torch.tensor([0.0, shift.DELTA], dtype=dtype, requires_grad=True)
        forward(x, *arguments(kind, 0.0, -1.0)).sum().backward()
        assert x.grad[0] == x.grad[1] and torch.isfinite(x.grad).all()


@pytest.mark.parametrize("kind", ["log", "sqrt"])
@pytest.mark.parametrize("c", [-1.3, 0.0, 1.3])
def test_derivatives_by_differences(kind, c):
    generator = torch.Generator().manual_seed(0)
    forward = functions(kind)[0]
    x = torch.randn(12, generator=generator, dtype=torch.float64)
    x = torch.cat([x, 1e3 * x, x.sign() * 0.01]).requires_grad_()
    values = [1.3, 0.2, c] if kind == "log" else [0.2, c]
    parameters = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in values]
    size = 1 + x.detach().abs()  # x itself moves while differences are taken
    scaled = lambda *inputs: forward(*inputs) / size  # noqa: E731
    assert torch.autograd.gradcheck(scaled, (x, *parameters), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(scaled, (x, *parameters), check_fwd_over_rev=True)
    (slope,) = torch.autograd.grad(forward(x, *parameters).sum(), x)
    log_det = functions(kind)[2](x, *parameters)
    torch.testing.assert_close(slope.abs().log(), log_det, rtol=1e-12, atol=1e-12)


def test_func_transforms_and_per_sample_parameters():
    x = torch.randn(4, 5, dtype=torch.float64)
    c = torch.randn(4, dtype=torch.float64)
    for function in (
        lambda x, c: functional.log_shift(x, 1.0, 0.0, c),
        lambda x, c: functional.sqrt_shift(x, 0.0, c),
    ):
        many = torch.func.vmap(function)(x, c)
        torch.testing.assert_close(many, torch.stack([function(*pair) for pair in zip(x, c)]))
        loss = lambda x, f=function: f(x, c[0]).pow(3).sum()  # noqa: E731
        torch.testing.assert_close(
            torch.func.hessian(loss)(x[0]), torch.func.jacrev(torch.func.jacrev(loss))(x[0])
        )


@pytest.mark.parametrize("layer", [torch_bridge.LogShift, torch_bridge.SqrtShift])
def test_layer(layer):
    x = torch.randn(3, 4, 5)
    plain = layer()
    assert "num_parameters=1" in repr(plain)
    textbook = {
        torch_bridge.LogShift: x.sign() * torch.log(x.abs() + 1),
        torch_bridge.SqrtShift: x.sign() * (torch.sqrt(x.abs() + 0.25) - 0.5),
    }[layer]
    torch.testing.assert_close(plain(x), textbook)
    torch.testing.assert_close(plain.inverse(plain(x)), x, rtol=1e-5, atol=1e-6)

    each = layer(4)
    with torch.no_grad():
        for value in each.state_dict().values():
            value.add_(torch.arange(4) / 10)
    for channel in range(4):
        one = layer()
        state = {name: value[channel : channel + 1] for name, value in each.state_dict().items()}
        one.load_state_dict(state)
        torch.testing.assert_close(each(x)[:, channel], one(x[:, channel]))
    last = layer(5, channel_dim=-1)
    assert last(x).shape == x.shape
    with pytest.raises(ValueError, match="expected 4 channels"):
        each(x.transpose(1, 2))
    with pytest.raises(ValueError, match="learn may name"):
        layer(learn="z")

    frozen = layer(learn="a")
    assert [name for name, _ in frozen.named_parameters()] == ["a"]
    assert len(frozen.state_dict()) == len(plain.state_dict())
    twin = copy.deepcopy(each)
    assert torch.equal(twin(x), each(x))
    fresh = layer(4, device="meta").to_empty(device="cpu")
    fresh.reset_parameters()
    torch.testing.assert_close(fresh(x), plain(x))
    photos = torch.randn(2, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    assert each(photos).is_contiguous(memory_format=torch.channels_last)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert layer(4)(x.to(dtype)).dtype == dtype
    y = each(x.requires_grad_())
    log_det = each.log_abs_det_jacobian(x, y)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), log_det, rtol=1e-5, atol=1e-5)


def test_log_shift_refuses_a_b_that_is_not_positive():
    with pytest.raises(ValueError, match="b must be positive"):
        torch_bridge.LogShift(b=0.0)
