"""Shows samples to the interlocks at the telemetry period, and says when they trip."""

from __future__ import annotations

from typing import Final

from cryoctl.interlocks import Interlocks, TripNotice
from cryoctl.sample import Sample
from cryoctl_protocol.codes import Trip
from cryoctl_protocol.profile import load_profile

PERIOD_MS: Final = 20


class Watch:
    """Shows samples to the interlocks, one every 20 ms of host and device time."""

    def __init__(self, profile: str = "n2o-20g") -> None:
        loaded = load_profile(profile)
        self.interlocks = Interlocks(loaded.limits, loaded.probe.gas)
        self.count = 0

    @property
    def now_s(self) -> float:
        """When the next sample will be shown."""
        return self.count * PERIOD_MS / 1000.0

    def see(self, sample: Sample, *, rejects: int = 0) -> TripNotice | None:
        """Show one sample; return the most dangerous of its notices."""
        now_s = self.now_s
        stamped = sample._replace(device_ms=self.count * PERIOD_MS)
        self.count += 1
        broken = self.interlocks.check(stamped, now_s, rejects=rejects)
        return broken[0] if broken else None

    def first_trip(self, sample: Sample, *, within_s: float) -> tuple[float, Trip] | None:
        """Show the same sample again and again; return when it trips and why."""
        until_s = self.now_s + within_s
        while self.now_s <= until_s:
            now_s = self.now_s
            notice = self.see(sample)
            if notice is not None:
                return now_s, notice.trip
        return None

    def see_live(self, sample: Sample, *, noise_c: float = 0.0) -> TripNotice | None:
        """Show one sample; in every second one pressures, flow and skin are a count higher."""
        return self.see(lively(sample, self.count % 2, noise_c))

    def see_dithered(
        self, sample: Sample, *, for_s: float, noise_c: float = 0.06
    ) -> TripNotice | None:
        """Show a sample with the noise of live sensors; return the first notice."""
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            notice = self.see_live(sample, noise_c=noise_c)
            if notice is not None:
                return notice
        return None


def lively(sample: Sample, odd: int, noise_c: float) -> Sample:
    """Return ``sample`` with one count more in every second one, and the noise of a tip."""
    assert sample.tip_temp_c is not None
    counts = {
        "supply_pressure_bar": 0.001,
        "exhaust_pressure_bar": 0.001,
        "exhaust_flow_mg_s": 0.01,
        "skin_temp_c": 0.01,
    }
    moved = {
        name: getattr(sample, name) + count * odd
        for name, count in counts.items()
        if getattr(sample, name) is not None
    }
    return sample._replace(tip_temp_c=sample.tip_temp_c + noise_c * odd, **moved)


def verdict_on(sample: Sample, profile: str = "n2o-20g") -> Trip | None:
    """Return what the interlocks say to ``sample`` as the very first one."""
    notice = Watch(profile).see(sample)
    return None if notice is None else notice.trip
