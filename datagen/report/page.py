"""The report: one self-contained HTML page, and its sections one by one for the notebooks."""

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
    "flow.mean": ("Flow", " px", "Mean length of the flow, pixels of the crop a frame."),
    "flow.p95": ("Fast flow", " px", "95th percentile of its length: the limbs' speed."),
    "camera_step": ("Camera steps", " px", "How far the camera moves the person's place a frame."),
    "camera_drift": ("Camera drift", " px", "How far it has moved it by the clip's end."),
    "visible": ("Clear keypoints", "", "Share of the keypoints that nothing hides."),
    "occluded": ("Behind the occluder", "", "Share of the keypoints that the superpixel hides."),
    "off_frame": ("Off the picture", "", "Share outside the picture; much more than 10 % is odd."),
    "totally_occluded": ("Total occlusion", "", "Share of the frames in which all input is zero."),
}
LOOK_OF_WINDOWS = {
    "drift": ("Camera motion", " px", "How far the picture's centre moves over a window."),
    "max_shift": (
        "Fastest step",
        " px",
        "Largest step between frames; faster windows are rejected.",
    ),
    "segments": ("Superpixels", "", "Segments in a window: the occluders to choose from."),
    "inlier_ratio": ("Tracked points", "", "Worst share of points that agree with the motion."),
}


@dataclass(frozen=True)
class Figure:
    """A picture with its caption; `heads` name the columns of a sheet."""

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
    """Return the whole report of a data set; `results` is a section of `datagen.report.results`."""
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
    """Return a complete HTML document around a body; `part` has no margins of a page."""
    script = f"<script>{pictures.part('player.js')}</script>" if 'class="player"' in body else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{pictures.part('style.css')}</style></head>"
        f"<body{' class=part' if part else ''}><main>{body}</main>{script}</body></html>\n"
    )


def header(summary: Summary, name: str) -> str:
    """Return the title, the figures one asks for first, and the findings."""
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
            (charts.number(held.motions), "motions"),
            (charts.duration(60 * held.minutes), "of motion without repetition"),
            (charts.number(held.people), "people"),
            (charts.number(held.windows), f"windows of {count(held.videos, 'scene')}"),
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
    kind = "Real footage: clips of at most" if dataset.get("real") else "Clips of"
    return (
        f"{kind} {length} frames, {size}×{size} px, flow by {flow.get('name')} at "
        f"1/{flow.get('stride')} of the side"
    )


def clips(figures: Sequence[Figure], player: str) -> str:
    """Return the section of pictures."""
    if not figures and not player:
        return ""
    hint = (
        "People should stand upright and be lit like people; orange joints are their left. Colours "
        "of the flow are directions (red right, yellow down, cyan left, blue up) and should follow "
        "limbs and camera. A red frame is a total occlusion, whose input is zero. "
    )
    turn = "Drag the skeleton to turn it." if 'class="body"' in player else ""
    shown = player + "".join(figure.html() for figure in figures)
    return f'<h2>Clips</h2><p class="hint">{hint}{turn}</p>{shown}'


def distributions(summary: Summary) -> str:
    """Return the histograms of the shards' statistics; nothing for real footage, which has none."""
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
            "How much of the visible keypoints' own motion the flow shows at their place: "
            "1 - squared error / squared motion, over the whole data set."
        )
        rows = [(f"{name}s", f"{share:.0%}") for name, share in shown.items()]
        content = charts.table(("keypoints", "shown"), rows, (1,), dense=True)
        cards.append(card("Flow at the keypoints", text, content))
    if not cards:
        return f"<h2>Distributions</h2>{charts.nothing()}"
    hint = (
        "Each shard gives one value, the mean over its clips. The shards of one data set are "
        "alike, so narrow hills are good and a lone column far away is a shard to look at. "
        "The orange line is the mean."
    )
    return section("Distributions over shards", hint, cards)


def balance(summary: Summary) -> str:
    """Return who is seen, and from which side: gender, skin tone, shape, pose."""
    if summary.dataset.get("real"):
        return ""
    shards, people_ = summary.shards, summary.people
    cards = [
        card("Gender", "Clips by the body's gender.", charts.bars(shards.genders, even=True)),
        card(
            "Skin tone",
            "Clips by tone, 1 (lightest) to 10; the orange marks are equal shares.",
            charts.bars(shards.tones, even=True),
        ),
        card("Shape", *_shape(summary)),
    ]
    cover = shards.coverage
    if "yaw" in cover:
        text = "Per cent of the frames, seen from above; the dashed circle is an equal share."
        cards.append(card("Direction people face", text, charts.rose(cover["yaw"].tolist())))
    cards += _flexions(cover)
    hint = (
        "What a network sees rarely it learns badly. Genders and skin tones are drawn in equal "
        f"shares; poses are those of the motions used ({count(people_.files, 'file')})."
    )
    return section("Balance", hint, cards)


