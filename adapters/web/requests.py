"""Requests of the web server as the core sees those of a frame."""

from aiohttp import web

from bot.core.embeds import FrameRequest


def frame_request(request: web.Request) -> FrameRequest:
    """What a frame in a chat client asked for; of values that come twice the first."""
    query = {name: request.query[name] for name in request.query}
    headers = {name.lower(): request.headers[name] for name in request.headers}
    return FrameRequest(dict(request.match_info), query, headers)
