"""How an avatar looks and speaks: what the operator has set and what somebody asks for at the start reach the service,
on every stream of the session, and what the service does not have is refused in words before anything is opened."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.simulator.liveavatar.catalogue import DEMO_LLM_CONFIGURATION
from bot.core.models import UtteranceState
from bot.settings import HeyGenStreamingOptions, LiveAvatarOptions
from bot.settings.provider_options import Emotion, SpeechToText, VideoEncoding, VoiceModel, VoiceProvider
from tests.harness.bot import BotHarness, simulated

V1_ALL = HeyGenStreamingOptions(
    language="de", voice_rate=0.8, voice_emotion=Emotion.SERIOUS, voice_stability=0.1, voice_similarity=0.2,
    voice_style=0.3, voice_speaker_boost=True, voice_model=VoiceModel.FLASH, knowledge_base_id="kb-1",
    stt_provider=SpeechToText.GLADIA, stt_confidence=0.5, video_encoding=VideoEncoding.VP8,
)  # fmt: skip
LIVEAVATAR_ALL = LiveAvatarOptions(
    language="de", voice_provider=VoiceProvider.ELEVENLABS, voice_model=VoiceModel.MULTILINGUAL, voice_speed=0.8,
    voice_stability=0.1, voice_similarity=0.2, voice_style=0.3, llm_configuration_id=UUID(DEMO_LLM_CONFIGURATION),
    dynamic_variables={"event": "fair"},
)  # fmt: skip
FISH = LiveAvatarOptions(voice_provider=VoiceProvider.FISH, voice_model=VoiceModel.S1, voice_speed=1.2)


def asked_speed(request: Mapping[str, Any]) -> float | None:
    """The speed a stream was asked to speak with."""
    persona = request.get("avatar_persona", {})
    speed: float | None = request.get("voice", {}).get("rate") or persona.get("voice_settings", {}).get("speed")
    return speed


def asked_language(request: Mapping[str, Any]) -> str | None:
    """The language a stream was asked to speak."""
    language: str | None = request.get("language") or request.get("avatar_persona", {}).get("language")
    return language


def requests(world: BotHarness) -> list[Mapping[str, Any]]:
    return [view.request for view in world.simulator.streams()]


@pytest.mark.parametrize(
    ("provider", "options"),
    [("heygen-streaming", V1_ALL), ("liveavatar", LIVEAVATAR_ALL), ("liveavatar", FISH)],
    ids=["heygen-streaming", "elevenlabs", "fish"],
)
async def test_the_service_takes_everything_an_operator_may_set(
    tmp_path: Path, provider: str, options: HeyGenStreamingOptions | LiveAvatarOptions
) -> None:
    async with BotHarness(tmp_path, provider, provider_options=options) as world:
        await world.start()
        await world.write("how does this sound")
        await world.until(lambda: world.ended_as("how does this sound", UtteranceState.SPOKEN))
        (request,) = requests(world)
        assert asked_speed(request) == (0.8 if options is not FISH else 1.2)
        assert asked_language(request) == options.language


@pytest.mark.parametrize("provider", ["heygen-streaming", "liveavatar"])
async def test_what_nobody_chose_is_not_sent(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await world.start()
        (request,) = requests(world)
        assert {"language", "voice", "stt_settings", "dynamic_variables", "llm_configuration_id"}.isdisjoint(request)
        assert {"language", "voice_settings"}.isdisjoint(request.get("avatar_persona", {}))


# --- /avatar start ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["heygen-streaming", "liveavatar"])
async def test_a_session_speaks_as_it_was_asked_to_on_every_stream_and_over_a_restart(
    tmp_path: Path, provider: str
) -> None:
    options = V1_ALL if provider == "heygen-streaming" else LIVEAVATAR_ALL
    async with BotHarness(tmp_path, provider, provider_options=options) as world:
        running = await world.start("/avatar start speed=1.1 language=French")
        assert (running.session.speed, running.session.language) == (1.1, "fr")
        status = dict((await world.type("/avatar status")).fields)
        assert (status["Speed"], status["Language"]) == ("1.1", "fr")
        # The service ends the stream, and the next message opens another.
        world.simulator.drop_stream(world.open_streams[0].id)
        await world.sessions.reconcile()
        await world.write("after the first stream")
        await world.until(lambda: world.ended_as("after the first stream", UtteranceState.SPOKEN))
        await world.crash()
        await world.pass_time(310)
        await world.boot()
        assert world.running is not None
        assert (world.running.session.speed, world.running.session.language) == (1.1, "fr")
        await world.write("after the restart")
        await world.until(lambda: world.ended_as("after the restart", UtteranceState.SPOKEN))
        assert [(asked_speed(request), asked_language(request)) for request in requests(world)] == [(1.1, "fr")] * 3


async def test_the_next_session_knows_nothing_of_what_the_last_one_was_asked(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "liveavatar") as world:
        running = await world.start("/avatar start speed=1.2 language=de")
        await world.type("/avatar stop")
        await world.until(running.closed.is_set)
        await world.start()
        assert asked_speed(requests(world)[-1]) is None


@pytest.mark.parametrize(
    ("provider", "line", "speed"),
    [
        ("liveavatar", "speed=0.8", 0.8), ("liveavatar", "speed=1,2", 1.2), ("liveavatar", "speed=1", 1.0),
        ("heygen-streaming", "speed=0.5", 0.5), ("heygen-streaming", 'speed=" 1.5 "', 1.5),
    ],
)  # fmt: skip
async def test_the_bounds_of_the_service_may_be_chosen(tmp_path: Path, provider: str, line: str, speed: float) -> None:
    async with BotHarness(tmp_path, provider) as world:
        running = await world.start(f"/avatar start {line}")
        assert running.session.speed == speed
        assert asked_speed(requests(world)[-1]) == speed


ONE_SPEED = "This avatar service has one speed of speech. Start it without `speed=`."
ONE_LANGUAGE = "With this avatar service the voice decides the language. Start it without `language=`."


@pytest.mark.parametrize(
    ("provider", "line", "sentence"),
    [
        ("heygen-realtime", "speed=1.1", ONE_SPEED),
        ("heygen-realtime", "speed=soon", ONE_SPEED),
        ("heygen-realtime", "language=de", ONE_LANGUAGE),
        *(
            ("liveavatar", f"speed={value}", f"`{value}` is not a speed. Give a number from 0.8 (slow) to 1.2 (fast); "
             "1 is normal.")
            for value in ("0.79", "1.21", "fast", "nan", "inf", "-1", "1e9", "x" * 40)
        ),
        (
            "heygen-streaming", "speed=0.49",
            "`0.49` is not a speed. Give a number from 0.5 (slow) to 1.5 (fast); 1 is normal.",
        ),
        *(
            ("liveavatar", f"language={value}", f"`{value}` is not a language code. Give one such as `en`, `de` or "
             "`pt-BR`.")
            for value in ("klingon", "e", "12", "en;drop")
        ),
        ("heygen-streaming", "quality=very_high", "`very_high` is not a valid quality. Choose one of: low, medium, "
         "high."),
        ("liveavatar", "quality=best", "`best` is not a valid quality. Choose one of: low, medium, high, very_high."),
        ("liveavatar", "tempo=1", "Unknown option `tempo=`. Available: `avatar=`, `voice=`, `mode=`, `quality=`, "
         "`channel=`, `speed=`, `language=`."),
        ("heygen-realtime", "tempo=1", "Unknown option `tempo=`. Available: `avatar=`, `voice=`, `mode=`, `quality=`, "
         "`channel=`."),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
async def test_what_the_service_does_not_have_is_refused_in_words_and_nothing_is_opened(
    tmp_path: Path, provider: str, line: str, sentence: str
) -> None:
    async with BotHarness(tmp_path, provider) as world:
        assert (await world.type(f"/avatar start {line}")).text == sentence
        await world.rest()
        assert world.running is None
        assert world.simulator.streams() == []


async def test_very_high_is_a_quality_where_the_service_has_it(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "liveavatar") as world:
        await world.start("/avatar start quality=Very_High")
        assert requests(world)[-1]["video_settings"]["quality"] == "very_high"


@pytest.mark.parametrize("provider", ["heygen-streaming", "liveavatar"])
async def test_a_voice_that_speaks_slowly_is_waited_for(tmp_path: Path, provider: str) -> None:
    """Of a long text at the slowest speed nothing is cut off, and the next one waits for its end."""
    long = " ".join(f"word{number}" for number in range(100, 220))
    slow = "0.5" if provider == "heygen-streaming" else "0.8"
    async with BotHarness(tmp_path, provider, options=simulated(v1_session_limit=3000)) as world:
        await world.start(f"/avatar start speed={slow}")
        await world.write(long)
        await world.write("and then this")
        await world.until(lambda: world.ended_as("and then this", UtteranceState.SPOKEN), step=1.0)
        assert " ".join(world.spoken) == f"{long} and then this"
        (view,) = world.simulator.streams()
        times = [(text.starts_at or 0.0, text.ends_at or 0.0) for text in view.spoken]
        assert all(begins >= ended for (_, ended), (begins, _) in pairwise(times))
        assert sum(ends - begins for begins, ends in times) > 900 * 0.06 / float(slow)
