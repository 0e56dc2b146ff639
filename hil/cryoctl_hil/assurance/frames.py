"""``cryoctl assure frames``: ten million mutated frames, towards the probe and the controller.

Nothing but a frame that is byte-identical to a valid one may be taken, nothing may raise, and no
end may come out of a block of mutants in another state than it went in. Messages that carry no
proof by design (HELLO, VITALS, a maker's own) are heard, and counted apart: nothing rests on them.
"""

from __future__ import annotations

import math
import pickle
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import construct

from cryoctl.clock import monotonic_s
from cryoctl_hil.assurance.conversations import Specimens, collect_specimens
from cryoctl_hil.assurance.crew import share_out
from cryoctl_hil.assurance.mutations import Herd, mutate
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.draws import Draws
from cryoctl_protocol.codec import CodecError, decode
from cryoctl_protocol.framing import DELIMITER, Deframer, Reject, wrap
from cryoctl_protocol.host_session import VendorFrame
from cryoctl_protocol.messages import MESSAGES, Hello, Message, MessageType, Stop, Vitals

SEED: Final = 20_261_121
FRAMES: Final = 10_000_000  # SR-04
CODEC_CASES: Final = 200_000
BLOCK: Final = 256
"""Frames between two fresh ends: half of them each way."""
CASES_PER_BLOCK: Final = 6
BLOCKS_PER_TASK: Final = 64
CHANCE_MAX: Final = 1.0
_CRC_SPAN: Final = 2**32
_FAILURES_TOLD: Final = 20
_REQUIREMENTS: Final = ("SR-04",)
_DEVICE_EVIDENCE: Final = frozenset({
    "rejects", "_deframer", "_deframer_rejects", "_reject_ms", "_bad_tag_ms",
    "_out", "_out_size", "_seq", "_pending", "_nonce_count",
})  # fmt: skip
"""What a frame without proof may move: counts of what was refused, and the answer to a greeting."""
_HOST_EVIDENCE: Final = frozenset({"rejects", "_reject_times_s", "lost_frames", "_device_seq"})
_UNPROVED: Final = (Hello, Vitals, VendorFrame)

