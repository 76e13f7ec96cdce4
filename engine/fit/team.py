# SPDX-License-Identifier: Apache-2.0
"""The processes of one fit: jobs are shared out, and every process gets all results.

Results come in the order of the jobs, whoever did them: what is made of them does not depend on the
number of processes. All processes go the same way, and the leader alone writes files.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from ..errors import GradientError, ProcessLost, SimulationError

T = TypeVar("T")

PATIENCE = timedelta(days=7)
"""A process waits this long for another one that lives; of one that died it hears at once."""
FAREWELL = 5.0
"""How long after a broken connection it is looked for who died [s]."""
REMEDY = "the last checkpoint is whole: run the same command with --resume to go on"


@dataclass(frozen=True)
class _Failure:
    """A job that ended with an error which all processes raise."""

    error: Exception


@dataclass
class Team:
    """The processes of one fit; by itself a single one.

    A context: on leaving it the processes part.
    """

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""
    device: str = "cpu"
    """Of this process: simulate there."""
    members: Sequence[tuple[str, int]] = ()
    """Host and process id of each."""
    store: Any = None
    """Where processes leave words for each other; None for one alone."""
    _before: Any = field(default=None, repr=False)
    """What a request to end did before."""
    _ending: bool = field(default=False, repr=False)

    @classmethod
    def here(cls, device: str = "cpu") -> Team:
        """The processes that torchrun started, as its environment tells; or this one alone.

        Args:
            device: cpu, cuda, or cuda:N for a process that is alone. With cuda each process of a
                machine has a GPU of its own, and results go by NCCL; where there are not as many
                they share, and results go by Gloo.

        Raises:
            ValueError: The environment is not whole, or a GPU is named for several processes.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device=device)
        missing = [n for n in ("RANK", "MASTER_ADDR", "MASTER_PORT") if n not in os.environ]
        if missing:
            raise ValueError(
                f"WORLD_SIZE says that there are several processes, and {missing[0]} is not set:"
                " start them by torchrun"
            )
        place = torch.device(device)
        backend = "gloo"
        if place.type == "cuda":
            if place.index is not None:
                raise ValueError(
                    f"got device {device} for several processes, expected cuda: each takes its own"
                )
            local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
            if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= there:
                backend = "cpu:gloo,cuda:nccl"
            device = f"cuda:{local % max(1, there)}"
            torch.cuda.set_device(device)
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
        team = cls(rank, size, device, store=store)
        members: list[Any] = [None] * size
        dist.all_gather_object(members, (socket.gethostname(), os.getpid()))
        team.members = members
        team._before = signal.signal(signal.SIGTERM, team._asked_to_end)
        return team

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Part from the others; each goes on alone."""
        if self.store is None:
            return
        after = signal.SIG_IGN if self._ending else self._before or signal.SIG_DFL
        signal.signal(signal.SIGTERM, after)
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
        self.store, self.members = None, ()
        self.rank, self.size = 0, 1

    def share(self, jobs: Sequence[Callable[[], T]], pool: Executor | None = None) -> list[T]:
        """Results of all jobs, in their order, for every process.

        Args:
            jobs: The same in every process; job k is done by process k % size. What they return
                can be pickled; tensors on a GPU stay on GPUs.
            pool: What does the jobs of this process; None does one after the other.

        Raises:
            SimulationError: That of the first job which failed, in every process.
            GradientError: Likewise.
            ValueError: Likewise.
            OSError: Likewise.
            ProcessLost: Another process died.
        """
        mine = jobs[self.rank :: self.size]
        if pool is None:
            own = [_outcome(job) for job in mine]
        else:
            own = [future.result() for future in [pool.submit(_outcome, job) for job in mine]]
        outcomes: list[Any] = [None] * len(jobs)
        for rank, theirs in enumerate(self._gather(own)):
            outcomes[rank :: self.size] = theirs
        for outcome in outcomes:
            if isinstance(outcome, _Failure):
                raise outcome.error
        return outcomes

    def led(self, job: Callable[[], T]) -> T:
        """What a job of the leader gives, such as one that reads or writes a file; see `share`."""
        return self.share([job])[0]

    def _gather(self, own: list[Any]) -> list[list[Any]]:
        """Of each process what it has."""
        if self.size == 1:
            return [own]
        packed, tensors = _packed(own)
        words: list[Any] = [None] * self.size
        shapes = [(t.shape, t.dtype) for t in tensors]
        try:
            dist.all_gather_object(words, (packed, shapes))
            found = []
            for rank, (theirs, shapes) in enumerate(words):
                if rank == self.rank:
                    parts = tensors
                else:
                    parts = [torch.empty(s, dtype=t, device=self.device) for s, t in shapes]
                for part in parts:
                    dist.broadcast(part, src=rank)
                found.append(own if rank == self.rank else _Unpickler(theirs, parts).load())
            return found
        except ProcessLost:  # by a signal meanwhile
            raise
        except RuntimeError as error:
            raise self._end() from error

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        if not self._ending:  # once is enough
            raise self._end(asked=True)

    def _end(self, *, asked: bool = False) -> BaseException:
        """What to raise now that the team is broken, or `asked` to end by a signal.

        The first one to notice says so; the others end without a word.
        """
        self._ending = True
        end = time.monotonic() + (0.0 if asked else FAREWELL)
        while not (lost := self._lost()) and time.monotonic() < end:
            time.sleep(0.02)
        spoken = 1
        if self.store is not None:
            with contextlib.suppress(RuntimeError):  # it may have died too
                spoken = self.store.add("told", 1)
        if spoken > 1:
            return SystemExit(1)
        if asked and not lost:
            return ProcessLost(f"asked to end by a signal (SIGTERM); {REMEDY}")
        who = " and ".join(f"{rank} (pid {self.members[rank][1]})" for rank in lost)
        who = f"process {who}" if lost else "one, on another machine,"
        return ProcessLost(f"of {self.size} processes, {who} was lost; {REMEDY}")

    def _lost(self) -> list[int]:
        """Ranks of the processes of this machine that do not run any more."""
        host = socket.gethostname()
        return [k for k, (at, pid) in enumerate(self.members) if at == host and not _runs(pid)]


def _outcome(job: Callable[[], Any]) -> Any:
    try:
        return job()
    except (SimulationError, GradientError, ValueError, OSError) as error:
        return _Failure(error)


def _packed(value: Any) -> tuple[bytes, list[Tensor]]:
    """As bytes, and beside them its tensors that are on a GPU."""
    tensors: list[Tensor] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> int | None:
            if not (isinstance(obj, Tensor) and obj.is_cuda):
                return None
            tensors.append(obj.detach().contiguous())
            return len(tensors) - 1

    file = io.BytesIO()
    Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue(), tensors


class _Unpickler(pickle.Unpickler):
    """Undoes `_packed`."""

    def __init__(self, packed: bytes, tensors: list[Tensor]) -> None:
        super().__init__(io.BytesIO(packed))
        self.tensors = tensors

    def persistent_load(self, pid: Any) -> Tensor:
        """The tensor of a number."""
        return self.tensors[pid]


def _runs(pid: int) -> bool:
    """Whether a process of this machine runs; one that ended and was not asked for does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's, or this system has no /proc
        return True
    return state not in "ZX"
