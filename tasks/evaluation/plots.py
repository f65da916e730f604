"""The report's pictures: PNG for a quick look, and one HTML page to look closer."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.outside_text import page_text
from everfit.tasks.evaluation.report import Report
from everfit.tasks.evaluation.scored_rows import ScoredRows

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

_POINTS = 2_000
_BARS = 15
_SIZE, _DPI = (6.4, 4.4), 80
_CONFUSION = "Answers by true class (share)"
_DARK, _ROOM = 0.6, 50


def png_plots(report: Report, scored: ScoredRows) -> dict[str, bytes]:
    """The pictures by file name."""
    drawn = {"calibration.png": _calibration(report), "importance.png": _importance(report)}
    if report.over_time:
        drawn["over_time.png"] = _over_time(report)
    drawn |= (
        {"residuals.png": _residuals(scored)} if scored.task == "regression" else {"confusion.png": _confusion(scored)}
    )
    if scored.task == "binary":
        drawn |= {"roc.png": _roc(scored), "precision_recall.png": _precision_recall(scored)}
    if report.groups:
        drawn["groups.png"] = _groups(report)
    return {name: _png(figure) for name, figure in drawn.items()}


def report_page(report: Report, scored: ScoredRows) -> str:
    """The same as one interactive page that needs no network."""
    import plotly.graph_objects as go
    import plotly.io

    figures = [
        go.Figure(
            go.Bar(x=list(report.attribution.values())[:_BARS], y=list(report.attribution)[:_BARS], orientation="h"),
            layout={"title": "Importance", "yaxis": {"autorange": "reversed"}},
        ),
        go.Figure(
            go.Scatter(x=[point.predicted for point in report.curve], y=[point.happened for point in report.curve]),
            layout={"title": "Predicted against happened"},
        ),
    ]
    if report.over_time:
        parts = go.Scatter(x=[part.since for part in report.over_time], y=[part.value for part in report.over_time])
        figures.append(go.Figure(parts, layout={"title": f"{report.metric} over the hold-out"}))
    if scored.task == "binary":
        for title, (x, y) in (("ROC", _roc_points(scored)), ("Precision by recall", _precision_recall_points(scored))):
            figures.append(go.Figure(go.Scatter(x=x, y=y), layout={"title": title}))
    if scored.task == "regression":
        answered, missed = _residual_points(scored)
        figures.append(go.Figure(go.Scatter(x=answered, y=missed, mode="markers"), layout={"title": "Residuals"}))
    else:
        names, shares = _confusion_shares(scored)
        names = page_text(names)
        cells = go.Heatmap(x=names, y=names, z=shares, zmin=0, zmax=1, colorscale="Blues")
        figures.append(go.Figure(cells, layout={"title": _CONFUSION, "yaxis": {"autorange": "reversed"}}))
    if report.groups:
        names = [page_text(f"{group.column} = {group.group}") for group in report.groups]
        errors = go.Bar(x=names, y=[group.error for group in report.groups])
        figures.append(go.Figure(errors, layout={"title": "Error"}))
    return _page(report, figures, plotly.io)


_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'\">"
)
"""The page holds all that it shows: it loads nothing, and sends nothing anywhere."""


def _page(report: Report, figures: "list[go.Figure]", io: object) -> str:
    parts = [
        io.to_html(figure, full_html=False, include_plotlyjs=number == 0)  # type: ignore[attr-defined]
        for number, figure in enumerate(figures)
    ]
    head = f"<!doctype html><meta charset=utf-8>{_POLICY}<title>{report.model}</title><h1>{report.model}</h1>"
    return "\n".join([head, *parts])


def _figure(title: str, x: str, y: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    figure.add_subplot(title=title, xlabel=x, ylabel=y)
    return figure


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    # `savefig` gives the same bytes, but draws everything twice, to find out how much room it needs.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def _calibration(report: Report) -> "Figure":
    figure = _figure("Predicted against happened", "predicted", "happened")
    predicted = [point.predicted for point in report.curve]
    figure.axes[0].plot(predicted, [point.happened for point in report.curve], marker="o")
    figure.axes[0].plot(predicted, predicted, linestyle=":", color="grey")
    return figure


def _importance(report: Report) -> "Figure":
    figure = _figure("Importance", report.metric if report.shap is None else "mean |SHAP|", "")
    shown = list(report.attribution.items())[:_BARS][::-1]
    figure.axes[0].barh([name for name, _ in shown], [value for _, value in shown])
    return figure


def _over_time(report: Report) -> "Figure":
    figure = _figure(f"{report.metric} over the hold-out", "", report.metric)
    values = [float("nan") if part.value is None else part.value for part in report.over_time]
    figure.axes[0].plot([f"{part.since:%m-%d %H:%M}" for part in report.over_time], values, marker="o")
    figure.axes[0].tick_params(axis="x", rotation=30)
    return figure


def _roc_points(scored: ScoredRows) -> tuple[list[float], list[float]]:
    from sklearn.metrics import roc_curve

    if len(set(scored.truth)) < 2:
        return [], []
    wrong, right, _ = roc_curve(scored.truth, scored.scores["challenger"])
    kept = np.unique(np.linspace(0, len(wrong) - 1, _POINTS).astype(np.intp))
    return wrong[kept].tolist(), right[kept].tolist()


def _roc(scored: ScoredRows) -> "Figure":
    figure = _figure("ROC", "false positive rate", "true positive rate")
    figure.axes[0].plot(*_roc_points(scored))
    figure.axes[0].plot([0, 1], [0, 1], linestyle=":", color="grey")
    return figure


def _precision_recall_points(scored: ScoredRows) -> tuple[list[float], list[float]]:
    from sklearn.metrics import precision_recall_curve

    if len(set(scored.truth)) < 2:
        return [], []
    precision, recall, _ = precision_recall_curve(scored.truth, scored.scores["challenger"])
    kept = np.unique(np.linspace(0, len(recall) - 1, _POINTS).astype(np.intp))
    return recall[kept].tolist(), precision[kept].tolist()


def _precision_recall(scored: ScoredRows) -> "Figure":
    figure = _figure("Precision by recall", "recall", "precision")
    figure.axes[0].plot(*_precision_recall_points(scored))
    figure.axes[0].axhline(float(scored.truth.mean()), linestyle=":", color="grey")
    figure.axes[0].set_ylim(0, 1.02)
    return figure


def _confusion_shares(scored: ScoredRows) -> tuple[list[str], npt.NDArray[np.float64]]:
    """The classes, and which share of each true one was answered as which."""
    size = len(scored.classes)
    cells = np.zeros((size, size))
    np.add.at(cells, (scored.truth.astype(np.intp), scored.predicted_classes("challenger").astype(np.intp)), 1)
    return [str(label) for label in scored.classes], cells / np.maximum(1, cells.sum(axis=1, keepdims=True))


def _confusion(scored: ScoredRows) -> "Figure":
    figure = _figure(_CONFUSION, "answered", "true")
    names, shares = _confusion_shares(scored)
    axes = figure.axes[0]
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=0 if sum(map(len, names)) < _ROOM else 45)
    axes.set_yticks(range(len(names)), names)
    if len(names) <= _BARS:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > _DARK else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=color)
    return figure


def _residual_points(scored: ScoredRows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    shown = np.linspace(0, len(scored.truth) - 1, min(_POINTS, len(scored.truth))).astype(np.intp)
    scores = scored.scores["challenger"][shown]
    return scores, scored.truth[shown] - scores


def _residuals(scored: ScoredRows) -> "Figure":
    figure = _figure("Residuals", "answered", "true minus answered")
    figure.axes[0].scatter(*_residual_points(scored), s=4)
    figure.axes[0].axhline(0, linestyle=":", color="grey")
    return figure


def _groups(report: Report) -> "Figure":
    figure = _figure("Error by group", "error", "")
    shown = sorted(report.groups, key=lambda part: part.error or 0.0)[-_BARS:]
    figure.axes[0].barh([f"{part.column} = {part.group}" for part in shown], [part.error or 0.0 for part in shown])
    return figure
