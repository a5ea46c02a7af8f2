//! BEGIN, COMMIT, ROLLBACK and savepoints: DDL and jobs of a block take effect together at COMMIT, where its INSERTs that do not
//! end become one job. Rows that the server keeps take part; those that bounded INSERTs write elsewhere do not: they go to outside
//! systems at once.

use datafusion::arrow::datatypes::SchemaRef;

use super::super::session::{InSet, Outcome, Purpose, Running, Session, TransactionStatus};
use super::block;
use super::control::Control;
use super::outcomes::done;
use super::plan_text;
use super::set::{Modes, modes};
use super::statement_set;
use crate::error::{Error, Result};
use crate::sql::parser::{Cursor, fold};
use crate::sql::session::settings::{DEFAULT_READ_ONLY, READ_ONLY};

/// Transaction control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transaction {
    /// BEGIN, START TRANSACTION
    Begin {
        /// Command tag.
        tag: &'static str,
        /// What it is to be.
        modes: Modes,
    },
    /// COMMIT
    Commit,
    /// END: of a statement set, else COMMIT
    End,
    /// ROLLBACK, ABORT
    Rollback,
    /// SAVEPOINT
    Savepoint(String),
    /// RELEASE
    Release(String),
    /// ROLLBACK TO
    RollbackTo(String),
    /// SET TRANSACTION
    Set(Modes),
}

impl Transaction {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.words(&["START", "TRANSACTION"]) {
            return Ok(Self::Begin { tag: "START TRANSACTION", modes: modes(cursor)? });
        }
        if cursor.words(&["SET", "TRANSACTION"]) {
            return Ok(Self::Set(modes(cursor)?));
        }
        if cursor.word("SAVEPOINT") {
            return Ok(Self::Savepoint(fold(&cursor.ident()?)));
        }
        if cursor.word("RELEASE") {
            cursor.word("SAVEPOINT");
            return Ok(Self::Release(fold(&cursor.ident()?)));
        }
        let begins = cursor.word("BEGIN");
        let ends = !begins && cursor.word("END");
        let commits = ends || !begins && cursor.word("COMMIT");
        let rolls_back = !begins && !commits && (cursor.word("ROLLBACK") || cursor.word("ABORT"));
        if !begins && !commits && !rolls_back {
            return Err(cursor.error());
        }
        if cursor.peek_words(&["PREPARED"]) {
            return Err(Error::unsupported("two-phase commit is not supported").at(cursor.position()));
        }
        if !cursor.word("WORK") {
            cursor.word("TRANSACTION");
        }
        if begins {
            return Ok(Self::Begin { tag: "BEGIN", modes: modes(cursor)? });
        }
        if rolls_back && cursor.word("TO") {
            cursor.word("SAVEPOINT");
            return Ok(Self::RollbackTo(fold(&cursor.ident()?)));
        }
        if cursor.peek_words(&["AND", "CHAIN"]) {
            return Err(Error::unsupported("AND CHAIN is not supported").at(cursor.position()));
        }
        cursor.words(&["AND", "NO", "CHAIN"]);
        Ok(match (ends, commits) {
            (true, _) => Self::End,
            (false, true) => Self::Commit,
            (false, false) => Self::Rollback,
        })
    }

    /// Whether it is allowed in a failed block.
    pub fn ends_block(&self) -> bool {
        matches!(self, Self::Commit | Self::End | Self::Rollback | Self::RollbackTo(_))
    }

    /// Acts.
    ///
    /// # Errors
    /// The commit fails, or there is no such savepoint.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match self {
            Self::Begin { tag, modes } => {
                let mut modes = modes.clone();
                if session.transaction_status() == TransactionStatus::Idle {
                    session.begin().await?;
                    if modes.read_only.is_none() && session.settings().get(DEFAULT_READ_ONLY)? == "on" {
                        modes.read_only = Some(true);
                    }
                } else {
                    session.warning("there is already a transaction in progress".to_owned());
                }
                take(&modes, session)?;
                Ok(done(*tag))
            }
            Self::Set(modes) => {
                if session.transaction_status() == TransactionStatus::Idle {
                    session.warning("SET TRANSACTION can only be used in transaction blocks".to_owned());
                } else {
                    take(modes, session)?;
                }
                Ok(done("SET"))
            }
            Self::End if session.is_in_set() => statement_set::end(session).await,
            Self::Commit | Self::End => match session.transaction_status() {
                TransactionStatus::Idle => {
                    session.warning("there is no transaction in progress".to_owned());
                    Ok(done("COMMIT"))
                }
                TransactionStatus::Failed => {
                    session.roll_back();
                    Ok(done("ROLLBACK"))
                }
                TransactionStatus::Open => {
                    let inserts = session.end_block();
                    let submitted = block::submit(session, inserts).await;
                    session.commit(submitted).await?;
                    Ok(done("COMMIT"))
                }
            },
            Self::Rollback => {
                if session.transaction_status() == TransactionStatus::Idle {
                    session.warning("there is no transaction in progress".to_owned());
                }
                session.roll_back();
                Ok(done("ROLLBACK"))
            }
            Self::Savepoint(name) => session.savepoint(name).map(|()| done("SAVEPOINT")),
            Self::Release(name) => session.release(name).map(|()| done("RELEASE")),
            Self::RollbackTo(name) => session.roll_back_to(name).map(|()| done("ROLLBACK")),
        }
    }
}

impl Control for Transaction {
    fn result(&self, session: &Session) -> Option<SchemaRef> {
        let explains = matches!(session.set_purpose(), Some(Purpose::Explain { .. }));
        (matches!(self, Transaction::End) && explains).then(plan_text::schema)
    }

    fn ends_block(&self) -> bool {
        Transaction::ends_block(self)
    }

    fn in_set(&self) -> InSet {
        match self {
            Transaction::Savepoint(_) | Transaction::Release(_) => InSet::Member,
            Transaction::Commit => InSet::Commit,
            other if other.ends_block() => InSet::End,
            _ => InSet::Refused,
        }
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}

/// Gives the open transaction its modes.
fn take(modes: &Modes, session: &mut Session) -> Result<()> {
    let settings = session.settings_mut();
    if let Some(level) = &modes.isolation {
        settings.begin_local("transaction_isolation")?;
        settings.set("transaction_isolation", level)?;
    }
    if let Some(read_only) = modes.read_only {
        settings.begin_local(READ_ONLY)?;
        settings.set(READ_ONLY, if read_only { "on" } else { "off" })?;
    }
    Ok(())
}
