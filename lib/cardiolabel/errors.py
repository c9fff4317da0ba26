"""The error tree.

::

    CardiolabelError                 everything this package raises on purpose
    ├── InputError                   what was given cannot be used
    │   ├── ImageReadError           a file cannot be opened or decoded
    │   ├── ImageContentError        decoded, but not a usable image or mask
    │   ├── DatasetError             a dataset folder is incomplete or not of this layout
    │   ├── ManifestError            manifest.csv is malformed
    │   ├── UnknownImageError        no image of that id
    │   └── UnknownPatientError      no image of that patient
    ├── MeasurementError             a quantity cannot be measured; the message is the reason
    └── ModelError                   weights cannot be used
        ├── MissingWeightsError      no weights file for the model
        └── CorruptWeightsError      the file is not what its card says

A message names the file or frame, what was expected and what to do.
"""


class CardiolabelError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(CardiolabelError):
    """What was given cannot be used."""


class ImageReadError(InputError):
    """A file cannot be opened or decoded."""


class ImageContentError(InputError):
    """A decoded file is not a usable image or mask."""


class DatasetError(InputError):
    """A dataset folder is incomplete or not of the expected layout."""


class ManifestError(InputError):
    """``manifest.csv`` is malformed."""


class UnknownImageError(InputError):
    """No image of that id exists."""


class UnknownPatientError(InputError):
    """No image of that patient exists."""


class MeasurementError(CardiolabelError):
    """A quantity cannot be measured; the message is the reason shown to the user."""


class ModelError(CardiolabelError):
    """A model cannot be used."""


class MissingWeightsError(ModelError):
    """No weights file exists for a model."""


class CorruptWeightsError(ModelError):
    """A weights file is not what its card says."""
