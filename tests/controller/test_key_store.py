"""Keys on this computer: made, changed, handed over, and shown to nobody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl.key_store import KeyStore, key_folder, read_device_keys
from cryoctl_protocol.device_keys import DeviceKey, DeviceKeys, parse_device_keys
from cryoctl_protocol.toml_text import FileError
from tests.support.c_device import compiler

posix_only = pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
SECRET = re.compile(r"(?:[0-9a-f]{2}){16,}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of keys of this test; it is not there yet."""
    monkeypatch.setenv("CRYOCTL_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def store(folder: Path) -> KeyStore:
    return KeyStore(folder)


# -- the store -----------------------------------------------------------------------------------


@posix_only
def test_a_new_key_has_a_file_for_its_owner_alone(folder: Path) -> None:
    old = os.umask(0)
    try:
        made = store(folder).new("CRYO-0001")
        store(folder).rotate("CRYO-0001")
    finally:
        os.umask(old)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "CRYO-0001.toml").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in folder.iterdir()] == ["CRYO-0001.toml"]
    assert (len(made.newest.secret), made.newest.key_id) == (32, 1)


@posix_only
def test_a_program_that_was_killed_while_it_wrote_leaves_nothing_in_the_way(folder: Path) -> None:
    before = store(folder).new("CRYO-0001")
    code = (
        "import os, sys; os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "from cryoctl.cli import invoke; sys.exit(invoke(['keys', 'rotate', 'CRYO-0001']))"
    )

    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=60.0)

    assert killed.returncode == -9
    assert len(list(folder.iterdir())) == 2
    assert store(folder).read("CRYO-0001") == before
    assert store(folder).rotate("CRYO-0001").former == before.newest
    assert store(folder).retire("CRYO-0001").former is None
    assert [file.name for file in folder.iterdir()] == ["CRYO-0001.toml"]


def test_no_two_keys_are_alike(folder: Path) -> None:
    made = [store(folder).new(f"CRYO-{number}").newest.secret for number in range(5)]

    assert len(set(made)) == 5


def test_what_was_made_is_read_back(folder: Path) -> None:
    made = store(folder).new("CRYO-0001", 7)

    assert store(folder).read("CRYO-0001") == made
    assert store(folder).contents().held == {"CRYO-0001": made}


def test_a_key_that_is_there_is_not_overwritten(folder: Path) -> None:
    made = store(folder).new("CRYO-0001")

    with pytest.raises(FileError, match="has a key already"):
        store(folder).new("CRYO-0001")
    assert store(folder).read("CRYO-0001") == made


def test_the_present_key_stays_beside_the_next_one_until_it_is_retired(folder: Path) -> None:
    first = store(folder).new("CRYO-0001").newest

    both = store(folder).rotate("CRYO-0001")
    with pytest.raises(FileError, match="two keys already"):
        store(folder).rotate("CRYO-0001")
    kept = store(folder).retire("CRYO-0001")

    assert (both.newest.key_id, both.former) == (2, first)
    assert kept.keys == (both.newest,)
    with pytest.raises(FileError, match="one key only"):
        store(folder).retire("CRYO-0001")


@pytest.mark.parametrize(("first", "second"), [(1, 2), (254, 255), (255, 1)])
def test_ids_go_from_1_to_255_and_begin_anew(folder: Path, first: int, second: int) -> None:
    store(folder).new("CRYO-0001", first)

    assert store(folder).rotate("CRYO-0001").newest.key_id == second


@pytest.mark.parametrize("key_id", [-1, 0, 256])
def test_no_key_has_the_id_of_the_public_one_or_one_that_hello_cannot_hold(
    folder: Path, key_id: int
) -> None:
    with pytest.raises(ValueError, match="expected 1 to 255"):
        store(folder).new("CRYO-0001", key_id)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "x" * 17, "käse", "a\0"])
def test_a_serial_number_that_would_lead_elsewhere_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(FileError, match="no serial number"):
        store(folder).new(name)


@posix_only
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_file_that_others_can_open_is_refused_with_what_to_do(folder: Path, mode: int) -> None:
    store(folder).new("CRYO-0001")
    path = folder / "CRYO-0001.toml"
    path.chmod(mode)

    with pytest.raises(FileError, match=re.escape(f"chmod 600 {path}")):
        store(folder).read("CRYO-0001")
    contents = store(folder).contents()
    assert contents.held == {}
    assert "chmod 600" in contents.problems["CRYO-0001"]


@posix_only
@pytest.mark.parametrize("mode", [0o750, 0o705, 0o770])
def test_a_folder_that_others_can_open_is_refused_with_what_to_do(folder: Path, mode: int) -> None:
    store(folder).new("CRYO-0001")
    folder.chmod(mode)

    with pytest.raises(FileError, match=re.escape(f"chmod 700 {folder}")):
        store(folder).contents()


def test_a_file_that_was_renamed_is_not_believed(folder: Path) -> None:
    store(folder).new("CRYO-0001")
    (folder / "CRYO-0001.toml").rename(folder / "CRYO-0002.toml")

    assert "another device" in store(folder).contents().problems["CRYO-0002"]


