"""The pictures of docs/experiments.md, from the results alone."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.experiments import claims, intervals, nets, sweep, training

STYLE = Path(__file__).parents[2] / "docs" / "gallery" / "gallery.mplstyle"
# system -> colour and dashes: apart for colour-blind eyes, and in grey by their dashes
LOOKS = {
    "plain": ("#8a939e", "-"),
    "batch_norm": ("#1f3a5f", "-"),
    "layer_norm": ("#5b8dbf", ":"),
    "log_shift": ("#d49b3a", "--"),
    "sqrt_shift": ("#c8553d", "--"),
    "copula": ("#3d8b7a", "-"),
    "moments_4": ("#b48bd0", ":"),
    "moments_6": ("#7a5c99", "-"),
    "batch_norm_log": ("#1f3a5f", ":"),
    "normal_norm": ("#a0522d", "-."),
    "normal_norm_noise": ("#a0522d", ":"),
}
KURTOSES = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, 500, 1000)
FEW = ("plain", "batch_norm", "log_shift", "sqrt_shift", "copula", "moments_6")
MAP_LOOKS = {"linear": ("#d49b3a", "--"), "quadratic": ("#c8553d", "--"), "cubic": ("#7a5c99", "-"),
             "quantile": ("#3d8b7a", "-")}


def look(system):
    colour, dashes = LOOKS[system]
    return {"color": colour, "linestyle": dashes, "label": nets.LABELS[system]}


def curve(runs, name):
    """(runs, points) of one quantity of the curves; a run that ended early has nan."""
    points = max(len(run["curve"]) for run in runs)
    found = np.full((len(runs), points), np.nan)
    for row, run in zip(found, runs, strict=True):
        values = [point.get(name) for point in run["curve"]]
        row[: len(values)] = [np.nan if value is None else value for value in values]
    return found


def draw_band(axes, x, values, system):
    mean, low, high = intervals.band(values)
    axes.plot(x, mean, **look(system))
    axes.fill_between(x, low, high, color=LOOKS[system][0], alpha=0.18, linewidth=0)


def finals(part, results, optimiser):
    """system -> its runs at its own rate."""
    found = {}
    for system in part["systems"]:
        runs = results.of(sweep.final_configs(part, results, system, optimiser))
        if runs:
            found[system] = runs
    return found


def upper(values, share=0.25):
    """Limits of an axis that show the upper part of the values, where the systems differ."""
    low, high = np.nanquantile(values, share), np.nanmax(values)
    return low - 0.05 * (high - low), high + 0.15 * (high - low)


def few_ticks(axis):
    """1, 2, 5, 10, ... on an axis of logarithms that spans a decade or two."""
    axis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    axis.set_minor_locator(mpl.ticker.NullLocator())


def curves(part, results):
    """Loss and test accuracy against epochs, and against seconds; a row for each optimiser."""
    rows = [name for name in part["rates"] if finals(part, results, name)]
    figure, grid = plt.subplots(
        len(rows), 3, figsize=(10.5, 0.9 + 3.0 * len(rows)), squeeze=False
    )
    for optimiser, axes in zip(rows, grid, strict=True):
        shown, tests, losses = finals(part, results, optimiser), [], []
        for system, runs in shown.items():
            epochs = curve(runs, "epoch").max(0)
            loss, test = curve(runs, "loss"), curve(runs, "test")
            draw_band(axes[0], epochs, loss, system)
            draw_band(axes[1], epochs, test, system)
            draw_band(axes[2], curve(runs, "seconds").mean(0), test, system)
            losses.append(np.nanmean(loss, 0))
            tests.append(np.nanmean(test, 0))
        name = claims.NAMES[optimiser]
        axes[0].set(title=f"{name}: training loss", xlabel="epochs", yscale="log")
        axes[0].set_ylim(0.9 * np.nanmin(losses), 1.3 * np.nanquantile(losses, 0.9))
        few_ticks(axes[0].yaxis)
        axes[1].set(title=f"{name}: test accuracy, %", xlabel="epochs")
        axes[2].set(title=f"{name}: test accuracy, %", xlabel="processor seconds", xscale="log")
        few_ticks(axes[2].xaxis)
        for place in axes[1:]:
            place.set_ylim(*upper(tests))
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def rates(part, results):
    """Test accuracy at the end of the sweep's runs against the rate."""
    figure, grid = plt.subplots(
        1, len(part["rates"]), figsize=(1.5 + 4.2 * len(part["rates"]), 4.4), squeeze=False
    )
    for (optimiser, steps), axes in zip(part["rates"].items(), grid[0], strict=True):
        means = []
        for system in part["systems"]:
            runs = results.of(sweep.sweep_configs(part, system, optimiser))
            there = [rate for rate in steps if any(run["config"]["lr"] == rate for run in runs)]
            if not there:
                continue
            values = [[claims.test_accuracy(run) for run in runs if run["config"]["lr"] == rate]
                      for rate in there]
            draw_band(axes, there, np.array(values).T, system)
            means += [np.mean(part) for part in values]
        axes.set(title=claims.NAMES[optimiser], xlabel="rate", ylabel="test accuracy, %",
                 xscale="log", ylim=upper(means, 0.2))
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(part["rates"]) + 1)
    return figure


def picture_run(part, results, system, optimiser):
    """The run that has pictures, or None."""
    runs = results.of(sweep.final_configs(part, results, system, optimiser))
    return next((run for run in runs if "pictures" in run), None)


