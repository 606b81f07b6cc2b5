"""The look of a letter: what stands above and below its text, and its colours.

A template names four colours at most; the others follow from them, so that text can be read in
light and in dark. Neither paper nor ink is pure white or black: mail programs that turn colours
round leave middling ones nearly as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from campaign.designs.models import Template
from campaign.organizations import colours
from campaign.organizations.models import Organization

ACCENT, ACCENT_DARK = "#0b5d5a", "#63c7bd"
PAPER, PAPER_DARK = "#fbf8f3", "#111819"
INK, INK_DARK = "#1b2628", "#efeae2"
READABLE = colours.TEXT_CONTRAST


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a letter in light, or in dark."""

    paper: str
    ink: str
    soft: str
    line: str
    accent: str
    on_accent: str
    wash: str

    @classmethod
    def of(cls, paper: str, accent: str) -> Palette:
        ink = ink_on(paper)
        return cls(
            paper=paper,
            ink=ink,
            soft=next(
                shade
                for share in (0.72, 0.8, 0.88, 1.0)
                if colours.contrast(shade := colours.mix(ink, paper, share), paper) >= READABLE
                or share == 1.0
            ),
            line=colours.mix(ink, paper, 0.16),
            accent=accent,
            on_accent=_written_on(accent),
            wash=colours.mix(accent, paper, 0.1),
        )


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture above the text."""

    url: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Look:
    """How a letter looks. `footer` is Markdown."""

    light: Palette
    dark: Palette
    header: str = ""
    footer: str = ""
    logo: Logo | None = None


def ink_on(paper: str) -> str:
    """What is written on a paper of this colour."""
    return max((INK, INK_DARK), key=lambda ink: colours.contrast(ink, paper))


def _written_on(accent: str) -> str:
    """What is written on a button: one of ours, or plain black where neither can be read."""
    ours = colours.text_on(accent)
    return ours if colours.contrast(ours, accent) >= READABLE else "#000000"


def is_readable(paper: str) -> bool:
    """Whether text can be read on it."""
    return colours.contrast(ink_on(paper), paper) >= READABLE


def fits(accent: str, paper: str) -> bool:
    """Whether a link in this colour can be read on the paper."""
    return colours.contrast(accent, paper) >= READABLE


def brightened(accent: str, paper: str) -> str:
    """The accent with as much white or black as it needs to be read on the paper."""
    toward = "#ffffff" if ink_on(paper) == INK_DARK else "#000000"
    steps = (colours.mix(toward, accent, step / 50) for step in range(51))
    return next((shade for shade in steps if fits(shade, paper)), toward)


def palettes(organization: Organization, template: Template | None) -> tuple[Palette, Palette]:
    """The colours in light and in dark: the template's, else the organization's, else ours."""
    paper = (template.paper if template else "") or PAPER
    paper_dark = (template.paper_dark if template else "") or PAPER_DARK
    own = (template.accent if template else "") or organization.accent
    own_dark = (template.accent_dark if template else "") or (
        "" if template and template.accent else organization.accent_dark
    )
    accent = brightened(own or ACCENT, paper)
    if not own_dark:
        own_dark = colours.lighten_for_dark(own) if own else ACCENT_DARK
    dark = brightened(own_dark, paper_dark)
    return Palette.of(paper, accent), Palette.of(paper_dark, dark)


def look_of(organization: Organization, template: Template | None, logo: Logo | None) -> Look:
    """The look of an organization's letters in a template, or in none."""
    light, dark = palettes(organization, template)
    if template is None:
        return Look(light, dark, header=organization.name)
    return Look(
        light,
        dark,
        header=template.header or ("" if logo else organization.name),
        footer=template.footer,
        logo=logo,
    )
