"""The `run:` steps of a composite GitHub Action, run on this machine with the environment that they would have."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


@dataclass
class Ran:
    """What became of the steps; `outputs` are those of the action, `outcomes` the exit code of each that ran."""

    exit_code: int = 0
    outputs: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    summary: str = ""
    log: str = ""


def run_action(file: Path, inputs: dict[str, str], github: dict[str, Any], folder: Path, temp: Path, path: str) -> Ran:
    """Run the steps in `folder`, which is the workspace; steps that use other actions are left out."""
    action = yaml.safe_load(file.read_text(encoding="utf-8"))
    given = {name: _filled(str(one.get("default", "")), {"github": github}) for name, one in action["inputs"].items()}
    unknown = inputs.keys() - given.keys()
    assert not unknown, f"the action has no inputs {unknown}"
    context: dict[str, Any] = {"inputs": given | inputs, "github": github, "steps": {}, "runner": {"temp": str(temp)}}
    ran = Ran()
    for number, step in enumerate(action["runs"]["steps"]):
        if ran.exit_code and "always()" not in step.get("if", ""):
            continue
        if "if" in step and not _truth(_value(_EXPRESSION.fullmatch(step["if"])[1], context)):
            continue
        if "run" not in step:
            continue
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an expression in a script would let a branch's name run commands"
        output, summary = temp / f"output-{number}", temp / "summary"
        output.touch()
        environment = {
            "PATH": path,
            "HOME": os.environ["HOME"],
            "RUNNER_TEMP": str(temp),
            "TMPDIR": str(temp),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            **{name: _filled(str(value), context) for name, value in step.get("env", {}).items()},
        }
        # As the runner starts it.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        ran.log += done.stdout + done.stderr
        ran.outcomes[step["name"]] = done.returncode
        ran.exit_code = ran.exit_code or done.returncode
        told = dict(line.split("=", 1) for line in output.read_text().splitlines())
        context["steps"][step.get("id", number)] = {"outputs": told}
        ran.summary = summary.read_text() if summary.exists() else ""
    ran.outputs = {name: _filled(one["value"], context) for name, one in action["outputs"].items()}
    return ran


def _filled(text: str, context: dict[str, Any]) -> str:
    return _EXPRESSION.sub(lambda match: str(_value(match[1], context) or ""), text)


def _truth(value: Any) -> bool:
    return value not in (None, "", False)


def _value(expression: str, context: dict[str, Any]) -> Any:
    """Names, quoted text, `==`, `&&` and `||`, of which the last binds least."""
    expression = expression.strip()
    if "||" in expression:
        values = [_value(part, context) for part in expression.split("||")]
        return next((value for value in values if _truth(value)), values[-1])
    if "&&" in expression:
        return all(_truth(_value(part, context)) for part in expression.split("&&"))
    if "==" in expression:
        left, right = (_value(part, context) for part in expression.split("=="))
        return left == right
    if expression.startswith("'"):
        return expression.strip("'")
    if expression == "always()":
        return True
    found: Any = context
    for part in expression.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
