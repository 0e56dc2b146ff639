"""Finding the nerve with weak pulses of current: what may be asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, NamedTuple, Self

from cryoctl.permits import Refusal
from cryoctl_protocol.codes import Answer, Result, StimulusResponse
from cryoctl_protocol.profile import Limits

FREQUENCY_HZ_MIN: Final = 1.0
FREQUENCY_HZ_MAX: Final = 100.0
PULSE_MS_MIN: Final = 0.05
PULSE_MS_MAX: Final = 1.0
AMPLITUDE_MA_MIN: Final = 0.001
DURATION_S_MIN: Final = 0.5  # One pulse at 2 Hz; a response takes the probe 0.2 s to tell.
DURATION_S_MAX: Final = 30.0  # SR-41: a forgotten stimulus ends soon.
STIMULUS_S: Final = 2.0
"""A stimulus lasts this long if nobody says otherwise: four pulses at 2 Hz."""


class Stimulus(NamedTuple):
    """Pulses of constant current; an amplitude of 0 is none, whatever the rest says."""

    frequency_hz: float = 0.0
    pulse_ms: float = 0.0
    amplitude_ma: float = 0.0
    duration_s: float = 0.0

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return a stimulus of numbers as a person or a program gave them.

        Raises:
            ValueError: One of them is no finite number.
        """
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
                raise ValueError(f"{name} {value!r}: expected a number")
        return cls(**{name: float(value) for name, value in values.items()})


STIMULUS_OFF: Final = Stimulus()


@dataclass(slots=True)
class Stimulation:
    """One stimulus from the command to its end.

    Attributes:
        counter: Of the command; None until the probe has answered it.
        answer: The probe's; None until then.
        result: How it ended; None while it goes on.
        response: Strongest ``StimulusResponse`` so far; None if the probe cannot tell.
    """

    counter: int | None = None
    answer: Answer | None = None
    result: Result | None = None
    response: int | None = None

    @property
    def is_over(self) -> bool:
        """True once nothing of it can be on."""
        return self.result is not None

    @property
    def words(self) -> str:
        """How it ended, for people."""
        if self.answer not in (None, Answer.ACCEPTED):
            return f"the probe refused to stimulate: {self.answer.name}"
        if self.result is not Result.OK:
            return "the probe broke the stimulation off: its tip is too cold or not seen"
        if self.response is None:
            return "stimulated; the probe cannot tell a response: look at the patient"
        return f"response: {StimulusResponse(self.response).name}"

    def take_answer(self, counter: int, answer: Answer) -> None:
        """Take note of what the probe said to the command."""
        self.counter, self.answer = counter, answer
        if answer is not Answer.ACCEPTED:
            self.end(Result.FAILED)

    def take_response(self, response: int | None) -> None:
        """Take a sample's response; the strongest stays."""
        if response is not None:
            self.response = response if self.response is None else max(self.response, response)

    def end(self, result: Result) -> None:
        """Take note of its end; the first stays."""
        if self.result is None:
            self.result = result


def out_of_range(stimulus: Stimulus, limits: Limits) -> Refusal | None:
    """Return which value no probe of this profile may be asked for, or None."""
    wrong = list(_problems(stimulus, limits))
    return Refusal("; ".join(wrong)) if wrong else None


def _problems(stimulus: Stimulus, limits: Limits) -> Iterator[str]:
    if stimulus.amplitude_ma == 0.0:
        return
    frequency_hz = stimulus.frequency_hz
    for name, value, low, high, unit in (
        ("frequency_hz", frequency_hz, FREQUENCY_HZ_MIN, FREQUENCY_HZ_MAX, "Hz"),
        ("pulse_ms", stimulus.pulse_ms, PULSE_MS_MIN, PULSE_MS_MAX, "ms"),
        (
            "amplitude_ma",
            stimulus.amplitude_ma,
            AMPLITUDE_MA_MIN,
            limits.stimulus_ma_max,
            "mA, or 0 to turn it off",
        ),
        ("duration_s", stimulus.duration_s, DURATION_S_MIN, DURATION_S_MAX, "s"),
    ):
        if not low <= value <= high:
            yield f"{name} {value:g} is out of range ({low:g} to {high:g} {unit})"
        elif name == "frequency_hz" and value != round(value):
            yield f"{name} {value:g}: a whole number of pulses a second, such as 2 or 50"
