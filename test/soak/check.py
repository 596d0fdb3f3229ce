#!/usr/bin/python3
"""The soak's checker: reads an epoch's journals, and says what is wrong.

    python3 check.py EPOCH_FOLDER...

prints each violation with the journal's lines around it, and "N violations";
exit status 1 where there are any. It knows nothing of servers or of how the
journals came about. After Jepsen's checkers of sets and of Kafka: the writers'
journals and the table at the end say what was committed; each follower's
journal must be that, once, whole and in order.

The words of the journals:

writer-*.log, one transaction after the other
    begin {txn}
    commit {txn, parts, undone}     COMMIT goes out now. parts: those to be told,
                                    [part, type, rooms, id, version] each; part 1
                                    is a row that stays as it is ("anchor"), so
                                    the table tells whether the transaction is in
                                    it. undone: parts rolled back to a savepoint
    ack {txn}, failed {txn}, unknown {txn}

truth.log, at the rest point
    rows {rows}                     the table: [id, writer, txn, part, version, room]
    switches {ends}                 timeline: LSN where it was left
    goal {writer, txn}              the last transaction of the epoch

follower-*.log
    follows {rooms, bell}           rooms: of whose rows it is told; "news" among them
                                    for broadcasts; bell: it waits for NOTIFY
    connect {node}, lost {error}
    start {cursor}                  of an epoch; has no rows of it yet
    load {node, cursor, txns, rows} read anew, with the cursor of the snapshot
    answer {node, since, cursor, events, hidden, poll}
                                    events: [cursor, type, writer, txn, part, id,
                                    version, room]; hidden: ids whose row (or its
                                    version) a SELECT didn't show; poll: nobody rang
    reset {node, since}
    end {}                          has seen the goal

fold-*.log
    fold {node, held, loaded}       a value held by fold, and the same loaded
    behind {node, since, cursor}    the server hasn't come to the value's cursor
    reset {node, since}

presence-*.log
    tracked {key, lease}            came back at this time; lease: null, or seconds
    alive {key}                     its session was there still
    gone {key}                      untracked, or its session ended
any of them
    error {state, text}             one that no fault explains
present-*.log
    present {node, began, keys}     presence() said so
    rest {node, began, keys}        and this when everybody had gone for long
    differs {node, held, told}      a follower's fold isn't presence()
    reset {node, since}

faults.log, of all epochs, in the folder above, or here
    fault {kind}, healed {kind}
    resets {kind, node}             from now on readers may be told to reset there
"""

import collections
import glob
import os
import re
import sys

sys.dont_write_bytecode = True
from journal import lines_around, read_journal  # noqa: E402

# A session's or lease's entry may be shown so long after it should be gone,
# in seconds: workers are stopped, and servers restarted, in the meantime.
GHOST_LIMIT = 30
# A doorbell may be so late, in seconds.
BELL_LIMIT = 20
# A fault that may reset readers explains resets for so long, in seconds.
RESET_LIMIT = 60

KINDS = ["lost", "duplicated", "reordered", "aborted-but-seen", "torn",
         "seen-but-not-visible", "wrong", "kept-after-failover", "unsaved",
         "needless-reset", "bell-missed", "never-ended", "presence-ghost",
         "presence-lost", "presence-differs", "fold-differs", "error"]

Violation = collections.namedtuple("Violation", "kind text line")


class Txn:
    """A transaction as its writer told it."""

    def __init__(self, writer, number, line):
        self.writer, self.number, self.line = writer, number, line
        self.state = "unknown"
        self.parts, self.undone = {}, set()
        self.acknowledged_at = None
        self.committed = False

    def parts_for(self, rooms):
        return {part: told for part, told in self.parts.items() if rooms & set(told[1])}


def parse_cursor(text):
    """(timeline, LSN) of 1-SYSTEM-DATABASE-INCARNATION-TIMELINE-LSN[-HOLE…]"""
    fields = text.split("-")
    return int(fields[4], 16), int(fields[5], 16)


