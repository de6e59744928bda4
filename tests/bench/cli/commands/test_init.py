from pathlib import Path

import pytest
import yaml

from bench.cli.commands.init import GITHUB, GITLAB, InitOptions, init
from bench.errors import UsageError
from bench.spec.matrix import expand, load
from bench.text.console import LastingConsole


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "train.py").write_text("parser.add_argument('--seed')\n")
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


def test_what_it_writes_is_a_matrix_and_a_workflow(folder, capsys):
    init(InitOptions(folder=folder / "deep", source="me/bench@v1"), LastingConsole(width=200))
    (cell,) = expand(load(str(folder / "bench.yaml")), "cpu")
    assert cell.command.argv_of(7) == ["python", "train.py", "--seed", "7"]
    assert "# prepare: pip install -e ." in (folder / "bench.yaml").read_text()
    workflow = yaml.safe_load((folder / GITHUB).read_text())
    steps = workflow["jobs"]["regress"]["steps"]
    (action,) = [step for step in steps if step.get("uses", "").startswith("me/bench")]
    known = yaml.safe_load((Path(__file__).resolve().parents[4] / "action.yml").read_text())["inputs"]
    assert action["uses"] == "me/bench@v1"
    assert action["with"].keys() <= known.keys()
    assert "OWNER" not in capsys.readouterr().out


def test_every_commented_key_of_bench_yaml_is_one(folder):
    init(InitOptions(folder=folder, ci="none", command=("python", "train.py", "--size", "{batch}")), LastingConsole())
    text = (folder / "bench.yaml").read_text()
    for key in (
        "# shared: [data]",
        "# axes:\n#   batch: [64, 256]",
        "# judge: [",
        "# prepare: ",
        "  # env: {",
        "  # epoch_",
    ):
        assert key in text
        text = text.replace(key, key.replace("# ", "", 1).replace("#   batch", "  batch"))
    (folder / "data").mkdir()
    (folder / "bench.yaml").write_text(text)
    assert [cell.command.argv[-1] for cell in expand(load(str(folder / "bench.yaml")), "cpu")] == ["64", "256"]


def test_gitlab_is_chosen_by_what_is_there(folder):
    (folder / ".gitlab-ci.yml").write_text("")
    init(InitOptions(folder=folder, source="me/bench@v1"), LastingConsole())
    assert not (folder / GITHUB).exists()
    job = yaml.safe_load((folder / GITLAB).read_text())["speed-gate"]
    assert f"{{local: {GITLAB}}}" in (folder / GITLAB).read_text()
    assert job["variables"]["BENCH_SOURCE"] == "git+https://github.com/me/bench@v1"


def test_nothing_is_overwritten_unless_it_is_asked_for(folder):
    (folder / "bench.yaml").write_text("mine\n")
    with pytest.raises(UsageError, match=r"has bench.yaml already.*--force overwrites"):
        init(InitOptions(folder=folder), LastingConsole())
    assert (folder / "bench.yaml").read_text() == "mine\n"
    assert not (folder / GITHUB).exists()
    init(InitOptions(folder=folder, force=True), LastingConsole())
    assert load(str(folder / "bench.yaml")).spec.command is not None


def test_pages_are_a_job_alone_and_say_what_comes_next(folder, capsys):
    init(InitOptions(folder=folder, ci="both", source="me/bench@v1", pages=True), LastingConsole(width=200))
    assert not (folder / "bench.yaml").exists()
    said = capsys.readouterr().out
    for words in ("bench results export results/published/NAME.jsonl", "GitHub Actions", ".gitlab/benchmark-pages.yml"):
        assert words in said
    with pytest.raises(UsageError, match=r"has \.github/workflows/benchmark-pages\.yml"):
        init(InitOptions(folder=folder, source="me/bench@v1", pages=True), LastingConsole())


@pytest.mark.parametrize(
    ("options", "words"), [({"command": ["x"]}, "takes no command; leave out x"), ({"ci": "none"}, "built by a CI")]
)
def test_pages_without_a_job_or_with_a_command_are_refused(folder, options, words):
    with pytest.raises(UsageError, match=words):
        init(InitOptions(folder=folder, pages=True, **options), LastingConsole())
