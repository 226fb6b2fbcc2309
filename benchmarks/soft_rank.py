"""Soft ranks against sorting, batch normalisation, the pairwise matrix and their peers.

    python -m benchmarks.soft_rank [--quick] [--output FOLDER]
    python -m benchmarks.soft_rank --table      the table of docs/soft_rank.md, from the results

One thread, forward and backward; times are processor time. All contenders of a row take turns, a
round each, and the best round counts, so that a busy machine disturbs all of them alike: read
ratios, not milliseconds.
What takes more than a second has one round.
Memory is the peak of the resident set during one forward and backward pass, less what was there
before, in multiples of the input; the error is the largest over the first column, against float64
sums by sorting, divided by n (ranks) or by n times the strength and the largest cotangent
(gradients); where float64 ranks are themselves sorted that is 0 and says nothing, the tests do.
torchsort, fast-soft-sort and pykeops take part where they are installed; the first two compute
another function, so that only their time compares.
"""

import argparse
import ctypes
import datetime
import gc
import importlib.metadata
import json
import os
import platform
import time
import warnings
from pathlib import Path

import torch

import torch_bridge
from torch_bridge.functional import copula_transform, soft_rank

STRENGTH = 10.0
MATRIX_BYTES = 6 << 30  # the matrix method keeps about four matrices of n^2 d values
SLOW = 1.0  # seconds above which a contender has had its round
HERE = Path(__file__).parent


def matrix(x, strength):
    return torch.sigmoid(strength * (x[:, None] - x[None, :])).sum(1)


def contenders(shape, dtype, quick):
    """name -> function of (x, strength) whose output has a gradient."""
    n, d = shape
    norm = torch.nn.BatchNorm1d(d, dtype=dtype)
    found = {
        "soft_rank": soft_rank,
        "copula_transform": copula_transform,
        "torch.sort": lambda x, strength: torch.sort(x, dim=0).values,
        "batch_norm": lambda x, strength: norm(x),
    }
    if 4 * n * n * d * 4 <= MATRIX_BYTES and not (quick and n * n * d > 1e8):
        found["matrix"] = matrix
    peers = {
        "torchsort": peer_torchsort,
        "fast_soft_sort": peer_fast_soft_sort,
        "pykeops": peer_keops,
    }
    for name, make in peers.items():
        if n * d > (1 << 21) or (name == "pykeops" and n * n * d > 1e9):
            continue
        try:
            found[name] = make()
        except ImportError:
            continue
    return found


def peer_torchsort():
    import torchsort

    return lambda x, strength: torchsort.soft_rank(x.t(), regularization_strength=1 / strength).t()


def peer_fast_soft_sort():
    from fast_soft_sort.pytorch_ops import soft_rank as peer

    return lambda x, strength: peer(x.t(), regularization_strength=1 / strength).t()


def peer_keops():
    from pykeops.torch import LazyTensor

    def function(x, strength):
        t = (strength * x.t())[..., None]
        i, j = LazyTensor(t[:, :, None, :].contiguous()), LazyTensor(t[:, None, :, :].contiguous())
        return (1 / (1 + (j - i).exp())).sum(2)[..., 0].t()

    return function


def resident():
    """(now, peak) bytes of the resident set."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))


def extra_memory(work):
    """Peak resident bytes during work() above those before it; None where /proc has no say."""
    try:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = resident()[0]
        work()
        return max(0, resident()[1] - before)
    except OSError:
        return None


def pass_of(function, x, g, strength):
    def work():
        x.grad = None
        function(x, strength).backward(g)

    return work


def errors(function, x, g, strength):
    """(rank error / n, gradient error / (n strength max |g|)) of the first column."""
    first = x.detach()[:, :1].clone().requires_grad_()
    exact = first.detach().double().requires_grad_()
    function(first, strength).backward(g[:, :1])
    soft_rank(exact, strength, method="sort").backward(g[:, :1].double())
    ranks = function(first, strength).detach() - soft_rank(exact, strength, method="sort").detach()
    scale = strength * g[:, :1].abs().max() * len(x)
    return (ranks.abs().max() / len(x)).item(), (
        (first.grad - exact.grad).abs().max() / scale
    ).item()


def measure(label, shape, *, strength=STRENGTH, dtype=torch.float32, rounds, quick, prepare=None):
    """One row: times, memory and errors of every contender."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    if prepare is not None:
        prepare(x)
    g = torch.randn(shape, generator=generator, dtype=dtype)
    x.requires_grad_()
    functions = contenders(shape, dtype, quick)
    works = {name: pass_of(function, x, g, strength) for name, function in functions.items()}
    memory = {}
    for name, work in works.items():
        work()
        memory[name] = extra_memory(work)
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            if SLOW < best[name] < float("inf"):
                continue
            start = time.thread_time()
            work()
            best[name] = min(best[name], time.thread_time() - start)
    row = {
        "label": label,
        "shape": list(shape),
        "dtype": str(dtype).removeprefix("torch."),
        "strength": strength,
        "strength_times_range": strength * (x.max() - x.min()).item(),
        "milliseconds": {name: 1e3 * seconds for name, seconds in best.items()},
        "memory_in_inputs": {
            name: None if used is None else used / (x.numel() * x.element_size())
            for name, used in memory.items()
        },
        "errors": {
            name: errors(functions[name], x, g, strength)
            for name in ("soft_rank", "matrix", "pykeops")
            if name in functions
        },
    }
    show(row)
    return row


