"""The soak's clients: threads that write, follow, fold, and are present.

Each connects anew when its connection is lost, as a user's program does, goes
on with its cursor, and tells its journal all it does and sees; judging that is
check.py's part. Stage says which epoch it is, and whether to go on.
"""

import collections
import json
import random
import select
import threading
import time

import psycopg

from journal import Journal

ROOMS = range(1, 7)
NEWS = "soak:news"
LOBBY = "soak:lobby"

SETUP = """
CREATE EXTENSION chatroom;
CREATE TABLE rooms (id int PRIMARY KEY);
INSERT INTO rooms SELECT generate_series(1, 6);
CREATE TABLE log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch   int NOT NULL,
    writer  int NOT NULL,
    txn     int NOT NULL,
    part    int NOT NULL,
    version int NOT NULL,
    room_id int NOT NULL REFERENCES rooms,
    note    text);
CREATE INDEX ON log (epoch);
SELECT chatroom.watch('log');
CREATE TABLE boards (id int PRIMARY KEY, name text);
CREATE TABLE cards (
    id       int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board_id int REFERENCES boards ON DELETE CASCADE,
    n        int);
SELECT chatroom.watch_assocs('boards', '{cards}');
INSERT INTO boards SELECT i, 'board ' || i FROM generate_series(1, 4) AS i;
"""


class Stage:
    """What goes on: set by the soak, looked at by the clients."""

    def __init__(self, cluster, out, seed):
        self.cluster, self.out, self.seed = cluster, out, seed
        self.epoch = 0
        self.changed = threading.Condition()
        self.writing = self.ended = self.given_up = False
        self.goal = None
        self.counters = {}  # (node, since): {reason: resets}
        self.lost = collections.Counter()  # connections, by what was told

    def folder(self, epoch=None):
        return f"{self.out}/journal/epoch-{epoch or self.epoch:02}"

    def journal(self, name):
        return Journal(f"{self.folder()}/{name}.log")

    def set(self, **values):
        with self.changed:
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def wait_for_epoch(self, after):
        """The next epoch's number, None where all is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.epoch > after)
            return None if self.ended else self.epoch

    def pause(self, seconds):
        """Sleep, not beyond the end of writing."""
        with self.changed:
            self.changed.wait_for(lambda: not self.writing, seconds)

    def count_resets(self, node, connection):
        """Take down a server's counters of resets by reason."""
        row = connection.execute(
            "SELECT stats_reset::text, resets FROM chatroom.status "
            "WHERE database = current_database()").fetchone()
        if row and row[1]:
            # they only grow: of looks that overtake each other the larger counts
            known = self.counters.setdefault((node, row[0]), collections.Counter())
            known |= collections.Counter(row[1])
            self.counters[node, row[0]] = known


def explained(error):
    """May a fault be behind this error?"""
    state = error.sqlstate
    return state is None or state[:2] in ("08", "53", "57", "58") or state in (
        "25006",  # the primary isn't one any more
        "40001",  # conflict with recovery on a standby
        "55000")  # no worker, or it takes long


class Client(threading.Thread):
    """Does turns on a connection that it makes anew when it is lost."""

    # Those who need not be on the primary go from server to server.
    attrs, first, leave_at = "read-write", 0, None

    def __init__(self, stage, name):
        super().__init__(name=name, daemon=True)
        self.stage, self.journal, self.node = stage, None, None
        self.epoch, self.done = 0, 0

    # what kinds of clients have of their own
    def begin(self):
        """An epoch begins."""

    def ready(self, connection):
        """The connection is new."""

    def turn(self, connection):
        raise NotImplementedError

    def over(self):
        return not self.stage.writing

    def broken(self, error):
        """The connection was lost, or a statement failed."""

    def finish(self):
        """The epoch is over."""

    def run(self):
        while (epoch := self.stage.wait_for_epoch(self.epoch)) is not None:
            self.epoch = epoch
            self.journal = self.stage.journal(self.name)
            try:
                self.begin()
                while not self.over():
                    self.use_connection()
                self.finish()
            except Exception as error:  # this program's own fault
                self.journal.tell("error", state="client", text=repr(error))
            self.journal.close()
            self.done = epoch

    def use_connection(self):
        info = self.stage.cluster.conninfo(self.attrs, self.name, self.first)
        try:
            with psycopg.connect(info, autocommit=True) as connection:
                # psycopg's threads all wait for this one where it reads notices
                connection.execute("SET client_min_messages = error")
                self.node = connection.execute("SHOW cluster_name").fetchone()[0]
                if self.attrs != "read-write":
                    self.first = (self.first + 1) % len(self.stage.cluster.nodes)
                    self.leave_at = time.monotonic() + random.uniform(5, 20)
                self.ready(connection)
                while not self.over() and not (self.leave_at and time.monotonic() > self.leave_at):
                    self.turn(connection)
        except psycopg.Error as error:
            self.stage.lost[error.sqlstate or "connection"] += 1
            self.broken(error)
            if not explained(error):
                self.journal.tell("error", state=error.sqlstate, text=str(error))
            time.sleep(0.2)


