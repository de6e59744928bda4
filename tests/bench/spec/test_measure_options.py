import pytest

from bench.errors import UsageError
from bench.spec import recipes


def of_inference(*settings):
    return recipes.load("cifar94_inference", "cpu", settings).for_inference()


@pytest.mark.parametrize("setting", ["inference.compile=true", "inference.precision=int8"])
def test_what_is_compiled_or_in_int8_goes_without_winograd(setting):
    assert of_inference("inference.compile=false").winograd.root == "large"
    assert of_inference("inference.compile=false", setting).winograd is None


def test_what_is_compiled_has_winograd_where_inference_asks_for_it():
    assert of_inference("inference.compile=true", "inference.winograd=auto").winograd.root == "auto"


def test_int8_in_winograds_form_is_refused():
    with pytest.raises(UsageError, match=r"inference.winograd: is not for int8; leave one of the two out"):
        of_inference("inference.precision=int8", "inference.winograd=auto")
