"""The tables of the pages, and the same numbers as one small JSON, from the results.

A page holds blocks `<!-- made: NAME -->` to `<!-- end -->`; what is between is written here and
nowhere else.
"""

import json
import re

import numpy as np

from benchmarks.experiments import claims, intervals, nets, sweep

PUBLISHED = ("cpu", "cpu-conv")  # presets whose results are in the repository
PAGE_RATES = 0.01, 0.03162, 0.1  # of the moment layer beside BatchNorm, with SGD


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(heading, rows):
    return [row(*heading), "|" + "---|" * len(heading), *(row(*cells) for cells in rows)]


def signed(difference):
    mean, low, high = (f"{value:+.2f}".replace("-", "−") for value in difference[:3])
    return f"{mean} [{low}, {high}]"


def mean_and_band(values):
    mean, low, high = (float(part[0]) for part in intervals.band(np.array(values)[:, None]))
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def command(preset):
    return f"`python -m benchmarks.experiments --preset {preset}`"


def seeds(runs, rate):
    """Test accuracies at one rate, seed by seed, and their mean."""
    values = [claims.test_accuracy(run) for run in runs if run["config"]["lr"] == rate]
    listed = ", ".join(f"{value:.2f}" for value in values)
    return f"{np.mean(values):.2f} ({listed})" if values else "—"


def largest(flags, name, form):
    """The largest of one value of the solver's notes; a solve that was not finite is said to be."""
    values = [flag[name] for flag in flags]
    if not values:
        return "—"
    return "not finite" if None in values else format(max(values), form)


def notes(runs):
    """What must stand beside the accuracies of these runs, "" for nothing."""
    return "; ".join(sorted({run["data"] for run in runs if run["data"]}))


def with_notes(lines, runs):
    """A table of accuracies, and beneath it what must stand beside them."""
    said = notes(runs)
    return [*lines, "", f"Accuracies: {said}."] if said else lines


