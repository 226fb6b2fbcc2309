"""Which runs a preset wants, in which order, and how they end up in one file.

A preset is a few parts; a part has a data set, a net, systems, and for each optimiser a row of
rates in half decades. Two stages:

    sweep   every system at every rate, a few seeds. The rate of a system is the one with the best
            mean accuracy on the 5,000 images that are kept from training. Between two systems at
            one rate no choice has been made: these runs also say how systems differ there.
    final   every system at its own rate, fresh seeds.

The results file has one JSON record a line and only grows; a run that is in it is not done again.
The log beside it has the lines of each run, and the source text of every version of the code that
took part.
"""

import concurrent.futures
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.experiments import images, nets, training

FIRST_FINAL = 100  # seeds of the final stage begin here


def half_decades(lowest, count):
    """10^lowest, 10^(lowest + 1/2), ... to four digits."""
    return [float(f"{10 ** (lowest + i / 2):.4g}") for i in range(count)]


OURS = ["plain", "batch_norm", "log_shift", "sqrt_shift", "copula"]  # what the claims are about
REST = ["layer_norm", "moments_6", "batch_norm_log", "moments_4"]
PERCEPTRON = {
    "dataset": "mnist", "net": "mlp", "at": [3, 4], "epochs": 2,
    "rates": {"sgd": half_decades(-2.5, 6), "adam": half_decades(-4, 6)},
    # -> seeds of the sweep
    "systems": dict.fromkeys(OURS, 6) | dict.fromkeys(REST[:2], 3) | dict.fromkeys(REST[2:], 2),
    "final": 10,
}
PRESETS = {
    "cpu": [PERCEPTRON],
    "cpu-conv": [
        {
            "dataset": "cifar10", "net": "cnn5", "at": [4], "epochs": 2,
            "rates": {"sgd": half_decades(-2.5, 5)},
            "systems": dict.fromkeys(OURS, 2), "final": 10,
        },
    ],
    "gpu": [
        PERCEPTRON | {"epochs": 10, "systems": dict.fromkeys(OURS + REST, 6)},
        *(
            {
                "dataset": dataset, "net": net, "at": at, "epochs": 10,
                "rates": {"sgd": half_decades(-2.5, 6), "adam": half_decades(-4, 6)},
                "systems": dict.fromkeys(OURS + REST, 3), "final": 10,
            }
            for dataset in ("mnist", "cifar10")
            for net, at in (
                ("cnn5", [3]), ("cnn5", [4]), ("cnn5", [5]), ("cnn5", [1, 2]),
                ("cnn7", [5, 6, 7]),
            )
        ),
        {
            "dataset": "cifar10", "net": "resnet", "at": list(range(1, 11)), "epochs": 10,
            "rates": {"sgd": half_decades(-2.5, 6)},
            "systems": dict.fromkeys(OURS + REST, 2), "final": 10,
        },
    ],
    "quick": [
        {
            "dataset": "synthetic", "net": "mlp", "at": [3, 4], "epochs": 2, "batch": 64,
            "validation": 200, "rates": {"sgd": half_decades(-2, 3)},
            "systems": dict.fromkeys([*OURS, "moments_6"], 2), "final": 3,
        },
    ],
}


def key(config):
    """The text by which a run is known."""
    return json.dumps(training.HYPER | config, sort_keys=True)


class Results:
    """The records of a file, which only grows. A line that was cut off by an interruption is no
    record, and its run is done again.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.records = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue
                self.records[key(record["config"])] = record

    def missing(self, configs):
        return [config for config in configs if key(config) not in self.records]

    def of(self, configs):
        """The records of those configurations that were run."""
        return [self.records[key(c)] for c in configs if key(c) in self.records]

    def add(self, record):
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
        whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + text + "\n")
        self.records[key(record["config"])] = json.loads(text)


def base(part):
    names = set(training.HYPER) & set(part)
    return {name: part[name] for name in names}


def sweep_configs(part, system=None, optimiser=None):
    """The sweep's runs, of one system or optimiser if named."""
    return [
        base(part) | {"system": each, "optimiser": kind, "lr": rate, "seed": seed}
        for each, seeds in part["systems"].items() if system in (None, each)
        for kind, rates in part["rates"].items() if optimiser in (None, kind)
        for rate in rates
        for seed in range(seeds)
    ]


