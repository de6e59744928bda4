"""Reads and writes DAWNBench entries: strict about its rules, tolerant of habits of real entries.

The rules: github.com/stanford-futuredata/dawn-bench-entries. A training entry is a JSON file and a TSV file of the
same stem, an inference entry a JSON file alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.exchange.entry import TARGET_PERCENT, VERSION, Entry, EntryRow, InferenceEntry, TrainEntry
from bench.exchange.epochs import read_rows, write_rows

# JSON keys to our names.
_REQUIRED = {
    "author": "author",
    "authorEmail": "author_email",
    "framework": "framework",
    "model": "model",
    "hardware": "hardware",
    "timestamp": "timestamp",
}
_OPTIONAL = {"codeURL": "code_url", "commitHash": "commit_hash", "logFilename": "log_filename"}
_COMMON = ("version", *_REQUIRED, *_OPTIONAL, "misc")
_OF_TRAIN = ("costPerHour",)
# DAWNBench's other tasks, by the folder of their entries and by the keys that only they have.
_OTHER_TASKS = {"ImageNet": "top5Accuracy", "SQuAD": "f1Score"}
_TASK = "CIFAR10"
# One address, or several separated by commas, semicolons, slashes or `and`; each may be in <> after a name.
_NAMED_ADDRESS = re.compile(r"[^,;<>]*<([^<>]+)>")
_BETWEEN_ADDRESSES = re.compile(r"[\s,;/|&]+(?:and\s+)?")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_OF_INFERENCE = ("latency", "cost", "top1Accuracy")


@dataclass
class ReadEntry:
    """The result of reading an entry: `entry` is None if there are `errors`, each with its file and field or line.

    It is also None if the entry is for `other_task`; then nothing else is checked.
    """

    path: Path
    entry: Entry | None = None
    other_task: str | None = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, where: str, text: str) -> None:
        self.errors.append(f"{where}: {text}")

    def warn(self, where: str, text: str) -> None:
        self.warnings.append(f"{where}: {text}")


def find(paths: Iterable[Path]) -> list[Path]:
    """The JSON files of the entries in the given JSON files, TSV files and folders, each once.

    The JSON file of a TSV file may be missing. Raises `UsageError` for any other path.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix in (".json", ".tsv"))
            if not files:
                raise UsageError(f"{path}: there is no .json and no .tsv file in this folder")
        elif not path.exists():
            raise UsageError(f"there is no file or folder {path}")
        elif path.suffix not in (".json", ".tsv"):
            raise UsageError(f"{path}: an entry is a .json file, with a .tsv file of the same stem for training")
        else:
            files = [path]
        found |= dict.fromkeys(file.with_suffix(".json") for file in files)
    return list(found)


def unread(paths: Iterable[Path]) -> list[Path]:
    """The files in these folders that do not belong to an entry, except hidden ones."""
    files = (file for path in paths if path.is_dir() for file in sorted(path.rglob("*")) if file.is_file())
    return [file for file in files if file.suffix not in (".json", ".tsv") and not file.name.startswith(".")]


def read(path: Path) -> ReadEntry:
    """The entry whose JSON file is `path`, or all its mistakes; never raises because of the file's content."""
    reading = ReadEntry(path)
    text = _text(path, reading)
    document = _parse(text, reading) if text is not None else None
    if document is None:
        return reading
    reading.other_task = _other_task(path, document)
    if reading.other_task is not None:
        reading.errors.clear()
        reading.warnings.clear()
        return reading
    if _is_inference(path, document):
        _interpret(document, None, reading)
    else:
        _interpret(document, _rows(path.with_suffix(".tsv"), reading), reading)
    if path.stem.count("_") < 3:
        reading.warn(f"{path}", "the name should be [author]_[model]_[hardware]_[framework].json")
    return reading


def load(path: Path) -> Entry:
    """The entry whose JSON file is `path`. Raises `UsageError` with a line for each mistake."""
    return _or_raise(read(path))


def from_document(document: dict[str, Any], rows: tuple[EntryRow, ...] | None, path: Path) -> Entry:
    """The entry of a JSON document, with rows for training and None for inference; errors name `path`. Raises
    `UsageError` with a line for each mistake.
    """
    reading = ReadEntry(path)
    _interpret(document, rows, reading)
    return _or_raise(reading)


