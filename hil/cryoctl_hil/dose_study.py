"""``make dose``: does a hold that ends by dose come nearer to the wanted radius than one by time?

Two hundred virtual patients, the whole probe and controller, the reference model as the tissue. The
observer's figures and the fixed time were chosen on other patients of the same kind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Final

from cryoctl.core import Controller, Settings
from cryoctl.cycles import CycleRecord
from cryoctl.exit_codes import EXIT_USAGE
from cryoctl.lockstep import LockStep
from cryoctl.operators import AutomaticOperator
from cryoctl.treatment import Treatment, load_treatment
from cryoctl_hil.sinks import NoSink
from cryoctl_hil.virtual_patients import Patient, probe_in
from cryoctl_protocol.auth import DEMO_KEY
from cryoctl_protocol.profile import load_profile

PATIENTS: Final = 200
POPULATION: Final = 20261121
"""Seeds are this and the patient's number; they were fixed before any figure was chosen."""
PROFILE: Final = "n2o-20g"
WANTED_MM: Final = 1.8
TOLERANCE_MM: Final = 0.3
LONGEST_HOLD_S: Final = 95.0  # With up to 25 s to the set-point: 120 s.
FIXED_HOLD_S: Final = 32.5
"""The best of all fixed times for 56 other patients."""
CARTRIDGE_G: Final = 13.0
"""As after a first freeze. A full one is liquid-full, and over the pressure limit, from 26 C on."""
SHARE_WITHIN_MIN: Final = 0.95
RMS_RATIO_MAX: Final = 0.6
_BEGUN_WITHIN_S: Final = 120.0
_TREATMENT: Final = """\
schema = 1
profile = "n2o-20g"

[cycles]
count = 1
setpoint_c = -60.0
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """How one hold ended.

    Attributes:
        why_not: Why there was none to its end; empty if there was.
        radius_mm: True -20 C radius at its end.
        estimate_mm: The controller's, as is ``sigma_mm``.
    """

    why_not: str
    hold_s: float = 0.0
    by_dose: bool = False
    radius_mm: float = 0.0
    estimate_mm: float = 0.0
    sigma_mm: float = 0.0

    @property
    def error_mm(self) -> float:
        """True radius less the wanted one."""
        return self.radius_mm - WANTED_MM


@dataclass(frozen=True, slots=True)
class Pair:
    """One patient's hold by time and hold by dose."""

    number: int
    by_time: Hold
    by_dose: Hold

    @property
    def why_not(self) -> str:
        """Why the radius cannot be had within 120 s; empty if it can."""
        if self.by_dose.why_not or self.by_dose.by_dose:
            return self.by_dose.why_not
        return "" if self.by_dose.radius_mm >= WANTED_MM else "ice too small after 120 s"


def treatment_by_time() -> Treatment:
    """Return the hold of fixed length."""
    return load_treatment(f"{_TREATMENT}hold_s = {FIXED_HOLD_S}\n", "by time")


def treatment_by_dose() -> Treatment:
    """Return the hold that ends by dose."""
    text = f"{_TREATMENT}hold_s = {LONGEST_HOLD_S}\ndose_radius_mm = {WANTED_MM}\n"
    return load_treatment(text, "by dose")


def run_hold(patient: Patient, treatment: Treatment, seed: int) -> Hold:
    """Run a treatment in ``patient`` until its freeze has ended."""
    device = probe_in(patient, PROFILE, cartridge_g=CARTRIDGE_G, seed=seed)
    settings = Settings(key=DEMO_KEY, nonce_seed=b"dose study", cartridge_g=CARTRIDGE_G)
    controller = Controller(treatment, load_profile(PROFILE), settings, NoSink())
    shell = LockStep(controller, device, AutomaticOperator())
    shell.run(until_s=0.1)
    while not controller.finished and shell.now_s < _BEGUN_WITHIN_S + LONGEST_HOLD_S:
        shell.step()
        cycle = controller.cycles[-1] if controller.cycles else None
        if cycle is not None and cycle.freeze_ended_s is not None:
            return _judged(cycle, device.plant.radius_minus20_mm)
    return Hold(controller.failure.partition(": let")[0] or "no freeze")


def _judged(cycle: CycleRecord, radius_mm: float) -> Hold:
    if cycle.reached_s is None:
        return Hold(cycle.reason)
    is_cut_short = cycle.hold_s < cycle.hold_planned_s and not cycle.by_dose
    return Hold(
        cycle.reason if is_cut_short else "",
        hold_s=cycle.hold_s,
        by_dose=cycle.by_dose,
        radius_mm=radius_mm,
        estimate_mm=0.0 if cycle.estimate is None else cycle.estimate.radius_minus20_mm,
        sigma_mm=0.0 if cycle.estimate is None else cycle.estimate.sigma_mm,
    )


