"""Faults of a probe that is served elsewhere, through the back door of ``cryoctl sim``."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

from cryoctl_protocol.peer import FaultNote, KnownFault, LinkError

ANSWER_S: Final = 5.0


class RemoteFaults:
    """A fault port at the other end of a connection (``FaultPort``).

    Args:
        address: ``HOST:PORT``, as ``cryoctl sim --fault-port`` prints it.

    Raises:
        LinkError: Nobody is there.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        try:
            self._connection = socket.create_connection((host, int(port)), timeout=ANSWER_S)
        except OSError as error:
            raise LinkError(f"fault port {address}: {error.strerror or error}") from error
        self._address = address
        self._lines = self._connection.makefile("rb")

    def inject(self, fault: str) -> None:
        """Schedule a fault; raises ValueError with a clear text."""
        self._ask({"inject": fault})

    def clear(self, fault_id: str) -> int:
        """End every fault of this id; return how many those were."""
        return int(self._ask({"clear": fault_id}))

    def history(self) -> list[FaultNote]:
        """Return every fault asked for so far."""
        return [FaultNote(**note) for note in self._ask({"history": True})]

    def known(self) -> list[KnownFault]:
        """Return the faults that can be asked for."""
        rows = self._ask({"known": True})
        return [KnownFault(**{**row, "parameters": tuple(row["parameters"])}) for row in rows]

    def clear_all(self) -> None:
        """End every fault there is, or waits: a run that was killed may have left some."""
        for fault in dict.fromkeys(note.fault for note in self.history() if note.ended_s is None):
            self.clear(fault.partition("@")[0].partition("(")[0])

    def report(self) -> list[str]:
        """Return lines about a board in the loop; none of any other probe."""
        return [str(line) for line in self._ask({"report": True})]

    def close(self) -> None:
        """Give the connection up."""
        self._lines.close()
        self._connection.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline()
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it says nothing that can be read"
            raise LinkError(f"fault port {self._address}: no answer: {reason}") from error
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["ok"]
