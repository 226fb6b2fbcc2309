"""Images as one uint8 tensor (N, channels, height, width), their labels, and where they come from.

A folder holds `mnist.npz` and `cifar10.npz` (x_train, y_train, x_test, y_test as uint8, in the
layout of Keras), or `cifar10_jpeg.npz`, which packs the images as JPEG scans behind one header:
lossy, and said to be so wherever its accuracies stand.
"""

import io
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

SOURCES = {
    "mnist": "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz, as it is",
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/cifar.html, its images as one npz of x_train "
        "(50000, 32, 32, 3), y_train, x_test, y_test"
    ),
}
LOSSY = "CIFAR-10 from lossy JPEG, not comparable with published accuracies"
CLASSES = 10


class Images(NamedTuple):
    """Training and test images uint8 (N, C, H, W), labels int64 (N,); `note`: what to say of them,
    "" for nothing.
    """

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    note: str = ""

    def to(self, device):
        return Images(*(part.to(device) for part in self[:4]), self.note)


def find(name, folder=None):
    """The file of the images called "mnist" or "cifar10"; folder None is that of $MAXENT_DATA.

    Raises FileNotFoundError, which says where it can be had, and ValueError for another name.
    """
    if name not in SOURCES:
        raise ValueError(f"images must be one of {', '.join([*SOURCES, 'synthetic'])}: {name!r}")
    folder = folder or os.environ.get("MAXENT_DATA")
    files = [f"{name}.npz"] + (["cifar10_jpeg.npz"] if name == "cifar10" else [])
    for file in files if folder else ():
        if (Path(folder) / file).exists():
            return Path(folder) / file
    where = f"in {folder}" if folder else "(neither --data nor MAXENT_DATA names a folder)"
    raise FileNotFoundError(f"no {' or '.join(files)} {where}. Get it from {SOURCES[name]}")


def load(name, folder=None):
    """The Images called "mnist", "cifar10" or "synthetic", which needs no file; see `find`."""
    if name == "synthetic":
        return synthetic()
    with np.load(find(name, folder)) as arrays:
        packed = "header" in arrays
        parts = [unpacked(arrays, kind) if packed else arrays[f"x_{kind}"]
                 for kind in ("train", "test")]
        labels = [arrays[f"y_{kind}"].reshape(-1) for kind in ("train", "test")]
    return from_arrays(parts, labels, LOSSY if packed else "")


def from_arrays(parts, labels, note):
    images = []
    for part in parts:
        part = part[..., None] if part.ndim == 3 else part
        images.append(torch.from_numpy(np.ascontiguousarray(part.transpose(0, 3, 1, 2))))
    first, second = (torch.from_numpy(part.astype(np.int64)) for part in labels)
    return Images(images[0], first, images[1], second, note)


def unpacked(arrays, kind):
    """(N, height, width, 3) uint8 from JPEG scans that share a header."""
    from PIL import Image

    header, scans = arrays["header"].tobytes(), arrays[kind].tobytes()
    ends = arrays[f"{kind}_off"]
    return np.stack([
        np.asarray(Image.open(io.BytesIO(header + scans[begin:end])))
        for begin, end in itertools.pairwise(ends)
    ])


def synthetic(count=1200, side=12, seed=0):
    """Ten patterns in noise, which any of the nets learns in seconds; for trying things out."""
    generator = np.random.default_rng(seed)
    patterns = generator.integers(0, 256, (CLASSES, side, side, 1))
    parts, labels = [], []
    for size in (count, count // 2):
        label = generator.integers(0, CLASSES, size)
        noise = generator.integers(0, 256, (size, side, side, 1))
        parts.append(((patterns[label] + 2 * noise) // 3).astype(np.uint8))
        labels.append(label)
    return from_arrays(parts, labels, "")
