//! A job's transactions on one cluster, the protocol "decide in Kafka": what an epoch writes, its decision and its offsets are one
//! transaction. One producer for all of the job's writers; records of an epoch enter only while it is the open one.
//!
//! After an error of `commit` the outcome is unclear: nothing is written any more, and the job opens its transactions anew, which reads
//! what was decided. A commit that succeeded but may have been asked for twice is followed by a new producer.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::BaseRecord;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::kept::Sealed;
use super::outgoing::{Outgoing, base};
use super::owners::{MayOpen, Owners, may_open};
use super::progress_topic::{ProgressRecord, ProgressTopic};
use super::transactional_producer::{GroupOffsets, TransactionalProducer};
use super::write_sequences::{Room, WriteSequence, WriteSequences};
use crate::connectors::bad_rows::BadRows;
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::kafka::writing::TransactionOptions;
use crate::connectors::position::Position;
use crate::connectors::split::Split;
use crate::connectors::transactions::{Decision, Transactional, Transactions};
use crate::error::{Error, ErrorKind, Result, SqlState};
use crate::fault;

/// How much longer than a transaction may take its records are waited for.
const FLUSH_GRACE: Duration = Duration::from_secs(10);

/// Opens transactions with the client properties of one table.
pub(in crate::connectors) struct KafkaTransactional {
    options: Arc<KafkaOptions>,
    transaction: TransactionOptions,
}

impl KafkaTransactional {
    /// Absent when the table does not ask for exactly-once.
    pub fn of_table(options: &Arc<KafkaOptions>) -> Option<Arc<dyn Transactional>> {
        let transaction = options.transaction.clone()?;
        Some(Arc::new(Self { options: options.clone(), transaction }))
    }
}

#[async_trait]
impl Transactional for KafkaTransactional {
    fn scope(&self) -> String {
        // Properties hold passwords: only a digest of them is shown.
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        for (name, value) in &self.options.properties {
            for part in [name, value] {
                digest.update(&(part.len() as u64).to_be_bytes());
                digest.update(part.as_bytes());
            }
        }
        let hex: String = digest.finish().as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}#{hex}", self.options.cluster())
    }

    async fn open(&self, job_id: &str) -> Result<Arc<dyn Transactions>> {
        let owners = Owners::of_process();
        let opened = KafkaTransactions::open(self.options.clone(), self.transaction.clone(), job_id, owners).await?;
        Ok(Arc::new(opened))
    }

    async fn forget(&self, job_id: &str) -> Result<()> {
        ProgressTopic::new(self.options.clone(), job_id).delete().await
    }
}

/// A job's transactions; see the module.
pub(in crate::connectors) struct KafkaTransactions {
    shared: Arc<Shared>,
    decided: Option<Decision>,
}

struct Shared {
    options: Arc<KafkaOptions>,
    transaction: TransactionOptions,
    job_id: String,
    transactional_id: String,
    /// Names this opening, to tell a new owner from a time-out.
    owner: String,
    /// The names under which this process has owned them.
    owners: Owners,
    progress: ProgressTopic,
    producer: Mutex<Arc<TransactionalProducer>>,
    /// When the open transaction began.
    begun: Mutex<Instant>,
    /// Whether writers keep the records of an epoch until it is released.
    holds_back: AtomicBool,
    /// What is kept of epochs whose barriers are past.
    sealed: Mutex<Vec<Sealed>>,
    /// Told when writers hold back so much that the epoch should end.
    full: Notify,
    failure: Mutex<Option<Error>>,
    open: watch::Sender<Open>,
}

/// Which epoch may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::connectors) struct Open {
    /// The epoch whose records enter the transaction.
    pub epoch: u64,
    /// Whether anything has been committed or written since the transactions were opened.
    is_begun: bool,
    /// No epoch may write any more.
    pub failed: bool,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(format!("a Kafka transaction: {error}")))?
}

