"""``mining score``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from beam_jobs.progress import Progress
from mining.config import Config, load_config
from mining.contract.errors import ConfigError
from mining.contract.languages import canonical_language
from mining.contract.model_ref import ModelRef
from mining.contract.uris import canonical_uri
from mining.io.filesystem import Storage
from mining.score import PRESETS, ScoreSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from mining.score_corpus import ScoredCorpus
    from mining.text.pair_rows import PairColumns

_MARGINS = ("ratio", "distance", "absolute")


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What the command line says; ``known``: languages the model was made for, empty if unknown."""

    config: Config | None
    known: tuple[str, ...]
    model: ModelRef
    settings: ScoreSettings
    columns: PairColumns
    pools: tuple[tuple[str, str], ...]
    device: str
    threads: int | None


@click.command("score")
@click.argument("pairs")
@click.option("--to", "target", required=True, metavar="OUT.parquet", help="Where the rows go.")
@click.option("--config", "config_path", metavar="FILE",
              help="A run's YAML file: its model, margin, k, storage and device.")  # fmt: skip
@click.option("--model", metavar="PATH",
              help="The encoder, as model.path in a config. Default: that, or builtin.")  # fmt: skip
@click.option("--src-text", default="src_text", show_default=True, help="Column of the source.")
@click.option("--tgt-text", default="tgt_text", show_default=True, help="Column of the target.")
@click.option("--src-lang", default="src_lang", show_default=True, help="Column of its language.")
@click.option("--tgt-lang", default="tgt_lang", show_default=True, help="Column of its language.")
@click.option("--langs", metavar="SRC-TGT", help="Languages of all rows, such as deu-eng.")
@click.option("--pool", "pools", multiple=True, metavar="LANG=FILES",
              help="Further sentences that rows are compared with: plain lines, or a column text. "
              "May be repeated.")  # fmt: skip
@click.option("--no-header", is_flag=True,
              help="TSV or CSV without a line of names; columns are then 0, 1, 2...")  # fmt: skip
