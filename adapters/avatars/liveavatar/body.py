"""What a session of LiveAvatar is configured with: the request of the core and the operator's options as the body of
`sessions/token`.

Fields and their values: docs.liveavatar.com/openapi.json. What nobody chose is left out.
"""

from collections.abc import Mapping

from bot.core.ports import StreamRequest
from bot.settings import LiveAvatarOptions

_ON_THE_WIRE = {"elevenlabs": "elevenLabs", "similarity": "similarity_boost"}
"""What LiveAvatar writes unlike our settings."""

_DEFAULT_VOICE_PROVIDER = "elevenlabs"
"""Whose voices are LiveAvatar's own (its guide's example): settings of a voice have to say whose they are."""


def session_body(
    request: StreamRequest,
    options: LiveAvatarOptions | None,
    *,
    avatar: str,
    context_id: str,
    sandbox: bool,
    duration: int | None,
) -> Mapping[str, object]:
    """The body. What the session asks for goes before what the operator has set. `duration`: seconds to ask for."""
    return {
        "mode": "FULL",
        "avatar_id": avatar,
        "is_sandbox": sandbox,
        # Nobody's open microphone may set the avatar talking.
        "interactivity_type": "PUSH_TO_TALK",
        "video_settings": {"quality": request.quality, "encoding": "H264"},
        "avatar_persona": _given(
            voice_id=request.voice,
            context_id=context_id,
            language=request.language or (options and options.language),
            voice_settings=_voice_settings(request, options),
        ),
        **_given(max_session_duration=duration),
        **({} if options is None else _of_the_context(options)),
    }


def _voice_settings(request: StreamRequest, options: LiveAvatarOptions | None) -> Mapping[str, object]:
    settings = dict(options.voice_settings) if options is not None else {}
    if request.speed is not None:
        settings["speed"] = request.speed
    provider = options.voice_provider if options is not None else None
    if not settings and provider is None:
        return {}
    given = {_ON_THE_WIRE.get(name, name): value for name, value in settings.items()}
    whose = provider or _DEFAULT_VOICE_PROVIDER
    return {"provider": _ON_THE_WIRE.get(whose, whose), **given}


def _of_the_context(options: LiveAvatarOptions) -> Mapping[str, object]:
    configuration, variables = options.llm_configuration_id, options.dynamic_variables
    return _given(
        llm_configuration_id=None if configuration is None else str(configuration),
        dynamic_variables=None if variables is None else dict(variables),
    )


def _given(**fields: object) -> Mapping[str, object]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", {})}