impl KafkaTransactions {
    async fn open(
        options: Arc<KafkaOptions>,
        transaction: TransactionOptions,
        job_id: &str,
        owners: Owners,
    ) -> Result<Self> {
        let transactional_id = format!("{}-{job_id}", transaction.transactional_id_prefix);
        let progress = ProgressTopic::new(options.clone(), job_id);
        let transactions = name_of(&options, &transactional_id);
        // Opened anew: whoever has taken them over meanwhile is not shut out.
        let mine = owners.mine(&transactions);
        let progress = if mine.is_empty() {
            progress
        } else {
            let (progress, last) = blocking(move || {
                let last = progress.read_owner()?;
                Ok((progress, last))
            })
            .await?;
            if may_open(&mine, last.as_deref()) == MayOpen::No {
                owners.give_up(&transactions);
                return Err(taken_over("opening the job's Kafka transactions anew", &transactional_id));
            }
            progress
        };
        // First the former owner is shut out: what it has decided can only be read after that.
        let producer = blocking({
            let (options, id, timeout) = (options.clone(), transactional_id.clone(), transaction.timeout);
            move || TransactionalProducer::start(options, &id, timeout)
        })
        .await?;
        progress.create().await?;
        let (open, _) = watch::channel(Open { epoch: 1, is_begun: false, failed: false });
        let shared = Arc::new(Shared {
            options,
            transaction,
            job_id: job_id.to_owned(),
            transactional_id,
            owner: Uuid::new_v4().to_string(),
            owners,
            progress,
            producer: Mutex::new(Arc::new(producer)),
            begun: Mutex::new(Instant::now()),
            holds_back: AtomicBool::new(false),
            sealed: Mutex::default(),
            full: Notify::new(),
            failure: Mutex::default(),
            open,
        });
        let decided = blocking({
            let shared = shared.clone();
            move || {
                let last = shared.progress.read()?;
                shared.claim()?;
                Ok(last.decision)
            }
        })
        .await?;
        let decided = decided.filter(|_| !fault::is_mutant("skip-progress-read"));
        let first = decided.as_ref().map_or(1, |decision| decision.epoch + 1);
        shared.open.send_modify(|open| open.epoch = first);
        Ok(Self { shared, decided })
    }

    /// A writer begins with this epoch. Only before anything is written it may be another one than the one after the decision.
    pub(crate) fn join(&self, epoch: u64) {
        self.shared.open.send_if_modified(|open| {
            let is_new = !open.is_begun && open.epoch < epoch;
            if is_new {
                open.epoch = epoch;
            }
            is_new
        });
    }

    /// Which epoch may write, as it changes.
    pub(crate) fn opened(&self) -> watch::Receiver<Open> {
        self.shared.open.subscribe()
    }

    /// Something was written: from now on epochs follow one another.
    pub(crate) fn begun(&self) {
        // Each record comes by here: a look is cheaper than a change.
        if !self.shared.open.borrow().is_begun {
            self.shared.open.send_if_modified(|open| {
                open.is_begun = true;
                false
            });
        }
    }

    /// Whether writers keep the records of an epoch until it is released.
    pub(super) fn holds_back(&self) -> bool {
        self.shared.holds_back.load(Ordering::Acquire)
    }

    /// Keeps a writer's records of an epoch whose barrier is past.
    pub(super) fn seal(&self, sealed: Sealed) {
        if !sealed.kept.is_empty() {
            self.shared.sealed.lock().push(sealed);
        }
    }

    /// A writer holds back as much as it may.
    pub(super) fn should_end(&self) {
        self.shared.full.notify_one();
    }

    /// Where records go now; asked for again after each wait.
    pub(crate) fn producer(&self) -> Arc<TransactionalProducer> {
        self.shared.producer.lock().clone()
    }

    /// Why nothing may be written any more.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.failure.lock().clone()
    }

    /// A record could not be handed over: the transaction cannot be committed.
    pub(crate) async fn fail(&self, error: KafkaError, doing: &str) -> Error {
        let (shared, doing) = (self.shared.clone(), doing.to_owned());
        let told = blocking(move || Ok(shared.told(&error, &doing))).await.unwrap_or_else(|error| error);
        self.shared.fail(told)
    }

    /// The cluster, for comparing.
    pub(crate) fn options(&self) -> &Arc<KafkaOptions> {
        &self.shared.options
    }
}

impl Shared {
    fn fail(&self, error: Error) -> Error {
        let failure = self.failure.lock().get_or_insert(error).clone();
        self.open.send_modify(|open| open.failed = true);
        failure
    }

