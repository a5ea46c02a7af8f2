"""asyncpg: binary everywhere, statements prepared and described by itself, its pool's reset, its own look-up of types."""
import asyncio
import datetime as dt
import decimal
import io
import json
import uuid

import asyncpg

from checks import check, equal, main

D = decimal.Decimal
UTC = dt.timezone.utc


async def connect(**more):
    return await asyncpg.connect(timeout=20, **more)


async def fails(state, run):
    try:
        await run
    except asyncpg.PostgresError as error:
        equal(error.sqlstate, state, str(error))
        return error
    raise AssertionError(f"no error, {state} expected")


@check
async def connects(connection):
    equal(tuple(await connection.fetchrow("SELECT current_user, current_database()")), ("app", "streamgate"))
    assert connection.get_server_version().major >= 15
    assert connection._transport.get_extra_info("ssl_object") is not None
    equal(connection.get_settings().server_encoding, "UTF8")


@check
async def types_both_ways(connection):
    wrong = []
    for name, value in [
        ("bool", True), ("int2", -32768), ("int4", 2147483647), ("int8", -(2**63)), ("float4", 1.5), ("float8", -0.1), ("numeric", D("1234567890123456789.000000001")), ("numeric(10,2)", D("1.50")),
        ("text", "Grüße"), ("varchar(20)", "v"), ("date", dt.date(2024, 2, 29)), ("time", dt.time(13, 14, 15)), ("timestamp", dt.datetime(2024, 2, 29, 1, 2, 3, 4)),
        ("timestamptz", dt.datetime(2024, 2, 28, 23, 2, 3, tzinfo=UTC)), ("interval", dt.timedelta(days=1, hours=2, seconds=4.5)), ("uuid", uuid.UUID(int=17)), ("bytea", b"\x00\xff"),
        ("json", '{"a": 1}'), ("jsonb", '{"a": 1}'), ("int4[]", [1, None, 3]), ("text[]", ["a", None]), ("numeric[]", [D("1.5")]), ("uuid[]", [uuid.UUID(int=3)]), ("timestamptz[]", [dt.datetime(2024, 1, 1, tzinfo=UTC)]),
        ("int4[][]", [[1, 2], [3, 4]]), ("jsonb[]", ['{"a": 1}']), ("float8[]", []),
    ]:
        for given in (value, None):
            try:
                equal(await connection.fetchval(f"SELECT $1::{name}", given), given)
            except Exception as error:
                wrong.append(f"{name} {given}: {type(error).__name__} {error}")
    equal(wrong, [])


@check
async def parameters_without_types(connection):
    await connection.execute("CREATE TEMP TABLE untyped (id int, at timestamptz, name text, price numeric(10,2), day date)")
    await connection.executemany("INSERT INTO untyped VALUES ($1, $2, $3, $4, $5)", [(n, dt.datetime(2024, n, 1, tzinfo=UTC), f"n{n}", D("1.50") * n, dt.date(2024, n, 1)) for n in (1, 2)])

    async def ids(condition, *parameters):
        return [row["id"] for row in await connection.fetch(f"SELECT id FROM (SELECT * FROM untyped ORDER BY id) AS t WHERE {condition}", *parameters)]

    equal(await ids("true LIMIT $1", 1), [1])
    equal(await ids("true LIMIT $1 OFFSET $2", 5, 1), [2])
    equal(await ids("id = ANY($1)", [2, 9]), [2])
    equal(await ids("name = ANY($1)", ["n1"]), [1])
    equal(await ids("at >= $1", dt.datetime(2024, 1, 15, tzinfo=UTC)), [2])
    equal(await ids("day = $1", dt.date(2024, 2, 1)), [2])
    equal(await ids("price > $1", D("1.5")), [2])
    equal(await ids("id = $1 OR id = $1 + 1", 1), [1, 2])
    equal(await ids("at > now() - $1::interval", dt.timedelta(days=1)), [])
    equal(await ids("at + $1::interval > $2", dt.timedelta(days=30), dt.datetime(2024, 2, 15, tzinfo=UTC)), [2])
    equal(await ids("id IN ($1, $2)", 1, 2), [1, 2])
    equal(await ids("name LIKE $1 || '%'", "n2"), [2])
    equal(await connection.fetchval("SELECT $1", "text"), "text")
    equal(await connection.fetchval("SELECT coalesce($1, 0) + 1", None), 1)
    equal(await connection.fetchval("SELECT CASE WHEN $1 THEN $2 ELSE 'n' END", True, "y"), "y")
    equal(await connection.fetch("SELECT a, b FROM unnest($1::int[], $2::text[]) AS t(a, b)", [1, 2], ["x", "y"]), [(1, "x"), (2, "y")])
    equal(await connection.fetchval("INSERT INTO untyped (id) SELECT unnest($1::int[]) RETURNING id", [7]), 7)


@check
async def statements_describe_themselves(connection):
    await connection.execute("CREATE TEMP TABLE described (id int, name varchar(20), tags text[])")
    statement = await connection.prepare("SELECT id, name, tags FROM described WHERE id = $1 AND name = $2")
    equal([p.name for p in statement.get_parameters()][0], "int4")
    equal([(a.name, a.type.name) for a in statement.get_attributes()], [("id", "int4"), ("name", "varchar"), ("tags", "text[]")])
    equal(await statement.fetch(1, "x"), [])


