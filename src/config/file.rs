//! The TOML file: what may stand in it, and where in it an error is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::MemorySize;
use crate::access::{AccessRule, Method};
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::telemetry::LogFormat;
use crate::wire::TlsVersion;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub listen: Option<String>,
    pub http_listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub max_connections: Option<usize>,
    pub max_message_size: Option<MemorySize>,
    pub query_memory: Option<MemorySize>,
    pub session_memory: Option<MemorySize>,
    pub job_threads: Option<usize>,
    pub audit_log: Option<String>,
    pub hold_jobs: Option<bool>,
    pub adopt_data_dir: Option<bool>,
    pub allowed_folders: Option<Vec<String>>,
    pub allowed_hosts: Option<Vec<String>>,
    pub auth: Option<Method>,
    pub listen_without_tls: Option<bool>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
    pub tls_min_version: Option<TlsVersion>,
    pub access: Vec<AccessRule>,
    pub kafka: KafkaFile,
    pub aws: AwsFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KafkaFile {
    pub embedded: Option<bool>,
    pub embedded_port: Option<u16>,
    pub bootstrap_servers: Option<String>,
    pub properties: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AwsFile {
    pub embedded: Option<bool>,
    pub embedded_port: Option<u16>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
}

/// Reads the file.
///
/// # Errors
/// It cannot be read, or something in it is not a setting: says where.
pub(super) fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("cannot read configuration {}: {error}", path.display())))?;
    parse(&text).map_err(|error| error.context(format!("configuration {}", path.display())))
}

/// Reads the file's text.
///
/// # Errors
/// As [`read`].
pub(super) fn parse(text: &str) -> Result<File> {
    toml::from_str(text).map_err(|error| {
        let mut message = error.message().lines().next().unwrap_or_default().to_owned();
        // serde lists what it knows in backticks, behind what it was given.
        let mut quoted = message.split('`').skip(1).step_by(2);
        let near = match quoted.next() {
            Some(given) if message.starts_with("unknown ") => nearest(given, quoted).map(str::to_owned),
            _ => None,
        };
        if let Some(near) = near {
            message = format!("{} (did you mean `{near}`?)", message.split(", expected").next().unwrap_or_default());
        }
        if let Some((start, kind)) = message.split_once(", expected ") {
            message = format!("{start}, expected {}", kind_in_words(kind));
        }
        let Some(span) = error.span() else { return Error::invalid(message) };
        let (line, column) = place(text, span.start);
        let key = match key_at(text, span.start) {
            Some(key) => format!(", key {key}"),
            None => String::new(),
        };
        Error::invalid(format!("line {line}, column {column}{key}: {message}"))
    })
}

/// What serde calls by its Rust type.
fn kind_in_words(kind: &str) -> &str {
    match kind {
        "usize" | "u64" | "u32" => "a whole number",
        "u16" => "a port between 0 and 65535",
        _ if kind.starts_with("struct ") => "a table of keys",
        _ => kind,
    }
}

/// Line and column, in characters counted from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// `kafka.bootstrap_servers`: the key that stands at, or before, a place.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let line_end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    let mut key = None;
    for line in text[..line_end].lines().rev() {
        let line = line.trim();
        if line.starts_with('[') {
            let header = line.trim_start_matches('[');
            let header = header.split(']').next()?.trim();
            return Some(match key {
                Some(key) => format!("{header}.{key}"),
                None => header.to_owned(),
            });
        }
        if key.is_none() {
            key = line.split_once('=').map(|(key, _)| key.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    key
}
