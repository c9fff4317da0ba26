"""Masks as DICOM segmentations: of ultrasound stills and of short-axis stacks.

A cine has no frame of reference, without which the standard knows no segmentation of its frames; its contours
at ED and ES are in the report.

References
----------
DICOM PS3.3, A.51 Segmentation IOD.
"""

from __future__ import annotations

import numpy as np
from highdicom import seg
from highdicom.color import CIELabColor
from highdicom.content import AlgorithmIdentificationSequence
from numpy.typing import NDArray
from PIL import ImageColor
from pydicom.sr.codedict import codes

from cardiolabel.dicom_results import codes as own_codes
from cardiolabel.dicom_results.originals import Original
from cardiolabel.dicom_results.report import DEVICE, MANUFACTURER, VERSION
from cardiolabel.dicom_results.uids import content_uid
from cardiolabel.errors import MeasurementError
from cardiolabel.inference.predictor import UsedModel
from cardiolabel.measurements.records import MaskedImage
from cardiolabel.reporting.theme import STRUCTURE_COLORS

__all__ = ["segmentation", "whole_masks"]

SERIES_NUMBER = 9002


def whole_masks(image: MaskedImage, original: Original) -> NDArray[np.uint8]:
    """Return the masks ``(T, H, W)`` on the whole pictures that the image was cropped from."""
    return np.stack([original.to_picture(mask) for mask in image.masks])


def segmentation(image: MaskedImage, original: Original, used: UsedModel | None) -> seg.Segmentation:
    """Make the segmentation of a still or of a stack.

    Parameters
    ----------
    image : MaskedImage
    original : Original
    used : UsedModel or None
        The model that drew the mask; None where a person did.

    Raises
    ------
    MeasurementError
        A cine, slices in one file or without a frame of reference, or empty masks; the message says so.
    """
    header = original.instances[0]
    if not original.is_stack and int(header.get("NumberOfFrames") or 1) > 1:
        raise MeasurementError("its frames are in one file: no segmentation, its contours are in the report")
    if original.is_stack and not all(each.get("FrameOfReferenceUID") for each in original.instances):
        raise MeasurementError("its slices have no frame of reference: no segmentation")
    present = [
        (name, value) for name, value in image.labels.values if value > 0 and (image.masks == value).any()
    ]
    if not present:
        raise MeasurementError("its masks are empty: no segmentation")
    masks = whole_masks(image, original)
    numbered = np.zeros_like(masks)
    for number, (_, value) in enumerate(present, start=1):
        numbered[masks == value] = number
    content = content_uid(
        "segmentation", str(header.SOPInstanceUID), masks.tobytes(), used.sha256 if used else ""
    )
    return seg.Segmentation(
        source_images=list(original.instances),
        pixel_array=numbered,
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _described(number, name, used) for number, (name, _) in enumerate(present, start=1)
        ],
        series_instance_uid=content_uid("segmentation series", content),
        series_number=SERIES_NUMBER,
        sop_instance_uid=content,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=DEVICE,
        software_versions=VERSION,
        device_serial_number=VERSION,
        series_description=f"Masks by {DEVICE}, {image.view} {image.phase}",
        content_label="LV",
    )


def _described(number: int, name: str, used: UsedModel | None) -> seg.SegmentDescription:
    algorithm = None
    if used is not None:
        algorithm = AlgorithmIdentificationSequence(
            name=f"{DEVICE} {used.name}",
            family=codes.DCM.ArtificialIntelligence,
            version=used.version,
            parameters={"sha256": used.sha256},
        )
    kind = seg.SegmentAlgorithmTypeValues
    return seg.SegmentDescription(
        segment_number=number,
        segment_label=name.replace("_", " "),
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=own_codes.STRUCTURES[name],
        algorithm_type=kind.MANUAL if used is None else kind.AUTOMATIC,
        algorithm_identification=algorithm,
        display_color=CIELabColor.from_rgb(*ImageColor.getrgb(STRUCTURE_COLORS[name])[:3]),
    )
