import pytest

from bench.report.terminal.harmless import Harmless


class Breaking:
    """A view of which one method fails."""

    def __init__(self, method):
        self.calls = []
        self._method = method

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *what: self._call(name)

    def __enter__(self):
        return self._call("__enter__")

    def __exit__(self, *error):
        self._call("__exit__")

    def __call__(self, event):
        self._call("__call__")

    def _call(self, name):
        self.calls.append(name)
        if name == self._method:
            raise OSError(5, "Input/output error")


METHODS = ["__enter__", "begin", "take", "__call__", "end", "__exit__"]


@pytest.mark.parametrize("method", METHODS)
def test_a_display_that_fails_ends_no_work_and_is_said_once(method, capsys):
    breaking = Breaking(method)
    with Harmless(breaking) as shown:
        shown.begin("entry")
        shown.take("entry", {"kind": "tick"})
        shown({"kind": "tick"})
        shown.end("entry")
    # Nothing is shown after a failure, but the terminal is given back.
    assert breaking.calls == [*METHODS[: METHODS.index(method) + 1], *(["__exit__"] if method != "__exit__" else [])]
    assert capsys.readouterr().err.count("the display failed") == (method != "__exit__")


def test_an_error_of_the_work_goes_on_its_way():
    with pytest.raises(ValueError, match="of the work"), Harmless(Breaking("")):
        raise ValueError("of the work")
