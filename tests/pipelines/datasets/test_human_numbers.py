"""The counting text: its words, its size, and how it lies in streams."""

import numpy as np
import pytest

from bench.pipelines.datasets import DATASETS, load_dataset
from bench.pipelines.datasets.human_numbers import TEST_NUMBERS, TRAIN_NUMBERS, VOCABULARY, tokens_of, words_of
from bench.pipelines.errors import WrongOption


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "one"),
        (19, "nineteen"),
        (20, "twenty"),
        (101, "one hundred one"),
        (3000, "three thousand"),
        (9021, "nine thousand twenty one"),
        (9999, "nine thousand nine hundred ninety nine"),
    ],
)
def test_a_number_in_words(number, words):
    assert words_of(number) == words.split()


def test_it_has_the_lessons_counts():
    train, test = tokens_of(TRAIN_NUMBERS), tokens_of(TEST_NUMBERS)
    assert (len(train), len(test)) == (50_082, 13_017)
    assert (len(VOCABULARY), len(set(VOCABULARY)), len(np.unique(train))) == (38, 38, 31)
    said = " ".join(VOCABULARY[token] for token in train[:8])
    assert said == "xxbos one , two , three , four"


def test_labels_are_the_next_tokens_and_a_batch_goes_on_where_the_one_before_ended():
    split, tokens = load_dataset("human_numbers", options={"steps": 7, "streams": 5}).train, tokens_of(TRAIN_NUMBERS)
    stream = split.images.reshape(-1, 5, 7)[:, 2].flatten()  # of all batches
    start = 2 * ((len(tokens) - 1) // 5)
    assert np.array_equal(stream, tokens[start : start + len(stream)])
    following = split.labels.reshape(-1, 5, 7)[:, 2].flatten()
    assert np.array_equal(following, tokens[start + 1 : start + 1 + len(stream)])


def test_of_the_last_token_alone_the_label_is_the_last_one():
    every, last = (
        load_dataset("human_numbers", options={"steps": 3, "predict": predict}).test.labels
        for predict in ("every", "last")
    )
    assert np.array_equal(every[:, -1], last)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"predict": "first"}, "predict is 'first'; allowed: every, last"),
        ({"steps": 0}, "steps is 0; give a whole number from 1"),
        ({"steps": 500}, "64 streams of 13,017 tokens have 203 each, less than the 500 of steps"),
        ({"held_out": 5}, "unknown option of human_numbers data 'held_out'; there are: predict, steps, streams"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(WrongOption, match=said):
        load_dataset("human_numbers", options=options)


def test_the_facts_of_the_catalogue_are_those_of_the_default():
    info, dataset = DATASETS["human_numbers"], load_dataset("human_numbers")
    assert dataset.image_shape == info.image_shape
    assert (len(dataset.train), len(dataset.test)) == (info.train_count, info.test_count)
    assert dataset.classes == info.classes
