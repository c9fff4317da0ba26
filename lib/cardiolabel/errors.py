"""Errors that this package raises on purpose, in one tree.

::

    CardiolabelError                 base of all
    ├── InputError                   the input cannot be used
    │   ├── ImageReadError           a file cannot be opened or decoded
    │   ├── ImageContentError        decoded, but no usable image or mask
    │   │   ├── EmptyMaskError       a mask without labels that is not declared empty
    │   │   └── TooLargeError        it would need more memory than the limit
    │   ├── DatasetError             a dataset folder is incomplete or has another layout
    │   ├── ManifestError            manifest.csv is malformed
    │   ├── BadNameError             an id or a tag that cannot be a file name
    │   ├── UnknownImageError        no image of that id
    │   ├── UnknownLabelError        no such label, or no such version
    │   ├── UnknownPatientError      no image of that patient
    │   ├── UnknownStudyError        no study of a PACS by that identifier
    │   ├── ConflictError            another user changed it in the meantime
    │   └── LeasedError              another annotator is working on it
    ├── MeasurementError             a quantity cannot be measured; the message is the reason
    ├── ClusterError                 workers cannot be reached, or fail
    ├── PacsError                    a PACS does not answer, or refuses
    │   └── GoneFromPacsError        it lists an image and does not give it
    ├── BusyError                    another process is doing the same work
    ├── OverloadedError              memory is taken at present; try again later
    ├── StoreError                   the records of a studies folder cannot be read or written
    │   ├── DiskFullError            the disk is full; nothing was stored
    │   ├── NotWritableError         the disk or database is read-only; nothing was stored
    │   ├── StoreUnavailableError    the database does not answer; try again later
    │   └── DamagedStoreError        the database is lost or damaged, beside an archive
    └── ModelError                   weights cannot be used
        ├── MissingWeightsError      no weights file for the model
        ├── CorruptWeightsError      the file does not match its card
        └── StaleModelError          it was compared with a version no longer served

A message names the file or frame, what was expected and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class CardiolabelError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(CardiolabelError):
    """The input cannot be used."""


class ImageReadError(InputError):
    """A file cannot be opened or decoded."""


class ImageContentError(InputError):
    """A decoded file is not a usable image or mask."""


class EmptyMaskError(ImageContentError):
    """A mask has no labelled pixel and is not declared empty."""


class TooLargeError(ImageContentError):
    """An image or a mask would need more memory than the limit."""


class DatasetError(InputError):
    """A dataset folder is incomplete or has another layout than expected."""


class ManifestError(InputError):
    """``manifest.csv`` is malformed."""


class BadNameError(InputError):
    """An id or a tag cannot be a file name."""


class UnknownImageError(InputError):
    """No image has this id."""


class UnknownLabelError(InputError):
    """No such label exists, or no such version of it."""


class UnknownPatientError(InputError):
    """No image belongs to this patient."""


class UnknownStudyError(InputError):
    """There is no such study of a PACS here."""


class ConflictError(InputError):
    """Another user changed it in the meantime; ``details`` describe both versions."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class LeasedError(InputError):
    """Another annotator is working on the image."""


class PacsError(CardiolabelError):
    """A PACS does not answer, refuses the login, or answers what is no DICOMweb."""


class GoneFromPacsError(PacsError):
    """The PACS lists an image and does not give it."""


class ClusterError(CardiolabelError):
    """Workers on this or workers cannot be reached, or fail."""


class StoreError(CardiolabelError):
    """The records of a studies folder cannot be read or written."""


class DiskFullError(StoreError):
    """The disk is full; nothing was stored."""


class NotWritableError(StoreError):
    """The disk or the database is read-only; nothing was stored."""


class StoreUnavailableError(StoreError):
    """The database does not answer; nothing was stored, and a later attempt may succeed."""


class DamagedStoreError(StoreError):
    """The database is lost or damaged; its records can be rebuilt from the archive beside it."""


class MeasurementError(CardiolabelError):
    """A quantity cannot be measured; the message is the reason shown to the user."""


class ModelError(CardiolabelError):
    """A model cannot be used."""


class MissingWeightsError(ModelError):
    """No weights file exists for a model."""


class CorruptWeightsError(ModelError):
    """A weights file does not match its card."""


class StaleModelError(ModelError):
    """A model was compared with a version that is no longer served."""


class BusyError(CardiolabelError):
    """Another process is doing the same work."""


class OverloadedError(CardiolabelError):
    """Other requests hold the memory; a later attempt may succeed."""
