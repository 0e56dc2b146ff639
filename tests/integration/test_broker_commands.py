"""``cryoctl broker`` and ``cryoctl doctor``, with a real mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from cryoctl.certificates import make_authority
from cryoctl.cli import invoke
from cryoctl.clock import utc_now
from cryoctl.doctor import own_addresses
from cryoctl.mosquitto import free_port
from cryoctl_protocol.mqtt.connection import BrokerConnection
from tests.support.broker import Broker, broker_at, plain_broker, require_mosquitto, tls_broker

pytestmark = pytest.mark.real_time
BODY = b"what only its sender may say"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a broker with certificates for two probes, a controller and a viewer."""
    folder = tmp_path_factory.mktemp("secured")
    with tls_broker(folder, devices=["probe-1", "probe-2"], viewers=["grafana"]) as running:
        yield running


async def gets_through(broker: Broker, writer: str, reader: str, leaf: str) -> bool:
    """Return True if what ``writer`` says on a topic of probe-1 comes to ``reader``."""
    topic, heard = f"cryo/1/bench/probe-1/{leaf}", asyncio.Event()

    def end_of(user: str, connected: asyncio.Event) -> BrokerConnection:
        return BrokerConnection(
            broker.address(user),
            identifier=f"end-{user}",
            subscribe=[(topic if user == reader else "nothing", False)],
            on_message=lambda message: heard.set() if message.payload == BODY else None,
            on_connected=connected.set,
        )

    async with asyncio.TaskGroup() as group:
        there = [asyncio.Event(), asyncio.Event()]
        ends = [end_of(reader, there[0]), end_of(writer, there[1])]
        tasks = [group.create_task(end.run()) for end in ends]
        for connected in there:
            await connected.wait()
        ends[1].post(topic, BODY)
        with contextlib.suppress(TimeoutError):
            # What is refused never comes; that what is allowed does, the other rows show.
            await asyncio.wait_for(heard.wait(), 0.5)
        for task in tasks:
            task.cancel()
    return heard.is_set()


@pytest.mark.parametrize(
    ("writer", "reader", "leaf", "allowed"),
    [
        ("probe-1", "desk", "tele", True),
        ("probe-1", "grafana", "tele", True),
        ("probe-1", "desk", "ack/desk/run", True),
        ("desk", "probe-1", "cmd", True),
        ("desk", "probe-1", "lease", True),
        ("probe-2", "desk", "tele", False),
        ("desk", "grafana", "tele", False),
        ("grafana", "probe-1", "cmd", False),
        ("probe-2", "probe-1", "cmd", False),
        ("desk", "probe-2", "cmd", False),
        ("desk", "grafana", "cmd", False),
        ("probe-1", "grafana", "ack/desk/run", False),
    ],
)
async def test_everybody_may_do_what_their_role_is_and_no_more(
    secured: Broker, writer: str, reader: str, leaf: str, allowed: bool
) -> None:
    assert await gets_through(secured, writer, reader, leaf) is allowed


def test_without_a_certificate_of_this_authority_there_is_no_connection(
    secured: Broker, tmp_path: Path
) -> None:
    from cryoctl.broker_files import Role, add_user, create

    other = tmp_path / "other"
    create(other, site="bench", hosts=["127.0.0.1"], listen="127.0.0.1")
    add_user(other, "desk", Role.CONTROLLER)
    place = ["-h", "127.0.0.1", "-p", str(secured.port), "--cafile", f"{secured.folder}/ca.crt"]
    words = ["-V", "5", "-t", "x", "-m", "x", "-q", "1"]
    foreign = ["--cert", f"{other}/desk.crt", "--key", f"{other}/desk.key"]

    for who in ([], foreign):
        done = subprocess.run(
            ["mosquitto_pub", *place, *who, *words], check=False, capture_output=True, timeout=30.0
        )
        assert done.returncode != 0


def test_init_writes_keys_for_their_owner_alone_and_prints_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert invoke(["broker", "init", "b", "--devices", "probe-1", "--controllers", "desk"]) == 0
    assert invoke(["broker", "add", "b", "grafana", "--role", "viewer"]) == 0

    said = capsys.readouterr().out
    keys = sorted(Path("b").glob("*.key"))
    assert [key.name for key in keys] == [
        "ca.key", "desk.key", "grafana.key", "probe-1.key", "server.key",
    ]  # fmt: skip
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert "PRIVATE" not in said
    assert not any(key.read_text().splitlines()[1] in said for key in keys)
    assert "cryoctl broker run b" in said
    assert "cryoctl sim --serial probe-1 --mqtt 'mqtts://127.0.0.1:8883/bench?user=probe-1" in said
    configuration = Path("b/mosquitto.conf").read_text().splitlines()
    assert {
        "listener 8883 127.0.0.1",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        "set_tcp_nodelay true",
        "persistence false",
        "max_keepalive 60",
        "max_queued_messages 200",
    } <= set(configuration)


