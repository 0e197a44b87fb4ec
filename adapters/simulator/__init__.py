"""The simulator: HeyGen Streaming API v1, HeyGen v3 Avatar Realtime and LiveAvatar as one local HTTP server.

A part of the product: the demo and every test of a provider client run against it. It has a clock of its own, a price
meter, faults on demand, and real video over HLS or in LiveKit rooms. It knows nothing of the bot but its clock and how
it owns tasks, and nothing of the clients.
"""

from adapters.simulator.faults import Effect, Fault, Faults
from adapters.simulator.meter import Meter, MeterReading
from adapters.simulator.options import LiveKitServer, Price, SimulatorOptions, SpeechModel
from adapters.simulator.server import Simulator
from adapters.simulator.streams import SpokenText, StreamView

__all__ = [
    "Effect",
    "Fault",
    "Faults",
    "LiveKitServer",
    "Meter",
    "MeterReading",
    "Price",
    "Simulator",
    "SimulatorOptions",
    "SpeechModel",
    "SpokenText",
    "StreamView",
]
