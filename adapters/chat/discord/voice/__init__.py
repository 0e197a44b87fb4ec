"""The avatar's voice in Discord's voice channels: what is played there, and the connections that carry it.

Needs the extra `voice`; `library` says whether it is there, and nothing here imports it before.
"""
