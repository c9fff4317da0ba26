"""De-identification of a DICOM file's tags by the basic profile, at every depth.

The rules are those of dicom-anonymizer, which has the table of the standard. Dates are shifted and UIDs
replaced consistently, as the profile's options for longitudinal data allow.

References
----------
DICOM PS3.15, E.2 Basic Application Level Confidentiality Profile and E.3.6 Retain Longitudinal Temporal
Information Options, https://dicom.nema.org/medical/dicom/current/output/chtml/part15/chapter_E.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dicomanonymizer import simpledicomanonymizer as rules
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from cardiolabel.domain import VIEWS, View
from cardiolabel.errors import DatasetError
from cardiolabel.pipeline.deidentification.replacements import Replacements
from cardiolabel.records.view_names import named_view

__all__ = ["TagChoices", "clean_tags"]

_Rule = Callable[[Dataset, tuple[int, int]], None]

_UID_RULES = (rules.replace_UID, rules.delete_or_empty_or_replace_UID)
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_SENDERS = (
    "SourceApplicationEntityTitle",
    "SendingApplicationEntityTitle",
    "ReceivingApplicationEntityTitle",
    "ImplementationVersionName",
    "PrivateInformation",
    "PrivateInformationCreatorUID",
)
"""Meta information that names the systems which a file came through."""
_DESCRIPTIONS = ("ViewName", "SeriesDescription", "ProtocolName", "StageName", "ImageComments")


@dataclass(frozen=True)
class TagChoices:
    """Tags, by keyword, that are treated otherwise than the profile says.

    Raises
    ------
    DatasetError
        A name that is no keyword of the DICOM dictionary.
    """

    remove: tuple[str, ...] = ()
    pseudonymise: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.remove, *self.pseudonymise, *self.keep):
            if tag_for_keyword(name) is None:
                raise DatasetError(f"{name!r} is no DICOM keyword; expected for instance PatientSex")


def clean_tags(dataset: Dataset, replacements: Replacements, *, patient: str, choices: TagChoices) -> None:
    """Remove or replace whatever identifies the patient in a data set and in all of its sequences.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Is changed.
    replacements : Replacements
    patient : str
        The patient's identity, for pseudonym and shift of dates.
    choices : TagChoices
    """
    view = named_view((), [str(dataset.get(name) or "") for name in _DESCRIPTIONS])
    own_rules = _rules(replacements, patient, choices)
    for part in [*_nested(dataset), dataset]:
        rules.anonymize_dataset(part, own_rules, base_rules_gen=rules.initialize_actions_2024b)
    pseudonym = replacements.patient(patient)
    dataset.PatientID = dataset.PatientName = pseudonym
    if isinstance(view, View) and "SeriesDescription" not in choices.keep:
        dataset.SeriesDescription = VIEWS[view].name
    for name in _SENDERS:
        if name in dataset.file_meta:
            delattr(dataset.file_meta, name)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "cardiolabel: DICOM PS3.15 basic profile, dates shifted"


def _rules(replacements: Replacements, patient: str, choices: TagChoices) -> dict[tuple[int, ...], _Rule]:
    def replace_uid(dataset: Dataset, tag: tuple[int, int]) -> None:
        element: Any = dataset.get(tag)
        if element is None:
            return
        if element.VR != "UI":
            rules.empty(dataset, tag)
        elif element.VM > 1:
            element.value = [replacements.uid(str(uid)) for uid in element.value]
        elif element.value:
            element.value = replacements.uid(str(element.value))

    def shift(dataset: Dataset, tag: tuple[int, int]) -> None:
        element: Any = dataset.get(tag)
        if element is not None:
            element.value = replacements.date(str(element.value), patient)

    def pseudonymise(dataset: Dataset, tag: tuple[int, int]) -> None:
        element: Any = dataset.get(tag)
        if element is not None and element.value:
            element.value = replacements.name(str(element.value))

    base = rules.initialize_actions_2024b()
    own: dict[tuple[int, ...], _Rule] = {tag: replace_uid for tag, rule in base.items() if rule in _UID_RULES}
    own |= dict.fromkeys(map(_tag, _DATES), shift)
    own |= dict.fromkeys(map(_tag, choices.remove), rules.delete)
    own |= dict.fromkeys(map(_tag, choices.pseudonymise), pseudonymise)
    own |= dict.fromkeys(map(_tag, choices.keep), rules.keep)
    return own


def _tag(keyword: str) -> tuple[int, ...]:
    tag = Tag(keyword)
    return tag.group, tag.element


def _nested(dataset: Dataset) -> Iterator[Dataset]:
    """Yield the data sets within sequences, the deepest first."""
    for element in dataset:
        if element.VR == "SQ":
            for part in element.value or ():
                yield from _nested(part)
                yield part