# ------------------------------------------------------------------- writers

class Writer(Client):
    """One transaction after the other: rows inserted, changed, moved to other rooms,
    rolled back to savepoints and altogether, prepared; and broadcasts."""

    def __init__(self, stage, number, pause):
        super().__init__(stage, f"writer-{number}")
        self.number, self.pause = number, pause
        self.begin()

    def begin(self):
        self.txn = 0
        self.rows = {}  # its own that it may change: id: (version, room)
        self.open = None  # a prepared transaction whose end isn't known
        self.state = None  # what a lost connection makes of the transaction
        self.parts, self.undone, self.changes = [], [], {}

    # A prepared transaction whose end isn't known is ended now.
    def ready(self, connection):
        if self.open is None:
            return
        name = self.prepared_name()
        if connection.execute("SELECT 1 FROM pg_prepared_xacts WHERE gid = %s",
                              (name,)).fetchone():
            connection.execute(f"COMMIT PREPARED '{name}'")
            self.journal.tell("ack", txn=self.txn)
        else:
            self.journal.tell("unknown", txn=self.txn)
        self.open = None

    def over(self):
        # what is prepared is ended first
        return super().over() and self.open is None

    def turn(self, connection):
        if super().over():
            return
        self.txn += 1
        rng = random.Random(f"{self.stage.seed} {self.epoch} {self.number} {self.txn}")
        end = rng.choices(["COMMIT", "ROLLBACK", "PREPARE"], [85, 10, 5])[0]
        self.parts, self.undone, self.changes = [], [], {}
        self.state = "failed"
        self.journal.tell("begin", txn=self.txn)
        connection.execute("BEGIN")
        self.insert(connection, rng)
        for _ in range(rng.choice([0, 0, 1, 2, 4])):
            rng.choices([self.insert, self.change, self.undo, self.broadcast],
                        [5, 4, 1, 1])[0](connection, rng)
        if end != "COMMIT":
            self.end_otherwise(connection, end)
        else:
            self.journal.tell("commit", txn=self.txn, parts=self.parts, undone=self.undone)
            self.state = "unknown"
            connection.execute("COMMIT")
            self.journal.tell("ack", txn=self.txn)
            self.rows.update(self.changes)
        self.stage.pause(self.pause * rng.uniform(0.5, 1.5))

    def end_otherwise(self, connection, end):
        if end == "ROLLBACK":
            connection.execute("ROLLBACK")
            self.journal.tell("failed", txn=self.txn)
            return
        self.journal.tell("commit", txn=self.txn, parts=self.parts, undone=self.undone)
        self.state, self.open = "unknown", self.txn
        connection.execute(f"PREPARE TRANSACTION '{self.prepared_name()}'")
        connection.execute(f"COMMIT PREPARED '{self.prepared_name()}'")
        self.open = None
        self.journal.tell("ack", txn=self.txn)
        self.rows.update(self.changes)

    def prepared_name(self):
        return f"{self.epoch} {self.number} {self.txn}"

    def broken(self, _error):
        # of a prepared one ready() will tell
        if self.open is None and self.txn and self.state:
            self.journal.tell(self.state, txn=self.txn)
        for row in self.changes:
            self.rows.pop(row, None)
        self.state, self.changes = None, {}

    # Savepoints' parts have numbers, too.
    def next_part(self):
        return len(self.parts) + len(self.undone) + 1

    def insert(self, connection, rng, keep=True):
        room, part = rng.choice(ROOMS), self.next_part()
        row = connection.execute(
            "INSERT INTO log (epoch, writer, txn, part, version, room_id, note) "
            "VALUES (%s, %s, %s, %s, 1, %s, %s) RETURNING id",
            (self.epoch, self.number, self.txn, part, room, self.note(rng))).fetchone()[0]
        if keep:
            self.parts.append([part, "insert", [room], row, 1])
            if part > 1:
                self.changes[row] = (1, room)
        else:
            self.undone.append(part)

    # Seldom a long one, which takes memory.
    @staticmethod
    def note(rng):
        return "x" * (rng.randrange(50_000, 150_000) if rng.random() < 0.01 else rng.randrange(200))

    # One of its own, of those that it knows of: and not one that is an anchor.
    def change(self, connection, rng, keep=True):
        choice, move = rng.random(), rng.random()
        known = {**self.rows, **self.changes}
        if not known:
            return
        row = sorted(known)[int(choice * len(known))]
        version, room = known[row]
        to = rng.choice(ROOMS) if move < 0.3 else room
        part = self.next_part()
        connection.execute(
            "UPDATE log SET writer = %s, txn = %s, part = %s, version = %s, room_id = %s "
            "WHERE id = %s", (self.number, self.txn, part, version + 1, to, row))
        if keep:
            self.parts.append([part, "update", sorted({room, to}), row, version + 1])
            self.changes[row] = (version + 1, to)
        else:
            self.undone.append(part)

    def undo(self, connection, rng):
        connection.execute("SAVEPOINT undo")
        self.insert(connection, rng, keep=False)
        self.change(connection, rng, keep=False)
        connection.execute("ROLLBACK TO undo")

    def broadcast(self, connection, _rng):
        part = self.next_part()
        connection.execute(
            "SELECT chatroom.broadcast(%s, 'news', json_build_object('epoch', %s::int, 'writer', "
            "%s::int, 'txn', %s::int, 'part', %s::int)::jsonb)",
            (NEWS, self.epoch, self.number, self.txn, part))
        self.parts.append([part, "broadcast", ["news"], None, None])


