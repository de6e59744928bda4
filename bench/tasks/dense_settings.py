"""The settings of the tasks that make something of each pixel. Importing this brings no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bench.documents.kept_net import KeptNet
from bench.documents.numbers import NotNegative, Positive
from bench.tasks.settings import TaskSettings

# A share of the training, from its beginning.
Beginning = Annotated[float, Field(gt=0, lt=1)]


class DenseSettings(TaskSettings):
    """What segmentation and restoration have in common: how the encoder begins."""

    NETS: ClassVar[tuple[str, ...]] = ("encoder",)
    MAY_LACK: ClassVar[tuple[str, ...]] = NETS
    STARTS: ClassVar[tuple[str, ...]] = NETS
    LOADERS: ClassVar[tuple[str, ...]] = ("pairs",)

    encoder: KeptNet | None = None
    """The classifier whose weights the encoder starts with: a recipe (its newest kept run), a run's id, or a file."""
    frozen_until: Beginning | None = None
    """Until this share of the training, only the batch norms of the encoder are trained."""


class SegmentationSettings(DenseSettings):
    """The class of each pixel, by cross-entropy; pixels of the data's `void` teach nothing and are not judged."""

    name: Literal["segmentation"]


class RestorationSettings(DenseSettings):
    """The whole image, from a damaged one.

    `loss` is of the pixels (`mse`, `l1`), or with `features` also of what a classifier sees: L1 of pixels, plus w times
    the L1 of its features, plus `gram` · w² times the L1 of their Gram matrices, for each of `feature_weights`.
    """

    NETS: ClassVar = ("encoder", "features")
    MAY_LACK: ClassVar = NETS

    name: Literal["restoration"]
    loss: Literal["mse", "l1", "features"] = "mse"
    """What is minimised."""
    features: KeptNet | None = None
    """The classifier whose features judge the images, and train with `loss: features`; named as for `encoder`."""
    feature_weights: Annotated[list[NotNegative], Field(min_length=1)] = Field(default=[5.0, 15.0, 2.0])
    """Weights of the classifier's features, from the finest on."""
    gram: NotNegative = 1.0
    """Weight of the Gram matrices, as a multiple of the squared weight of their features."""
    half_size_until: Beginning | None = None
    """Until this share of the training, images are half as wide and high."""

    @model_validator(mode="after")
    def _sees_by_some_net(self) -> Self:
        if self.loss == "features" and self.features is None:
            raise ValueError("task.features: name the classifier whose features are compared, or take loss: mse or l1")
        return self


class RestorationGanSettings(TaskSettings):
    """A restoring generator against a critic, both trained alone at first.

    First the generator learns by pixels alone, until the share `generator_until` of the training, then the critic to
    tell restored images from whole ones, until `critic_until`. From then on a batch is the critic's, until its loss is
    below `switch_below`, and then one is the generator's. The generator's loss is the critic's verdict plus
    `pixel_weight` times the mean squared error.
    """

    NETS: ClassVar = ("features",)
    MAY_LACK: ClassVar = NETS
    LOADERS: ClassVar = ("pairs",)

    name: Literal["restoration_gan"]
    generator_until: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """The generator learns alone until this share of the training; 0 leaves this out."""
    critic_until: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """The critic learns alone until this share of the training; the same as `generator_until` leaves this out."""
    switch_below: Positive = 0.65
    """If the critic's loss on a batch is below this, the next batch is the generator's."""
    pixel_weight: NotNegative = 50.0
    """Weight of the mean squared error beside the critic's verdict."""
    alone_lr_factor: Positive = 10.0
    """The rate of each net while it learns alone, as a multiple of the recipe's."""
    critic_lr_factor: Positive = 5.0
    """The rate of the critic once both are trained, as a multiple of the recipe's."""
    features: KeptNet | None = None
    """The classifier whose features judge the images: a recipe (its newest kept run), a run's id, or a file."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.critic_until < self.generator_until:
            raise ValueError(
                f"task.critic_until: {self.critic_until:g} comes before generator_until: {self.generator_until:g}; the "
                "critic learns from what the trained generator makes"
            )
        return self
