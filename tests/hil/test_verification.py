"""The kernel against exact solutions, on grids coarser than those of `cryoctl validate`."""

from __future__ import annotations

import pytest

from cryoctl_hil.validation.exact import LineSink, Neumann
from cryoctl_hil.validation.needles import THICK, grow_fast
from cryoctl_hil.validation.rows import Row
from cryoctl_hil.validation.sets import sharp_tissue, sharp_water
from cryoctl_hil.validation.verification import front_rows, heat_books, run_line, run_plane


def by_quantity(rows: list[Row]) -> dict[str, Row]:
    return {row.quantity.partition(": ")[2]: row for row in rows}


@pytest.mark.parametrize(
    ("exact", "front_at_120_s_mm"),
    [
        (Neumann.of(sharp_tissue(37.0), -70.0), 8.2045),
        (Neumann.of(sharp_water(20.0), -20.0), 4.6711),
    ],
)
def test_a_plane_front_converges_to_neumanns(exact: Neumann, front_at_120_s_mm: float) -> None:
    runs = [run_plane(exact, cell_mm) for cell_mm in (0.8, 0.4, 0.2)]

    rows, means = front_rows("plane", exact, runs)

    found = by_quantity(rows)
    assert [row.quantity for row in rows if not row.ok] == []
    assert found["front at 120 s, mm"].ours == pytest.approx(front_at_120_s_mm, rel=0.005)
    assert found["front at 120 s, extrapolated, mm"].ours == pytest.approx(
        front_at_120_s_mm, rel=0.002
    )
    assert means[0] > 2.0 * means[1] > 4.0 * means[2]


def test_the_front_around_a_line_sink_converges_to_the_exact_one() -> None:
    exact = LineSink.of(sharp_tissue(37.0), 0.2)
    runs = [run_line(exact, cell_mm) for cell_mm in (0.4, 0.2, 0.1)]

    rows, means = front_rows("line", exact, runs)

    found = by_quantity(rows)
    assert [row.quantity for row in rows if not row.ok] == []
    assert found["front at 60 s, mm"].ours == pytest.approx(2.1018, rel=0.01)
    assert found["front at 120 s, extrapolated, mm"].ours == pytest.approx(2.9724, rel=0.003)
    assert means[0] > 2.0 * means[1] > 4.0 * means[2]


def test_the_heat_books_of_a_treatment_close() -> None:
    (row,) = heat_books().rows

    assert row.error is not None
    assert abs(row.error) < 1e-12
    assert row.ok


def test_the_fast_model_grows_about_as_the_older_solver_says() -> None:
    grown = grow_fast(THICK, -70.0)

    assert grown.ice_mm[[30, 60, 120]].tolist() == pytest.approx([2.90, 3.72, 4.62], rel=0.05)
    assert grown.cold_mm[[30, 60, 120]].tolist() == pytest.approx([1.78, 2.12, 2.44], rel=0.05)
