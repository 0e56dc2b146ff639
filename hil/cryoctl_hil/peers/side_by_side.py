"""Ours and the peers, measured in one run, as one object that JSON can hold."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryoctl.clock import utc_now
from cryoctl_hil.bench import lockstep, prompt_times, whole_stack
from cryoctl_hil.bench_link import SPREAD_S, command_to_ack
from cryoctl_hil.bench_probe import ticking_probe
from cryoctl_hil.peers import codecs
from cryoctl_hil.peers.environments import SCRIPTS, Peer, PeerError, bare, install
from cryoctl_hil.peers.round_trips import (
    HOST,
    Trips,
    caproto_trips,
    free_port,
    our_trips,
    stream_trips,
)
from cryoctl_hil.peers.stage import Ramp
from cryoctl_hil.peers.stage import run as run_ours

REQUIREMENTS: Final = (
    "lewis==1.4.0", "tickit==0.4.3", "caproto==1.3.0", "pymavlink==2.4.50", "construct==2.10.70",
)  # fmt: skip


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        trips: Commands whose round trip is taken.
        idle_s: Time in which a served stage is only watched.
        messages: Encoded and decoded; construct takes a tenth of them.
    """

    ramp: Ramp = Ramp(device_s=500, rate_c_per_min=5.0, limit_c=61.0, cpu_s_min=2.0)
    trips: int = 1000
    idle_s: float = 10.0
    messages: int = 20_000


FULL: Final = Size()
Row = dict[str, Any]


def side_by_side(
    folder: Path,
    size: Size = FULL,
    *,
    say: Callable[[str], None],
    installed: Callable[[str, Path], Peer] = install,
) -> dict[str, Any]:
    """Return all figures, with what did not run and why.

    Args:
        folder: Where each peer has its environment.
        size: How much is measured.
        say: Takes a line for people.
        installed: Makes such an environment of a requirement.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    peers: dict[str, Peer] = {"asyncio": bare()}
    not_run: dict[str, str] = {}
    for requirement in REQUIREMENTS:
        name = requirement.partition("==")[0]
        say(f"installing {requirement}")
        try:
            peers[name] = installed(requirement, folder)
        except PeerError as error:
            not_run[name] = str(error)
    stages, trips, messages = _ours(size, say)
    for name, measure in _MEASURES.items():
        if name not in peers:
            continue
        say(f"measuring {name} {peers[name].version}")
        try:
            measure(peers[name], size, stages, trips, messages)
        except PeerError as error:
            not_run[name] = str(error)
    return {
        "date": utc_now().date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_average": load,
        "versions": {"cryoctl": version("cryoctl")}
        | {name: peer.version for name, peer in peers.items() if name != "asyncio"},
        "not_run": not_run,
        "stages": stages,
        "round_trips": trips,
        "codecs": messages,
    }


def _ours(size: Size, say: Callable[[str], None]) -> tuple[list[Row], list[Row], list[Row]]:
    say("measuring cryoctl")
    stages = [
        _stage("cryoctl, the stage in lock-step", run_ours("stepped", size.ramp)),
        _stage(
            "cryoctl, the stage as an asyncio task in virtual time", run_ours("looped", size.ramp)
        ),
        {
            "name": "cryoctl, its own probe and controller, recorded",
            "device_s_per_cpu_s": whole_stack(lockstep),
        },
    ]
    with ticking_probe("tcp") as served:
        ticking = command_to_ack(served.address, count=size.trips, period_s=SPREAD_S)
    prompt = prompt_times("tcp")
    trips = [
        _trip(
            "cryoctl, the stage, ticking every 10 ms",
            our_trips(count=size.trips, idle_s=size.idle_s),
        ),
        {
            "name": "cryoctl, its own probe, ticking every 10 ms: tagged command to ACK",
            **ticking._asdict(),
        },
        {"name": "cryoctl, the same without the wait for a tick", **prompt._asdict()},
    ]
    messages = _codec_rows("cryoctl", codecs.ours(size.messages))
    return stages, trips, messages


def _lewis(peer: Peer, size: Size, stages: list[Row], trips: list[Row], _: list[Row]) -> None:
    ramp = json.dumps(size.ramp._asdict())
    stages.append(_stage("Lewis, stepped by hand", peer.run("lewis_stage.py", "stepped", ramp)))
    stages.append(
        _stage("Lewis, its own loop at speed 100", peer.run("lewis_stage.py", "looped", ramp))
    )
    port = free_port()
    options = f"stream: {{bind_address: {HOST}, port: {port}}}"
    command = [peer.python, "-I", "-m", "lewis", "linkam_t95", "-o", "none", "-p", options]
    trips.append(_trip("Lewis", stream_trips(command, port, count=size.trips, idle_s=size.idle_s)))


def _tickit(peer: Peer, size: Size, stages: list[Row], trips: list[Row], _: list[Row]) -> None:
    ramp = json.dumps(size.ramp._asdict())
    stages.append(
        _stage("tickit, asked for speed 1,000,000", peer.run("tickit_stage.py", "hurry", ramp))
    )
    trips.append(_trip("tickit", _served(peer, "tickit_stage.py", size)))


def _asyncio(peer: Peer, size: Size, stages: list[Row], trips: list[Row], _: list[Row]) -> None:
    ramp = json.dumps(size.ramp._asdict())
    stages.append(
        _stage("a plain class, stepped by hand", peer.run("asyncio_stage.py", "step", ramp))
    )
    trips.append(_trip("plain asyncio streams", _served(peer, "asyncio_stage.py", size)))


def _caproto(peer: Peer, size: Size, stages: list[Row], trips: list[Row], _: list[Row]) -> None:
    figures = caproto_trips(peer, count=size.trips, idle_s=size.idle_s)
    if figures.cpu_percent is not None:
        stages.append(
            {"name": "caproto, in real time", "device_s_per_cpu_s": 100.0 / figures.cpu_percent}
        )
    trips.append(_trip("caproto at both ends", figures))


def _codec(peer: Peer, size: Size, _stages: list[Row], _trips: list[Row], rows: list[Row]) -> None:
    rows += _codec_rows(peer.name, peer.run(f"{peer.name}_codec.py", codecs.task(size.messages)))


_MEASURES: Final = {
    "lewis": _lewis,
    "tickit": _tickit,
    "caproto": _caproto,
    "asyncio": _asyncio,
    "pymavlink": _codec,
    "construct": _codec,
}


def _served(peer: Peer, script: str, size: Size) -> Trips:
    port = free_port()
    command = [peer.python, "-I", str(SCRIPTS / script), "serve", str(port)]
    return stream_trips(command, port, count=size.trips, idle_s=size.idle_s)


def _stage(name: str, said: Any) -> Row:
    return {
        "name": name,
        "device_s_per_cpu_s": said["device_s"] / said["cpu_s"],
        "held_s": said["held_s"],
        "step_s": said.get("step_s", 0.1),
    }


def _trip(name: str, trips: Trips) -> Row:
    return {"name": name, **trips._asdict()}


def _codec_rows(name: str, said: Any) -> list[Row]:
    return [{"name": name, "what": what, **figures} for what, figures in said.items()]
