"""The account beside the report: what it held, what the ledger knows of between, and what is unexplained."""

from __future__ import annotations

import pytest
from ledger.book import Hands, jobs
from ledger.nights import Account, at

from batchsync.ledger.ledger import Ledger
from batchsync.ledger.statement import Statement
from batchsync.ledger.usage import Period


@pytest.fixture
def account(ledger: Ledger, clock: Hands) -> Account:
    return Account(ledger, clock, jobs(6))


ALL = Period()


def statement(ledger: Ledger, period: Period = ALL) -> Statement:
    return ledger.read(lambda v: v.statement(period))


def test_without_balances_nothing_is_said(ledger: Ledger, account: Account) -> None:
    account.charge(at("2026-05-01 10:00"))
    assert statement(ledger) == Statement()


def test_one_balance_is_no_difference(ledger: Ledger, account: Account) -> None:
    account.read(at("2026-05-01 09:00"))
    found = statement(ledger)
    assert (found.opening and found.opening.credits, found.closing, found.unexplained) == (100_000, None, None)


def test_what_the_ledger_knows_of_leaves_nothing_unexplained(ledger: Ledger, account: Account) -> None:
    account.read(at("2026-05-01 09:00"))
    done, failed = account.charge(at("2026-05-01 10:00")), account.charge(at("2026-05-01 10:01"))
    account.settle(at("2026-05-01 10:05"), done, 50)
    account.fail(at("2026-05-01 10:06"), failed, 25)
    account.read(at("2026-05-01 11:00"), "end")
    found = statement(ledger)
    assert (found.known, found.unexplained, found.accounts) == (75, 0, 1)


@pytest.mark.parametrize("others", [40, -5000])
def test_other_use_and_top_ups_are_unexplained(ledger: Ledger, account: Account, others: int) -> None:
    account.read(at("2026-05-01 09:00"))
    account.settle(at("2026-05-01 10:05"), account.charge(at("2026-05-01 10:00")), 50)
    account.balance -= others
    account.read(at("2026-05-01 11:00"), "end")
    assert statement(ledger).unexplained == others


def test_a_lost_submission_is_unexplained_until_it_is_resolved(ledger: Ledger, account: Account) -> None:
    account.read(at("2026-05-01 09:00"))
    lost = account.lose(at("2026-05-01 10:00"), 60)
    account.read(at("2026-05-01 11:00"), "end")
    found = statement(ledger)
    assert (found.unexplained, found.lost_jobs, found.lost_credits) == (60, 1, 100)
    ledger.write(lambda w: w.resolved(lost.job.seq, project_id="p9", credits=60))
    found = statement(ledger)
    assert (found.unexplained, found.lost_jobs) == (0, 0), "it is booked after the balance, and was taken before"
    account.read(at("2026-05-02 09:00"), "start")
    later = statement(ledger, Period(at("2026-05-01 12:00")))
    assert (later.known, later.unexplained) == (0, 0), "nor does the next period lose it again"


def test_a_period_has_the_balance_before_it_and_the_last_within(ledger: Ledger, account: Account) -> None:
    for day in (1, 2, 3, 4):
        account.read(at(f"2026-05-0{day} 09:00"))
        account.settle(at(f"2026-05-0{day} 10:05"), account.charge(at(f"2026-05-0{day} 10:00")), 50 + day)
    second = statement(ledger, Period(at("2026-05-02 12:00"), at("2026-05-03 12:00")))
    assert second.opening is not None
    assert second.closing is not None
    assert (second.opening.at, second.closing.at) == (at("2026-05-02 09:00"), at("2026-05-03 09:00"))
    assert (second.known, second.unexplained) == (52, 0)
    before = statement(ledger, Period(at("2026-04-01 00:00"), at("2026-05-02 12:00")))
    assert before.opening is not None
    assert before.opening.at == at("2026-05-01 09:00"), "none is older: the first within the period"
    assert statement(ledger, Period(until=at("2026-04-30 00:00"))) == Statement()


def test_balances_of_two_accounts_are_never_compared(ledger: Ledger, account: Account) -> None:
    account.read(at("2026-05-01 09:00"))
    account.read(at("2026-05-02 09:00"), account="other")
    account.read(at("2026-05-03 09:00"))
    found = statement(ledger)
    assert (found.accounts, found.known, found.unexplained) == (2, None, None)


def test_a_balance_that_was_read_in_mid_flight_says_so(ledger: Ledger, account: Account) -> None:
    account.read(at("2026-05-01 09:00"))
    account.charge(at("2026-05-01 10:00"))
    account.read(at("2026-05-01 10:01"), "end")
    found = statement(ledger)
    assert found.closing is not None
    assert (found.unexplained, found.closing.quiet) == (0, False)
