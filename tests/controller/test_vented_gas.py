"""SR-21: gas into the room within an hour, and the alarm."""

from __future__ import annotations

import pytest

from cryoctl.vented_gas import VentedGas
from tests.support.bench import automatic_bench
from tests.support.builders import a_treatment


@pytest.mark.requirement("SR-21")
def test_gas_counts_for_an_hour_and_then_no_more() -> None:
    vented = VentedGas()
    vented.add(10.0, 30.0)
    vented.add(5.0, 1800.0)

    vented.add(0.0, 3599.0)
    assert vented.g_per_h == pytest.approx(15.0)
    vented.add(0.0, 3630.0)
    assert vented.g_per_h == pytest.approx(15.0)
    vented.add(0.0, 3660.0)
    assert vented.g_per_h == pytest.approx(5.0)
    vented.add(0.0, 5460.0)
    assert vented.g_per_h == pytest.approx(0.0)
    assert vented.max_g_per_h == pytest.approx(15.0)


@pytest.mark.requirement("SR-21")
@pytest.mark.parametrize(
    ("vented_g", "scavenging", "alarms"),
    [(15.9, False, []), (16.1, False, ["GAS_IN_ROOM"]), (16.1, True, [])],
)
def test_more_than_16_g_within_an_hour_is_an_alarm_unless_the_room_is_drawn_off(
    vented_g: float, scavenging: bool, alarms: list[str]
) -> None:
    bench = automatic_bench(a_treatment(count=1), scavenging=scavenging)
    bench.controller.measures.vented.add(vented_g, 0.0)

    bench.run_for(1.0)

    assert bench.controller.alarms == alarms
    assert bench.controller.trips == []


@pytest.mark.requirement("SR-21")
def test_the_alarm_goes_with_the_gas_of_an_hour_ago() -> None:
    bench = automatic_bench(a_treatment(count=1))
    controller = bench.controller
    controller.measures.vented.add(16.1, 0.0)
    bench.run_for(1.0)
    stood = controller.board.is_present("GAS_IN_ROOM")

    controller.measures.vented.add(0.0, 3660.0)
    bench.run_for(0.1)

    assert (stood, controller.board.is_present("GAS_IN_ROOM")) == (True, False)
    changes = [event.data["change"] for event in bench.sink.of_kind("alarm")]
    assert changes == ["raised", "gone"]
