"""The frozen layer: how far it may be from the table, monotone, whatever the memory's layout."""

import numpy as np
import pytest
import torch
from torch._subclasses import fake_tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tests.torch.columns import battery
from torch_bridge import MomentMatch, MomentMatch2d, moment_matching
from torch_bridge.ops import monotone_table, short_map
from torch_bridge.ops.short_map import operators

SHORT = ["normal", "lognormal", "t3", "uniform", "relu", "huge", "zero", "constant", "outlier"]


def layer(x, dtype=torch.float64, kind=MomentMatch, **options):
    """In evaluation mode, of the moments of x alone; an affine part of its own."""
    module = kind(x.shape[1], momentum=1.0, dtype=dtype, **options)
    if module.affine:
        with torch.no_grad():
            module.weight.copy_(torch.linspace(0.5, 2.0, x.shape[1]))
            module.bias.copy_(torch.linspace(-1.0, 1.0, x.shape[1]))
    module(x.to(dtype))
    return module.eval()


def everywhere(module, points=20001):
    """(points, C): from -60 to 60 standard deviations, dense where values are."""
    center, scale = (part.detach()[None] for part in module.frame())
    z = torch.linspace(-60, 60, points, dtype=torch.float64)
    z = torch.sort(torch.cat([z, z / 10, z / 1000])).values[:, None]
    return (center + scale * z).to(center.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_as_far_from_the_table_as_it_says(dtype):
    columns = battery()
    x = torch.stack(list(columns.values()), 1)
    names = [name for name in columns if dtype == torch.float64 or name != "huge"]
    kept = [list(columns).index(name) for name in names]
    module = layer(x[:, kept], dtype)
    frozen = module.freeze()
    short = ~torch.isinf(frozen.error)
    assert {n for n, s in zip(names, short.tolist()) if s} >= set(SHORT) & set(names)
    assert (frozen.error[short] <= short_map.TOLERANCES[-1]).all()
    assert not short[names.index("binary")]
    allowed = torch.where(short, 1.1 * frozen.error, 0.0) * module.weight.detach()
    double = dtype == torch.float64
    with torch.no_grad():
        for points in (x[:, kept].to(dtype), everywhere(module)):
            y = module(points)
            rounding = 1e-9
            if not double:  # what a rounding of t does to y: 4e-6 in x near its end
                rounding = 3e-5 + (module(points * (1 + 4e-6)) - module(points * (1 - 4e-6))).abs()
            excess = (frozen(points) - y).abs() - allowed - rounding
            assert excess.max() <= 0, dict(zip(names, excess.amax(0).tolist()))


def test_it_is_a_polynomial_in_the_window():
    """Where it says so: its 17th difference vanishes there, and the table's does not."""
    module = layer(torch.randn(2048, 1, dtype=torch.float64), affine=False)
    frozen = module.freeze()
    unit, offset, slope, shift = frozen.rows[:4, 0]
    v = torch.linspace(-1.98, 1.98, 40, dtype=torch.float64)
    t = (v - shift) / slope
    x = ((t / (1 - t * t).sqrt() - offset) / unit)[:, None]
    with torch.no_grad():
        curved = [np.polynomial.chebyshev.Chebyshev.fit(v, f(x)[:, 0], 30).coef[17:]
                  for f in (frozen, module)]
    assert abs(curved[0]).max() < 1e-10 < abs(curved[1]).max()


def test_it_increases():
    module = layer(torch.stack(list(battery().values()), 1))
    with torch.no_grad():
        y = module.freeze()(everywhere(module))
    assert (y[1:] - y[:-1]).min() > -1e-12


def test_what_a_polynomial_cannot_follow_stays_a_table():
    """A step of the map inside the window; one outside it does no harm."""
    t = torch.linspace(-1, 1, 129, dtype=torch.float64)
    below = (0.5 + 0.5 * torch.erf(t * 8))[None].repeat(2, 1)
    step = torch.stack([t + (t > 0.1), t + (t > 0.9)])
    slope = torch.full_like(step, 1 / 64)
    fit = short_map.fit(torch.stack([step, slope], 2), below, 1 - below)
    assert torch.isinf(fit.error).tolist() == [True, False]


def test_a_polynomial_that_turns_back_is_refused():
    """Flat in the middle: an error of 1e-4 there is enough for a slope below zero."""
    t = torch.linspace(-1, 1, 129, dtype=torch.float64)
    below = (0.5 + 0.5 * torch.erf(t * 3))[None]
    y = torch.where(t.abs() < 0.2, 0.0, (t.abs() - 0.2) ** 3 * t.sign())[None]
    slope = torch.where(t.abs() < 0.2, 0.0, 3 * (t.abs() - 0.2) ** 2)[None] / 64
    fit = short_map.fit(torch.stack([y, slope], 2), below, 1 - below)
    assert torch.isinf(fit.error).all()


SHAPES = [
    (7, 3, 5), (64, 3), (3, 4), (1, 4), (2, 128), (200, 130), (5, 100), (2, 3, 300), (1, 300),
    (130, 128), (9, 128), (4, 5, 128), (3, 40, 7, 7),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout(shape):
    """One pass against tensor operations; values outside the window among them."""
    module = layer(torch.randn(64, shape[1]).exp(), torch.float32)
    frozen = module.freeze()
    x = 3 * torch.randn(shape)
    x.view(-1)[0] = 100.0
    with torch.no_grad():
        y = frozen(x)
        turned = frozen(x.transpose(0, 1).contiguous().transpose(0, 1))
        same = frozen(x.double())
    other = frozen(x.clone().requires_grad_())
    torch.testing.assert_close(y, other.detach(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(turned, y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(same, y.double(), rtol=1e-4, atol=1e-4)
    x.view(shape[0], shape[1], -1)[:, 1] = torch.nan
    with torch.no_grad():
        missing = frozen(x)
    assert missing[:, 1].isnan().all() and not missing[:, 0].isnan().any()
    rest = [c for c in range(shape[1]) if c != 1]
    torch.testing.assert_close(missing[:, rest], y[:, rest], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_runs_cover_every_value_with_its_own_column(threads):
    for size_a, columns, size_b in [(5, 3, 1), (300, 3, 1), (4, 256, 1), (4, 257, 1), (3, 40, 49),
                                    (2, 3, 130), (2, 3, 300), (1, 17, 1), (1, 1, 500), (1, 700, 1),
                                    (1000, 300, 1), (1, 3, 100000), (1, 300000, 1)]:
        total = size_a * columns * size_b
        seen = torch.full((total,), -1)
        items = operators.runs(size_a, columns, size_b, threads)
        assert len(items) == max(1, min(threads, total >> 17))
        for starts, firsts, width, size in items:
            assert operators.LANES <= width <= operators.WIDTH or width == total
            for first in firsts:
                pattern = (first + torch.arange(width)) // size % columns
                for start in starts + first:
                    seen[start : start + width] = pattern
        expected = torch.arange(columns)[None, :, None].expand(size_a, -1, size_b).reshape(-1)
        assert torch.equal(seen, expected)


@pytest.mark.parametrize("options", [{"support": "data"}, {"target": "uniform"}, {"affine": False}])
def test_options(options):
    x = torch.randn(500, 2, dtype=torch.float64)
    module = MomentMatch(2, momentum=1.0, dtype=torch.float64, **options)
    module(x)
    module.eval()
    frozen = module.freeze()
    with torch.no_grad():
        y = module(x)
        assert not torch.isinf(frozen.error).any()
        assert (frozen(x) - y).abs().max() < 1.1e-3 * y.std()


def test_a_far_outlier_is_a_number_and_threads_do_not_matter():
    """Its square is beyond float32; as the table goes on, in float64."""
    module = layer(torch.randn(64, 512), torch.float32)
    frozen = module.freeze()
    x = torch.randn(700, 512)
    x[::7, ::5] *= 1e25
    threads = torch.get_num_threads()
    with torch.no_grad():
        y = frozen(x)
        wide = frozen(x.double())
        try:
            torch.set_num_threads(2)
            again = frozen(x)
        finally:
            torch.set_num_threads(threads)
    assert torch.equal(y, again)
    torch.testing.assert_close(y, wide.float(), rtol=1e-4, atol=1e-4)


def test_what_looks_on_sees_tensor_operations():
    frozen = layer(torch.randn(64, 4), torch.float32).freeze()
    x = torch.randn(20, 4)
    with torch.no_grad(), fake_tensor.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert frozen(mode.from_tensor(x)).shape == x.shape
    with torch.no_grad():
        traced = make_fx(frozen)(x)
        torch.testing.assert_close(traced(2 * x), frozen(2 * x), rtol=1e-5, atol=1e-5)


def test_gradient_state_and_export():
    x = torch.randn(64, 4, 3, 3)
    module = layer(x, torch.float32, MomentMatch2d)
    frozen = module.freeze()
    leaf = x.clone().requires_grad_()
    slopes = [torch.autograd.grad(f(leaf).sum(), leaf)[0] for f in (frozen, module)]
    torch.testing.assert_close(*slopes, rtol=0.02, atol=0.02)
    other = layer(x.exp(), torch.float32, MomentMatch2d).freeze()
    other.load_state_dict(frozen.state_dict())
    with torch.no_grad():
        assert torch.equal(other(x), frozen(x))
        batch = torch.export.Dim("batch", min=2)
        exported = torch.export.export(frozen, (x[:8],), dynamic_shapes={"x": {0: batch}}).module()
        for n in (3, 50):
            assert (exported(x[:n]) - frozen(x[:n])).abs().max() <= 1e-5


def test_fit_of_the_layer_is_that_of_its_density():
    """The share of a column outside the window is near one of TAILS, at either end."""
    x = torch.randn(4096, 1, dtype=torch.float64)
    module = layer(x)
    below, above, _ = moment_matching.distribution(module.coefficients, moment_matching.KNOTS)
    fit = short_map.fit(module.maps()[0], below, above)
    t = moment_matching.squash((x - module.running_mean) / module.frame()[1])
    outside = (t * fit.window[0] + fit.window[1]).abs() > 1
    assert outside.double().mean() < 3 * 1e-3
    y = monotone_table.evaluate(module.maps()[0], t[:, :, None])
    assert y.std() == pytest.approx(1, abs=0.05)
