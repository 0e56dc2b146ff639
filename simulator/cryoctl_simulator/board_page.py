"""Writes a probe's provisioning page, for firmware that takes its profile and its keys from a file.

``python -m cryoctl_simulator.board_page PAGE [--profile NAME] [--serial NAME]``. The key in it is
the public one: for benches.
"""

from __future__ import annotations

from pathlib import Path

import click

from cryoctl_simulator.firmware_identity import Boot
from cryoctl_simulator.firmware_layout import config_bytes
from cryoctl_simulator.link import DEFAULT_PROFILE, SERIAL
from cryoctl_simulator.probe_file import load_simulated_probe

_SEED_SIZE = 32


@click.command()
@click.argument("page", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="A name or a file.")
@click.option("--serial", default="BOARD-1", show_default=True, help="Serial number.")
def main(page: Path, profile: str, serial: str) -> None:
    """Write PAGE; the firmware is to draw its boot id and nonces by itself."""
    if not SERIAL.fullmatch(serial):
        raise click.UsageError(f"--serial {serial}: at most 16 letters, digits and . _ -")
    config = load_simulated_probe(profile).firmware
    if config.research:
        raise click.UsageError(f"--profile {profile}: a research profile is for no board")
    boot = Boot(device_id=serial, boot_id=0, nonce_seed=bytes(_SEED_SIZE))
    page.write_bytes(config_bytes(config, boot))


if __name__ == "__main__":
    main()
