"""What a broker's authority has issued, by name, and what of it was taken back (the CRL).

The list by name is kept because a certificate that was given away is in no folder of ours any more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from cryoctl.clock import utc_now
from cryoctl.mosquitto import BrokerError
from cryoctl.private_file import write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ISSUED: Final = "issued"
REVOKED: Final = "ca.crl"
CLOCK_SLACK: Final = dt.timedelta(hours=1)
_HEADER: Final = "# Every client certificate that was issued: serial number, name.\n"


class Authority(NamedTuple):
    """Who signs."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def begin(folder: Path, authority: Authority) -> None:
    """Write that nothing was issued yet, and nothing taken back; overwrites neither."""
    for name, text in ((ISSUED, _HEADER), (REVOKED, _crl(authority, ()))):
        try:
            write_private(folder / name, text)
        except FileExistsError as error:
            raise BrokerError(f"{folder / name}: is there already") from error


def note(folder: Path, name: str, certificate: x509.Certificate) -> None:
    """Keep in mind that a certificate was issued to a name."""
    with (folder / ISSUED).open("a", encoding="ascii") as file:
        file.write(f"{certificate.serial_number:x} {name}\n")


def issued_to(folder: Path, name: str) -> set[int]:
    """Return the serial numbers of all certificates that a name ever had.

    Raises:
        BrokerError: Nobody knows.
    """
    path = folder / ISSUED
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines()]
        return {int(line[0], 16) for line in lines if line[1:] == [name]}
    except (OSError, ValueError) as error:
        raise BrokerError(
            f"{path}: {error}; without it nobody knows what to revoke: make a new broker folder"
        ) from error


def revoke(folder: Path, authority: Authority, serial_numbers: Iterable[int]) -> None:
    """Take certificates back, beside those that were before.

    Raises:
        BrokerError: There is no list of those.
    """
    from cryptography import x509

    path = folder / REVOKED
    try:
        before = x509.load_pem_x509_crl(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BrokerError(f"{path}: {error}; make a new broker folder") from error
    write_private(
        path,
        _crl(authority, {entry.serial_number for entry in before}.union(serial_numbers)),
        replaces=True,
    )


def _crl(authority: Authority, serial_numbers: Iterable[int]) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    now = utc_now()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCK_SLACK)
        # Nobody renews it by the clock, and after this time a broker lets nobody in.
        .next_update(authority.certificate.not_valid_after_utc)
    )
    for number in sorted(serial_numbers):
        entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    crl = builder.sign(authority.key, hashes.SHA256())
    return crl.public_bytes(serialization.Encoding.PEM).decode("ascii")
