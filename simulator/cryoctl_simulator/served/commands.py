"""``cryoctl sim``: the simulated probe as a serial or TCP port that any program can open."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from cryoctl_protocol.mqtt.address import MqttAddress
    from cryoctl_protocol.peer import DeviceUrl
    from cryoctl_simulator.served.board_ports import BoardPorts
    from cryoctl_simulator.served.endpoints import Endpoint
    from cryoctl_simulator.served.fault_port import FaultServer
    from cryoctl_simulator.served.server import ServedProbe

PORT_MAX: Final = 0xFFFF
PROFILE: Final = "n2o-20g"
_CONTROLLER: Final = "CONTROLLER"


class HostPort(click.ParamType[tuple[str, int]]):
    """``HOST:PORT``."""

    name = "host:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return host and port."""
        host, _, port = str(value).rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
            self.fail(f"{value!r} is not HOST:PORT, such as 127.0.0.1:7070", param, ctx)
        return host, int(port)


@click.command()
@click.option("--pty", is_flag=True, help="Serve as a serial port (not on Windows).")
@click.option("--tcp", type=HostPort(), help="Serve at HOST:PORT; port 0 takes a free one.")
@click.option("--mqtt", metavar="URL", help="Serve at a broker: mqtt://HOST/SITE or mqtts://...")
@click.option(
    "--fleet",
    "count",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="As many probes, with --mqtt; --serial is then what their names begin with.",
)
@click.option("--link", type=click.Path(path_type=Path), help="A path that leads to the pty.")
@click.option(
    "--profile", default=PROFILE, show_default=True, help="Of the probe: a name or a file."
)
@click.option("--scenario", metavar="FILE", help="Tissue, room and cartridge.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--serial", metavar="NAME", help="Serial number; its name at a broker.")
@click.option("--fault", "faults", multiple=True, metavar="ID@WHEN", help="Fault to simulate.")
@click.option(
    "--fault-port",
    type=click.IntRange(0, PORT_MAX),
    help="Take faults by JSON lines at this port of this machine; 0 takes a free one.",
)
@click.option(
    "--firmware",
    metavar="NAME",
    help="model, native, emulated, elf:PATH, or board:LINK,CHANNEL: your board at two ports.",
)
@click.option("--board", metavar="NAME", help="What an ELF file runs on, if not the virtual board.")
@click.option(
    "--gdb",
    type=click.IntRange(0, PORT_MAX),
    help="Take GDB at this port of this machine: it halts emulated firmware; 0 takes a free one.",
)
@click.option(
    "--dialect",
    type=click.Choice(["own", "ascii"]),
    default="own",
    show_default=True,
    help="What the probe speaks; ascii is another maker's, without protection of its own.",
)
@click.option("--baud", type=click.IntRange(1200, 4_000_000), default=115_200, show_default=True)
@click.option("--boot-on-open", is_flag=True, help="Opening the port resets the probe.")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Serial number and keys of the probe, as cryoctl keys export writes them.",
)
@click.option(
    "--log", type=click.Path(path_type=Path), help="Write every byte sent, with its time."
)
def sim(
    pty: bool,
    tcp: tuple[str, int] | None,
    mqtt: str | None,
    count: int | None,
    link: Path | None,
    profile: str,
    scenario: str | None,
    seed: int,
    serial: str | None,
    faults: tuple[str, ...],
    fault_port: int | None,
    firmware: str | None,
    board: str | None,
    gdb: int | None,
    dialect: str,
    baud: int,
    boot_on_open: bool,
    key_file: Path | None,
    log: Path | None,
) -> int:
    """Serve a simulated probe in real time until Ctrl-C.

    A serial port drops what nobody reads and sends at its baud rate; a TCP port has no rate. One
    program at a time. At a broker any number may listen, and one commands.
    """
    from cryoctl_simulator.served.endpoints import TcpEndpoint
    from cryoctl_simulator.served.server import ProbeServer

    if [pty, tcp is not None, mqtt is not None].count(True) != 1:
        raise click.UsageError(
            "give --pty for a serial port, --tcp HOST:PORT or --mqtt URL, one of them"
        )
    if link is not None and not pty:
        raise click.UsageError("--link is for --pty")
    if count is not None:
        if mqtt is None or dialect == "ascii":
            raise click.UsageError("--fleet is for --mqtt, and for probes that speak frames")
        _refuse_with_fleet(fault_port, key_file, log, boot_on_open, firmware)
        named = {"scenario": scenario, "firmware": firmware}
        params = [*(("fault", fault) for fault in faults)]
        params += [(key, value) for key, value in named.items() if value is not None]
        return _serve_fleet(mqtt, profile, params, count, seed, serial or "probe")
    if dialect == "ascii":
        _refuse_with_ascii(profile != PROFILE, faults, fault_port, firmware, gdb, mqtt, key_file)
    with contextlib.ExitStack() as stack:
        ended = _until_signal(stack)  # First: nothing that is made from here on may be left behind.
        ports = _open_board(stack, firmware, serial, key_file)
        named = {
            "serial": serial,
            "scenario": scenario,
            "firmware": None if ports else firmware,
            "board": board,
            "gdb": None if gdb is None else str(gdb),
        }
        params = [("seed", str(seed)), *(("fault", fault) for fault in faults)]
        params += [(key, value) for key, value in named.items() if value is not None]
        description, device, back_door = _make_probe(
            dialect, profile, params, fault_port, key_file, ports
        )
        if back_door is not None:
            stack.callback(back_door.close)
        endpoint: Endpoint
        if mqtt is not None:
            endpoint, place = _at_broker(mqtt, device)
        elif tcp is not None:
            endpoint = TcpEndpoint(*tcp)
            place = endpoint.address
        else:
            endpoint = _open_pty(link)
            place = endpoint.address
        stack.callback(endpoint.close)
        stream = None if log is None else stack.enter_context(log.open("w", buffering=1))
        server = ProbeServer(
            device,
            endpoint,
            baud=baud if pty else None,
            boots_on_open=boot_on_open,
            faults=back_door,
            log=stream,
        )
        click.echo(description)
        click.echo(f"at         {endpoint.address}")
        if back_door is not None:
            click.echo(f"faults at  {back_door.address}")
        click.echo(f"next:\n  cryoctl run{_arguments(dialect, profile, place)}")
        server.run(ended)
        click.echo(
            f"served {server.now_s:.0f} s, opened {endpoint.openings} times, "
            f"{endpoint.refused} refused, {server.dropped_bytes} bytes dropped, "
            f"{server.lost_ticks} ticks and {server.overrun_bytes} bytes lost"
        )
    return 0


