//! The options of WITH for DynamoDB tables, checked. Makes no request.
//! Which backend a table means: its own endpoint; else, with credentials of its own, AWS (an embedded default is never
//! meant by real credentials); else the server's default. Blank values and a region alone mean the default.

use std::time::Duration;

use crate::connectors::defaults::ConnectorDefaults;
use crate::connectors::lookup_cache::{self, CacheOptions};
use crate::error::{Error, Result};
use crate::options::OptionKind::{Duration as Time, Text, Whole};
use crate::options::{Named, OptionEntry, OptionGroups, OptionReader, option_entries};

/// Items that BatchWriteItem takes at most.
pub const BATCH_ITEMS_MAX: usize = 25;

const SERVERS: &str = "the server's";

option_entries! {
    /// Of the table, its writes and its lookups.
    TABLE:
    TABLE_NAME = OptionEntry::new("table-name", Text, "The table's name in DynamoDB.").also(&["table_name"]).required();
    TABLE_CREATE = OptionEntry::choice("table.create", &["never", "if-not-exists"],
        "Whether CREATE TABLE makes the table in DynamoDB, if there is none of that name.").or("never");
    PRIMARY_KEY = OptionEntry::new("primary_key", Text,
        "The columns of the key, with commas or semicolons between, where no PRIMARY KEY clause says so.");
    BATCH_SIZE = OptionEntry::new("sink.batch.max-size", Whole(1, BATCH_ITEMS_MAX as i64),
        "Items that one request writes at most.").or("25");
    REQUESTS = OptionEntry::new("sink.requests.max-inflight", Whole(1, i64::MAX),
        "Requests that a writer has in flight at most.").or("50");
    CONCURRENCY = OptionEntry::new("sink.http-client.max-concurrency", Whole(1, i64::MAX),
        "Another bound on the requests in flight; the lower one holds.").or("10000");
    BUFFERED = OptionEntry::new("sink.requests.max-buffered", Whole(1, i64::MAX),
        "Rows that wait for their writes before the writer takes no more.").or("10000");
    READ_TIMEOUT = OptionEntry::new("sink.http-client.read-timeout", Time,
        "How long a write may take to be answered before it is sent again.").or("30 s");
    FLUSH_TIMEOUT = OptionEntry::new("sink.flush-buffer.timeout", Time,
        "How long a row may wait for others. Without effect: a row never waits while a request is free.");
    FLUSH_SIZE = OptionEntry::refused("sink.flush-buffer.size", "Bytes of a batch.");
    FAIL_ON_ERROR = OptionEntry::flag("sink.fail-on-error", "false",
        "Whether a write that could be sent again (throttling, say) fails the job at once.");
    IGNORE_NULLS = OptionEntry::flag("sink.ignore-nulls", "false",
        "Whether columns that are NULL are left out of items; otherwise they are written as NULL.");
    WRITE_MODE = OptionEntry::choice("sink.write-mode", &["upsert", "monotonic"],
        "Whether a write replaces the item, or does so only if the item has no later version.")
        .refusing(&["update"]).or("upsert");
    VERSION_ATTRIBUTE = OptionEntry::new("sink.version-attribute", Text,
        "The attribute that versions are in. For `monotonic`.").or("_v");
    TTL_ATTRIBUTE = OptionEntry::new("sink.ttl.attribute", Text,
        "The attribute that holds the time of expiry: a column, or one that `sink.ttl` has computed. Items past it are not read.")
        .or_else("none; reading heeds the one that DynamoDB has for the table");
    TTL = OptionEntry::new("sink.ttl", Time,
        "How long an item lives after its write. Needs `sink.ttl.attribute`.");
    TOMBSTONE_TTL = OptionEntry::new("sink.tombstone.ttl", Time,
        "How long the item that stands for a deleted key is kept. Needs `monotonic` and `sink.ttl.attribute`.");
    MAX_RETRIES = OptionEntry::new("lookup.max-retries", Whole(0, u32::MAX as i64),
        "How often a request of a lookup that failed is sent again; a throttled one always is.").or("3");
    LOOKUP_ASYNC = OptionEntry::refused("lookup.async", "Whether lookups wait for each other; they do not.").or("true");
}

