"""Breadth-first search of everything a step function can come to, with the shortest way there."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

VIOLATIONS_MAX = 20
"""A search that has found so many has found enough."""

State = TypeVar("State")


class World(Protocol[State]):
    """A step function, its inputs, and what makes two of its states the same."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the inputs; the search calls them by their place."""
        ...

    def start(self) -> State:
        """Return the state after power-up."""
        ...

    def step(self, state: State, index: int) -> tuple[State, list[str]]:
        """Return the state after input ``index``, and every claim that the step broke."""
        ...

    def key(self, state: State) -> Hashable:
        """Return what two states have in common if one of them stands for both."""
        ...

    def is_home(self, state: State) -> bool:
        """Return True for a state from which a new treatment can begin."""
        ...


@dataclass(slots=True)
class Search:
    """What was found.

    Attributes:
        states: Different ones, by the world's key.
        transitions: Every input in every state that was expanded, also those that the world leaves
            out there because they change nothing or cannot come.
        depth: Inputs on the shortest way to the state farthest away.
        complete: No state was left unexpanded.
        violations: Broken claims, each with the shortest input path to it.
        dead_ends: States with no way back to a new treatment; -1 if the search is not complete.
        keys: Every key, in the order of discovery.
    """

    states: int = 0
    transitions: int = 0
    depth: int = 0
    complete: bool = True
    violations: list[str] = field(default_factory=list)
    dead_ends: int = -1
    keys: list[Hashable] = field(default_factory=list)


def explore(
    world: World[State], *, states_max: int | None = None, way: Sequence[str] = ()
) -> Search:
    """Expand states in the order of their distance from power-up.

    Args:
        world: What is searched.
        states_max: Expand no more than so many; None goes on to the end.
        way: Inputs to make first. Each state on this way is expanded before any other, so that a
            small share of a search looks at all of a treatment.
    """
    found = [world.start()]
    known = {world.key(found[0]): 0}
    parents, by = array("l", [-1]), array("l", [-1])
    depths = array("l", [0])
    number = 0
    for name in way:
        index = world.inputs.index(name)
        after, _ = world.step(found[number], index)
        target = known.setdefault(world.key(after), len(found))
        if target == len(found):
            found.append(after)
            parents.append(number)
            by.append(index)
            depths.append(depths[number] + 1)
        number = target
    sources, targets = array("l"), array("l")
    search = Search()
    told: set[str] = set()
    expanded = 0
    while expanded < len(found):
        if expanded == states_max or len(search.violations) >= VIOLATIONS_MAX:
            search.complete = False
            break
        for index in range(len(world.inputs)):
            after, broken = world.step(found[expanded], index)
            search.transitions += 1
            for claim in broken:
                if claim not in told:
                    told.add(claim)
                    steps = [*_way(parents, by, expanded), index]
                    path = ", ".join(world.inputs[each] for each in steps)
                    search.violations.append(f"{claim}: {path}")
            target = known.setdefault(world.key(after), len(found))
            if target == len(found):
                found.append(after)
                parents.append(expanded)
                by.append(index)
                depths.append(depths[expanded] + 1)
            sources.append(expanded)
            targets.append(target)
        expanded += 1
    search.states = len(found)
    search.depth = max(depths)
    search.keys = list(known)
    if search.complete:
        home = [place for place, state in enumerate(found) if world.is_home(state)]
        search.dead_ends = len(found) - _count_leading_to(home, sources, targets, len(found))
    return search


def _way(parents: array[int], by: array[int], number: int) -> list[int]:
    way = []
    while parents[number] >= 0:
        way.append(by[number])
        number = parents[number]
    return way[::-1]


def _count_leading_to(home: list[int], sources: array[int], targets: array[int], count: int) -> int:
    """Return how many of ``count`` states have a way to one of ``home``."""
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in zip(sources, targets, strict=True):
        before[target].append(source)
    leading = set(home)
    waiting = list(home)
    while waiting:
        for source in before[waiting.pop()]:
            if source not in leading:
                leading.add(source)
                waiting.append(source)
    return len(leading)
