"""The commands of the shell for who looks after a bot: sessions, people, usage, limits, the database."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

import typer

from bot.core.clock import SystemClock
from bot.core.ports import Clock, Tell
from bot.settings import Settings
from bot.shell import admin as shell_admin
from bot.shell import sessions as shell
from bot.shell.invocation import AsJson, run_to_end, settings_of_this_place, tell

admin_app = typer.Typer()
sessions_app = typer.Typer(
    help="See the open sessions and close them, with the bot running or not.", no_args_is_help=True
)
people_app = typer.Typer(help="See who is blocked, shut people out and let them in again.", no_args_is_help=True)
db_app = typer.Typer(
    help="Look after the database. The bot upgrades it by itself when it starts.", no_args_is_help=True
)
admin_app.add_typer(sessions_app, name="sessions", short_help="See open sessions and close them.")
admin_app.add_typer(people_app, name="people", short_help="See who is blocked, block and unblock.")
admin_app.add_typer(db_app, name="db", short_help="Look after the database.")


Person = Annotated[str, typer.Argument(metavar="PERSON", help="As platform:id, such as discord:1234.")]


@sessions_app.command("list", short_help="Print every open session.")
def sessions_list(*, as_json: AsJson = False) -> None:
    """Print every open session, one line each: its id, state, channel, provider, who started it and when (UTC)."""
    run_to_end(shell.list_sessions(settings_of_this_place(), SystemClock(), tell, as_json=as_json))


@sessions_app.command("stop", short_help="Close one session.")
def sessions_stop(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="As `sessions list` shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Close one session, and wait until its stream is closed at the provider."""
    _close(partial(shell.stop_session, session_id=session_id), as_json=as_json)


@sessions_app.command("stop-all", short_help="Close every session.")
def sessions_stop_all(*, as_json: AsJson = False) -> None:
    """Close every session, and wait until the streams are closed at the provider."""
    _close(shell.stop_all, as_json=as_json)


@sessions_app.command("cleanup")
def sessions_cleanup(*, as_json: AsJson = False) -> None:
    """Close what nobody uses.

    While the bot runs, and always on PostgreSQL: sessions that have been silent for a minute. While it does not run:
    every open session.
    """
    _close(shell.clean_up, as_json=as_json)


def _close(close: Callable[[Settings, Clock, Tell], Coroutine[Any, Any, None]], *, as_json: bool) -> None:
    settings, clock = settings_of_this_place(), SystemClock()
    if as_json:
        run_to_end(shell_admin.close_as_json(settings, clock, tell, partial(close, settings, clock)))
    else:
        run_to_end(close(settings, clock, tell))


@admin_app.command(short_help="Show how long avatars were open today.")
def usage(*, as_json: AsJson = False) -> None:
    """Show for how long avatars were open today (UTC), by channel, and what that costs where a price is known."""
    run_to_end(shell_admin.show_usage(settings_of_this_place(), SystemClock(), tell, as_json=as_json))


@admin_app.command(short_help="Show the limits and what is used of them.")
def limits(*, as_json: AsJson = False) -> None:
    """Show the limits of LIMIT_..., and how much of them each channel with an avatar has used today (UTC)."""
    run_to_end(shell_admin.show_limits(settings_of_this_place(), SystemClock(), tell, as_json=as_json))


@people_app.command("block", short_help="Shut a person out.")
def people_block(person: Person, *, as_json: AsJson = False) -> None:
    """Shut a person out, in every workspace. A running bot notices within seconds."""
    run_to_end(shell_admin.block(settings_of_this_place(), SystemClock(), tell, person, as_json=as_json))


@people_app.command("unblock", short_help="Let a person in again.")
def people_unblock(person: Person, *, as_json: AsJson = False) -> None:
    """Let a person in again, wherever they were blocked."""
    run_to_end(shell_admin.unblock(settings_of_this_place(), SystemClock(), tell, person, as_json=as_json))


@people_app.command("blocked", short_help="Print who is blocked.")
def people_blocked(*, as_json: AsJson = False) -> None:
    """Print who is blocked, where, by whom and since when (UTC)."""
    run_to_end(shell_admin.show_blocked(settings_of_this_place(), SystemClock(), tell, as_json=as_json))


@db_app.command("upgrade", short_help="Bring the database to the newest revision.")
def db_upgrade() -> None:
    """Bring the database to the newest revision; makes it where there is none."""
    run_to_end(shell.upgrade_database(settings_of_this_place(), tell))


@db_app.command("current", short_help="Print the revision of the database.")
def db_current() -> None:
    """Print which revision the database has, and which is the newest."""
    run_to_end(shell.show_revision(settings_of_this_place(), tell))