def checked(entry: Entry, where: str) -> Entry:
    """The entry as it would be read back; errors name `where`.

    Raises `UsageError` with all that is wrong, a line each: what is written has to be valid.
    """
    reading = ReadEntry(Path(where))
    rows: tuple[EntryRow, ...] | None = None
    if isinstance(entry, TrainEntry):
        rows, errors, _ = read_rows(write_rows(entry.rows))
        reading.errors += [f"{where}, rows{place}: {what}" for place, what in errors]
    _interpret(document(entry), rows, reading)
    return _or_raise(reading)


def path_of(entry: Entry, folder: Path, stem: str) -> Path:
    """Where the JSON file of an entry belongs."""
    kind = "inference" if isinstance(entry, InferenceEntry) else "train"
    return folder / "CIFAR10" / kind / f"{stem}.json"


def write(entry: Entry, path: Path) -> list[Path]:
    """Write an entry whose JSON file is `path`; the files that were written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(entry), indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    if isinstance(entry, InferenceEntry):
        return [path]
    rows = path.with_suffix(".tsv")
    rows.write_text(write_rows(entry.rows), encoding="utf-8")
    return [path, rows]


def document(entry: Entry) -> dict[str, Any]:
    """The JSON file of an entry."""
    result: dict[str, Any] = {"version": VERSION}
    result |= {key: getattr(entry, name) for key, name in _REQUIRED.items()}
    result |= {key: value for key, name in _OPTIONAL.items() if (value := getattr(entry, name)) is not None}
    if isinstance(entry, InferenceEntry):
        result |= {"latency": entry.latency_ms, "cost": entry.cost_usd, "top1Accuracy": entry.top1_percent}
    else:
        result |= {"costPerHour": entry.cost_per_hour}
    return result | entry.extra | ({"misc": entry.misc} if entry.misc else {})


def _text(path: Path, reading: ReadEntry) -> str | None:
    """A file's text; None if it cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        kind = "every entry" if path.suffix == ".json" else "a training entry"
        reading.error(f"{path}", f"this file is missing; {kind} has it")
        return None
    except OSError as error:
        reading.error(f"{path}", f"cannot be read: {error.strerror}")
        return None
    except UnicodeDecodeError as error:
        reading.error(f"{path}", f"byte {error.start} is not UTF-8; save it as UTF-8")
        return None
    if text.startswith("\ufeff"):
        reading.warn(f"{path}:1", "begins with a byte-order mark, which some readers take for a part of the text")
    return text.removeprefix("\ufeff")


def _parse(text: str, reading: ReadEntry) -> dict[str, Any] | None:
    where = f"{reading.path}"

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in {key for key in keys if keys.count(key) > 1}:
            reading.error(f"{where}: {key}", "this key stands twice")
        return dict(pairs)

    def constant(name: str) -> None:
        reading.error(where, f"{name} is not JSON; write a number, or null where there is none")

    try:
        found = json.loads(text, object_pairs_hook=once, parse_constant=constant)
        json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        reading.error(f"{where}:{error.lineno}", f"this is not valid JSON: {error.msg}")
        return None
    except RecursionError:
        reading.error(where, "this is nested too deeply")
        return None
    except UnicodeEncodeError:
        reading.error(where, "a text has half of a surrogate pair, such as \\ud83d; write the character itself")
        return None
    except ValueError:
        reading.error(where, "a number has too many digits")
        return None
    if not isinstance(found, dict):
        reading.error(where, "this should be one JSON object")
        return None
    return found


def _other_task(path: Path, document: dict[str, Any]) -> str | None:
    """Another task of DAWNBench to which the entry belongs; None if nothing indicates one."""
    folders = [part.casefold() for part in path.absolute().parts[:-1]]
    if _TASK.casefold() in folders[-2:]:
        return None
    try:
        header = path.with_suffix(".tsv").read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        header = ""
    for task, measured in _OTHER_TASKS.items():
        if task.casefold() in folders[-2:] or document.get(measured) is not None or measured in header.split():
            return task
    return None


def _is_inference(path: Path, document: dict[str, Any]) -> bool:
    """Whether it is an inference entry: by the folder, as in DAWNBench's repository, else by the keys."""
    if path.parent.name in ("train", "inference"):
        return path.parent.name == "inference"
    return any(key in document for key in _OF_INFERENCE) and not path.with_suffix(".tsv").exists()


def _or_raise(reading: ReadEntry) -> Entry:
    if reading.other_task is not None:
        raise UsageError(f"{reading.path}: is of another task, {reading.other_task}; these are those of {_TASK}")
    if reading.entry is None:
        raise UsageError("\n".join(reading.errors))
    return reading.entry


