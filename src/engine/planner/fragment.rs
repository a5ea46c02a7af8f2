//! A part of a dataflow under construction: which nodes give its rows, and what is known of them. What a plan's step does
//! to that knowledge is here; the steps themselves are in the planner.

use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;

use crate::changelog::Changelog;

/// Rows with the columns of `schema`, then `extra` more that nobody needs any longer.
#[derive(Clone)]
pub(super) struct Fragment {
    /// Nodes that give the rows; several are the inputs of a UNION ALL.
    pub nodes: Vec<usize>,
    pub schema: DFSchema,
    pub extra: usize,
    /// What changes come.
    pub changelog: Changelog,
    /// Columns that identify a row among those that are live.
    pub key: Option<Vec<usize>>,
    /// Columns whose equal values are in one task, in this order.
    pub distribution: Option<Vec<usize>>,
    /// The aggregate whose rows these are, one for one, and the projections between.
    pub aggregate: Option<AggregatePath>,
    /// Whether the changes depend on where batches and barriers fell, as those of an aggregate do.
    pub batch_dependent: bool,
    /// Whether a row's key can come and go so that a replay does not repeat it.
    pub transient: bool,
    /// How long the state of the aggregate over these rows is kept, by a hint; 0: for ever.
    pub state_ttl_ms: Option<u64>,
}

/// An aggregate and what is above it.
#[derive(Clone)]
pub(super) struct AggregatePath {
    pub node: usize,
    /// Projections, bottom up.
    pub projections: Vec<usize>,
    /// Whether lookups append columns on the way.
    pub has_lookups: bool,
}

impl Fragment {
    /// Rows of one node.
    pub fn of(node: usize, schema: DFSchema, changelog: Changelog) -> Self {
        Self {
            nodes: vec![node],
            schema,
            extra: 0,
            changelog,
            key: None,
            distribution: None,
            aggregate: None,
            batch_dependent: false,
            transient: false,
            state_ttl_ms: None,
        }
    }

    /// The rows of all inputs.
    pub fn union(inputs: Vec<Fragment>, schema: DFSchema) -> Self {
        let changelog = match inputs.iter().all(|input| input.changelog == Changelog::Append) {
            true => Changelog::Append,
            false => Changelog::Retract,
        };
        let mut union = Self::of(0, schema, changelog);
        union.nodes = inputs.iter().flat_map(|input| input.nodes.clone()).collect();
        union.batch_dependent = inputs.iter().any(|input| input.batch_dependent);
        union.transient = inputs.iter().any(|input| input.transient);
        union
    }

    /// Columns that a projection passes on as they are keep what is known of them.
    pub fn follow_projection(&mut self, expressions: &[Expr], input: &DFSchema) {
        let place_of = |column: &usize| {
            expressions.iter().position(|expression| {
                let expression = unalias(expression);
                matches!(expression, Expr::Column(named) if input.maybe_index_of_column(named) == Some(*column))
            })
        };
        let map = |columns: &Vec<usize>| columns.iter().map(place_of).collect::<Option<Vec<usize>>>();
        self.key = self.key.as_ref().and_then(map);
        self.distribution = self.distribution.as_ref().and_then(map);
        if self.key.is_none() {
            self.aggregate = None;
        }
    }

    /// Rows that do not pass are not seen by what follows: a key that passed for a moment need not pass again in a replay.
    pub fn follow_filter(&mut self) {
        self.aggregate = None;
        self.transient |= self.batch_dependent;
    }

    /// Several rows, or none, become of one: it has no key any longer, and what holds for rows that a filter drops holds here, too.
    pub fn follow_unnest(&mut self, arrays: &[usize]) {
        self.key = None;
        self.distribution =
            self.distribution.take().filter(|columns| !columns.iter().any(|column| arrays.contains(column)));
        self.follow_filter();
    }
}

fn unalias(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unalias(&alias.expr),
        other => other,
    }
}
