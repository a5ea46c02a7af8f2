//! pg_type and pg_am: the built-in types of PostgreSQL 15 (`types.tsv`), of which ours are some. Drivers look types up here.

use std::fmt::Write;
use std::sync::LazyLock;

use super::model::{Model, OWNER, PG_CATALOG};
use super::relation::Row;
use crate::sql::SessionView;

/// A built-in type.
pub struct BaseType {
    /// `oid`
    pub oid: u32,
    /// `typname`
    pub name: String,
    /// `typlen`
    pub length: i16,
    /// `typbyval`
    pub by_value: bool,
    kind: String,
    /// `typcategory`; `A` for arrays.
    pub category: String,
    preferred: bool,
    delimiter: String,
    /// `typelem`
    pub element: u32,
    array: u32,
    procedures: [u32; 4],
    base: u32,
    /// `typcollation`
    pub collation: u32,
    /// `typalign`
    pub align: String,
    /// `typstorage`
    pub storage: String,
    subscript: u32,
}

fn parsed(line: &str) -> Option<BaseType> {
    let fields: Vec<&str> = line.split('\t').collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    let text = |index: usize| Some((*fields.get(index)?).to_owned());
    Some(BaseType {
        oid: number(0)?,
        name: text(1)?,
        length: fields.get(2)?.parse().ok()?,
        by_value: fields.get(3)? == &"t",
        kind: text(4)?,
        category: text(5)?,
        preferred: fields.get(6)? == &"t",
        delimiter: text(7)?,
        element: number(8)?,
        array: number(9)?,
        procedures: [number(10)?, number(11)?, number(12)?, number(13)?],
        base: number(14)?,
        collation: number(15)?,
        align: text(16)?,
        storage: text(17)?,
        subscript: number(18)?,
    })
}

static TYPES: LazyLock<Vec<BaseType>> =
    LazyLock::new(|| include_str!("types.tsv").lines().filter_map(parsed).collect());

/// The type with an oid.
pub fn base_type(oid: u32) -> Option<&'static BaseType> {
    TYPES.binary_search_by_key(&oid, |base| base.oid).ok().map(|index| &TYPES[index])
}

/// pg_type.
pub fn pg_type(_model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |base: &BaseType| {
        let [input, output, receive, send] = base.procedures;
        Row::new()
            .set("oid", base.oid)
            .set("typname", base.name.as_str())
            .set("typnamespace", PG_CATALOG)
            .set("typowner", OWNER)
            .set("typlen", base.length)
            .set("typbyval", base.by_value)
            .set("typtype", base.kind.as_str())
            .set("typcategory", base.category.as_str())
            .set("typispreferred", base.preferred)
            .set("typisdefined", true)
            .set("typdelim", base.delimiter.as_str())
            .set("typelem", base.element)
            .set("typarray", base.array)
            .all(&["typrelid", "typmodin", "typmodout", "typanalyze"], 0_u32)
            .set("typinput", input)
            .set("typoutput", output)
            .set("typreceive", receive)
            .set("typsend", send)
            .set("typsubscript", base.subscript)
            .set("typalign", base.align.as_str())
            .set("typstorage", base.storage.as_str())
            .set("typnotnull", false)
            .set("typbasetype", base.base)
            .set("typtypmod", -1_i32)
            .set("typndims", 0_i32)
            .set("typcollation", base.collation)
    };
    TYPES.iter().map(row).collect()
}

/// Access methods, so that psql finds the names of `relam`.
pub fn pg_am(_model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |(oid, name, kind): (u32, &str, &str)| {
        Row::new().set("oid", oid).set("amname", name).set("amhandler", 0_u32).set("amtype", kind)
    };
    [(2, "heap", "t"), (403, "btree", "i")].map(row).into()
}

/// `format_type(oid, typmod)`
pub fn formatted(oid: u32, modifier: Option<i32>) -> String {
    let Some(base) = base_type(oid) else {
        return if oid == 0 { "-".to_owned() } else { "???".to_owned() };
    };
    if base.category == "A" && base.element != 0 && base.name.starts_with('_') {
        return format!("{}[]", formatted(base.element, modifier));
    }
    let given = modifier.filter(|modifier| *modifier >= 0);
    let name = match base.name.as_str() {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "varchar" => "character varying",
        "bpchar" => "character",
        "char" => "\"char\"",
        "varbit" => "bit varying",
        "timestamp" | "timestamptz" | "time" | "timetz" => {
            let (word, zone) = match base.name.strip_suffix("tz") {
                Some(word) => (word, "with"),
                None => (base.name.as_str(), "without"),
            };
            let precision = given.map_or(String::new(), |digits| format!("({digits})"));
            return format!("{word}{precision} {zone} time zone");
        }
        other => other,
    };
    let mut text = name.to_owned();
    if let Some(modifier) = given {
        let _ = match base.name.as_str() {
            "varchar" | "bpchar" => write!(text, "({})", modifier - 4),
            "numeric" => write!(text, "({},{})", (modifier - 4) >> 16, (modifier - 4) & 0x7ff),
            _ => Ok(()),
        };
    }
    text
}

/// Finds a type by a name of Postgres or SQL: `int4`, `integer`, `_text`, `text[]`, `pg_catalog.oid`, or its number.
pub fn find(written: &str) -> Option<u32> {
    let written = written.trim();
    if let Ok(oid) = written.parse::<u32>() {
        return base_type(oid).map(|base| base.oid);
    }
    if let Some(element) = written.strip_suffix("[]") {
        return base_type(find(element)?).map(|base| base.array).filter(|&array| array != 0);
    }
    let name = written.strip_prefix("pg_catalog.").unwrap_or(written);
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let folded = quoted.map_or_else(|| name.to_lowercase(), str::to_owned);
    let plain = folded.split_once('(').map_or(folded.as_str(), |(name, _)| name.trim_end());
    TYPES
        .iter()
        .find(|base| base.name == plain && (quoted.is_some() || plain != "char"))
        .or_else(|| TYPES.iter().find(|base| base.category != "A" && formatted(base.oid, None) == plain))
        .or_else(|| (plain == "char").then(|| base_type(1042)).flatten())
        .or_else(|| {
            (plain == "int" || plain == "decimal").then(|| base_type(if plain == "int" { 23 } else { 1700 })).flatten()
        })
        .map(|base| base.oid)
}
