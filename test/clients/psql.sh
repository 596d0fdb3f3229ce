#!/bin/bash
# chatroom through psql: psql.sh TASK...
#
# follow prints what happens in the room "lobby" until somebody says bye there;
# post, sync, wait and listen try that, and print "ok NAME" or "not ok NAME" for
# each thing they looked at. The server is the one that PGHOST, PGPORT, PGUSER
# and PGDATABASE name.
set -u
text="it's \"quoted\" \\ %s \$1 👍"
failures=0

# psql for the statements on its standard input: their answers and nothing else.
ask()
{
	psql -XAtq -v ON_ERROR_STOP=1 "$@"
}

post_from_elsewhere()
{
	ask -v text="$1" <<'SQL'
SELECT chatroom.post('lobby', 'bobby', :'text') \gset
SQL
}

# What is wrong with each field, of what psql printed.
form_errors()
{
	ask -v rules="$(sed -n 's/^DETAIL:  //p')" <<'SQL'
SELECT rule ->> 'field', rule ->> 'message' FROM json_array_elements(:'rules') AS rule;
SQL
}

follow()
{
	local since= answer line bye=

	until [ $bye ]; do
		answer=$(ask -v since="$since" <<'SQL'
CALL chatroom.follow_room('lobby', nullif(:'since', '')) \gset
SELECT :'answer'::json ->> 'cursor';
SELECT 'loaded ' || json_array_length(:'answer'::json -> 'messages')
WHERE (:'answer'::json ->> 'reset')::boolean;
SELECT event #>> '{row,text}'
FROM json_array_elements(:'answer'::json -> 'events') AS event
WHERE event ->> 'table' = 'chat.messages' AND event ->> 'type' = 'insert';
SQL
		)
		case $? in
		0) ;;
		2) sleep 0.2; continue ;;	# no connection: go on from the cursor
		*) exit 1 ;;
		esac
		{
			read -r since
			while read -r line; do
				echo "$line"
				[ "$line" != bye ] || bye=1
			done
		} <<< "$answer"
	done
}

# $1 what, $2 is it so (t or f)?
report()
{
	if [ "$2" = t ]; then
		echo "ok $1"
	else
		printf 'not ok %s\n# %s\n' "$1" "$2"
		failures=1
	fi
}

post()
{
	local answer

	answer=$(ask -v text="$text" -v key="psql $$ $RANDOM" <<'SQL'
SELECT chatroom.post('lobby', 'alice', :'text', client_key => :'key') AS sent \gset
SELECT chatroom.post('lobby', 'alice', :'text', client_key => :'key') AS again \gset
SELECT :'sent'::json ->> 'text' = :'text';
SELECT :'again'::jsonb = :'sent';
SQL
	)
	report 'post returns the message' "$(sed -n 1p <<< "$answer")"
	report 'the same client_key returns the same message' "$(sed -n 2p <<< "$answer")"
	answer=$(ask -c "SELECT chatroom.post('lobby', 'al', 'x')" 2>&1 | form_errors)
	[ "$answer" = "username|should be at least 4 character(s)
text|should be at least 2 character(s)" ] && answer=t
	report 'broken rules are told by field' "$answer"
}

sync()
{
	local answer

	answer=$(ask <<'SQL'
SELECT room ->> 'cursor' AS since, room ->> 'topic' AS topic, room #>> '{room,id}' AS id
FROM chatroom.join_room('lobby') AS room \gset
SELECT chatroom.post(:id, 'alice', 'to a number') AS sent \gset
-- What was done before this is what sync() tells from now on.
SELECT chatroom.snapshot_cursor() AS now \gset
SELECT chatroom.sync(:'topic', :'since') AS answer \gset
SELECT (:'answer'::jsonb #> '{events,0,row}') = :'sent';
SELECT chatroom.sync(:'topic', :'answer'::json ->> 'cursor') ->> 'events' = '[]';
SQL
	)
	report 'sync returns what happened since the cursor' "$(sed -n 1p <<< "$answer")"
	report 'and nothing twice' "$(sed -n 2p <<< "$answer")"
}

wait_for_news()
{
	local answer since topic

	IFS='|' read -r since topic < <(ask <<'SQL'
SELECT room ->> 'cursor', room ->> 'topic' FROM chatroom.join_room('lobby') AS room;
SQL
	)
	post_from_elsewhere 'wake up' &
	answer=$(ask -v topic="$topic" -v since="$since" 2>&1 <<'SQL'
CALL chatroom.wait(ARRAY[:'topic'], :'since', '30s') \gset
SELECT :'answer'::json #>> '{events,0,row,text}' = 'wake up';
CALL chatroom.wait(ARRAY[:'topic'], :'answer'::json ->> 'cursor', '10ms') \gset
SELECT :'answer'::json ->> 'events' = '[]';
\set ON_ERROR_STOP off
BEGIN;
CALL chatroom.wait(ARRAY[:'topic'], :'since', '10ms') \gset
ROLLBACK;
\set VERBOSITY sqlstate
\errverbose
SQL
	)
	wait
	report 'wait returns when something happens' "$(sed -n 1p <<< "$answer")"
	report 'wait returns without events at its timeout' "$(sed -n 2p <<< "$answer")"
	[[ $answer == *"ERROR:  25001: "* ]] && answer=t
	report 'wait refuses a transaction block' "$answer"
}

listen()
{
	local topic since line= payload answer

	topic=$(ask -c "SELECT chatroom.join_room('lobby') ->> 'topic'")
	coproc session { ask; }
	echo "SELECT chatroom.listen('$topic');" >&"${session[1]}"
	read -r since <&"${session[0]}"
	post_from_elsewhere ring

	# psql looks for notifications after each statement.
	until [[ $line =~ ^Asynchronous\ notification\ .*\ payload\ \"([^\"]*)\" ]]; do
		echo "SELECT 'anything there?';" >&"${session[1]}"
		read -r line <&"${session[0]}"
	done
	payload=${BASH_REMATCH[1]}
	exec {session[1]}>&-

	answer=$(ask -v topic="$topic" -v since="$since" <<'SQL'
SELECT chatroom.sync(:'topic', :'since') AS answer \gset
SELECT :'answer'::json #>> '{events,0,cursor}', :'answer'::json #>> '{events,0,row,text}';
SQL
	)
	[ "${answer%|*}" = "$payload" ] && payload=t
	report 'a notification comes, with a cursor' "$payload"
	answer=${answer#*|}
	[ "$answer" = ring ] && answer=t
	report 'and sync tells what happened' "$answer"
}

for task in "$@"; do
	case $task in
	check) psql --version ;;
	follow | post | sync | listen) $task ;;
	wait) wait_for_news ;;
	*) echo "no task $task" >&2; exit 1 ;;
	esac
done
exit $failures
