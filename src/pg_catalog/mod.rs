//! The one generator of the system catalog: `pg_catalog` and `information_schema` as PostgreSQL 15 has them, computed from the catalog.
//! Knows the catalog's model and the session's view; knows nothing of how statements are planned.
//!
//! The columns of every relation come from a real server (`pg_catalog.tsv`, `information_schema.tsv`: oid, name, kind, columns);
//! a relation without a file of its own here has the right columns and no rows.

mod built_in;
mod classes;
mod description;
mod functions;
mod grants;
mod information;
mod keys;
mod model;
mod name_parts;
mod namespaces;
pub(crate) mod pg_type;
mod procedures;
mod relation;
mod rewrite;
mod roles;
mod sessions;
mod settings;
mod types;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::Statement;
use parking_lot::Mutex;

use crate::catalog::{Catalog, Snapshot};
use crate::functions::entry::About;
use crate::sql::{SessionView, SystemSchema};
use model::Model;
use relation::{LazyRelation, RelationShape, Row};

pub(crate) use procedures::procedure_name;

/// The version whose catalog this is; also what `server_version` says, so that clients ask for what is there.
pub(crate) const SERVER_VERSION: &str = "15.18";

/// What both schemas read: the catalog, and the model made of it.
struct CatalogSource {
    snapshot: Box<dyn Fn() -> Arc<Snapshot> + Send + Sync>,
    others: Vec<Arc<dyn SystemSchema>>,
    last: Mutex<Option<Made>>,
}

struct Made {
    snapshot: Arc<Snapshot>,
    user: String,
    database: String,
    search_path: Vec<String>,
    model: Arc<Model>,
}

impl CatalogSource {
    /// The model for a session, made anew only when the catalog changed.
    fn model(&self, view: &SessionView) -> Arc<Model> {
        let snapshot = (self.snapshot)();
        let mut last = self.last.lock();
        if let Some(made) = &*last
            && Arc::ptr_eq(&made.snapshot, &snapshot)
            && made.user == view.user
            && made.database == view.database
            && made.search_path == view.search_path
        {
            return Arc::clone(&made.model);
        }
        let model = Arc::new(Model::new(&snapshot, view, &self.others));
        *last = Some(Made {
            snapshot,
            user: view.user.clone(),
            database: view.database.clone(),
            search_path: view.search_path.clone(),
            model: Arc::clone(&model),
        });
        model
    }
}

/// Rows of a relation with content.
type Content = fn(&Model, &SessionView) -> Vec<Row>;

/// Relations of `pg_catalog` that have rows.
const PG_CATALOG: &[(&str, Content)] = &[
    ("pg_am", types::pg_am),
    ("pg_attrdef", classes::pg_attrdef),
    ("pg_attribute", classes::pg_attribute),
    ("pg_auth_members", roles::pg_auth_members),
    ("pg_authid", roles::pg_authid),
    ("pg_class", classes::pg_class),
    ("pg_constraint", keys::pg_constraint),
    ("pg_cursors", sessions::pg_cursors),
    ("pg_database", namespaces::pg_database),
    ("pg_description", description::pg_description),
    ("pg_foreign_data_wrapper", grants::pg_foreign_data_wrapper),
    ("pg_index", keys::pg_index),
    ("pg_indexes", keys::pg_indexes),
    ("pg_language", procedures::pg_language),
    ("pg_namespace", namespaces::pg_namespace),
    ("pg_prepared_statements", sessions::pg_prepared_statements),
    ("pg_proc", procedures::pg_proc),
    ("pg_roles", roles::pg_roles),
    ("pg_settings", settings::pg_settings),
    ("pg_shadow", roles::pg_shadow),
    ("pg_shdescription", description::pg_shdescription),
    ("pg_stat_activity", sessions::pg_stat_activity),
    ("pg_stat_database", sessions::pg_stat_database),
    ("pg_stat_ssl", sessions::pg_stat_ssl),
    ("pg_tables", classes::pg_tables),
    ("pg_tablespace", namespaces::pg_tablespace),
    ("pg_type", types::pg_type),
    ("pg_user", roles::pg_user),
    ("pg_views", classes::pg_views),
];

