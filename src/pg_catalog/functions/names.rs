//! Names and oids, one from the other, and whether a name alone is enough.

use datafusion::error::{DataFusionError, Result};
use datafusion::scalar::ScalarValue;

use super::{Body, Context, argument, entry, oid, some_text};
use crate::error::{Error, SqlState};
use crate::functions::entry::Entry;
use crate::functions::quoting::quote_ident;
use crate::pg_catalog::name_parts::name_parts;
use crate::pg_catalog::{pg_type, procedures, types};

pub(super) const ENTRIES: &[Entry<Body>] = &[
    entry(
        "to_regclass",
        &["text → regclass"],
        "The oid of a relation by its name; NULL if there is none.",
        |context, values| Ok(ScalarValue::UInt32(relation_oid(context, values))),
    ),
    entry("regclassin", &["text → regclass"], "The oid of a relation by its name.", |context, values| {
        required(values, relation_oid(context, values), "relation", SqlState::UndefinedTable)
    }),
    entry("regclassout", &["oid → text"], "The name of a relation.", |context, values| {
        some_text(oid(values, 0).map(|oid| context.model().relation_text(oid)))
    }),
    entry("to_regtype", &["text → regtype"], "The oid of a type by its name; NULL if there is none.", |_, values| {
        Ok(ScalarValue::UInt32(argument(values, 0).and_then(|name| types::find(&name))))
    }),
    entry("regtypein", &["text → regtype"], "The oid of a type by its name.", |_, values| {
        let number = oid(values, 0);
        let found = number.or_else(|| argument(values, 0).and_then(|name| types::find(&name)));
        required(values, found, "type", SqlState::UndefinedObject)
    }),
    entry("regtypeout", &["oid → text"], "The name of a type.", |_, values| {
        some_text(oid(values, 0).map(|oid| types::formatted(oid, None)))
    }),
    entry(
        "to_regproc",
        &["text → regproc"],
        "The oid of a function by its name; NULL if there is none.",
        |context, values| {
            Ok(ScalarValue::UInt32(argument(values, 0).and_then(|name| procedures::find(&context.model(), &name))))
        },
    ),
    entry("regprocin", &["text → regproc"], "The oid of a function by its name.", |context, values| {
        let found = argument(values, 0).and_then(|name| procedures::find(&context.model(), &name));
        required(values, found, "function", SqlState::UndefinedFunction)
    }),
    entry("regprocout", &["oid → text"], "The name of a function.", |context, values| {
        let model = context.model();
        some_text(oid(values, 0).map(|oid| {
            model.function(oid).map_or_else(|| procedures::procedure_name(oid), |function| quote_ident(&function.name))
        }))
    }),
    entry("regnamespacein", &["text → oid"], "The oid of a schema by its name.", |context, values| {
        let found = argument(values, 0).and_then(|name| namespace_oid(context, &name));
        required(values, found, "schema", SqlState::InvalidSchemaName)
    }),
    entry("regnamespaceout", &["oid → text"], "The name of a schema.", |context, values| {
        some_text(oid(values, 0).map(|oid| quote_ident(context.model().namespace_name(oid))))
    }),
    entry("regrolein", &["text → oid"], "The oid of a role by its name.", |context, values| {
        let model = context.model();
        let found = oid(values, 0).filter(|oid| model.role_name(*oid).is_some());
        let found = found.or_else(|| argument(values, 0).and_then(|name| model.role_oid(&name)));
        required(values, found, "role", SqlState::UndefinedObject)
    }),
    entry("pg_get_userbyid", &["oid → name"], "The name of a role.", |context, values| {
        let model = context.model();
        some_text(
            oid(values, 0)
                .map(|oid| model.role_name(oid).map_or_else(|| format!("unknown (OID={oid})"), str::to_owned)),
        )
    })
    .aliases(&["regroleout"]),
    entry(
        "pg_table_is_visible",
        &["oid → boolean"],
        "Whether a relation is found by its name alone.",
        |context, values| {
            let model = context.model();
            let relation = oid(values, 0).and_then(|oid| model.relation(oid));
            Ok(ScalarValue::Boolean(relation.map(|relation| model.is_visible(relation))))
        },
    ),
    entry(
        "pg_function_is_visible",
        &["oid → boolean"],
        "Whether a function is found by its name alone.",
        |context, values| {
            let model = context.model();
            let Some(oid) = oid(values, 0) else { return Ok(ScalarValue::Boolean(None)) };
            let visible = model.function(oid).is_none_or(|function| model.search_path.contains(&function.namespace));
            Ok(ScalarValue::Boolean(Some(visible)))
        },
    ),
    entry("pg_typeof", &["any → text"], "The type of a value.", |context, _| {
        some_text(context.fields.first().map(|field| types::formatted(pg_type::of_field(field).oid, None)))
    }),
];

fn undefined(kind: &str, name: &str, code: SqlState) -> DataFusionError {
    Error::not_found(format!("{kind} \"{name}\" does not exist")).code(code).into()
}

fn relation_oid(context: &Context, values: &[ScalarValue]) -> Option<u32> {
    let written = argument(values, 0)?;
    if let Ok(number) = written.trim().parse() {
        return Some(number);
    }
    context.model().find_relation(&written).map(|relation| relation.oid)
}

fn namespace_oid(context: &Context, written: &str) -> Option<u32> {
    written.trim().parse().ok().or_else(|| {
        let name = name_parts(written)?.pop()?;
        context.model().namespaces.iter().find(|namespace| namespace.name == name).map(|namespace| namespace.oid)
    })
}

/// Fails where a name is given that is not there; NULL stays NULL.
fn required(values: &[ScalarValue], found: Option<u32>, kind: &str, code: SqlState) -> Result<ScalarValue> {
    match (argument(values, 0), found) {
        (Some(name), None) => Err(undefined(kind, &name, code)),
        (_, found) => Ok(ScalarValue::UInt32(found)),
    }
}
