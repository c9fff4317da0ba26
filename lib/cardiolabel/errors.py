"""The error tree.

::

    CardiolabelError                 everything this package raises on purpose
    ├── InputError                   what was given cannot be used
    │   ├── ImageReadError           a file cannot be opened or decoded
    │   ├── ImageContentError        decoded, but not a usable image or mask
    │   │   ├── EmptyMaskError       a mask without any labelled pixel, and nobody said that this is meant
    │   │   └── TooLargeError        it would take more memory than the limit, by what its header says
    │   ├── DatasetError             a dataset folder is incomplete or not of this layout
    │   ├── ManifestError            manifest.csv is malformed
    │   ├── BadNameError             an id or a tag that could not be a file's name
    │   ├── UnknownImageError        no image of that id
    │   ├── UnknownLabelError        no label, or no version of it
    │   ├── UnknownPatientError      no image of that patient
    │   ├── ConflictError            somebody else changed it in the meantime
    │   └── LeasedError              somebody else is working on it
    ├── MeasurementError             a quantity cannot be measured; the message is the reason
    ├── ClusterError                 other machines cannot be reached, or do not do what they should
    ├── BusyError                    another process is doing the same
    ├── OverloadedError              others need the memory now; the same would work in a while
    ├── StoreError                   the records of a studies folder cannot be read or written
    │   ├── DiskFullError            there is no room; nothing was stored
    │   ├── NotWritableError         the disk or the database only reads; nothing was stored
    │   ├── StoreUnavailableError    the database does not answer now; the same may work later
    │   └── DamagedStoreError        the database is lost or damaged; what is archived is there
    └── ModelError                   weights cannot be used
        ├── MissingWeightsError      no weights file for the model
        ├── CorruptWeightsError      the file is not what its card says
        └── StaleModelError          it was compared with a version that is served no more

A message names the file or frame, what was expected and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class CardiolabelError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(CardiolabelError):
    """What was given cannot be used."""


class ImageReadError(InputError):
    """A file cannot be opened or decoded."""


class ImageContentError(InputError):
    """A decoded file is not a usable image or mask."""


class EmptyMaskError(ImageContentError):
    """A mask without any labelled pixel, where nobody said that this is meant."""


class TooLargeError(ImageContentError):
    """An image or a mask would take more memory than the limit."""


class DatasetError(InputError):
    """A dataset folder is incomplete or not of the expected layout."""


class ManifestError(InputError):
    """``manifest.csv`` is malformed."""


class BadNameError(InputError):
    """An id or a tag that could not be a file's name."""


class UnknownImageError(InputError):
    """No image of that id exists."""


class UnknownLabelError(InputError):
    """No such label, or no such version of it, exists."""


class UnknownPatientError(InputError):
    """No image of that patient exists."""


class ConflictError(InputError):
    """Somebody else changed it in the meantime; ``details`` say what both sides have."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class LeasedError(InputError):
    """Somebody else is working on it."""


class ClusterError(CardiolabelError):
    """Workers on this or other machines cannot be reached, or do not do what they should."""


class StoreError(CardiolabelError):
    """The records of a studies folder cannot be read or written."""


class DiskFullError(StoreError):
    """There is no room on the disk; nothing was stored."""


class NotWritableError(StoreError):
    """The disk or the database can only be read; nothing was stored."""


class StoreUnavailableError(StoreError):
    """The database does not answer now; nothing was stored, and the same may work later."""


class DamagedStoreError(StoreError):
    """The database is lost or damaged, beside an archive from which its records can be made anew."""


class MeasurementError(CardiolabelError):
    """A quantity cannot be measured; the message is the reason shown to the user."""


class ModelError(CardiolabelError):
    """A model cannot be used."""


class MissingWeightsError(ModelError):
    """No weights file exists for a model."""


class CorruptWeightsError(ModelError):
    """A weights file is not what its card says."""


class StaleModelError(ModelError):
    """A model was compared with a version that is served no more."""


class BusyError(CardiolabelError):
    """Another process is doing the same."""


class OverloadedError(CardiolabelError):
    """Others need the memory now; the same would work in a while."""