def show(row):
    ours = row["milliseconds"]["soft_rank"]
    print(
        f"\n{row['label']}: {tuple(row['shape'])} {row['dtype']}, "
        f"strength * range = {row['strength_times_range']:.3g}"
    )
    for name, spent in row["milliseconds"].items():
        memory = row["memory_in_inputs"][name]
        note = "" if name == "soft_rank" else f"  soft_rank takes {ours / spent:.3g} of it"
        if name not in ("soft_rank", "copula_transform") and ours > spent:
            note += "  (we lose)"
        if name in row["errors"]:
            note += "  errors {:.1e} rank, {:.1e} gradient".format(*row["errors"][name])
        used = "" if memory is None else f"{memory:8.2f} inputs"
        print(f"  {name:18}{spent:12.3f} ms {used}{note}")


def layer_step(rounds):
    """A training step of Copula2d on (128, 64, 32, 32), beside BatchNorm2d."""
    x = torch.randn(128, 64, 32, 32)
    row = {"shape": list(x.shape), "milliseconds": {}, "memory_in_inputs": {}}
    works = {}
    for name, layer in (
        ("Copula2d", torch_bridge.Copula2d(64)),
        ("BatchNorm2d", torch.nn.BatchNorm2d(64)),
    ):
        optimiser = torch.optim.SGD(layer.parameters(), 0.1)
        leaf = x.clone().requires_grad_()

        def work(layer=layer, optimiser=optimiser, leaf=leaf):
            optimiser.zero_grad()
            leaf.grad = None
            layer(leaf).square().mean().backward()
            optimiser.step()

        works[name] = work
        work()
        used = extra_memory(work)
        row["memory_in_inputs"][name] = None if used is None else used / (x.numel() * 4)
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            start = time.thread_time()
            work()
            best[name] = min(best[name], time.thread_time() - start)
    row["milliseconds"] = {name: 1e3 * seconds for name, seconds in best.items()}
    print(f"\nA training step on {tuple(x.shape)}, one thread")
    for name, spent in row["milliseconds"].items():
        print(f"  {name:18}{spent:12.1f} ms {row['memory_in_inputs'][name]:8.2f} inputs")
    return row


def outlier(x):
    x[0, 0] = 1e6


def goals(rows, step):
    """What was promised: (text, measured, limit, reached)."""
    by_label = {row["label"]: row for row in rows}

    def ratio(label, rival):
        times = by_label[label]["milliseconds"]
        return times["soft_rank"] / times[rival]

    found = [
        ("of one sort at n = 1e6", ratio("long", "torch.sort"), 0.5),
        ("of one sort at (65536, 16)", ratio("tall", "torch.sort"), 0.5),
        ("of one sort at (1024, 256)", ratio("wide", "torch.sort"), 1.5),
        ("of batch_norm at (65536, 16)", ratio("tall", "batch_norm"), 6.0),
    ]
    if "matrix" in by_label["wide"]["milliseconds"]:
        found.append(("of the matrix at (1024, 256)", ratio("wide", "matrix"), 1 / 50))
    usage = [by_label[label]["memory_in_inputs"]["soft_rank"] for label in ("long", "tall", "wide")]
    if None not in usage:
        found.append(("inputs of extra memory, at most", max(usage), 8.0))
    found.append(
        (
            "of the same columns without an outlier in one of them",
            by_label["one outlier column"]["milliseconds"]["soft_rank"]
            / by_label["no outlier"]["milliseconds"]["soft_rank"],
            1.5,
        )
    )
    worst = max(max(row["errors"]["soft_rank"]) for row in rows if row["dtype"] == "float32")
    found.append(("error in float32, relative to n", worst, 1e-6))
    worst = max(max(row["errors"]["soft_rank"]) for row in rows if row["dtype"] == "float64")
    found.append(("error in float64, relative to n", worst, 1e-10))
    print("\nsoft_rank takes")
    for text, value, limit in found:
        print(f"  {value:10.3g} {text} (goal {limit:.3g}) {'' if value <= limit else 'MISSED'}")
    return [dict(zip(("goal", "measured", "limit"), item, strict=True)) for item in found]


