// Statements through node pg: {"name": ["statement", ...]} on stdin; for each name a line of JSON with all text that came and the values, raw, in
// base64. The connection is in PGHOST and so on.
import { readFileSync } from 'node:fs';
import pg from 'pg';

const where = {
  host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER, database: process.env.PGDATABASE,
  password: process.env.PGPASSWORD, ssl: { ca: readFileSync(process.env.PGSSLROOTCERT, 'utf8'), host: process.env.PGHOST },
};
// Values as they came.
const types = { getTypeParser: () => (value) => Buffer.from(value ?? '').toString('base64') };
const tell = (e) => JSON.stringify({ ...e, message: e.message });
let heard = '';

async function open() {
  const c = new pg.Client(where);
  c.on('notice', (n) => { heard += tell(n); });
  c.on('notification', (n) => { heard += n.payload; });
  c.on('error', (e) => { heard += tell(e); });
  await c.connect();
  return c;
}

const c = await open();
for (const [name, statements] of Object.entries(JSON.parse(readFileSync(0, 'utf8')))) {
  const rows = [];
  heard = '';
  for (const text of [...statements, ...(statements.length > 1 ? ['rollback', 'discard all'] : [])]) {
    try {
      const results = [await c.query({ text, types, rowMode: 'array' })].flat();
      for (const r of results) rows.push(...r.rows);
    } catch (e) {
      heard += tell(e);
    }
  }
  console.log(JSON.stringify([name, heard, rows]));
}
await c.end();
