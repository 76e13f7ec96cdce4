# SPDX-License-Identifier: Apache-2.0
"""Best subsets of columns with weights above 0, against solving every subset by itself."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from rheograd.engine.subsets import Problem, Search, positive

SIZES = 3


def problem(seed: int = 0, kinds: str = "aaabbcde", most: int = 1) -> Problem:
    """Columns that go together somewhat, of very different lengths, and a y of three of them."""
    draw = np.random.default_rng(seed)
    p = len(kinds)
    A = draw.normal(size=(30, p)) + 0.8 * draw.normal(size=(30, 1))
    A *= 10.0 ** draw.uniform(-6, 6, p)
    y = A[:, [0, 3, 6]] @ (np.array([1.0, 2.0, 1.5]) / np.linalg.norm(A[:, [0, 3, 6]], axis=0))
    return Problem(A, y + 0.05 * draw.normal(size=30), tuple(kinds), (most,) * p)


def by_hand(some: Problem, size: int) -> list[tuple[float, tuple[int, ...]]]:
    """Every subset whose least squares without bounds have weights above 0, the best first."""
    found = []
    for columns in combinations(range(len(some.kinds)), size):
        kinds = [some.kinds[j] for j in columns]
        if any(kinds.count(kind) > some.most[0] for kind in kinds):
            continue
        A = some.A[:, columns] / np.linalg.norm(some.A[:, columns], axis=0)
        weights, *_ = np.linalg.lstsq(A, some.y)
        if (weights > 0.0).all():
            found.append((float(np.sum((A @ weights - some.y) ** 2)), columns))
    return sorted(found)


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("search", [Search(SIZES, 10_000), Search(SIZES, 1, exhaustive=10_000)])
def test_all_subsets_in_the_order_of_their_residual(search: Search, most: int) -> None:
    some = problem(most=most)
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


def test_only_the_best_are_extended_and_few_of_the_same_kinds() -> None:
    """By hand: a beam of four, of which one of a kind where that is asked for."""
    some = problem(seed=1)
    for alike in (None, 1):
        first, second = some.best(Search(2, 4, alike=alike))
        assert [tuple(row) for row in first] == [c for _, c in by_hand(some, 1)]
        kept: list[int] = []
        for (j,) in first.tolist():
            if alike is None or some.kinds[j] not in [some.kinds[k] for k in kept]:
                kept.append(j)
        expected = [c for _, c in by_hand(some, 2) if set(c) & set(kept[:4])]
        assert [tuple(row) for row in second.tolist()] == expected
        kinds = len({some.kinds[j] for j in kept[:4]})
        assert kinds == (3 if alike is None else 4), "so that it matters"


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
