"""Set-up: what `make` promises, what constraints.txt pins, and tools/setup.sh on several kinds of machine."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGES = ("bench", "models", "pipelines")
INSTALLED = [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["claims"]]
DIRECT = [Requirement(text) for text in [*INSTALLED, *EXTRAS["ffcv"], *EXTRAS["ray"], *EXTRAS["slurm"]]]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def make(*arguments: str) -> str:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def imported(package: str) -> set[str]:
    """Top-level names that the package's files import, at any depth."""
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


class TestMake:
    def test_alone_lists_every_target_with_a_line(self) -> None:
        targets = re.search(r"^\.PHONY: (help .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert targets is not None
        listed = dict(re.findall(r"^make (\S+) +(\S.*)$", make(), re.MULTILINE))
        assert list(listed) == targets[1].split()

    @pytest.mark.parametrize(
        ("target", "command"),
        [
            ("bench", "bench run digits --x"),
            ("bench-cifar94", "bench run cifar94 --x"),
            ("test", "-m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder --x"),
            ("benchmark", "-m pytest tests/benchmarks --benchmark-only --x"),
            ("leaderboard", "bench leaderboard --x"),
            ("report", "bench report --x"),
            ("regress", "bench regress --x"),
        ],
    )
    def test_target_passes_arguments_on(self, target: str, command: str) -> None:
        assert command in make("-n", target, "ARGS=--x")

    def test_lint_checks_style_format_and_types(self) -> None:
        commands = make("-n", "lint")
        assert all(tool in commands for tool in ("ruff check", "ruff format --check", "mypy"))


class TestRequirements:
    @pytest.mark.parametrize("package", PACKAGES)
    def test_every_import_is_declared(self, package: str) -> None:
        declared = {canonicalize_name(requirement.name) for requirement in DIRECT}
        distributions = metadata.packages_distributions()
        foreign = imported(package) - sys.stdlib_module_names - set(PACKAGES)
        undeclared = {
            name for name in foreign if not declared & {*map(canonicalize_name, distributions.get(name, [name]))}
        }
        assert not undeclared, "add these to pyproject.toml and constraints.txt"

    @pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
    def test_pins_direct_dependency_as_pyproject_allows(self, requirement: Requirement) -> None:
        pin = pins().get(canonicalize_name(requirement.name))
        assert pin is not None, f"constraints.txt does not pin {requirement.name}"
        assert pin in requirement.specifier

    def test_pins_what_dependencies_need_in_turn(self) -> None:
        unpinned = set()
        seen: set[str] = set()
        todo = [Requirement(text) for text in INSTALLED]
        while todo:
            requirement = todo.pop()
            name = canonicalize_name(requirement.name)
            if name in seen:
                continue
            seen.add(name)
            if name not in pins():
                unpinned.add(name)
            if name == "torch":  # its CUDA build brings, and pins, parts that the CPU build lacks
                continue
            for text in metadata.requires(name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    todo.append(needed)
        assert not unpinned

    def test_torchvision_is_the_one_made_for_torch(self) -> None:
        torch, torchvision = pins()["torch"], pins()["torchvision"]
        assert torchvision.release == (0, torch.minor + 15, torch.micro)


def test_bench_is_a_command_and_a_module() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="bench")
    assert callable(entry.load())
    shown = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert shown.returncode == 0, shown.stderr
    assert "run" in shown.stdout


PYTHON = """#!/bin/bash
echo "python $*" >>calls
case "$*" in
    *version_info*) exit ${OLD_PYTHON:-0} ;;
    *ensurepip*) exit ${NO_VENV:-0} ;;
    --version) echo Python 3.12.0 ;;
    "-m venv .venv") mkdir -p .venv/bin .venv/lib/python3.12/site-packages; cp "$0" .venv/bin/python ;;
    *install*${HANG_AT:-nowhere}*) sleep 60 ;;
    *install*${FAIL_AT:-nowhere}*) echo "no such wheel"; exit 1 ;;
    *install*ffcv) mkdir .venv/lib/python3.12/site-packages/ffcv-1.0.2.dist-info ;;
esac
"""
PKG_CONFIG = """#!/bin/bash
[[ $1 == --modversion ]] && echo 4.6 || [[ -e libraries ]]
"""
APT_GET = """#!/bin/bash
echo "apt-get $*" >>calls
[[ $1 == update ]] && exit ${NO_NETWORK:-0}
touch libraries
"""
TOOLS = [
    "bash",
    "make",
    "cat",
    "chmod",
    "cp",
    "dirname",
    "head",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sleep",
    "tail",
    "touch",
]


@dataclass
class Machine:
    """A copy of the project on a machine that has nothing but the base tools and what a test puts there.

    The stand-ins for Python, pkg-config, apt-get, id and c++ write down how they were called.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/setup.sh"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "bin").mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, f"this machine has no {tool}"
            (self.folder / "bin" / tool).symlink_to(found)
        self.add("id", "#!/bin/bash\necho ${USER_ID:-1000}\n")
        self.add("c++", "#!/bin/bash\necho c++ 12\n")
        self.add("pkg-config", PKG_CONFIG)

    def add(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(script)
        path.chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["make", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.folder / "bin"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit status and all output."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def calls(self, containing: str) -> list[str]:
        """The calls so far, which are then forgotten."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if containing in line]

    @property
    def ready(self) -> bool:
        return (self.folder / ".venv/.ready").exists()


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def machine(bare: Machine) -> Machine:
    bare.add("python3", PYTHON)
    return bare


def interrupted_setup(machine: Machine) -> subprocess.Popen[str]:
    """A set-up that gets the terminal's Ctrl-C while it installs another torch."""
    process = machine.start("setup", "TORCH=2.7.1", HANG_AT="torch==2.7.1")
    calls = machine.folder / "calls"
    while not (calls.exists() and "torch==2.7.1" in calls.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    return process


class TestEnvironment:
    def test_without_python_says_which_is_needed(self, bare: Machine) -> None:
        status, output = bare.make("setup")
        assert status != 0
        assert "no Python 3.11, 3.12 or 3.13" in output

    def test_python_of_another_version_does_not_count(self, machine: Machine) -> None:
        status, output = machine.make("setup", OLD_PYTHON="1")
        assert status != 0
        assert "no Python 3.11, 3.12 or 3.13" in output
        assert not (machine.folder / ".venv").exists()

    def test_python_without_venv_is_told_what_to_install(self, machine: Machine) -> None:
        status, output = machine.make("setup", NO_VENV="1")
        assert status != 0
        assert "python3 has no venv" in output
        assert "apt-get install -y python3-venv" in output

    def test_next_python_is_taken_where_the_first_has_no_venv(self, machine: Machine) -> None:
        machine.add("python3", PYTHON.replace("${NO_VENV:-0}", "1"))
        machine.add("python3.12", PYTHON)
        status, output = machine.make("setup")
        assert status == 0
        assert "bin/python3.12)" in output

    def test_torch_is_installed_before_all_that_needs_it(self, machine: Machine) -> None:
        (machine.folder / "libraries").touch()
        status, output = machine.make("setup")
        assert status == 0, output
        installs = [call.partition(" install ")[2] for call in machine.calls(" install ")]
        assert [re.sub(r"-c \S+ ?", "", install) for install in installs] == [
            "pip setuptools",
            f"torch=={pins()['torch']}",
            "--no-deps torchvision",
            "--no-build-isolation -e .[dev,claims]",
            "--no-build-isolation ffcv",
        ]
        assert (machine.folder / ".venv/constraints.txt").read_text() == (ROOT / "constraints.txt").read_text()

    def test_second_time_is_silent_and_calls_nothing(self, machine: Machine) -> None:
        (machine.folder / "libraries").touch()
        machine.make("setup")
        machine.calls("")
        assert machine.make("setup") == (0, "")
        assert machine.calls("") == []

    @pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
    def test_changed_requirements_are_installed(self, machine: Machine, name: str) -> None:
        machine.make("setup")
        machine.calls("")
        later = time.time() + 1
        os.utime(machine.folder / name, (later, later))
        machine.make(".venv/.ffcv")
        assert machine.calls("-e .[dev,claims]")

    def test_another_torch_stays_until_one_is_named(self, machine: Machine) -> None:
        machine.make("setup")
        machine.calls("")
        assert machine.make("setup", "TORCH=2.7.1")[0] == 0
        assert machine.calls("install -c .venv/constraints.txt torch==2.7.1")
        used = (machine.folder / ".venv/constraints.txt").read_text().splitlines()
        assert {"torch==2.7.1", "torchvision==0.22.1"} <= set(used)
        assert not any(line.startswith(f"torch=={pins()['torch']}") for line in used)

        machine.make("setup", "TORCH=2.7.1")
        machine.make(".venv/.ffcv")
        assert machine.calls("install") == []
        (machine.folder / "constraints.txt").touch()
        machine.make(".venv/.ffcv")
        assert machine.calls("torch==2.7.1")

    @pytest.mark.parametrize("torch", ["2.5.1", "1.13.0", "2.7", "nightly"])
    def test_torch_that_does_not_work_here_is_refused(self, machine: Machine, torch: str) -> None:
        status, output = machine.make("setup", f"TORCH={torch}")
        assert status != 0
        assert f"TORCH={torch}" in output
        assert "2.6.0 or newer" in output
        assert machine.calls("install") == []

    def test_failed_phase_shows_the_log_and_is_made_up_for(self, machine: Machine) -> None:
        status, output = machine.make("setup", FAIL_AT="torchvision")
        assert status != 0
        assert "torchvision ... failed" in output
        assert "no such wheel" in output
        assert ".venv/setup.log" in output
        assert not machine.ready
        machine.calls("")
        assert machine.make("setup")[0] == 0
        assert machine.ready
        assert machine.calls("-m venv") == [], "the environment that is there is taken"

    def test_interrupted_setup_leaves_no_stamp(self, machine: Machine) -> None:
        machine.make("setup")
        machine.calls("")
        process = interrupted_setup(machine)
        assert process.wait(timeout=60) != 0
        assert not machine.ready
        assert machine.make(".venv/.ffcv")[0] == 0
        assert machine.ready
        assert machine.calls("torch==2.7.1"), "the torch that was asked for is not forgotten"

    def test_half_made_environment_is_made_anew(self, machine: Machine) -> None:
        without_pip = machine.folder / ".venv/bin/python"
        without_pip.parent.mkdir(parents=True)
        without_pip.write_text('#!/bin/bash\n[[ "$*" != *pip* ]]\n')
        without_pip.chmod(0o755)
        assert machine.make("setup")[0] == 0
        assert machine.calls("-m venv")


class TestFfcv:
    def test_user_gets_one_command_and_the_rest_of_the_setup(self, machine: Machine) -> None:
        machine.add("apt-get", APT_GET)
        status, output = machine.make("setup")
        assert status == 0
        assert "sudo apt-get install -y libopencv-dev libturbojpeg0-dev && make setup" in output
        assert machine.ready
        assert machine.calls("apt-get") == []
        assert machine.make(".venv/.ffcv")[1].endswith("is up to date.\n"), "other targets go on without a word"

    def test_setup_picks_it_up_once_the_libraries_are_there(self, machine: Machine) -> None:
        machine.make("setup")
        (machine.folder / "libraries").touch()
        machine.calls("")
        status, output = machine.make("setup")
        assert status == 0
        assert "setup: ffcv ... " in output
        assert [call[-4:] for call in machine.calls(" install ")] == ["ffcv"]
        assert machine.make("setup") == (0, "")

    def test_root_on_debian_gets_the_libraries(self, machine: Machine) -> None:
        machine.add("apt-get", APT_GET)
        status, output = machine.make("setup", USER_ID="0")
        assert status == 0, output
        assert machine.calls("apt-get ") == [
            "apt-get update",
            "apt-get install -y --no-install-recommends libopencv-dev libturbojpeg0-dev",
        ]
        assert (machine.folder / ".venv/.ffcv").read_text() == "installed\n"

    def test_root_without_network_goes_on(self, machine: Machine) -> None:
        machine.add("apt-get", APT_GET)
        status, output = machine.make("setup", USER_ID="0", NO_NETWORK="100")
        assert status == 0
        assert "going on without the ffcv loader" in output
        assert machine.ready

    def test_failed_build_is_not_repeated_with_the_same_tools(self, machine: Machine) -> None:
        (machine.folder / "libraries").touch()
        status, output = machine.make("setup", FAIL_AT="ffcv")
        assert status == 0
        assert "its build failed" in output
        (machine.folder / "constraints.txt").touch()
        assert "its build failed before" in machine.make(".venv/.ffcv")[1]
        assert "is up to date" in machine.make(".venv/.ffcv")[1]
        machine.calls("")
        assert "its build failed before" in machine.make("setup")[1]
        assert machine.calls("install") == []
        machine.add("c++", "#!/bin/bash\necho c++ 14\n")
        machine.make("setup")
        assert machine.calls("isolation ffcv")
