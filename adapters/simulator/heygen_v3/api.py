"""HeyGen v3 Avatar Realtime over HTTP: create, get, words, text, cancel.

Checks requests and drives `V3Stream`s; the states and timers are theirs.
Facts: developers.heygen.com/openapi/external-api.json.
"""

import base64
import binascii
import uuid
from contextlib import suppress
from urllib.parse import urlsplit

from aiohttp import web

from adapters.simulator.catalogue import LOOK_BY_ID, VOICE_BY_ID
from adapters.simulator.heygen_v3.stream import Kind, Status, V3Stream
from adapters.simulator.heygen_v3.wire import (
    check_names,
    data,
    invalid,
    read_object,
    refusal,
    text_of,
    too_many,
    unauthorized,
)
from adapters.simulator.options import V3
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, JsonObject, encode

_AUDIO_FIELDS = {"url": ("url",), "asset_id": ("asset_id",), "base64": ("media_type", "data")}
_AUDIO_SECONDS = 5.0
"""How long a recording is that the simulator cannot see."""
_AUDIO_BYTES_PER_SECOND = 16_000
"""128 kbit/s, to guess the length of a recording that it can see."""


class V3Api:
    """The endpoints. Errors are `Refused` with a StandardAPIError."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes: dict[tuple[str, str], Handler] = {("POST", "/v3/avatar-realtime"): self._create}
        self.stream_routes: dict[tuple[str, str], Handler] = {
            ("GET", ""): self._get,
            ("GET", "words"): self._words,
            ("POST", "text"): self._append,
            ("POST", "cancel"): self._cancel,
        }

    def check_key(self, request: web.BaseRequest) -> None:
        """The API key, in either header; the simulator knows no OAuth."""
        if not self._service.account.holds_key(request, bearer=True):
            raise unauthorized()

    async def _create(self, request: web.BaseRequest, _: str) -> web.Response:
        self.check_key(request)
        body = await read_object(request)
        kind = body.get("type")
        if not isinstance(kind, str) or kind not in (*Kind,):
            raise invalid("type", "Invalid 'type'. Must be one of: tts, audio, text_stream.")
        stream = self._speaking(body, Kind(kind)) if kind != Kind.AUDIO else self._playing(body)
        return data({"stream_id": stream.id}, 201)

    def _speaking(self, body: JsonObject, kind: Kind) -> V3Stream:
        names = ("type", "avatar_id", "voice_id", "text")
        check_names(body, names, names)
        avatar, voice, text = (text_of(body, name) for name in names[1:])
        stream = self._open(kind, avatar, voice)
        stream.append(text)
        return stream

    def _playing(self, body: JsonObject) -> V3Stream:
        names = ("type", "avatar_id", "audio")
        check_names(body, names, names)
        avatar, audio = text_of(body, "avatar_id"), body["audio"]
        if not isinstance(audio, dict):
            raise invalid("audio", "'audio' must be an object.")
        seconds = _checked_audio(audio)
        stream = self._open(Kind.AUDIO, avatar, None)
        stream.play(seconds)
        return stream

    def _open(self, kind: Kind, avatar: str, voice: str | None) -> V3Stream:
        service = self._service
        if avatar not in LOOK_BY_ID:
            raise refusal(404, "avatar_not_found", "Avatar not found.", "avatar_id")
        if voice is not None and voice not in VOICE_BY_ID:
            raise invalid("voice_id", "Invalid 'voice_id'. No such voice.")
        if service.account.is_used_up:
            raise refusal(
                402,
                "insufficient_credit",
                "Your account has 0 credits but this session requires 0.05 credits per second.",
            )
        if service.streams.count_open(V3) >= service.options.v3_concurrency:
            raise too_many(
                "Too many concurrent sessions. Retry after the duration specified in the Retry-After header."
            )
        stream = V3Stream(str(uuid.uuid4()), service.clock, service.options, kind, avatar, voice or "")
        stream.request = {"type": kind.value, "avatar_id": avatar, "voice_id": voice}
        service.streams.add(stream)
        return stream

    async def _get(self, request: web.BaseRequest, stream_id: str) -> web.Response:
        stream = self._find(request, stream_id)
        streaming = stream.status is Status.STREAMING
        return data(
            {
                "stream_id": stream.id,
                "status": stream.status.value,
                "hls_url": self._service.hls_url(request, stream.id) if streaming else None,
                "error_message": stream.error_message,
                "end_reason": stream.end_reason.value if stream.end_reason is not None else None,
            }
        )

    async def _append(self, request: web.BaseRequest, stream_id: str) -> web.Response:
        stream = self._find(request, stream_id)
        body = await read_object(request)
        check_names(body, ("delta", "final"), ("delta",))
        delta, final = text_of(body, "delta", may_be_empty=True), body.get("final", False)
        if not isinstance(final, bool):
            raise invalid("final", "'final' must be a boolean.")
        if not delta and not final:
            raise invalid("delta", "'delta' must be non-empty unless final=true.")
        if stream.kind is not Kind.TEXT_STREAM:
            raise invalid(None, f"Text cannot be appended to a session of type '{stream.kind.value}'.")
        if stream.is_final or not stream.is_open:
            raise refusal(410, "gone", "Streaming session is closed for text.")
        if delta:
            stream.append(delta)
        if final:
            stream.finish()
        return data({"ok": True, "buffered_bytes": stream.buffered_bytes}, 202)

    async def _cancel(self, request: web.BaseRequest, stream_id: str) -> web.Response:
        stream = self._find(request, stream_id)
        return data({"stream_id": stream.id, "cancelled": stream.cancel()}, 202)

    async def _words(self, request: web.BaseRequest, stream_id: str) -> web.StreamResponse:
        stream = self._find(request, stream_id)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        told = 0
        while True:
            words, wait = stream.frame(told)
            if words:
                told += len(words)
                frame: JsonObject = {"words": [{**word.as_json()} for word in words]}
                await response.write(f"data: {encode(frame)}\n\n".encode())
            elif stream.is_open:
                await stream.change(wait)
            else:
                break
        # The fields of the last event are not in the specification; its name is. Who asked may have hung up by now.
        with suppress(ConnectionResetError):
            await response.write(f"event: end\ndata: {encode({'reason': stream.status.value})}\n\n".encode())
            await response.write_eof()
        return response

    def _find(self, request: web.BaseRequest, stream_id: str) -> V3Stream:
        self.check_key(request)
        stream = self._service.streams.get(stream_id)
        if not isinstance(stream, V3Stream):
            raise refusal(404, "not_found", "Streaming session not found.")
        return stream


def _checked_audio(audio: JsonObject) -> float:
    kind = audio.get("type")
    if not isinstance(kind, str) or kind not in _AUDIO_FIELDS:
        raise invalid("audio.type", "Invalid 'audio.type'. Must be one of: url, asset_id, base64.")
    names = _AUDIO_FIELDS[kind]
    check_names(audio, ("type", *names), names, "audio.")
    values = [text_of(audio, name, "audio.") for name in names]
    if kind == "url" and not _is_https(values[0]):
        raise invalid("audio.url", "'audio.url' must be an https URL.")
    if kind != "base64":
        return _AUDIO_SECONDS
    if values[0] != "audio/mpeg":
        raise invalid("audio.media_type", "'audio.media_type' must be audio/mpeg.")
    try:
        sound = base64.b64decode(values[1], validate=True)
    except (binascii.Error, ValueError):
        raise invalid("audio.data", "'audio.data' is not valid base64.") from None
    return len(sound) / _AUDIO_BYTES_PER_SECOND


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        return False
