"""Folders of models: the shipped ones, which never change, and those published for a studies folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cardiolabel.records.layout import StudiesLayout


@dataclass(frozen=True)
class ModelFolders:
    """Folders of the models for one studies folder.

    Parameters
    ----------
    shipped : Path
        Weights and cards that are only read.
    published : Path
        Versions that were published by retraining, uploading or calibrating, and the runs of retraining.
    """

    shipped: Path
    published: Path

    @classmethod
    def of_studies(cls, studies: Path, shipped: Path) -> ModelFolders:
        """Let a studies folder keep its own versions beside the shipped weights."""
        return cls(shipped, StudiesLayout(studies).models)

    @classmethod
    def of(cls, folders: ModelFolders | Path) -> ModelFolders:
        """Take a single folder for both."""
        return folders if isinstance(folders, ModelFolders) else cls(folders, folders)

    def absolute(self) -> ModelFolders:
        """Make both paths absolute."""
        return ModelFolders(self.shipped.absolute(), self.published.absolute())