def picture(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (growth, width) = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for name in ("soft_rank", "torch.sort", "batch_norm", "matrix", "torchsort"):
        points = [
            (row["shape"][0], row["milliseconds"][name])
            for row in rows
            if row["label"] == "growth" and name in row["milliseconds"]
        ]
        if points:
            growth.loglog(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    growth.set(
        xlabel="n (one column, float32)", ylabel="forward + backward, ms", title="cost against n"
    )
    growth.legend(frameon=False)
    for dtype in ("float32", "float64"):
        points = [
            (row["strength_times_range"], 1e6 * row["milliseconds"]["soft_rank"] / row["shape"][0])
            for row in rows
            if row["label"] == "strength" and row["dtype"] == dtype
        ]
        width.semilogx(
            *zip(*points, strict=True), marker="o", markersize=3, label=f"soft_rank {dtype}"
        )
    points = [
        (row["strength_times_range"], 1e6 * row["milliseconds"]["torch.sort"] / row["shape"][0])
        for row in rows
        if row["label"] == "strength" and row["dtype"] == "float32"
    ]
    width.semilogx(
        *zip(*points, strict=True), color="grey", linestyle="--", label="torch.sort float32"
    )
    width.set(
        xlabel="strength * range (n = 65536)",
        ylabel="forward + backward, ns per value",
        title="cost against range: grid, then sort",
        ylim=(0, None),
    )
    width.legend(frameon=False)
    figure.savefig(path, dpi=120)


TABLE_ROWS = ("long", "tall", "wide", "conv-like", "one outlier column", "float64, long",
              "float64, wide", "small")


def table(record):
    """The Markdown table of docs/soft_rank.md, as lines."""
    rivals = ("torch.sort", "batch_norm", "matrix")
    heads = ["values", "dtype", "soft_rank, ms", *(f"of {name}" for name in rivals)]
    heads += ["memory, inputs", "error of ranks", "of gradients"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label in TABLE_ROWS:
        row = next(row for row in record["rows"] if row["label"] == label)
        spent = row["milliseconds"]
        name = " × ".join(map(str, row["shape"]))
        name += ", one outlier at 1e6" if label == "one outlier column" else ""
        share = {rival: f"{spent['soft_rank'] / spent[rival]:.2g}" for rival in spent}
        ratios = [share.get(rival, "–") for rival in rivals]
        used = row["memory_in_inputs"]["soft_rank"]
        cells = [name, row["dtype"], f"{spent['soft_rank']:.3g}", *ratios]
        cells += ["–" if used is None else f"{used:.1f}"]
        cells += [f"{error:.1e}" for error in row["errors"]["soft_rank"]]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    packages = ["torch", "numpy", "numba", "torchsort", "fast-soft-sort", "pykeops"]
    versions = {"python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": 1,
        "load_average": os.getloadavg()[0],
        "versions": versions,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder to write to")
    parser.add_argument("--table", action="store_true", help="print the table of the results")
    options = parser.parse_args()
    if options.table:
        text = (options.output / "soft_rank.json").read_text()
        print(*table(json.loads(text)), sep="\n")
        return
    quick = options.quick
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    settings = {"rounds": 3 if quick else 5, "quick": quick}
    record = {"machine": machine()}
    rows = [
        measure("long", (1_000_000, 1), **settings),
        measure("tall", (65_536, 16), **settings),
        measure("wide", (1024, 256), **settings),
        measure("no outlier", (65_536, 15), **settings),
        measure("one outlier column", (65_536, 15), prepare=outlier, **settings),
        measure("float64, long", (1_000_000, 1), dtype=torch.float64, **settings),
        measure("float64, wide", (1024, 256), dtype=torch.float64, **settings),
        measure("small", (64, 64), **settings),
        measure("conv-like", (65_536, 64), **(settings | {"rounds": 3})),
    ]
    sizes = [256, 1024, 4096, 16_384, 65_536, 262_144] + ([] if quick else [1 << 20, 10_000_000])
    for n in sizes:
        few = {"rounds": 3} if n > 1 << 20 else {}
        rows.append(measure("growth", (n, 1), **(settings | few)))
    for dtype in (torch.float32, torch.float64):
        for strength in (0.1, 1.0, 10.0, 100.0, 1e3, 1e4) + (() if quick else (1e5, 1e7)):
            rows.append(
                measure("strength", (65_536, 1), strength=strength, dtype=dtype, **settings)
            )
    step = layer_step(3)
    record |= {"goals": goals(rows, step), "rows": rows, "layer_step": step}
    record["machine"]["load_average_after"] = os.getloadavg()[0]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "soft_rank.json").write_text(json.dumps(record, indent=1) + "\n")
    picture(rows, options.output / "soft_rank.png")


if __name__ == "__main__":
    main()
