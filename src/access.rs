//! Who may connect, and how he proves who he is: rules by address, role and database, of which the first that fits decides. Decides
//! only; knows neither sockets nor where the rules are written.
//!
//! Two things hold whatever the rules say: nobody is trusted who calls from another machine, and where there are roles nobody comes in
//! who is none of them (the session sees to that).

use std::fmt;
use std::net::IpAddr;
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
    /// He does not come in.
    #[value(skip)]
    Reject,
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
    /// What they must do.
    pub method: Method,
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
}

impl Asking<'_> {
    fn fits(&self, rule: &AccessRule) -> bool {
        rule.address.is_none_or(|range| range.contains(self.address))
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
}

impl Access {
    /// Rules in their order; without any, what is asked of clients on this machine.
    ///
    /// # Errors
    /// Both are given, or a rule trusts other machines.
    pub fn new(auth: Option<Method>, rules: Vec<AccessRule>) -> Result<Self> {
        if auth.is_some() && !rules.is_empty() {
            return Err(Error::invalid("auth and [[access]] are both set")
                .hint("The rules say it all: leave auth out, or end with a rule of that method."));
        }
        for (number, rule) in rules.iter().enumerate() {
            if rule.method == Method::Trust && !rule.address.is_some_and(|range| range.is_loopback()) {
                let range = rule.address.map_or_else(|| "everybody".to_owned(), |range| range.to_string());
                return Err(Error::invalid(format!("access rule {} trusts {range}", number + 1))
                    .hint("Clients of other machines are never trusted: write address = '127.0.0.1' or '::1', or another method."));
            }
        }
        Ok(Self { auth, rules })
    }

    /// What is asked of a client. `has_roles`: whether somebody could prove who he is.
    ///
    /// # Errors
    /// 28000: he does not come in.
    pub fn method(&self, asking: &Asking<'_>, has_roles: bool) -> Result<Method> {
        let denied = |what: &str| {
            let Asking { address, role, database } = asking;
            let address = address.to_canonical();
            let message = format!("{what} for host \"{address}\", user \"{role}\", database \"{database}\"");
            Err(Error::denied(message).code(SqlState::InvalidAuthorizationSpecification))
        };
        if self.rules.is_empty() {
            let is_here = asking.address.to_canonical().is_loopback();
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
