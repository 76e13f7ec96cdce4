# SPDX-License-Identifier: Apache-2.0
"""The learned time step: what holds whatever its weights are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from reduced_points import GRAVITY, TINY, moving, rotation_matrix, stepper_of
from scipy.linalg import polar
from torch import Tensor

from rheograd.engine.reduced.features import Poses, WallGroups, rotation
from rheograd.engine.reduced.interaction import MLP, Graph, Interaction
from rheograd.engine.reduced.judging import extrapolated, relative_error
from rheograd.engine.reduced.latent_grid import (
    AttentionBlock,
    Experts,
    LatentGrid,
    LinearAttention,
    stencil,
)
from rheograd.engine.reduced.motions import Motion, joined
from rheograd.engine.reduced.network import Architecture, TimeStepper, without_net_force
from rheograd.engine.reduced.stepping import advance, graph

ROUNDING = 1e-12
"""Of accelerations of 1e-2 m/frame², after some hundred operations."""
KINDS = {
    "solid": TINY,
    "flowing": replace(TINY, reference=False),
    "free": replace(TINY, conserving=False),
    "gridless": replace(TINY, grid=0),
}
EVERY = pytest.mark.parametrize("kind", list(KINDS))


def near(motion: Motion, shape: Architecture) -> Tensor:
    """Neighbours as a roll-out finds them."""
    if shape.reference:
        return motion.graph
    return graph(shape, motion.points, motion.x[-1])


def answer(stepper: TimeStepper, motion: Motion, **more: Any) -> Tensor:
    return stepper(motion.x, motion.points, near(motion, stepper.shape), **more).detach()


def differs(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


def of_points(motion: Motion, order: Tensor) -> Motion:
    """The same points in another order."""
    p = motion.points
    parts = ("rest", "body", "world", "spacing", "mass", "code", "gravity")
    points = p._replace(**{name: getattr(p, name)[order] for name in parts})
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    told = motion.graph[order]
    return Motion(motion.x[:, order], points, torch.where(told >= 0, back[told.clamp(min=0)], -1))


def turned(motion: Motion, Q: Tensor) -> Motion:
    """All of it in motion about the middle of the domain, but for the shape at rest."""
    x = (motion.x - 0.5) @ Q.T + 0.5
    return motion._replace(x=x, points=motion.points._replace(gravity=motion.points.gravity @ Q.T))


@EVERY
def test_order_of_points_and_of_neighbours_is_nothing(kind: str) -> None:
    stepper, motion = stepper_of(KINDS[kind]), moving()
    expected = answer(stepper, motion)
    order = torch.randperm(40)
    assert differs(answer(stepper, of_points(motion, order)), expected[order]) < ROUNDING
    told = near(motion, stepper.shape)
    slots = told.gather(1, torch.rand(told.shape).argsort(1))
    assert not torch.equal(slots, told)
    found = stepper(motion.x, motion.points, slots).detach()
    assert differs(found, expected) < ROUNDING


@EVERY
def test_away_from_walls_place_is_nothing(kind: str) -> None:
    stepper, motion = stepper_of(KINDS[kind]), moving()
    expected = answer(stepper, motion)
    elsewhere = motion._replace(x=motion.x + torch.tensor([0.05, -0.03, 0.02]).double())
    assert differs(answer(stepper, elsewhere), expected) < 1e-11
    at_wall = motion._replace(x=motion.x + torch.tensor([0.25, 0.0, 0.0]).double())
    assert differs(answer(stepper, at_wall), expected) > 1e-6


@pytest.mark.parametrize("kind", ["solid", "free", "gridless"])
def test_with_a_reference_its_answer_turns_with_the_body(kind: str) -> None:
    stepper, motion, Q = stepper_of(KINDS[kind]), moving(), rotation_matrix(5)
    expected = answer(stepper, motion) @ Q.T
    assert differs(answer(stepper, turned(motion, Q)), expected) < 1e-11


def test_without_a_reference_it_does_not() -> None:
    stepper, motion, Q = stepper_of(reference=False), moving(), rotation_matrix(5)
    assert differs(answer(stepper, turned(motion, Q)), answer(stepper, motion) @ Q.T) > 1e-5


@EVERY
def test_a_spin_is_another_orientation_of_all(kind: str) -> None:
    """As if rest shape, motion, weight and walls were turned, and its answer turned back.

    Checked at a corner with a quarter turn, which takes walls into walls.
    """
    shape = KINDS[kind]
    stepper = stepper_of(shape)
    motion = moving(centre=(0.2, 0.25, 0.7))
    Q = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).double()
    p = motion.points
    # v Q: what was along y is along -x, so the floor y- is x+ now
    walls = replace(p.walls, group=torch.tensor([0, 1, 0, 0, 0, 0]))
    points = p._replace(rest=p.rest @ Q, gravity=p.gravity @ Q, walls=walls)
    other = motion._replace(x=(motion.x - 0.5) @ Q + 0.5, points=points)
    assert differs(points.gravity[0], torch.tensor([-GRAVITY[1], 0.0, 0.0])) < 1e-9
    expected = answer(stepper, other) @ Q.T
    assert differs(answer(stepper, motion, spun=Q[None]), expected) < 1e-11
    assert differs(answer(stepper, motion, spun=torch.eye(3).double()[None]), expected) > 1e-6


def pair_forces(x: Tensor, mass: Tensor) -> Tensor:
    """Accelerations by central forces that are equal and opposite."""
    apart = x[:, None] - x
    size = torch.randn(len(x), len(x), dtype=torch.float64)
    return ((size + size.T)[..., None] * apart).sum(1) / mass


def test_what_is_left_without_a_net_force() -> None:
    n, world = 30, torch.arange(30) % 2
    x, a = torch.randn(2, n, 3).double()
    mass = 0.5 + torch.rand(n, 1).double()
    left = without_net_force(a, x, mass, world, 2)
    for k in range(2):
        m, y, b = mass[world == k], x[world == k], left[world == k]
        arm = y - (m * y).sum(0) / m.sum()
        assert float((m * b).sum(0).abs().max()) < ROUNDING
        assert float((m * torch.linalg.cross(arm, b)).sum(0).abs().max()) < ROUNDING
    assert differs(without_net_force(left, x, mass, world, 2), left) < ROUNDING
    pairs = torch.zeros(n, 3).double()
    for k in range(2):
        pairs[world == k] = pair_forces(x[world == k], mass[world == k])
    assert differs(without_net_force(pairs, x, mass, world, 2), pairs) < 1e-11
    omega, drift = torch.randn(2, 2, 3).double()
    centre = torch.stack([(mass * x)[world == k].sum(0) / mass[world == k].sum() for k in (0, 1)])
    rigid = drift[world] + torch.linalg.cross(omega[world], x - centre[world])
    assert float(without_net_force(rigid, x, mass, world, 2).abs().max()) < ROUNDING


@pytest.mark.parametrize("kind", ["solid", "flowing", "gridless"])
def test_a_free_body_is_moved_by_its_weight_alone(kind: str) -> None:
    for seed in range(3):
        stepper, motion = stepper_of(KINDS[kind], seed), moving(seed=seed)
        m, a = motion.points.mass, answer(stepper, motion)
        whole = (m * a).sum(0) / m.sum()
        assert differs(whole, motion.points.gravity[0]) < ROUNDING
        c = (m * motion.x[-1]).sum(0) / m.sum()
        torque = (m * torch.linalg.cross(motion.x[-1] - c, a)).sum(0)
        assert float(torque.abs().max()) < ROUNDING
        assert float((a - whole).abs().max()) > 1e-5, "it does not deform"
        at_wall = motion._replace(x=motion.x - torch.tensor([0.0, 0.3, 0.0]).double())
        found = (m * answer(stepper, at_wall)).sum(0) / m.sum()
        assert differs(found, motion.points.gravity[0]) > 1e-5


@EVERY
def test_worlds_know_nothing_of_each_other(kind: str) -> None:
    """Nor do their latent grids; a world may have several bodies, and other sizes."""
    stepper = stepper_of(KINDS[kind])
    sizes, places = (40, 25, 31), ((0.5, 0.5, 0.5), (0.2, 0.3, 0.4), (0.55, 0.5, 0.5))
    alone = [moving(n, seed=n, centre=c) for n, c in zip(sizes, places, strict=True)]
    halves = alone[0].points
    two = (halves.rest[:, 0] > 0).long()
    points = halves._replace(body=two, bodies=2)
    alone[0] = Motion(alone[0].x, points, graph(TINY, points, points.rest))
    found = answer(stepper, joined(alone)).split(sizes)
    for motion, mine in zip(alone, found, strict=True):
        assert differs(mine, answer(stepper, motion)) < 1e-11


@EVERY
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_points_are_no_trouble(kind: str, n: int) -> None:
    """Fewer than neighbours, in one plane, in line, alone; nodes without points."""
    stepper = stepper_of(KINDS[kind]).requires_grad_()
    motion = moving(n)
    x = motion.x.clone().requires_grad_()
    a = stepper(x, motion.points, near(motion, stepper.shape))
    assert bool(a.isfinite().all())
    grads = torch.autograd.grad(a.square().sum(), [x, *stepper.parameters()], allow_unused=True)
    assert all(bool(g.isfinite().all()) for g in grads if g is not None)


def test_a_point_far_from_all_others() -> None:
    stepper = stepper_of(reference=False)
    motion = moving(12)
    x = motion.x.clone()
    x[:, 0] += 0.4
    motion = motion._replace(x=x.requires_grad_())
    told = near(motion, stepper.shape)
    assert bool((told[0] == -1).all())
    a = stepper(motion.x, motion.points, told)
    (g,) = torch.autograd.grad(a.square().sum(), x)
    assert bool(a.isfinite().all()) and bool(g.isfinite().all())


@EVERY
def test_gradients_are_those_of_differences(kind: str) -> None:
    """By positions, material, weight and weights; near a wall, so that it matters too."""
    stepper, motion = stepper_of(KINDS[kind]), moving(30, centre=(0.5, 0.2, 0.5))
    told = near(motion, stepper.shape)
    where = torch.randn(30, 3).double()
    p = motion.points
    given = {
        "x": motion.x, "code": p.code.contiguous(), "gravity": p.gravity.contiguous(),
        "mass": p.mass, "rest": p.rest,
    }  # fmt: skip
    given = {name: t.clone().requires_grad_() for name, t in given.items()}

    def loss() -> Tensor:
        own = {name: t for name, t in given.items() if name != "x"}
        return (where * stepper(given["x"], p._replace(**own), told)).sum()

    tensors = {**given, **dict(stepper.named_parameters())}
    grads = torch.autograd.grad(loss(), list(tensors.values()), allow_unused=True)
    scale = {"x": 1e-4, "rest": 1e-4}
    seen = 0
    for (name, t), g in zip(tensors.items(), grads, strict=True):
        if g is None:
            unheard = {"rest"} if stepper.shape.conserving else {"rest", "mass"}
            assert name in unheard, name
            continue
        direction = torch.randn_like(t) * scale.get(name, 1e-3)
        kept, ends = t.detach().clone(), []
        with torch.no_grad():
            for h in (1e-2, -1e-2):
                t.copy_(kept + h * direction)
                ends.append(float(loss()))
            t.copy_(kept)
        slope = (ends[0] - ends[1]) / 2e-2
        assert float((g * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-11), name
        seen += abs(slope) > 1e-9
    assert seen > len(tensors) // 2


def test_the_latent_grid_is_continuous_across_its_cells() -> None:
    """A point that passes a face, an edge or a node of the grid is not noticed."""
    torch.manual_seed(3)
    grid = LatentGrid(8, 8, 4, 1, 2, 2).double()
    x = torch.rand(20, 3).double()
    x[0], x[1] = 0.0, 1.0  # the grid stays as it is
    held = torch.randn(20, 8).double()
    world = torch.zeros(20, dtype=torch.int64)
    for corner in ([1 / 3, 0.4, 0.5], [1 / 3, 2 / 3, 0.5], [1 / 3, 1 / 3, 2 / 3]):
        ends = []
        for step in (-1e-12, 1e-12):
            y = x.clone()
            y[2] = torch.tensor(corner, dtype=torch.float64) + step
            s = stencil(y, world, 1, 4)
            ends.append((s.node[2], grid(held, y, world, 1).detach()))
        assert not torch.equal(ends[0][0], ends[1][0]), "no face was passed"
        assert differs(ends[0][1], ends[1][1]) < 1e-9


def test_hats_reproduce_linear_functions() -> None:
    x = torch.cat([torch.rand(30, 3), 5 * torch.rand(20, 3) - 7]).double()
    world = (torch.arange(50) >= 30).long()
    s = stencil(x, world, 2, 5)
    assert differs(s.hat.sum(1), torch.ones(50, 1).double()) < 1e-14
    assert float(s.hat.min()) >= 0.0 and int(s.node[30:].min()) >= 125 > int(s.node[:30].max())
    # the node itself lies at the point less its offset
    for k in range(2):
        mine = world == k
        size = float((x[mine].amax(0) - x[mine].amin(0)).max()) / 4
        at = x[mine][:, None] - size * s.offset[mine]
        A, b = torch.randn(3).double(), 0.7
        assert (
            differs((s.hat[mine] * (at @ A + b)[..., None]).sum(1)[:, 0], x[mine] @ A + b) < 1e-12
        )
        for node in s.node[mine].unique():
            places = at[s.node[mine] == node]
            assert differs(places, places[:1]) < 1e-12
    total = torch.zeros(250).double().index_add(0, s.node.flatten(), s.hat.flatten())
    told = torch.zeros(250).double().index_add(0, s.node.flatten(), s.share.flatten())
    assert differs(told[:, None], s.presence) < 1e-14
    assert differs(s.presence[:, 0], total / (total + 0.25)) < 1e-14
    assert float(s.presence.min()) == 0.0
    with pytest.raises(ValueError, match="two nodes"):
        stencil(x, world, 2, 1)


def test_linear_attention_is_the_plain_sum() -> None:
    """Over tokens told, by head: Σ q·k v / Σ q·k, with q and k positive."""
    layer = LinearAttention(6, 2).double()
    asking, told = torch.randn(2, 4, 6).double(), torch.randn(2, 5, 6).double()
    weight = torch.rand(2, 5, 1).double()
    weight[0, 3] = 0.0
    found = layer(asking, told, weight)
    q, k, v = layer.query(asking), layer.key(told), layer.value(told)
    for world in range(2):
        for t in range(4):
            heard = []
            for head in (slice(0, 3), slice(3, 6)):
                a = q[world, t, head].softmax(0)
                counts = [
                    float(weight[world, j]) * (a @ k[world, j, head].softmax(0)) for j in range(5)
                ]
                values = sum(c * v[world, j, head] for j, c in enumerate(counts))
                heard.append(values / sum(counts))
            assert differs(found[world, t], layer.out(torch.cat(heard))) < 1e-12
    told[0, 3] = 1e3
    assert torch.equal(layer(asking, told, weight), found), "a token without weight was heard"
    with pytest.raises(ValueError, match="multiple of the heads"):
        LinearAttention(6, 4)


def test_experts_are_mixed_by_place() -> None:
    layer = Experts(4, 8, 3).double()
    tokens, place = torch.randn(2, 5, 4).double(), torch.randn(5, 3).double()
    found = layer(tokens, place)
    for t in range(5):
        share = layer.gate(place[t]).softmax(0)
        parts = [share[k] * layer.layers[k](tokens[:, t]) for k in range(3)]
        expected = torch.stack(parts).sum(0)
        assert differs(found[:, t], expected) < 1e-14


def test_an_interaction_is_a_network_of_both_ends() -> None:
    """The messages' first layer, split, is a layer on edge, receiver and sender side by side."""
    layer = Interaction(4).double()
    points, edges = torch.randn(6, 4).double(), torch.randn(6, 3, 4).double()
    index = torch.randint(-1, 6, (6, 3))
    index[2] = -1
    told = Graph.of(index, torch.rand(6, 3).double())
    message = MLP(12, 4, 4).double()
    with torch.no_grad():
        blocks = [layer.edge.weight, layer.here.weight, layer.there.weight]
        message.load_state_dict(
            {
                "0.weight": torch.cat(blocks, 1),
                "0.bias": layer.there.bias,
                **{f"2.{k}": t for k, t in layer.message[1].state_dict().items()},
                **{f"3.{k}": t for k, t in layer.message[2].state_dict().items()},
            }
        )
    found, kept = layer(points, edges, told)
    for i in range(6):
        heard = torch.zeros(4).double()
        for k in range(3):
            ends = torch.cat([edges[i, k], points[i], points[max(int(index[i, k]), 0)]])
            said = message(ends)
            assert differs(kept[i, k], edges[i, k] + said) < 1e-13
            if index[i, k] >= 0:
                heard = heard + float(told.weight[i, k]) * said
        expected = points[i] + layer.update(torch.cat([points[i], heard]))
        assert differs(found[i], expected) < 1e-13


