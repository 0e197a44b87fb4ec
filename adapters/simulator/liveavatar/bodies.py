"""The bodies that the LiveAvatar API takes, with the limits of its specification. No endpoints, no state.

Like the real service they drop fields they do not know in silence, and complain in the words of pydantic.
"""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, model_validator


class EndReason(StrEnum):
    """Why a session is over."""

    UNKNOWN = "UNKNOWN"
    USER_DISCONNECTED = "USER_DISCONNECTED"
    SERVER_ERROR = "SERVER_ERROR"
    IDLE_TIMEOUT = "IDLE_TIMEOUT"
    NO_CREDITS = "NO_CREDITS"
    USER_CLOSED = "USER_CLOSED"
    AVATAR_DELETED = "AVATAR_DELETED"
    MAX_DURATION_REACHED = "MAX_DURATION_REACHED"
    ZOMBIE_SESSION_REAP = "ZOMBIE_SESSION_REAP"
    AGENT_HANG_UP = "AGENT_HANG_UP"


Speed = Annotated[float, Field(ge=0.8, le=1.2)]
Share = Annotated[float, Field(ge=0, le=1)]
Variables = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=1000)]], Field(max_length=50)
]


class VideoSettings(BaseModel):
    """Of a session."""

    quality: Literal["very_high", "high", "medium", "low"] = "high"
    encoding: Literal["VP8", "H264"] = "H264"


class ElevenLabsVoice(BaseModel):
    """Settings of a voice."""

    provider: Literal["elevenLabs"] = "elevenLabs"
    speed: Speed = 1
    stability: Share = 0.75
    similarity_boost: Share = 0.75
    style: Share = 0
    use_speaker_boost: bool = True
    model: Literal["eleven_flash_v2_5", "eleven_multilingual_v2"] = "eleven_flash_v2_5"
    apply_language_text_normalization: bool = False


class FishVoice(BaseModel):
    """Settings of a voice."""

    provider: Literal["fish"]
    speed: Speed = 1
    model: Literal["s1", "s2"] = "s1"
    latency_mode: Literal["normal", "balanced"] = "normal"


class SpeechToText(BaseModel):
    """Who listens."""

    provider: Literal["deepgram", "assembly_ai", "gladia", "elevenlabs"]


class Persona(BaseModel):
    """Voice, language and context."""

    voice_id: UUID | None = None
    context_id: UUID | None = None
    language: str = "en"
    voice_settings: ElevenLabsVoice | FishVoice | None = None
    stt_config: SpeechToText | None = None


class VoiceAgent(BaseModel):
    """The newer way to say the same; the simulator has no stored agents, so it only checks the form."""

    id: UUID
    language: str = "en"
    dynamic_variables: Variables = Field(default_factory=dict)


class Memory(BaseModel):
    """What an earlier session left."""

    prev_session_id: UUID | None = None
    session_memory_id: UUID | None = None


class FullSession(BaseModel):
    """POST /v1/sessions/token."""

    mode: Literal["FULL"] = "FULL"
    avatar_id: UUID
    is_sandbox: bool = False
    video_settings: VideoSettings | None = None
    max_session_duration: int | None = Field(default=None, ge=1)
    avatar_persona: Persona | None = None
    voice_agent: VoiceAgent | None = None
    interactivity_type: Literal["CONVERSATIONAL", "PUSH_TO_TALK"] = "CONVERSATIONAL"
    llm_configuration_id: UUID | None = None
    dynamic_variables: Variables = Field(default_factory=dict)
    memory: Memory | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "FullSession":
        if (self.avatar_persona is None) == (self.voice_agent is None):
            raise ValueError("Provide exactly one of avatar_persona or voice_agent")
        return self


class StopSession(BaseModel):
    """POST /v1/sessions/stop."""

    session_id: UUID | None = None
    reason: EndReason = EndReason.UNKNOWN


class KeepAlive(BaseModel):
    """POST /v1/sessions/keep-alive."""

    session_id: UUID | None = None


class Link(BaseModel):
    """Something that a context refers to."""

    url: str
    faq: str = ""


class ContextBody(BaseModel):
    """POST /v1/contexts."""

    name: str = Field(min_length=1)
    prompt: str = ""
    opening_text: str = ""
    links: list[Link] = Field(default_factory=list)


class ContextPatch(BaseModel):
    """PATCH /v1/contexts/{id}."""

    name: str | None = Field(default=None, min_length=1)
    prompt: str | None = None
    opening_text: str | None = None
    links: list[Link] | None = None


class Paging(BaseModel):
    """The query of a list."""

    page: int = Field(default=1, ge=1)
    page_size: int = Field(default=20, ge=1, le=100)


class SessionsQuery(Paging):
    """GET /v1/sessions."""

    type: Literal["active", "historic"]
    avatar_id: UUID | None = None
    embed_id: UUID | None = None
    context_id: UUID | None = None


class VoicesQuery(Paging):
    """GET /v1/voices."""

    voice_type: Literal["public", "private"] = "public"


class TranscriptQuery(BaseModel):
    """GET /v1/sessions/{id}/transcript."""

    start_timestamp: int | None = None
    end_timestamp: int | None = None
