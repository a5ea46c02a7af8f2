//! A proxy before DynamoDB that knows its JSON requests: it throttles, leaves items of a batch out, answers with an error what was
//! applied, cuts the connection instead of answering, or is slow, each with a chance that a test sets while it runs. The dice are
//! seeded. Only requests about items are touched, so that tables can be made and described under any fault.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Chances out of 1000; of nothing at first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Requests that are answered with ProvisionedThroughputExceededException and not applied.
    pub throttled: u32,
    /// Items of a BatchWriteItem, keys of a BatchGetItem, that come back as unprocessed and are not applied.
    pub left_out: u32,
    /// Requests that are applied and answered with 500.
    pub failed_after: u32,
    /// Requests that are applied and not answered: the connection is cut.
    pub cut_after: u32,
    /// How long every request waits before it goes on.
    pub delay: Duration,
}

/// A request about items with this text in it is refused with ValidationException, whatever the chances are: as DynamoDB refuses what
/// only it knows to be no item.
pub const REFUSED: &str = "the proxy takes no such item";

/// What the proxy has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    pub throttled: u64,
    pub left_out: u64,
    pub failed_after: u64,
    pub cut_after: u64,
}

/// Stands before a DynamoDB as long as it lives.
pub struct DynamoDbProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
}

struct State {
    faults: Faults,
    counts: Counts,
    seed: u64,
    /// Requests that wait now and whose clients are still there.
    waiting: usize,
}

impl State {
    /// Whether something of that chance happens now (SplitMix64).
    fn happens(&mut self, chance: u32) -> bool {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 1000 < u64::from(chance)
    }
}

impl DynamoDbProxy {
    /// Before the DynamoDB at this endpoint (`http://host:port`).
    pub async fn start(upstream: &str, seed: u64) -> Self {
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/');
        let upstream = tokio::net::lookup_host(upstream).await.unwrap().next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State { faults: Faults::default(), counts: Counts::default(), seed, waiting: 0 });
        let shared = Arc::new(Shared { upstream, state });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        // A connection that fails is the client's to notice.
                        connections.spawn(relay(client, serving.clone()));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what happens from now on.
    pub fn set(&self, faults: Faults) {
        self.shared.state.lock().faults = faults;
    }

    /// Lets everything pass from now on.
    pub fn heal(&self) {
        self.set(Faults::default());
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.shared.state.lock().counts
    }

    /// Requests that wait now, and that somebody still wants an answer to.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().waiting
    }
}

