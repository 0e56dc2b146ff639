from __future__ import annotations

import struct
from pathlib import Path

import pytest

from cryoctl_protocol.peer import DeviceUrl, LinkError
from cryoctl_simulator.link import open_link
from tests.support import thumb_elf
from tests.support.programs import needed_modules
from tests.support.thumb_elf import elf

needed_modules("unicorn", "elftools")
pytestmark = pytest.mark.timeout(20)

# CSR of SysTick: r0 = 0xe000e010; *r0 = 4; *r0 |= 2; *r0 |= 1; wfi; b back.
START_SYSTICK_BIT_BY_BIT = (
    0x4806, 0x2104, 0x6001, 0x6801, 0x2202, 0x4311, 0x6001, 0x6801, 0x2201, 0x4311, 0x6001,
    0xBF30, 0xE7FD, 0xBF00, 0xE010, 0xE000,
)  # fmt: skip
SUPERVISOR_CALLS = (0xDF00, 0xE7FD)  # svc #0; b back
# r0 = 0xff00; count it down to 0; svc #0; b to the beginning.
SLOW_SUPERVISOR_CALLS = (0x20FF, 0x0200, 0x3801, 0xD1FD, 0xDF00, 0xE7F9)
RETURN = (0x4770,)  # bx lr
ON_FAULT = 0x0800_0061