def test_shares_of_neighbours() -> None:
    told = Graph.of(torch.tensor([[3, -1, 2], [-1, -1, -1]]), torch.tensor([[0.0, 0.0, 1.0]] * 2))
    assert told.weight[..., 0].tolist() == [
        [pytest.approx(2 / 3), 0.0, pytest.approx(1 / 3)],
        [0.0] * 3,
    ]
    assert told.index.tolist() == [[3, 0, 2], [0, 0, 0]]


def test_walls_at_a_corner() -> None:
    """By hand: 0.1 from x-, 0.05 from the floor y-, both within 0.2; all else far."""
    walls = WallGroups(
        torch.zeros(3), torch.tensor([1.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 0, 0, 0]), 2
    )
    x = torch.tensor([[0.1, 0.05, 0.5], [0.5, 0.5, 0.5], [0.9, -0.1, 0.95]])
    vectors, felt = walls.near(x, torch.full((3, 1), 0.2))
    expected = torch.tensor(
        [
            [[0.5, 0.0, 0.0], [0.0, 0.75, 0.0]],
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            [[-0.5, 0.0, -0.75], [0.0, 1.0, 0.0]],
        ]
    )
    assert differs(vectors, expected) < 1e-6
    assert differs(felt, torch.tensor([[0.5, 0.75], [0.0, 0.0], [0.75, 1.0]])) < 1e-6


