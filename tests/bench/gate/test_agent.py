"""What the gate's agent, in the tree that it measures, asks a worker to do."""

from __future__ import annotations

from bench.execution import runner
from bench.execution.imports import ROOT
from bench.execution.measured import Measured
from bench.gate import agent
from bench.runs.weights import WeightsFile
from bench.spec import kept_nets

TAUGHT = "recipe: digits\nmeasure: throughput\nset: {distillation.teacher: digits}\naxes: {model.width: [4]}\n"


def test_a_run_gets_the_networks_trained_earlier_that_its_cell_needs(monkeypatch, tmp_path):
    jobs, asked = [], []
    nets = {"teacher": WeightsFile(tmp_path / "teacher.pt", "0" * 64)}
    monkeypatch.setattr(runner, "warm_up_fork_server", lambda: None)
    monkeypatch.setattr(runner, "execute", lambda job, *_: jobs.append(job) or Measured("ok", None))
    monkeypatch.setattr(agent, "_in_worker", lambda function: function())
    monkeypatch.setattr(kept_nets, "needed", lambda *arguments: asked.append(arguments[1:]) or nets)
    path = tmp_path / "taught.yaml"
    path.write_text(TAUGHT)
    one = agent.Agent(ROOT)
    (cell,) = one.open(str(path), "cpu", 1)["cells"]
    one.run(0, 0, 0, "cpu", None, str(tmp_path), str(tmp_path / "log"))
    assert jobs[0].nets == nets
    assert asked[-1] == ("throughput", cell["config"])