/// One HTTP message: first line and headers, and the body.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            let is_end = line == "\r\n";
            head.push_str(&line);
            if is_end {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        Ok(Some(Self { head, body }))
    }

    async fn write(&self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        stream.write_all(self.head.as_bytes()).await?;
        stream.write_all(&self.body).await
    }

    fn answer(status: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let kind = "content-type: application/x-amz-json-1.0";
        let head = format!("HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        Self { head, body }
    }

    /// The same request with another body.
    fn with_body(&self, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let others = self.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
        let others: Vec<&str> = others.filter(|line| !line.is_empty()).collect();
        Self { head: format!("{}\r\ncontent-length: {}\r\n\r\n", others.join("\r\n"), body.len()), body }
    }

    /// `PutItem`, say.
    fn operation(&self) -> &str {
        let target = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-amz-target:"));
        target.and_then(|line| line.rsplit('.').next()).unwrap_or_default().trim()
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    is_throttled: bool,
    fails_after: bool,
    is_cut_after: bool,
    delay: Duration,
}

const ITEM_OPERATIONS: &[&str] = &[
    "PutItem",
    "GetItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "BatchGetItem",
    "TransactWriteItems",
    "TransactGetItems",
    "Query",
    "Scan",
];

impl Shared {
    fn fate(&self, operation: &str) -> Fate {
        if !ITEM_OPERATIONS.contains(&operation) {
            return Fate::default();
        }
        let mut state = self.state.lock();
        state.counts.requests += 1;
        let faults = state.faults;
        let is_throttled = state.happens(faults.throttled);
        let fails_after = !is_throttled && state.happens(faults.failed_after);
        let is_cut_after = !is_throttled && !fails_after && state.happens(faults.cut_after);
        state.counts.throttled += u64::from(is_throttled);
        state.counts.failed_after += u64::from(fails_after);
        state.counts.cut_after += u64::from(is_cut_after);
        Fate { is_throttled, fails_after, is_cut_after, delay: faults.delay }
    }

    /// Lets a request wait, to the end also if its client leaves meanwhile: it is on its way.
    async fn hold_back(&self, delay: Duration, client: &mut BufReader<TcpStream>) {
        let end = tokio::time::Instant::now() + delay;
        {
            let _counted = Waiting::begin(&self.state);
            // Clients send nothing more before their answer: only their leaving is heard.
            let _ = tokio::time::timeout_at(end, client.fill_buf()).await;
        }
        tokio::time::sleep_until(end).await;
    }

    /// Takes parts of a batch out: what is left of it, and what was taken, both by table.
    fn leave_out(&self, request: &Message) -> Option<(Value, Value)> {
        let mut state = self.state.lock();
        let chance = state.faults.left_out;
        if chance == 0 || !matches!(request.operation(), "BatchWriteItem" | "BatchGetItem") {
            return None;
        }
        let mut body: Value = serde_json::from_slice(&request.body).ok()?;
        let mut left_out = json!({});
        for (table, asked) in body["RequestItems"].as_object_mut()? {
            // Writes are a list; reads are an object with a list of keys and what they share.
            let items = if asked.is_array() { asked.as_array_mut() } else { asked["Keys"].as_array_mut() };
            let (gone, stay): (Vec<_>, Vec<_>) =
                std::mem::take(items?).into_iter().partition(|_| state.happens(chance));
            state.counts.left_out += gone.len() as u64;
            let mut rest = asked.clone();
            for (whole, part) in [(&mut *asked, stay), (&mut rest, gone)] {
                match whole {
                    Value::Array(items) => *items = part,
                    keys => keys["Keys"] = Value::Array(part),
                }
            }
            left_out[table] = rest;
        }
        let has_items = |asked: &Value| !asked.as_array().or(asked["Keys"].as_array()).is_none_or(Vec::is_empty);
        body["RequestItems"].as_object_mut()?.retain(|_, asked| has_items(asked));
        left_out.as_object_mut()?.retain(|_, asked| has_items(asked));
        left_out.as_object().is_some_and(|tables| !tables.is_empty()).then_some((body, left_out))
    }
}

/// Counts a request among those that wait; also a connection that is ended with its proxy stops counting.
struct Waiting<'a>(&'a Mutex<State>);

