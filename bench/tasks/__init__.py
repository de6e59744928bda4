"""The tasks by name: kinds of training that are no classifier's. Importing this brings no torch."""

from __future__ import annotations

from bench.registry.registry import Info, Registry

TASKS = Registry(
    "task",
    "tasks",
    {
        "cyclegan": Info(
            "bench.tasks.cyclegan:CycleGanTask", "translation between two domains of images without pairs"
        ),
        "wgan": Info("bench.tasks.wgan:Wgan", "a generator against a critic, with the Wasserstein loss"),
        "segmentation": Info("bench.tasks.segmentation:Segmentation", "the class of each pixel"),
        "restoration": Info("bench.tasks.restoration:Restoration", "whole images from damaged ones"),
        "restoration_gan": Info(
            "bench.tasks.restoration_gan:RestorationGanTask", "the same by pixels first, then against a critic"
        ),
    },
)
