//! Who may connect, and how he proves who he is: rules by address, role and database, of which the first that fits decides. Decides
//! only; knows neither sockets nor where the rules are written.
//!
//! Two things hold whatever the rules say: nobody is trusted who calls from another machine, and where there are roles nobody comes in
//! who is none of them (the session sees to that).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result, SqlState};

/// How a client proves who he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Not at all.
    Trust,
    /// By a password, which does not leave the client (SCRAM-SHA-256).
    Scram,
    /// By a certificate, whose common name is the role's.
    #[value(skip)]
    Cert,
    /// He does not come in.
    #[value(skip)]
    Reject,
}

impl Method {
    /// As the rules call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Scram => "scram",
            Self::Cert => "cert",
            Self::Reject => "reject",
        }
    }
}

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    bits: u8,
}

impl AddressRange {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let first_bits = |address: u128, width: u8| {
            let shift = u32::from(width - self.bits.min(width));
            address.checked_shr(shift).unwrap_or(0)
        };
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                first_bits(u128::from(u32::from(network)), 32) == first_bits(u128::from(u32::from(address)), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                first_bits(u128::from(network), 128) == first_bits(u128::from(address), 128)
            }
            _ => false,
        }
    }

    /// Whether all of it is this machine.
    fn is_loopback(&self) -> bool {
        self.network.is_loopback() && self.bits >= if self.network.is_ipv4() { 8 } else { 128 }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    /// `10.0.0.0/8`, `::1`
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no address and no range like 10.0.0.0/8");
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| wrong())?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        Ok(Self { network, bits })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A rule, as `[[access]]` of the configuration writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// Whom it is about, by address; absent: everybody.
    pub address: Option<AddressRange>,
    /// By role; absent: all.
    pub role: Option<Names>,
    /// By database; absent: all.
    pub database: Option<Names>,
    /// `require`: only about those who come by TLS.
    pub tls: Option<TlsNeed>,
    /// What they must do.
    pub method: Method,
}

/// What a rule says of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsNeed {
    /// The rule is not about those who speak in clear.
    Require,
}

/// One name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Names {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

/// Whoever wants to come in.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Where he calls from.
    pub address: IpAddr,
    /// Who he says he is.
    pub role: &'a str,
    /// Where he wants to.
    pub database: &'a str,
    /// Whether he comes by TLS.
    pub is_tls: bool,
}

impl Asking<'_> {
    fn fits(&self, rule: &AccessRule) -> bool {
        rule.address.is_none_or(|range| range.contains(self.address))
            && (rule.tls.is_none() || self.is_tls)
            && rule.role.as_ref().is_none_or(|names| names.has(self.role))
            && rule.database.as_ref().is_none_or(|names| names.has(self.database))
    }
}

/// The rules of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// What is asked of clients on this machine where there are no rules; absent: a password as soon as there are roles.
    auth: Option<Method>,
    rules: Vec<AccessRule>,
    /// Whether clients of other machines may come without TLS.
    without_tls: bool,
}

impl Access {
    /// Lets clients of other machines come without TLS.
    #[must_use]
    pub fn without_tls(self, without_tls: bool) -> Self {
        Self { without_tls, ..self }
    }

    /// Whether a rule needs TLS, and clients' certificates, to be of use.
    pub fn needs(&self) -> (bool, bool) {
        let needs_certificates = self.rules.iter().any(|rule| rule.method == Method::Cert);
        (needs_certificates || self.rules.iter().any(|rule| rule.tls.is_some()), needs_certificates)
    }

    /// Whether the server may listen on an address. `has_roles`: whether somebody can prove who he is.
    ///
    /// # Errors
    /// Other machines can reach it, and there are no logins, or no TLS.
    pub fn check_listen(&self, address: SocketAddr, has_tls: bool, has_roles: bool) -> Result<()> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        let refused = |why: &str| Error::invalid(format!("cannot listen on {address}: {why}"));
        if !has_tls && !self.without_tls {
            return Err(refused("without TLS only loopback addresses are allowed")
                .detail("What clients send could be read and changed under way.")
                .hint("Set tls_certificate and tls_key, or listen_without_tls where the network itself is safe."));
        }
        if !has_roles {
            return Err(refused("without logins only loopback addresses are allowed")
                .detail("There is no role yet that could log in.")
                .hint(
                    "Make one: streamgate init --superuser NAME, or STREAMGATE_SUPERUSER_PASSWORD at the first start.",
                ));
        }
        Ok(())
    }

    /// Rules in their order; without any, what is asked of clients on this machine.
    ///
    /// # Errors
    /// Both are given, or a rule trusts other machines.
    pub fn new(auth: Option<Method>, rules: Vec<AccessRule>) -> Result<Self> {
        if auth.is_some() && !rules.is_empty() {
            return Err(Error::invalid("auth and [[access]] are both set")
                .hint("The rules say it all: leave auth out, or end with a rule of that method."));
        }
        if !matches!(auth, None | Some(Method::Trust | Method::Scram)) {
            return Err(Error::invalid("auth is trust or scram").hint("[[access]] has rules of the other methods."));
        }
        for (number, rule) in rules.iter().enumerate() {
            if rule.method == Method::Trust && !rule.address.is_some_and(|range| range.is_loopback()) {
                let range = rule.address.map_or_else(|| "everybody".to_owned(), |range| range.to_string());
                return Err(Error::invalid(format!("access rule {} trusts {range}", number + 1))
                    .hint("Clients of other machines are never trusted: write address = '127.0.0.1' or '::1', or another method."));
            }
        }
        Ok(Self { auth, rules, without_tls: false })
    }

    /// What is asked of a client. `has_roles`: whether somebody could prove who he is.
    ///
    /// # Errors
    /// 28000: he does not come in.
    pub fn method(&self, asking: &Asking<'_>, has_roles: bool) -> Result<Method> {
        let denied = |what: &str| {
            let Asking { address, role, database, is_tls } = asking;
            let encryption = if *is_tls { "TLS" } else { "no encryption" };
            let address = address.to_canonical();
            let message =
                format!("{what} for host \"{address}\", user \"{role}\", database \"{database}\", {encryption}");
            Err(Error::denied(message).code(SqlState::InvalidAuthorizationSpecification))
        };
        let is_here = asking.address.to_canonical().is_loopback();
        if !is_here && !asking.is_tls && !self.without_tls {
            return denied("TLS is required");
        }
        if self.rules.is_empty() {
            return Ok(match self.auth {
                Some(method) if is_here => method,
                None if is_here && !has_roles => Method::Trust,
                _ => Method::Scram,
            });
        }
        match self.rules.iter().find(|rule| asking.fits(rule)).map(|rule| rule.method) {
            None => denied("no rule of [[access]]"),
            Some(Method::Reject) => denied("a rule of [[access]] rejects connections"),
            Some(method) => Ok(method),
        }
    }
}

#[cfg(test)]
mod tests;
