"""Synthetic treatments in a recording: shaped like real ones, made in milliseconds."""

from __future__ import annotations

import json
from io import BytesIO
from math import exp
from typing import Any, Final

from cryoctl.cycle_table import Phase
from cryoctl.recorder import Recorder
from cryoctl.recording import Recording, read_recording
from cryoctl.records import Control, IceEstimate, LogEvent
from cryoctl.sample import Sample
from cryoctl.vendor import VendorTable
from cryoctl_protocol.profile import load_profile
from cryoctl_protocol.truth import TruthSample

METADATA: Final = {
    "cryoctl": "0.1.0",
    "python": "3.11.7",
    "schema_hash": "1c4f22ab",
    "profile": "n2o-20g",
    "profile_hash": f"{load_profile('n2o-20g').hash32:08x}",
    "treatment": 'schema = 1\nname = "three <cycles>"\nprofile = "n2o-20g"\n',
    "treatment_hash": "0badcafe",
    "device": "sim:n2o-20g?seed=7",
    "device_description": "simulated probe n2o-20g",
    "seed": "7",
    "speed": "max",
    "bench_waiver": "",
    "started_utc": "2026-01-02T03:04:05.678+00:00",
    "file bench.toml": "[ambient]\ntemp_c = 22.0\n",
}

PHASE_NUMBER: Final = {phase: index for index, phase in enumerate(Phase)}
SETPOINT_C: Final = -60.0
SAMPLE: Final = Sample(
    device_ms=20,
    state=0,
    trip=0,
    open_circuit=0,
    tip_temp_c=24.5,
    tip_2_temp_c=24.25,
    skin_temp_c=33.0,
    supply_pressure_bar=50.5,
    exhaust_pressure_bar=1.013,
    exhaust_flow_mg_s=0.0,
    cartridge_temp_c=22.0,
    battery_v=3.9,
    button=0,
    setpoint_c=SETPOINT_C,
    valve=0.0,
    shutoff_open=0,
    tip_heater=0.0,
    skin_warmer=0.3,
    led=1,
    beeper=0,
    stimulus_ma=0.0,
    stimulus_hz=0,
    stimulus_pulse_ms=0.0,
    stimulus_response=0,
    freeze_s=0.0,
    thaw_energy_j=0.0,
    lease_left_s=0.3,
    event_count=3,
)
ESTIMATE: Final = IceEstimate(
    ice_radius_mm=3.25, radius_minus20_mm=1.8, sigma_mm=0.036, heat_w=3.7, residual_c=None
)
CONTROL: Final = Control(4, 1, SETPOINT_C, 0.02, 0.25)
TRUTH: Final = TruthSample(
    tip_temp_c=-60.0,
    saturation_temp_c=-88.0,
    ice_radius_mm=2.5,
    radius_minus20_mm=1.5,
    ice_volume_mm3=90.0,
    liquid_g=9.0,
    vented_g=1.0,
    exhaust_pressure_bar=1.1,
    cartridge_temp_c=20.0,
    skin_temp_c=30.0,
    heat_w=4.5,
    nerve_min_temp_c=-38.5,
    nerve_below_minus20_s=75.0,
    nerve_touched_mm=11.5,
    nerve_covered_mm=10.0,
    nerve_injury=2,
    nerve_outcome=5,
    nerve_regrowth_days_low=50.0,
    nerve_regrowth_days_high=100.0,
    stimulus_ratio=0.0,
)

# Phase and length of one cycle, in s.
_CYCLE: Final = (
    (Phase.COOLING, 6.0),
    (Phase.HOLD, 60.0),
    (Phase.THAWING, 25.0),
    (Phase.RELEASE, 4.0),
    (Phase.PAUSE, 10.0),
)
_BEFORE: Final = (
    (Phase.CONNECTING, 0.4),
    (Phase.IDLE, 0.6),
    (Phase.SELF_TEST, 1.5),
    (Phase.LEAK_TEST, 6.0),
    (Phase.READY, 2.0),
    (Phase.ARMED, 1.0),
    (Phase.PREWARM, 4.0),
)


def record_treatment(
    *,
    cycles: int = 3,
    placements: int = 1,
    with_truth: bool = True,
    trip_at_s: float | None = None,
    vendor: VendorTable | None = None,
    summary: dict[str, Any] | None = None,
    flush_period_s: float = 10.0,
) -> bytes:
    """Return the file of a synthetic treatment."""
    stream = KeptBytes()
    recorder = Recorder(stream, metadata=METADATA, flush_period_s=flush_period_s, vendor=vendor)
    plan: list[tuple[Phase, float, int]] = []
    for placement in range(placements):
        plan += [(phase, length, 0) for phase, length in _BEFORE[1 if placement else 0 :]]
        for cycle in range(1, cycles + 1):
            plan += [(phase, length, cycle) for phase, length in _CYCLE]
        plan[-1] = (Phase.COMPLETE, 3.0, cycles)
    _Probe(recorder, with_truth=with_truth, trip_at_s=trip_at_s).run(plan)
    recorder.close(json.dumps(summary or {"verdict": "PASS"}))
    return stream.getvalue()


def treatment(**options: Any) -> Recording:
    """Return a synthetic treatment, recorded and read again."""
    return read_recording(BytesIO(record_treatment(**options)), "synthetic.mcap")