def _interpret(document: dict[str, Any], rows: tuple[EntryRow, ...] | None, reading: ReadEntry) -> None:
    """Set the entry of `reading` unless there are mistakes."""
    is_inference = rows is None
    values = _submission(document, _OF_INFERENCE if is_inference else _OF_TRAIN, reading)
    if is_inference:
        values["latency_ms"] = _number(document, "latency", reading, required=True, positive=True)
        values["cost_usd"] = _number(document, "cost", reading, positive=True)
        top1 = values["top1_percent"] = _number(document, "top1Accuracy", reading, required=True)
        if top1 is not None and not TARGET_PERCENT <= top1 <= 100:
            hint = f"; write percent: {100 * top1:g}" if 0 < top1 <= 1 else ""
            reading.error(f"{reading.path}: top1Accuracy", f"{top1:g} is not in {TARGET_PERCENT:g} to 100{hint}")
    else:
        values["cost_per_hour"] = _number(document, "costPerHour", reading, positive=True)
        values["rows"] = rows
    if not reading.errors:
        reading.entry = InferenceEntry(**values) if is_inference else TrainEntry(**values)


def _submission(document: dict[str, Any], own_keys: tuple[str, ...], reading: ReadEntry) -> dict[str, Any]:
    path, values = reading.path, {}
    version = document.get("version")
    if version != VERSION:
        reading.error(f"{path}: version", f"is {_shown(version)}; allowed: {_shown(VERSION)}")
    for key, name in (_REQUIRED | _OPTIONAL).items():
        value = document.get(key)
        if value is None and key in _OPTIONAL:
            continue
        if key not in document:
            reading.error(f"{path}: {key}", "this key is missing")
        elif not isinstance(value, str) or not value.strip():
            reading.error(f"{path}: {key}", f"is {_shown(value)}; allowed: text that is not empty")
        else:
            if value != value.strip():
                reading.warn(f"{path}: {key}", "has white space at its ends, which was taken off")
            values[name] = value.strip()
    _check_date(values.get("timestamp"), reading)
    if "author_email" in values and not _has_addresses(values["author_email"]):
        shown = _shown(values["author_email"])
        reading.error(f"{path}: authorEmail", f"is {shown}; allowed: name@host, or several with commas between")
    if "code_url" in values and not re.match(r"https?://", values["code_url"]):
        reading.warn(f"{path}: codeURL", f"{_shown(values['code_url'])} is no http(s) address")
    misc = document.get("misc")
    if misc is not None and not isinstance(misc, dict):
        reading.error(f"{path}: misc", f"is {_shown(misc)}; allowed: an object")
    unknown = {key: value for key, value in document.items() if key not in (*_COMMON, *own_keys)}
    for key in unknown:
        reading.warn(f"{path}: {key}", "the format has no such key; other facts belong into misc")
    return values | {"misc": misc or {}, "extra": unknown}


def _has_addresses(text: str) -> bool:
    """Whether the text consists of one or several addresses only."""
    parts = _BETWEEN_ADDRESSES.split(_NAMED_ADDRESS.sub(r" \1 ", text))
    found = [part for part in parts if part]
    return bool(found) and all(map(_ADDRESS.fullmatch, found))


def _check_date(timestamp: str | None, reading: ReadEntry) -> None:
    if timestamp is None:
        return
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", timestamp):
            raise ValueError
        date.fromisoformat(timestamp)
    except ValueError:
        reading.error(f"{reading.path}: timestamp", f"is {_shown(timestamp)}; allowed: a day as yyyy-mm-dd")


def _number(
    document: dict[str, Any], key: str, reading: ReadEntry, *, required: bool = False, positive: bool = False
) -> float | None:
    where, value = f"{reading.path}: {key}", document.get(key)
    if value is None:
        if required:
            reading.error(where, "this key is missing" if key not in document else "is null; allowed: a number")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        reading.error(where, f"is {_shown(value)}; allowed: a number{'' if required else ', or null'}")
        return None
    if positive and value <= 0:
        reading.error(where, f"is {value:g}; allowed: more than 0{'' if required else ', or null where unknown'}")
        return None
    return float(value)


def _rows(path: Path, reading: ReadEntry) -> tuple[EntryRow, ...]:
    text = _text(path, reading)
    if text is None:
        return ()
    rows, errors, warnings = read_rows(text)
    reading.errors += [f"{path}{place}: {what}" for place, what in errors]
    reading.warnings += [f"{path}{place}: {what}" for place, what in warnings]
    return rows


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
