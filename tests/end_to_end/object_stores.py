"""Object stores on loopback, and a proxy before them that fails as networks and stores do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

BUCKET = "mining"
_HOP = ("connection", "transfer-encoding", "keep-alive", "content-length")


@dataclass
class Store:
    """A store.

    Attributes:
        uri: its bucket's address.
        options: those that reach it.
        put: makes an object.
        objects: the bytes of all.
        sizes: the sizes of all.
        give_up: forgets all uploads that are not complete.
    """

    uri: str
    options: dict[str, dict[str, Any]]
    put: Callable[[str, bytes], object]
    objects: Callable[[], dict[str, bytes]]
    sizes: Callable[[], dict[str, int]]
    give_up: Callable[[], object]

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        (options,) = self.options.values()
        return str(options["endpoint_url"])

    def through(self, proxy: Proxy, **more: object) -> dict[str, dict[str, Any]]:
        """The options that reach it through a proxy."""
        return {
            scheme: options | {"endpoint_url": proxy.endpoint, **more}
            for scheme, options in self.options.items()
        }


@contextmanager
def s3_store() -> Iterator[Store]:
    """An S3 server (moto)."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        # what an earlier server held is the process' own
        with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST"), timeout=60):
            client.create_bucket(Bucket=BUCKET)

        def sizes() -> dict[str, int]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
            return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", ())}

        def give_up() -> None:
            for one in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
                client.abort_multipart_upload(
                    Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"]
                )

        def objects() -> dict[str, bytes]:
            return {n: client.get_object(Bucket=BUCKET, Key=n)["Body"].read() for n in sizes()}

        yield Store(
            uri=f"s3://{BUCKET}",
            options={"s3": {"key": "test", "secret": "test", "endpoint_url": endpoint}},
            put=lambda name, data: client.put_object(Bucket=BUCKET, Key=name, Body=data),
            objects=objects,
            sizes=sizes,
            give_up=give_up,
        )
    finally:
        server.stop()


@contextmanager
def only_with_a_key(store: Store) -> Iterator[dict[str, dict[str, Any]]]:
    """Of :func:`s3_store`: every request must be signed; the options that do so."""
    import boto3

    ours = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    iam = boto3.client("iam", endpoint_url=store.endpoint, region_name="us-east-1", **ours)
    iam.create_user(UserName="miner")
    rules = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rules]})
    iam.put_user_policy(UserName="miner", PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName="miner")["AccessKey"]
    options = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    _require_keys(store, after="0")
    try:
        yield {"s3": options | {"endpoint_url": store.endpoint}}
    finally:
        _require_keys(store, after="inf")


def _require_keys(store: Store, after: str) -> None:
    """After so many requests."""
    url = f"{store.endpoint}/moto-api/reset-auth"
    told = {"Content-Type": "text/plain"}
    with urlopen(Request(url, after.encode(), told, method="POST"), timeout=60):
        pass


@contextmanager
def gs_store() -> Iterator[Store]:
    """A Google Cloud Storage server (gcp-storage-emulator)."""
    from gcp_storage_emulator.server import create_server
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with free_port() as port:
        server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{port}"
        client = storage.Client(
            project="test",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": endpoint},
        )
        bucket = client.bucket(BUCKET)

        def objects() -> dict[str, bytes]:
            # the client would follow the addresses that objects were written by, a proxy's perhaps
            path = f"{endpoint}/storage/v1/b/{BUCKET}/o"
            return {n: _get(f"{path}/{quote(n, safe='')}?alt=media") for n in sizes()}

        def sizes() -> dict[str, int]:
            return {blob.name: blob.size for blob in client.list_blobs(BUCKET)}

        yield Store(
            uri=f"gs://{BUCKET}",
            options={"gs": {"token": "anon", "project": "test", "endpoint_url": endpoint}},
            put=lambda name, data: bucket.blob(name).upload_from_string(data),
            objects=objects,
            sizes=sizes,
            give_up=server._storage.resumable.clear,  # no request does that
        )
    finally:
        server.stop()


