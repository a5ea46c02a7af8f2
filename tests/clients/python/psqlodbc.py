"""psqlodbc by pyodbc: parameters bound on the server, catalogue functions, cursors of DECLARE and of the driver."""
import datetime as dt
import decimal
import os
import pathlib

import pyodbc

from checks import check, equal, main

D = decimal.Decimal
pyodbc.pooling = False
DRIVER = next(pathlib.Path("/usr/lib").glob("*/odbc/psqlodbcw.so"))


def connect(more=""):
    parts = {"Driver": DRIVER, "Server": os.environ["PGHOST"], "Port": os.environ["PGPORT"], "Uid": os.environ["PGUSER"], "Pwd": os.environ["PGPASSWORD"], "Database": os.environ["PGDATABASE"]}
    return pyodbc.connect(";".join(f"{name}={value}" for name, value in parts.items()) + ";" + more)


def fails(state, run):
    try:
        run()
    except pyodbc.Error as error:
        equal(error.args[0], state, str(error))
    else:
        raise AssertionError(f"no error, {state} expected")


@check
def connects(connection):
    equal(tuple(connection.execute("SELECT current_user, current_database()").fetchone()), ("app", "streamgate"))
    equal(connection.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")


@check
def wrong_password(_):
    fails("08001", lambda: connect("Pwd=wrong"))


@check
def types_both_ways(connection):
    wrong = []
    for name, value in [
        ("int2", -5), ("int4", 2147483647), ("int8", 2**53 + 1), ("float8", -0.1), ("numeric(10,2)", D("1.50")), ("text", "Grüße's"), ("varchar(20)", "v"), ("date", dt.date(2024, 2, 29)),
        ("timestamp", dt.datetime(2024, 2, 29, 1, 2, 3, 4000)), ("bytea", b"\x00\xff"), ("time", dt.time(13, 14, 15)),
    ]:
        try:
            row = connection.execute(f"SELECT CAST(? AS {name}), CAST(NULL AS {name})", [value]).fetchone()
            equal(tuple(row), (value, None))
        except Exception as error:
            connection.rollback()
            wrong.append(f"{name}: {error}")
    equal(wrong, [])


@check
def tables_and_columns(connection):
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS odbc_listed")
    cursor.execute("CREATE TABLE odbc_listed (id int PRIMARY KEY, name varchar(20), price numeric(10,2))")
    try:
        equal([row.table_name for row in cursor.tables(table="odbc_listed", tableType="TABLE")], ["odbc_listed"])
        equal([(row.column_name, row.type_name) for row in cursor.columns(table="odbc_listed")], [("id", "int4"), ("name", "varchar"), ("price", "numeric")])
        equal([row.column_name for row in cursor.primaryKeys("odbc_listed")], ["id"])
        equal([row.index_name for row in cursor.statistics("odbc_listed") if row.index_name], ["odbc_listed_pkey"])
        assert "int4" in [row.type_name for row in cursor.getTypeInfo()]
    finally:
        cursor.execute("DROP TABLE odbc_listed")


@check
def transactions_and_errors(connection):
    connection.execute("CREATE TEMP TABLE kept (id int PRIMARY KEY)")
    connection.commit()
    connection.execute("INSERT INTO kept VALUES (?)", [1])
    connection.rollback()
    equal(connection.execute("SELECT count(*) FROM kept").fetchone()[0], 0)
    for state, statement in [("42P01", "SELECT * FROM nowhere"), ("42703", "SELECT nothing"), ("42601", "SELEC 1"), ("22012", "SELECT 1/0")]:
        fails(state, lambda: connection.execute(statement).fetchall())
        connection.rollback()
    connection.execute("INSERT INTO kept VALUES (1)")
    fails("23505", lambda: connection.execute("INSERT INTO kept VALUES (1)"))
    connection.rollback()


@check
def batches(connection):
    cursor = connection.execute("CREATE TEMP TABLE many (id int, name text)")
    cursor.executemany("INSERT INTO many VALUES (?, ?)", [(n, f"n{n}") for n in range(100)])
    equal(cursor.execute("SELECT count(*), max(id) FROM many").fetchone()[1], 99)
    equal(cursor.execute("UPDATE many SET name = 'x' WHERE id < ?", [5]).rowcount, 5)


@check
def declared_cursors(_):
    connection = connect("UseDeclareFetch=1;Fetch=10")
    equal(sum(row[0] for row in connection.execute("SELECT n::int FROM generate_series(1, 100) AS t(n)")), 5050)
    connection.close()


main(lambda: (connect(),))
