"""Pictures of densities. matplotlib is imported when something is drawn, not before.

`draw(density, data=x)` is what `density.plot(data=x)` and `maxent fit --plot` show: the density as
a line over a histogram of the data, with its quantiles marked. A batch is one line a column.
"""

from __future__ import annotations

import numpy as np

INK = "#1f3a5f"  # the density
PAPER = "#d5dde6"  # the histogram
PENCIL = "#5b6673"  # axes, ticks and small print
COLOURS = ("#1f3a5f", "#c8553d", "#3d8b7a", "#d49b3a", "#7a5c99", "#5b8dbf", "#8f3f5a", "#6b7a2f")

MARKED = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Probabilities whose quantiles are marked under the curve."""

NAMED_FIRST = (0.5, 0.05, 0.95, 0.25, 0.75)  # whose names go first where there is room for few

SHOWN_TAIL = 5e-3  # a probability: the picture ends where less than this is left on a side
SHOWN_SHARE = 0.5  # unless the bulk fills this share of the support: then all of it is shown
NAMED_CURVES = len(COLOURS)  # more curves than this get one colour and no legend
CURVE_POINTS = 801
MAX_BINS = 80


def draw(density, ax=None, data=None):
    """Draw a density, or every column of a batch, and return the matplotlib axes.

    ax: axes to draw on; a new figure when None.
    data: values of shape (n,) for a histogram behind the curve; nan are left out. For a batch with
        batch_shape (columns,), values of shape (n, columns) or None: only the range is used.

    Raises ImportError when matplotlib is not installed.
    """
    if ax is None:
        ax = _new_axes()
    if density.batch_shape == ():
        if density.domain.atoms_of_reference() is None:
            _draw_one(density, ax, data)
        else:
            _draw_points(density, ax)
    else:
        _draw_batch(density, ax)
    _dress(ax)
    ax.set_ylabel(
        "density" if density.domain.atoms_of_reference() is None else "probability",
        color=PENCIL,
        fontsize=9,
    )
    return ax


def save(density, path, *, data=None, title=None, label=None, dpi=160):
    """Draw into a new figure, without a window, and write it to `path` (png, pdf, svg, ...)."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(_ADVICE) from None
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    ax = draw(density, figure.subplots(), data)
    if title:
        ax.set_title(title, loc="left", fontsize=11, color=INK, pad=20)
    if label:
        ax.set_xlabel(label, color=PENCIL)
    figure.savefig(path, dpi=dpi)


_ADVICE = "drawing needs matplotlib: pip install 'maxent[plot]'"


def _new_axes():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(_ADVICE) from None
    return plt.subplots(figsize=(7.2, 4.0), layout="constrained")[1]


def _draw_one(density, ax, data):
    lo, hi = _window(density)
    x = _abscissae(density, lo, hi)
    p = density.pdf(x)
    top = _top(density, p, x)
    if data is not None:
        data = np.asarray(data, float).ravel()
        data = data[np.isfinite(data)]
        edges = np.linspace(lo, hi, _bins(data, lo, hi) + 1)
        count, _ = np.histogram(data, edges)
        height = count / (data.size * np.diff(edges))
        ax.bar(
            edges[:-1],
            height,
            np.diff(edges),
            align="edge",
            color=PAPER,
            edgecolor="white",
            linewidth=0.6,
            label=f"data ({data.size:,} values)",
        )
        top = max(top, min(height.max(initial=0.0), 2 * top))
    else:
        ax.fill_between(x, p, color=PAPER, alpha=0.6, linewidth=0)
    ax.plot(x, p, color=INK, linewidth=1.9, label="maximum entropy")
    _mark_quantiles(density, ax, lo, hi)
    ax.set_xlim(lo, hi)
    ax.set_ylim(0, 1.12 * top)
    if data is not None:
        ax.legend(frameon=False, fontsize=9, labelcolor=PENCIL, loc="best")


