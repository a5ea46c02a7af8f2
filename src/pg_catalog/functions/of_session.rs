//! Functions about the session itself: its user, its database, its settings.

use datafusion::scalar::ScalarValue;

use super::{Body, Context, argument, entry, some_text, strings};
use crate::error::{Error, SqlState};
use crate::functions::entry::Entry;

pub(super) const ENTRIES: &[Entry<Body>] = &[
    entry("version", &["→ text"], "The version of PostgreSQL that this server answers as, and its own.", |_, _| {
        let ours = env!("CARGO_PKG_VERSION");
        some_text(Some(format!("PostgreSQL {} (streamgate {ours})", crate::pg_catalog::SERVER_VERSION)))
    }),
    entry(
        "current_database",
        &["→ name"],
        "The connected database; `current_catalog` is written without brackets.",
        |context, _| some_text(Some(context.view.database.clone())),
    )
    .aliases(&["current_catalog"]),
    entry("current_schema", &["→ name"], "The first schema of the search path that exists.", |context, _| {
        some_text(existing_path(context).into_iter().next())
    }),
    entry(
        "current_schemas",
        &["boolean → text[]"],
        "The schemas of the search path that exist, and `pg_catalog` if the argument is true.",
        |context, values| {
            let implicit = matches!(values.first(), Some(ScalarValue::Boolean(Some(true))));
            let first = implicit.then(|| "pg_catalog".to_owned());
            Ok(strings(first.into_iter().chain(existing_path(context))))
        },
    ),
    entry(
        "current_user",
        &["→ name"],
        "The role that the session acts as: that of `SET ROLE`, or its own; written without brackets.",
        |context, _| some_text(Some(context.view.user.clone())),
    )
    .aliases(&["current_role", "user"]),
    entry(
        "session_user",
        &["→ name"],
        "The role of the session, whatever `SET ROLE` says; written without brackets.",
        |context, _| some_text(Some(context.view.session_user.clone())),
    ),
    entry("pg_backend_pid", &["→ integer"], "The number of the session.", |context, _| {
        Ok(ScalarValue::Int32(Some(context.view.process_id)))
    }),
    entry(
        "current_setting",
        &["text → text", "text, boolean → text"],
        "The value of a setting; NULL for one that is not there if the second argument is true.",
        |context, values| {
            let Some(name) = argument(values, 0) else { return some_text(None::<String>) };
            let found = context.view.settings.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name));
            match found {
                Some((_, value)) => some_text(Some(value.clone())),
                None if name.eq_ignore_ascii_case("server_version_num") => some_text(Some("150018")),
                None if matches!(values.get(1), Some(ScalarValue::Boolean(Some(true)))) => some_text(None::<String>),
                None => {
                    let error = Error::not_found(format!("unrecognized configuration parameter \"{name}\""));
                    Err(error.code(SqlState::UndefinedObject).into())
                }
            }
        },
    ),
];

/// Schemas of the search path that exist.
fn existing_path(context: &Context) -> Vec<String> {
    let model = context.model();
    let exists = |name: &&String| model.namespaces.iter().any(|namespace| namespace.name == **name);
    context.view.search_path.iter().filter(exists).cloned().collect()
}
