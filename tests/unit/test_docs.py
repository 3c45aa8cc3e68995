"""Docs can't lie: what they name exists, and what is generated from code is up to date."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from commands import commands

from batchsync.cli.main import COMMANDS, cli
from batchsync.cli.running import WHY
from batchsync.errors import EXIT_CODES, ManifestError
from batchsync.model.states import TRANSITIONS, State
from batchsync.runner.intake import prepare
from batchsync.runner.options import Stopped
from batchsync.sandbox.serve import Sandbox
from batchsync.vendor import verdict
from batchsync.vendor.port import Next

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SHOWN_FAULTS = 8
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def block(name: str, text: str = README) -> str:
    """What stands between the marks of a block."""
    found = re.search(rf"<!-- {re.escape(name)} -->\n(.*?)\n?<!-- /{re.escape(name)} -->", text, re.S)
    assert found, f"there is no block {name!r}"
    return found[1]


def fenced(name: str) -> str:
    """The text of the code in a block."""
    return "\n".join(block(name).splitlines()[1:-1]) + "\n"


def test_every_command_is_in_the_readme_and_every_one_there_exists() -> None:
    listed = re.findall(r"^\| `batchsync ([a-z ]+?)(?: [\[A-Z].*?)?` \|", README, re.M)
    assert sorted(listed) == sorted(commands())


def test_every_option_that_a_doc_names_exists() -> None:
    options = {name for command in commands().values() for param in command.params for name in param.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named - options <= {"--help"}


def command_lines() -> Iterator[str]:
    """Every command line in a code block of the README, without what stands around it."""
    for code in re.findall(r"^```(?:sh|console|ini)\n(.*?)^```", README, re.S | re.M):
        for line in code.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;", line):
                found = re.search(r"(?:^|[ =/$])batchsync ([a-z].*)", part)
                if found:
                    yield re.split(r"\s(?:#|>)", found[1])[0]


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_every_command_line_in_the_readme_is_one(line: str) -> None:
    words = shlex.split(line)
    name = max((name for name in commands() if words[: name.count(" ") + 1] == name.split()), key=len)
    command = commands()[name]
    above = click.Context(cli, **cli.context_settings)
    command.make_context(name, words[name.count(" ") + 1 :], parent=above)


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
    assert block("verdicts", CONTRIBUTING) == "\n".join(lines), "\n" + "\n".join(lines)


def test_the_report_of_the_broken_manifest_is_the_real_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ManifestError) as caught:
        prepare("manifests/broken.csv", tmp_path, None)
    faults = [str(problem) for problem in caught.value.problems]
    lines = ["```text", *faults[:SHOWN_FAULTS], f"… and {len(faults) - SHOWN_FAULTS} more", "```"]
    assert block("faults") == "\n".join(lines), "\n" + "\n".join(lines)


def test_the_exit_codes_are_those_in_the_code() -> None:
    lines = ["| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    lines += ["", "| `stopped`, with code 3 | why |", "|---|---|"]
    lines += [f"| `{stopped.value}` | {WHY[stopped]} |" for stopped in Stopped]
    assert block("exit codes") == "\n".join(lines), "\n" + "\n".join(lines)


def test_the_plan_of_the_first_batch_is_the_real_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start_sandbox: Callable[..., Sandbox]
) -> None:
    media = {"intro.mp4": "presenter.mp4", "outro.mp4": "bars.mp4", "intro-es.wav": "voice-es.wav"}
    media |= {"intro-fr.wav": "voice-fr.wav", "intro-de.mp3": "voice-de.mp3"}
    media |= {"outro-es.wav": "voice-es.wav", "outro-fr.wav": "voice-fr.wav"}
    for name, example in media.items():
        target = tmp_path / ("masters" if name.endswith("mp4") else "voices") / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / "manifests" / "media" / example, target)
    (tmp_path / "night.csv").write_text(fenced("night.csv"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MAGIC_HOUR_API_KEY", "mhk_docs_0123456789")
    monkeypatch.setenv("BATCHSYNC_API_URL", start_sandbox(credits=12_000).api_url)
    line = "batchsync plan night.csv --price usage:creator"
    said = CliRunner().invoke(cli, shlex.split(line)[1:], catch_exceptions=False).stdout
    lines = ["```console", f"$ {line}", *said.splitlines(), "```"]
    assert block("plan") == "\n".join(lines), "\n" + "\n".join(lines)


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text in a program, with … where a value is put in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%(\.\d)?[sdfg]", "…", node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
            yield re.sub(r"%(\.\d)?[sdfg]", "…", "".join(parts))


def test_every_message_under_troubleshooting_is_in_the_code() -> None:
    section = README[README.index("## Troubleshooting") : README.index("## Beside the vendor's SDK")]
    messages = re.findall(r"^\| `(.+?)` \|", section, re.M)
    sources = [path for path in (ROOT / "batchsync").rglob("*.py") if path.parent.name != "sandbox"]
    said = "\0".join(text for path in sources for text in texts(ast.parse(path.read_text())))
    assert len(messages) > 30
    assert [message for message in messages if message not in said] == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", README, re.M)
    }
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", README):
        assert target[1:] in anchors if target.startswith("#") else (ROOT / target).exists(), target


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
