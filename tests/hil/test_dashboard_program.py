"""What the looks of `dashboard` came to: slopes of memory, processor, pictures a second."""

from __future__ import annotations

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux tells what is needed", allow_module_level=True)

from cryoctl_hil.assurance.dashboard import Look, gain, judge


def looks(**changes: float) -> list[Look]:
    """Return an hour of looks, one a minute; a change is what is gained of it in the hour."""
    flat = Look(0.0, 0.0, 0.0, 80.0, 300.0, 10.0, 0)
    gains = {
        "at_s": 3600.0, "web_cpu_s": 100.0, "server_cpu_s": 200.0, "pictures": 72_000.0, **changes
    }  # fmt: skip
    return [
        flat._replace(**{n: getattr(flat, n) + g * at / 60 for n, g in gains.items()})
        for at in range(61)
    ]


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"server_mib": 9.0, "browser_mib": 29.0, "script_mib": 2.5}, None),
        ({"server_mib": 11.0}, 0),
        ({"browser_mib": 31.0}, 1),
        ({"script_mib": 3.5}, 2),
        ({"web_cpu_s": 181.0}, 3),
        ({"pictures": 18.9 * 3600.0}, 4),
    ],
)
def test_what_is_too_much(changes: dict[str, float], number: int | None) -> None:
    outcome = judge(looks(**changes))

    missed = [at for at, measure in enumerate(outcome.measures) if not measure.ok]
    assert missed == ([] if number is None else [number])


def test_what_is_gained_at_first_and_never_again_is_no_slope() -> None:
    kept = [
        look._replace(server_mib=min(120.0, 80.0 + 4.0 * at)) for at, look in enumerate(looks())
    ]

    assert gain(kept, lambda look: look.server_mib) == pytest.approx(0.0)
    assert gain(looks(server_mib=12.0), lambda look: look.server_mib) == pytest.approx(12.0)


def test_the_slowest_stretch_is_told() -> None:
    kept = looks()
    stalled = [*kept[:30], *(look._replace(pictures=look.pictures - 600) for look in kept[30:])]

    assert judge(stalled).measures[4].result == "19.83 (in the slowest 60 s 10.0)"
