//! `has_…_privilege`: whether a role may do something, by the same rules that statements are let in by (`catalog::rights`). Objects and
//! roles are named by text or by oid; a name that is not there is an error, an oid that is not there gives NULL.

use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::{Body, Context, argument, entry};
use crate::catalog::rights::{Access, Kind, PUBLIC, Privilege};
use crate::catalog::role::missing;
use crate::error::{Error, SqlState};
use crate::functions::entry::Entry;
use crate::pg_catalog::model::Model;
use crate::pg_catalog::procedures;

/// What is asked of: its kind, and whose it is; absent: it is the server's.
type Found = Option<(Kind, Option<Access>)>;

pub(super) const ENTRIES: &[Entry<Body>] = &[
    entry(
        "has_table_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Whether the user, or the role that comes first, may do something with a table or view.",
        |context, values| asked(context, values, 1, Kind::Table, relation),
    ),
    entry(
        "has_any_column_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "As `has_table_privilege`: rights are on whole tables.",
        |context, values| asked(context, values, 1, Kind::Table, relation),
    ),
    entry(
        "has_column_privilege",
        &["text, text, text → boolean", "name, text, text, text → boolean"],
        "As `has_table_privilege`, of a column: rights are on whole tables.",
        |context, values| asked(context, values, 2, Kind::Table, column),
    ),
    entry(
        "has_schema_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Whether the user, or the role that comes first, may do something with a schema.",
        |context, values| asked(context, values, 1, Kind::Schema, schema),
    ),
    entry(
        "has_database_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Whether the user, or the role that comes first, may do something with a database.",
        |context, values| asked(context, values, 1, Kind::Database, database),
    ),
    entry(
        "has_function_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Whether the user, or the role that comes first, may call a function.",
        |context, values| asked(context, values, 1, Kind::Function, function),
    ),
    entry(
        "has_foreign_data_wrapper_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Whether the user, or the role that comes first, may declare tables over a connector.",
        |context, values| asked(context, values, 1, Kind::Connector, connector),
    ),
    entry(
        "has_sequence_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "There are no sequences: an error for a name, NULL for an oid.",
        |context, values| absent(context, values, "relation", SqlState::UndefinedTable),
    ),
    entry(
        "has_server_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "There are no foreign servers: an error for a name, NULL for an oid.",
        |context, values| absent(context, values, "server", SqlState::UndefinedObject),
    ),
    entry(
        "has_type_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Always true: types are for everybody.",
        |_, values| everybody(values),
    ),
    entry(
        "has_language_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Always true: the languages are for everybody.",
        |_, values| everybody(values),
    ),
    entry(
        "has_tablespace_privilege",
        &["text, text → boolean", "name, text, text → boolean"],
        "Whether the user, or the role that comes first, is a superuser: nothing lies in tablespaces.",
        |context, values| asked(context, values, 1, Kind::Schema, |_, _| Ok(Some((Kind::Schema, None)))),
    ),
];

/// The role of a call: the first of the arguments, or the user.
///
/// # Errors
/// There is no role of that name.
pub(super) fn role(context: &Context, model: &Model, given: Option<String>) -> Result<Option<u32>> {
    let Some(name) = given else { return Ok(model.role_oid(&context.view.user)) };
    if name.eq_ignore_ascii_case("public") {
        return Ok(Some(PUBLIC));
    }
    let of_number = || name.trim().parse().ok().filter(|oid| model.role_name(*oid).is_some());
    match model.role_oid(&name).or_else(of_number) {
        Some(oid) => Ok(Some(oid)),
        None => Err(missing(&name).into()),
    }
}

/// `objects`: how many arguments name the object.
fn asked(
    context: &Context,
    values: &[ScalarValue],
    objects: usize,
    kind: Kind,
    find: fn(&Model, &[String]) -> Result<Found>,
) -> Result<ScalarValue> {
    let unknown = || Ok(ScalarValue::Boolean(None));
    let texts: Option<Vec<String>> = (0..values.len()).map(|index| argument(values, index)).collect();
    let Some(texts) = texts else { return unknown() };
    let model = context.model();
    let (object, of_role) = match texts.len() {
        count if count == objects + 1 => (&texts[..objects], None),
        count if count == objects + 2 => (&texts[1..=objects], Some(texts[0].clone())),
        _ => {
            return Err(Error::invalid("a function about privileges takes a role, an object and a privilege")
                .code(SqlState::UndefinedFunction)
                .into());
        }
    };
    let is_own = of_role.is_none();
    let role = role(context, &model, of_role)?;
    let Some((found, access)) = find(&model, object)? else { return unknown() };
    let wanted = privileges(&texts[texts.len() - 1], kind)?;
    let has = wanted.into_iter().any(|(privilege, option)| {
        let everything = model.roles.is_empty() || is_own && context.view.is_unbound;
        everything || role.is_some_and(|role| model.may(role, found, access.as_ref(), privilege, option))
    });
    Ok(ScalarValue::Boolean(Some(has)))
}

