import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.exchange.entry import EntryRow, InferenceEntry, TrainEntry
from bench.exchange.epochs import read_rows, write_rows


def put(path, entry: dict) -> None:
    path.write_text(json.dumps(entry))


def test_the_result_is_the_first_row_at_94(put_train):
    entry = dawnbench.load(put_train())
    assert entry.result == EntryRow(3.0, 0.3, 94.0)
    assert entry.time_s == pytest.approx(1080)
    assert entry.cost_usd == pytest.approx(0.3 * 3.06)


def test_no_price_is_no_cost(put_train):
    path = put_train(costPerHour=None)
    assert dawnbench.load(path).cost_usd is None
    put(path, json.loads(path.read_text()) | {"costPerHour": None})
    assert dawnbench.load(path).cost_usd is None


def test_an_inference_entry(put_inference):
    entry = dawnbench.load(put_inference())
    assert (entry.latency_ms, entry.cost_usd, entry.top1_percent) == (0.9, 7.65e-7, 94.2)


# What was changed, and what the reason has to name: the place, and what is allowed.
DAMAGED_TRAIN = {
    "a field is missing": ({"author": None}, r"\.json: author: this key is missing"),
    "an empty field": ({"hardware": " "}, r"\.json: hardware: is \" \"; allowed: text that is not empty"),
    "a number for a text": ({"model": 9}, r"\.json: model: is 9; allowed: text"),
    "another version": ({"version": "v2.0"}, r'version: is "v2\.0"; allowed: "v1\.0"'),
    "another form of date": ({"timestamp": "11/06/2018"}, r"timestamp: is .*; allowed: a day as yyyy-mm-dd"),
    "a day that is none": ({"timestamp": "2018-02-30"}, r"timestamp: is .*; allowed: a day"),
    "no address": ({"authorEmail": "author"}, r"authorEmail: is \"author\"; allowed: name@host"),
    "a negative cost": ({"costPerHour": -3.06}, r"costPerHour: is -3\.06; allowed: more than 0, or null"),
    "a cost as text": ({"costPerHour": "$3.06"}, r'costPerHour: is "\$3\.06"; allowed: a number, or null'),
    "misc that is no object": ({"misc": ["a"]}, r'misc: is \["a"\]; allowed: an object'),
}
DAMAGED_ROWS = {
    "hours going back": ([["1", "0.2", "90"], ["2", "0.1", "94"]], r"\.tsv:3: hours 0\.1 follow 0\.2; .*cumulative"),
    "epochs that stand still": ([["1", "0.1", "90"], ["1", "0.2", "94"]], r"\.tsv:3: epoch 1 follows 1; allowed: a"),
    "accuracy as a fraction": ([["1", "0.1", "0.9"], ["2", "0.2", "0.941"]], r"\.tsv: .*write percent: 94\.1, not"),
    "accuracy above 100": ([["1", "0.1", "94"], ["2", "0.2", "940"]], r"\.tsv:3: top1Accuracy is 940; .*0 to 100"),
    "accuracy below 0": ([["1", "0.1", "-1"], ["2", "0.2", "94"]], r"\.tsv:2: top1Accuracy is -1; .*0 to 100"),
    "94 is never reached": ([["1", "0.1", "93.99"]], r"\.tsv:2: the best top1Accuracy is 93\.99; 94 is needed"),
    "a NaN": ([["1", "nan", "94"]], r"\.tsv:2: hours is 'nan'; allowed: a number"),
    "an infinity": ([["1", "1e999", "94"]], r"\.tsv:2: hours is '1e999'; allowed: a number"),
    "a decimal comma": ([["1", "0,1", "94"]], r"\.tsv:2: hours is '0,1'; allowed: a number such as 0\.25"),
    "a field too few": ([["1", "0.1"], ["2", "0.2", "94"]], r"\.tsv:2: has 2 fields; allowed: 3, separated by tabs"),
    "no rows": ([], r"\.tsv: there is no row"),
    "a clock that has not started": ([["1", "0", "94"]], r"\.tsv:2: the first epoch .* hours are more than 0"),
}
DAMAGED_TSV = {
    "another header": (
        b"epoch\ttime\ttop1\n1\t0.1\t94\n",
        r"\.tsv:1: the header is 'epoch.*allowed: epoch, hours, top1",
    ),
    "no header": (b"1\t0.1\t93\n2\t0.2\t94\n", r"\.tsv:1: the header is '1.*allowed: epoch, hours, top1Accuracy"),
    "commas for tabs": (b"epoch,hours,top1Accuracy\n1,0.1,94\n", r"\.tsv:1: the header .*separated by tabs"),
    "nothing in it": (b"", r"\.tsv: the file is empty"),
    "not text": (b"\xff\xfe\x00", r"\.tsv: byte 0 is not UTF-8"),
}
DAMAGED_INFERENCE = {
    "no latency": ({"latency": None}, r"latency: this key is missing"),
    "a latency of 0": ({"latency": 0}, r"latency: is 0; allowed: more than 0"),
    "accuracy as a fraction": ({"top1Accuracy": 0.942}, r"top1Accuracy: 0\.942 is not in 94 to 100; .*: 94\.2"),
    "accuracy too low": ({"top1Accuracy": 93.9}, r"top1Accuracy: 93\.9 is not in 94 to 100"),
    "a negative cost": ({"cost": -1e-7}, r"cost: is -1e-07; allowed: more than 0, or null"),
}


