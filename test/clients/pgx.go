// chatroom through Go's pgx: pgx TASK...
//
// follow prints what happens in the room "lobby" until somebody says bye there;
// post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
// NAME" for each thing they looked at. The server is the one that PGHOST,
// PGPORT, PGUSER and PGDATABASE name.
//
// This is pgx 4, which Debian has. For pgx 5, say v5 and v5/pgconn in the
// imports, and in connect DefaultQueryExecMode = pgx.QueryExecModeExec instead
// of PreferSimpleProtocol.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

const text = `it's "quoted" \ %s $1 👍`

var (
	ctx      = context.Background()
	failures = 0
)

type message struct {
	ID        int64
	RoomID    int64 `json:"room_id"`
	Username  string
	Text      string
	ClientKey *string `json:"client_key"`
}

type event struct {
	Cursor, Type, Table string
	Row                 json.RawMessage // a message, if Table says so
}

// What sync and wait answer, and follow_room; this one the rest, too, at first.
type answer struct {
	Cursor   string
	Reset    bool
	Events   []event
	Messages []message
}

// What join_room answers.
type room struct {
	Cursor, Topic string
	Room          struct{ ID int64 }
	Messages      []message
}

func connect() (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("")
	if err != nil {
		return nil, err
	}
	// With PgBouncer before the server, the next statement may be run by
	// another connection that knows nothing of what this one has prepared.
	config.PreferSimpleProtocol = os.Getenv("PGBOUNCER") != ""
	return pgx.ConnectConfig(ctx, config)
}

