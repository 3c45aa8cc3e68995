"""Charts as SVG that stands in a page, by pygal; without it (the extra `charts`) there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from xml.etree.ElementTree import Element

from batchsync.model.text import clipped_key

WIDTH = 500
_ROW, _MARGINS = 25, 60
_LABEL_MOST = 26

Series = tuple[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Numbers to be drawn; `title` and `told` say in words what they show. `lying`: bars that lie, one a line."""

    name: str
    title: str
    told: str
    labels: Sequence[str]
    series: Sequence[Series]
    lying: bool = False


def can_draw() -> bool:
    """Whether the library is installed."""
    return find_spec("pygal") is not None


def drawn(chart: Chart) -> str:
    """The chart as an SVG element with a title and a description; its colours are the page's. Needs `can_draw`."""
    import pygal

    rows = len(chart.labels) + 1 if len(chart.series) == 1 else 1.6 * len(chart.labels) + 2
    config: dict[str, Any] = {
        "width": WIDTH,
        "height": int(_MARGINS + _ROW * rows) if chart.lying else 250,
        "style": _style(),
        "css": (),  # the page's own
        "js": (),
        "disable_xml_declaration": True,
        "show_legend": len(chart.series) > 1,
        "legend_at_bottom": True,
        "legend_box_size": 12,
        "margin": 8,
        "margin_right": 30,  # half of the last number stands there
        "max_scale": 6,
        "value_formatter": short_number,
        "x_label_rotation": 0 if chart.lying or len(chart.labels) < 8 else 40,
        "truncate_label": _LABEL_MOST,
    }
    if not chart.lying:  # many days: some of their names
        config |= {"show_minor_x_labels": False, "x_labels_major_every": len(chart.labels) // 13 + 1}
    picture = (pygal.HorizontalBar if chart.lying else pygal.Bar)(**config)
    # What lies is drawn from below: the first shall be on top.
    turn = slice(None, None, -1 if chart.lying else 1)
    picture.x_labels = [clipped_key(label, _LABEL_MOST) for label in chart.labels][turn]
    for name, values in chart.series:
        picture.add(name, list(values)[turn])
    picture.add_xml_filter(lambda root: _plain(root, chart))
    text: str = picture.render(is_unicode=True)
    return text


def short_number(value: float) -> str:
    """A number for an axis: `800`, `12k`, `1.6M`."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (abs(value) >= size and value % (size / 10) == 0):
            return f"{value / size:,.1f}".removesuffix(".0") + unit
    return f"{value:,.0f}"


def _style() -> Any:
    """Sizes for the layout; the colours are the page's."""
    from pygal.style import Style

    return Style(label_font_size=13, major_label_font_size=13, legend_font_size=13, colors=("none",) * 4)


_LEFT_OUT = {
    "script",
    "style",
    "title",
    "desc",
}  # no script shows tips; the table has what they say


def _plain(root: Element, chart: Chart) -> Element:
    """The picture without scripts and styles, with its words."""
    for parent in list(root.iter()):
        for child in list(parent):
            is_tip = "tooltip-overlay" in child.get("class", "")
            if is_tip or callable(child.tag) or str(child.tag).rpartition("}")[2] in _LEFT_OUT:
                parent.remove(child)
    for place, (tag, words) in enumerate((("title", chart.title), ("desc", chart.told))):
        element = Element(tag, {"id": f"{chart.name}-{tag}"})
        element.text = words
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{chart.name}-title {chart.name}-desc")
    root.set("id", chart.name)
    return root
