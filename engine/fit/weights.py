# SPDX-License-Identifier: Apache-2.0
"""Parameters of a law by name, to keep and to go back to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def weights(law: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters by name."""
    return {name: p.detach().clone() for name, p in law.named_parameters()}


def install(law: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give a law parameters by name."""
    with torch.no_grad():
        for name, parameter in law.named_parameters():
            parameter.copy_(values[name])


def taken(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those of a checkpoint whose names start with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
