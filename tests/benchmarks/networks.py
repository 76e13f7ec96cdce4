# SPDX-License-Identifier: Apache-2.0
"""Cost of the learned laws per particle, beside what the machine allows.

python tests/benchmarks/networks.py [--particles N] [--block ROWS ...] [--device D]

The floor is measured in the same process: the matrix products of both networks at the rate of the
largest of them, and the activations at the rate of one that stays in the cache; forward twice, as
backward starts by computing again what it needs, and backward once. "into" writes to memory that
is there already; "kept" also keeps the rotations, "hidden" the last hidden layers as well.

On a CPU processor time, best of some repeats, since others may use the machine; set
OMP_NUM_THREADS=1 for one core.

A second table is of the other learned laws: the same update and pullback by what they bring of
their own (kernels around the network) and by the graph that any law without that gets, and the
ratio of both.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.energies.cann import CANN
from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.law import ConstitutiveLaw, Response
from rheograd.materials.learned import blockwise
from rheograd.materials.learned.invariant import InvariantFull, InvariantLaw, InvariantSmooth
from rheograd.materials.learned.isotropic import Isotropic, IsotropicPlasticity
from rheograd.materials.learned.spline import SplineElasticity

REPEATS = 7
MACS = 13 * 64 + 64 * 64 + 64 * 9
"""Multiply-adds of one network for one particle."""


class Clock:
    """Seconds of a call, best of some."""

    def __init__(self, device: str):
        self.cuda = device.startswith("cuda")

    def now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter() if self.cuda else time.thread_time()

    def best(self, call: Callable[[], object], repeats: int = REPEATS) -> float:
        call()
        times = []
        for _ in range(repeats):
            start = self.now()
            call()
            times.append(self.now() - start)
        return min(times)


def floor(clock: Clock, rows: int, like: Tensor) -> tuple[float, float]:
    """Seconds per particle that products and activations of both networks need at least."""
    x, y = (like.new_empty(rows, 64).normal_() for _ in range(2))
    z, weight = torch.empty_like(x), like.new_empty(64, 64).normal_()
    aten = torch.ops.aten
    product = clock.best(lambda: torch.mm(x, weight, out=z), 50) / rows
    gelu = clock.best(lambda: aten.gelu.out(x, out=z), 50) / rows
    back = clock.best(lambda: aten.gelu_backward.grad_input(y, x, grad_input=z), 50) / rows
    print(
        f"a product of 64 x 64: {2 * 64 * 64 / product / 1e9:.0f} GFLOP/s; 64 activations: ", end=""
    )
    print(f"{gelu * 1e9:.0f} ns forward, {back * 1e9:.0f} ns backward")
    network = product * MACS / 64**2 + 2 * gelu
    backward = 2 * product * MACS / 64**2 + 2 * back
    return 2 * network, 2 * (network + backward)


class Case:
    """A law and a batch."""

    def __init__(self, kind: type[InvariantLaw], particles: int, device: str):
        torch.manual_seed(0)
        self.law = kind(1e5, 1e-2, seed=1).to(device)  # type: ignore[call-arg]
        eye = torch.eye(3, device=device)
        self.F = eye + 0.05 * torch.randn(particles, 3, 3, device=device)
        self.none = self.F.new_zeros(particles, 0)
        self.tau_bar, self.F_bar = 1e-5 * torch.randn_like(self.F), torch.randn_like(self.F)
        self.memory = torch.zeros_like(self.F)
        self.out = Response(torch.zeros_like(self.F), torch.zeros_like(self.F), self.none)
        self.keep(hidden=False)

    def keep(self, *, hidden: bool) -> None:
        self.kept = self.law.new_kept(len(self.F), self.F, hidden=hidden)
        tensors = [t for t in (self.kept.R, *self.kept.z) if t is not None]
        self.bytes = sum(t.zero_().numel() * t.element_size() for t in tensors) / len(self.F)

    @torch.no_grad()
    def update(self) -> None:
        self.law.update(self.F, self.none, 1e-3)

    def update_into(self) -> None:
        self.law.update_into(self.F, self.none, 1e-3, self.out)

    def update_kept(self) -> None:
        self.law.update_into(self.F, self.none, 1e-3, self.out, self.kept)

    def bars(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.tau_bar, self.F_bar, self.none

    def pullback(self) -> None:
        self.law.pullback(self.F, self.none, 1e-3, *self.bars())

    def pullback_into(self) -> None:
        self.law.pullback(self.F, self.none, 1e-3, *self.bars(), out=self.memory)

    def pullback_kept(self) -> None:
        self.law.pullback(
            self.F, self.none, 1e-3, *self.bars(),
            kept=self.kept, F_elastic=self.out.F_elastic, out=self.memory,
        )  # fmt: skip

    def graph(self) -> None:
        ConstitutiveLaw.pullback(self.law, self.F, self.none, 1e-3, *self.bars())


def row(name: str, seconds: tuple[float, ...], floors: tuple[float, float], case: Case) -> None:
    """Print one line: nanoseconds forward and backward, their sum and how far from the floor."""
    forward, backward = (t / len(case.F) for t in seconds)
    total = forward + backward
    ratio = total / sum(floors)
    print(
        f"  {name:22s} {forward * 1e9:7.0f} {backward * 1e9:8.0f} {total * 1e6:11.2f} {ratio:8.2f}"
    )


def others() -> dict[str, ConstitutiveLaw]:
    """Laws in principal stretches and of an energy, with scales of soft bodies."""
    flow = IsotropicPlasticity(1e-2, strain_scale=0.03, seed=1)
    return {
        "isotropic": Isotropic(1e5, 1e-2),
        "polyconvex": Polyconvex(4e4, seed=0),
        "cann": CANN(1e5),
        "polyconvex + isotropic flow": ElastoPlastic(Polyconvex(4e4, seed=0), flow),
        "spline + isotropic flow": ElastoPlastic(SplineElasticity(), flow),
    }


def beside_graph(law: ConstitutiveLaw, clock: Clock, particles: int) -> tuple[float, float]:
    """Seconds of one update and one pullback: of the law's own, and of those by the graph."""
    torch.manual_seed(0)
    device = next(law.parameters()).device
    F = torch.eye(3, device=device) + 0.02 * torch.randn(particles, 3, 3, device=device)
    tau_bar, F_bar, none = 1e-5 * torch.randn_like(F), torch.randn_like(F), F.new_zeros(len(F), 0)
    out = Response(torch.empty_like(F), torch.empty_like(F), none)

    def step(update_into: Callable[..., object], pullback: Callable[..., object]) -> None:
        update_into(law, F, none, 1e-3, out)
        pullback(law, F, none, 1e-3, tau_bar, F_bar, none, F_elastic=out.F_elastic)

    own, graph = type(law), ConstitutiveLaw
    return (
        clock.best(lambda: step(own.update_into, own.pullback), 20),
        clock.best(lambda: step(graph.update_into, graph.pullback), 20),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--particles", type=int, default=40_000)
    parser.add_argument("--block", type=int, nargs="*", default=[])
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = given.device
    clock, kind = Clock(device), device.partition(":")[0]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, {device}")
    for rows in given.block or [blockwise.ROWS[kind]]:
        blockwise.ROWS[kind] = rows
        floors = floor(clock, rows, torch.empty(0, device=device))
        print(
            f"blocks of {rows}; floor {floors[0] * 1e9:.0f} + {floors[1] * 1e9:.0f} ns a particle"
        )
        print("                         forward backward  s/1M, both  / floor")
        for law in (InvariantSmooth, InvariantFull):
            case = Case(law, given.particles, device)
            print(law.name)
            rows_of = {
                "update": (case.update, case.pullback),
                "into": (case.update_into, case.pullback_into),
                f"kept ({case.bytes:.0f} B)": (case.update_kept, case.pullback_kept),
            }
            for name, calls in rows_of.items():
                row(name, tuple(clock.best(call) for call in calls), floors, case)
            case.keep(hidden=True)
            kept = clock.best(case.update_kept), clock.best(case.pullback_kept)
            row(f"hidden ({case.bytes:.0f} B)", kept, floors, case)
            row("graph", (0.0, clock.best(case.graph, 2)), floors, case)
            few = Case(law, 1000, device)
            times = [1e3 * clock.best(call, 100) for call in (few.update, few.pullback)]
            print(f"  1000 particles: update {times[0]:.2f} ms, pullback {times[1]:.2f} ms")
    for particles in (1000, given.particles):
        print(f"{particles} particles, update and pullback [ms]         own   graph   ratio")
        for name, law in others().items():
            own, graph = beside_graph(law.float().to(device), clock, particles)
            print(f"  {name:42s} {own * 1e3:7.2f} {graph * 1e3:7.2f} {own / graph:7.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process {peak:.0f} MB")


if __name__ == "__main__":
    main()
