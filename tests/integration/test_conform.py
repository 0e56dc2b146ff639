"""``cryoctl conform``: sound probes pass, each of many bad ones is caught by the right check."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl.conform import Examination
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.conformance.conformance import LEVELS, Outcome, Verdict
from cryoctl_protocol.peer import DeviceUrl, Opened, SyncPeer, open_device
from cryoctl_simulator.emulated import build
from cryoctl_simulator.served.endpoints import Endpoint, TcpEndpoint
from cryoctl_simulator.served.mqtt_endpoint import MqttEndpoint
from cryoctl_simulator.served.pty_endpoint import PtyEndpoint
from cryoctl_simulator.served.server import ProbeServer
from tests.simulator.driver import open_device as simulated
from tests.support.bad_probes import DEFECTS, BadProbe
from tests.support.broker import plain_broker
from tests.support.native_firmware import need_compiler
from tests.support.programs import needed_modules
from tests.support.tree import ROOT

EVERY = {f"L{level}.{check.name}" for level in (0, 1, 2, 3) for check in LEVELS[level]}


def examined(peer: SyncPeer, last_level: int = 3, *, may_freeze: bool = True) -> list[Outcome]:
    examination = Examination(
        Opened("under test", peer=peer),
        DEMO_KEY,
        levels=range(last_level + 1),
        may_freeze=may_freeze,
        tell=lambda _outcome: None,
    )
    examination.carry_out()
    return examination.outcomes


def found(outcomes: list[Outcome], verdict: Verdict) -> list[str]:
    return [outcome.id for outcome in outcomes if outcome.verdict is verdict]


# -- sound probes --------------------------------------------------------------------------------


@pytest.mark.parametrize("firmware", ["model", "native", "emulated"])
def test_each_build_of_our_firmware_passes_every_check(firmware: str) -> None:
    if firmware == "native":
        need_compiler()
    if firmware == "emulated":
        needed_modules("unicorn", "elftools")
    opened = open_device(DeviceUrl.parse(f"sim:?firmware={firmware}"))
    assert opened.peer is not None
    outcomes = examined(opened.peer)

    assert [(it.id, it.verdict) for it in outcomes if it.verdict is not Verdict.PASS] == []
    assert {it.id for it in outcomes} == EVERY
    assert len(EVERY) == 65


def test_a_probe_that_says_all_as_it_is_is_no_bad_one() -> None:
    assert found(examined(BadProbe(None, None)), Verdict.FAIL) == []


# -- bad ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_first_by_its_check_and_its_field_is_named(name: str) -> None:
    defect = DEFECTS[name]
    outcomes = examined(BadProbe(defect.say, defect.spoil), int(defect.check[1]))

    failed = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAIL]
    assert [failed[0].id] == [defect.check]
    assert defect.field in failed[0].field
    assert failed[0].expected
    assert failed[0].expected != failed[0].observed


def test_every_check_can_fail() -> None:
    assert EVERY - {defect.check for defect in DEFECTS.values()} == set()


def test_every_check_names_a_heading_of_the_specification() -> None:
    text = (ROOT / "protocol" / "SPEC.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert {check.section for level in LEVELS for check in level} - anchors == set()
    sections = {o.section for o in examined(BadProbe(None, None), 1)}
    assert sections <= anchors


def test_gas_that_flows_unasked_ends_the_examination_with_a_stop() -> None:
    defect = DEFECTS["valve_opens_in_self_test"]
    outcomes = examined(BadProbe(defect.say, defect.spoil))

    at = [outcome.id for outcome in outcomes].index("L1.done")
    assert outcomes[at].field == "TELEMETRY.valve_permille"
    assert {outcome.verdict for outcome in outcomes[at + 1 :]} == {Verdict.NOT_RUN}
    assert "valve opened" in outcomes[-1].reason


class Watched:
    """A probe whose valve and shut-off are watched at the plant, not by what it says."""

    def __init__(self) -> None:
        self.device = simulated("sim:")
        self.was_open = False

    def advance_to(self, now_s: float, incoming: bytes) -> bytes:
        sent = self.device.advance_to(now_s, incoming)
        actuators = self.device.actuators
        self.was_open = self.was_open or actuators.valve > 0.0 or actuators.shutoff_open
        return sent

    def save(self) -> bytes:
        return self.device.save()

    def load(self, data: bytes) -> None:
        self.device.load(data)


@pytest.mark.parametrize(("last_level", "opens"), [(0, False), (1, False), (2, True)])
def test_no_valve_opens_below_level_2(last_level: int, opens: bool) -> None:
    watched = Watched()
    examined(watched, last_level)

    assert watched.was_open is opens


def test_without_leave_no_valve_opens_at_any_level() -> None:
    watched = Watched()
    outcomes = examined(watched, may_freeze=False)

    assert not watched.was_open
    left = found(outcomes, Verdict.NOT_RUN)
    assert left == [
        f"L2.{name}"
        for name in ("arm", "two-actions", "lease-off", "timer-off", "mode-off", "stop-off")
    ]


def test_a_probe_is_left_shut_whatever_was_wrong_with_it() -> None:
    defect = DEFECTS["freezes_without_a_lease"]
    probe = BadProbe(defect.say, defect.spoil)
    examined(probe, 2)

    assert probe.device.actuators.valve == 0.0


def test_the_careless_example_gets_the_levels_that_it_deserves(tmp_path: Path) -> None:
    needed_modules("unicorn", "elftools", "ziglang")
    folder = build.board_folder().parent / "examples" / "careless"
    elf = tmp_path / "careless.elf"
    sources = [folder / "careless.c", *build.library_sources()]
    build.build(elf, sources, linker_script=folder / "virtual.ld", debug=True)
    opened = open_device(DeviceUrl.parse(f"sim:?firmware=elf:{elf}"))
    assert opened.peer is not None
    outcomes = examined(opened.peer)

    # Frames, session and tags are the library's; what it does is its own.
    assert found(outcomes, Verdict.FAIL) == [
        "L1.wrong-state",
        "L1.stop",
        "L2.arm",
        "L2.two-actions",
        "L2.lease-off",
        "L2.timer-off",
        "L2.mode-off",
    ]
    assert len(found(outcomes, Verdict.PASS)) == 58


# -- the command ---------------------------------------------------------------------------------


def test_json_is_one_object_with_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    code = invoke(["conform", "--device", "sim:", "--levels", "0", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert code == told["exit_code"] == 0
    assert told["hello"]["profile_id"] == "n2o-20g"
    assert told["levels"] == [
        {
            "level": 0,
            "title": "HELLO and telemetry",
            "verdict": "PASS",
            "passed": 23,
            "failed": 0,
            "not_run": 0,
        }
    ]
    assert len(told["checks"]) == 23


@pytest.mark.parametrize("levels", ["4", "1-0", "all", "-1"])
def test_levels_that_are_none_are_refused(levels: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["conform", "--device", "sim:", f"--levels={levels}"]) == 2
    assert "0 to 3" in capsys.readouterr().err


def test_another_dialect_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["conform", "--device", "serial:/dev/ttyX?dialect=ascii"]) == 2
    assert "another dialect is not the protocol" in capsys.readouterr().err


# -- over real links -----------------------------------------------------------------------------


@contextmanager
def served(endpoint: Endpoint, peer: object) -> Iterator[None]:
    """Tick a probe at an endpoint in a thread."""
    ended = threading.Event()
    server = ProbeServer(peer, endpoint, baud=None)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, args=(ended.is_set,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10.0)
        endpoint.close()


class ServedBadProbe(BadProbe):
    research = False

    def power_cycle(self) -> None:
        self.device.power_cycle()


@pytest.mark.real_time
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_a_probe_at_a_port_passes_levels_0_and_1(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = PtyEndpoint() if kind == "pty" else TcpEndpoint("127.0.0.1", 0)
    with served(endpoint, simulated("sim:")):
        code, out = 1, ""
        for _ in range(3):  # A busy machine loses ticks, and frames with them.
            if code != 0:
                code = invoke(["conform", "--device", endpoint.address])
                out = capsys.readouterr().out

    assert code == 0, out
    assert "level 0 PASS: 23 passed, 0 failed, 0 not run" in out
    assert "level 1 PASS: 20 passed, 0 failed, 0 not run" in out


@pytest.mark.real_time
@pytest.mark.timeout(180)
def test_over_a_broker_what_needs_bytes_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain_broker(tmp_path) as broker:
        device = simulated("sim:")
        endpoint = MqttEndpoint(broker.address(device=""), device.device_id, lambda _line: None)
        with served(endpoint, device):
            code = invoke(["conform", "--device", broker.url(device=device.device_id)])
    out = capsys.readouterr().out

    assert code == 0, out
    assert "level 0 PASS: 12 passed, 0 failed, 11 not run" in out
    assert "level 1 PASS: 19 passed, 0 failed, 1 not run" in out
    assert "this link carries whole messages" in out


@pytest.mark.real_time
def test_a_port_that_sends_no_sound_frame_is_told_the_first_byte(
    capsys: pytest.CaptureFixture[str],
) -> None:
    defect = DEFECTS["crc_big_endian"]
    endpoint = TcpEndpoint("127.0.0.1", 0)
    with served(endpoint, ServedBadProbe(defect.say, defect.spoil)):
        code = invoke(["conform", "--device", endpoint.address, "--levels", "0"])
    out = capsys.readouterr().out

    assert code == 1
    assert re.search(r"FAIL +L0\.frames", out)
    assert "CRC, byte" in out
    assert "no probe: " in out


@pytest.mark.real_time
def test_gas_is_let_out_of_a_real_device_by_hand_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    endpoint = TcpEndpoint("127.0.0.1", 0)
    words = ["conform", "--device", endpoint.address, "--may-freeze"]
    assert invoke([*words, "--levels", "0-2"]) == 2
    assert "--arm-and-start" in capsys.readouterr().err
    assert invoke(words) == 2
    assert "--may-freeze is for level 2" in capsys.readouterr().err
    endpoint.close()
