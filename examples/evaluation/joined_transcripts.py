"""How much the joined transcript of a candidate differs from recognising that candidate by itself.

The pipeline recognises each stretch of speech once, in clips of up to 28 seconds, and joins the
candidates' texts. This recognises some candidates alone and compares: character error rate against
the joined text, cosine of both embeddings, and how much audio each way reads.

    python examples/evaluation/joined_transcripts.py out/long/run.yaml --corpus books --count 100
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz.distance import Levenshtein

from beam_jobs.plan import Plan
from beam_jobs.progress import Progress
from beam_jobs.stages.listing import audio_base, audio_uri
from encoders import embed_texts, load_encoder
from encoders.recognise import load_recogniser
from encoders.spelling import folded_text
from mining.config import load_config
from mining.contract.schemas import SEGMENT
from mining.contract.speech import Samples
from mining.io.parquet import read_part
from mining.speech.audio import open_audio
from mining.speech.stream import at_16k, at_speech_rate, mono, spans
from mining.text import normalise

_LONGEST_S = 29.0  # a recogniser may take no more at once


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", help="of a finished run")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--model", default="builtin", help="text encoder of the comparison")
    arguments = parser.parse_args()
    plan = Plan(load_config(arguments.config), Progress(quiet=True))
    segments = all_segments(plan, arguments.corpus)
    total_s = float(pc.sum(segments["duration_s"]).as_py())
    speech_s = plan.prepared(arguments.corpus).counters["speech_ms"] / 1000
    rng = np.random.default_rng(7)
    several = segments.filter(pc.less(segments["duration_s"], _LONGEST_S))
    chosen = several.take(pa.array(np.sort(rng.permutation(several.num_rows)[: arguments.count])))
    alone = recognised(plan, arguments.corpus, chosen)
    joined = chosen["text"].to_pylist()
    pairs = [(folded_text(a), folded_text(b)) for a, b in zip(joined, alone, strict=True)]
    edits = sum(Levenshtein.distance(a, b) for a, b in pairs)
    encoder = load_encoder(arguments.model)
    kept = [row for row, (a, b) in enumerate(pairs) if a and b]
    langs = chosen["lang"].to_pylist()
    cosines = [
        float(
            embed_texts(encoder, [joined[row]], langs[row])[0]
            @ embed_texts(encoder, [alone[row]], langs[row])[0]
        )
        for row in kept
    ]
    print(f"{len(pairs)} candidates of {arguments.corpus}, {len(pairs) - len(kept)} empty one way")
    print(f"characters that differ: {edits / max(1, sum(len(b) for _, b in pairs)):.3f}")
    print(f"equal: {np.mean([a == b for a, b in pairs]):.2f}")
    print(f"cosine: mean {np.mean(cosines):.3f}, tenth percentile {np.percentile(cosines, 10):.3f}")
    print(f"recognising every candidate alone would read {total_s / speech_s:.1f} times the speech")


def all_segments(plan: Plan, corpus: str) -> pa.Table:
    """The corpus' segments with their transcripts."""
    manifest = plan.segments(corpus)
    folder = plan.run.dataset("segments", manifest.name, manifest.hash)
    parts = [read_part(f"{folder}/{p.path}", SEGMENT, plan.run.storage) for p in manifest.parts]
    return pa.concat_tables(parts)


def recognised(plan: Plan, corpus: str, segments: pa.Table) -> list[str]:
    """What the recogniser says of each segment by itself."""
    ref, _ = plan.recognisers[corpus]
    recogniser = load_recogniser(ref)
    base = audio_base(plan.run.config.corpora[corpus])
    texts = [""] * segments.num_rows
    for uri in sorted(set(segments["source_uri"].to_pylist())):
        mask = pc.equal(segments["source_uri"], uri)
        rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        start = segments["start_sample"].to_numpy()[rows]
        rows = rows[np.argsort(start, kind="stable")]
        for row, samples in zip(rows, clips(audio_uri(base, uri), segments, rows), strict=True):
            lang = segments["lang"][int(row)].as_py()
            words = recogniser.transcribe([samples], lang)[0].words
            texts[row] = normalise("".join(word.text for word in words))
    return texts


def clips(path: str, segments: pa.Table, rows: Sequence[int]) -> list[Samples]:
    """The segments' samples at 16 kHz, in the order of ``rows``, which is that of time."""
    taken = segments.take(pa.array(rows))
    start = taken["start_sample"].to_numpy()
    bounds = np.stack([start, start + taken["num_samples"].to_numpy()], axis=1)
    with open_audio(Path(path)) as stream:
        rate = stream.sample_rate_hz
        blocks = at_speech_rate(mono(stream.blocks(), None), rate)
        return list(spans(blocks, at_16k(bounds, rate)))


if __name__ == "__main__":
    main()