def histograms(part, results, optimiser):
    """What goes into the transforms and what comes out, of all units of a layer, standardised."""
    found = {system: picture_run(part, results, system, optimiser) for system in FEW}
    found = {system: run for system, run in found.items() if run}
    layers = [str(layer) for layer in part["at"]]
    figure, grid = plt.subplots(
        len(found), 2 * len(layers), figsize=(1.2 + 2.3 * 2 * len(layers), 0.6 + 1.1 * len(found)),
        sharex=True, sharey=True, squeeze=False,
    )
    edges, top = training.BINS.numpy(), 0.45
    normal = np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi)
    for (system, run), axes in zip(found.items(), grid, strict=True):
        pairs = [pair for layer in layers for pair in run["pictures"]["histograms"][layer]]
        for place, counts in zip(axes, pairs, strict=True):
            counts = np.array(counts, float)
            heights = counts / (counts.sum() * np.diff(edges))
            top = max(top, heights.max())
            place.stairs(heights, edges, fill=True, color=LOOKS[system][0], alpha=0.55)
            place.plot(edges, normal, color="#20262e", linewidth=0.9)
            place.set_yticks([])
        axes[0].set_ylabel(nets.LABELS[system].replace(", ", ",\n"), rotation=0, ha="right",
                           va="center")
    for number, layer in enumerate(layers):
        grid[0][2 * number].set_title(f"into, layer {layer}")
        grid[0][2 * number + 1].set_title(f"out of, layer {layer}")
    grid[0][0].set_ylim(0, min(1.05 * top, 1.2))  # a column of ties may be cut
    for place in grid[-1]:
        place.set_xlabel("standard deviations")
    return figure


def maps(part, results, optimiser):
    """x_in against x_out of the copula's most kurtotic unit, with its evaluation maps."""
    run = picture_run(part, results, "copula", optimiser)
    found = run["pictures"]["maps"]
    figure, grid = plt.subplots(1, len(found), figsize=(1.0 + 4.2 * len(found), 4.0), squeeze=False)
    for (layer, picture), axes in zip(found.items(), grid[0], strict=True):
        axes.plot(*picture["dots"], ".", color="#8a939e", markersize=3,
                  label="a training batch")
        for name, (colour, dashes) in MAP_LOOKS.items():
            axes.plot(picture["grid"], picture["curves"][name], color=colour, linestyle=dashes,
                      label=name)
        low, high = min(picture["dots"][1]), max(picture["dots"][1])
        axes.set(title=f"layer {layer}, unit {picture['unit']}", xlabel="x in", ylabel="x out",
                 ylim=(low - 0.4 * (high - low), high + 0.4 * (high - low)))
    grid[0][0].legend()
    return figure


def shape_curves(part, results, optimiser):
    """Distance to normal and kurtosis of what comes out, by layer, against steps of training."""
    layers = [str(layer) for layer in part["at"]]
    figure, grid = plt.subplots(2, len(layers), figsize=(4.6 * len(layers), 6.4), sharex=True,
                                squeeze=False)
    for system, runs in finals(part, results, optimiser).items():
        epochs = curve(runs, "epoch").max(0)
        for layer, axes in zip(layers, grid.T, strict=True):
            for row, place in enumerate(axes):
                values = np.full((len(runs), len(epochs)), np.nan)
                for line, run in zip(values, runs, strict=True):
                    for i, point in enumerate(run["curve"]):
                        value = point["shape"][layer][row]
                        line[i] = np.nan if value is None else value
                draw_band(place, epochs, values, system)
    for layer, axes in zip(layers, grid.T, strict=True):
        axes[0].set_title(f"layer {layer}: KS distance to normal")
        axes[0].set_ylim(bottom=0)
        axes[1].set_title(f"layer {layer}: kurtosis")
        axes[1].set(xlabel="epochs", yscale="log")
        axes[1].axhline(3, color="#20262e", linewidth=0.8)
        low, high = axes[1].get_ylim()
        ticks = [tick for tick in KURTOSES if low <= tick <= high]
        axes[1].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes[1].set_yticks([], minor=True)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(layers))
    return figure


def steps(costs):
    """Milliseconds of a training step of the perceptron."""
    spent = costs["mlp"]
    figure, axes = plt.subplots(figsize=(6.4, 0.9 + 0.32 * len(spent)))
    names = list(spent)[::-1]
    bars = axes.barh([nets.LABELS[name] for name in names], [spent[name] for name in names],
                     color=[LOOKS[name][0] for name in names], height=0.65)
    axes.bar_label(bars, fmt="%.1f", padding=4)
    axes.set(xlabel="milliseconds a training step, batches of 128, one thread")
    axes.margins(x=0.12)
    return figure


def draw(preset, parts, results, costs, folder):
    """Everything there are results for, as PNG; gives the names of the files."""
    made = {}
    with plt.style.context(STYLE):
        for number, part in enumerate(parts):
            name = f"{preset}_{number}" if len(parts) > 1 else preset
            optimisers = [kind for kind in part["rates"] if finals(part, results, kind)]
            if results.of(sweep.sweep_configs(part)):
                made[f"{name}_rates"] = rates(part, results)
            if not optimisers:
                continue
            made[f"{name}_curves"] = curves(part, results)
            made[f"{name}_histograms"] = histograms(part, results, optimisers[0])
            made[f"{name}_shapes"] = shape_curves(part, results, optimisers[0])
            copula = picture_run(part, results, "copula", optimisers[0])
            if copula and copula["pictures"]["maps"]:
                made[f"{name}_maps"] = maps(part, results, optimisers[0])
        if costs:
            made["steps"] = steps(costs)
        names = []
        for name, figure in made.items():
            path = Path(folder) / f"experiments_{name.replace('-', '_')}.png"
            figure.savefig(path, dpi=90)
            plt.close(figure)
            names.append(path)
    return names
