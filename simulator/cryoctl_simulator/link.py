"""Opens ``sim:[PROFILE_OR_PATH][?KEY=VALUE&...]``: a simulated probe in virtual time.

Keys: ``seed``, ``serial``, ``scenario`` (name or path), ``firmware`` (a build of it), ``board``
(what an ELF file runs on), ``gdb`` (port of a debugger) and, as often as needed, ``fault``
(``ID@WHEN``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryoctl_protocol.peer import AddressError, DeviceUrl, LinkError, Opened, Reach
from cryoctl_protocol.profile import ProfileError
from cryoctl_protocol.toml_text import FILE_SIZE_MAX_BYTES, decode_utf8
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.firmware import Build, FirmwareError, UnknownFirmwareError
from cryoctl_simulator.firmware_builds import DEFAULT_BUILD, build_of, is_emulated
from cryoctl_simulator.instruments import Instruments
from cryoctl_simulator.plant import Plant
from cryoctl_simulator.probe_file import load_simulated_probe
from cryoctl_simulator.scenario import Scenario, load_scenario, shipped_scenarios

DEFAULT_PROFILE: Final = "n2o-20g"
DEFAULT_SEED: Final = 1
SEED_MAX: Final = 2**32 - 1
PARAMS: Final = ("seed", "serial", "scenario", "firmware", "board", "gdb", "fault")
SERIAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,15}")
"""A device says it in 16 bytes, and it may be a level of a topic."""


def open_link(
    url: DeviceUrl, make_device: Callable[..., SimulatedDevice] = SimulatedDevice
) -> Opened:
    """Return a simulated probe in virtual time.

    Args:
        url: What it is to be.
        make_device: Takes the arguments of ``SimulatedDevice``.

    Raises:
        AddressError: Unknown profile or parameter, or a value that is not allowed.
        LinkError: A firmware that cannot be made or does not start.
        FileError: Mistakes in the profile or the scenario file.
    """
    _refuse_unknown_params(url)
    name = url.path or DEFAULT_PROFILE
    try:
        probe = load_simulated_probe(name)
    except ProfileError as error:
        raise AddressError(f"device {url}: {error}") from error
    seed = _seed(url)
    scenario, scenario_text = _scenario(f"device {url}: ", url.get("scenario"))
    build_name = url.get("firmware") or DEFAULT_BUILD
    try:
        device = make_device(
            probe.firmware,
            Plant(probe.plant, scenario),
            Instruments(seed=seed),
            seed=seed,
            serial=_serial(url),
            build=_build(url, build_name),
        )
    except UnknownFirmwareError as error:
        raise AddressError(f"device {url}: {error}") from error
    except FirmwareError as error:
        raise LinkError(f"device {url}: {error}") from error
    for fault in url.all("fault"):
        try:
            device.inject(fault)
        except ValueError as error:
            raise AddressError(f"device {url}: {error}") from error
    identity = probe.profile.probe
    return Opened(
        description=f"simulated {identity.id} ({identity.title}), seed {seed}, {scenario.title}"
        + ("" if build_name == DEFAULT_BUILD else f", firmware {build_name}"),
        peer=device,
        faults=device,
        truth=device,
        hands=_Hands(device, url),
        crashes=device,
        reach=Reach.COMPUTER,
        files=(
            (f"profiles/{identity.id}.toml", probe.text),
            *((("scenario", scenario_text),) if scenario_text else ()),
        ),
    )


def _build(url: DeviceUrl, name: str) -> Build:
    """Return a build of the firmware, with a debugger's port if there is to be one."""
    port = url.get("gdb")
    if port is not None and not is_emulated(name):
        raise AddressError(
            f"device {url}: gdb is for an emulated processor; give firmware=emulated or "
            "firmware=elf:PATH, too"
        )
    build = build_of(name, url.get("board"))
    if port is not None:
        from cryoctl_simulator.served.gdb_port import open_debugger

        open_debugger(build, port)
    return build


class _Hands:
    """An operator's hands at a simulated probe (``Hands``)."""

    def __init__(self, device: SimulatedDevice, url: DeviceUrl) -> None:
        self._device = device
        self._url = url

    def check(self, scenario: str) -> None:
        _scenario("", scenario)

    def place(self, scenario: str | None) -> None:
        name = self._url.get("scenario") if scenario is None else scenario
        self._device.place(_scenario("", name)[0])

    def change_cartridge(self) -> None:
        self._device.change_cartridge()


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


def _serial(url: DeviceUrl) -> str | None:
    serial = url.get("serial")
    if serial is not None and not SERIAL.fullmatch(serial):
        raise AddressError(
            f"device {url}: serial '{serial}': letters, digits and . _ - only, at most 16, "
            "beginning with a letter or digit"
        )
    return serial


def _scenario(where: str, name: str | None) -> tuple[Scenario, str]:
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
            f"{where}scenario '{name}': {reason}; give a TOML file or one of: {known}"
        ) from error
    text = decode_utf8(data, name)
    return load_scenario(text, name), text
