"""Checks options against the signature that takes them, with the same messages for all kinds of objects."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from bench.text.nearest import did_you_mean

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def parameters_of(call: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters by name, with annotations resolved if possible; empty for a callable that hides them."""
    try:
        return inspect.signature(call, eval_str=True).parameters
    except Exception:  # a name in a user's annotation that is there for type checkers alone raises anything
        try:
            return inspect.signature(call).parameters
        except (ValueError, TypeError):
            return {}


def takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether it takes keyword arguments that it does not name."""
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


def check_options(what: str, call: Callable[..., Any], options: Mapping[str, Any], given: Collection[str] = ()) -> None:
    """Raise ValueError for an option that `call` does not take, one that it lacks, or a value of the wrong kind.

    `given` are the parameters that are not for options. `what` names the thing in the message.
    """
    parameters = parameters_of(call)
    named = {
        key: each
        for key, each in parameters.items()
        if key not in given and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    for key, value in options.items():
        if key in named:
            try:
                check_value(key, value, named[key].annotation)
            except ValueError as error:
                raise ValueError(f"{what}: {error}") from None
        elif not takes_any(parameters) or key in given:
            known = f"it has: {', '.join(named)}" if named else "it has none"
            raise ValueError(f"{what} has no option {key!r}{did_you_mean(key, named)}; {known}")
    lacking = [key for key, each in named.items() if each.default is each.empty and key not in options]
    if lacking:
        raise ValueError(f"{what} needs the option {lacking[0]!r}, which has no default; give it a value")


def check_value(option: str, value: Any, hint: Any) -> None:
    """Raise ValueError unless `value` fits `hint`: int, float, bool, str, a Literal, or a Sequence or union of these.

    The hint may include None, the default of an open option, which is not itself a valid value. Without a hint, or with
    any other one, every value is accepted.
    """
    if get_origin(hint) in (Union, types.UnionType):
        _check_union(option, value, [kind for kind in get_args(hint) if kind is not type(None)])
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            allowed = get_args(hint)
            near = did_you_mean(value, allowed) if isinstance(value, str) else ""
            raise ValueError(f"{option} is {value!r}{near}; allowed: {', '.join(map(str, allowed))}")
    elif get_origin(hint) in (Sequence, list):
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{option} is {value!r}; it takes a list with at least one entry")
        for item in value:
            check_value(f"{option}, in {list(value)},", item, get_args(hint)[0])
    elif hint in (int, float, bool, str) and not _is(value, hint):
        raise ValueError(f"{option} is {value!r}; it takes {_KINDS[hint]}")


def _check_union(option: str, value: Any, kinds: Sequence[Any]) -> None:
    wrong: list[ValueError] = []
    for kind in kinds:
        try:
            return check_value(option, value, kind)
        except ValueError as error:
            wrong.append(error)
    raise wrong[-1]


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind
