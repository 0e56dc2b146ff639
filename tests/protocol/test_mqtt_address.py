"""What an ``mqtt://`` address says, and what it may not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cryoctl_protocol.mqtt.address import MqttAddress
from cryoctl_protocol.mqtt.connection import tls_context
from cryoctl_protocol.peer import AddressError, DeviceUrl


def read(text: str, *, site_only: bool = False) -> MqttAddress:
    return MqttAddress.of(DeviceUrl.parse(text), site_only=site_only)


def test_an_address_has_a_usual_port_and_may_name_another() -> None:
    assert read("mqtt://h/bench/probe-1") == MqttAddress("h", 1883, "bench", "probe-1")
    assert read("mqtts://h/bench/probe-1") == MqttAddress("h", 8883, "bench", "probe-1", tls=True)
    assert read("mqtt://h:7/bench", site_only=True) == MqttAddress("h", 7, "bench", "")
    assert str(read("mqtt://[::1]:7/bench/p")) == "mqtt://[::1]:7/bench/p"


def test_files_and_user_are_taken_over_and_not_shown(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).touch(0o600)
    at = tmp_path

    address = read(f"mqtts://h/s/d?user=desk&ca={at}/ca&cert={at}/cert&key={at}/key")

    assert (address.user, address.ca, address.key) == ("desk", f"{at}/ca", f"{at}/key")
    assert str(address) == "mqtts://h:8883/s/d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mqtt://h", "expected SITE/DEVICE behind the broker"),
        ("mqtt://h/bench", "expected SITE/DEVICE behind the broker"),
        ("mqtt://h/a/b/c", "expected SITE/DEVICE behind the broker"),
        ("mqtt:///bench/p", "expected HOST or HOST:PORT"),
        ("mqtt://h:0/bench/p", "expected HOST or HOST:PORT"),
        ("mqtt://a..b/bench/p", "expected HOST or HOST:PORT"),
        (f"mqtt://{'h' * 64}/bench/p", "expected HOST or HOST:PORT"),
        ("mqtt://h:x/bench/p", "expected HOST or HOST:PORT"),
        ("mqtt://h:65536/bench/p", "expected HOST or HOST:PORT"),
        ("mqtt://me:secret@h/bench/p", "no user or password in an address"),
        ("mqtt://h/bench/+", "letters, digits and . _ - only"),
        ("mqtt://h/bench/.hidden", "letters, digits and . _ - only"),
        (f"mqtt://h/bench/{'p' * 65}", "at most 64"),
        ("mqtt://h/bench/p?user=a/b", "user 'a/b': letters, digits"),
        ("mqtt://h/bench/p?usr=a", "unknown parameter 'usr' (allowed: user, ca, cert, key)"),
        ("mqtt://h/bench/p?ca=x", "are for mqtts://"),
        ("mqtts://h/bench/p?cert=x", "cert and key go together"),
        ("mqtts://h/bench/p?ca=/no/such/file", "ca: there is no file /no/such/file"),
        ("tcp://h/bench/p", "expected mqtt:// or mqtts://"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, said: str) -> None:
    with pytest.raises(AddressError) as error:
        read(text)

    assert said in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes here")
def test_a_key_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).touch(0o644)
    address = f"mqtts://h/s/d?cert={tmp_path}/cert&key={tmp_path}/key"

    with pytest.raises(AddressError) as error:
        read(address)
    assert f"(mode 644); chmod 600 {tmp_path}/key" in str(error.value)

    (tmp_path / "key").chmod(0o600)
    assert read(address).key == f"{tmp_path}/key"


def test_the_password_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOCTL_MQTT_PASSWORD", "secret")
    address = read("mqtt://h/bench/p?user=desk")

    assert address.password == "secret"
    assert "secret" not in f"{address}{address!r}"
    assert read("mqtt://h/bench/p").password is None


def test_a_file_that_is_no_certificate_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("nothing of the kind")

    with pytest.raises(AddressError, match="ca, cert or key"):
        tls_context(read(f"mqtts://h/bench/p?ca={tmp_path / 'ca'}"))
