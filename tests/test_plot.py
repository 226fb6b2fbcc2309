"""Pictures: the curve is the density, the histogram is the data, nothing narrow is lost."""

import sys

import numpy as np
import pytest

import maxent
from maxent import plot
from maxent.reading import read_example

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def curve(ax, j=0):
    return ax.lines[j].get_data()


def test_the_curve_is_the_density_and_the_bars_are_the_data():
    data, _ = read_example("faithful")
    density = maxent.fit(data, 8)
    ax = density.plot(data=data)
    x, p = curve(ax)
    np.testing.assert_allclose(p, density.pdf(x), rtol=1e-12)
    assert (x[0], x[-1]) == (1.6, 5.1)
    assert np.trapezoid(p, x) == pytest.approx(1, abs=1e-4)
    bars = ax.patches
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1)
    assert len(bars) > 15
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > max(p)
    assert {text.get_text() for text in ax.texts} == {"5 %", "25 %", "50 %", "75 %", "95 %"}


def test_it_draws_where_it_is_told_to():
    density = maxent.solve([1, 0.5], support=(0, 1))
    _, (left, right) = plt.subplots(1, 2)
    assert density.plot(right) is right
    assert len(right.lines) == 1
    assert not left.lines


def test_missing_data_are_left_out():
    density = maxent.solve([1, 0.5], support=(0, 1))
    ax = density.plot(data=[0.1, np.nan, 0.9, 0.5])
    assert "data (3 values)" in ax.get_legend_handles_labels()[1]


def test_a_narrow_spike_is_drawn_to_its_top():
    density = maxent.solve([1, 0.5, 0.5**2 + 1e-8], support=(0, 1))
    x, p = curve(density.plot())
    assert p.max() == pytest.approx(density.pdf(0.5), rel=1e-3)
    assert np.trapezoid(p, x) == pytest.approx(1, abs=0.02)
    assert x[-1] - x[0] < 0.01


def test_the_bulk_is_shown_on_the_line():
    x, _ = curve(maxent.solve([1, 3, 9 + 4], support=(-np.inf, np.inf)).plot())
    assert -12 < x[0] < 3 - 2 * 2
    assert 3 + 2 * 2 < x[-1] < 18


def test_crowded_names_give_way_to_the_median():
    data = np.concatenate([np.full(99, 0.0), [1.0]]) + np.linspace(0, 1e-3, 100)
    ax = maxent.fit(data, 2, support=(0, 1.01)).plot()
    assert "50 %" in {text.get_text() for text in ax.texts}


def test_a_batch_is_one_line_a_column_without_those_that_failed():
    moments = [[1, 0.5, 0.3], [1, 0.5, 0.2], [1, 0.4, 0.3]]  # the second has variance < 0
    batch = maxent.solve(moments, support=(0, 1), throw=False)
    ax = batch.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["column 0", "column 2"]
    x, p = curve(ax, 1)
    np.testing.assert_allclose(p, batch[2].pdf(x), rtol=1e-12)
    many = maxent.solve([moments[0]] * 20, support=(0, 1))
    ax = many.plot()
    assert len(ax.lines) == 20
    assert ax.get_legend() is None


def test_points_are_drawn_as_stems():
    die = maxent.solve([1, 4.5], support=maxent.Discrete([1, 2, 3, 4, 5, 6]))
    ax = die.plot()
    x, p = curve(ax)
    np.testing.assert_array_equal(x, [1, 2, 3, 4, 5, 6])
    assert p.sum() == pytest.approx(1)
    assert ax.get_ylabel() == "probability"


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="no density to draw"):
        maxent.solve([1, 0.5, 0.2], support=(0, 1), throw=False).plot()
    with pytest.raises(ValueError, match="none of the columns"):
        maxent.solve([[1, 0.5, 0.2]] * 2, support=(0, 1), throw=False).plot()


def test_save_opens_no_window(tmp_path):
    density = maxent.solve([1, 0.5], support=(0, 1))
    plot.save(density, tmp_path / "x.pdf", title="a title", label="x")
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    assert plt.get_fignums() == []


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    density = maxent.solve([1, 0.5], support=(0, 1))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"maxent\[plot\]"):
        density.plot()
