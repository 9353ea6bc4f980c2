// Each way in which a Node driver talks to a server, one after the other: prints "WAY ok" for each. The connection is in PGHOST and so on.
// Usage: node node.mjs pg|postgres
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import assert from 'node:assert/strict';
import pg from 'pg';
import copy from 'pg-copy-streams';
import postgres from 'postgres';

const ROWS = 2000;
const where = {
  host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER, database: process.env.PGDATABASE,
  password: process.env.PGPASSWORD, // By the driver alone, an address is compared with the name localhost.
  ssl: { ca: readFileSync(process.env.PGSSLROOTCERT, 'utf8'), host: process.env.PGHOST },
};
const lines = Array.from({ length: ROWS }, (_, i) => `${i}\tzeile ä ${i}\n`);
const say = (way) => console.log(`${way} ok`);

async function text(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

// One query runs until it is cancelled from beside.
async function cancelled(running, cancel) {
  setTimeout(cancel, 300);
  await assert.rejects(running, (e) => e.code === '57014');
}

async function withPg() {
  const c = new pg.Client(where);
  await c.connect();
  assert.deepEqual((await c.query("select 42 as n, 'ä' as t")).rows, [{ n: 42, t: 'ä' }]);
  say('plain');
  for (const n of [1, 2, 3]) {
    const r = await c.query({ name: 'twice', text: 'select $1::int * 2 as n, $2::text as t', values: [n, null] });
    assert.deepEqual(r.rows, [{ n: n * 2, t: null }]);
  }
  say('prepared');
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => c.query('select $1::int as n', [i])));
  assert.deepEqual(all.map((r) => r.rows[0].n), Array.from({ length: 50 }, (_, i) => i));
  say('queued');
  // Not -7: pg 8 takes binary values for UTF-8.
  assert.deepEqual((await c.query({ text: 'select $1::int as n', values: [7], binary: true })).rows, [{ n: 7 }]);
  say('binary');
  await c.query('create temp table lines (i int, t text)');
  await pipeline(Readable.from(lines), c.query(copy.from('copy lines from stdin')));
  assert.equal(await text(c.query(copy.to('copy (select * from lines order by i) to stdout'))), lines.join(''));
  say('copy');
  const q = new pg.Query('select pg_sleep(30)');
  await cancelled(
    new Promise((_, no) => { q.on('error', no); c.query(q); }),
    () => new pg.Client(where).cancel(c, q),
  );
  assert.equal((await c.query('select 1 as n')).rows[0].n, 1);
  say('cancel');
  await c.end();
}

async function withPostgres() {
  const sql = postgres({ ...where, max: 1 });
  assert.deepEqual([...await sql.unsafe("select 42 as n, 'ä' as t")], [{ n: 42, t: 'ä' }]);
  say('plain');
  for (const n of [1, 2, 3]) {
    assert.deepEqual([...await sql`select ${n}::int * 2 as n, ${null}::text as t`], [{ n: n * 2, t: null }]);
  }
  say('prepared');
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => sql`select ${i}::int as n`));
  assert.deepEqual(all.map((r) => r[0].n), Array.from({ length: 50 }, (_, i) => i));
  say('pipelined');
  await sql`create temp table lines (i int, t text)`;
  await pipeline(Readable.from(lines), await sql`copy lines from stdin`.writable());
  assert.equal(await text(await sql`copy (select * from lines order by i) to stdout`.readable()), lines.join(''));
  say('copy');
  const running = sql`select pg_sleep(30)`;
  running.catch(() => {});
  await cancelled(running, () => running.cancel());
  assert.equal((await sql`select 1 as n`)[0].n, 1);
  say('cancel');
  await sql.end();
}

await { pg: withPg, postgres: withPostgres }[process.argv[2]]();