def test_rotations_are_those_of_polar_decompositions() -> None:
    S = 0.3 * torch.randn(20, 3, 3).double()
    A = torch.stack([rotation_matrix(k) for k in range(20)]) @ torch.linalg.matrix_exp(S + S.mT)
    found = rotation(1e-3 * A)
    for mine, one in zip(found, A, strict=True):
        assert differs(mine, torch.from_numpy(polar(one.numpy())[0])) < 1e-12
    single = rotation(A.float())
    assert differs(single.double(), found) < 1e-5
    assert torch.autograd.gradcheck(rotation, A[:3].clone().requires_grad_())
    assert torch.equal(rotation(torch.zeros(1, 3, 3)), torch.eye(3)[None])


def test_frames_follow_bodies() -> None:
    X = torch.rand(30, 3).double()
    body = torch.arange(30) % 2
    Q = torch.stack([rotation_matrix(1), rotation_matrix(2)])
    shift = torch.randn(2, 3).double()
    x = torch.einsum("nab,nb->na", Q[body], X) + shift[body]
    found = Poses.of(x, X, body, 2, turning=True)
    assert differs(found.turn, Q) < 1e-12
    for k in range(2):
        assert differs(found.centre[k], x[body == k].mean(0)) < 1e-14
        assert differs(found.rest_centre[k], X[body == k].mean(0)) < 1e-14
    still = Poses.of(x, X, body, 2, turning=False)
    assert torch.equal(still.turn, torch.eye(3).double().expand(2, 3, 3))


