"""LiveAvatar's lists: avatars, voices, languages, credits, and the contexts that a caller keeps there.

Facts: docs.liveavatar.com/openapi.json. The avatars and voices are those of `catalogue`, with ids as
LiveAvatar writes them.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from adapters.simulator.catalogue import CREATED_AT, GROUP_BY_ID, LOOKS, VOICES
from adapters.simulator.liveavatar.bodies import ContextBody, ContextPatch, Paging, VoicesQuery
from adapters.simulator.liveavatar.wire import Validation, not_found, page, success, unauthorized
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, Json, JsonObject

SANDBOX_AVATAR = "dd73ea75-1218-4ef3-92ce-606d5f7fbc0a"
"""Wayne, the one avatar of the real service that the sandbox has."""
DEMO_VOICE = "c2527536-6d1f-4412-a643-53a3497dada9"
DEMO_CONTEXT = "5b9dba8a-aa31-11f0-a6ee-066a7fa2e369"
DEMO_LLM_CONFIGURATION = "7e1d9f52-3c0b-4a64-9d27-5b8f0c6a1e34"
"""Ours: the one LLM configuration of the simulated account."""
CREDIT = Decimal("0.1")
"""Dollars; what a credit costs beyond the larger plans."""

_ENDLESS = Decimal(10_000)
"""Credits that an account shows that never runs out."""
_MAX_CONTEXTS = 1000
_SPACE = str(uuid.uuid5(uuid.NAMESPACE_DNS, "space.simulator.invalid"))
_MADE = datetime.fromtimestamp(CREATED_AT, UTC).isoformat()
_LANGUAGES = (
    ("English", "en"), ("Spanish", "es"), ("French", "fr"), ("German", "de"), ("Russian", "ru"), ("Arabic", "ar"),
    ("Japanese", "ja"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Avatar:
    """An avatar of LiveAvatar. One that was made from a picture (`IMAGE`) has no voice of its own."""

    id: str
    name: str
    kind: str
    default_voice: str | None
    look: str
    public: bool = True


@dataclass(frozen=True, slots=True)
class SpokenVoice:
    """A voice of LiveAvatar."""

    id: str
    name: str
    language: str
    gender: str
    public: bool = True


@dataclass(slots=True, eq=False)
class Context:
    """What an avatar knows, and what it says first."""

    id: str
    name: str
    prompt: str
    opening_text: str
    created_at: str
    links: list[JsonObject] = field(default_factory=list)

    def row(self) -> JsonObject:
        """As the API shows it."""
        return {
            "id": self.id, "name": self.name, "prompt": self.prompt, "opening_text": self.opening_text,
            "links": [*self.links], "created_at": self.created_at, "updated_at": self.created_at,
        }  # fmt: skip


def _id_of(name: str) -> str:
    """The LiveAvatar id of something in `catalogue`, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.simulator.invalid"))


_VOICES = (
    SpokenVoice(DEMO_VOICE, "Wayne", "English", "male"),
    *(SpokenVoice(_id_of(each.id), each.name, each.language, each.gender, each.public) for each in VOICES),
)
_AVATARS = (
    Avatar(SANDBOX_AVATAR, "Wayne", "VIDEO", DEMO_VOICE, LOOKS[0].id),
    *(
        Avatar(
            _id_of(look.id), look.name, "IMAGE" if look.kind == "photo_avatar" else "VIDEO",
            None if look.kind == "photo_avatar" else _id_of(GROUP_BY_ID[look.group].voice), look.id,
            GROUP_BY_ID[look.group].public,
        )
        for look in LOOKS
    ),
)  # fmt: skip
_AVATAR_BY_ID = {avatar.id: avatar for avatar in _AVATARS}
_VOICE_BY_ID = {voice.id: voice for voice in _VOICES}


def avatar_named(id: object) -> Avatar | None:  # noqa: A002 - the field's word
    """The avatar of an id."""
    return _AVATAR_BY_ID.get(f"{id}")


def voice_named(id: object) -> SpokenVoice | None:  # noqa: A002 - the field's word
    """The voice of an id."""
    return _VOICE_BY_ID.get(f"{id}")


