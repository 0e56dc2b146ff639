"""Every alarm of the controller, one row each, and what follows from a row after IEC 60601-1-8.

A row says how bad it is if nobody responds, and how soon. Priority, latching, colour and sound
follow from that; nobody writes them down. Which alarms stand is ``alarm_board``'s business.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from cryoctl_protocol.codes import TRIP_RULES, Trip

SIGNAL_DELAY_S: Final = 0.15
"""From detection until an alarm is shown, and heard if its sound is on: one control tick of 0.05 s,
and 0.1 s between two pictures of the display (SR-31 allows 0.2 s and 0.5 s)."""


class Severity(IntEnum):
    """What happens to a patient if nobody responds."""

    MINOR = 1
    REVERSIBLE = 2
    IRREVERSIBLE = 3


class Onset(StrEnum):
    """How soon it happens: within seconds, within tens of seconds, later."""

    IMMEDIATE = "immediate"
    PROMPT = "prompt"
    DELAYED = "delayed"


class Priority(StrEnum):
    """How urgently somebody has to look; most urgent first."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Latching(StrEnum):
    """What stays once the condition has gone, until somebody acknowledges."""

    SIGNAL = "signal"
    TEXT = "text"
    NONE = "none"


_SEV, _ON, _PRI = Severity, Onset, Priority
# fmt: off
PRIORITIES: Final[dict[tuple[Severity, Onset], Priority]] = {
    (_SEV.IRREVERSIBLE, _ON.IMMEDIATE): _PRI.HIGH,
    (_SEV.IRREVERSIBLE, _ON.PROMPT):    _PRI.HIGH,
    (_SEV.IRREVERSIBLE, _ON.DELAYED):   _PRI.MEDIUM,
    (_SEV.REVERSIBLE,   _ON.IMMEDIATE): _PRI.HIGH,
    (_SEV.REVERSIBLE,   _ON.PROMPT):    _PRI.MEDIUM,
    (_SEV.REVERSIBLE,   _ON.DELAYED):   _PRI.LOW,
    (_SEV.MINOR,        _ON.IMMEDIATE): _PRI.MEDIUM,
    (_SEV.MINOR,        _ON.PROMPT):    _PRI.LOW,
    (_SEV.MINOR,        _ON.DELAYED):   _PRI.LOW,
}
# fmt: on
"""IEC 60601-1-8, table 1. The standard lets the last row have no signal at all; here it has LOW."""


class Look(NamedTuple):
    """How alarms of one priority are shown and heard.

    Attributes:
        mark: Says in text what the colour says.
        flash_hz: 0 is steady.
        flash_duty: Share of the time that a flashing mark is seen.
        pulses: Tones of one burst.
        burst_period_s: From one burst to the next; None: one burst and no more.
    """

    colour: str
    mark: str
    flash_hz: float
    flash_duty: float
    pulses: int
    burst_period_s: float | None


# fmt: off
LOOKS: Final[dict[Priority, Look]] = {
    _PRI.HIGH:   Look("red",    "!!!", 2.0, 0.5, 10, 5.0),
    _PRI.MEDIUM: Look("yellow", "!!",  0.5, 0.5,  3, 10.0),
    _PRI.LOW:    Look("cyan",   "!",   0.0, 1.0,  2, None),
}
# fmt: on
"""Rates lie inside the standard's 1.4 to 2.8 Hz and 0.4 to 0.8 Hz, and below the 3 Hz of WCAG."""


class Alarm(NamedTuple):
    """One thing that people have to be told.

    Attributes:
        id: Name of a trip, or of its own.
        requirement: The safety requirement it belongs to.
        hazards: That it may lead to, or stands for.
        detection_s: At most this long from the cause being visible in telemetry, or from the end of
            the time that a requirement grants, until the controller knows.
        text: What has happened.
        action: What to do.
        is_trip: It has made the probe safe, and wants a reset besides an acknowledgement.
        follows: Alarms that explain this one, should they stand at the same time.
    """

    id: str
    severity: Severity
    onset: Onset
    requirement: str
    hazards: tuple[str, ...]
    detection_s: float
    text: str
    action: str
    is_trip: bool = False
    follows: tuple[str, ...] = ()

    @property
    def priority(self) -> Priority:
        """How urgent it is, by the standard's table."""
        return PRIORITIES[self.severity, self.onset]

    @property
    def latching(self) -> Latching:
        """What stays of it until it is acknowledged: fixed, and no setting."""
        if self.is_trip or self.priority is Priority.HIGH:
            return Latching.SIGNAL
        return Latching.TEXT if self.priority is Priority.MEDIUM else Latching.NONE

    @property
    def look(self) -> Look:
        """How it is shown and heard."""
        return LOOKS[self.priority]


