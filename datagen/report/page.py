"""The report: one self-contained HTML page, and its individual sections for the notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from datagen.common.cli import count
from datagen.common.record import Line
from datagen.report import charts, pictures
from datagen.report.findings import findings
from datagen.report.summary import STATISTICS, Summary

FLEXIONS = ("0°", "30°", "60°", "90°", "120°", "150°", "180°")
SPEEDS = tuple(map(str, range(9)))
FACTS = {
    "flow.mean": ("Flow", " px", "Mean flow magnitude, crop pixels per frame."),
    "flow.p95": ("Fast flow", " px", "95th percentile of the magnitude: the limbs' speed."),
    "camera_step": ("Camera step", " px", "Shift of the person by camera motion, per frame."),
    "camera_drift": ("Camera drift", " px", "Shift of the person by camera motion, over the clip."),
    "visible": ("Visible keypoints", "", "Share of the keypoints that are not hidden."),
    "occluded": ("Behind the occluder", "", "Share of the keypoints hidden by the superpixel."),
    "off_frame": (
        "Outside the frame",
        "",
        "Share outside the frame; much more than 10 % is unusual.",
    ),
    "totally_occluded": ("Total occlusion", "", "Share of the frames whose input is all zero."),
}
LOOK_OF_WINDOWS = {
    "drift": ("Camera motion", " px", "Shift of the image centre over a window."),
    "max_shift": (
        "Fastest step",
        " px",
        "Largest step between frames; faster windows are rejected.",
    ),
    "segments": ("Superpixels", "", "Segments in a window, from which occluders are chosen."),
    "inlier_ratio": (
        "Tracked points",
        "",
        "Lowest inlier ratio of the motion estimate in a window.",
    ),
}


@dataclass(frozen=True)
class Figure:
    """A picture with its caption; `heads` are the column titles of a sheet."""

    image: np.ndarray
    caption: str
    heads: Sequence[str] = ()

    def html(self) -> str:
        """Return the figure as HTML."""
        heads = "".join(f"<span>{escape(head)}</span>" for head in self.heads)
        row = f'<div class="heads" style="--n:{len(self.heads)}">{heads}</div>' if heads else ""
        url = pictures.data_url(self.image)
        return (
            f'<figure><div class="scroll">{row}<img class="wide" src="{url}" '
            f'alt="{escape(self.caption)}"></div>'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )


def page(
    summary: Summary,
    name: str,
    where: str,
    figures: Sequence[Figure] = (),
    player: str = "",
    results: str = "",
) -> str:
    """Return a data set's whole report; `results` is a section from `datagen.report.results`."""
    if summary.dataset.get("labels_only"):
        parts = [
            header(summary, name),
            results,
            motions(summary),
            quarantine(summary),
            _footer(summary, where),
        ]
        return document("".join(parts), f"{name}: motions report")
    parts = [
        header(summary, name),
        results,
        clips(figures, player),
        distributions(summary),
        balance(summary),
        people(summary),
        scenes(summary),
        cost(summary),
        quarantine(summary),
        _footer(summary, where),
    ]
    return document("".join(parts), f"{name}: data set report")


def document(body: str, title: str, *, part: bool = False) -> str:
    """Return a complete HTML document around a body; `part` omits the page margins."""
    script = f"<script>{pictures.part('player.js')}</script>" if 'class="player"' in body else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{pictures.part('style.css')}</style></head>"
        f"<body{' class=part' if part else ''}><main>{body}</main>{script}</body></html>\n"
    )


