"""The feature job: for each order two lookups in DynamoDB, six features of its user → DynamoDB. streamgate runs the article's text as it stands
in sql/; Flink runs it with casts, once as the article writes it and once with each function once a row."""
import datetime
import decimal

from harness import environment, orders, process
from harness.cases import SEED_FEATURES, Case, Meter, Out, flink_turn, guarded, table
from harness.flink import RELEASES
from harness.run import statements

ORDERS_EACH, MONTHS_EACH = 3, 11
MONTH_TABLE, YEAR_TABLE = "order_detail_latest_month", "order_sum_monthly"
# As the article spells them.
COLUMNS = ["total_orders_lastest_month", "total_order_amount_latest_month", "total_discount_amount_latest_month",
           "total_orders_latest_year", "total_order_amount_latest_year", "total_discount_amount_latest_year"]


def shape(options):
    rows = 600 if options.quick else 6_000
    return orders.Shape(rows, rows * 5 // 6, SEED_FEATURES)


def month_orders(user):
    """(cents, cents of discount) of the orders in the current month."""
    return [(100 + (user * 37 + number * 1013) % 50_000, (user + number) % 90) for number in range(ORDERS_EACH)]


def month_sums(user):
    """(orders, cents, cents of discount) of each month before."""
    return [(number, number * 10_000 + user % 100, number * 50) for number in range(1, MONTHS_EACH + 1)]


def load_tables(run, users):
    """The two tables that are looked up, of the months before now: streamgate's functions count the current month by the clock."""
    store = run.backends.store_client()
    store.create_table(MONTH_TABLE, "user_id", "N", "order_id", "N")
    store.create_table(YEAR_TABLE, "user_id", "N", "month", "S")
    now = datetime.datetime.now(datetime.timezone.utc)
    first = now.strftime("%Y-%m-01 00:00:00.5")
    months = [now.year * 12 + now.month - 1 - back for back in range(1, MONTHS_EACH + 1)]
    names = [f"{month // 12}-{month % 12 + 1:02d}" for month in months]
    store.write(MONTH_TABLE, (
        {"order_id": user * 10 + number, "user_id": user, "order_amount": money(cents), "coupon_code": "C001",
         "coupon_discount_amount": money(discount), "order_status": "paid", "created_at": first, "updated_at": first, "product_id": 7}
        for user in users for number, (cents, discount) in enumerate(month_orders(user))))
    store.write(YEAR_TABLE, (
        {"user_id": user, "month": name, "order_total": count, "total_amount": money(cents), "discount_amount": money(discount)}
        for user in users for name, (count, cents, discount) in zip(names, month_sums(user))))


def money(cents):
    return decimal.Decimal(cents) / 100


def expected(user):
    month = [ORDERS_EACH, *(sum(column) / 100 for column in zip(*month_orders(user)))]
    year = [sum(column) for column in zip(*month_sums(user))]
    return month + [month[0] + year[0], month[1] + year[1] / 100, month[2] + year[2] / 100]


def check_features(made, items):
    seen = set()
    for item in items:
        user = int(item["user_id"])
        for name, right in zip(COLUMNS, expected(user)):
            if name not in item or abs(float(item[name]) - right) > 0.001:
                raise process.Failed(f"user {user} has {name} = {item.get(name)} instead of {right}")
        seen.add(user)
    if seen != made.users():
        raise process.Failed(f"features of {len(seen):,} users instead of {len(made.users()):,}")
    return f"all features of {len(seen):,} users"


def measure(run, name):
    tables = (table("kafka_orders"), "tables/user_features.flink.sql")
    of = shape(run.options)
    case = Case(of, "user_id", check_features, (), (), "1.20")
    topic, made = run.orders(of)
    load_tables(run, sorted(made.users()))
    variants = [("features_article.flink.sql", "as the article writes it", {}),
                ("features_once.flink.sql", "each function once a row", {"deterministic": "false"})]
    for turn in range(run.options.rounds):
        if run.options.only != "flink":
            guarded(run, name, "streamgate", turn, lambda: streamgate_turn(run, name, case, topic, made))
            guarded(run, name, "streamgate", turn, lambda: warm_turn(run, name, case, made), label=f"{name}, warm lookup cache")
        for file, how, properties in variants if run.options.only != "streamgate" else []:
            guarded(run, name, f"{RELEASES['1.20']}, {how}", turn,
                    lambda: flink_turn(run, name, case, topic, made, (*tables, file), properties))


def submit_job(server, name, topic, out, cache=False):
    """Declares what the article declares, and submits its job."""
    for file in ("tables/kafka_orders", "tables/dynamodb_orders", "tables/order_sum_monthly", "tables/user_features",
                 "functions/latest_month_order_sum", "functions/latest_year_order_sum"):
        text = (environment.CHECKOUT / "sql" / f"{file}.sql").read_text()
        if cache:
            text = text.replace("'table.create' = 'if-not-exists'", "'table.create' = 'if-not-exists', 'lookup.cache' = 'PARTIAL', "
                                "'lookup.partial-cache.max-rows' = '1000000'")
        server.rows(text.replace("'topic' = 'orders'", f"'topic' = '{topic}'").replace(
            "'table-name' = 'user_features'", f"'table-name' = '{out}'"))
    insert, = statements((environment.CHECKOUT / "sql" / "jobs" / "user_features.sql").read_text())
    server.rows(f"CREATE JOB {name} AS {insert}")


def figures_of(server, name, meter, rows, rest):
    return meter.figures(rows) | {"rest_mb": round(rest), "peak_mb": round(server.memory()[1])}


def streamgate_turn(run, name, case, topic, made):
    with Out(run, case, "user_features") as out, run.streamgate() as server:
        rest = server.memory()[0]
        meter = Meter(run, server)
        submit_job(server, name, topic, out.name)
        server.wait_acknowledged(name, case.shape.rows)
        figures = figures_of(server, name, meter, case.shape.rows, rest)
        requests = server.value(f"SELECT SUM(requests) FROM streamgate.job_operators WHERE job = '{name}' AND operator NOT LIKE 'sink%'")
        server.rows(f"STOP JOB {name}")
        return figures | {"requests_per_user": int(requests or 0) / len(made.users()), "verified": out.verify(made)}


def warm_turn(run, name, case, made):
    """The orders once, for the cache; then ten times more, which count."""
    with Out(run, case, "user_features") as out, run.out_topic("features_warm") as topic, run.streamgate() as server:
        rest = server.memory()[0]
        orders_once = list(made.records())
        run.kafka.produce(topic, orders_once)
        submit_job(server, name, topic, out.name, cache=True)
        server.wait_acknowledged(name, len(orders_once))
        meter = Meter(run, server)
        run.kafka.produce(topic, orders_once * 10)
        server.wait_acknowledged(name, len(orders_once) * 11)
        figures = figures_of(server, name, meter, len(orders_once) * 10, rest)
        server.rows(f"STOP JOB {name}")
        return figures | {"verified": out.verify(made)}
