"""Certificates that are taken back or made anew, with a real mosquitto."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cryoctl.broker_files import without_section
from cryoctl.cli import invoke
from cryoctl.clock import utc_now
from tests.support.broker import Broker, tls_broker

pytestmark = pytest.mark.real_time


class Papers(NamedTuple):
    """What somebody shows a broker."""

    certificate: Path
    key: Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with tls_broker(tmp_path, devices=["probe-1", "probe-2"]) as running:
        yield running


def papers_of(broker: Broker, name: str) -> Papers:
    return Papers(broker.folder / f"{name}.crt", broker.folder / f"{name}.key")


def stolen(broker: Broker, name: str, tmp_path: Path) -> Papers:
    """Return copies that nobody can take away."""
    return Papers(*(Path(shutil.copy(path, tmp_path)) for path in papers_of(broker, name)))


def command(broker: Broker, *words: str) -> int:
    """Run ``cryoctl broker`` on the folder of a broker, and start that anew."""
    code = invoke(["broker", words[0], str(broker.folder), *words[1:]])
    broker.kill()
    broker.restart()
    return code


def is_let_in(broker: Broker, papers: Papers, topic: str = "cryo/1/bench/probe-1/tele") -> bool:
    """Return True if the broker takes a message of whoever shows these."""
    place = ["-h", "127.0.0.1", "-p", str(broker.port), "--cafile", f"{broker.folder}/ca.crt"]
    own = ["--cert", str(papers.certificate), "--key", str(papers.key)]
    done = subprocess.run(
        ["mosquitto_pub", *place, *own, "-V", "5", "-q", "1", "-t", topic, "-m", "x"],
        check=False,
        capture_output=True,
        timeout=30.0,
    )
    return done.returncode == 0 and b"rror" not in done.stderr and b"failed" not in done.stderr


def test_a_revoked_certificate_stays_worthless_when_its_name_is_issued_again(
    broker: Broker, tmp_path: Path
) -> None:
    thief = stolen(broker, "probe-1", tmp_path)
    assert is_let_in(broker, thief)

    assert command(broker, "revoke", "probe-1") == 0

    assert not is_let_in(broker, thief)
    assert not any(path.exists() for path in papers_of(broker, "probe-1"))
    assert "probe-1" not in (broker.folder / "acl").read_text()

    assert command(broker, "add", "probe-1") == 0

    assert is_let_in(broker, papers_of(broker, "probe-1"))
    assert not is_let_in(broker, thief)
    assert is_let_in(broker, papers_of(broker, "probe-2"), "cryo/1/bench/probe-2/tele")


def test_a_name_that_was_deleted_by_hand_and_added_again_lets_nobody_in_by_the_former_papers(
    broker: Broker, tmp_path: Path
) -> None:
    thief = stolen(broker, "probe-1", tmp_path)
    acl = broker.folder / "acl"
    acl.write_text(without_section(acl.read_text(), "probe-1"))
    for path in papers_of(broker, "probe-1"):
        path.unlink()

    assert command(broker, "add", "probe-1") == 0

    assert is_let_in(broker, papers_of(broker, "probe-1"))
    assert not is_let_in(broker, thief)


def test_who_is_renewed_keeps_the_rights_and_the_former_certificate_is_worthless(
    broker: Broker, tmp_path: Path
) -> None:
    former = stolen(broker, "probe-1", tmp_path)
    acl = (broker.folder / "acl").read_text()

    for _ in range(2):
        assert command(broker, "renew", "probe-1") == 0

        now = papers_of(broker, "probe-1")
        assert is_let_in(broker, now)
        assert not is_let_in(broker, former)
        assert now.key.stat().st_mode & 0o777 == 0o600
        former = stolen(broker, "probe-1", tmp_path)

    assert (broker.folder / "acl").read_text() == acl
    assert [path.name for path in broker.folder.iterdir() if path.name.endswith(".new")] == []


def test_the_server_is_renewed_for_the_names_it_had(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryptography import x509

    def names_and_number() -> tuple[list[str], int]:
        data = (broker.folder / "server.crt").read_bytes()
        certificate = x509.load_pem_x509_certificate(data)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return [str(name.value) for name in found.value], certificate.serial_number

    before = names_and_number()

    assert command(broker, "renew") == 0

    after = names_and_number()
    assert after[0] == before[0] == ["127.0.0.1"]
    assert after[1] != before[1]
    capsys.readouterr()
    assert invoke(["doctor", broker.url("desk", device="")]) == 0
    assert "ok       the broker's certificate is good until" in capsys.readouterr().out


def test_the_list_of_what_is_revoked_is_good_as_long_as_the_authority(broker: Broker) -> None:
    from cryptography import x509

    assert command(broker, "revoke", "probe-1") == 0
    assert command(broker, "revoke", "probe-2") == 0

    crl = x509.load_pem_x509_crl((broker.folder / "ca.crl").read_bytes())
    assert len(list(crl)) == 2
    assert crl.next_update_utc is not None
    assert crl.next_update_utc > utc_now() + dt.timedelta(days=3640)


def test_who_is_not_there_cannot_be_revoked_or_renewed(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in broker.folder.glob("[!m]*")}

    before = files()

    for name in ("probe-3", "ca", "server", "../acl"):
        for word in ("revoke", "renew"):
            assert invoke(["broker", word, str(broker.folder), name]) == 2
            said = capsys.readouterr().err
            assert f"nobody is called '{name}' (there are: probe-1, probe-2, desk)" in said

    assert files() == before


def test_a_broker_that_would_not_look_is_told_instead_of_revoking_in_vain(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    text = broker.configuration.read_text()
    line = f"crlfile {broker.folder}/ca.crl\n"
    assert line in text
    broker.configuration.write_text(text.replace(line, ""))

    assert invoke(["broker", "revoke", str(broker.folder), "probe-1"]) == 2
    assert invoke(["broker", "renew", str(broker.folder), "probe-1"]) == 2
    assert invoke(["broker", "add", str(broker.folder), "probe-3"]) == 2

    assert f"add the line: {line}" in capsys.readouterr().err
    assert papers_of(broker, "probe-1").key.exists()
    assert not papers_of(broker, "probe-3").key.exists()


def test_the_section_of_a_name_is_taken_out_and_nothing_else() -> None:
    acl = (
        "# site bench\nuser a\ntopic write a\n\n# device\nuser a.b\ntopic write b\n# mine\n"
        "topic read mine\nuser axb\ntopic write x\npattern read all/%u\n"
    )

    assert without_section(acl, "a.b") == (
        "# site bench\nuser a\ntopic write a\n\n# mine\n"
        "topic read mine\nuser axb\ntopic write x\npattern read all/%u\n"
    )
    assert without_section(acl, "axb") == acl.replace("user axb\ntopic write x\n", "")
    assert without_section(acl, "a") == acl.replace("user a\ntopic write a\n\n", "")
    assert without_section(acl, "nobody") == acl