class Report:
    """All tables, of {preset: (parts, results)} and the record of costs, or None."""

    def __init__(self, found, costs=None):
        self.found = found
        self.costs = costs
        self.settings = [
            (preset, part, sentence, claims.settings(comparisons, part, results))
            for preset, (parts, results) in found.items()
            for part in parts
            for sentence, comparisons in claims.CLAIMS.items()
        ]

    def blocks(self):
        """name -> lines of a block of the page."""
        made = {"verdicts": self.verdicts(), "settings": self.all_settings()}
        for preset, (parts, results) in self.found.items():
            for number, part in enumerate(parts):
                name = f"{preset} {number}" if len(parts) > 1 else preset
                made[f"own rates, {name}"] = self.own_rates(part, results)
                made[f"one rate, {name}"] = self.one_rate(part, results)
                made[f"maps, {name}"] = self.maps(part, results)
                made[f"solver, {name}"] = self.solver(part, results)
                made[f"shapes, {name}"] = self.shapes(part, results)
                made[f"moments, {name}"] = self.moments(part, results)
                made[f"protocol, {name}"] = self.protocol(part, results)
        if self.costs:
            made["costs"] = self.cost_table()
        return made

    def verdicts(self):
        """A paragraph and a table for every net."""
        rows = {}
        for preset, part, sentence, found in self.settings:
            evidence = []
            for setting in found:
                if setting.rate is None:
                    told = [f"{comparison.words} {signed(difference)}" for comparison, difference
                            in zip(claims.CLAIMS[sentence], setting.differences, strict=True)]
                    evidence += [f"{claims.NAMES[setting.optimiser]}: {words}" for words in told]
            against = sum(setting.opposite for setting in found)
            words = f"**{claims.verdict(found)}**"
            if against:
                words += f"; the opposite of a part of it at {against} of {len(found)} settings"
            note = notes(self.found[preset][1].of(sweep.sweep_configs(part)))
            place = claims.where(part) + (f" ({note})" if note else "")
            rows.setdefault((place, command(preset)), []).append(
                (sentence, words, "<br>".join(evidence) or "—")
            )
        heading = ("claim", "verdict", "at own rates: difference [95 % interval]")
        lines = []
        for (place, by), part_rows in rows.items():
            lines += [""] if lines else []
            lines += [f"{place}, {by}:", "", *table(heading, part_rows)]
        return lines

    def all_settings(self):
        rows, shown = [], []
        for preset, part, sentence, found in self.settings:
            shown += self.found[preset][1].of(sweep.sweep_configs(part))
            for setting in found:
                told = zip(claims.CLAIMS[sentence], setting.rates, setting.differences, strict=True)
                for comparison, rates, difference in told:
                    name = setting.name
                    if setting.rate is None:
                        name += " (" + ", ".join(f"{rate:g}" for rate in rates) + ")"
                    held = "yes" if difference.above else "opposite" if difference.below else "no"
                    rows.append((claims.DATA[part["dataset"]], comparison.words, name,
                                 signed(difference), f"{difference.p:.3f}", difference.n, held))
        made = table(("images", "difference", "setting (rate of each)", "mean [95 % interval]",
                      "p", "pairs", "above 0"), rows)
        return with_notes(made, shown)

    def own_rates(self, part, results):
        rows, shown = [], []
        for optimiser, steps in part["rates"].items():
            for system in part["systems"]:
                runs = results.of(sweep.final_configs(part, results, system, optimiser))
                if not runs:
                    continue
                shown += runs
                rate = runs[0]["config"]["lr"]
                end = " (end of the row)" if rate in (steps[0], steps[-1]) else ""
                rows.append((
                    nets.LABELS[system], claims.NAMES[optimiser], f"{rate:g}{end}",
                    mean_and_band([claims.test_accuracy(run) for run in runs]),
                    mean_and_band([claims.train_accuracy(run) for run in runs]),
                    f"{np.mean([run['seconds'] for run in runs]):.1f}",
                    sum(run["diverged"] is not None for run in runs), len(runs),
                ))
        made = table(("system", "optimiser", "own rate", "test accuracy, % [band]",
                      "training accuracy, % [band]", "seconds a run", "diverged", "seeds"), rows)
        return with_notes(made, shown)

    def one_rate(self, part, results):
        made, shown = [], []
        for optimiser, steps in part["rates"].items():
            rows = []
            for system in part["systems"]:
                runs = results.of(sweep.sweep_configs(part, system, optimiser))
                if not runs:
                    continue
                shown += runs
                cells = []
                for rate in steps:
                    there = [run for run in runs if run["config"]["lr"] == rate]
                    cells.append(f"{np.mean([claims.test_accuracy(run) for run in there]):.2f}"
                                 if there else "—")
                seeds = part["systems"][system]
                rows.append((nets.LABELS[system], *cells, seeds))
            heading = (f"{claims.NAMES[optimiser]}, rate", *(f"{rate:g}" for rate in steps),
                       "seeds")
            made += [*table(heading, rows), ""]
        return with_notes(made[:-1], shown)

    def maps(self, part, results):
        rows = []
        for optimiser in part["rates"]:
            runs = results.of(sweep.final_configs(part, results, "copula", optimiser))
            for name in nets.MAPS if runs else ():
                falling = [run["not_monotone"].get(name, 0) for run in runs]
                units = sum(peaks["units"] for peaks in runs[0]["peaks"].values())
                rows.append((name, claims.NAMES[optimiser],
                             mean_and_band([run["test"][name] for run in runs]),
                             f"{np.mean(falling):.1f} of {units}"))
        made = table(("evaluation map", "optimiser", "test accuracy, % [band]",
                      "units whose map falls somewhere"), rows)
        return with_notes(made, results.of(sweep.sweep_configs(part)))

    def solver(self, part, results):
        rows = []
        for system in part["systems"]:
            for stage, configs in (("sweep", sweep.sweep_configs(part, system)),
                                   ("final", sweep.final_configs(part, results, system))):
                flags = [run["flags"] for run in results.of(configs) if run["flags"]]
                if not flags:
                    continue
                solves, atomic, unsolved = (sum(flag[name] for flag in flags)
                                            for name in ("solves", "atomic", "unsolved"))
                rows.append((
                    nets.LABELS[system], stage, f"{solves:,}", f"{atomic:,}", f"{unsolved:,}",
                    largest(flags, "steps", "d"), largest(flags, "residual", ".1e"),
                ))
        return table(("system", "stage", "solves", "ATOMIC", "not solved", "most steps",
                      "largest residual"), rows)

    def shapes(self, part, results):
        rows = []
        layers = [str(layer) for layer in part["at"]]
        for optimiser in part["rates"]:
            for system in part["systems"]:
                runs = results.of(sweep.final_configs(part, results, system, optimiser))
                if not runs:
                    continue
                cells = []
                for layer in layers:
                    ends = np.array([[np.nan if v is None else v
                                      for v in run["curve"][-1]["shape"][layer]] for run in runs])
                    distance, kurtosis = np.nanmean(ends, 0)
                    cells += [f"{distance:.3f}", f"{kurtosis:.2f}"]
                cells.append(mean_and_band([claims.two_peaks(run) for run in runs]))
                cells.append(sum(peaks["unsolved"] for run in runs
                                 for peaks in run["peaks"].values()))
                rows.append((nets.LABELS[system], claims.NAMES[optimiser], *cells))
        heading = ["system", "optimiser"]
        for layer in layers:
            heading += [f"KS, layer {layer}", f"kurtosis, layer {layer}"]
        return table((*heading, "units with two peaks, % [band]", "densities not solved"), rows)

    def moments(self, part, results):
        """The moment layer beside BatchNorm at the rates that suit them, three seeds each."""
        rows, shown = [], []
        for system in ("batch_norm", "moments_4", "moments_6"):
            if "sgd" not in part["rates"] or system not in part["systems"]:
                continue
            runs = [run for run in results.of(sweep.sweep_configs(part, system, "sgd"))
                    if run["config"]["lr"] in PAGE_RATES and run["config"]["seed"] < 3]
            if not runs:
                continue
            shown += runs
            flags = [run["flags"] for run in runs if run["flags"]]
            rows.append((
                nets.LABELS[system], *(seeds(runs, rate) for rate in PAGE_RATES),
                f"{np.mean([run['seconds'] for run in runs]):.1f}",
                largest(flags, "steps", "d"), largest(flags, "residual", ".1e"),
                sum(flag["atomic"] for flag in flags) if flags else "—",
                sum(flag["unsolved"] for flag in flags) if flags else "—",
            ))
        made = table(("norm layer", *(f"rate {rate:g}" for rate in PAGE_RATES),
                      "processor seconds a run", "most steps", "largest residual", "ATOMIC",
                      "not solved"), rows)
        return with_notes(made, shown)

    def protocol(self, part, results):
        config = sweep.sweep_configs(part)
        configs = config + sweep.final_configs(part, results)
        runs = results.of(configs)
        versions = sorted({run["source"] for run in runs})
        batch = runs[0]["config"]["batch"] if runs else "—"
        return [
            f"{claims.where(part)}; {part['epochs']} epochs of batches of {batch}; "
            f"{len(runs)} of {len(configs)} runs, "
            f"{sum(run['seconds'] for run in runs) / 60:.0f} processor minutes of training steps; "
            f"device {', '.join(sorted({run['device'] for run in runs}))}; "
            f"version of the code {', '.join(versions)}; "
            f"seeds of the final stage: {part['final']}."
        ]

    def cost_table(self):
        rows = []
        base = self.costs["conv"]["batch_norm"]
        for system, cost in self.costs["conv"].items():
            memory = cost["memory"]
            first, last = cost["losses"]
            rows.append((
                nets.LABELS[system], f"{cost['milliseconds']:.0f}",
                f"{cost['milliseconds'] / base['milliseconds']:.1f}",
                "—" if memory is None else f"{memory:.0f}",
                "—" if memory is None else f"{memory / base['memory']:.1f}",
                f"{first:.2f} → {last:.2f}",
            ))
        conv = table(("in two convolutions", "ms a step", "× BatchNorm", "peak memory, MiB",
                      "× BatchNorm", "loss of 8 steps"), rows)
        spent = self.costs["mlp"]
        mlp = table(("in the perceptron", "ms a step", "× BatchNorm"), [
            (nets.LABELS[name], f"{value:.2f}", f"{value / spent['batch_norm']:.1f}")
            for name, value in spent.items()
        ])
        return [*mlp, "", *conv]

    def summary(self):
        """The verdicts and every setting's numbers, for a file."""
        return [
            {
                "claim": sentence, "where": claims.where(part), "preset": preset,
                "verdict": claims.verdict(found),
                "settings": [
                    {"setting": setting.name, "differences": [
                        {"of": comparison.words, "rates": rates} | {
                            name: round(value, 4) for name, value in difference._asdict().items()
                        }
                        for comparison, rates, difference in zip(
                            claims.CLAIMS[sentence], setting.rates, setting.differences, strict=True
                        )
                    ]} for setting in found
                ],
            }
            for preset, part, sentence, found in self.settings
        ]


PLACE = re.compile(r"(<!-- made: ([^>]*?) -->)\n.*?<!-- end -->", re.DOTALL)


def with_blocks(text, blocks):
    """The text of a page with the blocks in their places; raises KeyError for a place without one.
    """
    def made(match):
        return f"{match[1]}\n" + "\n".join(blocks[match[2]]) + "\n<!-- end -->"

    return PLACE.sub(made, text)


def write_summary(path, report):
    text = json.dumps(report.summary(), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
