"""A board in the loop as a rig: its plant is served in the background, for as long as a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Final

from cryoctl_hil.rigs.rig import Rig
from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError

_LOOPBACK: Final = "127.0.0.1:0"
_END_S: Final = 5.0


class ServedBoard:
    """``cryoctl sim --firmware board:...`` in a process of its own, which ends with this one.

    Args:
        rig: Its device is ``board:LINK,CHANNEL[?scenario=FILE]``.

    Raises:
        AddressError: No such address.
        LinkError: It could not be served; says why.

    Attributes:
        device: Where the probe is.
        fault_port: Where its faults are, as ``HOST:PORT``.
    """

    def __init__(self, rig: Rig) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", __name__, *_arguments(rig)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is the suite's, which has a probe to make safe first.
        )
        try:
            told = self._told(rig)
            self.device = DeviceUrl.parse(told["at"])
            self.fault_port = told["faults"]
        except BaseException:
            self._process.kill()
            raise

    def _told(self, rig: Rig) -> dict[str, str]:
        """Return what it says of itself: the last word of each line, by the first."""
        assert self._process.stdout is not None
        told: dict[str, str] = {}
        for line in self._process.stdout:
            words = line.split()
            if words[0] == "next:":
                return told
            told[words[0]] = words[-1]
        _, said = self._process.communicate()
        why = said.strip().removeprefix("cryoctl: ") or "its plant is not served"
        raise LinkError(f"rig {rig.table.name}: {why}")

    def close(self) -> None:
        """End it."""
        try:
            self._process.communicate(timeout=_END_S)  # Closes its input, and it ends by that.
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def _arguments(rig: Rig) -> list[str]:
    url = rig.device
    unknown = [key for key, _ in url.params if key != "scenario"]
    if unknown:
        raise AddressError(f"device {url}: unknown parameter '{unknown[0]}' (allowed: scenario)")
    scenario = url.get("scenario")
    return [
        "sim", "--tcp", _LOOPBACK, "--fault-port", "0", "--profile", rig.table.profile,
        "--firmware", f"{url.scheme}:{url.path}",
        *(() if scenario is None else ("--scenario", scenario)),
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """Serve until the standard input ends: with whoever has started this."""
    from cryoctl.cli import invoke

    def end_with_input() -> None:
        sys.stdin.read()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=end_with_input, daemon=True).start()
    return invoke(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