def header(summary: Summary, name: str) -> str:
    """Return the title, the key figures and the findings."""
    dataset, made = summary.dataset, summary.shards
    length, alone = dataset.get("clip_length", 0), bool(dataset.get("labels_only"))
    varying = alone or dataset.get("real")
    seconds = (made.frames if varying else made.clips * length) / dataset.get("fps", 30)
    lead = _lead(dataset) + (f", split “{dataset['split']}”." if dataset.get("split") else ".")
    cells = [
        (charts.number(made.clips), "records" if alone else "clips"),
        (charts.number(made.shards), "shards"),
        (charts.duration(seconds), "of motion" if alone else "of video"),
        (charts.size(made.bytes), "on disk"),
    ]
    if made.shards and made.varied:
        held = made.variety.held(length)
        cells += [
            (charts.number(held.motions), "motions in the clips"),
            (charts.duration(60 * held.minutes), "of distinct motion"),
            (charts.number(held.people), "people in the clips"),
            (charts.number(held.windows), f"windows of {count(held.videos, 'scene')} in the clips"),
        ]
    elif files := summary.people.files or summary.motions.files:
        cells.append((charts.number(files), "motions"))
    if alone:
        cells.append((charts.number(len(summary.motions.subjects)), "subjects"))
    if summary.scenes.files and not (made.shards and made.varied):
        cells.append((charts.number(summary.scenes.windows), "scene windows"))
    big = "".join(f"<div><b>{value}</b><span>{label}</span></div>" for value, label in cells)
    items = "".join(
        f'<li class="{level}"><span>{escape(text)}</span></li>' for level, text in findings(summary)
    )
    return (
        f'<h1>{escape(name)}</h1><p class="lead">{escape(lead)}</p><div class="big">{big}</div>'
        f'<ul class="findings">{items}</ul>'
    )


def _lead(dataset: Line) -> str:
    """Return the sentence about the records, without its end."""
    length, size, flow = (
        dataset.get("clip_length", 0),
        dataset.get("image_size"),
        dataset.get("flow", {}),
    )
    if dataset.get("labels_only"):
        return f"Motions without pictures: records of at most {length} frames"
    if dataset.get("keypoints_only"):
        return f"Real footage, only keypoints: records of at most {length} frames"
    kind = "Real footage: clips of at most" if dataset.get("real") else "Clips of"
    return (
        f"{kind} {length} frames, {size}×{size} px, flow by {flow.get('name')} at "
        f"1/{flow.get('stride')} of the side"
    )


def clips(figures: Sequence[Figure], player: str) -> str:
    """Return the section with pictures."""
    if not figures and not player:
        return ""
    hint = (
        "People should look plausibly lit. They should stand upright, unless the motion, named on "
        "the person's picture, is a handstand, a roll or the like. Orange is the left side. "
        "Flow colours show directions (red right, yellow down, cyan left, blue up) and should "
        "follow limbs and camera. A red frame marks a total occlusion, whose input is zero. "
    )
    turn = "Drag the skeleton to turn it." if 'class="body"' in player else ""
    shown = player + "".join(figure.html() for figure in figures)
    return f'<h2>Clips</h2><p class="hint">{hint}{turn}</p>{shown}'


def distributions(summary: Summary) -> str:
    """Return the histograms of the shards' statistics; "" for real footage, which has none."""
    if summary.dataset.get("real"):
        return ""
    cards = [
        card(title, text, charts.histogram(histogram, unit=unit, share=not unit))
        for name in STATISTICS
        if (histogram := summary.shards.histograms.get(name))
        for title, unit, text in [FACTS[name]]
    ]
    if shown := summary.shards.shown_motion:
        text = (
            "Share of the visible keypoints' motion explained by the flow at their position: "
            "1 - squared error / squared motion, over the whole data set."
        )
        rows = [(f"{name}s", f"{share:.0%}") for name, share in shown.items()]
        content = charts.table(("keypoints", "shown"), rows, (1,), dense=True)
        cards.append(card("Flow at the keypoints", text, content))
    if not cards:
        return f"<h2>Distributions</h2>{charts.nothing()}"
    hint = (
        "Each shard gives one value, the mean over its clips. The shards of one data set should "
        "be similar: narrow histograms are good, and an isolated column is a shard to inspect. "
        "The orange line is the mean."
    )
    return section("Distributions over shards", hint, cards)


