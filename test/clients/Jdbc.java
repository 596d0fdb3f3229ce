/*
 * chatroom through PostgreSQL's JDBC driver: java Jdbc.java check | errors
 *
 * The server is the one that PGHOST, PGPORT, PGUSER and PGDATABASE name; not a
 * unix socket, which JDBC doesn't know. Prints "ok NAME" or "not ok NAME" for
 * each thing that it looked at.
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
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class Jdbc {
	static final PrintStream out =
		new PrintStream(System.out, true, StandardCharsets.UTF_8);
	static int failures = 0;

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
		if (error.getSQLState().equals("23514") && detail.startsWith("["))
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

	static Connection connect() throws SQLException {
		return DriverManager.getConnection(String.format("jdbc:postgresql://%s:%s/%s?user=%s",
			System.getenv("PGHOST"), System.getenv("PGPORT"), System.getenv("PGDATABASE"),
			System.getenv("PGUSER")));
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

	public static void main(String[] args) throws Exception {
		switch (args[0]) {
			case "check" -> check();
			case "errors" -> errors();
			default -> throw new IllegalArgumentException(args[0]);
		}
		System.exit(failures > 0 ? 1 : 0);
	}
}
