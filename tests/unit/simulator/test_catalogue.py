"""The v3 lists: paging, filters, and what they refuse."""

import pytest

from tests.unit.simulator.client import Client


@pytest.mark.parametrize(
    ("path", "key"), [("/v3/avatars", "id"), ("/v3/avatars/looks", "id"), ("/v3/voices", "voice_id")]
)
async def test_pages_put_together_are_the_whole_list(client: Client, path: str, key: str) -> None:
    whole = [row[key] for row in (await client.get(path)).data]
    paged, query = [], "?limit=2"
    while query:
        page = (await client.get(path + query)).body
        paged += [row[key] for row in page["data"]]
        assert page["has_more"] is (page["next_token"] is not None)
        query = f"?limit=2&token={page['next_token']}" if page["has_more"] else ""
    assert paged == whole
    assert len(whole) >= 4


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v3/avatars?limit=0", "limit"),
        ("/v3/avatars?limit=51", "limit"),
        ("/v3/avatars?limit=-1", "limit"),
        ("/v3/avatars?limit=many", "limit"),
        ("/v3/avatars?limit=%D9%A3%D9%A3%D9%A3", "limit"),
        ("/v3/avatars?token=made-up", "token"),
        ("/v3/avatars?token=YWZ0ZXI6OTk5OTk%3D", "token"),
        ("/v3/avatars?ownership=mine", "ownership"),
        ("/v3/avatars?colour=red", "colour"),
        ("/v3/avatars?limit=1&limit=2", "limit"),
        ("/v3/avatars/looks?avatar_type=hologram", "avatar_type"),
        ("/v3/voices?limit=101", "limit"),
        ("/v3/voices?type=secret", "type"),
        ("/v3/voices?engine=steam", "engine"),
    ],
)
async def test_bad_queries_name_the_parameter(client: Client, path: str, param: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.body["error"]["code"], answer.body["error"]["param"]) == (
        400, "invalid_parameter", param,
    )  # fmt: skip


async def test_limit_has_the_documented_sentence(client: Client) -> None:
    answer = await client.get("/v3/avatars/looks?limit=51")
    assert answer.body["error"]["message"] == "'limit' must be between 1 and 50."


async def test_filters(client: Client) -> None:
    looks = (await client.get("/v3/avatars/looks?group_id=sim-group-robin")).data
    assert {look["group_id"] for look in looks} == {"sim-group-robin"}
    assert len(looks) == 2
    assert (await client.get("/v3/avatars/looks?group_id=nobody")).status == 404
    voices = (await client.get("/v3/voices?language=english&gender=male")).data
    assert [voice["voice_id"] for voice in voices] == ["sim-voice-milo"]
    assert {avatar["id"] for avatar in (await client.get("/v3/avatars?ownership=private")).data} == {
        "sim-group-workshop"
    }


async def test_every_look_can_be_opened_with_its_default_voice(client: Client) -> None:
    for look in (await client.get("/v3/avatars/looks")).data:
        stream = await client.stream(avatar_id=look["id"], voice_id=look["default_voice_id"])
        await client.post(f"/v3/avatar-realtime/{stream}/cancel")
        picture = await client.get(look["preview_image_url"], headers={})
        assert (picture.status, picture.headers["Content-Type"]) == (200, "image/svg+xml")
        assert look["name"] in picture.text


async def test_unknown_entries_are_404(client: Client) -> None:
    for path in ("/v3/avatars/looks/nobody", "/v3/voices/nobody", "/simulator/pictures/nobody.svg", "/v3/nothing"):
        assert (await client.get(path)).status == 404
