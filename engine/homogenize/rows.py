# SPDX-License-Identifier: Apache-2.0
"""Tables of load cases: records whose tensors all have a row for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """What a table is; a subclass says what its columns are, each a tensor of k rows."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def pick(self, which: slice | Tensor) -> Self:
        """Some of the load cases."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several tables, one below the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
