# SPDX-License-Identifier: Apache-2.0
"""Training a time step: what it learns, that it repeats, and what it never sees."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import ends, start
from reduced_points import TINY, moving, stepper_of

from rheograd.engine.boundaries import Wall
from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced import reduction, training
from rheograd.engine.reduced.correction import Sample
from rheograd.engine.reduced.dataset import Case, Dataset
from rheograd.engine.reduced.features import Poses
from rheograd.engine.reduced.judging import GIVEN, error, naive_error, relative_error, roll_out
from rheograd.engine.reduced.motions import Motion
from rheograd.engine.reduced.network import Architecture, TimeStepper
from rheograd.engine.reduced.reduction import Reduction
from rheograd.engine.reduced.training import (
    Recipe,
    Training,
    chances,
    random_walk,
    set_scales,
    window_loss,
)
from rheograd.scenes.commands.reduce import builder

SHAPE = replace(TINY, code=0)
SPRING = 0.15
"""Of every point to its place in the body [1/frame²]: a period of 16 frames."""
RECIPE = Recipe(
    epochs=4, updates=40, batch=4, shards=2, rate=2e-2, warm=10, noise=0.02, memory=0.95,
    sparse=(40, 40), samplings=1,
)  # fmt: skip
SHORT = replace(RECIPE, epochs=3, updates=4, batch=2)


def swinging(seed: int, frames: int = 30) -> Motion:
    """A falling body whose points swing about their places in it, stepped as roll-outs are."""
    m = moving(30, 2, seed, SHAPE)
    p = m.points
    path = [*m.x]
    for _ in range(frames - 2):
        f = Poses.of(path[-1], p.rest, p.body, 1, turning=True)
        place = (p.rest - f.rest_centre) @ f.turn[0].T + f.centre
        path.append(2 * path[-1] - path[-2] - SPRING * (path[-1] - place) + p.gravity)
    points = p._replace(mass=torch.ones_like(p.mass), gravity=p.gravity.clone())
    return Motion(torch.stack(path), points, m.graph)


def single(m: Motion) -> Motion:
    """In float32, as trainings are."""
    parts = {
        n: getattr(m.points, n).float() for n in ("rest", "spacing", "mass", "code", "gravity")
    }
    walls = replace(m.points.walls, lower=torch.zeros(3) - 9, upper=torch.zeros(3) + 9)
    return m._replace(x=m.x.float(), points=m.points._replace(**parts, walls=walls))


def motions(count: int = 5) -> list[Motion]:
    return [single(swinging(k)) for k in range(count)]


def calm(shape: Architecture = TINY) -> TimeStepper:
    """One that knows of weight alone."""
    made = stepper_of(shape)
    for p in made.out[2].parameters():
        torch.nn.init.zeros_(p)
    return made


def trained(
    folder: Path, recipe: Recipe = SHORT, resume: bool = False, **settings: Any
) -> Training:
    """One that was run."""
    torch.manual_seed(0)
    every = motions(3)
    stepper = TimeStepper(SHAPE)
    set_scales(stepper, every[:2])
    config = {"epochs": recipe.epochs}
    made = Training(
        stepper, recipe, every[:2], every[2:], RunFolder(folder, config, resume=resume),
        **{"seed": 5, "threads": 1, **settings},
    )  # fmt: skip
    made.run()
    return made


def weights(made: Training) -> str:
    """A fingerprint of all that came out."""
    held = hashlib.sha256()
    for name, value in sorted(made.stepper.state_dict().items()):
        held.update(name.encode() + value.numpy().tobytes())
    return held.hexdigest()


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """Fingerprint and metrics of a short training."""
    folder = tmp_path_factory.mktemp("training") / "whole"
    return weights(trained(folder)), metrics(folder)


def test_a_small_network_learns_a_motion(tmp_path: Path) -> None:
    """Of points that swing: on a motion that it has not seen it beats what knows of no springs."""
    every = motions(6)
    torch.manual_seed(0)
    stepper = TimeStepper(SHAPE)
    set_scales(stepper, every[:4])
    work = Training(
        stepper, RECIPE, every[:4], every[4:5], RunFolder(tmp_path / "toy", {}, resume=False)
    )  # fmt: skip
    found = work.run()
    losses = [m["loss"] for m in metrics(tmp_path / "toy")]
    assert losses[-1] < 0.5 * losses[0]
    assert found == pytest.approx(error(stepper, every[4]), rel=1e-6)
    assert found == min(m["validation"] for m in metrics(tmp_path / "toy"))
    off, falling = error(stepper, every[5]), error(calm(SHAPE).float(), every[5])
    assert off < 0.5 * falling
    assert off < 0.5 * naive_error(every[5])


class Stop(Exception):
    """In the middle of a training."""


@pytest.mark.parametrize("after", [1, 2])
def test_a_training_that_is_resumed_is_the_whole_training(
    after: int, whole: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def tell(told: Mapping[str, Any]) -> None:
        if told["epoch"] + 1 == after:
            raise Stop

    with pytest.raises(Stop):
        trained(folder, tell=tell)
    # what a kill amid the next epoch leaves: a line without a checkpoint
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": after, "loss": 9.0, "validation": None}) + "\n")
    assert weights(trained(folder, resume=True)) == whole[0]
    assert metrics(folder) == whole[1] and len(whole[1]) == 3
    before = (folder / "metrics.jsonl").read_bytes()
    assert weights(trained(folder, resume=True)) == whole[0], "nothing was left to do"
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_threads_share_the_work_to_the_same_end(
    whole: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    assert weights(trained(tmp_path / "two", threads=2)) == whole[0]


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from rheograd.engine.fit.team import Team
import test_reduced_training as t

with Team.here() as team:
    folder = Path(sys.argv[2])
    team.led(lambda: t.RunFolder(folder, {"epochs": t.SHORT.epochs}, resume=False))
    print(t.weights(t.trained(folder, resume=True, team=team)))
"""