class Epoch:
    """The journals of an epoch, and what is found wrong in them."""

    def __init__(self, folder, faults=()):
        self.folder = folder
        self.faults = [line for line in faults if line.what == "resets"]
        self.violations = []
        self.counts = collections.Counter()
        self.txns = {}
        self.rows, self.ends, self.goal = {}, {}, None
        self.lsns = {}  # (writer, txn): LSN, line that told it first

    def bad(self, kind, text, line):
        assert kind in KINDS, kind
        self.violations.append(Violation(kind, text, line))

    def journals(self, kind):
        for path in sorted(glob.glob(os.path.join(self.folder, kind + "*.log"))):
            yield read_journal(path)

    def check(self):
        for lines in self.journals("faults"):
            self.faults += [line for line in lines if line.what == "resets"]
        self.faults.sort(key=lambda line: line.at)
        for lines in self.journals("writer-"):
            self.read_writer(lines)
        for lines in self.journals("truth"):
            self.read_truth(lines)
        self.check_saved()
        for lines in self.journals("follower-"):
            if lines:
                Follower(self, lines).check()
        for lines in self.journals("fold-"):
            self.check_fold(lines)
        self.check_presence()
        for lines in self.journals(""):
            for line in lines:
                if line.what == "error":
                    self.bad("error", f"{line.state}: {line.text}", line)
        return self.violations

    # ------------------------------------------------------ what was written

    def read_writer(self, lines):
        name = int(os.path.basename(lines[0].path)[len("writer-"):-len(".log")]) if lines else 0
        for line in lines:
            if line.what == "error":
                continue
            if line.what == "begin":
                self.txns[name, line.txn] = Txn(name, line.txn, line)
                continue
            txn = self.txns[name, line.txn]
            if line.what == "commit":
                txn.line = line
                txn.parts = {part: (kind, rooms, row, version)
                             for part, kind, rooms, row, version in line.parts}
                txn.undone = set(line.undone)
            elif line.what == "ack":
                txn.state, txn.acknowledged_at = "ack", line.at
                self.counts["written"] += len(txn.parts)
            else:
                txn.state = line.what
            self.counts["transactions " + line.what] += 1

    def read_truth(self, lines):
        for line in lines:
            if line.what == "rows":
                self.rows = {row[0]: tuple(row[1:]) for row in line.rows}
            elif line.what == "switches":
                self.ends = {int(tli): lsn for tli, lsn in line.ends.items()}
            elif line.what == "goal":
                self.goal = (line.writer, line.txn)

    # Which transactions there are, and that those which were acknowledged are.
    def check_saved(self):
        anchors = {(writer, txn) for writer, txn, part, _v, _r in self.rows.values()
                   if part == 1}
        for key, txn in self.txns.items():
            txn.committed = key in anchors
            if txn.state == "ack" and not txn.committed:
                self.bad("unsaved", f"transaction {key} was acknowledged and isn't in the table",
                         txn.line)
            elif txn.state == "failed" and txn.committed:
                self.bad("unsaved", f"transaction {key} was rolled back and is in the table",
                         txn.line)

    # Does anything explain this reset?
    def check_reset(self, line):
        self.counts["resets told"] += 1
        tli, lsn = parse_cursor(line.since)
        if tli in self.ends and lsn > self.ends[tli]:
            self.counts["resets past a switch"] += 1
            return
        for fault in self.faults:
            if line.node == fault.node and fault.at <= line.at <= fault.at + RESET_LIMIT:
                self.counts["resets after " + fault.kind] += 1
                return
        self.bad("needless-reset", f"of cursor {line.since} at {line.node}", line)

    # ------------------------------------------------------------------ fold

    def check_fold(self, lines):
        for line in lines:
            if line.what == "fold":
                self.counts["folds"] += 1
                if line.held != line.loaded:
                    self.bad("fold-differs", f"held {line.held}, loaded {line.loaded}", line)
            elif line.what == "reset":
                self.check_reset(line)

    # -------------------------------------------------------------- presence

    def check_presence(self):
        lives = {}  # key: [line, from, until when at least, until when at most]
        for lines in self.journals("presence-"):
            for line in lines:
                if line.what == "tracked":
                    life = lives.setdefault(line.key, [line, line.at, line.at, None])
                    if line.lease is not None:
                        # it may have been given when the call began
                        life[2] = line.began + line.lease
                        life[3] = line.at + line.lease
                elif line.what == "alive" and line.key in lives:
                    lives[line.key][2] = line.at
                elif line.what == "gone" and line.key in lives:
                    lives[line.key][3] = line.at
                self.counts["presence " + line.what] += 1
        for lines in self.journals("present-"):
            for line in lines:
                if line.what == "present":
                    self.check_present(line, lives)
                elif line.what == "rest" and line.keys:
                    self.bad("presence-ghost", f"{line.node} still shows {line.keys}", line)
                elif line.what == "differs":
                    self.bad("presence-differs", f"held {line.held}, told {line.told}", line)
                elif line.what == "reset":
                    self.check_reset(line)

    # One look: who must be there, and who must not.
    def check_present(self, line, lives):
        shown = set(line.keys)
        self.counts["looks at presence"] += 1
        for key in shown:
            life = lives.get(key)
            if life and life[3] is not None and line.began > life[3] + GHOST_LIMIT:
                self.bad("presence-ghost", f"{key} is shown {line.began - life[3]:.1f} s "
                         "after it was gone", line)
        for key, (tracked, since, at_least, _most) in lives.items():
            if since < line.began and line.at < at_least and key not in shown \
                    and tracked.node == line.node and tracked.lease is None:
                self.bad("presence-lost", f"{key} is there and isn't shown", line)


