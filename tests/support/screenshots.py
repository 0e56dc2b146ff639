"""The pictures of the dashboard in the documents: ``make screenshots``.

A real server, the simulated probe, and an installed Chromium.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryoctl.treatment import default_treatment_text
from cryoctl.ui.gate import Address
from cryoctl.ui.serving import WebServer
from cryoctl.ui.station import Station
from cryoctl.ui.wishes import ConnectWish

if TYPE_CHECKING:
    from playwright.sync_api import Page

SPEED: Final = 10.0
_WAIT_MS: Final = 60_000.0
_SETTLE_MS: Final = 1_500.0


def main() -> int:
    """Write the pictures into the folder that the first argument names."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("cryoctl: chromium is not installed: apt install chromium\n")
        return 2
    folder = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        station = Station()
        treatment, _ = default_treatment_text("n2o-20g")
        station.open(ConnectWish(device="sim:", treatment=treatment, speed=SPEED))
        with (
            WebServer(station, Address("127.0.0.1", 0)) as web,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=chromium)
            context = browser.new_context(viewport={"width": 1280, "height": 840})
            page = context.new_page()
            page.set_default_timeout(_WAIT_MS)
            page.goto(f"{web.address.url}#live")
            _take(page, folder)
            browser.close()
            station.abandon()
        os.chdir(folder)
    return 0


def _take(page: Page, folder: Path) -> None:
    """Take a picture in the second hold, and one of a fault in the dark."""
    for ask in ("begin", "arm", "start"):
        page.locator(f"button[data-ask={ask}]:not([disabled])").click()
    page.get_by_role("button", name="5 min").click()
    page.locator("#head-cycle:text('2 of')").wait_for()
    page.locator("#head-phase[data-phase=HOLD]").wait_for()
    page.wait_for_timeout(2 * _SETTLE_MS)
    page.screenshot(path=folder / "dashboard.png")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 1280, "height": 640})
    page.get_by_role("link", name="Faults").click()
    page.get_by_label("Search").first.fill("tip")
    page.get_by_role("button", name="Inject tc_open").click()
    page.locator("#alarms .alarm").first.wait_for()
    page.wait_for_timeout(_SETTLE_MS)
    page.screenshot(path=folder / "dashboard-alarm.png", animations="disabled")


if __name__ == "__main__":
    sys.exit(main())
