//! Functions of `pg_catalog`: each answers from the model. Where a name exists in DataFusion too (`version`), ours is meant.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::model::{Function, Model, Relation, quoted};
use super::relation::list;
use super::{Source, keys, procedures, types};
use crate::error::Error;
use crate::pg_catalog::pg_type::{self, TYPE_KEY};
use crate::sql::SessionView;

/// What a function may look at.
struct Context {
    source: Arc<Source>,
    view: SessionView,
}

impl Context {
    fn model(&self) -> Arc<Model> {
        self.source.model(&self.view)
    }
}

type Body = fn(&Context, &[ScalarValue]) -> Result<ScalarValue>;

/// A function that is computed row by row.
struct CatalogFunction {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    special: Option<&'static str>,
    context: Arc<Context>,
    body: Body,
}

impl fmt::Debug for CatalogFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for CatalogFunction {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.context, &other.context);
        self.name == other.name
            && Arc::ptr_eq(&ours.source, &theirs.source)
            && ours.view.user == theirs.view.user
            && ours.view.database == theirs.view.database
            && ours.view.search_path == theirs.view.search_path
    }
}

impl Eq for CatalogFunction {}

impl Hash for CatalogFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for CatalogFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn return_field_from_args(&self, _arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let field = Field::new(self.name, self.returns.clone(), true);
        Ok(Arc::new(match self.special {
            Some(special) => field.with_metadata([(TYPE_KEY.to_owned(), special.to_owned())].into()),
            None => field,
        }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value_of = |values: &[ScalarValue]| {
            let value = (self.body)(&self.context, values)?;
            if value.data_type() == self.returns { Ok(value) } else { value.cast_to(&self.returns) }
        };
        let all_scalar = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        if all_scalar {
            let values: Vec<ScalarValue> = arguments
                .args
                .into_iter()
                .filter_map(|argument| match argument {
                    ColumnarValue::Scalar(value) => Some(value),
                    ColumnarValue::Array(_) => None,
                })
                .collect();
            return Ok(ColumnarValue::Scalar(value_of(&values)?));
        }
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut results = Vec::with_capacity(arguments.number_rows);
        for row in 0..arguments.number_rows {
            let values =
                arrays.iter().map(|array| ScalarValue::try_from_array(array, row)).collect::<Result<Vec<_>>>()?;
            results.push(value_of(&values)?);
        }
        if results.is_empty() {
            return Ok(ColumnarValue::Array(datafusion::arrow::array::new_empty_array(&self.returns)));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text.clone(),
        value if value.is_null() => None,
        value => Some(value.to_string()),
    }
}

fn argument(values: &[ScalarValue], index: usize) -> Option<String> {
    values.get(index).and_then(text)
}

fn number(values: &[ScalarValue], index: usize) -> Option<i64> {
    argument(values, index)?.trim().parse().ok()
}

fn oid(values: &[ScalarValue], index: usize) -> Option<u32> {
    number(values, index).and_then(|number| u32::try_from(number).ok())
}

fn some_text(value: Option<impl Into<String>>) -> Result<ScalarValue> {
    Ok(ScalarValue::Utf8(value.map(Into::into)))
}

fn strings(values: impl Iterator<Item = String>) -> ScalarValue {
    let values: Vec<ScalarValue> = values.map(ScalarValue::from).collect();
    list(&values, &DataType::Utf8)
}

/// Functions of `pg_catalog` for a session.
pub fn all(source: &Arc<Source>, view: &SessionView) -> Vec<ScalarUDF> {
    let context = Arc::new(Context { source: Arc::clone(source), view: view.clone() });
    let mut functions = Vec::new();
    let mut add = |names: &[&'static str], returns: DataType, special: Option<&'static str>, body: Body| {
        for name in names {
            functions.push(ScalarUDF::from(CatalogFunction {
                name,
                signature: Signature::one_of(
                    vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
                    Volatility::Stable,
                ),
                returns: returns.clone(),
                special,
                context: Arc::clone(&context),
                body,
            }));
        }
    };
    session_functions(&mut add);
    definitions(&mut add);
    names_and_oids(&mut add);
    constants(&mut add);
    functions
}

type Add<'a> = dyn FnMut(&[&'static str], DataType, Option<&'static str>, Body) + 'a;

fn session_functions(add: &mut Add<'_>) {
    add(&["version"], DataType::Utf8, None, |_, _| {
        let ours = env!("CARGO_PKG_VERSION");
        some_text(Some(format!("PostgreSQL {} (streamgate {ours})", super::SERVER_VERSION)))
    });
    add(&["current_database", "current_catalog"], DataType::Utf8, Some("name"), |context, _| {
        some_text(Some(context.view.database.clone()))
    });
    add(&["current_schema"], DataType::Utf8, Some("name"), |context, _| {
        some_text(existing_path(context).into_iter().next())
    });
    add(&["current_schemas"], schemas_type(), None, |context, values| {
        let implicit = matches!(values.first(), Some(ScalarValue::Boolean(Some(true))));
        let first = implicit.then(|| "pg_catalog".to_owned());
        Ok(strings(first.into_iter().chain(existing_path(context))))
    });
    add(&["current_user", "session_user", "current_role", "user"], DataType::Utf8, Some("name"), |context, _| {
        some_text(Some(context.view.user.clone()))
    });
    add(&["pg_backend_pid"], DataType::Int32, None, |context, _| Ok(ScalarValue::Int32(Some(context.view.process_id))));
    add(&["current_setting"], DataType::Utf8, None, |context, values| {
        let Some(name) = argument(values, 0) else { return some_text(None::<String>) };
        let found = context.view.settings.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name));
        match found {
            Some((_, value)) => some_text(Some(value.clone())),
            None if name.eq_ignore_ascii_case("server_version_num") => some_text(Some("150018")),
            None if matches!(values.get(1), Some(ScalarValue::Boolean(Some(true)))) => some_text(None::<String>),
            None => {
                Err(Error::not_found(format!("unrecognized configuration parameter \"{name}\"")).code("42704").into())
            }
        }
    });
}

