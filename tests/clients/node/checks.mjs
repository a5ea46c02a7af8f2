// What the suites in JavaScript share: checks run one after the other, each prints its line.
import assert from 'node:assert/strict'

const checks = []
export const check = (name, run) => checks.push([name, run])
export const equal = (found, expected) => assert.deepStrictEqual(found, expected)

/** The SQLSTATE of an error that must come. */
export async function fails(state, promise) {
  try {
    await promise
  } catch (error) {
    if (error.code !== state) throw new Error(`${error.code} ${error.message}, not ${state}`)
    return error
  }
  throw new Error(`no error, ${state} expected`)
}

export async function main(given) {
  let failed = false
  for (const [name, run] of checks) {
    let connection
    try {
      connection = await given.open()
      await Promise.race([run(connection), new Promise((_, late) => setTimeout(() => late(new Error('a time-out')), 30000).unref())])
      console.log(`ok ${name}`)
    } catch (error) {
      failed = true
      const line = /(?:pg|postgres)\.mjs:(\d+)/.exec(error?.stack ?? '')?.[1] ?? '?'
      console.log(`FAIL ${name}: line ${line}: ${String(error).replace(/\s+/g, ' ').slice(0, 600)}`)
    } finally {
      if (connection) await Promise.race([given.close(connection), new Promise((done) => setTimeout(done, 5000).unref())]).catch(() => {})
    }
  }
  process.exit(failed ? 1 : 0)
}
