"""The pages: their `bench` commands exist with the options shown, and their links lead to files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cli.lazy import load
from tools.rooms import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each line of an indented block that calls `bench`, without comments."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"    (?:\.venv/bin/)?bench (.*)", line):
            yield shlex.split(found[1].partition(";")[0], comments=True)


def mistake(words: list[str]) -> str | None:
    """What is wrong with a command line: an unknown command or option."""
    here = load("bench.cli.commands")
    while hasattr(here, "resolve_command") and words and not words[0].startswith("-"):
        # Asked like this, a group answers None for a command that it does not have.
        name, (_, here, words) = words[0], here.resolve_command(SimpleNamespace(resilient_parsing=True), words)
        if here is None:
            return f"{name}: no such command"
    known = {option for parameter in here.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words[: words.index("--") if "--" in words else None]]
    wrong = [word for word in given if word.startswith("--") and word not in known and word != "--help"]
    return f"{wrong[0]}: no such option" if wrong else None


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_commands_of_a_page_exist(page: Path):
    found = {" ".join(words): wrong for words in commands(page) if (wrong := mistake(words)) is not None}
    assert found == {}


def test_there_are_commands_and_a_wrong_one_is_found():
    assert sum(len(list(commands(page))) for page in PAGES) > 60
    assert mistake(["run", "digits", "--sedes", "3"]) == "--sedes: no such option"
    assert mistake(["rnu", "digits"]) == "rnu: no such command"
    assert mistake(["time", "--seeds", "3", "--", "python", "--whatever"]) is None


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_links_of_a_page_lead_to_files(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"({page.name})" not in index] == ["index.md"]