@check
async def statements_are_cached_and_follow_declarations(connection):
    await connection.execute("CREATE TEMP TABLE changing (a int)")
    await connection.execute("INSERT INTO changing VALUES (1)")
    for _ in range(5):
        equal(await connection.fetchval("SELECT * FROM changing WHERE a = $1", 1), 1)
    await connection.execute("DROP TABLE changing")
    await fails("42P01", connection.fetchval("SELECT * FROM changing WHERE a = $1", 1))
    await connection.execute("CREATE TEMP TABLE changing (b text, a int)")
    equal(await connection.fetchrow("SELECT * FROM changing WHERE a = $1", 1), None)


@check
async def transactions(connection):
    await connection.execute("CREATE TEMP TABLE tx (a int)")
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("INSERT INTO tx VALUES (1)")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO tx VALUES (2)")
                await connection.execute("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            pass
        equal(await connection.fetchval("SHOW transaction_isolation"), "repeatable read")
    equal(await connection.fetch("SELECT a FROM tx"), [(1,)])
    transaction = connection.transaction(readonly=True)
    await transaction.start()
    await fails("25006", connection.execute("CREATE TABLE read_only_no (a int)"))
    await fails("25P02", connection.execute("SELECT 1"))
    await transaction.rollback()


@check
async def errors(connection):
    for state, statement in [("42P01", "SELECT * FROM nowhere"), ("42703", "SELECT nothing"), ("42601", "SELEC 1"), ("22P02", "SELECT 'x'::int"), ("22012", "SELECT 1/0"), ("42883", "SELECT nofunction(1)")]:
        await fails(state, connection.fetch(statement))
    await connection.execute("CREATE TEMP TABLE strict (id int PRIMARY KEY, n int NOT NULL)")
    await connection.execute("INSERT INTO strict VALUES (1, 1)")
    error = await fails("23505", connection.execute("INSERT INTO strict VALUES (1, 1)"))
    equal((error.constraint_name, error.table_name), ("strict_pkey", "strict"))
    error = await fails("23502", connection.execute("INSERT INTO strict VALUES (2, NULL)"))
    equal(error.column_name, "n")


@check
async def cursors(connection):
    async with connection.transaction():
        total = 0
        async for row in connection.cursor("SELECT * FROM generate_series(1, $1::int)", 1000, prefetch=50):
            total += row[0]
        equal(total, 500500)
        cursor = await connection.cursor("SELECT * FROM generate_series(1, 10)")
        equal((await cursor.fetchrow())[0], 1)
        await cursor.forward(3)
        equal([row[0] for row in await cursor.fetch(2)], [5, 6])


@check
async def copy(connection):
    await connection.execute("CREATE TEMP TABLE copied (id int, name text)")
    equal(await connection.copy_to_table("copied", source=io.BytesIO(b"1,a\n2,\n"), format="csv"), "COPY 2")
    out = io.BytesIO()
    equal(await connection.copy_from_query("SELECT * FROM copied WHERE id > $1 ORDER BY id", 0, output=out, format="csv", header=True), "COPY 2")
    equal(out.getvalue(), b"id,name\n1,a\n2,\n")


@check
async def copy_records(connection):
    await connection.execute("CREATE TEMP TABLE recorded (id int, name text, at timestamptz)")
    rows = [(n, None if n == 3 else f"n{n}", dt.datetime(2024, 1, 1, tzinfo=UTC)) for n in range(100)]
    equal(await connection.copy_records_to_table("recorded", records=rows), "COPY 100")
    equal(await connection.fetch("SELECT * FROM recorded ORDER BY id"), rows)


@check
async def cancel_by_time_out(connection):
    try:
        await connection.fetch("SELECT pg_sleep(20)", timeout=0.3)
    except TimeoutError:
        pass
    else:
        raise AssertionError("no time-out")
    equal(await connection.fetchval("SELECT 1"), 1)


@check
async def notifications(connection):
    heard = asyncio.Queue()
    await connection.add_listener("news", lambda _, pid, channel, payload: heard.put_nowait((channel, payload)))
    other = await connect()
    await other.execute("NOTIFY news, 'hello'")
    await other.close()
    equal(await asyncio.wait_for(heard.get(), 10), ("news", "hello"))
    await connection.remove_listener("news", lambda *_: None)


@check
async def pool(_):
    async with asyncpg.create_pool(min_size=1, max_size=3) as pool:
        async def work(number):
            async with pool.acquire() as connection:
                await connection.execute("SET application_name = 'used'")
                return await connection.fetchval("SELECT $1::int * 2", number)
        equal(await asyncio.gather(*map(work, range(20))), [n * 2 for n in range(20)])
        async with pool.acquire() as connection:
            equal(await connection.fetchval("SHOW application_name"), "")
            await connection.reset()


@check
async def json_codec(connection):
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    equal(await connection.fetchval("SELECT $1::jsonb", {"b": [1, None]}), {"b": [1, None]})
    await connection.reset_type_codec("jsonb", schema="pg_catalog")
    equal(await connection.fetchval("SELECT '[1]'::jsonb"), "[1]")


@check
async def catalog_types(connection):
    # Types that asyncpg does not know by heart are asked for with a recursive query over pg_type.
    found = await connection.fetchrow("SELECT oid, typname, typarray, ARRAY[1]::oid[] AS o, 'pg_class'::regclass AS c FROM pg_type WHERE typname = 'int4'")
    equal((found["oid"], found["typname"], found["typarray"], found["o"]), (23, "int4", 1007, [1]))


@check
async def notices(connection):
    said = []
    connection.add_log_listener(lambda _, message: said.append(message.message))
    await connection.execute("DROP TABLE IF EXISTS never_there")
    await asyncio.sleep(0.05)
    equal(said, ['table "never_there" does not exist, skipping'])


async def given():
    return (await connect(),)


main(given, asynchronous=True)
