"""The audit trail: what its records say, and that no change to them goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoctl.audit import ClockWatch, Entry, EventReader
from cryoctl.audit_check import Anchor, Judgement, TrailVerdict, judge
from cryoctl.records import LogEvent
from tests.support.trails import EVENTS, KEY, a_trail, lines, stamp

WHOLE = lines()
OPEN = lines(closed=False)
OTHER_KEY = KEY[::-1]


def record(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found


def heads(trail: list[bytes]) -> list[str]:
    return [record(line)["hash"] for line in trail]


def anchors(trail: list[bytes], *seqs: int) -> list[Anchor]:
    return [Anchor(seq, heads(trail)[seq - 1]) for seq in seqs]


def answer(found: Judgement) -> tuple[str, int]:
    return found.verdict.value, found.seq


# -- what a record says --------------------------------------------------------------------------


def test_a_record_is_one_line_that_anybody_can_check_with_json_and_sha256() -> None:
    before = "0" * 64
    for seq, line in enumerate(WHOLE, 1):
        fields = record(line)
        told = fields.pop("hash")
        body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

        assert (fields["seq"], fields["prev"]) == (seq, before)
        assert hashlib.sha256(body).hexdigest() == told
        before = told


def test_who_did_what_is_told_with_the_old_value_beside_the_new_one() -> None:
    told = [
        (r["actor"], r["action"], r["target"], r["old"], r["new"], r["reason"])
        for r in map(record, WHOLE[1:-1])
    ]

    assert told == [
        ("controller", "connect", "", None, None, ""),
        ("device", "identity", "SIM-0007", None, {"firmware": "model-1", "boot_id": 7}, ""),
        ("controller", "state", "phase", "CONNECTING", "IDLE", "linked"),
        ("kim", "arm", "", None, None, "SR-19: no leak test"),
        ("controller", "command", "FREEZE", None,
         {"counter": 1, "setpoint_c": -60.0, "duration_s": 80.0}, ""),
        ("controller", "command", "FREEZE",
         {"counter": 1, "setpoint_c": -60.0, "duration_s": 80.0},
         {"counter": 2, "setpoint_c": -50.0, "duration_s": 80.0}, ""),
        ("controller", "alarm", "LINK_STALE", None, {"age_s": 0.06}, ""),
        ("controller", "trip", "TIP_FLOOR", None,
         {"value": -85.4, "limit": -85.0, "unit": "C"}, ""),
    ]  # fmt: skip


def test_an_event_of_a_kind_that_is_not_known_here_goes_through() -> None:
    event = LogEvent(3.0, "siren", {"id": "HORN", "state": "paused", "left_s": 120.0})

    entry = EventReader("kim").read(event, stamp(3.0))

    assert (entry.actor, entry.action, entry.target) == ("controller", "siren", "HORN")
    assert entry.new == {"state": "paused", "left_s": 120.0}


def test_texts_end_at_200_characters_and_odd_values_do_not_end_a_trail() -> None:
    odd = {"name": "x" * 300, "figure": float("nan"), "all": [1, {2: b"\xff"}], "lone": "\ud800"}
    line = a_trail().append(
        Entry(stamp(0.0), "kim" * 100, "override", "t" * 201, new=odd, reason="r" * 200)
    )

    kept = record(line)

    assert {len(kept["actor"]), len(kept["target"]), len(kept["new"]["name"])} == {200}
    assert kept["reason"] == "r" * 200
    assert kept["new"]["figure"] == "nan"
    assert kept["new"]["all"][1] == {"2": [255]}
    assert judge(line).records[0]["new"]["lone"] == "\ud800"


@pytest.mark.requirement("SR-10")
@pytest.mark.parametrize(
    ("set_by_s", "found_s"),
    [(31_536_000.0, 31_536_000.0), (-31_536_000.0, -31_536_000.0), (1.1, 1.1), (0.9, None)],
)
def test_a_clock_that_is_set_by_more_than_a_second_is_found_once(
    set_by_s: float, found_s: float | None
) -> None:
    watch = ClockWatch()

    looks = [watch.look(stamp(1.0)), watch.look(stamp(11.0, utc_offset_s=set_by_s)),
             watch.look(stamp(12.0, utc_offset_s=set_by_s))]  # fmt: skip

    assert looks == [None, None if found_s is None else pytest.approx(found_s), None]


# -- what became of a trail ----------------------------------------------------------------------


@pytest.mark.requirement("SR-34")
def test_a_whole_trail_is_intact_with_and_without_a_recording() -> None:
    data = b"".join(WHOLE)

    assert answer(judge(data)) == ("INTACT", 10)
    beside = judge(data, anchors=anchors(WHOLE, 3, 10), closing_head=heads(WHOLE)[-1])
    assert answer(beside) == ("INTACT", 10)


@pytest.mark.requirement("SR-34")
def test_every_other_value_of_every_byte_is_seen_where_it_is() -> None:
    data = b"".join(WHOLE)
    starts = [sum(map(len, WHOLE[:index])) for index in range(len(WHOLE) + 1)]
    for seq, (start, end) in enumerate(pairwise(starts), 1):
        for place in range(start, end):
            for flip in (0x01, 0x20, 0x80, data[place] ^ 0x0A):
                damaged = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
                if damaged == data:
                    continue
                last_newline = place == len(data) - 1
                right = ("NOT CLOSED", 9) if last_newline else ("ALTERED", seq)

                assert answer(judge(damaged)) == right, (place, flip)


@pytest.mark.requirement("SR-34")
def test_a_record_dropped_swapped_or_told_twice_is_seen_where_it_is() -> None:
    for index in range(9):
        dropped = WHOLE[:index] + WHOLE[index + 1 :]
        assert answer(judge(b"".join(dropped))) == ("ALTERED", index + 1)
    for first, second in combinations(range(10), 2):
        swapped = list(WHOLE)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        assert answer(judge(b"".join(swapped))) == ("ALTERED", first + 1)
    for index in range(10):
        twice = [*WHOLE[: index + 1], *WHOLE[index:]]
        assert answer(judge(b"".join(twice))) == ("ALTERED", index + 2)


@pytest.mark.requirement("SR-34")
def test_a_tail_cut_at_any_byte_is_truncated_by_the_recording_and_never_intact_without() -> None:
    data = b"".join(WHOLE)
    for length in range(len(data)):
        sound = data[:length].count(b"\n")
        alone = judge(data[:length])
        beside = judge(data[:length], anchors=anchors(WHOLE, 4), closing_head=heads(WHOLE)[-1])

        assert answer(alone) == ("NOT CLOSED", sound)
        assert answer(beside) == ("TRUNCATED", sound)


@pytest.mark.requirement("SR-34")
def test_what_a_crash_leaves_is_not_closed_wherever_it_ends() -> None:
    data = b"".join(OPEN)
    for length in range(sum(map(len, OPEN[:4])), len(data)):
        found = judge(data[:length], anchors=anchors(OPEN, 2, 4))

        assert answer(found) == ("NOT CLOSED", data[:length].count(b"\n"))


@pytest.mark.requirement("SR-34")
def test_a_trail_that_was_written_anew_contradicts_its_recording() -> None:
    trail = a_trail()
    forged = [trail.append(Entry(stamp(0.0), "kim", "arm")) for _ in WHOLE[:-1]]
    forged.append(trail.append(Entry(stamp(1.0), "kim", "trail_closed", new={})))
    data = b"".join(forged)

    assert answer(judge(data)) == ("INTACT", 10)  # By itself it is one: hence the anchors.
    assert answer(judge(data, anchors=anchors(WHOLE, 7, 10))) == ("ALTERED", 7)
    assert answer(judge(data, closing_head=heads(WHOLE)[-1])) == ("ALTERED", 10)


def test_what_follows_a_closing_record_is_not_part_of_the_trail() -> None:
    data = b"".join(WHOLE)

    assert answer(judge(data + b"x")) == ("ALTERED", 11)
    assert answer(judge(data + b"\n")) == ("ALTERED", 11)


def test_a_signed_trail_is_intact_with_its_key_and_without_one_and_with_no_other() -> None:
    signed = b"".join(lines(key=KEY))

    assert answer(judge(signed, key=KEY)) == ("INTACT", 10)
    assert answer(judge(signed)) == ("INTACT", 10)
    assert answer(judge(signed, key=OTHER_KEY)) == ("ALTERED", 1)
    assert answer(judge(b"".join(WHOLE), key=KEY)) == ("ALTERED", 1)


def test_a_changed_signature_is_seen_without_the_key() -> None:
    signed = b"".join(lines(key=KEY))
    place = signed.index(b'"signature":"') + len(b'"signature":"')
    other = b"0" if signed[place : place + 1] != b"0" else b"1"

    assert answer(judge(signed[:place] + other + signed[place + 1 :])) == ("ALTERED", 1)


def test_lines_that_hash_right_and_say_nonsense_are_altered_not_an_error() -> None:
    for body in (b"{}", b"[1]", b"not json}", b'{"seq":1}', b"\xff}"):
        head = hashlib.sha256(body).hexdigest().encode()
        line = body[:-1] + b',"hash":"' + head + b'"}\n'

        assert answer(judge(line)) == ("ALTERED", 1)


MUTATIONS: dict[str, Callable[[list[bytes], int, int], list[bytes]]] = {
    "drop": lambda trail, at, _: trail[:at] + trail[at + 1 :],
    "twice": lambda trail, at, to: [*trail[:to], trail[at], *trail[to:]],
    "swap": lambda trail, at, to: [
        trail[to if i == at else at if i == to else i] for i in range(len(trail))
    ],
    "cut": lambda trail, at, to: [*trail[:at], trail[at][: to * 7]],
}


@given(
    name=st.sampled_from(sorted(MUTATIONS)), at=st.integers(0, 9), to=st.integers(0, 9),
    signed=st.booleans(),
)  # fmt: skip
def test_no_mutation_is_ever_intact(name: str, at: int, to: int, signed: bool) -> None:
    trail = lines(key=KEY if signed else None)
    mutated = b"".join(MUTATIONS[name](trail, at, to))

    found = judge(mutated)

    assert (found.verdict is TrailVerdict.INTACT) == (mutated == b"".join(trail))


@given(st.binary(max_size=400), st.integers(0, 10))
def test_no_bytes_are_an_error(noise: bytes, after: int) -> None:
    assert len(judge(b"".join(WHOLE[:after]) + noise).records) >= min(after, 10)


@given(
    st.text(max_size=40),
    st.dictionaries(
        st.text(max_size=9),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    ),
)
def test_any_event_makes_a_sound_record(kind: str, data: dict[str, Any]) -> None:
    trail, reader = a_trail(), EventReader("kim")
    events = [*EVENTS, LogEvent(2.0, kind, data), LogEvent(2.0, kind, data)]

    written = b"".join(trail.append(reader.read(event, stamp(event.at_s))) for event in events)

    assert answer(judge(written)) == ("NOT CLOSED", 10)
