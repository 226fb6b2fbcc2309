"""Moment matching against batch normalisation on the same tensors.

    python -m benchmarks.layers [--quick] [--device cuda] [--output FOLDER]
                                [--peer-path CLONE --peer-class MODULE.CLASS]
    python -m benchmarks.layers --table      the table of docs/moment_matching.md, from the results
    python -m benchmarks.layers --compile    seconds until torch.compile's first step, see below

Rows: the solve alone, forward, forward and backward, evaluation, evaluation of the frozen layer.
All contenders of a row take turns, a round each, and the best round counts, so that a busy machine
disturbs all of them alike: read ratios, not milliseconds. On the CPU one thread and its processor
time. On a GPU the clock, between synchronisations, and the step once more as a captured CUDA graph,
where the card alone decides; there the copula takes part, the solve is that of 512 columns, and the
results are a file of their own, layers_cuda.json. "floor" is the traffic of a forward and
backward pass that reads x, y's gradient and writes y and x's gradient once, in multiples of x.
`--peer-class` names another layer of (N, C) columns that is made from the number of features, and
`--peer-path` the folder to import it from (a clone of NormalNorm, say; mind that its noise is on).
`--compile` starts a process for every layer, twice: with an empty cache of inductor's ("cold"), and
with the one that it left ("warm"); forward and backward of (64, 32, 8, 8), the clock.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from torch_bridge import Copula, MomentMatch
from torch_bridge.moment_matching import moments_of, squash, standard_frame
from torch_bridge.ops.dual_solve import dual_solve

HERE = Path(__file__).parent
FLOOR = 4  # x, y, and the gradients of both
SHAPES = [(1024, 64), (1024, 512), (256, 64), (256, 4096), (8192, 1024), (1_000_000, 16),
          (128, 64, 32, 32)]
ON_GPU = [(1024, 512), (8192, 1024), (1_000_000, 16), (128, 64, 32, 32), (128, 256, 32, 32),
          (256, 256, 28, 28)]
QUICK = SHAPES[:2]
CAPTURED = ("moment_match", "copula", "batch_norm")


def peer(options):
    """The class of another layer, or None."""
    if options.peer_class is None:
        return None
    if options.peer_path is not None:
        sys.path.insert(0, str(options.peer_path))
    module, _, name = options.peer_class.rpartition(".")
    return getattr(importlib.import_module(module), name)


def clock(device):
    if device.type == "cpu":
        return time.thread_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def best_of(works, rounds, device):
    """name -> milliseconds of the best round."""
    best = dict.fromkeys(works, float("inf"))
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = clock(device)
            work()
            if turn:  # the first round compiles
                best[name] = min(best[name], 1e3 * (clock(device) - start))
    return best


def captured(work):
    """work as a CUDA graph: one launch from the host."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def measure(shape, device, rounds, other):
    torch.manual_seed(0)
    features = shape[1]
    x = torch.randn(shape, device=device, requires_grad=True)
    g = torch.randn_like(x)
    rank_free = MomentMatch(features, device=device)
    norm = (torch.nn.BatchNorm1d if x.ndim == 2 else torch.nn.BatchNorm2d)(features, device=device)
    layers = {"moment_match": rank_free, "batch_norm": norm}
    if device.type == "cuda":
        layers["copula"] = Copula(features, device=device)
    if other is not None and x.ndim == 2:
        layers[other.__name__] = other(features).to(device)

    def both(layer):
        x.grad = None
        layer(x).backward(g)

    rows = {}
    rows["forward"] = best_of({k: lambda f=f: f(x) for k, f in layers.items()}, rounds, device)
    rows["step"] = best_of({k: lambda f=f: both(f) for k, f in layers.items()}, rounds, device)
    if device.type == "cuda":
        steps = {k: captured(lambda f=f: both(f)) for k, f in layers.items() if k in CAPTURED}
        rows["captured step"] = best_of(steps, rounds, device)
        columns = torch.randn(1024, 512, 1, device=device)
        m = moments_of(squash(standard_frame(columns, 1e-5)[0]), 6)
        solve = {"512 columns": captured(lambda: dual_solve(m))}
        rows["captured solve"] = best_of(solve, rounds, device)
    with torch.no_grad():
        for layer in layers.values():
            layer.eval()
        rows["evaluation"] = best_of(
            {k: lambda f=f: f(x) for k, f in layers.items()}, rounds, device
        )
        frozen = {"moment_match": rank_free.freeze(), "batch_norm": norm}
        rows["frozen"] = best_of({k: lambda f=f: f(x) for k, f in frozen.items()}, rounds, device)
        columns = x.detach().movedim(1, -1).reshape(-1, features)[:4096, :, None]
        m = moments_of(squash(standard_frame(columns, 1e-5)[0]), 6)
        rows["solve"] = best_of({"moment_match": lambda: dual_solve(m)}, rounds, device)
    found = {"shape": list(shape), "values": x.numel(), "milliseconds": rows}
    per_column = rows["step"]["moment_match"] / features
    return found | {"step_per_column_ms": per_column, "floor": FLOOR}