def study_one(patient_number: int) -> Pair:
    """Return both holds of one patient."""
    patient = Patient.drawn(POPULATION, patient_number)
    return Pair(
        patient_number,
        run_hold(patient, treatment_by_time(), patient_number),
        run_hold(patient, treatment_by_dose(), patient_number),
    )


def study(numbers: Iterable[int]) -> list[Pair]:
    """Return both holds of each patient, on all processors."""
    with ProcessPoolExecutor() as pool:
        return list(pool.map(study_one, numbers))


def rms_mm(holds: Sequence[Hold]) -> float:
    """Return the root mean square of the holds' errors."""
    return sqrt(sum(hold.error_mm**2 for hold in holds) / len(holds))


@dataclass(frozen=True, slots=True)
class Result:
    """What the study says.

    Attributes:
        reached: Patients in whom the wanted radius can be had.
        apart: Why it cannot in the others, and in how many.
        within: Share of holds by dose within the tolerance.
        covered: Share of them whose true radius is within two of the estimate's own sigmas.
    """

    reached: list[Pair]
    apart: dict[str, int]
    within: float
    covered: float
    rms_by_time_mm: float
    rms_by_dose_mm: float

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Result:
        """Sum up the holds of some patients; at least one must have reached the radius."""
        apart: dict[str, int] = {}
        for pair in pairs:
            if pair.why_not:
                apart[pair.why_not] = apart.get(pair.why_not, 0) + 1
        reached = [pair for pair in pairs if not pair.why_not]
        doses = [pair.by_dose for pair in reached]
        within = [abs(hold.error_mm) <= TOLERANCE_MM for hold in doses]
        covered = [abs(hold.radius_mm - hold.estimate_mm) <= 2.0 * hold.sigma_mm for hold in doses]
        return cls(
            reached,
            apart,
            sum(within) / len(within),
            sum(covered) / len(covered),
            rms_mm([pair.by_time for pair in reached]),
            rms_mm(doses),
        )

    @property
    def ratio(self) -> float:
        """RMS error by dose over that by time."""
        return self.rms_by_dose_mm / self.rms_by_time_mm

    @property
    def is_met(self) -> bool:
        """True if dose is as good as it has to be."""
        return self.within >= SHARE_WITHIN_MIN and self.ratio <= RMS_RATIO_MAX

    def lines(self) -> list[str]:
        """Return the figures, one a line."""
        holds_s = sorted(pair.by_dose.hold_s for pair in self.reached)
        by_time_mm = max(abs(pair.by_time.error_mm) for pair in self.reached)
        by_dose_mm = max(abs(pair.by_dose.error_mm) for pair in self.reached)
        apart = [f"  apart: {count} x {why}" for why, count in sorted(self.apart.items())]
        time = f"RMS error {self.rms_by_time_mm:.4f} mm, worst {by_time_mm:.3f} mm"
        dose = f"RMS error {self.rms_by_dose_mm:.4f} mm, worst {by_dose_mm:.3f} mm"
        return [
            f"wanted: -20 C radius of {WANTED_MM} mm within {TOLERANCE_MM} mm, in 120 s",
            f"patients in whom it can be had: {len(self.reached)}",
            *apart,
            f"hold of {FIXED_HOLD_S} s: {time}",
            f"hold by dose: {dose}, {holds_s[0]:.1f} to {holds_s[-1]:.1f} s",
            f"  within tolerance {self.within:.1%} (at least {SHARE_WITHIN_MIN:.0%})",
            f"  RMS by dose / by time {self.ratio:.2f} (at most {RMS_RATIO_MAX})",
            f"  true radius within two sigmas of the estimate {self.covered:.1%}",
        ]


def patients_asked() -> int:
    """Return ``PATIENTS`` of the environment; ends the program if that is no such number."""
    text = os.environ.get("PATIENTS", str(PATIENTS))
    if text.isascii() and text.isdigit() and 1 <= int(text) <= PATIENTS:
        return int(text)
    print(f"PATIENTS={text}: give a whole number from 1 to {PATIENTS}", file=sys.stderr)
    sys.exit(EXIT_USAGE)


def main() -> None:
    """Print the figures; draw them into the file that is named, if one is."""
    result = Result.of(study(range(1, patients_asked() + 1)))
    print("\n".join(result.lines()))
    if len(sys.argv) > 1:
        from cryoctl_hil.dose_picture import picture

        Path(sys.argv[1]).write_text(picture(result), encoding="utf-8")
    sys.exit(0 if result.is_met else 1)


if __name__ == "__main__":
    main()