def test_extrapolation_and_its_error_by_hand() -> None:
    """x = t²: constant acceleration is exact; a point that stands still at 3 against 1, 2, 3."""
    t = torch.arange(8).double()
    x = (t**2)[:, None, None] * torch.ones(2, 3).double()
    assert differs(extrapolated(x[:4], 4), x[4:]) < 1e-12
    truth = torch.zeros(4, 1, 3).double()
    truth[:, 0, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0])
    found = relative_error(torch.full((2, 1, 3), 0.0).double(), truth, 2)
    # 2 and 3 off, after 2 and 3 travelled
    assert found == pytest.approx(1.0)
    assert relative_error(truth[2:] + torch.tensor([0.5, 0.0, 0.0]), truth, 2) == pytest.approx(0.2)
    assert relative_error(truth[2:] * float("nan"), truth, 2) == float("inf")


@EVERY
def test_lengths_are_told_in_units_of_the_training(kind: str) -> None:
    """All of it three times as large and the units too, near a wall: three times the answer."""
    stepper, motion = stepper_of(KINDS[kind]), moving(centre=(0.5, 0.2, 0.5))
    expected = 3.0 * answer(stepper, motion)
    for unit in (stepper.velocity, stepper.acceleration, stepper.spacing):
        unit.mul_(3.0)
    p, walls = motion.points, motion.points.walls
    points = p._replace(
        rest=3.0 * p.rest, spacing=3.0 * p.spacing, widest=3.0 * p.widest, gravity=3.0 * p.gravity,
        walls=replace(walls, lower=3.0 * walls.lower, upper=3.0 * walls.upper),
    )  # fmt: skip
    assert differs(answer(stepper, Motion(3.0 * motion.x, points, motion.graph)), expected) < 1e-11


