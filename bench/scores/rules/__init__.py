"""The registry of rule books by name.

for runs in groups(Store(path).read()):
    score = rule("dawnbench", runs[0].measure).score(runs)
"""

from __future__ import annotations

from bench.errors import UsageError
from bench.registry.registry import Info, Registry
from bench.scores.rules.repeats import groups
from bench.scores.rules.rule_book import Rule
from bench.scores.rules.score import Finding, Score
from bench.scores.rules.timing import RunTimeline, Timing
from bench.scores.rules.trials import Kind

__all__ = [
    "BOOKS",
    "RULES",
    "Finding",
    "Kind",
    "Rule",
    "RunTimeline",
    "Score",
    "Timing",
    "groups",
    "position",
    "rule",
    "rules_for",
    "use",
]

BOOKS = Registry(
    "rule book",
    "rules",
    {
        "dawnbench": Info("bench.scores.rules.dawnbench:DawnBench", "training to a target, as DAWNBench counted it"),
        "dawnbench_inference": Info(
            "bench.scores.rules.dawnbench_inference:DawnBenchInference", "latency of one image, as DAWNBench counted it"
        ),
        "mlperf": Info("bench.scores.rules.mlperf:MLPerf", "several seeds to a target, as MLPerf scores them"),
        "speedrun": Info("bench.scores.rules.speedrun:Speedrun", "training alone, the mean of many seeds"),
        "coldstart": Info("bench.scores.rules.coldstart:ColdStart", "all that the user waited for"),
    },
)
# A name may have several rule books, one for each measure.
_BOOKS: tuple[type[Rule], ...] = tuple(BOOKS.load(name) for name in BOOKS)
RULES = tuple(dict.fromkeys(book.name for book in _BOOKS))
_USED: list[type[Rule]] = []


def use(name: str) -> str:
    """Score by a user's rule book too, from now on in this process; what the book is called.

    One of BOOKS is used already. Raises `UsageError` for a name that stands for no rule book, and for a book that is
    called like another.
    """
    if name in BOOKS:
        book: type[Rule] = BOOKS.load(name)
        return book.name
    found = BOOKS.find(name)
    found.check_subclass(Rule)
    book = found.load()
    if book.name in RULES or any(book.name == other.name and book is not other for other in _USED):
        raise UsageError(f"{found.label} is called {book.name!r}, as another rule book is; give it a name of its own")
    if book not in _USED:
        _USED.append(book)
    return book.name


def position(name: str) -> int:
    """Where a rule book stands among all, in their order."""
    return list(dict.fromkeys(book.name for book in _books())).index(name)


def rule(name: str, measure: str = "time_to_accuracy") -> Rule:
    """The rule book of this name for runs of this measure. Raises UsageError if there is none."""
    if name not in (book.name for book in _books()):
        name = use(name)
    for book in _books():
        if book.name == name and measure in book.measures:
            return book()
    others = ", ".join(other.name for other in rules_for(measure)) or "none does"
    raise UsageError(f"{name} does not score the measure {measure!r}; who does: {others}")


def rules_for(measure: str) -> list[Rule]:
    """Every rule book that scores runs of this measure."""
    return [book() for book in _books() if measure in book.measures]


def _books() -> tuple[type[Rule], ...]:
    return (*_BOOKS, *_USED)
