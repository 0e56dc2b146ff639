"""What is asked of a run: Python values and texts become options, or one clear error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cryoctl.run_options import RunOptions, make_options, settings_of
from cryoctl.treatment import load_treatment
from cryoctl_protocol.peer import AddressError

NOTHING: dict[str, Any] = {
    "treatment": None,
    "device": "sim:",
    "seed": None,
    "speed": None,
    "settings": (),
    "scenario": None,
    "faults": (),
    "vendor": None,
    "cartridge_g": None,
    "bench_waiver": "",
    "out": None,
}


def options(**asked: Any) -> RunOptions:
    return make_options(**{**NOTHING, **asked})


def test_python_values_become_settings_that_mean_the_same() -> None:
    text = 'schema = 1\nprofile = "n2o-20g"\n[cycles]\ncount = 1\nsetpoint_c = -60\nhold_s = 5\n'

    settings = settings_of(
        {
            "name": 'a "name" # with = signs',
            "cycles.count": np.int64(2),
            "cycles.setpoint_c": np.float32(-55.5),
            "cycles.hold_s": 7.25,
        }
    )

    treatment = load_treatment(text, "text", settings)
    assert treatment.name == 'a "name" # with = signs'
    assert treatment.cycles.model_dump() == {
        "count": 2,
        "setpoint_c": -55.5,
        "hold_s": 7.25,
        "dose_radius_mm": None,
        "pause_s": 10.0,
        "on_not_effective": "stop",
    }
    assert settings_of({"a": True, "b": False}) == ("a=true", "b=false")


def test_the_address_says_everything_about_a_simulated_device() -> None:
    made = options(device="sim:?seed=3&fault=babble@1s", faults=["tc_open@12s"], scenario="fat")

    assert str(made.device) == ("sim:n2o-20g?seed=3&fault=babble@1s&scenario=fat&fault=tc_open@12s")
    assert made.seed == 3
    assert options(device="sim:?seed=3", seed=4).seed == 4
    assert options().seed == 1


def test_the_profile_of_the_address_chooses_the_built_in_treatment() -> None:
    assert options(device="sim:co2-20g").treatment.profile == "co2-20g"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"speed": 0.09}, "speed 0.09: expected a number from 0.1 to 1000, or None"),
        ({"speed": 1001}, "speed 1001: expected"),
        ({"speed": "max"}, "speed 'max': expected"),
        ({"cartridge_g": float("nan")}, "cartridge_g nan: expected a number from 0.1 to 100"),
        ({"speed": True}, "speed True: expected"),
        ({"device": None}, "device None: expected a text"),
        ({"bench_waiver": 5}, "bench_waiver 5: expected a text"),
        ({"faults": [5]}, r"faults \[5\]: expected a list of texts"),
        ({"faults": None}, "faults None: expected a list of texts"),
        ({"treatment": 5}, "treatment 5: expected a path, or None"),
        ({"out": ""}, "out '': expected a path, or None"),
        ({"faults": "tc_open@12s"}, r"expected a list, such as \['tc_open@12s'\]"),
    ],
)
def test_an_argument_that_cannot_be_is_a_value_error(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options(**asked)


def test_changes_that_are_no_dictionary_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="set 'a=1': expected a dictionary"):
        settings_of("a=1")  # type: ignore[arg-type]


def test_a_value_without_a_place_in_a_treatment_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"set 'cycles.count': \[2\] is no number, text or bool"):
        settings_of({"cycles.count": [2]})


@pytest.mark.parametrize(
    "asked", [{"seed": 1}, {"scenario": "fat"}, {"faults": ["babble@1s"]}, {"gdb": 1}]
)
def test_only_a_simulated_device_is_told_how_to_be(asked: dict[str, Any]) -> None:
    with pytest.raises(AddressError, match="scenario, seed, faults and gdb are for simulated"):
        options(device="tcp://there:1", **asked)
