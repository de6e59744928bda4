"""The state of a training between two epochs, as plain values and tensors, and how it is put back bit for bit.

Each part of a training says its own state: the network and the random generators here, `Optimizers`, `Precision`, every
`Hook` and `Task` by their methods `state` and `restore`. What is put back takes the memory of what is there, because
captured steps and compiled programs use it. Loaders need none: their epochs depend only on seed and number.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

State = dict[str, Any]
Work = Counter[tuple[Any, frozenset[nn.Parameter]]]

_PLAIN = (bool, int, float, str, bytes, type(None))


class NotKept(Exception):
    """Something in the state of a training cannot be written to a file; the message names it."""


def check(state: Any, where: str = "the training") -> None:
    """Raise `NotKept` for anything but plain values, tensors, and dictionaries and lists of them."""
    if isinstance(state, Mapping):
        for key, value in state.items():
            check(key, where)
            check(value, f"{where}.{key}")
    elif isinstance(state, list | tuple):
        for value in state:
            check(value, where)
    elif type(state) not in _PLAIN and not isinstance(state, Tensor):
        raise NotKept(f"{where} holds a {type(state).__name__}, and a checkpoint keeps only numbers, texts and tensors")


@torch.no_grad()
def put(own: Any, saved: Any) -> Any:
    """`saved`, in the memory of `own` if both are tensors of one form."""
    if not isinstance(own, Tensor) or not isinstance(saved, Tensor):
        return saved
    if (own.shape, own.dtype, own.device) != (saved.shape, saved.dtype, saved.device):
        return saved
    own.copy_(saved)
    return own


def put_each(own: list[Tensor], saved: list[Tensor]) -> None:
    """Put each tensor in its place. Raises ValueError if they are not as many, or of another form."""
    for place, value in zip(own, saved, strict=True):
        if put(place, value) is not place:
            raise ValueError(f"a tensor of {list(value.shape)} has no place in one of {list(place.shape)}")


def of_network(model: nn.Module) -> State:
    """Parameters, buffers, and what modules keep beside them, such as a recurrent network's last state."""
    return {"values": model.state_dict(), "beside": _beside(model)}


def put_network(model: nn.Module, saved: State) -> None:
    model.load_state_dict(saved["values"])
    modules = dict(model.named_modules())
    for name, values in saved["beside"].items():
        modules[name].__dict__.update(values)


def of_optimizer(optimizer: torch.optim.Optimizer, constant: Collection[str]) -> State:
    """The state of each parameter, in order, anything else that it remembers, and the values of its groups.

    Keys of groups in `constant` are left out.
    """
    parameters = _parameters_of(optimizer)
    known = set(parameters)
    return {
        "parameters": [dict(optimizer.state.get(parameter, {})) for parameter in parameters],
        "others": {key: value for key, value in optimizer.state.items() if key not in known},
        "groups": [
            {key: value for key, value in group.items() if key != "params" and key not in constant}
            for group in optimizer.param_groups
        ],
    }


def put_optimizer(optimizer: torch.optim.Optimizer, saved: State) -> None:
    """Put back what `of_optimizer` returned; unlike `load_state_dict` in the number format in which it was."""
    for parameter, values in zip(_parameters_of(optimizer), saved["parameters"], strict=True):
        if values:
            own = optimizer.state[parameter]
            own.update({key: put(own.get(key), value) for key, value in values.items()})
    optimizer.state.update(saved["others"])
    for group, values in zip(optimizer.param_groups, saved["groups"], strict=True):
        group.update({key: put(group.get(key), value) for key, value in values.items()})


def of_attributes(owner: object, names: Iterable[str]) -> State:
    """The values of these attributes: numbers as they are, of anything else what its own state is."""
    return {name: _state_of(getattr(owner, name)) for name in names}


def put_attributes(owner: object, saved: State) -> None:
    """Put back what `of_attributes` returned."""
    for name, value in saved.items():
        own = getattr(owner, name)
        if isinstance(own, torch.Generator):
            own.set_state(value)
        elif type(own) in _PLAIN:
            setattr(owner, name, value)
        else:
            own.restore(value)


def of_random(device: torch.device) -> State:
    """The states of all global generators of random numbers."""
    numpy = np.random.get_state(legacy=False)
    keys = [int(key) for key in numpy["state"]["key"]]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if device.type == "cuda" else None,
        "python": random.getstate(),
        "numpy": {**numpy, "state": {**numpy["state"], "key": keys}},
    }


def put_random(saved: State) -> None:
    torch.set_rng_state(saved["torch"])
    if saved["cuda"] is not None:
        torch.cuda.set_rng_state(saved["cuda"])
    version, numbers, normal = saved["python"]
    random.setstate((version, tuple(numbers), normal))
    numpy = saved["numpy"]
    keys = np.array(numpy["state"]["key"], dtype=np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": keys}})


def of_work(work: Work, model: nn.Module) -> list[Any]:
    """Counts by a number and a set of the model's parameters; each set as positions of its parameters."""
    positions = {parameter: position for position, parameter in enumerate(model.parameters())}
    return [
        [number, sorted(positions[parameter] for parameter in trained), count]
        for (number, trained), count in work.items()
    ]


def work_of(saved: list[Any], model: nn.Module) -> Work:
    parameters = list(model.parameters())
    return Counter({(number, frozenset(parameters[p] for p in trained)): count for number, trained, count in saved})


def _state_of(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value if type(value) in _PLAIN else value.state()


def _parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _beside(model: nn.Module) -> State:
    """Numbers and tensors that are plain attributes of modules, by the module's name."""
    found: State = {}
    for name, module in model.named_modules():
        values = {
            key: value
            for key, value in vars(module).items()
            if key != "training" and (isinstance(value, Tensor) or type(value) in (bool, int, float, type(None)))
        }
        if values:
            found[name] = values
    return found
