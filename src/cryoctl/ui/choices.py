"""What a page offers to choose from: devices that can be seen, and built-in treatments."""

from __future__ import annotations

from typing import Any

from cryoctl.files import DEFAULT_PROFILE
from cryoctl.known_ports import Remembered, UsbPort, stable_path, usb_ports
from cryoctl.port_hints import problem_of
from cryoctl.treatment import load_treatment, shipped_treatment_text, shipped_treatments
from cryoctl_protocol.profile import load_profile, profile_names


def device_choices() -> list[dict[str, Any]]:
    """Return simulators first, then serial ports; opens none of them."""
    simulated = [
        {
            "url": f"sim:{name}",
            "title": load_profile(name).probe.title,
            "kind": "simulator",
            "note": "",
            "profile": name,
        }
        for name in sorted(profile_names(), key=lambda name: name != DEFAULT_PROFILE)
    ]
    remembered = Remembered.load()
    return simulated + [_port(port, remembered) for port in usb_ports()]


def _port(port: UsbPort, remembered: Remembered) -> dict[str, Any]:
    row = remembered.find(port)
    known = "a known cryoprobe" if row is not None or port.is_own else "unknown"
    name = f" {row.name}" if row is not None and row.name else ""
    return {
        "url": f"serial:{stable_path(port.device)}",
        "title": f"{port.product or port.device}{name}",
        "kind": "serial port",
        "note": problem_of(port.device) or known,
        "profile": "",
    }


def treatment_choices() -> list[dict[str, str]]:
    """Return name, title, profile and text of every built-in treatment."""
    found = []
    for name in shipped_treatments():
        text = shipped_treatment_text(name)
        treatment = load_treatment(text, name)
        title = treatment.name or name
        found.append({"name": name, "title": title, "profile": treatment.profile, "text": text})
    return found
