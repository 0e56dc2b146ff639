"""``cryoctl assure dashboard``: an hour of a dashboard in a browser takes no more and more memory.

A probe that tells 8 channels 50 times a second, a dashboard as people start it, and a page of it in
an installed Chromium without a window. The probe is at rest: what it tells is as much as in a
treatment.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from cryoctl.clock import monotonic_s
from cryoctl_hil.assurance.program import Measure, Outcome, Say
from cryoctl_hil.bench_load import usage
from cryoctl_hil.bench_probe import ticking_probe
from cryoctl_hil.dashboard_server import Server, dashboard_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

assert sys.platform == "linux"  # /proc tells what a process takes.

WATCHED_S: Final = 3600.0
SERVER_MIB_MAX: Final = 10.0
"""Gained in the time that was watched. The index of a recording alone takes 2 MiB an hour."""
BROWSER_MIB_MAX: Final = 30.0
"""Of all of its processes together; a browser puts off tidying up."""
SCRIPT_MIB_MAX: Final = 3.0
"""Of what is alive in the page's script, after a collection."""
BUSY_MAX: Final = 0.05
PICTURES_MIN: Final = 19.0
WARM_UP_S: Final = 20.0
SAMPLES: Final = 60
_SETTLED: Final = 0.25
"""Of the time watched: what is kept at a bounded length gets its length first."""
_WAIT_MS: Final = 60_000.0
_MIB: Final = 1024.0 * 1024.0
_OWN: Final = ("Pss_Anon:", "Pss_Shmem:")
"""Without files: our share of a library grows whenever another Chromium ends."""
_COUNT: Final = """
    window.picturesSeen = 0;
    const Plain = WebSocket;
    window.WebSocket = class extends Plain {
        constructor(url) {
            super(url);
            if (url.includes("/live")) this.addEventListener("message", () => picturesSeen += 1);
        }
    };
"""


class Look(NamedTuple):
    """What server and browser had taken at one moment; memory in MiB.

    Attributes:
        at_s: On the monotonic clock.
        web_cpu_s: Processor time of the thread that serves.
        server_cpu_s: Of its whole process, control and recorder included.
        script_mib: What is alive in the page's script.
        pictures: That the page had got.
    """

    at_s: float
    web_cpu_s: float
    server_cpu_s: float
    server_mib: float
    browser_mib: float
    script_mib: float
    pictures: int


def run(scale: float, say: Say) -> Outcome:
    """Watch a dashboard for ``scale`` hours."""
    with tempfile.TemporaryDirectory(prefix="cryoctl-dashboard-") as folder, ExitStack() as stack:
        served = stack.enter_context(ticking_probe("tcp"))
        server = stack.enter_context(dashboard_server(folder, served.address))
        page = stack.enter_context(open_page(server))
        page.wait_for_timeout(WARM_UP_S * 1000.0)
        return judge(_watch(server, page, WATCHED_S * scale, say))


