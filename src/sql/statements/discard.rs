//! DISCARD: what a pooler sends before it gives the connection to somebody else.

use super::super::session::{Outcome, Running, Session, TransactionStatus};
use super::control::Control;
use super::outcomes::done;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    All,
    Plans,
    Temporary,
}

/// DISCARD ALL | PLANS | SEQUENCES | TEMP
#[derive(Debug, Clone)]
pub struct Discard {
    what: What,
}

impl Discard {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("DISCARD")?;
        let what = if cursor.word("ALL") {
            What::All
        } else if cursor.word("PLANS") || cursor.word("SEQUENCES") {
            What::Plans
        } else if cursor.word("TEMP") || cursor.word("TEMPORARY") {
            What::Temporary
        } else {
            return Err(cursor.error());
        };
        Ok(Self { what })
    }

    /// Discards.
    ///
    /// # Errors
    /// ALL inside a transaction block.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match self.what {
            What::All => {
                if session.transaction_status() != TransactionStatus::Idle {
                    return Err(Error::invalid("DISCARD ALL cannot run inside a transaction block")
                        .code(SqlState::ActiveSqlTransaction));
                }
                session.set_session_user(None)?;
                session.settings_mut().reset_all();
                session.close_all_cursors();
                session.unlisten_all();
                session.forget_prepared();
                session.forget_temporary();
                Ok(done("DISCARD ALL"))
            }
            What::Plans => Ok(done("DISCARD PLANS")),
            What::Temporary => {
                session.forget_temporary();
                Ok(done("DISCARD TEMP"))
            }
        }
    }
}

impl Control for Discard {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
