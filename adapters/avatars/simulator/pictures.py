"""Preview pictures of the invented avatars: small vector drawings in the colours of a look. No real person."""

from adapters.avatars.simulator.catalogue import Look

_DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 180" role="img" aria-label="{name}">
<rect width="320" height="180" fill="{background}"/>
<path d="M80 180c0-36 36-54 80-54s80 18 80 54z" fill="{clothes}"/>
<rect x="144" y="108" width="32" height="34" rx="14" fill="{skin}"/>
<ellipse cx="160" cy="78" rx="42" ry="48" fill="{skin}"/>
<path d="M114 78c-4-44 22-58 46-58s50 14 46 58c-8-22-18-32-46-32s-38 10-46 32z" fill="{hair}"/>
<circle cx="144" cy="80" r="4.5" fill="#26323a"/><circle cx="176" cy="80" r="4.5" fill="#26323a"/>
<path d="M146 102q14 10 28 0" fill="none" stroke="#26323a" stroke-width="3" stroke-linecap="round"/>
</svg>
"""


def picture_of(look: Look) -> str:
    """The drawing as SVG."""
    background, skin, hair, clothes = look.colours
    return _DRAWING.format(name=look.name, background=background, skin=skin, hair=hair, clothes=clothes)
