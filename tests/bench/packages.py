"""`python -m tests.bench.packages slack|discord`: the memory that the bot's packages take before a line of it has run.

Imports what the bot stands on where it is connected to that platform, and nothing of the bot; writes a line, and ends
with its input.
"""

import importlib
import sys

COMMON = [
    "aiohttp.web",
    "aiosqlite",
    "cachetools",
    "httpx",
    "httpx_aiohttp",
    "itsdangerous",
    "platformdirs",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
    "stamina",
    "structlog",
    "typer",
    "uvloop",
]
OF_PLATFORM = {"discord": ["discord"], "slack": ["slack_bolt.async_app", "slack_bolt.adapter.socket_mode.aiohttp"]}


def main(platform: str) -> None:
    for name in COMMON + OF_PLATFORM[platform]:
        importlib.import_module(name)
    sys.stdout.write("true\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
