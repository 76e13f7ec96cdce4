# SPDX-License-Identifier: Apache-2.0
"""The folder of a fit: what was asked, what happened, and enough to go on after a kill.

config.json     what was asked
metrics.jsonl   a line an epoch
checkpoint.safetensors   law, optimizer and counters after the last whole epoch
law_start.safetensors, law.safetensors   the law before and after
predicted.vtkhdf, observed.vtkhdf        the latest predicted motion, and what was seen of it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..atomic import replacing
from ..resume import load_state, save_state
from .prediction import Predictions

Tell = Callable[[Mapping[str, Any]], None]
"""Is told the metrics of each epoch as metrics.jsonl gets them, a `note`, or how many of the
simulations that judge the fit are done: `judged` `of` all."""


def require_folder(path: Path) -> None:
    """Refuse a file where a folder is to be.

    Raises:
        ValueError: There is a file.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, expected a folder: name another with --out")


class RunFolder:
    """Files of one fit; every one is replaced in one go, so a kill loses the current epoch only."""

    def __init__(
        self, path: Path | str, config: Mapping[str, Any], *, resume: bool, predict: float = 0.0
    ) -> None:  # fmt: skip
        """Open or create the folder.

        Args:
            path: The folder.
            config: What was asked, as JSON values; must be the same when resuming.
            resume: Go on from the checkpoint in it, if there is one.
            predict: Seconds between two predictions that are written to it; 0 for none.

        Raises:
            ValueError: It holds another fit, or there is a fit and `resume` is not set.
        """
        self.path = Path(path)
        self.config = json.loads(json.dumps(dict(config)))
        self.predictions = Predictions(self.path, predict)
        require_folder(self.path)
        old = self.path / "config.json"
        if old.is_file():
            before = json.loads(old.read_text())
            if not resume:
                raise ValueError(
                    f"{self.path} already holds a fit: add --resume to go on with it, or choose"
                    " another folder"
                )
            if before != self.config:
                raise ValueError(
                    f"{self.path} holds a fit with {difference(before, self.config)}: resume with"
                    " the same settings, or choose another folder"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        if not old.is_file():
            with replacing(old) as draft:
                draft.write_text(json.dumps(self.config, indent=2) + "\n")

    @property
    def checkpoint(self) -> Path:
        """Where `save` writes."""
        return self.path / "checkpoint.safetensors"

    def save(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Replace the checkpoint."""
        save_state(self.checkpoint, tensors, {"counters": json.dumps(dict(counters))})

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The checkpoint, or None if no epoch was finished."""
        if not self.checkpoint.is_file():
            return None
        tensors, texts = load_state(self.checkpoint)
        return tensors, json.loads(texts["counters"])

    def metrics(self) -> list[dict[str, Any]]:
        """All lines written so far."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        lines = []
        for line in path.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:  # the line at which a kill came
                break
        return lines

    def rewind(self, epochs: int) -> None:
        """Drop metrics of epochs from `epochs` on: they will be run again."""
        kept = [m for m in self.metrics() if m["epoch"] < epochs]
        with replacing(self.path / "metrics.jsonl") as draft:
            draft.write_text("".join(json.dumps(m) + "\n" for m in kept))

    def report_epoch(self, metrics: Mapping[str, Any]) -> None:
        """Append a line."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(dict(metrics)) + "\n")


def difference(before: Any, now: Any, where: str = "") -> str:
    """The first thing that differs in two configurations, as "rate = 0.1, not 0.2"."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = ({str(k + 1): v for k, v in enumerate(values)} for values in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        shared = sorted(k for k in before.keys() & now.keys() if before[k] != now[k])
        if before.keys() == now.keys() or (shared and not where):
            return difference(before[shared[0]], now[shared[0]], f"{where} {shared[0]}".strip())
        before, now = (", ".join(values) or "nothing" for values in (before, now))
        return f"the {where or 'settings'} {before}, not {now}"
    if isinstance(before, list | dict) or isinstance(now, list | dict):
        return f"other {where}"
    return f"{where} = {before}, not {now}"


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments and step counts by parameter number."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{number}.{name}": value
        for number, values in state.items()
        for name, value in values.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