def _draw_points(density, ax):
    """Probabilities on discrete points: stems."""
    x = density.domain.points
    p = density.pdf(x)
    if not np.isfinite(p).all():
        raise ValueError(_nothing(density))
    ax.vlines(x, 0, p, color=INK, linewidth=1.4)
    ax.plot(x, p, "o", color=INK, markersize=5, label="maximum entropy")
    ax.set_ylim(0, 1.12 * p.max())


def _mark_quantiles(density, ax, lo, hi):
    """Thin lines from the axis up to the curve, named along the top edge of the picture."""
    x = density.ppf(np.array(MARKED))
    ax.vlines(x, 0, density.pdf(x), color=INK, linewidth=0.8, alpha=0.55)
    taken = []
    for u in NAMED_FIRST:
        place = x[MARKED.index(u)]
        if any(abs(place - other) < 0.06 * (hi - lo) for other in taken):
            continue  # the name would sit on its neighbour
        taken.append(place)
        ax.annotate(
            f"{100 * u:g} %",
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=PENCIL,
        )


def _draw_batch(density, ax):
    singles = [density[index] for index in np.ndindex(density.batch_shape)]
    singles = [(j, one) for j, one in enumerate(singles) if np.isfinite(one.ppf(0.5))]
    if not singles:
        raise ValueError("none of the columns has a density to draw")
    windows = [_window(one) for _, one in singles]
    lo, hi = min(w[0] for w in windows), max(w[1] for w in windows)
    top = 0.0
    for j, one in singles:
        x = _abscissae(one, lo, hi)
        p = one.pdf(x)
        top = max(top, _top(one, p, x))
        if len(singles) <= NAMED_CURVES:
            ax.plot(x, p, color=COLOURS[j % NAMED_CURVES], linewidth=1.7, label=f"column {j}")
        else:
            ax.plot(x, p, color=INK, linewidth=0.9, alpha=max(0.08, 4 / len(singles)))
    ax.set_xlim(lo, hi)
    ax.set_ylim(0, 1.08 * top)
    if 1 < len(singles) <= NAMED_CURVES:
        ax.legend(frameon=False, fontsize=9, labelcolor=PENCIL)


def _window(density):
    """What part of the x axis is shown: the whole support when the bulk fills it."""
    a, b = density.support()
    lo, hi = density.ppf(SHOWN_TAIL), density.isf(SHOWN_TAIL)
    if not np.isfinite(lo + hi):
        raise ValueError(_nothing(density))
    if np.isfinite(b - a) and hi - lo > SHOWN_SHARE * (b - a):
        return a, b
    margin = 0.08 * (hi - lo)
    return max(a, lo - margin), min(b, hi + margin)


def _nothing(density):
    return f"there is no density to draw: {density.certificate.message}"


def _abscissae(density, lo, hi):
    """Evenly spaced points, and evenly spaced probabilities lest a spike fall between those."""
    quantiles = density.ppf(np.linspace(0, 1, CURVE_POINTS // 2)[1:-1])
    x = np.concatenate([np.linspace(lo, hi, CURVE_POINTS), quantiles])
    return np.unique(x[(x >= lo) & (x <= hi)])


def _top(density, p, x):
    """Height of the picture: of the curve without its outermost 1 %, which may shoot up."""
    inner = (x >= density.ppf(0.01)) & (x <= density.isf(0.01))
    return p[inner].max() if inner.any() else p.max()


def _bins(data, lo, hi):
    """How many bins: finer than the usual rules, which hide the valley between two humps."""
    shown = np.count_nonzero((data >= lo) & (data <= hi))
    return int(np.clip(1.6 * np.sqrt(shown), 1, MAX_BINS))


def _dress(ax):
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(PENCIL)
    ax.tick_params(colors=PENCIL, labelsize=9, length=3)
    ax.tick_params(axis="y", length=0)
    ax.yaxis.set_major_locator(_few_ticks())
    ax.set_axisbelow(True)
    ax.grid(axis="y", color=PENCIL, alpha=0.15, linewidth=0.6)


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)
