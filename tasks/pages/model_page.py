"""The page of a model as HTML that needs no network. Pure."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from everfit.tasks.monitoring.window_columns import WindowColumns
from everfit.tasks.pages.chart_text import chart_data
from everfit.tasks.pages.elements import chip, coded, spaced, table, time_of
from everfit.tasks.pages.limit_charts import limits_section
from everfit.tasks.pages.markup import Child, Html, anchor, document, tag
from everfit.tasks.pages.model_status import ModelStatus
from everfit.tasks.pages.sections import decision_list, drift_map, event_list, timeline
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.states import STATES
from everfit.tasks.pages.words import quality_words
from everfit.tasks.pages.worth_section import worth_section

_STORIES = 20


def model_page(
    status: ModelStatus,
    content: dict[str, Any],
    series: Series,
    columns: WindowColumns | None = None,
    stories: Sequence[str] = (),
) -> str:
    """Return the page of a model.

    Args:
        status: The state of the model.
        content: The page's data: `looks`, `turns`, `marks`, `reigns`, `links`, `limits`.
        series: All looks.
        columns: The distributions of the columns in the newest window.
        stories: The ids of the predictions whose story has a page.
    """
    body = [
        tag("a", "Skip to content", href="#main", class_="skip"),
        _header(status),
        tag(
            "main",
            _cards(status, content),
            _asks(status, content["links"]),
            timeline(status, series, content),
            _labels(status),
            limits_section(series),
            drift_map(series, columns),
            worth_section(content.get("worth") or {}),
            decision_list([*content["looks"], *content["turns"].values()], content["links"]),
            event_list(content["marks"]),
            _stories(status.model, stories),
            id="main",
        ),
        _footer(content),
    ]
    return document(
        f"{status.model}: {STATES[status.state].label}",
        body,
        data=chart_data(status, content, series),
        style=("uplot/uplot.min.css", "page.css"),
        scripts=("uplot/uplot.min.js", "page.js"),
    )


def _header(status: ModelStatus) -> Html:
    way = tag("nav", anchor("All models", "../index.html"), " / ", tag("span", status.model), aria_label="Breadcrumb")
    lines: list[Child] = [tag("h1", status.model, " ", chip(status.state))]
    if status.reason:
        lines.append(tag("p", status.reason, class_="lead"))
    if status.next:
        lines.append(tag("p", coded(status.next), class_="next"))
    return tag("header", way, lines)


def _cards(status: ModelStatus, content: dict[str, Any]) -> Html:
    champion: tuple[Child, Child] = ("none yet", "No version was released yet.")
    if status.champion is not None and status.champion_since is not None:
        by = f", by {status.champion_by}" if status.champion_by else ""
        champion = (f"version {status.champion}", ["since ", time_of(status.champion_since), by])
    quality: tuple[Child, Child] = ("not known", status.quality_unknown or "It is measured when labels are mature.")
    if status.quality is not None:
        metric, levels = status.quality.metric, status.quality.levels
        quality = (status.quality.figure, f"{metric}{'; ' if levels else ''}{quality_words(status, levels)}")
    look, turn = status.last_look, status.last_turn
    looked: tuple[Child, Child] = ("none yet", "everfit monitor looks at the newest window.")
    if look is not None:
        looked = (anchor(spaced(look.verdict), f"#look-{look.id}"), [time_of(look.until), ": ", look.headline])
    turned: tuple[Child, Child] = ("none yet", "everfit train runs the first one.")
    if turn is not None:
        turned = (
            anchor(spaced(turn.state), f"#turn-{turn.id}"),
            [time_of(turn.window.until), ": ", status.turn_summary],
        )
    left, held = content.get("left") or "", content.get("limits") or ""
    limits: tuple[Child, Child] = (None, held or "They are in the spec, and are shown after the next look.")
    if left and held.startswith(left):
        limits = (left, held.removeprefix(left).lstrip())
    cards = [
        ("Champion", *champion),
        ("Live quality", *quality),
        ("Last look", *looked),
        ("Last turn", *turned),
        ("Limits of automatic turns", *limits),
        *(
            []
            if status.risk is None
            else [("Risk of the champion", status.risk.now or "not known", status.risk.summary)]
        ),
    ]
    return tag(
        "section",
        tag("h2", "Now", class_="hidden"),
        tag(
            "dl",
            [
                tag(
                    "div",
                    tag("dt", name),
                    tag("dd", figure, class_="figure") if figure is not None else None,
                    tag("dd", words),
                )
                for name, figure, words in cards
            ],
            class_="cards",
        ),
        aria_label="Now",
    )


def _labels(status: ModelStatus) -> Html | None:
    """Return how long labels take, and quality by the early ones; None before the first look."""
    look = status.last_look
    if look is None:
        return None
    words = [tag("p", text) for text in (look.label_delay, look.early and f"Early quality: {look.early}") if text]
    if not words:
        why = look.delay_unknown or "`columns.label_time` names the column of their time"
        unknown = coded(f"How long labels take is not known: {why}.")
        words = [tag("p", unknown, class_="quiet")]
    heads = ["how long labels take", "now", "at training"]
    return tag("section", tag("h2", "Labels"), words, table(heads, look.delays) if look.delays else None)


def _stories(model: str, stories: Sequence[str]) -> Html:
    """Return the pages of single predictions, and the command that writes one."""
    command = tag("code", f"everfit trace PREDICTION_ID --model {model} --page")
    words = tag(
        "p", command, " writes where an answer came from: version, release, turn, decisions, data.", class_="quiet"
    )
    links = [tag("li", anchor(name, f"prediction/{quote(name)}.html")) for name in stories[:_STORIES]]
    left = len(stories) - len(links)
    more = tag("p", f"{left:,} more are in the folder prediction.", class_="quiet") if left else None
    return tag("section", tag("h2", "Stories of predictions"), words, tag("ul", links) if links else None, more)


def _asks(status: ModelStatus, links: dict[str, str]) -> Html:
    if not status.asks:
        return tag("section", tag("h2", "Waits for a person"), tag("p", "Nothing waits for a person.", class_="quiet"))
    items = []
    for ask in status.asks:
        seen = f"; {ask.seen_by} looks after it" if ask.seen_by else ""
        places: list[Child] = []
        if ask.page:
            places.append(tag("p", anchor("Open the evidence", ask.page)))
        if ask.turn and links.get("prefect"):
            # The form belongs to the run of the flow `approval` of that name; the ledger doesn't know the run's id.
            runs = f"{links['prefect'].rstrip('/')}/runs?flow-run-search=approve-{quote(ask.turn)}"
            places.append(tag("p", anchor("Open the run with the form in Prefect", runs)))
        command = tag("pre", tag("code", ask.command), tabindex=0, aria_label="Command") if ask.command else None
        head = tag("h3", ask.what)
        items.append(
            tag("li", head, tag("p", "since ", time_of(ask.since), seen), tag("p", ask.reason), places, command)
        )
    return tag("section", tag("h2", "Waits for a person"), tag("ul", items, class_="asks"))


def _footer(content: dict[str, Any]) -> Html:
    return tag(
        "footer",
        tag(
            "p",
            "Written at ",
            time_of(content["written_at"]),
            " from the ledger. All times are UTC. ",
            anchor("The data of this page", "page.json"),
            ". ",
            tag("code", f"everfit status {content['model']}"),
            " says the same in a terminal.",
        ),
    )