# ----------------------------------------------------------------- followers

HIDDEN = """
SELECT coalesce(array_agg(e.id), '{}') FROM unnest(%s::bigint[], %s::int[]) AS e (id, version)
WHERE NOT EXISTS (SELECT FROM log AS l WHERE l.id = e.id AND l.version >= e.version)"""

SYNC = """
WITH a AS MATERIALIZED (SELECT chatroom.sync_many(%s, %s, %s) AS answer)
SELECT answer, ARRAY(
    SELECT (e->'row'->>'id')::bigint FROM json_array_elements(answer->'events') AS e
    WHERE e->'row'->>'id' IS NOT NULL AND NOT EXISTS (
        SELECT FROM log AS l WHERE l.id = (e->'row'->>'id')::bigint
            AND l.version >= (e->'row'->>'version')::int))
FROM a"""


class Follower(Client):
    """Follows topics with a cursor, by sync, wait or listen."""

    def __init__(self, stage, name, how, attrs, rooms=None, limit=1000, first=0):
        super().__init__(stage, "follower-" + name)
        self.how, self.attrs, self.first, self.limit = how, attrs, first, limit
        self.rooms = list(rooms) if rooms else [*ROOMS, "news"]
        self.topics = [f"public.log.room_id:{room}" for room in rooms or [] if room != "news"] \
            or ["public.log"]
        if "news" in self.rooms:
            self.topics.append(NEWS)
        self.since, self.seen, self.resets = None, set(), 0
        self.rung = self.polled = False

    def begin(self):
        self.seen = set()
        self.journal.tell("follows", rooms=self.rooms, bell=self.how == "listen")
        if self.since:
            self.journal.tell("start", cursor=self.since)

    def over(self):
        return self.stage.goal in self.seen or self.stage.given_up

    def finish(self):
        if self.stage.goal in self.seen:
            self.journal.tell("end")

    def broken(self, error):
        self.journal.tell("lost", error=str(error)[:200])

    def ready(self, connection):
        self.journal.tell("connect", node=self.node)
        if self.how == "listen":
            self.listen(connection)

    def listen(self, connection):
        for topic in self.topics:
            connection.execute("SELECT chatroom.listen(%s)", (topic,))
        self.rung, self.polled = True, False

    # Rows and the cursor that belongs to them.
    def load(self, connection):
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor = connection.execute("SELECT chatroom.snapshot_cursor()").fetchone()[0]
            rows = connection.execute(
                "SELECT id, writer, txn, part, version, room_id FROM log WHERE epoch = %s",
                (self.epoch,)).fetchall()
        txns = [(row[1], row[2]) for row in rows if row[3] == 1]
        self.seen = set(txns)
        self.since = cursor
        self.journal.tell("load", node=self.node, cursor=cursor, txns=txns,
                          rows=[row for row in rows if row[5] in self.rooms])

    def ask(self, connection):
        """An answer, and what it tells of that a SELECT doesn't show."""
        if self.how != "wait":
            return connection.execute(SYNC, (self.topics, self.since, self.limit)).fetchone()
        answer = connection.execute("CALL chatroom.wait(%s, %s, '2s', %s)",
                                    (self.topics, self.since, self.limit)).fetchone()[0]
        rows = [event["row"] for event in answer["events"] if "row" in event]
        hidden = connection.execute(HIDDEN, ([row["id"] for row in rows],
                                             [row["version"] for row in rows])).fetchone()[0] \
            if rows else []
        return answer, hidden

    def turn(self, connection):
        if self.since is None:
            self.load(connection)
        if self.how == "listen" and not self.wait_for_bell(connection):
            return
        answer, hidden = self.ask(connection)
        if answer["reset"]:
            self.journal.tell("reset", node=self.node, since=self.since)
            self.resets += 1
            self.since = None
            self.rung = True
            self.stage.count_resets(self.node, connection)
            return
        events = [self.event(event) for event in answer["events"]]
        if events or hidden:
            self.journal.tell("answer", node=self.node, since=self.since, cursor=answer["cursor"],
                              events=events, hidden=hidden, poll=self.polled)
        self.seen.update((event[2], event[3]) for event in events)
        self.since = answer["cursor"]
        self.rung = answer["more"]
        if self.how == "sync" and not events:
            time.sleep(0.05)

    def event(self, event):
        told = event["payload"] if event["type"] == "broadcast" else event["row"]
        writer = told["writer"] if told["epoch"] == self.epoch else f"epoch {told['epoch']}"
        return [event["cursor"], event["type"], writer, told["txn"], told["part"],
                told.get("id"), told.get("version"), told.get("room_id")]

    # Only a NOTIFY lets it look, and now and then a look whether one was missed.
    def wait_for_bell(self, connection):
        end = time.monotonic() + 25
        self.polled = False
        while not self.rung:
            if self.over():
                return False
            left = end - time.monotonic()
            if left <= 0:
                self.polled = True
                return True
            if select.select([connection.fileno()], [], [], min(left, 0.5))[0]:
                connection.pgconn.consume_input()
                while (notify := connection.pgconn.notifies()) is not None:
                    self.rung = True
                    if not notify.extra:  # the channel is another now
                        self.listen(connection)
                if connection.pgconn.status != psycopg.pq.ConnStatus.OK:
                    raise psycopg.OperationalError("connection lost")
        self.rung = False
        return True


