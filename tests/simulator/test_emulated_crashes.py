from __future__ import annotations

from pathlib import Path

import pytest

from cryoctl_protocol.peer import DeviceUrl, LinkError
from cryoctl_simulator.link import open_link
from tests.support import thumb_elf
from tests.support.thumb_elf import elf

pytest.importorskip("unicorn", reason="an emulated processor: pip install cryoctl[firmware]")
pytestmark = pytest.mark.timeout(20)


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
    ],
    ids=["null call", "wild jump", "stack overflow", "undefined", "write to flash", "read nowhere",
         "breakpoint", "no handler", "endless loop", "never kicks", "asks for a reset"],
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
