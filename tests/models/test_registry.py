import pytest

import models


def build(name, **options):
    return models.build(name, options, in_channels=3, classes=10, image_size=32)


def test_every_registered_name_builds_with_its_defaults():
    for name in models.MODELS:
        assert sum(p.numel() for p in build(name).parameters()) > 0


def test_an_unknown_model_names_the_nearest_and_all():
    with pytest.raises(models.ImpossibleModel, match=r"'darknett' \(did you mean 'darknet'\?\); there are: darknet"):
        build("darknett")


def test_an_unknown_option_names_the_nearest_and_all():
    with pytest.raises(
        models.ImpossibleModel, match=r"no option 'widht' \(did you mean 'width'\?\); it has: blocks, width"
    ):
        build("darknet", widht=3)


def test_a_wrong_type_is_no_traceback():
    with pytest.raises(models.ImpossibleModel, match="darknet"):
        build("darknet", width="wide")
