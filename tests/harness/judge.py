"""Whether what several processes did was right (`tests.harness.shared_database`): looked at in between, and at the end,
when nothing goes wrong any more.

Every message that Slack was told of being taken has one end: it was said once, it may not have been said and that is
told, it was dropped and never heard, or it was refused with a sentence.
"""

from collections import Counter
from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from bot.core.events import UtteranceChanged
from bot.core.models import UtteranceState
from bot.store.tables import doubts, parcels, processes, sessions, stream_is_unsettled, streams, utterances
from tests.harness.bot import was_heard
from tests.harness.shared_database import CHANNELS, LABEL, SharedDatabase

LABEL_LENGTH = len("message 0000")


class Judge:
    """Adds to the violations of a world what it sees."""

    def __init__(self, world: SharedDatabase) -> None:
        self._world = world
        self._final: dict[str, str] = {}

    def _blame(self, what: str) -> None:
        self._world.violations.append(what)

    async def look(self) -> None:
        """A last state is left by nothing, who has no row may not act, nothing is heard twice or out of its turn."""
        rows = await self._world.query(sa.select(utterances).order_by(utterances.c.id))
        for row in rows:
            if row.state != (before := self._final.get(row.id, row.state)):
                self._blame(f"{row.text[:LABEL_LENGTH]} was {before}, and is {row.state}")
            if UtteranceState(row.state).is_final:
                self._final[row.id] = row.state
        there = {row.id for row in await self._world.query(sa.select(processes.c.id))}
        for member in self._world.members:
            if member.is_up and member.membership.may_act() and member.membership.process.id not in there:
                self._blame(f"{member.name} may act, and has no row")
        heard = self._heard()
        for label, times in heard.items():
            if times > 1:
                self._blame(f"{label} was heard {times} times")
        turns = {row.text[:LABEL_LENGTH]: (row.session_id, row.id) for row in rows}
        for session in {session for session, _ in turns.values()}:
            said = [label for label in heard if label in turns and turns[label][0] == session]
            if said != sorted(said, key=lambda label: turns[label][1]):
                self._blame(f"in {session} was heard: {', '.join(said)}")

    async def come_to_rest(self) -> None:
        """Nothing goes wrong any more: what was accepted comes to its end, and then every session."""
        world = self._world
        for member in world.members:
            member.gate.strike_in(0, lambda: None)
            member.gate.heal()
            member.gate.go_on()
        if not await world.until(self._have_ended):
            self._blame("a process does not end")
        for member in world.members:
            await world.boot(member)
        await world.pass_time(12.0)
        for member in world.members:
            # Another one had ended it.
            await world.boot(member)
        await self._wait("not acknowledged", self._unacknowledged)
        for channel in CHANNELS:
            # In case that somebody has interrupted it: it says nothing more by itself then.
            world.command("skip", channel, world.members[0])
        await self._wait("without an end", self._unfinished)
        await self._wait("not as the rows have it", self._strays)
        for channel in CHANNELS:
            world.command("stop", channel, world.members[1])
        await self._wait("left", self._left)
        await self.look()
        await self._judge_messages()
        await self._judge_turns()

    async def _wait(self, what: str, find: Callable[[], Awaitable[list[str]]]) -> None:
        async def are_none() -> bool:
            return not await find()

        if not await self._world.until(are_none):
            self._blame(f"{what}: {', '.join(await find())}")

    async def _have_ended(self) -> bool:
        return self._world.see_off()

    async def _unacknowledged(self) -> list[str]:
        return sorted(self._world.written.keys() - self._world.acknowledged.keys())

    async def _unfinished(self) -> list[str]:
        rows = await self._world.query(sa.select(utterances.c.text, utterances.c.state))
        open_rows = [row for row in rows if not UtteranceState(row.state).is_final]
        return [f"{row.text[:LABEL_LENGTH]} is {row.state}" for row in open_rows]

    async def _strays(self) -> list[str]:
        """Streams that only the rows have, or only the service; one whose create had no answer ends by itself."""
        rows = await self._world.query(sa.select(streams.c.upstream_id).where(stream_is_unsettled))
        return sorted({str(row.upstream_id) for row in rows} ^ {view.id for view in self._world.open_streams})

    async def _left(self) -> list[str]:
        open_sessions = await self._world.query(sa.select(sessions.c.id).where(sessions.c.state != "closed"))
        kept = await self._world.query(sa.select(parcels.c.id))
        untold = await self._world.query(sa.select(doubts.c.utterance_id))
        found = [f"session {row.id}" for row in open_sessions] + [f"parcel {row.id}" for row in kept]
        found += [f"doubt {row.utterance_id}" for row in untold]
        return found + [f"stream {stream}" for stream in await self._strays()]

    async def _judge_messages(self) -> None:
        rows = await self._world.query(sa.select(utterances.c.text, utterances.c.state))
        states: dict[str, list[UtteranceState]] = {}
        for row in rows:
            states.setdefault(row.text[:LABEL_LENGTH], []).append(UtteranceState(row.state))
        heard, told = self._heard(), self._told()
        refused = {text[:LABEL_LENGTH] for text in self._world.heard.refused}
        for label in self._world.written:
            match states.get(label, []):
                case [] if label not in refused:
                    self._blame(f"{label} was acknowledged, and neither taken nor refused")
                case [UtteranceState.SPOKEN] if heard[label] != 1:
                    self._blame(f"{label} is spoken, and was heard {heard[label]} times")
                # Who is struck between the row and the word takes the word along, but for what a takeover has noted.
                case [UtteranceState.UNKNOWN] if label not in told and not self._world.was_struck:
                    self._blame(f"{label} may not have been said, and nobody is told")
                case [UtteranceState.DROPPED] if heard[label]:
                    self._blame(f"{label} was dropped, and heard")
                case [_, _, *_] as several:
                    self._blame(f"{label} was taken {len(several)} times")

    async def _judge_turns(self) -> None:
        """What was acknowledged before another message was written is taken before it."""
        rows = await self._world.query(sa.select(utterances).order_by(utterances.c.id))
        places = {label: place for place, label in enumerate(self._world.written, 1)}
        before: dict[str, list[str]] = {}
        for row in rows:
            label = row.text[:LABEL_LENGTH]
            for earlier in before.setdefault(row.session_id, []):
                if self._world.acknowledged.get(label, len(places)) < places[earlier]:
                    self._blame(f"{earlier} was written when {label} was acknowledged, and is taken before it")
            before[row.session_id].append(label)

    def _heard(self) -> Counter[str]:
        """What somebody heard and how often, in that order."""
        texts = [text for view in self._world.simulator.streams() for text in view.spoken if was_heard(text)]
        texts.sort(key=lambda text: text.starts_at or 0.0)
        return Counter(label for text in texts for label in LABEL.findall(text.asked))

    def _told(self) -> set[str]:
        """Of which messages somebody was told that they may not have been said."""
        changes = [event.utterance for event in self._world.heard.events if isinstance(event, UtteranceChanged)]
        return {each.text[:LABEL_LENGTH] for each in changes if each.state is UtteranceState.UNKNOWN}
