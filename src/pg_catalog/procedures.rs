//! pg_proc and pg_language: SQL functions, those that are part of the server (`built_in`), and the input and output functions that types
//! refer to (`procedures.tsv`).

use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::built_in;
use super::model::{Function, Model, OWNER, PG_CATALOG};
use super::relation::{Row, list};
use crate::catalog::rights::Kind;
use crate::sql::SessionView;

/// Oid of language `sql`.
const SQL: u32 = 14;
/// Oid of language `internal`.
const INTERNAL: u32 = 12;

struct Procedure {
    oid: u32,
    name: String,
    returns: u32,
    parameters: Vec<u32>,
    volatility: String,
    is_set: bool,
}

static PROCEDURES: LazyLock<Vec<Procedure>> = LazyLock::new(|| {
    let parsed = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        Some(Procedure {
            oid: fields.first()?.parse().ok()?,
            name: (*fields.get(1)?).to_owned(),
            returns: fields.get(2)?.parse().ok()?,
            parameters: fields.get(3)?.split(' ').filter_map(|oid| oid.parse().ok()).collect(),
            volatility: (*fields.get(4)?).to_owned(),
            is_set: fields.get(5)? == &"t",
        })
    };
    include_str!("procedures.tsv").lines().filter_map(parsed).collect()
});

/// A built-in function's name as regproc prints it.
pub fn procedure_name(oid: u32) -> String {
    match PROCEDURES.iter().find(|procedure| procedure.oid == oid) {
        Some(procedure) => procedure.name.clone(),
        None if oid == 0 => "-".to_owned(),
        None => built_in::of_oid(oid).map_or_else(|| oid.to_string(), |function| function.name.to_owned()),
    }
}

/// Oid of a function by its name, ours or built in.
pub fn find(model: &Model, written: &str) -> Option<u32> {
    if let Ok(oid) = written.trim().parse() {
        return Some(oid);
    }
    let parts = super::name_parts::name_parts(written)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema), name),
        _ => return None,
    };
    let ours = model.functions.iter().find(|function| {
        function.name == *name && schema.is_none_or(|schema| schema == model.namespace_name(function.namespace))
    });
    ours.map(|function| function.oid).or_else(|| {
        let of_types = PROCEDURES.iter().find(|procedure| procedure.name == *name).map(|procedure| procedure.oid);
        let found = of_types.or_else(|| {
            let of_server = built_in::all().iter().find(|function| function.name == *name);
            of_server.map(|function| function.oid)
        });
        found.filter(|_| schema.is_none_or(|schema| schema == "pg_catalog"))
    })
}

fn oids(values: &[u32]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|&oid| oid.into()).collect();
    list(&values, &DataType::UInt32)
}

fn common(oid: u32, name: &str, parameters: &[u32]) -> Row {
    Row::new()
        .set("oid", oid)
        .set("proname", name)
        .set("procost", 1_f32)
        .set("prorows", 0_f32)
        .set("prosupport", 0_u32)
        .all(&["prosecdef", "proleakproof"], false)
        .set("proisstrict", false)
        .set("proparallel", "s")
        .set("pronargs", i16::try_from(parameters.len()).unwrap_or(i16::MAX))
        .set("pronargdefaults", 0_i16)
        .set("proargtypes", oids(parameters))
}

/// Functions.
pub fn pg_proc(model: &Model, _view: &SessionView) -> Vec<Row> {
    let of_types = |procedure: &Procedure| {
        common(procedure.oid, &procedure.name, &procedure.parameters)
            .set("proowner", OWNER)
            .set("pronamespace", PG_CATALOG)
            .set("prolang", INTERNAL)
            .set("prokind", "f")
            .set("provariadic", 0_u32)
            .set("proretset", procedure.is_set)
            .set("provolatile", procedure.volatility.as_str())
            .set("prorettype", procedure.returns)
            .set("prosrc", procedure.name.as_str())
    };
    let ours = |function: &Function| {
        let types: Vec<u32> = function.parameters.iter().map(|(_, oid)| *oid).collect();
        let names: Vec<ScalarValue> =
            function.parameters.iter().map(|(name, _)| ScalarValue::from(name.as_str())).collect();
        let row = common(function.oid, &function.name, &types)
            .set("pronamespace", function.namespace)
            .set("prolang", SQL)
            .set("prokind", "f")
            .set("provariadic", 0_u32)
            .set("proretset", false)
            .set("provolatile", "s")
            .set("prorettype", function.returns)
            .set("proargnames", list(&names, &DataType::Utf8))
            .set("prosrc", function.body.as_str());
        let access = function.access.as_ref();
        let row = row.set("proowner", access.map_or(OWNER, |access| access.owner));
        model.set_acl(row, "proacl", Kind::Function, access)
    };
    let of_server = |function: &built_in::BuiltIn| {
        common(function.oid, function.name, &function.parameters)
            .set("proowner", OWNER)
            .set("pronamespace", PG_CATALOG)
            .set("prolang", INTERNAL)
            .set("prokind", function.kind)
            .set("proretset", false)
            .set("provariadic", function.variadic)
            .set("provolatile", function.volatility)
            .set("prorettype", function.returns)
            .set("prosrc", function.name)
    };
    let is_of_types = |name: &str| PROCEDURES.iter().any(|procedure| procedure.name == name);
    let of_server = built_in::all().iter().filter(|function| !is_of_types(function.name)).map(of_server);
    PROCEDURES.iter().map(of_types).chain(of_server).chain(model.functions.iter().map(ours)).collect()
}

/// Languages.
pub fn pg_language(_model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |(oid, name): (u32, &str)| {
        Row::new()
            .set("oid", oid)
            .set("lanname", name)
            .set("lanowner", OWNER)
            .set("lanispl", false)
            .set("lanpltrusted", name == "sql")
            .all(&["lanplcallfoid", "laninline", "lanvalidator"], 0_u32)
    };
    [(INTERNAL, "internal"), (13, "c"), (SQL, "sql")].map(row).into()
}
