"""One training run, from a configuration to a record of numbers.

Everything that decides a run is in the dict below, and nothing else does: the initial weights and
the order of the images come from `seed` alone, so that runs of two systems with one seed are a
pair. The images stay on the device as they are, uint8; a batch is a gather of rows. The rate is
constant, there is no weight decay and no augmentation.
"""

import copy
import hashlib
import math
import time
from pathlib import Path

import torch
from torch import nn

from benchmarks.experiments import nets, shapes
from benchmarks.experiments.images import CLASSES
from maxent.status import Status
from torch_bridge import MomentMatch, copula

HYPER = {
    "dataset": "mnist",
    "net": "mlp",
    "at": [3, 4],  # the layers that get a transform
    "system": "batch_norm",
    "optimiser": "sgd",  # momentum 0.9; or "adam"
    "lr": 0.1,
    "seed": 0,
    "epochs": 2,
    "batch": 128,
    "validation": 5000,  # the last of the training images, which are not trained on
    "evaluations": 4,  # an epoch
    "detail": "end",  # or "curves" on the way, of the test set and of shapes, or "pictures" too
}
MOMENTUM = 0.9
COLLECT = 200  # last steps, in which a copula keeps the sums of its polynomial maps
ROWS = 1000  # images a step of evaluation
BINS = torch.linspace(-4, 4, 49)  # of the histograms, in standard deviations
DOTS = 400  # points of the picture of x_in against x_out
HERE = Path(__file__).parent
COLUMNS = {"system": 18, "opt": 5, "lr": 8, "seed": 5, "epoch": 6, "loss": 8, "train": 7, "val": 7,
           "test": 7, "s": 7}


def source():
    """(short hash, text) of the code that decides a run; both go into the log."""
    names = ("training.py", "nets.py", "shapes.py", "images.py")
    text = "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
    return hashlib.sha256(text.encode()).hexdigest()[:12], text


def heading():
    return " ".join(name.rjust(width) for name, width in COLUMNS.items())


def line(config, **values):
    """One line under `heading`."""
    values = {"system": config["system"], "opt": config["optimiser"], "lr": config["lr"],
              "seed": config["seed"]} | values
    cells = [values.get(name, "") for name in COLUMNS]
    texts = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
    return " ".join(text.rjust(width) for text, width in zip(texts, COLUMNS.values(), strict=True))


def clock(device):
    """Seconds: of this process on the CPU, so that other work does not count; by the wall else."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


class Feed:
    """Batches of float images, centred and scaled by the training images' mean and deviation."""

    def __init__(self, data, validation):
        kept = len(data.train) - validation
        self.parts = {
            "train": (data.train[:kept], data.train_labels[:kept]),
            "validation": (data.train[kept:], data.train_labels[kept:]),
            "test": (data.test, data.test_labels),
        }
        sample = self.parts["train"][0][:10_000].float()
        self.mean = sample.mean((0, 2, 3), keepdim=True)
        self.deviation = sample.std((0, 2, 3), keepdim=True)

    def rows(self, part, rows):
        images, labels = self.parts[part]
        return (images[rows].float() - self.mean) / self.deviation, labels[rows]

    def count(self, part):
        return len(self.parts[part][0])


class Flags:
    """What the solvers said, of every training step and not of the last one only; on the device,
    so that nothing waits for it.
    """

    def __init__(self, net, device):
        self.layers = [layer for layer in net.modules() if isinstance(layer, MomentMatch)]
        self.solves = 0
        self.counts = torch.zeros(2, dtype=torch.int64, device=device)
        self.largest = torch.zeros(2, device=device)

    def note(self):
        for layer in self.layers:
            atomic = layer.status == Status.ATOMIC.value
            unsolved = layer.status >= Status.NOT_CONVERGED.value
            self.solves += len(atomic)
            self.counts += torch.stack([atomic.sum(), unsolved.sum()])
            worst = torch.stack([layer.steps.max().float(), layer.residual.max()])
            self.largest = torch.maximum(self.largest, worst)

    def record(self):
        if not self.layers:
            return None
        atomic, unsolved = self.counts.tolist()
        steps, residual = self.largest.tolist()
        return {"solves": self.solves, "atomic": atomic, "unsolved": unsolved,
                "steps": int(steps) if math.isfinite(steps) else None, "residual": finite(residual)}


