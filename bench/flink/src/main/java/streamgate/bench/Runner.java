package streamgate.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/**
 * Executes SQL files one after the other in this JVM, each job in a local mini cluster: {@code Runner key=value… file.sql…}. Pairs with a
 * "=" are Flink's configuration. Each file has a table environment of its own, so that a first one can warm up what the second one measures.
 *
 * <p>What the harness reads on standard output, a JSON object a line: {@code begin} before an INSERT or SELECT is submitted (the harness
 * answers with a line on standard input once it has read its clocks), {@code submitted} with the job's id, {@code end} with wall
 * time, this process's CPU time and what a SELECT returned. A statement ends with ";" at the end of a line.
 */
public final class Runner {
    private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private Runner() {}

    public static void main(String[] arguments) throws Exception {
        Configuration configuration = new Configuration();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            if (equals > 0) configuration.setString(argument.substring(0, equals), argument.substring(equals + 1));
        }
        for (String argument : arguments) {
            if (argument.indexOf('=') < 0) executeFile(Path.of(argument), configuration);
        }
        System.exit(0); // the SDK's threads would go on
    }

    private static void executeFile(Path file, Configuration configuration) throws Exception {
        TableEnvironment tables =
                TableEnvironment.create(EnvironmentSettings.newInstance().withConfiguration(configuration).build());
        String text = Files.readString(file).replaceAll("(?m)^\\s*--.*$", "");
        for (String statement : text.split(";[ \\t]*(\\r?\\n|$)")) {
            String trimmed = statement.strip();
            if (trimmed.isEmpty()) continue;
            String upper = trimmed.toUpperCase(Locale.ROOT);
            if (upper.startsWith("INSERT") || upper.startsWith("SELECT")) {
                measure(tables, trimmed);
            } else {
                tables.executeSql(trimmed);
            }
        }
    }

    private static void measure(TableEnvironment tables, String statement) throws Exception {
        say("{\"event\": \"begin\"}");
        System.in.read(); // the harness's go
        long cpu = SYSTEM.getProcessCpuTime();
        long wall = System.nanoTime();
        Lookups.CALLS.set(0);
        TableResult result = tables.executeSql(statement);
        say("{\"event\": \"submitted\", \"job\": \"" + result.getJobClient().map(job -> job.getJobID().toString()).orElse("") + "\"}");
        String last = "";
        if (statement.regionMatches(true, 0, "SELECT", 0, 6)) {
            // A changelog: what stands at the end is the last row that came.
            try (CloseableIterator<Row> rows = result.collect()) {
                while (rows.hasNext()) last = rows.next().toString();
            }
        } else {
            result.await();
        }
        say(String.format(Locale.ROOT,
                "{\"event\": \"end\", \"wall_s\": %.3f, \"cpu_s\": %.3f, \"calls\": %d, \"last_row\": \"%s\"}",
                (System.nanoTime() - wall) / 1e9, (SYSTEM.getProcessCpuTime() - cpu) / 1e9, Lookups.CALLS.get(), last));
        System.in.read();
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