class KeptBytes(BytesIO):
    """Keeps its bytes when closed."""

    def close(self) -> None:
        pass


class _Probe:
    """A needle of three exponentials; good for pictures, wrong as physics."""

    def __init__(self, recorder: Recorder, *, with_truth: bool, trip_at_s: float | None) -> None:
        self.recorder = recorder
        self.with_truth = with_truth
        self.trip_at_s = trip_at_s
        self.tick = 0
        self.tip_c = 24.5
        self.ice_mm = 0.0
        self.gas_g = 0.0
        self.tripped = False

    def run(self, plan: list[tuple[Phase, float, int]]) -> None:
        hello = {"device": "SIM-0007", "firmware": "model 0.1.0", "profile": "n2o-20g"}
        self.recorder.event(LogEvent(0.0, "hello", hello))
        end_s = 0.0
        before = Phase.DISCONNECTED
        for phase, length_s, cycle in plan:
            end_s += length_s
            self._phase(before, phase, cycle)
            before = phase
            while self.tick * 0.01 < end_s:
                self.tick += 1
                now_s = self.tick * 0.01
                if not self.tripped and self.trip_at_s is not None and now_s >= self.trip_at_s:
                    self._trip(phase, cycle, now_s)
                self._step(Phase.SAFE if self.tripped else phase, cycle, now_s)
            if self.tripped:
                return

    def _phase(self, source: Phase, target: Phase, cycle: int) -> None:
        data = {"source": source.value, "target": target.value, "trigger": "x", "cycle": cycle}
        self.recorder.event(LogEvent(self.tick * 0.01, "phase", data))

    def _trip(self, phase: Phase, cycle: int, now_s: float) -> None:
        self.tripped = True
        data = {
            "id": "TIP_FLOOR",
            "requirement": "SR-05",
            "layer": "host",
            "value": -85.4,
            "limit": -85.0,
            "unit": "C",
        }
        self.recorder.event(LogEvent(now_s, "trip", data))
        self._phase(phase, Phase.SAFE, cycle)

    def _step(self, phase: Phase, cycle: int, now_s: float) -> None:
        freezing = phase in (Phase.COOLING, Phase.HOLD)
        warming = phase in (Phase.THAWING, Phase.PREWARM, Phase.SAFE)
        if phase is Phase.COOLING:
            self.tip_c += (-88.0 - self.tip_c) * 0.01 / 5.2
        elif phase is Phase.HOLD:
            self.tip_c += (SETPOINT_C - self.tip_c) * 0.01 / 2.0
        elif self.ice_mm > 0.0:
            self.tip_c += (-4.0 - self.tip_c) * 0.01 / 2.5
        else:
            self.tip_c += ((34.0 if phase is not Phase.READY else 28.0) - self.tip_c) * 0.01 / 3.0
        grown = (3.4 * (1.0 - exp(-now_s / 30.0)) - self.ice_mm) / 20.0
        self.ice_mm = max(0.0, self.ice_mm + (grown if freezing else -0.16) * 0.01)
        valve = {Phase.COOLING: 1.0, Phase.HOLD: 0.62}.get(phase, 0.0)
        flow = 34.0 * valve
        self.gas_g += flow * 1e-5
        ripple = ((self.tick * 7919) % 101 - 50) / 50.0
        if self.tick % 2 == 0:
            sample = SAMPLE._replace(
                device_ms=self.tick * 10,
                state={Phase.THAWING: 7}.get(phase, 6 if freezing else 0),
                tip_temp_c=self.tip_c + 0.15 * ripple,
                tip_2_temp_c=self.tip_c + 0.6 + 0.15 * ripple,
                supply_pressure_bar=50.8 - 0.4 * self.gas_g - 0.6 * valve + 0.03 * ripple,
                exhaust_pressure_bar=1.013 + 0.12 * valve,
                exhaust_flow_mg_s=max(0.0, flow + 0.4 * ripple),
                cartridge_temp_c=22.0 - 0.8 * self.gas_g,
                valve=valve,
                tip_heater=0.7 if warming else 0.0,
            )
            self.recorder.received(bytes([self.tick % 251]) * 120, now_s)
            self.recorder.sample(sample, now_s)
        if freezing and self.tick % 50 == 0:
            estimate = ESTIMATE._replace(ice_radius_mm=self.ice_mm, radius_minus20_mm=self.ice_mm)
            self.recorder.estimate(estimate, now_s)
        if self.tick % 5 == 0:
            control = Control(PHASE_NUMBER[phase], cycle, SETPOINT_C, 0.01, self.gas_g)
            self.recorder.control(control, now_s + 0.002)
            self.recorder.sent(bytes(40), now_s)
        if self.with_truth and self.tick % 10 == 0:
            truth = TRUTH._replace(
                tip_temp_c=self.tip_c,
                ice_radius_mm=0.45 + self.ice_mm if self.ice_mm else 0.0,
                radius_minus20_mm=0.45 + 0.45 * self.ice_mm if self.ice_mm else 0.0,
            )
            self.recorder.truth(truth, now_s)
        if self.tick % 50 == 0:
            payload = (self.tick % 256).to_bytes(2, "little") + b"\x00\x00\x80\x3f"
            self.recorder.vendor(0xC0, payload, now_s)