option_entries! {
    /// Of the backend, and who we are there.
    BACKEND:
    ENDPOINT = OptionEntry::new("aws.endpoint", Text,
        "Address of the backend, a URL.").or_else("the server's; AWS with credentials of the table's own");
    REGION = OptionEntry::new("aws.region", Text, "The region.").or_else(SERVERS);
    TRUST_ALL = OptionEntry::refused("aws.trust.all.certificates", "Whether certificates go unchecked.").or("false");
    HTTP_VERSION = OptionEntry::refused("aws.http.protocol.version", "The version of HTTP.").or("HTTP1_1");
    PROVIDER = OptionEntry::choice("aws.credentials.provider",
        &["AUTO", "BASIC", "ENV_VAR", "PROFILE", "ASSUME_ROLE", "WEB_IDENTITY_TOKEN", "WEB_IDENTITY"],
        "Where credentials come from. `AUTO`: the keys if they are given, otherwise the server's.")
        .refusing(&["SYS_PROP", "CUSTOM"]).or("AUTO");
    KEY_ID = OptionEntry::new("aws.credentials.basic.accesskeyid", Text,
        "The access key id. For `AUTO` and `BASIC`.").secret();
    SECRET_KEY = OptionEntry::new("aws.credentials.basic.secretkey", Text,
        "The secret access key. For `AUTO` and `BASIC`.").secret();
    SESSION_TOKEN = OptionEntry::new("aws.credentials.basic.sessiontoken", Text,
        "The session token of temporary keys. For `AUTO` and `BASIC`.").secret();
    PROFILE_PATH = OptionEntry::new("aws.credentials.profile.path", Text,
        "The file of profiles. For `PROFILE`.").or_else("the SDK's");
    PROFILE_NAME = OptionEntry::new("aws.credentials.profile.name", Text,
        "The profile. For `PROFILE`.").or_else("the SDK's");
    ROLE_ARN = OptionEntry::new("aws.credentials.role.arn", Text,
        "The role. For `ASSUME_ROLE` and `WEB_IDENTITY_TOKEN`, which need it.");
    ROLE_SESSION = OptionEntry::new("aws.credentials.role.sessionName", Text,
        "Name of the role's session. For `ASSUME_ROLE` and `WEB_IDENTITY_TOKEN`.").or("streamgate");
    ROLE_EXTERNAL_ID = OptionEntry::new("aws.credentials.role.externalId", Text,
        "The external id. For `ASSUME_ROLE`.").secret();
    ROLE_PROVIDER = OptionEntry::refused("aws.credentials.role.provider",
        "Whose credentials assume the role.").or("AUTO");
    TOKEN_FILE = OptionEntry::new("aws.credentials.webIdentityToken.file", Text,
        "The file of the token. For `WEB_IDENTITY_TOKEN`, which needs it.");
    CUSTOM_CLASS = OptionEntry::refused("aws.credentials.custom.class", "A Java class, which cannot run here.");
}

/// All options of a table.
pub const OPTIONS: OptionGroups = &[TABLE, lookup_cache::OPTIONS, BACKEND];

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
            .take_alias(&TABLE_NAME)?
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Error::invalid("option \"table-name\" is required").hint("Add 'table-name' = '…' to WITH.")
            })?;
        let (connection, is_embedded) = take_connection(options, defaults)?;
        options.refuse(&[&TRUST_ALL, &HTTP_VERSION, &LOOKUP_ASYNC, &FLUSH_SIZE])?;
        let creates_table = options.take_choice_or(&TABLE_CREATE)? == "if-not-exists";
        let sink_requests_max =
            options.take_whole_or::<usize>(&REQUESTS)?.min(options.take_whole_or::<usize>(&CONCURRENCY)?);
        // An upper bound on how long a row may wait for others; the writer never lets one wait while it has capacity.
        options.take_duration(&FLUSH_TIMEOUT)?;
        let sink_ttl_attribute = options.take_non_blank(&TTL_ATTRIBUTE).map(|name| name.trim().to_owned());
        let sink_ttl = options.take_duration(&TTL)?;
        if sink_ttl.is_some() && sink_ttl_attribute.is_none() {
            return Err(Error::invalid("option \"sink.ttl\" needs \"sink.ttl.attribute\"")
                .hint("Add 'sink.ttl.attribute' = '…', the attribute that holds the time of expiry."));
        }
        let version_attribute = take_version_attribute(options)?;
        let sink_tombstone_ttl = options.take_duration(&TOMBSTONE_TTL)?;
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
                .take_non_blank(&PRIMARY_KEY)
                .map(|names| names.split([',', ';']).map(|name| name.trim().to_owned()).collect())
                .unwrap_or_default(),
            creates_table,
            sink_batch_items_max: options.take_whole_or(&BATCH_SIZE)?,
            sink_requests_max,
            sink_buffered_max: options.take_whole_or(&BUFFERED)?,
            sink_read_timeout: options.take_duration_or(&READ_TIMEOUT)?,
            sink_fail_on_error: options.take_flag_or(&FAIL_ON_ERROR)?,
            sink_ignore_nulls: options.take_flag_or(&IGNORE_NULLS)?,
            sink_ttl_attribute,
            sink_ttl,
            version_attribute,
            sink_tombstone_ttl,
            lookup_retries_max: options.take_whole_or(&MAX_RETRIES)?,
            lookup_cache: CacheOptions::take(options)?,
        })
    }
}