fn schemas_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// Schemas of the search path that exist.
fn existing_path(context: &Context) -> Vec<String> {
    let model = context.model();
    let exists = |name: &&String| model.namespaces.iter().any(|namespace| namespace.name == **name);
    context.view.search_path.iter().filter(exists).cloned().collect()
}

fn definitions(add: &mut Add<'_>) {
    add(&["format_type"], DataType::Utf8, None, |_, values| {
        let modifier = number(values, 1).and_then(|modifier| i32::try_from(modifier).ok());
        some_text(oid(values, 0).map(|oid| types::formatted(oid, modifier)))
    });
    add(&["pg_get_indexdef"], DataType::Utf8, None, |context, values| {
        let model = context.model();
        let Some(index) = oid(values, 0).and_then(|oid| model.relation(oid)).filter(|index| index.kind == "i") else {
            return some_text(None::<String>);
        };
        match number(values, 1).filter(|column| *column > 0) {
            Some(column) => {
                let column = usize::try_from(column - 1).ok().and_then(|column| index.columns.get(column));
                some_text(column.map(|column| quoted(&column.name)))
            }
            None => {
                let table = model.relation(index.partner);
                some_text(table.map(|table| keys::index_definition(&model, table, values.len() > 1)))
            }
        }
    });
    add(&["pg_get_constraintdef"], DataType::Utf8, None, |context, values| {
        let model = context.model();
        let of_oid = |relation: &&Relation| Some(super::model::constraint_oid(relation.oid)) == oid(values, 0);
        let table =
            model.relations.iter().filter(|relation| relation.kind == "r" && relation.partner != 0).find(of_oid);
        some_text(table.map(|table| format!("PRIMARY KEY ({})", keys::key_columns(table).join(", "))))
    });
    add(&["pg_get_viewdef"], DataType::Utf8, None, |context, values| {
        let model = context.model();
        let view = argument(values, 0).and_then(|name| model.find_relation(&name));
        some_text(view.and_then(|view| view.query.as_ref()).map(|query| format!(" {};", query.trim_end_matches(';'))))
    });
    add(
        &["pg_get_function_arguments", "pg_get_function_identity_arguments"],
        DataType::Utf8,
        None,
        |context, values| show_function(context, values, arguments_of),
    );
    add(&["pg_get_function_result"], DataType::Utf8, None, |context, values| {
        show_function(context, values, |_, function| types::formatted(function.returns, None))
    });
    add(&["pg_get_functiondef"], DataType::Utf8, None, |context, values| {
        show_function(context, values, |model, function| {
            format!(
                "CREATE OR REPLACE FUNCTION {}.{}({})\n RETURNS {}\n LANGUAGE sql\nAS $function${}$function$\n",
                quoted(model.namespace_name(function.namespace)),
                quoted(&function.name),
                arguments_of(model, function),
                types::formatted(function.returns, None),
                function.body
            )
        })
    });
    add(&["obj_description"], DataType::Utf8, None, |context, values| {
        let model = context.model();
        let Some(oid) = oid(values, 0) else { return some_text(None::<String>) };
        let relation = model.relation(oid).and_then(|relation| relation.comment.clone());
        let namespace = model.namespaces.iter().find(|namespace| namespace.oid == oid);
        some_text(relation.or_else(|| namespace.and_then(|namespace| namespace.comment.clone())))
    });
    add(&["col_description"], DataType::Utf8, None, |context, values| {
        let model = context.model();
        let column = number(values, 1).and_then(|number| usize::try_from(number - 1).ok());
        let relation = oid(values, 0).and_then(|oid| model.relation(oid));
        some_text(relation.zip(column).and_then(|(relation, column)| relation.columns.get(column)?.comment.clone()))
    });
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
    let shown = |(name, oid): &(String, u32)| format!("{} {}", quoted(name), types::formatted(*oid, None));
    function.parameters.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn undefined(kind: &str, name: &str, code: &'static str) -> DataFusionError {
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
        let name = super::model::name_parts(written)?.pop()?;
        context.model().namespaces.iter().find(|namespace| namespace.name == name).map(|namespace| namespace.oid)
    })
}