def _refuse_with_fleet(
    fault_port: int | None,
    key_file: Path | None,
    log: Path | None,
    boot_on_open: bool,
    firmware: str | None,
) -> None:
    """Refuse what is for one probe alone."""
    from cryoctl_simulator.firmware_builds import BOARD

    is_board = firmware is not None and firmware.startswith(BOARD)
    if boot_on_open or is_board or (fault_port, key_file, log) != (None, None, None):
        raise click.UsageError(
            "--fleet takes no --fault-port, --key, --log, --boot-on-open and no board: each of "
            "them is for one probe"
        )


def _serve_fleet(
    url: str,
    profile: str,
    params: list[tuple[str, str]],
    count: int,
    seed: int,
    prefix: str,
) -> int:
    """Serve ``count`` probes at a broker until a signal; their seeds count on from the first."""
    import asyncio

    from cryoctl_protocol.mqtt.address import MqttAddress
    from cryoctl_protocol.peer import DeviceUrl
    from cryoctl_simulator.device import SimulatedDevice
    from cryoctl_simulator.link import open_link
    from cryoctl_simulator.served.fleet import TELEMETRY_PERIOD_S, FleetProbe, FleetServer

    address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
    probes, told = [], set[str]()

    def tell(line: str) -> None:
        # A broker that goes says so to every probe: once is enough.
        if line not in told:
            told.add(line)
            click.echo(f"broker     {line}", err=True)

    for number in range(count):
        named = [("seed", str((seed + number) % 2**32)), ("serial", f"{prefix}-{number}")]
        device = open_link(DeviceUrl("sim", profile, (*params, *named))).peer
        assert isinstance(device, SimulatedDevice)
        probes.append(FleetProbe(device, address, period_s=TELEMETRY_PERIOD_S, tell=tell))
    with contextlib.ExitStack() as stack:
        ended = _until_signal(stack)
        server = FleetServer(probes, address)
        where = str(address._replace(device=f"{prefix}-0"))
        click.echo(f"{count} probes, {prefix}-0 to {prefix}-{count - 1}, {profile}")
        click.echo(f"at         {url}")
        click.echo(f"next:\n  cryoctl fleet --mqtt {shlex.quote(url)}")
        click.echo(
            f"  cryoctl run{_arguments('own', profile, where + _query_of_controller(address))}"
        )
        asyncio.run(server.run(ended))
        click.echo(
            f"served {server.now_s:.0f} s, {server.telemetry} telemetry frames, "
            f"{server.dropped} payloads dropped, {server.lost_ticks} ticks lost"
        )
    return 0


def _refuse_with_ascii(*options: object) -> None:
    """Refuse what another maker's probe does not have."""
    if any(option not in (None, False, ()) for option in options):
        raise click.UsageError(
            f"--dialect ascii is one probe ({PROFILE}): it takes no profile, no firmware, no "
            "faults and no key, and has no frames for a broker"
        )


def _at_broker(url: str, device: ServedProbe) -> tuple[Endpoint, str]:
    """Return a place at a broker, and the address by which a controller finds it."""
    from cryoctl_protocol.mqtt.address import MqttAddress
    from cryoctl_protocol.peer import DeviceUrl
    from cryoctl_simulator.device import SimulatedDevice
    from cryoctl_simulator.served.mqtt_endpoint import MqttEndpoint

    assert isinstance(device, SimulatedDevice)

    def tell(line: str) -> None:
        click.echo(f"broker     {line}", err=True)

    address = MqttAddress.of(DeviceUrl.parse(url), site_only=True)
    endpoint = MqttEndpoint(address, device.device_id, tell)
    return endpoint, endpoint.address + _query_of_controller(address)


