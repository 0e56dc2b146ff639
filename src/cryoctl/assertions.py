"""Whether Python checks assertions: a program that drives a probe does not run without (SR-40)."""

from __future__ import annotations


class AssertionsOffError(RuntimeError):
    """Python was told to leave assertions out; the text says what to do."""


def require_assertions() -> None:
    """Raise AssertionsOffError where ``python -O`` or PYTHONOPTIMIZE has taken assertions away."""
    if not __debug__:
        raise AssertionsOffError(
            "assertions are off, and a program that drives a probe relies on them: run it without "
            "python -O and without PYTHONOPTIMIZE (SR-40)"
        )
