"""Writes and reads with PyMySQL.

    python3 pymysql_client.py HOST PORT DATABASE
"""
import datetime
import sys

import pymysql

host, port, database = sys.argv[1:]
print(pymysql.__version__)
connection = pymysql.connect(host=host, port=int(port), user="root", database=database, charset="utf8mb4")
at = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)
with connection.cursor() as cursor:
    rows = [("buy", at, "ann", "a", 9007199254740993, "pro ü😀"), ("buy", at, "bob", "b", -1, None)]
    assert cursor.executemany("INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (%s, %s, %s, %s, %s, %s)", rows + rows[:1]) == 3
    connection.commit()
    cursor.execute("SELECT event, time, distinct_id, insert_id, amount, plan FROM events WHERE event = %s ORDER BY insert_id", ("buy",))
    assert cursor.fetchall() == tuple(rows), "rows"
    try:
        cursor.execute("SELECT * FROM nothing")
        assert False, "no error"
    except pymysql.err.ProgrammingError as e:
        assert e.args[0] == 1146, e
with connection.cursor(pymysql.cursors.SSDictCursor) as cursor:
    cursor.execute("SELECT amount FROM events ORDER BY amount")
    assert [r["amount"] for r in cursor] == [-1, 9007199254740993]
connection.ping()
connection.close()
