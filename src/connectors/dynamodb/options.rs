//! The options of WITH for DynamoDB tables, checked. Makes no request.
//! Which backend a table means: its own endpoint; else, with credentials of its own, AWS (an embedded default is never
//! meant by real credentials); else the server's default. Blank values and a region alone mean the default.

use std::time::Duration;

use crate::connectors::defaults::ConnectorDefaults;
use crate::connectors::lookup_cache::CacheOptions;
use crate::error::{Error, Result};
use crate::options::OptionReader;

/// Options whose values are kept apart from the catalog and never shown.
pub const SECRET_OPTIONS: &[&str] = &[
    "aws.credentials.basic.accesskeyid",
    "aws.credentials.basic.secretkey",
    "aws.credentials.basic.sessiontoken",
    "aws.credentials.role.externalId",
];

/// Items that BatchWriteItem takes at most.
pub const BATCH_ITEMS_MAX: usize = 25;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialsSource {
    /// The SDK's default chain.
    Chain,
    /// Given in the options or by the server.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Secret key.
        secret_key: String,
        /// Session token of temporary credentials.
        session_token: Option<String>,
    },
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// A profile file.
    Profile {
        /// Path, else the default one.
        path: Option<String>,
        /// Profile name, else the default one.
        name: Option<String>,
    },
    /// A role assumed with the default chain's credentials.
    AssumeRole {
        /// The role.
        arn: String,
        /// Session name.
        session_name: String,
        /// External id.
        external_id: Option<String>,
    },
    /// A role assumed by a web identity token.
    WebIdentity {
        /// The role.
        arn: String,
        /// Session name.
        session_name: String,
        /// Path of the token.
        token_file: String,
    },
}

/// What identifies a backend and who we are there; tables with equal connections share one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Connection {
    /// Address, absent for AWS itself.
    pub endpoint: Option<String>,
    /// Region, absent for the SDK's chain.
    pub region: Option<String>,
    /// Credentials.
    pub credentials: CredentialsSource,
}

/// All options of one table.
#[derive(Debug, Clone)]
pub struct DynamoDbOptions {
    /// `table-name`.
    pub table_name: String,
    /// Where it is.
    pub connection: Connection,
    /// Whether that is the embedded backend.
    pub is_embedded: bool,
    /// `primary_key`: columns of the key where no PRIMARY KEY clause says so.
    pub primary_key: Vec<String>,
    /// `table.create` = `if-not-exists`.
    pub creates_table: bool,
    /// `sink.batch.max-size`.
    pub sink_batch_items_max: usize,
    /// `sink.requests.max-inflight`, bounded by `sink.http-client.max-concurrency`.
    pub sink_requests_max: usize,
    /// `sink.requests.max-buffered`.
    pub sink_buffered_max: usize,
    /// `sink.http-client.read-timeout`.
    pub sink_read_timeout: Duration,
    /// `sink.fail-on-error`.
    pub sink_fail_on_error: bool,
    /// `sink.ignore-nulls`.
    pub sink_ignore_nulls: bool,
    /// `sink.ttl.attribute`.
    pub sink_ttl_attribute: Option<String>,
    /// `sink.ttl`.
    pub sink_ttl: Option<Duration>,
    /// `sink.version-attribute` under `'sink.write-mode' = 'monotonic'`; absent in the other modes.
    pub version_attribute: Option<String>,
    /// `sink.tombstone.ttl`.
    pub sink_tombstone_ttl: Option<Duration>,
    /// `lookup.max-retries`.
    pub lookup_retries_max: u32,
    /// `lookup.cache` and what belongs to it.
    pub lookup_cache: Option<CacheOptions>,
}

