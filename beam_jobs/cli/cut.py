"""``mining cut``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mining.config import Config, load_config
from mining.contract.errors import ConfigError, InputError
from mining.contract.schemas import SPEECH
from mining.contract.uris import canonical_uri

if TYPE_CHECKING:
    from mining.speech.cut import CutReport

_RESOLVED = "config.resolved.yaml"
_NAMED = 5  # recordings that the report names


@click.command("cut")
@click.argument("pairs")
@click.option("--to", "folder", required=True, metavar="DIR", help="Folder of the clips.")
@click.option("--audio", metavar="ROOT",
              help="Folder that the recordings' addresses are relative to. "
              "Default: that of the speech corpora in the output's config.")  # fmt: skip
@click.option("--side", type=click.Choice(["source", "target", "both"]), default="both",
              show_default=True)  # fmt: skip
@click.option("--format", "container", type=click.Choice(["flac", "wav"]), default="flac",
              show_default=True)  # fmt: skip
def cut_command(
    pairs: str,
    folder: str,
    audio: str | None,
    side: str,
    container: Literal["flac", "wav"],
) -> None:
    """Cut the speech of mined pairs out of its recordings.

    PAIRS is a folder of pairs, such as OUT/pairs/TASK, or one Parquet file. Each segment becomes
    DIR/<segment_id>.flac, sample by sample what was mined; DIR/clips.tsv says which pair it belongs to.
    Clips that are there already are not cut again.
    """
    from beam_jobs.stage import storage_of
    from mining.io.filesystem import Storage, write_atomic
    from mining.speech.cut import CutSettings, cut_clips, index_table, read_speech_sides

    config = _config_of(pairs, required=audio is None)
    storage = storage_of(config.execution) if config is not None else Storage()
    settings = CutSettings(
        to=canonical_uri(folder),
        roots=_roots(audio, config),
        absolute=audio is None,
        format=container,
        storage=storage,
    )
    wanted = ("source", "target") if side == "both" else (side,)
    sides = read_speech_sides(canonical_uri(pairs), wanted, storage)
    if not sides:
        raise InputError(f"{pairs}: must have speech on the side {side}, but has none")
    report = cut_clips(sides, settings)
    index = index_table(sides, settings, report.failed)
    write_atomic(f"{settings.to}/clips.tsv", index, storage)
    click.echo(
        f"{report.written} clips cut, {report.present} were there already; see {settings.to}/clips.tsv"
    )
    if report.failed:
        raise InputError(_complaint(report, settings.roots))


def _complaint(report: CutReport, roots: tuple[str, ...]) -> str:
    """One line that says how much is missing, and one for each of the first recordings."""
    reasons: dict[str, str] = {}
    for uri, reason in report.failed.values():
        reasons.setdefault(uri, reason)
    lines = [f"{len(report.failed)} clips of {len(reasons)} recordings are not cut"]
    if not report.written and not report.present:
        lines[0] += (
            f"; if the recordings are not below {', '.join(roots)}, name their folder with --audio"
        )
    lines += [f"  {reason}" for _, reason in sorted(reasons.items())[:_NAMED]]
    if len(reasons) > _NAMED:
        lines.append(f"  and {len(reasons) - _NAMED} recordings more")
    return "\n".join(lines)


def _config_of(pairs: str, *, required: bool) -> Config | None:
    """The config of the output that the pairs lie in; None if there is none and none is needed.

    Raises:
        ConfigError: there must be one.
    """
    here = Path(canonical_uri(pairs)).absolute()
    for parent in (here, *here.parents):
        if (parent / _RESOLVED).is_file():
            return load_config(str(parent / _RESOLVED))
    if required:
        raise ConfigError(
            f"{pairs}: must lie in an output with {_RESOLVED}, but does not; name the recordings' "
            "folder with --audio"
        )
    return None


def _roots(audio: str | None, config: Config | None) -> tuple[str, ...]:
    """Folders that recordings may be relative to, each once.

    Raises:
        ConfigError: there are none.
    """
    if audio is not None:
        return (canonical_uri(audio),)
    from beam_jobs.stages.listing import audio_base

    corpora = config.corpora.values() if config is not None else ()
    roots = [audio_base(c) for c in corpora if c.modality == SPEECH]
    if not roots:
        raise ConfigError(
            "corpora: must hold speech, but hold text only; name the recordings' folder with --audio"
        )
    return tuple(dict.fromkeys(roots))
