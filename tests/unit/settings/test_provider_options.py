"""What an operator may set of each provider's own options: bounds, values, contradictions, a line for each mistake."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.clock import SystemClock
from bot.core.errors import SettingsError
from bot.core.languages import OFFERED, language_code
from bot.plugins import make_provider
from bot.settings import load, options_set

UUID = "6f2f8a52-4f0a-4c9e-8f3b-1d2c3b4a5968"
SPEED, RATE, SHARE = "a number from 0.8 to 1.2", "a number from 0.5 to 1.5", "a number from 0 to 1"
CODE = "the code of a language, such as en, de or pt-BR"
VARIABLES = "a JSON object of at most 50 texts, names of at most 64 characters and values of at most 1,000"
MODELS = "eleven_flash_v2_5, eleven_multilingual_v2, s1 or s2"
EMOTIONS = "excited, serious, friendly, soothing or broadcaster"

# variable, what it must be, values that are right, values that are wrong
NUMBERS = ("", "nan", "inf", "-inf", "fast", "1,0")
TABLE = [
    ("LIVEAVATAR_LANGUAGE", CODE, ("de", "PT-br", "zh_Hans_CN", "German"), ("d", "german!", "de-", "12", "x" * 99)),
    ("LIVEAVATAR_VOICE_PROVIDER", "elevenlabs or fish", ("elevenLabs", "fish"), ("google",)),
    ("LIVEAVATAR_VOICE_MODEL", MODELS, ("eleven_flash_v2_5", "ELEVEN_MULTILINGUAL_V2"), ("eleven_v3",)),
    ("LIVEAVATAR_VOICE_SPEED", SPEED, ("0.8", "1", "1.2"), ("0.79", "1.21", *NUMBERS)),
    ("LIVEAVATAR_VOICE_STABILITY", SHARE, ("0", "0.75", "1"), ("-0.01", "1.01", *NUMBERS)),
    ("LIVEAVATAR_VOICE_SIMILARITY", SHARE, ("0", "0.75", "1"), ("-0.01", "1.01", *NUMBERS)),
    ("LIVEAVATAR_VOICE_STYLE", SHARE, ("0", "0.75", "1"), ("-0.01", "1.01", *NUMBERS)),
    ("LIVEAVATAR_LLM_CONFIGURATION_ID", "the id of an LLM configuration, a UUID", (UUID,), ("gpt",)),
    (
        "LIVEAVATAR_DYNAMIC_VARIABLES",
        VARIABLES,
        (
            '{"event": "Summer fair"}', "{}", json.dumps({str(number): "x" for number in range(50)}),
            json.dumps({"n" * 64: "v" * 1000}),
        ),
        (
            "event", "{", "[]", "1", '"text"', '{"": "no name"}', '{"a": 1}', '{"a": null}', '{"a": {"b": "c"}}',
            json.dumps({str(number): "x" for number in range(51)}), json.dumps({"n" * 65: "v"}),
            json.dumps({"n": "v" * 1001}), '{"half": "\\ud800"}', "[" * 100_000,
        ),
    ),
    ("HEYGEN_STREAMING_LANGUAGE", CODE, ("de", "English"), ("?",)),
    ("HEYGEN_STREAMING_VOICE_RATE", RATE, ("0.5", "1", "1.5"), ("0.49", "1.51", *NUMBERS)),
    ("HEYGEN_STREAMING_VOICE_EMOTION", EMOTIONS, ("excited", "Broadcaster"), ("furious",)),
    ("HEYGEN_STREAMING_VOICE_STABILITY", SHARE, ("0", "1"), ("1.01", *NUMBERS)),
    ("HEYGEN_STREAMING_VOICE_SIMILARITY", SHARE, ("0", "1"), ("1.01", *NUMBERS)),
    ("HEYGEN_STREAMING_VOICE_STYLE", SHARE, ("0", "1"), ("1.01", *NUMBERS)),
    ("HEYGEN_STREAMING_VOICE_SPEAKER_BOOST", "true or false", ("true", "false"), ("loud",)),
    (
        "HEYGEN_STREAMING_VOICE_MODEL", "the id of a model of ElevenLabs, at most 100 characters",
        ("eleven_flash_v2_5",), ("x" * 101,),
    ),
    (
        "HEYGEN_STREAMING_KNOWLEDGE_BASE_ID", "the id of a knowledge base, at most 100 characters",
        ("kb-1",), ("x" * 101,),
    ),
    ("HEYGEN_STREAMING_STT_PROVIDER", "deepgram or gladia", ("Deepgram", "gladia"), ("whisper",)),
    ("HEYGEN_STREAMING_STT_CONFIDENCE", SHARE, ("0", "0.55", "1"), ("1.01", *NUMBERS)),
    ("HEYGEN_STREAMING_VIDEO_ENCODING", "H264 or VP8", ("h264", "VP8"), ("AV1",)),
]  # fmt: skip
RIGHT = [(name, value) for name, _, right, _ in TABLE for value in right]
WRONG = [(name, must, value) for name, must, _, wrong in TABLE for value in wrong if value]


def short(value: object) -> str:
    return f"{value}"[:20]


def refusal() -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(None)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(("name", "value"), RIGHT, ids=short)
def test_what_the_provider_takes_may_be_set(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    shown = [variable for _, variable, _ in options_set(load(None))]
    assert shown == ([name] if value != "{}" else shown)


@pytest.mark.parametrize(("name", "must", "value"), WRONG, ids=short)
def test_what_it_does_not_take_stops_the_start_with_a_line(
    monkeypatch: pytest.MonkeyPatch, name: str, must: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    (line,) = refusal()
    assert line.startswith(f'{name} is "')
    assert line.endswith(f'": it must be {must}.')


def test_nothing_is_set_by_default() -> None:
    assert list(options_set(load(None))) == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"LIVEAVATAR_VOICE_MODEL": "s2"},
            'LIVEAVATAR_VOICE_MODEL is "s2": it must be eleven_flash_v2_5 or eleven_multilingual_v2 if '
            "LIVEAVATAR_VOICE_PROVIDER is elevenlabs (the default).",
        ),
        (
            {"LIVEAVATAR_VOICE_PROVIDER": "fish", "LIVEAVATAR_VOICE_MODEL": "eleven_flash_v2_5"},
            'LIVEAVATAR_VOICE_MODEL is "eleven_flash_v2_5": it must be s1 or s2 if LIVEAVATAR_VOICE_PROVIDER is fish.',
        ),
        *(
            (
                {"LIVEAVATAR_VOICE_PROVIDER": "fish", f"LIVEAVATAR_VOICE_{name}": "0"},
                f"LIVEAVATAR_VOICE_{name} is set: a voice of fish has no {name.lower()}. Remove it, or set "
                "LIVEAVATAR_VOICE_PROVIDER to elevenlabs.",
            )
            for name in ("STABILITY", "SIMILARITY", "STYLE")
        ),
    ],
    ids=short,
)
def test_what_the_kind_of_voice_does_not_have_is_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], line: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert refusal() == [line]


@pytest.mark.parametrize(
    ("provider", "line"),
    [
        (
            "heygen-streaming",
            'AVATAR_QUALITY is "very_high": with heygen-streaming it must be one of low, medium, high.',
        ),
        ("heygen-realtime", None),
        ("liveavatar", None),
    ],
)
def test_a_quality_the_provider_does_not_have_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, provider: str, line: str | None
) -> None:
    for name in ("HEYGEN_API_KEY", "LIVEAVATAR_API_KEY"):
        monkeypatch.setenv(name, "some-key")
    monkeypatch.setenv("AVATAR_PROVIDER", provider)
    monkeypatch.setenv("AVATAR_QUALITY", "very_high")
    settings = load(None)
    if line is None:
        make_provider(settings, SystemClock())
        return
    with pytest.raises(SettingsError) as refused:
        make_provider(settings, SystemClock())
    assert str(refused.value) == line
    # What an earlier choice left open there can be closed all the same.
    make_provider(settings, SystemClock(), provider)


# --- codes of languages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("de", "de"), ("DE", "de"), (" en ", "en"), ("pt-br", "pt-BR"), ("pt_BR", "pt-BR"), ("zh-hant", "zh-Hant"),
        ("es-419", "es-419"), ("fil", "fil"), ("german", "de"), ("Brazilian", None), ("", None), ("e", None),
        ("en-", None), ("en-USA1", None), ("ÄÖ", None), ("en\n", "en"), ("../en", None),
    ],
)  # fmt: skip
def test_a_language_is_read_by_its_code_or_its_name(text: str, code: str | None) -> None:
    assert language_code(text) == code


@given(st.text(max_size=40))
def test_what_is_read_as_a_code_is_read_the_same_again(text: str) -> None:
    code = language_code(text)
    assert code is None or (code.isascii() and len(code) <= 12 and language_code(code) == code)


def test_what_is_offered_is_a_code_and_a_name() -> None:
    assert all(language_code(code) == code and language_code(name) == code for code, name in OFFERED.items())
    assert math.inf > len(OFFERED) > 25
