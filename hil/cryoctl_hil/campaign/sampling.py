"""What each episode of a campaign is: drawn from the file and the episode's number alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from cryoctl_hil.campaign.spec import Campaign, Choices, Variation

FACTORS: Final = tuple(Choices.model_fields)
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Draw:
    """What is drawn for one episode.

    Attributes:
        episode: Its number, from 0.
        seed: Of sensor noise and everything else in it that is random.
        choice: One member of each factor.
        values: Numbers by name.
    """

    episode: int
    seed: int
    choice: dict[str, str]
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Point:
    """An episode that a search has chosen.

    Attributes:
        episode: Its number, from 0.
        at: Coordinates, 0 to 1 each: of every factor with more than one member, then every number.
    """

    episode: int
    at: tuple[float, ...]


class MissingScipyError(Exception):
    """A method of drawing that needs SciPy, which is not installed."""


def draws_of(campaign: Campaign) -> int:
    """Return how many draws a campaign has; of a grid, all combinations as often as asked."""
    table = campaign.table
    if table.method != "grid":
        return table.episodes
    return table.episodes * math.prod(_grid_shape(campaign))


def draw(campaign: Campaign, episode: int | Point) -> Draw:
    """Return what an episode is; at a point that a search has chosen, what lies there."""
    table = campaign.table
    if isinstance(episode, Point):
        return _at(campaign, episode.episode, _with_single_members(campaign, episode.at))
    if table.method == "grid":
        at = np.unravel_index(episode % math.prod(_grid_shape(campaign)), _grid_shape(campaign))
        picked = dict(zip((*FACTORS, *table.vary), map(int, at), strict=True))
        choice = {name: getattr(table.choose, name)[picked[name]] for name in FACTORS}
        values = {name: each.levels[picked[name]] for name, each in table.vary.items()}
        return Draw(episode, _seed(campaign, episode), choice, values)
    return _at(campaign, episode, [float(u) for u in _point(campaign, episode)])


def _at(campaign: Campaign, episode: int, point: Sequence[float]) -> Draw:
    table = campaign.table
    members = {name: getattr(table.choose, name) for name in FACTORS}
    choice = {
        name: members[name][int(u * len(members[name]))]
        for name, u in zip(FACTORS, point, strict=False)
    }
    values = {
        name: round(value_at(each, u), _DIGITS)
        for (name, each), u in zip(table.vary.items(), point[len(FACTORS) :], strict=True)
    }
    return Draw(episode, _seed(campaign, episode), choice, values)


def _seed(campaign: Campaign, episode: int) -> int:
    table = campaign.table
    if table.noise_seed is not None:
        return table.noise_seed
    text = f"{campaign.sha256} {table.seed} {episode}"
    return int.from_bytes(sha256(text.encode()).digest()[:4], "little")


def searched(campaign: Campaign) -> int:
    """Return how many coordinates a point has that a search chooses."""
    many = sum(len(getattr(campaign.table.choose, name)) > 1 for name in FACTORS)
    return many + len(campaign.table.vary)


def _with_single_members(campaign: Campaign, at: Sequence[float]) -> list[float]:
    """Return a whole point; a factor of one member has nothing to search for."""
    left = iter(at)
    choose = campaign.table.choose
    whole = [next(left) if len(getattr(choose, name)) > 1 else 0.0 for name in FACTORS]
    return [min(u, 1.0 - 1e-12) for u in (*whole, *left)]


def value_at(variation: Variation, u: float) -> float:
    """Return the value below which a share ``u`` of all values lies, 0 <= u < 1."""
    if variation.levels:
        return variation.levels[int(u * len(variation.levels))]
    low, high = variation.low, variation.high
    assert low is not None
    assert high is not None
    match variation.shape:
        case "log-uniform":
            return float(low * (high / low) ** u)
        case "normal":
            return _normal(variation, low, high, u)
        case "triangular":
            return _triangular(variation, low, high, u)
        case _:
            return low + (high - low) * u


def _normal(variation: Variation, low: float, high: float, u: float) -> float:
    """Cut off at both ends, the rest made whole again."""
    assert variation.mean is not None
    assert variation.sigma is not None
    bell = NormalDist(variation.mean, variation.sigma)
    below, above = bell.cdf(low), bell.cdf(high)
    share = min(max(below + (above - below) * u, 1e-12), 1.0 - 1e-12)
    return min(max(bell.inv_cdf(share), low), high)


def _triangular(variation: Variation, low: float, high: float, u: float) -> float:
    assert variation.mode is not None
    rising = (variation.mode - low) / (high - low)
    if u < rising:
        return low + math.sqrt(u * (high - low) * (variation.mode - low))
    return high - math.sqrt((1.0 - u) * (high - low) * (high - variation.mode))


def _grid_shape(campaign: Campaign) -> tuple[int, ...]:
    table = campaign.table
    members = (len(getattr(table.choose, name)) for name in FACTORS)
    return (*members, *(len(each.levels) for each in table.vary.values()))


def _point(campaign: Campaign, episode: int) -> NDArray[np.float64]:
    """Return a point of the unit cube, one coordinate for each factor and each number."""
    table = campaign.table
    size = len(FACTORS) + len(table.vary)
    if table.method == "random":
        key = np.array([table.seed, episode], dtype=np.uint64)
        return Generator(Philox(key=key)).random(size)
    points = _points(table.method, table.seed, size, table.episodes)
    row: NDArray[np.float64] = points[episode]
    return row


@cache
def _points(method: str, seed: int, size: int, episodes: int) -> NDArray[np.float64]:
    """Return all points of a method that spreads them out over the cube together."""
    try:
        from scipy.stats import qmc
    except ModuleNotFoundError as error:
        raise MissingScipyError(
            f"method {method!r} needs SciPy; install it: pip install 'cryoctl[campaign]', or use "
            "method 'random' or 'grid'"
        ) from error
    generator = Generator(Philox(seed))
    if method == "sobol":
        # A whole power of two, so that the sequence keeps its balance; what is not asked for is
        # left.
        drawn = qmc.Sobol(size, rng=generator).random_base2(max(0, (episodes - 1).bit_length()))
    else:
        drawn = qmc.LatinHypercube(size, rng=generator).random(episodes)
    points: NDArray[np.float64] = np.minimum(drawn, 1.0 - 1e-12)
    return points
