//! What the client is told of a statement and of its session: errors, notices, tags of commands, settings.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{CommandComplete, ErrorResponse, NoticeResponse, NotificationResponse};
use pgwire::messages::startup::ParameterStatus;

use crate::error::{Error, SqlState};
use crate::sql::activity::Notification;
use crate::sql::{Notice, Severity};

/// Texts longer than this are cut: a message must stay readable and far below the protocol's bound.
const TEXT_BYTES_MAX: usize = 16 << 10;

fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        // A NUL would end the field.
        return text.replace('\0', "\u{fffd}");
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …", text[..end].replace('\0', "\u{fffd}"))
}

fn fields(severity: &str, code: &str, message: &str, detail: Option<&str>, hint: Option<&str>) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', code.to_owned()),
        (b'M', shortened(message)),
    ];
    fields.extend(detail.map(|detail| (b'D', shortened(detail))));
    fields.extend(hint.map(|hint| (b'H', shortened(hint))));
    fields
}

/// An error of a statement that begins `offset` characters into its message.
pub fn error(error: &Error, offset: usize) -> PgWireBackendMessage {
    response("ERROR", error, offset)
}

/// An error after which the connection ends.
pub fn fatal(error: &Error) -> PgWireBackendMessage {
    response("FATAL", error, 0)
}

fn response(severity: &str, error: &Error, offset: usize) -> PgWireBackendMessage {
    let mut fields = fields(severity, error.sqlstate().code(), error.message(), error.detail_text(), error.hint_text());
    fields.extend(error.position().map(|position| (b'P', (position + offset).to_string())));
    if let Some(about) = error.about() {
        let names = [(b't', &about.table), (b'c', &about.column), (b'n', &about.constraint)];
        fields.extend(names.into_iter().filter_map(|(field, name)| Some((field, shortened(name.as_deref()?)))));
    }
    fields.extend(error.routine().map(|routine| (b'R', routine.to_owned())));
    PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields))
}

/// A notice or warning.
pub fn notice(notice: &Notice) -> PgWireBackendMessage {
    let (severity, code) = match notice.severity {
        Severity::Notice => ("NOTICE", SqlState::SuccessfulCompletion),
        Severity::Warning => ("WARNING", SqlState::Warning),
    };
    let fields = fields(severity, code.code(), &notice.message, notice.detail.as_deref(), notice.hint.as_deref());
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields))
}

/// What another session, or the server, has told.
pub fn notification(notification: &Notification) -> PgWireBackendMessage {
    PgWireBackendMessage::NotificationResponse(NotificationResponse::new(
        notification.process_id,
        notification.channel.to_string(),
        shortened(&notification.payload),
    ))
}

/// The end of a statement.
pub fn complete(tag: impl Into<String>) -> PgWireBackendMessage {
    PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.into()))
}

/// The tag of a statement with rows; Postgres counts them in these verbs only.
pub fn rows_tag(verb: &str, count: u64) -> String {
    match verb {
        "SELECT" | "FETCH" | "MOVE" | "COPY" | "UPDATE" | "DELETE" | "MERGE" | "VALUES" | "TABLE" => {
            format!("{} {count}", if matches!(verb, "VALUES" | "TABLE") { "SELECT" } else { verb })
        }
        "INSERT" => format!("INSERT 0 {count}"),
        other => other.to_owned(),
    }
}

/// Tells the client of a setting.
pub fn parameter_status(name: String, value: String) -> PgWireBackendMessage {
    PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))
}