Tally = Counter[str]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of mutants.

    Attributes:
        draws: That everything in it follows from.
        tally: Counts are added here.
        closely: Compare states after every frame, to name the one at fault.
        wrong: What was wrong, one text each.
    """

    draws: Draws
    tally: Tally
    closely: bool
    wrong: list[str] = field(default_factory=list)

    def blame(self, kind: str, text: str) -> None:
        """Count something that is wrong, and tell it."""
        self.tally[kind] += 1
        self.wrong.append(text)


def run(scale: float, say: Say) -> Outcome:
    """Send ``scale`` times ten million mutants."""
    blocks = math.ceil(FRAMES * scale / BLOCK)
    tally: Tally = Counter()
    failures: list[str] = []
    began_s = monotonic_s()
    for done, (counted, told) in enumerate(share_out(_run_blocks, _tasks(blocks)), 1):
        tally += counted
        failures += told
        if done % 100 == 0:
            say(f"{tally['frames']:,} frames")
    frames_per_s = tally["frames"] / (monotonic_s() - began_s)
    return Outcome(_measures(tally, scale), _details(tally, frames_per_s), failures)


def _tasks(blocks: int) -> Iterator[tuple[int, int]]:
    for first in range(0, blocks, BLOCKS_PER_TASK):
        yield first, min(first + BLOCKS_PER_TASK, blocks)


def _measures(tally: Tally, scale: float) -> list[Measure]:
    expected = tally["damaged"] / _CRC_SPAN
    return [
        _enough("mutated frames", tally["frames"], FRAMES * scale),
        _none("mutated frames: exceptions", tally["exceptions"]),
        _none("mutated frames: accepted but not byte-identical", tally["accepted"]),
        _none("mutated frames: changes of state", tally["changes"]),
        Measure(
            "mutated frames: CRC fits by chance", "< 1",
            f"{tally['chance']} (expected {expected:.4f})", tally["chance"] < CHANCE_MAX,
            _REQUIREMENTS, float(tally["chance"]), CHANCE_MAX,
        ),
        _enough("codec against declaration: payloads", tally["cases"], CODEC_CASES * scale),
        _none("codec against declaration: differences", tally["differences"]),
    ]  # fmt: skip


def _enough(name: str, count: int, least: float) -> Measure:
    target, is_enough = f">= {least:,.0f}", count >= least
    return Measure(name, target, f"{count:,}", is_enough, _REQUIREMENTS, float(count), least)


def _none(name: str, count: int) -> Measure:
    return Measure(name, "0", str(count), count == 0, _REQUIREMENTS, float(count), 0.0)


def _details(tally: Tally, frames_per_s: float) -> dict[str, Any]:
    return {"frames_per_s": round(frames_per_s), **dict(sorted(tally.items()))}


# -- one block ------------------------------------------------------------------------------------


def _run_blocks(task: tuple[int, int]) -> tuple[Tally, list[str]]:
    tally: Tally = Counter()
    failures: list[str] = []
    for block in range(*task):
        told = run_block(block, tally)
        if told and len(failures) < _FAILURES_TOLD:
            failures.append(
                f"block {block}: {told[0]}; again: python -m cryoctl_hil.assurance.frames {block}"
            )
    return tally, failures


def run_block(block: int, tally: Tally, *, seed: int = SEED, closely: bool = False) -> list[str]:
    """Send one block; return what was wrong.

    Args:
        block: Which one; frames follow from it and the seed.
        tally: Counts are added here.
        seed: Of the campaign.
        closely: Compare states after every frame, to name the one at fault.
    """
    here = Block(Draws(seed, block), tally, closely)
    for part in (_towards_device, _towards_host, _against_declaration):
        try:
            part(here)
        except Exception:  # noqa: BLE001 (an exception is what it looks for)
            here.blame("exceptions", traceback.format_exc(limit=-3).replace("\n", " | "))
    return here.wrong


@cache
def _specimens() -> Specimens:
    return collect_specimens()


@cache
def _down_herd() -> tuple[Herd, frozenset[bytes]]:
    found = _specimens()
    # What the probe itself has said is sent back to it, too.
    herd = Herd(found.down, found.old_down, (*found.foreign_down, *found.up))
    return herd, frozenset((*found.down, *found.old_down))


@cache
def _up_herd() -> tuple[Herd, frozenset[bytes]]:
    found = _specimens()
    herd = Herd(found.up, found.old_up, (*found.foreign_up, *found.down))
    return herd, frozenset((*found.up, *found.old_up))


def _state(end: object, evidence: frozenset[str]) -> bytes:
    """Return everything an end knows, but what frames without proof may move."""
    return pickle.dumps({name: v for name, v in vars(end).items() if name not in evidence})


def _is_accident(body: bytes, known: frozenset[bytes]) -> bool:
    """Return True for a body out of a damaged line that is no valid frame again.

    Nothing at all has a CRC of 0: a cut within a run of zeros yields it often, and it is too short.
    """
    return len(body) > 0 and wrap(body)[:-1] not in known


def _towards_device(block: Block) -> None:
    draws, tally = block.draws, block.tally
    herd, known = _down_herd()
    saved, now_ms = draws.choose(tuple(_specimens().devices.values()))
    session = pickle.loads(saved)
    before = _state(session, _DEVICE_EVIDENCE)
    refused = session.rejects[Reject.TAG]
    judge = Deframer()
    judge.feed(DELIMITER)
    for number in range(BLOCK // 2):
        data, is_forged = mutate(draws, herd)
        requests = session.on_bytes(data, now_ms)
        tally["frames"] += 1
        if not is_forged:
            tally["damaged"] += 1
            tally["chance"] += sum(_is_accident(body, known) for body in judge.feed(data))
        if requests:
            is_known = not known.isdisjoint(data.split(DELIMITER))
            if is_known and all(isinstance(request, Stop) for request in requests):
                tally["identical"] += len(requests)
            else:
                block.blame("accepted", f"the probe took frame {number}, {data.hex()}: {requests}")
        is_last = number == BLOCK // 2 - 1
        # The third bad tag within 10 s would end the session, as it should.
        is_spent = session.rejects[Reject.TAG] > refused
        if (is_last or is_spent or block.closely) and _state(session, _DEVICE_EVIDENCE) != before:
            block.blame("changes", f"the probe's state, by frame {number} or before: {data.hex()}")
            is_spent = True
        if is_last or is_spent:
            session = pickle.loads(saved)


def _towards_host(block: Block) -> None:
    draws, tally = block.draws, block.tally
    herd, known = _up_herd()
    session, now_s = pickle.loads(_specimens().host), _specimens().host_s
    before = _state(session, _HOST_EVIDENCE)
    deframer = Deframer()
    deframer.feed(DELIMITER)
    for number in range(BLOCK // 2):
        data, is_forged = mutate(draws, herd)
        tally["frames"] += 1
        tally["damaged"] += not is_forged
        for body in deframer.feed(data):
            if not is_forged:
                tally["chance"] += _is_accident(body, known)
            message = session.on_body(body, now_s)
            if message is None:
                continue
            if wrap(body)[:-1] in known:
                tally["identical"] += 1
            elif isinstance(message, _UNPROVED) and is_forged:
                tally["unproved"] += 1
            else:
                block.blame("accepted", f"the controller took {data.hex()}: {message}")
        is_last = number == BLOCK // 2 - 1
        if (is_last or block.closely) and _state(session, _HOST_EVIDENCE) != before:
            block.blame("changes", f"the controller's state, by frame {number} or before")
            return


# -- the fast codec and the declaration -----------------------------------------------------------


@cache
def _declared(message_id: int) -> Any:
    (row,) = (row for row in MESSAGES if row.message_id == message_id)
    return construct.Struct(*row.struct.subcons, construct.Terminated)


def declared_decode(row: MessageType, payload: bytes) -> Message | None:
    """Return what construct and the ranges of the table make of a payload; None refuses it."""
    try:
        parsed = _declared(row.message_id).parse(payload)
    except construct.ConstructError:
        return None
    for name, wire in row.fields:
        if wire.low is not None and parsed[name] < wire.low:
            return None
        if wire.high is not None and parsed[name] > wire.high:
            return None
    message: Message = row.cls(**{name: parsed[name] for name, _ in row.fields})
    return message


def _against_declaration(block: Block) -> None:
    draws, tally = block.draws, block.tally
    for _ in range(CASES_PER_BLOCK):
        row = draws.choose(MESSAGES)
        payload = _payload(draws, row)
        try:
            fast: Message | None = decode(row.message_id, payload)
        except CodecError:
            fast = None
        declared = declared_decode(row, payload)
        tally["cases"] += 1
        tally["cases taken"] += declared is not None
        if fast != declared:
            block.blame("differences", f"{row.name} {payload.hex()}: {fast} and {declared}")


def _payload(draws: Draws, row: MessageType) -> bytes:
    """Return a payload about at the edges of its ranges: the right size in nine of ten."""
    parts = []
    for _, wire in row.fields:
        size = wire.kind.sizeof()
        if wire.high is None or draws.chance(0.1):
            parts.append(draws.octets(size))
            continue
        assert wire.low is not None
        near = (wire.low, wire.high, wire.high + draws.below(2), (wire.low + wire.high) // 2)
        parts.append((draws.choose(near) % 256**size).to_bytes(size, "little"))
    payload = b"".join(parts)
    return payload if draws.chance(0.9) else payload[: draws.below(len(payload))]


def main(blocks: list[str]) -> int:
    """Send single blocks again, closely; return 1 if something is wrong."""
    wrong = 0
    for block in blocks:
        told = run_block(int(block), Counter(), closely=True)
        wrong += bool(told)
        sys.stdout.write(f"block {block}: {'; '.join(told) or 'nothing wrong'}\n")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
