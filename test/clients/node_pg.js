// chatroom through node's pg: node node_pg.js check | errors
//
// The server is the one that PGHOST, PGPORT, PGUSER and PGDATABASE name. Prints
// "ok NAME" or "not ok NAME" for each thing that it looked at.
'use strict';

const fs = require('fs');
const path = require('path');
const util = require('util');
const pg = require('pg');

let failures = 0;

// Tell of one thing, and of what is wrong with it.
function report(name, problems) {
  console.log((problems.length ? 'not ok ' : 'ok ') + name);
  for (const problem of problems)
    console.log('# ' + problem.replace(/\n/g, '\n# '));
  failures += problems.length ? 1 : 0;
}

// What of the things expected is otherwise.
function differences(got, expected) {
  return Object.keys(expected)
    .filter((key) => !util.isDeepStrictEqual(got[key] ?? null, expected[key]))
    .map((key) => `${key}: ${JSON.stringify(got[key])}, ` +
                  `expected ${JSON.stringify(expected[key])}`);
}

// All that an error tells; the broken rules, where there are any.
function errorFields(error) {
  let detail = error.detail;

  if (error.code === '23514' && detail?.startsWith('['))
    detail = JSON.parse(detail);
  return {
    sqlstate: error.code,
    message: error.message,
    schema: error.schema,
    table: error.table,
    column: error.column,
    constraint: error.constraint,
    detail
  };
}

// Run one statement of errors.json.
async function runCase(client, test) {
  let n = 0;
  let got;

  try {
    const text = test.sql.replace(/\?/g, () => `$${++n}`);
    const result = await client.query({ text, values: test.params ?? [], rowMode: 'array' });

    got = { answer: result.rows[0]?.[0] };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError))
      throw error;
    got = errorFields(error);
  }
  return differences(got, test.expect);
}

async function errors() {
  const file = path.join(__dirname, 'errors.json');
  const client = new pg.Client();

  await client.connect();
  for (const test of JSON.parse(fs.readFileSync(file, 'utf8')))
    report(test.name, await runCase(client, test));
  await client.end();
}

async function check() {
  console.log(`pg ${require('pg/package.json').version}, node ${process.version}`);
}

({ check, errors })[process.argv[2]]().then(() => {
  process.exitCode = failures ? 1 : 0;
});
