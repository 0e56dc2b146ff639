"""``cryoctl.connect``: a live probe in Python, step by step; leaving it makes it safe."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from cryoctl.alarm_board import AlarmView
from cryoctl.arming import Blocker
from cryoctl.core import Controller
from cryoctl.cycle_table import ENDED, Phase
from cryoctl.cycles import Verdict
from cryoctl.live_session import BROKEN_OFF, LiveSession, ProbeError, why_ended
from cryoctl.results import Result
from cryoctl.run_options import FilePath, RunOptions, make_options, settings_of
from cryoctl.run_thread import LOOK_S, Outcome, start_run, wait_for
from cryoctl.sample import Sample
from cryoctl.stimulation import STIMULUS_S, Stimulus
from cryoctl.stop_signals import StopSwitch
from cryoctl.watch import Watch
from cryoctl_protocol.codes import StimulusResponse
from cryoctl_protocol.messages import Hello, unpadded
from cryoctl_protocol.peer import LinkError

_NOT_STARTED: Final = frozenset({Phase.IDLE, Phase.READY, Phase.PLACEMENT})


class ProbeView:
    """What anybody may see of a live session; figures are those of the last control tick."""

    def __init__(self, session: LiveSession, ended: Future[Outcome], switch: StopSwitch) -> None:
        self._session = session
        self._ended = ended
        self._switch = switch
        # Forgotten without a close, it is no more than a program that has ended.
        self._forgotten = weakref.finalize(self, session.abandon)

    @property
    def _controller(self) -> Controller:
        controller = self._session.controller
        assert controller is not None  # Nobody gets a probe before its first tick.
        return controller

    def __repr__(self) -> str:
        return f"<cryoctl.{type(self).__name__} {self.device_id}: {self.phase}>"

    @property
    def device_id(self) -> str:
        """What the probe calls itself."""
        return "" if self.hello is None else unpadded(self.hello.device_id)

    @property
    def hello(self) -> Hello | None:
        """Who the probe says it is, what it can do and what it has."""
        return self._controller.session.hello

    @property
    def phase(self) -> Phase:
        """Where the session stands."""
        return self._controller.phase

    @property
    def sample(self) -> Sample | None:
        """The newest telemetry of the session, in engineering units."""
        return self._controller.sample

    @property
    def stimulus_response(self) -> StimulusResponse | None:
        """The strongest response to the last stimulus; None if the probe cannot tell."""
        response = self._controller.stimulation.response
        return None if response is None else StimulusResponse(response)

    @property
    def blockers(self) -> list[Blocker]:
        """Every reason why ARM would be refused."""
        return self._controller.arm_blockers(self._session.ticked_s)

    @property
    def alarms(self) -> AlarmView:
        """The alarms that stand, most urgent first, and the sound that is due."""
        return self._controller.board.view(self._session.ticked_s)

    @property
    def verdict(self) -> Verdict | None:
        """How the treatment ended; None before it has."""
        return self._controller.verdict if self.phase in ENDED else None

    @property
    def why_ended(self) -> str:
        """What broke the treatment off; empty if nothing did."""
        return why_ended(self._controller) if self.phase in BROKEN_OFF else ""

    def _waits_on(self, until: object, started_s: float, timeout_s: float | None) -> bool:
        """Return True while a wait for ``until``, or for the end without one, makes sense."""
        if self.phase in ENDED:
            return False
        if until is None and self.phase in _NOT_STARTED:
            raise ProbeError(f"no treatment runs in {self.phase}: arm and start one first")
        if timeout_s is not None and not self._session.ticked_s - started_s <= timeout_s:
            raise TimeoutError(f"still {self.phase} after {timeout_s:g} s")
        return True


class Probe(ProbeView):
    """A live session with a probe, for programs that wait for each step.

    Use it in a ``with`` block: however that is left, the probe is stopped, seen safe, heated until
    the needle is free, and the recording closed. Ctrl-C while that lasts leaves as soon as the
    probe is safe.

    Every step raises ProbeError if the probe or an interlock has it otherwise.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def begin(self) -> None:
        """Have the probe test itself and its line for leaks, which takes 12 s."""
        _wait_for(self._session.begin())

    def place(self) -> None:
        """Begin to place the needle: only then the nerve may be stimulated."""
        _wait_for(self._session.place())

    def stimulate(
        self,
        *,
        frequency_hz: float,
        pulse_ms: float,
        amplitude_ma: float,
        duration_s: float = STIMULUS_S,
    ) -> StimulusResponse | None:
        """Stimulate the nerve through the tip; return the strongest response when it has ended.

        Args:
            frequency_hz: Pulses a second, 1 to 100: 2 for a twitch, 50 for a sensation.
            pulse_ms: Width of a pulse, 0.05 to 1.
            amplitude_ma: Constant current, up to the profile's ``stimulus_ma_max``; 0 ends what
                another thread has begun.
            duration_s: How long, 0.5 to 30, in the session's own time.

        Returns:
            What the probe saw; None if it has no sensor for that: then look at the patient.

        Raises:
            ProbeError: Refused, or broken off; out of PLACEMENT always.
            ValueError: A value that is no number.
        """
        stimulus = Stimulus.of(
            frequency_hz=frequency_hz,
            pulse_ms=pulse_ms,
            amplitude_ma=amplitude_ma,
            duration_s=duration_s,
        )
        _wait_for(self._session.stimulate(stimulus))
        return self.stimulus_response

    def placed(self) -> None:
        """Say that the needle is in place: only then the probe may be armed."""
        _wait_for(self._session.placed())

    def arm(self) -> None:
        """Arm for one treatment; START has to follow within 10 s."""
        _wait_for(self._session.arm())

    def start(self) -> None:
        """Start the treatment; return when the probe has taken it."""
        _wait_for(self._session.start())

    def stop(self) -> None:
        """Stop whatever goes on; return when the probe is safe, the needle perhaps frozen in."""
        _wait_for(self._session.stop())

    def reset(self) -> None:
        """Leave a treatment's end or a trip behind, so that another may begin."""
        _wait_for(self._session.reset())

    def acknowledge(self) -> None:
        """Quiet the alarms that stand now; they stay in sight while their cause does."""
        _wait_for(self._session.acknowledge())

    def pause_audio(self) -> None:
        """Silence the alarms that sound for two minutes, or until a new one comes."""
        _wait_for(self._session.pause_audio())

    def change_cartridge(self) -> None:
        """Take note, in IDLE, that a full cartridge was put in; a simulated probe gets one."""
        _wait_for(self._session.change_cartridge())

    def wait(
        self, until: Callable[[Probe], object] | None = None, *, timeout_s: float | None = None
    ) -> Verdict | None:
        """Wait until ``until`` returns something true of this probe, or the treatment has ended.

        Args:
            until: Looked at after each control tick; None waits for the end.
            timeout_s: In the session's own time, which a simulated probe may have run faster.

        Returns:
            The verdict if the treatment has ended, else None.

        Raises:
            TimeoutError: Neither came in time.
            ProbeError: There is nothing to wait for.
        """
        started_s = self._session.ticked_s
        while self._waits_on(until, started_s, timeout_s) and not (until and until(self)):
            _wait_for(self._session.tick())
        return self.verdict

    def inject(self, fault: str) -> None:
        """Have a fault simulated, such as ``tc_open@0s``; for ``sim:`` alone.

        Raises:
            ValueError: No such fault or moment.
        """
        _wait_for(self._session.inject(fault))

    def close(self) -> Result:
        """End the session as the ``with`` block does; return what it came to."""
        self._session.close()
        outcome = wait_for(self._ended, self._switch)
        self._forgotten.detach()
        return outcome.tell()


