"""Structured report of a patient's measurements: DICOM SR by TID 1500, contours by TID 1410.

References
----------
DICOM PS3.16, TID 1500 Measurement Report, TID 1410 Planar ROI Measurements, TID 1501 Measurement Group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from cardiolabel.dicom_results import codes as own_codes
from cardiolabel.dicom_results.originals import Original
from cardiolabel.dicom_results.uids import content_uid
from cardiolabel.domain import Phase, View
from cardiolabel.inference.predictor import UsedModel
from cardiolabel.measurements.outlines import trace_outlines
from cardiolabel.measurements.records import MaskedImage, PatientRow, Study

__all__ = ["DEVICE", "MANUFACTURER", "VERSION", "Reported", "contours", "report"]

MANUFACTURER, DEVICE = "cardiolabel contributors", "cardiolabel"
VERSION = version("cardiolabel")
SERIES_NUMBER = 9001

_PERCENT, _ML = codes.UCUM.Percent, Code("ml", "UCUM", "milliliter")
_MM, _CM2 = codes.UCUM.Millimeter, codes.UCUM.SquareCentimeter


@dataclass(frozen=True, eq=False)
class Reported:
    """What a report says.

    Attributes
    ----------
    study : Study
    images : mapping of str to MaskedImage
        The measured masks by image id.
    originals : mapping of str to Original
        The DICOM images by image id; images without one have no contours in the report.
    models : mapping of str to UsedModel
        The models of predicted masks by image id.
    authors : tuple of str
        People who drew the other masks.
    """

    study: Study
    images: Mapping[str, MaskedImage]
    originals: Mapping[str, Original]
    models: Mapping[str, UsedModel]
    authors: tuple[str, ...] = ()

    @property
    def evidence(self) -> list[Dataset]:
        """Headers of all images that the report refers to."""
        headers = [header for original in self.originals.values() for header in original.instances]
        return list({str(header.SOPInstanceUID): header for header in headers}.values())

    def digest(self) -> str:
        """Return a text that changes with the numbers, the masks, or who made them."""
        rows = [repr(row) for row in self.study.rows]
        masks = [content_uid(key, image.masks.tobytes()) for key, image in sorted(self.images.items())]
        models = sorted(f"{key}:{used.sha256}" for key, used in self.models.items())
        return "\n".join((VERSION, *rows, *masks, *models, *self.authors))


def report(reported: Reported) -> sr.ComprehensiveSR:
    """Make the report; the same results give the same identifiers.

    Raises
    ------
    ValueError
        No image has a DICOM original.
    """
    evidence = reported.evidence
    if not evidence:
        raise ValueError("expected at least one image with a DICOM original")
    digest, study_uid = reported.digest(), str(evidence[0].StudyInstanceUID)
    is_mr = all(str(header.Modality) == "MR" for header in evidence)
    content = sr.MeasurementReport(
        observation_context=_observers(reported.authors),
        procedure_reported=codes.SCT.CardiacMRI if is_mr else codes.SCT.Echocardiography,
        # Viewers such as OHIF show the first group, which needs a picture for that.
        imaging_measurements=[*_regions(reported, digest), *_volumes(reported, digest)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = sr.ComprehensiveSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=content_uid("report series", study_uid, digest),
        series_number=SERIES_NUMBER,
        sop_instance_uid=content_uid("report", study_uid, digest),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=DEVICE,
        software_versions=VERSION,
        device_serial_number=VERSION,
        series_description="LV measurements by cardiolabel",
        is_complete=True,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    scheme = Dataset()
    scheme.CodingSchemeDesignator = own_codes.SCHEME
    scheme.CodingSchemeName, scheme.CodingSchemeResponsibleOrganization = DEVICE, MANUFACTURER
    made.CodingSchemeIdentificationSequence = [scheme]
    return made


def contours(image: MaskedImage, original: Original, frame: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield structures and their closed contours on a frame, ``(N, 2)`` as DICOM's (column, row).

    DICOM counts from the corner of the picture's first pixel, whose centre is (0.5, 0.5).
    """
    for name, outlines in trace_outlines(image.masks[frame], image.labels).items():
        line = outlines[0][:, ::-1] + 0.5 + np.array([original.left, original.top])
        yield name, line if np.array_equal(line[0], line[-1]) else np.vstack([line, line[:1]])


def _observers(authors: Sequence[str]) -> sr.ObservationContext:
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=content_uid("device", DEVICE, VERSION),
            name=DEVICE,
            manufacturer_name=MANUFACTURER,
            model_name=DEVICE,
            serial_number=VERSION,
        ),
    )
    person = None
    if authors:
        person = sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
                name=", ".join(authors)[:64]
            ),
        )
    return sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _algorithm(used: UsedModel | None) -> sr.AlgorithmIdentification:
    """Identify the model that drew a mask, or this package, which measured a person's."""
    if used is None:
        return sr.AlgorithmIdentification(name=DEVICE, version=VERSION, parameters=["mask=person"])
    parameters = [f"sha256={used.sha256}", f"engine={used.engine}", f"{DEVICE}={VERSION}"]
    return sr.AlgorithmIdentification(
        name=f"{DEVICE} {used.name}",
        version=used.version,
        parameters=parameters,
        family=codes.DCM.ArtificialIntelligence,
    )


