//! One session as others see it: whose it is, what it does now, what it keeps by name, and how it is told to end. The session and whoever
//! serves its client write it down; whoever asks reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::announcements::Announcements;
use super::notifications::Mailbox;
use crate::sql::parser::secret_options;

/// Bytes of a statement that are shown, as Postgres' track_activity_query_size has it.
const SHOWN_BYTES_MAX: usize = 1024;

/// How a session is told to end its statement, or itself, from outside.
#[derive(Debug, Default)]
pub struct Cancellable {
    running: Mutex<Option<CancellationToken>>,
    ends: CancellationToken,
}

impl Cancellable {
    /// A statement begins; it can be cancelled until [`Self::end`].
    pub fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.running.lock() = Some(token.clone());
        token
    }

    /// Nothing runs any more.
    pub fn end(&self) {
        *self.running.lock() = None;
    }

    /// Cancels what runs, if anything does.
    pub fn cancel(&self) {
        if let Some(running) = &*self.running.lock() {
            running.cancel();
        }
    }

    /// Ends the session, with what runs in it.
    pub fn terminate(&self) {
        self.ends.cancel();
    }

    /// Raised when the session is to end.
    pub fn ends(&self) -> &CancellationToken {
        &self.ends
    }
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendState {
    /// It works on a statement.
    Active,
    /// It waits for its client.
    Idle,
    /// It waits for its client within a block.
    InTransaction,
    /// It waits for its client within a block that has failed.
    Aborted,
}

impl BackendState {
    /// As pg_stat_activity has it.
    pub fn name(self) -> &'static str {
        match self {
            BackendState::Active => "active",
            BackendState::Idle => "idle",
            BackendState::InTransaction => "idle in transaction",
            BackendState::Aborted => "idle in transaction (aborted)",
        }
    }
}

/// What a session does at one moment. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Doing {
    /// What it does.
    pub state: BackendState,
    /// Since when.
    pub state_change_ms: i64,
    /// What it works on, or worked on last: secrets blanked, and cut where it is long.
    pub query: Arc<str>,
    /// When that began.
    pub query_start_ms: Option<i64>,
    /// When its transaction began; absent: it has none.
    pub transaction_start_ms: Option<i64>,
    /// What its client calls itself.
    pub application_name: String,
}

/// A statement that a session keeps.
#[derive(Debug, Clone)]
pub struct KeptStatement {
    /// Its text, as [`shown`].
    pub text: Arc<str>,
    /// When it was prepared, milliseconds since 1970.
    pub prepared_ms: i64,
    /// Types of its parameters.
    pub parameter_types: Vec<DataType>,
}

/// A cursor that a session has declared.
#[derive(Debug, Clone)]
pub struct OpenCursor {
    /// Its name.
    pub name: String,
    /// The statement that declared it, as [`shown`].
    pub text: Arc<str>,
    /// WITH HOLD.
    pub holds: bool,
    /// SCROLL.
    pub scrolls: bool,
    /// When it was declared, milliseconds since 1970.
    pub created_ms: i64,
}

/// By whom a statement is kept: PREPARE (true) or the protocol; and under which name.
pub type KeptName = (bool, String);

/// One session.
#[derive(Debug)]
pub struct Backend {
    /// Its number.
    pub process_id: i32,
    /// Whose it is.
    pub user: String,
    /// The connected database.
    pub database: String,
    /// Where its client calls from; absent: from within this process.
    pub client: Option<SocketAddr>,
    /// How its connection is encrypted; absent: it is in clear.
    pub encryption: Option<Encryption>,
    /// When it was opened, milliseconds since 1970.
    pub started_ms: i64,
    /// How it is told to end.
    pub cancellable: Arc<Cancellable>,
    doing: Mutex<Doing>,
    kept: Mutex<BTreeMap<KeptName, KeptStatement>>,
    cursors: Mutex<Vec<OpenCursor>>,
    /// What it is told by others.
    pub mailbox: Arc<Mailbox>,
    /// What its transaction has to tell others.
    pub announcements: Announcements,
}

/// How a connection is encrypted, as pg_stat_ssl shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `TLSv1.3`
    pub version: String,
    /// OpenSSL's name: `TLS_AES_256_GCM_SHA384`
    pub cipher: String,
    /// Bits of the cipher's key.
    pub bits: i32,
    /// Subject of the client's certificate, if it has shown one: `/CN=alice`
    pub client_dn: Option<String>,
}

/// A statement as others may see it: its secrets blanked, and cut where it is long.
pub fn shown(text: &str) -> Arc<str> {
    without_secrets(text, SHOWN_BYTES_MAX).into()
}

