"""Two processes with unequal shares of the rows do what one process does with all of them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.torch import ranks
from torch_bridge import Copula1d, MomentLoss, convert_batchnorm, distributed

ROOT = Path(__file__).parents[2]
WORLD = 2
pytestmark = [
    pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the real processes left, rank by rank; a process that hangs is a failure."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.torch.ranks"]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(WORLD), str(folder)], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(WORLD)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert not any(process.returncode for process in started), "\n".join(said)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ranks.SHARES)
@pytest.mark.parametrize("key", ranks.LAYERS)
def test_layers(results, key, name):
    """Output and input gradient of the own rows; the same buffers everywhere."""
    x, g = ranks.data()
    output, slope, *buffers = ranks.through_layer(ranks.LAYERS[key](), x, g)
    for rank, found in enumerate(results):
        mine = ranks.share(ranks.SHARES[name], rank)
        close(found[name, key][:2], [output[mine], slope[mine]])
        close(found[name, key][2:], buffers)
    alone = ranks.through_layer(ranks.LAYERS[key](), x[:17], g[:17])
    assert (alone[0] - output[:17]).abs().max() > 0.01  # the negation: seven rows do matter


@pytest.mark.parametrize("name", ranks.SHARES)
@pytest.mark.parametrize("key", ranks.MODULES)
def test_losses(results, key, name):
    x, _ = ranks.data()
    value, slope = ranks.through_loss(ranks.MODULES[key](), x)
    for rank, found in enumerate(results):
        close(found[name, key], [value, slope[ranks.share(ranks.SHARES[name], rank)]])
    assert (ranks.MODULES[key]()(x[:17]) - value).abs() > 1e-3


@pytest.mark.parametrize("name", ranks.SHARES)
def test_directions_agree(results, name):
    assert torch.equal(*[found[name, "sliced"] for found in results])


@pytest.mark.parametrize("name", ranks.SHARES)
def test_statistics_and_their_second_derivatives(results, name):
    x, _ = ranks.data()
    mean, var, slope, second = ranks.through_statistics(ranks.statistics, x)
    close([mean, var], [x.mean(0), x.var(0, correction=0)])
    for rank, found in enumerate(results):
        mine = ranks.share(ranks.SHARES[name], rank)
        close(found[name, "statistics"], [mean, var, slope[mine], second[mine]])


def test_compiled(results):
    """As one graph, gradients included."""
    for found in results:
        close(found["compiled statistics"], found["unequal", "statistics"][:3])


@pytest.mark.parametrize("key", ["moment matching", "copula"])
def test_compiled_layers(results, key):
    """Two training steps: the backward pass must not see the running mean that the forward pass
    has changed."""
    x, g = ranks.data()
    layer = ranks.LAYERS[key]()
    for step, batch in enumerate([(x, g), ranks.second_batch(x, g)]):
        output, slope, *buffers = ranks.through_layer(layer, *batch)
        for rank, found in enumerate(results):
            mine = ranks.share(ranks.SHARES["unequal"], rank)
            close(found["compiled", key][step], [output[mine], slope[mine], *buffers])


def test_a_copula_of_all_processes_is_not_one_graph(results):
    for found in results:
        assert "read on the host" in found["one graph of a copula"]


def test_two_messages_each_way(results):
    """A count, means and variances; then the moments, which are taken in the frame those make."""
    statistics, moments = 1 + 2 * ranks.FEATURES, ranks.FEATURES * (1 + 4)
    for found in results:
        assert found["messages"] == ([statistics, moments], [moments, statistics])


def test_ddp_gets_the_gradient_of_the_whole_batch(results):
    x, _ = ranks.data()
    net = convert_batchnorm(ranks.network(), Copula1d).double()
    MomentLoss(4)(net(x)).backward()
    wanted = [p.grad for p in net.parameters()]
    for found in results:
        close(found["ddp"], wanted)


def test_fsdp_with_half_parameters_and_single_buffers(results):
    for dtype, buffers, finite in (row for found in results for row in found["fsdp"]):
        assert dtype == torch.bfloat16 and finite
        assert buffers["1.running_mean"] == torch.float32
        assert torch.bfloat16 not in buffers.values()


def test_one_process_needs_no_group():
    x = torch.randn(9, 3)
    assert distributed.processes() == 1 and distributed.all_sum(x) is x
    count, mean, var = distributed.mean_and_variance(x + 1e4, (0,), center=1e4)
    assert count == 9
    close([mean, var], [(x + 1e4).mean(0), (x + 1e4).var(0, correction=0)])
