"""`/simulator/...`: look at the meter and the streams, and make things go wrong. Asks for the API key like the rest.

GET    /simulator/meter     {"apis": {API: READING}, "total": READING}, where API is "heygen-streaming",
                            "heygen-realtime" or "liveavatar", and READING is {"open", "opened", "peak", "seconds",
                            "billed_seconds", "dollars"}; dollars are a string.
GET    /simulator/streams   {"streams": [...]}, the oldest first, each with the body it was opened with (`request`), and
                            with its texts in the order of posting and what became of them: queued, speaking, spoken,
                            interrupted, dropped.
GET    /simulator/faults    {"faults": [...]}: what is still going to happen.
POST   /simulator/faults    one of
                            {"effect": "status", "method": "POST", "path": "/v3/avatar-realtime/*/text", "times": 2,
                             "status": 429, "body": {...}, "retry_after": 3, "seconds": 0, "after_work": false}
                            (only `effect` is needed; see `faults.Effect`),
                            {"drop_stream": ID, "message": "..."}: the service ends this stream with an error,
                            {"sunset": true | false}: every v1 path answers 410, or no longer.
DELETE /simulator/faults    nothing goes wrong from now on; the sunset is over.
"""

from collections.abc import Mapping

from aiohttp import web

from adapters.simulator.faults import Fault, Faults
from adapters.simulator.heygen_v3.wire import check_names, invalid, read_object, refusal, unauthorized
from adapters.simulator.meter import MeterReading, read_meter
from adapters.simulator.service import Service
from adapters.simulator.streams import SpokenText, StreamView
from adapters.simulator.wire import Handler, JsonObject, reply

_FAULT_FIELDS: Mapping[str, tuple[type, ...]] = {
    "effect": (str,), "method": (str,), "path": (str,), "times": (int, type(None)), "seconds": (int, float),
    "status": (int,), "body": (dict, list, str, type(None)), "retry_after": (int, type(None)),
    "after_work": (bool, type(None)),
}  # fmt: skip


class Control:
    """The endpoints."""

    def __init__(self, service: Service, faults: Faults) -> None:
        self._service = service
        self._faults = faults
        self.routes: dict[tuple[str, str], Handler] = {
            ("GET", "/simulator/meter"): self._meter,
            ("GET", "/simulator/streams"): self._streams,
            ("GET", "/simulator/faults"): self._waiting,
            ("POST", "/simulator/faults"): self._make,
            ("DELETE", "/simulator/faults"): self._clear,
        }

    def _check_key(self, request: web.BaseRequest) -> None:
        if not self._service.account.holds_key(request):
            raise unauthorized()

    async def _meter(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        meter = read_meter(self._service.streams)
        return reply(
            {"apis": {api: _reading(reading) for api, reading in meter.apis.items()}, "total": _reading(meter.total)}
        )

    async def _streams(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        return reply({"streams": [_stream(stream.view()) for stream in self._service.streams]})

    async def _waiting(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        return self._list()

    async def _make(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        body = await read_object(request)
        if "drop_stream" in body:
            self._drop(body)
        elif "sunset" in body:
            check_names(body, ("sunset",), ())
            if not isinstance(body["sunset"], bool):
                raise invalid("sunset", "'sunset' must be true or false.")
            self._service.sunset = body["sunset"]
        else:
            self._add(body)
        return self._list()

    async def _clear(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_key(request)
        self._faults.clear()
        self._service.sunset = self._service.options.v1_sunset
        return self._list()

    def _drop(self, body: JsonObject) -> None:
        check_names(body, ("drop_stream", "message"), ())
        stream = self._service.streams.get(f"{body['drop_stream']}")
        if stream is None:
            raise refusal(404, "not_found", "No such stream.", "drop_stream")
        stream.fail(f"{body.get('message', 'The simulator dropped this stream on request.')}")

    def _add(self, body: JsonObject) -> None:
        check_names(body, _FAULT_FIELDS, ("effect",))
        for name, value in body.items():
            is_confused = isinstance(value, bool) and name != "after_work"
            if is_confused or not isinstance(value, _FAULT_FIELDS[name]):
                raise invalid(name, f"'{name}' has the wrong type.")
        try:
            self._faults.add(**body)  # type: ignore[arg-type]  # names and types were checked against the table above
        except ValueError as error:
            raise invalid(None, f"{error}.") from None

    def _list(self) -> web.Response:
        return reply({"faults": [_fault(fault) for fault in self._faults.waiting], "sunset": self._service.sunset})


def _reading(reading: MeterReading) -> JsonObject:
    return {
        "open": reading.open, "opened": reading.opened, "peak": reading.peak, "seconds": round(reading.seconds, 3),
        "billed_seconds": reading.billed_seconds, "dollars": f"{reading.dollars:.4f}",
    }  # fmt: skip


def _stream(view: StreamView) -> JsonObject:
    return {
        "id": view.id, "api": view.api, "state": view.state, "opened_at": view.opened_at.isoformat(),
        "seconds": round(view.seconds, 3), "billed_seconds": view.billed_seconds, "dollars": f"{view.dollars:.4f}",
        "avatar": view.avatar, "voice": view.voice, "ended": view.ended, "request": view.request,
        "spoken": [_spoken(spoken) for spoken in view.spoken],
    }  # fmt: skip


def _spoken(spoken: SpokenText) -> JsonObject:
    return {
        "id": spoken.id, "kind": spoken.kind, "asked": spoken.asked, "text": spoken.text, "state": spoken.state,
        "starts_at": spoken.starts_at, "ends_at": spoken.ends_at,
    }  # fmt: skip


def _fault(fault: Fault) -> JsonObject:
    return {
        "effect": fault.effect.value, "method": fault.method, "path": fault.path, "times": fault.times,
        "seconds": fault.seconds, "status": fault.status, "retry_after": fault.retry_after,
        "after_work": fault.after_work,
    }  # fmt: skip