class Tap:
    """Keeps what went into every transform and what came out, while it is open."""

    def __init__(self, net):
        self.seen = {}
        self.handles = [
            module.register_forward_hook(self.keep(layer))
            for layer, module in nets.transforms(net).items()
        ]

    def keep(self, layer):
        def hook(_module, inputs, output):
            self.seen[layer] = inputs[0].detach(), output.detach()

        return hook

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


@torch.no_grad()
def accuracy(net, feed, part):
    """Per cent of the images of a part that are told right; nan outputs tell nothing."""
    right = 0
    for begin in range(0, feed.count(part), ROWS):
        x, label = feed.rows(part, slice(begin, begin + ROWS))
        output = net(x)
        right += ((output.argmax(1) == label) & torch.isfinite(output).all(1)).sum()
    return 100 * float(right) / feed.count(part)


@torch.no_grad()
def activations(net, feed):
    """layer -> (into, out of) its transform in evaluation, for up to 5,000 images never trained
    on.
    """
    with Tap(net) as tap:
        net(feed.rows("validation", slice(0, shapes.ROWS))[0])
    return tap.seen


def evaluated(net, feed, detail):
    """One point of the curves."""
    net.eval()
    point = {"val": accuracy(net, feed, "validation")}
    if detail != "end":
        point["test"] = accuracy(net, feed, "test")
        point["shape"] = {
            layer: shapes.summary(out) for layer, (_, out) in activations(net, feed).items()
        }
    net.train()
    return point


def test_accuracies(net, layers, feed):
    """evaluation map -> accuracy; and how many units' polynomial maps are not monotone. The map
    that is in use afterwards is the last of nets.MAPS, the default one.
    """
    net.eval()
    if not layers:
        return {"": round(accuracy(net, feed, "test"), 4)}, None
    found, falling = {}, {}
    for name in nets.MAPS:
        for layer in layers:
            layer.use = name
        found[name] = round(accuracy(net, feed, "test"), 4)
        if name in nets.POLYNOMIALS:
            falling[name] = sum(
                int((slopes(layer.polynomials[name]) <= 0).sum()) for layer in layers
            )
    return found, falling


def slopes(layer):
    return copula.smallest_slope(copula.regression_coefficients(layer.running_sums, layer.degree))


def histogram(x):
    """Counts of the standardised values of all units in BINS; those beyond the ends are left out.
    """
    z = shapes.standardised(shapes.columns_of(x))
    return torch.histc(z.cpu().float(), len(BINS) - 1, float(BINS[0]), float(BINS[-1])).int()


@torch.no_grad()
def pictures(net, feed):
    """layer -> histograms into and out of the transforms; for a copula the map of one unit of a
    training batch, and the four evaluation maps.
    """
    found = {"histograms": {}, "maps": {}}
    net.eval()
    for layer, parts in activations(net, feed).items():
        found["histograms"][layer] = [histogram(part).tolist() for part in parts]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    x = feed.rows("train", slice(0, DOTS))[0]
    with Tap(net) as tap:
        net(x)
    net.load_state_dict(state)
    net.eval()
    for layer, module in nets.transforms(net).items():
        if not isinstance(module, nets.CopulaOfAllMaps) or tap.seen[layer][0].ndim != 2:
            continue
        inputs, outputs = tap.seen[layer]
        z = (inputs - inputs.mean(0)) / inputs.std(0)
        unit = int(shapes.kurtosis(z).nan_to_num(0).argmax())
        grid = torch.linspace(float(inputs[:, unit].min()), float(inputs[:, unit].max()), 60)
        whole = module.running_mean.repeat(len(grid), 1)
        whole[:, unit] = grid.to(whole)
        curves = {}
        for module.use in nets.MAPS:
            curves[module.use] = rounded(module(whole)[:, unit])
        found["maps"][layer] = {
            "unit": unit, "dots": [rounded(inputs[:, unit]), rounded(outputs[:, unit])],
            "grid": rounded(grid), "curves": curves,
        }
    return found


def rounded(x):
    return [round(float(value), 3) for value in x]