def chosen_rate(part, system, optimiser, results):
    """The rate with the best mean validation accuracy; None until the sweep is complete, and for a
    system that is not in the part.
    """
    configs = sweep_configs(part, system, optimiser)
    if not configs or results.missing(configs):
        return None
    found = results.of(configs)
    mean = {
        rate: np.mean([run["val"] for run in found if run["config"]["lr"] == rate])
        for rate in part["rates"][optimiser]
    }
    return max(mean, key=mean.get)


def final_configs(part, results, system=None, optimiser=None):
    """The final stage's runs, of those systems whose rate is known."""
    configs = []
    for each in part["systems"] if system is None else [system]:
        for kind in part["rates"] if optimiser is None else [optimiser]:
            rate = chosen_rate(part, each, kind, results)
            for seed in range(FIRST_FINAL, FIRST_FINAL + part["final"]) if rate else ():
                detail = "pictures" if seed == FIRST_FINAL else "curves"
                configs.append(base(part) | {
                    "system": each, "optimiser": kind, "lr": rate, "seed": seed, "detail": detail,
                })
    return configs


STORE = {}  # what a worker process holds: the images it has read


def prepare(folder, device, peer_path):
    STORE.update(folder=folder, device=device, peer_path=peer_path)
    torch.set_num_threads(1)


def work(config):
    """(record, lines of the log) of one run, in a worker process."""
    name = (training.HYPER | config)["dataset"]
    if name not in STORE:
        STORE[name] = images.load(name, STORE["folder"]).to(STORE["device"])
    lines = []
    record = training.train(config, STORE[name], STORE["device"], STORE["peer_path"], lines.append)
    return record, lines


def run(parts, results, log, *, folder=None, device="cpu", workers=1, peer_path=None,
        minutes=None):
    """Do what is missing; True when nothing is left.

    minutes: start no run that would, by the longest one so far, end later than this. Raises
    FileNotFoundError for missing data before anything is run.
    """
    if peer_path is not None:
        parts = [with_peers(part) for part in parts]
    for name in {part["dataset"] for part in parts} - {"synthetic"}:
        images.find(name, folder)
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    text = training.source()
    log = Path(log)
    if not log.exists() or f"source {text[0]}\n" not in log.read_text(encoding="utf-8"):
        write(log, [f"source {text[0]}", text[1], training.heading()])
    options = (folder, device, peer_path)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, prepare, options) as pool:
        for stage in ("sweep", "final"):
            for part in parts:
                configs = sweep_configs(part) if stage == "sweep" else final_configs(part, results)
                title = f"{part['dataset']} {part['net']} {part['at']} {stage}"
                if not all_done(pool, configs, results, log, title, workers, end):
                    return False
    return True


def with_peers(part):
    """The part with NormalNorm among the systems."""
    return part | {"systems": part["systems"] | dict.fromkeys(nets.PEERS, 2)}


def all_done(pool, configs, results, log, title, workers, end):
    """Run what is missing, `workers` at a time; False if time ran out first."""
    missing = results.missing(configs)
    done = len(configs) - len(missing)
    bar = tqdm(total=len(configs), initial=done, desc=title, unit="run", mininterval=1)
    running, longest = {}, 0.0
    with bar:
        while missing or running:
            now = time.monotonic()
            while missing and len(running) < workers and now + longest < end:
                running[pool.submit(work, missing.pop(0))] = now
            if not running:
                return False
            first = concurrent.futures.FIRST_COMPLETED
            for future in concurrent.futures.wait(running, return_when=first).done:
                longest = max(longest, time.monotonic() - running.pop(future))
                record, lines = future.result()
                results.add(record)
                write(log, lines)
                bar.write(lines[-1])
                bar.update()
    return True


def write(log, lines):
    with log.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
