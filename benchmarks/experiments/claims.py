"""The thesis's four claims, and the rule by which each gets its verdict.

The rule was written before the runs. A claim is a few paired differences that must all be above 0,
by the 95 % interval and by the sign-flip test (p < 0.05). They are looked at in settings:

    own rates    each system at its own best rate, fresh seeds: one setting for each optimiser
    one rate     both systems at one rate, the seeds of the sweep: one for each optimiser and rate

A claim is *confirmed* where it holds at own rates for every optimiser, *confirmed only at ...*
where it holds in some settings, which are then named, and *not confirmed* where in none. The
settings of one rate are many and not corrected for their number: of twelve that are chance, one in
forty would look like a confirmation. With fewer than six pairs no p below 0.05 exists, and such
settings are left out.

"Close to BatchNorm" is no more than a tenth more errors on the test set. "Two peaks" is defined in
`shapes`; the claim is that BatchNorm has more units with two peaks before the ReLU than a plain net
has, at the end of training. Training accuracy is that in training mode over the last part of the
last epoch.
"""

import dataclasses
from typing import NamedTuple

from benchmarks.experiments import intervals, sweep

LEAST_PAIRS = 6
CLOSE = 0.1  # more errors than BatchNorm, relative to BatchNorm's
NAMES = {"sgd": "SGD", "adam": "Adam"}
DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10", "synthetic": "synthetic images"}


def test_accuracy(run):
    return run["test"].get("quantile", run["test"].get(""))


def train_accuracy(run):
    return run["train"]


def errors(run):
    return 100 - test_accuracy(run)


def allowed_errors(run):
    return (1 + CLOSE) * errors(run)


def two_peaks(run):
    """Per cent of the units of all transformed layers."""
    found = run["peaks"].values()
    return 100 * sum(part["two"] for part in found) / max(1, sum(part["units"] for part in found))


class Comparison(NamedTuple):
    """first_value(first) - second_value(second) should be above 0."""

    words: str
    first: str
    first_value: object
    second: str
    second_value: object


def better(first, second, value, words):
    return Comparison(words, first, value, second, value)


CLAIMS = {
    "Log-shift and sqrt-shift beat a plain net.": [
        better("log_shift", "plain", test_accuracy, "test accuracy, log-shift − plain"),
        better("sqrt_shift", "plain", test_accuracy, "test accuracy, sqrt-shift − plain"),
    ],
    "Sqrt-shift comes close to BatchNorm.": [
        Comparison("1.1 × BatchNorm's test errors − sqrt-shift's", "batch_norm", allowed_errors,
                   "sqrt_shift", errors),
    ],
    "Copula beats BatchNorm in training and in testing.": [
        better("copula", "batch_norm", test_accuracy, "test accuracy, copula − BatchNorm"),
        better("copula", "batch_norm", train_accuracy, "training accuracy, copula − BatchNorm"),
    ],
    "BatchNorm pushes the values before a ReLU into two peaks.": [
        better("batch_norm", "plain", two_peaks, "units with two peaks, BatchNorm − plain"),
    ],
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One claim in one setting: `differences` beside the claim's comparisons."""

    part: dict
    optimiser: str
    rate: float | None  # None: each its own
    rates: tuple  # (first's, second's) of each comparison
    differences: tuple

    @property
    def holds(self):
        return all(difference.above for difference in self.differences)

    @property
    def opposite(self):
        return any(difference.below for difference in self.differences)

    @property
    def name(self):
        which = "own rates" if self.rate is None else f"rate {self.rate:g}"
        return f"{NAMES[self.optimiser]}, {which}"


def where(part):
    at = " and ".join(map(str, part["at"]))
    return f"{DATA[part['dataset']]}, {part['net']} with the transform at {at}"


def by_seed(runs):
    return {run["config"]["seed"]: run for run in runs}


def compared(comparison, first, second):
    """The Difference of two lists of runs, over the seeds that both have; None for too few."""
    first, second = by_seed(first), by_seed(second)
    seeds = sorted(set(first) & set(second))
    if len(seeds) < LEAST_PAIRS:
        return None
    return intervals.paired_difference(
        [comparison.first_value(first[seed]) for seed in seeds],
        [comparison.second_value(second[seed]) for seed in seeds],
    )


def settings(comparisons, part, results):
    """The Settings of a claim in a part: own rates first, then one rate each. What has not been run
    is not among them.
    """
    found = []
    for optimiser, rates in part["rates"].items():
        for rate in (None, *rates):
            def runs(system, optimiser=optimiser, rate=rate):
                if rate is None:
                    return results.of(sweep.final_configs(part, results, system, optimiser))
                configs = sweep.sweep_configs(part, system, optimiser)
                return results.of([config for config in configs if config["lr"] == rate])

            differences = tuple(
                compared(comparison, runs(comparison.first), runs(comparison.second))
                for comparison in comparisons
            )
            if None in differences:
                continue
            own = tuple(
                tuple(sweep.chosen_rate(part, system, optimiser, results) if rate is None else rate
                      for system in (comparison.first, comparison.second))
                for comparison in comparisons
            )
            found.append(Setting(part, optimiser, rate, own, differences))
    return sorted(found, key=lambda setting: setting.rate is not None)


def verdict(found):
    """The words of the verdict from the settings of a claim in one part."""
    own = [setting for setting in found if setting.rate is None]
    if not own or len(own) < len(own[0].part["rates"]):
        return "not run"
    if all(setting.holds for setting in own):
        return "confirmed"
    holding = [setting.name for setting in found if setting.holds]
    return f"confirmed only at {'; '.join(holding)}" if holding else "not confirmed"
