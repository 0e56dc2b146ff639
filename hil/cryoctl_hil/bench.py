"""``make bench``: speed of the stack and of the codec, time over real ports, processor, memory.

Speeds are per second of processor time; their ratios are what can be compared between machines.
Over real ports the time is the wall's: leave the machine alone meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cryoctl.clock import cpu_s
from cryoctl.core import Controller, Settings
from cryoctl.exit_codes import EXIT_USAGE
from cryoctl.lockstep import LockStep
from cryoctl.mosquitto import BrokerError
from cryoctl.operators import AutomaticOperator
from cryoctl.recorder import Recorder
from cryoctl.runner import FLUSH_UNPACED_S, no_collector
from cryoctl.supervisor import PeerLink, Supervisor
from cryoctl.treatment import default_treatment
from cryoctl.virtual_time import VirtualTimeLoop
from cryoctl_hil.bench_broker import slow_subscribers
from cryoctl_hil.bench_campaign import print_campaigns
from cryoctl_hil.bench_fleet import FleetFigures, watch_fleet
from cryoctl_hil.bench_growth import print_growth
from cryoctl_hil.bench_link import SPREAD_S, AckTimes, command_to_ack
from cryoctl_hil.bench_load import TREATMENT_S, controller_load
from cryoctl_hil.bench_physics import batch_speed, plant_speed, reference_speed
from cryoctl_hil.bench_probe import LINKS, prompt_probe, ticking_probe
from cryoctl_hil.bench_sample import SAMPLE
from cryoctl_hil.bench_served_fleet import print_served_fleet
from cryoctl_hil.bench_stop import StopTimes, request_to_wire, stop_times
from cryoctl_hil.bench_throughput import print_throughput
from cryoctl_protocol.auth import DEMO_KEY, TagKey
from cryoctl_protocol.codec import decode, encode
from cryoctl_protocol.framing import DELIMITER, Deframer, Parsed, build, parse, wrap
from cryoctl_protocol.messages import ID_OF, Telemetry
from cryoctl_protocol.peer import DeviceUrl, LinkError, SyncPeer, open_device
from cryoctl_protocol.profile import load_profile
from cryoctl_simulator.firmware_builds import DEFAULT_BUILD

PROFILE: Final = "n2o-20g"
ROUNDS: Final = 3
FRAMES: Final = 50_000
PROMPT_COMMANDS: Final = 2_000
TICKING_COMMANDS: Final = 1_000
STOPS: Final = 150
SLOW_SUBSCRIBERS: Final = 4
FLEET_PROBES: Final = 50
FLEET_MONITORS: Final = 5
FLEET_S: Final = 15.0
NAMES: Final = {
    "pty": "pty",
    "tcp": "tcp",
    "mqtt": "MQTT",
    "mqtts": "MQTT, TLS both ways",
    "gateway": "gateway and MQTT",
}
ACK_TARGETS_MS: Final = {"pty": 2.0, "tcp": 2.0, "mqtt": 10.0, "mqtts": 10.0}
MINUTES_MIN: Final = 0.1
MINUTES_MAX: Final = TREATMENT_S / 60.0
_MIB: Final = 1024.0 * 1024.0
_RUN_S_MAX: Final = 3600.0


def whole_stack(
    drive: Callable[[Controller, SyncPeer], float], firmware: str = DEFAULT_BUILD
) -> float:
    """Return virtual seconds per processor second of one default treatment, recorder on."""
    opened = open_device(DeviceUrl.parse(f"sim:{PROFILE}?seed=1&firmware={firmware}"))
    assert opened.peer is not None
    assert opened.truth is not None
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "run.mcap").open("wb") as stream:
        recorder = Recorder(stream, metadata={}, flush_period_s=FLUSH_UNPACED_S)
        opened.truth.subscribe(recorder.truth)
        controller = Controller(
            default_treatment(PROFILE),
            load_profile(PROFILE),
            Settings(key=DEMO_KEY, nonce_seed=b"bench"),
            recorder,
        )
        with no_collector():
            started_s = cpu_s()
            virtual_s = drive(controller, opened.peer)
            recorder.close("{}")
            elapsed_s = cpu_s() - started_s
    assert controller.phase == "COMPLETE", controller.phase
    return virtual_s / elapsed_s


def lockstep(controller: Controller, peer: SyncPeer) -> float:
    """Drive in the synchronous shell; return virtual seconds."""
    shell = LockStep(controller, peer, AutomaticOperator())
    shell.run(until_s=_RUN_S_MAX)
    return shell.now_s


def virtual_loop(controller: Controller, peer: SyncPeer) -> float:
    """Drive in the asyncio shell on a virtual-time loop; return virtual seconds."""
    loop = VirtualTimeLoop()
    shell = Supervisor(controller, PeerLink(peer), AutomaticOperator())
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(shell.run(until_s=_RUN_S_MAX))
        return loop.time()


def codec_pairs_per_s(key: TagKey | None) -> float:
    """Return how many whole telemetry frames are encoded and decoded in a processor second."""
    deframer = Deframer()
    deframer.feed(DELIMITER)
    message_id = ID_OF[Telemetry]
    message: object = None
    started_s = cpu_s()
    for seq in range(FRAMES):
        wire = wrap(build(message_id, encode(SAMPLE), seq=seq & 0xFFFF, session=7, key=key))
        (body,) = deframer.feed(wire)
        parsed = parse(body)
        assert isinstance(parsed, Parsed)
        if key is not None:
            assert parsed.tag is not None
            assert key.verify(parsed.signed, parsed.tag)
        message = decode(parsed.message_id, parsed.payload)
    elapsed_s = cpu_s() - started_s
    assert message == SAMPLE
    return FRAMES / elapsed_s


def peak_memory_mib() -> float | None:
    """Return this process's largest resident size so far; None where nobody tells."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024.0


