"""A report and a comparison as tables for a file. No person is in them, as in the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from flask_babel import gettext as _

from campaign import clock
from campaign.mailings.reasons import reason_words
from campaign.results import words
from campaign.results.figures import Figures
from campaign.results.queries import RATES, Compared, Report
from campaign.tabular import Sheet
from campaign.web import few

Cell = str | int | float | None
DONE = ("clicks", "signatures", "answers", "unsubscribed", "complained", "came_back")


def sheets_of(report: Report) -> list[Sheet]:
    """The report: summary, links, mail services, reasons, over time."""
    return [make(report) for make in SHEETS.values()]


def _shown(value: few.Shown) -> Cell:
    return few.words(value) if isinstance(value, few.Veiled) else value


def _share(value: float | None) -> Cell:
    return round(value, 5) if value is not None else None


def _of(figures: Figures, name: str) -> str:
    if name == "came_back":
        return str(_("of sent"))
    return words.base_words(is_confirmed=figures.is_confirmed)


def summary(report: Report) -> Sheet:
    """States that add up, and what people did with its rates; then the same for each variant."""
    message, total = report.message, report.total
    started = _local(message.started_at, report.zone_name)
    rows: list[tuple[Cell, ...]] = [
        ("", _("Subject"), message.subject, None, None),
        ("", _("Started"), started, None, report.zone_name),
        ("", _("Left out before it went"), sum(report.left_out.values()), None, None),
    ]
    has_variants = bool(report.letters)
    parts = [("", total), *((words.part_words(part.letter, has_variants=True), figures)
             for part, figures in report.parts if has_variants)]  # fmt: skip
    for name, figures in parts:
        rows.append((name, _("Recipients"), figures.people, None, None))
        rows += [
            (name, words.state_words(state), count, None, None)
            for state, count in figures.states.items()
        ]
        rows += [
            (
                name,
                words.measure_words(measure),
                _shown(figures.shown(measure)),
                _share(figures.rate(measure)),
                _of(figures, measure),
            )
            for measure in DONE
        ]
    header = (_("Part"), _("What"), _("Number"), _("Share"), _("Of what"))
    return Sheet("summary", _("Summary"), header, tuple(rows))


def links(report: Report) -> Sheet:
    """Each link, how often it was followed, and what was done at what it leads to."""
    letters = report.letters
    people = report.total.people
    header = [_("Link"), _("Leads to"), words.measure_words("clicks")]
    header += [words.part_words(letter, has_variants=True) for letter in letters]
    by_letter = {part.letter: figures.people for part, figures in report.parts}
    rows: list[tuple[Cell, ...]] = [
        (
            link.words,
            link.leads_to,
            _shown(few.veil_in(link.clicks, people)),
            *(
                _shown(few.veil_in(link.by_part.get(letter, 0), by_letter[letter]))
                for letter in letters
            ),
        )
        for link in report.links
    ]
    rows += [
        (
            words.measure_words("signatures" if action.kind == "petition" else "answers"),
            action.title,
            _shown(few.veil_in(action.count, people)),
            *(
                _shown(few.veil_in(action.by_part.get(letter, 0), by_letter[letter]))
                for letter in letters
            ),
        )
        for action in report.actions
    ]
    return Sheet("links", _("Links and actions"), tuple(header), tuple(rows))


def mailboxes(report: Report) -> Sheet:
    """Mail services; the small ones gathered. None where so few got it."""
    rows = [] if report.total.is_small else report.mailboxes
    header = (
        _("Mail service"),
        _("Recipients"),
        words.state_words("hard"),
        words.state_words("soft"),
    )
    return Sheet(
        "domains",
        _("Mail services"),
        header,
        tuple(
            (words.mailbox_words(row.name), row.people, _shown(row.hard), _shown(row.soft))
            for row in rows
        ),
    )


def reasons(report: Report) -> Sheet:
    """Why people did not get it, and why e-mails came back."""
    groups: tuple[tuple[str, dict[str, int], Callable[[str], str]], ...] = (
        (_("Left out before it went"), report.left_out, reason_words),
        (_("Did not get it"), report.not_sent, reason_words),
        (_("Why emails came back"), report.returns, words.return_words),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (title, say(reason), _shown(few.veil_in(count, report.total.people)))
        for title, counts, say in groups
        for reason, count in counts.items()
    )
    return Sheet("reasons", _("Reasons"), (_("Kind"), _("Reason"), _("People")), rows)


def times(report: Report) -> Sheet:
    """Hours and days in the organization's zone, with what happened in each."""
    found = report.times
    header = (
        _("From"),
        _("Until"),
        *(words.measure_words(name) for name in found.series),
    )
    rows: tuple[tuple[Cell, ...], ...] = () if report.total.is_small else tuple(
        (
            _local(span.start, report.zone_name),
            _local(span.end, report.zone_name),
            *(counts[place] for counts in found.series.values()),
        )
        for place, span in enumerate(found.spans)
    )  # fmt: skip
    return Sheet("times", _("Over time"), header, rows)


def _local(at: datetime | None, zone_name: str) -> str:
    """A time as programs read it, with its distance from UTC: an hour that comes twice has two."""
    return at.astimezone(clock.zone(zone_name)).isoformat(timespec="minutes") if at else ""


SHEETS: dict[str, Callable[[Report], Sheet]] = {
    "summary": summary,
    "links": links,
    "domains": mailboxes,
    "reasons": reasons,
    "times": times,
}


def comparison(rows: Sequence[Compared], zone_name: str) -> Sheet:
    """Mailings side by side."""
    header = (
        _("Name for your team"),
        _("Subject"),
        _("Started"),
        _("Recipients"),
        _("Delivered"),
        *(words.measure_words(name) for name in RATES),
        *(f"{words.measure_words(name)}: {_('share')}" for name in RATES),
        _("Shares are of"),
    )
    body = tuple(
        (
            row.message.name,
            row.message.subject,
            _local(row.message.started_at, zone_name),
            row.figures.people,
            row.figures.confirmed,
            *(_shown(row.figures.shown(name)) for name in RATES),
            *(_share(row.figures.rate(name)) for name in RATES),
            words.base_words(is_confirmed=row.figures.is_confirmed),
        )
        for row in rows
    )
    return Sheet("comparison", _("Mailings"), header, body)
