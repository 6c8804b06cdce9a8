"""The measure of a mixed run is fine enough: every total shows a single record that is lost or counted twice."""

from __future__ import annotations

from random import Random

from .expected import Total, expected_rows
from .generator import first_day, random_calls
from .test_mixed_run import RECORDS


def test_a_lost_or_doubled_record_shows_in_every_row() -> None:
    for table, rows in expected_rows(random_calls(Random(1), RECORDS, first_day())).items():
        for key, row in rows.items():
            for column, total in row.items():
                assert not total.hides_a_part, (table, key, column, total.tolerance, set(total.parts))


def test_a_sum_of_great_and_small_parts_is_no_measure() -> None:
    total = Total([1e9, 1e-5])
    assert total.is_near(1e9), "the small part may be lost"
    assert "hides" in total.problem_with(total.value)