@contextmanager
def open_page(server: Server) -> Iterator[Page]:
    """Yield the page of what is live in an installed Chromium.

    Raises:
        OSError: There is none.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise OSError("chromium is not installed: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(_WAIT_MS)
        page.add_init_script(_COUNT)
        page.goto(f"{server.origin}/#live")
        yield page
        browser.close()


def _watch(server: Server, page: Page, watched_s: float, say: Say) -> list[Look]:
    web_thread, tools = server.web_thread(), page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    began_s, looks = monotonic_s(), []
    for number in range(SAMPLES + 1):
        wait_s = began_s + number * watched_s / SAMPLES - monotonic_s()
        page.wait_for_timeout(max(0.0, wait_s) * 1000.0)
        tools.send("HeapProfiler.collectGarbage")
        metrics = tools.send("Performance.getMetrics")["metrics"]
        alive = next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize")
        whole = usage(server.pid)
        looks.append(
            Look(
                at_s=whole.at_s,
                web_cpu_s=_thread_cpu_s(server.pid, web_thread),
                server_cpu_s=whole.cpu_s,
                server_mib=whole.memory_mib,
                browser_mib=_browser_mib(),
                script_mib=alive / _MIB,
                pictures=page.evaluate("picturesSeen"),
            )
        )
        if number % (SAMPLES // 6) == 0:
            say(f"{whole.at_s - began_s:.0f} of {watched_s:.0f} s watched")
    return looks


def _thread_cpu_s(pid: int, thread: int) -> float:
    fields = Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])  # Behind the name: utime and stime, proc(5).
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _browser_mib() -> float:
    """Return what the processes of Chromium below ours have written, shared memory counted once."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue  # It has just ended.
        parents[int(stat.parent.name)] = (int(tail.split()[1]), head.partition("(")[2])
    return sum(
        _own_mib(pid) for pid, (_, name) in parents.items()
        if name.startswith("chrom") and _descends(pid, os.getpid(), parents)
    )  # fmt: skip


def _descends(pid: int, ancestor: int, parents: dict[int, tuple[int, str]]) -> bool:
    while pid in parents and pid != ancestor:
        pid = parents[pid][0]
    return pid == ancestor


def _own_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0  # It has just ended.
    return sum(int(line.split()[1]) for line in lines if line.startswith(_OWN)) / 1024.0


# -- what is made of it ---------------------------------------------------------------------------


def gain(looks: Sequence[Look], of: Callable[[Look], float]) -> float:
    """Return by how much something grew in the time watched, by its slope once it had settled."""
    kept = looks[round(_SETTLED * (len(looks) - 1)) :]
    slope, _ = statistics.linear_regression([one.at_s for one in kept], [of(one) for one in kept])
    return slope * (looks[-1].at_s - looks[0].at_s)


def judge(looks: Sequence[Look]) -> Outcome:
    """Return what some looks, in the order of their time, came to."""
    first, last = looks[0], looks[-1]
    watched_s = last.at_s - first.at_s
    web = (last.web_cpu_s - first.web_cpu_s) / watched_s
    whole = (last.server_cpu_s - first.server_cpu_s) / watched_s
    rate = (last.pictures - first.pictures) / watched_s
    slowest = min((b.pictures - a.pictures) / (b.at_s - a.at_s) for a, b in pairwise(looks))
    return Outcome(
        [
            _gained("server", looks, lambda look: look.server_mib, SERVER_MIB_MAX),
            _gained("browser", looks, lambda look: look.browser_mib, BROWSER_MIB_MAX),
            _gained("page's script", looks, lambda look: look.script_mib, SCRIPT_MIB_MAX),
            Measure(
                "dashboard: share of a core that serving takes", "<= 5 %",
                f"{web:.1%} (with control and recorder {whole:.1%})", web <= BUSY_MAX,
                (), web, BUSY_MAX,
            ),
            Measure(
                "dashboard: pictures a second that the page gets", ">= 19",
                f"{rate:.2f} (in the slowest {watched_s / (len(looks) - 1):.0f} s {slowest:.1f})",
                rate >= PICTURES_MIN, (), rate, PICTURES_MIN,
            ),
        ],
        {
            "columns": Look._fields,
            "rows": [[round(value, 2) for value in one] for one in looks],
        },
    )  # fmt: skip


def _gained(
    whose: str, looks: Sequence[Look], of: Callable[[Look], float], mib_max: float
) -> Measure:
    grown, hours = gain(looks, of), (looks[-1].at_s - looks[0].at_s) / 3600.0
    return Measure(
        f"dashboard: memory that the {whose} gains", f"<= {mib_max:g} MiB",
        f"{grown:+.1f} MiB in {hours:.2f} h, {of(looks[-1]):.0f} MiB in the end",
        grown <= mib_max, (), grown, mib_max, "MiB",
    )  # fmt: skip
