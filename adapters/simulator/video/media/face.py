"""The drawn face of the simulated avatar: one frame as SVG. Flat, calm, and plainly nobody real.

Used only when the media are made.
"""

import math
from dataclasses import dataclass

WIDTH, HEIGHT = 960, 540


@dataclass(frozen=True, slots=True)
class Pose:
    """One moment. `breath` and `sway` are -1..1, `lids` and `mouth` 0 (open, closed) to 1 (shut, wide), `round_lips`
    0..1, `nod` in pixels."""

    breath: float
    sway: float
    lids: float
    mouth: float
    round_lips: float
    nod: float


def pose_at(moment: float, loop: float, mouth: float = 0.0, round_lips: float = 0.0, nod: float = 0.0) -> Pose:
    """The pose `moment` seconds into the breathing loop of `loop` seconds, the same whether it talks or not."""
    turn = 2 * math.pi * moment / loop
    return Pose(math.sin(turn), math.sin(turn + 1.1), _lids(moment), mouth, round_lips, nod)


def _lids(moment: float) -> float:
    """Two blinks in a loop, 0.24 s each."""
    nearest = min(abs(moment - blink) for blink in (1.36, 3.28))
    return max(0.0, 1.0 - nearest / 0.12)


def frame(pose: Pose) -> str:
    """The frame as an SVG group of WIDTH times HEIGHT."""
    lift = -3.0 * pose.breath
    head_x, head_y = 4.0 * pose.sway, 0.6 * lift + pose.nod
    return f"""<g>
<rect width="960" height="540" fill="#e6eef0"/>
<circle cx="480" cy="300" r="330" fill="#d9e6e9"/><circle cx="480" cy="310" r="245" fill="#cddfe3"/>
<g transform="translate(0 {lift:.2f})">
<path d="M210 560c6-112 84-160 190-172h160c106 12 184 60 190 172z" fill="#3f7d86"/>
<path d="M396 392c22 44 146 44 168 0l-14-8h-140z" fill="#356b73"/>
<path d="M430 330h100v62c-18 34-82 34-100 0z" fill="#e3b48d"/>
</g>
<g transform="translate({head_x:.2f} {head_y:.2f}) rotate({0.9 * pose.sway:.2f} 480 390)">
<path d="M338 236c-16-108 52-172 142-172s158 64 142 172c10 46-2 96-22 118H360c-20-22-32-72-22-118z" fill="#4a3a2e"/>
<ellipse cx="362" cy="254" rx="20" ry="28" fill="#e8bb94"/><ellipse cx="598" cy="254" rx="20" ry="28" fill="#e8bb94"/>
<path d="M366 216c0-70 46-112 114-112s114 42 114 112v46c0 74-50 122-114 122s-114-48-114-122z" fill="#f2c9a5"/>
<path d="M356 226c-4-84 52-134 124-134s128 50 124 134c-14-40-34-66-60-80-46 24-110 30-148 24-20 12-32 30-40 56z"
 fill="#5b4636"/>
<ellipse cx="414" cy="300" rx="24" ry="15" fill="#eeb394" opacity=".7"/>
<ellipse cx="546" cy="300" rx="24" ry="15" fill="#eeb394" opacity=".7"/>
{_eye(430, pose.lids)}{_eye(530, pose.lids)}
<path d="M408 {208 - 3 * pose.mouth:.1f}q22-13 44-2M508 {206 - 3 * pose.mouth:.1f}q22-11 44 2" fill="none"
 stroke="#5b4636" stroke-width="7" stroke-linecap="round"/>
<path d="M480 252q-10 30-6 36q6 6 16 2" fill="none" stroke="#d99f79" stroke-width="5" stroke-linecap="round"/>
{_mouth(pose)}
</g>
<g font-family="DejaVu Sans, sans-serif" font-size="17" fill="#48646c">
<rect x="772" y="490" width="168" height="32" rx="16" fill="#fff" opacity=".75"/>
<text x="856" y="512" text-anchor="middle">simulated avatar</text></g>
</g>"""


def _eye(x: float, lids: float) -> str:
    height = 15.0 * (1.0 - lids)
    if height < 6:
        lashes = f"M{x - 17} 246q17 9 34 0"
        return f'<path d="{lashes}" fill="none" stroke="#3b2f28" stroke-width="5" stroke-linecap="round"/>'
    clip = f"eye{x}-{height:.0f}"
    return (
        f'<clipPath id="{clip}"><ellipse cx="{x}" cy="243" rx="19" ry="{height:.1f}"/></clipPath>'
        f'<ellipse cx="{x}" cy="243" rx="19" ry="{height:.1f}" fill="#fff"/>'
        f'<g clip-path="url(#{clip})"><circle cx="{x}" cy="243" r="12" fill="#4f8a78"/>'
        f'<circle cx="{x}" cy="243" r="6" fill="#22302e"/><circle cx="{x + 4}" cy="238" r="3.4" fill="#fff"/></g>'
    )


def _mouth(pose: Pose) -> str:
    if pose.mouth < 0.06:
        return '<path d="M444 327q36 22 72 0" fill="none" stroke="#a8564c" stroke-width="6" stroke-linecap="round"/>'
    half = 36 - 14 * pose.round_lips
    drop, rise = 14 + 34 * pose.mouth, 6 * pose.mouth + 8 * pose.round_lips * pose.mouth
    left, right, top, bottom = 480 - half, 480 + half, 328 - rise, 328 + drop
    low = 328 + 1.3 * drop
    outline = (
        f"M{left:.1f} 328Q480 {top:.1f} {right:.1f} 328C{right:.1f} {low:.1f} {left:.1f} {low:.1f} {left:.1f} 328z"
    )
    clip = f"mouth{pose.mouth:.2f}-{pose.round_lips:.2f}"
    return (
        f'<clipPath id="{clip}"><path d="{outline}"/></clipPath>'
        f'<path d="{outline}" fill="#7c2f31" stroke="#a8564c" stroke-width="5" stroke-linejoin="round"/>'
        f'<g clip-path="url(#{clip})">'
        f'<rect x="{left:.1f}" y="{top - 6:.1f}" width="{2 * half:.1f}" height="14" fill="#fff"/>'
        f'<ellipse cx="480" cy="{bottom + 4:.1f}" rx="{half * 0.62:.1f}" ry="{drop * 0.45:.1f}" fill="#c9605e"/></g>'
    )
