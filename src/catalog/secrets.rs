//! Secrets of WITH, and what is kept of passwords: apart from the catalog, encrypted, by reference.
//! Knows no tables: it keeps what it is told to keep. Written before the catalog, so that a reference always has its secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::checked_file::{read_checked, write_checked};
use crate::error::{Error, Result};

const FILE: &str = "secrets.json";
const KEY_FILE: &str = "secrets.key";
const FORMAT: &str = "streamgate-secrets";

/// The encrypted secrets of a data directory.
pub struct Secrets {
    path: PathBuf,
    key: LessSafeKey,
    mock_key: [u8; 32],
    sealed: BTreeMap<String, Sealed>,
    /// Given out, not yet durable: their statement has not committed.
    staged: BTreeMap<String, Sealed>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sealed {
    nonce: String,
    ciphertext: String,
}

impl Secrets {
    /// Opens the secrets of a directory; makes the key at first.
    ///
    /// # Errors
    /// A file cannot be read (`Corrupt`) or written.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let sealed: Option<BTreeMap<String, Sealed>> = read_checked(&path, FORMAT)?;
        let (key, mock_key) =
            open_key(&directory.join(KEY_FILE), sealed.as_ref().is_some_and(|sealed| !sealed.is_empty()))?;
        Ok(Self { path, key, mock_key, sealed: sealed.unwrap_or_default(), staged: BTreeMap::new() })
    }

    /// Takes a secret; it becomes durable when a commit refers to it.
    ///
    /// # Errors
    /// No randomness.
    pub fn stage(&mut self, plain: &str) -> Result<String> {
        let reference = uuid::Uuid::new_v4().to_string();
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::internal("no randomness for a nonce"))?;
        let mut bytes = plain.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(reference.as_bytes()), &mut bytes)
            .map_err(|_| Error::internal("a secret cannot be encrypted"))?;
        let sealed = Sealed { nonce: BASE64.encode(nonce), ciphertext: BASE64.encode(bytes) };
        self.staged.insert(reference.clone(), sealed);
        Ok(reference)
    }

    /// A key that says nothing of the one that encrypts, for salts of names that do not exist.
    pub fn mock_key(&self) -> [u8; 32] {
        self.mock_key
    }

    /// Forgets a staged secret (its transaction rolled back).
    pub fn unstage(&mut self, reference: &str) {
        self.staged.remove(reference);
    }

    /// Plain text of a secret.
    ///
    /// # Errors
    /// There is none, or it cannot be decrypted.
    pub fn reveal(&self, reference: &str) -> Result<String> {
        let sealed = self
            .sealed
            .get(reference)
            .or_else(|| self.staged.get(reference))
            .ok_or_else(|| Error::not_found(format!("secret \"{reference}\" is not there")))?;
        let corrupt = || Error::corrupt(format!("secret \"{reference}\" cannot be decrypted"));
        let nonce: [u8; NONCE_LEN] =
            BASE64.decode(&sealed.nonce).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(corrupt)?;
        let mut bytes = BASE64.decode(&sealed.ciphertext).map_err(|_| corrupt())?;
        let plain = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(reference.as_bytes()), &mut bytes)
            .map_err(|_| corrupt())?;
        String::from_utf8(plain.to_vec()).map_err(|_| corrupt())
    }

    /// Secrets given out that no commit of a table has taken over.
    pub fn staged(&self) -> impl Iterator<Item = &str> {
        self.staged.keys().map(String::as_str)
    }

    /// Makes the staged secrets among `used` durable; they stay staged until they are unstaged. To be called before the catalog that refers to them is written.
    ///
    /// # Errors
    /// The file cannot be written; then nothing has changed.
    pub fn keep(&mut self, used: &BTreeSet<String>) -> Result<()> {
        let fresh: Vec<String> = self.staged.keys().filter(|reference| used.contains(*reference)).cloned().collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut sealed = self.sealed.clone();
        for reference in &fresh {
            sealed.insert(reference.clone(), self.staged[reference].clone());
        }
        write_checked(&self.path, FORMAT, &sealed)?;
        self.sealed = sealed;
        Ok(())
    }

    /// Removes durable secrets that nothing refers to. To be called after the catalog was written.
    ///
    /// # Errors
    /// The file cannot be written; then nothing has changed.
    pub fn sweep(&mut self, is_used: &dyn Fn(&str) -> bool) -> Result<()> {
        let kept: BTreeMap<String, Sealed> = self
            .sealed
            .iter()
            .filter(|(reference, _)| is_used(reference))
            .map(|(reference, sealed)| (reference.clone(), sealed.clone()))
            .collect();
        if kept.len() != self.sealed.len() {
            write_checked(&self.path, FORMAT, &kept)?;
            self.sealed = kept;
        }
        Ok(())
    }
}

/// The key that encrypts, and another that follows from it.
fn open_key(path: &Path, must_exist: bool) -> Result<(LessSafeKey, [u8; 32])> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => make_key(path)?,
        Err(error) => {
            return Err(Error::corrupt(format!("key file {} cannot be read: {error}", path.display())));
        }
    };
    let key = UnboundKey::new(&AES_256_GCM, &bytes)
        .map_err(|_| Error::corrupt(format!("key file {} does not hold a key", path.display())))?;
    let mut mock_key = [0; 32];
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"salts of names that do not exist");
    mock_key.copy_from_slice(derived.as_ref());
    Ok((LessSafeKey::new(key), mock_key))
}

fn make_key(path: &Path) -> Result<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut bytes = vec![0; AES_256_GCM.key_len()];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("no randomness for a key"))?;
    let failed = |error: std::io::Error| Error::internal(format!("key file {}: {error}", path.display()));
    // Through a temporary name, so that a crash leaves either no key or a whole one.
    let temporary = path.with_extension("key.new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(bytes)
}
