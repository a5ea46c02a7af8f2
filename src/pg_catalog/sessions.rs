//! What sessions do: pg_stat_activity, pg_stat_ssl and pg_stat_database of all of them, pg_prepared_statements and pg_cursors of the asking one. pg_locks is
//! always empty: who waits to write a table that the server keeps is not shown there yet.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::model::{Model, OWNER};
use super::relation::{Row, list};
use super::{pg_type, roles};
use crate::sql::SessionView;
use crate::sql::activity::{Backend, BackendState, KeptStatement, OpenCursor};

fn moment(at_ms: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(at_ms.map(|at_ms| at_ms.saturating_mul(1000)), Some("UTC".into()))
}

/// A row for each session.
pub fn pg_stat_activity(model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |backend: &Arc<Backend>| match roles::may_see(model, view, &backend.user) {
        true => of_backend(model, backend),
        false => hidden(model, backend),
    };
    view.activity.backends().iter().map(row).collect()
}

/// What everybody may know of a session.
fn hidden(model: &Model, backend: &Backend) -> Row {
    let database = model.databases.iter().find(|known| known.name == backend.database).map(|known| known.oid);
    Row::new()
        .set("datid", ScalarValue::UInt32(database))
        .set("datname", backend.database.as_str())
        .set("pid", backend.process_id)
        .set("usesysid", ScalarValue::UInt32(model.role_oid(&backend.user)))
        .set("usename", backend.user.as_str())
        .set("query", "<insufficient privilege>")
}

fn of_backend(model: &Model, backend: &Backend) -> Row {
    let doing = backend.doing();
    let database = model.databases.iter().find(|known| known.name == backend.database).map(|known| known.oid);
    let client_port = backend.client.map(|client| i32::from(client.port()));
    let row = Row::new()
        .set("datid", ScalarValue::UInt32(database))
        .set("datname", backend.database.as_str())
        .set("pid", backend.process_id)
        .set("usesysid", model.role_oid(&backend.user).unwrap_or(OWNER))
        .set("usename", backend.user.as_str())
        .set("application_name", doing.application_name.as_str())
        .set("client_addr", ScalarValue::Utf8(backend.client.map(|client| client.ip().to_string())))
        .set("client_port", ScalarValue::Int32(client_port))
        .set("backend_start", moment(Some(backend.started_ms)))
        .set("xact_start", moment(doing.transaction_start_ms))
        .set("query_start", moment(doing.query_start_ms))
        .set("state_change", moment(Some(doing.state_change_ms)))
        .set("state", doing.state.name())
        .set("query", &*doing.query)
        .set("backend_type", "client backend");
    if doing.state == BackendState::Active {
        return row;
    }
    row.set("wait_event_type", "Client").set("wait_event", "ClientRead")
}

/// A row for each session: how its connection is encrypted.
pub fn pg_stat_ssl(model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |backend: &Arc<Backend>| {
        let row = Row::new().set("pid", backend.process_id);
        if !roles::may_see(model, view, &backend.user) {
            return row;
        }
        match &backend.encryption {
            None => row.set("ssl", false),
            Some(encryption) => row
                .set("ssl", true)
                .set("version", encryption.version.as_str())
                .set("cipher", encryption.cipher.as_str())
                .set("bits", encryption.bits)
                .set("client_dn", ScalarValue::Utf8(encryption.client_dn.clone())),
        }
    };
    view.activity.backends().iter().map(row).collect()
}

/// A row for each database. What is not counted here is NULL.
pub fn pg_stat_database(model: &Model, view: &SessionView) -> Vec<Row> {
    let backends = view.activity.backends();
    let row = |(oid, name): (u32, &str)| {
        let open = backends.iter().filter(|backend| backend.database == name).count();
        Row::new()
            .set("datid", oid)
            .set("datname", name)
            .set("numbackends", i32::try_from(open).unwrap_or(i32::MAX))
            .set("sessions", i64::try_from(view.activity.opened_in(name)).unwrap_or(i64::MAX))
    };
    model.databases.iter().map(|database| row((database.oid, &database.name))).collect()
}

/// What the session keeps by name: by PREPARE and by its protocol.
pub fn pg_prepared_statements(_model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |((from_sql, name), kept): ((bool, String), KeptStatement)| {
        let types: Vec<ScalarValue> =
            kept.parameter_types.iter().map(|data_type| ScalarValue::from(pg_type::of(data_type).oid)).collect();
        Row::new()
            .set("name", name)
            .set("statement", &*kept.text)
            .set("prepare_time", moment(Some(kept.prepared_ms)))
            .set("parameter_types", list(&types, &DataType::UInt32))
            .set("from_sql", from_sql)
    };
    view.backend.kept().into_iter().map(row).collect()
}

/// The cursors that the session has declared.
pub fn pg_cursors(_model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |cursor: OpenCursor| {
        Row::new()
            .set("name", cursor.name)
            .set("statement", &*cursor.text)
            .set("is_holdable", cursor.holds)
            .set("is_binary", false)
            .set("is_scrollable", cursor.scrolls)
            .set("creation_time", moment(Some(cursor.created_ms)))
    };
    view.backend.cursors().into_iter().map(row).collect()
}
