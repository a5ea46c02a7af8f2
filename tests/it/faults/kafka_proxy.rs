//! A proxy before a Kafka broker that knows frames: it counts requests by their API key and can lose an answer, hold a request back, or
//! be down. It puts its own port into the answers that name the broker, so that clients come back to it.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::backends::PATIENCE;

pub const PRODUCE: i16 = 0;
pub const LIST_OFFSETS: i16 = 2;
pub const METADATA: i16 = 3;
pub const FIND_COORDINATOR: i16 = 10;
pub const INIT_PRODUCER_ID: i16 = 22;
pub const END_TXN: i16 = 26;
pub const DESCRIBE_CLUSTER: i16 = 60;

/// What happens to a request.
#[derive(Debug, Clone)]
enum Action {
    /// The broker gets it and answers; the connection is cut instead of the answer being delivered.
    LoseAnswer,
    /// The broker gets it when it is released, even when the client has given up by then.
    Hold(Held),
}

/// A request that is held back.
#[derive(Debug, Clone)]
pub struct Held {
    stage: Arc<watch::Sender<Stage>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Expected,
    Here,
    Released,
    Forwarded,
}

impl Held {
    async fn wait_for(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        let waited = tokio::time::timeout(PATIENCE, stages.wait_for(|now| *now >= stage)).await;
        waited.unwrap_or_else(|_| panic!("a held request is not {stage:?}")).unwrap();
    }

    /// Waits until the client has sent it.
    pub async fn here(&self) {
        self.wait_for(Stage::Here).await;
    }

    /// Lets it go on, and waits until the broker has it.
    pub async fn release(&self) {
        self.stage.send_replace(Stage::Released);
        self.wait_for(Stage::Forwarded).await;
    }
}

#[derive(Default)]
struct Rules {
    /// By API key and how many requests of it pass before.
    actions: HashMap<i16, Vec<(u64, Action)>>,
    seen: HashMap<i16, u64>,
    is_down: bool,
}

struct Shared {
    upstream: SocketAddr,
    port: u16,
    rules: Mutex<Rules>,
    /// Grows when all connections are to be cut.
    cuts: watch::Sender<u64>,
    /// Grows with each request.
    requests: watch::Sender<u64>,
}

/// A running proxy; dropping it ends it and its connections.
pub struct KafkaProxy {
    shared: Arc<Shared>,
    listening: tokio::task::JoinHandle<()>,
}

impl KafkaProxy {
    /// Listens on a loopback port of its own and forwards to a broker.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.parse().unwrap(),
            port: listener.local_addr().unwrap().port(),
            rules: Mutex::default(),
            cuts: watch::channel(0).0,
            requests: watch::channel(0).0,
        });
        let listening = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    if !shared.rules.lock().is_down {
                        tokio::spawn(serve(shared.clone(), client));
                    }
                }
            }
        });
        Self { shared, listening }
    }

    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port)
    }

    /// How many requests with this key have come.
    pub fn seen(&self, api_key: i16) -> u64 {
        self.shared.rules.lock().seen.get(&api_key).copied().unwrap_or(0)
    }

    /// Waits until that many requests with this key have come.
    pub async fn wait_until_seen(&self, api_key: i16, count: u64) {
        let mut requests = self.shared.requests.subscribe();
        let waited = tokio::time::timeout(PATIENCE, requests.wait_for(|_| self.seen(api_key) >= count)).await;
        assert!(waited.is_ok(), "{} of {count} requests with key {api_key} came", self.seen(api_key));
    }

    /// Loses the answer of the `nth` request with this key from now on, counted from 1, and the connection with it.
    pub fn lose_answer(&self, api_key: i16, nth: u64) {
        self.on(api_key, nth, Action::LoseAnswer);
    }

    /// Holds back the `nth` request with this key from now on, counted from 1.
    pub fn hold(&self, api_key: i16, nth: u64) -> Held {
        let held = Held { stage: Arc::new(watch::channel(Stage::Expected).0) };
        self.on(api_key, nth, Action::Hold(held.clone()));
        held
    }

    fn on(&self, api_key: i16, nth: u64, action: Action) {
        let mut rules = self.shared.rules.lock();
        let at = rules.seen.get(&api_key).copied().unwrap_or(0) + nth;
        rules.actions.entry(api_key).or_default().push((at, action));
    }

    /// Cuts all connections, and refuses new ones until `come_up`.
    pub fn go_down(&self) {
        self.shared.rules.lock().is_down = true;
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub fn come_up(&self) {
        self.shared.rules.lock().is_down = false;
    }
}

impl Drop for KafkaProxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.go_down();
    }
}

/// What a connection knows of its requests without an answer yet: by correlation id, the API key and whether the answer is lost.
type Pending = Arc<Mutex<HashMap<i32, (i16, bool)>>>;

async fn serve(shared: Arc<Shared>, client: TcpStream) {
    // Subscribed before the broker is asked: a cut in between counts.
    let mut cuts = shared.cuts.subscribe();
    let Ok(upstream) = TcpStream::connect(shared.upstream).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    upstream.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_upstream, to_upstream) = upstream.into_split();
    let pending = Pending::default();
    // Goes on alone when the client leaves: what it has sent is under way, also when it is held.
    tokio::spawn(forward_requests(shared.clone(), pending.clone(), from_client, to_upstream));
    tokio::select! {
        _ = forward_answers(&shared, &pending, from_upstream, to_client) => {}
        _ = cuts.changed() => {}
    }
}