def print_speeds() -> None:
    """Print one figure a line, the best of a few rounds each."""
    figures: tuple[tuple[str, Callable[[], float], str, float | None], ...] = (
        ("lock-step, whole stack", lambda: whole_stack(lockstep), "virtual s / CPU s", 1000.0),
        ("  with the C firmware", _native_stack, "virtual s / CPU s", 500.0),
        ("virtual-time asyncio", lambda: whole_stack(virtual_loop), "virtual s / CPU s", None),
        ("codec, plain telemetry", lambda: codec_pairs_per_s(None), "pairs / CPU s", 300_000.0),
        (
            "codec, tagged telemetry",
            lambda: codec_pairs_per_s(TagKey(DEMO_KEY)),
            "pairs / CPU s",
            None,
        ),
    )
    for name, measure, unit, target in figures:
        try:
            best = max(measure() for _ in range(ROUNDS))
        except LinkError as error:
            print(f"{name}: not run: {error}")
            continue
        aim = "" if target is None else f"   (target {target:,.0f})"
        print(f"{name:<26}{best:>12,.0f} {unit}{aim}")
    peak_mib = peak_memory_mib()
    if peak_mib is not None:
        print(f"{'peak memory':<26}{peak_mib:>12,.0f} MiB   (target 150)")


def _native_stack() -> float:
    return whole_stack(lockstep, "native")


def print_physics() -> None:
    """Print how fast the simulator's models are by themselves."""
    best = max(reference_speed() for _ in range(ROUNDS))
    print(f"{'tissue in (r, z)':<26}{best:>12,.0f} times real time   (target 20)")
    best = max(plant_speed() for _ in range(ROUNDS))
    print(f"{'one plant alone':<26}{best:>12,.0f} virtual s / CPU s")
    batch = max((batch_speed() for _ in range(ROUNDS)), key=lambda b: b.probe_s_per_cpu_s)
    print(
        f"{'batch of 1,000 plants':<26}{batch.probe_s_per_cpu_s:>12,.0f} probe s / CPU s"
        f"   (target 20,000), {batch.memory_mib:.1f} MiB"
    )


def print_ack_times() -> None:
    """Print the time from command to ACK, first without the wait for the probe's tick.

    That one is the best of a few rounds: whatever else runs on the machine is not the link's.
    """
    for link in LINKS:
        what = f"command to ACK over {NAMES[link]}"
        try:
            prompt = min((prompt_times(link) for _ in range(ROUNDS)), key=lambda t: t.p99_ms)
            with ticking_probe(link) as served:
                ticking = command_to_ack(served.address, count=TICKING_COMMANDS, period_s=SPREAD_S)
        except BrokerError as error:
            print(f"{what}: not run: {error}")
            continue
        target = ACK_TARGETS_MS.get(link)
        aim = "" if target is None else f"   (target p99 {target:g})"
        print(f"{what}, programs and link: {_times(prompt)}{aim}")
        print(f"  with the wait for the probe's tick of 10 ms: {_times(ticking)}")


