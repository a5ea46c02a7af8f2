// postgres.js: prepared statements by default, types found at the start, pipelining, cursors, COPY, subscriptions to channels.
import postgres from 'postgres'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { check, equal, fails, main } from './checks.mjs'

const open = async (more = {}) => postgres({ max: 2, onnotice: () => {}, ssl: 'prefer', ...more })

check('connects', async (sql) => {
  equal([...(await sql`SELECT current_user AS u, current_database() AS d`)], [{ u: 'app', d: 'streamgate' }])
})

check('types_both_ways', async (sql) => {
  const date = new Date(Date.UTC(2024, 1, 29, 1, 2, 3, 4))
  const [row] = await sql`SELECT ${true}::bool AS b, ${7}::int4 AS i, ${'9007199254740993'}::int8 AS l, ${1.5}::float8 AS f, ${'1.50'}::numeric AS n, ${"it's"}::text AS t, ${date}::timestamptz AS d,
    ${sql.json({ a: [1, null] })}::jsonb AS j, ${Buffer.from([0, 255])}::bytea AS y, ${'00112233-4455-6677-8899-aabbccddeeff'}::uuid AS u, ${null}::int AS z`
  equal({ ...row }, { b: true, i: 7, l: '9007199254740993', f: 1.5, n: '1.50', t: "it's", d: date, j: { a: [1, null] }, y: Buffer.from([0, 255]), u: '00112233-4455-6677-8899-aabbccddeeff', z: null })
})

check('arrays', async (sql) => {
  const [row] = await sql`SELECT ${[1, 2, 3]}::int[] AS a, ${['x', 'y z']}::text[] AS b, '{1.5}'::numeric[] AS c, ARRAY['2024-01-01'::date] AS d`
  equal([row.a, row.b, row.c], [[1, 2, 3], ['x', 'y z'], ['1.5']])
  equal(row.d[0] instanceof Date, true)
})

check('parameters_without_types', async (sql) => {
  await sql.begin(async (tx) => {
    await tx`CREATE TEMP TABLE untyped (id int, at timestamptz, name text, price numeric(10,2))`
    await tx`INSERT INTO untyped ${tx([1, 2].map((id) => ({ id, at: new Date(Date.UTC(2024, id, 1)), name: `n${id}`, price: '1.50' })))}`
    const ids = async (query) => (await query).map((row) => row.id)
    equal(await ids(tx`SELECT id FROM untyped ORDER BY id LIMIT ${1}`), [1])
    equal(await ids(tx`SELECT id FROM untyped WHERE id = ANY(${[2, 5]})`), [2])
    equal(await ids(tx`SELECT id FROM untyped WHERE id IN ${tx([2, 5])}`), [2])
    equal(await ids(tx`SELECT id FROM untyped WHERE at >= ${new Date(Date.UTC(2024, 1, 15))}`), [2])
    equal(await ids(tx`SELECT id FROM untyped WHERE name = ${'n1'} AND price = ${1.5}`), [1])
    equal((await tx`UPDATE untyped SET ${tx({ name: 'z' }, 'name')} WHERE id = ${1} RETURNING *`)[0].name, 'z')
  })
})

check('errors', async (sql) => {
  await fails('42P01', sql`SELECT * FROM nowhere`)
  await fails('42703', sql`SELECT nothing`)
  await fails('42601', sql`SELEC 1`)
  await fails('22P02', sql`SELECT 'x'::int`)
  await fails('22012', sql`SELECT 1/0`)
  equal((await sql`SELECT 1 AS a`)[0].a, 1)
})

check('transactions_and_savepoints', async (sql) => {
  await sql`CREATE TABLE IF NOT EXISTS js_tx (a int)`
  try {
    await sql.begin(async (tx) => {
      await tx`INSERT INTO js_tx VALUES (1)`
      await tx.savepoint(async (inner) => {
        await inner`INSERT INTO js_tx VALUES (2)`
        throw new Error('back')
      }).catch(() => {})
    })
    await sql.begin(async (tx) => {
      await tx`INSERT INTO js_tx VALUES (3)`
      throw new Error('back')
    }).catch(() => {})
    equal([...(await sql`SELECT a FROM js_tx`)], [{ a: 1 }])
    const piped = await sql.begin((tx) => [tx`SELECT 1 AS a`, tx`SELECT 2 AS a`])
    equal(piped.map((rows) => rows[0].a), [1, 2])
  } finally {
    await sql`DROP TABLE js_tx`
  }
})

check('many_at_once', async (sql) => {
  const found = await Promise.all(Array.from({ length: 100 }, (_, n) => sql`SELECT ${n}::int AS n`))
  equal(found.map((rows) => rows[0].n), Array.from({ length: 100 }, (_, n) => n))
})

check('cursors_and_foreach', async (sql) => {
  let sum = 0
  for await (const rows of sql`SELECT * FROM generate_series(1, 250) AS t(n)`.cursor(100)) sum += rows.reduce((total, row) => total + row.n, 0)
  equal(sum, 31375)
  await sql`SELECT * FROM generate_series(1, 10) AS t(n)`.forEach((row) => { sum -= row.n })
  equal(sum, 31320)
})

check('copy', async () => {
  const sql = await open({ max: 1 })
  await sql`CREATE TEMP TABLE copied (id int, name text)`
  await pipeline(Readable.from(['1\ta\n', '2\tb\n']), await sql`COPY copied FROM STDIN`.writable())
  let text = ''
  for await (const chunk of await sql`COPY (SELECT * FROM copied ORDER BY id) TO STDOUT`.readable()) text += chunk
  equal(text, '1\ta\n2\tb\n')
  await sql.end()
})

check('describe_and_simple', async (sql) => {
  const described = await sql`SELECT ${1}::int + id AS a FROM (VALUES (1)) AS t(id)`.describe()
  equal([described.types, described.columns.map((c) => [c.name, c.type])], [[23], [['a', 23]]])
  const several = await sql`SELECT 1 AS a; SELECT 2 AS b`.simple()
  equal(several.map((rows) => ({ ...rows[0] })), [{ a: 1 }, { b: 2 }])
  equal((await sql.unsafe('SELECT $1 AS a', ['x']))[0].a, 'x')
})

check('without_prepared_statements', async () => {
  const sql = await open({ prepare: false, fetch_types: false }) // as behind a pooler
  equal((await sql`SELECT ${3}::int AS a`)[0].a, 3)
  await sql.end()
})

check('cancel', async (sql) => {
  const query = sql`SELECT pg_sleep(20)`
  setTimeout(() => query.cancel(), 300)
  await fails('57014', query)
})

check('notifications', async (sql) => {
  const heard = new Promise((done) => sql.listen('news', done, () => sql.notify('news', 'hello')))
  equal(await heard, 'hello')
})

main({ open, close: (sql) => sql.end({ timeout: 2 }) })