@pytest.mark.parametrize("name", DAMAGED_TRAIN)
def test_a_damaged_field_is_refused(name, put_train):
    changes, reason = DAMAGED_TRAIN[name]
    with pytest.raises(UsageError, match=reason):
        dawnbench.load(put_train(**changes))


@pytest.mark.parametrize(
    "emails",
    ["a@x.org, b@y.org", "a@x.org;b@y.org", "a@x.org b@y.org", "a@x.org and b@y.org", "A. B. <a@x.org>, C <b@y.org>",
     "a@x.org / b@y.org", "a@x.org,b@y.org,", "anderson@x.org"],
)  # fmt: skip
def test_an_entry_of_several_authors_has_several_addresses(emails, put_train):
    assert dawnbench.load(put_train(authorEmail=emails)).author_email == emails


@pytest.mark.parametrize("emails", ["a@x.org, b", "a@@x.org", "a@", "@x.org", "A B", "<>", ",", "and"])
def test_what_is_no_list_of_addresses_is_refused(emails, put_train):
    with pytest.raises(UsageError, match=r"authorEmail: is .*several with commas between"):
        dawnbench.load(put_train(authorEmail=emails))


def test_entries_of_other_tasks_are_told_apart(tmp_path, put_inference):
    folder = tmp_path / "ImageNet" / "inference"
    folder.mkdir(parents=True)
    put(folder / "a_b_c_d.json", {"version": "v1.0", "latency": 1.0, "top5Accuracy": 93.0})
    put(tmp_path / "a_b_c_d.json", {"version": "v1.0", "latency": 1.0, "f1Score": 0.75})
    (tmp_path / "e_f_g_h.json").write_text("{}")
    (tmp_path / "e_f_g_h.tsv").write_text("epoch\thours\ttop1Accuracy\ttop5Accuracy\n1\t1.0\t70\t93\n")
    for path, task in ((folder / "a_b_c_d.json", "ImageNet"), (tmp_path / "a_b_c_d.json", "SQuAD"),
                       (tmp_path / "e_f_g_h.json", "ImageNet")):  # fmt: skip
        reading = dawnbench.read(path)
        assert (reading.other_task, reading.entry, reading.errors) == (task, None, [])
        with pytest.raises(UsageError, match=f"another task, {task}"):
            dawnbench.load(path)
    assert dawnbench.read(put_inference()).other_task is None


@pytest.mark.parametrize("name", DAMAGED_ROWS)
def test_damaged_rows_are_refused(name, put_train):
    rows, reason = DAMAGED_ROWS[name]
    with pytest.raises(UsageError, match=reason):
        dawnbench.load(put_train(rows))


@pytest.mark.parametrize("name", DAMAGED_TSV)
def test_a_damaged_tsv_is_refused(name, put_train):
    tsv, reason = DAMAGED_TSV[name]
    with pytest.raises(UsageError, match=reason):
        dawnbench.load(put_train(tsv=tsv))


