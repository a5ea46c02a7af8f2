//! `streamgate doctor`: tries what the configuration names, says of each thing whether it works, and starts nothing.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Resource;

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
pub async fn doctor(config: &Config) -> Result<()> {
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
    say("room on its disk".to_owned(), room_on_disk(&config.data_dir));
    say(
        "open files".to_owned(),
        open_files(rustix::process::getrlimit(Resource::Nofile).current, config.max_connections),
    );
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

/// Below this a data directory is as good as full: checkpoints fail, and jobs with them.
const DISK_MIN: u64 = 1 << 30;
/// Files that a server without sessions may have open: logs of the embedded backends, checkpoints, sockets of jobs.
const FILES_OF_SERVER: u64 = 512;

fn room_on_disk(folder: &Path) -> Result<String> {
    let existing = nearest_existing(folder)?;
    let of = rustix::fs::statvfs(&existing).map_err(|error| Error::invalid(format!("cannot be told: {error}")))?;
    let free = of.f_bavail.saturating_mul(of.f_frsize);
    match free < DISK_MIN {
        true => Err(Error::invalid(format!("only {} MB are free", free >> 20))
            .hint("Make room, or move data_dir: without it checkpoints fail.")),
        false => Ok(format!("{} GB are free", free >> 30)),
    }
}

/// Whether the process may open as many files as its sessions and jobs need; `None` is no limit.
fn open_files(limit: Option<u64>, max_connections: usize) -> Result<String> {
    let needed = FILES_OF_SERVER + max_connections as u64;
    match limit {
        Some(limit) if limit < needed => {
            Err(Error::invalid(format!("{limit} are allowed, max_connections = {max_connections} may need {needed}"))
                .hint("Raise the limit (LimitNOFILE of systemd, ulimit -n), or lower max_connections."))
        }
        Some(limit) => Ok(format!("{limit} are allowed")),
        None => Ok("no limit".to_owned()),
    }
}

/// The folder, or the nearest one above it that is there.
fn nearest_existing(folder: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(folder).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(absolute.ancestors().find(|path| path.exists()).unwrap_or(&absolute).to_owned())
}

/// Whether the folder, or the nearest one above it that is there, takes a file.
fn writable(folder: &Path) -> Result<String> {
    let absolute = std::path::absolute(folder).map_err(|error| Error::invalid(error.to_string()))?;
    let existing = nearest_existing(folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_are_told_with_the_number_that_is_needed() {
        assert!(open_files(Some(1024), 100).is_ok() && open_files(None, 100_000).is_ok());
        let error = open_files(Some(1024), 1000).unwrap_err();
        assert!(error.to_string().contains("1024 are allowed, max_connections = 1000 may need 1512"), "{error}");
    }
}
