"""Schemas of requests; unknown keys are refused by name, except useless ones that viewers send.

MONAI Label hands every key of a request on to its tasks; here tasks get only the schema's fields.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from fastapi import Form, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from cardiolabel.domain import Phase, View
from cardiolabel.records.manifest_row import MM_PER_PIXEL
from lib.datastore import notes

Name = Annotated[str, Field(max_length=255)]


def _first(value: Any) -> str:
    return str((value[0] if value else "") if isinstance(value, list) else value or "")[:40]


def _true_or_false(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


Device = Annotated[str, BeforeValidator(_first)]
"""A device's name; of a list, as clients send it that were offered one, the first."""

Switch = Annotated[bool, BeforeValidator(_true_or_false)]

Images = Annotated[list[Name], Field(max_length=100_000)]
Number = Annotated[int, Query(ge=1, le=2**31 - 1)]
TagName = Annotated[str, Query(max_length=255, description="final or original; others are read only.")]
ClientId = Annotated[str, Query(max_length=200, description="The annotator, where there is no login.")]


class Params(BaseModel):
    """Fields of a request; ``ignored`` ones, which viewers always send, are dropped."""

    model_config = ConfigDict(extra="forbid")

    ignored: ClassVar[frozenset[str]] = frozenset({"client_id"})

    @model_validator(mode="before")
    @classmethod
    def _drop(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: inner for key, inner in value.items() if key not in cls.ignored}


class InferParams(Params):
    """Fields of an inference; image and model are in the address."""

    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            *("client_id", "result_dtype", "result_compress", "restore_label_idx", "label", "label_info"),
            *("foreground", "background", "roi", "slice", "reset_state", "selected_label_name"),
            *("points", "point_labels", "label_prompt", "multi_gpu", "gpus", "logging"),
        }
    )

    strict: Switch = False
    device: Device = ""
    result_extension: str | None = Field(default=None, max_length=20)
    save_label: bool = False
    label_tag: Literal["original"] = "original"


class BatchParams(Params):
    """Fields of a prediction of many images."""

    ignored: ClassVar[frozenset[str]] = frozenset(
        {"client_id", "multi_gpu", "logging", "max_workers", "labels", "save_label"}
    )

    images: Literal["all", "labeled", "unlabeled"] | Images | None = None
    label_tag: Literal["original"] = "original"
    max_batch_size: int = Field(default=0, ge=0)
    device: Device = ""
    gpus: str = Field(default="all", pattern=r"^(all|[0-9]{1,3}(,[0-9]{1,3}){0,63})$")


class TrainParams(Params):
    """Fields of a training; ranges are those of `cardiolabel.training.retraining.settings.Settings`."""

    epochs: int | None = None
    learning_rate: float | None = None
    from_scratch: bool | None = None
    device: Device = ""


class TrainAllParams(Params):
    """Fields of a training of every model: `TrainParams` by model."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, TrainParams] = Field(init=False)


class ScoreParams(Params):
    """Fields of a scoring, which has no options."""


class ScoreAllParams(Params):
    """Fields of a scoring by every method: `ScoreParams` by method."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ScoreParams] = Field(init=False)


