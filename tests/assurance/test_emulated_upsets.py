"""1,500 single-bit upsets in the middle of a freeze: the table of what became of them."""

from __future__ import annotations

import os

import pytest

from tests.support.programs import needed_modules

needed_modules("unicorn", "elftools")

from cryoctl_simulator.emulated.upsets import Outcome, table
from tests.simulator.test_emulated_upsets import campaign


@pytest.mark.assure
@pytest.mark.timeout(3600)
def test_no_upset_keeps_the_valve_open_for_longer_than_500_ms() -> None:
    trials = campaign()
    done = [trials.trial(number) for number in range(int(os.environ.get("UPSETS", "1500")))]
    print(f"\n{table(done)}")

    assert [each for each in done if each.outcome is Outcome.OPEN] == []
