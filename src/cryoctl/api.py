"""``cryoctl.run``: the command line's run as a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryoctl.results import Result
from cryoctl.run_options import FilePath, make_options, settings_of
from cryoctl.run_thread import operator_of_run, start_run, wait_for
from cryoctl.stop_signals import StopSwitch


def run(
    treatment: FilePath | None = None,
    *,
    session: FilePath | None = None,
    device: str = "sim:",
    seed: int | None = None,
    speed: float | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002  # As the command line's option.
    scenario: FilePath | None = None,
    faults: Sequence[str] = (),
    vendor: FilePath | None = None,
    requirements: FilePath | None = None,
    cartridge_g: float | None = None,
    bench_waiver: str = "",
    scavenging: bool = False,
    arm_and_start: bool = False,
    out: FilePath | None = None,
    sign_key: FilePath | None = None,
    keys: FilePath | None = None,
) -> Result:
    """Drive the freeze/thaw cycles of a treatment on a probe; return when it has ended, safe.

    Ctrl-C stops the probe and goes on until the needle is free, a second one until it is safe;
    KeyboardInterrupt is raised when recording and results have been written. Works where an event
    loop is running, as in a notebook; ``cryoctl.aio.run`` is the same as a coroutine.

    Args:
        treatment: A file or a shipped name; None is the built-in one of the device's profile.
        session: A file with several placements, instead of a treatment.
        device: Address, such as ``sim:co2-20g``.
        seed: Of the simulated noise, 0 to 4294967295; None is the address's own, else 1.
        speed: Times real time, 0.1 to 1000; None is as fast as the machine can.
        set: Changes of the treatment by key, such as ``{"cycles.count": 2}``.
        scenario: What to simulate: a file or a shipped name.
        faults: To simulate, such as ``["tc_open@freeze+5s"]``.
        vendor: File with the table of the maker's messages.
        requirements: File with requirements of your own, which may tighten limits.
        cartridge_g: What the controller is to believe is in the cartridge, g; None is a full one.
        bench_waiver: Reason to command a device without lease and timer of its own; recorded.
        scavenging: The room's gas is drawn off: no alarm above 16 g vented within an hour.
        arm_and_start: Arm and start a real device without asking anybody.
        out: Folder of this run; None is a new one in ``runs``.
        sign_key: File with a key of 32 bytes or more that signs the audit trail.
        keys: Folder with the keys of devices; None is ``CRYOCTL_KEYS``, else the user's own.

    Raises:
        FileError: Mistakes in a file or in ``set``, each with its place and what is allowed.
        AddressError: An address, scenario or fault that cannot be, or a real device without
            ``arm_and_start``; a kind of LinkError.
        LinkError: The device cannot be opened.
        FileExistsError: ``out`` holds a run.
        PlugInError: A plug-in that is installed cannot be used.
        ValueError: A number out of its range, or a wrong kind of value.
    """
    options = make_options(
        treatment,
        device=device,
        seed=seed,
        speed=speed,
        settings=settings_of(set or {}),
        scenario=scenario,
        faults=faults,
        vendor=vendor,
        requirements=requirements,
        cartridge_g=cartridge_g,
        bench_waiver=bench_waiver,
        scavenging=scavenging,
        out=out,
        sign_key=sign_key,
        keys=keys,
        session=session,
    )
    switch, make_operator = StopSwitch(), operator_of_run(options, arm_and_start=arm_and_start)
    try:
        outcome = wait_for(start_run(options, switch, make_operator), switch)
    finally:
        switch.stop(leave=True)  # Too late, but for a run that nobody waits for any more.
    return outcome.tell()
