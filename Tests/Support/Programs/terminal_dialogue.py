"""Runs a program in a terminal of its own and talks to it: waits for words on the screen, types, changes the size.

usage: terminal_dialogue.py SECONDS STEPS PROGRAM [ARGUMENT...]
STEPS is JSON: [{"wait": "words"}, {"type": "text"}, {"resize": [columns, rows]}, {"kill": signal}, {"end": true}, ...]; "end" waits for the end.
Words are found whatever the spaces and colours between them, behind those that were found before. Prints what the program
wrote, without control sequences, and ends with its status; 124 where a step took too long.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_=>78]|[\x00-\x20\x7f]")


class Terminal:
    def __init__(self, program, deadline):
        self.deadline = deadline
        self.raw = b""
        self.seen = 0
        self.child, self.descriptor = pty.fork()
        if self.child == 0:
            os.execvp(program[0], program)
        self.resize(100, 30)

    def resize(self, columns, rows):
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """False at the end of the program."""
        left = self.deadline - time.monotonic()
        if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
            self.give_up()
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # Linux: the other side is closed.
            return False
        self.raw += data
        return bool(data)

    def wait(self, words):
        needle = re.sub(rb"\s", b"", words.encode())
        while True:
            # A sequence that is cut off at the end is whole the next time.
            position = CONTROL.sub(b"", self.raw).find(needle, self.seen)
            if position >= 0:
                self.seen = position + len(needle)
                return
            if not self.read():
                self.give_up()

    def end(self):
        while self.read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def text(self):
        return re.sub(rb"\n\s*\n+", b"\n", CONTROL.sub(lambda match: b"\n" if match[0] in b"\r\n" else b" ", self.raw))

    def give_up(self):
        os.kill(self.child, signal.SIGTERM)
        sys.stdout.buffer.write(self.text())
        sys.stdout.flush()
        sys.exit(124)


def main():
    seconds, steps, program = float(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    terminal = Terminal(program, time.monotonic() + seconds)
    status = 0
    for step in steps:
        print(f"step: {step}", file=sys.stderr)
        if "wait" in step:
            terminal.wait(step["wait"])
        elif "type" in step:
            os.write(terminal.descriptor, step["type"].encode())
        elif "resize" in step:
            terminal.resize(*step["resize"])
        elif "kill" in step:
            os.kill(terminal.child, step["kill"])
        else:
            status = terminal.end()
    sys.stdout.buffer.write(terminal.text())
    sys.stdout.flush()
    sys.exit(status if status >= 0 else 128 - status)


main()
