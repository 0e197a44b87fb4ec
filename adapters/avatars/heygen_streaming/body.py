"""What `streaming.new` of v1 is asked for: the request of the core and the operator's options as its body.

Fields and their values: docs.heygen.com/reference/new-session. What nobody chose is left out.
"""

from collections.abc import Mapping

from bot.core.ports import StreamRequest
from bot.settings import HeyGenStreamingOptions


def new_body(
    request: StreamRequest, options: HeyGenStreamingOptions | None, idle_limit: tuple[float, float]
) -> Mapping[str, object]:
    """The body. What the session asks for goes before what the operator has set."""
    shortest, longest = idle_limit
    return {
        "version": "v2",
        "quality": request.quality,
        # Browsers decode H264 in hardware everywhere; the default is VP8.
        "video_encoding": "H264" if options is None else options.video_encoding.value,
        "activity_idle_timeout": int(min(longest, max(shortest, request.idle_timeout))),
        **_given(
            avatar_id=request.avatar,
            voice=_voice(request, options),
            language=request.language or (options and options.language),
            stt_settings=_given(provider=options.stt_provider, confidence=options.stt_confidence) if options else None,
        ),
        **_knowledge(request, options),
    }


def _voice(request: StreamRequest, options: HeyGenStreamingOptions | None) -> Mapping[str, object]:
    if options is None:
        return _given(voice_id=request.voice, rate=request.speed)
    return _given(
        voice_id=request.voice,
        rate=options.voice_rate if request.speed is None else request.speed,
        emotion=options.voice_emotion,
        elevenlabs_settings=_given(
            stability=options.voice_stability,
            similarity_boost=options.voice_similarity,
            style=options.voice_style,
            use_speaker_boost=options.voice_speaker_boost,
            model_id=options.voice_model,
        ),
    )


def _knowledge(request: StreamRequest, options: HeyGenStreamingOptions | None) -> Mapping[str, object]:
    """A stored knowledge base goes before the text: nothing documents what both together mean."""
    if options is not None and options.knowledge_base_id:
        return {"knowledge_base_id": options.knowledge_base_id}
    return _given(knowledge_base=request.knowledge)


def _given(**fields: object) -> Mapping[str, object]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", {})}
