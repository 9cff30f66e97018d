#!/bin/sh
# Start of a worker's container: fetch the weights once, then become Beam's own boot program.
set -eu
into="${WEIGHTS_FOLDER:-/weights}"
case "${WEIGHTS:-}" in
"") ;;
gs://*)
    if [ ! -e "$into" ]; then
        # beside its place, then renamed: a fetch that is cut leaves nothing that looks whole
        python -c 'import sys, fsspec
fsspec.filesystem("gs").get(sys.argv[1].rstrip("/") + "/", sys.argv[2] + "/", recursive=True)' \
            "$WEIGHTS" "$into.part"
        mv "$into.part" "$into"
    fi
    ;;
*)
    echo "WEIGHTS must be a gs:// folder, but is $WEIGHTS" >&2
    exit 2
    ;;
esac
exec "${BOOT:-/opt/apache/beam/boot}" "$@"
