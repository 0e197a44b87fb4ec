"""A page with one sentence, for browsers that come to an address of ours from Slack."""

from html import escape

from aiohttp import web


def text_page(text: str, status: int) -> web.Response:
    """The page, which nobody keeps."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    body = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Avatar</title><p>{escape(text)}</p></html>'
    return web.Response(text=body, status=status, content_type="text/html", headers=headers)
