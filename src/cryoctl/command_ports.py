"""``cryoctl ports``: the serial ports of this machine; opens none and writes to none."""

from __future__ import annotations

import click

from cryoctl.command_options import as_json
from cryoctl.known_ports import (
    Remembered,
    UsbPort,
    is_name,
    stable_path,
    usb_ports,
    why_no_name,
)
from cryoctl.port_hints import problem_of
from cryoctl_protocol.peer import LinkError

_HEAD = ("port", "product", "usb id", "serial number", "probe")


@click.command()
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON list.")
@click.option("--remember", metavar="DEVICE", help="Remember a USB device as a probe.")
@click.option("--name", default="", help="What to call it: serial:NAME opens it.")
@click.option("--forget", metavar="DEVICE", help="Forget one: a port, a name or an identity.")
def ports(wants_json: bool, remember: str | None, name: str, forget: str | None) -> None:
    """List serial ports; opens none of them and writes to none.

    A port that cannot be opened says why. serial:auto takes the one that says that it is a probe,
    or that was remembered. Whether it speaks like one a run hears before it sends anything.
    """
    if remember is not None and forget is not None:
        raise click.UsageError("--remember or --forget, one of them")
    if name and remember is None:
        raise click.UsageError("--name is for --remember")
    remembered = Remembered.load()
    if remember is not None:
        _remember(remember, name, remembered)
    elif forget is not None:
        _forget(forget, remembered)
    else:
        _list(remembered, wants_json=wants_json)


def _list(remembered: Remembered, *, wants_json: bool) -> None:
    found = usb_ports()
    if wants_json:
        click.echo(as_json([_as_row(port, remembered) for port in found]))
        return
    if not found:
        click.echo("no serial ports; cryoctl sim --pty serves a simulated probe as one")
        return
    rows = [
        (port.device, port.product, port.vid_pid, port.serial_number, _known(port, remembered))
        for port in found
    ]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    click.echo("  ".join(map(str.ljust, _HEAD, widths)).rstrip())
    for port, row in zip(found, rows, strict=True):
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())
        stable = stable_path(port.device)
        if stable != port.device:
            click.echo(f"  always at {stable}")
        problem = problem_of(port.device)
        if problem:
            click.echo(f"  {problem}")
    click.echo(f"\nnext:\n  cryoctl run --device serial:{_next(found, remembered)}")


def _next(found: list[UsbPort], remembered: Remembered) -> str:
    """Return what to open: ``auto`` if that is one device, else the first that may be opened."""
    probes = [port for port in found if _known(port, remembered)]
    if len(probes) == 1:
        return "auto"
    first = next((port for port in probes or found if not problem_of(port.device)), found[0])
    return stable_path(first.device)


def _known(port: UsbPort, remembered: Remembered) -> str:
    row = remembered.find(port)
    if row is not None:
        return row.name or "remembered"
    return "own" if port.is_own else ""


def _as_row(port: UsbPort, remembered: Remembered) -> dict[str, str]:
    return {
        **port._asdict(),
        "identity": port.identity,
        "stable_path": stable_path(port.device),
        "probe": _known(port, remembered),
        "problem": problem_of(port.device),
    }


def _remember(device: str, name: str, remembered: Remembered) -> None:
    if name and not is_name(name):
        raise click.UsageError(why_no_name(name))
    found = [p for p in usb_ports() if device in (p.device, stable_path(p.device), p.identity)]
    if not found:
        raise LinkError(f"{device}: no such port; cryoctl ports lists those that are there")
    port = found[0]
    if not port.identity:
        raise LinkError(
            f"{device}: no USB device, so nothing tells it from another; open it by its path"
        )
    other = remembered.named(name)
    if other is not None and other.identity != port.identity:
        raise click.UsageError(f"{name} is {other.identity} already; forget that one first")
    remembered = remembered.with_port(port, name)
    remembered.save()
    called = f" as {name}" if name else ""
    click.echo(f"remembered {port.identity}{called} in {remembered.path}")
    if not port.serial_number:
        click.echo(
            "warning: it has no serial number, so another device of its kind in this USB socket "
            "would be taken for it, and itself not be found in another socket",
            err=True,
        )
    click.echo(f"next:\n  cryoctl run --device serial:{name or 'auto'}")


def _forget(device: str, remembered: Remembered) -> None:
    known = {port.device: port for port in usb_ports()}
    known.update({stable_path(path): port for path, port in list(known.items())})
    identity = known[device].identity if device in known else device
    row = remembered.named(device) or next(
        (row for row in remembered.ports if row.identity == identity), None
    )
    if row is None:
        rows = "".join(f"\n  {row.identity} {row.name}".rstrip() for row in remembered.ports)
        raise LinkError(f"{device}: not remembered. Remembered are:{rows or ' none'}")
    remembered.without(row).save()
    click.echo(f"forgot {row.identity}{f' ({row.name})' if row.name else ''}")
