"""Times, prices and numbers as people say them. Only text: nothing is looked up or decided here."""

from decimal import ROUND_UP, Decimal

from bot.core.billing import StreamSeconds


def duration(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `5 min`, `1 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def dollars(amount: Decimal) -> str:
    """An amount of US dollars, rounded up to the cent: a price is never shown smaller than it is."""
    return f"${amount.quantize(Decimal('0.01'), rounding=ROUND_UP)}"


def used(seconds: StreamSeconds, cost: Decimal | None) -> str:
    """What streams have used, the same wherever it is told: `open 3 min, spoken 1 min, about $0.30`."""
    times = f"open {duration(seconds.open)}, spoken {duration(seconds.spoken)}"
    return times if cost is None else f"{times}, about {dollars(cost)}"


def count(number: int, thing: str) -> str:
    """`no messages`, `1 message`, `3 messages`."""
    if number == 1:
        return f"1 {thing}"
    return f"{number or 'no'} {thing}s"
