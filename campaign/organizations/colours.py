"""An organization's accent: whether it can be read, in light and in dark, and its style sheet.

Contrast as WCAG 2.2 defines it (relative luminance of sRGB). The backgrounds are the tokens
--paper, --card and what --accent-wash becomes of an accent; text needs 4.5 to 1.
"""

from __future__ import annotations

import re

TEXT_CONTRAST = 4.5
LIGHT = ("#fbf8f3", "#fffdf9")
DARK = ("#111819", "#182123")
ON_LIGHT = "#ffffff"
ON_DARK = "#06201e"
WASH = 0.13  # how much accent --accent-wash holds
HEX = re.compile(r"#[0-9a-f]{6}")


def parse(text: str) -> str:
    """ "0B5D5A", "#0b5d5a", "#0bd" as "#rrggbb". Raises ValueError for anything else."""
    code = text.strip().lower().removeprefix("#")
    if len(code) == 3:
        code = "".join(character * 2 for character in code)
    if not HEX.fullmatch(f"#{code}"):
        raise ValueError("a colour is six hexadecimal digits")
    return f"#{code}"


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, from 1 to 21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def least_contrast(accent: str, *, dark: bool = False) -> float:
    """The worst contrast that text in, or on, this accent would have on our pages."""
    papers = DARK if dark else LIGHT
    wash = mix(accent, papers[0], WASH)
    return min(
        *(contrast(accent, paper) for paper in (*papers, wash)),
        contrast(accent, text_on(accent)),
    )


def text_on(accent: str) -> str:
    """What is written on a button of this colour."""
    return max((ON_LIGHT, ON_DARK), key=lambda ink: contrast(accent, ink))


def lighten_for_dark(accent: str) -> str:
    """`accent` with as much white as dark pages need."""
    steps = (mix("#ffffff", accent, step / 50) for step in range(51))
    return next(shade for shade in steps if least_contrast(shade, dark=True) >= TEXT_CONTRAST)


def mix(first: str, second: str, share: float) -> str:
    """`share` of the first colour with the rest of the second."""
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def style_sheet(light: str, dark: str) -> str:
    """The accent as custom properties; both are "#rrggbb", so that nothing else gets in."""
    light, dark = parse(light), parse(dark)
    return (
        f":root{{--accent:{light};--on-accent:{text_on(light)}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--accent:{dark};--on-accent:{text_on(dark)}}}}}"
    )


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    def linear(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(channel) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
