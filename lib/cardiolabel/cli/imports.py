"""Import of DICOM files, videos and pictures before a command works on a folder."""

from __future__ import annotations

from pathlib import Path

from cardiolabel.cli.options import MODELS, model_folders
from cardiolabel.cli.terminal import bar, list_problems
from cardiolabel.domain import View
from cardiolabel.errors import InputError
from cardiolabel.records.studies_folder import StudiesFolder
from cardiolabel.system.installation import check_server

__all__ = ["local_studies", "views_of", "with_imports"]


def views_of(studies: Path, quiet: bool) -> dict[str, View]:
    """Return the views that are recognised from pixels, and print them with those that stay unknown.

    Raises
    ------
    DatasetError, ManifestError
        The folder is not there or its manifest is malformed.
    """
    records = StudiesFolder(studies).records()
    if all(record.view is not View.UNKNOWN for record in records):
        return {}
    from cardiolabel.pipeline.recognised_views import recognised_views

    views, notes = recognised_views(records, MODELS)
    list_problems(tuple(notes), quiet)
    return views


def local_studies(
    studies: str, query: str, *, keep_names: bool, mm_per_pixel: float | None, quiet: bool
) -> Path:
    """Return a studies folder: the given one, or one with the images of the PACS at an address.

    Raises
    ------
    PacsError
        The PACS fails, and no image of it is here yet.
    InputError, OSError
        As `cardiolabel.pacs.mirror.Mirror.take`.
    """
    if not studies.startswith(("http://", "https://")):
        if query:
            raise InputError("--query is for a PACS; give its DICOMweb address as STUDIES")
        return Path(studies)
    check_server()
    from cardiolabel.pacs.mirror import mirror_of
    from cardiolabel.pipeline.import_folder import ImportOptions

    mirror = mirror_of(studies, query)
    options = ImportOptions(model_folders(mirror.folder, None), keep_names, mm_per_pixel)
    with bar("fetching", quiet) as progress:
        prepared = mirror.take(options, progress=progress)
    list_problems((*prepared.skipped, *prepared.notes), quiet)
    return mirror.folder


def with_imports(
    folder: Path, dest: Path, *, keep_names: bool, mm_per_pixel: float | None, quiet: bool
) -> Path:
    """Return a studies folder with all images of a folder, and print which files hold none.

    Parameters
    ----------
    folder : Path
        Returned as it is if it holds NIfTI images only, or was imported into itself.
    dest : Path
        Gets the images otherwise.
    keep_names, mm_per_pixel
        As `cardiolabel.pipeline.import_folder.ImportOptions`.
    quiet : bool

    Raises
    ------
    InputError, OSError
        As `cardiolabel.pipeline.import_folder.import_folder`.
    """
    from cardiolabel.pipeline.import_folder import ImportOptions, import_folder, is_imported, needs_import

    if not folder.is_dir() or not needs_import(folder):
        return folder
    options = ImportOptions(model_folders(folder, None), keep_names, mm_per_pixel)
    if is_imported(folder, options):
        return folder
    with bar("importing", quiet) as progress:
        prepared = import_folder(folder, dest, options, progress=progress)
    list_problems((*prepared.skipped, *prepared.notes), quiet)
    return dest
