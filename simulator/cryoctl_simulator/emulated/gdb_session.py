"""One debugger's session: bytes of the GDB remote serial protocol in, bytes out.

What it debugs is a ``Target``. A packet that is unknown is answered with nothing, as the protocol
has it; one that cannot be done with an error. Nothing that a client sends raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from cryoctl_simulator.emulated.gdb_packets import PACKET_BYTES_MAX, Mark, PacketReader, encode

_MEMORY_BYTES_MAX: Final = PACKET_BYTES_MAX // 2 - 16
_OK: Final = b"OK"
_ERROR: Final = b"E01"
_UNKNOWN: Final = b""


class Register(NamedTuple):
    """A register as a debugger sees it.

    Attributes:
        feature: Of the target description, that it belongs to.
        kind: GDB's type of it.
    """

    name: str
    bits: int
    feature: str
    kind: str


class Target(Protocol):
    """What a debugger debugs; every method may be called while it stands still.

    Methods raise ValueError for what cannot be done.

    Attributes:
        registers: In the order of their numbers.
    """

    registers: tuple[Register, ...]

    def read_register(self, number: int) -> int:
        """Return a register."""
        ...

    def write_register(self, number: int, value: int) -> None:
        """Set a register."""
        ...

    def read_memory(self, address: int, size: int) -> bytes:
        """Return memory."""
        ...

    def write_memory(self, address: int, data: bytes) -> None:
        """Change memory."""
        ...

    def memory_map(self) -> str:
        """Return GDB's XML of the memory."""
        ...

    def insert(self, address: int, watched_bytes: int) -> None:
        """Insert a breakpoint, or watch for a change of so many bytes where those are not 0."""
        ...

    def remove(self, address: int, watched_bytes: int) -> None:
        """Remove what ``insert`` has inserted, if it is there."""
        ...

    def resume(self, *, step: bool) -> None:
        """Let it run, one instruction or until something stops it."""
        ...

    def interrupt(self) -> None:
        """Have it stop at the next occasion."""
        ...

    def reset(self) -> None:
        """Reset the processor."""
        ...

    def state(self) -> str:
        """Return lines about it, for people."""
        ...


