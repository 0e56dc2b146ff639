"""Runs a controller again on the inputs that a recording holds, and compares every record.

Same inputs, same decisions, bit for bit: the controller reads no clock and draws no chance, so what
it sends, logs and samples must come out as it stands in the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from cryoctl import __version__
from cryoctl.core import Controller, Settings, ShellInput
from cryoctl.crash_log import KIND
from cryoctl.key_store import key_folder
from cryoctl.operator_requests import Request
from cryoctl.plug_ins import PlugIn, PlugInError, load_again
from cryoctl.recorded_keys import KeyNotHereError, RecordedKeys, recorded_keys
from cryoctl.recorder import (
    AUDIT,
    CONTROL,
    ESTIMATE,
    EVENTS,
    FRAME_HEAD_SIZE,
    LINK_RX,
    LINK_TX,
    PROFILE,
    TELEMETRY,
    TRUTH,
    VENDOR,
    Recorder,
)
from cryoctl.recording import Messages, RawMessage, load_messages, read_messages
from cryoctl.stimulation import Stimulus
from cryoctl.storage import Storage
from cryoctl.treatment import load_treatment
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.link_limits import LinkLimits
from cryoctl_protocol.profile import Profile, ProfileError, given_profile
from cryoctl_protocol.toml_text import FileError

SETTINGS: Final = "settings"
"""Metadata: the ``--set`` options, a JSON list."""
CONTROLLER: Final = "controller"
"""Metadata: how the controller was run, a JSON object."""
PLUG_INS: Final = "plug_ins"
"""Metadata: group, name, package and version of each plug-in, a JSON list of lists."""
LATER: Final = "later_treatments"
"""Metadata: texts of the treatments at the placements after the first, a JSON list."""
_NS_PER_S: Final = 1_000_000_000
_SHOWN: Final = 160


class Answer(StrEnum):
    """What a replay shows."""

    IDENTICAL = "IDENTICAL"
    DIFFERENT = "DIFFERENT"
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a replay went.

    Attributes:
        reason: Why it is not IDENTICAL; empty if it is.
        inputs: Frames, ticks, requests and the like that were fed in.
        records: Records of the file that came out the same, up to the first that did not.
    """

    answer: Answer
    reason: str
    inputs: int = 0
    records: int = 0


def replay_metadata(
    settings: Settings, treatment_settings: Sequence[str], later: Sequence[str] = ()
) -> dict[str, str]:
    """Return what a recording must say so that its run can be replayed."""
    return {
        LATER: json.dumps(list(later)),
        SETTINGS: json.dumps(list(treatment_settings)),
        CONTROLLER: json.dumps(
            {
                "nonce_seed": settings.nonce_seed.hex(),
                "cartridge_g": settings.cartridge_g,
                "bench_waiver": settings.bench_waiver,
                "audio_off": settings.audio_off,
                "scavenging": settings.scavenging,
                "link": settings.link._asdict(),
                "limits": settings.limits and settings.limits.model_dump(mode="json"),
            }
        ),
    }


def replay(
    path: Path,
    on_tick: Callable[[Controller, float], None] | None = None,
    keys: Path | None = None,
) -> Replayed:
    """Replay the recording at ``path``.

    Args:
        path: Of the recording.
        on_tick: Called after each control tick with the time; for displays.
        keys: Folder with the keys of devices, which no recording holds; None is the user's own.

    Raises:
        RecordingError: It is not there, cannot be read, or is no recording.
    """
    return replay_messages(load_messages(path), on_tick, keys)


