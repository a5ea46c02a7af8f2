//! The parameters of a statement: what the client said of them, else what their places want, else texts.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::data_type::NamedText;
use crate::error::Result;
use crate::functions::json::type_of_cast;
use crate::sql::planning::error_map::refine;

/// Types of `$1 …`.
pub(super) struct Parameters {
    pub(super) types: Vec<DataType>,
    /// For each what it is, if it is more than a text.
    pub(super) named: Vec<Option<NamedText>>,
}

impl Parameters {
    /// As the client said.
    pub(super) fn given(given: &[Option<DataType>]) -> Self {
        let types: Vec<DataType> = given.iter().map(|given| given.clone().unwrap_or(DataType::Utf8)).collect();
        Self { named: vec![None; types.len()], types }
    }

    /// Those of a statement's plans.
    ///
    /// # Errors
    /// A parameter stands where two types are wanted.
    pub(super) fn of(plans: &[&LogicalPlan], given: &[Option<DataType>]) -> Result<Self> {
        let mut inferred = HashMap::new();
        let mut named: HashMap<usize, NamedText> = HashMap::new();
        for plan in plans {
            for (name, data_type) in inferred_types(plan, &mut named)? {
                let known = inferred.entry(name).or_insert(None);
                *known = known.take().or(data_type);
            }
        }
        let inferred: HashMap<usize, Option<DataType>> =
            inferred.into_iter().filter_map(|(name, data_type)| Some((number(&name)?, data_type))).collect();
        let count = inferred.keys().copied().max().unwrap_or(0).max(given.len());
        let type_of = |number: usize| {
            let given = given.get(number - 1).cloned().flatten();
            let known = given.or_else(|| inferred.get(&number).cloned().flatten());
            known.filter(|data_type| !data_type.is_null()).unwrap_or(DataType::Utf8)
        };
        let types: Vec<DataType> = (1..=count).map(type_of).collect();
        let named = (1..=count).zip(&types).map(|(number, of)| named.get(&number).copied().filter(|_| of.is_string()));
        Ok(Self { named: named.collect(), types })
    }
}

/// Types of a plan's parameters by their names, where it tells them.
fn inferred_types(
    plan: &LogicalPlan,
    named: &mut HashMap<usize, NamedText>,
) -> Result<HashMap<String, Option<DataType>>> {
    let mut inferred = plan.get_parameter_types().map_err(|error| refine(error, None))?;
    plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(cast) = expr
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                {
                    // What a parameter is cast to is its type.
                    let to = cast.field.data_type();
                    let known = inferred.entry(placeholder.id.clone()).or_default();
                    known.get_or_insert_with(|| to.clone());
                }
                if let Some((Expr::Placeholder(placeholder), to)) = type_of_cast(expr) {
                    named.extend(number(&placeholder.id).map(|number| (number, to)));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(|error| refine(error, None))?;
    Ok(inferred)
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}