class Follower:
    """Goes through one follower's journal."""

    def __init__(self, epoch, lines):
        self.epoch, self.lines = epoch, lines
        self.rooms, self.bell = set(), False
        self.known = {}  # (writer, txn): line that told it, since the last load
        self.parts = {}  # and the parts it told
        self.held = {}  # id: row, as the events leave it
        self.lsn, self.last = 0, {}
        self.following = self.ended = False

    def bad(self, kind, text, line):
        self.epoch.bad(kind, text, line)

    def check(self):
        for line in self.lines:
            if line.what == "follows":
                self.rooms = set(line.rooms)
                self.bell = line.bell
            elif line.what == "start":
                self.following = True
            elif line.what == "load":
                self.load(line)
            elif line.what == "answer":
                self.answer(line)
            elif line.what == "reset":
                self.epoch.check_reset(line)
                self.following = False
            elif line.what == "end":
                self.ended = True
        self.check_end()

    # Rows and cursor of one snapshot take the place of all before.
    def load(self, line):
        self.epoch.counts["loads"] += 1
        self.known = {tuple(txn): line for txn in line.txns}
        self.held = {row[0]: tuple(row[1:]) for row in line.rows}
        self.lsn, self.last = 0, {}
        for writer, txn in line.txns:
            if (writer, txn) in self.epoch.txns and \
                    self.epoch.txns[writer, txn].state == "ack":
                self.last[writer] = max(self.last.get(writer, 0), txn)
        self.following = True

    def answer(self, line):
        groups = []
        for event in line.events:
            cursor, kind, writer, txn, part, row, version, room = event
            if not groups or groups[-1][0] != (writer, txn) or groups[-1][1] != cursor:
                groups.append(((writer, txn), cursor, []))
            groups[-1][2].append((part, kind, row, version))
            if row is None:
                pass
            elif room in self.rooms:
                self.held[row] = (writer, txn, part, version, room)
            else:
                self.held.pop(row, None)
            self.epoch.counts["events seen"] += 1
        for key, cursor, parts in groups:
            self.transaction(key, cursor, parts, line)
        for row in line.hidden:
            self.bad("seen-but-not-visible", f"an event of row {row}, which a SELECT then "
                     "didn't show", line)
        if groups and parse_cursor(line.cursor)[1] < self.lsn:
            self.bad("reordered", f"the answer's cursor {line.cursor} is before its events", line)
        if self.bell and line.get("poll"):
            late = [key for key, _c, _p in groups if key in self.epoch.txns and
                    (self.epoch.txns[key].acknowledged_at or line.at) < line.at - BELL_LIMIT]
            if late:
                self.bad("bell-missed", f"nobody rang for {late[0]}", line)

    # The events of one transaction.
    def transaction(self, key, cursor, parts, line):
        epoch = self.epoch
        txn = epoch.txns.get(key)
        _tli, lsn = parse_cursor(cursor)
        if txn is None or txn.state == "failed":
            self.bad("aborted-but-seen", f"{key} was " +
                     ("rolled back" if txn else "never written"), line)
            return
        wanted = txn.parts_for(self.rooms)
        got = [part[0] for part in parts]
        if key in self.known:
            if self.known[key] is line and set(got).isdisjoint(self.parts[key]):
                self.bad("torn", f"{key} comes in pieces, with others' events between, "
                         "or at two cursors", line)
            else:
                self.bad("duplicated", f"{key} was told or loaded before, in line "
                         f"{self.known[key].number}", line)
            return
        self.known[key], self.parts[key] = line, set(got)
        undone = [part for part in got if part in txn.undone]
        if undone:
            self.bad("aborted-but-seen", f"parts {undone} of {key} were rolled back to a "
                     "savepoint", line)
        if len(set(got)) != len(got):
            self.bad("duplicated", f"{key}: parts {got}", line)
        elif set(got) - set(undone) != set(wanted):
            self.bad("torn", f"{key}: parts {got}, not {sorted(wanted)}", line)
        elif got != sorted(got):
            self.bad("reordered", f"{key}: parts {got}", line)
        for part, kind, row, version in parts:
            if part in wanted and (kind, row, version) != \
                    (wanted[part][0], wanted[part][2], wanted[part][3]):
                self.bad("wrong", f"{key}, part {part}: {kind} of row {row}, version {version}, "
                         f"not {wanted[part]}", line)
        if lsn <= self.lsn:
            self.bad("reordered", f"{key} at {lsn:X} comes after {self.lsn:X}", line)
        self.lsn = lsn
        # one whose end its writer doesn't know may have come late
        if txn.state == "unknown":
            pass
        elif key[1] < self.last.get(key[0], 0):
            self.bad("reordered", f"{key} comes after the same writer's "
                     f"{self.last[key[0]]}", line)
        else:
            self.last[key[0]] = key[1]
        first = epoch.lsns.setdefault(key, (lsn, line))
        if first[0] != lsn and txn.committed:
            self.bad("reordered", f"{key} is at {lsn:X} here, and at {first[0]:X} in "
                     f"{os.path.basename(first[1].path)}:{first[1].number}", line)

    # Is all known that there is, and nothing else?
    def check_end(self):
        last = self.lines[-1]
        if not self.ended:
            self.bad("never-ended", f"it never saw the epoch's last transaction "
                     f"{self.epoch.goal}", last)
            return
        for key, txn in sorted(self.epoch.txns.items()):
            if key in self.known:
                if not txn.committed:
                    self.bad("kept-after-failover", f"{key} was seen, isn't in the table, and "
                             "no reset came", self.known[key])
            elif txn.committed and txn.parts_for(self.rooms):
                self.bad("lost", f"{key} ({txn.state}) was never told", txn.line)
        rows = {row: told for row, told in self.epoch.rows.items()
                if told[4] in self.rooms}
        missing = [row for row in rows if row not in self.held]
        extra = [row for row in self.held if row not in rows]
        other = [row for row in rows if row in self.held and rows[row] != self.held[row]]
        if not missing and not extra and not other:
            return
        self.bad("wrong", f"rows held are not the table's: {len(missing)} missing {missing[:5]}, "
                 f"{len(extra)} extra {extra[:5]}, {len(other)} other " +
                 ", ".join(f"{row}: {self.held[row]}, not {rows[row]}" for row in other[:3]), last)