def replay_messages(
    recorded: Messages,
    on_tick: Callable[[Controller, float], None] | None = None,
    keys: Path | None = None,
) -> Replayed:
    """Replay a recording that has been read; see ``replay``."""
    missing = _what_is_missing(recorded)
    if missing:
        return Replayed(Answer.INCOMPLETE, missing)
    stream = BytesIO()
    sink = Recorder(stream, metadata={}, flush_period_s=float("inf"))
    try:
        ring = recorded_keys(_events(recorded), key_folder(keys))
        controller = _controller(recorded.metadata, sink, ring)
    except KeyNotHereError as error:
        return Replayed(Answer.INCOMPLETE, str(error))
    except (FileError, PlugInError, ProfileError, KeyError, ValueError, TypeError) as error:
        return Replayed(Answer.INCOMPLETE, f"its run cannot be set up again: {error}")
    feed = _Feed(controller, sink)
    inputs = 0
    for message in recorded.messages:
        with suppress(Exception):  # The run met the same error, or the records will differ.
            inputs += feed.give(message)
        if on_tick is not None and message.topic == CONTROL:
            on_tick(controller, message.time_ns / _NS_PER_S)
    sink.flush()
    again = read_messages(BytesIO(stream.getvalue()), "replay").messages
    outcome = _compare(recorded, again, inputs)
    if outcome.answer is Answer.IDENTICAL:
        return _judge_summary(recorded, controller, outcome)
    if any(_tells_a_crash(message) for message in recorded.messages):
        # Half a tick may have been done, and left no record of its own.
        return replace(outcome, answer=Answer.INCOMPLETE, reason="the program itself failed in it")
    return outcome


def _events(recorded: Messages) -> Iterator[dict[str, Any]]:
    return (json.loads(row.payload) for row in recorded.messages if row.topic == EVENTS)


def _tells_a_crash(message: RawMessage) -> bool:
    return message.topic == EVENTS and b'"told":"crash"' in message.payload


def _what_is_missing(recorded: Messages) -> str:
    metadata = recorded.metadata
    if not recorded.complete:
        return "the file is cut off or damaged, so its last inputs may be missing"
    if recorded.dropped:
        return f"{recorded.dropped} records did not get into the file"
    for key in (CONTROLLER, SETTINGS, "treatment"):
        if key not in metadata:
            return f"it does not say '{key}': not the recording of a run, or of an older version"
    if metadata.get("schema_hash") != f"{SCHEMA_HASH:08x}":
        return (
            f"it holds frames of message table {metadata.get('schema_hash')}, this program reads "
            f"{SCHEMA_HASH:08x}: replay it with cryoctl {metadata.get('cryoctl')}"
        )
    return ""


def _controller(metadata: dict[str, str], sink: Recorder, ring: RecordedKeys) -> Controller:
    """Return a controller as the recorded one was at its start."""
    kept = Profile.from_json(metadata[PROFILE]) if PROFILE in metadata else None
    with given_profile(kept):
        settings = json.loads(metadata[SETTINGS])
        treatment, *later = (
            load_treatment(text, "recorded treatment", settings)
            for text in (metadata["treatment"], *json.loads(metadata.get(LATER, "[]")))
        )
    profile = treatment.probe_profile
    if f"{profile.hash32:08x}" != metadata["profile_hash"]:
        raise ValueError(
            f"profile {treatment.profile} has changed since (hash {metadata['profile_hash']} then)"
        )
    told: dict[str, Any] = json.loads(metadata[CONTROLLER])
    limits: dict[str, Any] | None = told.get("limits")
    wanted = [PlugIn(*row) for row in json.loads(metadata.get(PLUG_INS, "[]"))]
    plug_ins = load_again(wanted, profile.probe.id)
    how = Settings(
        key=ring,
        nonce_seed=bytes.fromhex(told["nonce_seed"]),
        link=LinkLimits(**told["link"]),
        bench_waiver=told["bench_waiver"],
        scavenging=told["scavenging"],
        cartridge_g=told["cartridge_g"],
        audio_off=told["audio_off"],
        limits=None if limits is None else type(profile.limits).model_validate(limits),
        extra_interlocks=plug_ins.interlocks,
        extra_checks=plug_ins.checks,
    )
    return Controller(treatment, profile, how, sink, later)


