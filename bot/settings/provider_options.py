"""How an avatar looks and speaks, provider by provider: what the operator may choose there and need not.

What is not set is not sent, so the provider's own default holds. The bounds are those of the providers' specifications
(docs.heygen.com/reference/new-session, docs.liveavatar.com/openapi.json); names of variables begin as those of the
provider do.
"""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from bot.core.languages import language_code
from bot.settings.sections import Section
from bot.settings.types import AnyCase, quoted, words

MAX_VARIABLES = 50
MAX_NAME_LENGTH = 64
MAX_VALUE_LENGTH = 1000


class VoiceProvider(StrEnum):
    """Whose voice LiveAvatar speaks with."""

    ELEVENLABS = "elevenlabs"
    FISH = "fish"


class VoiceModel(StrEnum):
    """The models of those voices."""

    FLASH = "eleven_flash_v2_5"
    MULTILINGUAL = "eleven_multilingual_v2"
    S1 = "s1"
    S2 = "s2"


MODELS_OF = {
    VoiceProvider.ELEVENLABS: (VoiceModel.FLASH, VoiceModel.MULTILINGUAL),
    VoiceProvider.FISH: (VoiceModel.S1, VoiceModel.S2),
}


class Emotion(StrEnum):
    """How a voice of v1 sounds."""

    EXCITED = "excited"
    SERIOUS = "serious"
    FRIENDLY = "friendly"
    SOOTHING = "soothing"
    BROADCASTER = "broadcaster"


class VideoEncoding(StrEnum):
    """How v1 encodes the picture, as it writes it."""

    H264 = "H264"
    VP8 = "VP8"


class SpeechToText(StrEnum):
    """Who listens to visitors with a microphone, on v1."""

    DEEPGRAM = "deepgram"
    GLADIA = "gladia"


def _language(text: str) -> str:
    code = language_code(text)
    if code is None:
        raise ValueError
    return code


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _json_object(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except RecursionError as error:
        raise ValueError from error


def _bounded(variables: dict[str, str] | None) -> dict[str, str] | None:
    if variables is None:
        return None
    if len(variables) > MAX_VARIABLES:
        raise ValueError
    for name, value in variables.items():
        # JSON can write half a surrogate pair, which is not text and cannot be sent.
        f"{name}{value}".encode()
        if not 0 < len(name) <= MAX_NAME_LENGTH or len(value) > MAX_VALUE_LENGTH:
            raise ValueError
    return variables


Language = Annotated[str, AfterValidator(_language)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
# NoDecode: pydantic-settings would read the JSON itself, and end the program where it is none.
Variables = Annotated[dict[str, str] | None, NoDecode, BeforeValidator(_json_object), AfterValidator(_bounded)]

language = partial(Field, default=None, description="the code of a language, such as en, de or pt-BR")
share = partial(Field, default=None, description="a number from 0 to 1")


class LiveAvatarOptions(Section):
    """For `liveavatar`: its `avatar_persona`, its `voice_settings`, and what fills its context."""

    model_config = SettingsConfigDict(env_prefix="LIVEAVATAR_")

    language: Language | None = language()
    voice_provider: Annotated[VoiceProvider, AnyCase] | None = Field(default=None, description="elevenlabs or fish")
    voice_model: Annotated[VoiceModel, AnyCase] | None = Field(
        default=None, description="eleven_flash_v2_5, eleven_multilingual_v2, s1 or s2"
    )
    voice_speed: float | None = Field(
        default=None, ge=0.8, le=1.2, allow_inf_nan=False, description="a number from 0.8 to 1.2"
    )
    voice_stability: Share | None = share()
    voice_similarity: Share | None = share()
    voice_style: Share | None = share()
    llm_configuration_id: UUID | None = Field(default=None, description="the id of an LLM configuration, a UUID")
    dynamic_variables: Variables = Field(
        default=None,
        description=f"a JSON object of at most {MAX_VARIABLES} texts, names of at most {MAX_NAME_LENGTH} characters "
        f"and values of at most {MAX_VALUE_LENGTH:,}",
    )

    @property
    def voice_settings(self) -> Mapping[str, float | str]:
        """What is set of the voice, by the name of the setting without `voice_`."""
        names = ("speed", "stability", "similarity", "style", "model")
        values = {name: getattr(self, f"voice_{name}") for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def cross_check(self) -> Iterator[str]:
        """What the chosen kind of voice does not have."""
        provider = self.voice_provider or VoiceProvider.ELEVENLABS
        default = "" if self.voice_provider else " (the default)"
        if self.voice_model is not None and self.voice_model not in MODELS_OF[provider]:
            models = " or ".join(MODELS_OF[provider])
            yield (
                f"LIVEAVATAR_VOICE_MODEL is {quoted(self.voice_model)}: it must be {models} if "
                f"LIVEAVATAR_VOICE_PROVIDER is {provider}{default}."
            )
        if provider is VoiceProvider.FISH:
            for name in ("stability", "similarity", "style"):
                if name in self.voice_settings:
                    yield (
                        f"LIVEAVATAR_VOICE_{name.upper()} is set: a voice of fish has no {name}. Remove it, or set "
                        "LIVEAVATAR_VOICE_PROVIDER to elevenlabs."
                    )


class HeyGenStreamingOptions(Section):
    """For `heygen-streaming`: what `streaming.new` takes beside avatar, voice, quality and knowledge."""

    model_config = SettingsConfigDict(env_prefix="HEYGEN_STREAMING_")

    language: Language | None = language()
    voice_rate: float | None = Field(
        default=None, ge=0.5, le=1.5, allow_inf_nan=False, description="a number from 0.5 to 1.5"
    )
    voice_emotion: Annotated[Emotion, AnyCase] | None = Field(
        default=None, description="excited, serious, friendly, soothing or broadcaster"
    )
    voice_stability: Share | None = share()
    voice_similarity: Share | None = share()
    voice_style: Share | None = share()
    voice_speaker_boost: bool | None = Field(default=None, description="true or false")
    voice_model: str = words("", max_length=100, description="the id of a model of ElevenLabs, at most 100 characters")
    knowledge_base_id: str = words("", max_length=100, description="the id of a knowledge base, at most 100 characters")
    stt_provider: Annotated[SpeechToText, AnyCase] | None = Field(default=None, description="deepgram or gladia")
    stt_confidence: Share | None = share()
    video_encoding: Annotated[VideoEncoding, BeforeValidator(_upper)] = Field(
        default=VideoEncoding.H264, description="H264 or VP8"
    )
