"""Changes of this harness' own sources that the gate has to tell apart: five that make it worse, and a comment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plant:
    """`before` stands once in the file `path` and becomes `after`; the gate is to say `word` of one of `cells`."""

    name: str
    path: str
    before: str
    after: str
    word: str | None
    cells: tuple[str, ...] = ()

    def put_into(self, root: Path) -> None:
        file = root / self.path
        source = file.read_text(encoding="utf-8")
        assert source.count(self.before) == 1, f"{self.path} has changed, and the plant {self.name} fits it no more"
        file.write_text(source.replace(self.before, self.after), encoding="utf-8")


BATCH = "batch = self._resized(batch, stage)"
NORMALISE = "lines.mul_(self._scale).add_(self._bias)"
PLANTS = (
    Plant(
        "a slower augmentation",
        "pipelines/render.py",
        NORMALISE,
        "lines.copy_(lines.double().mul_(self._scale).add_(self._bias))",
        "slower",
        ("gate_loading",),
    ),
    Plant(
        "a needless copy to the host",
        "pipelines/render.py",
        "        return batch\n\n    def _in_one_kernel",
        "        return torch.from_numpy(batch.float().cpu().numpy().copy()).to(batch)\n\n    def _in_one_kernel",
        "slower",
        ("gate_loading",),
    ),
    Plant(
        "a dropped channels_last",
        "bench/recipes/speedrun94.yaml",
        "memory_format: channels_last",
        "memory_format: contiguous",
        "slower",
        ("gate_step", "gate_loading"),
    ),
    Plant(
        "a less accurate recipe",
        "bench/recipes/digits.yaml",
        "optimizer: {name: sgd, lr: 0.2,",
        "optimizer: {name: sgd, lr: 0.02,",
        "less accurate",
        ("gate_accuracy",),
    ),
    Plant(
        "a memory leak",
        "bench/training/step.py",
        BATCH,
        f"{BATCH}\n        self.__dict__.setdefault('seen', []).append(batch.images.float().clone())",
        "more memory",
        ("gate_step",),
    ),
    Plant("a comment", "bench/training/step.py", BATCH, f"# What the step works on.\n        {BATCH}", None),
)
