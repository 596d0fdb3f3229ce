/*
 * chatroom through PostgreSQL's JDBC driver: java Jdbc.java TASK...
 *
 * follow prints what happens in the room "lobby" until somebody says bye there;
 * post, sync, wait, listen and errors try that, and print "ok NAME" or "not ok
 * NAME" for each thing they looked at. The server is the one that PGHOST,
 * PGPORT, PGUSER and PGDATABASE name; not a unix socket, which JDBC doesn't
 * know.
 */
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Jdbc {
	static final PrintStream out =
		new PrintStream(System.out, true, StandardCharsets.UTF_8);
	static final String TEXT = "it's \"quoted\" \\ %s $1 👍";
	static int failures = 0;

	/**
	 * Connections are in autocommit mode, as wait wants it. With PgBouncer
	 * before the server, the next statement may be run by another connection
	 * that knows nothing of what this one has prepared.
	 */
	static Connection connect() throws SQLException {
		return DriverManager.getConnection(String.format(
			"jdbc:postgresql://%s:%s/%s?user=%s&prepareThreshold=%d",
			System.getenv("PGHOST"), System.getenv("PGPORT"), System.getenv("PGDATABASE"),
			System.getenv("PGUSER"), System.getenv("PGBOUNCER") == null ? 5 : 0));
	}

	/**
	 * The only value of a statement's answer. A CALL is written as such: JDBC
	 * would turn {call ...} into a SELECT.
	 */
	static String value(Connection connection, String sql, Object... params)
			throws SQLException {
		try (PreparedStatement statement = connection.prepareStatement(sql)) {
			for (int i = 0; i < params.length; i++)
				statement.setObject(i + 1, params[i]);
			statement.execute();
			try (ResultSet result = statement.getResultSet()) {
				result.next();
				return result.getString(1);
			}
		}
	}

	static JsonObject json(Connection connection, String sql, Object... params)
			throws SQLException {
		return JsonParser.parseString(value(connection, sql, params)).getAsJsonObject();
	}

	static String get(JsonObject object, String name) {
		return object.get(name).getAsString();
	}

	static void postFromElsewhere(String text) throws SQLException {
		try (Connection connection = connect()) {
			value(connection, "SELECT chatroom.post('lobby', 'bobby', ?)", text);
		}
	}

	/** What is wrong with each field. */
	static JsonObject formErrors(PSQLException error) {
		String detail = error.getServerErrorMessage().getDetail();
		JsonObject errors = new JsonObject();

		for (JsonElement rule : JsonParser.parseString(detail).getAsJsonArray())
			errors.add(get(rule.getAsJsonObject(), "field"), rule.getAsJsonObject().get("message"));
		return errors;
	}

	static void follow() throws Exception {
		String since = null;

		while (true) {
			try (Connection connection = connect()) {
				while (true) {
					JsonObject answer =
						json(connection, "CALL chatroom.follow_room('lobby', ?::text)", since);

					since = get(answer, "cursor");
					if (answer.get("reset").getAsBoolean()) {
						out.println("loaded " + answer.getAsJsonArray("messages").size());
						continue;
					}
					for (JsonElement element : answer.getAsJsonArray("events")) {
						JsonObject event = element.getAsJsonObject();

						if (!get(event, "table").equals("chat.messages")
								|| !get(event, "type").equals("insert"))
							continue;
						out.println(get(event.getAsJsonObject("row"), "text"));
						if (get(event.getAsJsonObject("row"), "text").equals("bye"))
							return;
					}
				}
			} catch (SQLException error) {
				if (!error.getSQLState().matches("(08|57P).*"))
					throw error;
				Thread.sleep(200); // and go on from the cursor
			}
		}
	}

	static void post() throws SQLException {
		String send = "SELECT chatroom.post(?, ?, ?, client_key => ?)";
		String key = UUID.randomUUID().toString();

		try (Connection connection = connect()) {
			JsonObject sent = json(connection, send, "lobby", "alice", TEXT, key);
			JsonObject again = json(connection, send, "lobby", "alice", TEXT, key);
			JsonObject errors = new JsonObject();

			try {
				value(connection, send, "lobby", "al", "x", null);
			} catch (PSQLException error) {
				errors = formErrors(error);
			}
			report("post returns the message", differences(sent,
				object("username", "alice", "text", TEXT, "client_key", key)));
			report("the same client_key returns the same message", differences(again, sent));
			report("broken rules are told by field", differences(errors,
				object("username", "should be at least 4 character(s)",
					"text", "should be at least 2 character(s)")));
		}
	}

	static JsonObject syncUntilNews(Connection connection, String topic, String since)
			throws Exception {
		while (true) {
			JsonObject answer = json(connection, "SELECT chatroom.sync(?, ?)", topic, since);

			if (answer.get("reset").getAsBoolean() || !answer.getAsJsonArray("events").isEmpty())
				return answer;
			Thread.sleep(10);
		}
	}

	static JsonObject firstEvent(JsonObject answer) {
		return answer.getAsJsonArray("events").get(0).getAsJsonObject();
	}

	static void sync() throws Exception {
		try (Connection connection = connect()) {
			JsonObject room = json(connection, "SELECT chatroom.join_room('lobby')");
			JsonObject sent = json(connection, "SELECT chatroom.post(?, 'alice', 'to a number')",
				room.getAsJsonObject("room").get("id").getAsLong());
			JsonObject answer =
				syncUntilNews(connection, get(room, "topic"), get(room, "cursor"));
			JsonObject nothing = new JsonObject();

			report("sync returns what happened since the cursor",
				differences(firstEvent(answer).getAsJsonObject("row"), sent));
			answer = json(connection, "SELECT chatroom.sync(?, ?)", get(room, "topic"),
				get(answer, "cursor"));
			nothing.addProperty("reset", false);
			nothing.add("events", new JsonArray());
			report("and nothing twice", differences(answer, nothing));
		}
	}

	static void waitForNews() throws Exception {
		String call = "CALL chatroom.wait(?, ?, ?::interval)";

		try (Connection connection = connect()) {
			JsonObject room = json(connection, "SELECT chatroom.join_room('lobby')");
			Object topics = connection.createArrayOf("text", new String[] {get(room, "topic")});
			JsonObject nothing = new JsonObject();
			CompletableFuture<Void> other = CompletableFuture.runAsync(() -> {
				try {
					postFromElsewhere("wake up");
				} catch (SQLException error) {
					throw new RuntimeException(error);
				}
			});
			JsonObject answer = json(connection, call, topics, get(room, "cursor"), "30s");
			JsonObject got = new JsonObject();

			other.join();
			report("wait returns when something happens",
				differences(firstEvent(answer).getAsJsonObject("row"),
					object("username", "bobby", "text", "wake up")));
			answer = json(connection, call, topics, get(answer, "cursor"), "10ms");
			nothing.add("events", new JsonArray());
			report("wait returns without events at its timeout", differences(answer, nothing));
			connection.setAutoCommit(false);
			try {
				json(connection, call, topics, get(answer, "cursor"), "10ms");
			} catch (SQLException error) {
				got.addProperty("sqlstate", error.getSQLState());
			}
			report("wait refuses a transaction block",
				differences(got, object("sqlstate", "25001")));
		}
	}

	static void listen() throws SQLException {
		try (Connection connection = connect()) {
			JsonObject room = json(connection, "SELECT chatroom.join_room('lobby')");
			String since = value(connection, "SELECT chatroom.listen(?)", get(room, "topic"));

			postFromElsewhere("ring");

			PGNotification[] notified =
				connection.unwrap(PGConnection.class).getNotifications(30_000);
			JsonObject answer =
				json(connection, "SELECT chatroom.sync(?, ?)", get(room, "topic"), since);

			report("a notification comes, with a cursor",
				differences(firstEvent(answer),
					object("cursor", notified[0].getParameter())));
			report("and sync tells what happened",
				differences(firstEvent(answer).getAsJsonObject("row"),
					object("username", "bobby", "text", "ring")));
		}
	}

	/** An object of these names and values. */
	static JsonObject object(String... members) {
		JsonObject object = new JsonObject();

		for (int i = 0; i < members.length; i += 2)
			object.addProperty(members[i], members[i + 1]);
		return object;
	}

	/** Tell of one thing, and of what is wrong with it. */
	static void report(String name, List<String> problems) {
		out.println((problems.isEmpty() ? "ok " : "not ok ") + name);
		for (String problem : problems)
			out.println("# " + problem.replace("\n", "\n# "));
		failures += problems.isEmpty() ? 0 : 1;
	}

	/** What of the things expected is otherwise. */
	static List<String> differences(JsonObject got, JsonObject expected) {
		List<String> problems = new ArrayList<>();

		for (String key : expected.keySet()) {
			JsonElement value = got.has(key) ? got.get(key) : JsonNull.INSTANCE;

			if (!value.equals(expected.get(key)))
				problems.add(key + ": " + value + ", expected " + expected.get(key));
		}
		return problems;
	}

	static JsonElement string(String string) {
		return string == null ? JsonNull.INSTANCE : new JsonPrimitive(string);
	}

	/** All that an error tells; the broken rules, where there are any. */
	static JsonObject errorFields(PSQLException error) {
		ServerErrorMessage server = error.getServerErrorMessage();
		String detail = server.getDetail();
		JsonObject fields = new JsonObject();

		fields.add("sqlstate", string(error.getSQLState()));
		fields.add("message", string(server.getMessage()));
		fields.add("schema", string(server.getSchema()));
		fields.add("table", string(server.getTable()));
		fields.add("column", string(server.getColumn()));
		fields.add("constraint", string(server.getConstraint()));
		if (detail != null && detail.startsWith("["))
			fields.add("detail", JsonParser.parseString(detail));
		else
			fields.add("detail", string(detail));
		return fields;
	}

	static void setParameter(PreparedStatement statement, int i, JsonElement value)
			throws SQLException {
		if (value.isJsonNull())
			statement.setNull(i, Types.NULL);
		else if (value.getAsJsonPrimitive().isNumber())
			statement.setLong(i, value.getAsLong());
		else
			statement.setString(i, value.getAsString());
	}

	/** The answer of a query as JSON; null where there is none. */
	static JsonElement answer(PreparedStatement statement) throws SQLException {
		if (!statement.execute())
			return JsonNull.INSTANCE;
		try (ResultSet result = statement.getResultSet()) {
			result.next();
			if (result.getMetaData().getColumnTypeName(1).startsWith("json"))
				return JsonParser.parseString(result.getString(1));
			return string(result.getString(1));
		}
	}

	/** Run one statement of errors.json. */
	static List<String> runCase(Connection connection, JsonObject test)
			throws SQLException {
		JsonObject got = new JsonObject();

		try (PreparedStatement statement =
				connection.prepareStatement(test.get("sql").getAsString())) {
			JsonArray params = test.has("params") ?
				test.getAsJsonArray("params") : new JsonArray();

			for (int i = 0; i < params.size(); i++)
				setParameter(statement, i + 1, params.get(i));
			got.add("answer", answer(statement));
		} catch (PSQLException error) {
			if (error.getServerErrorMessage() == null)
				throw error;
			got = errorFields(error);
		}
		return differences(got, test.getAsJsonObject("expect"));
	}

	static void errors() throws Exception {
		String cases = Files.readString(Path.of("errors.json"));

		try (Connection connection = connect()) {
			for (JsonElement test : JsonParser.parseString(cases).getAsJsonArray())
				report(test.getAsJsonObject().get("name").getAsString(),
					runCase(connection, test.getAsJsonObject()));
		}
	}

	static void check() {
		out.println(org.postgresql.util.DriverInfo.DRIVER_FULL_NAME +
			", Java " + Runtime.version().feature());
	}

	public static void main(String[] tasks) throws Exception {
		for (String task : tasks) {
			switch (task) {
				case "check" -> check();
				case "follow" -> follow();
				case "post" -> post();
				case "sync" -> sync();
				case "wait" -> waitForNews();
				case "listen" -> listen();
				case "errors" -> errors();
				default -> throw new IllegalArgumentException(task);
			}
		}
		System.exit(failures > 0 ? 1 : 0);
	}
}
