"""Cost against degree and against the size of the batch."""

from __future__ import annotations


def draw(growth, path):
    """growth: see `batch.growth`; path: where the PNG goes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    k, batch, single, trust = np.array(growth["k"]).T
    left.loglog(k, 1e6 * trust, "s-", color="0.6", label="trust-exact, 200 nodes, one call")
    left.loglog(k, 1e6 * single, "o-", color="C0", label="maxent, one call")
    left.loglog(k, 1e6 * batch, "o-", color="C1", label="maxent, a column of 500")
    # through the first point from k = 6 on: what quadratic and cubic growth would be
    anchor = int(np.searchsorted(k, 6))
    for power, style in ((2, ":"), (3, "--")):
        guide = batch[anchor] * (k[anchor:] / k[anchor]) ** power
        left.loglog(k[anchor:], 1e6 * guide, style, color="k", lw=0.8, label=f"k$^{power}$")
    left.set_xticks([2, 4, 6, 10, 16, 24, 32], ["2", "4", "6", "10", "16", "24", "32"])
    left.set_xticks([], minor=True)
    left.set_xlabel("degree k")
    left.set_ylabel("µs a column")
    n, ours, newton = np.array(growth["columns"], dtype=float).T
    right.loglog(n, 1e6 * newton / n, "s-", color="0.6", label="NumPy Newton, batched")
    right.loglog(n, 1e6 * ours / n, "o-", color="C1", label="maxent")
    right.set_xlabel("columns in the batch, k = 6")
    right.set_ylabel("µs a column")
    left.set_ylim(top=30e6 * trust.max())  # room for the legend
    for axes, place in ((left, "upper left"), (right, "upper right")):
        axes.grid(True, which="major", color="0.9")
        axes.legend(frameon=False, fontsize=8, loc=place)
    left.set_title("mixtures of two beta laws on [-1, 1], one thread", fontsize=9)
    right.set_title("certificate included in ours", fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)
