"""What every part of the server works with: the options, the clock, the streams, the account, the rooms, the
server's address.

It holds things together and decides nothing.
"""

import re
from dataclasses import dataclass, field

from aiohttp import web

from adapters.simulator.accounts import Account
from adapters.simulator.options import SimulatorOptions
from adapters.simulator.rooms.contract import Rooms
from adapters.simulator.streams import Streams
from bot.core.ports import Clock

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


@dataclass(slots=True)
class Service:
    """`address` is where the server listens; empty before it does. `sunset` is the switch of the v1 API.

    `rooms` is set by the server, whose rooms need the rest of this.
    """

    options: SimulatorOptions
    clock: Clock
    streams: Streams
    account: Account
    sunset: bool
    address: str = ""
    rooms: Rooms = field(init=False)

    def address_for(self, request: web.BaseRequest) -> str:
        """Where this client reaches the server, without a path: `public_url`, or else the host it asked for."""
        if self.options.public_url is not None:
            return self.options.public_url.rstrip("/")
        host = request.headers.get("Host", "")
        return f"http://{host}" if _HOST.fullmatch(host) else self.address

    def hls_url(self, request: web.BaseRequest, stream_id: str) -> str:
        """Where a stream can be watched."""
        return f"{self.address_for(request)}/simulator/hls/{stream_id}/stream.m3u8"

    def picture_url(self, request: web.BaseRequest, look_id: str) -> str:
        """The preview picture of a look."""
        return f"{self.address_for(request)}/simulator/pictures/{look_id}.svg"
