#!/usr/bin/env python3
"""A worker for tickoff in Python, standard library only.

It stays alive, so whatever is dear to start (a browser, a login) is started once. What it does with an
order here is chosen by the order's name, so that tests can ask for every kind of answer.
"""

import json
import os
import sys
import time


def answer(request_id, **answer):
    print(json.dumps({"id": request_id, **answer}), flush=True)


def process(request):
    po, cells = request["po_number"], request["cells"]
    if "PROGRESS" in po:
        for percent in (25, 50, 75):
            answer(request["id"], progress=f"{percent} %")
    if "MISSING" in po:
        return {"error": "404: no such order"}
    if "BUSY" in po and request["attempt"] == 1:
        return {"error": "503: busy", "retryable": True}
    if "ALWAYS503" in po:
        return {"error": "503: busy", "retryable": True}
    if "CRASH" in po and (request["attempt"] == 1 or "ALWAYS" in po):
        sys.exit(f"cannot stand {po}")
    if "HANG" in po:
        time.sleep(60)
    if "GARBAGE" in po:
        print("Traceback (most recent call last):", flush=True)
    if "WRONGID" in po:
        answer(request["id"] + 1000, updates={})
    if "HUGE" in po:
        print("x" * (3 << 20), flush=True)
    if "BADCOLUMN" in po:
        return {"updates": {"NO_SUCH_COLUMN": "1"}}
    if "NONE" in po:
        return {"updates": {"STATUS": "NO_ATTACHMENTS", "ATTACHMENTS_FOUND": 0}}
    return {
        "updates": {
            "ATTACHMENTS_FOUND": 2,
            "AttachmentName": ["order.pdf", f"{cells.get('SUPPLIER', '')}.pdf"],
            # Which process did it.
            "DOWNLOAD_FOLDER": f"/w{os.environ['TICKOFF_WORKER']}/{os.getpid()}",
        }
    }


print("ready", file=sys.stderr)
for line in sys.stdin:
    request = json.loads(line)
    answer(request["id"], **process(request))
