"""Write a commented bench.yaml and a CI job into your repository, for `bench regress`; or a job that publishes pages.

With --pages it writes a job that builds the pages of `bench report` from the runs in results/published.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.errors import MissingError, UsageError
from bench.execution.imports import ROOT
from bench.files import PACKAGE
from bench.gate.checkout import enclosing_repository
from bench.gate.users_repository import DEFAULT
from bench.host.git import GitFailed, git
from bench.text.console import say

TEMPLATES = PACKAGE / "cli" / "templates"
GITHUB, GITLAB = Path(".github", "workflows", "speed-gate.yml"), Path(".gitlab", "speed-gate.yml")
GITHUB_PAGES, GITLAB_PAGES = Path(".github", "workflows", "benchmark-pages.yml"), Path(".gitlab", "benchmark-pages.yml")
# What a repository's training is often called; the first that is there is taken.
SCRIPTS = ("train.py", "main.py", "scripts/train.py", "src/train.py", "run.py")
# What says how a repository is installed, and the command that does it.
INSTALLS = {"pyproject.toml": "pip install -e .", "setup.py": "pip install -e .", "Makefile": "make"}
DISTRIBUTION = "bench-to-accuracy"
UNKNOWN_SOURCE = "OWNER/REPOSITORY@main"

EPILOG = "Exit codes: 0 fine; 2 a file is there already, or wrong usage; 3 a folder cannot be written."


class CiChoice(StrEnum):
    auto = "auto"
    github = "github"
    gitlab = "gitlab"
    both = "both"
    none = "none"


@dataclass(frozen=True)
class InitOptions:
    """For which command, and whose CI."""

    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]…", help="What a run is, as in: -- python train.py")
    ] = None
    folder: Annotated[Path, typer.Option(help="A folder of the repository.")] = Path(".")
    ci: Annotated[CiChoice, typer.Option(help="Whose CI; auto goes by what the repository has.")] = CiChoice.auto
    source: Annotated[
        str | None, typer.Option(metavar="OWNER/REPO@REF", help="Where CI gets bench; default: where this one is from.")
    ] = None
    pages: Annotated[
        bool, typer.Option("--pages", help="Instead write a job that publishes the runs in results/published as pages.")
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False


def init(options: InitOptions, console: Console) -> None:
    """Write the files. Raises UsageError before anything is written where one of them is there already."""
    folder = options.folder.resolve()
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    top = enclosing_repository(folder) or folder
    source = options.source or own_source() or UNKNOWN_SOURCE
    if options.pages and options.command:
        raise UsageError(f"--pages takes no command; leave out {shlex.join(options.command)}")
    files = pages_files(_kinds(options.ci, top), source) if options.pages else gate_files(top, options, source)
    there = [name for name in files if (top / name).exists()]
    if there and not options.force:
        raise UsageError(f"{top} has {' and '.join(there)} already, so nothing was written; --force overwrites")
    for name, content in files.items():
        _write(top / name, content)
        say(console, f"Wrote {top / name}")
    for line in _what_next(files, source):
        say(console, line)


def gate_files(top: Path, options: InitOptions, source: str) -> dict[str, str]:
    """The contents of the gate's files by their names."""
    files = {DEFAULT: bench_yaml(top, options.command or ())}
    kinds = _kinds(options.ci, top)
    if "github" in kinds:
        files[str(GITHUB)] = _template("github.yml").replace("@ACTION@", source)
    if "gitlab" in kinds:
        files[str(GITLAB)] = _template("gitlab.yml").replace("@SOURCE@", _as_url(source))
    return files


def pages_files(kinds: Sequence[str], source: str) -> dict[str, str]:
    """The contents of the jobs that publish pages, by their names. Raises UsageError if no CI was chosen."""
    named = {"github": (GITHUB_PAGES, "github-pages.yml"), "gitlab": (GITLAB_PAGES, "gitlab-pages.yml")}
    if not kinds:
        raise UsageError("--pages: the pages are built by a CI; give --ci github, gitlab or both")
    return {str(named[kind][0]): _template(named[kind][1]).replace("@SOURCE@", _as_url(source)) for kind in kinds}


def bench_yaml(top: Path, command: Sequence[str]) -> str:
    """The matrix for a repository: of this command, or of the training script that it has."""
    if command:
        told = shlex.join(command)
    else:
        script = next((name for name in SCRIPTS if (top / name).is_file()), SCRIPTS[0])
        told = f"python {script}{' --seed {seed}' if _takes_a_seed(top / script) else ''}"
    install = next((how for name, how in INSTALLS.items() if (top / name).is_file()), None)
    return (
        _template("bench.yaml")
        .replace("@SUMMARY@", json.dumps(f"the speed of {top.name}"))
        .replace("@COMMAND@", json.dumps(told, ensure_ascii=False))
        .replace("@PREPARE@", f"# prepare: {install or 'pip install -e .'}")
    )


def own_source() -> str | None:
    """Where this bench comes from, as `OWNER/REPOSITORY@main` on GitHub, else as a URL; None if unknown."""
    url = None
    try:
        told = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        url = json.loads(told).get("url") if told else None
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        pass
    if url is None or url.startswith("file:"):
        try:
            url = git(Path(ROOT), "remote", "get-url", "origin")
        except GitFailed:
            return None
    if found := re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url):
        return f"{found[1]}@main"
    return f"git+{url}" if url.startswith("https:") else None


def _kinds(ci: CiChoice, top: Path) -> Sequence[str]:
    if ci == "both":
        return ("github", "gitlab")
    if ci == "auto":
        return ("gitlab",) if (top / ".gitlab-ci.yml").exists() else ("github",)
    return () if ci == "none" else (ci.value,)


def _as_url(source: str) -> str:
    """What pip installs."""
    if "://" in source or source.startswith(("/", ".")):
        return source
    name, _, revision = source.partition("@")
    return f"git+https://github.com/{name}{f'@{revision}' if revision else ''}"


def _takes_a_seed(script: Path) -> bool:
    return script.is_file() and "--seed" in script.read_text(encoding="utf-8", errors="replace")


def _what_next(files: dict[str, str], source: str) -> list[str]:
    lines = []
    if DEFAULT in files:
        lines.append(f"Look through {DEFAULT}, commit it, then: bench regress --base HEAD")
    else:
        lines.append("Choose the runs to publish, and commit them: bench results export results/published/NAME.jsonl")
    if str(GITHUB_PAGES) in files:
        lines.append('In the settings of the repository, Pages: choose "GitHub Actions" as the source')
    lines += [
        f"Add to .gitlab-ci.yml: include: [{{local: {job}}}]" for job in (GITLAB, GITLAB_PAGES) if str(job) in files
    ]
    if source == UNKNOWN_SOURCE and any(name != DEFAULT for name in files):
        lines.append(f"Replace {UNKNOWN_SOURCE} in the CI file by where this bench can be had, or give --source")
    return lines


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _write(path: Path, content: str) -> None:
    """Raises MissingError where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise MissingError(f"{path} cannot be written: {error.strerror}") from None