def train(config, data, device="cpu", peer_path=None, say=lambda text: None):
    """The record of one run.

    config: HYPER with what is to be different; data: Images on the device; say: gets the lines of
    the log. Raises KeyError for a name that HYPER does not have, ValueError for an unknown system,
    net, layer or optimiser.
    """
    unknown = set(config) - set(HYPER)
    if unknown:
        raise KeyError(f"no such hyperparameter: {', '.join(sorted(unknown))}")
    config = HYPER | config
    device = torch.device(device)
    feed = Feed(data, config["validation"])
    torch.manual_seed(config["seed"])
    net = nets.network(
        config["net"], data.train.shape[1:], CLASSES,
        lambda features, rank: nets.transform(config["system"], features, rank, peer_path),
        config["at"],
    ).to(device)
    rate = config["lr"]
    if config["optimiser"] == "sgd":
        optimiser = torch.optim.SGD(net.parameters(), rate, momentum=MOMENTUM, fused=True)
    elif config["optimiser"] == "adam":
        optimiser = torch.optim.Adam(net.parameters(), rate, fused=True)
    else:
        raise ValueError(f"optimiser must be sgd or adam, got {config['optimiser']!r}")
    order = torch.Generator().manual_seed(config["seed"])
    flags = Flags(net, device)
    copulas = [layer for layer in net.modules() if isinstance(layer, nets.CopulaOfAllMaps)]

    count, batch = feed.count("train"), config["batch"]
    x, label = feed.rows("train", slice(0, batch))
    # a copy goes first, so that what is compiled at the first step counts in nobody's seconds
    nn.functional.cross_entropy(copy.deepcopy(net)(x), label).backward()
    torch.manual_seed(config["seed"])
    steps = count // batch  # what remains is other images in every epoch
    marks = {round(steps * (i + 1) / config["evaluations"]) for i in range(config["evaluations"])}
    curve, spent, diverged = [], 0.0, None
    sums = torch.zeros(2, device=device)  # of the loss, and of what was right, since the last mark
    since = 0
    for epoch in range(config["epochs"]):
        rows = torch.randperm(count, generator=order).to(device)
        begin = clock(device)
        for step in range(1, steps + 1):
            if (config["epochs"] - epoch) * steps - step < COLLECT:
                for layer in copulas:
                    layer.collects = True
            x, label = feed.rows("train", rows[(step - 1) * batch : step * batch])
            output = net(x)
            loss = nn.functional.cross_entropy(output, label)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            flags.note()
            sums += torch.stack([loss.detach(), (output.argmax(1) == label).float().mean()])
            since += 1
            if step not in marks:
                continue
            spent += clock(device) - begin
            mean, right = (sums / since).tolist()
            sums.zero_()
            since = 0
            if not math.isfinite(mean):
                diverged = epoch * steps + step
            if diverged or step == steps or config["detail"] != "end":
                point = {"epoch": epoch + step / steps, "seconds": spent, "loss": mean,
                         "train": 100 * right} | evaluated(net, feed, config["detail"])
                curve.append(point)
                say(line(config, epoch=point["epoch"], loss=mean, train=100 * right,
                         val=point["val"], test=point.get("test", ""), s=spent))
            if diverged:
                break
            begin = clock(device)
        if diverged:
            break
    tests, falling = test_accuracies(net, copulas, feed)
    last = curve[-1]
    record = {
        "config": config, "source": source()[0], "data": data.note, "device": device.type,
        "parameters": sum(value.numel() for value in net.parameters()),
        "seconds": round(last["seconds"], 3), "diverged": diverged, "curve": compact(curve),
        # of the last part of the last epoch, in training mode; a run that diverged knows nothing
        "loss": finite(last["loss"]), "train": 0.0 if diverged else round(last["train"], 4),
        "val": round(last["val"], 4), "test": tests, "not_monotone": falling,
        "flags": flags.record(),
        "peaks": {
            layer: shapes.two_peaks(out) for layer, (_, out) in activations(net, feed).items()
        },
    }
    if config["detail"] == "pictures" and not diverged:
        record["pictures"] = pictures(net, feed)
    return record


def finite(value):
    """None in the place of nan and infinity, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def compact(curve):
    """The points with four digits behind the point."""
    def short(value):
        if isinstance(value, dict):
            return {key: short(part) for key, part in value.items()}
        if isinstance(value, list):
            return [short(part) for part in value]
        if isinstance(value, float):
            return round(value, 4) if math.isfinite(value) else None
        return value

    return short(curve)
