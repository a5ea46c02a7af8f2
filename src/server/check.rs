//! `streamgate serve --check`: tries what the configuration names, says of each thing whether it works, and starts nothing.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use super::backends::Backend;
use super::defaults_of;
use crate::audit::{self, AuditTarget};
use crate::catalog::directory::Directory;
use crate::clock::SystemClock;
use crate::config::{Config, DynamoDbBackend, KafkaBackend};
use crate::error::{Error, Result};
use crate::{http, wire};

fn can_listen(address: SocketAddr) -> Result<String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok("free".to_owned()),
        // As it is beside a running server.
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok("taken, by a running server perhaps".to_owned()),
        Err(error) => Err(Error::invalid(error.to_string())),
    }
}

/// Tries everything and prints a line for each.
///
/// # Errors
/// Something does not work: says how many things.
pub async fn check(config: &Config) -> Result<()> {
    let mut wrong = 0;
    let mut say = |what: String, outcome: Result<String>| match outcome {
        Ok(about) => println!("ok     {what}: {about}"),
        Err(error) => {
            wrong += 1;
            println!("WRONG  {what}: {error}");
            if let Some(hint) = error.hint_text() {
                println!("       {hint}");
            }
        }
    };
    let may_listen = config.access.check_listen(config.listen, config.tls.is_some(), true);
    say(format!("listen {}", config.listen), may_listen.and_then(|()| can_listen(config.listen)));
    if let Some(files) = &config.tls {
        let files = files.clone();
        let what = format!("TLS certificate {}", files.certificate.display());
        say(what, wire::Tls::load(files).map(|_| "fits its key".to_owned()));
    }
    if let Some(address) = config.http_listen {
        let may_listen = http::require_loopback(address);
        say(format!("http_listen {address}"), may_listen.and_then(|()| can_listen(address)));
    }
    if let AuditTarget::File(path) = &config.audit_log {
        say(
            format!("audit_log {}", path.display()),
            audit::try_open(&config.audit_log).map(|()| "can be written".to_owned()),
        );
    }
    say(format!("data directory {}", config.data_dir.display()), writable(&config.data_dir));
    let defaults = defaults_of(config, Arc::new(SystemClock))?;
    match &config.kafka {
        KafkaBackend::Embedded { port } => {
            say("Kafka".to_owned(), Ok(format!("embedded, from port {} on", port.first)))
        }
        KafkaBackend::None => say("Kafka".to_owned(), Ok("none by default: tables must name their own".to_owned())),
        KafkaBackend::Cluster { .. } => {
            say(Backend::Kafka.title(&defaults), Backend::Kafka.ask(&defaults).await);
        }
    }
    match &config.dynamodb {
        DynamoDbBackend::Embedded { port } => {
            say("DynamoDB".to_owned(), Ok(format!("embedded, from port {} on", port.first)));
        }
        DynamoDbBackend::Aws { .. } => {
            say(Backend::DynamoDb.title(&defaults), Backend::DynamoDb.ask(&defaults).await);
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err(Error::invalid("one thing of the configuration does not work")),
        count => Err(Error::invalid(format!("{count} things of the configuration do not work"))),
    }
}

/// Whether the folder, or the nearest one above it that is there, takes a file.
fn writable(folder: &Path) -> Result<String> {
    let absolute = std::path::absolute(folder).map_err(|error| Error::invalid(error.to_string()))?;
    let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(&absolute);
    if !existing.is_dir() {
        return Err(Error::invalid(format!("{} is not a folder", existing.display())));
    }
    let probe = existing.join(format!(".streamgate-check-{}", std::process::id()));
    std::fs::write(&probe, b"")
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| Error::invalid(format!("{} cannot be written: {error}", existing.display())))?;
    Ok(match existing == absolute {
        // As it is beside the running server whose configuration is looked at.
        true if Directory::is_taken(&absolute) => "in use by a running server; a second one would not start".to_owned(),
        true => "can be written".to_owned(),
        false => "is made at the first start".to_owned(),
    })
}
