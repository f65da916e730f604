"""The figures of a rehearsal's page, drawn by plotly, whose library the first of them brings."""

from typing import Any

from everfit.tasks.rehearsal.outcome import Rehearsal

_COLOURS = {"spec": "#1f77b4", "bound": "#2ca02c"}
_OTHERS = ("#7f7f7f", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#d62728")
_HEIGHT = 460


def draw_quality(outcome: Rehearsal, *, library: bool) -> str:
    """Return the quality of each policy over time; releases are filled circles, other turns open ones.

    Args:
        outcome: The outcome of the rehearsal.
        library: Whether the library is put into the page.
    """
    import plotly.graph_objects as go

    figure, dates = go.Figure(), [f"{window.since:%Y-%m-%d}" for window in outcome.windows]
    for play, colour in zip(outcome.plays, _colours(outcome), strict=True):
        symbols = ["circle" if place in play.releases else "circle-open" for place in range(len(dates))]
        sizes = [9 if place in play.releases or place in play.turns else 1 for place in range(len(dates))]
        marks = [
            "a model was released before this window"
            if place in play.releases
            else "a turn released nothing"
            if place in play.turns
            else ""
            for place in range(len(dates))
        ]
        figure.add_scatter(
            x=dates,
            y=list(play.quality),
            name=play.policy,
            mode="lines+markers",
            line={"color": colour, "width": 3 if play.kind == "spec" else 1.5, "dash": _dash(play.kind)},
            marker={"symbol": symbols, "size": sizes},
            zorder={"spec": 2, "bound": 1}.get(play.kind, 0),
            text=marks,
            hovertemplate=f"%{{x}}: %{{y:,.{outcome.scale.decimals}f}}<br>%{{text}}<extra>%{{fullData.name}}</extra>",
        )
    figure.update_layout(yaxis_title=outcome.scale.metric)
    return _html(figure, library=library)


def draw_costs(outcome: Rehearsal) -> str:
    """Return the mean quality of each policy against its number of turns.

    Args:
        outcome: The outcome of the rehearsal.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for standing, colour in zip(outcome.standings, _colours(outcome), strict=True):
        quality = standing.quality
        if quality is None:
            continue
        reach = None if quality.high is None else quality.high - quality.mean
        figure.add_scatter(
            x=[standing.turns],
            y=[quality.mean],
            name=standing.policy,
            mode="markers",
            marker={"color": colour, "size": 12},
            error_y={"type": "data", "array": [reach], "thickness": 1} if reach is not None else None,
            hovertemplate=f"%{{x}} turns: %{{y:,.{outcome.scale.decimals}f}}<extra>%{{fullData.name}}</extra>",
        )
    most = max((standing.turns for standing in outcome.standings), default=0)
    figure.update_layout(xaxis_title="turns", yaxis_title=f"mean {outcome.scale.metric}")
    figure.update_xaxes(dtick=1 if most <= 15 else None, range=[-0.02 * most - 0.5, 1.02 * most + 0.5])
    return _html(figure)


def draw_matrix(outcome: Rehearsal) -> str:
    """Return the metric of the model of each training end in each later window as a heat map.

    Args:
        outcome: The outcome of the rehearsal.
    """
    import plotly.graph_objects as go

    dates = [f"{window.since:%Y-%m-%d}" for window in outcome.windows]
    figure = go.Figure(
        go.Heatmap(
            x=dates,
            y=dates,
            z=[list(row) for row in outcome.matrix],
            colorscale="Viridis",
            reversescale=not outcome.scale.greater_is_better,
            colorbar={
                "title": outcome.scale.metric,
                "orientation": "h",
                "y": 1.02,
                "yanchor": "bottom",
                "thickness": 12,
            },
            hovertemplate=f"trained %{{y}}, window from %{{x}}: %{{z:,.{outcome.scale.decimals}f}}<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title="window from", yaxis_title="trained")
    figure.update_yaxes(autorange="reversed", type="category", automargin=True)
    figure.update_xaxes(type="category", automargin=True)
    return _html(figure)


def _colours(outcome: Rehearsal) -> list[str]:
    others = iter(_OTHERS * (1 + len(outcome.plays) // len(_OTHERS)))
    return [_COLOURS.get(play.kind) or next(others) for play in outcome.plays]


def _dash(kind: str) -> str:
    return {"spec": "solid", "patch": "solid", "bound": "dash"}.get(kind, "dot")


def _html(figure: Any, *, library: bool = False) -> str:
    figure.update_layout(
        template="plotly_white",
        height=_HEIGHT,
        margin={"l": 50, "r": 10, "t": 20, "b": 50},
        legend={"orientation": "h", "yanchor": "top", "y": -0.2, "x": 0},
    )
    html: str = figure.to_html(
        full_html=False,
        include_plotlyjs=library,
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )
    return html