def motions(summary: Summary) -> str:
    """Return what moves in a data set without pictures, how fast and in which postures."""
    who, cover = summary.motions, summary.shards.coverage
    if not who.files:
        return f"<h2>Motions</h2>{charts.nothing()}"
    cards = [
        card("Motions", "Frames by motion.", charts.bars(who.motions, limit=12)),
        card("Subjects", "Frames by who performs.", charts.bars(who.subjects, limit=12)),
        card("Sources", "Files by kind.", charts.bars(who.sources, limit=8)),
        card(
            "Speed",
            "Of wrists and ankles, metres per second; the last column holds all that is faster.",
            charts.columns(cover["speed"].tolist(), SPEEDS),
        ),
        card(
            "Tilt of the trunk",
            "From upright (0°) over lying (90°) to head down (180°), every frame.",
            charts.columns(cover["tilt"].tolist(), FLEXIONS),
        ),
        *_flexions(cover),
    ]
    hint = (
        f"{count(who.files, 'motion')} of {count(len(who.subjects), 'subject')}, "
        f"{count(who.frames, 'frame')}. Direction, distance and shape are not in them: the "
        "trainer draws its cameras and bodies."
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
        return "Shape coefficients of the people.", charts.nothing()
    text = (
        f"Shape coefficients of {betas.count:,} people; drawn from the standard normal, so means "
        "near 0 and deviations near 1 are right."
    )
    rows = [
        (f"β{index}", f"{mean:+.2f}", f"{deviation:.2f}")
        for index, (mean, deviation) in enumerate(zip(betas.mean, betas.deviation, strict=True))
    ]
    return text, charts.table(("", "mean", "deviation"), rows, (1, 2), dense=True)


def people(summary: Summary) -> str:
    """Return the library of people: who performs what, in which clothes."""
    who = summary.people
    if not who.files:
        return ""
    share = who.frames_in_view / max(who.frames, 1)
    hint = (
        f"{count(who.files, 'motion file')} of {count(len(who.subjects), 'subject')} became "
        f"{who.clips:,} people in {count(who.frames, 'frame')} ({charts.size(who.bytes)}). They "
        f"are in the picture in {share:.0%} of the frames; clips start only where theirs is, half "
        "of the time at least."
    )
    cards = [
        card("Motions", "Frames by motion.", charts.bars(who.motions, limit=12)),
        card("Subjects", "Frames by who performs.", charts.bars(who.subjects, limit=12)),
        card("Clothes", "Garments worn.", charts.bars(who.garments, limit=12)),
        card("Sources", "Motion files by kind.", charts.bars(who.sources, limit=8)),
    ]
    return section("People", hint, cards)


def scenes(summary: Summary) -> str:
    """Return the library of scenes: camera motion, superpixels, what was rejected."""
    where = summary.scenes
    if not where.files:
        return ""
    hint = (
        f"{count(where.windows, 'window')} of {count(where.files, 'video')} of "
        f"{count(len(where.groups), 'group')} "
        f"({charts.size(where.bytes)}); splits share no group."
    )
    cards = [
        card(title, text, charts.histogram(where.histograms[name], unit=unit))
        for name, (title, unit, text) in LOOK_OF_WINDOWS.items()
    ]
    if where.rejected:
        shown = charts.bars({"used": where.windows, **dict(where.rejected.most_common())})
    else:
        shown = '<p class="nothing">None: every window was used.</p>'
    cards.append(card("Rejected windows", "And why, beside those that were used.", shown))
    return section("Scenes", hint, cards)


def cost(summary: Summary) -> str:
    """Return where the time of the shards went."""
    seconds = {name: value for name, value in summary.shards.seconds.items() if name != "total"}
    total = summary.shards.seconds.get("total", sum(seconds.values()))
    if not total or not summary.shards.clips:
        return ""
    hint = (
        f"{charts.duration(total)} of work for the shards, "
        f"{1000 * total / summary.shards.clips:.0f} ms a clip, the libraries not counted."
    )
    rows = {name: value for name, value in sorted(seconds.items(), key=lambda item: -item[1])}
    return section(
        "Time",
        hint,
        [card("By stage", "Of one core, summed.", charts.bars(rows, show=charts.duration))],
    )


def quarantine(summary: Summary) -> str:
    """Return what could not be used, and why."""
    bad = summary.quarantine
    if not bad.count:
        return '<h2>Quarantine</h2><p class="hint">Empty: no input and no shard has failed.</p>'
    rows = [(line["kind"], line["name"], line["reason"]) for line in bad.lines]
    more = f" The first {len(rows)} are shown." if bad.count > len(rows) else ""
    hint = (
        f"{bad.count:,} inputs or shards failed and were left out; the run went on without them. "
        f"Tracebacks are in manifests/quarantine.jsonl.{more}"
    )
    parts = [f'<h2>Quarantine</h2><p class="hint">{escape(hint)}</p>']
    if len(bad.reasons) < bad.count:
        kinds = charts.bars(bad.reasons, limit=10)
        parts.append(f'<div class="cards">{card("Reasons", "Alike ones together.", kinds)}</div>')
    return "".join(parts) + charts.table(("what", "name", "reason"), rows)


def section(title: str, hint: str, cards: Sequence[str]) -> str:
    """Return a section of cards under its title and a sentence on how to read them."""
    return (
        f'<h2>{escape(title)}</h2><p class="hint">{escape(hint)}</p>'
        f'<div class="cards">{"".join(cards)}</div>'
    )


def card(title: str, text: str, content: str) -> str:
    """Return one chart with its title and what it shows."""
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