def test_processes_share_the_work_to_the_same_end(
    whole: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "team"
    program.write_text(PROGRAM)
    found = ends(start(program, 2, [str(Path(__file__).parent), str(folder)]))
    assert [e.code for e in found] == [0, 0], found[0].err + found[1].err
    assert [e.out.strip() for e in found] == [whole[0]] * 2
    assert metrics(folder) == whole[1]


def test_another_seed_is_another_training(
    whole: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    assert weights(trained(tmp_path / "other", seed=6)) != whole[0]


def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let windows be seen in no other orientation than their own."""
    eye = torch.eye(3, dtype=torch.float64)
    monkeypatch.setattr(Motion, "spins", lambda m, _: eye.expand(m.points.worlds, 3, 3))


def test_a_perfect_time_step_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what it made itself; and by hand what it loses of a motion that is moved as a whole."""
    still(monkeypatch)
    stepper, first = stepper_of(), moving(25)
    longer = first._replace(x=torch.cat([first.x, torch.zeros(3, 25, 3)]))
    made = first._replace(x=torch.cat([first.x, roll_out(stepper, longer, len(first.x))]))
    recipe = Recipe(noise=0.0, unroll=3, rigid=20.0)
    draw = torch.Generator()
    assert float(window_loss(stepper, made, recipe, draw).detach()) < 1e-20
    x, scale = made.x.clone(), float(stepper.acceleration)
    x[-2:] += scale * torch.tensor([0.1, 0.0, -0.2])
    loss = window_loss(stepper, made._replace(x=x), recipe, draw)
    # frames 2 and 3 count a quarter and a ninth, each component 0.05 / 3, and 20 times as much
    expected = 21 * (0.05 / 3) * (1 / 4 + 1 / 9) / 3
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    x = made.x.clone()
    spin = torch.tensor([[0.3, 0.1, 0.0]], dtype=torch.float64)
    x[-1] += scale * torch.linalg.cross(spin, x[-1] - 0.5)
    turned = window_loss(stepper, made._replace(x=x), recipe, draw)
    size = float(((x[-1] - made.x[-1]) / scale).square().mean())
    assert float(turned.detach()) == pytest.approx(21 * size / 9 / 3, rel=1e-3)


def test_blur_is_undone_by_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that knows of weight alone is off free fall by the blur of the last velocity."""
    still(monkeypatch)
    stepper = calm()
    m = moving(400)
    t = torch.arange(TINY.history + 2).double()[:, None, None]
    m = m._replace(x=m.x[0] + 0.01 * t + 0.5 * t * (t + 1) * m.points.gravity)
    recipe = Recipe(noise=0.1, rigid=0.0)
    draws = [torch.Generator().manual_seed(k) for k in range(5)]
    losses = [float(window_loss(stepper, m, recipe, d).detach()) for d in draws]
    assert sum(losses) / 5 == pytest.approx(0.1**2, rel=0.05)


def test_a_random_walk_has_the_stated_size() -> None:
    walk = random_walk(4, 20000, 0.3, torch.Generator().manual_seed(0))
    assert walk.shape == (5, 20000, 3) and torch.equal(walk[0], torch.zeros(20000, 3))
    v = walk[1:] - walk[:-1]
    for k in range(4):  # velocities are off by more and more, as sums of independent steps
        assert float(v[k].std()) == pytest.approx(0.3 * math.sqrt((k + 1) / 4), rel=0.02)
    steps = v[1:] - v[:-1]
    assert abs(float((steps[0] * steps[1]).mean())) < 0.02 * float(steps.square().mean())


def test_units_are_those_of_the_motions() -> None:
    every = motions(2)
    stepper = TimeStepper(SHAPE)
    set_scales(stepper, every)
    v = torch.stack([m.x.diff(dim=0).square().mean() for m in every]).mean().sqrt()
    a = torch.stack(
        [(m.x.diff(n=2, dim=0) - m.points.gravity).square().mean() for m in every]
    ).mean().sqrt()  # fmt: skip
    assert float(stepper.velocity) == pytest.approx(float(v), rel=1e-5)
    assert float(stepper.acceleration) == pytest.approx(float(a), rel=1e-4)
    assert float(stepper.spacing) == pytest.approx(float(every[0].points.spacing[0]), rel=1e-6)


def test_free_falls_are_refused() -> None:
    m = moving(30)
    t = torch.arange(8).double()[:, None, None]
    start = torch.zeros_like(m.x[0])
    fall = m._replace(x=start + 0.5 * t * t * torch.tensor([0.0, -0.25, 0.0]))
    weight = torch.tensor([0.0, -0.25, 0.0]).double().expand(30, 3)
    fall = fall._replace(points=m.points._replace(gravity=weight))
    with pytest.raises(ValueError, match="free falls"):
        set_scales(TimeStepper(TINY), [fall])


def test_impacts_are_drawn_more_often() -> None:
    """A window by the acceleration of its first target, in units of the scale, and a bit more."""
    m = single(swinging(0, frames=12))
    stepper = stepper_of(SHAPE).float()
    stepper.acceleration.fill_(2e-3)
    found = chances(stepper, m, Recipe(quiet=0.3, unroll=2))
    h = SHAPE.history
    assert len(found) == 12 - (h + 1) - 2 + 1
    for k, chance in enumerate(found.tolist()):
        target = m.x[k + h + 1] - 2 * m.x[k + h] + m.x[k + h - 1] - m.points.gravity
        size = float(target.square().mean().sqrt())
        assert chance == pytest.approx(size / 2e-3 + 0.3, rel=1e-4)


def test_roll_outs_and_their_errors() -> None:
    """By hand: a calm step, at a wall."""
    stepper = calm()
    m = moving(20, GIVEN + 3)
    found = roll_out(stepper, m)
    assert len(found) == 3
    x, last = m.x, GIVEN - 1
    one = 2 * x[last] - x[last - 1] + m.points.gravity
    assert torch.allclose(found[0], one, atol=1e-15)
    assert torch.allclose(found[1], 2 * one - x[last] + m.points.gravity, atol=1e-15)
    assert error(stepper, m) == pytest.approx(relative_error(found, x, GIVEN))
    assert torch.equal(roll_out(stepper, m, GIVEN + 2)[0], 2 * x[-2] - x[-3] + m.points.gravity)
    beside = replace(m.points.walls, upper=torch.full((3,), 0.4).double())
    stopped = m._replace(points=m.points._replace(walls=beside))
    high, low = float(beside.upper[0]), float(beside.lower[0])
    edge = high - 1e-5 * (high - low)  # just off the wall
    assert float(roll_out(stepper, stopped).max()) == pytest.approx(edge, abs=1e-12)
    assert naive_error(stopped) != naive_error(m)
    nan = m._replace(x=m.x * float("nan"))
    assert error(stepper, nan) == math.inf


def test_numbers_of_points_are_even_in_logarithm() -> None:
    assert Recipe(sparse=(500, 2000), samplings=3).counts() == [500, 1000, 2000]
    assert Recipe(sparse=(300, 300), samplings=1).counts() == [300]


SMALL = replace(training.SIZES["tiny"][1], epochs=1, updates=1)


def untaught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the way to the full order, which has tests of its own."""
    monkeypatch.setattr(reduction, "teach", lambda *_, **__: None)


def of_data(data: Dataset, folder: Path, recipe: Recipe = SMALL, **more: Any) -> Reduction:
    run = RunFolder(folder, {}, resume=False)
    shape = training.SIZES["tiny"][0]
    return Reduction(data, builder(data), shape, recipe, run, **more)


def test_what_tests_a_training_is_not_opened_by_it(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything of the operator but its errors different without test trajectories."""
    untaught(monkeypatch)
    seen: list[str] = []
    load, opened, run = Case.load, Case.open, Training.run
    monkeypatch.setattr(Case, "load", lambda case: (seen.append(case.split), load(case))[1])
    monkeypatch.setattr(Case, "open", lambda case: (seen.append(case.split), opened(case))[1])

    def watched(work: Training) -> float:
        found = run(work)
        seen.append("trained")
        return found

    monkeypatch.setattr(Training, "run", watched)
    data = Dataset.load(tiny_data)
    operator = of_data(data, tmp_path / "a").run()
    at = seen.index("trained")
    assert set(seen[:at]) == {"train", "validation"}
    assert "test" in seen[at:]
    rest = replace(data, cases=[c for c in data.cases if c.split != "test"])
    other = of_data(rest, tmp_path / "b").run()
    for name, value in operator.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert operator.scope == other.scope
    assert set(operator.errors) - set(other.errors) == {
        "test seen geometry", "test seen geometry constant acceleration",
    }  # fmt: skip


def test_what_an_operator_is_for_is_what_it_saw(tiny_data: Path, tmp_path: Path) -> None:
    """Between the ends of what could be drawn: few draws come near those."""
    data = Dataset.load(tiny_data)
    operator = of_data(data, tmp_path / "a").operator
    seen, scope = data.split("train"), operator.scope
    for name, bounds in (("young", (2e4, 1e5)), ("poisson", (0.2, 0.4))):
        assert scope.parameters[name] == pytest.approx(bounds)
        values = [c.parameters[name] for c in seen]
        plain = of_data(replace(data, ranges={}), tmp_path / name).operator.scope
        assert plain.parameters[name] == pytest.approx((min(values), max(values)))
    assert scope.varied == ["young", "poisson"] and operator.shape.code == 2
    assert scope.walls == [("contact", 0.0)] * 2 + [("contact", 0.4)] + [("contact", 0.0)] * 3
    scene = builder(data)(seen[0].options)
    assert scope.groups(scene) == [0, 0, 1, 0, 0, 0] and operator.shape.wall_groups == 2
    elsewhere = replace(scene, boundaries=[Wall("z+", friction=0.4), Wall("y-", "slip")])
    assert scope.groups(elsewhere) == [0, 0, 1, 0, 0, 1]
    assert scope.frame == pytest.approx(0.02) and scope.cell == 0.0625
    fastest = max(math.dist(c.options["velocity"], (0, 0, 0)) for c in seen)
    assert scope.speed == pytest.approx(fastest)
    build = builder(data)
    for case in data.cases:
        scope.require(replace(build(case.options), duration=0.32))


def split_of(data: Dataset, names: Sequence[str]) -> Dataset:
    return replace(data, cases=[c for c in data.cases if c.split in names])


REFUSED: dict[str, tuple[Callable[[Dataset], Dataset], str]] = {
    "train": (lambda d: split_of(d, ["validation", "test"]), "no trajectory of the split 'train'"),
    "validation": (lambda d: split_of(d, ["train"]), "no trajectory of the split 'validation'"),
    "logarithm": (
        lambda d: replace(d, ranges={"poisson": "Uniform(low=0.0, high=0.4)"}),
        "poisson varies from 0 to 0.4 in .*, expected positive numbers",
    ),
    "frames": (lambda d: replace(d, frames=5), "have 5 frames after the first, expected 6 or more"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_data_to_learn_nothing_from_are_refused(name: str, tiny_data: Path, tmp_path: Path) -> None:
    change, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        of_data(change(Dataset.load(tiny_data)), tmp_path / "a")


def test_motions_are_particles_of_the_trajectory(tiny_data: Path, tmp_path: Path) -> None:
    """As many as asked for; each sampling has others, none is far from the next."""
    data = Dataset.load(tiny_data)
    work = of_data(data, tmp_path / "a")
    case = data.split("train")[0]
    few, many = work.motions(case, [60, 100])
    truth = case.load().x
    for m, count in ((few, 60), (many, 100)):
        assert m.x.shape == (len(truth), count, 3)
        apart = torch.cdist(m.x[0].double(), truth[0].double())
        assert float(apart.amin(1).max()) < 1e-6
        at = apart.argmin(1)
        assert torch.equal(m.x, truth[:, at]) and len(at.unique()) == count
        assert float(m.points.mass.sum()) == pytest.approx(
            float((work.particles(case).volume * 1e3).sum()), rel=1e-5
        )
        near = m.points.rest[m.graph.clamp(min=0)] - m.points.rest[:, None]
        reach = work.shape.reach * float(m.points.spacing[0])
        assert float(near.norm(dim=2)[m.graph >= 0].max()) <= reach * (1 + 1e-5)
    other = replace(case, path=data.split("train")[1].path)
    if other.load().particles != case.particles:
        with pytest.raises(ValueError, match="not of the scene"):
            list(work.motions(other, [60]))


def test_units_count_all_motions_alike() -> None:
    """The spacing is the geometric mean of those of all motions."""
    every = [single(moving(n, 6, n, SHAPE)) for n in (30, 60, 90)]
    stepper = TimeStepper(SHAPE)
    set_scales(stepper, every)
    logs = [math.log(float(m.points.spacing[0])) for m in every]
    assert float(stepper.spacing) == pytest.approx(math.exp(sum(logs) / 3), rel=1e-5)


def test_samplings_of_a_motion_are_of_other_points(tiny_data: Path, tmp_path: Path) -> None:
    data = Dataset.load(tiny_data)
    work = of_data(data, tmp_path / "a")
    case = data.split("train")[0]
    one, two = work.motions(case, [60, 60])
    assert not torch.equal(one.points.rest, two.points.rest)
    dense = of_data(replace(data, particles_per_cell=27), tmp_path / "b").particles(case)
    expected = MPMSolver(data.cell, case.dt, particles_per_cell=27)
    assert torch.equal(dense.x0, expected.discretize(builder(data)(case.options)).x0)


def test_the_way_to_the_full_order_is_judged_by_motions_held_back(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[Sample] = []
    judged: list[Sample] = []
    monkeypatch.setattr(reduction, "teach", lambda _, samples, **__: taught.extend(samples))
    monkeypatch.setattr(reduction, "map_error", lambda _, sample: (judged.append(sample), 0.0)[1])
    data = Dataset.load(tiny_data)
    of_data(data, tmp_path / "a").run()
    for split, samples in (("train", taught), ("validation", judged)):
        assert len(samples) == len(data.split(split))
        for case, sample in zip(data.split(split), samples, strict=True):
            rest = case.load().x[0]
            assert len(sample.queries) + len(sample.points) == len(rest)
            assert float(torch.cdist(sample.queries.double(), rest.double()).amin(1).max()) < 1e-6


def test_motions_held_back_have_the_most_points(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So have those of the test, whose errors are their own and of the operator that came out."""
    untaught(monkeypatch)
    held: list[Motion] = []
    run = Training.run
    monkeypatch.setattr(Training, "run", lambda work: (held.extend(work.held), run(work))[1])
    data = Dataset.load(tiny_data)
    work = of_data(data, tmp_path / "a")
    operator, most = work.run(), [SMALL.sparse[1]]
    motions_of = {s: [m for c in data.split(s) for m in work.motions(c, most)] for s in
                  ("validation", "test")}  # fmt: skip
    assert all(torch.equal(m.x, n.x) for m, n in zip(held, motions_of["validation"], strict=True))
    for name, key in (("validation", "validation"), ("test seen geometry", "test")):
        every, plain = motions_of[key], f"{name} constant acceleration"
        naive = [naive_error(m) for m in every]
        assert operator.errors[plain] == pytest.approx(sum(naive) / len(naive))
        off = [error(operator.stepper, m) for m in every]
        assert operator.errors[name] == pytest.approx(sum(off) / len(off), rel=1e-5)
