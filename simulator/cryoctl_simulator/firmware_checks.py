"""The tests that the probe runs on itself: sensors and lamps, and a leak test under pressure."""

from __future__ import annotations

from typing import Final

from cryoctl_simulator.firmware_config import TICK_MS, DeviceLimits
from cryoctl_simulator.firmware_safety import TIP_BAD_SAMPLES_MAX
from cryoctl_simulator.firmware_sensing import Readings
from cryoctl_simulator.firmware_state import FirmwareState

SELF_TEST_MS: Final = 500
TIPS_APART_MDEGC_MAX: Final = 5_000
"""Two thermocouples of one needle at rest; each may be off by 2 C."""

FILL_MS: Final = 500
"""The shut-off opens this long, so that there is pressure to lose; the valve stays shut."""
_SETTLE_MS: Final = 1_000
_MEASURE_MS: Final = 10_000  # SR-19
_MEAN_MS: Final = 100  # Pressure is averaged over this at both ends.
LEAK_TEST_MS: Final = FILL_MS + _SETTLE_MS + _MEASURE_MS + _MEAN_MS
DECAY_MBAR_MAX: Final = 1_000  # SR-19: less than 1 bar in 10 s, lost or gained.
TEST_PRESSURE_MIN_MBAR: Final = 10_000
"""A line without pressure cannot show a leak."""
SAMPLE_MBAR_MAX: Final = 1_000_000
STILL_MS_MAX: Final = 2_000
"""SR-19: a reading that is exactly the same for this long is none: a sensor's last digit moves."""


def start_self_test(s: FirmwareState) -> None:
    """Begin the self-test."""
    s.test_failed = False


def watch_self_test(limits: DeviceLimits, s: FirmwareState, r: Readings) -> None:
    """Judge one set of readings while nothing is driven."""
    if r.open_circuit & limits.sensors:
        s.test_failed = True
    if s.tip_bad_samples > TIP_BAD_SAMPLES_MAX:  # SR-11: fewer are no fault.
        s.test_failed = True
    # The last plausible sample: a single bad one is no fault here either.
    if abs(s.tip_mdegc - r.tip_2_mdegc) > TIPS_APART_MDEGC_MAX:
        s.test_failed = True
    if r.battery_mv < limits.battery_min_mv:
        s.test_failed = True
    if r.exhaust_flow_ug_s > limits.flow_leak_ug_s:
        s.test_failed = True


def start_leak_test(s: FirmwareState) -> None:
    """Begin the leak test; an older result is void."""
    s.leak_test_passed = False
    s.test_failed = False
    s.test_start_mbar = 0
    s.test_sum_mbar = 0
    s.test_samples = 0
    s.test_last_mbar = 0
    s.test_still_ms = 0


def watch_leak_test(limits: DeviceLimits, s: FirmwareState, r: Readings, elapsed_ms: int) -> None:
    """Take one set of readings: fill, settle, mean, wait, mean."""
    if r.open_circuit & limits.guard_sensors:
        s.test_failed = True  # What cannot be seen proves nothing.
    if r.supply_mbar == s.test_last_mbar:
        s.test_still_ms += TICK_MS
    else:
        s.test_still_ms = 0
    s.test_last_mbar = r.supply_mbar
    if s.test_still_ms >= STILL_MS_MAX:
        s.test_failed = True
    begin_ms = FILL_MS + _SETTLE_MS
    if elapsed_ms <= begin_ms:
        return
    if r.exhaust_flow_ug_s > limits.flow_leak_ug_s:
        s.test_failed = True
    if elapsed_ms <= begin_ms + _MEAN_MS:  # noqa: SIM114 (in the order of time)
        _take(s, r)
    elif elapsed_ms > begin_ms + _MEASURE_MS:
        _take(s, r)
    elif s.test_samples > 0:
        s.test_start_mbar = _mean(s)
        s.test_sum_mbar = 0
        s.test_samples = 0


def leak_decay_mbar(s: FirmwareState) -> int:
    """Return what the pressure lost."""
    return s.test_start_mbar - _mean(s)


def leak_test_is_ok(s: FirmwareState) -> bool:
    """SR-19: pressurised, a live reading, no flow, and less than 1 bar of change in 10 s."""
    if s.test_failed:
        return False
    if s.test_start_mbar < TEST_PRESSURE_MIN_MBAR:
        return False
    decay_mbar = leak_decay_mbar(s)
    if decay_mbar <= -DECAY_MBAR_MAX:
        return False  # A shut line gains nothing: the sensor drifts, or the supply is not shut.
    return decay_mbar < DECAY_MBAR_MAX


def _take(s: FirmwareState, r: Readings) -> None:
    # Far above every sensor, so that the sum stays within 32 bits.
    s.test_sum_mbar += min(max(r.supply_mbar, -SAMPLE_MBAR_MAX), SAMPLE_MBAR_MAX)
    s.test_samples += 1


def _mean(s: FirmwareState) -> int:
    return s.test_sum_mbar // s.test_samples
