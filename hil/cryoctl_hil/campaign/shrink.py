"""Makes a failing list of faults as small as it can be: delta debugging (Zeller 2002, ddmin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def smallest(things: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return a part of ``things`` that still fails, and does not without any one of its members.

    Args:
        things: Fails as a whole.
        fails: Tries a part, in the order of the whole; asked about no part twice.
    """
    known: dict[tuple[int, ...], bool] = {}

    def tried(part: Sequence[int]) -> bool:
        key = tuple(part)
        if key not in known:
            known[key] = fails([things[place] for place in key])
        return known[key]

    left, pieces = list(range(len(things))), 2
    while len(left) > 1:
        parts = _split(left, pieces)
        found = next((part for part in parts if tried(part)), None)
        if found is not None:
            left, pieces = found, 2
            continue
        rests = [[place for place in left if place not in part] for part in parts]
        found = next((rest for rest in rests if tried(rest)), None)
        if found is not None:
            left, pieces = found, max(2, pieces - 1)
        elif pieces < len(left):
            pieces = min(len(left), 2 * pieces)
        else:
            break
    return [things[place] for place in left]


def _split(places: list[int], pieces: int) -> list[list[int]]:
    size, longer = divmod(len(places), pieces)
    parts, first = [], 0
    for number in range(pieces):
        last = first + size + (number < longer)
        parts.append(places[first:last])
        first = last
    return [part for part in parts if part]
