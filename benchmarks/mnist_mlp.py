"""A multilayer perceptron on MNIST with moment matching in the place of batch normalisation.

    python -m benchmarks.mnist_mlp --data mnist.npz [--epochs 2] [--seeds 3] [--lr 0.1]
                                   [--output FOLDER]

784 - 128 - 64 - 10 with a norm layer before each ReLU; SGD with momentum 0.9, batches of 128, no
augmentation. `--data` (or the folder $MAXENT_DATA) holds mnist.npz with x_train, y_train, x_test,
y_test as uint8. Every hundred steps the log shows the loss and, for moment matching, the largest
number of Newton steps and residual among the features and how many were flagged.
"""

import argparse
import datetime
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from maxent.status import Status
from torch_bridge import MomentMatch1d

HERE = Path(__file__).parent
NORMS = {"BatchNorm1d": nn.BatchNorm1d, "MomentMatch1d": MomentMatch1d}
EVERY = 100


def load(path):
    """Train and test images, centred, as float32 rows, and their labels."""
    with np.load(path) as arrays:
        parts = [torch.from_numpy(arrays[f"{kind}_{part}"]) for part in ("train", "test")
                 for kind in ("x", "y")]
    images = [(part.flatten(1).float() / 255 - 0.1307) / 0.3081 for part in parts[::2]]
    labels = [part.long() for part in parts[1::2]]
    return *zip(images, labels, strict=True),


def network(norm):
    return nn.Sequential(
        nn.Linear(784, 128), norm(128), nn.ReLU(),
        nn.Linear(128, 64), norm(64), nn.ReLU(),
        nn.Linear(64, 10),
    )


def solves(net):
    """What the last solves of the moment-matching layers said, in one line; a dict too."""
    layers = [layer for layer in net if isinstance(layer, MomentMatch1d)]
    if not layers:
        return None
    status = torch.cat([layer.status for layer in layers])
    return {
        "steps": max(int(layer.steps.max()) for layer in layers),
        "residual": max(float(layer.residual.max()) for layer in layers),
        "atomic": int((status == Status.ATOMIC.value).sum()),
        "unsolved": int((status >= Status.NOT_CONVERGED.value).sum()),
    }


def train(norm, seed, options, train_set, test_set):
    """(test accuracy in percent, seconds of training, the log)."""
    torch.manual_seed(seed)
    net = network(NORMS[norm])
    optimiser = torch.optim.SGD(net.parameters(), options.lr, momentum=0.9)
    images, labels = train_set
    log, step, begin = [], 0, time.process_time()
    for _ in range(options.epochs):
        for rows in torch.randperm(len(images)).split(128):
            loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % EVERY == 0:
                entry = {"step": step, "loss": round(loss.item(), 4)} | (solves(net) or {})
                log.append(entry)
                print(f"{norm} seed {seed}:", *(f"{k} {v:.3g}" for k, v in entry.items()))
            step += 1
    seconds = time.process_time() - begin
    net.eval()
    with torch.no_grad():
        right = (net(test_set[0]).argmax(1) == test_set[1]).double().mean().item()
    return 100 * right, seconds, log


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = os.environ.get("MAXENT_DATA")
    parser.add_argument("--data", type=Path, default=Path(folder) / "mnist.npz" if folder else None)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder to write to")
    options = parser.parse_args()
    if options.data is None or not options.data.exists():
        parser.error(f"no MNIST at {options.data}: give --data mnist.npz or set MAXENT_DATA")
    torch.set_num_threads(1)
    sets = load(options.data)
    record = {
        "date": datetime.date.today().isoformat(), "torch": torch.__version__, "device": "cpu",
        "threads": 1, "epochs": options.epochs, "lr": options.lr, "runs": [],
    }
    for seed in range(options.seeds):
        for norm in NORMS:
            accuracy, seconds, log = train(norm, seed, options, *sets)
            print(f"{norm} seed {seed}: {accuracy:.2f} % in {seconds:.0f} s of processor time")
            record["runs"].append(
                {"norm": norm, "seed": seed, "accuracy": round(accuracy, 3),
                 "seconds": round(seconds, 1), "log": log}
            )
    for norm in NORMS:
        found = [run["accuracy"] for run in record["runs"] if run["norm"] == norm]
        print(f"{norm}: {statistics.mean(found):.2f} % ({min(found):.2f} to {max(found):.2f})")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "mnist_mlp.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
