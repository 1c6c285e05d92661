"""Writes and reads with mysqlclient.

    python3 mysqlclient_client.py HOST PORT DATABASE
"""
import datetime
import sys

import MySQLdb
import MySQLdb.cursors

host, port, database = sys.argv[1:]
print(MySQLdb.__version__)
connection = MySQLdb.connect(host=host, port=int(port), user="root", database=database, charset="utf8mb4")
at = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)
cursor = connection.cursor()
rows = [("buy", at, "ann", "a", 9007199254740993, "pro ü😀"), ("buy", at, "bob", "b", -1, None)]
assert cursor.executemany("INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES (%s, %s, %s, %s, %s, %s)", rows + rows[:1]) == 3
connection.commit()
cursor.execute("SELECT event, time, distinct_id, insert_id, amount, plan FROM events WHERE event = %s ORDER BY insert_id", ("buy",))
assert cursor.fetchall() == tuple(rows), "rows"
try:
    cursor.execute("SELECT * FROM nothing")
    assert False, "no error"
except MySQLdb.ProgrammingError as e:
    assert e.args[0] == 1146, e
stream = connection.cursor(MySQLdb.cursors.SSDictCursor)
stream.execute("SELECT amount FROM events ORDER BY amount")
assert [r["amount"] for r in stream.fetchall()] == [-1, 9007199254740993]
stream.close()
connection.rollback()
connection.ping()
connection.close()
