"""Weather on a link: what befalls a frame depends on seed, stream and the frame's number alone."""

from __future__ import annotations

import pytest

from cryoctl_protocol.framing import Deframer, wrap
from cryoctl_simulator.link_weather import FAIR, LinkWeather, Weather

BODIES = [bytes([1, number, 7, 9]) for number in range(200)]
STORM = Weather(drop=0.2, duplicate=0.2, reorder=0.1, bitflip=0.1, truncate=0.05, jitter_ms=90)


def carry(
    weather: Weather, bodies: list[bytes] = BODIES, *, seed: int = 1, stream: int = 5
) -> list[bytes]:
    """Send a frame every 20 ms; return what came at each tick, and long after the last."""
    link = LinkWeather(seed, stream)
    arrived = []
    for tick in range(2 * len(bodies) + 100):
        body = bodies[tick // 2] if tick % 2 == 0 and tick // 2 < len(bodies) else None
        data = b"" if body is None else wrap(body)
        arrived.append(link.carry(data, tick * 10, weather))
    return arrived


def bodies_in(arrived: list[bytes]) -> list[bytes]:
    return Deframer().feed(b"\0" + b"".join(arrived))


def test_fair_weather_passes_every_byte_at_once() -> None:
    link = LinkWeather(1, 1)

    assert link.carry(b"abc", 0, FAIR) == b"abc"
    assert link.carry(b"\0", 10, FAIR) == b"\0"
    assert link.is_empty


def test_the_same_seed_and_stream_make_the_same_weather_and_others_another() -> None:
    first = carry(STORM)

    assert carry(STORM) == first
    assert carry(STORM, seed=2) != first
    assert carry(STORM, stream=6) != first


def test_weather_does_not_depend_on_how_the_bytes_are_cut() -> None:
    whole, cut = LinkWeather(1, 1), LinkWeather(1, 1)
    storm = Weather(drop=0.3, bitflip=0.3)
    data = b"".join(wrap(body) for body in BODIES)

    at_once = whole.carry(data, 0, storm)

    assert b"".join(cut.carry(data[i : i + 1], 0, storm) for i in range(len(data))) == at_once


@pytest.mark.parametrize("drop", [0.0, 0.25, 1.0])
def test_a_share_of_the_frames_is_lost_and_the_others_come_in_order(drop: float) -> None:
    got = bodies_in(carry(Weather(drop=drop)))

    assert len(got) == pytest.approx(200 * (1 - drop), abs=20 if 0 < drop < 1 else 0)
    assert got == sorted(got)


def test_frames_that_come_twice_come_next_to_each_other() -> None:
    got = bodies_in(carry(Weather(duplicate=1.0)))

    assert got == [body for body in BODIES for _ in range(2)]


def test_a_delay_holds_every_frame_back_by_the_same() -> None:
    prompt, late = carry(Weather(duplicate=0.0)), carry(Weather(delay_ms=70))

    assert late[7:] == prompt[:-7]
    assert late[:7] == [b""] * 7


def test_jitter_keeps_the_order_and_its_bound() -> None:
    arrived = carry(Weather(jitter_ms=50))

    assert bodies_in(arrived) == BODIES
    for number, body in enumerate(BODIES):
        tick = next(i for i, data in enumerate(arrived) if wrap(body) in data)
        assert 0 <= tick - 2 * number <= 5


def test_frames_out_of_order_all_arrive() -> None:
    got = bodies_in(carry(Weather(reorder=0.2)))

    assert got != BODIES
    assert sorted(got) == BODIES


@pytest.mark.parametrize("weather", [Weather(bitflip=0.3), Weather(truncate=0.3)])
def test_spoilt_frames_are_never_taken_for_others(weather: Weather) -> None:
    got = bodies_in(carry(weather))

    assert 60 < len(got) < 180
    assert set(got) <= set(BODIES)


def test_noise_comes_at_its_rate() -> None:
    link = LinkWeather(1, 1)
    bursts = [link.carry(b"", tick * 10, Weather(noise_per_s=12.5)) for tick in range(400)]

    assert [len(burst) for burst in bursts if burst] == [32] * 50
    assert len(set(bursts)) == 51


def test_the_worst_of_two_weathers_has_the_greater_of_each() -> None:
    both = Weather(drop=0.1, delay_ms=5).worst(Weather(drop=0.2, jitter_ms=7))

    assert both == Weather(drop=0.2, delay_ms=5, jitter_ms=7)