def test_the_folder_is_the_one_given_or_of_the_environment_or_of_the_user(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [key_folder(tmp_path / "given"), key_folder()]
    monkeypatch.delenv("CRYOCTL_KEYS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("sys.platform", "linux")
    found.append(key_folder())

    assert found == [tmp_path / "given", folder, tmp_path / "data" / "cryoctl" / "keys"]


# -- the file ------------------------------------------------------------------------------------

GOOD = """schema = 1
device = "CRYO-0001"

[[key]]
id = 3
made = "2026-11-21"
secret = "{}"
""".format("ab" * 32)


def test_a_file_is_read() -> None:
    assert parse_device_keys(GOOD, "file") == DeviceKeys(
        "CRYO-0001", (DeviceKey(3, b"\xab" * 32, "2026-11-21"),)
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ("CRYO-0001", "../CRYO", "device"),
        ("id = 3", "id = 0", "expected 1 to 255"),
        ("id = 3", "id = 256", "expected 1 to 255"),
        ("id = 3", "id = true", "expected 1 to 255"),
        ("2026-11-21", "yesterday", "expected a date"),
        ("abab", "ab", "expected 64 digits"),
        ("abab", "zzzz", "expected 64 digits"),
        ("secret =", "other = 1\nsecret =", "nothing else"),
        ('"2026', "2026", "no TOML"),
        ("[[key]]", "[key]", "1 to 2 tables"),
        ("schema = 1", "schema = 1\nmore = 1", "more than"),
    ],
)
def test_a_mistake_in_a_file_is_named_and_nothing_of_the_key_is_shown(
    old: str, new: str, said: str
) -> None:
    with pytest.raises(FileError) as error:
        parse_device_keys(GOOD.replace(old, new, 1), "file")

    assert said in str(error.value)
    assert "abababab" not in str(error.value) + repr(error.value)
    assert error.value.__cause__ is None


def test_a_key_shows_in_no_repr() -> None:
    key = DeviceKey(3, b"\xab" * 32)
    shown = repr(key) + repr(DeviceKeys("CRYO-0001", (key,))) + str(key)

    assert "abab" not in shown
    assert "\\xab" not in shown
    assert key.fingerprint == "9a2db2e2"  # First bytes of the SHA-256 of 32 bytes 0xab.


# -- the commands --------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = invoke(["keys", *arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_the_commands_of_a_keys_life_never_show_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = (
        ("list",),
        ("new", "CRYO-0001"),
        ("new", "CRYO-0001"),
        ("list",),
        ("rotate", "CRYO-0001"),
        ("export", "CRYO-0001", "--out", str(tmp_path / "both.toml")),
        ("list", "--json"),
        ("retire", "CRYO-0001", "--yes"),
        ("retire", "CRYO-0001", "--yes"),
        ("export", "CRYO-0001", "--out", str(tmp_path / "both.toml")),
        ("import", str(tmp_path / "both.toml")),
    )

    told = [said(capsys, *step) for step in steps]

    assert [code for code, _ in told] == [0, 0, 2, 0, 0, 0, 0, 0, 2, 2, 2]
    assert not any(SECRET.search(text) for _, text in told)
    assert store(folder).read("CRYO-0001").newest.fingerprint in told[4][1]


def test_what_one_computer_exports_another_imports(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "new", "CRYO-0001")
    said(capsys, "rotate", "CRYO-0001")
    file = tmp_path / "keys.toml"
    said(capsys, "export", "CRYO-0001", "--out", str(file))

    code, _ = said(capsys, "import", str(file), "--keys", str(tmp_path / "other"))

    assert code == 0
    assert read_device_keys(file) == store(folder).read("CRYO-0001")
    assert store(tmp_path / "other").read("CRYO-0001") == store(folder).read("CRYO-0001")
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600


def test_retire_asks_first(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, "new", "CRYO-0001")
    said(capsys, "rotate", "CRYO-0001")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")

    code, _ = said(capsys, "retire", "CRYO-0001")

    assert code == 130
    assert len(store(folder).read("CRYO-0001").keys) == 2


def test_the_export_for_a_firmware_compiles_and_holds_the_keys(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "new", "CRYO-0001", "--id", "255")
    said(capsys, "rotate", "CRYO-0001")
    said(capsys, "export", "CRYO-0001", "--out", str(tmp_path / "keys.h"))
    source = tmp_path / "main.c"
    source.write_text(
        '#include <stdio.h>\n#include "keys.h"\nint main(void) {\n'
        "for (unsigned k = 0; k < CRYO_DEVICE_KEY_COUNT; k++) {\n"
        'printf("%u ", (unsigned)CRYO_DEVICE_KEY_IDS[k]);\n'
        'for (int i = 0; i < 32; i++) printf("%02x", CRYO_DEVICE_KEYS[k][i]);\n'
        'printf("\\n"); }\nprintf("%s\\n", CRYO_DEVICE_ID); return 0; }\n'
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", str(tmp_path / "main")]

    subprocess.run([*compiler(), str(source), *flags], check=True)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout

    held = store(folder).read("CRYO-0001")
    rows = [f"{key.key_id} {key.secret.hex()}" for key in held.keys]
    assert printed.splitlines() == [*rows, "CRYO-0001"]
    assert [key.key_id for key in held.keys] == [1, 255]