class SampleParams(Params):
    """Fields of a next sample."""

    ignored: ClassVar[frozenset[str]] = frozenset()

    client_id: str | None = Field(default=None, max_length=200)
    seed: int = Field(default=0, ge=0, lt=2**32)

    @field_validator("seed", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        text = str(0 if value is None else value)
        if not (text.isascii() and text.isdecimal() and len(text) <= 10):
            raise ValueError(f"expected a whole number from 0 to {2**32 - 1}")
        return int(text)


class Notes(BaseModel):
    """Notes of a client: any JSON object within the limits of `lib.datastore.notes`."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"x-bytes": notes.MAX_BYTES})


class Segment(BaseModel):
    """Name of a label file's value, as 3D Slicer lists them."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=200)
    idx: Annotated[int, Field(ge=0, le=2**31 - 1)] | Annotated[str, Field(max_length=10)]


class LabelParams(Notes):
    """Fields of a saved label, and notes on it."""

    client_id: str | None = Field(default=None, max_length=200)
    allow_empty: Switch = False
    base_version: int | None = Field(default=None, ge=0, strict=True)
    label_info: Annotated[list[Segment], Field(max_length=1000)] | Segment | None = None


Point = tuple[float, float]
Outline = Annotated[list[Point], Field(max_length=5000)]


Frames = Annotated[
    dict[Annotated[int, Field(ge=0, lt=10**6)], dict[Name, Annotated[list[Outline], Field(max_length=64)]]],
    Field(max_length=10_000),
]
"""Outlines by frame from 0 and by structure."""


class DrawnFrames(BaseModel):
    """Outlines that a person drew: by frame from 0 and by structure, points as (row, col) in pixels."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    frames: Frames
    base_version: int | None = Field(default=None, ge=0, lt=2**31)
    client_id: str = Field(default="", max_length=200)
    allow_empty: bool = False
    seconds: float = Field(default=0.0, ge=0, le=1e6)
    drags: int = Field(default=0, ge=0, le=10**6)
    reading: str = Field(default="", max_length=40)


Runs = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=300_000)]
"""Value, first pixel and length of each run of label values."""

PaintedByFrame = Annotated[
    dict[Annotated[int, Field(ge=0, lt=10**6)], Runs],
    Field(max_length=10_000),
]


Place = Annotated[
    Literal["picture", "image"],
    Field(description="Where masks lie: on the PACS's picture, or on the image, a part of it."),
]


class PaintedFrames(BaseModel):
    """Masks that a person painted: runs by frame from 0."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    frames: PaintedByFrame
    base_version: int | None = Field(default=None, ge=0, lt=2**31)
    client_id: str = Field(default="", max_length=200)
    allow_empty: bool = False
    seconds: float = Field(default=0.0, ge=0, le=1e6)
    strokes: int = Field(default=0, ge=0, le=10**6)
    on: Place = "picture"


class DrawnImage(BaseModel):
    """Outlines of one image, as in `DrawnFrames`, and masks, as in `PaintedFrames`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    image: Name
    frames: Frames = Field(default_factory=dict)
    painted: PaintedByFrame = Field(default_factory=dict)
    on: Place = "picture"


class DrawnImages(BaseModel):
    """What was drawn and painted in images of one patient."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[DrawnImage], Field(min_length=1, max_length=64)]


class UploadedPatient(BaseModel):
    """What a person says of an upload."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    patient: str = Field(default="", max_length=100)
    training_consent: bool = False
    mm_per_pixel: float | None = Field(default=None, ge=MM_PER_PIXEL[0], le=MM_PER_PIXEL[1])


class Description(BaseModel):
    """What a person says of an image; fields that are not sent stay as they are."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    view: View | None = None
    phase: Phase | None = None
    ed_frame: int | None = Field(default=None, ge=1, lt=10**6)
    es_frame: int | None = Field(default=None, ge=1, lt=10**6)
    mm_per_pixel: float | None = Field(default=None, ge=MM_PER_PIXEL[0], le=MM_PER_PIXEL[1])

    def changes(self) -> dict[str, Any]:
        """Return the fields that were sent; a view and a phase cannot be taken away."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        return {
            name: value for name, value in sent.items() if value is not None or name not in ("view", "phase")
        }


class Consent(BaseModel):
    """Whether a patient agrees to training use."""

    model_config = ConfigDict(extra="forbid")

    training_consent: bool


def json_text(schema: type[BaseModel]) -> Any:
    """Declare a form's field as JSON of a schema; `lib.api.received.params` parses it."""
    return Form(
        json_schema_extra={
            "contentMediaType": "application/json",
            "contentSchema": schema.model_json_schema(),
        }
    )


InferText = Annotated[str, json_text(InferParams)]
LabelText = Annotated[str, json_text(LabelParams)]
NotesText = Annotated[str, json_text(Notes)]