/// Relations of `information_schema` that have rows.
const INFORMATION_SCHEMA: &[(&str, Content)] = &[
    ("character_sets", information::character_sets),
    ("column_privileges", grants::column_privileges),
    ("columns", information::columns),
    ("information_schema_catalog_name", information::catalog_name),
    ("key_column_usage", information::key_column_usage),
    ("role_column_grants", grants::role_column_grants),
    ("role_routine_grants", grants::role_routine_grants),
    ("role_table_grants", grants::role_table_grants),
    ("role_usage_grants", grants::role_usage_grants),
    ("routine_privileges", grants::routine_privileges),
    ("routines", information::routines),
    ("schemata", information::schemata),
    ("table_constraints", information::table_constraints),
    ("table_privileges", grants::table_privileges),
    ("tables", information::tables),
    ("usage_privileges", grants::usage_privileges),
    ("views", information::views),
];

/// `pg_catalog`.
pub struct PgCatalog {
    source: Arc<CatalogSource>,
}

/// `information_schema`.
pub struct InformationSchema {
    source: Arc<CatalogSource>,
}

/// Both schemas over one catalog. `others` are further system schemas (`streamgate`), whose relations the system catalog lists.
pub fn system_schemas(catalog: Catalog, others: Vec<Arc<dyn SystemSchema>>) -> (PgCatalog, InformationSchema) {
    over(Box::new(move || catalog.snapshot()), others)
}

fn over(
    snapshot: Box<dyn Fn() -> Arc<Snapshot> + Send + Sync>,
    others: Vec<Arc<dyn SystemSchema>>,
) -> (PgCatalog, InformationSchema) {
    let source = Arc::new(CatalogSource { snapshot, others, last: Mutex::new(None) });
    (PgCatalog { source: Arc::clone(&source) }, InformationSchema { source })
}

fn provide(
    source: &Arc<CatalogSource>,
    shapes: &'static [RelationShape],
    contents: &'static [(&'static str, Content)],
    name: &str,
    view: &SessionView,
) -> Option<Arc<dyn TableProvider>> {
    let shape = shapes.iter().find(|shape| shape.name == name)?;
    let content = contents.iter().find(|(with_content, _)| *with_content == name).map(|(_, content)| *content);
    let (source, view) = (Arc::clone(source), view.clone());
    let rows = move || content.map_or_else(Vec::new, |content| content(&source.model(&view), &view));
    Some(Arc::new(LazyRelation::new(shape, Arc::new(rows))))
}

impl SystemSchema for PgCatalog {
    fn name(&self) -> &'static str {
        "pg_catalog"
    }

    fn relation_names(&self) -> Vec<String> {
        relation::pg_catalog().iter().map(|shape| shape.name.clone()).collect()
    }

    fn relation(&self, name: &str, session: &SessionView) -> Option<Arc<dyn TableProvider>> {
        provide(&self.source, relation::pg_catalog(), PG_CATALOG, name, session)
    }

    fn functions(&self) -> Vec<About> {
        functions().collect()
    }

    fn function(&self, name: &str, session: &Arc<SessionView>) -> Option<Arc<ScalarUDF>> {
        functions::find(name, &self.source, session)
    }

    fn rewrite(&self, statement: &mut Statement) {
        rewrite::rewrite(statement);
    }
}

impl SystemSchema for InformationSchema {
    fn name(&self) -> &'static str {
        "information_schema"
    }

    fn relation_names(&self) -> Vec<String> {
        relation::information_schema().iter().map(|shape| shape.name.clone()).collect()
    }

    fn relation(&self, name: &str, session: &SessionView) -> Option<Arc<dyn TableProvider>> {
        provide(&self.source, relation::information_schema(), INFORMATION_SCHEMA, name, session)
    }
}

/// The functions of `pg_catalog`.
pub fn functions() -> impl Iterator<Item = About> {
    functions::entries().map(|entry| entry.about)
}

/// Whether a relation of `pg_catalog` never has rows here.
fn is_always_empty(name: &str) -> bool {
    relation::pg_catalog().iter().any(|shape| shape.name == name)
        && !PG_CATALOG.iter().any(|(with_content, _)| *with_content == name)
}

#[cfg(test)]
mod tests;
