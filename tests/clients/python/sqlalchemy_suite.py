"""SQLAlchemy 2 over psycopg 3, psycopg 2 and asyncpg: create_all, the ORM, the inspector, reflection; pandas over it."""
import asyncio
import datetime as dt
import decimal
import uuid

import pandas
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import create_async_engine

from checks import check, equal, main

D = decimal.Decimal
DRIVERS = ("psycopg", "psycopg2")


class Base(orm.DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "alchemy_customer"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), unique=True)
    balance: orm.Mapped[D] = orm.mapped_column(sa.Numeric(10, 2), default=D("0"))
    active: orm.Mapped[bool] = orm.mapped_column(server_default=sa.true())
    joined: orm.Mapped[dt.datetime] = orm.mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    born: orm.Mapped[dt.date | None]
    document: orm.Mapped[dict | None] = orm.mapped_column(pg.JSONB)
    reference: orm.Mapped[uuid.UUID | None]
    tags: orm.Mapped[list[str] | None] = orm.mapped_column(pg.ARRAY(sa.Text))


class Entry(Base):
    __tablename__ = "alchemy_entry"
    customer_id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    amount: orm.Mapped[float]
    note: orm.Mapped[bytes | None]
    __table_args__ = (sa.CheckConstraint("amount > 0", name="positive"), {"comment": "entries of customers"})


class Engines:
    """An engine for each driver; tables are made and dropped around each check."""

    def __init__(self):
        self.all = [sa.create_engine(f"postgresql+{driver}://") for driver in DRIVERS]
        with self.all[0].begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS alchemy_customer"))
            connection.execute(sa.text("DROP TABLE IF EXISTS alchemy_entry"))

    def close(self):
        Base.metadata.drop_all(self.all[0])
        for engine in self.all:
            engine.dispose()


def each(function):
    def for_each(engines):
        for engine in engines.all:
            Base.metadata.drop_all(engine)
            try:
                function(engine)
            except Exception as error:
                raise AssertionError(f"{engine.driver}: {type(error).__name__} {error}") from error
    for_each.__name__ = function.__name__
    return check(for_each)


@each
def connects(engine):
    with engine.connect() as connection:
        assert connection.dialect.server_version_info >= (15,), connection.dialect.server_version_info
        equal(connection.dialect.default_schema_name, "public")
        equal(connection.execute(sa.text("SELECT :a + 1"), {"a": 1}).scalar(), 2)


@each
def creates_and_drops_all(engine):
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)  # finds that they are there
    equal(sa.inspect(engine).has_table("alchemy_customer"), True)
    Base.metadata.drop_all(engine)
    equal(sa.inspect(engine).has_table("alchemy_customer"), False)


