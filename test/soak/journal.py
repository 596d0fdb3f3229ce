"""Journals: what clients did and saw, as files of lines.

A line is "SECONDS WHAT JSON": seconds of the monotonic clock, a word, and an
object. Each client writes one file for each epoch, the time between two rest
points: epoch-01/writer-1.log, and so on. What the words and objects are is told
in check.py, which reads them.
"""

import json
import os
import threading
import time


class Journal:
    """A file of lines that one thread or several write to."""

    def __init__(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.path, self.lock = path, threading.Lock()
        self.file = open(path, "a", encoding="utf-8")

    def tell(self, what, at=None, **fields):
        text = json.dumps(fields, separators=(",", ":"))
        with self.lock:
            self.file.write(f"{time.monotonic() if at is None else at:.6f} {what} {text}\n")
            self.file.flush()

    def close(self):
        self.file.close()


class Line:
    """A line that was read: .at, .what, and its object's members by name."""

    def __init__(self, path, number, text):
        at, self.what, rest = text.rstrip("\n").split(" ", 2)
        self.path, self.number, self.at = path, number, float(at)
        self.fields = json.loads(rest)

    def __getattr__(self, name):
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, name, default=None):
        return self.fields.get(name, default)


def read_journal(path):
    """Its lines; a last line that isn't whole is none."""
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if text.endswith("\n"):
                lines.append(Line(path, number, text))
    return lines


def lines_around(line, count=3, width=400):
    """The journal's lines around one, for people to read."""
    with open(line.path, encoding="utf-8") as file:
        texts = file.readlines()
    first = max(0, line.number - 1 - count)
    return [("> " if first + i + 1 == line.number else "  ") +
            f"{os.path.basename(line.path)}:{first + i + 1}: {text.rstrip()[:width]}"
            for i, text in enumerate(texts[first:line.number + count])]