/// The attribute that versions are in, if they are kept.
fn take_version_attribute(options: &mut OptionReader) -> Result<Option<String>> {
    let mode = options.take_choice_or(&WRITE_MODE)?;
    let attribute = options.take_non_blank(&VERSION_ATTRIBUTE).map(|name| name.trim().to_owned());
    if mode == "monotonic" {
        return Ok(attribute.or_else(|| VERSION_ATTRIBUTE.default_value().map(str::to_owned)));
    }
    match attribute {
        Some(_) => Err(Error::invalid("option \"sink.version-attribute\" needs 'sink.write-mode' = 'monotonic'")),
        None => Ok(None),
    }
}

fn take_connection(options: &mut OptionReader, defaults: &ConnectorDefaults) -> Result<(Connection, bool)> {
    let own_endpoint = options.take_non_blank(&ENDPOINT).map(|endpoint| endpoint.trim().to_owned());
    // Java's spelling of a region, AP_SOUTHEAST_1, means the same.
    let own_region = options.take_non_blank(&REGION).map(|name| name.trim().to_ascii_lowercase().replace('_', "-"));
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
    let provider = options.take_choice_or(&PROVIDER)?;
    let key = options.take_non_blank(&KEY_ID);
    let secret = options.take_non_blank(&SECRET_KEY);
    let session_token = options.take_non_blank(&SESSION_TOKEN);
    let path = options.take_non_blank(&PROFILE_PATH);
    let name = options.take_non_blank(&PROFILE_NAME);
    let arn = options.take_non_blank(&ROLE_ARN);
    let session_name = options.take_non_blank(&ROLE_SESSION);
    let external_id = options.take_non_blank(&ROLE_EXTERNAL_ID);
    let token_file = options.take_non_blank(&TOKEN_FILE);
    options.refuse(&[&ROLE_PROVIDER])?;
    if options.take_non_blank(&CUSTOM_CLASS).is_some() {
        return Err(Error::unsupported(
            "option \"aws.credentials.custom.class\" names a Java class, which cannot run here",
        )
        .hint("Use one of the providers AUTO, BASIC, ENV_VAR, PROFILE, ASSUME_ROLE, WEB_IDENTITY_TOKEN."));
    }
    let unused = |given: &[(OptionEntry, bool)]| match given.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => {
            Err(Error::invalid(format!("{} has no meaning with provider {provider}", Named::from(option))))
        }
        None => Ok(()),
    };
    let keys = (KEY_ID, key.is_some() || secret.is_some() || session_token.is_some());
    let profile = (PROFILE_NAME, path.is_some() || name.is_some());
    let role = (ROLE_ARN, arn.is_some() || session_name.is_some());
    let external = (ROLE_EXTERNAL_ID, external_id.is_some());
    let token = (TOKEN_FILE, token_file.is_some());
    let need =
        |option: &OptionEntry| Error::invalid(format!("{} is required with provider {provider}", Named::from(option)));
    let session_name =
        || session_name.clone().or_else(|| ROLE_SESSION.default_value().map(str::to_owned)).unwrap_or_default();
    Ok(match provider {
        "AUTO" | "BASIC" => {
            unused(&[profile, role, external, token])?;
            match (key, secret) {
                (Some(access_key_id), Some(secret_key)) => {
                    Some(CredentialsSource::Static { access_key_id, secret_key, session_token })
                }
                (None, None) if provider == "AUTO" && session_token.is_none() => None,
                (None, _) => return Err(need(&KEY_ID)),
                (_, None) => return Err(need(&SECRET_KEY)),
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
                arn: arn.ok_or_else(|| need(&ROLE_ARN))?,
                session_name: session_name(),
                external_id,
            })
        }
        // WEB_IDENTITY_TOKEN, by either name.
        _ => {
            unused(&[keys, profile, external])?;
            Some(CredentialsSource::WebIdentity {
                arn: arn.ok_or_else(|| need(&ROLE_ARN))?,
                session_name: session_name(),
                token_file: token_file.ok_or_else(|| need(&TOKEN_FILE))?,
            })
        }
    })
}

#[cfg(test)]
mod tests;