@click.option("--preset", type=click.Choice(sorted(PRESETS)), help="k and margin of another tool.")
@click.option("--k", type=click.IntRange(1, 1024), help="Neighbours a side.  [default: 4]")
@click.option("--margin", type=click.Choice(_MARGINS), help="[default: ratio]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]))
@click.option("--threads", type=click.IntRange(1), help="Of the encoder and the search.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def score_command(pairs: str, target: str, no_header: bool, quiet: bool, **options: Any) -> None:
    """Give every row of a corpus of sentence pairs its margin score.

    PAIRS is a TSV, CSV, JSONL or Parquet file (also .gz .zst .bz2 .xz), a folder or a pattern; the
    pairs that `mining run` wrote, too. Every row comes out, in the same order and with its own
    columns, and with similarity, margin_score, src_mean_similarity, tgt_mean_similarity,
    forward_rank, backward_rank (empty beyond k) and mutual; or with the reason why it cannot be scored.

    Neighbours are searched among the corpus' own sentences of the same language pair and those of
    --pool, equal ones counted once. Scores depend on how many those are: compare them within one corpus,
    or give every corpus the same large pool. Text only:
    speech is not embedded here, a pair of speech is scored by its transcripts if it has them.

    Memory: the whole corpus, the vectors of its distinct sentences (2 bytes a dimension), and the k
    neighbours of every sentence of one language pair at a time.
    """
    given = _read_options(options)
    # the encoder's library takes seconds to import: not before the command line is right
    import pyarrow.compute as pc

    from beam_jobs.stage import storage_of
    from encoders import load_encoder
    from encoders.sentences import embed_sentences
    from mining.io.parquet import write_table
    from mining.score_corpus import score_corpus, with_figures
    from mining.text.pair_files import read_pair_files
    from mining.text.pair_rows import prepare_pairs

    progress = Progress(quiet=quiet)
    storage = storage_of(given.config.execution) if given.config else Storage()
    where = canonical_uri(pairs)
    corpus = read_pair_files(where, storage, header=not no_header)
    rows = prepare_pairs(corpus, given.columns, where, _read_pools(given.pools, storage, progress))
    langs = pc.unique(rows.sentences["lang"]).to_pylist()
    foreign = [lang for lang in langs if given.known and lang not in given.known]
    if foreign:
        progress.warn(
            f"model {given.model.path}: was not made for {', '.join(foreign)}: scores there mean little"
        )
    encoder = load_encoder(given.model, device=given.device, threads=given.threads)
    progress.say(f"embed: {rows.sentences.num_rows} sentences of {corpus.table.num_rows} rows")
    vectors, refused = embed_sentences(encoder, rows.sentences)
    progress.say("score")
    scored = score_corpus(rows, vectors, refused, given.settings, threads=given.threads)
    table, renamed = with_figures(corpus.table, scored.figures)
    write_table(canonical_uri(target), table, storage)
    click.echo(_summary(scored, table, renamed))
    progress.say("done")


def _read_options(options: dict[str, Any]) -> _Given:
    """The settings of a call: the config's, with the command line's over them.

    Raises:
        ConfigError: an option that cannot be.
    """
    from beam_jobs.thresholds import score_settings
    from encoders import describe_encoder
    from mining.text.pair_rows import PairColumns

    config = load_config(options["config_path"]) if options["config_path"] else None
    if options["preset"]:
        settings = ScoreSettings.preset(options["preset"])
    else:
        settings = score_settings(config.mining) if config else ScoreSettings()
    changes = {name: options[name] for name in ("k", "margin") if options[name] is not None}
    settings = dataclasses.replace(settings, speech_k=None, **changes)
    model = config.model if config else ModelRef(path="builtin")
    if options["model"]:
        model = ModelRef(path=options["model"])
    card = describe_encoder(model)
    if card.by_id:
        raise ConfigError(
            f"model {model.path!r}: must embed texts, but holds vectors that were computed elsewhere; "
            "name an encoder with --model"
        )
    execution = config.execution if config else None
    return _Given(
        config=config,
        known=card.languages,
        model=model,
        settings=settings,
        columns=PairColumns(
            src_text=options["src_text"],
            tgt_text=options["tgt_text"],
            src_lang=options["src_lang"],
            tgt_lang=options["tgt_lang"],
            langs=_langs(options["langs"]),
        ),
        pools=_pools(options["pools"]),
        device=options["device"] or (execution.device if execution else "auto"),
        threads=options["threads"] or (execution.threads if execution else None),
    )


def _pools(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Language and files of each pool.

    Raises:
        ConfigError: if one does not read LANG=FILES.
    """
    found = []
    for text in given:
        lang, _, uri = text.partition("=")
        code = canonical_language(lang)
        if code is None or not uri:
            raise ConfigError(
                f"--pool: must read LANG=FILES, such as eng=news.txt, but is {text!r}"
            )
        found.append((code, uri))
    return tuple(found)


def _read_pools(
    pools: tuple[tuple[str, str], ...], storage: Storage, progress: Progress
) -> list[tuple[str, str]]:
    """Sentences of all pools; says how many, and what was refused."""
    from mining.text.pool import read_pool

    found = []
    for lang, uri in pools:
        sentences, refused = read_pool(canonical_uri(uri), lang, storage)
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
        progress.say(f"pool {lang}: {len(sentences)} sentences, refused: {reasons or 'none'}")
        found += sentences
    return found


def _langs(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    codes = [canonical_language(code) for code in text.split("-")]
    if len(codes) != 2 or codes[0] is None or codes[1] is None:
        raise ConfigError(f"--langs: must be two language codes such as deu-eng, but is {text!r}")
    return codes[0], codes[1]


def _summary(scored: ScoredCorpus, table: pa.Table, renamed: dict[str, str]) -> str:
    reasons = Counter(reason for reason in table["reason"].to_pylist() if reason is not None)
    lines = [f"{table.num_rows} rows: {table.num_rows - reasons.total()} scored"]
    if reasons:
        found = ", ".join(f"{count} {name}" for name, count in sorted(reasons.items()))
        lines[0] += f", {reasons.total()} not ({found})"
    if scored.langs:
        lines.append(f"{'languages':<17} {'rows':>9} {'sources':>9} {'targets':>9} {'mutual':>9} "
                     f"{'mean score':>10}")  # fmt: skip
    for one in scored.langs:
        lines.append(
            f"{'-'.join(one.langs):<17} {one.rows:>9} {one.sources:>9} {one.targets:>9} "
            f"{one.mutual:>9} {one.mean_score:>10.4f}"
        )
    if renamed:
        lines.append(
            "columns of the corpus that are named as figures: "
            + ", ".join(f"{old} is now {new}" for old, new in renamed.items())
        )
    return "\n".join(lines)
