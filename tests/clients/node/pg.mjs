// node-postgres: its client and pool, pg-cursor, pg-query-stream, pg-copy-streams.
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { Readable, Writable } from 'node:stream'
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { check, equal, fails, main } from './checks.mjs'

const open = async (more = {}) => {
  const client = new pg.Client(more) // everything else from the PG variables
  client.on('error', () => {})
  await client.connect()
  return client
}
const rows = async (client, ...query) => (await client.query(...query)).rows
const value = async (client, ...query) => Object.values((await rows(client, ...query))[0])[0]

check('connects', async (client) => {
  equal(await rows(client, 'SELECT current_user AS u, current_database() AS d'), [{ u: 'app', d: 'streamgate' }])
})

check('connects_with_tls', async () => {
  const client = await open({ ssl: { rejectUnauthorized: false } })
  equal(await value(client, 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'), true)
  await client.end()
})

check('wrong_password', async () => {
  await fails('28P01', open({ password: 'wrong' }))
})

check('types_both_ways', async (client) => {
  const wrong = []
  for (const [type, given, expected] of [
    ['bool', true, true], ['int2', -5, -5], ['int4', 2147483647, 2147483647], ['int8', '9007199254740993', '9007199254740993'], ['float8', -0.1, -0.1], ['numeric', '1.50', '1.50'], ['numeric(10,2)', 1.5, '1.50'],
    ['text', "Grüße's", "Grüße's"], ['varchar(5)', 'v', 'v'], ['timestamptz', new Date(Date.UTC(2024, 1, 29, 1, 2, 3, 4)), new Date(Date.UTC(2024, 1, 29, 1, 2, 3, 4))],
    ['uuid', '00112233-4455-6677-8899-aabbccddeeff', '00112233-4455-6677-8899-aabbccddeeff'], ['json', { a: [1, null] }, { a: [1, null] }], ['jsonb', { a: [1, null] }, { a: [1, null] }],
    ['bytea', Buffer.from([0, 255, 16]), Buffer.from([0, 255, 16])], ['int4[]', [1, null, 3], [1, null, 3]], ['text[]', ['a', 'b c', null], ['a', 'b c', null]], ['time', '13:14:15', '13:14:15'], ['float8[]', [1.5], [1.5]],
  ]) {
    for (const [parameter, found] of [[given, expected], [null, null]]) {
      try {
        equal(await value(client, `SELECT $1::${type} AS v`, [parameter]), found)
      } catch (error) {
        wrong.push(`${type} ${parameter}: ${error.message}`)
      }
    }
  }
  equal(wrong, [])
})

check('binary_results', async (client) => {
  const result = await client.query({ text: 'SELECT 7::int4 AS a, true AS b, 1.5::float8 AS c, 9::int8 AS d', values: [], binary: true, rowMode: 'array' })
  equal(result.rows[0].slice(0, 3), [7, true, 1.5])
})

check('parameters_without_types', async (client) => {
  await client.query('CREATE TEMP TABLE untyped (id int, at timestamptz, name text, price numeric(10,2), doc jsonb)')
  for (const id of [1, 2]) {
    await client.query('INSERT INTO untyped VALUES ($1, $2, $3, $4, $5)', [id, new Date(Date.UTC(2024, id, 1)), `n${id}`, 1.5 * id, { id }])
  }
  const ids = async (condition, ...parameters) =>
    (await rows(client, `SELECT id FROM (SELECT * FROM untyped ORDER BY id) AS t WHERE ${condition}`, parameters)).map((row) => row.id)
  equal(await ids('true LIMIT $1', 1), [1])
  equal(await ids('true LIMIT $1 OFFSET $2', '5', '1'), [2])
  equal(await ids('id = ANY($1)', [2, 5]), [2])
  equal(await ids('name = ANY($1)', ['n1']), [1])
  equal(await ids('at >= $1', new Date(Date.UTC(2024, 1, 15))), [2])
  equal(await ids('at >= $1', '2024-02-15'), [2])
  equal(await ids('price > $1', 1.5), [2])
  equal(await ids("doc ->> 'id' = $1", '2'), [2])
  equal(await ids('doc @> $1', { id: 1 }), [1])
  equal(await ids('id IN ($1, $2)', 1, '2'), [1, 2])
  equal(await ids('name LIKE $1', 'n%'), [1, 2])
  equal(await value(client, 'SELECT $1 AS v', ['text']), 'text')
  equal(await value(client, 'SELECT $1 || $2 AS v', ['a', 'b']), 'ab')
})

check('named_statements', async (client) => {
  for (let n = 0; n < 10; n++) equal(await value(client, { name: 'plus', text: 'SELECT $1::int + 1 AS v', values: [n] }), n + 1)
  equal((await rows(client, "SELECT name FROM pg_prepared_statements WHERE name = 'plus'")).length, 1)
})

check('several_statements', async (client) => {
  const results = await client.query("CREATE TEMP TABLE several (a int); INSERT INTO several VALUES (1), (2); SELECT * FROM several ORDER BY a")
  equal(results.map((result) => [result.command, result.rowCount]), [['CREATE', null], ['INSERT', 2], ['SELECT', 2]])
})

check('fields', async (client) => {
  await client.query('CREATE TABLE node_fields (a int, b varchar(7))')
  try {
    const { fields } = await client.query('SELECT a, b, a + 1 AS c FROM node_fields')
    equal(fields.map((f) => [f.name, f.dataTypeID, f.columnID, f.dataTypeModifier]), [['a', 23, 1, -1], ['b', 1043, 2, 11], ['c', 23, 0, -1]])
    equal(fields[0].tableID, await value(client, "SELECT 'node_fields'::regclass::oid"))
  } finally {
    await client.query('DROP TABLE node_fields')
  }
})

check('errors', async (client) => {
  for (const [state, text] of [['42P01', 'SELECT * FROM nowhere'], ['42703', 'SELECT nothing'], ['42601', 'SELEC 1'], ['22P02', "SELECT 'x'::int"], ['22012', 'SELECT 1/0']]) {
    await fails(state, client.query(text))
    await fails(state, client.query(text + ' ', []))
  }
  await client.query('CREATE TEMP TABLE strict (id int PRIMARY KEY); INSERT INTO strict VALUES (1)')
  const error = await fails('23505', client.query('INSERT INTO strict VALUES ($1)', [1]))
  equal([error.constraint, error.table], ['strict_pkey', 'strict'])
})

check('transactions', async (client) => {
  await client.query('CREATE TEMP TABLE tx (a int)')
  await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
  await client.query('INSERT INTO tx VALUES (1)')
  await client.query('SAVEPOINT s')
  await fails('22012', client.query('SELECT 1/0'))
  await fails('25P02', client.query('SELECT 1'))
  await client.query('ROLLBACK TO SAVEPOINT s')
  await client.query('COMMIT')
  equal(await rows(client, 'SELECT * FROM tx'), [{ a: 1 }])
})

check('cursor', async (client) => {
  const cursor = client.query(new Cursor('SELECT * FROM generate_series(1, $1::int) AS t(n)', [250]))
  let sum = 0
  for (let read = await cursor.read(100); read.length; read = await cursor.read(100)) sum += read.reduce((total, row) => total + row.n, 0)
  equal(sum, 31375)
  await cursor.close()
  const early = client.query(new Cursor('SELECT * FROM generate_series(1, 1000000)'))
  equal((await early.read(5)).length, 5)
  await early.close()
  equal(await value(client, 'SELECT 1 AS v'), 1)
})

check('query_stream', async (client) => {
  let sum = 0
  for await (const row of client.query(new QueryStream('SELECT * FROM generate_series(1, 2000) AS t(n)', [], { batchSize: 50 }))) sum += row.n
  equal(sum, 2001000)
})

check('copy_streams', async (client) => {
  await client.query('CREATE TEMP TABLE copied (id int, name text)')
  await pipeline(Readable.from(Array.from({ length: 1000 }, (_, n) => `${n}\tn${n}\n`)), client.query(copyFrom('COPY copied FROM STDIN')))
  equal(await value(client, 'SELECT count(*) FROM copied'), '1000')
  const chunks = []
  await pipeline(client.query(copyTo('COPY (SELECT id, name FROM copied WHERE id < 3 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)')), new Writable({ write(chunk, _, done) { chunks.push(chunk); done() } }))
  equal(Buffer.concat(chunks).toString(), 'id,name\n0,n0\n1,n1\n2,n2\n')
  await fails('22P02', pipeline(Readable.from(['x\ty\n']), client.query(copyFrom('COPY copied FROM STDIN'))))
})

check('notifications', async (client) => {
  await client.query('LISTEN news')
  const heard = once(client, 'notification')
  const other = await open()
  await other.query("NOTIFY news, 'hello'")
  await other.end()
  const [message] = await heard
  equal([message.channel, message.payload], ['news', 'hello'])
})

check('notices', async (client) => {
  const said = once(client, 'notice')
  await client.query('DROP TABLE IF EXISTS never_there')
  equal((await said)[0].message, 'table "never_there" does not exist, skipping')
})

check('pool', async () => {
  const pool = new pg.Pool({ max: 4, idleTimeoutMillis: 1000 })
  const found = await Promise.all(Array.from({ length: 40 }, async (_, n) => (await pool.query('SELECT $1::int AS n', [n])).rows[0].n))
  equal(found, Array.from({ length: 40 }, (_, n) => n))
  await pool.end()
})

check('cancel_and_time_outs', async (client) => {
  const other = await open()
  const pid = await value(client, 'SELECT pg_backend_pid() AS v')
  setTimeout(() => other.query('SELECT pg_cancel_backend($1)', [pid]), 300)
  await fails('57014', client.query('SELECT pg_sleep(20)'))
  await other.end()
  const limited = await open({ statement_timeout: 200 })
  await fails('57014', limited.query('SELECT pg_sleep(20)'))
  await limited.end()
})

main({ open, close: (client) => client.end() })
