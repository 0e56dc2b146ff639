"""How processor time and memory grow with episodes, probes and the length of a recording."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from cryoctl import Verdict, load, run
from cryoctl.clock import cpu_s
from cryoctl.runner import no_collector
from cryoctl_hil.campaign.campaign_run import run_campaign
from cryoctl_hil.campaign.executors import here
from cryoctl_hil.campaign.spec import read_campaign
from cryoctl_hil.campaign.store import Store
from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.peer import DeviceUrl, open_device
from cryoctl_simulator.device import TICKS_PER_S, SimulatedDevice
from cryoctl_simulator.served.fleet import TELEMETRY_PERIOD_S, FleetProbe

PROFILE: Final = "n2o-20g"
EPISODES: Final = (150, 300, 600)
PROBES: Final = (10, 20, 40, 80)
CYCLES: Final = (1, 2, 4, 6)
HOLD_S: Final = 20.0
"""Short, so that there is gas for all of them."""
ROUNDS: Final = 3
PROBES_S: Final = 2.0
"""Of each probe's time: all tick together."""
NOWHERE: Final = MqttAddress("127.0.0.1", 1, "bench", "")
SHORT: Final = """
schema = 1
name = "short"
episodes = {episodes}
lasts_s = 2
[choose]
faults = ["", "tc_open@{{delay_s}}s"]
[vary.delay_s]
low = 0.1
high = 1.5
"""


class Cost(NamedTuple):
    """What something of a certain size takes of a processor."""

    size: float
    cpu_s: float


class Growth(NamedTuple):
    """Processor time against a size.

    Attributes:
        each_ms: For one more, or one second more, by the straight line through all.
        exponent: Time grows as this power of the size: 1 is linear.
        off_line: The largest distance from the line, as a share of it.
        memory_growth_mib: Of this process, from the smallest size to the largest.
    """

    each_ms: float
    exponent: float
    off_line: float
    memory_growth_mib: float


def growth(sizes: Sequence[float], times_s: Sequence[float], memory_growth_mib: float) -> Growth:
    """Return how times grow with sizes; what is spent once, whatever the size, counts to none."""
    slope_s, offset_s = np.polyfit(sizes, times_s, 1)
    line_s = slope_s * np.array(sizes) + offset_s
    exponent = np.polyfit(np.log(sizes), np.log(np.array(times_s) - max(0.0, offset_s)), 1)[0]
    off = float(np.max(np.abs(np.array(times_s) / line_s - 1.0)))
    return Growth(1000.0 * float(slope_s), float(exponent), off, memory_growth_mib)


def measured(counts: Sequence[int], once: Callable[[int], Cost], rounds: int = ROUNDS) -> Growth:
    """Take the best of some rounds for each count.

    Args:
        counts: From the smallest.
        once: Does it for one count.
        rounds: All counts one after the other in each, so that what a busy machine adds for a while
            falls on all of them.
    """
    once(counts[0])  # What is imported and compiled once belongs to none of them.
    before_mib = resident_mib()
    found = [[once(count) for count in counts] for _ in range(rounds)]
    grown_mib = resident_mib() - before_mib
    sizes = [cost.size for cost in found[0]]
    times_s = [min(cost.cpu_s for cost in costs) for costs in zip(*found, strict=True)]
    return growth(sizes, times_s, grown_mib)


def campaign_cost(count: int) -> Cost:
    """Return the cost of a campaign of so many episodes, results on disk and all."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = read_campaign(SHORT.format(episodes=count), "short")
        store = Store(Path(folder) / "out", campaign)
        started_s = cpu_s()
        run_campaign(campaign, store, here, lambda *_: None)
        return Cost(count, cpu_s() - started_s)


def fleet_cost(count: int) -> Cost:
    """Return the cost of so many probes of a fleet, without a broker."""
    probes = [
        FleetProbe(
            _probe(f"sim:?serial=probe-{number}"), NOWHERE,
            period_s=TELEMETRY_PERIOD_S, tell=lambda _: None,
        )
        for number in range(count)
    ]  # fmt: skip
    started_s = cpu_s()
    with no_collector():
        for tick in range(1, round(PROBES_S * TICKS_PER_S) + 1):
            for probe in probes:
                probe.tick(tick / TICKS_PER_S)
    return Cost(count, cpu_s() - started_s)


def _probe(address: str) -> SimulatedDevice:
    device = open_device(DeviceUrl.parse(address)).peer
    assert isinstance(device, SimulatedDevice)
    return device


def recording_cost(cycles: int) -> Cost:
    """Return what a run of so many cycles costs: driven, recorded, reported and loaded again.

    Its size is the length of the recording in s: a later freeze takes longer, with less gas left.
    """
    changes = {"cycles.count": cycles, "cycles.hold_s": HOLD_S}
    with tempfile.TemporaryDirectory() as folder:
        started_s = cpu_s()
        out = Path(folder) / "run"
        # All of a cartridge in one treatment is too much for a room without draught.
        run(device=f"sim:{PROFILE}", set=changes, scavenging=True, out=out)
        result = load(out / "run.mcap")
        spent_s = cpu_s() - started_s
    assert result.verdict == Verdict.PASS, result.verdict
    assert result.summary is not None
    return Cost(result.summary.virtual_s, spent_s)


def resident_mib() -> float:
    """Return what this process holds now, in MiB; 0 where /proc does not tell."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return 0.0
    return int(path.read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE / 2**20


def print_growth() -> None:
    """Print whether time grows as fast as what is asked for, and no faster."""
    for what, each, sizes, once in (
        ("episodes of 2 s", "each", EPISODES, campaign_cost),
        (f"probes of a fleet for {PROBES_S:g} s", "each", PROBES, fleet_cost),
        ("cycles of a treatment, recorded", "a second of it", CYCLES, recording_cost),
    ):
        found = measured(sizes, once)
        print(
            f"{', '.join(map(str, sizes))} {what}: {found.each_ms:,.1f} ms {each}, as the power "
            f"{found.exponent:.2f}   (target 0.9 to 1.1), at most {found.off_line:.0%} off a "
            f"straight line, memory {found.memory_growth_mib:+.1f} MiB"
        )
