//! The functions that are part of the server as pg_proc lists them: a row for each name and each way to call it, all in `pg_catalog`. Made
//! of the registries; an oid follows from name and arguments, so that it is the same in every process and every build.

use std::fmt::Write;
use std::sync::LazyLock;

use datafusion::logical_expr::Volatility;

use super::model::oid_of_name;
use super::{functions, types};
use crate::functions::aggregations::aggregations;
use crate::functions::entry::{About, Call};
use crate::functions::registry::scalars;
use crate::functions::windows::windows;

const BUILT_IN_RANGE: u32 = 0x1000_0000;
/// Oids of pseudo-types.
const RECORD: u32 = 2249;
const ANY: u32 = 2276;
const ANYARRAY: u32 = 2277;
const ANYELEMENT: u32 = 2283;

/// A way to call a function.
pub struct BuiltIn {
    /// `pg_proc.oid`
    pub oid: u32,
    /// `proname`
    pub name: &'static str,
    /// `prokind`
    pub kind: &'static str,
    /// `provolatile`
    pub volatility: &'static str,
    /// Types of the arguments.
    pub parameters: Vec<u32>,
    /// Type of the last argument if it may come as often as one likes, else 0.
    pub variadic: u32,
    /// Type of the result.
    pub returns: u32,
    /// What it does.
    pub documentation: &'static str,
}

static BUILT_IN: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
    let mut all = Vec::new();
    scalars().entries().for_each(|entry| add(&mut all, &entry.about, "f"));
    functions::entries().for_each(|entry| add(&mut all, &entry.about, "f"));
    aggregations().entries().for_each(|entry| add(&mut all, &entry.about, "a"));
    windows().entries().for_each(|entry| add(&mut all, &entry.about, "w"));
    all
});

fn add(all: &mut Vec<BuiltIn>, about: &About, kind: &'static str) {
    if !about.is_public() {
        return;
    }
    let volatility = match about.volatility {
        Volatility::Immutable => "i",
        Volatility::Stable => "s",
        Volatility::Volatile => "v",
    };
    for name in about.names() {
        for call in about.calls() {
            let parameters: Vec<u32> = call.arguments.iter().map(|word| type_of(word)).collect();
            let variadic = if call.is_variadic { parameters.last().copied().unwrap_or(ANY) } else { 0 };
            all.push(BuiltIn {
                oid: oid_of_name(BUILT_IN_RANGE, &written(name, &call, kind)),
                name,
                kind,
                volatility,
                parameters,
                variadic,
                returns: type_of(call.returns),
                documentation: about.documentation,
            });
        }
    }
}

/// What tells a function from all others.
fn written(name: &str, call: &Call, kind: &str) -> String {
    format!("{kind} {name}({}){}", call.arguments.join(","), if call.is_variadic { "..." } else { "" })
}

/// The oid of a type of a signature.
fn type_of(word: &str) -> u32 {
    match word {
        "any" | "map" => ANY,
        "anyarray" => ANYARRAY,
        "anyelement" => ANYELEMENT,
        "row" => RECORD,
        other => types::find(other).unwrap_or(ANY),
    }
}

/// All of them.
pub fn all() -> &'static [BuiltIn] {
    &BUILT_IN
}

/// The one with an oid.
pub fn of_oid(oid: u32) -> Option<&'static BuiltIn> {
    all().iter().find(|function| function.oid == oid)
}

impl BuiltIn {
    /// `pg_get_function_arguments(oid)`
    pub fn arguments(&self) -> String {
        let mut text = String::new();
        for (place, oid) in self.parameters.iter().enumerate() {
            let is_last = place + 1 == self.parameters.len();
            let before = if place == 0 { "" } else { ", " };
            let _ = match (is_last && self.variadic != 0, *oid) {
                (true, ANY) => write!(text, "{before}VARIADIC \"any\""),
                (true, oid) => write!(text, "{before}VARIADIC {}", types::formatted(oid, None)),
                (false, ANY) => write!(text, "{before}\"any\""),
                (false, oid) => write!(text, "{before}{}", types::formatted(oid, None)),
            };
        }
        text
    }

    /// `pg_get_function_result(oid)`
    pub fn result(&self) -> String {
        match self.returns {
            ANY => "\"any\"".to_owned(),
            other => types::formatted(other, None),
        }
    }
}

#[cfg(test)]
mod tests;
