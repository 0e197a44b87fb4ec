"""The workspaces the app is in: the one of `SLACK_BOT_TOKEN`, and those that installed it over OAuth, by themselves or
with the organisation they belong to (Enterprise Grid).

Who we are in each of them is asked once (`auth.test`) and remembered, so that no event waits for it. An organisation
installs once for all of its workspaces: each of them is a workspace of its own here, with the organisation's token."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient, call, web_client
from adapters.chat.slack.installation_store import Installation, Installations
from adapters.chat.slack.manifest import NAME
from adapters.chat.slack.strings import bot_token_trouble
from bot.core.errors import SettingsError, StoreError
from bot.core.ports import Clock
from bot.settings import SlackSettings

log = structlog.get_logger(__name__)

RETRY_DELAY = 5.0
"""Seconds between attempts to reach Slack at the start."""

ASK_AGAIN = 60.0
"""Seconds until Slack is asked again which workspaces of an organisation have the app, because of one that is new."""

ASKED_WITHIN = 1.5
"""Seconds of real time for that question: what asks it is to be acknowledged within 3 s."""

MAX_PAGES = 100
"""Pages of workspaces that are asked for, a hundred workspaces each."""


class Organisation:
    """An installation for many workspaces. `teams` are those that are known to have the app."""

    def __init__(self, installation: Installation, *, is_kept: bool) -> None:
        """`is_kept`: it stands in the database, and not in the settings."""
        self.id = installation.team_id
        self.installation = installation
        self.teams = set(installation.teams)
        self.is_kept = is_kept
        self.asked_at = float("-inf")


class Workspaces:
    """Finds the workspace that something came from."""

    def __init__(
        self,
        settings: SlackSettings,
        session: aiohttp.ClientSession,
        installations: Installations | None,
        clock: Clock,
        on_useless: Callable[[WorkspaceClient, str], None],
    ) -> None:
        """`on_useless` is told of a token that no longer works."""
        self._clock = clock
        self._settings = settings
        self._session = session
        self._installations = installations
        self._on_useless = on_useless
        self._known: dict[str, WorkspaceClient] = {}
        self._organisations: dict[str, Organisation] = {}
        self._finding = asyncio.Lock()
        self.bot_name = NAME.lower()
        self.own: WorkspaceClient | None = None
        self._has_tried_token = asyncio.Event()
        if settings.bot_token is None:
            self._has_tried_token.set()

    @property
    def are_several(self) -> bool:
        """Whether the app may be in more than one workspace."""
        return self._installations is not None or bool(self._organisations)

    async def sign_in(self) -> None:
        """Find out who `SLACK_BOT_TOKEN` is, waiting out what may pass. Raises `SettingsError` for a useless token."""
        token = self._settings.bot_token
        while token is not None:
            client = web_client(token.get_secret_value(), self._settings.api_url, self._session, repeat=True)
            try:
                who = await call(client, "auth.test")
                found = await described(who, token.get_secret_value(), client)
            except SlackError as refusal:
                if sentence := bot_token_trouble(refusal.error):
                    self._has_tried_token.set()
                    raise SettingsError(sentence) from None
                log.warning("Slack does not say who we are", error=refusal.error)
            except SlackUnavailable as error:
                log.warning("Slack cannot be reached", error=str(error))
            else:
                self.bot_name = str(who.get("user") or self.bot_name)
                self.own = self._know(found, is_kept=False)
                self._has_tried_token.set()
                return
            await self._clock.sleep(RETRY_DELAY)

    async def of(self, team_id: str) -> WorkspaceClient | None:
        """The workspace with this id, once it is known whose `SLACK_BOT_TOKEN` is: what goes out at the start waits for
        that. None if the app is not installed there, or nobody can tell."""
        await self._has_tried_token.wait()
        try:
            return await self.find(team_id)
        except StoreError as error:
            log.error("an installation could not be read", error=str(error))
            return None

    async def find(self, team_id: str, organisation: str | None = None) -> WorkspaceClient | None:
        """The workspace with this id; None if the app is not installed there. Raises `StoreError`.

        organisation: the one whose installation serves the workspace, where Slack said so.
        """
        known = self._known.get(team_id)
        if not team_id or (known is not None and organisation in (None, known.organisation)):
            return known
        async with self._finding:
            if organisation is not None:
                return await self._of_organisation(team_id, organisation)
            return self._known.get(team_id) or await self._read(team_id) or await self._claimed(team_id)

    async def add(self, installation: Installation) -> None:
        """The app has been installed. Raises `StoreError`."""
        assert self._installations is not None  # noqa: S101 - only OAuth installs
        await self._installations.keep(installation)
        self._forget(installation.team_id)
        self._know(installation, is_kept=True)

    async def remove(self, team_id: str, token: str | None = None) -> bool:
        """The app is no longer installed in a workspace or an organisation; or `token` no longer works. False if it has
        been installed anew meanwhile. Raises `StoreError`."""
        self._forget(team_id)
        return self._installations is None or await self._installations.forget(team_id, token)

    async def admit(self, organisation: str, teams: Iterable[str]) -> None:
        """An organisation has given the app to some of its workspaces. Raises `StoreError`."""
        if (found := self._organisations.get(organisation)) is not None:
            found.teams.update(teams)
            await self._keep_teams(found)

    async def expel(self, organisation: str, teams: Iterable[str]) -> None:
        """An organisation has taken the app from some of its workspaces. Raises `StoreError`."""
        for team in teams:
            self._known.pop(team, None)
        if (found := self._organisations.get(organisation)) is not None:
            found.teams.difference_update(teams)
            await self._keep_teams(found)

    def teams(self, organisation: str) -> frozenset[str]:
        """The workspaces of an organisation that are known to have the app."""
        found = self._organisations.get(organisation)
        return frozenset(found.teams if found else ())

    # --- finding -----------------------------------------------------------------------------------------------------

    async def _read(self, team_id: str) -> WorkspaceClient | None:
        """The workspace, or the organisation, as it installed the app itself."""
        found = await self._installations.read(team_id) if self._installations is not None and team_id else None
        return None if found is None else self._know(found, is_kept=True)

    async def _of_organisation(self, team_id: str, organisation: str) -> WorkspaceClient | None:
        """A workspace that the installation of its organisation serves, or the organisation itself; None for one of
        which Slack does not say that it belongs to it: in a shared channel it may be another company's."""
        if organisation not in self._organisations:
            await self._read(organisation)
        found = self._organisations.get(organisation)
        if found is None:
            return None
        if team_id not in found.teams and team_id != organisation:
            await self._look_for_more(found)
        return self._member(team_id, found) if team_id in (organisation, *found.teams) else None

    async def _look_for_more(self, organisation: Organisation) -> None:
        """Ask Slack which workspaces of an organisation have the app, at most once a minute."""
        now = self._clock.monotonic()
        if now - organisation.asked_at < ASK_AGAIN:
            return
        organisation.asked_at = now
        token = organisation.installation.token
        client = web_client(token, self._settings.api_url, self._session, repeat=True)
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                more = set(await _teams_of(client)) - organisation.teams
        except (SlackUnavailable, TimeoutError) as error:
            log.warning("Slack does not say which workspaces of the organisation have the app", error=repr(error))
            return
        if more:
            organisation.teams |= more
            await self._keep_teams(organisation)

    async def _claimed(self, team_id: str) -> WorkspaceClient | None:
        """A workspace of which nothing but the id is known, as after a restart: whose is it?"""
        if self._installations is not None:
            for installation in await self._installations.organisations():
                if installation.team_id not in self._organisations:
                    self._know(installation, is_kept=True)
        found = next((one for one in self._organisations.values() if team_id in one.teams), None)
        return None if found is None else self._member(team_id, found)

    def _know(self, installation: Installation, *, is_kept: bool) -> WorkspaceClient:
        if installation.is_of_organisation:
            found = self._organisations.get(installation.team_id)
            if found is None:
                found = self._organisations[installation.team_id] = Organisation(installation, is_kept=is_kept)
            else:
                # Signed in again: its workspaces share this set, and may have come to be known since.
                found.teams.update(installation.teams)
            return self._member(installation.team_id, found)
        colleagues = {installation.enterprise_id} - {""}
        workspace = self._known[installation.team_id] = self._workspace(installation, colleagues)
        return workspace

    def _member(self, team_id: str, organisation: Organisation) -> WorkspaceClient:
        known = self._known.get(team_id)
        if known is None or known.organisation != organisation.id:
            installation = replace(organisation.installation, team_id=team_id)
            known = self._known[team_id] = self._workspace(installation, organisation.teams, organisation.id)
        return known

    def _forget(self, team_id: str) -> None:
        self._organisations.pop(team_id, None)
        self._known = {
            known_id: known
            for known_id, known in self._known.items()
            if known_id != team_id and known.organisation != team_id
        }

    async def _keep_teams(self, organisation: Organisation) -> None:
        organisation.installation = replace(organisation.installation, teams=tuple(sorted(organisation.teams)))
        if organisation.is_kept and self._installations is not None:
            await self._installations.keep(organisation.installation)

    def _workspace(self, found: Installation, colleagues: set[str], organisation: str | None = None) -> WorkspaceClient:
        return WorkspaceClient(
            found.team_id,
            found.token,
            bot_user=found.bot_user,
            bot_id=found.bot_id,
            api_url=self._settings.api_url,
            session=self._session,
            organisation=organisation,
            colleagues=colleagues,
            on_useless=self._on_useless,
        )


async def described(who: Mapping[str, Any], token: str, client: AsyncWebClient) -> Installation:
    """The installation that a token belongs to, as `auth.test` tells of it. Raises `SlackUnavailable`."""
    enterprise = str(who.get("enterprise_id") or "")
    is_organisations = bool(who.get("is_enterprise_install") and enterprise)
    return Installation(
        enterprise if is_organisations else str(who["team_id"]),
        token,
        str(who["user_id"]),
        str(who.get("bot_id", "")),
        enterprise,
        await _teams_of(client) if is_organisations else (),
    )


async def _teams_of(client: AsyncWebClient) -> tuple[str, ...]:
    """The workspaces that an organisation's token may look into; one that is missing here is found by its events."""
    found: list[str] = []
    cursor = ""
    try:
        for _ in range(MAX_PAGES):
            page = await call(client, "auth.teams.list", limit=100, **({"cursor": cursor} if cursor else {}))
            found += [str(team["id"]) for team in page.get("teams") or ()]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
    except SlackError as refusal:
        log.warning("Slack does not say which workspaces of the organisation have the app", error=refusal.error)
    return tuple(sorted(found))
