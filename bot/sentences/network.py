"""What keeps a service from answering, in words behind its name: "Slack did not answer in time".

Part of `bot.sentences`, which is where the rest of the program takes it from.
"""

from bot.core.errors import Trouble

_WORDS = {
    Trouble.UNREACHABLE: "cannot be reached right now",
    Trouble.REFUSED: "refuses the connection",
    Trouble.NAME: "cannot be found: its host has no address (DNS)",
    Trouble.TLS: "cannot be reached: there is no secure connection to it (TLS)",
    Trouble.PROXY: "cannot be reached: the proxy in between does not let the bot through",
    Trouble.BUSY: "cannot be asked right now: the bot has too many requests open",
    Trouble.TIMEOUT: "did not answer in time",
    Trouble.RESET: "broke the connection off before it had answered",
    Trouble.SERVER_ERROR: "has an error of its own",
    Trouble.MALFORMED: "gave an answer that the bot cannot read",
    Trouble.UNCONFIRMED: "did not say what became of it",
}

_FOR_OPERATORS = {
    Trouble.UNREACHABLE: "Check {address} and the network.",
    Trouble.REFUSED: "Check host and port of {address}, and whether the service runs.",
    Trouble.NAME: "Check how {address} is spelled, and DNS.",
    Trouble.TLS: "Check that {address} takes https, its certificate, and the clock; SSL_CERT_FILE names more roots.",
    Trouble.PROXY: "Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, and the proxy's user and password.",
    Trouble.BUSY: "Try again later.",
    Trouble.TIMEOUT: "Check the network and firewalls; if a proxy is the only way out, set HTTPS_PROXY.",
    Trouble.RESET: "Try again; if it keeps happening, check what is in between: proxies, firewalls.",
    Trouble.SERVER_ERROR: "Try again later: it is on their side.",
    Trouble.MALFORMED: "Check {address}: something else may answer there.",
    Trouble.UNCONFIRMED: "Try again later.",
}


def network(service: str, trouble: Trouble) -> str:
    """What is wrong with `service`, without a full stop."""
    return f"{service} {_WORDS[trouble]}"


def network_fix(trouble: Trouble, address: str = "the address") -> str:
    """What an operator can do about it. `address`: the setting that holds the address, where there is one."""
    return _FOR_OPERATORS[trouble].format(address=address)