/// `SELECT, INSERT WITH GRANT OPTION`
fn privileges(text: &str, kind: Kind) -> Result<Vec<(Privilege, bool)>> {
    let one = |part: &str| {
        let unrecognized = || {
            Error::invalid(format!("unrecognized privilege type: \"{}\"", part.trim()))
                .code(SqlState::InvalidParameterValue)
        };
        let upper = part.trim().to_ascii_uppercase();
        let (word, option) = match upper.strip_suffix("WITH GRANT OPTION") {
            Some(word) => (word.trim_end(), true),
            None => (upper.as_str(), false),
        };
        let privilege = Privilege::of(word).filter(|privilege| kind.privileges().contains(privilege));
        Ok((privilege.ok_or_else(unrecognized)?, option))
    };
    text.split(',').map(one).collect()
}

fn undefined(what: &str, name: &str, code: SqlState) -> Result<Found> {
    match name.trim().parse::<u32>() {
        Ok(_) => Ok(None),
        Err(_) => Err(Error::not_found(format!("{what} \"{name}\" does not exist")).code(code).into()),
    }
}

fn relation(model: &Model, names: &[String]) -> Result<Found> {
    match model.find_relation(&names[0]) {
        Some(relation) => Ok(Some((relation.access_kind(), relation.access.clone()))),
        None => undefined("relation", &names[0], SqlState::UndefinedTable),
    }
}

fn column(model: &Model, names: &[String]) -> Result<Found> {
    let Some(found) = model.find_relation(&names[0]) else {
        return undefined("relation", &names[0], SqlState::UndefinedTable);
    };
    let number = names[1].trim().parse::<usize>().ok();
    let is_there = match number {
        Some(number) => (1..=found.columns.len()).contains(&number),
        None => found.columns.iter().any(|column| column.name == names[1]),
    };
    match (is_there, number) {
        (true, _) => Ok(Some((found.access_kind(), found.access.clone()))),
        (false, Some(_)) => Ok(None),
        (false, None) => {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", names[1], found.name);
            Err(Error::not_found(message).code(SqlState::UndefinedColumn).into())
        }
    }
}

fn schema(model: &Model, names: &[String]) -> Result<Found> {
    let number = names[0].trim().parse::<u32>().ok();
    let found = model.namespaces.iter().find(|known| known.name == names[0] || Some(known.oid) == number);
    match found {
        Some(found) => Ok(Some((found.access_kind(), found.access.clone()))),
        None => undefined("schema", &names[0], SqlState::InvalidSchemaName),
    }
}

fn database(model: &Model, names: &[String]) -> Result<Found> {
    let number = names[0].trim().parse::<u32>().ok();
    let found = model.databases.iter().find(|known| known.name == names[0] || Some(known.oid) == number);
    match found {
        Some(found) => Ok(Some((Kind::Database, Some(found.access.clone())))),
        None => undefined("database", &names[0], SqlState::InvalidCatalogName),
    }
}

fn function(model: &Model, names: &[String]) -> Result<Found> {
    // `f(integer)`: there is one function of a name.
    let name = names[0].split('(').next().unwrap_or_default();
    let Some(oid) = procedures::find(model, name) else {
        return undefined("function", &names[0], SqlState::UndefinedFunction);
    };
    let ours = model.function(oid).and_then(|function| function.access.clone());
    Ok(Some((Kind::Function, ours)))
}

fn connector(model: &Model, names: &[String]) -> Result<Found> {
    let number = names[0].trim().parse::<u32>().ok();
    let found = model.connectors.iter().find(|known| known.name == names[0] || Some(known.oid) == number);
    match found {
        Some(found) => Ok(Some((Kind::Connector, Some(found.access.clone())))),
        None => undefined("foreign-data wrapper", &names[0], SqlState::UndefinedObject),
    }
}

fn absent(context: &Context, values: &[ScalarValue], what: &str, code: SqlState) -> Result<ScalarValue> {
    let at = values.len().saturating_sub(2);
    let Some(name) = argument(values, at) else { return Ok(ScalarValue::Boolean(None)) };
    let model = context.model();
    if let Some(relation) = model.find_relation(&name).filter(|_| what == "relation") {
        let error = Error::invalid(format!("\"{}\" is not a sequence", relation.name));
        return Err(error.code(SqlState::WrongObjectType).into());
    }
    undefined(what, &name, code).map(|_| ScalarValue::Boolean(None))
}

fn everybody(values: &[ScalarValue]) -> Result<ScalarValue> {
    let is_known = !values.iter().any(ScalarValue::is_null);
    Ok(ScalarValue::Boolean(is_known.then_some(true)))
}
