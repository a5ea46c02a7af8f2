//! Durable files that are replaced as a whole, and say of themselves what they are and whether they are whole.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

const VERSION: u32 = 1;

/// The outside of a durable file: what it is, and a checksum over the content's very bytes.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: String,
    version: u32,
    checksum: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Reads a file that [`write_checked`] wrote; `None` if there is none.
///
/// # Errors
/// It is of another kind or version, torn or altered (`Corrupt`; the file stays as it is).
pub(super) fn read_checked<T: DeserializeOwned>(path: &Path, format: &str) -> Result<Option<T>> {
    let corrupt = |what: String| {
        Error::corrupt(format!("file {} cannot be used: {what}", path.display()))
            .hint("It was left as it is. Restore it from a backup, or move it away to start afresh.")
    };
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| corrupt(error.to_string()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(corrupt(error.to_string())),
    };
    let envelope: Envelope = serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
    if envelope.format != format || envelope.version != VERSION {
        return Err(corrupt(format!("it is {} version {}", envelope.format, envelope.version)));
    }
    if envelope.checksum != checksum(envelope.content.get()) {
        return Err(corrupt("its checksum does not match its content".to_owned()));
    }
    serde_json::from_str(envelope.content.get()).map(Some).map_err(|error| corrupt(error.to_string()))
}

/// Replaces a file as a whole: beside it, flushed, renamed, the directory flushed.
///
/// # Errors
/// The disk refuses.
pub(super) fn write_checked<T: Serialize>(path: &Path, format: &str, content: &T) -> Result<()> {
    let content = serde_json::value::to_raw_value(content).map_err(unserializable)?;
    let envelope =
        Envelope { format: format.to_owned(), version: VERSION, checksum: checksum(content.get()), content: &content };
    let text = serde_json::to_string(&envelope).map_err(unserializable)?;
    let failed = |error: std::io::Error| Error::unavailable(format!("file {}: {error}", path.display()));
    let temporary = path.with_extension("json.new");
    // Declarations are nobody else's business. One that a crash left behind may be open to all.
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32c::crc32c(text.as_bytes()))
}

/// Why content could not be written as text: an internal error.
pub(super) fn unserializable(error: serde_json::Error) -> Error {
    Error::internal(format!("the catalog cannot be serialised: {error}"))
}
