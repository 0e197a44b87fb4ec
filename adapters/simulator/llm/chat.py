"""`POST /v1/chat/completions`: as much of the OpenAI chat API as a client that streams answers needs.

The words come from `answers`; here is only their form on the wire.
"""

import uuid

from aiohttp import web

from adapters.simulator.llm.answers import MODEL, answer_to, tokens_of
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, Json, JsonObject, Refused, encode, read_json, reply

_MAX_MESSAGES = 1000


class ChatApi:
    """The endpoint. Errors have OpenAI's envelope."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes: dict[tuple[str, str], Handler] = {("POST", "/v1/chat/completions"): self._complete}

    async def _complete(self, request: web.BaseRequest, _: str) -> web.StreamResponse:
        if not self._service.account.holds_key(request, bearer=True):
            raise refusal(401, "Incorrect API key provided.", "invalid_api_key")
        body = await _read(request)
        question, model = _question(body), body.get("model")
        if not isinstance(model, str) or not model:
            raise refusal(400, "you must provide a model parameter", "missing_required_parameter", "model")
        stream = body.get("stream", False)
        if stream is not None and not isinstance(stream, bool):
            raise refusal(400, "'stream' must be a boolean", "invalid_type", "stream")
        answer = answer_to(question)
        head: JsonObject = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(self._service.clock.now().timestamp()),
            "model": MODEL,
        }
        if stream:
            return await self._stream(request, head, answer)
        message: JsonObject = {"role": "assistant", "content": answer, "refusal": None}
        usage = {"prompt_tokens": len(tokens_of(question)), "completion_tokens": len(tokens_of(answer))}
        return reply(
            {
                **head,
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
                "usage": {**usage, "total_tokens": sum(usage.values())},
            }
        )

    async def _stream(self, request: web.BaseRequest, head: JsonObject, answer: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        await response.write(_event(head, {"role": "assistant", "content": ""}, None))
        for token in tokens_of(answer):
            await self._service.clock.sleep(self._service.options.answer_delay)
            await response.write(_event(head, {"content": token}, None))
        await response.write(_event(head, {}, "stop") + b"data: [DONE]\n\n")
        await response.write_eof()
        return response


def refusal(status: int, message: str, code: str, param: str | None = None) -> Refused:
    """An error in OpenAI's envelope."""
    return Refused(
        status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    )


def _event(head: JsonObject, delta: JsonObject, finish: str | None) -> bytes:
    choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk: JsonObject = {**head, "object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {encode(chunk)}\n\n".encode()


async def _read(request: web.BaseRequest) -> JsonObject:
    try:
        body = await read_json(request)
    except ValueError:
        raise refusal(400, "We could not parse the JSON body of your request.", "invalid_json") from None
    if not isinstance(body, dict):
        raise refusal(400, "The body must be a JSON object.", "invalid_type")
    return body


def _question(body: JsonObject) -> str:
    """What the last message of the user says."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not 0 < len(messages) <= _MAX_MESSAGES:
        raise refusal(400, "'messages' must be a list that is not empty", "invalid_type", "messages")
    question = ""
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("system", "developer", "user", "assistant"):
            raise refusal(
                400, f"messages[{index}] has no role that is known", "invalid_value", f"messages[{index}].role"
            )
        text = _text(message.get("content"))
        if text is None:
            raise refusal(400, f"messages[{index}] has no content", "invalid_type", f"messages[{index}].content")
        if message["role"] == "user":
            question = text
    return question


def _text(content: Json) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return " ".join(part for part in parts if isinstance(part, str))
