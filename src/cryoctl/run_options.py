"""What a run is asked to do: arguments of command line and library become one set of options."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Final

from cryoctl.clock import utc_now
from cryoctl.files import choose_treatment, read_text
from cryoctl.limits_in_force import LimitsInForce, read_limits
from cryoctl.session_file import Placement, Session, load_session
from cryoctl.sign_key import read_sign_key
from cryoctl.treatment import Treatment
from cryoctl.vendor import VendorTable, load_vendor_table
from cryoctl_protocol.peer import AddressError, DeviceUrl
from cryoctl_protocol.profile import Profile, is_profile_file, load_profile, profile_names

DEFAULT_SEED: Final = 1
SPEED_MIN: Final = 0.1
"""Slower, and a tick would last longer than anybody waits for a STOP: half a second."""
SPEED_MAX: Final = 1000.0
CARTRIDGE_G_MIN: Final = 0.1
CARTRIDGE_G_MAX: Final = 10_000.0

FilePath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run needs.

    Attributes:
        treatment_text: The treatment as files and settings made it, for the recording.
        device: Where the probe is.
        seed: Of a simulated device, None for a real one.
        speed: Times real time; None is as fast as the machine can.
        folder: Of this run, made if missing.
        renames_folder: If it is there already, add a number to its name; else share it.
        settings: The ``--set`` options that are in ``treatment`` and not in its text.
        files: Name and text of every other file that shaped the run.
        cartridge_g: Fill of the cartridge by the operator's word.
        bench_waiver: Written reason to command a device without own protection.
        audio_off: Alarms make no sound.
        scavenging: The room's gas is drawn off, by the operator's word.
        may_slip: A paced simulator that cannot keep its speed is no error.
        limits: What the controller goes by beside the profile's own, as requirements have it.
        placements: Of a session, ``treatment`` being the first one's; empty for a plain run.
        session: Name of the session.
        sign_key: Signs the audit trail; None for none.
        keys: Folder with the keys of devices; None is the user's own.
    """

    treatment: Treatment
    treatment_text: str
    device: DeviceUrl
    folder: Path
    renames_folder: bool = False
    seed: int | None = None
    speed: float | None = None
    settings: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    vendor: VendorTable | None = None
    cartridge_g: float | None = None
    bench_waiver: str = ""
    audio_off: bool = False
    scavenging: bool = False
    may_slip: bool = False
    limits: LimitsInForce | None = None
    placements: tuple[Placement, ...] = ()
    session: str = ""
    sign_key: bytes | None = field(default=None, repr=False)
    keys: Path | None = None

    @property
    def name(self) -> str:
        """Name of the session, or of the treatment of a plain run."""
        return self.session or self.treatment.name


