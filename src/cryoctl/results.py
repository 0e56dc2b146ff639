"""The result of a run in Python, and the summary and report beside its recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import ValidationError

from cryoctl.cycles import Verdict
from cryoctl.export import tables
from cryoctl.plots import cycle_svg
from cryoctl.recording import Recording, RecordingError, Table, load_recording
from cryoctl.replay import Replayed, replay
from cryoctl.report import render_report
from cryoctl.run_options import FilePath
from cryoctl.summary import CycleSummary, FaultSummary, Summary, TripSummary

if TYPE_CHECKING:
    from pandas import DataFrame

_TABLES: Final = ("telemetry", "control", "truth", "estimate")
"""There for every run, though some may hold nothing."""


class ResultsError(Exception):
    """Summary or report of a run that could not be written; the text says which and why."""


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """A plot; a notebook shows it by itself.

    Attributes:
        svg: The picture as text.
    """

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: FilePath) -> Path:
        """Write the picture to a file, over one that is there; return its path.

        Raises:
            ValueError: The name does not end in ``.svg``.
            OSError: It cannot be written.
        """
        file = Path(path)
        if file.suffix.lower() != ".svg":
            raise ValueError(f"{file}: the picture is SVG; give a name that ends in .svg")
        file.write_text(self.svg, encoding="utf-8")
        return file


class Result:
    """A run as it stands in its recording; ``cryoctl.run`` and ``cryoctl.load`` return one.

    Tables are dictionaries of NumPy arrays by column, ``now_s`` being the time of each row.

    Attributes:
        recording: The file ``run.mcap``.
        summary: The whole summary; None if the run did not get that far.
    """

    def __init__(
        self, recording: Path, summary: Summary | None, loaded: Recording | None = None
    ) -> None:
        self.recording = recording
        self.summary = summary
        self._loaded = loaded

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Return the result of a run that has just ended."""
        assert summary.recording is not None
        return cls(Path(summary.recording), summary)

    def __repr__(self) -> str:
        return f"<cryoctl.Result {self.verdict or 'without a verdict'}: {self.recording}>"

    @property
    def folder(self) -> Path:
        """Where recording, ``summary.json`` and ``report.html`` are."""
        return self.recording.parent

    @property
    def verdict(self) -> Verdict | None:
        """How the run ended; None if the recording does not say."""
        return None if self.summary is None else self.summary.verdict

    @property
    def exit_code(self) -> int | None:
        """What the command line would have ended with."""
        return None if self.summary is None else self.summary.exit_code

    @property
    def failure(self) -> str:
        """What kept the run from being done, paced or recorded as asked; empty if nothing did."""
        return "" if self.summary is None else self.summary.failure

    @property
    def cycles(self) -> list[CycleSummary]:
        """The freeze/thaw cycles that were begun."""
        return [] if self.summary is None else self.summary.cycles

    @property
    def trips(self) -> list[TripSummary]:
        """Trips, the first cause first."""
        return [] if self.summary is None else self.summary.trips

    @property
    def alarms(self) -> list[str]:
        """Alarms by name, each once."""
        return [] if self.summary is None else self.summary.alarms

    @property
    def faults(self) -> list[FaultSummary]:
        """Simulated faults that were asked for, and when each began and ended."""
        return [] if self.summary is None else self.summary.faults

    @property
    def complete(self) -> bool:
        """False if the recording was cut off before the run's end."""
        return self.recorded.complete and self.recorded.summary is not None

    @property
    def recorded(self) -> Recording:
        """Everything in the recording, vendor messages included; read when first asked for.

        Raises:
            RecordingError: The file has gone or cannot be read.
        """
        if self._loaded is None:
            self._loaded = load_recording(self.recording)
        return self._loaded

    @property
    def telemetry(self) -> Table:
        """What the probe measured, 50 rows a second."""
        return self.recorded.telemetry

    @property
    def control(self) -> Table:
        """The controller's own state, 20 rows a second."""
        return self.recorded.control

    @property
    def truth(self) -> Table:
        """What was really so in the simulated plant; without columns for other devices."""
        return self.recorded.truth

    @property
    def estimate(self) -> Table:
        """Ice as the controller's observer reckons it, 2 rows a second in a freeze."""
        return self.recorded.estimate

    @property
    def events(self) -> list[dict[str, Any]]:
        """Phases, commands, trips and the rest in order, each with ``at_s`` and ``kind``."""
        return self.recorded.events

    @property
    def metadata(self) -> dict[str, str]:
        """Versions, profile, seed, and the texts of all files that shaped the run."""
        return self.recorded.metadata

    def to_pandas(self, table: str) -> DataFrame:
        """Return a table as a data frame, indexed by its time.

        Args:
            table: ``telemetry``, ``control``, ``truth``, ``estimate``, ``events``, or
                ``vendor_NAME``, as ``cryoctl export`` writes them.

        Raises:
            ImportError: pandas is not installed.
            ValueError: No such table.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install 'cryoctl[pandas]'") from error
        known: dict[str, Mapping[str, Any]] = {name: {} for name in _TABLES}
        known |= tables(self.recorded)
        if table not in known:
            raise ValueError(f"no table {table!r} in {self.recording}; known: {', '.join(known)}")
        columns = known[table] or {"now_s": []}
        return pd.DataFrame(columns).set_index(next(iter(columns)))

    def plot(self, *, window_s: tuple[float, float] | None = None) -> Picture:
        """Return the picture of the run: tip, phases, outputs, gas, and truth if there is any.

        Args:
            window_s: First and last second to show; None for all.
        """
        return Picture(cycle_svg(self.recorded, window_s=window_s))

    def replay(self, *, keys: FilePath | None = None) -> Replayed:
        """Run the controller again on the recorded inputs; return whether it decides the same.

        Args:
            keys: Folder with the keys of devices; None is ``CRYOCTL_KEYS``, else the user's own.
        """
        return replay(self.recording, keys=None if keys is None else Path(keys))


def load(recording: FilePath) -> Result:
    """Return the result of a recorded run, also of one that was killed.

    Args:
        recording: The file, such as ``runs/20261121-120000-n2o-20g/run.mcap``.

    Raises:
        RecordingError: It is not there, cannot be read, or is no recording of a run.
    """
    path = Path(recording)
    loaded = load_recording(path)
    return Result(path, _summary(loaded), loaded)


def _summary(recorded: Recording) -> Summary | None:
    if recorded.summary is None:
        return None
    try:
        return Summary.model_validate(recorded.summary)
    except ValidationError as error:
        raise RecordingError(
            f"{recorded.source}: its summary is not one that this program writes; cryoctl "
            f"{recorded.metadata.get('cryoctl')} wrote it"
        ) from error


def write_results(result: Result) -> Path:
    """Write summary and report beside the recording of a run; return the report's path.

    Raises:
        ResultsError: They could not be written.
    """
    summary, folder = result.summary, result.folder
    assert summary is not None
    report = folder / "report.html"
    try:
        text = summary.model_dump_json(indent=2)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
        page = render_report(result.recorded, summary.model_dump(mode="json"))
        report.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{folder}: results not written: {error.strerror or error}") from error
    except RecordingError as error:
        raise ResultsError(f"{folder}: results not written: {error}") from error
    return report
