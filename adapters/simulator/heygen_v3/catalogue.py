"""The v3 lists: avatars, looks, voices, and the account (`/v3/users/me`).

Facts: developers.heygen.com/openapi/external-api.json.
"""

from aiohttp import web

from adapters.simulator.catalogue import (
    CREATED_AT,
    GROUP_BY_ID,
    GROUPS,
    LOOK_BY_ID,
    LOOKS,
    VOICE_BY_ID,
    VOICES,
    Group,
    Look,
    Voice,
)
from adapters.simulator.heygen_v3.wire import choice, data, page, query_of, refusal, unauthorized
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, JsonObject

_OWNERSHIP = ("public", "private")
_LOOK_KINDS = ("studio_avatar", "digital_twin", "photo_avatar")
_MAX_AVATARS = 50
_MAX_VOICES = 100
_SIZE = (1280, 720)


class V3Catalogue:
    """The endpoints."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes: dict[tuple[str, str], Handler] = {
            ("GET", "/v3/avatars"): self._groups,
            ("GET", "/v3/avatars/looks"): self._looks,
            ("GET", "/v3/voices"): self._voices,
            ("GET", "/v3/users/me"): self._me,
        }

    def _check_key(self, request: web.BaseRequest) -> None:
        if not self._service.account.holds_key(request, bearer=True):
            raise unauthorized()

    async def _groups(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        query = query_of(request, ("ownership", "limit", "token"))
        ownership = choice(query, "ownership", _OWNERSHIP)
        groups = [group for group in GROUPS if _owned(group, ownership)]
        return page([self._group(request, group) for group in groups], query, _MAX_AVATARS)

    async def _looks(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        query = query_of(request, ("group_id", "avatar_type", "ownership", "limit", "token"))
        ownership, kind = choice(query, "ownership", _OWNERSHIP), choice(query, "avatar_type", _LOOK_KINDS)
        group = query.get("group_id")
        if group is not None and group not in GROUP_BY_ID:
            raise refusal(404, "avatar_not_found", "Avatar group not found.", "group_id")
        looks = [
            look
            for look in LOOKS
            if group in (None, look.group) and kind in (None, look.kind) and _owned(GROUP_BY_ID[look.group], ownership)
        ]
        return page([self._look(request, look) for look in looks], query, _MAX_AVATARS)

    async def look(self, request: web.BaseRequest, look_id: str) -> web.Response:
        """GET /v3/avatars/looks/{look_id}."""
        self._check_key(request)
        if look_id not in LOOK_BY_ID:
            raise refusal(404, "avatar_not_found", "Avatar look not found.")
        return data(self._look(request, LOOK_BY_ID[look_id]))

    async def _voices(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        query = query_of(request, ("type", "engine", "language", "gender", "limit", "token"))
        kind = choice(query, "type", _OWNERSHIP) or "public"
        choice(query, "engine", ("starfish",))
        language, gender = query.get("language"), query.get("gender")
        voices = [
            voice
            for voice in VOICES
            if voice.public == (kind == "public")
            and (language is None or voice.language.lower() == language.lower())
            and (gender is None or voice.gender.lower() == gender.lower())
        ]
        return page([_voice(voice) for voice in voices], query, _MAX_VOICES)

    async def voice(self, request: web.BaseRequest, voice_id: str) -> web.Response:
        """GET /v3/voices/{voice_id}."""
        self._check_key(request)
        voice = VOICE_BY_ID.get(voice_id)
        if voice is None:
            raise refusal(404, "not_found", "Voice not found.")
        return data(
            {
                "voice_id": voice.id, "name": voice.name, "language": voice.language, "gender": voice.gender,
                "support_pause": False, "support_interactive_avatar": voice.realtime, "preview_audio_url": None,
                "created_at": CREATED_AT, "status": None if voice.public else "complete", "failure_message": None,
            }
        )  # fmt: skip

    async def _me(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        query_of(request, ())
        account = self._service.account
        remaining = account.remaining
        wallet: JsonObject | None = None
        usage: JsonObject | None = None
        if remaining is None:
            usage = {
                "included_credits": None, "remaining_credits": None, "spending_cap_usd": None,
                "spending_current_usd": float(round(account.spent, 4)),
            }  # fmt: skip
        else:
            wallet = {"currency": "usd", "remaining_balance": float(round(remaining, 4)), "auto_reload": None}
        return data(
            {
                "username": "simulator", "email": None, "first_name": None, "last_name": None,
                "billing_type": "usage_based" if wallet is None else "wallet",
                "wallet": wallet, "subscription": None, "usage_based": usage,
            }
        )  # fmt: skip

    def _group(self, request: web.BaseRequest, group: Group) -> JsonObject:
        looks = [look for look in LOOKS if look.group == group.id]
        return {
            "id": group.id, "name": group.name, "created_at": CREATED_AT, "looks_count": len(looks),
            "gender": group.gender, "default_voice_id": group.voice, "consent_status": None, "error": None,
            "preview_image_url": self._service.picture_url(request, looks[0].id), "preview_video_url": None,
            "status": None if group.public else "completed",
        }  # fmt: skip

    def _look(self, request: web.BaseRequest, look: Look) -> JsonObject:
        group = GROUP_BY_ID[look.group]
        return {
            "id": look.id, "name": look.name, "avatar_type": look.kind, "group_id": group.id, "gender": group.gender,
            "tags": [*look.tags], "default_voice_id": group.voice,
            "preview_image_url": self._service.picture_url(request, look.id), "preview_video_url": None,
            "supported_api_engines": ["avatar_iv"], "image_width": _SIZE[0], "image_height": _SIZE[1],
            "preferred_orientation": "landscape", "status": None if group.public else "completed", "error": None,
        }  # fmt: skip


def _owned(group: Group, ownership: str | None) -> bool:
    return ownership is None or group.public == (ownership == "public")


def _voice(voice: Voice) -> JsonObject:
    return {
        "voice_id": voice.id, "name": voice.name, "language": voice.language, "gender": voice.gender,
        "type": "public" if voice.public else "private", "support_pause": False, "support_locale": False,
        "preview_audio_url": None,
    }  # fmt: skip