func mustConnect() *pgx.Conn {
	conn, err := connect()
	must(err)
	return conn
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The only value of a statement's answer, JSON, goes into what it belongs to.
func query(conn *pgx.Conn, into interface{}, sql string, params ...interface{}) error {
	var raw []byte
	if err := conn.QueryRow(ctx, sql, params...).Scan(&raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func postFromElsewhere(what string) {
	var sent message
	conn := mustConnect()
	defer conn.Close(ctx)
	must(query(conn, &sent, "SELECT chatroom.post('lobby', 'bobby', $1)", what))
}

// What is wrong with each field.
func formErrors(err error) map[string]string {
	var rules []struct{ Field, Message string }
	var refused *pgconn.PgError
	found := map[string]string{}

	if errors.As(err, &refused) && strings.HasPrefix(refused.Detail, "[") {
		must(json.Unmarshal([]byte(refused.Detail), &rules))
	}
	for _, rule := range rules {
		found[rule.Field] = rule.Message
	}
	return found
}

// Is the connection lost, or not to be had now?
func isLost(err error) bool {
	var told *pgconn.PgError
	if !errors.As(err, &told) {
		return true
	}
	return strings.HasPrefix(told.Code, "08") || strings.HasPrefix(told.Code, "57P")
}

// Follow the room with one connection, from a cursor that moves on.
func followUntilBye(since **string) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for {
		var news answer
		err := query(conn, &news, "CALL chatroom.follow_room('lobby'::text, $1)", *since)
		if err != nil {
			return err
		}
		*since = &news.Cursor
		if news.Reset {
			fmt.Println("loaded", len(news.Messages))
		}
		for _, event := range news.Events {
			var said message
			if event.Table != "chat.messages" || event.Type != "insert" {
				continue
			}
			must(json.Unmarshal(event.Row, &said))
			fmt.Println(said.Text)
			if said.Text == "bye" {
				return nil
			}
		}
	}
}

func follow() {
	var since *string
	for {
		err := followUntilBye(&since)
		if err == nil {
			return
		}
		if !isLost(err) {
			log.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // and go on from the cursor
	}
}

func post() {
	const send = "SELECT chatroom.post($1, $2, $3, client_key => $4)"
	var sent, again, none message
	key := fmt.Sprint("pgx ", time.Now().UnixNano())
	conn := mustConnect()
	defer conn.Close(ctx)

	must(query(conn, &sent, send, "lobby", "alice", text, key))
	must(query(conn, &again, send, "lobby", "alice", text, key))
	err := query(conn, &none, send, "lobby", "al", "x", nil)
	report("post returns the message", sent,
		message{sent.ID, sent.RoomID, "alice", text, &key})
	report("the same client_key returns the same message", again, sent)
	report("broken rules are told by field", formErrors(err), map[string]string{
		"username": "should be at least 4 character(s)",
		"text":     "should be at least 2 character(s)",
	})
}

func syncOnce(conn *pgx.Conn, topic, since string) (news answer) {
	must(query(conn, &news, "SELECT chatroom.sync($1, $2)", topic, since))
	return news
}

func syncUntilNews(conn *pgx.Conn, topic, since string) answer {
	for {
		news := syncOnce(conn, topic, since)
		if news.Reset || len(news.Events) > 0 {
			return news
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The message that the first event is about.
func firstMessage(news answer) (said message) {
	must(json.Unmarshal(news.Events[0].Row, &said))
	return said
}

func join(conn *pgx.Conn) (lobby room) {
	must(query(conn, &lobby, "SELECT chatroom.join_room('lobby')"))
	return lobby
}

func sync() {
	var sent message
	conn := mustConnect()
	defer conn.Close(ctx)
	lobby := join(conn)

	must(query(conn, &sent, "SELECT chatroom.post($1::bigint, 'alice', 'to a number')",
		lobby.Room.ID))
	news := syncUntilNews(conn, lobby.Topic, lobby.Cursor)
	report("sync returns what happened since the cursor", firstMessage(news), sent)
	news = syncOnce(conn, lobby.Topic, news.Cursor)
	report("and nothing twice", len(news.Events), 0)
}

func wait() {
	const call = "CALL chatroom.wait($1, $2, $3)"
	var news, none answer
	var refused *pgconn.PgError
	conn := mustConnect()
	defer conn.Close(ctx)
	lobby := join(conn)
	topics := []string{lobby.Topic}

	go postFromElsewhere("wake up")
	must(query(conn, &news, call, topics, lobby.Cursor, "30s"))
	report("wait returns when something happens", firstMessage(news).Text, "wake up")
	must(query(conn, &none, call, topics, news.Cursor, "10ms"))
	report("wait returns without events at its timeout", len(none.Events), 0)

	tx, err := conn.Begin(ctx)
	must(err)
	err = query(tx.Conn(), &none, call, topics, news.Cursor, "10ms")
	errors.As(err, &refused)
	report("wait refuses a transaction block", refused.SQLState(), "25001")
	must(tx.Rollback(ctx))
}

func listen() {
	var since string
	conn := mustConnect()
	defer conn.Close(ctx)
	lobby := join(conn)

	must(conn.QueryRow(ctx, "SELECT chatroom.listen($1)", lobby.Topic).Scan(&since))
	postFromElsewhere("ring")
	notification, err := conn.WaitForNotification(ctx)
	must(err)
	news := syncOnce(conn, lobby.Topic, since)
	report("a notification comes, with a cursor", notification.Payload, news.Events[0].Cursor)
	report("and sync tells what happened", firstMessage(news).Text, "ring")
}

// Tell of one thing: is it as expected?
func report(name string, got, expected interface{}) {
	if reflect.DeepEqual(got, expected) {
		fmt.Println("ok", name)
		return
	}
	failures++
	fmt.Printf("not ok %s\n# %#v\n# expected %#v\n", name, got, expected)
}

// All that an error tells; the broken rules, where there are any.
func errorFields(err error) map[string]interface{} {
	var told *pgconn.PgError
	var rules interface{}
	if !errors.As(err, &told) {
		log.Fatal(err)
	}
	fields := map[string]interface{}{
		"sqlstate":   told.Code,
		"message":    told.Message,
		"schema":     told.SchemaName,
		"table":      told.TableName,
		"column":     told.ColumnName,
		"constraint": told.ConstraintName,
		"detail":     told.Detail,
	}
	if json.Unmarshal([]byte(told.Detail), &rules) == nil {
		fields["detail"] = rules
	}
	return fields
}

type testCase struct {
	Name, SQL string
	Params    []interface{}
	Expect    map[string]interface{}
}

// Run one statement of errors.json; what of it was expected to be told.
func runCase(conn *pgx.Conn, test testCase) map[string]interface{} {
	told := map[string]interface{}{}
	sql := test.SQL
	for i, param := range test.Params {
		// What is cast is text there, and pgx would want a value of that type.
		sql = strings.Replace(sql, "?::", "$"+strconv.Itoa(i+1)+"::text::", 1)
		sql = strings.Replace(sql, "?", "$"+strconv.Itoa(i+1), 1)
		if number, ok := param.(float64); ok {
			test.Params[i] = int64(number)
		}
	}
	rows, err := conn.Query(ctx, sql, test.Params...)
	if err == nil {
		if rows.Next() {
			values, err := rows.Values()
			must(err)
			told["answer"] = values[0]
		}
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		told = errorFields(err)
	}
	for key := range told {
		if _, asked := test.Expect[key]; !asked {
			delete(told, key)
		}
	}
	for key, expected := range test.Expect {
		if told[key] == nil || expected == nil && told[key] == "" {
			told[key] = nil
		}
	}
	return told
}

func errorCases() {
	var cases []testCase
	file, err := os.ReadFile("errors.json")
	must(err)
	must(json.NewDecoder(bytes.NewReader(file)).Decode(&cases))
	conn := mustConnect()
	defer conn.Close(ctx)
	for _, test := range cases {
		report(test.Name, runCase(conn, test), test.Expect)
	}
}

func check() {
	fmt.Println("pgx 4")
}

func main() {
	log.SetFlags(0)
	tasks := map[string]func(){
		"check": check, "follow": follow, "post": post, "sync": sync,
		"wait": wait, "listen": listen, "errors": errorCases,
	}
	for _, task := range os.Args[1:] {
		tasks[task]()
	}
	if failures > 0 {
		os.Exit(1)
	}
}
