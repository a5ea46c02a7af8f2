"""Orders and what must come of them. The same rows for the same seed, whatever else is made; columns are kept, so that every expected
result is computed from the generator and from no engine.

An order has nine columns, its key is the user. Of `broken` orders a third is cut off in the middle, a third is no JSON, a third lacks
all fields but two. Times of creation lie at random in the `days` before BASE."""
import array
import dataclasses

import numpy
import orjson

from harness.process import Failed

BASE_MS = int(numpy.datetime64("2026-11-01T00:00:00", "ms").astype(int))
DAY_MS = 86_400_000
STATUSES = ("created", "paid", "shipped", "completed", "cancelled")
WHOLE, CUT, NO_JSON, FIELDS_MISSING = range(4)
# Flink adds up FLOAT columns in four bytes: that far from the exact sum is right, anything else is not.
RELATIVE_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a topic holds."""
    rows: int
    users: int
    seed: int
    days: int = 425
    broken: float = 0.002


class Orders:
    def __init__(self, shape):
        self.shape = shape
        random = numpy.random.Generator(numpy.random.PCG64(shape.seed))
        rows = shape.rows
        self.order_id = numpy.arange(1, rows + 1)
        # Where there are as many rows as users or more, each user is there: so many groups as asked for.
        self.user = random.integers(1, shape.users + 1, rows)
        once = min(rows, shape.users)
        self.user[random.permutation(rows)[:once]] = numpy.arange(1, once + 1)
        self.cents = random.integers(100, 50_100, rows)
        coupon = random.random(rows) < 0.4
        self.coupon = numpy.where(coupon, random.integers(0, 200, rows), -1)
        self.discount = numpy.where(coupon, self.cents * random.integers(5, 30, rows) // 100, 0)
        self.status = random.integers(0, len(STATUSES), rows)
        self.created_ms = BASE_MS - 1 - random.integers(0, shape.days * DAY_MS, rows)
        # Nearly in order, a thousand a second.
        self.updated_ms = BASE_MS - (rows - self.order_id) + random.integers(-2000, 2000, rows)
        self.product = random.integers(1, 1001, rows)
        self.kind = numpy.where(random.random(rows) < shape.broken, random.integers(CUT, FIELDS_MISSING + 1, rows), WHOLE)
        self.filtered = None

    def records(self):
        """(key, value) of each order. The filter's expected result comes with the last one."""
        count = checksum = 0
        columns = (self.order_id, self.user, self.cents, self.coupon, self.discount, self.status, self.created_ms, self.updated_ms,
                   self.product, self.kind)
        for begin in range(0, self.shape.rows, 100_000):
            chunk = [column[begin:begin + 100_000] for column in columns]
            chunk[6], chunk[7] = texts(chunk[6]), texts(chunk[7])
            for order, user, cents, coupon, discount, status, created, updated, product, kind in zip(*(c.tolist() for c in chunk)):
                code = f'"C{coupon:03d}"' if coupon >= 0 else "null"
                value = (f'{{"order_id":{order},"order_amount":{cents // 100}.{cents % 100:02d},"coupon_code":{code},'
                         f'"coupon_discount_amount":{discount // 100}.{discount % 100:02d},"user_id":{user},'
                         f'"order_status":"{STATUSES[status]}","created_at":"{created}","updated_at":"{updated}","product_id":{product}}}')
                if kind == WHOLE:
                    if cents > 1000:
                        count += 1
                        checksum += hash((order, user, cents - discount, STATUSES[status], without_zeros(created)))
                elif kind == CUT:
                    value = value[:len(value) // 2]
                elif kind == NO_JSON:
                    value = f"not json {order}"
                else:
                    value = f'{{"order_id":{order},"user_id":{user}}}'
                yield str(user), value
        self.filtered = (count, checksum % 2**64)

    def groups(self):
        """Of user and month, sorted: key (user * 10000 + months since 1970), count, cents, cents of discount."""
        whole = self.kind == WHOLE
        months = self.created_ms[whole].astype("datetime64[ms]").astype("datetime64[M]").astype(int)
        keys, place = numpy.unique(self.user[whole] * 10_000 + months, return_inverse=True)
        weigh = lambda column: numpy.bincount(place, weights=column[whole])
        return keys, numpy.bincount(place), weigh(self.cents), weigh(self.discount)

    def decodable(self):
        """How many records are JSON."""
        return int(numpy.isin(self.kind, (WHOLE, FIELDS_MISSING)).sum())

    def users(self):
        """Users of records that are JSON."""
        return set(self.user[numpy.isin(self.kind, (WHOLE, FIELDS_MISSING))].tolist())


def texts(milliseconds):
    """yyyy-MM-dd HH:mm:ss.SSS"""
    return numpy.char.replace(numpy.datetime_as_string(milliseconds.astype("datetime64[ms]")), "T", " ")


def without_zeros(timestamp):
    """Engines differ in how many zeros they print behind the seconds."""
    return timestamp.rstrip("0").rstrip(".") if "." in timestamp else timestamp


def check_filtered(orders, records):
    """Whether the records are exactly the filter's result: how many, and a checksum over all fields of all of them."""
    count = checksum = 0
    for _, value in records:
        row = orjson.loads(value)
        count += 1
        checksum += hash((row["order_id"], row["user_id"], round(row["net_amount"] * 100), row["order_status"],
                          without_zeros(row["created_at"].replace("T", " "))))
    expected, expected_checksum = orders.filtered
    if count != expected:
        raise Failed(f"{count:,} records instead of {expected:,}")
    if checksum % 2**64 != expected_checksum:
        raise Failed(f"{count:,} records as expected, but their contents differ")
    return f"{count:,} records, checksum of all fields"


def check_groups(orders, records):
    """Whether the last record of each key is exactly its group's result."""
    last, read = {}, 0
    for key, value in records:
        last[key] = value
        read += 1
    found = array.array("q"), array.array("q"), array.array("d"), array.array("d")
    for value in last.values():
        if value is None:
            raise Failed("a group was deleted")
        row = orjson.loads(value)
        year, month = row["m"].split("-")
        found[0].append(row["user_id"] * 10_000 + (int(year) - 1970) * 12 + int(month) - 1)
        for column, name in zip(found[1:], ("order_total", "total_amount", "discount_amount")):
            column.append(row[name])
    keys, counts, cents, discounts = orders.groups()
    found = [numpy.array(column) for column in found]
    order = numpy.argsort(found[0])
    found = [column[order] for column in found]
    if len(found[0]) != len(keys) or not numpy.array_equal(found[0], keys):
        raise Failed(f"{len(found[0]):,} groups instead of {len(keys):,}, or other ones")
    wrong = int((found[1] != counts).sum())
    if wrong:
        raise Failed(f"{wrong:,} of {len(keys):,} groups have another count")
    for name, column, expected in (("amount", found[2], cents / 100), ("discount", found[3], discounts / 100)):
        wrong = int((~numpy.isclose(column, expected, rtol=RELATIVE_TOLERANCE, atol=0.005)).sum())
        if wrong:
            raise Failed(f"{wrong:,} of {len(keys):,} groups have another {name}")
    return f"{len(keys):,} groups from {read:,} records"


def check_items(orders, items):
    """Whether the items are exactly the whole orders."""
    seen = 0
    for item in items:
        at = int(item["order_id"]) - 1
        coupon = int(orders.coupon[at])
        expected = (int(orders.user[at]), int(orders.cents[at]), int(orders.discount[at]), int(orders.product[at]),
                    f"C{coupon:03d}" if coupon >= 0 else "", STATUSES[orders.status[at]])
        # Without a coupon: no attribute, or the empty text that Flink's sink needs in its place.
        got = (int(item["user_id"]), round(item["order_amount"] * 100), round(item["coupon_discount_amount"] * 100),
               int(item["product_id"]), item.get("coupon_code") or "", item["order_status"])
        if orders.kind[at] != WHOLE or got != expected:
            raise Failed(f"order {at + 1} is {got} instead of {expected}")
        seen += 1
    expected = int((orders.kind == WHOLE).sum())
    if seen != expected:
        raise Failed(f"{seen:,} items instead of {expected:,}")
    return f"{seen:,} items, all of their attributes but the times"
