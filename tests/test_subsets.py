# SPDX-License-Identifier: Apache-2.0
"""Best subsets of columns with weights above 0, against solving every subset by itself."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from rheograd.engine.subsets import Problem, Search, positive

SIZES = 3


def problem(seed: int = 0, kinds: str = "aaabbcde", twice: str = "") -> Problem:
    """Columns that go together somewhat, of very different lengths, and a y of three of them.

    Of a kind in `twice` a subset may have two columns, of another one.
    """
    draw = np.random.default_rng(seed)
    p = len(kinds)
    A = draw.normal(size=(30, p)) + 0.8 * draw.normal(size=(30, 1))
    A *= 10.0 ** draw.uniform(-6, 6, p)
    y = A[:, [0, 3, 6]] @ (np.array([1.0, 2.0, 1.5]) / np.linalg.norm(A[:, [0, 3, 6]], axis=0))
    most = tuple(2 if kind in twice else 1 for kind in kinds)
    return Problem(A, y + 0.05 * draw.normal(size=30), tuple(kinds), most)


def by_hand(some: Problem, size: int) -> list[tuple[float, tuple[int, ...]]]:
    """Every subset whose least squares without bounds have weights above 0, the best first."""
    found = []
    for columns in combinations(range(len(some.kinds)), size):
        kinds = [some.kinds[j] for j in columns]
        if any(kinds.count(some.kinds[j]) > some.most[j] for j in columns):
            continue
        A = some.A[:, columns] / np.linalg.norm(some.A[:, columns], axis=0)
        weights, *_ = np.linalg.lstsq(A, some.y)
        if (weights > 0.0).all():
            found.append((float(np.sum((A @ weights - some.y) ** 2)), columns))
    return sorted(found)


@pytest.mark.parametrize("twice", ["", "b", "abcde"])
@pytest.mark.parametrize(
    "search", [Search(SIZES, 10_000), Search(SIZES, 1, exhaustive=comb(8, SIZES))]
)
def test_all_subsets_in_the_order_of_their_residual(search: Search, twice: str) -> None:
    some = problem(twice=twice)
    found = some.best(search)
    exhaustive = search.exhaustive > 0
    for size, order in enumerate(found, 1):
        expected = [columns for _, columns in by_hand(some, size)]
        told = [tuple(row) for row in order.tolist()]
        if exhaustive:
            assert told == expected
        else:
            assert told == [c for c in expected if c in told]
            assert told[0] == expected[0], "what is best extends something with weights above 0"
    assert tuple(found[2][0]) == (0, 3, 6), "that y was made of"


@pytest.mark.parametrize("alike", [None, 1, 2])
def test_only_the_best_are_extended_and_few_of_the_same_kinds(alike: int | None) -> None:
    """By hand: a beam of four, of which some of the same kinds, in whatever order these come."""
    some, width = problem(seed=1, kinds="abcabdba"), 4
    grown: list[tuple[int, ...]] = [()]
    for size, order in enumerate(some.best(Search(SIZES, width, alike=alike)), 1):
        expected = [c for _, c in by_hand(some, size) if any(set(g) < set(c) for g in grown)]
        assert [tuple(row) for row in order.tolist()] == expected
        assert size == 1 or len(expected) < len(by_hand(some, size)), "so that it matters"
        kept: list[tuple[int, ...]] = []
        told: list[str] = []
        for columns in expected:
            kinds = "".join(sorted(str(some.kinds[j]) for j in columns))
            if alike is None or told.count(kinds) < alike:
                kept.append(columns)
            told.append(kinds)
        grown = kept[:width]
    if alike is not None:
        assert len(kept) < len(expected), "so that it matters"


def test_a_subset_is_solved_to_rounding() -> None:
    some = problem()
    rss, columns = by_hand(some, 3)[0]
    weights, told = some.solved(np.array(columns))
    assert told == pytest.approx(rss, rel=1e-12) and (weights > 0.0).all()
    gap = some.y - some.A[:, columns] @ weights
    size = np.linalg.norm(some.A[:, columns], axis=0)
    assert abs(some.A[:, columns].T @ gap / size).max() < 1e-12 * np.linalg.norm(some.y)
    weights, told = positive(-some.A[:, :1], some.A[:, 0])
    assert weights.tolist() == [0.0] and told == pytest.approx(float(some.A[:, 0] @ some.A[:, 0]))


def test_rows_that_repeat_weigh_more() -> None:
    some = problem()
    twice = np.concatenate([np.arange(30), np.arange(10)])
    part = some.rows(twice)
    assert part.A.shape == (40, 8) and part.kinds == some.kinds
    for size, order in enumerate(part.best(Search(2, 100, exhaustive=100)), 1):
        assert [tuple(row) for row in order.tolist()] == [c for _, c in by_hand(part, size)]


def test_nothing_goes_with_a_y_of_the_other_sign() -> None:
    A = np.abs(problem().A)
    found = Problem(A, -A.sum(1), tuple("abcdefgh"), (1,) * 8).best(Search(SIZES, 5, alike=1))
    assert [order.shape for order in found] == [(0, 1), (0, 2), (0, 3)]


def test_columns_that_are_nearly_one_are_told_apart() -> None:
    """Of two at an angle of 1e-3, and of one and a third; the other pair leaves 1e-10 of |y|²."""
    a, n, m = np.eye(3)
    A = np.stack([a, a + 1e-3 * n, n + 1e-5 / 0.9e-3 * m], 1)
    for best, other, weights in (([0, 1], [0, 2], (0.1, 0.9)), ([0, 2], [0, 1], (1.0, 0.9e-3))):
        some = Problem(A, A[:, best] @ weights, tuple("abc"), (1,) * 3)
        assert some.best(Search(2, 3))[1][:2].tolist() == [best, other]


def test_columns_that_are_equal_or_nothing() -> None:
    """Equal ones serve alike; of a column of zeros, and for a y of zeros, nothing is taken."""
    A = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    some = Problem(A, np.array([1.0, 2.0]), tuple("abcd"), (1,) * 4)
    first, second = (order.tolist() for order in some.best(Search(2, 9)))
    assert first[0] == [2] and sorted(first) == [[0], [1], [2]]
    assert sorted(second[:2]) == [[0, 2], [1, 2]]
    nothing = Problem(A, np.zeros(2), tuple("abcd"), (1,) * 4)
    assert [len(order) for order in nothing.best(Search(2, 9))] == [0, 0]


def test_the_unit_of_a_column_does_not_matter() -> None:
    """Weights of columns of 1e-9 and of 1e6 that make up y alike."""
    size = np.array([1e-9, 1e6])
    A = size * np.array([[1.0, 0.6], [0.0, 0.8]])
    weights, rss = positive(A, np.array([1.6, 0.8]))
    np.testing.assert_allclose(weights * size, 1.0, rtol=1e-12)
    assert rss < 1e-24
