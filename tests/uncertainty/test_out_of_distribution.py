"""ImageSubspace of another kind are told from those of a kind, and others of the kind are not."""

from __future__ import annotations

import numpy as np
import pytest

from cardiolabel.active_learning.diversity import thumbnail
from cardiolabel.errors import CorruptWeightsError
from cardiolabel.uncertainty.out_of_distribution import ImageSubspace, flags_of, learn_subspace

ROWS, COLS = np.mgrid[:128, :128]


def sector(rng: np.random.Generator) -> np.ndarray:
    """A bright sector of speckle that varies in width and depth."""
    depth, across = ROWS / 128, (COLS - 64) / (ROWS + 8)
    lit = (abs(across) < rng.uniform(0.5, 0.7)) & (depth < rng.uniform(0.8, 0.95))
    return (
        lit * (90 + 60 * np.sin(3 * depth + rng.uniform(0, 1))) + lit * rng.normal(0, 20, lit.shape)
    ).clip(0, 255)


def kind(patients: int, seed: int) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        f"p{number}": [thumbnail(sector(rng).astype(np.float32)) for _ in range(4)]
        for number in range(patients)
    }


def flags(frame: np.ndarray, pictures: ImageSubspace | None, dataset: str = "clinic") -> tuple[str, ...]:
    return flags_of(frame, thumbnail(frame.astype(np.float32)), pictures, dataset=dataset)


@pytest.fixture(scope="module")
def pictures() -> ImageSubspace:
    return learn_subspace(kind(20, seed=0))


def test_others_of_the_kind_are_not_flagged(pictures: ImageSubspace) -> None:
    rng = np.random.default_rng(7)
    result = [flags(sector(rng), pictures) for _ in range(100)]
    assert sum(map(bool, result)) <= 1


@pytest.mark.parametrize("turned", ["upside down", "on its side", "noise", "gradient"])
def test_other_pictures_are(pictures: ImageSubspace, turned: str) -> None:
    rng = np.random.default_rng(7)
    frame = {
        "upside down": sector(rng)[::-1],
        "on its side": sector(rng).T,
        "noise": rng.integers(0, 255, (128, 128)),
        "gradient": COLS * 1.5,
    }[turned]
    assert flags(np.ascontiguousarray(frame), pictures) == ("unlike_training",)


def test_blank_saturated_and_phantom_need_no_model() -> None:
    frame = sector(np.random.default_rng(1))
    assert flags(np.full((128, 128), 90), None) == ("blank",)
    assert flags((frame / 40).astype(np.uint8), None) == ("blank",)
    assert flags((frame * 2.5).clip(0, 255), None) == ("saturated",)
    assert flags(frame, None, dataset="phantom") == ("phantom",)
    assert flags(frame, None) == ()


def test_it_survives_its_card(pictures: ImageSubspace) -> None:
    again = ImageSubspace.from_card(pictures.as_dict())
    assert again is not None
    each = kind(1, seed=3)["p0"][0]
    assert again.distance(each) == pytest.approx(pictures.distance(each), abs=1e-3)
    assert ImageSubspace.from_card({}) is None
    with pytest.raises(CorruptWeightsError, match="image subspace has another form"):
        ImageSubspace.from_card({"mean": "AAAA"})


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="36 images are too few"):
        learn_subspace(kind(9, seed=0))
