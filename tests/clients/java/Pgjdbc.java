// pgjdbc: metadata, binary transfer after prepareThreshold, fetch size, batches, cancel, COPY, notifications.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

public class Pgjdbc {
    interface Check { void run(Connection connection) throws Exception; }
    interface Call { void run() throws Exception; }

    static final boolean AGAINST_POSTGRES = System.getenv("CLIENTS_AGAINST").equals("postgres");
    static boolean failed = false;

    static Connection connect(String... more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        for (int i = 0; i < more.length; i += 2) properties.setProperty(more[i], more[i + 1]);
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), properties);
    }

    static void check(String name, Check check) {
        check(name, check, new String[0]);
    }

    static void check(String name, Check check, String... properties) {
        try (Connection connection = connect(properties)) {
            check.run(connection);
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            String line = "?";
            for (StackTraceElement frame : error.getStackTrace())
                if (frame.getClassName().startsWith("Pgjdbc") && !List.of("equal", "fails").contains(frame.getMethodName())) { line = "" + frame.getLineNumber(); break; }
            String text = String.valueOf(error).replaceAll("\\s+", " ");
            System.out.println("FAIL " + name + ": line " + line + ": " + text.substring(0, Math.min(600, text.length())));
        }
        System.out.flush();
    }

    static void equal(Object found, Object expected) {
        if (!Objects.deepEquals(found, expected))
            throw new AssertionError(shown(found) + ", not " + shown(expected));
    }

    static String shown(Object value) {
        return value instanceof Object[] array ? Arrays.deepToString(array) : value + (value == null ? "" : " (" + value.getClass().getSimpleName() + ")");
    }

    static SQLException fails(String state, Call call) throws Exception {
        try {
            call.run();
        } catch (SQLException error) {
            equal(error.getSQLState() + " " + (state.equals(error.getSQLState()) ? "" : error.getMessage()), state + " ");
            return error;
        }
        throw new AssertionError("no error, " + state + " expected");
    }

    static void execute(Connection connection, String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String sql : statements) statement.execute(sql);
        }
    }

    /** Rows as lines: their columns, or those that are named. */
    static List<String> rows(ResultSet result, String... columns) throws SQLException {
        List<String> rows = new ArrayList<>();
        while (result.next()) {
            List<String> row = new ArrayList<>();
            if (columns.length == 0)
                for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) row.add(result.getString(i));
            for (String column : columns) row.add(result.getString(column));
            rows.add(String.join("|", row.stream().map(String::valueOf).toList()));
        }
        return rows;
    }

    static List<String> query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return rows(statement.executeQuery(sql));
        }
    }

    static PGobject object(String type, String value) throws SQLException {
        PGobject object = new PGobject();
        object.setType(type);
        object.setValue(value);
        return object;
    }

    static final OffsetDateTime MOMENT = OffsetDateTime.of(2024, 2, 28, 23, 2, 3, 4000, ZoneOffset.UTC);

    record Typed(String type, String literal, Class<?> as, Object value) {}

    static List<Typed> types() throws SQLException {
        return List.of(
            new Typed("bool", "true", Boolean.class, true),
            new Typed("int2", "-32768", Integer.class, -32768),
            new Typed("int4", "2147483647", Integer.class, 2147483647),
            new Typed("int8", "-9223372036854775808", Long.class, Long.MIN_VALUE),
            new Typed("float4", "1.5", Float.class, 1.5f),
            new Typed("float8", "'-0.1'", Double.class, -0.1),
            new Typed("numeric", "1234567890123456789.000000001", BigDecimal.class, new BigDecimal("1234567890123456789.000000001")),
            new Typed("numeric(10,2)", "1.50", BigDecimal.class, new BigDecimal("1.50")),
            new Typed("text", "'Grüße, 北京'", String.class, "Grüße, 北京"),
            new Typed("varchar(20)", "'v'", String.class, "v"),
            new Typed("date", "'2024-02-29'", LocalDate.class, LocalDate.of(2024, 2, 29)),
            new Typed("time", "'13:14:15.123456'", LocalTime.class, LocalTime.of(13, 14, 15, 123456000)),
            new Typed("timestamp", "'2024-02-29 01:02:03.000004'", LocalDateTime.class, LocalDateTime.of(2024, 2, 29, 1, 2, 3, 4000)),
            new Typed("timestamptz", "'2024-02-29 01:02:03.000004+02'", OffsetDateTime.class, MOMENT),
            new Typed("uuid", "'00112233-4455-6677-8899-aabbccddeeff'", UUID.class, UUID.fromString("00112233-4455-6677-8899-aabbccddeeff")),
            new Typed("bytea", "'\\x00ff10'", byte[].class, new byte[] {0, -1, 16}));
    }

    static void typesBothWays(Connection connection) throws Exception {
        List<String> wrong = new ArrayList<>();
        for (Typed typed : types()) {
            // The fifth run is the first with a named statement and binary results.
            try (PreparedStatement literal = connection.prepareStatement("SELECT CAST(" + typed.literal + " AS " + typed.type + "), CAST(NULL AS " + typed.type + ")");
                 PreparedStatement parameter = connection.prepareStatement("SELECT CAST(? AS " + typed.type + "), CAST(? AS " + typed.type + ")")) {
                for (int run = 0; run < 7; run++) {
                    parameter.setObject(1, typed.value);
                    parameter.setObject(2, null);
                    for (PreparedStatement statement : List.of(literal, parameter)) {
                        try (ResultSet result = statement.executeQuery()) {
                            result.next();
                            Object found = typed.as == byte[].class ? result.getBytes(1) : result.getObject(1, typed.as);
                            equal(found, typed.value);
                            equal(result.getObject(2), null);
                        }
                    }
                }
            } catch (SQLException | AssertionError error) {
                wrong.add(typed.type + ": " + error.getMessage());
            }
        }
        equal(wrong, List.of());
    }

    static void arraysBothWays(Connection connection) throws Exception {
        Object[][] arrays = {
            {"int4", new Integer[] {1, null, 3}}, {"int8", new Long[] {}}, {"text", new String[] {"a", "b c", null, "\"q\""}},
            {"numeric", new BigDecimal[] {new BigDecimal("1.5")}}, {"uuid", new UUID[] {new UUID(1, 2)}}, {"bool", new Boolean[] {true, false}}, {"float8", new Double[] {1.5, null}},
        };
        List<String> wrong = new ArrayList<>();
        for (Object[] pair : arrays) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT ?::" + pair[0] + "[]")) {
                for (int run = 0; run < 7; run++) {
                    statement.setArray(1, connection.createArrayOf((String) pair[0], (Object[]) pair[1]));
                    try (ResultSet result = statement.executeQuery()) {
                        result.next();
                        Array array = result.getArray(1);
                        equal(array.getArray(), pair[1]);
                        equal(array.getBaseTypeName(), pair[0]);
                    }
                }
            } catch (SQLException | AssertionError error) {
                wrong.add(pair[0] + ": " + error.getMessage());
            }
        }
        equal(wrong, List.of());
    }

    static void parametersWithoutTypes(Connection connection) throws Exception {
        execute(connection, "CREATE TEMP TABLE untyped (id int, at timestamptz, name text, price numeric(10,2), doc jsonb, u uuid)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO untyped VALUES (?, ?, ?, ?, ?, ?)")) {
            for (int id = 1; id <= 2; id++) {
                insert.setInt(1, id);
                insert.setTimestamp(2, java.sql.Timestamp.from(MOMENT.plusDays(id).toInstant()));
                insert.setString(3, id == 1 ? "a" : null);
                insert.setBigDecimal(4, new BigDecimal("1.50"));
                insert.setObject(5, object("jsonb", "{\"id\": " + id + "}"));
                insert.setObject(6, new UUID(0, id));
                equal(insert.executeUpdate(), 1);
            }
        }
        Object[][] conditions = {
            {"id = ?", 1, "[1]"}, {"true LIMIT ?", 1, "[1]"}, {"at > ?", java.sql.Timestamp.from(MOMENT.plusHours(30).toInstant()), "[2]"}, {"name = ?", "a", "[1]"},
            {"price = ?", new BigDecimal("1.5"), "[1, 2]"}, {"price > ?", 1, "[1, 2]"}, {"id = ANY(?)", new Integer[] {2, 5}, "[2]"}, {"id = ?", 2L, "[2]"}, {"u = ?", new UUID(0, 2), "[2]"},
            {"at::date = ?", java.sql.Date.valueOf("2024-02-29"), "[1]"}, {"doc ->> 'id' = ?", "2", "[2]"}, {"name LIKE ?", "%", "[1]"}, {"id % 2 = ?", (short) 0, "[2]"},
        };
        List<String> wrong = new ArrayList<>();
        for (Object[] row : conditions) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM (SELECT * FROM untyped ORDER BY id) AS t WHERE " + row[0])) {
                for (int run = 0; run < 7; run++) {
                    statement.setObject(1, row[1] instanceof Integer[] array ? connection.createArrayOf("int4", array) : row[1]);
                    equal(rows(statement.executeQuery()).toString(), row[2]);
                }
            } catch (SQLException | AssertionError error) {
                wrong.add(row[0] + ": " + error.getMessage());
            }
        }
        equal(wrong, List.of());
    }

    static void resultSetMetadata(Connection connection) throws Exception {
        execute(connection, "CREATE TABLE jdbc_described (id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(10,2), at timestamptz)");
        try (PreparedStatement statement = connection.prepareStatement("SELECT id, name AS label, price, at, 1 + 1 AS two FROM jdbc_described WHERE id = ? AND name = ?")) {
            ResultSetMetaData columns = statement.getMetaData();
            List<String> found = new ArrayList<>();
            for (int i = 1; i <= columns.getColumnCount(); i++)
                found.add(String.join("|", columns.getColumnLabel(i), columns.getColumnTypeName(i), "" + columns.getPrecision(i), "" + columns.getScale(i), "" + columns.isNullable(i),
                    columns.getTableName(i), columns.getColumnClassName(i), "" + columns.isAutoIncrement(i)));
            equal(found, List.of("id|int4|10|0|0|jdbc_described|java.lang.Integer|false", "label|varchar|20|0|0|jdbc_described|java.lang.String|false",
                "price|numeric|10|2|1|jdbc_described|java.math.BigDecimal|false", "at|timestamptz|35|6|1|jdbc_described|java.sql.Timestamp|false", "two|int4|10|0|2||java.lang.Integer|false"));
            ParameterMetaData parameters = statement.getParameterMetaData();
            equal(parameters.getParameterTypeName(1) + parameters.getParameterTypeName(2), "int4varchar".replace("varchar", parameters.getParameterTypeName(2)));
            equal(List.of("text", "varchar").contains(parameters.getParameterTypeName(2)), true);
        } finally {
            execute(connection, "DROP TABLE jdbc_described");
        }
    }

    static void databaseMetadata(Connection connection) throws Exception {
        execute(connection,
            "CREATE TABLE jdbc_parent (a int, b text, c numeric(10,2) DEFAULT 1.5, d timestamptz NOT NULL, e varchar(12), f bool, PRIMARY KEY (a, b))",
            "CREATE VIEW jdbc_view AS SELECT a, c FROM jdbc_parent", "COMMENT ON TABLE jdbc_parent IS 'parents'", "COMMENT ON COLUMN jdbc_parent.c IS 'price'");
        try {
            DatabaseMetaData meta = connection.getMetaData();
            equal(meta.getDatabaseProductName(), "PostgreSQL");
            equal(rows(meta.getTables(null, null, "jdbc\\_%", new String[] {"TABLE", "VIEW"}), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
                List.of("public|jdbc_parent|TABLE|parents", "public|jdbc_view|VIEW|null"));
            equal(rows(meta.getColumns(null, "public", "jdbc_parent", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "ORDINAL_POSITION", "REMARKS"),
                List.of("a|4|int4|10|0|0|1|null", "b|12|text|2147483647|0|0|2|null", "c|2|numeric|10|2|1|3|price", "d|93|timestamptz|35|6|0|4|null", "e|12|varchar|12|0|1|5|null", "f|-7|bool|1|0|1|6|null"));
            equal(rows(meta.getColumns(null, "public", "jdbc_view", "%"), "COLUMN_NAME", "TYPE_NAME"), List.of("a|int4", "c|numeric"));
            equal(rows(meta.getPrimaryKeys(null, "public", "jdbc_parent"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"), List.of("a|1|jdbc_parent_pkey", "b|2|jdbc_parent_pkey"));
            equal(rows(meta.getIndexInfo(null, "public", "jdbc_parent", true, false), "INDEX_NAME", "NON_UNIQUE", "COLUMN_NAME", "ORDINAL_POSITION"),
                List.of("jdbc_parent_pkey|f|a|1", "jdbc_parent_pkey|f|b|2"));
            equal(rows(meta.getBestRowIdentifier(null, "public", "jdbc_parent", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME"), List.of("a", "b"));
            equal(rows(meta.getImportedKeys(null, "public", "jdbc_parent")), List.of());
            equal(rows(meta.getExportedKeys(null, "public", "jdbc_parent")), List.of());
            equal(rows(meta.getCrossReference(null, "public", "jdbc_parent", null, "public", "jdbc_view")), List.of());
            equal(rows(meta.getSchemas(null, "public"), "TABLE_SCHEM"), List.of("public"));
            equal(rows(meta.getCatalogs()).contains("streamgate"), true);
            equal(rows(meta.getTableTypes()).containsAll(List.of("TABLE", "VIEW", "SYSTEM TABLE", "MATERIALIZED VIEW")), true);
            equal(rows(meta.getTypeInfo(), "TYPE_NAME", "DATA_TYPE").containsAll(List.of("bool|-7", "int4|4", "int8|-5", "numeric|2", "text|12", "timestamptz|93", "uuid|1111", "jsonb|1111", "bytea|-2")), true);
            rows(meta.getFunctions(null, null, "now"));
            rows(meta.getFunctionColumns(null, null, "now", null));
            rows(meta.getProcedures(null, null, "%"));
            rows(meta.getProcedureColumns(null, null, "now", null));
            rows(meta.getUDTs(null, null, "%", null));
            rows(meta.getTablePrivileges(null, "public", "jdbc_parent"));
            rows(meta.getColumnPrivileges(null, "public", "jdbc_parent", "%"));
            rows(meta.getVersionColumns(null, "public", "jdbc_parent"));
            rows(meta.getClientInfoProperties());
            equal(meta.getSQLKeywords().contains("analyze"), true);
            equal(meta.getMaxColumnNameLength() > 0, true);
            equal(meta.getUserName(), "app");
            equal(meta.supportsTransactions(), true);
        } finally {
            execute(connection, "DROP VIEW jdbc_view", "DROP TABLE jdbc_parent");
        }
    }

    static void transactions(Connection connection) throws Exception {
        execute(connection, "CREATE TEMP TABLE tx (a int)");
        connection.setAutoCommit(false);
        execute(connection, "INSERT INTO tx VALUES (1)");
        Savepoint savepoint = connection.setSavepoint("before");
        execute(connection, "INSERT INTO tx VALUES (2)");
        fails("22012", () -> query(connection, "SELECT 1/0"));
        fails("25P02", () -> query(connection, "SELECT 1"));
        connection.rollback(savepoint);
        connection.releaseSavepoint(savepoint);
        equal(query(connection, "SELECT a FROM tx"), List.of("1"));
        connection.rollback();
        equal(query(connection, "SELECT a FROM tx"), List.of());
        connection.commit();
        connection.setReadOnly(true);
        fails("25006", () -> execute(connection, "CREATE TABLE read_only_no (a int)"));
        connection.rollback();
        connection.setReadOnly(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        equal(connection.getTransactionIsolation(), Connection.TRANSACTION_SERIALIZABLE);
        equal(query(connection, "SHOW transaction_isolation"), List.of("serializable"));
    }

    static void errors(Connection connection) throws Exception {
        String[][] cases = {
            {"42P01", "SELECT * FROM nowhere"}, {"42703", "SELECT nothing"}, {"42601", "SELEC 1"}, {"22P02", "SELECT 'x'::int"}, {"22012", "SELECT 1/0"}, {"42883", "SELECT nofunction(1)"},
        };
        for (String[] row : cases) fails(row[0], () -> query(connection, row[1]));
        execute(connection, "CREATE TEMP TABLE strict (id int PRIMARY KEY)", "INSERT INTO strict VALUES (1)");
        PSQLException error = (PSQLException) fails("23505", () -> execute(connection, "INSERT INTO strict VALUES (1)"));
        equal(error.getServerErrorMessage().getConstraint(), "strict_pkey");
        error = (PSQLException) fails("42703", () -> query(connection, "SELECT 1, nothing"));
        equal(error.getServerErrorMessage().getPosition(), 11);
    }

    static void batches(Connection connection) throws Exception {
        execute(connection, "CREATE TEMP TABLE batched (id int PRIMARY KEY, name text)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO batched VALUES (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                insert.setInt(1, i);
                insert.setString(2, "n" + i);
                insert.addBatch();
            }
            equal(Arrays.stream(insert.executeBatch()).filter(n -> n == 1 || n == Statement.SUCCESS_NO_INFO).count(), 500L);
            equal(query(connection, "SELECT count(*), max(name) FROM batched"), List.of("500|n99"));
            for (int i = 499; i < 502; i++) {
                insert.setInt(1, i);
                insert.setString(2, "again");
                insert.addBatch();
            }
            try {
                insert.executeBatch();
                throw new AssertionError("no error");
            } catch (BatchUpdateException error) {
                equal(error.getSQLState(), "23505");
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("UPDATE batched SET name = 'x' WHERE id < 3");
            statement.addBatch("DELETE FROM batched WHERE id < 2");
            equal(statement.executeBatch(), new int[] {3, 2});
        }
    }

    static void fetchSize(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM generate_series(1, ?)")) {
            statement.setFetchSize(100);
            statement.setInt(1, 2000);
            long sum = 0;
            try (ResultSet result = statement.executeQuery()) {
                while (result.next()) {
                    sum += result.getInt(1);
                    if (result.getInt(1) % 500 == 0) equal(query(connection, "SELECT 1"), List.of("1")); // between two fetches
                }
            }
            equal(sum, 2001000L);
            statement.setMaxRows(7);
            equal(rows(statement.executeQuery()).size(), 7);
        }
        connection.commit();
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY); ResultSet result = statement.executeQuery("SELECT * FROM generate_series(1, 10)")) {
            result.absolute(5);
            equal(result.getInt(1), 5);
            result.last();
            equal(result.getInt(1), 10);
        }
    }

    static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(300);
                    statement.cancel();
                } catch (Exception error) {
                    throw new RuntimeException(error);
                }
            });
            canceller.start();
            fails("57014", () -> statement.executeQuery("SELECT pg_sleep(20)"));
            canceller.join();
            statement.setQueryTimeout(1);
            fails("57014", () -> statement.executeQuery("SELECT pg_sleep(20)"));
        }
        equal(query(connection, "SELECT 1"), List.of("1"));
    }

    static void copy(Connection connection) throws Exception {
        execute(connection, "CREATE TEMP TABLE copied (id int, name text)");
        CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
        equal(manager.copyIn("COPY copied FROM STDIN WITH (FORMAT csv)", new StringReader("1,a\n2,\n3,\"b,c\"\n")), 3L);
        StringWriter out = new StringWriter();
        equal(manager.copyOut("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT", out), 3L);
        equal(out.toString(), "1\ta\n2\t\\N\n3\tb,c\n");
        fails("22P02", () -> manager.copyIn("COPY copied FROM STDIN", new StringReader("x\ty\n")));
        equal(query(connection, "SELECT count(*) FROM copied"), List.of("3"));
    }

    static void notifications(Connection connection) throws Exception {
        execute(connection, "LISTEN news");
        try (Connection other = connect()) {
            execute(other, "NOTIFY news, 'hello'");
        }
        PGNotification[] heard = connection.unwrap(PGConnection.class).getNotifications(10000);
        equal(heard[0].getName() + "|" + heard[0].getParameter(), "news|hello");
    }

    static void generatedKeys(Connection connection) throws Exception {
        execute(connection, "CREATE TABLE jdbc_serial (id serial PRIMARY KEY, name text)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_serial (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "a");
            equal(insert.executeUpdate(), 1);
            equal(rows(insert.getGeneratedKeys(), "id", "name"), List.of("1|a"));
            equal(rows(connection.getMetaData().getColumns(null, null, "jdbc_serial", "id"), "IS_AUTOINCREMENT"), List.of("YES"));
        } finally {
            execute(connection, "DROP TABLE jdbc_serial");
        }
    }

    static void updatableResults(Connection connection) throws Exception {
        execute(connection, "CREATE TABLE jdbc_updated (id int PRIMARY KEY, name text)", "INSERT INTO jdbc_updated VALUES (1, 'a')");
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE); ResultSet result = statement.executeQuery("SELECT id, name FROM jdbc_updated")) {
            result.next();
            result.updateString("name", "b");
            result.updateRow();
            result.moveToInsertRow();
            result.updateInt("id", 2);
            result.updateString("name", "c");
            result.insertRow();
            equal(query(connection, "SELECT * FROM jdbc_updated ORDER BY id"), List.of("1|b", "2|c"));
        } finally {
            execute(connection, "DROP TABLE jdbc_updated");
        }
    }

    static void poolReset(Connection connection) throws Exception {
        execute(connection, "SET application_name = 'x'", "DISCARD ALL");
        equal(connection.isValid(5), true);
        connection.setSchema("pg_catalog");
        equal(connection.getSchema(), "pg_catalog");
        connection.setClientInfo("ApplicationName", "renamed");
        equal(query(connection, "SHOW application_name"), List.of("renamed"));
        equal(connection.getCatalog(), "streamgate");
        connection.unwrap(PGConnection.class).addDataType("unused", PGobject.class);
    }

    static void jsonAndText(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::jsonb, ?::json, ?::interval, '1 day 02:00:00'::interval, row_to_json(t) FROM (SELECT 1 AS a) t")) {
            for (int run = 0; run < 7; run++) {
                statement.setString(1, "{\"b\": 1, \"a\": 2}");
                statement.setObject(2, object("json", "[1]"));
                statement.setObject(3, new org.postgresql.util.PGInterval(0, 0, 1, 2, 0, 0));
                try (ResultSet result = statement.executeQuery()) {
                    result.next();
                    equal(result.getString(1) + result.getString(2) + result.getString(5), "{\"a\": 2, \"b\": 1}[1]{\"a\":1}");
                    equal(result.getObject(3), result.getObject(4));
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        check("connects", connection -> {
            equal(query(connection, "SELECT current_user, current_database(), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), List.of("app|streamgate|t"));
            equal(connection.getMetaData().getDatabaseMajorVersion() >= 15, true);
        });
        check("wrong_password", connection -> fails("28P01", () -> connect("password", "wrong")));
        check("types_both_ways", Pgjdbc::typesBothWays);
        check("types_both_ways_binary_at_once", Pgjdbc::typesBothWays, "prepareThreshold", "-1");
        check("types_both_ways_simple", Pgjdbc::typesBothWays, "preferQueryMode", "simple");
        check("types_both_ways_cached_for_prepared", Pgjdbc::typesBothWays, "preferQueryMode", "extendedCacheEverything");
        check("arrays_both_ways", Pgjdbc::arraysBothWays);
        check("json_and_intervals", Pgjdbc::jsonAndText);
        check("parameters_without_types", Pgjdbc::parametersWithoutTypes);
        check("parameters_of_unspecified_strings", Pgjdbc::parametersWithoutTypes, "stringtype", "unspecified");
        check("result_set_metadata", Pgjdbc::resultSetMetadata);
        check("database_metadata", Pgjdbc::databaseMetadata);
        check("transactions", Pgjdbc::transactions);
        check("errors", Pgjdbc::errors);
        check("batches", Pgjdbc::batches);
        check("batches_rewritten", Pgjdbc::batches, "reWriteBatchedInserts", "true");
        check("fetch_size", Pgjdbc::fetchSize);
        check("cancel_and_time_out", Pgjdbc::cancel);
        check("copy", Pgjdbc::copy);
        check("notifications", Pgjdbc::notifications);
        check("generated_keys", Pgjdbc::generatedKeys);
        check("updatable_results", Pgjdbc::updatableResults);
        check("pool_reset", Pgjdbc::poolReset);
        System.exit(failed ? 1 : 0);
    }
}
