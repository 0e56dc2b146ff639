from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoctl_protocol.peer import AddressError, DeviceUrl
from cryoctl_simulator.device import SimulatedDevice
from cryoctl_simulator.link import open_link
from tests.simulator.driver import Driver
from tests.support import thumb_elf
from tests.support.programs import needed_modules

needed_modules("unicorn")

from cryoctl_simulator.emulated.build import SHIPPED
from cryoctl_simulator.emulated.elf_file import ElfFile
from cryoctl_simulator.emulated.gdb_packets import encode
from cryoctl_simulator.emulated.gdb_session import Register, Session
from cryoctl_simulator.firmware_layout import StateMemory
from tests.support.gdb_client import Client, Script, debugged

OUR_ELF = ElfFile.read(SHIPPED)
STOPPED = b"T05thread:1;"
FAULTED = b"T0bthread:1;"
MAIN = 0x0800_0040
"""Where the firmware of ``thumb_elf`` begins."""


def function(name: str) -> bytes:
    found = OUR_ELF.function_named(name)
    assert found is not None
    return b"%x" % found.address


def driven(script: Any) -> tuple[Driver, Client]:
    """Return a driver of a probe with our firmware, in which a debugger sits."""
    driver = Driver("sim:?firmware=emulated")
    probe, client = debugged(OUR_ELF, script)
    driver.device.flash(probe)
    return driver, client


def undisturbed() -> Driver:
    """Return the same without a debugger."""
    driver = Driver("sim:?firmware=emulated")
    driver.device.flash(driver.device._build)
    return driver


def tiny(code: tuple[int, ...], script: Any) -> SimulatedDevice:
    """Run a tiny firmware for one tick under a debugger."""
    driver = Driver("sim:?firmware=emulated")
    probe, _ = debugged(ElfFile.parse(thumb_elf.elf(code), "tiny"), script)
    driver.device.flash(probe)
    driver.device.advance_to(0.01, b"")
    return driver.device


def number(answer: bytes) -> int:
    return int.from_bytes(bytes.fromhex(answer.decode()), "little")


# -- what it may not change ----------------------------------------------------------------------


def test_a_probe_that_was_debugged_sends_the_same_bytes() -> None:
    stops: list[bytes] = []

    points = [function(name) for name in ("find_trip", "firmware_tick", "SysTick_Handler")]

    def script() -> Script:
        while True:
            for point in points:
                assert (yield b"Z1,%s,2" % point) == b"OK"
            stops.append((yield b"c"))
            for point in points:  # As GDB does, which steps off a breakpoint without it.
                assert (yield b"z1,%s,2" % point) == b"OK"
            stops.append((yield b"vCont;s:1"))

    free, (watched, _) = undisturbed(), driven(script)
    for driver in (free, watched):
        driver.connect()
        driver.run_s(1.0)

    assert watched.raw == free.raw
    assert set(stops) == {STOPPED}
    assert len(stops) > 500


def test_every_instruction_of_a_tick_can_be_stepped_through() -> None:
    steps = 0

    def script() -> Script:
        nonlocal steps
        while steps < 20_000:
            steps += 1
            assert (yield b"s") == STOPPED

    free, (watched, _) = undisturbed(), driven(script)
    for driver in (free, watched):
        driver.run_s(0.5)

    assert steps == 20_000
    assert watched.raw == free.raw


def test_time_stands_still_while_the_processor_is_halted() -> None:
    seen = []

    def script() -> Script:
        clock = yield b"m40003000,4"
        yield b"Z1,%s,2" % function("firmware_tick")
        for _ in range(3):
            assert (yield b"c") == STOPPED
            for _ in range(100):
                clock = yield b"m40003000,4"
            seen.append(number(clock))
            yield b"z1,%s,2" % function("firmware_tick")
            yield b"s"
            yield b"Z1,%s,2" % function("firmware_tick")

    driver, _ = driven(script)
    driver.device.advance_to(0.1, b"")

    assert [later - earlier for earlier, later in pairwise(seen)] == [10, 10]


# -- registers and memory ------------------------------------------------------------------------


def test_registers_and_memory_are_read_and_written() -> None:
    def script() -> Script:
        assert (yield b"P0=78563412") == b"OK"
        assert (yield b"p0") == b"78563412"
        everything = yield b"g"
        assert len(everything) == 21 * 8
        assert everything[:8] == b"78563412"
        assert (yield b"Gdeadbeef") == b"OK"
        assert (yield b"p0") == b"deadbeef"
        assert number((yield b"pf")) == MAIN
        assert (yield b"M2000f000,4:01020304") == b"OK"
        assert (yield b"m2000f000,4") == b"01020304"
        assert (yield b"X2000f000,2:}\x07") == b"OK"
        assert (yield b"m2000f000,4") == b"7d070304"
        assert (yield b"m8000000,4") == b"%08x" % 0x00200020  # The initial stack pointer.

    tiny(thumb_elf.SLEEP, script)


