"""Docs can't lie: what they name exists, and what is generated from code is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from commands import commands

from batchsync.cli.main import COMMANDS, cli
from batchsync.errors import ManifestError
from batchsync.model.states import TRANSITIONS, State
from batchsync.runner.intake import prepare
from batchsync.vendor import verdict
from batchsync.vendor.port import Next

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SHOWN_FAULTS = 8
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_command_is_in_the_readme_and_every_one_there_exists() -> None:
    listed = re.findall(r"^\| `batchsync ([a-z ]+?)(?: [\[A-Z].*?)?` \|", README, re.M)
    assert sorted(listed) == sorted(commands())


def test_every_option_that_a_doc_names_exists() -> None:
    options = {name for command in commands().values() for param in command.params for name in param.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named - options <= {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    assert command.short_help


def test_the_diagram_of_the_states_is_the_table() -> None:
    lines = ["stateDiagram-v2", "    [*] --> planned: added"]
    lines += [
        f"    {source.value} --> {rule.to.value}: {event.value}"
        for event, rule in TRANSITIONS.items()
        for source in sorted(rule.sources, key=list(State).index)
        if rule.to not in (None, source)
    ]
    found = re.search(r"```mermaid\n(.*?)\n```", CONTRIBUTING, re.S)
    assert found
    assert found[1] == "\n".join(lines), "\n" + "\n".join(lines)


MEANINGS = {
    None: "unknown: held",
    Next.REFUSED: "not created: the job fails",
    Next.BROKE: "not created: nothing new until there are credits",
    Next.FATAL: "not created: nothing new is submitted",
    Next.PACED: "not created: all requests wait, then again",
    Next.AGAIN: "not created: again later",
    Next.GARBAGE: "not created: the job fails",
}


def test_the_table_of_verdicts_is_the_one_in_the_code() -> None:
    lines = ["| answer | verdict | why |", "|---|---|---|"]
    lines += [f"| {status} | {MEANINGS[rule.submission]} | {rule.why} |" for status, rule in verdict.STATUSES.items()]
    lines.append(f"| any other status | {MEANINGS[None]} | {verdict.rule_of(599).why} |")
    for kind, broke in verdict.EXCEPTIONS.items():
        meaning = MEANINGS[broke.next if broke.unsent else None]
        lines.append(f"| `{kind.__name__}` | {meaning} | {broke.why} |")
    lines.append(f"| any other exception | {MEANINGS[None]} | {verdict.OTHER.why} |")
    found = re.search(r"<!-- verdicts -->\n(.*?)\n?<!-- /verdicts -->", CONTRIBUTING, re.S)
    assert found
    assert found[1] == "\n".join(lines), "\n" + "\n".join(lines)


def test_the_report_of_the_broken_manifest_is_the_real_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ManifestError) as caught:
        prepare("manifests/broken.csv", tmp_path, None)
    faults = [str(problem) for problem in caught.value.problems]
    lines = ["```text", *faults[:SHOWN_FAULTS], f"… and {len(faults) - SHOWN_FAULTS} more", "```"]
    found = re.search(r"<!-- faults -->\n(.*?)\n?<!-- /faults -->", README, re.S)
    assert found
    assert found[1] == "\n".join(lines), "\n" + "\n".join(lines)


def test_every_room_is_on_the_map() -> None:
    rooms = {path.name for path in (ROOT / "batchsync").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(re.findall(r"^\| `batchsync/(\w+)/` \|", CONTRIBUTING, re.M))


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for folder in ("batchsync", "tests", "migrations")
        for path in (ROOT / folder).rglob("*.py")
        if not path.read_text().startswith('"""')
    ]
    assert silent == []


def test_no_module_is_crowded() -> None:
    crowded = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "batchsync").rglob("*.py")
        if len(path.read_text().splitlines()) > 400
    ]
    assert crowded == []


def test_the_top_level_is_tidy() -> None:
    card = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
    card |= {"batchsync", "manifests", "tests", "migrations"}
    built = {"build", "dist", "outputs"}
    here = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.suffix not in (".db",)}
    assert here - built - {name for name in here if ".db" in name} == card
