//! CREATE and ALTER ROLE, USER and GROUP: who may log in, how, and what he is. A password is hashed before anything else sees it, and no
//! error says what stood in its place.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use super::role_name::{RoleName, new_name};
use crate::catalog::Change;
use crate::catalog::role::{RoleChange, RoleOptions};
use crate::error::{Error, Result, SqlState};
use crate::functions::datetime_input;
use crate::scram::{ITERATIONS_MIN, Password, Verifier};
use crate::sql::parser::Cursor;

/// CREATE | ALTER ROLE
#[derive(Debug, Clone)]
pub struct RoleStatement {
    action: Action,
    given: Given,
}

#[derive(Debug, Clone)]
enum Action {
    Create(String),
    Alter(RoleName),
    Rename(RoleName, String),
}

/// The options as they are written.
#[derive(Debug, Clone, Default)]
struct Given {
    options: RoleOptions,
    /// The outer one: whether it is given; the inner one: PASSWORD NULL.
    password: Option<Option<Password>>,
    valid_until: Option<String>,
    /// IN ROLE
    member_of: Vec<RoleName>,
    /// ROLE, ADMIN
    members: Vec<(RoleName, bool)>,
}

impl RoleStatement {
    /// Reads CREATE.
    ///
    /// # Errors
    /// A syntax error, or an option that is not supported.
    pub fn parse_create(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CREATE")?;
        let is_user = cursor.word("USER");
        if !is_user && !cursor.word("ROLE") {
            cursor.expect_word("GROUP")?;
        }
        let action = Action::Create(new_name(cursor)?);
        let mut given = Given::parse(cursor, true)?;
        given.options.can_login.get_or_insert(is_user);
        Ok(Self { action, given })
    }

    /// Whether ALTER ROLE comes next.
    pub fn is_altered_next(cursor: &Cursor) -> bool {
        ["ROLE", "USER", "GROUP"].iter().any(|kind| cursor.peek_words(&["ALTER", kind]))
    }

    /// Reads ALTER.
    ///
    /// # Errors
    /// As [`Self::parse_create`].
    pub fn parse_alter(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("ALTER")?;
        if cursor.word("GROUP") {
            return Err(Error::unsupported("ALTER GROUP is not supported").hint("Use GRANT role TO member."));
        }
        cursor.take();
        let is_all = cursor.peek_words(&["ALL", "SET"]) || cursor.peek_words(&["ALL", "RESET"]);
        let name = RoleName::parse(cursor)?;
        if is_all || ["SET", "RESET", "IN"].iter().any(|word| cursor.peek_words(&[word])) {
            return Err(Error::unsupported("settings of roles are not supported yet").hint("SET them in the session."));
        }
        if cursor.words(&["RENAME", "TO"]) {
            return Ok(Self { action: Action::Rename(name, new_name(cursor)?), given: Given::default() });
        }
        Ok(Self { action: Action::Alter(name), given: Given::parse(cursor, false)? })
    }