impl DynamoDbOptions {
    /// Takes all options of a table.
    ///
    /// # Errors
    /// One that is missing, malformed or not supported.
    pub fn take(options: &mut OptionReader, defaults: &ConnectorDefaults) -> Result<Self> {
        let table_name = options
            .take_alias(&["table-name", "table_name"])?
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Error::invalid("option \"table-name\" is required").hint("Add 'table-name' = '…' to WITH.")
            })?;
        let (connection, is_embedded) = take_connection(options, defaults)?;
        options.refuse(&[
            ("aws.trust.all.certificates", "false"),
            ("aws.http.protocol.version", "HTTP1_1"),
            ("lookup.async", "true"),
        ])?;
        if options.take("sink.flush-buffer.size").is_some() {
            return Err(Error::unsupported("option \"sink.flush-buffer.size\" is not supported yet"));
        }
        let creates_table = match options.take_non_blank("table.create") {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("if-not-exists") => true,
            Some(value) if value.eq_ignore_ascii_case("never") => false,
            Some(value) => {
                return Err(Error::invalid(format!("option \"table.create\": '{value}' is not known"))
                    .hint("Known are 'if-not-exists' and 'never'."));
            }
        };
        let sink_batch_items_max = positive(options, "sink.batch.max-size", BATCH_ITEMS_MAX)?;
        if sink_batch_items_max > BATCH_ITEMS_MAX {
            return Err(Error::invalid(format!(
                "option \"sink.batch.max-size\": {sink_batch_items_max} is more than the {BATCH_ITEMS_MAX} that DynamoDB takes"
            )));
        }
        let sink_requests_max = positive(options, "sink.requests.max-inflight", 50)?.min(positive(
            options,
            "sink.http-client.max-concurrency",
            10_000,
        )?);
        // An upper bound on how long a row may wait for others; the writer never lets one wait while it has capacity.
        options.take_duration("sink.flush-buffer.timeout")?;
        let sink_ttl_attribute = options.take_non_blank("sink.ttl.attribute").map(|name| name.trim().to_owned());
        let sink_ttl = options.take_duration("sink.ttl")?;
        if sink_ttl.is_some() && sink_ttl_attribute.is_none() {
            return Err(Error::invalid("option \"sink.ttl\" needs \"sink.ttl.attribute\"")
                .hint("Add 'sink.ttl.attribute' = '…', the attribute that holds the time of expiry."));
        }
        let version_attribute = take_version_attribute(options)?;
        let sink_tombstone_ttl = options.take_duration("sink.tombstone.ttl")?;
        if sink_tombstone_ttl.is_some() && (version_attribute.is_none() || sink_ttl_attribute.is_none()) {
            return Err(Error::invalid(
                "option \"sink.tombstone.ttl\" needs 'sink.write-mode' = 'monotonic' and \"sink.ttl.attribute\"",
            ));
        }
        Ok(Self {
            table_name,
            connection,
            is_embedded,
            primary_key: options
                .take_non_blank("primary_key")
                .map(|names| names.split([',', ';']).map(|name| name.trim().to_owned()).collect())
                .unwrap_or_default(),
            creates_table,
            sink_batch_items_max,
            sink_requests_max,
            sink_buffered_max: positive(options, "sink.requests.max-buffered", 10_000)?,
            sink_read_timeout: options
                .take_duration("sink.http-client.read-timeout")?
                .unwrap_or(Duration::from_secs(30)),
            sink_fail_on_error: options.take_or("sink.fail-on-error", false)?,
            sink_ignore_nulls: options.take_or("sink.ignore-nulls", false)?,
            sink_ttl_attribute,
            sink_ttl,
            version_attribute,
            sink_tombstone_ttl,
            lookup_retries_max: options.take_or("lookup.max-retries", 3)?,
            lookup_cache: CacheOptions::take(options)?,
        })
    }
}

/// The attribute that versions are in, if they are kept.
fn take_version_attribute(options: &mut OptionReader) -> Result<Option<String>> {
    let mode = options.take_non_blank("sink.write-mode").map(|mode| mode.trim().to_ascii_lowercase());
    let attribute = options.take_non_blank("sink.version-attribute").map(|name| name.trim().to_owned());
    match mode.as_deref() {
        Some("monotonic") => Ok(Some(attribute.unwrap_or_else(|| "_v".to_owned()))),
        None | Some("upsert") if attribute.is_some() => {
            Err(Error::invalid("option \"sink.version-attribute\" needs 'sink.write-mode' = 'monotonic'"))
        }
        None | Some("upsert") => Ok(None),
        Some("update") => Err(Error::unsupported("option \"sink.write-mode\" = 'update' is not supported yet")),
        Some(other) => Err(Error::invalid(format!("option \"sink.write-mode\" cannot be '{other}'"))
            .hint("Known values: upsert, monotonic.")),
    }
}

fn positive(options: &mut OptionReader, name: &str, default: usize) -> Result<usize> {
    match options.take_or(name, default)? {
        0 => Err(Error::invalid(format!("option \"{name}\" must be at least 1"))),
        count => Ok(count),
    }
}

fn take_connection(options: &mut OptionReader, defaults: &ConnectorDefaults) -> Result<(Connection, bool)> {
    let own_endpoint = options.take_non_blank("aws.endpoint").map(|endpoint| endpoint.trim().to_owned());
    // Java's spelling of a region, AP_SOUTHEAST_1, means the same.
    let own_region =
        options.take_non_blank("aws.region").map(|name| name.trim().to_ascii_lowercase().replace('_', "-"));
    let own_credentials = take_credentials(options)?;
    if let Some(endpoint) = &own_endpoint {
        defaults.places.check_url("option \"aws.endpoint\"", endpoint)?;
    }
    match &own_credentials {
        Some(CredentialsSource::Profile { path: Some(path), .. }) => {
            defaults.places.check_folder("option \"aws.credentials.profile.path\"", path)?;
        }
        Some(CredentialsSource::WebIdentity { token_file, .. }) => {
            defaults.places.check_folder("option \"aws.credentials.webIdentityToken.file\"", token_file)?;
        }
        _ => {}
    }
    let region = own_region.or_else(|| defaults.aws_region.clone());
    if let Some(endpoint) = own_endpoint {
        let credentials = own_credentials.unwrap_or(CredentialsSource::Chain);
        return Ok((Connection { endpoint: Some(endpoint), region, credentials }, false));
    }
    if let Some(credentials) = own_credentials {
        let endpoint = defaults.dynamodb_endpoint.clone().filter(|_| !defaults.dynamodb_is_embedded);
        return Ok((Connection { endpoint, region, credentials }, false));
    }
    Ok((Connection { region, ..default_connection(defaults) }, defaults.dynamodb_is_embedded))
}