def _wait_for(done: Future[None]) -> None:
    while not done.done():
        wait([done], timeout=LOOK_S)
    done.result()


def connect(
    device: str,
    treatment: FilePath | None = None,
    *,
    seed: int | None = None,
    speed: float = 1.0,
    set: Mapping[str, object] | None = None,  # noqa: A002  # As the command line's option.
    scenario: FilePath | None = None,
    faults: Sequence[str] = (),
    vendor: FilePath | None = None,
    requirements: FilePath | None = None,
    cartridge_g: float | None = None,
    bench_waiver: str = "",
    scavenging: bool = False,
    out: FilePath | None = None,
    sign_key: FilePath | None = None,
    keys: FilePath | None = None,
) -> Probe:
    """Open a session with a probe; return it when it is IDLE.

    Args:
        device: Address, such as ``serial:/dev/ttyACM0``, ``tcp://HOST:PORT`` or ``sim:``.
        treatment: A file or a shipped name; None is the built-in one of the device's profile.
        seed: Of the simulated noise; None is the address's own, else 1.
        speed: Times real time, 0.1 to 1000; a real device runs at 1.
        set: Changes of the treatment by key, such as ``{"cycles.count": 2}``.
        scenario: What to simulate: a file or a shipped name.
        faults: To simulate, such as ``["tc_open@freeze+5s"]``.
        vendor: File with the table of the maker's messages.
        requirements: File with requirements of your own, which may tighten limits.
        cartridge_g: What the controller is to believe is in the cartridge, g; None is a full one.
        bench_waiver: Reason to command a device without lease and timer of its own; recorded.
        scavenging: The room's gas is drawn off: no alarm above 16 g vented within an hour.
        out: Folder of this session; None is a new one in ``runs``.
        sign_key: File with a key of 32 bytes or more that signs the audit trail.
        keys: Folder with the keys of devices; None is ``CRYOCTL_KEYS``, else the user's own.

    Raises:
        FileError: Mistakes in a file or in ``set``, each with its place and what is allowed.
        AddressError: An address, scenario or fault that cannot be; a kind of LinkError.
        LinkError: The device cannot be opened, or no session with it.
        FileExistsError: ``out`` holds a run.
        PlugInError: A plug-in that is installed cannot be used.
        ValueError: A number out of its range, or a wrong kind of value.
    """
    options = make_options(
        treatment,
        device=device,
        seed=seed,
        speed=speed,
        settings=settings_of(set or {}),
        scenario=scenario,
        faults=faults,
        vendor=vendor,
        requirements=requirements,
        cartridge_g=cartridge_g,
        bench_waiver=bench_waiver,
        scavenging=scavenging,
        out=out,
        sign_key=sign_key,
        keys=keys,
    )
    session, ended, switch = start_session(options)
    probe = Probe(session, ended, switch)
    try:
        _wait_for(session.connected())
    except ProbeError as error:
        raise LinkError(probe.close().failure or str(error)) from error
    except BaseException:
        probe.close()
        raise
    return probe


def start_session(
    options: RunOptions, watch: Watch | None = None
) -> tuple[LiveSession, Future[Outcome], StopSwitch]:
    """Begin a session in a thread of its own; ``watch`` looks on."""
    if options.speed is None:
        raise ValueError("speed None: a live session keeps a speed; give a number")
    switch = StopSwitch()
    session = LiveSession(switch)
    # A machine that is busy for a moment is no reason to end a session.
    ended = start_run(replace(options, may_slip=True), switch, session.on_opened, watch)
    ended.add_done_callback(lambda _: session.end())
    return session, ended, switch
