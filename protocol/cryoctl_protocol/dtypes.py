"""Message rows as numpy dtypes: many recorded payloads become one array without a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from cryoctl_protocol.codec import struct_code
from cryoctl_protocol.messages import MessageType, WireField


def _numpy_code(field: WireField) -> str:
    code = struct_code(field)
    if code.endswith("s"):
        return f"S{field.kind.sizeof()}"
    kind = "u" if code.isupper() else "i"
    return f"<{kind}{field.kind.sizeof()}"


def message_dtype(row: MessageType) -> np.dtype[Any]:
    """Return the packed dtype of a message's payload, for ``np.frombuffer``."""
    return np.dtype([(name, _numpy_code(field)) for name, field in row.fields])
