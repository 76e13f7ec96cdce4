# SPDX-License-Identifier: Apache-2.0
"""The processes of a fit: results in order, errors in all, one sentence when one dies."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from processes import ends, start

from rheograd.engine.errors import GradientError, ProcessLost, SimulationError
from rheograd.engine.fit.team import Team

SHARES = """
import sys
import torch
from rheograd.engine.errors import GradientError, SimulationError
from rheograd.engine.fit.team import Team

def fails(number):
    if number == 1:
        raise SimulationError("at step 15, a particle left the grid", step=15)
    if number == 2:
        raise GradientError("not finite")
    return number

with Team.here() as team:
    jobs = [lambda k=k: (k, team.rank, torch.full((2,), 0.1 * k)) for k in range(5)]
    print([(k, who, float(t.sum())) for k, who, t in team.share(jobs)])
    print(team.leads, team.led(lambda: team.rank), team.share([]))
    try:
        team.share([lambda k=k: fails(k) for k in range(3)])
    except SimulationError as error:
        print(error, error.step)
    try:
        team.led(lambda: open("/nowhere/at/all"))
    except OSError as error:
        print(error.strerror)
"""

WAITS = """
import sys
import time
from rheograd.engine.fit.team import Team
from rheograd.scenes import cli

def work(parser, tokens):
    with Team.here() as team:
        print("ready", flush=True)
        while True:
            busy = team.leads and tokens == ["busy"]
            team.share([lambda: time.sleep(30.0 if busy else 0.01)] * team.size)

cli._dispatch = lambda words: work(None, words)
sys.exit(cli.main())
"""


def program(folder: Path, text: str) -> Path:
    path = folder / "program.py"
    path.write_text(text)
    return path


def test_results_come_in_order_and_the_first_error_to_all(tmp_path: Path) -> None:
    first, second = ends(start(program(tmp_path, SHARES), 2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    expected = [(k, k % 2, float(torch.full((2,), 0.1 * k).sum())) for k in range(5)]
    failed = "at step 15, a particle left the grid 15"
    missing = "No such file or directory"
    assert first.out.splitlines() == [str(expected), "True 0 []", failed, missing]
    assert second.out.splitlines() == [str(expected), "False 0 []", failed, missing]


@pytest.mark.parametrize("words", [[], ["busy"]], ids=["waiting", "working"])
def test_of_a_process_that_dies_the_other_says_one_sentence(
    words: list[str], tmp_path: Path
) -> None:
    """It waits for the other, or works until torchrun asks it to end."""
    processes = start(program(tmp_path, WAITS), 2, words)
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    leader, other = processes
    other.kill()
    other.wait()
    if words:
        leader.send_signal(signal.SIGTERM)
    first, _ = ends(processes)
    assert first.code == 1
    assert first.err == (
        f"error: of 2 processes, process 1 (pid {other.pid}) was lost; the last checkpoint is"
        " whole: run the same command with --resume to go on\n"
    )


def test_a_request_to_end_is_told_apart_from_a_loss() -> None:
    """All processes still run."""
    team = Team(0, 2, members=[(socket.gethostname(), os.getpid())] * 2)
    with pytest.raises(ProcessLost, match=r"^asked to end by a signal \(SIGTERM\); .* --resume"):
        team._asked_to_end(signal.SIGTERM, None)
    assert team._asked_to_end(signal.SIGTERM, None) is None


def test_alone_a_team_does_all_jobs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    def fails(number: int) -> int:
        if number > 1:
            raise (SimulationError if number == 2 else GradientError)(f"job {number}")
        return number

    team = Team.here("cuda:1")
    assert (team.rank, team.size, team.device, team.leads) == (0, 1, "cuda:1", True)
    with ThreadPoolExecutor(2) as pool:
        for inside in (None, pool):
            assert team.share([lambda k=k: fails(k) for k in (1, 0)], inside) == [1, 0]
            with pytest.raises(SimulationError, match="job 2"):
                team.share([lambda k=k: fails(k) for k in (0, 2, 3)], inside)


def test_half_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="RANK is not set"):
        Team.here()
