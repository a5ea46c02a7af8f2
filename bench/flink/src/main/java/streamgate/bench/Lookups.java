package streamgate.bench;

import java.math.BigDecimal;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;

/**
 * The feature job's two lookup functions, as a careful author writes them: one client for each task, one Query a call, sums in decimals,
 * "count_amount_discount". The system property "deterministic" = false keeps the planner from calling them once for each mention.
 */
public final class Lookups {
    /** Calls since the last statement began. */
    static final AtomicLong CALLS = new AtomicLong();

    private Lookups() {}

    /** What both have in common: the client and the Query. */
    public abstract static class Lookup extends ScalarFunction {
        private transient DynamoDbClient client;

        @Override
        public boolean isDeterministic() {
            return !"false".equals(System.getProperty("deterministic"));
        }

        @Override
        public void open(FunctionContext context) {
            client = DynamoDbClient.builder()
                    .endpointOverride(URI.create(System.getProperty("dynamodb")))
                    .region(Region.US_EAST_1)
                    .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
                    .httpClientBuilder(ApacheHttpClient.builder().maxConnections(4))
                    .build();
        }

        @Override
        public void close() {
            if (client != null) client.close();
        }

        List<Map<String, AttributeValue>> itemsOf(String table, int user) {
            CALLS.incrementAndGet();
            return client.query(query -> query.tableName(table)
                            .keyConditionExpression("user_id = :user")
                            .expressionAttributeValues(Map.of(":user", AttributeValue.fromN(Integer.toString(user)))))
                    .items();
        }

        static BigDecimal sum(List<Map<String, AttributeValue>> items, String attribute) {
            BigDecimal sum = BigDecimal.ZERO;
            for (Map<String, AttributeValue> item : items) sum = sum.add(new BigDecimal(item.get(attribute).n()));
            return sum;
        }
    }

    /** latest_month_order_sum: of a user's orders in order_detail_latest_month. */
    public static final class LatestMonth extends Lookup {
        public String eval(Integer user) {
            if (user == null) return null;
            List<Map<String, AttributeValue>> items = itemsOf("order_detail_latest_month", user);
            return items.size() + "_" + sum(items, "order_amount") + "_" + sum(items, "coupon_discount_amount");
        }
    }

    /** latest_year_order_sum: of a user's months in order_sum_monthly. */
    public static final class LatestYear extends Lookup {
        public String eval(Integer user) {
            if (user == null) return null;
            List<Map<String, AttributeValue>> items = itemsOf("order_sum_monthly", user);
            return sum(items, "order_total") + "_" + sum(items, "total_amount") + "_" + sum(items, "discount_amount");
        }
    }
}
