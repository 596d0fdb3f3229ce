"""chatroom through asyncpg: python3 asyncpg_.py TASK...

follow prints what happens in the room "lobby" until somebody says bye there;
post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
NAME" for each thing they looked at. The server is the one that PGHOST, PGPORT,
PGUSER and PGDATABASE name.
"""

import asyncio
import datetime
import json
import os
import sys
import uuid

import asyncpg

TEXT = "it's \"quoted\" \\ %s $1 👍"
SECOND = datetime.timedelta(seconds=1)
failures = 0


async def connect():
    # With PgBouncer before the server, the next statement may be run by another
    # connection that knows nothing of what this one has prepared.
    cache = 0 if "PGBOUNCER" in os.environ else 100
    connection = await asyncpg.connect(statement_cache_size=cache)
    # Else JSON is text.
    await connection.set_type_codec("json", schema="pg_catalog", encoder=json.dumps,
                                    decoder=json.loads)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps,
                                    decoder=json.loads)
    return connection


async def post_from_elsewhere(text):
    connection = await connect()
    await connection.fetchval("SELECT chatroom.post('lobby', 'bobby', $1)", text)
    await connection.close()


def form_errors(error):
    """What is wrong with each field."""
    return {rule["field"]: rule["message"] for rule in json.loads(error.detail)}


async def follow_until_bye(connection, since):
    """Print what is said in the lobby, from a cursor that moves on."""
    while True:
        answer = await connection.fetchval("CALL chatroom.follow_room('lobby', $1)", since[0])
        since[0] = answer["cursor"]
        if answer["reset"]:
            print("loaded", len(answer["messages"]), flush=True)
            continue
        for event in answer["events"]:
            if event["table"] == "chat.messages" and event["type"] == "insert":
                print(event["row"]["text"], flush=True)
                if event["row"]["text"] == "bye":
                    return


async def follow():
    since = [None]
    while True:
        connection = None
        try:
            connection = await connect()
            return await follow_until_bye(connection, since)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
            await asyncio.sleep(0.2)  # and go on from the cursor
        finally:
            if connection:
                connection.terminate()


async def post():
    send = "SELECT chatroom.post($1::text, $2, $3, client_key => $4)"
    key = str(uuid.uuid4())
    connection = await connect()
    sent = await connection.fetchval(send, "lobby", "alice", TEXT, key)
    report("post returns the message",
           differences(sent, {"username": "alice", "text": TEXT, "client_key": key}))
    again = await connection.fetchval(send, "lobby", "alice", TEXT, key)
    report("the same client_key returns the same message", differences(again, sent))
    try:
        errors = await connection.fetchval(send, "lobby", "al", "x", None)
    except asyncpg.CheckViolationError as error:
        errors = form_errors(error)
    report("broken rules are told by field", differences(errors, {
        "username": "should be at least 4 character(s)",
        "text": "should be at least 2 character(s)"}))
    await connection.close()


async def sync_until_news(connection, topic, since):
    while True:
        answer = await connection.fetchval("SELECT chatroom.sync($1, $2)", topic, since)
        if answer["events"] or answer["reset"]:
            return answer
        await asyncio.sleep(0.01)


async def sync():
    connection = await connect()
    room = await connection.fetchval("SELECT chatroom.join_room('lobby')")
    # The cast says that the room is its number: asyncpg sends what the server
    # expects, and that would be text.
    sent = await connection.fetchval(
        "SELECT chatroom.post($1::bigint, 'alice', 'to a number')", room["room"]["id"])
    answer = await sync_until_news(connection, room["topic"], room["cursor"])
    report("sync returns what happened since the cursor",
           differences(answer["events"][0], {"type": "insert", "row": sent}))
    answer = await connection.fetchval("SELECT chatroom.sync($1, $2)", room["topic"],
                                       answer["cursor"])
    report("and nothing twice", differences(answer, {"reset": False, "events": []}))
    await connection.close()


async def wait():
    call = "CALL chatroom.wait($1, $2, $3)"
    connection = await connect()
    room = await connection.fetchval("SELECT chatroom.join_room('lobby')")
    answer, _ = await asyncio.gather(
        connection.fetchval(call, [room["topic"]], room["cursor"], 30 * SECOND),
        post_from_elsewhere("wake up"))
    report("wait returns when something happens",
           differences(answer["events"][0]["row"], {"username": "bobby", "text": "wake up"}))
    answer = await connection.fetchval(call, [room["topic"]], answer["cursor"], SECOND / 100)
    report("wait returns without events at its timeout", differences(answer, {"events": []}))
    try:
        async with connection.transaction():
            await connection.fetchval(call, [room["topic"]], answer["cursor"], SECOND / 100)
        got = {}
    except asyncpg.PostgresError as error:
        got = {"sqlstate": error.sqlstate}
    report("wait refuses a transaction block", differences(got, {"sqlstate": "25001"}))
    await connection.close()


async def listen():
    connection = await connect()
    room = await connection.fetchval("SELECT chatroom.join_room('lobby')")
    # add_listener() says LISTEN itself, so it wants the channel's name.
    channel = await connection.fetchval("SELECT chatroom.channel($1)", room["topic"])
    notified = asyncio.get_running_loop().create_future()
    await connection.add_listener(channel, lambda *args: notified.set_result(args[3]))
    since = (await connection.fetchval("SELECT chatroom.sync($1)", room["topic"]))["cursor"]
    await post_from_elsewhere("ring")
    payload = await notified
    answer = await connection.fetchval("SELECT chatroom.sync($1, $2)", room["topic"], since)
    report("a notification comes, with a cursor",
           differences(answer["events"][0], {"cursor": payload}))
    report("and sync tells what happened",
           differences(answer["events"][0]["row"], {"username": "bobby", "text": "ring"}))
    await connection.close()


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
    detail = error.detail
    if detail and detail.startswith("["):
        detail = json.loads(detail)
    return {
        "sqlstate": error.sqlstate,
        "message": error.args[0],
        "schema": error.schema_name,
        "table": error.table_name,
        "column": error.column_name,
        "constraint": error.constraint_name,
        "detail": detail,
    }


async def run_case(connection, case):
    """Run one statement of errors.json."""
    # What is cast is text there, and asyncpg would want a value of that type.
    parts = case["sql"].replace("?::", "?::text::").split("?")
    sql = parts[0] + "".join(f"${n}{part}" for n, part in enumerate(parts[1:], 1))
    try:
        got = {"answer": await connection.fetchval(sql, *case.get("params", []))}
    except asyncpg.PostgresError as error:
        got = error_fields(error)
    return differences(got, case["expect"])


async def errors():
    with open(os.path.join(os.path.dirname(__file__), "errors.json"), encoding="utf-8") as file:
        cases = json.load(file)
    connection = await connect()
    for case in cases:
        report(case["name"], await run_case(connection, case))
    await connection.close()


async def check():
    print(f"asyncpg {asyncpg.__version__}")


async def main(tasks):
    for task in tasks:
        await {"check": check, "follow": follow, "post": post, "sync": sync, "wait": wait,
               "listen": listen, "errors": errors}[task]()


sys.stdout.reconfigure(encoding="utf-8")
asyncio.run(main(sys.argv[1:]))
sys.exit(1 if failures else 0)