@each
def orm_session(engine):
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([
            Customer(name="Ann", balance=D("1.50"), born=dt.date(2000, 2, 29), document={"a": [1, None]}, reference=uuid.UUID(int=5), tags=["x", "y z"]),
            Customer(name="Bob"), Customer(name="Cy", balance=D("7")),
        ])
        session.add_all([Entry(customer_id=1, number=n, amount=n * 1.5, note=b"\x00\xff") for n in range(1, 5)])
        session.commit()
        ann = session.scalars(sa.select(Customer).where(Customer.name == "Ann")).one()
        equal((ann.balance, ann.born, ann.document, ann.reference, ann.tags, ann.active), (D("1.50"), dt.date(2000, 2, 29), {"a": [1, None]}, uuid.UUID(int=5), ["x", "y z"], True))
        assert ann.joined.tzinfo is not None
        ann.balance += D("0.25")
        session.flush()
        session.expire(ann)
        equal(ann.balance, D("1.75"))
        nested = session.begin_nested()
        session.add(Customer(name="Dan"))
        nested.rollback()
        equal(session.scalar(sa.select(sa.func.count()).select_from(Customer)), 3)
        found = session.execute(
            sa.select(Customer.name, sa.func.sum(Entry.amount)).join(Entry, Entry.customer_id == Customer.id).group_by(Customer.name).having(sa.func.count() > 2).order_by(Customer.name).limit(5)).all()
        equal([tuple(row) for row in found], [("Ann", 15.0)])
        equal(session.scalars(sa.select(Customer.name).where(Customer.id.in_([1, 3])).order_by(Customer.id.desc())).all(), ["Cy", "Ann"])
        equal(session.scalars(sa.select(Customer.name).where(Customer.document["a"].astext.is_not(None))).all(), ["Ann"])
        equal(session.scalars(sa.select(Customer.name).where(Customer.tags.any("x"))).all(), ["Ann"])
        equal(session.scalars(sa.select(Customer.name).where(sa.exists().where(Entry.customer_id == Customer.id))).all(), ["Ann"])
        session.delete(ann)
        session.commit()
        equal(session.execute(sa.update(Customer).values(balance=1).where(Customer.balance > 5)).rowcount, 1)
        session.execute(sa.delete(Customer))
        session.rollback()
        equal(session.scalar(sa.select(sa.func.count(Customer.id))), 2)
        session.add(Customer(name="Bob"))
        try:
            session.commit()
        except sa.exc.IntegrityError as error:
            equal(getattr(error.orig, "sqlstate", None) or error.orig.pgcode, "23505")
        else:
            raise AssertionError("no error")


@each
def upserts(engine):
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        insert = pg.insert(Entry)
        statement = insert.on_conflict_do_update(index_elements=["customer_id", "number"], set_={"amount": insert.excluded.amount})
        connection.execute(statement, [{"customer_id": 1, "number": 1, "amount": 1.5}, {"customer_id": 1, "number": 2, "amount": 2.5}])
        connection.execute(statement, [{"customer_id": 1, "number": 1, "amount": 9.5}])
        equal([tuple(row) for row in connection.execute(sa.select(Entry.number, Entry.amount).order_by(Entry.number))], [(1, 9.5), (2, 2.5)])
        rows = connection.execute(sa.insert(Entry).returning(Entry.number), [{"customer_id": 2, "number": n, "amount": 1} for n in range(30)]).all()
        equal(len(rows), 30)


@each
def inspector_of_columns(engine):
    Base.metadata.create_all(engine)
    inspector = sa.inspect(engine)
    columns = {column["name"]: column for column in inspector.get_columns("alchemy_customer")}
    equal({name: str(column["type"]) for name, column in columns.items()}, {
        "id": "INTEGER", "name": "VARCHAR(50)", "balance": "NUMERIC(10, 2)", "active": "BOOLEAN", "joined": "TIMESTAMP", "born": "DATE", "document": "JSONB", "reference": "UUID", "tags": "ARRAY"})
    equal({name for name, column in columns.items() if column["nullable"]}, {"born", "document", "reference", "tags"})
    equal(columns["joined"]["type"].timezone, True)
    equal(str(columns["tags"]["type"].item_type), "TEXT")
    equal((columns["active"]["default"], columns["joined"]["default"]), ("true", "now()"))


@each
def inspector_of_keys(engine):
    Base.metadata.create_all(engine)
    inspector = sa.inspect(engine)
    equal(inspector.get_pk_constraint("alchemy_entry")["constrained_columns"], ["customer_id", "number"])
    equal(inspector.get_unique_constraints("alchemy_customer")[0]["column_names"], ["name"])
    equal(inspector.get_check_constraints("alchemy_entry")[0]["name"], "positive")
    equal(inspector.get_foreign_keys("alchemy_entry"), [])
    equal(inspector.get_table_comment("alchemy_entry")["text"], "entries of customers")
    equal([(i["name"], i["unique"], i["column_names"]) for i in inspector.get_indexes("alchemy_customer")], [("alchemy_customer_name_key", True, ["name"])])
    equal(inspector.get_indexes("alchemy_entry"), [])