def prompt_times(link: str) -> AckTimes:
    """Return the time from command to ACK that both programs and the link take."""
    with prompt_probe(link) as served:
        return command_to_ack(served.address, count=PROMPT_COMMANDS)


def print_stop_times() -> None:
    """Print the time from asking for STOP to its coming to the probe, under telemetry."""
    for link, slow in (*((link, 0) for link in LINKS), ("mqtt", SLOW_SUBSCRIBERS)):
        what = f"STOP to wire over {NAMES[link]}" + (f", {slow} slow subscribers" if slow else "")
        try:
            times = stop_to_wire(link, count=STOPS, slow=slow)
        except BrokerError as error:
            print(f"{what}: not run: {error}")
            continue
        lost = f", {times.lost} of {STOPS} lost" if times.lost else ""
        print(f"{what}: {_times(times)}{lost}   (target p99 50)")


def stop_to_wire(link: str, *, count: int, slow: int = 0) -> StopTimes:
    """Return the time from asking for STOP to its coming to a probe.

    Args:
        link: To the probe.
        count: Of STOPs.
        slow: How many others are subscribed to the telemetry and read nothing, at a broker.
    """
    with ExitStack() as stack:
        served = stack.enter_context(prompt_probe(link))
        if slow:
            assert served.broker is not None
            stack.enter_context(slow_subscribers(served.broker.port, slow))
        asked_s = request_to_wire(served.address, count=count)
        return stop_times(asked_s, served.stops_s())


def print_fleet() -> None:
    """Print what it takes to watch many probes at one broker."""
    what = f"fleet of {FLEET_PROBES} played probes"
    if not sys.platform.startswith("linux"):
        print(f"{what}: not run: only Linux tells in /proc what a process uses")
        return
    try:
        figures = watch_fleet(probes=FLEET_PROBES, monitors=FLEET_MONITORS, duration_s=FLEET_S)
    except BrokerError as error:
        print(f"{what}: not run: {error}")
        return
    monitor = statistics.mean(figures.monitor_percents)
    print(
        f"{what}, {figures.publishes_per_s:,.0f} frames/s by one program that takes "
        f"{figures.probes_percent:.0f} % of a core\n"
        f"  cryoctl fleet: {figures.online} online, {figures.fleet_percent:.1f} % of a core; "
        f"from a state to the table {_times(figures)}\n"
        f"  cryoctl monitor on one of them: {monitor:.1f} % of a core, so that one has room for "
        f"{figures.monitors_per_core}"
    )


def _times(times: AckTimes | StopTimes | FleetFigures) -> str:
    return f"p50 {times.p50_ms:.2f}, p99 {times.p99_ms:.2f} ms"


def print_load(minutes: float) -> None:
    """Print what the controller takes in a treatment over TCP, as seen for ``minutes``."""
    if not sys.platform.startswith("linux"):
        print("controller over TCP: not measured, only Linux tells in /proc what a process uses")
        return
    with ticking_probe("tcp") as served:
        load = controller_load(served.address, duration_s=minutes * 60.0)
    print(
        f"controller over TCP, {minutes:g} min: {load.cpu_percent:.1f} % of a core   (target 10)\n"
        f"  memory {load.start_mib:.1f} MiB at the start, {load.settled_mib:.1f} after a tenth, "
        f"{load.end_mib:.1f} at the end: {load.growth_mib_per_min:+.2f} MiB/min"
    )


def minutes_asked() -> float:
    """Return ``BENCH_MINUTES``; ends the program if that is no time it can watch."""
    text = os.environ.get("BENCH_MINUTES", "1")
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not MINUTES_MIN <= minutes <= MINUTES_MAX:
        print(
            f"BENCH_MINUTES={text}: give minutes from {MINUTES_MIN:g} to {MINUTES_MAX:g}",
            file=sys.stderr,
        )
        sys.exit(EXIT_USAGE)
    return minutes


def main() -> None:
    """Print all figures."""
    minutes = minutes_asked()
    print_speeds()
    print_physics()
    print_throughput()
    print_growth()
    print_campaigns()
    print_ack_times()
    print_stop_times()
    print_fleet()
    print_served_fleet()
    print_load(minutes)


if __name__ == "__main__":
    main()