impl<'a> Waiting<'a> {
    fn begin(state: &'a Mutex<State>) -> Self {
        state.lock().waiting += 1;
        Self(state)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

async fn relay(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut server = BufReader::new(TcpStream::connect(shared.upstream).await?);
    while let Some(request) = Message::read(&mut client).await? {
        let fate = shared.fate(request.operation());
        if !fate.delay.is_zero() {
            shared.hold_back(fate.delay, &mut client).await;
        }
        if fate.is_throttled {
            let error = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
            let throttled = Message::answer("400 Bad Request", &json!({"__type": error, "message": "of the proxy"}));
            throttled.write(&mut client).await?;
            continue;
        }
        if request.body.windows(REFUSED.len()).any(|text| text == REFUSED.as_bytes()) {
            let error = "com.amazon.coral.validate#ValidationException";
            let refused = Message::answer("400 Bad Request", &json!({"__type": error, "message": "of the proxy"}));
            refused.write(&mut client).await?;
            continue;
        }
        let answer = match shared.leave_out(&request) {
            None => forward(&request, &mut server).await?,
            Some((body, left_out)) => without(&request, &body, &left_out, &mut server).await?,
        };
        if fate.is_cut_after {
            return Ok(());
        }
        let answer = match fate.fails_after {
            true => Message::answer(
                "500 Internal Server Error",
                &json!({"__type": "InternalServerError", "message": "of the proxy"}),
            ),
            false => answer,
        };
        answer.write(&mut client).await?;
    }
    Ok(())
}

async fn forward(request: &Message, server: &mut BufReader<TcpStream>) -> io::Result<Message> {
    request.write(server).await?;
    Message::read(server).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Forwards what is left of a batch, and says of the rest that it was not processed.
async fn without(
    request: &Message,
    body: &Value,
    left_out: &Value,
    server: &mut BufReader<TcpStream>,
) -> io::Result<Message> {
    let is_empty = body["RequestItems"].as_object().is_none_or(serde_json::Map::is_empty);
    let mut answered = json!({});
    if !is_empty {
        let answer = forward(&request.with_body(body), server).await?;
        if !answer.head.starts_with("HTTP/1.1 200") {
            return Ok(answer);
        }
        answered = serde_json::from_slice(&answer.body)?;
    }
    let unprocessed = if request.operation() == "BatchGetItem" { "UnprocessedKeys" } else { "UnprocessedItems" };
    answered[unprocessed] = left_out.clone();
    Ok(Message::answer("200 OK", &answered))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};

    use super::*;
    use crate::backends::{Backends, dynamodb_at, unique};
    use crate::conformance::dynamodb::create_table;

    fn write(order: i64) -> WriteRequest {
        let number = |value: i64| AttributeValue::N(value.to_string());
        let put = PutRequest::builder().item("user_id", number(1)).item("order_id", number(order));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    }

    /// Writes all, whatever it takes.
    async fn write_all(client: &aws_sdk_dynamodb::Client, table: &str, orders: std::ops::Range<i64>) {
        let mut left: Vec<WriteRequest> = orders.map(write).collect();
        while !left.is_empty() {
            let batch: Vec<_> = left.drain(..left.len().min(25)).collect();
            match client.batch_write_item().request_items(table, batch.clone()).send().await {
                Ok(answer) => left.extend(answer.unprocessed_items.unwrap_or_default().into_values().flatten()),
                Err(_) => left.extend(batch),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_dynamodb_proxy_does_what_it_is_told_and_loses_nothing() {
        let backends = Backends::get();
        let proxy = DynamoDbProxy::start(&backends.dynamodb_endpoint, 7).await;
        let (client, direct) = (dynamodb_at(&proxy.endpoint()), backends.dynamodb());
        let table = unique("proxied");
        proxy.set(Faults { throttled: 1000, failed_after: 1000, ..Faults::default() });
        create_table(&client, &table).await;

        proxy.set(Faults { throttled: 200, left_out: 400, failed_after: 150, cut_after: 150, ..Faults::default() });
        write_all(&client, &table, 0..400).await;
        let counts = proxy.counts();
        assert!(
            counts.throttled > 0 && counts.left_out > 0 && counts.failed_after > 0 && counts.cut_after > 0,
            "{counts:?}"
        );
        let stored = |consistent| direct.scan().table_name(&table).consistent_read(consistent).send();
        assert_eq!(stored(true).await.unwrap().count(), 400);

        // Nothing is applied of what is left out, everything of what is answered with an error.
        proxy.set(Faults { left_out: 1000, ..Faults::default() });
        let answer =
            client.batch_write_item().request_items(&table, vec![write(900), write(901)]).send().await.unwrap();
        assert_eq!(answer.unprocessed_items().unwrap()[&table].len(), 2);
        assert_eq!(stored(true).await.unwrap().count(), 400);
        let key = |order: i64| {
            let number = |value: i64| AttributeValue::N(value.to_string());
            [("user_id".to_owned(), number(1)), ("order_id".to_owned(), number(order))].into()
        };
        let keys = KeysAndAttributes::builder().keys(key(1)).keys(key(2)).build().unwrap();
        let answer = client.batch_get_item().request_items(&table, keys.clone()).send().await.unwrap();
        assert_eq!(answer.unprocessed_keys().unwrap()[&table].keys().len(), 2);
        proxy.set(Faults { failed_after: 1000, ..Faults::default() });
        assert!(client.batch_write_item().request_items(&table, vec![write(900)]).send().await.is_err());
        assert_eq!(stored(true).await.unwrap().count(), 401);

        proxy.heal();
        let answer = client.batch_get_item().request_items(&table, keys).send().await.unwrap();
        assert_eq!(answer.responses().unwrap()[&table].len(), 2);
    }

    #[test]
    fn one_seed_gives_one_course_of_events() {
        let course = |seed| {
            let mut state = State { faults: Faults::default(), counts: Counts::default(), seed, waiting: 0 };
            (0..1000).map(|_| state.happens(300)).collect::<Vec<_>>()
        };
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
        let happened = course(3).into_iter().filter(|happened| *happened).count();
        assert!((230..370).contains(&happened), "{happened}");
    }
}
