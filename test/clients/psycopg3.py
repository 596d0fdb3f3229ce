"""chatroom through psycopg 3: python3 psycopg3.py TASK...

follow prints what happens in the room "lobby" until somebody says bye there;
post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
NAME" for each thing they looked at. The server is the one that PGHOST, PGPORT,
PGUSER and PGDATABASE name.
"""

import json
import os
import sys
import threading
import time
import uuid

import psycopg

TEXT = "it's \"quoted\" \\ %s $1 👍"
failures = 0


def connect():
    # Without autocommit, psycopg opens a transaction, in which wait() can't be
    # called. With PgBouncer before the server, the next statement may be run by
    # another connection that knows nothing of what this one has prepared.
    threshold = None if "PGBOUNCER" in os.environ else 5
    return psycopg.connect(autocommit=True, prepare_threshold=threshold)


def value(connection, sql, *params):
    """The only value of a statement's answer; JSON comes as what it means."""
    return connection.execute(sql, params).fetchone()[0]


def post_from_elsewhere(text):
    with connect() as connection:
        value(connection, "SELECT chatroom.post('lobby', 'bobby', %s)", text)


def form_errors(error):
    """What is wrong with each field."""
    return {rule["field"]: rule["message"] for rule in json.loads(error.diag.message_detail)}


def follow():
    since = None
    while True:
        try:
            with connect() as connection:
                while True:
                    answer = value(connection, "CALL chatroom.follow_room('lobby', %s)", since)
                    since = answer["cursor"]
                    if answer["reset"]:
                        print("loaded", len(answer["messages"]), flush=True)
                        continue
                    for event in answer["events"]:
                        if event["table"] == "chat.messages" and event["type"] == "insert":
                            print(event["row"]["text"], flush=True)
                            if event["row"]["text"] == "bye":
                                return
        except psycopg.OperationalError:
            time.sleep(0.2)  # and go on from the cursor


def post():
    send = "SELECT chatroom.post(%s, %s, %s, client_key => %s)"
    key = str(uuid.uuid4())
    with connect() as connection:
        sent = value(connection, send, "lobby", "alice", TEXT, key)
        report("post returns the message",
               differences(sent, {"username": "alice", "text": TEXT, "client_key": key}))
        again = value(connection, send, "lobby", "alice", TEXT, key)
        report("the same client_key returns the same message", differences(again, sent))
        try:
            errors = value(connection, send, "lobby", "al", "x", None)
        except psycopg.errors.CheckViolation as error:
            errors = form_errors(error)
        report("broken rules are told by field", differences(errors, {
            "username": "should be at least 4 character(s)",
            "text": "should be at least 2 character(s)"}))


def sync_until_news(connection, topic, since):
    while True:
        answer = value(connection, "SELECT chatroom.sync(%s, %s)", topic, since)
        if answer["events"] or answer["reset"]:
            return answer
        time.sleep(0.01)


def sync():
    with connect() as connection:
        room = value(connection, "SELECT chatroom.join_room('lobby')")
        sent = value(connection, "SELECT chatroom.post(%s::bigint, 'alice', 'to a number')",
                     room["room"]["id"])
        answer = sync_until_news(connection, room["topic"], room["cursor"])
        report("sync returns what happened since the cursor",
               differences(answer["events"][0], {"type": "insert", "row": sent}))
        answer = value(connection, "SELECT chatroom.sync(%s, %s)", room["topic"], answer["cursor"])
        report("and nothing twice", differences(answer, {"reset": False, "events": []}))


def wait():
    call = "CALL chatroom.wait(%s, %s, %s)"
    with connect() as connection:
        room = value(connection, "SELECT chatroom.join_room('lobby')")
        other = threading.Thread(target=post_from_elsewhere, args=["wake up"])
        other.start()
        answer = value(connection, call, [room["topic"]], room["cursor"], "30s")
        other.join()
        report("wait returns when something happens",
               differences(answer["events"][0]["row"], {"username": "bobby", "text": "wake up"}))
        answer = value(connection, call, [room["topic"]], answer["cursor"], "10ms")
        report("wait returns without events at its timeout", differences(answer, {"events": []}))
        try:
            with connection.transaction():
                value(connection, call, [room["topic"]], answer["cursor"], "10ms")
            got = {}
        except psycopg.Error as error:
            got = {"sqlstate": error.sqlstate}
        report("wait refuses a transaction block", differences(got, {"sqlstate": "25001"}))


def listen():
    with connect() as connection:
        room = value(connection, "SELECT chatroom.join_room('lobby')")
        since = value(connection, "SELECT chatroom.listen(%s)", room["topic"])
        post_from_elsewhere("ring")
        notification = next(connection.notifies())
        answer = value(connection, "SELECT chatroom.sync(%s, %s)", room["topic"], since)
        report("a notification comes, with a cursor",
               differences(answer["events"][0], {"cursor": notification.payload}))
        report("and sync tells what happened",
               differences(answer["events"][0]["row"], {"username": "bobby", "text": "ring"}))


def report(name, problems):
    """Tell of one thing, and of what is wrong with it."""
    global failures
    print(("not ok " if problems else "ok ") + name)
    for problem in problems:
        print("# " + problem.replace("\n", "\n# "))
    failures += bool(problems)


def differences(got, expected):
    """What of the things expected is otherwise."""
    return [
        f"{key}: {got.get(key)!r}, expected {value!r}"
        for key, value in expected.items()
        if got.get(key) != value
    ]


def error_fields(error):
    """All that an error tells; the broken rules, where there are any."""
    diag = error.diag
    detail = diag.message_detail
    if detail and detail.startswith("["):
        detail = json.loads(detail)
    return {
        "sqlstate": error.sqlstate,
        "message": diag.message_primary,
        "schema": diag.schema_name,
        "table": diag.table_name,
        "column": diag.column_name,
        "constraint": diag.constraint_name,
        "detail": detail,
    }


def run_case(connection, case):
    """Run one statement of errors.json."""
    sql = case["sql"].replace("%", "%%").replace("?", "%s")
    try:
        cursor = connection.execute(sql, case.get("params", []))
        got = {"answer": cursor.fetchone()[0] if cursor.description else None}
    except psycopg.Error as error:
        got = error_fields(error)
    return differences(got, case["expect"])


def errors():
    with open(os.path.join(os.path.dirname(__file__), "errors.json"), encoding="utf-8") as file:
        cases = json.load(file)
    with connect() as connection:
        for case in cases:
            report(case["name"], run_case(connection, case))


def check():
    print(f"psycopg {psycopg.__version__}")


sys.stdout.reconfigure(encoding="utf-8")
for task in sys.argv[1:]:
    {"check": check, "follow": follow, "post": post, "sync": sync, "wait": wait,
     "listen": listen, "errors": errors}[task]()
sys.exit(1 if failures else 0)
