"""Reflects the tables and runs generated statements with SQLAlchemy.

    python3 sqlalchemy_client.py HOST PORT DATABASE
"""
import datetime
import sys

import sqlalchemy as sa

host, port, database = sys.argv[1:]
print(sa.__version__)
engine = sa.create_engine(f"mysql+pymysql://root@{host}:{port}/{database}?charset=utf8mb4", future=True)
inspector = sa.inspect(engine)
assert set(inspector.get_table_names()) | set(inspector.get_view_names()) == {"events", "events_all"}, inspector.get_table_names()
columns = {c["name"]: c for c in inspector.get_columns("events")}
assert isinstance(columns["amount"]["type"], sa.BIGINT), columns["amount"]
assert isinstance(columns["properties"]["type"], sa.JSON), columns["properties"]
inspector.get_pk_constraint("events"), inspector.get_indexes("events"), inspector.get_foreign_keys("events")
assert database in inspector.get_schema_names()
events = sa.Table("events", sa.MetaData(), autoload_with=engine)
at = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)
row = lambda user, amount, plan: dict(event="buy", time=at, distinct_id=user, insert_id=user, amount=amount, plan=plan)
with engine.begin() as connection:
    connection.execute(sa.insert(events), [row("ann", 9007199254740993, "pro ü😀"), row("bob", -1, None), row("ann", 9007199254740993, "pro ü😀")])
with engine.connect() as connection:
    query = sa.select(events.c.distinct_id, sa.func.count().label("n"), sa.func.max(events.c.amount)).where(events.c.time >= at).group_by(events.c.distinct_id).order_by(sa.desc("n"), events.c.distinct_id)
    assert connection.execute(query).all() == [("ann", 1, 9007199254740993), ("bob", 1, -1)]
    ranked = sa.select(events.c.insert_id, sa.func.row_number().over(order_by=events.c.amount).label("r")).subquery()
    assert connection.execute(sa.select(ranked.c.insert_id).where(ranked.c.r == 1)).scalar_one() == "bob"
    assert connection.execute(sa.select(events.c.plan).where(events.c.plan.is_(None) | events.c.plan.like("pro%")).order_by(events.c.insert_id).limit(1).offset(1)).all() == [(None,)]
    assert connection.execute(sa.select(sa.case((events.c.amount > 0, "some"), else_="none")).where(events.c.distinct_id.in_(["ann", "x"]))).scalar_one() == "some"
engine.dispose()