# ---------------------------------------------------------------------- fold

class FoldWriter(Client):
    """Boards and cards come, change, move and go."""

    def begin(self):
        self.rng = random.Random(f"{self.stage.seed} {self.epoch} {self.name}")

    def turn(self, connection):
        rng = self.rng
        cards = connection.execute("SELECT count(*) FROM cards").fetchone()[0]
        board, other = rng.randint(1, 6), rng.randint(1, 6)
        card = "(SELECT id FROM cards ORDER BY id OFFSET %d LIMIT 1)" % rng.randrange(60)
        what = rng.random()
        if what < (0.35 if cards < 50 else 0.1):
            sql = (f"INSERT INTO cards (board_id, n) SELECT id, {rng.randrange(100)} FROM boards "
                   f"ORDER BY id <> {board} LIMIT {rng.randint(1, 3)}")
        elif what < 0.55:
            sql = f"UPDATE cards SET n = n + 1 WHERE id = {card}"
        elif what < 0.7:
            sql = (f"UPDATE cards SET board_id = (SELECT id FROM boards ORDER BY id <> {other} "
                   f"LIMIT 1) WHERE id = {card}")
        elif what < 0.85:
            sql = f"DELETE FROM cards WHERE id = {card}"
        elif what < 0.93:
            sql = f"UPDATE boards SET name = 'board {rng.randrange(100)}' WHERE id = {board}"
        elif what < 0.97:
            sql = f"INSERT INTO boards VALUES ({board}, 'new') ON CONFLICT DO NOTHING"
        else:
            sql = f"DELETE FROM boards WHERE id = {board} AND (SELECT count(*) FROM boards) > 2"
        connection.execute(sql)
        self.stage.pause(0.1)


