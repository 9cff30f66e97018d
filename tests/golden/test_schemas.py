"""A published schema is never edited: a change is a new version, with a new golden file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mining.contract import schemas
from mining.contract.schemas import PAIR, SEGMENT, checked
from mining.contract.upgrade import upgraded

HERE = Path(__file__).parent
# Those that have changed since version 1, and how many columns each had then.
GROWN = {"SEGMENT": (SEGMENT, 14), "PAIR": (PAIR, 25)}


def rendered(names: tuple[str, ...], of: dict[str, pa.Schema]) -> str:
    lines: list[str] = []
    for name in names:
        lines += [name, of[name].to_string(show_field_metadata=False), ""]
    return "\n".join(lines)


def version_1(name: str) -> pa.Schema:
    schema, columns = GROWN[name]
    metadata = schema.metadata | {b"mining.schema_version": b"1"}
    return pa.schema([*schema][:columns], metadata=metadata)


def test_what_was_published_as_version_1_is_still_known() -> None:
    known = {n: getattr(schemas, n) for n in ("OCCURRENCE", "REJECT", "NEIGHBOR")}
    known |= {name: version_1(name) for name in GROWN}
    text = rendered(("SEGMENT", "OCCURRENCE", "REJECT", "NEIGHBOR", "PAIR"), known)
    text += "\nEMBEDDING(4)\n" + schemas.embedding_schema(4, "space", "model").to_string() + "\n"
    assert text == (HERE / "schemas_v1.txt").read_text(encoding="utf-8")


def test_the_schemas_of_speech_are_what_was_published() -> None:
    names = ("SEGMENT", "REGION", "TRANSCRIPT", "PAIR")
    text = rendered(names, {name: getattr(schemas, name) for name in names})
    assert text == (HERE / "schemas_speech.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GROWN)
def test_a_table_of_version_1_becomes_one_of_today(name: str) -> None:
    today, _ = GROWN[name]
    old = version_1(name)
    values = {
        field.name: pa.array([True if pa.types.is_boolean(field.type) else 1]).cast(field.type)
        for field in old
    }
    table = pa.table(list(values.values()), schema=old)
    new = upgraded(table, today)
    checked(new, today, "here")
    assert new.select(old.names).to_pydict() == table.to_pydict()
    assert all(new[name].null_count == 1 for name in set(today.names) - set(old.names))
    assert upgraded(new, today) is new