class Contexts:
    """The contexts of the account; the one of the official demo is there from the beginning."""

    def __init__(self) -> None:
        demo = Context(DEMO_CONTEXT, "Demo", "You are a friendly host.", "", _MADE)
        self._all: dict[str, Context] = {demo.id: demo}

    def get(self, id: str) -> Context | None:  # noqa: A002 - the field's word
        """The context of this id."""
        return self._all.get(id)

    def rows(self) -> list[JsonObject]:
        """Every context, the newest first."""
        return [context.row() for context in reversed(self._all.values())]

    def add(self, context: Context) -> None:
        """A new one; beyond very many the oldest is forgotten."""
        self._all[context.id] = context
        if len(self._all) > _MAX_CONTEXTS:
            del self._all[next(iter(self._all))]


class LiveAvatarCatalogue:
    """The endpoints."""

    def __init__(self, service: Service, contexts: Contexts) -> None:
        self._service = service
        self._contexts = contexts
        self._validation = Validation(service)
        self.routes: dict[tuple[str, str], Handler] = {
            ("GET", "/v1/avatars/public"): self._public_avatars,
            ("GET", "/v1/avatars"): self._own_avatars,
            ("GET", "/v1/voices"): self._voices,
            ("GET", "/v1/languages"): self._languages,
            ("GET", "/v1/users/credits"): self._credits,
            ("GET", "/v1/contexts"): self._list_contexts,
            ("POST", "/v1/contexts"): self._make_context,
        }
        self.context_routes: dict[tuple[str, str], Handler] = {("PATCH", ""): self._change_context}

    def _check_key(self, request: web.BaseRequest) -> None:
        if not self._service.account.holds_key(request):
            raise unauthorized()

    async def _public_avatars(self, request: web.BaseRequest, _: str) -> web.Response:
        return self._avatars(request, public=True)

    async def _own_avatars(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        return self._avatars(request, public=False)

    def _avatars(self, request: web.BaseRequest, *, public: bool) -> web.Response:
        paging = self._validation.query(request, Paging)
        rows = [self._avatar(request, avatar) for avatar in _AVATARS if avatar.public == public]
        return page(self._service, request, rows, paging)

    def _avatar(self, request: web.BaseRequest, avatar: Avatar) -> JsonObject:
        voice = _VOICE_BY_ID.get(avatar.default_voice or "")
        return {
            "id": avatar.id, "space_id": _SPACE, "type": avatar.kind, "status": "ACTIVE", "name": avatar.name,
            "preview_url": self._service.picture_url(request, avatar.look), "is_expired": False,
            "default_voice": None if voice is None else {"id": voice.id, "name": voice.name}, "is_1080p": False,
            "created_at": _MADE, "updated_at": _MADE, "error_message": None,
        }  # fmt: skip

    async def _voices(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        query = self._validation.query(request, VoicesQuery)
        rows: list[JsonObject] = [
            {
                "id": voice.id, "name": voice.name, "description": "", "language": voice.language,
                "gender": voice.gender, "created_at": _MADE, "updated_at": _MADE, "tags": [],
            }
            for voice in _VOICES
            if voice.public == (query.voice_type == "public")
        ]  # fmt: skip
        return page(self._service, request, rows, query)

    async def _languages(self, _request: web.BaseRequest, _: str) -> web.Response:
        return success([{"language": name, "code": code} for name, code in _LANGUAGES])

    async def _credits(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        remaining = self._service.account.remaining
        left = _ENDLESS if remaining is None else remaining / CREDIT
        return success({"credits_left": f"{left:.1f}"})

    async def _list_contexts(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        return page(self._service, request, self._contexts.rows(), self._validation.query(request, Paging))

    async def _make_context(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        body = await self._validation.body(request, ContextBody)
        context = Context(
            str(uuid.uuid4()), body.name, body.prompt, body.opening_text, self._service.clock.now().isoformat(),
            [link.model_dump() for link in body.links],
        )  # fmt: skip
        self._contexts.add(context)
        return success(context.row())

    async def _change_context(self, request: web.BaseRequest, context_id: str) -> web.Response:
        self._check_key(request)
        context = self._contexts.get(self._validation.id(context_id, "context_id"))
        if context is None:
            raise not_found("Context")
        changes: dict[str, Json] = (await self._validation.body(request, ContextPatch)).model_dump(exclude_none=True)
        for name, value in changes.items():
            setattr(context, name, value)
        return success(context.row())
