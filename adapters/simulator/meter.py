"""The price meter: how many streams are open, for how long, and what that costs.

Reads the streams; changes nothing.
"""

from dataclasses import dataclass
from decimal import Decimal

from adapters.simulator.options import LIVEAVATAR, V1, V3
from adapters.simulator.streams import Streams

APIS = (V1, V3, LIVEAVATAR)


@dataclass(frozen=True, slots=True)
class MeterReading:
    """`open` now, `opened` ever, `peak` at once. So far, of all of them: `seconds` they were open, `billed_seconds`
    that are charged for it in the steps of the API, and `dollars` (US)."""

    open: int = 0
    opened: int = 0
    peak: int = 0
    seconds: float = 0.0
    billed_seconds: int = 0
    dollars: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Meter:
    """One reading per API, and their sum (`peak` of the sum is the largest of them)."""

    apis: dict[str, MeterReading]
    total: MeterReading


def read_meter(streams: Streams) -> Meter:
    """Read the meter now."""
    apis = {api: _read(streams, api) for api in APIS}
    readings = apis.values()
    total = MeterReading(
        open=sum(reading.open for reading in readings),
        opened=sum(reading.opened for reading in readings),
        peak=max(reading.peak for reading in readings),
        seconds=sum(reading.seconds for reading in readings),
        billed_seconds=sum(reading.billed_seconds for reading in readings),
        dollars=sum((reading.dollars for reading in readings), Decimal(0)),
    )
    return Meter(apis, total)


def _read(streams: Streams, api: str) -> MeterReading:
    tally = streams.tallies.get(api)
    if tally is None:
        return MeterReading()
    open_streams = streams.open_of(api)
    return MeterReading(
        open=len(open_streams),
        opened=tally.opened,
        peak=tally.peak,
        seconds=tally.seconds + sum(stream.seconds for stream in open_streams),
        billed_seconds=tally.billed_seconds + sum(stream.billed_seconds for stream in open_streams),
        dollars=sum((stream.dollars for stream in open_streams), tally.dollars),
    )
