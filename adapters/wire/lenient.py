"""The base, and the types of fields, of pydantic models for what others send: providers, rooms, chat APIs.

A field that has a default takes it where what came is missing, null or not of its type; one that has none must be
right, or the model raises `ValidationError`. What is not a JSON object counts as an empty one. The error may hold what
came, so whoever validates raises one of its own instead, and not in the `except` (it would keep it as its context).
"""

import json
from typing import Annotated

from pydantic import (
    AliasGenerator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    InstanceOf,
    SecretStr,
    StringConstraints,
    TypeAdapter,
)
from pydantic_core import CoreSchema, core_schema


def _code(value: object) -> object:
    return str(value) if type(value) is int and abs(value) < 10**12 else value


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic passes a TypeError on
    return value


Text = Annotated[str, StringConstraints(strict=True, max_length=200, pattern=r"\S")]
"""An id, a name: with something in it."""

LongText = Annotated[str, StringConstraints(strict=True, max_length=4096, pattern=r"\S")]
"""A sentence, a token."""

Fragment = InstanceOf[str]
"""A piece of a text that was cut anywhere. Unlike `str` it may have half of a surrogate pair in it."""

Code = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=r"\S"), BeforeValidator(_code)]
"""A provider's code, which comes as a number or as a string.

Bounds stand before the function here and below: pydantic then looks at them itself, and behind it in Python.
"""

NO_BOOL = BeforeValidator(_no_bool)
"""For a `Number` that has bounds."""

Number = Annotated[float, Field(allow_inf_nan=False), NO_BOOL]
"""A finite number; also one written as a string, as some credits are."""

HttpUrl = Annotated[str, StringConstraints(strict=True, max_length=4096, pattern=r"(?i)^https?://[^\p{C}\p{Z}]*$")]
"""An address of a web page or a file, without blanks in it."""

RoomUrl = Annotated[
    str, StringConstraints(strict=True, max_length=4096, pattern=r"(?i)^(wss?|https?)://[^\p{C}\p{Z}]*$")
]
"""An address of a LiveKit room."""

_PRINTABLE = Annotated[LongText, StringConstraints(pattern=r"^[ -~]*$")]

Token = Annotated[SecretStr, BeforeValidator(TypeAdapter(_PRINTABLE).validate_python)]
"""What goes into a header."""


class LenientModel(BaseModel):
    """See the module."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        # A validator around every field would do the same, and take five times as long.
        schema = handler(source)
        if schema["type"] != "model" or schema["schema"]["type"] != "model-fields":
            return schema  # It was here before, as a model of its own.
        for field in schema["schema"]["fields"].values():
            if field["schema"]["type"] == "default":
                field["schema"]["on_error"] = "default"
        return core_schema.no_info_before_validator_function(cls._object, schema)

    @classmethod
    def _object(cls, value: object) -> object:
        return value if isinstance(value, dict) else {}


class DataModel(LenientModel):
    """What an answer says under `data`."""

    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=lambda name: AliasPath("data", name)))


class ErrorField(LenientModel):
    """What a body says under `error`, which is an object, or just a sentence."""

    code: Code | None = None
    message: LongText | None = None
    param: Text | None = None
    type: Code | None = None

    @classmethod
    def _object(cls, value: object) -> object:
        return {"message": value} if isinstance(value, str) else super()._object(value)


def parse_json(content: bytes | str) -> object:
    """The JSON value in `content`, None if it is not JSON (which also stands for `null`)."""
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value
