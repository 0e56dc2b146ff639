"""The end of a run as people read it: a table per cycle, the verdict, what to do next."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Final

from cryoctl.files import DEFAULT_PROFILE
from cryoctl.summary import CycleSummary, FaultSummary, NerveTruth, Summary
from cryoctl_protocol.peer import DeviceUrl
from cryoctl_protocol.profile import is_profile_file, profile_names
from cryoctl_protocol.quantities import for_people

_GREEN, _RED, _YELLOW = "32", "31", "33"
_COLOURS: Final = {"PASS": _GREEN, "NOT_EFFECTIVE": _YELLOW, "ABORTED": _YELLOW}
_INJURIES: Final = {
    "none": "no injury",
    "uncertain": "uncertain, neurapraxia at most",
    "axonotmesis": "axonotmesis",
    "towards_irreversible": "below -100 °C, towards irreversible",
    "not_reachable": "below -140 °C, which no gas can do",
}
_OUTCOMES: Final = {
    "not_cold": "the needle was never at -20 °C",
    "misplaced": "MISPLACED: the -20 °C zone does not touch it",
    "zone_too_small": "ZONE TOO SMALL: under 4 mm of it at -20 °C",
    "too_short": "TOO SHORT: under 4 mm of it at -20 °C for 60 s",
    "covered": "covered",
}
_TITLE_WIDTH: Final = 55
CRASHES_SHOWN: Final = 5
_HEAD: Final = (
    "cycle  verdict        to band   coldest  in band    thaw     gas   ice (truth)",
    "                            s        °C        %       s       g   mm / -20 °C",
)


def render_outcome(summary: Summary, report: Path | None, program: str, *, colour: bool) -> str:
    """Return the closing lines of a run, at most 80 columns wide but for paths.

    Args:
        summary: Of the run.
        report: The HTML file just written, None if it could not be.
        program: What a user types to call this program.
        colour: Whether the terminal shows colours; they never carry meaning alone.
    """
    lines = ["", *_HEAD, *_cycle_rows(summary, colour=colour)]
    for trip in summary.trips:
        safe = (
            "safe state not confirmed"
            if trip.time_to_safe_ms is None
            else f"confirmed safe after {trip.time_to_safe_ms:g} ms"
        )
        first = "first cause" if trip.first_out else "then"
        lines.append(
            f"!!! {first}: {trip.id} ({trip.requirement}, {trip.layer}) in {trip.state}"
            f" at {trip.at_s:.2f} s"
        )
        seen = f": {trip.value:g} against {trip.limit:g} {trip.unit}" if trip.unit else ""
        lines.append(f"    {trip.text}{seen}; {safe}")
    lines += [f"fault {fault.fault}: {_fault_text(fault)}" for fault in summary.faults]
    lines += _crash_lines(summary)
    in_session = len(summary.placements) > 1
    for placement in summary.placements:
        if placement.nerve is not None:
            where = f" of placement {placement.index}" if in_session else ""
            lines += _nerve_lines(placement.nerve, where)
    if summary.frames_lost or summary.frames_rejected:
        lines.append(f"link: {summary.frames_lost} frames lost, {summary.frames_rejected} rejected")
    if summary.failure:
        lines.append(f"!!! {summary.failure}")
    room = "scavenging on" if summary.scavenging else "scavenging off"
    lines.append(f"gas into the room: {summary.vented_g_per_h:.1f} g within an hour, {room}")
    if "NOT_RELEASED" in summary.alarms:
        lines.append("!!! left before the tip was warm: the needle may be frozen in; do not pull")
    verdict = _painted(summary.verdict.value, summary.verdict.value, colour=colour)
    for missing in summary.not_provided:
        rests = f" ({', '.join(missing.requirements)})" if missing.requirements else ""
        lines.append(f"not provided by the device: {missing.name}{rests}")
    lines += [
        f"limit {row.limit}: {for_people(row.value, row.unit)} instead of {row.profile:g}"
        f" ({row.requirement})"
        for row in summary.limits_changed
    ]
    lines += [f"plug-in {plug_in}" for plug_in in summary.plug_ins]
    lines += [f"!!! DEVIATION {row.text}" for row in summary.deviations]
    seed = "none" if summary.seed is None else summary.seed
    origin = f"{summary.profile}, seed {seed}, exit code {summary.exit_code}"
    lines += [
        "",
        f"{verdict}   {summary.virtual_s:.0f} s of treatment in {summary.wall_s:.1f} s ({origin})",
        f"recording  {summary.recording}",
        f"report     {report or 'not written'}",
        "",
        "next:",
        *_next_of_probe(summary, program),
        f"  {program} report {quote(str(summary.recording))}",
        "",
    ]
    return "\n".join(lines)


def _next_of_probe(summary: Summary, program: str) -> list[str]:
    """Return what to try next on the same kind of probe; nothing if it has no name here."""
    name = _profile_name(summary)
    if name is None:
        return []
    given = "" if name == DEFAULT_PROFILE else f" --profile {quote(name)}"
    return [
        f"  {program} plan --profile {quote(name)}",
        f"  {program} run{given} --fault valve_stuck_open@freeze+20s",
    ]


def _profile_name(summary: Summary) -> str | None:
    """Return what the probe is called in ``--profile``: built in, or a file; None if unknown."""
    if summary.profile in profile_names():
        return summary.profile
    url = DeviceUrl.parse(summary.device)
    return url.path if url.scheme == "sim" and is_profile_file(url.path) else None


def _nerve_lines(nerve: NerveTruth, where: str) -> list[str]:
    low, high = nerve.regrowth_days_low, nerve.regrowth_days_high
    days = "" if low is None else f"; regrowth {low:.0f} to {high:.0f} days"
    figures = (
        f"{nerve.covered_mm:.1f} mm of lesion, {nerve.min_temp_c:.1f} °C, "
        f"{nerve.below_minus20_s:.0f} s at -20 °C"
    )
    return [
        f"nerve{where} (truth, estimate): {_OUTCOMES[nerve.outcome]}",
        f"    {_INJURIES[nerve.injury]}",
        f"    {figures}{days}",
    ]


def _crash_lines(summary: Summary) -> list[str]:
    """Return a line for each of the first crashes of a simulated probe's firmware."""
    shown = summary.crashes[:CRASHES_SHOWN]
    lines = [f"!!! firmware at {crash.at_s:.2f} s: {crash.text}" for crash in shown]
    left = summary.crashes_count - len(shown)
    return [*lines, f"!!! firmware: {left} crashes more"] if left > 0 else lines


