"""The same report as text, Markdown and a page: nothing in a ledger can be more in them than a text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ledger.book import Hands, jobs
from ledger.nights import Account, at

from batchsync.cli.reporting import csv_lines, text_lines
from batchsync.ledger.ledger import Ledger
from batchsync.ledger.usage import Period
from batchsync.ledger.views import Views
from batchsync.model.text import clipped_key
from batchsync.planning.pricing import Price
from batchsync.report import charts
from batchsync.report.credits import Report, build
from batchsync.report.head import Head, head
from batchsync.report.html import html_lines
from batchsync.report.markdown import markdown_lines

NASTY = "<script>alert(1)</script>|`x`\u202e[a](http://evil.example)"
FORMULA = "=1+1"
PATHS = "/home/someone/with/a/long/way/to/their/manifests/night.csv"
ZONE, PRICE = ZoneInfo("Europe/Berlin"), Price.parse("usage:creator")


@pytest.fixture
def account(ledger: Ledger, clock: Hands) -> Account:
    tags = ({"who": NASTY}, {"who": FORMULA}, {"who": "plain"}, {})
    planned = [job for n, tag in enumerate(tags) for job in jobs(4, tags=tag) if job.id == f"job-00{n}"]
    found = Account(ledger, clock, planned)
    found.read(at("2026-05-01 09:00"))
    found.settle(at("2026-05-01 10:05"), found.charge(at("2026-05-01 10:00")), 50)
    found.fail(at("2026-05-02 10:05"), found.charge(at("2026-05-01 23:00")), 0, code="<b>odd</b>")
    found.lose(at("2026-05-03 10:00"))
    found.charge(at("2026-05-04 10:00"))
    found.balance -= 7
    found.read(at("2026-05-05 09:00"), "end")
    return found


def made(ledger: Ledger, work: Callable[[Views, Head, Report], str], by: str = "tag:who") -> str:
    """What `work` makes of the report."""

    def read(views: Views) -> str:
        top = head(views, "/w/batchsync.db", Period(), ZONE, PRICE)
        return work(views, top, build(views, by, Period(), ZONE, PRICE))

    return ledger.read(read)


@pytest.fixture
def page(ledger: Ledger, account: Account) -> str:
    return made(ledger, lambda v, top, _: "\n".join(html_lines(v, top, "tag:who")))


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


# --- the page ---


def test_the_page_needs_nothing_else_and_runs_nothing(page: str) -> None:
    found = Page(page)
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "link", "iframe", "img", "object", "embed", "form", "a", "base"}
    addresses = {
        value for _, attrs in found.tags for name, value in attrs.items() if name in ("src", "href", "action")
    }
    assert addresses == set()
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert re.findall(r"url\(|@import|https?://(?!www\.w3\.org)(?!evil)", page) == []
    policy = next(attrs for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy["content"] or "")


def test_what_stands_in_a_ledger_is_text_on_the_page(page: str) -> None:
    assert "<script" not in page
    assert "<b>" not in page
    assert "\u202e" not in page, "nothing turns the reading direction"
    assert "<script>alert(1)</script>" in Page(page).text
    assert "<b>odd</b>" in Page(page).text


def test_the_page_can_be_read_aloud(page: str) -> None:
    found = Page(page)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert dict(found.tags)["html"] == {"lang": "en"}
    names = [tag for tag, _ in found.tags]
    assert names.count("table") == names.count("caption") == names.count("thead") > 4
    assert {attrs.get("scope") for tag, attrs in found.tags if tag == "th"} == {"col", "row"}
    boxes = [attrs for _, attrs in found.tags if attrs.get("class") == "scroll"]
    assert len(boxes) == names.count("table")
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


def test_every_chart_has_its_words_and_an_id_of_its_own(page: str) -> None:
    found = Page(page)
    pictures = [attrs for tag, attrs in found.tags if tag == "svg"]
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(pictures) == 5
    assert len(ids) == len(set(ids))
    for picture in pictures:
        assert picture["role"] == "img"
        assert set((picture["aria-labelledby"] or "").split()) <= set(ids)
    assert "; =1+1 0; plain 0; (untagged) 60." in found.text
    names = [tag for tag, _ in found.tags]
    assert names.count("figcaption") == names.count("figure") == 5


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0, "0"),
        (800, "800"),
        (2000, "2k"),
        (2500, "2.5k"),
        (2512, "2,512"),
        (400_000, "400k"),
        (1_200_000, "1.2M"),
        (-40_000, "-40k"),
        (123_000_000, "123M"),
    ],
)
def test_numbers_on_an_axis_are_short(value: float, wanted: str) -> None:
    assert charts.short_number(value) == wanted


def test_without_the_library_the_page_stands(
    ledger: Ledger, account: Account, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "can_draw", lambda: False)
    bare = made(ledger, lambda v, top, _: "\n".join(html_lines(v, top, "tag:who")))
    assert "<svg" not in bare
    assert "<figure" not in bare
    assert bare.count("<table") == page.count("<table")


def test_an_empty_ledger_has_a_page(ledger: Ledger) -> None:
    found = Page(made(ledger, lambda v, top, _: "\n".join(html_lines(v, top, "manifest"))))
    assert "no credits have moved yet" in found.text
    assert "Nothing was submitted" in found.text
    assert "svg" not in [tag for tag, _ in found.tags]


def test_a_long_report_folds_its_tail(ledger: Ledger, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchsync.report.html.MOST_ROWS", 2)
    found = Page(made(ledger, lambda v, top, _: "\n".join(html_lines(v, top, "job")))).text
    assert "(3 others)" in found
    assert "all others together" in found


# --- in a browser, where there is one ---

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MEASURE = """<script>addEventListener('load', () => {
  const frames = [400, 1400].map(width => {
    const frame = document.createElement('iframe');
    frame.width = width; frame.height = 900; frame.srcdoc = PAGE;
    document.body.append(frame);
    return frame;
  });
  Promise.all(frames.map(frame => new Promise(done => { frame.onload = () => done(frame); }))).then(loaded => {
    document.title = loaded.map(frame => {
      const root = frame.contentDocument.documentElement;
      const bars = frame.contentDocument.querySelectorAll('svg rect').length;
      return `${root.clientWidth}:${root.scrollWidth}:${bars}`;
    }).join(' ');
  });
});</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_nothing_overflows_in_a_browser_and_its_console_is_silent(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page)
    quoted = json.dumps(page).replace("<", "\\u003c")
    (tmp_path / "measure.html").write_text(f"<!doctype html><body>{MEASURE.replace('PAGE', quoted)}</body>")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path}/profile"]
    options += ["--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"]

    def dump(name: str) -> subprocess.CompletedProcess[str]:
        command = [str(CHROMIUM), *options, f"file://{tmp_path}/{name}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    shown = dump("page.html")
    assert [line for line in shown.stderr.splitlines() if "CONSOLE" in line] == []
    measured = re.search(r"<title>(.*?)</title>", dump("measure.html").stdout)
    assert measured
    sizes = [tuple(map(int, one.split(":"))) for one in measured[1].split()]
    assert len(sizes) == 2
    for inside, needed, bars in sizes:
        assert needed <= inside
        assert bars > 9, "the page was there when it was measured"


# --- the other formats ---


def test_markdown_is_text_too(ledger: Ledger, account: Account) -> None:
    text = made(ledger, lambda _, top, report: "\n".join(markdown_lines(top, report)))
    row = next(line for line in text.splitlines() if "alert" in line)
    assert "<" not in row
    assert "\\[a\\]\\(http" in row
    columns = re.split(r"(?<!\\)\|", next(line for line in text.splitlines() if line.startswith("|:--")))
    assert len(re.split(r"(?<!\\)\|", row)) == len(columns)
    assert text.startswith("# Credit usage by tag who\n")
    assert "**Unexplained:** 7 credits" in text


def test_csv_has_no_formulas_and_its_numbers_are_numbers(ledger: Ledger, account: Account) -> None:
    lines = made(ledger, lambda _, __, report: "\n".join(csv_lines(report))).split("\r\n")
    cells = [line.split(",") for line in lines]
    names = cells[0]
    formula = next(row for row in cells if "1+1" in row[0])
    assert formula[0] == "'=1+1"
    assert formula[names.index("net")] == "0"
    plain = next(row for row in cells if "alert" in row[0])
    assert plain[names.index("adjusted")] == "-10"
    assert plain[names.index("usd")] == "0.06"


def test_the_table_gives_the_narrow_terminal_what_matters_most(ledger: Ledger, account: Account) -> None:
    def text(width: int, wide: bool = False) -> list[str]:
        return made(ledger, lambda _, top, report: "\n".join(text_lines(top, report, width, wide=wide))).splitlines()

    narrow = text(80)
    assert max(map(len, narrow)) <= 80 + len("\x1b[1m\x1b[0m")
    header = next(line for line in narrow if line.startswith("tag:who"))
    assert {"jobs", "complete", "net", "money"} <= set(header.split())
    assert "--wide shows all" in " ".join(narrow)
    everything = next(line for line in text(80, wide=True) if line.startswith("tag:who"))
    assert "adjusted" in everything
    assert "\u202e" not in "".join(narrow)


@pytest.mark.parametrize(
    ("key", "room", "wanted"),
    [
        ("short", 10, "short"),
        (PATHS, 20, "…anifests/night.csv"[:20].rjust(19)),
        ("a name without an end", 10, "a name wi…"),
    ],
)
def test_of_a_path_the_end_is_kept_and_of_all_else_the_beginning(key: str, room: int, wanted: str) -> None:
    found = clipped_key(key, room)
    assert len(found) <= room
    assert found.endswith(wanted[-9:]) if "/" in key else found == wanted


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        (0, "0 credits: between these two balances the account lost 60, and this ledger knows of 60"),
        (40, "nothing in this ledger explains it; other use of the account would"),
        (-5000, "-5,000 credits: between these two balances the account gained 4,940"),
    ],
)
def test_the_difference_is_said_in_words_and_nothing_is_asserted_that_nobody_knows(
    ledger: Ledger, clock: Hands, others: int, wanted: str
) -> None:
    account = Account(ledger, clock, jobs(2))
    account.read(at("2026-05-01 09:00"))
    account.settle(at("2026-05-01 10:05"), account.charge(at("2026-05-01 10:00")), 60)
    account.balance -= others
    account.read(at("2026-05-01 11:00"), "end")
    told = made(ledger, lambda _, top, report: "\n".join(text_lines(top, report, 300, wide=False)), by="mode")
    assert wanted in told
    account.charge(at("2026-05-01 12:00"))
    account.read(at("2026-05-01 12:01"), "end")
    told = made(ledger, lambda _, top, report: "\n".join(text_lines(top, report, 300, wide=False)), by="mode")
    assert "jobs were in flight when a balance was read" in told


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 120])
def test_a_table_fits_any_terminal(ledger: Ledger, account: Account, width: int) -> None:
    lines = made(ledger, lambda _, top, report: "\n".join(text_lines(top, report, width, wide=False))).splitlines()
    header = next(place for place, line in enumerate(lines) if "net" in line.split())
    assert len(lines[header]) <= max(width, 4 + 2 + 3)
