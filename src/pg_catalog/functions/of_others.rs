//! Functions that have to do with other sessions: their statements, or they themselves, are ended, or they are told something.

use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::{Body, Context, argument, entry, number, some_text, strings};
use crate::error::Error;
use crate::functions::entry::Entry;
use crate::pg_catalog::roles;
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
    entry(
        "pg_notify",
        &["text, text → text"],
        "As `NOTIFY`, for channels and payloads that are computed; what it gives is empty.",
        |context, values| {
            let channel = argument(values, 0).unwrap_or_default();
            context.view.backend.announcements.say(&channel, &argument(values, 1).unwrap_or_default())?;
            some_text(Some(""))
        },
    )
    .volatile(),
    entry(
        "pg_listening_channels",
        &["→ text[]"],
        "The channels that the session listens to, a row each where it stands in the list of a SELECT.",
        |context, _| {
            let channels = context.view.activity.channels.of(&context.view.backend.mailbox);
            Ok(strings(channels.into_iter()))
        },
    )
    .volatile(),
];

fn tell(context: &Context, values: &[ScalarValue], what: fn(&Cancellable)) -> Result<ScalarValue> {
    let Some(number) = number(values, 0) else { return Ok(ScalarValue::Boolean(None)) };
    let backend = i32::try_from(number).ok().and_then(|process_id| context.view.activity.backend(process_id));
    if let Some(backend) = &backend {
        if !roles::may_signal(&context.model(), &context.view, &backend.user) {
            let error = Error::denied("permission denied to cancel a query or end a session");
            return Err(error.detail("Only roles with privileges of the role whose session it is may do that.").into());
        }
        what(&backend.cancellable);
    }
    Ok(ScalarValue::Boolean(Some(backend.is_some())))
}
