"""Settings that every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from cardiolabel.inference.engines.openvino_engine import CACHE_VARIABLE

# Repeatable, and without a time limit per example: machines that run several things at once are slow.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def converted_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted models are shared by all tests, and are nobody else's."""
    with pytest.MonkeyPatch.context() as patch:
        if CACHE_VARIABLE not in os.environ:
            patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield
