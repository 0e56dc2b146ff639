"""Opening ``sim:`` addresses: what is built, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoctl_protocol.peer import DeviceUrl, LinkError
from cryoctl_protocol.toml_text import FileError
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.link import open_link


def test_an_empty_address_opens_the_default_probe_with_seed_1() -> None:
    opened = open_link(DeviceUrl.parse("sim:"))
    assert "n2o-20g" in opened.description
    assert "seed 1" in opened.description
    assert isinstance(opened.peer, SimulatedDevice)
    assert {id(opened.faults), id(opened.truth)} == {id(opened.peer)}
    assert opened.link is None
    assert 'id = "n2o-20g"' in dict(opened.files)["profiles/n2o-20g.toml"]


@pytest.mark.parametrize("profile", ["n2o-20g", "n2o-27gx3", "co2-20g"])
def test_every_built_in_profile_opens(profile: str) -> None:
    assert profile in open_link(DeviceUrl.parse(f"sim:{profile}?seed=7")).description


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sim:n2o-20gg", "unknown profile 'n2o-20gg' (known: co2-20g, co2-double-18g"),
        (
            "sim:?sed=1",
            "parameter 'sed' (allowed: seed, serial, scenario, firmware, board, gdb, fault; did",
        ),
        ("sim:?seed=x", "seed 'x' is no whole number (0 to 4294967295)"),
        ("sim:?seed=-1", "seed '-1' is no whole number"),
        ("sim:?seed=4294967296", "seed 4294967296 is out of range (0 to 4294967295)"),
        ("sim:?seed=", "seed '' is no whole number"),
        ("sim:?scenario=/no/such.toml", "scenario '/no/such.toml': No such file or directory"),
        ("sim:?fault=tc_opn@1s", "did you mean 'tc_open'?"),
        ("sim:?fault=tc_open@soon", "'soon' is no moment"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_is_allowed(url: str, words: str) -> None:
    with pytest.raises(LinkError) as caught:
        open_link(DeviceUrl.parse(url))
    assert words in str(caught.value)
    assert str(caught.value).startswith("device sim:")


def test_the_largest_seed_opens() -> None:
    assert "4294967295" in open_link(DeviceUrl.parse("sim:?seed=4294967295")).description


def test_a_scenario_file_shapes_the_plant_and_is_kept_for_the_recording(tmp_path: Path) -> None:
    file = tmp_path / "gel.toml"
    text = 'title = "bench gel"\n[tissue]\npreset = "gel_22c"\n'
    file.write_text(text, "utf-8")
    opened = open_link(DeviceUrl.parse(f"sim:?scenario={file}"))
    assert "bench gel" in opened.description
    assert dict(opened.files)["scenario"] == text
    assert isinstance(opened.peer, SimulatedDevice)
    assert opened.peer.plant.tip_temp_c == pytest.approx(22.0)


def test_a_mistake_in_a_scenario_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('title = "x"\n\n[tissue]\npreset = "mussel"\n', "utf-8")
    with pytest.raises(FileError) as caught:
        open_link(DeviceUrl.parse(f"sim:?scenario={file}"))
    assert f"{file}:4:" in str(caught.value)


def test_a_plus_sign_in_an_address_is_itself() -> None:
    url = DeviceUrl.parse("sim:?fault=tc_open@freeze+3s")
    assert url.all("fault") == ("tc_open@freeze+3s",)
    assert open_link(url).peer is not None
