# SPDX-License-Identifier: Apache-2.0
"""Which trajectories a data set has: ranges, draws and splits."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from walk import every

from rheograd.engine.reduced.dataset import boundaries_of
from rheograd.engine.reduced.material import FLOWING, keeps_form, parameters, structure
from rheograd.engine.reduced.plan import Draw, plan, split_sizes
from rheograd.engine.reduced.variation import Choice, LogUniform, Uniform, Variation, ends
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean, Volumetric
from rheograd.materials.fibres import Active, FibreReinforced
from rheograd.materials.flows import HerschelBulkley, Snow, VolumeCorrecting
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.materials.plastic import (
    AnalyticPlasticity,
    DruckerPrager,
    FluidReset,
    HardeningVonMises,
    VonMises,
)
from rheograd.materials.rubber import Ogden
from rheograd.materials.tait import Tait
from rheograd.materials.viscoelastic import Viscoelastic
from rheograd.materials.viscous import Viscous
from rheograd.scenes import drop
from rheograd.scenes.catalog import load_script, scene_files
from rheograd.scenes.drop import Material

RANGES: dict[str, Variation] = {
    "velocity": Uniform((-1.5, -1.0, 0.0), (1.5, 1.0, 2.0)),
    "shape": Choice(("box", "cylinder", "capsule"), unseen=("sphere", "ellipsoid")),
    "young": LogUniform(1e4, 1e6),
}


def of(draws: list[Draw], split: str) -> list[Draw]:
    return [d for d in draws if d.split == split]


def test_the_same_seed_gives_the_same_plan() -> None:
    before = torch.random.get_rng_state()
    assert plan(RANGES, 16, seed=3) == plan(RANGES, 16, seed=3)
    assert plan(RANGES, 16, seed=3) != plan(RANGES, 16, seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(("n", "sizes"), [(4, (2, 1, 1)), (8, (6, 1, 1)), (16, (12, 2, 2)),
                                          (100, (76, 12, 12))])  # fmt: skip
def test_splits(n: int, sizes: tuple[int, int, int]) -> None:
    assert split_sizes(n) == sizes
    draws = plan(RANGES, n)
    assert [d.number for d in draws] == list(range(n))
    assert tuple(len(of(draws, s)) for s in ("train", "validation", "test")) == sizes
    unseen = [d for d in draws if d.options["shape"] in ("sphere", "ellipsoid")]
    assert all(d.split == "test" for d in unseen)
    assert [d.geometry == "unseen" for d in draws] == [d in unseen for d in draws]
    if n >= 16:
        assert len(unseen) == sizes[2] // 2 > 0
        assert len({d.options["shape"] for d in unseen}) == min(len(unseen), 2)


def test_sizes_of_splits_that_were_asked_for() -> None:
    assert split_sizes(10, validation=3, test=4) == (3, 3, 4)
    with pytest.raises(ValueError, match="leaves none to train with"):
        split_sizes(8, validation=4, test=4)
    with pytest.raises(ValueError, match="got 3 trajectories, expected 4 or more"):
        plan(RANGES, 3)
    with pytest.raises(ValueError, match="nothing is varied"):
        plan({}, 16)


def test_draws_cover_their_ranges() -> None:
    draws = plan(RANGES, 128, seed=1)
    velocity = torch.tensor([d.options["velocity"] for d in draws])
    low, high = torch.tensor([-1.5, -1.0, 0.0]), torch.tensor([1.5, 1.0, 2.0])
    assert bool(((velocity >= low) & (velocity <= high)).all())
    shares = ((velocity - low) / (high - low)).sort(0).values
    even = (torch.arange(128) + 0.5) / 128
    assert float((shares - even[:, None]).abs().max()) < 1 / 64
    young = torch.tensor([d.options["young"] for d in draws]).double()
    assert float(young.log().median().exp()) == pytest.approx(1e5, rel=0.05)
    assert 1e4 <= float(young.min()) < 1.1e4 and 9e5 < float(young.max()) <= 1e6
    kinds = [d.options["shape"] for d in of(draws, "train")]
    assert min(kinds.count(kind) for kind in set(kinds)) > 0.3 * len(kinds)


def test_values_of_ranges() -> None:
    assert Uniform(1.0, 3.0).value([0.25]) == 1.5
    assert Uniform((0.0, 1.0), (1.0, 5.0)).value([0.5, 0.75]) == (0.5, 4.0)
    assert LogUniform(1.0, 100.0).value([0.5]) == 10.0
    assert LogUniform(2e4, 1e5).value([1 / 3]) == float(f"{2e4 * 5 ** (1 / 3):.6g}")
    assert Uniform(1 / 3, 1.0).value([0.0]) == 1 / 3  # not less, as six digits of it are
    assert [Choice((1, 2)).value([u]) for u in (0.0, 0.49, 0.5, 1.0)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("range_", "bounds"),
    [(Uniform(1.0, 3.0), (1.0, 3.0)), (Uniform((0.0, -1.0), (1.0, 5.0)), ((0.0, -1.0), (1.0, 5.0))),
     (LogUniform(2e4, 1e5), (2e4, 1e5)), (Choice(("box",), unseen=("sphere",)), ())],
)  # fmt: skip
def test_ends_of_ranges_as_an_index_states_them(range_: Any, bounds: Any) -> None:
    assert ends(str(range_)) == bounds


@pytest.mark.parametrize(
    "words", ["", "Normal(low=1)", "Uniform(low=a)", "1 + 1", "Uniform(", "f()()"]
)
def test_words_that_state_no_range(words: str) -> None:
    with pytest.raises(ValueError, match=r"expected a range such as Uniform"):
        ends(words)


@pytest.mark.parametrize(
    "make",
    [lambda: Uniform(2.0, 1.0), lambda: Uniform((0.0, 0.0), (1.0,)), lambda: Uniform(0.0, (1.0,)),
     lambda: LogUniform(0.0, 1.0), lambda: LogUniform(2.0, 1.0), lambda: Choice(()),
     lambda: Choice((1, 2), unseen=(2,))],
)  # fmt: skip
def test_ranges_that_are_none(make: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


def test_scenes_vary_what_they_can_build() -> None:
    """Every scene that says what varies: all that is drawn makes the same scene otherwise."""
    found = [s for s in map(load_script, scene_files()) if s.variations({})]
    assert {s.name for s in found} == {"dam_break", "drop", "nclaw", "sand_column"}
    for script in found:
        table = script.variations({}) or {}
        draws = plan({name: v for group in table.values() for name, v in group.items()}, 16)
        scenes = [script.build(**d.options) for d in draws]
        assert len({boundaries_of(s) for s in scenes}) == 1
        assert len({s.domain for s in scenes}) == 1
        assert len({s.duration for s in scenes}) == 1
        for body in (b for s in scenes for b in s.bodies):
            domain = scenes[0].domain
            corners = torch.tensor([domain.lower, domain.upper], dtype=torch.float64)
            assert bool((body.shape.bounds[0] >= corners[0] - 1e-9).all())
            assert bool((body.shape.bounds[1] <= corners[1] + 1e-9).all())


def test_parameters_of_laws() -> None:
    law = ElastoPlastic(Hencky(2e5, 0.3), DruckerPrager(35.0))
    found = parameters(Damped(law, 1e-3))
    assert {name: value.item() for name, value in found.items()} == {
        "time": 1e-3, "law.elasticity.young": 2e5, "law.elasticity.poisson": 0.3,
        "law.plasticity.friction_angle": 35.0, "law.plasticity.cohesion": 0.0,
    }  # fmt: skip
    assert structure(Damped(law, 1e-3)) == "Damped(ElastoPlastic(Hencky, DruckerPrager))"
    jelly = NeoHookean(5e4, 0.3)
    values = parameters(jelly)
    (slope,) = torch.autograd.grad(values["young"].log() * values["poisson"], [jelly.young])
    assert slope.item() == pytest.approx(0.3 / 5e4)


@pytest.mark.parametrize("material", ["jelly", "plasticine", "sand", "snow", "water"])
@pytest.mark.parametrize("room", [1.0, 0.5])
def test_all_that_a_drop_can_vary_stays_in_its_room(material: Material, room: float) -> None:
    """Bodies at the ends of the ranges, turned in many ways."""
    table = drop.vary(material=material, room=room)
    assert "shape" not in drop.vary(material=material, mesh="a.stl")["shape"]
    ranges = {name: v for group in table.values() for name, v in group.items()}
    assert set(ranges) <= set(inspect.signature(drop.build).parameters)
    draws = plan(ranges, 64)
    for d in draws:
        most = {**d.options, "size": ranges["size"].value([1.0])}
        most["height"] = ranges["height"].value([float(d.number % 2)])
        body = drop.build(material=material, room=room, **most).bodies[0]
        bounds = body.shape.bounds
        assert float(bounds.min()) >= 0.0 and float(bounds.max()) <= room
    assert math.isclose(ranges["size"].value([1.0]) / room, drop.vary(material=material)["shape"][
        "size"].value([1.0]), rel_tol=1e-6)  # fmt: skip


def test_options_are_drawn_apart() -> None:
    """No two of them, nor two components of one, go up and down together."""
    draws = plan({**RANGES, "density": Uniform(0.0, 1.0)}, 128, seed=2)
    o = [d.options for d in draws if d.geometry == "seen"]
    rows = [(*d["velocity"], math.log(d["young"]), d["density"], d["shape"] == "box") for d in o]
    together = torch.corrcoef(torch.tensor(rows).double().T)
    assert float(together.fill_diagonal_(0.0).abs().max()) < 0.2


def test_what_keeps_its_form() -> None:
    """All but liquids, pastes, snow and grains, damped or not."""
    base = Hencky(2e5, 0.3)
    keeping: list[ConstitutiveLaw] = [
        NeoHookean(5e4, 0.3),
        ElastoPlastic(base, VonMises(1e3)),
        ElastoPlastic(base, HardeningVonMises(1e3, 1e4)),
        Viscoelastic(NeoHookean(5e4, 0.3), [1e4], [0.1]),
        FibreReinforced(NeoHookean(5e4, 0.3), 1e4, 1.0),
    ]
    flowing: list[ConstitutiveLaw] = [
        *(ElastoPlastic(base, flow) for flow in (DruckerPrager(35.0), VolumeCorrecting(35.0))),
        *(ElastoPlastic(base, flow) for flow in (HerschelBulkley(50.0, 5.0, 0.5), Snow())),
        ElastoPlastic(Volumetric(1e4, 0.3), FluidReset()),
        ElastoPlastic(Tait(1e5), FluidReset()),
        Volumetric(1e4, 0.3),
    ]
    for law in keeping + flowing:
        keeps = law in keeping
        assert keeps_form(law) is keeps and keeps_form(Damped(law, 1e-3)) is keeps
        assert keeps_form(Viscous(law, 1.0)) is keeps
    assert not keeps_form(Viscous.water(1e5, 1.0))


def test_every_flow_is_known_to_keep_its_form_or_not() -> None:
    """A new one has to be entered here, and where it flows in `FLOWING`."""
    solid = {"von-mises", "hardening-von-mises"}
    names = {flow.name for flow in every(AnalyticPlasticity)}
    assert names - solid == {flow.name for flow in every(AnalyticPlasticity)
                             if issubclass(flow, FLOWING)}  # fmt: skip


def test_numbers_in_a_row_are_parameters_of_their_own() -> None:
    """Moduli and times of branches, terms of Ogden's sum; not the weights of networks."""
    law = Viscoelastic(Ogden([1e5, -2e4], [2.0, -2.0], 1e6), [3e4, 1e4], [0.1, 2.0])
    found = parameters(Damped(law, 1e-3))
    assert {name: value.item() for name, value in found.items()} == {
        "time": 1e-3, "law.moduli[0]": 3e4, "law.moduli[1]": 1e4, "law.times[0]": 0.1,
        "law.times[1]": 2.0, "law.equilibrium.moduli[0]": 1e5, "law.equilibrium.moduli[1]": -2e4,
        "law.equilibrium.exponents[0]": 2.0, "law.equilibrium.exponents[1]": -2.0,
        "law.equilibrium.bulk": 1e6,
    }  # fmt: skip
    (slope,) = torch.autograd.grad(found["law.times[1]"].log(), [law.times])
    assert slope.tolist() == [0.0, 0.5]
    assert structure(Damped(law, 1e-3)) == "Damped(Viscoelastic(Ogden))"
    tissue = Active(FibreReinforced(NeoHookean(5e4, 0.3), 1e4, 1.0), 1e4)
    assert structure(tissue) == "Active(FibreReinforced(NeoHookean))"
    learned = InvariantSmooth(seed=0)
    assert structure(learned) == "InvariantSmooth"
    assert all(value.ndim == 0 for value in parameters(learned).values())
    assert not any("[" in name for name in parameters(learned))