/// The connection of tables that name none.
pub fn default_connection(defaults: &ConnectorDefaults) -> Connection {
    let credentials = match &defaults.aws_credentials {
        Some((access_key_id, secret_key)) => CredentialsSource::Static {
            access_key_id: access_key_id.clone(),
            secret_key: secret_key.clone(),
            session_token: None,
        },
        None => CredentialsSource::Chain,
    };
    Connection { endpoint: defaults.dynamodb_endpoint.clone(), region: defaults.aws_region.clone(), credentials }
}

/// The table's own credentials; `None` if the options name none, or AUTO with blank keys.
fn take_credentials(options: &mut OptionReader) -> Result<Option<CredentialsSource>> {
    let provider = options.take_non_blank("aws.credentials.provider").unwrap_or_else(|| "AUTO".to_owned());
    let provider = provider.trim().to_ascii_uppercase().replace('-', "_");
    let key = options.take_non_blank("aws.credentials.basic.accesskeyid");
    let secret = options.take_non_blank("aws.credentials.basic.secretkey");
    let session_token = options.take_non_blank("aws.credentials.basic.sessiontoken");
    let path = options.take_non_blank("aws.credentials.profile.path");
    let name = options.take_non_blank("aws.credentials.profile.name");
    let arn = options.take_non_blank("aws.credentials.role.arn");
    let session_name = options.take_non_blank("aws.credentials.role.sessionName");
    let external_id = options.take_non_blank("aws.credentials.role.externalId");
    let token_file = options.take_non_blank("aws.credentials.webIdentityToken.file");
    options.refuse(&[("aws.credentials.role.provider", "AUTO")])?;
    if options.take_non_blank("aws.credentials.custom.class").is_some() {
        return Err(Error::unsupported(
            "option \"aws.credentials.custom.class\" names a Java class, which cannot run here",
        )
        .hint("Use one of the providers AUTO, BASIC, ENV_VAR, PROFILE, ASSUME_ROLE, WEB_IDENTITY_TOKEN."));
    }
    let unused = |given: &[(&str, bool)]| match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(Error::invalid(format!("option \"{name}\" has no meaning with provider {provider}"))),
        None => Ok(()),
    };
    let keys = ("aws.credentials.basic.accesskeyid", key.is_some() || secret.is_some() || session_token.is_some());
    let profile = ("aws.credentials.profile.name", path.is_some() || name.is_some());
    let role = ("aws.credentials.role.arn", arn.is_some() || session_name.is_some());
    let external = ("aws.credentials.role.externalId", external_id.is_some());
    let token = ("aws.credentials.webIdentityToken.file", token_file.is_some());
    let need = |name: &str| Error::invalid(format!("option \"{name}\" is required with provider {provider}"));
    Ok(match provider.as_str() {
        "AUTO" | "BASIC" => {
            unused(&[profile, role, external, token])?;
            match (key, secret) {
                (Some(access_key_id), Some(secret_key)) => {
                    Some(CredentialsSource::Static { access_key_id, secret_key, session_token })
                }
                (None, None) if provider == "AUTO" && session_token.is_none() => None,
                (None, _) => return Err(need("aws.credentials.basic.accesskeyid")),
                (_, None) => return Err(need("aws.credentials.basic.secretkey")),
            }
        }
        "ENV_VAR" => {
            unused(&[keys, profile, role, external, token])?;
            Some(CredentialsSource::Environment)
        }
        "PROFILE" => {
            unused(&[keys, role, external, token])?;
            Some(CredentialsSource::Profile { path, name })
        }
        "ASSUME_ROLE" => {
            unused(&[keys, profile, token])?;
            Some(CredentialsSource::AssumeRole {
                arn: arn.ok_or_else(|| need("aws.credentials.role.arn"))?,
                session_name: session_name.unwrap_or_else(|| "streamgate".to_owned()),
                external_id,
            })
        }
        "WEB_IDENTITY_TOKEN" | "WEB_IDENTITY" => {
            unused(&[keys, profile, external])?;
            Some(CredentialsSource::WebIdentity {
                arn: arn.ok_or_else(|| need("aws.credentials.role.arn"))?,
                session_name: session_name.unwrap_or_else(|| "streamgate".to_owned()),
                token_file: token_file.ok_or_else(|| need("aws.credentials.webIdentityToken.file"))?,
            })
        }
        other => {
            return Err(Error::unsupported(format!(
                "option \"aws.credentials.provider\" = '{other}' is not supported"
            ))
            .hint("Known are AUTO, BASIC, ENV_VAR, PROFILE, ASSUME_ROLE and WEB_IDENTITY_TOKEN."));
        }
    })
}

#[cfg(test)]
mod tests;