def refusal(data: bytes, folder: Path) -> str:
    """Return what is said of firmware that a probe does not start with."""
    path = folder / "bad.elf"
    path.write_bytes(data)
    with pytest.raises(LinkError) as caught:
        open_link(DeviceUrl.parse(f"sim:?firmware=elf:{path}"))
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text.partition(f"firmware {path}: ")[2]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (thumb_elf.NULL_CALL,
         ("HardFault after 10 ms at 0x00000000: jump to unmapped address 0x00000000; "
          "the return address is 0x08000044 in main")),
        (thumb_elf.WILD_JUMP,
         ("HardFault after 10 ms at 0x30000000: jump to unmapped address 0x30000000; "
          "the return address is 0x08000048 in main")),
        (thumb_elf.STACK_OVERFLOW,
         ("HardFault after 10 ms at 0x08000040 in main: stack overflow: "
          "write to unmapped address 0x1fffffe0")),
        (thumb_elf.UNDEFINED,
         ("HardFault after 10 ms at 0x08000040 in main: undefined instruction, or a jump to an "
          "even address")),
        (thumb_elf.WRITE_FLASH,
         "HardFault after 10 ms at 0x08000044 in main: write to read-only address 0x08000000"),
        (thumb_elf.READ_NOWHERE,
         "HardFault after 10 ms at 0x08000044 in main: read of unmapped address 0x90000000"),
        (thumb_elf.BREAKPOINT,
         "HardFault after 10 ms at 0x08000040 in main: breakpoint instruction without a debugger"),
        (thumb_elf.SUPERVISOR_CALL,
         ("lockup after 10 ms at 0x08000042 in main: exception 11 has no handler "
          "(vector 0x00000000)")),
        (thumb_elf.ENDLESS_LOOP,
         "watchdog reset after 150 ms at 0x08000040 in main: not kicked for 150 ms"),
        (thumb_elf.SLEEP,
         "watchdog reset after 150 ms at 0x08000042 in main: not kicked for 150 ms"),
        (thumb_elf.ASK_FOR_RESET,
         "software reset after 10 ms at 0x08000044 in main: the firmware asked for it"),
        (START_SYSTICK_BIT_BY_BIT,
         ("lockup after 10 ms at 0x08000058 in main: exception 15 has no handler "
          "(vector 0x00000000)")),
    ],
    ids=["null call", "wild jump", "stack overflow", "undefined", "write to flash", "read nowhere",
         "breakpoint", "no handler", "endless loop", "never kicks", "asks for a reset",
         "SysTick started bit by bit"],
)  # fmt: skip
def test_firmware_that_crashes_at_boot_is_refused_in_one_line_that_says_where_and_why(
    code: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    assert refusal(elf(code), tmp_path) == says


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (elf(thumb_elf.SLEEP, machine=62), "built for X86_64, 32 bits; allowed: ARM Cortex-M4"),
        (elf(thumb_elf.SLEEP, kind=1), "not linked to fixed addresses"),
        (elf(thumb_elf.SLEEP, base=0x1000_0000), "lie outside the board's flash"),
        (elf(thumb_elf.SLEEP, base=0x0803_EFF0), "overlap the provisioning page (0x0803f000"),
        (elf(thumb_elf.SLEEP, base=0x0803_F000), "overlap the provisioning page (0x0803f000"),
        (elf(thumb_elf.SLEEP, base=0x0803_F010), "overlap the provisioning page (0x0803f000"),
        (elf(thumb_elf.SLEEP, stack=0), "no vector table at 0x08000000"),
        (elf(thumb_elf.SLEEP, stack=0x2001_0004), "no vector table at 0x08000000"),
        (elf(thumb_elf.SLEEP, vectors={1: 0}), "the vector of reset is 0x00000000"),
        (elf(thumb_elf.SLEEP, vectors={1: 0x0800_0040}), "the vector of reset is 0x08000040"),
        (elf(thumb_elf.SLEEP, vectors={3: 0}), "the vector of HardFault is 0x00000000"),
        (elf(thumb_elf.SLEEP)[:100], "no readable ELF file"),
        (elf(thumb_elf.SLEEP)[:60], "no readable ELF file"),
        (elf(thumb_elf.SLEEP)[:-50], "no readable ELF file"),
        (b"", "no readable ELF file"),
        (b"\x7fELF" + b"\xff" * 400, "no readable ELF file"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_firmware_for_the_board_is_refused_in_one_line(
    data: bytes, says: str, tmp_path: Path
) -> None:
    assert says in refusal(data, tmp_path)


def test_a_table_of_symbols_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    data = bytearray(elf(thumb_elf.SLEEP))
    sections = struct.unpack_from("<I", data, 32)[0]
    struct.pack_into("<I", data, sections + 40 + 4, 1)  # The type of .symtab: PROGBITS.
    assert ".symtab is no table of symbols" in refusal(bytes(data), tmp_path)


def test_segments_that_share_their_bytes_are_counted_before_they_are_copied(
    tmp_path: Path,
) -> None:
    data = bytearray(elf(thumb_elf.SLEEP))
    segment = data[52 : 52 + 32]
    struct.pack_into("<I", data, 28, len(data))  # Where the table of segments begins.
    struct.pack_into("<H", data, 44, 2_500)
    image_bytes = struct.unpack_from("<I", segment, 16)[0]
    says = refusal(bytes(data + segment * 2_500), tmp_path)
    assert says == f"loads {image_bytes * 2_500} bytes; allowed: 262144, the board's flash"


def test_an_elf_without_a_path_is_refused_by_saying_so() -> None:
    with pytest.raises(LinkError, match=r"firmware elf: without a path; give an ELF file"):
        open_link(DeviceUrl.parse("sim:?firmware=elf:"))


@pytest.mark.parametrize("code", [SUPERVISOR_CALLS, SLOW_SUPERVISOR_CALLS], ids=["only", "slow"])
def test_exceptions_without_end_are_a_hang_that_the_watchdog_ends(
    code: tuple[int, ...], tmp_path: Path
) -> None:
    says = refusal(elf(code, RETURN, vectors={11: ON_FAULT}), tmp_path)
    assert says.startswith("watchdog reset after 150 ms at 0x0800004")
    assert says.endswith("in main: not kicked for 150 ms")


def test_a_file_that_is_not_there_is_refused_by_its_name() -> None:
    with pytest.raises(LinkError, match=r"firmware /nowhere\.elf: No such file"):
        open_link(DeviceUrl.parse("sim:?firmware=elf:/nowhere.elf"))


@pytest.mark.parametrize(
    "handler",
    [thumb_elf.ENDLESS_LOOP, thumb_elf.UNDEFINED, (0x4770,)],
    ids=["hangs", "faults itself", "returns to the fault"],
)
def test_a_fault_that_its_handler_makes_worse_still_ends_in_bounded_time(
    handler: tuple[int, ...], tmp_path: Path
) -> None:
    assert "undefined instruction" in refusal(elf(thumb_elf.UNDEFINED, handler), tmp_path)
