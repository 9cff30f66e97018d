"""A published schema is never edited: a change is a new version, with a new golden file."""

from __future__ import annotations

from pathlib import Path

from mining.contract import schemas


def test_version_1_is_what_was_published() -> None:
    lines: list[str] = []
    for name in ("SEGMENT", "OCCURRENCE", "REJECT", "NEIGHBOR", "PAIR"):
        lines += [name, getattr(schemas, name).to_string(show_field_metadata=False), ""]
    lines += ["EMBEDDING(4)", schemas.embedding_schema(4, "space", "model").to_string()]
    golden = Path(__file__).with_name("schemas_v1.txt").read_text(encoding="utf-8")
    assert "\n".join(lines) + "\n" == golden