    fn check(&self, epoch: u64) -> Result<Arc<TransactionalProducer>> {
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
        }
        let open = self.open.borrow().epoch;
        if epoch != open {
            return Err(Error::internal(format!("epoch {epoch} is to be committed, but epoch {open} is open")));
        }
        Ok(self.producer.lock().clone())
    }

    /// Puts a record of the progress topic into the open transaction.
    fn record(
        &self,
        producer: &TransactionalProducer,
        key: &str,
        decision: Option<Decision>,
    ) -> Result<(), KafkaError> {
        let record = ProgressRecord { owner: self.owner.clone(), decision };
        let json = serde_json::to_vec(&record).expect("a record of plain fields is JSON");
        let record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.progress.name, WriteSequence::unwatched())
            .partition(0)
            .key(key.as_bytes())
            .payload(&json);
        producer.send(record)
    }

    /// Tells in the progress topic who owns the transactions now, and begins the first one. Blocks.
    fn claim(&self) -> Result<()> {
        let doing = "taking over the job's Kafka transactions";
        self.owners.note(&name_of(&self.options, &self.transactional_id), &self.owner);
        let producer = self.producer.lock().clone();
        let claimed = producer
            .begin()
            .and_then(|()| self.record(&producer, &format!("{}/owner", self.job_id), None))
            .and_then(|()| producer.commit());
        let is_sure = claimed.map_err(|error| self.told(&error, doing))?;
        if is_sure {
            *self.begun.lock() = Instant::now();
            return producer.begin().map_err(|error| self.told(&error, doing));
        }
        self.rebuild()
    }

    /// Replaces the producer, so that nothing the old one has asked for can reach the next transaction. Blocks.
    fn rebuild(&self) -> Result<()> {
        // A process that stood still meanwhile may not be the owner any more.
        if let Some(owner) = self.progress.read_owner()?
            && owner != self.owner
        {
            return Err(self.is_taken_over("replacing the producer of the job's Kafka transactions"));
        }
        let producer =
            TransactionalProducer::start(self.options.clone(), &self.transactional_id, self.transaction.timeout)?;
        *self.begun.lock() = Instant::now();
        producer.begin().map_err(|error| self.told(&error, "beginning a Kafka transaction"))?;
        *self.producer.lock() = Arc::new(producer);
        Ok(())
    }

    /// What an error of the producer means. Whether a fenced producer has a new owner or was only too slow says the progress topic.
    /// Blocks.
    fn told(&self, error: &KafkaError, doing: &str) -> Error {
        let producer = self.producer.lock().clone();
        if !producer.is_fenced(error) {
            return producer.told(error, doing);
        }
        let open_for = self.begun.lock().elapsed();
        match self.progress.read_owner() {
            Ok(Some(owner)) if owner != self.owner => self.is_taken_over(doing),
            Ok(_) if open_for < self.transaction.timeout => Error::unavailable(format!(
                "{doing}: another producer has begun to take over the transactional id \"{}\"",
                self.transactional_id
            ))
            .hint("If the job runs elsewhere too, stop one of them."),
            Ok(_) => Error::unavailable(format!(
                "{doing}: the broker has aborted the transaction, which was open for longer than {} ms",
                self.transaction.timeout.as_millis()
            ))
            .hint("Let checkpoints come more often than 'properties.transaction.timeout.ms'."),
            Err(unread) => {
                Error::unavailable(format!("{doing}: {error}")).detail(format!("Who owns the job: {unread}."))
            }
        }
    }

    /// The job runs elsewhere. Opened here once more, they are taken over: a person has resumed the job.
    fn is_taken_over(&self, doing: &str) -> Error {
        self.owners.give_up(&name_of(&self.options, &self.transactional_id));
        taken_over(doing, &self.transactional_id)
    }

    /// Blocks.
    fn commit(&self, decision: &Decision, groups: &BTreeMap<String, GroupOffsets>) -> Result<()> {
        let epoch = decision.epoch;
        let doing = format!("committing epoch {epoch}");
        let told = |error: KafkaError| {
            let told = self.told(&error, &doing);
            // Whatever it was: only what is read anew is true.
            if told.kind() == ErrorKind::Internal { Error::unavailable(told.to_string()) } else { told }
        };
        let producer = self.check(epoch)?;
        self.record(&producer, &self.job_id, Some(decision.clone())).map_err(told)?;
        for (group, offsets) in groups {
            producer.send_offsets(group, offsets).map_err(told)?;
        }
        fault::point("K5");
        fault::point("K6");
        let is_sure = producer.commit().map_err(told)? || fault::is_mutant("keep-producer");
        fault::point("K8");
        if is_sure {
            *self.begun.lock() = Instant::now();
            producer.begin().map_err(told)
        } else {
            tracing::info!(epoch, "a Kafka commit may have been asked for twice: going on with a new producer");
            drop(producer);
            self.rebuild()
        }
    }
}

