"""What one of several processes does for test_distributed: python -m tests.torch.ranks RANK N DIR.

The same seeds everywhere; every process holds its share of the rows and leaves its results in
DIR/RANK.pt. SHARES are the first rows of each process; the last of them holds no rows for one.
"""

import sys
import warnings

import torch
import torch.distributed as dist
from torch import nn

from torch_bridge import (
    Copula1d,
    MomentLoss,
    MomentMatch1d,
    NegentropyLoss,
    convert_batchnorm,
    distributed,
    sliced,
    sync_,
)

ROWS, FEATURES = 24, 5
SHARES = {"unequal": (17, 7), "one empty": (24, 0)}


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64).exp() + 3
    return x, torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64)


def share(rows, rank):
    start = sum(rows[:rank])
    return slice(start, start + rows[rank])


# A gradient through a solve in float32 is right to 1e-4 only: everything is compared in float64.
LAYERS = {
    "copula": lambda: Copula1d(FEATURES, dtype=torch.float64),
    "copula, linear": lambda: Copula1d(FEATURES, eval_map="linear", dtype=torch.float64),
    "moment matching": lambda: MomentMatch1d(FEATURES, degree=4, dtype=torch.float64),
}
MODULES = {
    "moment loss": lambda: MomentLoss(4),
    "negentropy loss": lambda: NegentropyLoss(4, standardize=True),
}


def through_layer(module, x, g):
    """Output, input gradient and buffers after one batch."""
    x = x.clone().requires_grad_()
    y = module(x)
    (slope,) = torch.autograd.grad(y, x, g)
    return [y.detach(), slope, *[buffer.clone() for buffer in module.buffers()]]


def second_batch(x, g):
    """Another mean, another scale, other rows: the running mean is near neither."""
    return 2 * x.flip(0) + 1, g.flip(0)


def messages(layer, x):
    """How many numbers the process sends forwards and backwards, all-reduce by all-reduce."""
    sent, send = [], distributed.collectives.all_reduce

    def counted(value, *rest):
        sent.append(value.numel())
        return send(value, *rest)

    distributed.collectives.all_reduce = counted
    try:
        y = layer(x.clone().requires_grad_())
        forwards = len(sent)
        y.sum().backward()
    finally:
        distributed.collectives.all_reduce = send
    return sent[:forwards], sent[forwards:]


def through_loss(module, x):
    """The loss and its gradient: of the sum over processes, hence divided by their number."""
    x = x.clone().requires_grad_()
    value = module(x)
    (slope,) = torch.autograd.grad(value / distributed.processes(), x)
    return [value.detach(), slope]


def network():
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(FEATURES, 6), nn.BatchNorm1d(6), nn.Linear(6, 4))


def statistics(x):
    _, mean, var = distributed.mean_and_variance(x, (0,), center=3.0)
    return mean, var


def through_statistics(function, x):
    x = x.clone().requires_grad_()
    mean, var = function(x)
    loss = (mean.sin() * var).sum() / distributed.processes()
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    # a process without rows takes part in the second backward pass too
    (second,) = torch.autograd.grad(slope.square().sum(), x)
    return [mean.detach(), var.detach(), slope.detach(), second]


def run(rank, world):
    results = {}
    x, g = data()
    for name, rows in SHARES.items():
        mine = share(rows, rank)
        results[name, "statistics"] = through_statistics(statistics, x[mine])
        for key, make in LAYERS.items():
            results[name, key] = through_layer(sync_(make()), x[mine], g[mine])
        for key, make in MODULES.items():
            results[name, key] = through_loss(make(), x[mine])
        torch.manual_seed(rank)  # directions agree whatever the seeds
        results[name, "sliced"] = through_loss(sliced(MomentLoss(3), 7), x[mine])[0]

    mine = share(SHARES["unequal"], rank)
    torch._dynamo.reset()
    compiled = torch.compile(statistics, fullgraph=True, backend="aot_eager")
    leaf = x[mine].clone().requires_grad_()
    mean, var = compiled(leaf)
    (slope,) = torch.autograd.grad((mean.sin() * var).sum() / world, leaf)
    results["compiled statistics"] = [mean.detach(), var.detach(), slope]

    for key, whole in (("moment matching", True), ("copula", False)):
        torch._dynamo.reset()
        layer = torch.compile(sync_(LAYERS[key]()), fullgraph=whole, backend="aot_eager")
        batches = [(x, g), second_batch(x, g)]
        results["compiled", key] = [through_layer(layer, v[mine], w[mine]) for v, w in batches]
    try:
        torch.compile(sync_(LAYERS["copula"]()), fullgraph=True, backend="aot_eager")(x[mine])
    except torch._dynamo.exc.Unsupported as error:
        results["one graph of a copula"] = str(error)
    results["messages"] = messages(sync_(LAYERS["moment matching"]()), x[mine])

    net = sync_(convert_batchnorm(network(), Copula1d)).double()
    net = nn.parallel.DistributedDataParallel(net)
    MomentLoss(4)(net(x[mine])).backward()
    results["ddp"] = [p.grad for p in net.parameters()]
    results["fsdp"] = [sharded(world, x[mine], layer) for layer in (Copula1d, MomentMatch1d)]
    return results


def sharded(world, x, layer):
    """FSDP2: bfloat16 parameters and inputs, float32 buffers."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = dist.init_device_mesh("cpu", (world,))
    net = sync_(convert_batchnorm(network(), layer))
    fully_shard(net, mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
    y = net(x.float())
    y.float().square().mean().backward()
    grads = [p.grad.to_local() for p in net.parameters()]
    finite = all(bool(torch.isfinite(grad).all()) for grad in grads)
    return y.dtype, {name: b.dtype for name, b in net.named_buffers()}, finite


def main(rank, world, folder):
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", ".*should not be instantiated")
    # torch.compile looks at every tensor that enters a graph after a break
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    torch.save(run(rank, world), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