/// Fails where a name is given that is not there; NULL stays NULL.
fn required(values: &[ScalarValue], found: Option<u32>, kind: &str, code: &'static str) -> Result<ScalarValue> {
    match (argument(values, 0), found) {
        (Some(name), None) => Err(undefined(kind, &name, code)),
        (_, found) => Ok(ScalarValue::UInt32(found)),
    }
}

fn names_and_oids(add: &mut Add<'_>) {
    let oid_type = DataType::UInt32;
    add(&["to_regclass"], oid_type.clone(), Some("regclass"), |context, values| {
        Ok(ScalarValue::UInt32(relation_oid(context, values)))
    });
    add(&["regclassin"], oid_type.clone(), Some("regclass"), |context, values| {
        required(values, relation_oid(context, values), "relation", "42P01")
    });
    add(&["regclassout"], DataType::Utf8, None, |context, values| {
        some_text(oid(values, 0).map(|oid| context.model().relation_text(oid)))
    });
    add(&["to_regtype"], oid_type.clone(), Some("regtype"), |_, values| {
        Ok(ScalarValue::UInt32(argument(values, 0).and_then(|name| types::find(&name))))
    });
    add(&["regtypein"], oid_type.clone(), Some("regtype"), |_, values| {
        let number = oid(values, 0);
        let found = number.or_else(|| argument(values, 0).and_then(|name| types::find(&name)));
        required(values, found, "type", "42704")
    });
    add(&["regtypeout"], DataType::Utf8, None, |_, values| {
        some_text(oid(values, 0).map(|oid| types::formatted(oid, None)))
    });
    add(&["to_regproc"], oid_type.clone(), Some("regproc"), |context, values| {
        Ok(ScalarValue::UInt32(argument(values, 0).and_then(|name| procedures::find(&context.model(), &name))))
    });
    add(&["regprocin"], oid_type.clone(), Some("regproc"), |context, values| {
        let found = argument(values, 0).and_then(|name| procedures::find(&context.model(), &name));
        required(values, found, "function", "42883")
    });
    add(&["regprocout"], DataType::Utf8, None, |context, values| {
        let model = context.model();
        some_text(oid(values, 0).map(|oid| {
            model.function(oid).map_or_else(|| procedures::procedure_name(oid), |function| quoted(&function.name))
        }))
    });
    add(&["regnamespacein"], oid_type.clone(), None, |context, values| {
        let found = argument(values, 0).and_then(|name| namespace_oid(context, &name));
        required(values, found, "schema", "3F000")
    });
    add(&["regnamespaceout"], DataType::Utf8, None, |context, values| {
        some_text(oid(values, 0).map(|oid| quoted(context.model().namespace_name(oid))))
    });
    add(&["regrolein"], oid_type, None, |context, values| {
        let known = argument(values, 0).filter(|name| *name == context.view.user || name == "10");
        required(values, known.map(|_| super::model::OWNER), "role", "42704")
    });
    add(&["pg_get_userbyid", "regroleout"], DataType::Utf8, Some("name"), |context, values| {
        some_text(oid(values, 0).map(|oid| match oid {
            super::model::OWNER => context.view.user.clone(),
            other => format!("unknown (OID={other})"),
        }))
    });
    add(&["pg_table_is_visible"], DataType::Boolean, None, |context, values| {
        let model = context.model();
        let relation = oid(values, 0).and_then(|oid| model.relation(oid));
        Ok(ScalarValue::Boolean(relation.map(|relation| model.is_visible(relation))))
    });
    add(&["pg_function_is_visible"], DataType::Boolean, None, |context, values| {
        let model = context.model();
        let Some(oid) = oid(values, 0) else { return Ok(ScalarValue::Boolean(None)) };
        let visible = model.function(oid).is_none_or(|function| model.search_path.contains(&function.namespace));
        Ok(ScalarValue::Boolean(Some(visible)))
    });
    add(&["quote_ident"], DataType::Utf8, None, |_, values| some_text(argument(values, 0).map(|name| quoted(&name))));
    add(&["quote_literal", "quote_nullable"], DataType::Utf8, None, |_, values| {
        some_text(argument(values, 0).map(|value| format!("'{}'", value.replace('\'', "''"))))
    });
    add(&["pg_typeof"], DataType::Utf8, None, |_, values| {
        let oid = values.first().map(|value| pg_type::of(&value.data_type()).oid);
        some_text(oid.map(|oid| types::formatted(oid, None)))
    });
}

