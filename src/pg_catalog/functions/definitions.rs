//! Functions that write out what objects are: definitions, arguments, comments.

use datafusion::error::Result;
use datafusion::scalar::ScalarValue;

use super::{Body, Context, argument, entry, number, oid, some_text};
use crate::functions::entry::Entry;
use crate::functions::quoting::quote_ident;
use crate::pg_catalog::built_in::{self, BuiltIn};
use crate::pg_catalog::model::{self, Function, Model, Relation};
use crate::pg_catalog::{keys, types};

pub(super) const ENTRIES: &[Entry<Body>] = &[
    entry("format_type", &["oid, integer → text"], "The name of a type, with its length or digits.", |_, values| {
        let modifier = number(values, 1).and_then(|modifier| i32::try_from(modifier).ok());
        some_text(oid(values, 0).map(|oid| types::formatted(oid, modifier)))
    }),
    entry(
        "pg_get_indexdef",
        &["oid → text", "oid, integer, boolean → text"],
        "The statement that would make an index, or the name of one of its columns.",
        |context, values| {
            let model = context.model();
            let Some(index) = oid(values, 0).and_then(|oid| model.relation(oid)).filter(|index| index.kind == "i")
            else {
                return some_text(None::<String>);
            };
            match number(values, 1).filter(|column| *column > 0) {
                Some(column) => {
                    let column = usize::try_from(column - 1).ok().and_then(|column| index.columns.get(column));
                    some_text(column.map(|column| quote_ident(&column.name)))
                }
                None => {
                    let table = model.relation(index.partner);
                    some_text(table.map(|table| keys::index_definition(&model, table, values.len() > 1)))
                }
            }
        },
    ),
    entry(
        "pg_get_constraintdef",
        &["oid → text", "oid, boolean → text"],
        "The definition of a constraint.",
        |context, values| {
            let model = context.model();
            let of_oid = |relation: &&Relation| Some(model::constraint_oid(relation.oid)) == oid(values, 0);
            let table =
                model.relations.iter().filter(|relation| relation.kind == "r" && relation.partner != 0).find(of_oid);
            let of_key = table.map(|table| format!("PRIMARY KEY ({})", keys::key_columns(table).join(", ")));
            let others = model.relations.iter().flat_map(|relation| &relation.constraints);
            let mut other =
                others.filter(|other| Some(other.oid) == oid(values, 0)).map(|other| other.definition.clone());
            some_text(of_key.or_else(|| other.next_back()))
        },
    ),
    entry("pg_get_expr", &["text, oid → text"], "The expression of a default.", |_, values| {
        // It is stored as it is written.
        some_text(argument(values, 0))
    }),
    entry(
        "pg_get_viewdef",
        &["oid → text", "oid, boolean → text", "text → text"],
        "The query of a view.",
        |context, values| {
            let model = context.model();
            let view = argument(values, 0).and_then(|name| model.find_relation(&name));
            some_text(
                view.and_then(|view| view.query.as_ref()).map(|query| format!(" {};", query.trim_end_matches(';'))),
            )
        },
    ),
    entry("pg_get_function_arguments", &["oid → text"], "The arguments of a function.", |context, values| {
        match of_server(values) {
            Some(function) => some_text(Some(function.arguments())),
            None => show_function(context, values, arguments_of),
        }
    })
    .aliases(&["pg_get_function_identity_arguments"]),
    entry("pg_get_function_result", &["oid → text"], "The type of a function's result.", |context, values| {
        match of_server(values) {
            Some(function) => some_text(Some(function.result())),
            None => show_function(context, values, |_, function| types::formatted(function.returns, None)),
        }
    }),
    entry(
        "pg_get_functiondef",
        &["oid → text"],
        "The statement that would make a SQL function.",
        |context, values| {
            show_function(context, values, |model, function| {
                format!(
                    "CREATE OR REPLACE FUNCTION {}.{}({})\n RETURNS {}\n LANGUAGE sql\nAS \
         $function${}$function$\n",
                    quote_ident(model.namespace_name(function.namespace)),
                    quote_ident(&function.name),
                    arguments_of(model, function),
                    types::formatted(function.returns, None),
                    function.body
                )
            })
        },
    ),
    entry(
        "obj_description",
        &["oid → text", "oid, name → text"],
        "The comment of a relation, a schema or a function; of a function of the server, what it does.",
        |context, values| {
            let model = context.model();
            let Some(oid) = oid(values, 0) else { return some_text(None::<String>) };
            if let Some(function) = built_in::of_oid(oid) {
                return some_text(Some(function.documentation));
            }
            let relation = model.relation(oid).and_then(|relation| relation.comment.clone());
            let namespace = model.namespaces.iter().find(|namespace| namespace.oid == oid);
            let function = model.function(oid).and_then(|function| function.comment.clone());
            let namespace = namespace.and_then(|namespace| namespace.comment.clone());
            some_text(relation.or(namespace).or(function))
        },
    ),
    entry("shobj_description", &["oid, name → text"], "The comment of a database.", |context, values| {
        let model = context.model();
        let database = model.databases.iter().find(|database| Some(database.oid) == oid(values, 0));
        some_text(database.and_then(|database| database.comment.clone()))
    }),
    entry("col_description", &["oid, integer → text"], "The comment of a column.", |context, values| {
        let model = context.model();
        let column = number(values, 1).and_then(|number| usize::try_from(number - 1).ok());
        let relation = oid(values, 0).and_then(|oid| model.relation(oid));
        some_text(relation.zip(column).and_then(|(relation, column)| relation.columns.get(column)?.comment.clone()))
    }),
];

fn of_server(values: &[ScalarValue]) -> Option<&'static BuiltIn> {
    oid(values, 0).and_then(built_in::of_oid)
}

fn show_function(
    context: &Context,
    values: &[ScalarValue],
    show: fn(&Model, &Function) -> String,
) -> Result<ScalarValue> {
    let model = context.model();
    some_text(oid(values, 0).and_then(|oid| model.function(oid)).map(|function| show(&model, function)))
}

fn arguments_of(_model: &Model, function: &Function) -> String {
    let shown = |(name, oid): &(String, u32)| format!("{} {}", quote_ident(name), types::formatted(*oid, None));
    function.parameters.iter().map(shown).collect::<Vec<_>>().join(", ")
}
