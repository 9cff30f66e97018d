#!/usr/bin/env python3
"""Starts one SDK process, as a task manager asks for it (environment type PROCESS).

Does what Beam's own boot program does in an SDK container, but for installing packages: asks for the
pipeline's options and addresses, and becomes the SDK harness. The interpreter is the first on PATH.
"""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format


def environment(worker: str, endpoint: str) -> dict[str, str]:
    """What the harness reads of its surroundings."""
    with grpc.insecure_channel(endpoint) as channel:
        info = (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
            .GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=[("worker_id", worker)],
                timeout=60,
            )
            .info
        )

    def address(of: endpoints_pb2.ApiServiceDescriptor) -> str:
        return text_format.MessageToString(of, as_one_line=True)

    found = {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": address(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": address(info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.HasField("status_endpoint"):
        found["STATUS_API_SERVICE_DESCRIPTOR"] = address(info.status_endpoint)
    return found


def main() -> None:
    """Read Beam's options, become the harness."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    known, _ = parser.parse_known_args()
    os.environ.update(environment(known.id, known.provision_endpoint))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
