"""The operator of a real probe at a terminal: two words, typed one after the other (SR-26)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Final, Protocol

from cryoctl.core import Controller
from cryoctl.cycle_table import Phase
from cryoctl.operator_requests import Request, held_trip
from cryoctl.stimulation import STIMULUS_OFF, STIMULUS_S, Stimulation, Stimulus

_PLACING: Final = "Type stimulate HZ MS MA, such as stimulate 2 0.1 1, and placed at the end"

_ALWAYS: Final = {
    "stop": Request.STOP,
    "acknowledge": Request.ACKNOWLEDGE,
    "pause": Request.PAUSE_AUDIO,
}
"""Words of every phase."""
_WORDS: Final = {
    Phase.IDLE: ("reset",),
    Phase.READY: ("arm", "place"),
    Phase.ARMED: ("start",),
}
"""Those of one phase; placing has its own."""


class Lines(Protocol):
    """Where typed lines come from."""

    def take(self) -> str:
        """Return the oldest line not taken yet; empty if there is none."""
        ...


class TypedLines:
    """Reads lines in a thread of its own, so that no keyboard can hold up control.

    Args:
        stream: The keyboard.
        hurry: Called after each line: one that says stop waits for no tick.
    """

    def __init__(self, stream: IO[str], hurry: Callable[[], None]) -> None:
        self._lines: deque[str] = deque()

        def read() -> None:
            for line in stream:
                self._lines.append(line.strip().lower())
                hurry()

        threading.Thread(target=read, name="cryoctl-keyboard", daemon=True).start()

    def take(self) -> str:
        """Return the oldest line not taken yet; empty if there is none."""
        return self._lines.popleft() if self._lines else ""


class ConsoleOperator:
    """Begins by itself, which moves no gas; arms and starts when somebody types the words.

    Args:
        say: Shows a line to the operator.
        lines: What the operator types.
    """

    def __init__(self, say: Callable[[str], None], lines: Lines) -> None:
        self._say = say
        self._lines = lines
        self._told: tuple[Phase, str] | None = None
        self._placing = PlacingWords(say)

    def stays(self, controller: Controller) -> bool:
        """Return False: one treatment is all."""
        return False

    def act(self, controller: Controller, now_s: float) -> None:
        """Tell what is awaited, and pass on what was typed."""
        typed = self._lines.take()
        if _is_always_possible(self._say, typed, controller, now_s):
            return
        began_in = controller.phase
        match began_in:
            case Phase.IDLE:
                self._begin(controller, typed, now_s)
            case Phase.READY:
                self._arm(controller, typed, now_s)
            case Phase.PLACEMENT:
                self._tell(Phase.PLACEMENT, f"placing. {_PLACING}")
                self._placing.take(typed, controller, now_s)
            case Phase.ARMED:
                self._tell(Phase.ARMED, "armed. Type start and Enter within 10 s; Ctrl-C stops")
                if typed == "start":
                    _ask(self._say, controller, Request.START, now_s)
            case phase:
                self._told = None if self._told and self._told[0] is not phase else self._told
        self._refuse(typed, began_in)

    def _refuse(self, typed: str, phase: Phase) -> None:
        """Say so if a word does nothing now; it is not kept for later (SR-26)."""
        if typed and phase is not Phase.PLACEMENT and typed not in _WORDS.get(phase, ()):
            self._say(f"{typed!r} does nothing in {phase}")

    def _begin(self, controller: Controller, typed: str, now_s: float) -> None:
        held = held_trip(controller)
        if held is not None:
            self._reset(controller, held.reason, typed, now_s)
            return
        refusal = controller.request(Request.BEGIN, now_s)
        if refusal is not None:
            controller.give_up(f"begin refused: {refusal.reason}", now_s)

    def _reset(self, controller: Controller, why: str, typed: str, now_s: float) -> None:
        if not controller.desk.idle:
            return
        self._tell(Phase.IDLE, f"{why}. Type reset and Enter for that")
        if typed == "reset":
            _ask(self._say, controller, Request.RESET, now_s)
            self._told = None  # Told again if the probe does not do it.

    def _arm(self, controller: Controller, typed: str, now_s: float) -> None:
        blockers = controller.arm_blockers(now_s)
        if blockers:
            if typed:
                self._told = None  # Told again to whom asks again.
            self._tell(
                Phase.READY,
                "cannot be armed:\n" + "\n".join(f"  {b.id}: {b.text}" for b in blockers),
            )
            return
        self._tell(
            Phase.READY,
            "ready. Type arm and Enter when the probe is in place, or place to look for the nerve",
        )
        if typed == "arm":
            _ask(self._say, controller, Request.ARM, now_s)
        elif typed == "place":
            _ask(self._say, controller, Request.PLACE, now_s)
            self._told = None  # Told again when it comes back.

    def _tell(self, phase: Phase, text: str) -> None:
        if self._told != (phase, text):
            self._told = (phase, text)
            self._say(text)


class PlacingWords:
    """Carries out what is typed in PLACEMENT: stimuli, and the word that ends it.

    Args:
        say: Shows a line to the operator.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told_of: Stimulation | None = None

    def take(self, typed: str, controller: Controller, now_s: float) -> None:
        """Do what one line says, empty for none; tell what the last stimulus has done."""
        if _is_always_possible(self._say, typed, controller, now_s):
            return
        word, *numbers = typed.split() or [""]
        if word == "placed":
            _ask(self._say, controller, Request.PLACED, now_s)
        elif word == "stimulate":
            stimulus = _stimulus(numbers)
            if stimulus is None:
                self._say("stimulate takes three numbers: pulses a second, ms, mA")
            else:
                _ask(self._say, controller, Request.STIMULATE, now_s, stimulus)
        elif word:
            self._say(f"{word!r} is not possible while placing. {_PLACING}")
        self._tell_response(controller)

    def _tell_response(self, controller: Controller) -> None:
        """Say once what a stimulus has done."""
        stimulation = controller.stimulation
        if stimulation.counter is None or stimulation is self._told_of or not stimulation.is_over:
            return
        self._told_of = stimulation
        self._say(stimulation.words)