_RELEASE: Final = "Do not move the needle until it is free."
_SHUT_BY_HAND: Final = "Shut the cylinder or take the cartridge out."


def _trip(  # noqa: PLR0917  # Rows of a table, in columns.
    trip: Trip,
    severity: Severity,
    onset: Onset,
    hazards: tuple[str, ...],
    detection_s: float,
    action: str,
    follows: tuple[str, ...] = (),
) -> Alarm:
    rule = TRIP_RULES[trip]
    return Alarm(
        trip.name, severity, onset, rule.requirement, hazards, detection_s, rule.text, action,
        is_trip=True, follows=follows,
    )  # fmt: skip


# fmt: off
_ROWS: Final = (
    _trip(Trip.TIP_FLOOR, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-02",), 0.1,
          f"{_RELEASE} Check gas and profile before another treatment."),
    _trip(Trip.VALVE_STUCK, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-01",), 0.1,
          f"{_SHUT_BY_HAND} {_RELEASE} Take the probe out of use."),
    _trip(Trip.LEAK, _SEV.IRREVERSIBLE, _ON.PROMPT, ("H-01", "H-11", "H-12"), 0.1,
          f"{_SHUT_BY_HAND} {_RELEASE} Air the room; take the probe out of use.",
          follows=("VALVE_STUCK",)),
    _trip(Trip.FREEZE_TIMER, _SEV.REVERSIBLE, _ON.IMMEDIATE, ("H-03",), 0.1,
          f"{_RELEASE} Take the controller out of use until it is known why."),
    _trip(Trip.TIP_SENSOR, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-05", "H-06"), 0.2,
          f"The reading is false: wait a minute longer. {_RELEASE} Take the probe out of use."),
    _trip(Trip.TIP_FROZEN_READING, _SEV.IRREVERSIBLE, _ON.PROMPT, ("H-06",), 0.1,
          f"The reading is false: wait a minute longer. {_RELEASE} Take the probe out of use."),
    _trip(Trip.NO_COOLING, _SEV.IRREVERSIBLE, _ON.PROMPT, ("H-04", "H-06"), 0.1,
          f"{_RELEASE} Check gas, line and needle."),
    _trip(Trip.HEATER, _SEV.REVERSIBLE, _ON.IMMEDIATE, ("H-08",), 0.2,
          f"Pull the probe's plug if the needle gets warm. {_RELEASE}"),
    _trip(Trip.SKIN_COLD, _SEV.REVERSIBLE, _ON.IMMEDIATE, ("H-09",), 0.7,
          f"Warm the skin. {_RELEASE} Check warmer and insulation."),
    _trip(Trip.OVERPRESSURE, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-10",), 0.1,
          f"{_SHUT_BY_HAND} Let the cartridge cool down."),
    _trip(Trip.EXHAUST_BLOCKED, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-10",), 0.1,
          "Look for a kink or ice in the exhaust line."),
    _trip(Trip.FLOW_HIGH, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-11",), 0.4,
          f"The needle may leak into tissue. {_RELEASE} Take the probe out of use."),
    _trip(Trip.INTEGRITY, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-15",), 0.1,
          f"{_RELEASE} Check the cable, and what else is on the line."),
    _trip(Trip.LEASE, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-14",), 0.1,
          f"{_RELEASE} Check link and computer.",
          follows=("DEVICE_RESTART", "SESSION_DROPPED", "LINK", "TICK_LATE")),
    _trip(Trip.BATTERY, _SEV.REVERSIBLE, _ON.PROMPT, ("H-23",), 0.5,
          f"{_RELEASE} Charge or change the battery."),
    _trip(Trip.MODE_MISMATCH, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-14", "H-18"), 0.1,
          f"{_RELEASE} Look for a second controller.",
          follows=("DEVICE_RESTART", "LINK")),
    _trip(Trip.LINK, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-14", "H-16"), 0.2,
          f"The probe makes itself safe. {_RELEASE} Check cable and plug.",
          follows=("DEVICE_RESTART", "SESSION_DROPPED", "TICK_LATE")),
    _trip(Trip.TICK_LATE, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-22",), 0.2,
          f"{_RELEASE} Close other programs on this computer."),
    _trip(Trip.COMMAND_FAILED, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-15", "H-17", "H-18"), 0.1,
          f"{_RELEASE} Look at the reason in the log.",
          follows=("DEVICE_RESTART", "LINK", "LEASE")),
    _trip(Trip.OPERATOR_STOP, _SEV.REVERSIBLE, _ON.DELAYED, ("H-07",), 0.1,
          f"{_RELEASE}"),
    _trip(Trip.INTERNAL, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-14", "H-22"), 0.1,
          f"{_RELEASE} Keep the recording; do not go on with this program or probe."),
    _trip(Trip.THAW_TIMEOUT, _SEV.REVERSIBLE, _ON.PROMPT, ("H-07",), 0.1,
          f"{_RELEASE} Warm it from outside."),
    _trip(Trip.DEVICE_RESTART, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-14", "H-18", "H-23"), 0.1,
          f"{_RELEASE} Check the probe's supply."),
    _trip(Trip.SENSOR_OPEN, _SEV.IRREVERSIBLE, _ON.IMMEDIATE, ("H-05", "H-10", "H-11"), 0.2,
          f"{_RELEASE} Check the probe's plugs; take it out of use."),
    _trip(Trip.OUTPUTS_OVERLAP, _SEV.REVERSIBLE, _ON.IMMEDIATE, ("H-08",), 0.1,
          f"{_RELEASE} Take the probe out of use."),
    _trip(Trip.SKIN_HOT, _SEV.REVERSIBLE, _ON.IMMEDIATE, ("H-08",), 0.2,
          f"Cool the skin; pull the probe's plug if it stays hot. {_RELEASE}"),
    _trip(Trip.READING_FROZEN, _SEV.IRREVERSIBLE, _ON.PROMPT, ("H-01", "H-09", "H-10", "H-11"), 0.1,
          f"{_RELEASE} Take the probe out of use."),
    Alarm("SAFE_NOT_CONFIRMED", _SEV.IRREVERSIBLE, _ON.IMMEDIATE, "SR-07", ("H-01", "H-14"), 5.1,
          "nothing shows that the probe is safe", f"{_SHUT_BY_HAND} {_RELEASE}"),
    Alarm("SESSION_DROPPED", _SEV.IRREVERSIBLE, _ON.IMMEDIATE, "SR-24", ("H-17",), 0.1,
          "the probe heard frames with wrong tags and ended the session",
          f"{_RELEASE} See who else is on the line; change the key if it comes again."),
    Alarm("NOT_RELEASED", _SEV.REVERSIBLE, _ON.PROMPT, "SR-14", ("H-07",), 0.1,
          "the needle may still be frozen in", f"{_RELEASE} Wait, or warm it from outside."),
    Alarm("GAS_LOW", _SEV.MINOR, _ON.IMMEDIATE, "SR-22", ("H-13",), 0.6,
          "supply pressure too low to go on freezing", "Warm or change the cartridge."),
    Alarm("LINK_STALE", _SEV.MINOR, _ON.PROMPT, "SR-03", ("H-14",), 0.1,
          "telemetry is late: only STOP may go out", "Check cable and plug if it comes often.",
          follows=("DEVICE_RESTART", "SESSION_DROPPED", "LINK", "TICK_LATE")),
    Alarm("NOT_EFFECTIVE", _SEV.MINOR, _ON.PROMPT, "SR-13", ("H-04",), 0.1,
          "the cycle did not hold its set-point", "Look at the reason in the cycle's verdict.",
          follows=("GAS_LOW",)),
    Alarm("RECORDING_FAILED", _SEV.MINOR, _ON.PROMPT, "SR-33", ("H-21",), 0.1,
          "the recording is not kept any more", "Finish; then look at the disk."),
    Alarm("DISK_LOW", _SEV.MINOR, _ON.DELAYED, "SR-33", ("H-21",), 0.1,
          "little room on the disk of the recording", "Make room, or give another --out."),
    Alarm("DISK_SLOW", _SEV.MINOR, _ON.DELAYED, "SR-33", ("H-21",), 1.0,
          "the disk of the recording stalls", "See what else writes to it, or give another --out."),
    Alarm("CLOCK_JUMP", _SEV.MINOR, _ON.DELAYED, "SR-10", ("H-03", "H-21"), 0.1,
          "the computer's clock was set; phases go by another", "Note the true time in the log."),
    Alarm("CLOCK_DRIFT", _SEV.MINOR, _ON.PROMPT, "SR-44", ("H-03", "H-16"), 8.1,
          "the probe's clock does not keep time with the computer's",
          "Finish; then take the probe out of use."),
    # Prompt, not delayed: without scavenging 16 g are far over what may be breathed all day.
    Alarm("GAS_IN_ROOM", _SEV.REVERSIBLE, _ON.PROMPT, "SR-21", ("H-12",), 0.1,
          "more than 16 g of gas went into the room within an hour",
          "Air the room, or scavenge the exhaust and say so with --scavenging."),
)
# fmt: on
ALARMS: Final[dict[str, Alarm]] = {row.id: row for row in _ROWS}
"""By id, in the order of their lists."""
