"""Adaptive search: episodes are chosen to come ever nearer to a bound, by differential evolution.

A generation is asked for at once and judged when all of it is there, so that the same file comes to
the same episodes whatever the number of workers. What an earlier run of the same file has left is
taken from its rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from cryoctl.clock import monotonic_s
from cryoctl_hil.campaign.campaign_run import Tally, count_row, why_stop
from cryoctl_hil.campaign.executors import Executor, Lines
from cryoctl_hil.campaign.sampling import MissingScipyError, Point, searched
from cryoctl_hil.campaign.spec import Campaign
from cryoctl_hil.campaign.store import Store

FAR: Final = 1.0
"""Taken for the margin of an episode that has none."""
BROKEN: Final = -1.0
"""Taken off the margin of an episode that failed: nearer than any that did not."""


class _OverError(Exception):
    """Enough was looked at."""


def search_campaign(
    campaign: Campaign, store: Store, execute: Executor, show: Callable[[Tally, float], None]
) -> Tally:
    """Run episodes until so many are there as the file says, or failed as asked.

    Raises:
        MissingScipyError: SciPy is not installed.
    """
    try:
        from scipy.optimize import differential_evolution
    except ModuleNotFoundError as error:
        raise MissingScipyError(
            "a search needs SciPy; install it: pip install 'cryoctl[campaign]'"
        ) from error
    search = campaign.table.search
    assert search is not None
    looked = _Looked(campaign, store, execute, show)
    size = searched(campaign)
    generator = Generator(Philox(campaign.table.seed))
    try:
        while True:  # A population that has drawn together begins anew elsewhere.
            differential_evolution(
                looked.margins_at,
                [(0.0, 1.0)] * size,
                init=_spread(search.population, size, generator),
                maxiter=10_000,
                tol=0.01,
                polish=False,
                updating="deferred",
                vectorized=True,
                rng=generator,
            )
    except _OverError:
        pass
    looked.tally.result_sha256 = store.finish()
    return looked.tally


def _spread(population: int, size: int, generator: Generator) -> NDArray[np.float64]:
    """Return a first generation with one point in every stratum of each coordinate."""
    places = np.array([generator.permutation(population) for _ in range(size)]).T
    points: NDArray[np.float64] = (places + generator.random((population, size))) / population
    return points


class _Looked:
    """The episodes so far."""

    def __init__(
        self,
        campaign: Campaign,
        store: Store,
        execute: Executor,
        show: Callable[[Tally, float], None],
    ) -> None:
        self._campaign, self._store, self._execute, self._show = campaign, store, execute, show
        done = store.done()
        self._known = {row["episode"]: row for row in store.rows()} if done else {}
        self.tally = Tally(campaign.table.episodes, len(self._known), monotonic_s())
        for row in self._known.values():
            count_row(self.tally, row)
        self._next = 0

    def margins_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is to be made small at each column of ``points``, shape [size, number]."""
        numbers = range(self._next, self._next + points.shape[1])
        self._next = numbers.stop
        asked = [
            Point(number, tuple(map(float, column)))
            for number, column in zip(numbers, points.T, strict=True)
            if number < self._campaign.table.episodes
        ]
        rows = self._run([point for point in asked if point.episode not in self._known])
        rows |= {p.episode: self._known[p.episode] for p in asked if p.episode in self._known}
        reason = why_stop(self._campaign, self.tally, monotonic_s())
        if reason:
            self.tally.stopped = reason
        if reason or self._next >= self._campaign.table.episodes:
            raise _OverError
        return np.array([self._objective(rows[number]) for number in numbers])

    def _run(self, points: Sequence[Point]) -> dict[int, dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}
        # One by one: the generation ends when its slowest does.
        for lines in self._execute(self._campaign.text, [[point] for point in points]):
            self._take(lines, rows)
        return rows

    def _take(self, lines: Lines, rows: dict[int, dict[str, Any]]) -> None:
        self._store.append(lines)
        for line in lines:
            row = json.loads(line)
            rows[row["episode"]] = row
            self.tally.done += 1
            self.tally.virtual_s += row["virtual_s"]
            count_row(self.tally, row)
        self._show(self.tally, monotonic_s())

    def _objective(self, row: dict[str, Any]) -> float:
        search = self._campaign.table.search
        assert search is not None
        margins = row["margins"] or {}
        chosen = [value for name, value in margins.items() if name in (search.margins or margins)]
        return min(chosen, default=FAR) + (BROKEN if row["wrong"] else 0.0)
