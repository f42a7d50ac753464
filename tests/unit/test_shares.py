"""How a worker divides what it asks for among its queues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdah import ConfigurationError
from howdah.worker.shares import Shares, weighed

weights = st.lists(st.integers(1, 50), min_size=1, max_size=6)
numbers = st.lists(st.integers(1, 1000), min_size=1, max_size=60)


@given(weights=weights, numbers=numbers)
def test_shares_add_up_and_never_stray_from_the_weights(weights: list[int], numbers: list[int]) -> None:
    shares = Shares(weights)
    given_so_far = [0] * len(weights)

    for number in numbers:
        part = shares.of(number) or []
        assert sum(part) == number
        assert min(part) >= 0
        given_so_far = [before + more for before, more in zip(given_so_far, part, strict=True)]

    fair = [sum(numbers) * weight / sum(weights) for weight in weights]
    strayed = [abs(got - due) for got, due in zip(given_so_far, fair, strict=True)]
    assert max(strayed) <= len(weights)


def test_without_weights_there_are_no_shares() -> None:
    assert Shares(()).of(10) is None
    assert Shares((3, 1)).of(0) is None


@pytest.mark.parametrize(
    ("queues", "order", "names", "parts"),
    [
        (["a"], "strict", ("a",), ()),
        (["a:3"], "strict", ("a:3",), ()),
        (["a:3", "b:1"], "strict", ("a", "b"), (3, 1)),
        (["a:3:2", "b:1"], "strict", ("a:3", "b"), (2, 1)),
        (["a:3", "b"], "strict", ("a:3", "b"), ()),
        (["a", "b"], "round-robin", ("a", "b"), (1, 1)),
        ([], "round-robin", (), ()),
    ],
)
def test_queues_have_weights_when_each_of_several_has_one(
    queues: list[str], order: str, names: tuple[str, ...], parts: tuple[int, ...]
) -> None:
    assert weighed(queues, order) == (names, parts)


@pytest.mark.parametrize(
    ("queues", "order", "field"),
    [(["a:0", "b:1"], "strict", "queues"), (["a:2", "b:1"], "round-robin", "order"), (["a"], "odd", "order")],
)
def test_what_is_no_order_is_refused(queues: list[str], order: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        weighed(queues, order)

    assert caught.value.field == field
