"""The numbers from 1 to 9,999 in English words: a text made by code, for nets that learn to count.

Source: the "human numbers" of fast.ai, Practical Deep Learning for Coders (2019), lesson 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.datasets.catalog import DATASETS
from bench.pipelines.datasets.options import check_published
from bench.pipelines.errors import WrongOption

_INFO = DATASETS["human_numbers"]
TRAIN_NUMBERS = range(1, 8001)
TEST_NUMBERS = range(8001, 10_000)
_ONES = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# The library's marks come first, of which the text has the one for its start alone.
_MARKS = ("xxunk", "xxpad", "xxbos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep")
_START = "xxbos"
VOCABULARY = (*_MARKS, ",", "thousand", "hundred", *_ONES, *_TENS)


def words_of(number: int) -> list[str]:
    """["nine", "thousand", "twenty", "one"] for 9021; from 1 to 9,999."""
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    words = [_ONES[thousands - 1], "thousand"] if thousands else []
    words += [_ONES[hundreds - 1], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(_TENS[rest // 10 - 2])
        rest %= 10
    return [*words, _ONES[rest - 1]] if rest else words


def tokens_of(numbers: range) -> npt.NDArray[np.uint8]:
    """The text as positions in VOCABULARY, uint8 [tokens]: a start mark, then the numbers with commas between them."""
    position = {word: index for index, word in enumerate(VOCABULARY)}
    return np.array([position[word] for word in _text(numbers)], dtype=np.uint8)


def _text(numbers: range) -> Iterator[str]:
    yield _START
    for number in numbers:
        if number != numbers[0]:
            yield ","
        yield from words_of(number)


def load_human_numbers(options: Mapping[str, object]) -> Dataset:
    """Pieces of `steps` tokens (default 20), and with each the tokens that follow.

    The text is cut into `streams` equal ones (64). Row k · streams + s is piece k of stream s, so that a batch of
    `streams` rows goes on where the one before ended. An "image" is [1, 1, steps]; labels are [steps], the next token
    of each, or one where only the last one's is to be predicted (`predict: last`; default `every`).

    Raises WrongOption for an unknown option, a wrong type, or pieces longer than a stream.
    """
    check_published(_INFO, options)
    steps, streams = int(str(options.get("steps", 20))), int(str(options.get("streams", 64)))
    last_alone = options.get("predict", "every") == "last"
    train, test = (_split(tokens_of(numbers), steps, streams, last_alone) for numbers in (TRAIN_NUMBERS, TEST_NUMBERS))
    name = f"{_INFO.name}-{streams}x{steps}{'-last' if last_alone else ''}"
    # No pixels: nothing normalises tokens.
    return Dataset(name, train, test, len(VOCABULARY), (0.0,), (1.0,), official=True, streams=streams)


def _split(tokens: npt.NDArray[np.uint8], steps: int, streams: int, last_alone: bool) -> Split:
    length = (len(tokens) - 1) // streams
    pieces = length // steps
    if not pieces:
        raise WrongOption(
            f"{_INFO.name}: {streams} streams of {len(tokens):,} tokens have {length} each, less than the {steps} of "
            "steps. Choose fewer of either."
        )

    def cut(first: int) -> npt.NDArray[np.uint8]:
        by_stream = tokens[first : first + streams * length].reshape(streams, length)[:, : pieces * steps]
        return by_stream.reshape(streams, pieces, steps).transpose(1, 0, 2).reshape(pieces * streams, steps)

    following = cut(1).astype(np.int64)
    return Split(cut(0)[:, None, None, :], np.ascontiguousarray(following[:, -1] if last_alone else following))