OPTIONS = '{"where": {}, "order": ["id"]}'
LOADED = """chatroom.preload((SELECT coalesce(jsonb_agg(to_jsonb(b) ORDER BY id), '[]')
    FROM boards AS b), 'boards', '{cards}')"""


def lsn(cursor):
    """1-SYSTEM-DATABASE-INCARNATION-TIMELINE-LSN[-HOLE…]"""
    return int(cursor.split("-")[5], 16)


class Folder(Client):
    """Holds boards with their cards, kept true by fold; compares with what a load
    in the same snapshot gives."""

    def __init__(self, stage, name, attrs, first=0):
        super().__init__(stage, "fold-" + name)
        self.attrs, self.first = attrs, first
        self.held = self.since = None

    def turn(self, connection):
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor = connection.execute("SELECT chatroom.snapshot_cursor()").fetchone()[0]
            if self.since and lsn(cursor) < lsn(self.since):
                # a standby that hasn't come to what was folded on another server
                self.journal.tell("behind", node=self.node, since=self.since, cursor=cursor)
                self.stage.pause(0.3)
                return
            loaded = connection.execute(f"SELECT {LOADED}::text").fetchone()[0]
            held, since, resets = self.held, self.since, 0
            while held is not None:
                answer, held = connection.execute(
                    "WITH a AS MATERIALIZED (SELECT chatroom.sync_many(chatroom.topics_for("
                    "%s::jsonb, 'boards', '{cards}', %s::jsonb), %s) AS answer) SELECT answer, "
                    "chatroom.fold(%s::jsonb, answer, 'boards', '{cards}', %s::jsonb)::text FROM a",
                    (held, OPTIONS, since, held, OPTIONS)).fetchone()
                resets += answer["reset"]
                if answer["reset"]:
                    self.journal.tell("reset", node=self.node, since=since)
                since = answer["cursor"]
                if not answer["more"]:
                    break
        if held is None or resets:
            # as a client does: rows and cursor of one snapshot
            self.held, self.since = loaded, cursor
        else:
            same = json.loads(held) == json.loads(loaded)
            self.journal.tell("fold", node=self.node, since=self.since, cursor=since,
                              held="same" if same else held, loaded="same" if same else loaded)
            self.held, self.since = (held, since) if same else (loaded, cursor)
        if resets:
            self.stage.count_resets(self.node, connection)
        self.stage.pause(0.3)


# ------------------------------------------------------------------ presence

class Session(Client):
    """Is present for as long as its session lasts, or until it says otherwise."""

    def __init__(self, stage, number):
        super().__init__(stage, f"presence-session-{number}")
        self.number, self.turns, self.key = number, 0, None

    def turn(self, connection):
        self.turns += 1
        rng = random.Random(f"{self.stage.seed} {self.epoch} {self.name} {self.turns}")
        key = f"{self.name} {self.epoch} {self.turns}"
        self.journal.tell("track", key=key)
        self.key = key
        connection.execute("SELECT chatroom.track(%s, %s, %s)", (LOBBY, key, '{"n": 0}'))
        self.journal.tell("tracked", key=key, node=self.node, lease=None)
        for n in range(rng.randint(1, 12)):
            self.stage.pause(0.5)
            if rng.random() < 0.2:
                connection.execute("SELECT chatroom.track(%s, %s, %s)",
                                   (LOBBY, key, json.dumps({"n": n + 1})))
            before = time.monotonic()
            connection.execute("SELECT 1")
            self.journal.tell("alive", at=before, key=key)
            if self.over():
                break
        if rng.random() < 0.5:
            connection.execute("SELECT chatroom.untrack(%s, %s)", (LOBBY, key))
        else:
            connection.close()
        self.journal.tell("gone", key=key)
        self.key = None

    def broken(self, _error):
        if self.key:
            self.journal.tell("gone", key=self.key)
            self.key = None