fn constants(add: &mut Add<'_>) {
    add(
        &[
            "pg_type_is_visible",
            "pg_operator_is_visible",
            "pg_opclass_is_visible",
            "pg_opfamily_is_visible",
            "pg_collation_is_visible",
            "pg_conversion_is_visible",
            "pg_statistics_obj_is_visible",
            "pg_ts_config_is_visible",
            "pg_ts_dict_is_visible",
            "pg_ts_parser_is_visible",
            "pg_ts_template_is_visible",
            "has_table_privilege",
            "has_any_column_privilege",
            "has_column_privilege",
            "has_schema_privilege",
            "has_database_privilege",
            "has_function_privilege",
            "has_sequence_privilege",
            "has_type_privilege",
            "has_language_privilege",
            "has_tablespace_privilege",
            "has_server_privilege",
            "has_foreign_data_wrapper_privilege",
            "pg_has_role",
            "pg_relation_is_publishable",
        ],
        DataType::Boolean,
        None,
        |_, _| Ok(ScalarValue::Boolean(Some(true))),
    );
    add(
        &["pg_is_in_recovery", "pg_is_other_temp_schema", "pg_column_is_updatable", "row_security_active"],
        DataType::Boolean,
        None,
        |_, _| Ok(ScalarValue::Boolean(Some(false))),
    );
    add(
        &[
            "pg_get_expr",
            "pg_get_ruledef",
            "pg_get_triggerdef",
            "pg_get_function_sqlbody",
            "pg_get_function_arg_default",
            "pg_get_serial_sequence",
            "pg_get_statisticsobjdef",
            "pg_get_statisticsobjdef_columns",
            "pg_get_partkeydef",
            "pg_get_partition_constraintdef",
            "shobj_description",
            "inet_client_addr",
            "inet_server_addr",
        ],
        DataType::Utf8,
        None,
        |_, _| some_text(None::<String>),
    );
    add(
        &[
            "pg_relation_size",
            "pg_table_size",
            "pg_total_relation_size",
            "pg_indexes_size",
            "pg_database_size",
            "pg_tablespace_size",
        ],
        DataType::Int64,
        None,
        |_, _| Ok(ScalarValue::Int64(Some(0))),
    );
    add(&["txid_current", "pg_current_xact_id"], DataType::Int64, None, |_, _| Ok(ScalarValue::Int64(Some(1))));
    add(&["pg_my_temp_schema"], DataType::UInt32, None, |_, _| Ok(ScalarValue::UInt32(Some(0))));
    add(&["pg_relation_is_updatable"], DataType::Int32, None, |_, _| Ok(ScalarValue::Int32(Some(0))));
    add(&["pg_tablespace_location", "pg_advisory_unlock_all"], DataType::Utf8, None, |_, _| some_text(Some("")));
    add(&["pg_encoding_to_char"], DataType::Utf8, Some("name"), |_, values| {
        some_text(number(values, 0).map(|encoding| match encoding {
            0 => "SQL_ASCII",
            6 => "UTF8",
            _ => "",
        }))
    });
    add(&["getdatabaseencoding", "pg_client_encoding"], DataType::Utf8, Some("name"), |_, _| some_text(Some("UTF8")));
    add(&["pg_char_to_encoding"], DataType::Int32, None, |_, values| {
        let is_utf8 = argument(values, 0).is_some_and(|name| matches!(name.to_lowercase().as_str(), "utf8" | "utf-8"));
        Ok(ScalarValue::Int32(Some(if is_utf8 { 6 } else { -1 })))
    });
    add(&["pg_size_pretty"], DataType::Utf8, None, |_, values| {
        some_text(number(values, 0).map(|bytes| {
            let units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
            let (mut size, mut unit) = (bytes, 0);
            while size.abs() >= 10_240 && unit + 1 < units.len() {
                size /= 1024;
                unit += 1;
            }
            format!("{size} {}", units[unit])
        }))
    });
    add(&["array_lower"], DataType::Int32, None, |_, values| {
        Ok(ScalarValue::Int32(list_length(values).filter(|length| *length > 0).map(|_| 1)))
    });
    add(&["array_upper"], DataType::Int32, None, |_, values| {
        Ok(ScalarValue::Int32(list_length(values).filter(|length| *length > 0)))
    });
}

fn list_length(values: &[ScalarValue]) -> Option<i32> {
    use datafusion::arrow::array::Array;
    match values.first()? {
        ScalarValue::List(list) if !list.is_null(0) => Some(list.value_length(0)),
        _ => None,
    }
}
