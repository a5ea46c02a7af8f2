//! The server's side of a SCRAM login, a step for each message of the client. Decides and computes only; whoever sends the messages
//! also waits, counts and logs.
//!
//! What a reader would get wrong: the steps of a name that does not exist are the same up to the last comparison, so that neither the
//! messages nor the time tell that there is nobody; and the proof is compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq;

use super::verifier::{KEY_BYTES, Verifier, mac, sha256};
use crate::error::{Error, Result, SqlState};

/// The one kind of channel binding.
const BINDING: &str = "tls-server-end-point";

/// How a client says that it will prove its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Without regard to the connection.
    Plain,
    /// With a proof that holds on this TLS connection only.
    Plus,
}

impl Mechanism {
    /// Its name in SASL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "SCRAM-SHA-256",
            Self::Plus => "SCRAM-SHA-256-PLUS",
        }
    }
}

/// What is known of the connection.
#[derive(Clone, Copy)]
pub struct Channel<'a> {
    /// Hash of the server's certificate, on TLS.
    pub end_point: Option<&'a [u8]>,
}

/// The mechanisms to offer, the best first.
pub fn mechanisms(channel: Channel<'_>) -> Vec<Mechanism> {
    match channel.end_point {
        Some(_) => vec![Mechanism::Plus, Mechanism::Plain],
        None => vec![Mechanism::Plain],
    }
}

/// A login after its first message: waits for the proof.
pub struct Exchange {
    verifier: Verifier,
    /// Whether somebody has that verifier.
    is_real: bool,
    /// What the client's proof must say of the channel, in base64.
    binding: String,
    nonce: String,
    /// The messages so far: the first one of the client, and ours.
    said: String,
}

impl Exchange {
    /// Reads the client's first message; gives the answer to it. `nonce`: random, printable and without commas.
    ///
    /// # Errors
    /// 08P01: the message is malformed, or says of channel binding what cannot be.
    pub fn begin(
        mechanism: Mechanism,
        first: &str,
        channel: Channel<'_>,
        (verifier, is_real): (Verifier, bool),
        nonce: &str,
    ) -> Result<(Self, String)> {
        let (flag, rest) = first.split_once(',').ok_or_else(|| malformed("It has no comma."))?;
        let (identity, bare) = rest.split_once(',').ok_or_else(|| malformed("It has one comma only."))?;
        if !identity.is_empty() {
            return Err(Error::unsupported("client uses authorization identity, but it is not supported"));
        }
        let binding = binding(mechanism, flag, channel)?;
        let mut attributes = bare.split(',');
        let name = attributes.next().unwrap_or_default();
        if name.starts_with("m=") {
            return Err(Error::unsupported("client requires an unsupported SCRAM extension"));
        }
        // Whose password it is, the start-up packet has said.
        if !name.starts_with("n=") {
            return Err(malformed("It has no user name."));
        }
        let theirs = attributes.next().and_then(|attribute| attribute.strip_prefix("r=")).unwrap_or_default();
        if theirs.is_empty() || !theirs.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("It has no printable nonce."));
        }
        let nonce = format!("{theirs}{nonce}");
        let answer = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        let said = format!("{bare},{answer}");
        Ok((Self { verifier, is_real, binding, nonce, said }, answer))
    }

    /// Reads the client's proof; gives the server's own, or `None` if the password is wrong or there is nobody of that name.
    ///
    /// # Errors
    /// 08P01: the message is malformed or belongs to another login; 28000: it was made for another connection.
    pub fn prove(self, last: &str) -> Result<Option<String>> {
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or_else(|| malformed("It has no proof."))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|attribute| attribute.strip_prefix("c="));
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(malformed("It has no channel binding or no nonce."));
        };
        if binding != self.binding {
            return Err(
                Error::denied("SCRAM channel binding check failed").code(SqlState::InvalidAuthorizationSpecification)
            );
        }
        if nonce != self.nonce {
            return Err(Error::invalid("invalid SCRAM response")
                .code(SqlState::ProtocolViolation)
                .detail("Nonce does not match."));
        }
        let proof: [u8; KEY_BYTES] = BASE64
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or_else(|| malformed("Its proof is no key."))?;
        let said = format!("{},{without_proof}", self.said);
        let signature = mac(&self.verifier.stored_key, said.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, of_signature)| *byte ^= of_signature);
        let fits = sha256(&client_key).ct_eq(&self.verifier.stored_key);
        let is_right = fits & subtle::Choice::from(u8::from(self.is_real));
        let own = format!("v={}", BASE64.encode(mac(&self.verifier.server_key, said.as_bytes())));
        Ok(bool::from(is_right).then_some(own))
    }
}

/// What the proof must say of the channel, by what the first message says.
fn binding(mechanism: Mechanism, flag: &str, channel: Channel<'_>) -> Result<String> {
    match (mechanism, flag) {
        (Mechanism::Plain, "n") => Ok(BASE64.encode("n,,")),
        // The client could bind, and believes that we cannot: somebody in between has told it so.
        (Mechanism::Plain, "y") if channel.end_point.is_some() => {
            Err(Error::denied("SCRAM channel binding negotiation error")
                .code(SqlState::InvalidAuthorizationSpecification)
                .detail("The client supports SCRAM channel binding but thinks the server does not."))
        }
        (Mechanism::Plain, "y") => Ok(BASE64.encode("y,,")),
        (Mechanism::Plain, _) if flag.starts_with("p=") => {
            Err(malformed("The client selected SCRAM-SHA-256 without channel binding, but has channel binding data."))
        }
        (Mechanism::Plus, "n" | "y") => {
            Err(malformed("The client selected SCRAM-SHA-256-PLUS, but has no channel binding data."))
        }
        (Mechanism::Plus, _) => {
            let (Some(BINDING), Some(end_point)) = (flag.strip_prefix("p="), channel.end_point) else {
                return Err(malformed("Its channel binding type is not supported."));
            };
            Ok(BASE64.encode([format!("p={BINDING},,").as_bytes(), end_point].concat()))
        }
        _ => Err(malformed("Its channel binding flag is none.")),
    }
}

fn malformed(detail: &str) -> Error {
    Error::invalid("malformed SCRAM message").code(SqlState::ProtocolViolation).detail(detail)
}

#[cfg(test)]
mod tests;
