from __future__ import annotations

from tests.support.programs import needed_modules

needed_modules("unicorn", "elftools")

from cryoctl_simulator.emulated.upsets import Campaign, Outcome, Target, table
from tests.simulator.driver import Driver


def campaign() -> Campaign:
    """Return trials from the middle of a freeze."""
    driver = Driver("sim:?firmware=emulated")
    driver.start()
    driver.freeze()
    driver.run_s(2.0)
    assert driver.device.actuators.valve > 0.0
    return Campaign(driver.device, driver.now_s, seed=1)


def test_no_single_bit_keeps_the_valve_open_for_longer_than_500_ms() -> None:
    trials = campaign()
    done = [trials.trial(number) for number in range(30)]

    assert max(each.open_s for each in done) <= 0.5
    assert {each.target for each in done} == set(Target)
    assert {each.outcome for each in done} >= {Outcome.SILENT, Outcome.FAULT}
    assert Outcome.OPEN not in {each.outcome for each in done}
    assert sum(int(cell) for cell in table(done).split("|") if cell.strip().isdigit()) == 30


def test_a_trial_is_the_same_each_time() -> None:
    trials = campaign()
    first = [trials.trial(number) for number in range(4)]
    assert [trials.trial(number) for number in range(4)] == first
