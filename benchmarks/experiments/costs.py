"""What a training step costs: the perceptron, and convolutions with 131,072 values a channel.

Step times are taken in turns, the median of the rounds, processor time on one thread (on another
device the clock). Memory is the peak during the steps above what was there before them, in a
process of its own for each system: that of the process on Linux, of the allocator on a CUDA device.
A matrix of all pairs of 131,072 values would take 64 GiB for a single channel.
"""

import concurrent.futures
import datetime
import json
import multiprocessing
import re
from pathlib import Path

import torch
from torch import nn

from benchmarks import racing
from benchmarks.experiments import images, nets, training

BATCH = 128
SIDE = 32
CHANNELS = 16
STEPS = 8
RATE = 0.003  # at which eight steps lower the loss
CONVOLUTIONAL = ["plain", "batch_norm", "copula", "moments_4", "moments_6"]
STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def convolutions(system, peer_path=None):
    """Two convolutions at full size, a transform after each."""
    def norm():
        return nets.transform(system, CHANNELS, 4, peer_path)

    return nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3, padding=1), norm(), nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), norm(), nn.ReLU(),
        nn.MaxPool2d(8), nn.Flatten(), nn.Linear(CHANNELS * (SIDE // 8) ** 2, images.CLASSES),
    )


def perceptron(system, peer_path=None):
    return nets.network(
        "mlp", (1, 28, 28), images.CLASSES,
        lambda features, rank: nets.transform(system, features, rank, peer_path), (3, 4),
    )


def stepper(net, x, label):
    """A function that does one training step and gives its loss."""
    optimiser = torch.optim.SGD(net.parameters(), RATE, momentum=training.MOMENTUM, fused=True)

    def step():
        loss = nn.functional.cross_entropy(net(x), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def batch(shape, device):
    """Images of one class each, so that there is something to learn."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, images.CLASSES, (BATCH,), generator=generator)
    patterns = torch.randn(images.CLASSES, *shape, generator=generator)
    x = patterns[label] + torch.randn(BATCH, *shape, generator=generator)
    return x.to(device), label.to(device)


def milliseconds(make, systems, shape, device, budget, peer_path):
    """system -> of a step."""
    steps = {}
    for system in systems:
        torch.manual_seed(0)
        steps[system] = stepper(make(system, peer_path).to(device), *batch(shape, device))
    seconds = racing.race(steps, budget, lambda: training.clock(device))
    return {system: 1e3 * value for system, value in seconds.items()}


def resident(name):
    """MiB of this process, of a line of Linux's status file."""
    return int(re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())[1]) / 1024


def memory_and_losses(system, device, peer_path):
    """(peak MiB above the start or None, losses of STEPS steps), in a fresh process."""
    torch.set_num_threads(1)
    device = torch.device(device)
    torch.manual_seed(0)
    net = convolutions(system, peer_path).to(device)
    x, label = batch((3, SIDE, SIDE), device)
    nn.functional.cross_entropy(net(x[:4]), label[:4]).backward()  # compile first
    step = stepper(net, x, label)
    peak = None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    elif STATUS.exists():
        REFERENCES.write_text("5")  # the peak is counted anew from here
        before = resident("VmRSS")
    losses = [float(step()) for _ in range(STEPS)]
    if device.type == "cuda":
        peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    elif STATUS.exists():
        peak = resident("VmHWM") - before
    return peak, losses


def measure(device="cpu", peer_path=None, budget=1.5):
    """The record of all costs; budget: seconds that a system may take in a comparison, roughly."""
    torch.set_num_threads(1)
    where = torch.device(device)
    systems = list(nets.LABELS if peer_path else nets.SYSTEMS)
    record = {
        "date": datetime.date.today().isoformat(), "device": device, "torch": torch.__version__,
        "threads": 1, "batch": BATCH, "values_a_channel": BATCH * SIDE**2,
        "mlp": milliseconds(perceptron, systems, (1, 28, 28), where, budget, peer_path),
        "conv": {},
    }
    shape = (3, SIDE, SIDE)
    spent = milliseconds(convolutions, CONVOLUTIONAL, shape, where, 2 * budget, peer_path)
    for system in CONVOLUTIONAL:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            peak, losses = pool.submit(memory_and_losses, system, device, peer_path).result()
        record["conv"][system] = {
            "milliseconds": spent[system], "memory": peak, "losses": [losses[0], losses[-1]],
        }
    return record


def write(record, path):
    def short(value):
        if isinstance(value, dict):
            return {name: short(part) for name, part in value.items()}
        if isinstance(value, list):
            return [short(part) for part in value]
        return float(f"{value:.4g}") if isinstance(value, float) else value

    path.write_text(json.dumps(short(record), indent=1) + "\n", encoding="utf-8")
