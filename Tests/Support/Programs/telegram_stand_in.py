"""A stand-in for Telegram's Bot API on loopback: getMe, getUpdates with long polling, sendMessage.

usage: telegram_stand_in.py TOKEN MESSAGE...
Has the messages for the bot from one chat. Prints a line of JSON for each thing that happens: {"port": N} first, then
{"sent": {...}} for each message that the bot sends. Goes on until it is killed.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN, MESSAGES = sys.argv[1], sys.argv[2:]
CHAT = {"id": 4711, "type": "private", "first_name": "Ada"}
UPDATES = [
    {"update_id": 100 + number, "message": {"message_id": number + 1, "date": 0, "chat": CHAT, "text": text}}
    for number, text in enumerate(MESSAGES)
]


def tell(event):
    print(json.dumps(event), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        arguments = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        _, bot, method = (self.path.split("/") + ["", ""])[:3]
        if bot != f"bot{TOKEN}":
            return self.reply(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        if method == "getMe":
            return self.reply(200, {"ok": True, "result": {"id": 42, "is_bot": True, "username": "stand_in_bot"}})
        if method == "getUpdates":
            return self.reply(200, {"ok": True, "result": self.updates(arguments)})
        if method == "sendMessage":
            tell({"sent": arguments})
            return self.reply(200, {"ok": True, "result": {"message_id": 1000, "date": 0, "chat": CHAT}})
        return self.reply(404, {"ok": False, "error_code": 404, "description": "Not Found"})

    def updates(self, arguments):
        """Those from the offset on, which confirms the ones before; waits where there are none, as Telegram does."""
        found = [update for update in UPDATES if update["update_id"] >= arguments.get("offset", 0)]
        if not found:
            time.sleep(min(arguments.get("timeout", 0), 5))
        return found

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    tell({"port": server.server_port})
    server.serve_forever()


main()
