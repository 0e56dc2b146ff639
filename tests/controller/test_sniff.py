"""Sniffing: what is guessed of bytes, that it fits a terminal, and that nothing is written."""

from __future__ import annotations

import os
import pty
import socket
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from cobs import cobs

from cryoctl.cli import invoke
from cryoctl.sniff import Heard, guess, rows, summary
from cryoctl_protocol.codec import encode
from cryoctl_protocol.framing import build, wrap
from cryoctl_protocol.messages import ID_OF, Vitals

VITALS = wrap(build(ID_OF[Vitals], encode(Vitals(1, 0, 0, 0, 0, 0, 0)), seq=0, session=0, key=None))


def heard(*parts: bytes, period_s: float = 0.2) -> list[Heard]:
    return [Heard(number * period_s, part) for number, part in enumerate(parts)]


def test_our_own_frames_are_known_by_name() -> None:
    found = guess(heard(VITALS[7:], VITALS, VITALS))

    assert found.dialect == "own"
    assert found.framing == "frames of cryoctl: 2 VITALS; 0 damaged"


def test_lines_of_text_are_told_with_their_ending_and_one_of_them() -> None:
    found = guess(heard(b"8 C\r\nTEMP 36.9 C\r\n", b"TEMP 36.8 C\r\nTEMP 36.7 C\r\nTE"))

    assert found.framing == "3 lines of text, ended by CR LF: TEMP 36.9 C"


def test_cobs_that_is_not_ours_is_told_as_such() -> None:
    pieces = b"".join(cobs.encode(bytes([0, n, 0, 9, 200])) + b"\0" for n in range(1, 8))

    found = guess(heard(pieces))

    assert found.dialect == ""
    assert found.framing.startswith("COBS between zeros, 6 of 6 pieces, mostly 6 bytes (6)")


def test_packets_of_one_size_at_one_pace_are_told_with_both() -> None:
    packets = [bytes([0xAA, 0x55, n, 200, 0x90]) for n in range(12)]

    found = guess(heard(*packets, period_s=0.05))

    assert found.framing == "packets of 5 bytes every 50 ms, no framing known"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "nothing was heard"),
        ([b"\xf0\x80\xf8" * 9], "none that is known here"),
        ([b"login: "], "text, 100% printable, without lines so far"),
    ],
)
def test_what_is_not_known_is_not_guessed(said: list[bytes], told: str) -> None:
    assert guess(heard(*said)).framing.startswith(told)


def test_frames_make_more_sense_than_lines_and_these_more_than_noise() -> None:
    scores = [
        guess(heard(said)).score
        for said in (VITALS * 3, b"a\nbb\ncc\ndd\n", VITALS[3:9] * 2, b"\xff\xf0" * 9)
    ]

    assert scores[0] > scores[1] > scores[2] >= scores[3] == 0.0


def test_every_row_fits_a_terminal() -> None:
    shown = list(rows(heard(bytes(range(256)), b"TEMP?\r\n")))

    assert max(map(len, shown)) <= 80
    assert shown[0].startswith("    0.000  00 01 02")
    assert shown[-1] == "    0.200  54 45 4d 50 3f 0d 0a" + " " * 29 + "TEMP?.."
    assert all(len(line) <= 80 for line in summary(heard(b"TEMP 36.9 C\r\n" * 9), 2.0))


@pytest.fixture
def port() -> Iterator[tuple[str, int]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield os.ttyname(slave), master
    os.close(master)
    os.close(slave)


@pytest.mark.real_time
@pytest.mark.parametrize("query", ["", "?baud=115200"])
def test_a_serial_device_is_shown_and_no_byte_is_written_to_it(
    port: tuple[str, int], query: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, master = port
    done = threading.Event()

    def talk() -> None:
        while not done.wait(0.02):
            os.write(master, VITALS)

    talking = threading.Thread(target=talk)
    talking.start()
    out = tmp_path / "rows.txt"

    code = invoke(
        ["sniff", "--device", f"serial:{path}{query}", "--seconds", "0.5", "--out", str(out)]
    )

    done.set()
    talking.join()
    told = capsys.readouterr().out
    assert code == 0
    assert "baud rate: 115200" in told
    assert "framing: frames of cryoctl: " in told
    assert f"cryoctl monitor --device 'serial:{path}{query}'" in told
    assert len(out.read_text("utf-8").splitlines()) > 2
    with pytest.raises(BlockingIOError):
        os.read(master, 1)


@pytest.mark.real_time
def test_a_tcp_device_is_shown_until_it_hangs_up(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard_back = []

        def talk() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(b"x\nTEMP 36.9\nTEMP 36.8\nTEMP 36.7\n")
                client.shutdown(socket.SHUT_WR)
                heard_back.append(client.recv(4096))

        talking = threading.Thread(target=talk)
        talking.start()

        code = invoke(
            ["sniff", "--device", f"tcp://127.0.0.1:{server.getsockname()[1]}", "--seconds", "20"]
        )

        talking.join()
    told = capsys.readouterr().out
    assert code == 0
    assert "framing: 3 lines of text, ended by LF: TEMP 36.9" in told
    assert "next: a dialect for it, see docs/how-to/" in told
    assert heard_back == [b""]


@pytest.mark.parametrize(
    ("address", "code", "told"),
    [
        ("sim:", 2, "sniff listens at serial:PATH and tcp://HOST:PORT"),
        ("serial:/dev/x?dialect=own", 2, "unknown parameter 'dialect' (allowed: baud)"),
        ("serial:/dev/x?baud=fast", 2, "no whole number from 1"),
        ("serial:/dev/no-such-port", 3, "there is no such port"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(
    address: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["sniff", "--device", address]) == code
    assert told in capsys.readouterr().err