def make_options(
    treatment: FilePath | None,
    *,
    device: str,
    seed: int | None,
    speed: float | None,
    settings: tuple[str, ...],
    scenario: FilePath | None,
    faults: Sequence[str],
    vendor: FilePath | None,
    cartridge_g: float | None,
    bench_waiver: str,
    out: FilePath | None,
    profile: str | None = None,
    session: FilePath | None = None,
    requirements: FilePath | None = None,
    sign_key: FilePath | None = None,
    keys: FilePath | None = None,
    scavenging: bool = False,
    gdb: int | None = None,
) -> RunOptions:
    """Return the options of a run; reads its files, and touches neither device nor folder.

    Args:
        treatment: A file or a shipped name; None is the built-in one of the profile.
        device: Address, such as ``sim:co2-20g``.
        seed: None is the address's own, else 1.
        speed: Times real time; None is as fast as the machine can.
        settings: Changes of the treatment, such as ``cycles.count=2``; the last one counts.
        scenario: A file or a shipped name.
        faults: Such as ``tc_open@12s``; added to those of the address.
        vendor: Table of the maker's messages.
        cartridge_g: Fill of the cartridge by the operator's word; None is a full one.
        bench_waiver: Written reason to command a device without own protection.
        out: Folder; None is a new one named after now and the profile.
        profile: Name or file of the one whose built-in treatment to run; None is the address's.
        session: File with several placements; instead of ``treatment``.
        requirements: File with requirements beside ours; they may tighten limits.
        sign_key: File with the key that signs the audit trail.
        keys: Folder with the keys of devices; None is ``CRYOCTL_KEYS``, else the user's own.
        scavenging: The room's gas is drawn off, by the operator's word.
        gdb: Port of this machine at which a debugger may halt the simulated processor.

    Raises:
        AddressError: The address is wrong, of another probe than the treatment's, or not one of a
            simulated device as the rest asks for.
        FileError: A mistake in a file or a setting.
        FileExistsError: ``out`` holds a run.
        ValueError: A number out of its range, or one text for ``faults``.
    """
    _check_kinds(device, faults, bench_waiver)
    if not isinstance(scavenging, bool):
        raise ValueError(f"scavenging {scavenging!r}: expected True or False")  # noqa: TRY004
    url = DeviceUrl.parse(device)
    is_named = url.path in profile_names() or (url.scheme == "sim" and is_profile_file(url.path))
    named = url.path if profile is None and is_named else profile
    told = _session(_path("session", session), settings, alone=treatment is None is profile)
    if told is None:
        chosen = choose_treatment(_path("treatment", treatment), settings, named)
        first, text = chosen.treatment, chosen.document.text
    else:
        first, text = told.placements[0].treatment, told.placements[0].treatment_text
    _refuse_other_profile(url, first.probe_profile)
    url = _complete(url, first.profile, scenario, seed, faults, gdb=gdb)
    files, table = _vendor(_path("vendor", vendor))
    plans = [first] if told is None else [p.treatment for p in told.placements]
    asked, limits = read_limits(_path("requirements", requirements), plans)
    return RunOptions(
        treatment=first,
        treatment_text=text + "".join(f"# --set {s}\n" for s in settings),
        device=url,
        folder=_folder(_path("out", out), first.probe_profile.probe.id),
        renames_folder=out is None,
        settings=settings,
        seed=_whole_number(url.get("seed")),
        speed=_number("speed", speed, SPEED_MIN, SPEED_MAX),
        files=(*files, *asked, *(() if told is None else _session_files(told, url))),
        vendor=table,
        cartridge_g=_number("cartridge_g", cartridge_g, CARTRIDGE_G_MIN, CARTRIDGE_G_MAX),
        bench_waiver=bench_waiver,
        may_slip=url.get("gdb") is not None,
        limits=limits,
        scavenging=scavenging,
        placements=() if told is None else told.placements,
        session="" if told is None else told.name,
        sign_key=None if sign_key is None else read_sign_key(_named_path("sign_key", sign_key)),
        keys=_path("keys", keys),
    )


def _refuse_other_profile(url: DeviceUrl, wanted: Profile) -> None:
    """Raise AddressError for a simulated probe that would refuse the treatment (SR-28)."""
    is_known = url.path in profile_names() or is_profile_file(url.path)
    if url.scheme != "sim" or not is_known:
        return
    profile = load_profile(url.path)
    if profile.hash32 != wanted.hash32:
        raise AddressError(
            f"device {url}: its profile is {profile.probe.id} ({profile.hash32:08x}), the "
            f"treatment's {wanted.probe.id} ({wanted.hash32:08x}): leave the profile out of the "
            "address, or take a treatment of this probe (SR-28)"
        )


def _session(path: Path | None, settings: tuple[str, ...], *, alone: bool) -> Session | None:
    if path is None:
        return None
    if not alone:
        raise ValueError("a session names its treatments itself: give no other beside it")
    return load_session(path, settings)


def _session_files(session: Session, url: DeviceUrl) -> list[tuple[str, str]]:
    """Return name and text of the session's files; refuses scenarios for a real device."""
    named = {p.scenario: p for p in session.placements if p.scenario is not None}
    if named and url.scheme != "sim":
        raise AddressError(f"device {url}: a placement's scenario is for simulated devices (sim:)")
    files = sorted(name for name in named if name.endswith(".toml"))
    return [("session", session.text), *((name, named[name].scenario_text()) for name in files)]


