"""Makes a relay for each stream that a provider shows as HLS."""

from types import TracebackType

from adapters.media.relay.source import HlsRelay
from adapters.media.relay.upstream import Upstream
from adapters.media.sound import SoundDecoder
from bot.core.models import Playback
from bot.core.pictures import PictureSource
from bot.core.ports import Clock


class RelayFactory:
    """`bot.core.pictures.PictureSourceFactory` for playbacks with an HLS address. Enter it to open its connections."""

    def __init__(self, api_url: str, clock: Clock) -> None:
        """`api_url` is how the provider itself is addressed; see `Upstream` for what follows from it."""
        self._upstream = Upstream(api_url)
        self._decoder = SoundDecoder()
        self._clock = clock

    async def __aenter__(self) -> "RelayFactory":
        await self._upstream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._decoder.aclose()
        await self._upstream.__aexit__(kind, error, trace)

    def can_show(self, playback: Playback) -> bool:
        """See `PictureSourceFactory`."""
        return playback.hls_url is not None

    async def open(self, upstream_id: str, playback: Playback) -> PictureSource:  # noqa: ARG002
        """See `PictureSourceFactory`."""
        if playback.hls_url is None:
            raise ValueError("a stream without an HLS address cannot be relayed")
        await self._upstream.look_up_provider()
        return HlsRelay(playback.hls_url, self._upstream, self._clock, self._decoder)
