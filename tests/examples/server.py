#!/usr/bin/env python3
"""A server of orders and their attachments that fails now and then, as real ones do.

    server.py PORT [LOG]        0 for any free port; prints the address, then serves until it is killed

    GET /orders/PO              the names of its attachments, one a line
    GET /files/PO/NAME          one of them

What becomes of an order hangs on the number at the end of its PO, so that it can be foreseen:

    divisible by 17             404, always
    divisible by 7              has no attachments
    divisible by 13             500 at first
    divisible by 11             429 (rate limit) at first
    divisible by 19             the first answer takes 3 seconds

LOG gets a line for each request of an order.
"""

import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

asked = {}
lock = threading.Lock()
log = open(sys.argv[2], "a", buffering=1) if len(sys.argv) > 2 else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind, po, *name = self.path.strip("/").split("/")
        number = int(re.search(r"\d*$", po)[0] or 0)
        if kind == "files":
            return self.answer(200, f"{po} {name[0]}\n" * 100)
        with lock:
            is_first = po not in asked
            asked[po] = True
            if log:
                log.write(po + "\n")
        if number % 17 == 0:
            self.answer(404, "no such order\n")
        elif is_first and number % 13 == 0:
            self.answer(500, "internal server error\n")
        elif is_first and number % 11 == 0:
            self.answer(429, "too many requests\n")
        else:
            if is_first and number % 19 == 0:
                time.sleep(3)
            self.answer(200, "" if number % 7 == 0 else "order.pdf\nterms.pdf\n")

    def answer(self, status, text):
        body = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass  # Whoever asked had no more patience.

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
