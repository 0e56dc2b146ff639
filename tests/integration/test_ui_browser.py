"""The dashboard in a real browser: mouse, keyboard alone, STOP everywhere, a server that dies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cryoctl.ui.serving import WebServer
from cryoctl.ui.station import Station
from tests.support.builders import SHORT
from tests.support.dashboard import dashboard
from tests.support.programs import needed_program

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("browser"),  # One browser, not one in each worker.
]

PARTS = ["device", "treatment", "live", "faults", "recordings", "help", "log"]
TABS_MAX = 120
SPEED = "5"
"""Times real time: what is left of the 10 s from ARM to START is enough for a slow browser."""
WAIT_MS = 40_000  # On a machine that is busy with other tests.
COVERED_MS = 1000


expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = needed_program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium, args=["--autoplay-policy=user-gesture-required"]
        )
        yield started
        started.close()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.chdir(tmp_path)
    with dashboard() as served:
        yield served


@pytest.fixture
def page(web: WebServer, browser: Browser) -> Iterator[Page]:
    """A page of its own; fails the test if it asks elsewhere, or has an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    context.on(
        "request",
        lambda asked: None if asked.url.startswith(web.address.url) else wrong.append(asked.url),
    )
    opened.goto(web.address.url)
    expect(opened.locator("#seat")).to_contain_text("This page has control")
    yield opened
    context.close()
    # A refusal is an answer with status 409, which the console calls an error.
    assert [text for text in wrong if "409" not in text] == []


def connect(page: Page, *, speed: str = SPEED, treatment: str = SHORT) -> None:
    """Type a treatment and connect with the first simulator."""
    page.get_by_role("link", name="Treatment").click()
    page.get_by_label("Text; every change is checked").fill(treatment)
    expect(page.locator("#treatment .problems")).to_have_text("No mistakes.")
    page.get_by_role("link", name="Device").click()
    page.get_by_label("Speed of a simulator").fill(speed)
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.locator("#link")).to_have_text("connected")


def start(page: Page) -> None:
    """Take the session from IDLE to a running treatment."""
    page.get_by_role("button", name="Begin: test probe and line").click()
    page.get_by_role("button", name="ARM", exact=True).click()
    page.locator("button[data-ask=start]").click()


def test_the_whole_path_from_opening_the_page_to_a_report(page: Page) -> None:
    connect(page)
    expect(page.locator(".blockers")).to_contain_text("no passed leak test")
    start(page)
    expect(page.locator("#head-phase")).to_have_text("COMPLETE")
    expect(page.locator(".verdict").first).to_have_text("Verdict: PASS")
    expect(page.locator(".cycles td").nth(6)).to_have_text("PASS")
    page.get_by_role("link", name="Device").click()
    page.get_by_role("button", name="Disconnect").click()
    expect(page.locator("#link")).to_have_text("session over")
    page.get_by_role("link", name="Recordings").click()
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".player h2").first).to_contain_text("Replay of")
    page.get_by_label("Seek").fill("5")
    expect(page.locator(".transport output")).to_contain_text("0:05 of")
    page.get_by_label("Speed", exact=True).select_option("50")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".transport button")).to_have_text("Play")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Report").click()
    expect(opened.value.locator("body")).to_contain_text("PASS")


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    def reach(selector: str) -> None:
        for _ in range(TABS_MAX):
            page.keyboard.press("Tab")
            if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    reach("#tabs a[href='#treatment']")
    page.keyboard.press("Enter")
    reach("#treatment-text")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(SHORT)
    expect(page.locator("#treatment .problems")).to_have_text("No mistakes.")
    reach("#tabs a[href='#device']")
    page.keyboard.press("Enter")
    reach("#device-speed")
    page.keyboard.press("Control+A")
    page.keyboard.type(SPEED)
    reach("#device form button.primary")
    page.keyboard.press("Enter")
    for wanted in ("begin", "arm", "start"):
        expect(page.locator(f"button[data-ask={wanted}]:not([disabled])")).to_be_visible()
        reach(f"button[data-ask={wanted}]")
        page.keyboard.press("Enter")
    expect(page.locator("#head-phase")).to_have_text("COMPLETE")


@pytest.mark.requirement("SR-29")
@pytest.mark.parametrize("key", ["Space", "Escape", ""])
def test_stop_ends_a_freeze(page: Page, key: str) -> None:
    # Long enough to be seen by a browser that gets little of the processor.
    connect(page, treatment=SHORT.replace("hold_s = 2.0", "hold_s = 120.0"))
    start(page)
    expect(page.locator("#head-phase")).to_have_text(re.compile("COOLING|HOLD"))
    if key:
        page.keyboard.press(key)
    else:
        page.get_by_role("button", name="STOP").click()

    expect(page.locator("#alarms")).to_contain_text("OPERATOR_STOP")
    expect(page.locator("#head-phase")).to_have_text("FAULT")