def _query_of_controller(address: MqttAddress) -> str:
    """Return how a controller gets in where the probe has got in by ``address``."""
    words = []
    if address.user is not None:
        words.append(f"user={_CONTROLLER}")
    if address.ca is not None:
        words.append(f"ca={address.ca}")
    if address.cert is not None:
        # Beside those of the probe, as cryoctl broker init writes them.
        path = Path(address.cert).with_name(_CONTROLLER)
        words += [f"cert={path}.crt", f"key={path}.key"]
    return "?" + "&".join(words) if words else ""


def _make_probe(
    dialect: str,
    profile: str,
    params: list[tuple[str, str]],
    fault_port: int | None,
    key_file: Path | None,
    ports: BoardPorts | None,
) -> tuple[str, ServedProbe, FaultServer | None]:
    """Return a line about the probe, the probe, and its back door if it is to have one."""
    from cryoctl_protocol.device_keys import FILE_SIZE_MAX, parse_device_keys
    from cryoctl_protocol.peer import DeviceUrl
    from cryoctl_protocol.private_file import read_private
    from cryoctl_simulator.ascii_probe import MODEL, AsciiProbe
    from cryoctl_simulator.device import SimulatedDevice
    from cryoctl_simulator.link import open_link
    from cryoctl_simulator.served.fault_port import FaultServer

    url = DeviceUrl("sim", profile, tuple(params))
    if ports is not None:
        return _meet_board(ports, url, fault_port)
    opened = open_link(url)
    device = opened.peer
    assert isinstance(device, SimulatedDevice)
    if dialect == "ascii":
        other = AsciiProbe.on_hardware_of(device)
        return f"{opened.description}, as a {MODEL} that speaks ASCII lines", other, None
    if key_file is not None:
        text = read_private(key_file, FILE_SIZE_MAX).decode("ascii", "replace")
        device.provision(parse_device_keys(text, str(key_file)), entropy=secrets.token_bytes(32))
    back_door = None if fault_port is None else FaultServer(device, fault_port)
    device.subscribe_to_crashes(lambda text, _now_s: click.echo(f"firmware   {text}", err=True))
    return opened.description, device, back_door


def _open_board(
    stack: contextlib.ExitStack, firmware: str | None, serial: str | None, key_file: Path | None
) -> BoardPorts | None:
    """Return the ports of a board, if the firmware is to be one."""
    from cryoctl_simulator.firmware_builds import BOARD

    if firmware is None or not firmware.startswith(BOARD):
        return None
    if serial is not None or key_file is not None:
        raise click.UsageError(
            "a board has a serial number and keys of its own: no --serial, --key"
        )
    from cryoctl_simulator.served.board_ports import BoardPorts

    ports = BoardPorts(firmware)
    stack.callback(ports.close)
    stack.callback(_tell_board, ports)
    return ports


def _tell_board(ports: BoardPorts) -> None:
    """Print how the board has done."""
    if ports.is_met:
        click.echo("\n".join(ports.report()))


def _meet_board(
    ports: BoardPorts, url: DeviceUrl, fault_port: int | None
) -> tuple[str, ServedProbe, FaultServer | None]:
    """Return what ``_make_probe`` does, with the firmware on a board that has said what it is."""
    from cryoctl_simulator.board_in_loop import BoardDevice
    from cryoctl_simulator.link import open_link
    from cryoctl_simulator.served.fault_port import FaultServer

    opened = open_link(url, partial(BoardDevice, board=ports.board))
    device = opened.peer
    assert isinstance(device, BoardDevice)
    ports.meet(device)
    back_door = None if fault_port is None else FaultServer(device, fault_port, ports.report)
    description = f"{opened.description}\nboard      {device.device_id} runs {ports.board.build}"
    return description, device, back_door


def _arguments(dialect: str, profile: str, address: str) -> str:
    """Return what ``cryoctl run`` needs for this probe."""
    if dialect == "ascii":
        return (
            " --set prewarm.duration_s=0 --bench-waiver bench --arm-and-start "
            f"--device '{address}?dialect=ascii&speaks_first=host'"
        )
    other = "" if profile == PROFILE else f" --profile {profile}"
    return f"{other} --arm-and-start --device {shlex.quote(address)}"


def _open_pty(link: Path | None) -> Endpoint:
    """Return a serial port that is not there; refuse where the system has no such thing."""
    if sys.platform != "win32":
        from cryoctl_simulator.served.pty_endpoint import PtyEndpoint

        return PtyEndpoint(link)
    raise click.UsageError(
        "pseudo-terminals do not exist on Windows; use --tcp HOST:PORT, such as "
        "--tcp 127.0.0.1:7070"
    )


def _until_signal(stack: contextlib.ExitStack) -> Callable[[], bool]:
    """Return what says that Ctrl-C, SIGTERM or the end of the terminal has come."""
    seen: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    # Unless somebody wanted us to outlive the terminal (nohup).
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        stack.callback(signal.signal, number, signal.signal(number, on_signal))
    return lambda: bool(seen)
