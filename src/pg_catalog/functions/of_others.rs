//! Functions that do something to another session: its statement or the session itself is ended. Whoever is connected may, until there
//! are roles.

use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::{Body, Context, entry, number};
use crate::error::Error;
use crate::functions::entry::Entry;
use crate::sql::activity::Cancellable;

pub(super) const ENTRIES: &[Entry<Body>] = &[
    entry(
        "pg_cancel_backend",
        &["integer → boolean"],
        "Cancels the statement that a session works on; false if there is no session of that number.",
        |context, values| tell(context, values, Cancellable::cancel),
    )
    .volatile(),
    entry(
        "pg_terminate_backend",
        &["integer → boolean", "integer, bigint → boolean"],
        "Ends a session; false if there is none of that number. It does not wait: a second argument, a time to wait, may only be 0.",
        |context, values| {
            if number(values, 1).is_some_and(|patience| patience != 0) {
                let error = Error::unsupported("pg_terminate_backend does not wait for the end of the session");
                return Err(error.hint("Call it with one argument, and look into pg_stat_activity.").into());
            }
            tell(context, values, Cancellable::terminate)
        },
    )
    .volatile(),
];

fn tell(context: &Context, values: &[ScalarValue], what: fn(&Cancellable)) -> Result<ScalarValue> {
    let Some(number) = number(values, 0) else { return Ok(ScalarValue::Boolean(None)) };
    let session = i32::try_from(number).ok().and_then(|process_id| context.view.activity.cancellable(process_id));
    if let Some(session) = &session {
        what(session);
    }
    Ok(ScalarValue::Boolean(Some(session.is_some())))
}
