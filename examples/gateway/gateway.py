"""A gateway between Telegram's Bot API and an agent that runs in the same box.

gateway.py verify        who the token belongs to
gateway.py configure     prepares the directory for the state
gateway.py ask TEXT      one question to the agent
gateway.py serve         answers messages of the chats in TELEGRAM_CHAT_ID until it is told to end
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

STATE = pathlib.Path("/workspace/state")
POLL_SECONDS = 20
# Telegram counts in units of UTF-16.
MESSAGE_LIMIT = 4096 // 2
AGENT_SECONDS = 600


class APIError(Exception):
    pass


class Telegram:
    """The few methods of https://core.telegram.org/bots/api that a gateway needs."""

    def __init__(self):
        token = os.environ.get("TELEGRAM_BOT_TOKEN")
        if not token:
            raise APIError("TELEGRAM_BOT_TOKEN is not set on the host")
        server = os.environ.get("TELEGRAM_API") or "https://api.telegram.org"
        self.base = f"{server}/bot{token}"

    def call(self, method, **arguments):
        request = urllib.request.Request(
            f"{self.base}/{method}", json.dumps(arguments).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=POLL_SECONDS + 10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            # The address has the token in it: it is not for the log.
            raise APIError(f"{method}: {error.code} {error.reason}") from None
        except (OSError, ValueError) as error:
            raise APIError(f"{method}: {getattr(error, 'reason', error)}") from None
        if not answer.get("ok"):
            raise APIError(f"{method}: {answer.get('description')}")
        return answer["result"]


def ask(text):
    """One turn with the agent. Its settings and its model's address are in the environment of the step."""
    agent = os.environ.get("GATEWAY_AGENT", "claude-code")
    # What is of the gateway alone is not handed to the agent, though it could find it: both are the same user.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TELEGRAM_")}
    try:
        result = subprocess.run(
            [agent, "-p", "--dangerously-skip-permissions"],
            input=text, capture_output=True, text=True, check=False, env=environment, timeout=AGENT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise APIError(f"the agent did not answer within {AGENT_SECONDS} s") from None
    if result.returncode != 0:
        raise APIError(f"the agent ended with {result.returncode}: {(result.stderr or result.stdout)[-500:]}")
    return result.stdout.strip()


def save(name, value):
    place = STATE / f"{name}.new"
    place.write_text(json.dumps(value))
    place.replace(STATE / f"{name}.json")


def load(name, default):
    place = STATE / f"{name}.json"
    return json.loads(place.read_text()) if place.exists() else default


def chats():
    words = (os.environ.get("TELEGRAM_CHAT_ID") or "").replace(",", " ").split()
    if not words:
        raise APIError("TELEGRAM_CHAT_ID is not set on the host: it names the chats that may use the agent")
    return words


def answer(telegram, message, allowed):
    chat, text = message["chat"]["id"], message.get("text")
    if not text:
        return
    if str(chat) not in allowed:
        print(f"message from {chat}, which is not in TELEGRAM_CHAT_ID", flush=True)
        return
    print(f"message from {chat}", flush=True)
    try:
        reply = ask(text) or "(no answer)"
    except APIError as error:
        print(error, file=sys.stderr, flush=True)
        reply = "The agent cannot answer now."
    telegram.call("sendMessage", chat_id=chat, text=reply[:MESSAGE_LIMIT])
    with open(STATE / "messages.jsonl", "a") as log:
        log.write(json.dumps({"chat": chat, "text": text, "reply": reply}) + "\n")
    print(f"answered {chat}", flush=True)


def serve(telegram):
    allowed = chats()
    offset = load("offset", 0)
    print("waiting for messages", flush=True)
    while True:
        try:
            updates = telegram.call("getUpdates", offset=offset, timeout=POLL_SECONDS)
            for update in updates:
                # First: an answer that cannot be delivered must not be thought of, and paid for, again and again.
                offset = update["update_id"] + 1
                save("offset", offset)
                if "message" in update:
                    answer(telegram, update["message"], allowed)
        except APIError as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(2)


def main(command, *words):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if command == "verify":
        print(f"the bot is {Telegram().call('getMe').get('username')}")
    elif command == "configure":
        save("config", {"agent": os.environ.get("GATEWAY_AGENT", "claude-code")})
    elif command == "ask":
        print(ask(" ".join(words)))
    elif command == "serve":
        serve(Telegram())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(*(sys.argv[1:] or ["help"]))
    except APIError as problem:
        sys.exit(f"gateway: {problem}")
