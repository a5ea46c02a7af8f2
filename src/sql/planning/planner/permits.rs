//! What planning asks of rights: each relation and function that a name means, before it is opened. A view reads with its owner's rights,
//! a function with those of whoever calls it, also from a view, as in PostgreSQL. Knows no statement, which is why none gets round it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, visit_expressions};

use super::row_changes::Assignment;
use super::{ChangeRows, Planner};
use crate::catalog::rights::Privilege;
use crate::catalog::{Need, Object, Snapshot, TableEntry};
use crate::error::{Error, Result};
use crate::sql::planning::names::{TEMPORARY_SCHEMA, Target};
use crate::sql::privileges::{require, require_connector, require_owner};

impl Planner {
    fn snapshot(&self) -> &Snapshot {
        &self.names.snapshot
    }

    /// # Errors
    /// 42501: the relation may not be used in that way, or its schema not be looked into.
    pub(super) fn permit(&self, target: &Target, privilege: Privilege) -> Result<()> {
        let snapshot = self.snapshot();
        let schema = snapshot.schema(&target.database, &target.schema);
        let oid = schema.and_then(|schema| {
            let table = schema.tables.get(&target.name).map(|table| table.oid);
            table.or_else(|| schema.views.get(&target.name).map(|view| view.oid))
        });
        // Temporary tables are the session's own, and what the server says of itself is for everybody.
        let Some(relation) = oid.filter(|_| target.schema != TEMPORARY_SCHEMA) else { return Ok(()) };
        self.asking.needs.lock().insert(Need { role: self.asking.of_view, relation, privilege });
        // What the names of a view mean was decided when it was made.
        if self.asking.of_view.is_none() {
            self.permit_schema(&target.database, &target.schema)?;
        }
        require(snapshot, self.asking.actor(), &object(target), privilege)
    }

    fn permit_schema(&self, database: &str, schema: &str) -> Result<()> {
        let schema = Object::Schema { database: database.to_owned(), schema: schema.to_owned() };
        require(self.snapshot(), self.asking.caller, &schema, Privilege::Usage)
    }

    /// # Errors
    /// 42501: the function may not be called.
    pub(super) fn permit_call(&self, database: &str, schema: &str, name: &str) -> Result<()> {
        if self.asking.of_view.is_none() {
            self.permit_schema(database, schema)?;
        }
        let (database, schema, name) = (database.to_owned(), schema.to_owned(), name.to_owned());
        let function = Object::Function { database, schema, name };
        require(self.snapshot(), self.asking.caller, &function, Privilege::Execute)
    }

    /// A hint points a table at another place, with what is secret of its declaration: it is for whoever could have declared it so.
    ///
    /// # Errors
    /// 42501: somebody else asks.
    pub(super) fn permit_options(
        &self,
        target: &Target,
        entry: &TableEntry,
        options: &[(String, String)],
    ) -> Result<()> {
        if options.is_empty() {
            return Ok(());
        }
        let told = |error: Error| {
            let hint =
                "OPTIONS is for the table's owner who may use its connector: it can point a table at another place.";
            error.hint(hint)
        };
        let actor = self.asking.actor();
        require_connector(self.snapshot(), actor, entry.declaration.connector()).map_err(told)?;
        require_owner(self.snapshot(), actor, &object(target)).map_err(told)
    }

    /// # Errors
    /// 42501: rows of the table may not be changed like that, or not be read for it.
    pub(super) fn permit_change(&self, target: &Target, change: &ChangeRows) -> Result<()> {
        let assignments = change.assignments.as_deref().unwrap_or_default();
        match change.selection.is_some() || change.returning.is_some() || assignments.iter().any(reads) {
            true => self.permit(target, Privilege::Select),
            false => Ok(()),
        }
    }

    /// What the statement planned needs of rights.
    pub fn needs(&self) -> Vec<Need> {
        self.asking.needs.lock().iter().cloned().collect()
    }
}

/// Whether a new value is made of columns.
fn reads(assignment: &Assignment) -> bool {
    let Some(value) = &assignment.value else { return false };
    visit_expressions(value, |expr| match expr {
        ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

fn object(target: &Target) -> Object {
    Object::Relation { database: target.database.clone(), schema: target.schema.clone(), name: target.name.clone() }
}
