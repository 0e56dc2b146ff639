"""The examples for C: they compile, and a controller can talk to what comes out."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.codes import (
    Answer,
    DeviceState,
    EventCode,
    HostMode,
    Op,
    Result,
    SafeAction,
    Trip,
)
from cryoctl_protocol.framing import DELIMITER, Deframer, wrap
from cryoctl_protocol.host_session import HostSession, Phase
from cryoctl_protocol.messages import Ack, Done, Event, Telemetry, Vitals
from tests.support.c_device import C99, C_LIBRARY, SOURCES, compiler
from tests.support.programs import needed_program
from tests.support.protocol_builders import command

STUB = Path(__file__).with_name("arduino")
PATIENCE_S = 20.0


class Talk:
    """A controller's session with a probe that is a program."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.host = HostSession(DEMO_KEY, nonce_seed=os.urandom(8))
        self.said: list[Any] = []
        self._deframer = Deframer()
        self._leased_s = 0.0

    def __enter__(self) -> Self:
        self._send(DELIMITER)
        self.host.open(time.monotonic())
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def until(self, is_met: Callable[[], object]) -> None:
        """Go on as a controller does, leases and all, until something has come about."""
        assert self._process.stdout is not None
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_met():
            now_s = time.monotonic()
            assert now_s < deadline_s, f"not within {PATIENCE_S} s; heard {self.said[-5:]}"
            if now_s - self._leased_s > 0.1:
                self._leased_s = now_s
                self.host.lease(HostMode.IDLE, now_s)
            self.host.poll(now_s)
            for body in self.host.outgoing():
                self._send(wrap(body))
            if select.select([self._process.stdout], [], [], 0.02)[0]:
                for body in self._deframer.feed(os.read(self._process.stdout.fileno(), 4096)):
                    received = self.host.on_body(body, time.monotonic())
                    if received is not None:
                        self.said.append(getattr(received, "message", received))

    def heard(self, kind: type[Any], **fields: object) -> bool:
        """Whether a message of this kind with these fields has come."""
        return any(
            isinstance(each, kind)
            and all(getattr(each, name) == value for name, value in fields.items())
            for each in self.said
        )


def converse(program: Path, tip_mdegc: int) -> None:
    """Everything that the example promises: greeting, samples, a command, a refusal, STOP."""
    with Talk(program) as talk:
        talk.until(lambda: talk.host.phase is Phase.OPEN)
        talk.until(lambda: talk.heard(Telemetry, tip_mdegc=tip_mdegc, state=DeviceState.IDLE))
        talk.until(lambda: talk.heard(Vitals, tip_mdegc=tip_mdegc))
        talk.until(lambda: any(isinstance(m, Telemetry) and m.lease_left_ms for m in talk.said))

        taken = talk.host.command(command(Op.SELF_TEST), time.monotonic())
        talk.until(lambda: talk.heard(Done, counter=taken, result=Result.OK))
        refused = talk.host.command(command(Op.FREEZE), time.monotonic())
        talk.until(lambda: talk.heard(Ack, counter=refused, answer=Answer.NOT_PROVIDED))
        talk.host.stop(SafeAction.OFF, Trip.OPERATOR_STOP)
        talk.until(lambda: talk.heard(Event, code=EventCode.STOPPED, trip=Trip.OPERATOR_STOP))
        talk.until(lambda: talk.heard(Telemetry, state=DeviceState.SAFE, trip=Trip.OPERATOR_STOP))

        answers = [m for m in talk.said if isinstance(m, Ack | Done) and m.op == Op.SELF_TEST]
        assert [type(answer) for answer in answers] == [Ack, Done]
        assert talk.host.rejects.total() == 0
        assert talk.host.lost_frames == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a program for Unix")
def test_a_controller_talks_to_the_example_built_with_cmake(tmp_path: Path) -> None:
    cmake = needed_program("cmake")
    compiled_with = f"-DCMAKE_C_COMPILER={shutil.which(compiler()[0])}"
    flags = ["-DCMAKE_C_FLAGS=-Werror", compiled_with]

    subprocess.run([cmake, "-S", C_LIBRARY, "-B", tmp_path, *flags], check=True)
    subprocess.run([cmake, "--build", tmp_path], check=True)

    converse(tmp_path / "cryoctl_stdio_probe", 21_500)


@pytest.mark.skipif(sys.platform == "win32", reason="a program for Unix")
def test_a_controller_talks_to_the_arduino_sketch_on_a_stub_of_arduino(tmp_path: Path) -> None:
    """Arduino's own toolchain is no wheel: the sketch is compiled as C++ for this machine."""
    sketch = tmp_path / "Probe.cpp"
    shutil.copy(C_LIBRARY / "examples" / "Probe" / "Probe.ino", sketch)
    objects = []
    for source in SOURCES:
        objects.append(tmp_path / f"{source.stem}.o")
        subprocess.run([*compiler(), *C99, "-c", source, "-o", objects[-1]], check=True)
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", f"-I{C_LIBRARY}", f"-I{STUB}"]
    program = tmp_path / "probe"

    subprocess.run(
        [*compiler("c++"), *flags, sketch, STUB / "main.cpp", *objects, "-o", program], check=True
    )

    # 146 steps of 5 V / 1023: 713 mV, 500 mV at 0 degC, 10 mV per degree.
    converse(program, 21_300)


def test_arduino_and_platformio_find_the_library() -> None:
    """A flat Arduino library: sources and description in one folder, sketches in examples/."""
    properties = dict(
        line.split("=", 1) for line in (C_LIBRARY / "library.properties").read_text().splitlines()
    )
    described = json.loads((C_LIBRARY / "library.json").read_text())

    needed = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert needed | {"architectures"} <= properties.keys()
    assert properties["name"] == described["name"]
    assert properties["version"] == described["version"]
    assert properties["includes"] == described["headers"] == "cryo_port.h"
    assert (C_LIBRARY / "cryo_port.h").is_file()
    assert (C_LIBRARY / "examples" / "Probe" / "Probe.ino").is_file()
