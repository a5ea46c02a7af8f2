//! Where the server may write and read files, and which hosts it may call, for what users name in statements: everybody who may declare
//! a table could otherwise make the server touch any file, or ask a cloud's metadata service. Decides only; does not connect.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Component, PathBuf};

use crate::error::{Error, Result};

/// The metadata service of AWS over IPv6, which is not link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Folders and hosts that statements may name.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Absolute, links resolved.
    folders: Vec<PathBuf>,
    /// `s3://bucket/prefix`, without a slash at the end.
    prefixes: Vec<String>,
    /// Whether any folder will do: for tests and tools that embed the library.
    any_folder: bool,
    /// Absent: any host but those of the link's own network.
    hosts: Option<Vec<String>>,
    /// Hosts that the configuration names for itself.
    own_hosts: Vec<String>,
}

impl Places {
    /// `folders`: paths or `s3://bucket/prefix`. `hosts`: names or addresses, or `*.domain`; `None` for any. `own_hosts`: those that the
    /// configuration uses itself.
    ///
    /// # Errors
    /// A folder that cannot be one.
    pub fn new(folders: &[String], hosts: Option<&[String]>, own_hosts: Vec<String>) -> Result<Self> {
        let mut places = Self {
            hosts: hosts.map(|hosts| hosts.iter().map(|host| host.to_ascii_lowercase()).collect()),
            own_hosts: own_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            ..Self::default()
        };
        for folder in folders {
            places = places.with_folder(folder)?;
        }
        Ok(places)
    }

    /// Allows a folder more.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn with_folder(mut self, folder: &str) -> Result<Self> {
        match place_of(folder)? {
            Place::Folder(path) => self.folders.push(path),
            Place::Prefix(prefix) => self.prefixes.push(prefix),
        }
        Ok(self)
    }

    /// No bounds but those on hosts that nobody may call.
    pub fn anywhere() -> Self {
        Self { any_folder: true, ..Self::default() }
    }

    /// Whether a path or URL is within an allowed folder. `what`: `option "state.checkpoints.dir"`.
    ///
    /// # Errors
    /// It is not (42501), or it is no place at all.
    pub fn check_folder(&self, what: &str, place: &str) -> Result<()> {
        refuse_userinfo(what, place)?;
        let allowed = match place_of(place).map_err(|error| error.context(what))? {
            _ if self.any_folder => true,
            Place::Folder(path) => self.folders.iter().any(|folder| path.starts_with(folder)),
            Place::Prefix(prefix) => self.prefixes.iter().any(|allowed| {
                prefix.strip_prefix(allowed.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }),
        };
        if allowed {
            return Ok(());
        }
        Err(Error::denied(format!("{what}: \"{place}\" is outside of the folders that this server may use"))
            .hint("The data directory may be used, and what allowed_folders of the server's configuration names."))
    }

    /// Whether a host, as it is written, may be called.
    ///
    /// # Errors
    /// It may not (42501).
    pub fn check_host(&self, what: &str, host: &str) -> Result<()> {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        if self.own_hosts.contains(&host) {
            return Ok(());
        }
        if is_metadata_name(&host) || host.parse().is_ok_and(is_forbidden) {
            return Err(forbidden(what, &host));
        }
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let fits = |allowed: &String| match allowed.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => *allowed == host,
        };
        if hosts.iter().any(fits) {
            return Ok(());
        }
        Err(Error::denied(format!("{what}: host \"{host}\" is not one that this server may call"))
            .hint("allowed_hosts of the server's configuration names them."))
    }

    /// As [`Self::check_host`], for the host of a URL.
    ///
    /// # Errors
    /// As there, or it has a user and password, or it is no URL of HTTP.
    pub fn check_url(&self, what: &str, url: &str) -> Result<()> {
        refuse_userinfo(what, url)?;
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).ok_or_else(|| {
            Error::invalid(format!("{what}: \"{url}\" is not a URL")).hint("Write http://host:port or https://host.")
        })?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        self.check_host(what, host_of(authority))
    }

    /// As [`Self::check_host`], for every server of a list `host:port,host:port`.
    ///
    /// # Errors
    /// As there.
    pub fn check_servers(&self, what: &str, servers: &str) -> Result<()> {
        refuse_userinfo(what, servers)?;
        servers.split(',').map(str::trim).filter(|server| !server.is_empty()).try_for_each(|server| {
            let address = server.split_once("://").map_or(server, |(_, address)| address);
            self.check_host(what, host_of(address))
        })
    }
}

/// Addresses that no statement may make the server call: of the link's own network, where clouds have their metadata services.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.is_link_local(),
            None => v6.segments()[0] & 0xffc0 == 0xfe80 || v6 == METADATA_V6,
        },
    }
}

/// Refuses what is neither a host's name nor an address nor `*.domain`.
///
/// # Errors
/// It is not.
pub fn require_host(what: &str, text: &str) -> Result<()> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if is_name || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Error::invalid(format!("{what}: \"{text}\" is not a host"))
        .hint("Write a name, an address or *.domain, without a port."))
}

fn is_metadata_name(host: &str) -> bool {
    matches!(host, "metadata" | "metadata.google.internal" | "instance-data" | "instance-data.ec2.internal")
}

fn forbidden(what: &str, host: &str) -> Error {
    Error::denied(format!("{what}: host \"{host}\" is link-local, where metadata services are, and is not called"))
}

/// Refuses `scheme://user:password@host`, also where the scheme is left out. Does not repeat the text.
///
/// # Errors
/// It has a user.
pub fn refuse_userinfo(what: &str, url: &str) -> Result<()> {
    let has_user = url.split(',').any(|part| {
        let rest = part.split_once("://").map_or(part, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    });
    if !has_user {
        return Ok(());
    }
    Err(Error::invalid(format!("{what}: a user and password in a URL would be stored and shown as they are"))
        .hint("Use the options for credentials, whose values are kept encrypted."))
}

/// `host` of `host:port`, `[::1]:port`, `::1`.
pub fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => authority,
    }
}

enum Place {
    Folder(PathBuf),
    Prefix(String),
}

fn place_of(text: &str) -> Result<Place> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "file" => folder(rest.strip_prefix("localhost").unwrap_or(rest)),
            "s3" | "s3a" | "s3p" => Ok(Place::Prefix(format!("s3://{}", rest.trim_end_matches('/')))),
            _ => Err(Error::invalid(format!("\"{text}\" is not a place for files"))
                .hint("Use a path, file:///path or s3://bucket/prefix.")),
        };
    }
    folder(text.strip_prefix("file:").unwrap_or(text))
}

/// A path without links and `..`, as far as it exists; what does not exist yet is taken by its words.
fn folder(path: &str) -> Result<Place> {
    let bad = |why: &dyn std::fmt::Display| Error::invalid(format!("\"{path}\" is not a path: {why}"));
    let absolute = std::path::absolute(path).map_err(|error| bad(&error))?;
    let mut resolved = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
        // Each part once it is there: a link's target counts, not its name.
        if let Ok(real) = std::fs::canonicalize(&resolved) {
            resolved = real;
        }
    }
    Ok(Place::Folder(resolved))
}

#[cfg(test)]
mod tests;
