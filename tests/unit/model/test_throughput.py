"""Rates and times left: only once they mean something, and soon in step with a change."""

from __future__ import annotations

import pytest

from batchsync.model.throughput import ENOUGH_ENDS, WINDOW_SECONDS, Throughput, seconds_left


def test_a_rate_is_told_only_when_enough_jobs_have_ended() -> None:
    ends = Throughput()
    assert ends.per_second(0.0) is None
    for n in range(ENOUGH_ENDS):
        ends.note(10.0 * n, n)
        assert ends.per_second(10.0 * n) is None
    ends.note(10.0 * ENOUGH_ENDS, ENOUGH_ENDS)
    assert ends.per_second(10.0 * ENOUGH_ENDS) == pytest.approx(0.1)


def test_what_had_ended_before_the_run_counts_for_nothing() -> None:
    ends = Throughput()
    ends.note(0.0, 1_000)
    assert ends.per_second(60.0) is None
    ends.note(100.0, 1_010)
    assert ends.per_second(100.0) == pytest.approx(0.1)


def test_a_change_is_seen_within_the_window_and_a_standstill_slows_it_down() -> None:
    ends = Throughput()
    for second in range(3_600):
        ends.note(float(second), second)
    ended = 3_599
    for second in range(3_600, 3_600 + int(WINDOW_SECONDS) + 1, 10):
        ended += 1
        ends.note(float(second), ended)
    now = 3_600 + WINDOW_SECONDS
    assert ends.per_second(now) == pytest.approx(0.1, rel=0.1)
    assert ends.per_second(now + 600) == pytest.approx(0.05, rel=0.1)


def test_time_left_is_at_the_rate_of_late_else_in_rounds_of_renders_else_not_known() -> None:
    assert seconds_left(0, None, None, 0) == 0.0
    assert seconds_left(100, 0.5, 229.0, 10) == 200.0
    assert seconds_left(101, None, 200.0, 100) == 400.0
    assert seconds_left(101, None, None, 100) is None
    assert seconds_left(101, None, 200.0, 0) is None
