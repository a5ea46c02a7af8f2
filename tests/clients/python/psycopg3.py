"""psycopg 3: simple and extended protocol, text and binary, pipelines, COPY, cursors, cancel, notifications."""
import datetime as dt
import decimal
import ipaddress
import json
import threading
import uuid

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Json, Jsonb

from checks import check, equal, main

D = decimal.Decimal
UTC = dt.timezone.utc
# type, as SQL writes it, as Python has it
TYPES = [
    ("bool", "true", True),
    ("int2", "-32768", -32768),
    ("int4", "2147483647", 2147483647),
    ("int8", "-9223372036854775808", -(2**63)),
    ("float4", "1.5", 1.5),
    ("float8", "'-0.1'", -0.1),
    ("float8", "'Infinity'", float("inf")),
    ("numeric", "1234567890123456789.000000001", D("1234567890123456789.000000001")),
    ("numeric(10,2)", "1.50", D("1.50")),
    ("text", "'Grüße, 北京'", "Grüße, 北京"),
    ("varchar(20)", "'v'", "v"),
    ("date", "'2024-02-29'", dt.date(2024, 2, 29)),
    ("time", "'13:14:15.123456'", dt.time(13, 14, 15, 123456)),
    ("timestamp", "'2024-02-29 01:02:03.000004'", dt.datetime(2024, 2, 29, 1, 2, 3, 4)),
    ("timestamptz", "'2024-02-29 01:02:03+02'", dt.datetime(2024, 2, 28, 23, 2, 3, tzinfo=UTC)),
    ("interval", "'1 day 02:03:04.5'", dt.timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
    ("uuid", "'00112233-4455-6677-8899-aabbccddeeff'", uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
    ("json", """'{"a": [1, null]}'""", {"a": [1, None]}),
    ("jsonb", """'{"a": [1, null]}'""", {"a": [1, None]}),
    ("bytea", r"'\x00ff10'", b"\x00\xff\x10"),
    ("int4[]", "'{1,NULL,3}'", [1, None, 3]),
    ("int8[]", "'{}'", []),
    ("text[]", """'{a,"b c",NULL}'""", ["a", "b c", None]),
    ("numeric[]", "'{1.5,2}'", [D("1.5"), D("2")]),
    ("timestamptz[]", "'{2024-02-29 00:00:00+00}'", [dt.datetime(2024, 2, 29, tzinfo=UTC)]),
    ("uuid[]", "'{00112233-4455-6677-8899-aabbccddeeff}'", [uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")]),
    ("int4[][]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
]


def connect(**more):
    # Host, port, user, password and database come from the PG variables, sslmode is the default: prefer.
    return psycopg.connect(autocommit=True, **more)


def fails(state, run):
    try:
        run()
    except psycopg.Error as error:
        equal(error.sqlstate, state, str(error).splitlines()[0])
        return error
    raise AssertionError(f"no error, {state} expected")


@check
def connects_with_tls_and_password(connection):
    equal(connection.pgconn.ssl_in_use, True)
    equal(connection.pgconn.used_password, True)
    equal(connection.execute("SELECT current_user, current_database(), 1").fetchone(), ("app", "streamgate", 1))
    equal(connection.info.parameter_status("server_encoding"), "UTF8")
    equal(connection.info.parameter_status("integer_datetimes"), "on")
    equal(connection.info.parameter_status("standard_conforming_strings"), "on")


@check
def wrong_password_is_refused(_):
    try:
        connect(password="wrong")
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error
    else:
        raise AssertionError("let in")


@check
def types_come_as_text_and_binary(connection):
    wrong = []
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        for name, literal, value in TYPES:
            for text, expected in ((literal, value), ("NULL", None)):
                try:
                    found = cursor.execute(f"SELECT CAST({text} AS {name}) AS c").fetchone()[0]
                    equal(found, expected)
                    equal(type(found), type(expected))
                except Exception as error:
                    wrong.append(f"{name} {text} binary={binary}: {error}")
    equal(wrong, [])


@check
def types_go_as_text_and_binary(connection):
    wrong = []
    for marker in ("%t", "%b"):
        for name, _, value in TYPES:
            given = {"json": Json, "jsonb": Jsonb}.get(name, lambda v: v)(value)
            for parameter, expected in ((given, value), (None, None)):
                try:
                    equal(connection.execute(f"SELECT CAST({marker} AS {name})", [parameter]).fetchone()[0], expected)
                except Exception as error:
                    wrong.append(f"{name} {parameter!r} {marker}: {error}")
    equal(wrong, [])


@check
def result_columns_have_postgres_types(connection):
    cursor = connection.execute("SELECT 1 AS a, 'x' AS b, 1.5 AS c, now() AS d, true AS e, ARRAY[1] AS f, CAST('v' AS varchar(7)) AS g, CAST(1.5 AS numeric(6,2)) AS h")
    equal([(c.name, c.type_code) for c in cursor.description], [("a", 23), ("b", 25), ("c", 1700), ("d", 1184), ("e", 16), ("f", 1007), ("g", 1043), ("h", 1700)])
    equal((cursor.description[7].precision, cursor.description[7].scale), (6, 2))


@check
def simple_protocol_without_parameters(connection):
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SELECT 1; SELECT 2 AS b, 3; SELECT 'x' WHERE false")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
        equal(found, [[(1,)], [(2, 3)], []])
        equal(cursor.execute("SELECT %s, %s, %s", [1, "a'b", dt.date(2024, 1, 2)]).fetchone(), (1, "a'b", dt.date(2024, 1, 2)))


@check
def parameters_without_types(connection):
    connection.execute("CREATE TEMP TABLE untyped (id int, at timestamptz, name text, price numeric(10,2), day date, flag bool)")
    connection.execute("INSERT INTO untyped VALUES (1, '2024-01-01 00:00:00+00', 'a', 1.50, '2024-01-01', true), (2, '2024-06-01 00:00:00+00', 'b', 2.50, '2024-06-01', false)")

    def ids(condition, *parameters):
        return [row[0] for row in connection.execute(f"SELECT id FROM (SELECT * FROM untyped ORDER BY id) AS t WHERE {condition}", parameters)]

    equal(ids("true LIMIT %s", 1), [1])
    equal(ids("true LIMIT %s OFFSET %s", 5, 1), [2])
    equal(ids("id = ANY(%s)", [2, 3]), [2])
    equal(ids("name = ANY(%s)", ["a", "c"]), [1])
    equal(ids("at >= %s", dt.datetime(2024, 3, 1, tzinfo=UTC)), [2])
    equal(ids("at >= %s", "2024-03-01"), [2])
    equal(ids("day BETWEEN %s AND %s", dt.date(2024, 1, 1), "2024-02-01"), [1])
    equal(ids("price > %s", D("1.5")), [2])
    equal(ids("price > %s", 1), [1, 2])
    equal(ids("flag = %s", True), [1])
    equal(ids("name LIKE %s", "a%"), [1])
    equal(ids("%s::int IS NULL OR id = %s", None, 1), [1, 2])
    equal(ids("id IN (%s, %s)", 1, 2), [1, 2])
    equal(ids("id = %s", "2"), [2])
    equal(connection.execute("SELECT %s", ["text"]).fetchone()[0], "text")
    equal(connection.execute("SELECT coalesce(%s, 'b')", [None]).fetchone()[0], "b")
    equal(connection.execute("SELECT CASE WHEN %s THEN %s ELSE %s END", [True, "x", "y"]).fetchone()[0], "x")
    equal(connection.execute("SELECT at + %s FROM untyped WHERE id = 1", [dt.timedelta(days=1)]).fetchone()[0], dt.datetime(2024, 1, 2, tzinfo=UTC))


@check
def prepared_statements_are_reused(connection):
    for number in range(20):
        equal(connection.execute("SELECT %s + 1", [number], prepare=True).fetchone()[0], number + 1)
    equal(connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0], 1)
    connection.execute("DEALLOCATE ALL")
    equal(connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0], 0)


@check
def plans_follow_declarations(connection):
    connection.execute("CREATE TEMP TABLE changing (a int)")
    connection.execute("INSERT INTO changing VALUES (1)")
    for _ in range(8):
        equal(connection.execute("SELECT * FROM changing").fetchall(), [(1,)])
    connection.execute("DROP TABLE changing")
    fails("42P01", lambda: connection.execute("SELECT * FROM changing"))


@check
def errors_have_postgres_states(connection):
    for state, statement in [
        ("42P01", "SELECT * FROM nowhere"), ("42703", "SELECT nothing"), ("42601", "SELEC 1"), ("22P02", "SELECT 'x'::int"), ("22012", "SELECT 1/0"),
        ("42883", "SELECT nofunction(1)"), ("22003", "SELECT 32768::int2"), ("22007", "SELECT 'x'::date"), ("22008", "SELECT '2024-13-01'::date"),
        ("42804", "SELECT CASE WHEN 1 THEN 2 END"), ("42803", "SELECT a, count(*) FROM (VALUES (1)) AS t(a)"), ("21000", "SELECT (SELECT a FROM (VALUES (1), (2)) AS t(a))"),
        ("42704", "SELECT 1::nosuchtype"), ("42P02", "SELECT $1"), ("3F000", "CREATE TABLE noschema.t (a int)"), ("42702", "SELECT a FROM (VALUES (1)) AS t(a), (VALUES (1)) AS u(a)"),
    ]:
        fails(state, lambda: psycopg.ClientCursor(connection).execute(statement))
    error = fails("42703", lambda: connection.execute("SELECT 1, nothing"))
    equal(error.diag.statement_position, "11")
    equal(error.diag.severity, "ERROR")


@check
def constraints_of_tables(connection):
    connection.execute("CREATE TEMP TABLE strict (id int PRIMARY KEY, n int NOT NULL, u text UNIQUE, p int CHECK (p > 0))")
    connection.execute("INSERT INTO strict VALUES (1, 1, 'a', 1)")
    error = fails("23505", lambda: connection.execute("INSERT INTO strict VALUES (1, 1, 'b', 1)"))
    equal((error.diag.table_name, error.diag.constraint_name), ("strict", "strict_pkey"))
    fails("23505", lambda: connection.execute("INSERT INTO strict VALUES (2, 1, 'a', 1)"))
    error = fails("23502", lambda: connection.execute("INSERT INTO strict VALUES (3, NULL, 'c', 1)"))
    equal(error.diag.column_name, "n")
    fails("23514", lambda: connection.execute("INSERT INTO strict VALUES (4, 1, 'd', -1)"))
    equal(connection.execute("INSERT INTO strict VALUES (1, 9, 'z', 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n").fetchall(), [(1, 9)])


@check
def transactions_and_savepoints(connection):
    connection.execute("CREATE TEMP TABLE tx (a int)")
    with connection.transaction():
        connection.execute("INSERT INTO tx VALUES (1)")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO tx VALUES (2)")
                raise ValueError
        except ValueError:
            pass
        equal(connection.info.transaction_status.name, "INTRANS")
    equal(connection.execute("SELECT a FROM tx").fetchall(), [(1,)])
    connection.autocommit = False
    fails("22012", lambda: connection.execute("SELECT 1/0"))
    fails("25P02", lambda: connection.execute("SELECT 1"))
    equal(connection.info.transaction_status.name, "INERROR")
    connection.rollback()
    connection.execute("INSERT INTO tx VALUES (3)")
    connection.rollback()
    equal(connection.execute("SELECT a FROM tx").fetchall(), [(1,)])
    connection.rollback()
    connection.read_only = True
    fails("25006", lambda: connection.execute("CREATE TABLE read_only_no (a int)"))
    connection.rollback()


@check
def isolation_levels(connection):
    connection.autocommit = False
    for level in psycopg.IsolationLevel:
        connection.isolation_level = level
        equal(connection.execute("SHOW transaction_isolation").fetchone()[0], level.name.lower().replace("_", " "))
        connection.rollback()


@check
def server_side_cursors(connection):
    connection.autocommit = False
    with connection.cursor(name="numbers") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT * FROM generate_series(1, 100)")
        equal(cursor.fetchone(), (1,))
        equal([row[0] for row in cursor.fetchmany(3)], [2, 3, 4])
        equal(sum(row[0] for row in cursor), 5050 - 10)
    with connection.cursor(name="scrolling", scrollable=True) as cursor:
        cursor.execute("SELECT * FROM generate_series(1, 10)")
        cursor.scroll(5)
        equal(cursor.fetchone(), (6,))
        cursor.scroll(0, "absolute")
        equal(cursor.fetchone(), (1,))
    connection.commit()
    held = connection.cursor(name="held", withhold=True)
    held.execute("SELECT * FROM generate_series(1, 3)")
    connection.commit()
    equal(held.fetchall(), [(1,), (2,), (3,)])
    held.close()


@check
def rows_are_streamed(connection):
    rows = connection.cursor().stream("SELECT * FROM generate_series(1, 5000)")
    equal(sum(row[0] for row in rows), 5000 * 5001 // 2)


@check
def copy_in_and_out(connection):
    connection.execute("CREATE TEMP TABLE copied (id int, name text, at timestamptz)")
    with connection.cursor().copy("COPY copied (id, name, at) FROM STDIN") as copy:
        for number in range(1000):
            copy.write_row((number, None if number == 5 else f"tab\t{number}\\", dt.datetime(2024, 1, 1, tzinfo=UTC)))
    equal(connection.execute("SELECT count(*), count(name), min(name) FROM copied").fetchone(), (1000, 999, "tab\t0\\"))
    with connection.cursor().copy("COPY (SELECT id, name FROM copied WHERE id BETWEEN 4 AND 6 ORDER BY id) TO STDOUT") as copy:
        copy.set_types(["int4", "text"])
        equal(list(copy.rows()), [(4, "tab\t4\\"), (5, None), (6, "tab\t6\\")])
    with connection.cursor().copy("COPY (SELECT 1, 'a,b') TO STDOUT WITH (FORMAT csv, HEADER)") as copy:
        equal(b"".join(map(bytes, copy)), b'?column?,?column?\n1,"a,b"\n')
    fails("22P02", lambda: copy_text(connection, "COPY copied (id) FROM STDIN", "x\n"))
    equal(connection.execute("SELECT count(*) FROM copied").fetchone()[0], 1000)


def copy_text(connection, statement, text):
    with connection.cursor().copy(statement) as copy:
        copy.write(text)


@check
def copy_out_binary(connection):
    with connection.cursor().copy("COPY (SELECT 1::int4, 'x'::text, NULL::date) TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "date"])
        equal(list(copy.rows()), [(1, "x", None)])


@check
def copy_in_binary(connection):
    connection.execute("CREATE TEMP TABLE copied_binary (id int, name text, price numeric, at timestamptz, tags text[])")
    rows = [(1, "x", D("1.50"), dt.datetime(2024, 1, 1, tzinfo=UTC), ["a", None]), (2, None, None, None, None)]
    with connection.cursor().copy("COPY copied_binary FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "numeric", "timestamptz", "text[]"])
        for row in rows:
            copy.write_row(row)
    equal(connection.execute("SELECT * FROM copied_binary ORDER BY id").fetchall(), rows)


@check
def pipelines(connection):
    connection.execute("CREATE TEMP TABLE piped (a int)")
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int", [number]) for number in range(50)]
        connection.cursor().executemany("INSERT INTO piped VALUES (%s)", [(number,) for number in range(100)])
        pipeline.sync()
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(50)))
    equal(connection.execute("SELECT count(*) FROM piped").fetchone()[0], 100)
    try:
        with connection.pipeline():
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        equal(error.sqlstate, "22012")
    else:
        raise AssertionError("no error")
    equal(connection.execute("SELECT 1").fetchone(), (1,))


@check
def batches(connection):
    connection.execute("CREATE TEMP TABLE many (a int, b text)")
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO many VALUES (%s, %s) RETURNING a", [(n, str(n)) for n in range(10)], returning=True)
    found = [cursor.fetchone()[0]]
    while cursor.nextset():
        found.append(cursor.fetchone()[0])
    equal(found, list(range(10)))
    equal(cursor.execute("UPDATE many SET b = 'x' WHERE a < 4").rowcount, 4)
    equal(cursor.execute("DELETE FROM many WHERE a < 2").rowcount, 2)


@check
def cancel_and_time_out(connection):
    for cancel in (connection.cancel_safe, connection.cancel):
        told = []
        timer = threading.Timer(0.3, lambda: told.append(cancel()))
        timer.start()
        fails("57014", lambda: connection.execute("SELECT pg_sleep(20)"))
        timer.join()
        equal(told, [None])  # it raised nothing
    connection.execute("SET statement_timeout = '200ms'")
    fails("57014", lambda: connection.execute("SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b"))
    connection.execute("RESET statement_timeout")
    equal(connection.execute("SELECT 1").fetchone(), (1,))


@check
def notifications(connection):
    other = connect()
    connection.execute("LISTEN news")
    other.execute("NOTIFY news, 'hello'")
    other.execute("SELECT pg_notify('news', 'again')")
    equal([n.payload for n in connection.notifies(timeout=10, stop_after=2)], ["hello", "again"])
    other.close()


@check
def notices_reach_the_client(connection):
    said = []
    connection.add_notice_handler(lambda diagnostic: said.append(diagnostic.message_primary))
    connection.execute("DROP TABLE IF EXISTS never_there")
    equal(said, ['table "never_there" does not exist, skipping'])


@check
def discard_all_resets(connection):
    connection.execute("SET application_name = 'x'")
    connection.execute("CREATE TEMP TABLE thrown_away (a int)")
    connection.execute("DISCARD ALL")
    fails("42P01", lambda: connection.execute("SELECT * FROM thrown_away"))
    equal(connection.execute("SHOW application_name").fetchone()[0], "")


@check
def settings_and_startup_options(_):
    with connect(options="-c statement_timeout=5s -c TimeZone=Asia/Tokyo", application_name="suite") as connection:
        equal(connection.execute("SHOW statement_timeout").fetchone()[0], "5s")
        equal(connection.execute("SELECT current_setting('TimeZone'), current_setting('application_name')").fetchone(), ("Asia/Tokyo", "suite"))
        equal(str(connection.info.timezone), "Asia/Tokyo")
        equal(connection.execute("SELECT '2024-01-01 00:00:00+00'::timestamptz").fetchone()[0].isoformat(), "2024-01-01T09:00:00+09:00")
        connection.execute("SELECT set_config('app.user', 'me', false)")
        equal(connection.execute("SELECT current_setting('app.user'), current_setting('app.none', true)").fetchone(), ("me", None))


@check
def composed_statements(connection):
    connection.execute('CREATE TEMP TABLE "Odd Name" ("a b" int, "select" text)')
    connection.execute(sql.SQL("INSERT INTO {} ({}, {}) VALUES ({}, {})").format(*map(sql.Identifier, ["Odd Name", "a b", "select"]), 1, "it's"))
    connection.row_factory = dict_row
    equal(connection.execute('SELECT * FROM "Odd Name"').fetchone(), {"a b": 1, "select": "it's"})


@check
def type_lookup(connection):
    info = psycopg.types.TypeInfo.fetch(connection, "uuid")
    equal((info.oid, info.array_oid), (2950, 2951))
    equal(psycopg.types.TypeInfo.fetch(connection, "nosuchtype"), None)
    equal(psycopg.types.range.RangeInfo.fetch(connection, "nosuchrange"), None)
    equal(psycopg.types.enum.EnumInfo.fetch(connection, "nosuchenum"), None)
    equal(psycopg.types.composite.CompositeInfo.fetch(connection, "nosuchcomposite"), None)


@check
def inet_values(connection):
    equal(connection.execute("SELECT '10.1.2.3'::inet").fetchone()[0], ipaddress.ip_address("10.1.2.3"))


@check
def json_documents(connection):
    document = {"a": {"b": [1, 2, {"c": None}]}, "t": "ü"}
    equal(connection.execute("SELECT %s::jsonb -> 'a' -> 'b' ->> 2", [Jsonb(document)]).fetchone()[0], '{"c": null}')
    equal(connection.execute("SELECT %s::jsonb @> %s", [Jsonb(document), Jsonb({"t": "ü"})]).fetchone()[0], True)
    equal(json.loads(connection.execute("SELECT (%s::json)::text", [Json(document)]).fetchone()[0]), document)
    equal(connection.execute("SELECT row_to_json(t) FROM (SELECT 1 AS a, 'x' AS b) t").fetchone()[0], {"a": 1, "b": "x"})


@check
def ours_topic_table_and_job(connection):
    connection.execute("""CREATE TABLE pg3_orders (order_id INT, user_id INT, amount DECIMAL(10, 2)) WITH
        ('connector' = 'kafka', 'topic' = 'pg3_orders', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset', 'topic.create' = 'if-not-exists')""")
    connection.execute("""CREATE TABLE pg3_latest (user_id INT, order_id INT, amount DECIMAL(10, 2), PRIMARY KEY (user_id) NOT ENFORCED) WITH
        ('connector' = 'dynamodb', 'table-name' = 'pg3_latest', 'table.create' = 'if-not-exists')""")
    connection.execute("LISTEN streamgate_jobs")
    connection.execute("INSERT INTO pg3_latest SELECT user_id, order_id, amount FROM pg3_orders")
    connection.cursor().executemany("INSERT INTO pg3_orders VALUES (%s, %s, %s)", [(n, n % 3, D(n)) for n in range(30)])
    notice = next(iter(connection.notifies(timeout=30, stop_after=1)))
    assert "job" in json.loads(notice.payload), notice
    for _ in range(300):
        if connection.execute("SELECT count(*), max(order_id) FROM pg3_latest").fetchone() == (3, 29):
            break
        connection.execute("SELECT pg_sleep(0.1)")
    equal(connection.execute("SELECT * FROM pg3_latest WHERE user_id = %s", [2]).fetchall(), [(2, 29, D("29.00"))])


main(lambda: (connect(),))
