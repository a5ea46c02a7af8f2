//! Statements that are known and not there: each with its sentence. Everything else is a syntax error.

use crate::error::Error;
use crate::sql::parser::Cursor;

/// Words that begin a statement, and what to say of it.
const REFUSED: &[(&[&str], &str)] = &[
    (&["SUBSCRIBE"], "SUBSCRIBE is not supported yet"),
    (&["MERGE"], "MERGE is not supported yet"),
    (&["ALTER"], "ALTER is not supported yet; drop the object and create it again"),
    (&["ANALYZE"], "ANALYZE is not supported: there are no statistics to gather"),
    (&["VACUUM"], "VACUUM is not supported: there is nothing to clean"),
    (&["LOCK"], "LOCK is not supported"),
    (&["DO"], "DO is not supported"),
    (&["CALL"], "CALL is not supported yet"),
    (&["REFRESH"], "REFRESH is not supported"),
    (&["CLUSTER"], "CLUSTER is not supported"),
    (&["REINDEX"], "REINDEX is not supported"),
    (&["CHECKPOINT"], "CHECKPOINT is not supported; jobs take checkpoints by themselves"),
    (&["LOAD"], "LOAD is not supported"),
    (&["UNLOAD"], "UNLOAD is not supported"),
    (&["ADD"], "ADD JAR is not supported: functions are written in SQL"),
    (&["REMOVE"], "REMOVE JAR is not supported: functions are written in SQL"),
    (&["COMPILE"], "COMPILE PLAN is not supported"),
    (&["EXPORT"], "EXPORT JOB is not supported yet"),
    (&["ANALYSE"], "ANALYZE is not supported: there are no statistics to gather"),
];

/// The error for a statement that begins here.
pub fn refused(cursor: &Cursor) -> Error {
    for (words, sentence) in REFUSED {
        if cursor.peek_words(words) {
            return Error::unsupported(*sentence).at(cursor.position());
        }
    }
    for kind in [
        "CATALOG",
        "INDEX",
        "SEQUENCE",
        "USER",
        "TYPE",
        "TRIGGER",
        "EXTENSION",
        "MATERIALIZED",
        "DOMAIN",
        "AGGREGATE",
        "PROCEDURE",
        "MODEL",
        "POLICY",
        "RULE",
        "UNIQUE",
    ] {
        if cursor.peek_words(&["CREATE", kind]) || cursor.peek_words(&["CREATE", "OR", "REPLACE", kind]) {
            return Error::unsupported(format!("CREATE {kind} is not supported")).at(cursor.position());
        }
        if cursor.peek_words(&["DROP", kind]) {
            return Error::unsupported(format!("DROP {kind} is not supported")).at(cursor.position());
        }
    }
    cursor.error()
}