def test_a_broker_that_is_there_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["broker", "init", "b", "--devices", "probe-1"]) == 0
    before = {path.name: path.read_bytes() for path in Path("b").iterdir()}

    assert invoke(["broker", "init", "b", "--devices", "probe-1"]) == 2
    assert invoke(["broker", "add", "b", "probe-1"]) == 2
    assert invoke(["broker", "add", "b", "ca"]) == 2
    assert invoke(["broker", "add", "b", "a/b"]) == 2
    assert invoke(["broker", "add", "nowhere", "probe-3"]) == 2

    said = capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path("b").iterdir()} == before
    assert "there is a broker already" in said
    assert "name 'probe-1' is taken" in said
    assert "name 'ca' is taken" in said
    assert "name 'a/b': letters, digits" in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--devices", "p", "--controllers", "p"], "named twice: p"),
        (["--devices", "ok,bad name"], "name 'bad name': letters, digits"),
        (["--viewers", "server"], "name 'server' is taken"),
        (["--host", "exämple.com"], "host 'exämple.com': expected an address, or a name of"),
        (["--host", "ex ample..com"], "host 'ex ample..com': expected an address"),
        (["--host", "lab.example", "--host", "-h"], "host '-h': expected an address"),
        (["--host", "h" * 64], "in parts of at most 63"),
    ],
)
def test_nothing_is_written_of_a_broker_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    folder = tmp_path / "c"

    assert invoke(["broker", "init", str(folder), *words]) == 2

    assert reason in capsys.readouterr().err
    assert not folder.exists()


def test_names_and_addresses_that_a_broker_may_have_are_taken(tmp_path: Path) -> None:
    hosts = ["lab.example", "192.168.0.7", "fd00::7", "my_broker", "xn--exmple-cua.com", "h" * 63]
    words = [word for host in hosts for word in ("--host", host)]

    assert invoke(["broker", "init", str(tmp_path / "c"), *words]) == 0


def test_without_cryptography_it_is_said_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)

    assert invoke(["broker", "init", str(tmp_path / "b")]) == 2
    assert "pip install 'cryoctl[broker]'" in capsys.readouterr().err


def test_without_mosquitto_it_is_said_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name, **_where: None)

    assert invoke(["broker", "run"]) == 2
    said = capsys.readouterr().err
    for hint in ("apt install mosquitto", "dnf install", "brew install", "winget install"):
        assert hint in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_starts_a_broker_for_this_machine_and_ends_with_it(number: signal.Signals) -> None:
    require_mosquitto()
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "broker", "run", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        process.communicate(timeout=20.0)

    assert line == f"broker at  mqtt://127.0.0.1:{port}/bench/DEVICE\n"
    assert process.returncode == 0
    assert len(children) == 1
    assert not Path(f"/proc/{children[0]}").exists()


