"""The back door of a served probe: faults by JSON lines over TCP, on this machine only."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any, Final

from cryoctl_protocol.peer import FaultPort

LINE_SIZE_MAX: Final = 4096
LOOPBACK: Final = "127.0.0.1"


class FaultServer:
    """Answers one line of JSON with one line of JSON.

    ``{"inject": "tc_open@12s"}`` schedules a fault, ``{"clear": "tc_open"}`` ends those of an id
    and says how many, ``{"history": true}`` lists all, ``{"known": true}`` what can be asked for,
    and ``{"report": true}`` returns lines about a board in the loop. A time is that of the probe
    since it was started. The answer is ``{"ok": ...}`` or ``{"error": "..."}``.

    Args:
        faults: Of the probe that is served.
        port: 0 takes a free one.
        report: Returns what there is to report of the probe.
    """

    def __init__(
        self, faults: FaultPort, port: int, report: Callable[[], list[str]] = list
    ) -> None:
        self._faults = faults
        self._report = report
        self._server = socket.create_server((LOOPBACK, port))
        self._server.setblocking(False)  # noqa: FBT003
        self._clients: dict[socket.socket, bytearray] = {}
        self.address = f"{LOOPBACK}:{self._server.getsockname()[1]}"

    def poll(self) -> None:
        """Answer whatever has arrived."""
        with contextlib.suppress(BlockingIOError):
            client, _ = self._server.accept()
            client.setblocking(False)  # noqa: FBT003
            self._clients[client] = bytearray()
        for client, partial in list(self._clients.items()):
            try:
                data = client.recv(LINE_SIZE_MAX)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            partial.extend(data)
            if not data or len(partial) > LINE_SIZE_MAX or not self._serve(client, partial):
                client.close()
                del self._clients[client]

    def close(self) -> None:
        """Give the port up."""
        for client in self._clients:
            client.close()
        self._server.close()

    def _serve(self, client: socket.socket, partial: bytearray) -> bool:
        while (end := partial.find(b"\n")) >= 0:
            line = bytes(partial[:end])
            del partial[: end + 1]
            try:
                client.send(json.dumps(self.answer(line)).encode() + b"\n")
            except OSError:
                return False
        return True

    def answer(self, line: bytes) -> dict[str, Any]:
        """Return the answer to one line."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            return {"error": f"not JSON: {error}"}
        try:
            return self._done(request)
        except ValueError as error:
            return {"error": str(error)}

    def _done(self, request: Any) -> dict[str, Any]:
        match request:
            case {"inject": str(fault)} if len(request) == 1:
                self._faults.inject(fault)
                return {"ok": fault}
            case {"clear": str(fault_id)} if len(request) == 1:
                return {"ok": self._faults.clear(fault_id)}
            case {"history": True} if len(request) == 1:
                return {"ok": [note._asdict() for note in self._faults.history()]}
            case {"known": True} if len(request) == 1:
                return {"ok": [fault._asdict() for fault in self._faults.known()]}
            case {"report": True} if len(request) == 1:
                return {"ok": self._report()}
        wanted = (
            '{"inject": "ID@WHEN[:DURATION]"}, {"clear": "ID"}, {"history": true}, '
            '{"known": true} or {"report": true}'
        )
        return {"error": f"expected {wanted}"}
