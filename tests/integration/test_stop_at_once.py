"""A STOP that is asked for over a real link does not wait for the control tick."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.run_options import make_options
from cryoctl.runner import run_treatment
from cryoctl.stop_signals import StopSwitch
from cryoctl_hil.bench_probe import ticking_probe
from cryoctl_protocol.codes import Trip


@pytest.mark.real_time(prompt=True)
@pytest.mark.requirement("SR-29")
def test_a_stop_over_a_real_link_is_carried_out_between_two_ticks(tmp_path: Path) -> None:
    switch = StopSwitch()
    asked_s: list[float] = []
    ticks_s: list[float] = []

    def show(controller: Controller, now_s: float) -> None:
        ticks_s.append(now_s)
        if controller.phase is Phase.SELF_TEST and not asked_s:
            asked_s.append(now_s)
            switch.stop(leave=True)

    with ticking_probe("tcp") as served:
        options = make_options(
            None,
            device=served.address,
            seed=None,
            speed=None,
            settings=(),
            scenario=None,
            faults=(),
            vendor=None,
            cartridge_g=None,
            bench_waiver="",
            out=tmp_path / "run",
        )
        summary = run_treatment(options, switch, show)

    stopped = summary.trips[0]
    assert (stopped.id, summary.exit_code) == (Trip.OPERATOR_STOP.name, 130)
    next_tick_s = min(tick_s for tick_s in ticks_s if tick_s > asked_s[0])
    assert next_tick_s - stopped.at_s > 0.001
