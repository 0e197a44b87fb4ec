"""Models of what others send: what is optional is lenient, what is required is not, and nothing else ever raises."""

from typing import Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import OnErrorOmit, ValidationError

from adapters.avatars.http import Answer
from adapters.wire.lenient import DataModel, ErrorField, HttpUrl, LenientModel, Number, Text, Token, parse_json
from bot.core.errors import Transient


class Inner(LenientModel):
    id: Text
    url: HttpUrl | None = None


class Outer(LenientModel):
    inner: Inner | None = None
    amount: Number = 1.0
    rows: tuple[OnErrorOmit[Inner], ...] = ()
    error: ErrorField | None = None


Row = TypeVar("Row", bound=LenientModel)


class Page(DataModel, Generic[Row]):
    results: tuple[OnErrorOmit[Row], ...]
    token: Token | None = None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Outer.model_fields, "id"]), inner),
)


@given(JSON)
def test_a_model_without_required_fields_reads_anything(value: object) -> None:
    Outer.model_validate(value)


@pytest.mark.parametrize(
    "value", [None, True, "", "x", [], {}, {"id": None}, {"id": 7}, {"id": " "}, {"id": "x" * 201}]
)
def test_a_wrong_field_is_its_default_and_a_required_one_raises(value: object) -> None:
    assert Outer.model_validate({"inner": value, "amount": value, "rows": [value]}).model_dump() == {
        **Outer().model_dump(), "amount": 1.0, "inner": None,
    }  # fmt: skip
    with pytest.raises(ValidationError):
        Inner.model_validate(value)


def test_one_wrong_field_leaves_the_others() -> None:
    read = Page[Inner].model_validate({"data": {"results": [{"id": "a", "url": "ftp://x"}, 5, {}], "token": "\u00e9"}})

    assert read.results == (Inner(id="a"),)
    assert read.token is None


@pytest.mark.parametrize(
    ("value", "expected"), [(2, 2.0), ("1.5", 1.5), (True, 1.0), ("nan", 1.0), (10**400, 1.0), ("x", 1.0), (None, 1.0)]
)
def test_a_number_is_finite_and_may_be_a_string(value: object, expected: float) -> None:
    assert Outer.model_validate({"amount": value}).amount == expected


def test_an_error_is_an_object_or_a_sentence_and_null_is_none() -> None:
    assert Outer.model_validate({"error": "full"}).error == ErrorField(message="full")
    assert Outer.model_validate({"error": {"code": 10007, "message": 5}}).error == ErrorField(code="10007")
    assert Outer.model_validate({"error": []}).error == ErrorField()
    assert Outer.model_validate({"error": None}).error is None


def test_what_cannot_be_read_is_told_without_what_came() -> None:
    answer = Answer(200, b'{"id": 5, "url": "https://secret"}', 1.0)

    with pytest.raises(Transient) as caught:
        answer.read(Inner, "no id", may_have_taken_effect=True)

    assert str(caught.value) == "no id"
    assert caught.value.may_have_taken_effect
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1", b"\xff\xfe\xff", b"[" * 100_000])
def test_what_is_not_json_is_none(content: bytes) -> None:
    assert parse_json(content) is None