def _volumes(reported: Reported, digest: str) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    """Yield a group for each method and convention with an EF."""
    for row in reported.study.rows:
        if row.ef_pct is None or row.edv_ml is None or row.esv_ml is None:
            continue
        images = _measured_by(reported, row)
        used = next((reported.models[image] for image in images if image in reported.models), None)
        ef, edv, esv = own_codes.VOLUMES[row.method]
        name = f"LV volumes, {row.method}, {row.convention}"
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=content_uid(name, digest), identifier=name),
            method=own_codes.DISC_METHODS[row.method],
            finding_sites=[sr.FindingSite(own_codes.STRUCTURES["lv_cavity"])],
            algorithm_id=_algorithm(used),
            measurements=[
                sr.Measurement(ef, round(row.ef_pct, 1), _PERCENT),
                *(
                    sr.Measurement(ef, round(limit, 1), _PERCENT, derivation=derivation)
                    for limit, derivation in (
                        (row.ef_low_pct, own_codes.LOWER),
                        (row.ef_high_pct, own_codes.UPPER),
                    )
                    if limit is not None
                ),
                sr.Measurement(edv, round(row.edv_ml, 1), _ML),
                sr.Measurement(esv, round(row.esv_ml, 1), _ML),
            ],
            qualitative_evaluations=[
                sr.QualitativeEvaluation(own_codes.CONVENTION, own_codes.CONVENTIONS[row.convention]),
                *(
                    sr.QualitativeEvaluation(own_codes.QUALITY, own_codes.flag_code(str(flag)))
                    for flag in row.quality
                ),
            ],
            source_images=[
                sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
                for image in images
                if image in reported.originals
                for header in reported.originals[image].instances
            ],
        )


def _measured_by(reported: Reported, row: PatientRow) -> list[str]:
    """Return the images whose masks went into a row."""
    views = {str(view) for view in View}
    own = next((view for view in views if str(row.method).endswith(view)), None)
    if row.method.name == "SLICE_SUMMATION":
        return list(reported.study.stacks.values())
    frames = reported.study.phase_frames
    return sorted({frame.image_id for (view, _), frame in frames.items() if own in (None, str(view))})


def _regions(reported: Reported, digest: str) -> Iterator[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    """Yield the contours at ED and ES: of the measured frames, and of every slice of stacks."""
    rows = {(row.image_id, row.frame): row for row in reported.study.frames}
    for view, phase, image_id, frame in _shown(reported):
        image, original = reported.images[image_id], reported.originals[image_id]
        header, number = original.at(frame)
        for structure, line in contours(image, original, frame):
            place = f"slice {frame + 1}" if image.view is View.SAX else f"frame {frame + 1}"
            name = f"{view} {phase} {place} {structure}"
            row = rows.get((image_id, frame)) if structure == "lv_cavity" else None
            measurements = []
            if row is not None and row.lv_area_mm2 is not None:
                measurements.append(sr.Measurement(own_codes.AREA, round(row.lv_area_mm2 / 100, 2), _CM2))
            if row is not None and row.lv_length_mm is not None:
                measurements.append(sr.Measurement(own_codes.LENGTH, round(row.lv_length_mm, 1), _MM))
            yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(uid=content_uid(name, digest), identifier=name),
                referenced_region=sr.ImageRegion(
                    graphic_type=sr.GraphicTypeValues.POLYLINE,
                    graphic_data=np.round(line, 2),
                    source_image=sr.SourceImageForRegion(
                        header.SOPClassUID, header.SOPInstanceUID, [number] if number else None
                    ),
                ),
                time_point_context=sr.TimePointContext(
                    time_point=str(phase), time_point_type=own_codes.PHASES[phase]
                ),
                finding_type=own_codes.STRUCTURES[structure],
                algorithm_id=_algorithm(reported.models.get(image_id)),
                measurements=measurements or None,
                qualitative_evaluations=[sr.QualitativeEvaluation(own_codes.VIEW, own_codes.VIEWS[view])],
            )


def _shown(reported: Reported) -> Iterator[tuple[View, Phase, str, int]]:
    """Yield view, phase, image and frame of all that is reported with contours."""
    for (view, phase), row in reported.study.phase_frames.items():
        if row.image_id in reported.originals and view is not View.SAX:
            yield view, phase, row.image_id, row.frame
    for phase, image_id in reported.study.stacks.items():
        if image_id in reported.originals:
            yield from (
                (View.SAX, phase, image_id, index) for index in range(len(reported.images[image_id].masks))
            )