class Lease(Client):
    """Is present by a lease, renews it for a while, and lets it lapse."""

    def __init__(self, stage, number):
        super().__init__(stage, f"presence-lease-{number}")
        self.turns = 0

    def turn(self, connection):
        self.turns += 1
        rng = random.Random(f"{self.stage.seed} {self.epoch} {self.name} {self.turns}")
        key = f"{self.name} {self.epoch} {self.turns}"
        ttl = rng.choice([1, 2, 3])
        for _ in range(rng.randint(1, 6)):
            began = time.monotonic()
            connection.execute("SELECT chatroom.track(%s, %s, '{}', %s * interval '1 s')",
                               (LOBBY, key, ttl))
            self.journal.tell("tracked", key=key, node=self.node, lease=ttl, began=began)
            self.stage.pause(ttl / 3)
            if self.over():
                break


class Watcher(Client):
    """Looks who is there, and keeps who is there by events; both must be the same
    at a rest point, and nobody must be there then."""

    def __init__(self, stage, name, attrs, first=0):
        super().__init__(stage, "present-" + name)
        self.attrs, self.first = attrs, first
        self.since, self.state = None, {}

    def look(self, connection):
        began = time.monotonic()
        present = connection.execute("SELECT chatroom.presence(%s)", (LOBBY,)).fetchone()[0]
        return began, present

    def over(self):
        # it has a look when everybody has gone
        return self.rested or self.stage.given_up

    def begin(self):
        self.rested = False

    def turn(self, connection):
        self.hear(connection)
        if self.stage.writing:
            began, present = self.look(connection)
            self.journal.tell("present", node=self.node, began=began, keys=sorted(present))
            self.stage.pause(1)
        elif self.stage.goal is not None:
            self.rest(connection)
        else:
            time.sleep(0.2)

    def hear(self, connection):
        while True:
            if self.since is None:
                self.since = connection.execute(
                    "SELECT chatroom.sync(%s)->>'cursor'", (LOBBY,)).fetchone()[0]
                self.state = {key: {meta["phx_ref"]: meta for meta in value["metas"]}
                              for key, value in self.look(connection)[1].items()}
            answer = connection.execute("SELECT chatroom.sync(%s, %s)",
                                        (LOBBY, self.since)).fetchone()[0]
            if answer["reset"]:
                self.journal.tell("reset", node=self.node, since=self.since)
                self.stage.count_resets(self.node, connection)
                self.since = None
                continue
            for event in answer["events"]:
                self.take(event["type"], event["key"], event["meta"])
            self.since = answer["cursor"]
            if not answer["more"]:
                return

    def take(self, kind, key, meta):
        metas = self.state.setdefault(key, {})
        if kind == "presence_update":
            metas.pop(meta.pop("phx_ref_prev"), None)
        if kind == "presence_leave":
            metas.pop(meta["phx_ref"], None)
        else:
            metas[meta["phx_ref"]] = meta
        if not metas:
            del self.state[key]

    # Everybody has gone, the last by a lease of 3 s: nobody is shown soon.
    def rest(self, connection):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            began, present = self.look(connection)
            self.hear(connection)
            if not present and not self.state:
                break
            time.sleep(0.2)
        self.journal.tell("rest", node=self.node, began=began, keys=sorted(present))
        if sorted(present) != sorted(self.state):
            self.journal.tell("differs", node=self.node, held=sorted(self.state),
                              told=sorted(present))
        self.rested = True


def everybody(stage):
    """The soak's clients."""
    prefer, primary, any_node = "prefer-standby", "read-write", "any"
    return [
        *(Writer(stage, number, 0.05) for number in range(1, 5)),
        Follower(stage, "sync-primary", "sync", primary),
        Follower(stage, "sync-any", "sync", any_node, limit=5, first=1),
        Follower(stage, "sync-rooms", "sync", prefer, rooms=[1, 4], first=2),
        Follower(stage, "wait-primary", "wait", primary, rooms=[2, 3, "news"]),
        Follower(stage, "wait-standby", "wait", prefer),
        Follower(stage, "wait-any", "wait", any_node, limit=50, first=2),
        Follower(stage, "listen-all", "listen", primary),
        Follower(stage, "listen-room", "listen", primary, rooms=[5]),
        FoldWriter(stage, "foldwriter"),
        Folder(stage, "primary", primary),
        Folder(stage, "standby", prefer, first=1),
        *(Session(stage, number) for number in range(1, 4)),
        *(Lease(stage, number) for number in range(1, 3)),
        Watcher(stage, "primary", primary),
        Watcher(stage, "standby", prefer, first=1)]
