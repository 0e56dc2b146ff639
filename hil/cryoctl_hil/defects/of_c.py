"""Defects of the C firmware: changed texts of its sources, compiled for this process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from cryoctl_hil.defects.defect import Defect, Kind
from cryoctl_simulator import firmware_compiler, firmware_native
from cryoctl_simulator.firmware_compiler import compile_library, find_compiler, source_folders

Text = tuple[str, str, str]
"""A file of the firmware or of the device library, an old text that is there once, a new one."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Has the native firmware be compiled from sources with other texts in them."""

    texts: tuple[Text, ...]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compile, and use that one meanwhile."""
        with tempfile.TemporaryDirectory() as folder:
            library = _compiled(self.texts, Path(folder))
            with patch.object(firmware_native, "library", lambda: library):
                yield


def _compiled(texts: tuple[Text, ...], folder: Path) -> Any:
    copies = []
    for number, original in enumerate(source_folders()):
        copy = folder / str(number)
        copy.mkdir()
        for path in (*original.glob("*.c"), *original.glob("*.h")):
            shutil.copy(path, copy)
        copies.append(copy)
    for text in texts:
        _change(copies, text)
    made = folder / "defective.so"
    with patch.object(firmware_compiler, "source_folders", lambda: tuple(copies)):
        compile_library(find_compiler(), made, "-O1", "-w")
    return firmware_native.load_library(str(made))


def _change(folders: list[Path], text: Text) -> None:
    name, old, new = text
    path = next(folder / name for folder in folders if (folder / name).exists())
    before = path.read_text("utf-8")
    assert before.count(old) == 1, f"{name}: {before.count(old)} times {old!r}"
    path.write_text(before.replace(old, new), "utf-8")


def _defect(identifier: str, text: str, requirements: str, *texts: Text) -> Defect:
    return Defect(f"c-{identifier}", text, tuple(requirements.split()), (Sources(texts),), Kind.C)


# fmt: off
C_DEFECTS: Final[tuple[Defect, ...]] = (
    _defect("no-floor", "no interlock at the floor of the tip", "SR-05",
        ("safety.c", "return s->tip_plausible;\n}\n\n/* SR-07", "return 0;\n}\n\n/* SR-07")),
    _defect("overpressure-slow", "overpressure must last 300 ms", "SR-18",
        ("safety.c", "#define PRESSURE_TICKS 3 ", "#define PRESSURE_TICKS 30 ")),
    _defect("open-tip-plausible", "an open thermocouple is believed", "SR-11",
        ("sensing.c", "if (open_circuit & CRYO_SENSOR_TIP) {", "if (0) {")),
    _defect("tip-one-sample", "one bad sample of the tip trips", "SR-11",
        ("parts.h", "#define TIP_BAD_SAMPLES_MAX 2", "#define TIP_BAD_SAMPLES_MAX 0")),
    _defect("lease-ignored", "the lease is ignored", "SR-01",
        ("safety.c", "if (s->lease_left_ms <= 0) { /* SR-01 */", "if (0) {")),
    _defect("no-stuck", "no interlock of a stuck valve", "SR-07",
        ("safety.c", "if (valve_is_stuck(limits, s)) {", "if (0) {")),
    _defect("battery-slow", "a low battery must last 2 s", "SR-36",
        ("safety.c", "#define BATTERY_MS 100 ", "#define BATTERY_MS 2000 ")),
    _defect("last-cause", "a later cause overwrites the first", "SR-27",
        ("firmware.c", "    if (is_first) {\n        s->trip = cause;",
         "    s->trip = cause;\n    if (is_first) {")),
    _defect("clear-at-once", "CLEAR is accepted as soon as the cause has gone", "SR-27",
        ("commands.c", "#define QUIET_MS 1000", "#define QUIET_MS 0")),
    _defect("start-any-treatment", "START is accepted for another treatment", "SR-26",
        ("commands.c", "if (command->treatment_hash != s->treatment_hash) {", "if (0) {")),
    _defect("arm-untested", "ARM is accepted without a leak test", "SR-19",
        ("commands.c", "if (!s->leak_test_passed) {", "if (0) {")),
    _defect("leak-test-passes", "the leak test always passes", "SR-19",
        ("checks.c", "return decay_mbar < DECAY_MBAR_MAX;", "return 1;")),
    _defect("setpoint-any", "any cold set-point is accepted", "SR-06",
        ("commands.c", "if (command->setpoint_mdegc < limits->setpoint_min_mdegc) {", "if (0) {")),
    _defect("heats-in-freeze", "the heater is on together with the valve", "SR-15",
        ("drive.c", "        out->tip_heater_permille = 0;\n        out->heater_supply_on = 0;",
         "        out->tip_heater_permille = 50;"),
        ("safety.c", "        if (tip_heater_permille > 0) {\n            return 1;",
         "        if (tip_heater_permille > 0) {\n            return 0;")),
    _defect("stop-ignored", "STOP is answered and ignored", "SR-24 SR-29",
        ("firmware.c", "            on_stop(f, &request->u.stop);", "            continue;")),
    _defect("counter-unchecked", "a command with an old counter is carried out", "SR-24",
        ("cryo_device.c", "if (command.counter <= d->command_counter) {", "if (0) {")),
    _defect("deadline-unchecked", "a command is carried out past its deadline", "SR-24",
        ("cryo_device.c", "if (cryo_until_ms(now_ms, command.deadline_ms) < 0) {", "if (0) {")),
    _defect("telemetry-10hz", "telemetry comes at 10 Hz", "SR-03",
        ("firmware.c", "#define TELEMETRY_TICKS 2u", "#define TELEMETRY_TICKS 10u")),
    _defect("tip-in-cdegc", "telemetry has the tip in hundredths of a degree", "SR-05 SR-13",
        ("reporting.c", "        .tip_mdegc = r->tip_mdegc,\n        .tip_2_mdegc",
         "        .tip_mdegc = r->tip_mdegc / 10,\n        .tip_2_mdegc")),
    _defect("shutoff-open", "the second shut-off stays open", "SR-07 SR-18",
        ("drive.c", "    }\n    return 0;\n}", "    }\n    return s->trip != 0;\n}")),
)
# fmt: on
