"""The pictures of this process's sessions, by the link that people watch with: `bot.core.pictures.PictureSources`."""

from bot.core.pictures import MediaFile, PlaylistPosition
from bot.sessions.registry import SessionRegistry


class SessionPictures:
    """Finds whose picture a link opens, at each fetch anew: a link, a session or a stream that is over opens none."""

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions

    async def fetch(
        self, link_nonce: str, picture: str, name: str, after: PlaylistPosition | None = None
    ) -> MediaFile | None:
        """See `PictureSources`."""
        running, pictures = self._sessions.behind_link(link_nonce), self._sessions.services.pictures
        if running is None:
            return None
        stream, playback = running.stream.current, running.stream.playback
        if stream is None or playback is None or pictures.name_of(stream, playback) != picture:
            return None
        return await pictures.fetch(stream, playback, name, after)