def several() -> Motion:
    """A world of two bodies that overlap, and one of denser points in the same place."""
    first, dense = moving(40, seed=1), moving(100, seed=2)
    points = first.points._replace(body=torch.arange(40) % 2, bodies=2)
    return joined([first._replace(points=points), dense])


@pytest.mark.parametrize("reference", [True, False])
def test_neighbours_are_the_nearest_within_reach(reference: bool) -> None:
    """Of the body, or of the world without a rest shape; each world by its own spacing."""
    shape, m = replace(TINY, reference=reference, reach=1.2), several()
    p, x = m.points, m.x[-1]
    group = p.body if reference else p.world
    apart = torch.cdist(x, x)
    apart[(group[:, None] != group) | (apart > shape.reach * p.spacing)] = torch.inf
    distance, expected = apart.fill_diagonal_(torch.inf).sort(1)
    expected = torch.where(distance.isfinite(), expected, -1)[:, : shape.neighbours]
    assert bool((expected == -1).any()), "all have as many as they can"
    assert torch.equal(graph(shape, p, x), expected)


@pytest.mark.parametrize("reference", [True, False])
def test_a_step_hears_neighbours_at_rest_or_of_the_moment(reference: bool) -> None:
    """x + (x - x before) + a, where what flows has the neighbours of its last positions."""
    stepper, m = stepper_of(reference=reference), moving(frames=8)
    recent = m.x[-TINY.history - 1 :]
    told = [m.graph, *(graph(stepper.shape, m.points, recent[k]) for k in (0, -1))]
    assert not torch.equal(told[0], told[2]) and not torch.equal(told[1], told[2])
    a = stepper(recent, m.points, told[0] if reference else told[2])
    expected = recent[-1] + (recent[-1] - recent[-2]) + a
    assert differs(advance(stepper, m.points, m.graph, recent), expected) < 1e-14


