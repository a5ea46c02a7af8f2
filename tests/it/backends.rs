//! Kafka and DynamoDB for the tests: embedded ones of this process, or the real ones that two environment variables name. One pair for
//! the whole run, so every test takes names of its own from `unique`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use rdkafka::ClientConfig;
use streamgate::embedded::{DynamoDbOptions, EmbeddedDynamoDb, KafkaBroker, KafkaBrokerOptions};

/// How long a test waits for anything; only a failure takes that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Backends {
    pub bootstrap_servers: String,
    pub dynamodb_endpoint: String,
    _embedded: Option<Embedded>,
}

struct Embedded {
    _kafka: KafkaBroker,
    _dynamodb: EmbeddedDynamoDb,
    /// Tests have runtimes of their own, which end before the store does.
    _runtime: tokio::runtime::Runtime,
}

impl Backends {
    pub fn get() -> &'static Self {
        static BACKENDS: OnceLock<Backends> = OnceLock::new();
        // A runtime cannot be entered from within another one, so it is started elsewhere.
        BACKENDS.get_or_init(|| std::thread::spawn(Self::start).join().unwrap())
    }

    fn start() -> Self {
        match (env::var("STREAMGATE_TEST_KAFKA"), env::var("STREAMGATE_TEST_DYNAMODB")) {
            (Ok(bootstrap_servers), Ok(dynamodb_endpoint)) => {
                Self { bootstrap_servers, dynamodb_endpoint, _embedded: None }
            }
            (Err(_), Err(_)) => Self::start_embedded(),
            _ => panic!("set both STREAMGATE_TEST_KAFKA and STREAMGATE_TEST_DYNAMODB, or none"),
        }
    }

    fn start_embedded() -> Self {
        let data_dir = data_dir_of_this_run();
        let kafka = KafkaBroker::start(KafkaBrokerOptions::new(data_dir.join("kafka"))).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dynamodb =
            runtime.block_on(EmbeddedDynamoDb::start(DynamoDbOptions::new(data_dir.join("dynamodb")))).unwrap();
        Self {
            bootstrap_servers: kafka.address().to_string(),
            dynamodb_endpoint: dynamodb.endpoint(),
            _embedded: Some(Embedded { _kafka: kafka, _dynamodb: dynamodb, _runtime: runtime }),
        }
    }

    pub fn kafka(&self) -> ClientConfig {
        kafka_at(&self.bootstrap_servers)
    }

    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        dynamodb_at(&self.dynamodb_endpoint)
    }
}

pub fn kafka_at(bootstrap_servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    config
}

/// A client without TLS, for the runtime of the caller.
pub fn dynamodb_at(endpoint: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

/// A name that no other test, and no earlier run on the same backends, has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static RUN: OnceLock<String> = OnceLock::new();
    let run = RUN.get_or_init(|| uuid::Uuid::new_v4().simple().to_string()[..8].to_owned());
    format!("{name}-{run}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Statics are not dropped, so the folder of a run is removed by the next one.
fn data_dir_of_this_run() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("backends");
    fs::create_dir_all(&root).unwrap();
    for entry in fs::read_dir(&root).unwrap().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            // Another run may be removing it too.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    root.join(process::id().to_string())
}