@pytest.mark.requirement("SR-30")
def test_every_part_stops_by_button_and_keys(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    presses: list[float] = []
    monkeypatch.setattr(Station, "stop", lambda _station: presses.append(time.monotonic()))
    for count, part in enumerate(PARTS):
        page.goto(f"{page.url.split('#')[0]}#{part}")
        expect(page.locator(f"#{part}")).to_be_visible()
        ways: list[Callable[[], None]] = [
            lambda: page.keyboard.press("Escape"),
            lambda: page.keyboard.press("Space"),
            lambda: page.get_by_role("button", name="STOP").click(),
            lambda: page.get_by_role("button", name="STOP").press("Enter"),
        ]
        for number, press in enumerate(ways, 1):
            press()
            page.wait_for_timeout(60)
            assert len(presses) == 4 * count + number, f"{part}, way {number}"


@pytest.mark.requirement("SR-30")
def test_space_types_in_a_text_and_escape_stops_there_too(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    presses: list[float] = []
    monkeypatch.setattr(Station, "stop", lambda _station: presses.append(0.0))
    page.get_by_role("link", name="Treatment").click()
    text = page.get_by_label("Text; every change is checked")
    text.fill("a")
    text.press("Space")
    assert text.input_value() == "a "
    assert presses == []
    text.press("Escape")
    page.wait_for_timeout(100)
    assert presses == [0.0]


@pytest.mark.requirement("SR-30")
@pytest.mark.parametrize("width", [320, 390, 1280, 2560, 3840])
def test_stop_is_in_sight_and_nothing_lies_on_it_at_any_width(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 720})
    on_top = """() => {
        const box = document.getElementById("stop").getBoundingClientRect();
        const points = [[0.5, 0.5], [0.05, 0.1], [0.95, 0.9]];
        return points.every(([x, y]) => {
            const at = [box.left + x * box.width, box.top + y * box.height];
            const hit = document.elementFromPoint(...at);
            return hit !== null && hit.closest("#stop") !== null;
        }) && box.width >= 100 && box.height >= 44;
    }"""
    for part in PARTS:
        page.goto(f"{page.url.split('#')[0]}#{part}")
        expect(page.locator(f"#{part}")).to_be_visible()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert page.evaluate(on_top), f"{part} at {width} px"
    page.evaluate("document.getElementById('cover').hidden = false")
    assert page.evaluate(on_top), f"under the cover at {width} px"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.requirement("SR-31")
def test_an_alarm_is_shown_by_word_mark_colour_and_flash_and_can_be_left_behind(
    page: Page,
) -> None:
    connect(page)
    page.get_by_role("link", name="Faults").click()
    page.get_by_label("Search").first.fill("button stuck")
    page.get_by_label("Search").first.fill("tc_open")
    page.get_by_role("button", name="Inject tc_open").click()
    alarm = page.locator("#alarms .alarm").first
    expect(alarm.locator(".alarm-mark")).to_have_text("!!!")
    expect(alarm).to_contain_text("TIP_SENSOR")
    expect(alarm).to_contain_text("HIGH, first cause")
    look = alarm.evaluate(
        """row => ({
            colour: getComputedStyle(row).backgroundColor,
            flash: getComputedStyle(row.querySelector(".alarm-mark")).animationDuration,
        })"""
    )
    expect(page.locator(".fault-active")).to_contain_text("present")
    page.get_by_role("link", name="What TIP_SENSOR means").click()
    expect(page.locator(".meaning[data-asked] h2")).to_contain_text("TIP_SENSOR")
    expect(page.locator(".meaning[data-asked] .do")).to_contain_text("The reading is false")
    page.locator(".meaning[data-asked]").get_by_role("link", name="tc_open").click()
    page.get_by_role("button", name="Clear tc_open").click()
    expect(page.locator(".fault-active")).to_contain_text("over")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("link", name="Live").click()
    page.locator("button[data-ask=reset]").click()
    expect(page.locator("#head-phase")).to_have_text("IDLE")
    expect(page.locator("#alarms")).to_be_hidden()

    assert look["flash"] == "0.5s"  # 2 Hz.
    assert look["colour"] == "rgb(196, 22, 28)"


@pytest.mark.requirement("SR-31")
def test_values_are_covered_within_a_second_when_the_server_is_killed(
    browser: Browser, tmp_path: Path
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "cryoctl", "ui", "--port", "0", "--no-token"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().removeprefix("dashboard: ").strip()
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        expect(page.locator("#link")).to_have_text("not connected")
        expect(page.locator("#cover")).to_be_hidden()
        server.kill()
        page.wait_for_selector("#cover:not([hidden])", timeout=COVERED_MS)
        expect(page.locator("#link")).to_have_text("no server")
        assert page.locator("#stop").is_enabled()
        context.close()
    finally:
        server.kill()
        server.communicate()


def test_a_peak_of_one_row_is_kept_by_the_page_as_by_the_server(page: Page) -> None:
    shown = page.evaluate(
        """async () => {
            const { Trace } = await import("/static/trace.js");
            const trace = new Trace(["t", "tip_c", "phase"]);
            for (let at = 0; at < 180000; at += 1) {
                trace.add([[at / 50, at === 90001 ? 55 : at === 1667 ? null : -60, 10]]);
            }
            const views = [30, 300, null].map((seconds) => trace.window(seconds, 3600));
            return views.map(([times, tips]) => ({
                rows: times.length,
                from: times[0],
                peaks: tips.filter((tip) => tip !== -60),
                isSorted: times.every((time, index) => index === 0 || time >= times[index - 1]),
            }));
        }"""
    )

    assert [view["peaks"] for view in shown] == [[], [], [55]]
    assert all(view["isSorted"] for view in shown)
    assert all(1400 <= view["rows"] <= 3002 for view in shown)
    assert shown[2]["from"] == 0


def test_a_finished_suite_stands_beside_the_recordings(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "hil-1"
    folder.mkdir(parents=True)
    evidence = {
        "verdict": "FAIL",
        "rig": "sim",
        "started_utc": "2026-11-22T08:32:10+00:00",
        "ended_utc": "2026-11-22T08:40:00+00:00",
        "tests": [{"id": "test_b", "verdict": "FAIL", "why": "<img src=x>"}],
    }
    (folder / "evidence.json").write_text(json.dumps(evidence))
    (folder / "report.html").write_text("<h1>FAIL</h1><script>document.title = 'ran'</script>")
    page.get_by_role("link", name="Recordings").click()
    row = page.locator(".suites tbody tr")
    expect(row).to_contain_text("0 of 1 PASS")
    row.locator("summary").click()
    expect(row.locator("li")).to_have_text("test_b: <img src=x>")
    with page.context.expect_page() as opened:
        row.get_by_role("link", name="Report of hil-1").click()
    expect(opened.value.locator("h1")).to_have_text("FAIL")
    assert opened.value.title() != "ran"


def test_text_from_a_file_is_text_and_never_markup(page: Page) -> None:
    page.get_by_role("link", name="Treatment").click()
    hostile = "<img src=x onerror=alert(1)>"
    page.get_by_label("Text; every change is checked").fill(
        SHORT.replace("One short cycle", hostile)
    )
    expect(page.locator("#treatment .problems")).to_have_text("No mistakes.")
    page.get_by_role("link", name="Device").click()
    expect(page.locator("#device form")).to_contain_text(hostile)

    assert page.locator("img").count() == 0


def test_mistakes_are_told_with_their_line_while_one_types(page: Page) -> None:
    page.get_by_role("link", name="Treatment").click()
    page.get_by_label("Text; every change is checked").fill(SHORT.replace("-40.0", "-95.0"))

    expect(page.locator(".problems li").first).to_contain_text("line 7: cycles.setpoint_c")
    expect(page.locator(".problems li").first).to_contain_text("breaks SR-06")
    expect(page.locator(".line-numbers .wrong")).to_have_text("7")


def test_a_second_page_only_looks(page: Page, browser: Browser, web: WebServer) -> None:
    connect(page)
    context = browser.new_context()
    second = context.new_page()
    second.goto(f"{web.address.url}#live")
    expect(second.locator("#seat")).to_contain_text("Looking only; STOP works")
    expect(second.locator("button[data-ask=begin]")).to_be_disabled()
    expect(second.locator("#head-phase")).to_have_text("IDLE")
    page.close()
    expect(second.get_by_role("button", name="Take control")).to_be_enabled()
    second.get_by_role("button", name="Take control").click()
    expect(second.locator("button[data-ask=begin]")).to_be_enabled()
    context.close()


def test_a_token_in_the_address_lets_in_and_does_not_stay_there(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with dashboard(token="right") as web:
        context = browser.new_context()
        page = context.new_page()
        page.goto(web.address.url)
        expect(page.get_by_label("cryoctl ui has printed it")).to_be_visible()
        second = context.new_page()
        second.goto(f"{web.address.url}#token=right")
        expect(second.locator("#link")).to_have_text("not connected")
        assert "right" not in second.url
        context.close()
