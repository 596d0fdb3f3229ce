# chatroom through Ruby's pg: ruby ruby_pg.rb TASK...
#
# follow prints what happens in the room "lobby" until somebody says bye there;
# post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
# NAME" for each thing they looked at. The server is the one that PGHOST,
# PGPORT, PGUSER and PGDATABASE name.
require 'json'
require 'pg'
require 'securerandom'

TEXT = %q(it's "quoted" \ %s $1 👍)
$stdout.sync = true
$failures = 0

# A connection for the block, that makes of JSON and numbers what they mean.
# exec_params leaves nothing prepared behind, so PgBouncer is no matter.
def with_connection
  connection = PG.connect
  types = PG::BasicTypeMapForResults.new(connection)
  types.default_type_map = PG::TypeMapAllStrings.new
  connection.type_map_for_results = types
  yield connection
ensure
  connection&.finish
end

# The only value of a statement's answer.
def value(connection, sql, *params)
  connection.exec_params(sql, params).getvalue(0, 0)
end

# An array of texts, as a parameter.
def text_array(texts)
  PG::TextEncoder::Array.new.encode(texts)
end

def post_from_elsewhere(text)
  with_connection do |connection|
    value(connection, "SELECT chatroom.post('lobby', 'bobby', $1)", text)
  end
end

# What is wrong with each field.
def form_errors(error)
  detail = error.result.error_field(PG::PG_DIAG_MESSAGE_DETAIL)
  JSON.parse(detail).to_h { |rule| rule.values_at('field', 'message') }
end

def follow
  since = nil
  begin
    with_connection do |connection|
      loop do
        answer = value(connection, "CALL chatroom.follow_room('lobby', $1)", since)
        since = answer['cursor']
        puts "loaded #{answer['messages'].size}" if answer['reset']
        (answer['events'] || []).each do |event|
          next unless event['table'] == 'chat.messages' && event['type'] == 'insert'

          puts event['row']['text']
          return if event['row']['text'] == 'bye'
        end
      end
    end
  rescue PG::ConnectionBad, PG::UnableToSend, PG::OperatorIntervention, PG::ProtocolViolation
    sleep 0.2
    retry # and go on from the cursor
  end
end

def post
  send = 'SELECT chatroom.post($1, $2, $3, client_key => $4)'
  key = SecureRandom.uuid
  with_connection do |connection|
    sent = value(connection, send, 'lobby', 'alice', TEXT, key)
    report 'post returns the message', sent,
           { 'username' => 'alice', 'text' => TEXT, 'client_key' => key }
    again = value(connection, send, 'lobby', 'alice', TEXT, key)
    report 'the same client_key returns the same message', again, sent
    errors = begin
      value(connection, send, 'lobby', 'al', 'x', nil)
    rescue PG::CheckViolation => error
      form_errors(error)
    end
    report 'broken rules are told by field', errors,
           { 'username' => 'should be at least 4 character(s)',
             'text' => 'should be at least 2 character(s)' }
  end
end

def sync_until_news(connection, topic, since)
  loop do
    answer = value(connection, 'SELECT chatroom.sync($1, $2)', topic, since)
    return answer if answer['reset'] || answer['events'].any?

    sleep 0.01
  end
end

def sync
  with_connection do |connection|
    room = value(connection, "SELECT chatroom.join_room('lobby')")
    sent = value(connection, "SELECT chatroom.post($1::bigint, 'alice', 'to a number')",
                 room['room']['id'])
    answer = sync_until_news(connection, room['topic'], room['cursor'])
    report 'sync returns what happened since the cursor', answer['events'][0],
           { 'type' => 'insert', 'row' => sent }
    answer = value(connection, 'SELECT chatroom.sync($1, $2)', room['topic'], answer['cursor'])
    report 'and nothing twice', answer, { 'reset' => false, 'events' => [] }
  end
end

def wait
  call = 'CALL chatroom.wait($1, $2, $3)'
  with_connection do |connection|
    room = value(connection, "SELECT chatroom.join_room('lobby')")
    topics = text_array([room['topic']])
    other = Thread.new { post_from_elsewhere('wake up') }
    answer = value(connection, call, topics, room['cursor'], '30s')
    other.join
    report 'wait returns when something happens', answer['events'][0]['row'],
           { 'username' => 'bobby', 'text' => 'wake up' }
    answer = value(connection, call, topics, answer['cursor'], '10ms')
    report 'wait returns without events at its timeout', answer, { 'events' => [] }
    got = begin
      connection.transaction { value(connection, call, topics, answer['cursor'], '10ms') }
    rescue PG::Error => error
      error_fields(error)
    end
    report 'wait refuses a transaction block', got, { 'sqlstate' => '25001' }
  end
end

def listen
  with_connection do |connection|
    room = value(connection, "SELECT chatroom.join_room('lobby')")
    since = value(connection, 'SELECT chatroom.listen($1)', room['topic'])
    post_from_elsewhere('ring')
    payload = nil
    connection.wait_for_notify { |_channel, _pid, text| payload = text }
    answer = value(connection, 'SELECT chatroom.sync($1, $2)', room['topic'], since)
    report 'a notification comes, with a cursor', answer['events'][0], { 'cursor' => payload }
    report 'and sync tells what happened', answer['events'][0]['row'],
           { 'username' => 'bobby', 'text' => 'ring' }
  end
end

# Tell of one thing: what of the things expected is otherwise?
def report(name, got, expected)
  problems = expected.reject { |key, wanted| got[key] == wanted }
  puts "#{problems.empty? ? 'ok' : 'not ok'} #{name}"
  problems.each { |key, wanted| puts "# #{key}: #{got[key].inspect}, expected #{wanted.inspect}" }
  $failures += 1 if problems.any?
end

# All that an error tells; the broken rules, where there are any.
def error_fields(error)
  fields = {
    'sqlstate' => PG::PG_DIAG_SQLSTATE,
    'message' => PG::PG_DIAG_MESSAGE_PRIMARY,
    'schema' => PG::PG_DIAG_SCHEMA_NAME,
    'table' => PG::PG_DIAG_TABLE_NAME,
    'column' => PG::PG_DIAG_COLUMN_NAME,
    'constraint' => PG::PG_DIAG_CONSTRAINT_NAME,
    'detail' => PG::PG_DIAG_MESSAGE_DETAIL
  }.transform_values { |code| error.result.error_field(code) }
  if fields['detail']&.start_with?('[')
    fields['detail'] = JSON.parse(fields['detail'])
  end
  fields
end

# Run one statement of errors.json.
def run_case(connection, test)
  n = 0
  sql = test['sql'].gsub('?') { "$#{n += 1}" }
  result = connection.exec_params(sql, test['params'] || [])
  { 'answer' => result.ntuples.positive? ? result.getvalue(0, 0) : nil }
rescue PG::Error => error
  error_fields(error)
end

def errors
  cases = JSON.parse(File.read('errors.json', encoding: 'UTF-8'))
  with_connection do |connection|
    cases.each { |test| report test['name'], run_case(connection, test), test['expect'] }
  end
end

def check
  puts "pg #{PG::VERSION}, Ruby #{RUBY_VERSION}"
end

TASKS = %w[check follow post sync wait listen errors].freeze
ARGV.each { |task| TASKS.include?(task) ? send(task) : abort("no task #{task}") }
exit($failures.zero?)