def settings_of(values: Mapping[str, object]) -> tuple[str, ...]:
    """Return Python values as the settings that ``make_options`` takes.

    Raises:
        ValueError: A value that is no number, text or bool.
    """
    if not isinstance(values, Mapping):
        raise ValueError(  # noqa: TRY004
            f"set {values!r}: expected a dictionary, such as {{'cycles.count': 2}}"
        )
    return tuple(f"{key}={_toml_text(key, value)}" for key, value in values.items())


def _toml_text(key: str, value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value)
        case Integral():  # These two let NumPy's numbers in.
            return str(int(value))
        case Real():
            return repr(float(value))
    raise ValueError(f"set {key!r}: {value!r} is no number, text or bool")


def _number(name: str, value: object, low: float, high: float) -> float | None:
    """Return a number of Python's own, NumPy's included; raises ValueError out of its range."""
    if value is None:
        return None
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{name} {value!r}: expected a number from {low:g} to {high:g}, or None")
    return number


def _path(name: str, given: object) -> Path | None:
    return None if given is None else _named_path(name, given)


def _named_path(name: str, given: object) -> Path:
    if not isinstance(given, str | os.PathLike) or not os.fspath(given) or "\0" in str(given):
        raise ValueError(f"{name} {given!r}: expected a path, or None")
    return Path(given)


def _check_kinds(device: object, faults: object, bench_waiver: object) -> None:
    for name, value in (("device", device), ("bench_waiver", bench_waiver)):
        if not isinstance(value, str):
            raise ValueError(f"{name} {value!r}: expected a text")  # noqa: TRY004
    if isinstance(faults, str):  # Its letters would be taken for faults.
        raise ValueError(  # noqa: TRY004  # One kind of error for all arguments that cannot be.
            f"faults {faults!r}: expected a list, such as [{faults!r}]"
        )
    if not isinstance(faults, Sequence) or not all(isinstance(fault, str) for fault in faults):
        raise ValueError(f"faults {faults!r}: expected a list of texts")


def _vendor(path: Path | None) -> tuple[tuple[tuple[str, str], ...], VendorTable | None]:
    """Return the vendor table with its name and text, to be recorded."""
    if path is None:
        return (), None
    text = read_text(path)
    return ((str(path), text),), load_vendor_table(text, str(path))


def _whole_number(text: str | None) -> int | None:
    """Return a seed; a wrong one is refused by whoever opens the device."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _complete(
    url: DeviceUrl,
    profile: str,
    scenario: FilePath | None,
    seed: int | None,
    faults: Sequence[str],
    *,
    gdb: int | None,
) -> DeviceUrl:
    """Return the address with everything that the options say about a simulated device."""
    if url.scheme != "sim":
        if scenario is not None or seed is not None or faults or gdb is not None:
            raise AddressError(
                f"device {url}: scenario, seed, faults and gdb are for simulated devices (sim:)"
            )
        return url
    if not url.path:
        url = DeviceUrl(url.scheme, profile, url.params)
    if seed is not None or url.get("seed") is None:
        url = url.with_params(("seed", str(DEFAULT_SEED if seed is None else seed)))
    if scenario is not None:
        url = url.with_params(("scenario", os.fspath(scenario)))
    if gdb is not None:
        url = url.with_params(("gdb", str(gdb)))
    return url.with_params(*(("fault", fault) for fault in faults))


def _folder(out: Path | None, profile: str) -> Path:
    """Return the folder asked for, which must hold no other run, or one named after now."""
    if out is None:
        return Path("runs") / f"{utc_now():%Y%m%d-%H%M%S}-{profile}"
    for name in ("run.mcap", "audit.jsonl"):
        if (out / name).exists():
            raise FileExistsError(f"{out} already holds a run; give another folder")
    return out
