"""The patient's figure as a secondary capture image.

References
----------
DICOM PS3.3, A.8 Secondary Capture Image IOD.
"""

from __future__ import annotations

import io

import numpy as np
from highdicom.sc import SCImage
from PIL import Image
from pydicom import Dataset

from cardiolabel.dicom_results.report import DEVICE, MANUFACTURER
from cardiolabel.dicom_results.uids import content_uid

__all__ = ["capture"]

SERIES_NUMBER = 9003


def capture(figure_png: bytes, reference: Dataset, digest: str) -> SCImage:
    """Make a secondary capture of a figure.

    Parameters
    ----------
    figure_png : bytes
    reference : Dataset
        An image of the study that it belongs to.
    digest : str
        What identifies the figure's content.
    """
    with Image.open(io.BytesIO(figure_png)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    study_uid = str(reference.StudyInstanceUID)
    made = SCImage.from_ref_dataset(
        ref_dataset=reference,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=content_uid("figure series", study_uid, digest),
        series_number=SERIES_NUMBER,
        sop_instance_uid=content_uid("figure", study_uid, digest),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=("L", "P"),
        series_description=f"LV figure by {DEVICE}",
    )
    made.BodyPartExamined = "HEART"
    return made
