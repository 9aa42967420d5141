#!/usr/bin/env python3
"""Fetches the attachments of orders, and keeps its connection to the server:

    tickoff run orders.csv --worker-protocol jsonl -j 8 -- fetch_worker.py URL FOLDER

It stands for a pool of workers with a browser session each. The protocol is in docs/worker-protocol.md.
"""

import http.client
import json
import pathlib
import sys
import urllib.parse

address = urllib.parse.urlsplit(sys.argv[1])
folder = pathlib.Path(sys.argv[2])
connection = http.client.HTTPConnection(address.netloc, timeout=2)


class Failed(Exception):
    def __init__(self, message, retryable):
        super().__init__(message)
        self.retryable = retryable


def get(path):
    try:
        connection.request("GET", urllib.parse.quote(path))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # The next request opens another one.
        raise Failed(f"no answer: {error}", retryable=True)
    if response.status != 200:
        is_passing = response.status == 429 or response.status >= 500
        raise Failed(f"HTTP {response.status}", retryable=is_passing)
    return body


def fetch(request):
    po = request["po_number"]
    if not po.replace("-", "").replace("_", "").isalnum():
        raise Failed("this is no PO number", retryable=False)
    names = get(f"/orders/{po}").decode().split()
    for number, name in enumerate(names, 1):
        say(request, progress=f"{number} of {len(names)}: {name}")
        (folder / po).mkdir(parents=True, exist_ok=True)
        (folder / po / name).write_bytes(get(f"/files/{po}/{name}"))
    return {
        "STATUS": "COMPLETED" if names else "NO_ATTACHMENTS",
        "ATTACHMENTS_FOUND": len(names),
        "ATTACHMENTS_DOWNLOADED": len(names),
        "AttachmentName": names,
    }


def say(request, **line):
    print(json.dumps({"id": request["id"], **line}), flush=True)


for line in sys.stdin:
    request = json.loads(line)
    try:
        say(request, updates=fetch(request))
    except Failed as failure:
        say(request, error=str(failure), retryable=failure.retryable)
