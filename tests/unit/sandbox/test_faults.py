"""The grammar of faults, and how often they fall."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.errors import SettingError
from batchsync.sandbox.faults import KINDS, OPERATIONS, Fault, Faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("submit:cut_after:chance=0.05", Fault("submit", "cut_after", chance=0.05)),
        ("submit:rate_limit(retry_after=2):times=3", Fault("submit", "rate_limit", retry_after="2", times=3)),
        ("submit:status:503", Fault("submit", "status", status=503)),
        (
            "any:status(503, code=busy):every=4:after=2",
            Fault("any", "status", status=503, code="busy", every=4, after=2),
        ),
        ("project:slow:2.5", Fault("project", "slow", seconds=2.5)),
        ("render:error:no_source_face(refund=0.5)", Fault("render", "error", code="no_source_face", refund=0.5)),
        ("render:error(message=It broke: badly)", Fault("render", "error", message="It broke: badly")),
        ("submit:stall(done=yes):match=k7f3a2", Fault("submit", "stall", done=True, match="k7f3a2")),
        (" download:cut_body:0.25:times=1 ", Fault("download", "cut_body", at=0.25, times=1)),
        ("project:rate_limit:date", Fault("project", "rate_limit", retry_after="date")),
    ],
)
def test_reads(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a fault"),
        ("submit", "not a fault"),
        ("submit:status:503:504", "not a fault"),
        ("nowhere:status:503", "no such operation"),
        ("submit:explode", "no such kind"),
        ("download:no_id", "can't go wrong there"),
        ("any:no_id", "can't go wrong there"),
        ("any:error", "can't go wrong there"),
        ("render:status", "can't go wrong there"),
        ("submit:status:abc", "can't be used"),
        ("submit:status:99", "can't be used"),
        ("submit:cut_after:chance=1.5", "can't be used"),
        ("submit:cut_after:chance=nan", "can't be used"),
        ("submit:cut_after:times=0", "can't be used"),
        ("submit:cut_after:sometimes=1", "no such option"),
        ("submit:cut_after(seconds=1)", "no such option"),
        ("submit:cut_after:sideways", "no such way to cut"),
        ("download:redirect:nowhere", "no such place"),
        ("submit:garbage:1", "takes no value"),
        ("submit:stall(done=perhaps)", "neither yes nor no"),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as error:
        Fault.parse(text)
    assert error.value.hint


WORDS = st.text(string.ascii_letters + string.digits + "_ -./", min_size=1).map(str.strip).filter(bool)
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.integers(200, 599),
    "code": WORDS,
    "message": WORDS,
    "retry_after": WORDS,
    "done": st.booleans(),
    "how": st.sampled_from(["reset", "eof"]),
    "at": st.floats(0, 1),
    "to": st.sampled_from(["path", "origin"]),
    "seconds": st.floats(0, 1000),
    "refund": st.floats(0, 1),
    "late": st.floats(0, 1000),
    "looks": st.integers(1, 99),
}
OFTEN = {
    "times": st.integers(1, 99),
    "every": st.integers(1, 99),
    "chance": st.floats(0, 1),
    "after": st.integers(0, 9),
}


@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), often=st.fixed_dictionaries({}, optional=OFTEN))
def test_what_is_written_reads_as_the_same(data: st.DataObject, kind: str, often: dict[str, Any]) -> None:
    operation = data.draw(st.sampled_from(KINDS[kind].operations))
    options = data.draw(st.fixed_dictionaries({}, optional={name: OPTIONS[name] for name in KINDS[kind].options}))
    fault = Fault(operation, kind, **options, **often)
    assert Fault.parse(str(fault)) == fault


def pattern(text: str, draws: int = 12, **config: Any) -> str:
    faults = Faults([Fault.parse(text)], **config)
    return "".join("x" if faults.draw("submit") else "." for _ in range(draws))


@pytest.mark.parametrize(
    ("often", "falls"),
    [
        ("", "xxxxxxxxxxxx"),
        (":times=2", "xx.........."),
        (":every=4", "...x...x...x"),
        (":every=4:times=2", "...x...x...."),
        (":after=3:times=2", "...xx......."),
        (":chance=0", "............"),
        (":chance=1", "xxxxxxxxxxxx"),
    ],
)
def test_how_often(often: str, falls: str) -> None:
    assert pattern(f"submit:cut_after{often}") == falls


def test_chance_is_about_right_and_repeatable() -> None:
    first = pattern("submit:cut_after:chance=0.2", 2000, seed=3)
    assert 330 < first.count("x") < 470
    assert first == pattern("submit:cut_after:chance=0.2", 2000, seed=3)
    assert first != pattern("submit:cut_after:chance=0.2", 2000, seed=4)


def test_where() -> None:
    faults = Faults([Fault.parse("any:status:503:match=abc"), Fault.parse("render:cancel")])
    assert faults.draw("submit", "x") is None
    assert faults.draw("download", "xabcx") == Fault.parse("any:status:503:match=abc")
    assert faults.draw("render", "abc") == Fault.parse("render:cancel")


def test_the_first_that_is_due_falls_and_all_count() -> None:
    faults = Faults([Fault.parse("submit:cut_before:every=2"), Fault.parse("submit:status:500")])
    kinds = [fault.kind for _ in range(4) if (fault := faults.draw("submit"))]
    assert kinds == ["status", "cut_before", "status", "cut_before"]
    assert [(row["seen"], row["fired"]) for row in faults.tally()] == [(4, 2), (4, 2)]


def test_every_kind_and_operation_is_described() -> None:
    import batchsync.sandbox.faults as module

    for name in (*KINDS, *OPERATIONS):
        assert name in (module.__doc__ or "")
    for kind in KINDS.values():
        assert kind.value is None or kind.value in kind.options
