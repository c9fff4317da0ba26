"""A MONAI Label app of MONAI Label's and MONAI's own parts: the baseline of `cardiolabel bench`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    EnsureChannelFirstd,
    LoadImaged,
    Resized,
    ScaleIntensityRangePercentilesd,
    ToNumpyd,
    Transposed,
)
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.tasks.infer.basic_infer import BasicInferTask

from cardiolabel.networks.torchvision_import import torchvision_module
from cardiolabel.networks.weights import load_model
from cardiolabel.preprocessing.recipes import RECIPES

torchvision_module("torchvision")  # monailabel.transform.post imports it
from monailabel.transform.post import Restored  # noqa: E402


class StockSegmentation(BasicInferTask):
    """Pre-transforms, inferer, post-transforms and writer as in MONAI Label's samples."""

    def __init__(self, network: torch.nn.Module, labels: dict[str, int], size_px: int) -> None:
        super().__init__(
            path=None,
            network=network,
            type=InferType.SEGMENTATION,
            labels=labels,
            dimension=2,
            description="MONAI Label's own parts",
        )
        self._size = (size_px, size_px)

    def pre_transforms(self, data: Any = None) -> Sequence[Callable[..., Any]]:
        """Return the transforms of the input; MONAI reads NIfTI as (W, H)."""
        return [
            LoadImaged(keys="image"),
            EnsureChannelFirstd(keys="image"),
            Transposed(keys="image", indices=(0, 2, 1)),
            ScaleIntensityRangePercentilesd(keys="image", lower=0, upper=99.5, b_min=0.0, b_max=1.0),
            Resized(keys="image", spatial_size=self._size),
        ]

    def inferer(self, data: Any = None) -> Inferer:
        """Return the inferer of the whole image at once."""
        return SimpleInferer()

    def post_transforms(self, data: Any = None) -> Sequence[Callable[..., Any]]:
        """Return the transforms to classes on the image's own grid."""
        return [
            Activationsd(keys="pred", softmax=True),
            AsDiscreted(keys="pred", argmax=True),
            Transposed(keys="pred", indices=(0, 2, 1)),
            ToNumpyd(keys="pred"),
            Restored(keys="pred", ref_image="image"),
        ]


class StockApp(MONAILabelApp):
    """One model: ``--conf model NAME --conf weights FOLDER``."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self._network, card = load_model(conf["model"], Path(conf["weights"]))
        self._recipe = RECIPES[card.recipe].sized(card.size_px)
        super().__init__(app_dir=app_dir, studies=studies, conf=conf, name="stock")

    def init_infers(self) -> dict[str, InferTask]:
        """Return the model, as ``stock``."""
        task = StockSegmentation(self._network, self._recipe.labels.as_dict(), self._recipe.size_px)
        return {"stock": task}
