from __future__ import annotations

import pytest

from pipelines.files import replacing


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    for content in ("first", "second"):
        with replacing(path) as draft:
            draft.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("written", [True, False])
def test_what_was_there_stays_where_the_writing_fails(tmp_path, written):
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as draft:
            if written:
                draft.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]
