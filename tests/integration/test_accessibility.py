"""axe-core, in a real browser, finds nothing serious on any page that this project makes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cryoctl.report import render_report
from tests.support import recordings
from tests.support.builders import SHORT
from tests.support.dashboard import dashboard
from tests.support.hil_suites import cryoctl, write_rig, write_suite
from tests.support.programs import needed_program

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("browser"),  # One browser, not one in each worker.
]

WAIT_MS = 40_000.0  # On a machine that is busy with other tests.
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = needed_program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    yield opened
    context.close()


def serious(page: Page) -> list[str]:
    """Return every serious or critical finding of axe-core: rule, element, what is wrong."""
    if not page.evaluate("'axe' in window"):
        script = resources.files("axe_playwright_python") / "axe.min.js"
        page.evaluate(script.read_text("utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{rule['id']}: {' '.join(node['target'][0].split())}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def test_a_page_with_a_mistake_is_told(page: Page) -> None:
    page.set_content("<html><title>x</title><body><input><p style='color:#ccc'>pale</p></html>")

    assert {told.partition(":")[0] for told in serious(page)} >= {
        "label",
        "color-contrast",
        "html-has-lang",
    }


@SCHEMES
def test_every_part_of_the_dashboard(
    page: Page, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, list[str]] = {}
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    with dashboard() as web:
        page.goto(web.address.url)
        expect(page.locator("#seat")).to_contain_text("This page has control", timeout=WAIT_MS)
        parts = [link.inner_text() for link in page.locator("#tabs a").all()]
        _look(page, parts, "at first", found)
        page.get_by_role("link", name="Treatment").click()
        page.get_by_label("Text; every change is checked").fill(SHORT.replace("-40.0", "-95.0"))
        expect(page.locator(".problems li").first).to_contain_text("SR-06", timeout=WAIT_MS)
        found["mistakes"] = serious(page)
        _connect_and_break(page)
        _look(page, parts, "with an alarm", found)
        page.evaluate("document.getElementById('cover').hidden = false")
        found["cover"] = serious(page)

    assert "Live" in parts
    assert {where: told for where, told in found.items() if told} == {}


def _look(page: Page, parts: list[str], when: str, found: dict[str, list[str]]) -> None:
    for part in parts:
        page.get_by_role("link", name=part, exact=True).click()
        expect(page.locator("main > section:visible h1")).to_have_count(1)
        found[f"{part} {when}"] = serious(page)


def _connect_and_break(page: Page) -> None:
    """Run a treatment until its end is one with an alarm."""
    page.get_by_label("Text; every change is checked").fill(SHORT)
    expect(page.locator("#treatment .problems")).to_have_text("No mistakes.", timeout=WAIT_MS)
    page.get_by_role("link", name="Device").click()
    page.get_by_label("Speed of a simulator").fill("5")
    page.get_by_role("button", name="Connect", exact=True).click()
    for ask in ("begin", "arm", "start"):
        page.locator(f"button[data-ask={ask}]:not([disabled])").click()
    page.get_by_role("link", name="Faults").click()
    page.get_by_label("Search").first.fill("tc_open")
    page.get_by_role("button", name="Inject tc_open").click()
    page.locator("#alarms .alarm").first.wait_for()


def test_a_replay(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.mcap").write_bytes(recordings.record_treatment(trip_at_s=60.0))
    with dashboard() as web:
        page.goto(f"{web.address.url}#recordings")
        page.get_by_role("button", name="Replay").click()
        expect(page.locator(".player h2").first).to_contain_text("Replay of", timeout=WAIT_MS)

        assert serious(page) == []


def test_the_page_that_asks_for_the_token(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with dashboard(token="right") as web:
        page.goto(web.address.url)
        page.get_by_label("cryoctl ui has printed it").wait_for()

        assert serious(page) == []


@pytest.mark.parametrize("trip_at_s", [None, 60.0])
def test_the_report_of_a_run(page: Page, trip_at_s: float | None, tmp_path: Path) -> None:
    recorded = recordings.treatment(trip_at_s=trip_at_s)
    report = tmp_path / "report.html"
    report.write_text(render_report(recorded, recorded.summary or {}), encoding="utf-8")
    page.goto(report.as_uri())
    _unfold(page)
    wide = serious(page)
    page.set_viewport_size({"width": 390, "height": 800})

    assert wide == []
    assert serious(page) == []


def test_the_evidence_of_a_hil_suite(page: Page, tmp_path: Path) -> None:
    tests, rig = write_suite(tmp_path), write_rig(tmp_path)
    done = cryoctl("hil", tests, "--rig", rig, "--out", "out", cwd=tmp_path)
    page.goto((tmp_path / "out" / "report.html").as_uri())
    _unfold(page)

    assert "own sim" in page.inner_text("body"), done.stderr
    assert serious(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert serious(page) == []


def _unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