/// Gives a record of the open epoch to the producer.
pub(super) async fn hand_over(
    kafka: &KafkaTransactions,
    record: &Outgoing<'_>,
    sequence: &Arc<WriteSequence>,
    sequences: &WriteSequences,
    bad_rows: &BadRows,
) -> Result<()> {
    kafka.begun();
    let mut room: Option<Room<'_>> = None;
    loop {
        if let Some(failure) = kafka.failure().or_else(|| sequences.failure()) {
            return Err(failure);
        }
        match kafka.producer().send(base(record, sequence.clone())) {
            Ok(()) => return Ok(()),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                sequences.wait_for_room(&mut room).await;
            }
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                return match bad_rows.take(record.too_large(&kafka.options().table)) {
                    Ok(()) => {
                        sequence.done();
                        Ok(())
                    }
                    Err(error) => {
                        sequences.fail(error.clone());
                        Err(error)
                    }
                };
            }
            Err(error) => {
                let error = kafka.fail(error, &format!("writing to topic \"{}\"", record.topic)).await;
                sequences.fail(error.clone());
                return Err(error);
            }
        }
    }
}

/// Names the transactions among those of all clusters.
fn name_of(options: &KafkaOptions, transactional_id: &str) -> String {
    format!("{}#{transactional_id}", options.cluster())
}

fn taken_over(doing: &str, transactional_id: &str) -> Error {
    Error::invalid(format!("{doing}: another instance has taken over the transactional id \"{transactional_id}\""))
        .code(SqlState::ObjectInUse)
        .hint("The job runs elsewhere: stop it there or here. RESUME JOB takes it over.")
}

/// The offsets that go to groups of this cluster.
fn offsets_by_group(options: &KafkaOptions, committed: &[(Split, Position)]) -> BTreeMap<String, GroupOffsets> {
    let mut groups: BTreeMap<String, GroupOffsets> = BTreeMap::new();
    let cluster = format!("{}/", options.cluster());
    for (split, position) in committed {
        if let Some(group) = &split.group
            && let Some(place) = split.resource.strip_prefix(&cluster)
            && let Some((topic, partition)) = place.rsplit_once('/')
            && let Ok(partition) = partition.parse()
            && let Some(offset) = position.offset()
        {
            groups.entry(group.clone()).or_default().insert((topic.to_owned(), partition), offset);
        }
    }
    groups
}

#[async_trait]
impl Transactions for KafkaTransactions {
    fn decided(&self) -> Option<&Decision> {
        self.decided.as_ref()
    }

    fn hold_back(&self) {
        self.shared.holds_back.store(true, Ordering::Release);
    }

    async fn release(&self, epoch: u64) -> Result<()> {
        let sealed: Vec<Sealed> = {
            let mut sealed = self.shared.sealed.lock();
            let (now, later) = std::mem::take(&mut *sealed).into_iter().partition(|sealed| sealed.epoch <= epoch);
            *sealed = later;
            now
        };
        for Sealed { kept, sequences, bad_rows, .. } in sealed {
            for record in kept {
                hand_over(self, &record.outgoing(), &record.sequence, &sequences, &bad_rows).await?;
            }
        }
        Ok(())
    }

    async fn full(&self) {
        self.shared.full.notified().await;
    }

    async fn flush(&self, epoch: u64) -> Result<()> {
        if fault::is_mutant("commit-before-flush") {
            return Ok(());
        }
        let shared = self.shared.clone();
        let flushed = blocking(move || {
            let producer = shared.check(epoch)?;
            let patience = shared.transaction.timeout + FLUSH_GRACE;
            producer.flush(patience).map_err(|error| shared.told(&error, &format!("writing epoch {epoch}")))
        })
        .await;
        flushed.map_err(|error| self.shared.fail(error))?;
        fault::point("K2");
        Ok(())
    }

    async fn commit(&self, decision: &Decision, committed: &[(Split, Position)]) -> Result<()> {
        let groups = offsets_by_group(&self.shared.options, committed);
        let (shared, decision) = (self.shared.clone(), decision.clone());
        let next = decision.epoch + 1;
        blocking(move || shared.commit(&decision, &groups)).await.map_err(|error| self.shared.fail(error))?;
        self.shared.open.send_modify(|open| *open = Open { epoch: next, is_begun: true, failed: open.failed });
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests;
