"""psycopg 2: the simple protocol with texts, named cursors, COPY, execute_values, asynchronous notifications."""
import datetime as dt
import decimal
import io
import select
import threading
import uuid

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from checks import check, equal, main

D = decimal.Decimal
UTC = dt.timezone.utc
psycopg2.extras.register_uuid()


def connect(**more):
    return psycopg2.connect("", **more)  # everything from the PG variables


def fails(state, run):
    try:
        run()
    except psycopg2.Error as error:
        equal(error.pgcode, state, str(error))
        return error
    raise AssertionError(f"no error, {state} expected")


@check
def connects(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT current_user, current_database()")
    equal(cursor.fetchone(), ("app", "streamgate"))
    equal(connection.info.ssl_in_use, True)
    equal(connection.encoding, "UTF8")
    assert connection.server_version >= 150000, connection.server_version


@check
def types_both_ways(connection):
    cursor, wrong = connection.cursor(), []
    for name, value in [
        ("bool", True), ("int2", -32768), ("int4", 2147483647), ("int8", -(2**63)), ("float4", 1.5), ("float8", -0.1), ("float8", float("-inf")), ("numeric", D("1234567890123456789.000000001")),
        ("numeric(10,2)", D("1.50")), ("text", "Grüße's \\ %"), ("varchar(20)", "v"), ("date", dt.date(2024, 2, 29)), ("time", dt.time(13, 14, 15)), ("timestamp", dt.datetime(2024, 2, 29, 1, 2, 3, 4)),
        ("timestamptz", dt.datetime(2024, 2, 28, 23, 2, 3, tzinfo=UTC)), ("interval", dt.timedelta(days=1, hours=2, seconds=4.5)), ("uuid", uuid.UUID(int=17)), ("bytea", b"\x00\xff'\\"),
        ("int4[]", [1, None, 3]), ("text[]", ["a", "b c", None]), ("numeric[]", [D("1.5")]), ("date[]", [dt.date(2024, 2, 29)]), ("bool[]", [True, False]), ("int4[][]", [[1, 2], [3, 4]]),
        ("json", {"a": [1, None]}), ("jsonb", {"a": [1, None]}),
    ]:
        try:
            given = psycopg2.extras.Json(value) if name.startswith("json") else value
            cursor.execute(f"SELECT CAST(%s AS {name}), NULL::{name}", [given])
            found, null = cursor.fetchone()
            equal(bytes(found) if name == "bytea" else found, value)
            equal(null, None)
        except Exception as error:
            connection.rollback()
            wrong.append(f"{name}: {error}")
    equal(wrong, [])


@check
def errors_and_transactions(connection):
    cursor = connection.cursor()
    for state, statement in [("42P01", "SELECT * FROM nowhere"), ("42703", "SELECT nothing"), ("42601", "SELEC 1"), ("22P02", "SELECT 'x'::int"), ("22012", "SELECT 1/0")]:
        fails(state, lambda: cursor.execute(statement))
        fails("25P02", lambda: cursor.execute("SELECT 1"))
        connection.rollback()
    cursor.execute("CREATE TEMP TABLE kept (a int PRIMARY KEY)")
    connection.commit()
    cursor.execute("INSERT INTO kept VALUES (1); SAVEPOINT s; INSERT INTO kept VALUES (2); ROLLBACK TO s")
    connection.commit()
    fails("23505", lambda: cursor.execute("INSERT INTO kept VALUES (1)"))
    connection.rollback()
    cursor.execute("SELECT * FROM kept")
    equal(cursor.fetchall(), [(1,)])
    with connection:
        cursor.execute("DELETE FROM kept")
        equal(cursor.rowcount, 1)
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
    cursor.execute("SHOW transaction_isolation")
    equal(cursor.fetchone()[0], "serializable")


@check
def named_cursors(connection):
    with connection.cursor("numbers") as cursor:
        cursor.itersize = 10
        cursor.execute("SELECT n, n::text FROM generate_series(1, 100) AS t(n)")
        equal(next(cursor), (1, "1"))
        equal(sum(row[0] for row in cursor), 5049)
    with connection.cursor("scrolling", scrollable=True) as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 10)")
        cursor.scroll(4)
        equal(cursor.fetchone(), (5,))
        cursor.scroll(-2)
        equal(cursor.fetchone(), (4,))
    with connection.cursor("held", withhold=True) as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 3)")
        connection.commit()
        equal(cursor.fetchall(), [(1,), (2,), (3,)])