    async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        match &self.action {
            Action::Create(name) => {
                session.require_create_role(self.given.options.is_superuser == Some(true))?;
                let options = self.given.resolve(session, name).await?;
                change(session, RoleChange::Create { name: name.clone(), options })?;
                self.join(session, name)?;
                Ok(done("CREATE ROLE"))
            }
            Action::Alter(name) => {
                let name = name.of(session);
                self.require_alter(session, &name)?;
                let options = self.given.resolve(session, &name).await?;
                change(session, RoleChange::Alter { name, options })?;
                Ok(done("ALTER ROLE"))
            }
            Action::Rename(name, to) => {
                let name = name.of(session);
                session.require_role_control("rename", &name)?;
                if name == session.user() {
                    return Err(Error::unsupported("session user cannot be renamed"));
                }
                change(session, RoleChange::Rename { name, to: to.clone() })?;
                Ok(done("ALTER ROLE"))
            }
        }
    }

    /// Everybody may change his own password; the rest is for those who control the role.
    fn require_alter(&self, session: &mut Session, name: &str) -> Result<()> {
        let only_password = self.given.options == RoleOptions::default() && self.given.valid_until.is_none();
        if only_password && self.given.password.is_some() && name == session.user() {
            return Ok(());
        }
        session.require_role_control("alter", name)?;
        if self.given.options.is_superuser.is_some() && !session.is_superuser()? {
            return Err(Error::denied("permission denied to alter role")
                .detail("Only roles with the SUPERUSER attribute may change the SUPERUSER attribute."));
        }
        Ok(())
    }

    /// Puts a new role into others, and others into it.
    fn join(&self, session: &mut Session, name: &str) -> Result<()> {
        if !session.is_superuser()? {
            let (role, member) = (name.to_owned(), session.user());
            change(session, RoleChange::Grant { role, member, admin: true })?;
        }
        for role in &self.given.member_of {
            let role = role.of(session);
            if !session.may_grant(&role)? {
                return Err(not_to_grant(&role));
            }
            change(session, RoleChange::Grant { role, member: name.to_owned(), admin: false })?;
        }
        for (member, admin) in &self.given.members {
            let member = member.of(session);
            change(session, RoleChange::Grant { role: name.to_owned(), member, admin: *admin })?;
        }
        Ok(())
    }
}

/// The error of whoever may not put others into a role.
pub(super) fn not_to_grant(role: &str) -> Error {
    Error::denied(format!("permission denied to grant role \"{role}\""))
        .detail(format!("Only roles with the ADMIN option on role \"{role}\" may grant this role."))
}

/// Adds a change of roles to the transaction.
///
/// # Errors
/// It does not fit.
pub(super) fn change(session: &mut Session, change: RoleChange) -> Result<()> {
    session.change(Change::Role(Box::new(change)))
}

impl Control for RoleStatement {
    fn writes(&self) -> Option<&'static str> {
        match self.action {
            Action::Create(_) => Some("CREATE ROLE"),
            Action::Alter(_) | Action::Rename(..) => Some("ALTER ROLE"),
        }
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}

impl Given {
    fn parse(cursor: &mut Cursor, is_new: bool) -> Result<Self> {
        let mut given = Self::default();
        cursor.word("WITH");
        while !matches!(cursor.peek(), Token::EOF | Token::SemiColon) {
            let position = cursor.position();
            let Token::Word(word) = cursor.peek() else { return Err(not_an_option(position)) };
            let word = word.value.to_ascii_uppercase();
            given.option(cursor, &word, is_new, position)?;
        }
        Ok(given)
    }

    fn option(&mut self, cursor: &mut Cursor, word: &str, is_new: bool, position: usize) -> Result<()> {
        let twice = || Error::invalid("conflicting or redundant options").code(SqlState::SyntaxError).at(position);
        let (is_on, attribute) = match word.strip_prefix("NO") {
            Some(rest) => (false, rest),
            None => (true, word),
        };
        let place = match attribute {
            "SUPERUSER" => &mut self.options.is_superuser,
            "CREATEROLE" => &mut self.options.can_create_roles,
            "LOGIN" => &mut self.options.can_login,
            "INHERIT" => &mut self.options.inherits,
            "CREATEDB" | "REPLICATION" | "BYPASSRLS" => {
                cursor.take();
                if is_on {
                    return Err(Error::unsupported(format!("{attribute} is not supported")).at(position));
                }
                return Ok(());
            }
            _ => return self.value(cursor, word, is_new, position),
        };
        cursor.take();
        match place.replace(is_on) {
            Some(_) => Err(twice()),
            None => Ok(()),
        }
    }

