"""Opens ``sim:[PROFILE][?seed=N&scenario=NAME_OR_PATH&fault=ID@WHEN...]``."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Final

from cryoctl_protocol.peer import AddressError, DeviceUrl, Opened
from cryoctl_protocol.profile import ProfileError, load_profile
from cryoctl_protocol.toml_text import FILE_SIZE_MAX_BYTES, decode_utf8
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware_config import FirmwareConfig
from cryoctl_simulator.instruments import Instruments
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.plant_parameters import shipped_plant_parameters
from cryoctl_simulator.scenario import Scenario, load_scenario, shipped_scenarios

DEFAULT_PROFILE: Final = "n2o-20g"
DEFAULT_SEED: Final = 1
SEED_MAX: Final = 2**32 - 1
PARAMS: Final = ("seed", "scenario", "fault")


def open_link(url: DeviceUrl) -> Opened:
    """Return a simulated probe in virtual time.

    Raises:
        AddressError: Unknown profile or parameter, or a value that is not allowed.
        FileError: Mistakes in the scenario file.
    """
    _refuse_unknown_params(url)
    name = url.path or DEFAULT_PROFILE
    try:
        profile = load_profile(name)
    except ProfileError as error:
        raise AddressError(f"device {url}: {error}") from error
    seed = _seed(url)
    scenario, scenario_text = _scenario(url)
    device = SimulatedDevice(
        FirmwareConfig.shipped(name),
        Plant(shipped_plant_parameters(name), scenario),
        Instruments(seed=seed),
        seed=seed,
    )
    for fault in url.all("fault"):
        try:
            device.inject(fault)
        except ValueError as error:
            raise AddressError(f"device {url}: {error}") from error
    profile_text = (
        resources.files("cryoctl_protocol").joinpath("profiles", f"{name}.toml").read_text("utf-8")
    )
    return Opened(
        description=f"simulated {name} ({profile.probe.title}), seed {seed}, {scenario.title}",
        peer=device,
        faults=device,
        truth=device,
        files=(
            (f"profiles/{name}.toml", profile_text),
            *((("scenario", scenario_text),) if scenario_text else ()),
        ),
    )


def _refuse_unknown_params(url: DeviceUrl) -> None:
    for key, _ in url.params:
        if key not in PARAMS:
            close = difflib.get_close_matches(key, PARAMS, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise AddressError(
                f"device {url}: unknown parameter '{key}' (allowed: {', '.join(PARAMS)}{meant})"
            )


def _seed(url: DeviceUrl) -> int:
    text = url.get("seed")
    if text is None:
        return DEFAULT_SEED
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(SEED_MAX))):
        raise AddressError(f"device {url}: seed '{text}' is no whole number (0 to {SEED_MAX})")
    if int(text) > SEED_MAX:
        raise AddressError(f"device {url}: seed {text} is out of range (0 to {SEED_MAX})")
    return int(text)


def _scenario(url: DeviceUrl) -> tuple[Scenario, str]:
    name = url.get("scenario")
    if name is None:
        return Scenario(), ""
    shipped = shipped_scenarios()
    if name in shipped:
        return load_scenario(shipped[name], f"{name}.toml"), shipped[name]
    try:
        with Path(name).open("rb") as file:
            data = file.read(FILE_SIZE_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        known = ", ".join(shipped) or "none"
        raise AddressError(
            f"device {url}: scenario '{name}': {reason}; give a TOML file or one of: {known}"
        ) from error
    text = decode_utf8(data, name)
    return load_scenario(text, name), text
