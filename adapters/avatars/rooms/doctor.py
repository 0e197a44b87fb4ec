"""What `avatar-relay doctor` looks at on the operator's own LiveKit server: address and key. Makes no room.

`livekit-api` is an extra, imported only where such a server is configured.
"""

from collections.abc import AsyncIterator

import aiohttp

from adapters.avatars.rooms.bot_transport import MISSING
from adapters.network import told, trouble_of
from bot import sentences
from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.settings.proxies import environment_proxies

CLIENT_AND_PROXY = (
    "LiveKit's client goes through the proxy whatever NO_PROXY says, and sound and picture need a way past it"
)
"""livekit 1.x reads HTTPS_PROXY and HTTP_PROXY in its Rust part, and nothing else."""


async def examine_livekit(examination: CheckContext) -> AsyncIterator[Check]:
    """Look at the LiveKit server of LIVEKIT_URL."""
    own = examination.settings.livekit
    if own.url is None or own.api_key is None or own.api_secret is None:
        yield skipped("LiveKit", "LIVEKIT_URL is not set, which AVATAR_WATCH=livekit needs")
        return
    try:
        from livekit import api

        from adapters.avatars.rooms.broadcast.server import BroadcastServer
    except ImportError:
        yield failed("LiveKit", "the extra is not installed", MISSING)
        return
    if environment_proxies():
        yield warned("LiveKit rooms", CLIENT_AND_PROXY, "Let UDP out to it, or leave the rooms to watch pages.")
    server = BroadcastServer(own.url, own.api_key.get_secret_value(), own.api_secret, longest=0.0)
    try:
        rooms = await server.count_rooms()
    except api.TwirpError as refusal:
        yield failed(
            "LiveKit", f"{own.url} does not accept the key ({refusal.code})", "Check LIVEKIT_API_KEY and _SECRET."
        )
    except (aiohttp.ClientError, OSError, ValueError) as error:
        trouble = trouble_of(error)
        found = f"{sentences.network(own.url, trouble)} ({told(error)})"
        yield failed("LiveKit", found, sentences.network_fix(trouble, "LIVEKIT_URL"))
    else:
        yield passed("LiveKit", f"{own.url} accepts the key, {sentences.count(rooms, 'room')} open")
