"""Prints the results of `tidemill source try`. Texts of the source are printed without characters that a terminal would
act on."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.text import Text

from tidemill.cli.common import err, out, plain_table
from tidemill.errors import InputError

if TYPE_CHECKING:
    from tidemill.cli.source_trial import Trial, TrialResult
    from tidemill.sources.preview import Preview
    from tidemill.sources.structure import Structure

_SHOWN: Final = 160  # characters of a text of the source


def show_answer(trial: "Trial") -> None:
    """Print the notes and the answer, or why there is none to decode."""
    for note in trial.notes:
        err.print(Text(clean_text(note, 2000), style="dim"), soft_wrap=True)
    if trial.answer is not None:
        answer = trial.answer
        kind = clean_text(answer.content_type) or "no content type"
        sizes = f"{answer.elapsed_s * 1000:.0f} ms, {len(answer.body)} bytes"
        out.print(Text(f"{answer.status}, {sizes}, {kind}", style="bold"))
    if trial.failure:
        err.print(Text(clean_text(trial.failure, 2000), style="red"), soft_wrap=True)
        if trial.answer is not None and trial.answer.body:
            out.print(
                Text(f"it begins: {clean_text(trial.answer.body[:300].decode('utf-8', 'replace'), 300)}", style="dim")
            )
        for network in trial.lacking:
            err.print(Text(f"  --allow {network}"))


def show_structure(result: "TrialResult") -> None:
    """Print the structure that was recognised in the answer."""
    structure = result.structure
    if structure is None:
        return
    out.print(Text(f"{structure.count} record(s) at {clean_text(structure.records)}, as {structure.format}"))
    for member in structure.members:
        verb = "" if member.role == "unused" else "looks "
        style = "dim" if member.role == "unused" else ""
        path = clean_text(_whole_path(structure, member.path))
        out.print(Text(f"  {path} {verb}{member.explanation}", style=style), soft_wrap=True)


def _whole_path(structure: "Structure", path: str) -> str:
    """The path of a member in the answer."""
    if structure.kind in ("columns", "keys"):
        return f"{structure.records}{path[1:]}"
    return f"{structure.records}[*]{path[1:]}" if structure.count > 1 else path


def show_preview(preview: "Preview", limit: int) -> None:
    """Print the points that would be stored, and the records that would be rejected."""
    if preview.refusal:
        out.print(
            Text(f"The feed refuses this answer as a whole: {clean_text(preview.refusal[0].message)}", style="red")
        )
    counts = f"{preview.accepted} of {preview.records} record(s) would be stored: {preview.points} point(s), "
    out.print(Text(f"{counts}{preview.series} series; {preview.rejected} rejected", style="bold"))
    tags = list(dict.fromkeys(name for row in preview.rows for name in row.tags))
    fields = list(dict.fromkeys(name for row in preview.rows for name in row.values))
    marked = any(row.marks for row in preview.rows)
    if preview.rows:
        shown = plain_table("time (UTC)", *map(clean_text, (*tags, *fields)), *(["marks"] if marked else []))
        for row in preview.rows:
            cells = [row.time, *(clean_text(row.tags.get(name, "")) for name in tags)]
            cells += [_number(row.values.get(name)) for name in fields]
            shown.add_row(*map(Text, cells), *([", ".join(row.marks)] if marked else []))
        out.print(shown)
    if preview.rejections:
        shown = plain_table("#", "time (UTC)", "reasons", "detail", "record")
        for lost in preview.rejections:
            cells = [
                str(lost.index),
                lost.time or "",
                ", ".join(lost.reasons),
                clean_text(lost.detail),
                clean_text(lost.record),
            ]
            shown.add_row(*map(Text, cells), style="red")
        out.print(shown)
    if max(preview.accepted, preview.rejected) > limit:
        out.print(Text(f"The first {limit} of each are shown; --limit shows more.", style="dim"))
    if preview.same:
        warning = f"{preview.same} point(s) have the series and the time of another one: is a tag missing?"
        out.print(Text(warning, style="yellow"))
    if preview.looks_back:
        out.print(Text("Rules that need the past were judged by this answer alone.", style="dim"))


def show_draft(text: str, file: Path | None) -> None:
    """Print the draft, or write it to `file`."""
    if file is None:
        out.print(Text("\nA feed to start from (--draft FILE writes it):\n", style="bold"))
        print(text, end="")
        return
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror}") from None
    out.print(
        f"The draft is in {file}. Look it through, then: tidemill feed apply {file}", markup=False, soft_wrap=True
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def clean_text(text: str, longest: int = _SHOWN) -> str:
    """A text of the source on a single line, cut after `longest` characters, without characters that a terminal would
    act on."""
    shown = "".join(char if char.isprintable() else "·" for char in text[: longest + 1])
    return shown if len(text) <= longest else f"{shown[:longest]}…"
