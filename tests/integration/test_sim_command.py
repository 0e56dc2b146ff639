"""``cryoctl sim`` as a program: what it prints, what it leaves behind, what it refuses."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cryoctl.cli import invoke
from cryoctl_protocol.device_keys import DeviceKey, DeviceKeys, device_keys_text
from tests.support.broker import password_broker, plain_broker, tls_broker

pytestmark = pytest.mark.real_time


@contextmanager
def simulator(*words: str, password: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a running ``cryoctl sim`` and the command that it prints for the controller."""
    with subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "sim", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "CRYOCTL_MQTT_PASSWORD": password},
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout)
            next(line for line in lines if line == "next:\n")
            yield process, next(lines).strip()
        finally:
            process.terminate()
            process.communicate(timeout=20.0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_signal_leaves_the_path_of_the_port_behind(number: int, tmp_path: Path) -> None:
    link = tmp_path / "probe"
    with simulator("--pty", "--link", str(link)) as (process, _):
        assert link.is_symlink()
        process.send_signal(number)
        process.wait(20.0)

    assert process.returncode == 0
    assert not link.is_symlink()


def test_the_command_for_the_controller_says_how_to_get_in(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    with tls_broker(folder) as broker:
        place = broker.url("probe-1", device="")
        with simulator("--serial", "probe-1", "--mqtt", place) as (_, command):
            pass

        words = shlex.split(command)
        assert words[:-1] == ["cryoctl", "run", "--arm-and-start", "--device"]
        assert words[-1].replace("CONTROLLER", "desk") == broker.url("desk")


def test_the_command_for_the_controller_names_a_user_where_the_probe_had_to(
    tmp_path: Path,
) -> None:
    acl = "user probe-1\ntopic readwrite #\n"
    with password_broker(tmp_path, acl, ["probe-1"]) as broker:
        place = broker.url("probe-1", device="")
        with simulator("--serial", "probe-1", "--mqtt", place, password="probe-1") as (_, command):
            pass

        assert shlex.split(command)[-1].replace("CONTROLLER", "desk") == broker.url("desk")


def test_a_broker_that_asks_nobody_needs_no_more_than_its_place(tmp_path: Path) -> None:
    with plain_broker(tmp_path) as broker:
        with simulator("--serial", "probe-1", "--mqtt", broker.url(device="")) as (_, command):
            pass

        assert command == f"cryoctl run --arm-and-start --device {broker.url()}"


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
def test_keys_that_others_may_read_are_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "probe.toml"
    file.write_text(device_keys_text(DeviceKeys("CRYO-0001", (DeviceKey(1, bytes(32)),))))
    file.chmod(0o644)

    assert invoke(["sim", "--tcp", "127.0.0.1:0", "--key", str(file)]) == 2
    said = capsys.readouterr().err
    assert f"a key that others may read or change (mode 644); chmod 600 {file}" in said