def table(record):
    """The results as the lines of a Markdown table."""
    lines = [
        "| values | step, ms a column | step, × BatchNorm | forward, × | evaluation, × | frozen, × "
        "| solve, µs a column |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        spent = row["milliseconds"]
        ratio = {
            part: spent[part]["moment_match"] / spent[part]["batch_norm"]
            for part in ("step", "forward", "evaluation", "frozen")
        }
        name = " × ".join(map(str, row["shape"]))
        solve = 1e3 * spent["solve"]["moment_match"] / row["shape"][1]
        cells = [name, f"{row['step_per_column_ms']:.3f}"]
        cells += [f"{ratio[part]:.1f}" for part in ("step", "forward", "evaluation", "frozen")]
        lines.append("| " + " | ".join([*cells, f"{solve:.0f}"]) + " |")
    return lines


def table_of_a_gpu(record):
    """The same where steps were captured."""
    lines = [
        "| values | BatchNorm captured, ms | MomentMatch captured, × | eager, × | evaluation, × "
        "| Copula captured, × | eager, × |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        spent = row["milliseconds"]

        def ratio(part, name, spent=spent):
            return f"{spent[part][name] / spent[part]['batch_norm']:.1f}"

        lines.append(
            f"| {' × '.join(map(str, row['shape']))} | {spent['captured step']['batch_norm']:.3f} "
            f"| {ratio('captured step', 'moment_match')} | {ratio('step', 'moment_match')} "
            f"| {ratio('evaluation', 'moment_match')} "
            f"| {ratio('captured step', 'copula')} | {ratio('step', 'copula')} |"
        )
    return lines


COMPILED = ["torch.nn.BatchNorm2d", "torch_bridge.MomentMatch2d", "torch_bridge.Copula2d"]
FIRST_STEP = """
import time, torch, torch_bridge
torch.set_num_threads(1)
layer, x = {name}(32), torch.randn(64, 32, 8, 8, requires_grad=True)
layer(x).sum().backward()
start = time.perf_counter()
torch.compile(layer, fullgraph=True)(x).sum().backward()
print(time.perf_counter() - start)
"""


def compile_times():
    """Print the seconds with an empty cache, and with the one that run left."""
    for name in COMPILED:
        with tempfile.TemporaryDirectory() as cache:
            surroundings = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
            command = [sys.executable, "-c", FIRST_STEP.format(name=name)]
            cold, warm = (
                float(subprocess.run(command, env=surroundings, check=True, text=True,
                                     stdout=subprocess.PIPE).stdout)
                for _ in range(2)
            )
        print(f"{name}: {cold:.1f} s cold, {warm:.1f} s warm", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two shapes, few rounds")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peer-path", type=Path, help="folder to import the other layer from")
    parser.add_argument("--peer-class", help="module.class of another layer of (N, C) columns")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder to write to")
    parser.add_argument("--table", action="store_true", help="print the table of the results")
    parser.add_argument("--compile", action="store_true", help="seconds to the first compiled step")
    options = parser.parse_args()
    if options.compile:
        compile_times()
        return
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    path = options.output / ("layers_cuda.json" if on_gpu else "layers.json")
    table_of = table_of_a_gpu if on_gpu else table
    if options.table:
        print(*table_of(json.loads(path.read_text())), sep="\n")
        return
    other = peer(options)
    if device.type == "cpu":
        print("on the CPU: one thread, processor time")
    torch.set_num_threads(1)
    record = {
        "date": datetime.date.today().isoformat(), "device": str(device),
        "processor": torch.cuda.get_device_name() if on_gpu else platform.processor(),
        "torch": torch.__version__, "threads": 1, "rows": [],
    }
    for shape in QUICK if options.quick else ON_GPU if on_gpu else SHAPES:
        rounds = 3 if options.quick or torch.Size(shape).numel() > 1 << 22 else 9
        row = measure(shape, device, rounds, other)
        record["rows"].append(row)
        print(*table_of({"rows": [row]})[-1:], flush=True)
        if other is not None and other.__name__ in row["milliseconds"]["step"]:
            spent = row["milliseconds"]["step"]
            print(f"step of moment_match / {other.__name__}: "
                  f"{spent['moment_match'] / spent[other.__name__]:.2f}")
    options.output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
