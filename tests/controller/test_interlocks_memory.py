"""What the host's checks remember of a sample: plausibility, rate, since when outputs are off."""

from __future__ import annotations

from typing import Any

import pytest

from cryoctl.interlocks import Memory, is_implausible, remember
from cryoctl.saturation import saturation_temp_c
from cryoctl_protocol.codes import Sensor
from tests.support.builders import a_sample


def after(memory: Memory, now_s: float, **sample: Any) -> Memory:
    """Return the memory after one more sample."""
    remember(memory, a_sample(**sample), now_s, "N2O", 2.5)
    return memory


def test_a_session_begins_without_a_past() -> None:
    assert Memory() == Memory(
        last_s=None, last_tip_c=None, last_device_ms=0, bad_history=0, tip_good=False,
        valve_shut_s=None, filtered_tip_c=None, rate_from_c=0.0, rate_from_s=0.0,
        tip_rate_c_per_s=0.0, leak_s=None, still_tip_c=None, still_s=0.0, residual_c=None,
        residual_s=None, open_s=None, open_tip_c=0.0, skin_cold_s=None, flow_high_s=None,
        guards_open_s=None, heater_on_s=None,
    )  # fmt: skip


def test_the_first_sample_is_where_the_rate_begins() -> None:
    memory = after(Memory(), 7.0, tip_temp_c=-5.0, device_ms=123)

    assert (memory.filtered_tip_c, memory.rate_from_c, memory.rate_from_s) == (-5.0, -5.0, 7.0)
    assert (memory.last_s, memory.last_tip_c, memory.last_device_ms) == (7.0, -5.0, 123)
    assert (memory.tip_good, memory.bad_history, memory.tip_rate_c_per_s) == (True, 0, 0.0)
    assert (memory.valve_shut_s, memory.heater_on_s) == (7.0, None)


@pytest.mark.requirement("SR-07")
def test_the_tip_is_followed_with_300_ms() -> None:
    memory = Memory(last_s=1.0, filtered_tip_c=0.0, rate_from_s=1.0)

    after(memory, 1.1, tip_temp_c=-4.0)

    assert memory.filtered_tip_c == pytest.approx(-1.0)  # 0.1 s in 0.3 s and 0.1 s.
    assert memory.tip_rate_c_per_s == 0.0  # Not before half a second has gone.


@pytest.mark.requirement("SR-07")
@pytest.mark.parametrize(("now_s", "rate_c_per_s"), [(2.499, 0.0), (2.5, -2.0)])
def test_the_rate_is_taken_over_half_a_second(now_s: float, rate_c_per_s: float) -> None:
    memory = Memory(last_s=now_s, filtered_tip_c=9.0, rate_from_c=10.0, rate_from_s=2.0)

    after(memory, now_s, tip_temp_c=9.0)

    assert memory.tip_rate_c_per_s == pytest.approx(rate_c_per_s)
    expected = (10.0, 2.0) if rate_c_per_s == 0.0 else (9.0, 2.5)
    assert (memory.rate_from_c, memory.rate_from_s) == expected


@pytest.mark.requirement("SR-11")
def test_three_bad_samples_make_an_end_of_the_rate_and_two_do_not() -> None:
    memory = Memory(last_s=0.9, filtered_tip_c=-40.0, tip_rate_c_per_s=-5.0, bad_history=0b1)

    after(memory, 1.0, open_circuit=int(Sensor.TIP))
    assert (memory.bad_history, memory.tip_good) == (0b11, False)
    assert (memory.filtered_tip_c, memory.tip_rate_c_per_s) == (-40.0, -5.0)

    after(memory, 1.1, open_circuit=int(Sensor.TIP))
    assert memory.bad_history == 0b111
    assert (memory.filtered_tip_c, memory.tip_rate_c_per_s) == (None, 0.0)


@pytest.mark.requirement("SR-11")
def test_five_samples_are_remembered() -> None:
    memory = Memory(bad_history=0b11010)

    after(memory, 1.0)

    assert memory.bad_history == 0b10100


def test_a_tip_that_is_not_there_changes_nothing_but_the_time() -> None:
    memory = Memory(last_s=1.0, last_tip_c=3.0, bad_history=0b101, last_device_ms=5)

    after(memory, 2.0, tip_temp_c=None)

    assert (memory.last_s, memory.last_tip_c, memory.last_device_ms) == (2.0, 3.0, 5)
    assert memory.bad_history == 0b101


@pytest.mark.requirement("SR-07")
def test_the_valve_counts_as_shut_from_its_first_shut_sample() -> None:
    memory = after(Memory(leak_s=3.0), 1.0, valve=0.001)
    assert (memory.valve_shut_s, memory.leak_s) == (None, None)

    assert after(memory, 2.0).valve_shut_s == 2.0
    assert after(memory, 3.0).valve_shut_s == 2.0
    assert after(memory, 4.0, valve=0.001).valve_shut_s is None


@pytest.mark.requirement("SR-16")
def test_the_heater_counts_as_on_from_its_first_sample() -> None:
    memory = after(Memory(), 1.0, tip_heater=0.001)

    assert memory.heater_on_s == 1.0
    assert after(memory, 2.0, tip_heater=0.001).heater_on_s == 1.0
    assert after(memory, 3.0).heater_on_s is None


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("tip_c", "exhaust_bar", "last_tip_c", "implausible"),
    [
        (-92.0, None, -92.0, False),
        (-92.001, None, -92.001, True),
        (80.0, None, 80.0, False),
        (80.001, None, 80.001, True),
        # N2O boils at -80.0 C at 1.64 bar (CoolProp): 4 C below it nothing can be.
        (-83.9, 1.64, -83.9, False),
        (-84.1, 1.64, -84.1, True),
        (-84.1, None, -84.1, False),
        # 250 C/s are 5 C in 20 ms.
        (10.0, None, 15.0, False),
        (10.0, None, 15.001, True),
        (10.0, None, 5.0, False),
        (10.0, None, 4.999, True),
        (10.0, None, None, False),
    ],
)
def test_what_a_tip_can_and_cannot_be(
    tip_c: float, exhaust_bar: float | None, last_tip_c: float | None, implausible: bool
) -> None:
    memory = Memory(last_tip_c=last_tip_c, last_device_ms=980)
    sample = a_sample(exhaust_pressure_bar=exhaust_bar)

    assert is_implausible(sample, tip_c, memory, "N2O", 2.5) is implausible


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize("gas", ["N2O", "CO2"])
def test_four_degrees_below_saturation_itself_is_still_possible(gas: str) -> None:
    tip_c = saturation_temp_c(gas, 1.5) - 4.0
    sample = a_sample(exhaust_pressure_bar=1.5)

    assert not is_implausible(sample, tip_c, Memory(), gas, 2.5)
    assert is_implausible(sample, tip_c - 1e-9, Memory(), gas, 2.5)
