"""A thin DynamoDB client: JSON over one kept-alive HTTP connection, so that measuring costs less than what is measured. Requests are
not signed: a local store asks for the header, not for its truth."""
import decimal
import http.client
import urllib.parse

import orjson

AUTHORIZATION = ("AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
                 "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64)


class Refused(Exception):
    """The store's own error."""


class Client:
    def __init__(self, endpoint):
        parts = urllib.parse.urlsplit(endpoint)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.headers = {"Content-Type": "application/x-amz-json-1.0", "Authorization": AUTHORIZATION,
                        "X-Amz-Date": "20260101T000000Z", "Host": parts.netloc}

    def call(self, operation, **body):
        self.connection.request("POST", "/", orjson.dumps(body), self.headers | {"X-Amz-Target": f"DynamoDB_20120810.{operation}"})
        response = self.connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise Refused(text.decode())
        return orjson.loads(text)

    def create_table(self, name, hash_key, hash_type="N", range_key=None, range_type="N"):
        """A new, empty table, whether or not there was one."""
        try:
            self.call("DeleteTable", TableName=name)
        except Refused:
            pass
        keys = [(hash_key, hash_type, "HASH")] + ([(range_key, range_type, "RANGE")] if range_key else [])
        self.call("CreateTable", TableName=name, BillingMode="PAY_PER_REQUEST",
                  AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_} for key, type_, _ in keys],
                  KeySchema=[{"AttributeName": key, "KeyType": role} for key, _, role in keys])

    def write(self, table, items):
        """Puts any number of items, in batches."""
        items = list(items)
        for at in range(0, len(items), 25):
            open_requests = {table: [{"PutRequest": {"Item": to_item(item)}} for item in items[at:at + 25]]}
            while open_requests:
                open_requests = self.call("BatchWriteItem", RequestItems=open_requests).get("UnprocessedItems") or {}

    def scan(self, table):
        start = {}
        while True:
            page = self.call("Scan", TableName=table, **start)
            for item in page["Items"]:
                yield from_item(item)
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def to_item(values):
    """Numbers and texts only; None is left out."""
    return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in values.items() if value is not None}


def from_item(item):
    return {name: decimal.Decimal(value["N"]) if "N" in value else value.get("S") for name, value in item.items()}