    /// An option with a value.
    fn value(&mut self, cursor: &mut Cursor, word: &str, is_new: bool, position: usize) -> Result<()> {
        let twice = || Error::invalid("conflicting or redundant options").code(SqlState::SyntaxError).at(position);
        let is_given = match word {
            "ENCRYPTED" | "PASSWORD" => {
                cursor.word("ENCRYPTED");
                cursor.expect_word("PASSWORD").map_err(|_| not_an_option(position))?;
                let password = if cursor.word("NULL") {
                    None
                } else {
                    let in_quotes = "a password stands in single quotes, or is NULL";
                    let unread = || Error::invalid(in_quotes).code(SqlState::SyntaxError).at(position);
                    Some(Password::new(cursor.string().map_err(|_| unread())?))
                };
                self.password.replace(password).is_some()
            }
            "CONNECTION" => {
                cursor.take();
                cursor.expect_word("LIMIT")?;
                let limit = connection_limit(cursor)?;
                self.options.connection_limit.replace(limit).is_some()
            }
            "VALID" => {
                cursor.take();
                cursor.expect_word("UNTIL")?;
                let until = cursor.string()?;
                self.valid_until.replace(until).is_some()
            }
            "IN" if is_new => {
                cursor.take();
                if !cursor.word("ROLE") {
                    cursor.expect_word("GROUP")?;
                }
                self.member_of.extend(RoleName::parse_list(cursor)?);
                false
            }
            "ROLE" | "USER" | "ADMIN" if is_new => {
                cursor.take();
                let admin = word == "ADMIN";
                self.members.extend(RoleName::parse_list(cursor)?.into_iter().map(|member| (member, admin)));
                false
            }
            "UNENCRYPTED" => {
                return Err(Error::unsupported("UNENCRYPTED PASSWORD is no longer supported").at(position));
            }
            _ => return Err(not_an_option(position)),
        };
        if is_given { Err(twice()) } else { Ok(()) }
    }

    /// What the catalog is to keep; the password is among the secrets then, hashed.
    async fn resolve(&self, session: &mut Session, name: &str) -> Result<RoleOptions> {
        let mut options = self.options.clone();
        if let Some(text) = &self.valid_until {
            options.valid_until_ms = Some(instant(text, &session.settings().time_zone())?);
        }
        options.verifier = match &self.password {
            None => None,
            Some(password) => Some(match password.clone().filter(|password| password.character_count() > 0) {
                None => {
                    if password.is_some() {
                        session.notice("empty string is not a valid password, clearing password");
                    }
                    None
                }
                Some(password) => {
                    let iterations = session.settings().get("scram_iterations")?.parse().unwrap_or(ITERATIONS_MIN);
                    let hashed = move || Verifier::of_password(&password, iterations);
                    let verifier = session.server().queries.compute(hashed).await?;
                    Some(session.server().catalog.stage_secret(&verifier.to_secret_text())?)
                }
            }),
        };
        if options.verifier == Some(None) {
            tracing::info!(role = name, "a password is removed");
        }
        Ok(options)
    }
}

/// An error that does not say what it has found: it may be a part of a password.
fn not_an_option(position: usize) -> Error {
    Error::invalid("unrecognized role option")
        .code(SqlState::SyntaxError)
        .hint("Known are SUPERUSER, CREATEROLE, LOGIN, INHERIT (each also with NO before it), CONNECTION LIMIT, PASSWORD '…', VALID UNTIL '…', IN ROLE, ROLE and ADMIN.")
        .at(position)
}

fn connection_limit(cursor: &mut Cursor) -> Result<Option<u32>> {
    let position = cursor.position();
    let is_negative = cursor.token(&Token::Minus);
    let number = match cursor.take() {
        Token::Number(digits, _) => digits.parse::<u32>().ok(),
        _ => None,
    };
    match (is_negative, number) {
        (true, Some(1)) => Ok(None),
        (false, Some(limit)) => Ok(Some(limit)),
        _ => Err(Error::invalid("invalid connection limit").at(position)),
    }
}

/// A point in time; `infinity`: never.
fn instant(text: &str, zone: &str) -> Result<Option<i64>> {
    if text.trim().eq_ignore_ascii_case("infinity") {
        return Ok(None);
    }
    let kind = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let values = datetime_input::read(std::iter::once(Some(text)), &kind, zone)
        .map_err(|error| Error::from(error).of_every_row())?;
    match ScalarValue::try_from_array(&values, 0)? {
        ScalarValue::TimestampMillisecond(Some(at), _) => Ok(Some(at)),
        _ => Err(Error::internal("a point in time has no value")),
    }
}
