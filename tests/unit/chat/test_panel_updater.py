"""When a panel is drawn, over a platform that answers as each test says and a clock that the test moves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.chat.panel_updater import MAX_PUT_OFF, UPDATE_INTERVAL, PanelUpdater
from adapters.chat.redraw import RETRY_DELAYS, Drawn, NotDrawn
from bot.core.models import PanelMessage
from bot.core.precedence import Precedence
from bot.core.views import Phase, SessionView
from tests.builders import a_session_view
from tests.harness.clock import ManualClock
from tests.harness.crowd import crowd

VIEW = a_session_view()
OVER = replace(VIEW, phase=Phase.ENDED, ended="It is over.")


class Panels(PanelUpdater):
    """Its message is the name of the mode; `refusals` come first."""

    def __init__(self, clock: ManualClock) -> None:
        self.kept: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self.refusals: list[Drawn] = []
        self.nonces: list[int] = []
        self.precedence = Precedence(clock)
        services = SimpleNamespace(store=SimpleNamespace(panels=self), precedence=self.precedence)
        bot: Any = SimpleNamespace(clock=clock, sessions=SimpleNamespace(services=services, view=self.view))
        super().__init__("test", bot)

    # the store and the sessions

    async def placed_on(self, _platform: str) -> list[PanelMessage]:
        return [PanelMessage(*one) for one in self.kept.items()]

    async def place(self, _platform: str, panel: PanelMessage) -> None:
        self.kept[panel.session_id] = panel.reference

    async def of_session(self, session_id: str) -> PanelMessage | None:
        return PanelMessage(session_id, self.kept[session_id]) if session_id in self.kept else None

    async def forget(self, session_id: str) -> None:
        self.kept.pop(session_id, None)

    async def view(self, _session_id: str) -> SessionView:
        return VIEW

    # the platform

    def _looks_of(self, view: SessionView) -> dict[str, object]:
        return {"text": view.ended or f"{view.avatar} {view.queue_length}"}

    def _is_reference(self, reference: str) -> bool:
        return reference.isdecimal()

    async def _post(self, view: SessionView, nonce: int, /) -> str:
        self.nonces.append(nonce)
        self._answer("post", view)
        return "1"

    async def _edit(self, view: SessionView, reference: str) -> None:
        self._answer(f"edit {reference}", view)

    def _answer(self, what: str, view: SessionView) -> None:
        self.requests.append((what, str(self._looks_of(view)["text"])))
        if self.refusals:
            raise NotDrawn(self.refusals.pop(0), "the test wants it")

    def found(self, session_id: str, reference: str) -> None:
        self._panels[session_id].reference = reference
        self._panels[session_id].change()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def panels(clock: ManualClock) -> AsyncIterator[Panels]:
    made = Panels(clock)
    made.restore()
    await clock.advance(0)
    yield made
    await made.close()


def waiting(number: int) -> SessionView:
    return replace(VIEW, queue_length=number)


async def test_changes_within_the_interval_are_drawn_once_and_the_end_at_once(
    panels: Panels, clock: ManualClock
) -> None:
    for number in range(3):
        panels.show(waiting(number))
        await clock.advance(UPDATE_INTERVAL / 10)
    assert len(panels.requests) == 1
    await clock.advance(UPDATE_INTERVAL)
    assert [what for what, _ in panels.requests] == ["post", "edit 1"]
    panels.show(OVER)
    await clock.advance(0)
    assert panels.requests[-1] == ("edit 1", "It is over.")
    assert panels.kept == {}


async def test_while_too_many_messages_come_in_only_what_changes_is_drawn_later(
    panels: Panels, clock: ManualClock
) -> None:
    with crowd(panels.precedence):
        panels.show(waiting(1))
        await clock.advance(0)
        assert [what for what, _ in panels.requests] == ["post"]

        panels.show(waiting(2))
        await clock.advance(UPDATE_INTERVAL * (1 + MAX_PUT_OFF) - 0.1)
        assert len(panels.requests) == 1
        panels.show(waiting(3))
        await clock.advance(0.2)
        assert [text[-2:] for _, text in panels.requests] == [" 1", " 3"]

        panels.show(waiting(4))
        await clock.advance(UPDATE_INTERVAL * 1.5)
        assert len(panels.requests) == 2
    await clock.advance(UPDATE_INTERVAL)
    assert [text[-2:] for _, text in panels.requests] == [" 1", " 3", " 4"]

    with crowd(panels.precedence):
        panels.show(OVER)
        await clock.advance(0)
    assert panels.requests[-1] == ("edit 1", "It is over.")


async def test_view_that_looks_the_same_is_not_drawn(panels: Panels, clock: ManualClock) -> None:
    panels.show(VIEW)
    await clock.advance(UPDATE_INTERVAL)
    panels.show(replace(VIEW, started_by_name="somebody whom it does not show"))
    await clock.advance(UPDATE_INTERVAL)
    assert len(panels.requests) == 1


async def test_passing_refusals_are_tried_again_after_growing_pauses_with_the_same_nonce(
    panels: Panels, clock: ManualClock
) -> None:
    panels.refusals = [Drawn.AGAIN] * len(RETRY_DELAYS)
    panels.show(VIEW)
    for number, pause in enumerate(RETRY_DELAYS, 1):
        await clock.advance(pause - 0.1)
        assert len(panels.requests) == number
        await clock.advance(0.1)
    assert len(panels.requests) == len(RETRY_DELAYS) + 1
    assert len(set(panels.nonces)) == 1
    assert panels.kept == {VIEW.session_id: "1"}


async def test_final_refusal_waits_for_the_next_change(panels: Panels, clock: ManualClock) -> None:
    panels.refusals = [Drawn.NEVER]
    panels.show(VIEW)
    await clock.advance(600)
    assert len(panels.requests) == 1
    panels.show(waiting(1))
    await clock.advance(0)
    assert len(panels.requests) == 2


async def test_panel_that_was_deleted_is_posted_anew(panels: Panels, clock: ManualClock) -> None:
    panels.show(VIEW)
    await clock.advance(UPDATE_INTERVAL)
    panels.refusals = [Drawn.DELETED]
    panels.show(waiting(1))
    await clock.advance(0)
    assert [what for what, _ in panels.requests] == ["post", "edit 1", "post"]
    assert len(set(panels.nonces)) == 2


async def test_panel_of_a_session_that_another_process_had_is_found_and_not_posted_again(
    panels: Panels, clock: ManualClock
) -> None:
    panels.kept[VIEW.session_id] = "7"
    panels.show(VIEW)
    await clock.advance(0)
    assert [what for what, _ in panels.requests] == ["edit 7"]
    # It is gone there, and what the store has of it is old.
    panels.refusals = [Drawn.DELETED, Drawn.AGAIN]
    await clock.advance(UPDATE_INTERVAL)
    panels.show(waiting(1))
    await clock.advance(RETRY_DELAYS[0])
    assert [what for what, _ in panels.requests] == ["edit 7", "edit 7", "post", "post"]


async def test_posting_in_doubt_is_not_repeated_and_people_hear_of_the_end(panels: Panels, clock: ManualClock) -> None:
    told: list[str] = []
    panels.refusals = [Drawn.IN_DOUBT]
    panels.show(VIEW)
    await clock.advance(UPDATE_INTERVAL)
    panels.show(OVER)
    panels.after_the_last(VIEW.session_id, lambda: told.append("over"))
    await clock.advance(UPDATE_INTERVAL)
    assert [what for what, _ in panels.requests] == ["post"]
    assert told == ["over"]
    panels.found(VIEW.session_id, "7")
    await clock.advance(0)
    assert panels.requests[-1] == ("edit 7", "It is over.")


async def test_last_drawing_that_is_refused_when_the_bot_leaves_is_left_to_the_next_run(
    panels: Panels, clock: ManualClock
) -> None:
    panels.show(VIEW)
    await clock.advance(UPDATE_INTERVAL)
    panels.refusals = [Drawn.AGAIN]
    panels.hurry()
    panels.show(OVER)
    await panels.drained()
    assert panels.requests[-1] == ("edit 1", "It is over.")
    assert panels.kept == {VIEW.session_id: "1"}


async def test_nothing_is_posted_before_earlier_panels_are_taken_up(clock: ManualClock) -> None:
    panels = Panels(clock)
    panels.kept[VIEW.session_id] = "5"
    panels.show(waiting(3))
    await clock.advance(60)
    await panels.drained()
    assert panels.requests == []
    panels.restore()
    panels.restore()
    await clock.advance(0)
    assert [what for what, _ in panels.requests] == ["edit 5"]
    await panels.close()


async def test_panel_that_another_process_left_is_drawn_where_it_stands(panels: Panels, clock: ManualClock) -> None:
    panels.kept["another"] = "7"
    panels.take_up_left()
    await clock.advance(UPDATE_INTERVAL)
    assert [what for what, _ in panels.requests] == ["edit 7"]


async def test_panel_of_a_session_that_another_process_has_is_drawn_no_more_until_it_comes_back(
    panels: Panels, clock: ManualClock
) -> None:
    panels.show(VIEW)
    await clock.advance(UPDATE_INTERVAL)
    await panels.let_go(VIEW.session_id)
    panels.show(waiting(1))
    await clock.advance(UPDATE_INTERVAL)
    assert len(panels.requests) == 1
    panels.take_up_left([VIEW.session_id])
    await clock.advance(UPDATE_INTERVAL)
    panels.show(waiting(2))
    await clock.advance(UPDATE_INTERVAL)
    assert [what for what, _ in panels.requests] == ["post", "edit 1", "edit 1"]
