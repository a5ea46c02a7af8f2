"""Topics of the Kafka that both engines work on: made, filled and read here, by librdkafka."""
import time

import confluent_kafka
import confluent_kafka.admin

from harness import process

# Clients outlive the broker by moments, about which librdkafka writes to the terminal.
QUIET = 0


class Kafka:
    def __init__(self, servers):
        self.servers = servers
        self.admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": servers, "log_level": QUIET})

    def create(self, *names, partitions=4, **settings):
        topics = [confluent_kafka.admin.NewTopic(name, partitions, 1, config=settings) for name in names]
        for made in self.admin.create_topics(topics).values():
            made.result()
        for name in names:
            process.wait_until(lambda: self._is_led(name, partitions), 30, f"topic {name} to have leaders", 0.02)

    def _is_led(self, topic, partitions):
        """Whether the brokers answer for all partitions: for a moment after the creation they do not know yet whose they are."""
        try:
            return len(self.offsets(topic)) == partitions
        except confluent_kafka.KafkaException:
            return False

    def delete(self, *names):
        for deleted in self.admin.delete_topics(list(names)).values():
            deleted.result()

    def producer(self, **settings):
        # Partitions as the Java client chooses them, so that both engines see what Flink's users see.
        return confluent_kafka.Producer({"bootstrap.servers": self.servers, "partitioner": "murmur2_random", "linger.ms": 50,
                                         "batch.size": 262144, "queue.buffering.max.messages": 500_000, "log_level": QUIET} | settings)

    def consumer(self, committed=True):
        return confluent_kafka.Consumer({
            "bootstrap.servers": self.servers, "group.id": "bench", "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if committed else "read_uncommitted", "fetch.wait.max.ms": 5,
            "enable.partition.eof": True, "queued.max.messages.kbytes": 65536, "log_level": QUIET})

    def produce(self, topic, records):
        """Records (key, value), as fast as it goes; how many."""
        producer, count = self.producer(), 0
        for key, value in records:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.2)
            count += 1
            if count % 2000 == 0:
                producer.poll(0)
        if producer.flush(120):
            raise process.Failed(f"topic {topic} could not be filled")
        return count

    def partitions(self, topic):
        found = self.admin.list_topics(topic, timeout=10).topics[topic]
        return [confluent_kafka.TopicPartition(topic, partition, 0) for partition in sorted(found.partitions)]

    def offsets(self, topic):
        """Begin and end of each partition."""
        consumer = self.consumer(committed=False)
        try:
            return {at.partition: consumer.get_watermark_offsets(at, timeout=10) for at in self.partitions(topic)}
        finally:
            consumer.close()

    def size(self, topic):
        return sum(high - low for low, high in self.offsets(topic).values())

    def read(self, topic):
        """All records (key, value) up to the present end, those of a partition in their order. Only committed ones."""
        consumer = self.consumer()
        try:
            open_partitions = self.partitions(topic)
            consumer.assign(open_partitions)
            left, silent = {at.partition for at in open_partitions}, 0
            while left:
                # The call waits until it has that many, or for so long: the last one of a topic always waits.
                messages = consumer.consume(10_000, timeout=0.2)
                silent = 0 if messages else silent + 1
                if silent > 150:
                    raise process.Failed(f"topic {topic} could not be read to its end")
                for message in messages:
                    if message.error() is None:
                        yield message.key(), message.value()
                    elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    else:
                        raise process.Failed(str(message.error()))
        finally:
            consumer.close()

    def watch(self, topic, committed=True):
        """A consumer at the present end, already fetching."""
        consumer = self.consumer(committed)
        ends = self.offsets(topic)
        consumer.assign([confluent_kafka.TopicPartition(topic, partition, high) for partition, (_, high) in ends.items()])
        return consumer


def first_arrival(consumer, seconds, watched=None):
    """Clock reading when the next record arrives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = consumer.poll(0.05)
        if message is not None and message.error() is None:
            return time.time()
        if watched is not None and watched.poll() is not None:
            raise process.Failed(f"the process ended with {watched.returncode} before its first record")
    raise process.Failed(f"no record within {seconds} s")
