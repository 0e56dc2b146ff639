"""What the plug-ins for pytest know of requirements; neither plug-in imports the other's module."""

from __future__ import annotations

from typing import Final

import pytest

from cryoctl.requirement_registry import Registry

MARKER: Final = "requirement"
REGISTRY: Final = pytest.StashKey[Registry]()


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the requirements that a test names."""
    return tuple(marker.args[0] for marker in item.iter_markers(MARKER))
