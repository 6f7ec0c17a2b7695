"""What a server answers, as JSON; `ser.inference.plain` makes it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

STAMPS = Field(description="Words that every result of the model must carry.")
NOT_FOR_WHAT = Field(description="What no result is for.")


class Answer(BaseModel):
    """What a model says of a recording, or of a part of it; nothing is known of silence."""

    model_config = ConfigDict(extra="allow")

    label: str | None = Field(None, description="The class with the highest probability; of classes only.")
    probabilities: dict[str, float] | None = Field(None, description="By class.")
    numbers: dict[str, float] | None = Field(
        None, description="By name, of a model of numbers, in place of probabilities."
    )
    set: list[str] | None = Field(None, description="Every class that cannot be ruled out.")
    flags: list[str] = Field([], description="How far the recording is from what acted clips are like.")


class Prediction(Answer):
    """The answer of a whole recording."""

    model: str
    seconds: float = Field(description="Length of the recording.")
    calibrated: bool = Field(description="Whether the temperature of the training is applied.")
    stamps: list[str] = STAMPS
    not_for: str = NOT_FOR_WHAT

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "model": "default",
                "label": "angry",
                "probabilities": {"angry": 0.81, "sad": 0.19},
                "set": ["angry"],
                "flags": [],
                "seconds": 2.4,
                "calibrated": True,
                "stamps": [],
                "not_for": "Not for decisions about people, ...",
            }
        },
    )


class Segment(Answer):
    """The answer of a window."""

    start: float = Field(description="In seconds.")
    end: float = Field(description="In seconds.")
    speech: float | None = Field(None, description="Share of the window that is speech, where it was looked for.")


class Segments(BaseModel):
    """The answers of the windows of a recording."""

    model: str
    seconds: float = Field(description="Length of the recording.")
    window: float
    hop: float
    segments: list[Segment]
    stamps: list[str] = STAMPS
    not_for: str = NOT_FOR_WHAT


class Model(BaseModel):
    """A model of the server."""

    name: str
    classes: list[str] = Field(description="Classes, or names of numbers, in the order of the answers.")
    numeric: bool
    sample_rate: int = Field(description="In Hz; recordings of any rate are taken.")
    calibrated: bool
    trained_on: list[dict[str, Any]] | None = Field(description="The corpora, if the run's folder says so.")
    score: dict[str, Any] | None = Field(
        description="Of speakers who were not in training, if the run's folder has it."
    )
    stamps: list[str] = STAMPS
    not_for: str = NOT_FOR_WHAT


class Failure(BaseModel):
    """What was wrong."""

    type: str = Field(description="A word for programs.")
    message: str = Field(description="A sentence for people.")


class Failed(BaseModel):
    """Every error."""

    error: Failure
