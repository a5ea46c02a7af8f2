//! The variables STREAMGATE_…: one that no setting has is a slip of the pen, and is refused rather than ignored.

use clap::{Args, Command};

use super::Flags;
use crate::error::{Error, Result};
use crate::fault;
use crate::nearest::nearest;

/// What all of them begin with.
const PREFIX: &str = "STREAMGATE_";
/// What those of the tests and of their backends begin with: they may be there when a test starts the server.
const OF_TESTS: [&str; 2] = ["STREAMGATE_TEST_", "STREAMGATE_BACKENDS_"];
/// The secret key, which is no flag.
pub(super) const SECRET_KEY: &str = "STREAMGATE_AWS_SECRET_ACCESS_KEY";

/// The first superuser's name and password, which are no flags either.
pub(super) const SUPERUSER: &str = "STREAMGATE_SUPERUSER";
pub(super) const SUPERUSER_PASSWORD: &str = "STREAMGATE_SUPERUSER_PASSWORD";

/// Refuses variables that are none of the settings'.
///
/// # Errors
/// There is one.
pub(super) fn check(names: impl Iterator<Item = String>) -> Result<()> {
    let command = Flags::augment_args(Command::new("streamgate"));
    let mut known: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    known.extend([SECRET_KEY, SUPERUSER, SUPERUSER_PASSWORD]);
    let of_tests = |name: &String| OF_TESTS.iter().any(|prefix| name.starts_with(prefix));
    for name in names.filter(|name| name.starts_with(PREFIX) && !of_tests(name)) {
        if known.contains(&name.as_str()) || fault::VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let error = Error::invalid(format!("unknown environment variable {name}"));
        return Err(match nearest(&name, known.iter().copied()) {
            Some(near) => error.hint(format!("Did you mean {near}?")),
            None => error.hint(format!("Known are: {}.", known.join(", "))),
        });
    }
    Ok(())
}
