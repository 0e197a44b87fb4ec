"""What v1 clients look up besides sessions: avatars, voices, the quota, the history.

Facts: docs.heygen.com/reference.
"""

from decimal import Decimal

from aiohttp import web

from adapters.simulator.catalogue import CREATED_AT, GROUP_BY_ID, LOOKS, VOICES, BadToken, page_of
from adapters.simulator.heygen_v1.api import V1Api
from adapters.simulator.heygen_v1.wire import INVALID_QUERY, refusal_v2, success, success_v2
from adapters.simulator.options import V1
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, Json, JsonObject

_QUOTA_PER_DOLLAR = 60
"""The quota is told in sixtieths of a credit (2.2), and a credit counts as a dollar."""
_ENDLESS_QUOTA = 60_000
"""What an account that never runs out shows: a thousand credits."""
_PAGE_SIZES = (1, 100)


class V1Catalogue:
    """The endpoints. They let in whom the v1 API lets in."""

    def __init__(self, service: Service, api: V1Api) -> None:
        self._service = service
        self._api = api
        self.routes: dict[tuple[str, str], Handler] = {
            ("GET", "/v1/streaming/avatar.list"): self._avatars,
            ("GET", "/v1/voice.list"): self._voice_list,
            ("GET", "/v2/voices"): self._voices,
            ("GET", "/v2/user/remaining_quota"): self._quota,
            ("GET", "/v2/streaming.list"): self._history,
        }

    async def _avatars(self, request: web.BaseRequest, _: str) -> web.Response:
        self._api.caller(request)
        avatars: list[Json] = [
            {
                "avatar_id": look.id, "created_at": CREATED_AT, "default_voice": GROUP_BY_ID[look.group].voice,
                "is_public": GROUP_BY_ID[look.group].public,
                "normal_preview": self._service.picture_url(request, look.id), "pose_name": look.name,
                "status": "ACTIVE",
            }
            for look in LOOKS
        ]  # fmt: skip
        return success(avatars)

    async def _voice_list(self, request: web.BaseRequest, _: str) -> web.Response:
        self._api.caller(request)
        return success({"list": _voices()})

    async def _voices(self, request: web.BaseRequest, _: str) -> web.Response:
        self._api.caller(request)
        return success_v2({"voices": _voices()})

    async def _quota(self, request: web.BaseRequest, _: str) -> web.Response:
        self._api.caller(request)
        remaining = self._service.account.remaining
        quota = _ENDLESS_QUOTA if remaining is None else int(remaining * Decimal(_QUOTA_PER_DOLLAR))
        return success_v2({"remaining_quota": quota, "details": {"api": quota}})

    async def _history(self, request: web.BaseRequest, _: str) -> web.Response:
        self._api.caller(request)
        query = request.rel_url.query
        size = query.get("page_size", "20")
        if not size.isdecimal() or len(size) > 4 or not _PAGE_SIZES[0] <= int(size) <= _PAGE_SIZES[1]:
            raise refusal_v2(INVALID_QUERY, "invalid querying parameter: page_size")
        rows: list[JsonObject] = [
            {
                "session_id": stream.id, "status": stream.state, "created_at": int(stream.opened_utc.timestamp()),
                "api_key_type": "api", "duration": int(stream.seconds), "avatar_id": stream.avatar,
                "voice_name": stream.voice,
            }
            for stream in self._service.streams
            if stream.api == V1
        ]  # fmt: skip
        try:
            shown, following = page_of(rows, int(size), query.get("token"))
        except BadToken:
            raise refusal_v2(INVALID_QUERY, "invalid querying parameter: token") from None
        return success_v2(
            {
                "total": len(rows), "page": 1, "page_size": int(size), "next_pagination_token": following,
                "data": [*shown],
            }
        )  # fmt: skip


def _voices() -> list[Json]:
    return [
        {
            "voice_id": voice.id, "name": voice.name, "language": voice.language, "gender": voice.gender,
            "preview_audio": "", "support_pause": False, "emotion_support": False, "support_realtime": voice.realtime,
            "support_interactive_avatar": voice.realtime,
        }
        for voice in VOICES
    ]  # fmt: skip
