#!/usr/bin/env python3
"""A program that has workers of its own, and leaves only the results to tickoff:

    results.py TICKOFF orders.csv

It asks for the pending POs, and hands each result to `tickoff apply --ack`. An acknowledged result is
durable: only then is a PO done for this program.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

tickoff, sheet = sys.argv[1:]


def work(po):
    return {"STATUS": "COMPLETED", "ATTACHMENTS_FOUND": len(po) % 3}


listed = subprocess.run([tickoff, "pending", sheet, "-0"], check=True, capture_output=True)
pending = listed.stdout.decode().split("\0")[:-1]
with subprocess.Popen(
    [tickoff, "apply", sheet, "--ack"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
) as apply, ThreadPoolExecutor(8) as pool:
    for po, updates in zip(pending, pool.map(work, pending)):
        print(json.dumps({"po_number": po, "updates": updates}), file=apply.stdin)
    apply.stdin.close()
    answers = [json.loads(line) for line in apply.stdout]
durable = [answer["po_number"] for answer in answers if answer["durable"]]
print(f"{len(durable)} of {len(pending)} results are durable")
sys.exit(apply.returncode)
