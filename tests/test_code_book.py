# SPDX-License-Identifier: Apache-2.0
"""Materials whose codes are learned with the law that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.materials.elastic import Corotated
from rheograd.materials.law import ConstitutiveLaw, Response
from rheograd.materials.learned.code_book import CodeBook
from rheograd.materials.learned.isotropic import ConditionalIsotropic, Isotropic

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")

DT = 1e-3


def trained(dtype: torch.dtype = torch.float64) -> CodeBook:
    """An example whose weights hear its codes, with a flow that is felt."""
    book = CodeBook.example().to(dtype)
    book.law.flow_scale = book.law.plasticity.flow_scale = 0.1
    with torch.no_grad():
        for weight in book.law.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return book


def strained(q: int) -> Tensor:
    eye = torch.eye(3, dtype=torch.float64)
    return torch.matrix_exp(0.2 * torch.randn(q, 3, 3, dtype=torch.float64)) @ eye


def memberships(q: int) -> Tensor:
    return torch.rand(q, 3, dtype=torch.float64)


def test_a_member_is_the_law_with_its_code() -> None:
    book, F = trained(), strained(10)
    for k in range(3):
        own = book.member(k).to(F).expand(10, -1)
        code = book.codes.detach()[k].expand(10, -1)
        out, expected = book.update(F, own, DT), book.law.update(F, code, DT)
        assert torch.equal(out.tau, expected.tau)
        assert torch.equal(out.F_elastic, expected.F_elastic)
        assert torch.equal(out.internal, own)
        assert torch.equal(book.stress(F, own), book.law.stress(F, code))
        tau, tangent = book.linearize(F, own, DT)
        assert torch.equal(tangent, book.law.linearize(F, code, DT)[1])
        assert torch.equal(tau.internal, own)


def test_what_is_linearized_has_no_graph() -> None:
    book = trained()
    F, own = strained(3).requires_grad_(), memberships(3).requires_grad_()
    found, tangent = book.linearize(F, own, DT)
    outs = found.tau, found.F_elastic, found.internal, tangent
    assert not any(out.requires_grad for out in outs)


def test_codes_are_drawn_by_their_seed() -> None:
    law = ConditionalIsotropic(2, seed=1)
    one, same, other = (CodeBook(law, 300, 0.3, seed=seed).codes.detach() for seed in (5, 5, 6))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert float(one.std()) == pytest.approx(0.3, rel=0.1), "1/√1200 is 0.03"
    assert abs(float(one.mean())) < 0.05


def test_gradients_against_differences() -> None:
    """By F, by memberships, and by codes and weights, each along a random direction."""
    book, F, own = trained(), strained(6), memberships(6)
    bars = torch.randn_like(F), torch.randn_like(F), torch.randn_like(own)
    back = book.pullback(F, own, DT, *bars)

    def value(F: Tensor, own: Tensor) -> Tensor:
        out = book.update(F, own, DT)
        answers = out.tau, out.F_elastic, out.internal
        return torch.stack([(a * b).sum() for a, b in zip(answers, bars, strict=True)]).sum()

    h = 1e-6
    with torch.no_grad():
        d = torch.randn_like(F)
        slope = (value(F + h * d, own) - value(F - h * d, own)) / (2 * h)
        assert float((back.F_trial * d).sum()) == pytest.approx(float(slope), rel=1e-6)
        d = torch.randn_like(own)
        slope = (value(F, own + h * d) - value(F, own - h * d)) / (2 * h)
        assert float((back.internal * d).sum()) == pytest.approx(float(slope), rel=1e-6)
        for weight, gradient in zip(book.parameters(), back.parameters, strict=True):
            assert gradient.shape == weight.shape
            d = torch.randn_like(weight)
            weight += h * d
            up = value(F, own)
            weight -= 2 * h * d
            down = value(F, own)
            weight += h * d
            expected = pytest.approx(float((up - down) / (2 * h)), rel=1e-5, abs=1e-4)
            assert float((gradient * d).sum()) == expected
    by_autograd = torch.autograd.grad(value(F, own), list(book.parameters()))
    for a, b in zip(back.parameters, by_autograd, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


def test_into_memory_with_kept_rotations() -> None:
    book, F = trained(torch.float32), strained(50).float()
    own = memberships(50).float()
    out = Response(torch.empty_like(F), torch.empty_like(F), torch.empty_like(own))
    kept = book.new_kept(50, F)
    book.update_into(F, own, DT, out, kept)
    with torch.no_grad():
        plain = book.update(F, own, DT)
    assert torch.equal(out.tau, plain.tau)
    assert torch.equal(out.F_elastic, plain.F_elastic)
    assert torch.equal(out.internal, own)
    bars = 1e-5 * torch.randn_like(F), torch.randn_like(F), torch.randn_like(own)
    a = book.pullback(F, own, DT, *bars)
    b = book.pullback(F, own, DT, *bars, kept=kept, F_elastic=out.F_elastic)
    assert torch.allclose(a.F_trial, b.F_trial, rtol=1e-5, atol=1e-5)
    assert torch.allclose(a.internal, b.internal, rtol=1e-4, atol=1e-5)


def test_a_file_keeps_codes_and_weights(tmp_path: Path) -> None:
    book = trained(torch.float32)
    book.save(tmp_path / "family.safetensors")
    read = ConstitutiveLaw.load(tmp_path / "family.safetensors")
    assert isinstance(read, CodeBook)
    assert torch.equal(read.codes, book.codes)
    F, own = strained(5).float(), memberships(5).float()
    read.law.flow_scale = read.law.plasticity.flow_scale = 0.1
    assert torch.equal(read.update(F, own, DT).tau, book.update(F, own, DT).tau)


SOLVER = MPMSolver(0.1, 1e-3)


def tray(laws: list[ConstitutiveLaw]) -> Scene:
    """Boxes side by side that fall to the floor; of one family each knows its place."""
    bodies = [
        Body(
            Box((0.2, 0.2, 0.2), (0.3 + 0.5 * k, 0.15, 0.3)), law, 1e3, (0.0, -2.0, 0.0),
            fields={"membership": law.member(k)} if isinstance(law, CodeBook) else {},
        )
        for k, law in enumerate(laws)
    ]  # fmt: skip
    scene = Scene(bodies, duration=0.1, name="tray")
    return replace(scene, domain=replace(scene.domain, upper=(0.1 + 0.5 * len(laws), 0.6, 0.6)))


def test_codes_are_learned_with_the_weights(tmp_path: Path) -> None:
    """A soft and a stiff box that fall together: the fit halves the error, and their codes part."""
    true = tray([Corotated(young=2e4, poisson=0.2), Corotated(young=8e4, poisson=0.2)])
    observed = Positions(simulate(true, SOLVER, steps=100, every=5))
    book = CodeBook(ConditionalIsotropic(1, 4e4, seed=0), 2, seed=0)
    before = book.codes.detach().clone()
    report = fit(
        tray([book, book]), SOLVER, observed, folder=tmp_path / "run", hold_out=0.0,
        recipe=Recipe(epochs=15, updates=4, from_start=True, shortest=50, rate_elasticity=2e-2),
    )  # fmt: skip
    (name,) = report.errors
    assert report.errors[name] < 0.25 * report.start_errors[name]
    apart = float((book.codes[0] - book.codes[1]).abs().detach())
    assert apart > 1.2 * float((before[0] - before[1]).abs())
    rest = torch.eye(3).expand(1, 3, 3) * torch.tensor([1.01, 1.0, 1.0])
    soft, stiff = (float(book.stress(rest, book.member(k)[None])[0, 0, 0].detach()) for k in (0, 1))
    assert stiff > 2 * soft


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: CodeBook(Isotropic(), 3), TypeError, "got Isotropic, expected a Conditional"),  # type: ignore[arg-type]
        (lambda: CodeBook(ConditionalIsotropic(), 0), ValueError, "got members = 0, expected"),
        (lambda: CodeBook(ConditionalIsotropic(), 2, 0.0), ValueError, "got spread = 0, expected"),
        (lambda: CodeBook.example().member(3), ValueError, "got material 3, expected one from 0"),
    ],
)
def test_bad_arguments_are_refused(
    make: Callable[[], object], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        make()