def test_places_of_nodes_are_where_they_lie() -> None:
    """From -1 to 1 along the longest edge of the points: what gates the experts."""
    x = torch.rand(30, 3).double() * torch.tensor([1.0, 0.7, 0.4])
    s = stencil(x, torch.zeros(30, dtype=torch.int64), 1, 4)
    low, high = x.amin(0), x.amax(0)
    at = (x - 0.5 * (low + high)) / (0.5 * (high - low).max())
    nodes = at[:, None] - s.offset * (2.0 / 3.0)  # four nodes, three cells
    grid = LatentGrid(8, 8, 4, 1, 2, 2).double()
    assert differs(grid.place[s.node], nodes) < 1e-6


def test_nodes_without_points_are_not_heard() -> None:
    block = AttentionBlock(8, 2, 2).double()
    nodes, told, place = (torch.randn(*s).double() for s in ((2, 9, 8), (2, 9, 8), (9, 3)))
    weight = torch.rand(2, 9, 1).double()
    weight[:, 4:] = 0.0
    expected = block(nodes, told, weight, place)[:, :4]
    for tokens in (nodes, told):
        tokens[:, 4:] = torch.randn(2, 5, 8).double()
        assert differs(block(nodes, told, weight, place)[:, :4], expected) < 1e-12
