"""Tables of an older version of a schema, as the version of today."""

from __future__ import annotations

import pyarrow as pa


def upgraded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """``table`` as ``schema``, if it is an older version of it; otherwise as it is.

    A newer version of SEGMENT and PAIR only adds columns that may be null.
    """
    found, wanted = table.schema.metadata or {}, schema.metadata
    version = b"mining.schema_version"
    if found.get(b"mining.schema") != wanted[b"mining.schema"]:
        return table
    if int(found.get(version, 0)) >= int(wanted[version]):
        return table
    columns = [
        table[field.name]
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
