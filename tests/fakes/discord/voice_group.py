"""The end-to-end encryption group of a voice channel (DAVE 1.1): the voice server's part of MLS, and the people in it.

[D] https://daveprotocol.com; RFC 9420 for the messages: section 6 (framing), 12.1.1 (Add), 12.1.8 (external proposals).
People are `davey.DaveSession`s of their own. It may not import anything of the bot.
"""

import struct

import davey
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_MLS10, _PUBLIC_MESSAGE, _BASIC, _ADD, _PROPOSAL, _EXTERNAL = 1, 1, 1, 1, 2, 2
_KEY_PACKAGE = 5
_WELCOME = 3


class VoiceGroup:
    """One group from its beginning; another constellation of people gets another one."""

    def __init__(self, channel_id: int, bot_id: int) -> None:
        self._channel_id = channel_id
        self._bot_id = bot_id
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._people: dict[int, davey.DaveSession] = {}
        self.key_package: bytes | None = None
        self.is_begun = False
        self.transitions = 0

    @property
    def external_sender(self) -> bytes:
        """What members trust proposals of: the server's key, and its credential."""
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return _vec(point) + struct.pack(">H", _BASIC) + _vec(b"discord")

    def proposals(self, people: list[int]) -> bytes:
        """Add each of these people: the body of opcode 27."""
        self.is_begun = True
        messages = b""
        for number in people:
            session = davey.DaveSession(1, number, self._channel_id)
            session.set_external_sender(self.external_sender)
            self._people[number] = session
            messages += self._add(_bare(session.get_serialized_key_package()))
        return b"\0" + _vec(messages)

    def _add(self, key_package: bytes) -> bytes:
        """An Add by the external sender, as a public message."""
        content = (
            _vec(struct.pack(">Q", self._channel_id))
            + struct.pack(">Q", 0)
            + struct.pack(">BI", _EXTERNAL, 0)
            + _vec(b"")
            + struct.pack(">B", _PROPOSAL)
            + struct.pack(">H", _ADD)
            + key_package
        )
        head = struct.pack(">HH", _MLS10, _PUBLIC_MESSAGE)
        signed = _vec(b"MLS 1.0 FramedContentTBS") + _vec(head + content)
        return head + content + _vec(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))

    def committed(self, body: bytes) -> tuple[bytes, int]:
        """The bot has made a commit and a welcome: people take the welcome. Returns the commit and its transition."""
        for place in range(len(body) - 4):
            if body[place : place + 2] not in (b"\x00\x02", b"\x00\x01"):
                continue
            if all(_takes(session, body[place:]) for session in self._people.values()):
                self.transitions += 1
                return body[:place], self.transitions
        raise AssertionError("no welcome was found behind the commit")

    def decrypted(self, payload: bytes) -> bytes | None:
        """What people hear of a frame of the bot; None if they cannot decrypt it."""
        plain = None
        for session in self._people.values():
            if not session.ready:
                return None
            try:
                plain = session.decrypt(self._bot_id, davey.MediaType.audio, payload)
            except Exception:  # noqa: BLE001 - davey raises errors of no type of its own
                return None
        return plain


def _takes(session: davey.DaveSession, welcome: bytes) -> bool:
    for candidate in (welcome, welcome[4:] if welcome[:4] == struct.pack(">HH", _MLS10, _WELCOME) else b""):
        try:
            if candidate:
                session.process_welcome(candidate)
                return True
        except Exception:  # noqa: BLE001, S110 - tried at every place where it could begin
            pass
    return False


def _bare(key_package: bytes) -> bytes:
    """A key package without the frame of a message around it."""
    wrapped = struct.unpack(">H", key_package[2:4])[0] == _KEY_PACKAGE
    return key_package[4:] if wrapped else key_package


def _vec(data: bytes) -> bytes:
    """Bytes behind their length (RFC 9420, 2.1.2)."""
    if len(data) < 64:
        return bytes([len(data)]) + data
    if len(data) < 16_384:
        return struct.pack(">H", 0x4000 | len(data)) + data
    return struct.pack(">I", 0x80000000 | len(data)) + data
