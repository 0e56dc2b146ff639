"""Boiling and sublimation points of the host's own curves, against published points."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cryoctl.saturation import saturation_temp_c


@pytest.mark.requirement("SR-11")
@pytest.mark.parametrize(
    ("gas", "pressure_bar", "temp_c"),
    [
        ("N2O", 1.01325, -88.47),  # Normal boiling point, NIST: 184.68 K.
        ("N2O", 50.6, 20.0),  # Saturation at room temperature, Lemmon & Span 2006.
        ("N2O", 31.2, 0.0),
        ("CO2", 1.01325, -78.46),  # Sublimation at 1 atm, NIST: 194.69 K.
        ("CO2", 5.18, -56.56),  # Triple point: 216.59 K.
        ("CO2", 34.85, 0.0),  # Span & Wagner 1996.
        ("CO2", 57.29, 20.0),
    ],
)
def test_saturation_lies_within_one_degree_of_the_tables(
    gas: str, pressure_bar: float, temp_c: float
) -> None:
    assert saturation_temp_c(gas, pressure_bar) == pytest.approx(temp_c, abs=1.0)


@pytest.mark.parametrize("gas", ["N2O", "CO2"])
def test_saturation_rises_with_pressure_without_a_jump(gas: str) -> None:
    pressures_bar = [0.05 * 1.02**step for step in range(360)]

    temps_c = [saturation_temp_c(gas, pressure_bar) for pressure_bar in pressures_bar]

    steps_c = [after - before for before, after in pairwise(temps_c)]
    assert min(steps_c) > 0.0
    assert max(steps_c) < 1.0


@pytest.mark.parametrize("pressure_bar", [0.05, 0.0, -1.0])
def test_a_pressure_sensor_that_reads_nothing_gives_a_number_nevertheless(
    pressure_bar: float,
) -> None:
    assert saturation_temp_c("N2O", pressure_bar) == saturation_temp_c("N2O", 0.05)
    assert -130.0 < saturation_temp_c("N2O", pressure_bar) < -110.0