@pytest.mark.parametrize("name", DAMAGED_INFERENCE)
def test_a_damaged_inference_entry_is_refused(name, put_inference):
    changes, reason = DAMAGED_INFERENCE[name]
    with pytest.raises(UsageError, match=reason):
        dawnbench.load(put_inference(**changes))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", r"\.json:1: this is not valid JSON"),
        ("[]", r"\.json: this should be one JSON object"),
        ('{"costPerHour": NaN}', "NaN is not JSON"),
        ('{"author": "a", "author": "b"}', "author: this key stands twice"),
        ("[" * 100_000, "nested too deeply"),
        (r'{"author": "\ud83d"}', "half of a surrogate pair"),
        ('{"costPerHour": ' + "9" * 5000 + "}", "too many digits"),
        ('{"costPerHour": ' + "9" * 400 + "}", "costPerHour: is 999.*; allowed: a number, or null"),
    ],
)
def test_bad_json_is_refused(text, reason, put_train):
    path = put_train()
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        dawnbench.load(path)


def test_a_missing_half_is_refused(put_train):
    path = put_train()
    path.with_suffix(".tsv").rename(path.parent / "kept")
    with pytest.raises(UsageError, match=r"pytorch\.tsv: this file is missing; a training entry has it"):
        dawnbench.load(path)
    (path.parent / "kept").rename(path.with_suffix(".tsv"))
    path.unlink()
    with pytest.raises(UsageError, match=r"pytorch\.json: this file is missing"):
        dawnbench.load(path)


def test_all_that_is_wrong_is_said_at_once(put_train):
    reading = dawnbench.read(put_train([["1", "0.1", "50"]], author=None, timestamp="today"))
    assert len(reading.errors) == 3
    assert reading.entry is None


def test_what_real_entries_do_is_a_warning(put_train):
    path = put_train(tsv=b"\xef\xbb\xbfepoch\thours\ttop1Accuracy\r\n\r\n0\t0.1\t90\r\n5\t0.5\t94", optimizer="SGD")
    path.rename(path.with_name("short.json"))
    path.with_suffix(".tsv").rename(path.with_name("short.tsv"))
    reading = dawnbench.read(path.with_name("short.json"))
    assert reading.errors == []
    said = "\n".join(reading.warnings)
    for word in ("byte-order mark", "CR LF", "1 blank lines", "epoch 5 follows 0", "optimizer", r"[author]_[model]"):
        assert word in said
    assert reading.entry.extra == {"optimizer": "SGD"}


def test_find_takes_either_half_and_folders_and_each_entry_once(put_train, put_inference, tmp_path):
    train, inference = put_train(), put_inference()
    assert dawnbench.find([train, train.with_suffix(".tsv")]) == [train]
    assert dawnbench.find([tmp_path]) == [inference, train]
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("")
    for wrong in ("empty", "a.txt", "nothing.json"):
        with pytest.raises(UsageError, match=wrong):
            dawnbench.find([tmp_path / wrong])


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)
finite = st.floats(0.001, 1e6)


@st.composite
def rows(draw):
    count = draw(st.integers(1, 20))
    epochs = sorted(draw(st.sets(st.floats(0, 1000), min_size=count, max_size=count)))
    hours = sorted(draw(st.sets(finite, min_size=count, max_size=count)))
    top1 = draw(st.lists(st.floats(0, 100), min_size=count - 1, max_size=count - 1))
    return tuple(map(EntryRow, epochs, hours, [*top1, draw(st.floats(94, 100))]))


@given(rows(), texts, st.none() | finite)
def test_what_is_written_reads_back_equal(tmp_path_factory, rows, text, cost):
    same = {"author": text, "author_email": "a@b", "framework": text, "model": text, "hardware": text}
    train = TrainEntry(**same, timestamp="2018-11-06", rows=rows, cost_per_hour=cost, misc={text: [cost, text]})
    inference = InferenceEntry(**same, timestamp="2018-11-06", latency_ms=1.5, top1_percent=94.0, cost_usd=cost)
    folder = tmp_path_factory.mktemp("entries")
    for entry in (train, inference):
        path = dawnbench.path_of(entry, folder, "a_b_c_d")
        dawnbench.write(entry, path)
        assert dawnbench.load(path) == entry