def test_run_outlives_its_terminal_if_somebody_wanted_that() -> None:
    require_mosquitto()
    command = [sys.executable, "-m", "cryoctl", "broker", "run", "--port", str(free_port())]
    with subprocess.Popen(
        ["nohup", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.terminate()
        process.communicate(timeout=20.0)

    assert process.returncode == 0


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with plain_broker(tmp_path) as broker:
        assert invoke(["broker", "run", "--port", str(broker.port)]) == 2

    assert "is there another broker?" in capsys.readouterr().err


# -- doctor ---------------------------------------------------------------------------------------


def examined(capsys: pytest.CaptureFixture[str], url: str) -> tuple[int, str]:
    capsys.readouterr()
    return invoke(["doctor", url]), capsys.readouterr().out


def test_a_broker_as_init_makes_it_has_no_problem(
    secured: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = examined(capsys, secured.url("desk", device=""))

    assert code == 0
    assert "ok       TLSv1.3" in said
    assert "ok       the broker's certificate is good until" in said
    assert re.search(r"^ok       our certificate \S+desk.crt is good until 20", said, re.MULTILINE)
    assert "ok       round trip" in said
    assert "ok       refuses us what only a device may say" in said
    assert "ok       refuses who has no name" in said
    assert "problem" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address")
@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("0.0.0.0", "warning  answers at 127.0.0.2, too: a controller that calls it by 127.0.0.1"),
        ("127.0.0.1", "ok       answers at this machine's loopback address alone"),
    ],
)
def test_a_broker_that_counts_as_this_machine_and_answers_elsewhere_is_a_warning(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    listen: str,
    told: str,
) -> None:
    monkeypatch.setattr("cryoctl.doctor.own_addresses", lambda: ["127.0.0.2"])
    with broker_at(tmp_path, listen) as broker:
        _, said = examined(capsys, broker.url(device=""))

    assert told in said


def test_addresses_of_this_machine_are_those_that_others_may_reach() -> None:
    assert not any(ip_address(a.partition("%")[0]).is_loopback for a in own_addresses())


def test_what_lies_on_a_command_topic_is_found_and_left_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = "cryo/1/bench/probe-1/cmd"
    with plain_broker(tmp_path) as broker:
        broker.stranger("mosquitto_pub", "-t", topic, "-r", "-s", data=BODY)

        code, said = examined(capsys, broker.url(device=""))

        assert broker.stranger("mosquitto_sub", "-t", topic, "-C", "1", "-W", "5", "-N") == BODY
    assert code == 1
    assert f"problem  a retained message lies on {topic}" in said
    assert f"-p {broker.port} -t {topic} -r -n" in said
    assert "warning  we may speak for any device" in said
    assert "warning  lets anybody in: fine while this machine alone reaches it" in said


def test_the_command_that_clears_a_topic_works_as_it_is_printed_whatever_the_topic_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = "cryo/1/bench/a b'; touch harmed; '/cmd"
    with tls_broker(tmp_path) as broker:
        acl = broker.folder / "acl"
        acl.write_text(acl.read_text().replace("write cryo/1/bench/+/cmd", "cryo/1/bench/+/cmd"))
        broker.kill()
        broker.restart()
        own = ["--cafile", f"{broker.folder}/ca.crt", "--cert", f"{broker.folder}/desk.crt"]
        own += ["--key", f"{broker.folder}/desk.key", "-V", "5", "-t", topic]
        broker.stranger("mosquitto_pub", *own, "-r", "-s", data=BODY)

        code, said = examined(capsys, broker.url("desk", device=""))
        command = said.split("Clear it: ")[1].splitlines()[0]
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=30.0)
        again, _ = examined(capsys, broker.url("desk", device=""))

    assert (code, again) == (1, 0)
    assert not (tmp_path / "harmed").exists()


def test_a_broker_that_waits_for_company_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain_broker(tmp_path) as broker:
        text = broker.configuration.read_text().replace("set_tcp_nodelay true\n", "")
        broker.configuration.write_text(text)
        broker.kill()
        broker.restart()

        _, said = examined(capsys, broker.url(device=""))

    found = re.search(r"^warning  round trip (\S+) ms", said, re.MULTILINE)
    assert found is not None
    assert float(found[1]) > 30.0
    assert "a missing set_tcp_nodelay true" in said


def test_a_device_that_is_away_is_a_problem(
    secured: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = examined(capsys, secured.url("desk", device="probe-2"))

    assert code == 1
    assert "problem  devices online at bench: none; probe-2 is not: switch it on" in said


def test_a_broker_that_is_not_there_or_lets_us_not_in_is_a_problem(
    secured: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = examined(capsys, f"mqtt://127.0.0.1:{free_port()}/bench")
    assert (code, said[:7]) == (1, "problem")
    assert "start one: cryoctl broker run" in said

    assert invoke(["doctor", "mqtt://a..b/bench/p"]) == 2
    assert "expected HOST or HOST:PORT" in capsys.readouterr().err

    code, said = examined(capsys, secured.url(device=""))
    assert code == 1
    assert "check user, password and certificate" in said


def test_a_certificate_of_ours_that_ends_soon_is_a_warning(
    secured: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_800_days = utc_now() + dt.timedelta(days=800)
    monkeypatch.setattr("cryoctl.doctor.utc_now", lambda: in_800_days)

    code, said = examined(capsys, secured.url("desk", device=""))

    assert code == 0
    assert re.search(
        r"^warning  our certificate \S+ is good until \S+, 2\d days: make a new one in time "
        r"\(cryoctl broker renew\)$",
        said,
        re.MULTILINE,
    )


def test_a_clock_that_is_wrong_is_named_as_a_reason_for_a_refused_certificate(
    secured: Broker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_authority(tmp_path, "another")

    url = secured.url("desk", device="").replace(
        f"ca={secured.folder / 'ca.crt'}", f"ca={tmp_path / 'ca.crt'}"
    )
    code, said = examined(capsys, url)

    assert code == 1
    assert "problem  TLS: " in said
    assert f"is this machine's clock right ({utc_now():%Y-%m-%d}" in said


def test_the_machine_itself_is_looked_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["doctor"]) == 0
    assert "MB left here" in capsys.readouterr().out