# What servers' logs show of the faults.
LOGGED = {
    "was terminated by signal 9": "processes killed",
    "all server processes terminated; reinitializing": "crashes of the server's processes",
    "database system was not properly shut down": "recoveries after a crash",
    "No space left on device": "errors: no space left",
    "out of memory": "errors: out of memory",
    "selected new timeline ID": "promotions"}

# And what no fault explains.
DEFECT = r"was terminated by signal (4|7|8|11)\b|TRAP:|: XX\w{3} (ERROR|FATAL)"


def read_log(path, start, counts):
    """Lines of a server's log that no fault explains; where it ends now."""
    bad = []
    with open(path, encoding="utf-8", errors="replace") as file:
        file.seek(start)
        for line in file:
            for text, what in LOGGED.items():
                counts[what] += text in line
            if re.search(DEFECT, line) or "PANIC:" in line and "No space left" not in line:
                bad.append(line)
    return bad, os.path.getsize(path)


def report(violations, most=20):
    """The text about violations: each with the lines around it."""
    texts = []
    for violation in violations[:most]:
        texts.append(f"violation: {violation.kind}: {violation.text}")
        texts += lines_around(violation.line)
    if len(violations) > most:
        texts.append(f"... and {len(violations) - most} more")
    return "\n".join(texts)


def main():
    count = 0
    for folder in sys.argv[1:]:
        faults = os.path.join(folder, os.pardir, "faults.log")
        violations = Epoch(folder, read_journal(faults) if os.path.exists(faults) else ()).check()
        count += len(violations)
        if violations:
            print(report(violations))
    print(f"{count} violations")
    sys.exit(1 if count or len(sys.argv) < 2 else 0)


if __name__ == "__main__":
    main()
