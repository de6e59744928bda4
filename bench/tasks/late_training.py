"""An encoder that is trained only from some point on, and where its first weights come from."""

from __future__ import annotations

from torch import nn

from bench.errors import UsageError


class LateTraining:
    """Keeps the weights of a part as they are until a number of batches; its batch norms are trained from the start.

    Make it after the optimisers, because they take only what is trained.
    """

    def __init__(self, part: nn.Module, until_batch: float) -> None:
        self._until_batch, self._frozen = until_batch, []
        if until_batch > 0:
            of_norms = {
                id(parameter)
                for module in part.modules()
                if isinstance(module, nn.modules.batchnorm._BatchNorm)
                for parameter in module.parameters()
            }
            self._frozen = [one for one in part.parameters() if one.requires_grad and id(one) not in of_norms]
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    def advance(self, position: float) -> None:
        """Before the step after `position` whole batches."""
        if self._frozen and position >= self._until_batch:
            for parameter in self._frozen:
                parameter.requires_grad_(True)
            self._frozen = []


def start_from(encoder: nn.Module, trained: nn.Module, key: str) -> None:
    """Copy the weights of a trained network's encoder, or of the network itself, into `encoder`.

    Raises `UsageError`, beginning with `key`, where a name or shape differs.
    """
    source = getattr(trained, "encoder", trained).state_dict()
    for name, value in encoder.state_dict().items():
        if name not in source or source[name].shape != value.shape:
            there = list(source[name].shape) if name in source else "missing"
            raise UsageError(
                f"{key}: its weights do not fit this network's encoder: {name} is {list(value.shape)} here, and "
                f"{there} there; set model.encoder and model.widths to those of the trained network"
            )
    encoder.load_state_dict(source, strict=False)
