"""chatroom through psycopg 3: python3 psycopg3.py check | errors

The server is the one that PGHOST, PGPORT, PGUSER and PGDATABASE name. Prints
"ok NAME" or "not ok NAME" for each thing that it looked at.
"""

import json
import os
import sys

import psycopg

failures = 0


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
    if error.sqlstate == "23514" and detail and detail.startswith("["):
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
    with psycopg.connect(autocommit=True) as connection:
        for case in cases:
            report(case["name"], run_case(connection, case))


def check():
    print(f"psycopg {psycopg.__version__}")


sys.stdout.reconfigure(encoding="utf-8")
{"check": check, "errors": errors}[sys.argv[1]]()
sys.exit(1 if failures else 0)