def balance(summary: Summary) -> str:
    """Return the section on balance: gender, skin tone, facing direction, betas, pose."""
    if summary.dataset.get("real"):
        return ""
    shards, people_ = summary.shards, summary.people
    cards = [
        card("Gender", "Clips by the body's gender.", charts.bars(shards.genders, even=True)),
        card(
            "Skin tone",
            "Clips by tone, 1 (lightest) to 10; orange marks show equal shares.",
            charts.bars(shards.tones, even=True),
        ),
        card("Shape", *_shape(summary)),
    ]
    cover = shards.coverage
    if "yaw" in cover:
        text = "Percentage of the frames, seen from above; the dashed circle is an equal share."
        cards.append(card("Direction people face", text, charts.rose(cover["yaw"].tolist())))
    cards += _flexions(cover)
    hint = (
        "A network learns rare cases badly. Genders and skin tones are drawn uniformly; poses "
        f"come from the motions of the library ({people_.files:,}, mirror images included)."
    )
    return section("Balance", hint, cards)


def motions(summary: Summary) -> str:
    """Return the section on motions of a data set without pictures: subjects, speeds, postures."""
    who, cover = summary.motions, summary.shards.coverage
    if not who.files:
        return f"<h2>Motions</h2>{charts.nothing()}"
    cards = [
        card("Motions", "Frames by motion.", charts.bars(who.motions, limit=12)),
        card("Subjects", "Frames by performer or kind.", charts.bars(who.subjects, limit=12)),
        card("Sources", "Files by kind.", charts.bars(who.sources, limit=8)),
        card(
            "Speed",
            "Of wrists and ankles, metres per second; the last column includes all higher speeds.",
            charts.columns(cover["speed"].tolist(), SPEEDS),
        ),
        card(
            "Tilt of the trunk",
            "From upright (0°) through lying (90°) to head down (180°), every frame.",
            charts.columns(cover["tilt"].tolist(), FLEXIONS),
        ),
        *_flexions(cover),
    ]
    hint = (
        f"{count(who.files, 'motion')} of {count(len(who.subjects), 'subject')}, "
        f"{count(who.frames, 'frame')}. They have no viewing direction, distance or betas: the "
        "trainer draws cameras and bodies."
    )
    return section("Motions", hint, cards)


def _flexions(cover: dict[str, np.ndarray]) -> list[str]:
    text = "Angle between the two bones, 0° straight; both sides, every frame."
    return [
        card(f"Pose: {name} flexion", text, charts.columns(cover[name].tolist(), FLEXIONS))
        for name in ("elbow", "knee", "hip")
        if name in cover
    ]


def _shape(summary: Summary) -> tuple[str, str]:
    betas = summary.people.betas
    if not betas.count:
        return "Betas of the people.", charts.nothing()
    text = (
        f"Betas of the library's {betas.count:,} people, drawn from the standard normal "
        "distribution: expect means near 0 and standard deviations near 1."
    )
    rows = [
        (f"β{index}", f"{mean:+.2f}", f"{deviation:.2f}")
        for index, (mean, deviation) in enumerate(zip(betas.mean, betas.deviation, strict=True))
    ]
    return text, charts.table(("", "mean", "deviation"), rows, (1, 2), dense=True)


def people(summary: Summary) -> str:
    """Return the section on the library of people: motions, subjects, clothes."""
    who = summary.people
    if not who.files:
        return ""
    share = who.frames_in_view / max(who.frames, 1)
    hint = (
        f"The library: {count(who.files, 'motion')}, mirror images included, of "
        f"{count(len(who.subjects), 'subject')} became {who.clips:,} people in "
        f"{count(who.frames, 'frame')} ({charts.size(who.bytes)}); clips draw from them at random "
        f"and need not show all. They are inside the frame in {share:.0%} of the frames; clips "
        "start only where the person is inside for at least half of the time."
    )
    cards = [
        card("Motions", "Frames by motion.", charts.bars(who.motions, limit=12)),
        card("Subjects", "Frames by performer or kind.", charts.bars(who.subjects, limit=12)),
        card("Clothes", "Garments worn.", charts.bars(who.garments, limit=12)),
        card("Sources", "Motion files by kind.", charts.bars(who.sources, limit=8)),
    ]
    return section("People", hint, cards)


