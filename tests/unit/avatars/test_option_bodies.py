"""Options of the operator and of a session, as the bodies that open a stream: each in its field, and only where set."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.avatars.heygen_streaming.body import new_body
from adapters.avatars.liveavatar.body import session_body
from bot.core.ports import StreamRequest
from bot.settings import HeyGenStreamingOptions, LiveAvatarOptions
from bot.settings.provider_options import Emotion

REQUEST = StreamRequest("avatar", "", "medium", "", 90, 600)
CONFIGURATION = "7e1d9f52-3c0b-4a64-9d27-5b8f0c6a1e34"
VOICE = {"provider": "elevenLabs"}

LIVEAVATAR: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"language": "de"}, {"avatar_persona": {"language": "de"}}),
    ({"voice_speed": 0.9}, {"avatar_persona": {"voice_settings": {**VOICE, "speed": 0.9}}}),
    ({"voice_stability": 0}, {"avatar_persona": {"voice_settings": {**VOICE, "stability": 0}}}),
    ({"voice_similarity": 0.5}, {"avatar_persona": {"voice_settings": {**VOICE, "similarity_boost": 0.5}}}),
    ({"voice_style": 0}, {"avatar_persona": {"voice_settings": {**VOICE, "style": 0}}}),
    (
        {"voice_model": "eleven_flash_v2_5"},
        {"avatar_persona": {"voice_settings": {**VOICE, "model": "eleven_flash_v2_5"}}},
    ),
    ({"voice_provider": "elevenLabs"}, {"avatar_persona": {"voice_settings": VOICE}}),
    (
        {"voice_provider": "fish", "voice_model": "s2", "voice_speed": 1.2},
        {"avatar_persona": {"voice_settings": {"provider": "fish", "model": "s2", "speed": 1.2}}},
    ),
    ({"llm_configuration_id": CONFIGURATION}, {"llm_configuration_id": CONFIGURATION}),
    ({"dynamic_variables": '{"event": "fair"}'}, {"dynamic_variables": {"event": "fair"}}),
]
STREAMING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"language": "de"}, {"language": "de"}),
    ({"voice_rate": 0.5}, {"voice": {"rate": 0.5}}),
    ({"voice_emotion": "soothing"}, {"voice": {"emotion": "soothing"}}),
    ({"voice_stability": 0}, {"voice": {"elevenlabs_settings": {"stability": 0}}}),
    ({"voice_similarity": 1}, {"voice": {"elevenlabs_settings": {"similarity_boost": 1}}}),
    ({"voice_style": 0.3}, {"voice": {"elevenlabs_settings": {"style": 0.3}}}),
    ({"voice_speaker_boost": "false"}, {"voice": {"elevenlabs_settings": {"use_speaker_boost": False}}}),
    ({"voice_model": "some-model"}, {"voice": {"elevenlabs_settings": {"model_id": "some-model"}}}),
    ({"knowledge_base_id": "kb"}, {"knowledge_base_id": "kb"}),
    ({"stt_provider": "gladia"}, {"stt_settings": {"provider": "gladia"}}),
    ({"stt_confidence": 0}, {"stt_settings": {"confidence": 0}}),
    ({"video_encoding": "vp8"}, {"video_encoding": "VP8"}),
]


def of_liveavatar(options: LiveAvatarOptions | None, request: StreamRequest = REQUEST) -> dict[str, Any]:
    return dict(session_body(request, options, avatar="a", context_id="", sandbox=False, duration=60))


def of_v1(options: HeyGenStreamingOptions | None, request: StreamRequest = REQUEST) -> dict[str, Any]:
    return dict(new_body(request, options, (30.0, 3600.0)))


@pytest.mark.parametrize(("chosen", "sent"), LIVEAVATAR)
def test_each_option_of_liveavatar_has_its_field(chosen: dict[str, Any], sent: dict[str, Any]) -> None:
    assert of_liveavatar(LiveAvatarOptions(**chosen)) == {**of_liveavatar(None), **sent}


@pytest.mark.parametrize(("chosen", "sent"), STREAMING)
def test_each_option_of_v1_has_its_field(chosen: dict[str, Any], sent: dict[str, Any]) -> None:
    assert of_v1(HeyGenStreamingOptions(**chosen)) == {**of_v1(None), **sent}


def test_every_option_is_in_the_tables_above() -> None:
    assert {name for chosen, _ in LIVEAVATAR for name in chosen} == set(LiveAvatarOptions.model_fields)
    assert {name for chosen, _ in STREAMING for name in chosen} == set(HeyGenStreamingOptions.model_fields)


def test_what_a_session_asks_for_goes_before_what_the_operator_has_set() -> None:
    asked = replace(REQUEST, speed=1.1, language="fr")
    persona = of_liveavatar(LiveAvatarOptions(voice_speed=0.9, language="de", voice_style=0.2), asked)["avatar_persona"]
    assert persona == {"language": "fr", "voice_settings": {**VOICE, "speed": 1.1, "style": 0.2}}
    v1 = of_v1(HeyGenStreamingOptions(voice_rate=0.9, language="de", voice_emotion=Emotion.SERIOUS), asked)
    assert (v1["language"], v1["voice"]) == ("fr", {"rate": 1.1, "emotion": "serious"})


def test_a_session_may_ask_where_the_operator_has_set_nothing() -> None:
    asked = replace(REQUEST, speed=1.1, language="fr")
    assert of_liveavatar(None, asked)["avatar_persona"] == {
        "language": "fr", "voice_settings": {**VOICE, "speed": 1.1},
    }  # fmt: skip
    assert (of_v1(None, asked)["language"], of_v1(None, asked)["voice"]) == ("fr", {"rate": 1.1})


def test_a_stored_knowledge_base_is_sent_instead_of_the_text() -> None:
    body = of_v1(HeyGenStreamingOptions(knowledge_base_id="kb"), replace(REQUEST, knowledge="You know all."))
    assert body["knowledge_base_id"] == "kb"
    assert "knowledge_base" not in body