@given(st.binary() | st.text().map(str.encode))
def test_no_tsv_whatever_its_bytes_is_more_than_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("entry") / "train" / "a.json"
    path.parent.mkdir()
    put(path, {})
    path.with_suffix(".tsv").write_bytes(data)
    reading = dawnbench.read(path)
    assert reading.errors
    assert all(str(path.parent) in error for error in reading.errors)


KEYS = ["version", "author", "authorEmail", "timestamp", "codeURL", "misc", "costPerHour", "latency", "top1Accuracy"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), json_values), st.sampled_from(["train", ""]))
def test_no_json_whatever_its_values_is_more_than_refused(tmp_path_factory, entry, folder):
    path = tmp_path_factory.mktemp("entry") / folder / "a.json"
    path.parent.mkdir(exist_ok=True)
    put(path, entry)
    reading = dawnbench.read(path)
    assert reading.errors or reading.other_task
    "\n".join(reading.errors + reading.warnings).encode()  # what cannot be printed would be a traceback


@given(rows())
def test_rows_read_back_to_the_last_digit(rows):
    assert read_rows(write_rows(rows))[:2] == (rows, [])


# Seconds and dollars to 94 % as published; None where the entry names no price.
PUBLISHED = {
    "apple_resnet9_8v100_pytorch": (9.43, None),
    "kakaobrain_custom-resnet9_1v100-braincloud_pytorch": (57.05, None),
    "BAIDU-USA-GAIT_BaiduNet9_1GV100_pytorch": (71.82, 0.0212),
    "dawn_resnet164_nb_16vCPUs-gc_pytorch": (286_014, 42.35),
    "fastai_pytorch": (173.96, 1.183),
}
PUBLISHED_LATENCY = {
    "HuaweiCloud_resnet8_modelarts_aibox": (0.1345, 94.2),
    "kakaobrain_custom-resnet9_1v100-braincloud_pytorch_inference": (0.85702, 94.23),
}


def test_every_real_entry_parses_and_reads_back_equal(real_entries, tmp_path):
    entries = {path: dawnbench.load(path) for path in dawnbench.find([real_entries])}
    assert sum(isinstance(entry, TrainEntry) for entry in entries.values()) == 31
    assert sum(isinstance(entry, InferenceEntry) for entry in entries.values()) == 21
    for path, entry in entries.items():
        again = dawnbench.path_of(entry, tmp_path, path.stem)
        dawnbench.write(entry, again)
        assert dawnbench.load(again) == entry


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_results(real_entries, name):
    time_s, cost_usd = PUBLISHED[name]
    entry = dawnbench.load(real_entries / "train" / f"{name}.json")
    assert entry.time_s == pytest.approx(time_s, rel=1e-3)
    assert entry.cost_usd == (None if cost_usd is None else pytest.approx(cost_usd, rel=1e-2))


@pytest.mark.parametrize("name", PUBLISHED_LATENCY)
def test_real_latencies(real_entries, name):
    entry = dawnbench.load(real_entries / "inference" / f"{name}.json")
    assert (entry.latency_ms, entry.top1_percent) == PUBLISHED_LATENCY[name]


def test_every_real_training_entry_is_refused_once_damaged(real_entries, tmp_path):
    """Each of the 31 in eight ways: the damage is what is told, whatever else is odd about the entry."""
    for path in sorted((real_entries / "train").glob("*.json")):
        entry = dawnbench.load(path)
        first, last = entry.rows[0], entry.rows[-1]
        damages = {
            "hours are cumulative": {"rows": (*entry.rows[:-1], replace(last, hours=first.hours))},
            "allowed: a larger one": {"rows": (*entry.rows[:-1], replace(last, epoch=first.epoch))},
            "write percent": {"rows": tuple(replace(row, top1_percent=row.top1_percent / 100) for row in entry.rows)},
            "94 is needed": {"rows": tuple(row for row in entry.rows if row.top1_percent < 94)},
            "costPerHour": {"cost_per_hour": -1.0},
            "timestamp": {"timestamp": "2018-13-01"},
            "author": {"author": ""},
            "hardware": {"hardware": None},
        }
        for reason, damage in damages.items():
            damaged = dawnbench.path_of(entry, tmp_path, path.stem)
            dawnbench.write(replace(entry, **damage), damaged)
            reading = dawnbench.read(damaged)
            assert reading.errors, (path.stem, reason)
            assert all(reason in error for error in reading.errors), reading.errors