async fn read_frame(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn write_frame(to: &mut OwnedWriteHalf, frame: &[u8]) -> io::Result<()> {
    let mut whole = (frame.len() as u32).to_be_bytes().to_vec();
    whole.extend_from_slice(frame);
    to.write_all(&whole).await
}

async fn forward_requests(
    shared: Arc<Shared>,
    pending: Pending,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut from).await?;
        let api_key = i16::from_be_bytes([frame[0], frame[1]]);
        let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let action = {
            let mut rules = shared.rules.lock();
            let seen = rules.seen.entry(api_key).or_default();
            *seen += 1;
            let now = *seen;
            let actions = rules.actions.entry(api_key).or_default();
            let index = actions.iter().position(|(at, _)| *at == now);
            index.map(|index| actions.swap_remove(index).1)
        };
        shared.requests.send_modify(|requests| *requests += 1);
        pending.lock().insert(correlation_id, (api_key, matches!(action, Some(Action::LoseAnswer))));
        let held = match action {
            Some(Action::Hold(held)) => Some(held),
            _ => None,
        };
        if let Some(held) = &held {
            held.stage.send_replace(Stage::Here);
            held.wait_for_release().await;
        }
        write_frame(&mut to, &frame).await?;
        if let Some(held) = held {
            held.stage.send_replace(Stage::Forwarded);
        }
    }
}

impl Held {
    async fn wait_for_release(&self) {
        let mut stages = self.stage.subscribe();
        stages.wait_for(|stage| *stage >= Stage::Released).await.unwrap();
    }
}

async fn forward_answers(
    shared: &Shared,
    pending: &Pending,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> io::Result<()> {
    loop {
        let mut frame = read_frame(&mut from).await?;
        let correlation_id = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        let (api_key, is_lost) = pending.lock().remove(&correlation_id).unwrap_or((-1, false));
        if is_lost {
            return Ok(());
        }
        if [METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER].contains(&api_key) {
            name_ourselves(&mut frame, shared.upstream.port(), shared.port);
        }
        write_frame(&mut to, &frame).await?;
    }
}

/// In every version of the answers the broker's host stands before its port, which is all that differs.
fn name_ourselves(frame: &mut [u8], upstream: u16, proxy: u16) {
    let place = |port: u16| [b"127.0.0.1".as_slice(), &i32::from(port).to_be_bytes()].concat();
    let (old, new) = (place(upstream), place(proxy));
    for at in 0..frame.len().saturating_sub(old.len() - 1) {
        if frame[at..].starts_with(&old) {
            frame[at..at + new.len()].copy_from_slice(&new);
        }
    }
}

mod self_test {
    use rdkafka::consumer::Consumer;
    use rdkafka::producer::{FutureProducer, Producer};
    use rdkafka::{ClientConfig, Offset};

    use super::*;
    use crate::backends::{Backends, kafka_at, unique};
    use crate::conformance::kafka::{consumer, create_topic, producer, read, record};

    async fn start() -> (KafkaProxy, ClientConfig, String) {
        let proxy = KafkaProxy::start(&Backends::get().bootstrap_servers).await;
        let mut config = kafka_at(&proxy.bootstrap_servers());
        config.set("reconnect.backoff.max.ms", "100");
        let topic = unique("proxied");
        create_topic(&config, &topic, 1).await;
        (proxy, config, topic)
    }

    fn end(config: &ClientConfig, topic: &str) -> i64 {
        consumer(config, &unique("reader")).fetch_watermarks(topic, 0, PATIENCE).unwrap().1
    }

    async fn send(producer: &FutureProducer, topic: &str) {
        producer.send(record(topic, 0, "k", "v"), PATIENCE).await.map_err(|(error, _)| error).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clients_come_back_to_the_proxy() {
        let (proxy, config, topic) = start().await;
        let producer = producer(&config, &[]);
        let port = producer.client().fetch_metadata(None, PATIENCE).unwrap().brokers()[0].port();
        assert_eq!(port, i32::from(proxy.shared.port));
        send(&producer, &topic).await;
        assert_eq!(proxy.seen(PRODUCE), 1);
        assert_eq!(read(&config, &topic, 0, Offset::Beginning, 1).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_whose_answer_is_lost_was_carried_out() {
        let (proxy, config, topic) = start().await;
        proxy.lose_answer(PRODUCE, 1);
        let producer = producer(&config, &[("retries", "0"), ("message.timeout.ms", "5000")]);
        producer.send(record(&topic, 0, "k", "v"), PATIENCE).await.unwrap_err();
        assert_eq!(end(&config, &topic), 1);
        send(&producer, &topic).await;
        assert_eq!(end(&config, &topic), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_held_request_comes_when_it_is_released() {
        let (proxy, config, topic) = start().await;
        let held = proxy.hold(PRODUCE, 1);
        let sending = tokio::spawn({
            let (producer, topic) = (producer(&config, &[]), topic.clone());
            async move { send(&producer, &topic).await }
        });
        held.here().await;
        assert_eq!(end(&config, &topic), 0);
        held.release().await;
        sending.await.unwrap();
        assert_eq!(end(&config, &topic), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_proxy_that_was_down_comes_up_again() {
        let (proxy, config, topic) = start().await;
        let idempotent = producer(&config, &[("enable.idempotence", "true")]);
        send(&idempotent, &topic).await;
        proxy.go_down();
        let impatient = producer(&config, &[("message.timeout.ms", "300")]);
        impatient.send(record(&topic, 0, "k", "lost"), PATIENCE).await.unwrap_err();
        let waiting = tokio::spawn({
            let topic = topic.clone();
            async move { send(&idempotent, &topic).await }
        });
        proxy.come_up();
        waiting.await.unwrap();
        assert_eq!(end(&config, &topic), 2);
    }
}