def _get(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:
        data: bytes = answer.read()
    return data


@contextmanager
def free_port() -> Iterator[int]:
    """A port that nobody listens to."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    yield port


@dataclass
class Faults:
    """What goes wrong: each counts requests of its own and strikes every n-th; 0: never.

    Attributes:
        refused: answered with 503, unread by the store.
        broken: answered with 500, unread by the store.
        late: answered after ``late_s``.
        given_up: before it, the store forgets all uploads that are not complete.
        cut: a PUT or POST whose connection is cut in the middle of its body.
        unanswered: a PUT or POST that the store gets whole, and whose answer is lost.
        torn: a GET whose answer is cut in the middle.
        down_after: after so many requests every connection is closed at once; -1: never.
        down_for: so many requests later all is well again.
        at: number of a request, the first being 1 -> the fault that strikes it besides.
        seen: how often each struck.
    """

    refused: int = 0
    broken: int = 0
    late: int = 0
    late_s: float = 0.3
    given_up: int = 0
    cut: int = 0
    unanswered: int = 0
    torn: int = 0
    down_after: int = -1
    down_for: int = 1 << 62
    at: Mapping[int, str] = field(default_factory=dict)
    requests: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arrived(self) -> int:
        """Count a request; its number."""
        with self._lock:
            self.requests += 1
            return self.requests

    def is_down(self, number: int) -> bool:
        """Whether the store is down for this request."""
        return 0 <= self.down_after < number <= self.down_after + self.down_for

    def strikes(self, name: str, number: int) -> bool:
        """Whether this request is one that the fault strikes."""
        every = getattr(self, name)
        with self._lock:
            self._counts[name] = count = self._counts.get(name, 0) + 1
            struck = (bool(every) and count % every == 0) or self.at.get(number) == name
            self.seen[name] = self.seen.get(name, 0) + struck
        return struck


@dataclass
class Proxy:
    """A running proxy."""

    endpoint: str
    faults: Faults


@contextmanager
def proxy_before(store: Store, faults: Faults) -> Iterator[Proxy]:
    """Hand requests on to a store, but for the faults."""
    there = urlsplit(store.endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do(self) -> None:
            self.close_connection = True
            number = faults.arrived()
            if faults.is_down(number):
                return None
            writes = self.command in ("PUT", "POST")
            length = int(self.headers.get("Content-Length") or 0)
            if writes and length > 1 and faults.strikes("cut", number):
                self.rfile.read(length // 2)
                return None
            body = self.rfile.read(length)
            for name, status in (("refused", 503), ("broken", 500)):
                if faults.strikes(name, number):
                    return self.answer(status, {}, b"")
            if faults.strikes("late", number):
                time.sleep(faults.late_s)
            if faults.strikes("given_up", number):
                store.give_up()
            if self.command == "DELETE" and "upload_id=" in self.path:
                # of the emulator 501; what Cloud Storage answers, says its documentation
                return self.answer(499, {}, b"")
            response, answer = self.forward(body)
            if writes and faults.strikes("unanswered", number):
                return None
            torn = self.command == "GET" and len(answer) > 1 and faults.strikes("torn", number)
            return self.answer(response.status, dict(response.getheaders()), answer, torn=torn)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815

        def forward(self, body: bytes) -> tuple[HTTPResponse, bytes]:
            connection = HTTPConnection(there.hostname or "", there.port, timeout=60)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
                # a store may answer before it has read all
                with suppress(ConnectionError):
                    connection.request(self.command, self.path, body or None, headers)
                response = connection.getresponse()
                return response, response.read()
            finally:
                connection.close()

        def answer(
            self, status: int, headers: dict[str, str], body: bytes, *, torn: bool = False
        ) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value.replace(store.endpoint, proxy.endpoint))
            # of an answer to HEAD the length is the object's
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body[: len(body) // 2] if torn else body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(endpoint=f"http://127.0.0.1:{server.server_address[1]}", faults=faults)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
