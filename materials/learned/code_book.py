# SPDX-License-Identifier: Apache-2.0
"""A family of materials whose codes are learned together with the network that reads them.

A `ConditionalIsotropic` law is told by a code which material it is. Where the materials of a
training have no numbers of their own, each gets a code that is free, and codes and weights are
learned by one descent: an auto-decoder (Park et al. 2019, "DeepSDF: Learning Continuous Signed
Distance Functions for Shape Representation"). The code of a point is

    c = sum over k of m_k c_k

with m the constant field "membership", a one at the material of the body and zeros elsewhere; what
lies between two materials mixes their codes. A new material is known by a code of its own for the
law inside, all of whose weights stay as they are.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ..law import ConstitutiveLaw, Pullback, Response, without_frozen
from .isotropic import ConditionalIsotropic, IsotropicPlasticity


class CodeBook(ConstitutiveLaw):
    """A conditional law with the codes of `members` materials, drawn at first.

    Args:
        law: Reads the codes.
        members: Number of materials, from 1.
        spread: Standard deviation of the codes at first [-], above 0: materials of equal codes
            would stay equal where all of a motion is alike.
        seed: Of the codes; None takes torch's global generator.

    Raises:
        TypeError: The law is of another kind.
        ValueError: A number is out of range.
    """

    name: ClassVar[str] = "code-book"
    capturable: ClassVar[bool] = True

    def __init__(
        self,
        law: ConditionalIsotropic,
        members: int,
        spread: float = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(law, ConditionalIsotropic):
            raise TypeError(
                f"got {type(law).__name__}, expected a ConditionalIsotropic: only that reads codes"
            )
        if not isinstance(members, int) or members < 1:
            raise ValueError(f"got members = {members}, expected the number of materials, from 1")
        if not 0 < spread < float("inf"):
            raise ValueError(f"got spread = {spread:g}, expected a positive finite number [-]")
        self.members, self.spread, self.seed = members, float(spread), seed
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.codes = nn.Parameter(spread * torch.randn(members, law.code, generator=generator))
        """Of each material [-], shape (members, k)."""
        self.law = law
        self.fields = {"membership": members}
        self.n_internal = members

    @property
    def plasticity(self) -> IsotropicPlasticity:
        """That of the law, which a fit trains at a rate of its own."""
        return self.law.plasticity

    def member(self, number: int) -> Tensor:
        """The field "membership" of a body of one material, shape (members,).

        Raises:
            ValueError: There is no such material.
        """
        if not 0 <= number < self.members:
            raise ValueError(
                f"got material {number}, expected one from 0 to {self.members - 1}: a new material"
                " has a code of its own for the law inside"
            )
        return torch.eye(self.members)[number]

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.law.stress(F_elastic, self._code(internal))

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        found = self.law.update(F_trial, self._code(internal), dt)
        return Response(found.tau, found.F_elastic, internal)

    @torch.no_grad()
    def update_into(
        self, F_trial: Tensor, internal: Tensor, dt: float, out: Response, kept: Any = None
    ) -> None:
        """See `ConstitutiveLaw.update_into`."""
        code = self._code(internal)
        self.law.update_into(F_trial, code, dt, Response(out.tau, out.F_elastic, code), kept)
        if out.internal is not internal:
            out.internal.copy_(internal)

    def new_kept(self, q: int, like: Tensor) -> Tensor:
        """See `ConstitutiveLaw.new_kept`."""
        return self.law.new_kept(q, like)

    @torch.no_grad()
    def pullback(
        self, F_trial: Tensor, internal: Tensor, dt: float, tau_bar: Tensor, F_bar: Tensor,
        internal_bar: Tensor, *, kept: Any = None, F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:  # fmt: skip
        """See `ConstitutiveLaw.pullback`; without a graph."""
        code, codes = self._code(internal), self.codes.to(internal)
        back = self.law.pullback(
            F_trial, code, dt, tau_bar, F_bar, torch.zeros_like(code),
            kept=kept, F_elastic=F_elastic, out=out,
        )  # fmt: skip
        own = (internal.mT @ back.internal).to(self.codes)
        whole = internal_bar + back.internal @ codes.mT
        return Pullback(back.F_trial, whole, without_frozen(self, (own, *back.parameters)))

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`."""
        found, tangent = self.law.linearize(F_trial, self._code(internal).detach(), dt)
        return Response(found.tau, found.F_elastic, internal.detach()), tangent

    def _code(self, internal: Tensor) -> Tensor:
        """Codes of points, shape (q, k), by their memberships (q, members)."""
        return internal @ self.codes.to(internal)

    @classmethod
    def example(cls) -> Self:
        """Three materials of codes that differ, and weights that tell them apart."""
        law = ConditionalIsotropic(2, seed=1)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weights in law.elasticity.parameters():
                weights += 0.1 * torch.randn(weights.shape, generator=generator)
        return cls(law, 3, spread=0.5, seed=2)

    def extra_repr(self) -> str:
        """Sizes, for print()."""
        return f"members={self.members}, spread={self.spread:g}"
