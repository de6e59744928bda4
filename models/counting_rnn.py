"""The lesson's recurrent nets, which learn to count in words: embedding, a recurrent layer, a linear layer.

Source: fast.ai, Practical Deep Learning for Coders (2019), lesson 7. Each reads tokens and predicts the next one. `M0`
and `M1` answer for the last token alone, and the others for every token. Token numbers come as integers [B, T], or
as floats of any shape [B, ..., T], which is how a made-up batch comes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.layers import check_channels


class CountingNet(nn.Module):
    """What the nets share: tokens [B, T] to logits [B, classes], or [B, classes, T] where each token is
    answered.

    `state` is what is kept between batches, from the end of one to the start of the next: the texts of a batch go
    on in the next one. It is forgotten where training and evaluation change over, and where the batch has another size.
    """

    # Whether it answers after each token, or after the last alone; and how many it reads, where that is fixed.
    each_token = True
    steps: int | None = None
    state: Tensor | None = None

    def __init__(self, classes: int, hidden: int) -> None:
        super().__init__()
        self.classes, self.hidden = classes, hidden
        self.embed = nn.Embedding(classes, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.out = nn.Linear(hidden, classes)

    def train(self, mode: bool = True) -> CountingNet:
        self.state = None
        return super().train(mode)

    def embedded(self, tokens: Tensor) -> Tensor:
        """Vectors [B, T, hidden]."""
        whole = tokens.flatten(1)
        if whole.is_floating_point():
            whole = whole.abs().remainder(self.classes).long()
        return self.embed(whole)  # type: ignore[no-any-return]

    def answer(self, hidden: Tensor) -> Tensor:
        """Logits, by way of batch norm over batch and time, of hidden states [B, T, hidden]."""
        return self.out(self.norm(hidden.transpose(1, 2)).transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]


class Unrolled(CountingNet):
    """M0 and M1: h = BN(ReLU(W(h + e))) for each of the tokens; the last h answers.

    M0 writes the steps out for its three tokens, and M1 has a loop for any number of them. Both compute the same.
    """

    each_token = False

    def __init__(self, classes: int, hidden: int, loop: bool = False) -> None:
        super().__init__(classes, hidden)
        self.recur = nn.Linear(hidden, hidden)
        self.loop, self.steps = loop, None if loop else 3

    def step(self, hidden: Tensor) -> Tensor:
        return self.norm(F.relu(self.recur(hidden)))  # type: ignore[no-any-return]

    def forward(self, tokens: Tensor) -> Tensor:
        vectors = self.embedded(tokens)
        if self.loop:
            hidden = torch.zeros_like(vectors[:, 0])
            for step in range(vectors.shape[1]):
                hidden = self.step(hidden + vectors[:, step])
        else:
            first, second, third = vectors.unbind(dim=1)
            hidden = self.step(first)
            hidden = self.step(hidden + second)
            hidden = self.step(hidden + third)
        return self.out(hidden)  # type: ignore[no-any-return]


class Looped(CountingNet):
    """M2: M1 that answers at each token; M3, with `keeps_state`: h = ReLU(W(h + e)), and h is kept between batches.

    M3 has its batch norm before the output and none in the recurrence.
    """

    def __init__(self, classes: int, hidden: int, keeps_state: bool = False) -> None:
        super().__init__(classes, hidden)
        self.recur = nn.Linear(hidden, hidden)
        self.keeps_state = keeps_state

    def forward(self, tokens: Tensor) -> Tensor:
        vectors = self.embedded(tokens)
        hidden = torch.zeros_like(vectors[:, 0])
        if self.state is not None and self.state.shape == hidden.shape:
            hidden = self.state
        states = []
        for step in range(vectors.shape[1]):
            hidden = F.relu(self.recur(hidden + vectors[:, step]))
            if not self.keeps_state:
                hidden = self.norm(hidden)
            states.append(hidden)
        if not self.keeps_state:
            return self.out(torch.stack(states, dim=1)).transpose(1, 2)  # type: ignore[no-any-return]
        self.state = hidden.detach()
        return self.answer(torch.stack(states, dim=1))


class Recurrent(CountingNet):
    """M4: torch's RNN of one layer; M5: its GRU of two. The state is kept between batches."""

    def __init__(self, classes: int, hidden: int, kind: type[nn.RNN] | type[nn.GRU], layers: int) -> None:
        super().__init__(classes, hidden)
        self.recur = kind(hidden, hidden, layers, batch_first=True)
        self.layers = layers

    def forward(self, tokens: Tensor) -> Tensor:
        vectors = self.embedded(tokens)
        hidden = vectors.new_zeros(self.layers, len(vectors), self.hidden)
        if self.state is not None and self.state.shape == hidden.shape:
            hidden = self.state.to(hidden.dtype)
        states, last = self.recur(vectors, hidden)
        self.state = last.detach()
        return self.answer(states)


# The lesson's names of them.
VARIANTS: dict[str, Callable[[int, int], CountingNet]] = {
    "m0": lambda classes, hidden: Unrolled(classes, hidden),
    "m1": lambda classes, hidden: Unrolled(classes, hidden, loop=True),
    "m2": lambda classes, hidden: Looped(classes, hidden),
    "m3": lambda classes, hidden: Looped(classes, hidden, keeps_state=True),
    "m4": lambda classes, hidden: Recurrent(classes, hidden, nn.RNN, layers=1),
    "m5": lambda classes, hidden: Recurrent(classes, hidden, nn.GRU, layers=2),
}


def counting_rnn(
    variant: str,
    in_channels: int = 1,  # noqa: ARG001 - as every builder is called
    classes: int = 38,
    image_size: int = 1,  # noqa: ARG001
    hidden: int = 64,
) -> CountingNet:
    """The net `variant` of VARIANTS for `classes` different tokens, with `hidden` units."""
    check_channels("hidden", hidden)
    return VARIANTS[variant](classes, hidden)
