"""The scopes and events of the manifest are exactly those the code uses: everything is done once, then counted."""

from pathlib import Path

from adapters.chat.slack.manifest import EVENTS, EVENTS_OF_SIDE_PANE, SAY_THIS, SCOPES
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import SlackDriver


async def test_every_scope_and_event_of_the_manifest_is_used_and_no_other(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "all"}) as slack:
        twin, ana, ben = slack.twin, slack.people[ANA], slack.people[BEN]
        private = twin.add_channel("private", [ana, ben], kind="private")
        for place in (slack.channel, private):
            await slack.answer(await twin.slash(place, ana, "/avatar", "start"))
            message = await twin.write(place, ben, "@Avatar good morning")
            await twin.until(lambda message=message: message.reactions)
            await twin.write(place, ben, "good night")
        await slack.answer(await twin.shortcut(message, SAY_THIS, ana))
        await twin.open_home(ana)
        group = twin.add_usergroup("crew", [ana])
        twin.emit({"type": "subteam_created", "subteam": group.shown(), "event_ts": twin.new_ts()}, twin.team)
        await twin.change_usergroup(group, [ana, ben])
        for kind in ("public", "private"):
            for how in (twin.archive, twin.delete_channel, twin.remove_bot):
                await how(twin.add_channel(f"{how.__name__}-{kind}", [ana], kind=kind))
        other = twin.add_channel("other", [ana])
        await twin.leave(other, ana)
        await twin.until(lambda: twin.home(ana))
        await slack.bot.until(lambda: len(slack.bot.spoken) >= 4)
        await slack.bot.stop()
        await twin.uninstall()
        assert twin.used_scopes == set(SCOPES)
        assert twin.used_subscriptions == set(EVENTS)


async def test_event_of_the_side_pane_is_used_where_it_is_set_up(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SLACK_EMBED": "auto"}) as slack:
        await slack.command("/avatar start")
        await slack.until_read("live")
        details = await slack.twin.open_card(slack.newest_panel(), slack.people[ANA])
        await slack.twin.until(lambda: details.is_presented)
        assert set(EVENTS_OF_SIDE_PANE) <= slack.twin.used_subscriptions <= {*EVENTS, *EVENTS_OF_SIDE_PANE}
        assert slack.twin.used_scopes <= set(SCOPES)
