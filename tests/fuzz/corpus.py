"""Text that has broken programs: kept by hand, and added to whenever something is found. `repeated` makes parts of it
as long as one likes that are known to slow careless patterns down.
"""

from collections.abc import Callable
from functools import partial

TEXTS = (
    "",
    " ",
    "\x00",
    "\x00\x1b[31m\x07\x9b",
    "\ufeff/avatar start",
    "\ud800",
    "\udfff\ud800",
    "a\u0300" * 40,
    "\u202egnp.exe\u202c",
    "\u200b\u200c\u200d\u2060",
    "\u0915\u094d\u200d\u0937",
    "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪1️⃣",
    "ﷺ" * 50,
    "Ⅷ²½",
    "İıſß",
    "`" * 7,
    "```" + "``",
    "<@1><@!1><@&1><#1><a:b:1><t:1:R></x:1><id:home>",
    "<!subteam^S1|<@1>>",
    "<https://example.com|[x](y)>",
    "[[[[](((()",
    "[a](javascript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
    "![](//example.com)",
    "http://[::1]:80/%00%ff?#",
    "://://://",
    "www." * 9,
    "\\" * 33,
    "*_~|" * 11 + "x",
    "> " * 15 + "- " * 15,
    "{}{0}{text}%s%n%(x)s$x${x}",
    "'; DROP TABLE sessions; --",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "\r\nSet-Cookie: a=b\r\n\r\n",
    "nan",
    "-1e309",
    "1_000",
    "٣٠",
    '"' * 5,
    'avatar="',
    "avatar=a avatar=b avatar=c",
    "mode=chat mode=" + "x" * 500,
    "=" * 9,
)

KINDS = ("hello", "visit", "ask", "keep", "give", "door", "seated", "left", "published", "heard")
"""What a watch page may say, by its `type`."""


def _repeat(part: str, size: int) -> str:
    return (part * (size // len(part) + 1))[:size]


repeated: dict[str, Callable[[int], str]] = {
    part: partial(_repeat, part)
    for part in (
        "a",
        " ",
        "\n",
        "[",
        "](",
        "[a](",
        "[a](http://x ",
        "<",
        "<@",
        "<a|",
        "`",
        "``a",
        "```",
        "*",
        "_*",
        "\\",
        "\\*",
        "> ",
        "- ",
        "#",
        ":a",
        "::",
        ":-",
        "http://",
        "http://a.",
        "www.",
        "a.",
        "a-.",
        "a/",
        "@",
        "@a",
        "!?",
        "1",
        "ab ",
        "a b c d ",
        "\u0300",
        "a\u0300",
        "\u200d",
        "👩\u200d",
        "\ufe0f",
        "🇩",
        "\U000e0067",
        "\u1100",
        "。",
        "「",
        "ｗ",
        'a="',
        "avatar=",
        'avatar="a" ',
        "((",
        "))",
        "&lt;",
    )
}