@pytest.mark.parametrize(
    "packet",
    [
        b"M8000000,4:01020304",  # Flash: another image is given by --firmware.
        b"m40000000,4",  # Reading the UART takes a byte out of it.
        b"m2000fffe,4", b"m-1,4", b"m 8000000,4", b"m8000000", b"m", b"M2000f000,4:01", b"Mzz",
        b"p15", b"pzz", b"P0=01", b"P15=00000000", b"G0", b"c8000000", b"vCont;t", b"vCont",
        b"Z0,zz,2", b"Z1", b"Z2,40000000,4", b"Z2,20000000,1000", b"Z0,ffffffffff,2",
        b"qXfer:features:read:target.xml:0", b"qRcmd,zz", b"qXfer:memory-map:read::zz,1",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_an_error_and_nothing_more(packet: bytes) -> None:
    def script() -> Script:
        before = yield b"g"
        assert (yield packet) == b"E01"
        assert (yield b"g") == before

    tiny(thumb_elf.SLEEP, script)


@pytest.mark.parametrize("packet", [b"", b"!", b"Z3,20000000,4", b"qNothing", b"vFlashErase:0,1"])
def test_what_is_unknown_has_an_empty_answer(packet: bytes) -> None:
    def script() -> Script:
        assert (yield packet) == b""

    tiny(thumb_elf.SLEEP, script)


def test_breakpoints_have_an_end() -> None:
    def script() -> Script:
        for row in range(64):
            assert (yield b"Z1,%x,2" % (MAIN + 2 * row)) == b"OK"
        assert (yield b"Z1,8001000,2") == b"E01"

    tiny(thumb_elf.SLEEP, script)


# -- stopping ------------------------------------------------------------------------------------


def test_a_watchpoint_stops_behind_the_write() -> None:
    memory = OUR_ELF.variables["firmware"].address + StateMemory.now_ms.offset
    seen = []

    def script() -> Script:
        yield b"Z1,%s,2" % function("firmware_tick")
        assert (yield b"c") == STOPPED
        yield b"z1,%s,2" % function("firmware_tick")
        assert (yield b"Z2,%x,4" % memory) == b"OK"
        for _ in range(5):
            assert (yield b"c") == b"T05watch:%08x;thread:1;" % memory
            seen.append(number((yield b"m%x,4" % memory)))
        assert (yield b"z2,%x,4" % memory) == b"OK"

    driver, _ = driven(script)
    driver.device.advance_to(0.2, b"")

    assert [later - earlier for earlier, later in pairwise(seen)] == [10] * 4


def test_an_endless_loop_is_interrupted() -> None:
    stops = []

    def script() -> Script:
        stops.append((yield b"c"))
        assert number((yield b"pf")) == MAIN

    driver = Driver("sim:?firmware=emulated")
    probe, client = debugged(ElfFile.parse(thumb_elf.elf(thumb_elf.ENDLESS_LOOP), "loop"), script)
    driver.device.flash(probe)
    driver.device.advance_to(0.05, b"")
    assert stops == []
    client.interrupts = True
    driver.device.advance_to(0.06, b"")

    assert stops == [b"T02thread:1;"]


@pytest.mark.parametrize(
    ("code", "pc"), [(thumb_elf.UNDEFINED, MAIN), (thumb_elf.READ_NOWHERE, MAIN + 4)]
)
def test_a_fault_stops_at_its_instruction_before_the_handler_runs(
    code: tuple[int, ...], pc: int
) -> None:
    def script() -> Script:
        assert (yield b"c") == FAULTED
        assert number((yield b"pf")) == pc

    device = tiny(code, script)

    assert device.boots == 3  # Its handler asked for a reset, when the debugger had gone.


def test_a_breakpoint_instruction_stops_and_is_gone_past() -> None:
    def script() -> Script:
        assert (yield b"c") == STOPPED
        assert number((yield b"pf")) == MAIN
        assert (yield b"s") == STOPPED
        assert number((yield b"pf")) == MAIN + 2

    device = tiny(thumb_elf.BREAKPOINT, script)

    assert device.boots == 2


def test_a_jump_over_a_sleep_is_no_sleep() -> None:
    jump = (0xE000, 0xBF30, 0x2001, 0xE7FE)  # b past the wfi; wfi; movs r0, #1; b .
    at = []

    def script() -> Script:
        for _ in range(2):
            yield b"s"
            at.append(number((yield b"pf")))
        assert (yield b"p0") == b"01000000"

    tiny(jump, script)

    assert at == [MAIN + 4, MAIN + 6]


# -- leaving and starting anew -------------------------------------------------------------------


@pytest.mark.parametrize("last", [b"D", b"D;1", b"k", b"vKill;1"])
def test_a_debugger_that_leaves_takes_its_breakpoints_with_it(last: bytes) -> None:
    def script() -> Script:
        yield b"Z1,%s,2" % function("firmware_tick")
        yield b"Z2,20002000,4"
        assert (yield b"c") != b""
        yield last

    driver, _ = driven(script)
    driver.start()

    assert driver.device.firmware is not None
    assert driver.device.boots == (3 if last[:1] in b"kv" else 2)


def test_monitor_resets_and_tells() -> None:
    told = []

    def script() -> Script:
        yield b"Z1,%s,2" % function("find_trip")
        yield b"c"
        told.append((yield b"qRcmd," + b"state".hex().encode()))
        told.append((yield b"qRcmd," + b"reset".hex().encode()))
        assert number((yield b"pf")) == OUR_ELF.function_named("Reset_Handler").address  # type: ignore[union-attr]
        told.append((yield b"qRcmd," + b"what".hex().encode()))
        assert (yield b"c") == STOPPED  # The breakpoint is there in the new boot, too.

    driver, _ = driven(script)
    driver.device.advance_to(0.5, b"")

    state, reset, other = (bytes.fromhex(each.decode()).decode() for each in told)
    assert "in find_trip" in state
    assert "valve      0 permille" in state
    assert "first instruction" in reset
    assert "monitor reset" in other
    assert driver.device.boots == 3


def test_a_description_has_every_register_and_comes_in_pieces() -> None:
    def script() -> Script:
        whole = yield b"qXfer:features:read:target.xml:0,ffff"
        text = b""
        while True:
            part = yield b"qXfer:features:read:target.xml:%x,64" % len(text)
            text += part[1:]
            if part[:1] == b"l":
                break
        assert text == whole[1:]
        assert b"org.gnu.gdb.arm.m-profile" in text
        assert text.count(b"<reg ") == 21
        assert b'name="xpsr" bitsize="32"' in text
        memory = yield b"qXfer:memory-map:read::0,ffff"
        assert b'<memory type="rom" start="0x8000000" length="0x40000"/>' in memory
        assert b'<memory type="ram" start="0x20000000" length="0x10000"/>' in memory

    tiny(thumb_elf.SLEEP, script)


def test_registers_of_the_fpu_are_there_for_firmware_that_uses_them() -> None:
    data = bytearray(thumb_elf.elf(thumb_elf.SLEEP))
    struct.pack_into("<I", data, 36, 0x0500_0400)  # EF_ARM_ABI_FLOAT_HARD

    def script() -> Script:
        assert b"org.gnu.gdb.arm.vfp" in (yield b"qXfer:features:read:target.xml:0,ffff")
        assert (yield b"P15=000000000000f03f") == b"OK"
        assert (yield b"p15") == b"000000000000f03f"

    driver = Driver("sim:?firmware=emulated")
    probe, _ = debugged(ElfFile.parse(bytes(data), "float"), script)
    driver.device.flash(probe)
    driver.device.advance_to(0.01, b"")


# -- whatever a client sends ---------------------------------------------------------------------


class Nothing:
    """A target that can do nothing (``Target``)."""

    registers: tuple[Register, ...] = ()

    def interrupt(self) -> None:
        pass

    def __getattr__(self, _name: str) -> Any:
        def refuse(*_args: object, **_named: object) -> Any:
            raise ValueError("nothing can be done")

        return refuse


WORDS = (b"qXfer:features:read:target.xml:", b"vCont;", b"Z0,", b"m", b"M", b"X", b"P", b"qRcmd,")


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from((*WORDS, b"")), st.binary(max_size=40)), max_size=6))
def test_no_packet_breaks_a_session(parts: list[tuple[bytes, bytes]]) -> None:
    session = Session(Nothing(), STOPPED)
    for word, tail in parts:
        session.receive(encode(word + tail))
        session.receive(tail)
    if not session.is_over:
        # What was begun is ended first.
        assert session.receive(b"#00$?#3f").endswith(encode(STOPPED))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_a_client_that_sends_anything_leaves_a_probe_that_works(packets: list[bytes]) -> None:
    def script() -> Script:
        for each in packets:
            # What lets it run, or writes where it matters, is not what this is about.
            if each[:1] not in (b"c", b"C", b"s", b"S", b"D", b"k", b"v", b"G", b"P", b"M", b"X"):
                yield each
        yield b"D"

    driver, _ = driven(script)
    driver.connect()


# -- the address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("gdb=1", "gdb is for an emulated processor; give firmware=emulated"),
        ("firmware=native&gdb=1", "gdb is for an emulated processor; give firmware=emulated"),
        ("firmware=emulated&gdb=x", "gdb 'x' is no port"),
        ("firmware=emulated&gdb=65536", "gdb '65536' is no port"),
    ],
)
def test_a_debugger_that_cannot_be_is_refused(query: str, says: str) -> None:
    with pytest.raises(AddressError, match=says):
        open_link(DeviceUrl.parse(f"sim:?{query}"))
