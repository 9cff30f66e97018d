"""Files and datasets: fsspec, one Parquet writer, manifests, receipts, spills."""
