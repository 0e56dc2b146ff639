"""One page asks, all look."""

from __future__ import annotations

import pytest

from cryoctl.ui.seat import Seat, is_name

FIRST, SECOND = "a" * 32, "b" * 32


@pytest.mark.requirement("SR-25")
def test_the_first_page_has_the_seat_and_the_second_does_not_take_it_from_it() -> None:
    seat = Seat()
    seat.come(FIRST)
    seat.come(SECOND)

    assert not seat.take(SECOND)
    assert (seat.holder, seat.pages) == (FIRST, 2)


def test_a_seat_that_was_left_goes_to_who_asks_and_not_by_itself() -> None:
    seat = Seat()
    seat.come(FIRST)
    seat.come(SECOND)
    seat.go(FIRST)

    assert seat.holder == ""
    assert seat.take(SECOND)


def test_a_page_that_connects_again_before_its_old_socket_dies_keeps_the_seat() -> None:
    seat = Seat()
    seat.come(FIRST)
    seat.come(FIRST)
    seat.go(FIRST)

    assert (seat.holder, seat.pages) == (FIRST, 1)


def test_who_is_not_there_gets_no_seat() -> None:
    assert not Seat().take(FIRST)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a" * 15, False),
        ("a" * 16, True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a" * 15 + "-", False),
        ("ä" * 16, False),
    ],
)
def test_a_name_is_long_enough_to_be_no_other_s(name: str, fits: object) -> None:
    assert is_name(name) is fits