def scenes(summary: Summary) -> str:
    """Return the section on the library of scenes: camera motion, superpixels, rejected windows."""
    where = summary.scenes
    if not where.files:
        return ""
    hint = (
        f"The library: {count(where.windows, 'window')} of {count(where.files, 'scene')} of "
        f"{count(len(where.groups), 'group')} ({charts.size(where.bytes)}), from which clips draw "
        "at random; splits share no group."
    )
    cards = [
        card(title, text, charts.histogram(where.histograms[name], unit=unit))
        for name, (title, unit, text) in LOOK_OF_WINDOWS.items()
    ]
    if where.rejected:
        shown = charts.bars({"used": where.windows, **dict(where.rejected.most_common())})
    else:
        shown = '<p class="nothing">None: every window was used.</p>'
    cards.append(card("Rejected windows", "Rejected windows by reason, and used ones.", shown))
    return section("Scenes", hint, cards)


def cost(summary: Summary) -> str:
    """Return the section on the time spent on the shards."""
    seconds = {name: value for name, value in summary.shards.seconds.items() if name != "total"}
    total = summary.shards.seconds.get("total", sum(seconds.values()))
    if not total or not summary.shards.clips:
        return ""
    hint = (
        f"{charts.duration(total)} of work for the shards, "
        f"{1000 * total / summary.shards.clips:.0f} ms per clip, not including the libraries."
    )
    rows = {name: value for name, value in sorted(seconds.items(), key=lambda item: -item[1])}
    return section(
        "Time",
        hint,
        [card("By stage", "Core time, summed.", charts.bars(rows, show=charts.duration))],
    )


def quarantine(summary: Summary) -> str:
    """Return the section on quarantined inputs and shards, with reasons."""
    bad = summary.quarantine
    if not bad.count:
        return '<h2>Quarantine</h2><p class="hint">Empty: no input or shard has failed.</p>'
    rows = [(line["kind"], line["name"], line["reason"]) for line in bad.lines]
    more = f" The first {len(rows)} are shown." if bad.count > len(rows) else ""
    hint = (
        f"{bad.count:,} inputs or shards failed and were skipped; the run continued without them. "
        f"Tracebacks are in manifests/quarantine.jsonl.{more}"
    )
    parts = [f'<h2>Quarantine</h2><p class="hint">{escape(hint)}</p>']
    if len(bad.reasons) < bad.count:
        kinds = charts.bars(bad.reasons, limit=10)
        parts.append(
            f'<div class="cards">{card("Reasons", "Similar reasons are grouped.", kinds)}</div>'
        )
    return "".join(parts) + charts.table(("what", "name", "reason"), rows)


def section(title: str, hint: str, cards: Sequence[str]) -> str:
    """Return a section of cards below its title and a hint on how to read them."""
    return (
        f'<h2>{escape(title)}</h2><p class="hint">{escape(hint)}</p>'
        f'<div class="cards">{"".join(cards)}</div>'
    )


def card(title: str, text: str, content: str) -> str:
    """Return one chart with its title and description."""
    return (
        f'<div class="card"><h3>{escape(title)}</h3><p class="hint">{escape(text)}</p>'
        f"{content}</div>"
    )


def _footer(summary: Summary, where: str) -> str:
    options = summary.dataset.get("config", {}).get("output", {})
    return (
        f"<footer>Read from <code>{escape(where)}</code>, fingerprint "
        f"<code>{escape(str(summary.dataset.get('fingerprint')))}</code>, seed "
        f"{escape(str(options.get('seed', '?')))}, by <code>python -m datagen.inspect</code>. "
        "<code>python -m datagen.verify</code> re-hashes and opens every record.</footer>"
    )
