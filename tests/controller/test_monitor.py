"""A monitor: tells what the probe says, keeps what even a stranger understands, sends nothing."""

from __future__ import annotations

import pytest

from cryoctl.monitor import Monitor
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.framing import Deframer
from tests.support.bench import a_device
from tests.support.scripted_device import EVERY_SENSOR, ScriptedDevice


def listen(device: ScriptedDevice, *, until_s: float) -> Monitor:
    """Return a monitor that has heard ``device`` from its start."""
    monitor, deframer = Monitor(), Deframer()
    for step in range(1, round(until_s * 100.0) + 1):
        for body in deframer.feed(device.advance_to(step / 100.0, b"")):
            monitor.take(body, step / 100.0)
    return monitor


def test_identity_state_and_figures_are_told() -> None:
    rows = dict(listen(a_device(), until_s=0.5).rows(0.5))

    assert rows["probe"] == "SCRIPTED-1, firmware script, profile n2o-20g, protocol 1.0"
    assert rows["link"] == "connected, 0 frames rejected"
    assert rows["state"] == "IDLE"
    assert rows["tip"] == "33.1 °C"
    assert rows["supply"] == "50.0 bar"
    assert rows["valve"] == "0%, supply shut"


def test_a_probe_that_falls_silent_is_told_and_its_figures_called_old() -> None:
    monitor = listen(a_device(), until_s=0.5)

    rows = dict(monitor.rows(3.0))

    assert rows["link"] == "SILENT for 2.5 s: figures are old, 0 frames rejected"


def test_a_trip_that_the_probe_holds_is_told() -> None:
    device = a_device()
    device.trip_silently(Trip.BATTERY)

    assert dict(listen(device, until_s=0.5).rows(0.5))["state"] == "FAULT, holds BATTERY"


def test_a_probe_with_another_message_table_is_read_by_what_never_changes() -> None:
    monitor = listen(a_device(schema_hash=1), until_s=0.5)

    assert monitor.sample is None
    assert monitor.hello is not None
    assert "profile n2o-20g" in dict(monitor.rows(0.5))["probe"]


def test_before_anything_was_heard_there_is_nothing_to_show() -> None:
    assert Monitor().rows(0.0) == [("probe", "nothing heard yet")]


def test_one_line_says_that_nothing_was_heard() -> None:
    assert Monitor().line(3.0) == "nothing heard yet"


def test_one_line_has_what_matters_most() -> None:
    line = listen(a_device(), until_s=0.5).line(0.5)

    assert line == (
        "connected  state IDLE  tip 33.1 °C  supply 50.0 bar  exhaust 0.0 mg/s  "
        "valve 0%, supply shut  heater 0%"
    )


@pytest.mark.parametrize(
    ("sensors", "response"), [(EVERY_SENSOR, "sensory"), (EVERY_SENSOR & ~512, "not known")]
)
def test_a_stimulus_is_told_with_its_response(sensors: int, response: str) -> None:
    device = a_device(sensors=sensors)
    device.telemetry = {
        "state": 10,
        "stimulus_ua": 1_250,
        "stimulus_hz": 50,
        "stimulus_pulse_us": 100,
        "stimulus_response": 1,
    }
    monitor = listen(device, until_s=0.5)

    told = f"1.25 mA, 50 Hz, 0.10 ms, response {response}"
    assert dict(monitor.rows(0.5))["stimulus"] == told
    assert monitor.line(0.5).endswith(f"  stimulus {told}")
    assert dict(listen(a_device(), until_s=0.5).rows(0.5))["stimulus"] == "off"


@pytest.mark.parametrize("noise", [b"", b"\x00", b"nonsense" * 30])
def test_noise_is_counted_and_shows_nothing(noise: bytes) -> None:
    monitor = Monitor()

    monitor.take(noise, 0.1)

    assert monitor.heard_s is None
    assert monitor.rejects == 1


def test_what_the_probe_holds_and_its_silence_are_alarms_with_what_to_do() -> None:
    device = a_device()
    device.telemetry = {"trip": 1, "state": 9}
    monitor = listen(device, until_s=0.5)

    calm, alarmed = listen(a_device(), until_s=0.5), monitor.rows(2.0)

    assert calm.alarms(0.5) == []
    assert [alarm.id for alarm in monitor.alarms(2.0)] == ["LINK", "TIP_FLOOR"]
    told = [text for name, text in alarmed if name == "!!!"]
    assert told[1].startswith("TIP_FLOOR: tip at or below the profile's floor. Do not move")
    assert "  !!! TIP_FLOOR  " in monitor.line(0.5)