class _Feed:
    """Gives a controller the inputs of a recording, in the order of the file.

    An input stands in the file where it was given, or behind what came of it: a tick, a request.
    """

    def __init__(self, controller: Controller, sink: Recorder) -> None:
        self._controller = controller
        self._sink = sink
        self._unmet = 0
        """Frames that ``outgoing`` returned, of which the file is still to tell."""

    def give(self, message: RawMessage) -> bool:
        """Give the input that ``message`` stands for; return False if it stands for none."""
        now_s = message.time_ns / _NS_PER_S
        if message.topic == LINK_RX:
            self._receive(message.payload[FRAME_HEAD_SIZE:], now_s)
        elif message.topic == CONTROL:
            self._controller.tick(now_s)
        elif message.topic == EVENTS:
            return self._tell(json.loads(message.payload), now_s)
        else:
            if message.topic == LINK_TX:
                self._send(now_s)
            return False
        return True

    def _receive(self, body: bytes, now_s: float) -> None:
        if body:
            self._controller.on_body(body, now_s)
        else:
            self._controller.on_line_errors(1, now_s)

    def _send(self, now_s: float) -> None:
        if self._unmet == 0:
            self._unmet = len(self._controller.outgoing(now_s))
        self._unmet = max(0, self._unmet - 1)

    def _tell(self, event: dict[str, Any], now_s: float) -> bool:
        match event["kind"]:
            case "operator":
                self._ask(Request(event["request"]), event, now_s)
            case "storage":
                # Ahead of the tick that found it so, whose own record comes last.
                self._sink.storage = Storage(event["alarm"], event["refuses_arming"], event["text"])
            case "shell":
                self._tell_as_shell(event, now_s)
            case _:
                return False
        return True

    def _ask(self, request: Request, event: dict[str, Any], now_s: float) -> None:
        if request is Request.STIMULATE:
            stimulus = Stimulus(**{name: event[name] for name in Stimulus._fields})
            self._controller.request(request, now_s, stimulus)
        else:
            self._controller.request(request, now_s)

    def _tell_as_shell(self, event: dict[str, Any], now_s: float) -> None:
        match ShellInput(event["told"]):
            case ShellInput.CONNECT:
                self._controller.connect(now_s)
            case ShellInput.LINK_GONE:
                self._controller.on_link_gone(event["why"], now_s)
            case ShellInput.LINK_BACK:
                self._controller.on_link_back(now_s)
            case ShellInput.GIVE_UP:
                self._controller.give_up(event["why"], now_s, link=event["link"])
            case ShellInput.CRASH:
                self._controller.crash(now_s)
            case ShellInput.LEAVE:
                self._controller.leave(now_s)


def _compare(recorded: Messages, again: list[RawMessage], inputs: int) -> Replayed:
    kept = [message for message in recorded.messages if _is_decided(message)]
    for index, (then, now) in enumerate(zip_longest(kept, again)):
        if then != now:
            version = recorded.metadata.get("cryoctl")
            by = "" if version == __version__ else f" (recorded by cryoctl {version})"
            reason = f"{_describe(then, 'recorded')}; {_describe(now, 'replayed')}{by}"
            return Replayed(Answer.DIFFERENT, reason, inputs, index)
    if recorded.altered:
        reason = "its contents are not what they were when it was closed"
        return Replayed(Answer.DIFFERENT, reason, inputs, len(kept))
    return Replayed(Answer.IDENTICAL, "", inputs, len(kept))


def _judge_summary(recorded: Messages, controller: Controller, outcome: Replayed) -> Replayed:
    """Return DIFFERENT if the summary says other than the replayed controller."""
    told = recorded.summary
    for key, now in (
        ("verdict", controller.session_verdict.value),
        ("events_sha256", controller.events_sha256),
        ("alarms", controller.alarms),
    ):
        if told.get(key, now) != now:
            reason = f"the summary's {key} is {told[key]}, the replay's {now}"
            return replace(outcome, answer=Answer.DIFFERENT, reason=reason)
    return outcome


def _is_decided(message: RawMessage) -> bool:
    """Return True for what the controller took in or made.

    Truth, audit trail and what a simulated processor told are neither.
    """
    if message.topic == EVENTS and f'"kind":"{KIND}"'.encode() in message.payload:
        return False
    return message.topic not in (TRUTH, AUDIT) and not message.topic.startswith(VENDOR)


def _describe(message: RawMessage | None, word: str) -> str:
    if message is None:
        return f"{word}: nothing more"
    data = message.payload
    text = data.decode() if message.topic == EVENTS else data[FRAME_HEAD_SIZE:].hex(" ")
    text = "a sample" if message.topic == TELEMETRY else text
    text = "a tick" if message.topic == CONTROL else text
    text = "an estimate" if message.topic == ESTIMATE else text
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{word}: {message.topic} at {message.time_ns / _NS_PER_S:.4f} s {shown}"