/// A statement with its secrets blanked, cut where it is longer than that.
pub fn without_secrets(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // What is cut within a secret is blanked all the same.
    let text = &text[..end];
    let text = secret_options::without_password(text);
    if text.contains('=') { secret_options::mask(&text) } else { text.into_owned() }
}

impl Backend {
    /// The same session over a connection that is encrypted so.
    #[must_use]
    pub fn encrypted(self, encryption: Option<Encryption>) -> Self {
        Self { encryption, ..self }
    }

    /// A session that opens now, and waits for its client.
    pub fn new(
        (process_id, user, database): (i32, String, String),
        client: Option<SocketAddr>,
        cancellable: Arc<Cancellable>,
        application_name: String,
        now_ms: i64,
    ) -> Self {
        let doing = Doing {
            state: BackendState::Idle,
            state_change_ms: now_ms,
            query: "".into(),
            query_start_ms: None,
            transaction_start_ms: None,
            application_name,
        };
        Self {
            process_id,
            user,
            database,
            client,
            encryption: None,
            started_ms: now_ms,
            cancellable,
            doing: Mutex::new(doing),
            kept: Mutex::default(),
            cursors: Mutex::default(),
            mailbox: Arc::default(),
            announcements: Announcements::default(),
        }
    }

    /// It begins to work on a statement, given as [`shown`].
    pub fn begin(&self, query: Arc<str>, now_ms: i64) {
        let mut doing = self.doing.lock();
        doing.state = BackendState::Active;
        doing.state_change_ms = now_ms;
        doing.query = query;
        doing.query_start_ms = Some(now_ms);
        doing.transaction_start_ms.get_or_insert(now_ms);
    }

    /// It waits for its client.
    pub fn rest(&self, state: BackendState, now_ms: i64) {
        let mut doing = self.doing.lock();
        doing.state = state;
        doing.state_change_ms = now_ms;
        if state == BackendState::Idle {
            doing.transaction_start_ms = None;
        }
    }

    /// Its client calls itself otherwise.
    pub fn rename(&self, application_name: String) {
        self.doing.lock().application_name = application_name;
    }

    /// What it does now.
    pub fn doing(&self) -> Doing {
        self.doing.lock().clone()
    }

    /// The statement that it works on.
    pub fn query(&self) -> Arc<str> {
        Arc::clone(&self.doing.lock().query)
    }

    /// It keeps a statement.
    pub fn keep(&self, name: KeptName, statement: KeptStatement) {
        self.kept.lock().insert(name, statement);
    }

    /// It keeps it no longer.
    pub fn forget(&self, name: &KeptName) {
        self.kept.lock().remove(name);
    }

    /// Whether it keeps one of that name.
    pub fn keeps(&self, name: &KeptName) -> bool {
        self.kept.lock().contains_key(name)
    }

    /// It keeps none any longer; gives the names of those that it kept.
    pub fn forget_prepared(&self) -> Vec<KeptName> {
        std::mem::take(&mut *self.kept.lock()).into_keys().collect()
    }

    /// What it keeps, by name.
    pub fn kept(&self) -> BTreeMap<KeptName, KeptStatement> {
        self.kept.lock().clone()
    }

    /// It has these cursors.
    pub(in crate::sql) fn set_cursors(&self, cursors: Vec<OpenCursor>) {
        *self.cursors.lock() = cursors;
    }

    /// Its cursors.
    pub fn cursors(&self) -> Vec<OpenCursor> {
        self.cursors.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_also_where_the_text_is_cut() {
        let statement = "CREATE TABLE t (a INT) WITH ('aws.credentials.basic.secretkey' = 'hunter2')";
        assert!(!shown(statement).contains("hunter2") && shown(statement).contains("******"), "{}", shown(statement));
        let long = format!("{}{}", " ".repeat(SHOWN_BYTES_MAX - 72), statement);
        assert!(!shown(&long).contains("hunt"), "{}", shown(&long));
        assert_eq!(shown(&"ä".repeat(1000)).len(), SHOWN_BYTES_MAX);
        for (statement, seen) in [
            ("CREATE ROLE r LOGIN PASSWORD 'hunter2'", "CREATE ROLE r ******"),
            (
                "prepare p as alter /* x */ User \"a b\" passwrd hunter2",
                "prepare p as alter /* x */ User \"a b\" ******",
            ),
            ("SELECT 1; ALTER USER r PASSWORD $$hunter2$$", "SELECT 1; ALTER USER r ******"),
            ("CREATE ROLE r;", "CREATE ROLE r;"),
            ("SELECT create_role FROM user", "SELECT create_role FROM user"),
        ] {
            assert_eq!(&*shown(statement), seen);
        }
    }
}