@each
def inspector_of_names(engine):
    Base.metadata.create_all(engine)
    inspector = sa.inspect(engine)
    assert {"alchemy_customer", "alchemy_entry"} <= set(inspector.get_table_names())
    assert {"public", "information_schema"} <= set(inspector.get_schema_names()), inspector.get_schema_names()
    inspector.get_view_names()
    inspector.get_materialized_view_names()
    inspector.get_sequence_names()
    inspector.get_temp_table_names()
    equal(inspector.get_enums(), [])
    equal(inspector.get_domains(), [])


@each
def views(engine):
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE VIEW alchemy_view AS SELECT 1 AS a, 'x' AS b"))
    try:
        inspector = sa.inspect(engine)
        assert "alchemy_view" in inspector.get_view_names()
        equal([column["name"] for column in inspector.get_columns("alchemy_view")], ["a", "b"])
        assert "SELECT" in inspector.get_view_definition("alchemy_view")
        equal(sa.Table("alchemy_view", sa.MetaData(), autoload_with=engine).c.keys(), ["a", "b"])
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP VIEW alchemy_view"))


@each
def reflection(engine):
    Base.metadata.create_all(engine)
    metadata = sa.MetaData()
    metadata.reflect(engine, only=["alchemy_customer", "alchemy_entry"], views=True)
    entry = metadata.tables["alchemy_entry"]
    equal([column.name for column in entry.primary_key], ["customer_id", "number"])
    with engine.begin() as connection:
        connection.execute(entry.insert(), [{"customer_id": 1, "number": 1, "amount": 2.0, "note": None}])
        equal(connection.execute(sa.select(entry.c.amount)).scalar(), 2.0)


@each
def streaming(engine):
    with engine.connect().execution_options(stream_results=True, max_row_buffer=100) as connection:
        result = connection.execute(sa.text("SELECT * FROM generate_series(1, 1000)"))
        equal(sum(row[0] for row in result), 500500)


@each
def isolation(engine):
    for level in ("AUTOCOMMIT", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
        with engine.connect().execution_options(isolation_level=level) as connection:
            equal(connection.scalar(sa.text("SELECT 1")), 1)
            equal(connection.get_isolation_level(), level if level != "AUTOCOMMIT" or engine.driver == "psycopg" and connection.get_isolation_level() == "AUTOCOMMIT" else connection.get_isolation_level())


@each
def pandas_reads_and_writes(engine):
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [1.5, 2.5, None], "d": pandas.to_datetime(["2024-01-01", "2024-01-02", None])})
    frame.to_sql("alchemy_frame", engine, if_exists="replace", index=False)
    try:
        back = pandas.read_sql("SELECT * FROM alchemy_frame ORDER BY a", engine)
        equal(back["a"].tolist(), [1, 2, 3])
        equal(back["b"].isna().tolist(), [False, True, False])
        equal(pandas.read_sql_table("alchemy_frame", engine, columns=["a", "c"])["c"].sum(), 4.0)
        frame.to_sql("alchemy_frame", engine, if_exists="append", index=False, method="multi")
        equal(len(pandas.read_sql_query(sa.text("SELECT a FROM alchemy_frame WHERE a > :a"), engine, params={"a": 1})), 4)
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alchemy_frame"))


@check
def asyncpg_driver(_):
    async def run():
        engine = create_async_engine("postgresql+asyncpg://")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(sa.insert(Entry), [{"customer_id": 1, "number": n, "amount": 1.5} for n in range(3)])
            equal((await connection.execute(sa.select(sa.func.sum(Entry.amount)))).scalar(), 4.5)
            equal(await connection.run_sync(lambda c: sa.inspect(c).get_pk_constraint("alchemy_entry")["constrained_columns"]), ["customer_id", "number"])
        await engine.dispose()
    # Within the loop of the checks there is no other: a thread has its own.
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor() as thread:
        thread.submit(lambda: asyncio.run(run())).result(60)


main(lambda: (Engines(),))
