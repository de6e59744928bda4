"""Trains the network on shapes.npz and prints its accuracy after every epoch."""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models import Cnn

HERE = Path(__file__).parent


def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images float32 [N, 3, H, W] in -1..1 and labels int64 [N]."""
    with np.load(HERE / "shapes.npz") as arrays:
        images, labels = torch.from_numpy(arrays[f"{split}_images"]), torch.from_numpy(arrays[f"{split}_labels"])
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1, labels


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    model.train()
    for rows in torch.randperm(len(images)).split(100):
        loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    train, test = load("train"), load("test")
    model = Cnn(num_classes=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, weight_decay=5e-4)
    for epoch in range(1, arguments.epochs + 1):
        train_epoch(model, optimizer, *train)
        print(f"epoch {epoch}: acc {100 * accuracy(model, *test):.2f}")


if __name__ == "__main__":
    main()