def _fault_text(fault: FaultSummary) -> str:
    if fault.began_s is None:
        return "its moment never came"
    ended = "stayed" if fault.ended_s is None else f"until {fault.ended_s:.2f} s"
    return f"from {fault.began_s:.2f} s, {ended}"


def _cycle_rows(summary: Summary, *, colour: bool) -> list[str]:
    """Return the rows of all cycles, those of a session under the names of its placements."""
    placements = summary.placements
    if len(placements) < 2:  # noqa: PLR2004
        return [_cycle_row(cycle, colour=colour) for cycle in summary.cycles]
    rows = []
    for placement in placements:
        verdict = "not come to" if placement.verdict is None else placement.verdict.value
        title = f"placement {placement.index} of {len(placements)}"
        title += f", {placement.name}" if placement.name else ""
        rows.append(f"{title[:_TITLE_WIDTH]}: {verdict}, {placement.gas_used_g:.2f} g")
        mine = [cycle for cycle in summary.cycles if cycle.placement == placement.index]
        rows += [_cycle_row(cycle, colour=colour) for cycle in mine]
    if summary.cartridge_changes:
        rows.append(f"new cartridges: {summary.cartridge_changes}")
    return rows


def _cycle_row(cycle: CycleSummary, *, colour: bool) -> str:
    truth = (
        "-"
        if cycle.truth is None
        else f"{cycle.truth.ice_radius_mm:.2f} / {cycle.truth.radius_minus20_mm:.2f}"
    )
    verdict = _painted(f"{cycle.verdict.value:<13}", cycle.verdict.value, colour=colour)
    row = (
        f"{cycle.index:>5}  {verdict}{_number(cycle.time_to_setpoint_s, 9, 1)}"
        f"{_number(cycle.tip_min_c, 10, 1)}{100.0 * cycle.hold_in_band_fraction:>9.1f}"
        f"{_number(cycle.thaw_s, 8, 1)}{cycle.gas_used_g:>8.2f}{truth:>14}"
    )
    return f"{row}\n       {cycle.reason}" if cycle.reason else row


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"


def _painted(text: str, verdict: str, *, colour: bool) -> str:
    return f"\x1b[1;{_COLOURS.get(verdict, _RED)}m{text}\x1b[0m" if colour else text
