"""Credit reports on real ledgers: what is counted where and when, and that every sum is the account's."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger.book import Hands, jobs, open_blank
from ledger.nights import Account, at
from sqlalchemy import event

from batchsync.ledger.ledger import Ledger
from batchsync.ledger.usage import DAY, Period
from batchsync.model.job import Mode
from batchsync.planning.pricing import Price
from batchsync.report.credits import Report, Usage, build, build_all, folded
from batchsync.report.days import QUARTER_HOUR, day_name, shifts_within
from batchsync.report.money import divide, worth

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
ALL = Period()
EVERY = ("run", "manifest", "day", "month", "mode", "tag:lang", "tag:nowhere", "job")
SUMS = ("jobs", "complete", "failed", "canceled", "held", "estimated", "charged", "adjusted", "refunded", "net")
SUMS = (*SUMS, "settled", "unknown", "wasted", "clips_estimated", "clips_settled", "spent")


def report(ledger: Ledger, by: str, period: Period = ALL, zone: ZoneInfo = UTC, price: Price | None = None) -> Report:
    return ledger.read(lambda v: build(v, by, period, zone, price))


def groups(found: Report) -> dict[str, Usage]:
    return {usage.key: usage for usage in found.groups}


@pytest.fixture
def account(ledger: Ledger, clock: Hands) -> Account:
    """Six jobs in three languages (one has none), of all kinds of ends, over the turn of a year."""
    planned = [
        *jobs(4, tags={"lang": "es"}, generation_mode=Mode.PRO),
        *(job for job in jobs(6, tags={"lang": "fr"}) if job.id == "job-004"),
        *(job for job in jobs(6, tags={"lang": ""}) if job.id == "job-005"),
    ]
    found = Account(ledger, clock, planned)
    found.read(at("2026-12-31 09:00"))
    done = found.charge(at("2026-12-31 10:00"), 60)
    failed = found.charge(at("2026-12-31 11:00"), 60)
    kept = found.charge(at("2026-12-31 12:00"), 60)
    found.settle(at("2026-12-31 10:04"), done, 50)
    found.fail(at("2027-01-01 11:04"), failed, 0)
    found.fail(at("2027-01-01 12:04"), kept, 25, code="unknown_error")
    found.lose(at("2027-01-01 13:00"), 60)
    found.charge(at("2027-01-02 14:00"), 60)
    found.read(at("2027-01-02 15:00"), "end")
    return found


@pytest.mark.parametrize("by", EVERY)
def test_totals_are_the_sums_of_their_groups_and_the_net_is_what_the_account_lost(
    ledger: Ledger, account: Account, by: str
) -> None:
    found = report(ledger, by, price=Price.parse("usage:creator"))
    for name in SUMS:
        assert getattr(found.totals, name) == sum(getattr(usage, name) for usage in found.groups), name
    assert found.totals.net == sum(account.stated.values()) == 135
    assert found.totals.jobs == 6
    assert found.totals.usd == sum(usage.usd for usage in found.groups) == Decimal("0.162")
    assert found.totals.cents == sum(usage.cents for usage in found.groups) == 16


def test_every_credit_is_told_apart(ledger: Ledger, account: Account) -> None:
    total = report(ledger, "mode").totals
    assert (total.complete, total.failed, total.canceled, total.held) == (1, 2, 0, 1)
    assert (total.charged, total.adjusted, total.refunded) == (230, -10, 95)
    assert total.settled == 75, "what still renders isn't final"
    assert total.wasted == 25, "what failed and wasn't given back; not what still renders"
    assert total.unknown == 100, "the worst that the held job may have cost"
    assert (total.clips_estimated, total.clips_settled, total.delta) == (60, 50, -10)
    assert total.per_clip == 75, "the failed tries are part of what a clip costs"
    assert total.minutes == pytest.approx(2 / 60)


def test_what_has_no_tag_has_a_group_of_its_own(ledger: Ledger, account: Account) -> None:
    found = report(ledger, "tag:lang")
    assert [(usage.key, usage.jobs, usage.net) for usage in found.groups] == [
        ("es", 4, 75),
        ("fr", 1, 60),
        ("(untagged)", 1, 0),
    ]
    assert groups(report(ledger, "tag:nowhere"))["(untagged)"].jobs == 6


def test_credits_count_when_they_move_so_that_a_day_can_have_given_back_more_than_it_took(
    ledger: Ledger, account: Account
) -> None:
    found = groups(report(ledger, "day"))
    assert {key: usage.net for key, usage in found.items()} == {
        "2026-12-31": 170,
        "2027-01-01": -95,
        "2027-01-02": 60,
        "(not submitted)": 0,
    }
    assert found["2027-01-01"].jobs == 1, "jobs count when they were submitted"


def test_a_period_has_what_moved_and_what_was_submitted_in_it(ledger: Ledger, account: Account) -> None:
    year = at("2027-01-01 00:00")
    before, after = report(ledger, "mode", Period(until=year)).totals, report(ledger, "mode", Period(year)).totals
    assert (before.net, before.jobs, before.failed) == (170, 3, 2)
    assert (after.net, after.jobs, after.held) == (-35, 2, 1)
    assert report(ledger, "mode", Period(at("2030-01-01 00:00"))).groups == []


def test_a_render_that_was_paid_in_vain_stays_wasted_when_the_next_one_succeeds(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(1))
    first = account.charge(at("2027-01-01 10:00"))
    account.fail(at("2027-01-01 10:04"), first, 25)
    account.retry(at("2027-01-02 10:00"), first)
    account.settle(at("2027-01-02 10:04"), account.charge(at("2027-01-02 10:01")), 50)
    total = report(ledger, "run").totals
    assert (total.net, total.wasted, total.complete, total.per_clip) == (75, 25, 1, 75)
    assert {usage.key: (usage.jobs, usage.net) for usage in report(ledger, "run").groups} == {
        "run-a": (0, 25),
        "run-a+": (1, 50),
    }


def test_a_file_that_is_still_to_come_is_neither_wasted_nor_open(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(2))
    account.settle(at("2027-01-01 10:04"), account.charge(at("2027-01-01 10:00")), 50, saved=False)
    account.charge(at("2027-01-01 10:05"))
    total = report(ledger, "mode").totals
    assert (total.net, total.settled, total.wasted, total.complete) == (110, 50, 0, 0)
    assert (total.clips_settled, total.spent, total.per_clip) == (50, 0, None)


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("UTC", "2026-03-28 23:30", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28 23:30", "2026-03-29"),  # an hour before summer time begins
        ("Europe/Berlin", "2026-03-29 22:30", "2026-03-30"),  # with it, midnight comes an hour sooner
        ("Europe/Berlin", "2026-10-25 22:30", "2026-10-25"),
        ("Asia/Kathmandu", "2026-05-31 18:14", "2026-05-31"),  # five hours and three quarters
        ("Asia/Kathmandu", "2026-05-31 18:15", "2026-06-01"),
        ("America/Los_Angeles", "2026-06-01 06:59", "2026-05-31"),
    ],
)
def test_days_and_months_are_those_of_the_time_zone(
    ledger: Ledger, clock: Hands, zone: str, moment: str, day: str
) -> None:
    account = Account(ledger, clock, jobs(1))
    account.charge(at(moment))
    assert [usage.key for usage in report(ledger, "day", zone=ZoneInfo(zone)).groups] == [day]
    assert [usage.key for usage in report(ledger, "month", zone=ZoneInfo(zone)).groups] == [day[:7]]


def test_a_midnight_within_an_hour_parts_two_days(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(2))
    account.charge(at("2026-05-31 18:14:59"))
    account.charge(at("2026-05-31 18:15"), 50)
    found = report(ledger, "month", zone=ZoneInfo("Asia/Kathmandu"))
    assert [(usage.key, usage.jobs, usage.net) for usage in found.groups] == [("2026-05", 1, 60), ("2026-06", 1, 50)]


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Los_Angeles", "Australia/Lord_Howe"]
)
def test_every_quarter_of_an_hour_of_two_years_is_in_its_day(zone: str) -> None:
    since, until = at("2026-01-01 00:00") + 5, at("2028-01-01 00:00")
    *changes, last = shifts_within(since, until, ZoneInfo(zone))
    assert len(changes) == (0 if zone in ("UTC", "Asia/Kathmandu") else 4)
    for moment in range(int(since), int(until), QUARTER_HOUR):
        shift = next((shift for end, shift in changes if moment < end), last[1])
        local = datetime.fromtimestamp(moment, ZoneInfo(zone))
        assert local.utcoffset() == timedelta(seconds=shift)
        assert day_name((moment + shift) // DAY) == f"{local:%Y-%m-%d}"


@pytest.mark.parametrize("price", [None, Price.parse("usage:creator")])
@pytest.mark.parametrize("period", [ALL, Period(at("2027-01-01 00:00"))])
def test_reports_that_are_made_together_are_those_made_alone(
    ledger: Ledger, account: Account, price: Price | None, period: Period
) -> None:
    together = ledger.read(lambda v: build_all(v, EVERY, period, BERLIN, price))
    assert together == [report(ledger, by, period, BERLIN, price) for by in EVERY]


# --- money ---


def test_the_vendors_own_example_by_every_grouping(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(3, tags={"lang": "es"}))
    for hour, credits in ((10, 90_000), (11, 40_000), (12, 20_000)):
        account.charge(at(f"2026-05-03 {hour}:00"), credits)
    for by in EVERY:
        found = report(ledger, by, price=Price.parse("usage:creator"))
        assert found.totals.usd == Decimal("174.00")
        assert sum(usage.cents for usage in found.groups) == 174_00
    by_job = groups(report(ledger, "job", price=Price.parse("usage:creator")))
    assert by_job["job-001"].usd == Decimal("44.40"), "the first 10,000 in the first band, 30,000 in the second"
    assert ledger.read(lambda v: worth(v, Price.parse("usage:creator"))) == Decimal("174.00")


def test_the_bands_begin_anew_with_the_vendors_month_and_not_with_the_reports(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(3))
    account.charge(at("2026-05-20 10:00"), 100_000)
    account.charge(at("2026-06-01 06:59"), 100_000)  # still May in California
    account.charge(at("2026-06-01 07:00"), 100_000)
    price = Price.parse("usage:creator")
    by_job = report(ledger, "job", price=price)
    assert [usage.usd for usage in by_job.groups] == [Decimal(120), Decimal(108), Decimal(120)]
    june = report(ledger, "month", Period(at("2026-06-01 00:00")), price=price)
    assert june.totals.usd == Decimal(228), "what was used before the period counts"
    assert report(ledger, "day", zone=BERLIN, price=price).totals.usd == Decimal(348)


def test_what_comes_back_is_worth_what_the_last_credits_cost(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(2))
    account.charge(at("2026-05-20 10:00"), 100_000)
    second = account.charge(at("2026-05-20 11:00"), 50_000)
    account.fail(at("2026-05-21 11:00"), second, 0)
    found = report(ledger, "day", price=Price.parse("usage:creator"))
    assert [usage.usd for usage in found.groups] == [Decimal(174), Decimal(-54)]
    assert found.totals.usd == Decimal(120)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300_000), st.integers(0, 300_000)), min_size=1, max_size=6))
def test_money_adds_up_whatever_moved(tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]) -> None:
    clock = Hands()
    with open_blank(tmp_path_factory.mktemp("money") / "batchsync.db", clock) as ledger:
        account = Account(ledger, clock, jobs(len(moves)))
        for day, (charged, settled) in enumerate(moves):
            intent = account.charge(at(f"2026-05-{20 + day} 10:00"), charged)
            account.settle(at(f"2026-05-{22 + day} 10:00"), intent, settled)
        for text in ("usage:pro", "plan:creator", "0.00137"):
            price = Price.parse(text)
            for by in ("day", "job"):
                found = report(ledger, by, price=price)
                assert found.totals.usd == sum(usage.usd for usage in found.groups)
                assert found.totals.cents == sum(usage.cents for usage in found.groups)
                assert abs(found.totals.usd - price.usd(found.totals.net)) <= Decimal("0.000001")
                assert abs(found.totals.cents / Decimal(100) - found.totals.usd) <= Decimal("0.005")


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.integers(1, 10**4))
def test_fractions_are_shared_out_so_that_none_is_off_by_more_than_one(parts: list[int], denominator: int) -> None:
    whole = round(sum(parts) / denominator) if abs(sum(parts)) < 2**50 else sum(parts) // denominator
    shared = divide(whole, parts, denominator)
    assert sum(shared) == whole
    assert all(
        part // denominator <= share <= part // denominator + 1 for part, share in zip(parts, shared, strict=True)
    )


def test_the_largest_rows_and_the_rest_are_the_whole(ledger: Ledger, clock: Hands) -> None:
    account = Account(ledger, clock, jobs(6))
    for hour in range(6):
        account.charge(at(f"2026-05-20 1{hour}:00"), 10 * hour + 1)
    found = report(ledger, "job", price=Price.parse("0.001"))
    rows = folded(found, 3)
    assert [usage.key for usage in rows] == ["job-004", "job-005", "(4 others)"]
    assert sum(usage.net for usage in rows) == found.totals.net
    assert sum(usage.cents for usage in rows) == found.totals.cents


# --- at scale: what the database looks at ---


def plans(ledger: Ledger, by: str, period: Period, price: Price | None) -> list[str]:
    """How SQLite carries out every statement of a report."""
    told: list[str] = []
    seen: list[tuple[str, object]] = []
    engine = ledger._reader

    def note(_conn: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    ledger.read(lambda v: (build(v, by, period, UTC, price), v.failure_sums(period), v.statement(period)))
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        for statement, parameters in seen:
            if statement.startswith("SELECT"):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
                told += [str(row[-1]) for row in rows]
    return told


@pytest.mark.parametrize("by", EVERY)
@pytest.mark.parametrize("price", [None, Price.parse("usage:creator")])
def test_a_report_on_a_period_reads_only_that_periods_entries(
    ledger: Ledger, account: Account, by: str, price: Price | None
) -> None:
    found = plans(ledger, by, Period(at("2026-12-31 00:00"), at("2027-01-01 00:00")), price)
    assert [line for line in found if "SCAN credit_entries" in line and "INDEX" not in line] == []
    assert any("credit_entries USING INDEX ix_credit_entries_at" in line for line in found)
    assert [line for line in found if "events" in line] == []


@pytest.mark.parametrize("by", EVERY)
def test_a_whole_report_reads_a_table_once_for_a_sum_and_looks_all_else_up(
    ledger: Ledger, account: Account, by: str
) -> None:
    found = plans(ledger, by, Period(), None)
    sums = 2 if by == "job" else 1  # of jobs and, by job, of credits
    assert len([line for line in found if line.startswith("SCAN jobs")]) <= sums
    assert len([line for line in found if line.startswith("SCAN credit_entries") and "INDEX" not in line]) <= 1
    assert [line for line in found if "events" in line or line.startswith("SCAN submissions")] == []
    assert any("submissions USING INDEX ix_submissions_outcome" in line for line in found)
    assert any("jobs USING INDEX ix_jobs_state_not_before_seq" in line for line in found), "failures by state"


def test_a_ledger_that_is_empty_has_an_empty_report(ledger: Ledger, path: Path) -> None:
    found = report(ledger, "manifest", price=Price.parse("usage:creator"))
    assert (found.groups, found.totals.net, found.totals.usd) == ([], 0, Decimal(0))
