"""The pictures of a run, as PNG files in a folder beside its log."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor


class PictureFolder:
    """Keeps pictures in `folder`, which is made with the first of them; None keeps nothing.

    `kept` says of each its name, its epoch and its file, relative to the results folder. `lack` says why no more are
    kept: a full disk does not end a training.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.kept: list[dict[str, str | int]] = []
        self.lack: str | None = None

    def keep(self, name: str, epoch: int, picture: Tensor) -> None:
        """Write a picture, uint8 [3, H, W] on any device."""
        from PIL import Image

        folder = self._folder
        if folder is None or self.lack is not None:
            return
        file = folder / f"{name}_{epoch:03}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy()).save(file)
        except OSError as error:
            self.lack = f"pictures could not be kept in {folder}: {error.strerror or error}"
            return
        self.kept.append({"name": name, "epoch": epoch, "file": f"{folder.parent.name}/{folder.name}/{file.name}"})
