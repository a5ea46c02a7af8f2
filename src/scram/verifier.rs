//! What is kept of a password: a salt, and two keys from which the password cannot be computed back. As text it is PostgreSQL's
//! `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, which pg_dumpall and libpq's PQencryptPasswordConn write.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::error::{Error, Result};

/// Rounds of hashing where nothing else is said; PostgreSQL's.
pub const DEFAULT_ITERATIONS: u32 = 4096;
/// RFC 7677 asks for no fewer.
pub const ITERATIONS_MIN: u32 = 4096;
/// A verifier with more would keep each client busy for minutes.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
/// Bytes of a salt that is made here; PostgreSQL's.
const SALT_BYTES: usize = 16;
const PREFIX: &str = "SCRAM-SHA-256$";

/// A password in plain text, on its way to be hashed. It prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// How many characters it has.
    pub fn character_count(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(******)")
    }
}

/// What is kept of a password. It prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: NonZeroU32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: [u8; KEY_BYTES],
    pub(super) server_key: [u8; KEY_BYTES],
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(******)")
    }
}

impl Verifier {
    /// Hashes a password under a salt of its own. Takes some milliseconds. What is a verifier already is taken as it is.
    ///
    /// # Errors
    /// It is a verifier with too few or too many iterations, or there is no randomness.
    pub fn of_password(password: &Password, iterations: u32) -> Result<Self> {
        if let Some(verifier) = Self::parse(password.reveal()) {
            let given = verifier.iterations.get();
            if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&given) {
                return Err(Error::invalid(format!("a SCRAM verifier with {given} iterations is not taken"))
                    .hint(format!("It must have between {ITERATIONS_MIN} and {ITERATIONS_MAX}.")));
            }
            return Ok(verifier);
        }
        let mut salt = vec![0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| Error::internal("no randomness for a salt"))?;
        Ok(Self::salted(password, salt, at_least_one(iterations)))
    }

    /// Hashes a password under a salt.
    pub(super) fn salted(password: &Password, salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        // As PostgreSQL: what has no normal form is taken byte by byte.
        let plain = password.reveal();
        let normal = stringprep::saslprep(plain).unwrap_or(std::borrow::Cow::Borrowed(plain));
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, normal.as_bytes(), &mut salted);
        let client_key = mac(&salted, b"Client Key");
        Self { iterations, salt, stored_key: sha256(&client_key), server_key: mac(&salted, b"Server Key") }
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations: iterations.parse().ok()?,
            salt: BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// The text that [`Self::parse`] reads. It is a secret: whoever has it can play the server, and can try passwords at his leisure.
    pub fn to_secret_text(&self) -> String {
        let [salt, stored, server] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        format!("{PREFIX}{}:{salt}${stored}:{server}", self.iterations)
    }

    /// One for a name that has no password: the same salt whenever it is asked for, so that a stranger cannot tell that there is nobody.
    /// No proof fits it.
    pub fn mock(key: &[u8; KEY_BYTES], name: &str) -> Self {
        let salt = mac(key, &[b"salt:", name.as_bytes()].concat());
        Self {
            iterations: at_least_one(DEFAULT_ITERATIONS),
            salt: salt[..SALT_BYTES].to_vec(),
            stored_key: mac(key, &[b"stored:", name.as_bytes()].concat()),
            server_key: mac(key, &[b"server:", name.as_bytes()].concat()),
        }
    }
}

fn at_least_one(iterations: u32) -> NonZeroU32 {
    NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN)
}

/// HMAC-SHA-256.
pub(super) fn mac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    bytes
}

/// SHA-256.
pub(super) fn sha256(message: &[u8]) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    bytes
}

#[cfg(test)]
mod tests;
