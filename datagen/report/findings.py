"""Findings on a data set: sentences rated good, note or bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from datagen.common.cli import count
from datagen.report.summary import Summary


class Finding(NamedTuple):
    """A sentence and its rating."""

    level: Literal["good", "note", "bad"]
    text: str


def findings(summary: Summary) -> list[Finding]:
    """Return the findings, the bad ones first."""
    order = ("bad", "note", "good")
    found = [*_shards(summary), *_balance(summary), *_pictures(summary), *_inputs(summary)]
    return sorted(found, key=lambda finding: order.index(finding.level))


def _shards(summary: Summary) -> Iterator[Finding]:
    made, wanted = summary.shards, summary.dataset.get("shards", 0)
    if not made.shards:
        yield Finding("bad", "No shard is finished: run datagen.launch with the same options.")
        return
    real = summary.dataset.get("real")  # one shard per source, with as many clips as that gives
    varying = real or summary.dataset.get("labels_only")
    if made.shards < wanted and not real:
        yield Finding(
            "bad",
            f"Finished: {made.shards:,} of {count(wanted, 'shard')}; the same datagen.launch "
            "command makes the rest.",
        )
    else:
        kind = "record" if summary.dataset.get("labels_only") else "clip"
        shards, clips = count(made.shards, "shard"), count(made.clips, kind)
        yield Finding("good", f"Complete: {shards}, {clips}.")
    each = summary.dataset.get("clips_per_shard")
    if each and not varying and made.clips != made.shards * each:
        missing = made.shards * each - made.clips
        yield Finding(
            "bad", f"The shards hold {count(missing, 'clip')} fewer than {each:,} per shard."
        )


def _balance(summary: Summary) -> Iterator[Finding]:
    if summary.dataset.get("real"):
        return
    if summary.dataset.get("labels_only"):
        yield from _postures(summary)
        return
    clips = summary.shards.clips
    genders = summary.shards.genders
    total = sum(genders.values())
    if len(genders) > 1 and total >= 50:
        name, least = min(genders.items(), key=lambda item: item[1])
        share, even = least / total, 1 / len(genders)
        level = "good" if share > 0.85 * even else "note" if share > 0.5 * even else "bad"
        parts = ", ".join(f"{name} {count / total:.0%}" for name, count in genders.items())
        yield Finding(level, f"Genders: {parts}.")
    tones = summary.shards.tones
    if sum(tones.values()) >= 200:
        gone = [tone for tone, count in tones.items() if not count]
        name, least = min(tones.items(), key=lambda item: item[1])
        if gone:
            yield Finding("bad", f"No clip shows skin tone {', '.join(gone)} (of 1 to 10).")
        else:
            share = least / sum(tones.values())
            level = "good" if share > 0.06 else "note"
            yield Finding(level, f"All ten skin tones occur; the rarest, {name}, in {share:.0%}.")
    if 0 < clips < 200:
        yield Finding("note", f"Too few clips to assess the balance of people: {clips}.")
    yaw = summary.shards.coverage.get("yaw")
    if yaw is not None and yaw.sum():
        share = yaw.min() / yaw.sum()
        if share < 0.02:
            level = "bad" if clips >= 200 else "note"
            yield Finding(
                level, "Some facing directions are rare: see “Direction people face” below."
            )
        elif share > 0.06:
            yield Finding("good", "People face every direction about equally often.")


def _postures(summary: Summary) -> Iterator[Finding]:
    """Yield findings on the variety of motions without pictures."""
    tilt = summary.shards.coverage.get("tilt")
    if tilt is not None and tilt.sum():
        turned = tilt[2:].sum() / tilt.sum()  # more than 60 degrees from upright
        level = "good" if turned > 0.05 else "note"
        yield Finding(level, f"The trunk is tilted by more than 60° in {turned:.0%} of the frames.")
    subjects = len(summary.motions.subjects)
    if subjects < 5:
        yield Finding("note", f"The motions have only {count(subjects, 'subject')}.")


def _pictures(summary: Summary) -> Iterator[Finding]:
    histograms = summary.shards.histograms
    if flow := histograms.get("flow.mean"):
        if flow.mean < 0.3:
            yield Finding(
                "bad", f"The flow is almost zero: {flow.mean:.2f} px per frame on average."
            )
        elif flow.mean > 15:
            yield Finding(
                "bad", f"The flow is very large: {flow.mean:.1f} px per frame on average."
            )
        else:
            yield Finding("good", f"The flow is {flow.mean:.1f} px per frame on average.")
    trunk = summary.shards.shown_motion_of("shoulder", "hip")
    limbs = summary.shards.shown_motion_of("wrist", "ankle")
    if trunk is not None and limbs is not None:
        shares = (
            f"{trunk:.0%} of the shoulders' and hips' motion, {limbs:.0%} of wrists' and ankles'"
        )
        if trunk < 0.3:  # flow that is off by one frame gives about this
            yield Finding("bad", f"The flow hardly follows the keypoints: it explains {shares}.")
        else:
            yield Finding("good" if limbs > 0.5 else "note", f"The flow explains {shares}.")
    if off := histograms.get("off_frame"):
        if off.mean > 0.2:
            yield Finding("bad", f"{off.mean:.0%} of the keypoints lie outside the frame.")
        elif off.mean > 0.1:
            yield Finding("note", f"{off.mean:.0%} of the keypoints lie outside the frame.")
    clips = summary.dataset.get("config", {}).get("clips", {})
    if occluded := histograms.get("occluded"):
        cut = clips.get("occluders", True)
        if cut and occluded.mean < 0.02:
            yield Finding("bad", f"Occluders hide only {occluded.mean:.1%} of the keypoints.")
        elif cut:
            yield Finding("good", f"Occluders hide {occluded.mean:.0%} of the keypoints.")
        else:
            yield Finding("note", "Made without occluders (--no-occluders).")
    if not clips.get("track_camera", True):
        yield Finding("note", "Made without camera tracking (--no-track-camera).")


def _inputs(summary: Summary) -> Iterator[Finding]:
    bad, used = summary.quarantine.count, summary.people.files + summary.scenes.files
    if bad:
        real = summary.dataset.get("real")  # one shard per source
        others = summary.shards.shards if real else used or summary.motions.files
        share = bad / (bad + others)
        level = "bad" if share > 0.2 else "note"
        yield Finding(level, f"In quarantine: {bad:,} inputs or shards ({share:.0%}), see below.")
    elif used or summary.motions.files:
        yield Finding("good", "No input is in quarantine.")
    scenes = summary.scenes
    rejected = sum(scenes.rejected.values())
    if scenes.windows and rejected:
        share = rejected / (rejected + scenes.windows)
        level = "note" if share > 0.3 else "good"
        yield Finding(level, f"{share:.0%} of the background windows were rejected.")
    shards = summary.shards.shards
    if shards >= 10 and 0 < scenes.windows < summary.shards.clips / 50:
        each = summary.shards.clips / scenes.windows
        yield Finding(
            "note", f"Each background window is used in {each:.0f} clips: more videos would help."
        )