class Session:
    """Answers one client from the moment it connects, which finds the target standing still.

    Args:
        target: What is debugged.
        stop: Why it stands still, as a stop reply.
    """

    def __init__(self, target: Target, stop: bytes) -> None:
        self._target = target
        self._reader = PacketReader()
        self._last = b""
        self._stop = stop
        self._is_running = False
        self.is_over = False
        """True once the client has said that it leaves."""
        self._packets: dict[bytes, Callable[[bytes], bytes]] = {
            b"?": lambda _: self._stop,
            b"g": self._read_registers,
            b"G": self._write_registers,
            b"p": self._read_register,
            b"P": self._write_register,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"X": self._write_binary,
            b"c": lambda text: self._resume(text, step=False),
            b"C": lambda text: self._resume(text.partition(b";")[2], step=False),
            b"s": lambda text: self._resume(text, step=True),
            b"S": lambda text: self._resume(text.partition(b";")[2], step=True),
            b"D": lambda _: self._leave(),
            b"k": lambda _: self._kill(),
            b"H": lambda _: _OK,
            b"T": lambda _: _OK,
            b"Z": lambda text: self._point(text, target.insert),
            b"z": lambda text: self._point(text, target.remove),
        }
        self._words: dict[bytes, Callable[[bytes], bytes]] = {
            b"qSupported": lambda _: (
                b"PacketSize=%x;qXfer:features:read+;qXfer:memory-map:read+;vContSupported+"
                % PACKET_BYTES_MAX
            ),
            b"qXfer": self._document,
            b"qAttached": lambda _: b"1",
            b"qC": lambda _: b"QC1",
            b"qfThreadInfo": lambda _: b"m1",
            b"qsThreadInfo": lambda _: b"l",
            b"qSymbol": lambda _: _OK,
            b"qRcmd": self._monitor,
            b"vCont?": lambda _: b"vCont;c;C;s;S",
            b"vCont": self._continue,
            b"vKill": lambda _: self._kill(),
        }

    def receive(self, data: bytes) -> bytes:
        """Take what a client sent; return what it is to be sent."""
        answers = b""
        for item in self._reader.feed(data):
            if isinstance(item, bytes):
                answers += b"+" + self._send(self._answer(item))
            elif item is Mark.DAMAGED:
                answers += b"-"
            elif item is Mark.REPEAT:
                answers += self._last
            else:
                self._target.interrupt()
        return answers

    def stopped(self, stop: bytes) -> bytes:
        """Take that the target stands still; return what the client is to be sent."""
        self._stop = stop
        if not self._is_running:
            return b""
        self._is_running = False
        return self._send(stop)

    def _send(self, payload: bytes | None) -> bytes:
        if payload is None:
            return b""  # The answer comes when the target stops.
        self._last = encode(payload)
        return self._last

    def _answer(self, packet: bytes) -> bytes | None:
        name = packet[:1]
        if name in (b"q", b"v"):
            word = packet.split(b":", 1)[0].split(b";", 1)[0].split(b",", 1)[0]
            answer, text = self._words.get(word), packet[len(word) :]
        else:
            answer, text = self._packets.get(name), packet[1:]
        if answer is None:
            return _UNKNOWN
        was_running = self._is_running
        try:
            told = answer(text)
        except (ValueError, IndexError, OverflowError):
            return _ERROR
        return None if self._is_running and not was_running else told

    # -- registers and memory --------------------------------------------------------------------

    def _read_registers(self, _text: bytes) -> bytes:
        return b"".join(self._register(number) for number in range(len(self._target.registers)))

    def _register(self, number: int) -> bytes:
        size = self._target.registers[number].bits // 8
        return self._target.read_register(number).to_bytes(size, "little").hex().encode()

    def _write_registers(self, text: bytes) -> bytes:
        data = _unhex(text)
        for number, register in enumerate(self._target.registers):
            size = register.bits // 8
            if len(data) < size:
                break  # GDB may leave out the last ones.
            self._target.write_register(number, int.from_bytes(data[:size], "little"))
            data = data[size:]
        return _OK

    def _read_register(self, text: bytes) -> bytes:
        return self._register(_number(text))

    def _write_register(self, text: bytes) -> bytes:
        number, _, value = text.partition(b"=")
        register = self._target.registers[_number(number)]
        data = _unhex(value)
        if len(data) != register.bits // 8:
            return _ERROR
        self._target.write_register(_number(number), int.from_bytes(data, "little"))
        return _OK

    def _read_memory(self, text: bytes) -> bytes:
        address, size = _numbers(text)
        return self._target.read_memory(address, min(size, _MEMORY_BYTES_MAX)).hex().encode()

    def _write_memory(self, text: bytes) -> bytes:
        where, _, data = text.partition(b":")
        return self._write(where, _unhex(data))

    def _write_binary(self, text: bytes) -> bytes:
        where, _, data = text.partition(b":")
        return self._write(where, data)

    def _write(self, where: bytes, data: bytes) -> bytes:
        address, size = _numbers(where)
        if size != len(data):
            return _ERROR
        if data:
            self._target.write_memory(address, data)
        return _OK

    # -- running ---------------------------------------------------------------------------------

    def _resume(self, address: bytes, *, step: bool) -> bytes:
        if self._is_running or address:
            return _ERROR  # Where to go on from is for the register PC to say.
        self._is_running = True
        self._target.resume(step=step)
        return _OK

    def _continue(self, text: bytes) -> bytes:
        action = text.removeprefix(b";").split(b";")[0].partition(b":")[0]
        if action[:1] in (b"c", b"C", b"s", b"S"):
            return self._resume(b"", step=action[:1] in (b"s", b"S"))
        return _ERROR

    def _point(self, text: bytes, do: Callable[[int, int], None]) -> bytes:
        """Insert or remove; Z0 and Z1 are breakpoints, Z2 watches for changes, others are not."""
        kind, address, size = text.split(b";")[0].split(b",")
        if kind in (b"0", b"1"):
            do(_number(address), 0)
        elif kind == b"2":
            do(_number(address), _number(size))
        else:
            return _UNKNOWN
        return _OK

    def _leave(self) -> bytes:
        self.is_over = True
        return _OK

    def _kill(self) -> bytes:
        self._target.reset()
        return self._leave()

    # -- questions -------------------------------------------------------------------------------

    def _document(self, text: bytes) -> bytes:
        documents = {b"features": self._description, b"memory-map": self._target.memory_map}
        _, kind, read, _, window = text.split(b":")
        if kind not in documents or read != b"read":
            return _UNKNOWN
        first, size = _numbers(window)
        content = documents[kind]().encode()
        part = content[first : first + min(size, _MEMORY_BYTES_MAX)]
        return (b"m" if first + len(part) < len(content) else b"l") + part

    def _description(self) -> str:
        lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', "<target>"]
        lines.append("<architecture>arm</architecture>")
        registers = self._target.registers
        for feature in dict.fromkeys(each.feature for each in registers):
            lines.append(f'<feature name="{feature}">')
            lines += [
                f'<reg name="{each.name}" bitsize="{each.bits}" type="{each.kind}" '
                f'regnum="{number}"/>'
                for number, each in enumerate(registers)
                if each.feature == feature
            ]
            lines.append("</feature>")
        return "\n".join([*lines, "</target>"])

    def _monitor(self, text: bytes) -> bytes:
        command = _unhex(text.removeprefix(b",")).decode("ascii", "replace").strip()
        match command:
            case "reset":
                self._target.reset()
                told = "the processor is reset; it stands at its first instruction"
            case "state":
                told = self._target.state()
            case _:
                told = "monitor reset: reset the processor\nmonitor state: what it is doing"
        return f"{told}\n".encode().hex().encode()


def _number(text: bytes) -> int:
    """Return a number in hex; raises ValueError for signs and blanks, which ``int`` takes."""
    if not text.isalnum():
        raise ValueError(f"no number in hex: {text!r}")
    return int(text, 16)


def _numbers(text: bytes) -> tuple[int, int]:
    first, second = text.split(b",")
    return _number(first), _number(second)


def _unhex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode("ascii"))
