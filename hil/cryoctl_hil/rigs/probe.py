"""The probe on a rig, as a test sees it: ask, wait, bring to a state, leave safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.sample import Sample
from cryoctl.treatment import Treatment, default_treatment
from cryoctl_hil.evidence.measurement import AtMark
from cryoctl_hil.evidence.trace import MARK, LiveTrace
from cryoctl_hil.rigs.bench_host import BenchHost
from cryoctl_hil.rigs.drive import Drive
from cryoctl_hil.rigs.treating import Treating
from cryoctl_protocol.codes import Answer, DeviceState, Op, Result, SafeAction, ThawMode, Trip
from cryoctl_protocol.messages import Hello
from cryoctl_protocol.profile import Profile

CONNECT_S: Final = 5.0
ANSWER_S: Final = 1.0
"""Four tries 60 ms apart, and a tick of the probe."""
SELF_TEST_S: Final = 10.0
LEAK_TEST_S: Final = 20.0
THAW_S: Final = 180.0
"""A passive thaw takes about 90 s."""
SAFE_S: Final = 2.0
FRESH_S: Final = 0.1
"""Telemetry comes every 20 ms; a probe that is silent for longer gets a STOP at once."""
FREE_TIP_C: Final = 5.0
TREATMENT_HASH: Final = 0x00C0FFEE
LATCHED: Final = (DeviceState.SAFE, DeviceState.FAULT)

T = TypeVar("T")


class StalledError(AssertionError):
    """A step of a test did not come to its end in time."""


class UnsafeProbeError(Exception):
    """A probe that cannot be made safe: nothing more may be tried on this rig."""


class Probe:
    """A probe with a session open, driven one operation at a time.

    Args:
        host: Talks to it.
        drive: Moves time.
        profile: Of the probe.
        trace: Grows with every sample and event.

    Attributes:
        step: What is being waited for, for whoever asks why a test hangs.
        time_limit_s: When the test has taken too long, in the drive's time; None is never.
    """

    def __init__(self, host: BenchHost, drive: Drive, profile: Profile, trace: LiveTrace) -> None:
        self.host = host
        self.drive = drive
        self.profile = profile
        self.trace = trace
        self.step = ""
        self.time_limit_s: float | None = None
        self._marks: dict[str, int] = {}
        self.leak_tested = False
        self._voided: dict[int, int | None] = {}
        """Boot of the leak test that another one made void, by the other's counter."""

    # -- to look at ------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Time on the rig."""
        return self.drive.now_s

    @property
    def sample(self) -> Sample:
        """The newest telemetry."""
        assert self.host.sample is not None
        return self.host.sample

    @property
    def state(self) -> DeviceState:
        """What the probe says that it does."""
        return DeviceState(self.sample.state)

    @property
    def trip(self) -> Trip:
        """The first cause that the probe holds."""
        return Trip(self.sample.trip)

    @property
    def hello(self) -> Hello:
        """Who the probe says it is."""
        hello = self.host.session.hello
        assert hello is not None
        return hello

    @property
    def treatment(self) -> Treatment:
        """The built-in treatment of its profile."""
        return default_treatment(self.profile.probe.id)

    @property
    def leak_tested(self) -> bool:
        """True if the probe has passed its leak test since it was powered up."""
        return self._tested_boot == self.host.boots

    @leak_tested.setter
    def leak_tested(self, is_tested: bool) -> None:
        self._tested_boot = self.host.boots if is_tested else None

    # -- time ------------------------------------------------------------------------------------

    def wait(self, until: Callable[[Sample], bool], *, within_s: float, step: str) -> float:
        """Wait until a sample is as asked; return when that was.

        Args:
            until: Looked at with every sample.
            within_s: On the rig's clock.
            step: What is waited for, for the report: "the valve shuts".

        Raises:
            StalledError: It did not come in time; names the step.
        """
        host = self.host
        self._run(lambda: host.sample is not None and until(host.sample), within_s, step)
        return self.now_s

    def wait_for_state(self, *states: DeviceState, within_s: float) -> float:
        """Wait until the probe says that it is in one of ``states``; return when that was."""
        names = " or ".join(state.name for state in states)
        return self.wait(lambda s: s.state in states, within_s=within_s, step=f"state {names}")

    def let_pass(self, duration_s: float) -> None:
        """Let time go on, leases and all."""
        self._run(lambda: False, duration_s, "", is_wait=False)

    def _run(
        self, until: Callable[[], bool], within_s: float, step: str, *, is_wait: bool = True
    ) -> None:
        self.step = step
        limit_s = self.time_limit_s
        left_s = within_s if limit_s is None else min(within_s, limit_s - self.now_s)
        met = self.drive.run(until, left_s)
        if limit_s is not None and self.now_s >= limit_s and not met:
            raise StalledError(f"the test's time was up at: {step or 'letting time pass'}")
        if is_wait and not met:
            raise StalledError(f"not within {within_s:g} s: {step}; {self._where()}")
        self.step = ""

    def _where(self) -> str:
        sample = self.host.sample
        if sample is None:
            return "no telemetry"
        tip = "no reading" if sample.tip_temp_c is None else f"{sample.tip_temp_c:.1f} °C"
        return f"state {DeviceState(sample.state).name}, trip {Trip(sample.trip).name}, tip {tip}"

    def mark(self, name: str) -> AtMark:
        """Give the present moment a name, for measurements and plots."""
        number = self._marks[name] = self._marks.get(name, 0) + 1
        told = name if number == 1 else f"{name} {number}"
        self.drive.do(lambda now_s: self.host.log(MARK, now_s, name=told))
        return AtMark(name=told)

    # -- operations ------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open a session; return when telemetry proves it."""
        self.drive.attach(self.host)
        host = self.host
        self._run(lambda: host.is_open and host.sample is not None, CONNECT_S, "a session opens")

    def send(self, op: Op, **fields: int) -> int:
        """Send an operation, allowed or not; return its counter without waiting for an answer."""
        session = self.host.session
        self._run(lambda: not session.busy, ANSWER_S, f"the answer before {op.name}")
        counter = self.drive.do(lambda now_s: self.host.send(op, now_s, **fields))
        if op is Op.LEAK_TEST:
            self._voided[counter] = self._tested_boot
            self.leak_tested = False  # The older result is void, however this one ends.
        return counter

    def ask(self, op: Op, **fields: int) -> Answer:
        """Send an operation, allowed or not; return the probe's answer."""
        return self.answer_to(self.send(op, **fields))

    def answer_to(self, counter: int) -> Answer:
        """Wait for the answer to a command, by its counter, and for the next sample after it."""
        host = self.host
        self._run(
            lambda: counter in host.answers or counter in host.failed,
            ANSWER_S,
            f"the answer to command {counter}",
        )
        if counter in host.failed:
            raise StalledError(f"command {counter}: {host.failed[counter]}; {self._where()}")
        seen = host.samples
        self.drive.run(
            lambda: host.samples > seen, FRESH_S
        )  # The older one tells the state before.
        answer = host.answers[counter]
        tested_boot = self._voided.pop(counter, None)
        if tested_boot is not None and answer is not Answer.ACCEPTED:
            self._tested_boot = tested_boot  # What is refused changes nothing.
        return answer

    def command(self, op: Op, **fields: int) -> int:
        """Send an operation that the probe has to take; return its counter."""
        counter = self.send(op, **fields)
        answer = self.answer_to(counter)
        if answer is not Answer.ACCEPTED:
            raise AssertionError(f"{op.name} refused: {answer.name}; {self._where()}")
        return counter

    def result(self, counter: int, *, within_s: float, step: str) -> Result:
        """Wait for the end of an operation; return how it ended."""
        host = self.host
        self._run(lambda: counter in host.results, within_s, step)
        return host.results[counter]

    def stop(self, action: SafeAction = SafeAction.THAW) -> None:
        """Send STOP; return when the probe shows the safe state."""
        self.drive.do(lambda now_s: self.host.stop(now_s, action))
        self.wait(
            lambda s: s.state in LATCHED and _is_safe(s),
            within_s=SAFE_S,
            step="the probe is safe after STOP",
        )

    def clear(self) -> None:
        """Have the probe forget its trip, as soon as it will; return when it is IDLE."""
        if self.state not in LATCHED:
            return
        self._until_taken(Op.CLEAR, within_s=10.0)
        self.wait_for_state(DeviceState.IDLE, within_s=1.0)

    def _until_taken(self, op: Op, *, within_s: float) -> None:
        last_s = self.now_s + within_s
        while (answer := self.ask(op)) is not Answer.ACCEPTED:
            if self.now_s >= last_s:
                raise StalledError(
                    f"not within {within_s:g} s: {op.name} is taken ({answer.name}); "
                    f"{self._where()}"
                )
            self.let_pass(0.1)

    # -- into a state ----------------------------------------------------------------------------

    def self_test(self) -> Result:
        """Have the probe test itself; return how that ended."""
        counter = self.command(Op.SELF_TEST)
        return self.result(counter, within_s=SELF_TEST_S, step="the self-test ends")

    def leak_test(self) -> Result:
        """Have the probe test its line for leaks; return how that ended."""
        counter = self.command(Op.LEAK_TEST)
        result = self.result(counter, within_s=LEAK_TEST_S, step="the leak test ends")
        self.leak_tested = result is Result.OK
        return result

    def make_ready(self) -> None:
        """Test what was not tested in this session yet."""
        if not self.leak_tested:
            assert self.self_test() is Result.OK, "the self-test failed"
            assert self.leak_test() is Result.OK, "the leak test failed"

    def arm(self, cycles: int = 3) -> None:
        """Bring an idle probe to ARMED."""
        self.make_ready()
        self.command(Op.ARM, cycles=cycles, treatment_hash=TREATMENT_HASH)
        self.wait_for_state(DeviceState.ARMED, within_s=1.0)

    def start(self, cycles: int = 3) -> None:
        """Bring an idle probe to STARTED."""
        self.arm(cycles)
        self.command(Op.START, treatment_hash=TREATMENT_HASH)
        self.wait_for_state(DeviceState.STARTED, within_s=1.0)

    def freeze(
        self, setpoint_c: float | None = None, *, duration_s: float = 60.0, begun: bool = False
    ) -> None:
        """Bring an idle probe to FREEZE.

        Args:
            setpoint_c: None is that of the built-in treatment.
            duration_s: After which the probe's own timer ends it with a trip.
            begun: It is STARTED or thaws: nothing has to be armed.
        """
        if not begun:
            self.start()
        setpoint_c = self.treatment.cycles.setpoint_c if setpoint_c is None else setpoint_c
        self.command(
            Op.FREEZE,
            setpoint_mdegc=round(setpoint_c * 1000.0),
            duration_ms=round(duration_s * 1000.0),
        )
        self.wait_for_state(DeviceState.FREEZE, within_s=1.0)

    def cool_to(self, tip_c: float, *, within_s: float | None = None) -> None:
        """Wait, in FREEZE, until the tip is as cold."""
        limit_s = self.profile.limits.reach_s_max if within_s is None else within_s
        self.wait(
            lambda s: s.tip_temp_c is not None and s.tip_temp_c <= tip_c,
            within_s=limit_s,
            step=f"the tip cools to {tip_c:g} °C",
        )

    def thaw(self, *, active: bool = True) -> None:
        """End a freeze, by the heater or by the tissue alone; return when the needle is free."""
        self.command(
            Op.THAW,
            mode=ThawMode.ACTIVE if active else ThawMode.PASSIVE,
            energy_mj=round(self.profile.limits.thaw_energy_j_max * 1000.0) if active else 0,
        )
        self.wait_for_state(DeviceState.THAW, within_s=1.0)
        self.wait_until_free()

    def wait_until_free(self) -> None:
        """Wait until the tip is so warm that the needle cannot be frozen in."""
        self.wait(_is_free, within_s=THAW_S, step="the needle comes free")

    def end(self) -> None:
        """End whatever the probe does, if that is nothing that needs a STOP."""
        if self.state is DeviceState.IDLE:
            return
        self.command(Op.END)
        self.wait_for_state(DeviceState.IDLE, within_s=1.0)

    # -- by the controller -----------------------------------------------------------------------

    def treat(
        self,
        treatment: Treatment,
        *,
        within_s: float,
        while_freezing: Callable[[], object] | None = None,
    ) -> Controller:
        """Have the production controller drive a whole treatment; return it when it has ended.

        The bench's own session ends with it, and is opened anew afterwards.

        Args:
            treatment: What to do.
            within_s: How long that may take.
            while_freezing: Called once, when the first freeze holds its set-point.
        """
        host = self.host
        seed = host.nonce_seed + f" treatment at {self.now_s:.6f} s".encode()
        treating = Treating(treatment, self.profile, host.key, nonce_seed=seed, sink=host.sink)
        controller = treating.controller
        try:
            self.drive.attach(treating)
            if while_freezing is not None:
                self._run(
                    lambda: controller.finished or controller.phase is Phase.HOLD,
                    within_s,
                    "a freeze holds its set-point",
                )
                while_freezing()
            self._run(lambda: controller.finished, within_s, "the treatment ends")
        except BaseException:
            for body in self.drive.do(treating.crash):
                self.drive.send_raw(body)
            raise
        finally:
            self.drive.attach(host)
        self._run(lambda: host.is_open and host.sample is not None, CONNECT_S, "a session opens")
        return controller

    # -- afterwards ------------------------------------------------------------------------------

    def make_safe(self) -> None:
        """Leave the probe with every output off, whatever a test has left behind.

        Raises:
            UnsafeProbeError: No telemetry shows it.
        """
        self.time_limit_s = None
        cuts = self.drive.cuts
        cuts.to_device = cuts.to_host = False
        host = self.host
        host.leasing, host.claim = True, None

        if not self.drive.run(lambda: host.is_open, CONNECT_S):
            self.drive.attach(host)
        seen = host.samples

        def is_safe() -> bool:
            return host.samples > seen and host.sample is not None and _is_safe(host.sample)

        self.drive.run(lambda: host.samples > seen, FRESH_S)  # What was seen before is over.
        if is_safe():
            return
        for _ in range(3):
            self.drive.do(host.stop)
            if self.drive.run(is_safe, SAFE_S):
                return
        raise UnsafeProbeError(
            f"the probe cannot be seen safe after three STOPs ({self._where()}): take its power "
            "and its gas away"
        )

    def make_idle(self, is_leaving: Callable[[], bool] = lambda: False) -> None:
        """Wait until the needle is free and have the probe forget its trip, for the next test.

        Args:
            is_leaving: True leaves it as it is: there is no next test.
        """
        self.wait(
            lambda s: _is_free(s) or is_leaving(), within_s=THAW_S, step="the needle comes free"
        )
        if is_leaving():
            return
        self.clear()
        if self.state is not DeviceState.IDLE:
            self.end()

    def forget_marks(self) -> None:
        """Begin to count names of moments anew, with a new test."""
        self._marks.clear()

    def call(self, act: Callable[[float], T]) -> T:
        """Call ``act(now_s)`` between two steps of the rig."""
        return self.drive.do(act)

    def log(self, kind: str, **data: Any) -> None:
        """Write an event into recording and trace."""
        self.drive.do(lambda now_s: self.host.log(kind, now_s, **data))


def _is_safe(sample: Sample) -> bool:
    """Return True if no gas flows and nothing but a device-run thaw is on."""
    if sample.valve > 0.0 or sample.shutoff_open or sample.stimulus_ma > 0.0:
        return False
    is_off = sample.tip_heater <= 0.0 and sample.skin_warmer <= 0.0
    return is_off or sample.state in LATCHED


def _is_free(sample: Sample) -> bool:
    return sample.tip_temp_c is not None and sample.tip_temp_c > FREE_TIP_C