def _ask(
    say: Callable[[str], None],
    controller: Controller,
    request: Request,
    now_s: float,
    stimulus: Stimulus = STIMULUS_OFF,
) -> None:
    refusal = controller.request(request, now_s, stimulus)
    if refusal is not None:
        say(f"{request} refused: {refusal.reason}")


def _is_always_possible(
    say: Callable[[str], None], typed: str, controller: Controller, now_s: float
) -> bool:
    """Do what may be typed in every phase; return False if it is something else."""
    request = _ALWAYS.get(typed)
    if request is None:
        return False
    _ask(say, controller, request, now_s)
    return True


def _stimulus(numbers: list[str]) -> Stimulus | None:
    """Return what was typed as a stimulus, or None if it is none."""
    try:
        frequency_hz, pulse_ms, amplitude_ma = map(float, numbers)
        return Stimulus.of(
            frequency_hz=frequency_hz,
            pulse_ms=pulse_ms,
            amplitude_ma=amplitude_ma,
            duration_s=STIMULUS_S,
        )
    except ValueError:
        return None


class ConsoleHelper:
    """The helper of a session on a real probe: asks a person, who types a word when it is done.

    Args:
        say: Shows a line.
        lines: What is typed.
        names: Of the placements.
    """

    def __init__(self, say: Callable[[str], None], lines: Lines, names: Sequence[str]) -> None:
        self._say = say
        self._lines = lines
        self._names = names
        self._said = ""
        self._placing = PlacingWords(say)

    def place(self, controller: Controller, now_s: float) -> None:
        """Ask for the probe to be put in place; pass on stimuli until it is there."""
        number = controller.placement
        typed = self._answer(
            f"placement {number} of {len(self._names)}, {self._names[number - 1]}: put the probe "
            f"in place. {_PLACING}"
        )
        self._placing.take(typed, controller, now_s)
        if controller.phase is not Phase.PLACEMENT:
            self._said = ""

    def has_new_cartridge(self) -> bool:
        """Ask for a full cartridge."""
        typed = self._answer(
            "the gas left is not enough for the next placement (SR-22): put in a full cartridge, "
            "then type changed and Enter; Ctrl-C ends the session"
        )
        if typed == "changed":
            self._said = ""
        return typed == "changed"

    def _answer(self, prompt: str) -> str:
        """Show ``prompt`` once; return what was typed since, empty if nothing."""
        typed = self._lines.take()
        if self._said == prompt:
            return typed
        self._said = prompt
        self._say(prompt)
        return ""  # What was typed before was no answer to this.