@check
def copy(connection):
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE copied (id int, name text)")
    cursor.copy_from(io.StringIO("1\ta\n2\t\\N\n"), "copied")
    cursor.copy_expert("COPY copied FROM STDIN WITH (FORMAT csv, HEADER, NULL 'none')", io.StringIO("id,name\n3,none\n4,\"x,y\"\n"))
    equal(cursor.rowcount, 2)
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT WITH (FORMAT csv)", out)
    equal(out.getvalue(), '1,a\n2,\n3,\n4,"x,y"\n')
    out = io.StringIO()
    cursor.copy_to(out, "copied", columns=("id",))
    equal(sorted(out.getvalue().split()), ["1", "2", "3", "4"])


@check
def helpers(connection):
    cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
    cursor.execute("CREATE TEMP TABLE helped (id int, name text, tags text[])")
    found = psycopg2.extras.execute_values(cursor, "INSERT INTO helped VALUES %s RETURNING id", [(n, f"n{n}", ["x"]) for n in range(250)], fetch=True)
    equal(len(found), 250)
    psycopg2.extras.execute_batch(cursor, "UPDATE helped SET name = %s WHERE id = %s", [("z", n) for n in range(5)])
    cursor.execute("SELECT count(*) AS n FROM helped WHERE name = 'z' AND id IN %s AND 'x' = ANY(tags)", [(1, 2, 3, 99)])
    equal(dict(cursor.fetchone()), {"n": 3})
    cursor.execute("SELECT id FROM helped WHERE id = ANY(%s) ORDER BY 1", [[4, 5]])
    equal([row["id"] for row in cursor], [4, 5])
    cursor.execute("SELECT 1::int8 AS a, 'x'::text AS b, 1.5::numeric(5,2) AS c")
    equal([(c.name, c.type_code, c.precision, c.scale) for c in cursor.description], [("a", 20, None, None), ("b", 25, None, None), ("c", 1700, 5, 2)])


@check
def type_registration(connection):
    # Each asks pg_type in its own way.
    psycopg2.extras.register_default_jsonb(connection)
    try:
        psycopg2.extras.register_hstore(connection)
    except psycopg2.ProgrammingError as error:
        assert "hstore type not found" in str(error), error
    else:
        raise AssertionError("hstore")
    connection.rollback()
    try:
        psycopg2.extras.register_composite("nosuchtype", connection)
    except psycopg2.ProgrammingError as error:
        assert "'nosuchtype'" in str(error), error


@check
def cancel(connection):
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    fails("57014", lambda: connection.cursor().execute("SELECT pg_sleep(20)"))
    timer.join()
    connection.rollback()
    connection.cursor().execute("SELECT 1")


@check
def notifications(connection):
    connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
    connection.cursor().execute("LISTEN news")
    other = connect()
    other.cursor().execute("NOTIFY news, 'hello'")
    other.commit()
    other.close()
    assert select.select([connection], [], [], 10)[0]
    connection.poll()
    equal([(n.channel, n.payload) for n in connection.notifies], [("news", "hello")])


@check
def notices(connection):
    connection.cursor().execute("DROP TABLE IF EXISTS never_there")
    equal(connection.notices, ['NOTICE:  table "never_there" does not exist, skipping\n'])


@check
def reset(connection):
    connection.cursor().execute("SET TIME ZONE 'Asia/Tokyo'")
    connection.commit()
    connection.reset()  # ABORT; RESET ALL; SET SESSION AUTHORIZATION DEFAULT
    cursor = connection.cursor()
    cursor.execute("SHOW TimeZone")
    assert cursor.fetchone()[0] != "Asia/Tokyo"


main(lambda: (connect(),))
