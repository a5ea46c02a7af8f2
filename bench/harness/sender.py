"""A process that sends orders at a steady rate: python -m harness.sender SERVERS TOPIC RATE SECONDS FIRST_ID. Each order carries the moment
of its sending, microseconds since 1970, as its status, and has a user of its own. Prints when it begins (seconds since 1970)."""
import sys
import time

from harness.kafka import Kafka
from harness.orders import BASE_MS, texts

import numpy


def order(number, created):
    return (f'{{"order_id":{number},"order_amount":123.45,"coupon_code":"C001","coupon_discount_amount":3.5,"user_id":{number},'
            f'"order_status":"{time.time_ns() // 1000}","created_at":"{created}","updated_at":"{created}","product_id":7}}')


def main():
    servers, topic, rate, seconds, first = sys.argv[1:]
    rate, seconds, first = float(rate), float(seconds), int(first)
    # As soon as it goes, but no more than a thousand requests a second: the broker, which all share, would have its hands full with them.
    producer = Kafka(servers).producer(**{"linger.ms": 1})
    created = texts(numpy.array([BASE_MS - 1]))[0]
    producer.list_topics(topic, timeout=10)
    begun = time.time()
    print(begun, flush=True)
    sent, total = 0, int(rate * seconds)
    while sent < total:
        due = min(total, int((time.time() - begun) * rate))
        while sent < due:
            number = first + sent
            producer.produce(topic, order(number, created), str(number))
            sent += 1
        producer.poll(0)
        time.sleep(max(0.0005, begun + (sent + 1) / rate - time.time()) if sent < total else 0)
    producer.flush(30)


if __name__ == "__main__":
    main()
