"""Which page may ask: one at a time. STOP and looking need no seat."""

from __future__ import annotations

from typing import Final

NAME_LENGTH_MIN: Final = 16
NAME_LENGTH_MAX: Final = 64


def is_name(text: str) -> bool:
    """Return True for what a page calls itself: random, so that no other page can say it."""
    return NAME_LENGTH_MIN <= len(text) <= NAME_LENGTH_MAX and text.isascii() and text.isalnum()


class Seat:
    """The controlling page, and those that only look.

    Attributes:
        holder: Name of the page that may ask; empty while nobody may.
    """

    def __init__(self) -> None:
        self.holder = ""
        self._present: dict[str, int] = {}

    @property
    def pages(self) -> int:
        """How many pages look."""
        return len(self._present)

    def come(self, name: str) -> None:
        """Take note of a page; the first one gets the seat."""
        self._present[name] = self._present.get(name, 0) + 1
        self.take(name)

    def go(self, name: str) -> None:
        """Take note that a page has gone, and the seat with it."""
        left = self._present.get(name, 0) - 1
        if left > 0:  # It had connected again before its old socket was found dead.
            self._present[name] = left
            return
        self._present.pop(name, None)
        self.leave(name)

    def take(self, name: str) -> bool:
        """Give a page the seat if it is free; return True if it has it."""
        if not self.holder and name in self._present:
            self.holder = name
        return self.holder == name

    def leave(self, name: str) -> None:
        """Free the seat, if it is this page's."""
        if self.holder == name:
            self.holder = ""
