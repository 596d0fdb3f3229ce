// chatroom through node's pg: node node_pg.js TASK...
//
// follow prints what happens in the room "lobby" until somebody says bye there;
// post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
// NAME" for each thing they looked at. The server is the one that PGHOST,
// PGPORT, PGUSER and PGDATABASE name.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const util = require('util');
const pg = require('pg');

const TEXT = 'it\'s "quoted" \\ %s $1 👍';
const sleep = util.promisify(setTimeout);
let failures = 0;

// The only value of a statement's answer; JSON comes as what it means.
async function value(client, text, ...values) {
  const result = await client.query({ text, values, rowMode: 'array' });

  return result.rows[0][0];
}

// Call a function with a client of its own.
async function withClient(use) {
  const client = new pg.Client();

  client.on('error', () => {}); // the query that is under way fails, too
  try {
    await client.connect();
    return await use(client);
  } finally {
    client.end().catch(() => {});
  }
}

function postFromElsewhere(text) {
  return withClient((client) =>
    value(client, "SELECT chatroom.post('lobby', 'bobby', $1)", text));
}

// What is wrong with each field.
function formErrors(error) {
  return Object.fromEntries(
    JSON.parse(error.detail).map((rule) => [rule.field, rule.message]));
}

// Is the connection lost, or not to be had now?
function isLost(error) {
  return !(error instanceof pg.DatabaseError) || /^(08|57P)/.test(error.code);
}

async function follow() {
  let since = null;

  async function untilBye(client) {
    for (;;) {
      const answer = await value(client, "CALL chatroom.follow_room('lobby', $1)", since);

      since = answer.cursor;
      if (answer.reset)
        console.log('loaded', answer.messages.length);
      for (const event of answer.events ?? []) {
        if (event.table === 'chat.messages' && event.type === 'insert')
          console.log(event.row.text);
        if (event.row?.text === 'bye')
          return true;
      }
    }
  }

  const lost = async (error) => {
    if (!isLost(error))
      throw error;
    await sleep(200); // and go on from the cursor
  };
  while (!(await withClient(untilBye).catch(lost)));
}

function post() {
  const send = 'SELECT chatroom.post($1, $2, $3, client_key => $4)';
  const key = crypto.randomUUID();

  return withClient(async (client) => {
    const sent = await value(client, send, 'lobby', 'alice', TEXT, key);
    const again = await value(client, send, 'lobby', 'alice', TEXT, key);
    const errors = await value(client, send, 'lobby', 'al', 'x', null).catch(formErrors);

    report('post returns the message',
           differences(sent, { username: 'alice', text: TEXT, client_key: key }));
    report('the same client_key returns the same message', differences(again, sent));
    report('broken rules are told by field', differences(errors, {
      username: 'should be at least 4 character(s)',
      text: 'should be at least 2 character(s)'
    }));
  });
}

async function syncUntilNews(client, topic, since) {
  for (;; await sleep(10)) {
    const answer = await value(client, 'SELECT chatroom.sync($1, $2)', topic, since);

    if (answer.events.length || answer.reset)
      return answer;
  }
}

function sync() {
  return withClient(async (client) => {
    const room = await value(client, "SELECT chatroom.join_room('lobby')");
    const sent = await value(client, "SELECT chatroom.post($1::bigint, 'alice', 'to a number')",
                             room.room.id);
    let answer = await syncUntilNews(client, room.topic, room.cursor);

    report('sync returns what happened since the cursor',
           differences(answer.events[0], { type: 'insert', row: sent }));
    answer = await value(client, 'SELECT chatroom.sync($1, $2)', room.topic, answer.cursor);
    report('and nothing twice', differences(answer, { reset: false, events: [] }));
  });
}

function wait() {
  const call = 'CALL chatroom.wait($1, $2, $3)';

  return withClient(async (client) => {
    const room = await value(client, "SELECT chatroom.join_room('lobby')");
    let [answer] = await Promise.all([
      value(client, call, [room.topic], room.cursor, '30s'),
      postFromElsewhere('wake up')
    ]);

    report('wait returns when something happens',
           differences(answer.events[0].row, { username: 'bobby', text: 'wake up' }));
    answer = await value(client, call, [room.topic], answer.cursor, '10ms');
    report('wait returns without events at its timeout', differences(answer, { events: [] }));
    await client.query('BEGIN');
    const got = await value(client, call, [room.topic], answer.cursor, '10ms').catch(errorFields);
    await client.query('ROLLBACK');
    report('wait refuses a transaction block', differences(got, { sqlstate: '25001' }));
  });
}

function listen() {
  return withClient(async (client) => {
    const room = await value(client, "SELECT chatroom.join_room('lobby')");
    const since = await value(client, 'SELECT chatroom.listen($1)', room.topic);
    const notified = new Promise((resolve) => client.once('notification', resolve));

    await postFromElsewhere('ring');
    const { payload } = await notified;
    const answer = await value(client, 'SELECT chatroom.sync($1, $2)', room.topic, since);

    report('a notification comes, with a cursor',
           differences(answer.events[0], { cursor: payload }));
    report('and sync tells what happened',
           differences(answer.events[0].row, { username: 'bobby', text: 'ring' }));
  });
}

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

  if (detail?.startsWith('['))
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

function errors() {
  const file = path.join(__dirname, 'errors.json');

  return withClient(async (client) => {
    for (const test of JSON.parse(fs.readFileSync(file, 'utf8')))
      report(test.name, await runCase(client, test));
  });
}

async function check() {
  console.log(`pg ${require('pg/package.json').version}, node ${process.version}`);
}

const tasks = { check, follow, post, sync, wait, listen, errors };

process.argv.slice(2)
  .reduce((before, task) => before.then(tasks[task]), Promise.resolve())
  .then(() => {
    process.exitCode = failures ? 1 : 0;
  });
