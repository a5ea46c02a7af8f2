//! Functions of `pg_catalog`: each answers from the model. Their entries are of the kind that all functions have; what makes one is its
//! body, and the type of the result is that of its signature.

mod constants;
mod definitions;
mod names;
mod of_others;
mod of_session;
mod privileges;
mod roles;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
};
use datafusion::scalar::ScalarValue;

use super::CatalogSource;
use super::model::Model;
use super::relation::list;
use crate::functions::entry::{Entry, Registry};
use crate::pg_catalog::pg_type::TYPE_KEY;
use crate::sql::SessionView;

/// What a function may look at.
pub struct Context {
    source: Arc<CatalogSource>,
    view: Arc<SessionView>,
    /// Of the arguments of the call.
    fields: Vec<FieldRef>,
}

impl Context {
    fn model(&self) -> Arc<Model> {
        self.source.model(&self.view)
    }
}

/// What a function makes of a row of arguments.
pub type Body = fn(&Context, &[ScalarValue]) -> Result<ScalarValue>;

/// A function that is computed row by row.
struct CatalogFunction {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    special: Option<&'static str>,
    context: Context,
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
            && ours.view.session_user == theirs.view.session_user
            && ours.view.is_unbound == theirs.view.is_unbound
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
        let context = Context {
            source: self.context.source.clone(),
            view: self.context.view.clone(),
            fields: arguments.arg_fields.clone(),
        };
        let value_of = |values: &[ScalarValue]| {
            let value = (self.body)(&context, values)?;
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

/// What the schema brings: a line for each file.
static ENTRIES: LazyLock<Registry<Body>> = LazyLock::new(|| {
    Registry::of([
        of_session::ENTRIES,
        of_others::ENTRIES,
        definitions::ENTRIES,
        names::ENTRIES,
        privileges::ENTRIES,
        roles::ENTRIES,
        constants::ENTRIES,
    ])
});

/// All functions of `pg_catalog`.
pub fn entries() -> impl Iterator<Item = &'static Entry<Body>> {
    ENTRIES.entries()
}

/// The function of that name as a session has it.
pub fn find(name: &str, source: &Arc<CatalogSource>, view: &Arc<SessionView>) -> Option<Arc<ScalarUDF>> {
    let entry = ENTRIES.find(name)?;
    let (returns, special) = type_of(entry.calls().next()?.returns);
    let signature = Signature::one_of(vec![TypeSignature::VariadicAny, TypeSignature::Nullary], entry.volatility);
    let context = Context { source: Arc::clone(source), view: Arc::clone(view), fields: Vec::new() };
    let function = CatalogFunction { name: entry.name, signature, returns, special, context, body: entry.maker };
    Some(Arc::new(ScalarUDF::from(function)))
}

/// A type of a signature: Arrow's, and the name of the Postgres type that Arrow does not have.
fn type_of(word: &'static str) -> (DataType, Option<&'static str>) {
    match word {
        "boolean" => (DataType::Boolean, None),
        "integer" => (DataType::Int32, None),
        "bigint" => (DataType::Int64, None),
        "oid" => (DataType::UInt32, None),
        "regclass" | "regproc" | "regtype" => (DataType::UInt32, Some(word)),
        "name" => (DataType::Utf8, Some("name")),
        "text[]" => (DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))), None),
        _ => (DataType::Utf8, None),
    }
}

const fn entry(
    name: &'static str,
    signatures: &'static [&'static str],
    documentation: &'static str,
    body: Body,
) -> Entry<Body> {
    Entry::public(name, signatures, documentation, body).stable()
}
