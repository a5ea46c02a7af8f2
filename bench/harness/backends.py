"""What both engines work on, started once for all cases: Apache Kafka by tests/backends/backends, and a store that speaks DynamoDB's
protocol. The store is streamgate's embedded one in a process of its own, from which both engines are equally far; --dynamodb names another."""
import os
import shlex
import subprocess

from harness import environment, kafka, process, streamgate
from harness.dynamodb import Client

SCRIPT = environment.CHECKOUT / "tests" / "backends" / "backends"


class Backends:
    def __init__(self, folder, binary, dynamodb=None):
        self.environment = os.environ | {"STREAMGATE_BACKENDS_ONLY": "kafka", "STREAMGATE_BACKENDS_RUN": str(folder / "kafka")}
        self.store = None
        try:
            exports = subprocess.run([SCRIPT, "start"], env=self.environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            found = dict(word.split("=", 1) for word in shlex.split(exports) if "=" in word)
            self.kafka = kafka.Kafka(found["STREAMGATE_TEST_KAFKA"])
            self.kafka_pid = int((folder / "kafka" / "kafka.process").read_text().split()[0])
            self.dynamodb = dynamodb
            if not dynamodb:
                port = streamgate.free_port()
                self.store = streamgate.Server(binary, folder / "store", ["--aws-embedded-port", str(port), "--kafka-embedded", "false"])
                self.dynamodb = f"http://127.0.0.1:{port}"
        except BaseException:
            self.stop()
            raise

    def store_client(self):
        return Client(self.dynamodb)

    def cpu(self):
        """CPU seconds so far: of Kafka, of the store (0 for one that is not ours)."""
        return process.cpu_seconds(self.kafka_pid), self.store.cpu() if self.store else 0.0

    def stop(self):
        if self.store:
            self.store.stop()
        subprocess.run([SCRIPT, "stop"], env=self.environment, check=False)
