"""The checks of the avatar service: who brings the picture, key, credit, avatar, voice, open streams. Opens nothing and
costs nothing.
"""

from collections.abc import AsyncIterator

from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.core.errors import AuthenticationFailed, ProviderError, SettingsError, Sunset, Transient
from bot.core.ports import AvatarProvider
from bot.plugins import make_provider
from bot.sentences import dollars, network, network_fix
from bot.settings import SIMULATOR, Settings, options_set
from bot.streams.entered_rooms import EntersRooms
from bot.watching import plan_watching


async def examine_provider(examination: CheckContext) -> AsyncIterator[Check]:
    """Look at the chosen provider's account."""
    settings = examination.settings
    name = settings.avatar.provider
    if name == SIMULATOR:
        yield passed("avatar service", "the simulator, in the bot itself: no account, no cost, no real avatar")
        yield _picture(settings, shows_hls=True)
        return
    try:
        provider = make_provider(settings, examination.clock)
    except SettingsError as error:
        yield failed(
            "avatar service", f"{name}: {str(error).rstrip('.')}", "Set it in .env, or choose another AVATAR_PROVIDER."
        )
        return
    yield _picture(
        settings,
        shows_hls=provider.capabilities.many_viewers,
        enters_rooms=isinstance(provider, EntersRooms),
    )
    async with provider:
        yield (account := await _account(provider))
        if account.fix:
            return
        yield await _known("avatar", settings.avatar.id, provider)
        yield await _known("voice", settings.avatar.voice_id, provider)
        yield await _open_streams(provider)
    yield _options(settings)


def _picture(settings: Settings, *, shows_hls: bool, enters_rooms: bool = False) -> Check:
    """Who brings the picture to the watch page."""
    try:
        return passed("picture", plan_watching(settings, shows_hls=shows_hls, enters_rooms=enters_rooms).told)
    except SettingsError as error:
        fix = "Do that, or remove AVATAR_WATCH and AVATAR_CARRIER, so that it is chosen for you."
        return failed("picture", str(error), fix)


async def _account(provider: AvatarProvider) -> Check:
    subject = "avatar service"
    price = provider.capabilities.price_per_minute
    cost = f", an open minute costs up to {dollars(price)}" if price else ""
    try:
        balance = await provider.balance()
        await provider.avatars()
    except AuthenticationFailed as error:
        return failed(
            subject, f"{provider.name} does not accept the key ({error})", "Copy the key from your account again."
        )
    except Sunset:
        return failed(
            subject,
            f"{provider.name} was switched off permanently",
            "Set AVATAR_PROVIDER to heygen-realtime or liveavatar.",
        )
    except Transient as error:
        return failed(subject, f"{network(provider.name, error.trouble)} ({error})", network_fix(error.trouble))
    except ProviderError as error:
        return failed(subject, str(error), "Check the address and the account.")
    return passed(subject, f"{provider.name} accepts the key{f', {balance} left' if balance else ''}{cost}")


async def _known(what: str, wished: str, provider: AvatarProvider) -> Check:
    if not wished:
        return passed(what, "the provider's default")
    try:
        entries = await (provider.avatars() if what == "avatar" else provider.voices())
    except ProviderError as error:
        return warned(what, f"could not fetch the list ({type(error).__name__})", "Try again later.")
    for entry in entries:
        if entry.id == wished:
            return passed(what, entry.name)
    variable = "AVATAR_ID" if what == "avatar" else "AVATAR_VOICE_ID"
    return failed(what, f"{wished} is not among yours", f"Choose one of `avatar-relay {what}s`, and set {variable}.")


async def _open_streams(provider: AvatarProvider) -> Check:
    if not provider.capabilities.lists_open:
        return skipped("open streams", "the service does not say how many there are, or may be")
    try:
        streams = await provider.list_open()
    except ProviderError as error:
        return warned("open streams", f"could not fetch the list ({type(error).__name__})", "Try again later.")
    return passed("open streams", f"{len(streams) or 'none'}; the service does not say how many may be open")


def _options(settings: Settings) -> Check:
    chosen = settings.avatar.provider
    found = list(options_set(settings))
    idle = [variable for provider, variable, _ in found if provider != chosen]
    if idle:
        return warned(
            "options", f"{', '.join(idle)} has no effect with {chosen}", "Remove it, or choose another AVATAR_PROVIDER."
        )
    shown = ", ".join(f"{variable}={_short(value)}" for _, variable, value in found)
    return passed("options", shown or "none set: the service's own defaults")


def _short(value: str, limit: int = 60) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "…"
