"""Rigs: what a file or a short name means, what can be done there, and who says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_hil.rigs.bench import Bench
from cryoctl_hil.rigs.power import Power
from cryoctl_hil.rigs.rig import Means, find_rig, read_rig
from cryoctl_protocol.codes import DeviceState
from cryoctl_protocol.peer import LinkError
from cryoctl_protocol.toml_text import FileError

HEAD = 'schema = 1\nname = "r"\n'
SERIAL = f'{HEAD}device = "serial:/dev/ttyACM0"\n'
RELAY = '[power]\nswitch = "usb-relay"\nport = "/dev/ttyUSB1"\n'


# -- what a rig is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "device", "means"),
    [
        ("sim", "sim:", {"faults", "power"}),
        ("firmware:native", "sim:?firmware=native", {"faults", "power"}),
        ("board:/dev/a,/dev/b", "board:/dev/a,/dev/b", {"faults", "power"}),
        ("serial:/dev/ttyACM0", "serial:/dev/ttyACM0", set()),
        ("mqtts://broker/site/CP-1", "mqtts://broker/site/CP-1", set()),
    ],
)
def test_a_short_name_has_what_comes_by_itself(name: str, device: str, means: set[str]) -> None:
    rig = find_rig(name)

    assert str(rig.device) == device
    assert {str(each) for each in rig.means} == means


@pytest.mark.parametrize(
    ("more", "means"),
    [
        ("", set()),
        ('fault_port = "127.0.0.1:7071"\n', {Means.FAULTS}),
        ("operator = true\n", {Means.OPERATOR}),
        (RELAY, {Means.POWER}),
        (
            '[[instrument]]\nname = "reader"\nsignal = "tip_temp_c"\nuncertainty = 0.5\n',
            {Means.INSTRUMENT},
        ),
    ],
)
def test_a_real_rig_has_what_its_file_says(more: str, means: set[Means]) -> None:
    assert read_rig(SERIAL + more, "rig.toml").means == means


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f'{HEAD}device = "nowhere"\n', "expected SCHEME:PATH"),
        (f'{HEAD}device = "sim:"\nfault_port = "h:1"\n', "fault_port: a rig at sim: has its own"),
        (f'{HEAD}device = "sim:"\n{RELAY}', "power: a rig at sim: has its own"),
        (
            f'{HEAD}device = "board:/dev/a,/dev/b"\nfault_port = "h:1"\n',
            "fault_port: a rig at board: has its own",
        ),
        (
            f'{HEAD}device = "serial:/dev/ttyUSB1"\n{RELAY}',
            "power.port: this is the port of the probe itself",
        ),
        (f"{SERIAL}timing_uncertainty_s = 0.01\n", "timing_uncertainty_s"),
        (f"{SERIAL}[uncertainty]\ntip = 0.1\n", "tip: no telemetry field"),
        (f'{SERIAL}{RELAY}channel = 0\n', "power.channel"),
        (f'{SERIAL}fault_port = "7071"\n', "fault_port"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_named(text: str, why: str) -> None:
    with pytest.raises(FileError, match=why.replace("[", r"\[")):
        read_rig(text, "rig.toml")


def test_a_name_that_is_no_rig_is_told_what_one_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["hil", "--rig", "bench"]) == 2
    assert "rig 'bench': expected sim, firmware:native" in capsys.readouterr().err


def test_the_command_checks_a_rig_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(f"{SERIAL}quik = true\n")

    code = invoke(["config", "check", "--kind", "rig", str(path)])

    assert code == 2
    assert "quik" in capsys.readouterr().err


# -- power ---------------------------------------------------------------------------------------


@pytest.fixture
def bench() -> Iterator[Bench]:
    opened = Bench(find_rig("sim"))
    yield opened
    opened.close()


@pytest.mark.requirement("SR-36")
def test_a_power_cycle_in_a_freeze_boots_the_probe_and_shuts_its_valve(
    bench: Bench, tmp_path: Path
) -> None:
    probe = bench.begin(tmp_path / "cycle.mcap")
    probe.freeze()
    probe.cool_to(-30.0)
    assert probe.sample.valve > 0.0
    assert bench.power is not None
    boots = probe.host.boots

    bench.power.cycle()
    probe.wait(lambda _: probe.host.boots > boots, within_s=2.0, step="the probe boots")
    probe.wait_for_state(DeviceState.IDLE, within_s=2.0)

    assert probe.sample.valve == 0.0
    assert not probe.leak_tested
    bench.finish({})


def test_a_probe_that_a_test_has_left_without_power_gets_it_back(
    bench: Bench, tmp_path: Path
) -> None:
    probe = bench.begin(tmp_path / "off.mcap")
    assert bench.power is not None
    bench.power.off()
    heard = len(probe.trace.now_s)
    probe.let_pass(1.0)
    assert len(probe.trace.now_s) == heard

    bench.finish({})

    assert bench.unsafe == ""
    assert len(probe.trace.now_s) > heard


def test_a_switch_that_cuts_nothing_is_found_out(bench: Bench, tmp_path: Path) -> None:
    class Unwired:
        def on(self) -> None: ...
        def off(self) -> None: ...
        def close(self) -> None: ...

    probe = bench.begin(tmp_path / "unwired.mcap")

    with pytest.raises(LinkError, match="the probe goes on talking"):
        Power(Unwired(), probe).cycle()
    bench.finish({})


def test_an_unknown_switch_names_those_that_are_installed(tmp_path: Path) -> None:
    text = SERIAL + RELAY.replace("usb-relay", "usb-really")

    with pytest.raises(LinkError, match=r"'usb-really' is not installed; known: .*usb-relay"):
        Bench(read_rig(text, "rig.toml")).begin(tmp_path / "none.mcap")


# -- what is not there ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="paths of ports")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SERIAL.replace("ttyACM0", "no-such"), "/dev/no-such: there is no such port"),
        (
            SERIAL + RELAY.replace("ttyUSB1", "no-relay"),
            "power switch usb-relay: /dev/no-relay: there is no such port",
        ),
        (f'{SERIAL}fault_port = "127.0.0.1:1"\n', "fault port 127.0.0.1:1: "),
        (
            f'{HEAD}device = "board:/dev/no-link,/dev/no-channel"\n',
            "rig r: board: /dev/no-link: ",
        ),
        (f'{HEAD}device = "board:/dev/a,/dev/b?seed=2"\n', "unknown parameter 'seed'"),
    ],
)
def test_a_part_that_is_not_there_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(LinkError) as caught:
        Bench(read_rig(text, "rig.toml")).begin(tmp_path / "none.mcap")
    assert why in str(caught.value)
