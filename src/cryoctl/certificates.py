"""Certificates of a broker: an authority of its own, and what it signs. Private keys stay in files.

All keys are EC P-256. TLS 1.3 with them costs 5 ms a connection and nothing to speak of after that.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryoctl.clock import utc_now
from cryoctl.issued import CLOCK_SLACK, Authority, begin, issued_to, note, revoke
from cryoctl.mosquitto import BrokerError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY: Final = "ca"
SERVER: Final = "server"
VALID_DAYS: Final = 825
"""Of server and clients; more, and Apple's clients refuse the server."""
AUTHORITY_DAYS: Final = 3650
_OWNER_ONLY: Final = 0o600
_ANYBODY_READS: Final = 0o644


def expiry_of(certificate: Path) -> dt.datetime:
    """Return until when the certificate in a file is good; raises BrokerError if nobody knows."""
    return _read(certificate).not_valid_after_utc


def hosts_of_server(folder: Path) -> list[str]:
    """Return by what names and addresses the server may be called; raises BrokerError."""
    from cryptography import x509

    path = folder / f"{SERVER}.crt"
    try:
        names = _read(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise BrokerError(f"{path}: says no name of the server") from error
    return [str(name.value) for name in names]


def make_authority(folder: Path, name: str) -> None:
    """Write ``ca.crt`` and ``ca.key``; raises BrokerError rather than overwrite either."""
    _require_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = _builder(subject, subject, key, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    _write(folder, AUTHORITY, certificate, key)
    begin(folder, Authority(certificate, key))


def make_server(folder: Path, hosts: Sequence[str], *, replaces: bool = False) -> None:
    """Write ``server.crt`` and ``server.key`` for a broker that is called by any of ``hosts``.

    Args:
        folder: Where the authority is.
        hosts: Names or addresses.
        replaces: There are such files already.
    """
    _require_cryptography()
    from cryptography import x509

    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    certificate, key = _sign(_authority(folder), hosts[0], is_server=True, names=names)
    _write(folder, SERVER, certificate, key, replaces=replaces)


def make_client(folder: Path, name: str, *, replaces: bool = False) -> None:
    """Write ``NAME.crt`` and ``NAME.key``; the name in it is whom the broker takes it for.

    Whatever this name had before is revoked: who has that must not come in by the new one's rights.
    """
    _require_cryptography()
    authority = _authority(folder)
    former = issued_to(folder, name)
    certificate, key = _sign(authority, name, is_server=False, names=None)
    note(folder, name, certificate)
    _write(folder, name, certificate, key, replaces=replaces)
    if former:
        revoke(folder, authority, former)


def revoke_client(folder: Path, name: str) -> bool:
    """Revoke all that a name ever had, and delete its files; return False if it had nothing."""
    _require_cryptography()
    former = issued_to(folder, name)
    if former:
        revoke(folder, _authority(folder), former)
        for suffix in ("crt", "key"):
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    return bool(former)


def _read(certificate: Path) -> x509.Certificate:
    _require_cryptography()
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise BrokerError(f"{certificate}: {error}") from error


def _authority(folder: Path) -> Authority:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.crt").read_bytes())
        key = serialization.load_pem_private_key(
            (folder / f"{AUTHORITY}.key").read_bytes(), password=None
        )
    except (OSError, ValueError) as error:
        raise BrokerError(
            f"{folder}: no authority of ours ({AUTHORITY}.crt and {AUTHORITY}.key): {error}; make "
            "one with cryoctl broker init"
        ) from error
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(certificate, key)


def _sign(
    authority: Authority,
    common_name: str,
    *,
    is_server: bool,
    names: x509.SubjectAlternativeName | None,
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(_named(common_name), authority.certificate.subject, key, VALID_DAYS)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
        critical=False,
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(
    folder: Path,
    stem: str,
    certificate: x509.Certificate,
    key: EllipticCurvePrivateKey,
    *,
    replaces: bool = False,
) -> None:
    from cryptography.hazmat.primitives import serialization

    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    write = _replace if replaces else write_new
    write(folder / f"{stem}.key", pem, _OWNER_ONLY)
    write(folder / f"{stem}.crt", public, _ANYBODY_READS)


def write_new(path: Path, data: bytes, mode: int = _OWNER_ONLY) -> None:
    """Write a file that is not there yet, never open to others meanwhile."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BrokerError(f"{path}: {reason}; nothing is overwritten here") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _replace(path: Path, data: bytes, mode: int) -> None:
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    write_new(made, data, mode)
    made.replace(path)


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise BrokerError(
            "certificates need the package cryptography: pip install 'cryoctl[broker]'"
        ) from None
