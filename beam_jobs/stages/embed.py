"""Stage embed: each part of a corpus' segments becomes a part of its embeddings.

Speech goes in as its transcript or, to an encoder that hears, as the frames of its regions.

A part whose bytes an earlier run of the same corpus has embedded with the same model is taken over as a
whole: batches end with the part, so that its vectors are those of a run from scratch. With a new file in
a corpus these are the parts that got no row of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from beam_jobs.stage import Stage, Unit, reason_counters
from beam_jobs.stages.earlier import MADE_OF, earlier_hashes, said, take_over
from beam_jobs.stages.once import one_copy
from beam_jobs.stages.recordings import CorpusFrames, regions_of_part, without_left_out
from encoders import Embedded, EncoderCard, embed_batch, load_encoder
from mining.contract.encoder import Encoder, Tokens
from mining.contract.errors import DatasetError
from mining.contract.model_ref import ModelRef
from mining.contract.schemas import (
    FRAMES_COLUMN,
    REJECT,
    SEGMENT,
    embedding_schema,
)
from mining.io.dataset import Manifest, Receipt, has_manifest
from mining.io.parquet import read_part, write_part

# Rows handed to an encoder at once. Fixed, so that an encoder's own batches are always the same.
_ROWS = 4096


@one_copy(kept=2)
def _load(ref: ModelRef, device: str, threads: int | None) -> Encoder:
    return load_encoder(ref, device=device, threads=threads)


@dataclass(frozen=True, kw_only=True)
class Embed(Stage):
    """Embeds one corpus.

    Attributes:
        segments: manifest of its segments.
        card: of its encoder.
        frames: what its encoder hears of it; None where it is embedded by its texts.
    """

    segments: Manifest
    card: EncoderCard
    frames: CorpusFrames | None = None
    name: ClassVar[str] = "embed"
    phases: ClassVar[tuple[str, ...]] = ("embed",)

    @cached_property
    def hash(self) -> str:
        """Decided by the segments' bytes, those of their frames, and the encoder."""
        decides = {"segments": self.segments.content, "model": self.card.fingerprint}
        if self.frames is not None:
            decides["audio_frames"] = self.frames.manifest.content
        return self.hash_of(decides)

    @property
    def folder(self) -> str:
        """Folder of the embeddings."""
        return self.run.dataset("embeddings", self.subject, self.hash)

    def is_done(self) -> bool:
        """Whether the embeddings are finished."""
        return has_manifest(self.folder, self.hash, self.run.storage)

    def units(self, phase: str) -> tuple[Unit, ...]:
        """One unit for each part of the segments."""
        return tuple(
            Unit(key=part.path.removesuffix(".parquet"), args={"part": part.path})
            for part in self.segments.parts
        )

    def process(self, phase: str, unit: Unit) -> Receipt:
        """Embed one part."""
        execution, storage = self.run.config.execution, self.run.storage
        ref = self.run.config.model_of(self.subject)
        encoder = _load(ref, execution.device, execution.threads)
        if encoder.fingerprint != self.card.fingerprint:
            raise DatasetError(
                f"embed {self.subject}: the model must be the one that the run was planned with, but "
                "its files have changed since; run again"
            )
        schema = embedding_schema(self.card.dim, self.card.space, self.card.fingerprint)
        made_of = self._made_of(unit)
        kinds = {"embeddings": schema, "rejects": REJECT}
        earlier = (
            take_over(self, phase, unit.key, made_of, kinds, self._earlier) if made_of else None
        )
        if earlier is not None:
            return earlier
        source = self.run.dataset("segments", self.subject, self.segments.hash)
        segments = read_part(f"{source}/{unit.args['part']}", SEGMENT, storage)
        table, rejected, tokens = self._embed(unit, encoder, segments, schema)
        path = unit.args["part"]
        return Receipt(
            unit=unit.key,
            parts={
                "embeddings": (write_part(self.folder, path, table, schema, storage),),
                "rejects": (write_part(self.rejects_folder(), path, rejected, REJECT, storage),),
            },
            counters={
                "rows_in": segments.num_rows,
                "kept": table.num_rows,
                "rejected": rejected.num_rows,
                **reason_counters(rejected),
                **_counters(tokens),
            },
            notes={MADE_OF: made_of},
        )

    def _embed(
        self, unit: Unit, encoder: Encoder, segments: pa.Table, schema: pa.Schema
    ) -> Embedded:
        """A whole part."""
        frames, part, tokens = None, unit.args["part"], Tokens()
        tables, rejects = [schema.empty_table()], [REJECT.empty_table()]
        if self.frames is not None:
            frames = self.frames.of_part(self.run, part)
            regions = regions_of_part(self.run, self.frames.regions, part)
            segments, lost = without_left_out(
                segments, regions, self.frames.left_out(part), self.name
            )
            rejects.append(lost)
        for batch in segments.combine_chunks().to_batches(max_chunksize=_ROWS):
            if frames is not None:
                batch = batch.append_column(FRAMES_COLUMN, frames.of_segments(batch))
            kept, rejected, more = embed_batch(encoder, batch, schema)
            tables.append(kept)
            rejects.append(rejected)
            tokens = Tokens(
                needed=tokens.needed + more.needed, computed=tokens.computed + more.computed
            )
        return Embedded(pa.concat_tables(tables), pa.concat_tables(rejects), tokens)

    def _made_of(self, unit: Unit) -> str:
        """Digest of everything that decides a part's embeddings; empty where they are of frames."""
        if self.frames is not None:
            return ""
        (part,) = (part for part in self.segments.parts if part.path == unit.args["part"])
        return self.hash_of({"part": part.sha256, "model": self.card.fingerprint})

    @cached_property
    def _earlier(self) -> tuple[str, ...]:
        return earlier_hashes(self)

    def remark(self) -> str:
        """How many parts were embedded by an earlier run, if any."""
        return said(self.subject, self.receipts("embed"))

    def finish(self) -> None:
        """Check rows in = kept + rejected; write the manifests."""
        attributes = {
            "dim": self.card.dim,
            "dtype": "float16",
            "space": self.card.space,
            "model": self.card.name,
            "model_fingerprint": self.card.fingerprint,
        }
        self.publish(
            {"rejects": self.rejects_folder(), "embeddings": self.folder},
            self.receipts("embed"),
            attributes,
            laws=[("rows_in", ("kept", "rejected"))],
        )


def _counters(tokens: Tokens) -> dict[str, int]:
    """``tokens_needed`` and ``tokens_computed``, where anything is padded."""
    if not tokens.computed:
        return {}
    return {"tokens_needed": tokens.needed, "tokens_computed": tokens.computed}
