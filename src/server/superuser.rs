//! The superuser who can let others in: made by `streamgate init`, or at the first start from the environment. There is no default
//! password, and without a password there is no superuser.

use std::io::IsTerminal;

use super::blocking;
use crate::catalog::role::{RoleChange, RoleOptions};
use crate::catalog::{Catalog, Change};
use crate::config::{Config, FirstSuperuser};
use crate::error::{Error, Result};
use crate::scram::{DEFAULT_ITERATIONS, Password, Verifier};

/// The name where only a password is given.
const DEFAULT_NAME: &str = "streamgate";
/// Shorter ones are guessed too soon.
const PASSWORD_CHARACTERS_MIN: usize = 8;

/// `streamgate init`: makes the superuser of a data directory whose server does not run, or gives it a new password.
///
/// # Errors
/// There is no password, or the catalog is in use.
pub async fn init(config: &Config, name: String) -> Result<()> {
    let password = match &config.superuser.password {
        Some(password) => password.clone(),
        None => ask(&name)?,
    };
    let folder = config.data_dir.join("catalog");
    let is_new = blocking(move || {
        let catalog = Catalog::open(&folder)?;
        let is_new = !catalog.snapshot().roles.contains_key(&name);
        set(&catalog, &name, &password)?;
        Ok(is_new)
    });
    println!("{}", if is_new.await? { "the superuser is made" } else { "the superuser has a new password" });
    Ok(())
}

/// Makes the superuser that the environment names where there are no roles. Blocking.
///
/// # Errors
/// It is named without a password, or the password is too short.
pub(super) fn ensure(catalog: &Catalog, first: &FirstSuperuser) -> Result<()> {
    if !catalog.snapshot().roles.is_empty() {
        if first.password.is_some() {
            tracing::info!("STREAMGATE_SUPERUSER_PASSWORD is not used: there are roles already");
        }
        return Ok(());
    }
    match (&first.name, &first.password) {
        (None, None) => Ok(()),
        (Some(name), None) => Err(Error::invalid(format!("superuser \"{name}\" has no password"))
            .hint("Set STREAMGATE_SUPERUSER_PASSWORD too.")),
        (name, Some(password)) => set(catalog, name.as_deref().unwrap_or(DEFAULT_NAME), password),
    }
}

/// Makes a superuser, or of a role one.
fn set(catalog: &Catalog, name: &str, password: &Password) -> Result<()> {
    if password.character_count() < PASSWORD_CHARACTERS_MIN {
        return Err(Error::invalid(format!("the password has fewer than {PASSWORD_CHARACTERS_MIN} characters")));
    }
    let verifier = Verifier::of_password(password, DEFAULT_ITERATIONS)?;
    let reference = catalog.stage_secret(&verifier.to_secret_text())?;
    let options = RoleOptions {
        can_login: Some(true),
        is_superuser: Some(true),
        valid_until_ms: Some(None),
        verifier: Some(Some(reference)),
        ..RoleOptions::default()
    };
    let name = name.to_owned();
    let change = match catalog.snapshot().roles.contains_key(&name) {
        true => RoleChange::Alter { name, options },
        false => RoleChange::Create { name, options },
    };
    tracing::info!("{change}");
    catalog.commit(&[Change::Role(Box::new(change))]).map(drop)
}

/// Asks for the password twice, without showing it.
fn ask(name: &str) -> Result<Password> {
    let no_terminal =
        || Error::invalid("there is no terminal to ask for the password").hint("Set STREAMGATE_SUPERUSER_PASSWORD.");
    if !std::io::stdin().is_terminal() {
        return Err(no_terminal());
    }
    let read = |prompt: String| rpassword::prompt_password(prompt).map_err(|_| no_terminal());
    let password = read(format!("Password of superuser {name}: "))?;
    if password != read("Once more: ".to_owned())? {
        return Err(Error::invalid("the passwords are not the same"));
    }
    Ok(Password::new(password))
}
