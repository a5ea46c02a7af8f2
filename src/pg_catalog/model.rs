//! What the system catalog shows of one database: namespaces, relations, columns, keys and functions, with stable oids.
//! Made from a snapshot; rows of the emulated relations and answers of the functions both come from here.

use std::sync::Arc;

use super::name_parts::name_parts;
use super::relation::{self, RelationShape};
use crate::catalog::rights::Access;
use crate::catalog::role::{self, FIRST_ROLE, Roles};
use crate::catalog::{FunctionEntry, Snapshot, TableEntry, ViewEntry};
use crate::connectors::CONNECTOR_NAMES;
use crate::functions::quoting::quote_ident;
use crate::pg_catalog::pg_type;
use crate::sql::SessionView;
use crate::sql::SystemSchema;
use crate::sql::planning::shipped;

/// Oid of the first role, or of whoever asks where there are none.
pub const OWNER: u32 = FIRST_ROLE;
/// `pg_catalog`
pub const PG_CATALOG: u32 = 11;
/// `public`
pub const PUBLIC: u32 = 2200;
const INFORMATION_SCHEMA: u32 = 13_197;

/// A database.
pub struct Database {
    /// `pg_database.oid`
    pub oid: u32,
    /// Name.
    pub name: String,
    /// COMMENT.
    pub comment: Option<String>,
    /// Whose it is, and who may do what with it.
    pub access: Access,
}

/// A connector, which is to PostgreSQL a foreign-data wrapper.
pub struct ConnectorRow {
    /// `pg_foreign_data_wrapper.oid`
    pub oid: u32,
    /// Name.
    pub name: String,
    /// Who may use it.
    pub access: Access,
}

/// A schema.
pub struct Namespace {
    /// `pg_namespace.oid`
    pub oid: u32,
    /// Name.
    pub name: String,
    /// COMMENT.
    pub comment: Option<String>,
    /// Whose it is, and who may do what with it; absent: it is the server's.
    pub access: Option<Access>,
}

/// A column.
pub struct Attribute {
    /// Name.
    pub name: String,
    /// `pg_type.oid`
    pub type_oid: u32,
    /// `atttypmod`
    pub modifier: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// COMMENT.
    pub comment: Option<String>,
    /// Expression of a computed column.
    pub computed: Option<String>,
    /// Expression of DEFAULT.
    pub default: Option<String>,
    /// Whether it numbers the rows.
    pub is_numbered: bool,
}

/// A constraint that holds beside the key.
pub struct Constraint {
    /// `pg_constraint.oid`
    pub oid: u32,
    /// Name.
    pub name: String,
    /// `u` or `c`.
    pub kind: &'static str,
    /// Numbers of its columns; of a CHECK constraint none are known.
    pub columns: Vec<i16>,
    /// As it would be written.
    pub definition: String,
}

/// A table, view or index.
pub struct Relation {
    /// `pg_class.oid`
    pub oid: u32,
    /// Its schema.
    pub namespace: u32,
    /// Name.
    pub name: String,
    /// `r`, `v` or `i`.
    pub kind: &'static str,
    /// Columns in order.
    pub columns: Vec<Attribute>,
    /// Numbers of the key's columns.
    pub key: Vec<i16>,
    /// Name of the key's constraint.
    pub key_name: String,
    /// Whether the key is held to.
    pub is_enforced: bool,
    /// UNIQUE and CHECK.
    pub constraints: Vec<Constraint>,
    /// For an index its table, for a table its index.
    pub partner: u32,
    /// COMMENT.
    pub comment: Option<String>,
    /// A view's text.
    pub query: Option<String>,
    /// One of our own rather than of a user.
    pub is_system: bool,
    /// Whose it is, and who may do what with it; absent: it is the server's.
    pub access: Option<Access>,
}

/// A SQL function.
pub struct Function {
    /// `pg_proc.oid`
    pub oid: u32,
    /// Its schema.
    pub namespace: u32,
    /// Name.
    pub name: String,
    /// Parameters: name and type.
    pub parameters: Vec<(String, u32)>,
    /// Result.
    pub returns: u32,
    /// Text.
    pub body: String,
    /// COMMENT.
    pub comment: Option<String>,
    /// Whose it is, and who may call it; absent: it is the server's.
    pub access: Option<Access>,
}

/// One database as a session sees it.
pub struct Model {
    /// All databases.
    pub databases: Vec<Database>,
    /// The connected one.
    pub database: String,
    /// The connected user, who is the only role where there are none.
    pub user: String,
    /// Roles.
    pub roles: Roles,
    /// Connectors.
    pub connectors: Vec<ConnectorRow>,
    /// Schemas.
    pub namespaces: Vec<Namespace>,
    /// Tables, views, indexes.
    pub relations: Vec<Relation>,
    /// SQL functions.
    pub functions: Vec<Function>,
    /// Oids of the schemas in the search path, in order.
    pub search_path: Vec<u32>,
}

/// An oid for what the catalog has no number for; the same in every process. Each kind has its own range.
pub fn oid_of_name(range: u32, name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    range | (hash & 0x0fff_ffff)
}

const SCHEMA_RANGE: u32 = 0x2000_0000;
const DATABASE_RANGE: u32 = 0x3000_0000;
const INDEX_RANGE: u32 = 0x4000_0000;
const CONSTRAINT_RANGE: u32 = 0x5000_0000;
const SYSTEM_RANGE: u32 = 0x6000_0000;
/// Of defaults of columns.
pub const DEFAULT_RANGE: u32 = 0x1000_0000;
const FUNCTION_RANGE: u32 = 0x7000_0000;
// Beside the oids of users' objects, which begin at the bottom.
const CONNECTOR_RANGE: u32 = 0x3800_0000;

/// Oid of a table's primary key constraint.
pub fn constraint_oid(table: u32) -> u32 {
    CONSTRAINT_RANGE | (table & 0x0fff_ffff)
}

fn attribute(name: &str, sql_type: &str, not_null: bool) -> Attribute {
    let (type_oid, modifier) = pg_type::declared(sql_type);
    Attribute {
        name: name.to_owned(),
        type_oid,
        modifier,
        not_null,
        comment: None,
        computed: None,
        default: None,
        is_numbered: false,
    }
}

fn columns_of_view(entry: &ViewEntry) -> Vec<Attribute> {
    let comments = entry.column_comments.iter().cloned().chain(std::iter::repeat(None));
    let columns = entry.columns.iter().zip(comments);
    columns.map(|((name, sql_type), comment)| Attribute { comment, ..attribute(name, sql_type, false) }).collect()
}

fn connectors(snapshot: &Snapshot) -> Vec<ConnectorRow> {
    let row = |name: &&str| ConnectorRow {
        oid: oid_of_name(CONNECTOR_RANGE, name),
        name: (*name).to_owned(),
        access: snapshot.connectors.get(*name).cloned().unwrap_or_default(),
    };
    CONNECTOR_NAMES.iter().map(row).collect()
}

/// UNIQUE and CHECK constraints of a table that the server keeps.
fn constraints(entry: &TableEntry, columns: &[Attribute]) -> Vec<Constraint> {
    let Some(local) = &entry.declaration.local else { return Vec::new() };
    let oid = |name: &str| oid_of_name(CONSTRAINT_RANGE, &format!("{}.{name}", local.id));
    let unique = local.unique.iter().map(|unique| Constraint {
        oid: oid(&unique.name),
        name: unique.name.clone(),
        kind: "u",
        columns: unique
            .columns
            .iter()
            .filter_map(|name| i16::try_from(columns.iter().position(|column| column.name == *name)? + 1).ok())
            .collect(),
        definition: format!(
            "UNIQUE ({})",
            unique.columns.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
        ),
    });
    let checks = entry.checks.iter().map(|check| Constraint {
        oid: oid(&check.name),
        name: check.name.clone(),
        kind: "c",
        columns: Vec::new(),
        definition: format!("CHECK ({})", check.expression),
    });
    unique.chain(checks).collect()
}

impl Model {
    /// Reads a snapshot.
    pub fn new(snapshot: &Snapshot, view: &SessionView, others: &[Arc<dyn SystemSchema>]) -> Self {
        let mut model = Self {
            databases: snapshot
                .databases
                .iter()
                .map(|(name, entry)| Database {
                    oid: oid_of_name(DATABASE_RANGE, name),
                    name: name.clone(),
                    comment: entry.comment.clone(),
                    access: entry.access.clone(),
                })
                .collect(),
            database: view.database.clone(),
            user: view.user.clone(),
            roles: snapshot.roles.clone(),
            connectors: connectors(snapshot),
            namespaces: Vec::new(),
            relations: Vec::new(),
            functions: Vec::new(),
            search_path: Vec::new(),
        };
        model.add_system("pg_catalog", PG_CATALOG, relation::pg_catalog());
        model.add_system("information_schema", INFORMATION_SCHEMA, relation::information_schema());
        for schema in others {
            model.add_other(schema.as_ref(), view);
        }
        if let Some(database) = snapshot.databases.get(&view.database) {
            for (name, schema) in &database.schemas {
                model.add_schema(name, schema, &view.database);
            }
        }
        model.add_shipped();
        let path = std::iter::once("pg_catalog").chain(view.search_path.iter().map(String::as_str));
        model.search_path = path
            .filter_map(|name| model.namespaces.iter().find(|namespace| namespace.name == name))
            .map(|namespace| namespace.oid)
            .collect();
        model
    }

    fn namespace(&mut self, oid: u32, name: &str, comment: Option<String>, access: Option<Access>) {
        self.namespaces.push(Namespace { oid, name: name.to_owned(), comment, access });
    }

    fn add_system(&mut self, name: &str, oid: u32, shapes: &[RelationShape]) {
        self.namespace(oid, name, None, None);
        for shape in shapes {
            let columns = shape.columns.iter().zip(shape.schema.fields()).map(|((name, _), field)| Attribute {
                name: name.clone(),
                type_oid: pg_type::of_field(field).oid,
                modifier: -1,
                not_null: false,
                comment: None,
                computed: None,
                default: None,
                is_numbered: false,
            });
            self.relations.push(Relation {
                oid: shape.oid,
                namespace: oid,
                name: shape.name.clone(),
                kind: if shape.kind == "v" { "v" } else { "r" },
                columns: columns.collect(),
                key: Vec::new(),
                key_name: String::new(),
                is_enforced: false,
                constraints: Vec::new(),
                partner: 0,
                comment: None,
                query: None,
                is_system: true,
                access: None,
            });
        }
    }

    fn add_other(&mut self, schema: &dyn SystemSchema, view: &SessionView) {
        let oid = oid_of_name(SCHEMA_RANGE, schema.name());
        self.namespace(oid, schema.name(), None, None);
        for name in schema.relation_names() {
            let Some(provider) = schema.relation(&name, view) else { continue };
            let shape = provider.schema();
            let columns = shape.fields().iter().map(|field| {
                let pg = pg_type::of_field(field);
                Attribute {
                    name: field.name().clone(),
                    type_oid: pg.oid,
                    modifier: pg.modifier,
                    not_null: false,
                    comment: None,
                    computed: None,
                    default: None,
                    is_numbered: false,
                }
            });
            let columns = columns.collect();
            self.relations.push(Relation {
                oid: oid_of_name(SYSTEM_RANGE, &format!("{}.{name}", schema.name())),
                namespace: oid,
                name,
                // Read only as they are, `\dt streamgate.*` is what people type to see them.
                kind: "r",
                columns,
                key: Vec::new(),
                key_name: String::new(),
                is_enforced: false,
                constraints: Vec::new(),
                partner: 0,
                comment: None,
                query: None,
                is_system: true,
                access: None,
            });
        }
    }

    fn add_schema(&mut self, name: &str, schema: &crate::catalog::database::SchemaEntry, database: &str) {
        let oid = match name {
            "public" => PUBLIC,
            _ => oid_of_name(SCHEMA_RANGE, &format!("{database}.{name}")),
        };
        // A system schema of the same name (`streamgate`) is listed already.
        if !self.namespaces.iter().any(|namespace| namespace.name == name) {
            self.namespace(oid, name, schema.comment.clone(), Some(schema.access.clone()));
        }
        for (name, entry) in &schema.tables {
            self.add_table(oid, name, entry);
        }
        for (name, entry) in &schema.views {
            self.relations.push(Relation {
                oid: entry.oid,
                namespace: oid,
                name: name.clone(),
                kind: "v",
                columns: columns_of_view(entry),
                key: Vec::new(),
                key_name: String::new(),
                is_enforced: false,
                constraints: Vec::new(),
                partner: 0,
                comment: entry.comment.clone(),
                query: Some(entry.query.clone()),
                is_system: false,
                access: Some(entry.access.clone()),
            });
        }
        for (name, entry) in &schema.functions {
            self.add_function(entry.oid, oid, name, entry, Some(entry.access.clone()));
        }
    }

    /// A declared table, and before it the index of its key if it has one.
    fn add_table(&mut self, namespace: u32, name: &str, entry: &TableEntry) {
        let declared = &entry.declaration;
        let is_key = |name: &str| declared.primary_key.iter().any(|key| key.eq_ignore_ascii_case(name));
        let columns: Vec<Attribute> = entry
            .columns
            .iter()
            .map(|column| {
                let nullable = declared
                    .columns
                    .iter()
                    .find(|physical| physical.name == column.name)
                    .is_none_or(|physical| physical.nullable);
                Attribute {
                    comment: column.comment.clone(),
                    computed: column.computed.clone(),
                    default: column.default.clone(),
                    is_numbered: declared.local.iter().any(|local| local.numbered.contains(&column.name)),
                    ..attribute(&column.name, &column.sql_type, !nullable || is_key(&column.name))
                }
            })
            .collect();
        let number = |key: &String| {
            let place = columns.iter().position(|column| column.name.eq_ignore_ascii_case(key))?;
            i16::try_from(place + 1).ok()
        };
        let key: Vec<i16> = declared.primary_key.iter().filter_map(number).collect();
        let key_name = match &declared.local {
            Some(local) => local.key_name.clone(),
            None => format!("{name}_pkey"),
        };
        let constraints = constraints(entry, &columns);
        let index_oid = INDEX_RANGE | (entry.oid & 0x0fff_ffff);
        if !key.is_empty() {
            let of_key = |number: &i16| {
                let column = columns.get(usize::try_from(number - 1).ok()?)?;
                Some(Attribute {
                    comment: None,
                    computed: None,
                    default: None,
                    is_numbered: false,
                    name: column.name.clone(),
                    ..*column
                })
            };
            self.relations.push(Relation {
                oid: index_oid,
                namespace,
                name: key_name.clone(),
                kind: "i",
                columns: key.iter().filter_map(of_key).collect(),
                key: key.clone(),
                key_name: String::new(),
                is_enforced: false,
                constraints: Vec::new(),
                partner: entry.oid,
                comment: None,
                query: None,
                is_system: false,
                access: Some(entry.access.clone()),
            });
        }
        self.relations.push(Relation {
            oid: entry.oid,
            namespace,
            name: name.to_owned(),
            kind: "r",
            columns,
            partner: if key.is_empty() { 0 } else { index_oid },
            key,
            key_name,
            is_enforced: declared.local.is_some(),
            constraints,
            comment: entry.comment.clone(),
            query: None,
            is_system: false,
            access: Some(entry.access.clone()),
        });
    }

    fn add_function(&mut self, oid: u32, namespace: u32, name: &str, entry: &FunctionEntry, access: Option<Access>) {
        let type_of = |sql_type: &str| match sql_type.to_ascii_uppercase().as_str() {
            // `any`
            "ANY" => 2276,
            _ => pg_type::declared(sql_type).0,
        };
        self.functions.push(Function {
            oid,
            namespace,
            name: name.to_owned(),
            parameters: entry.parameters.iter().map(|(name, ty)| (name.clone(), type_of(ty))).collect(),
            returns: type_of(&entry.returns),
            body: entry.body.clone(),
            comment: entry.comment.clone(),
            access,
        });
    }

    /// The functions that the server brings along are seen in `public`, where the user has put no other in their place.
    fn add_shipped(&mut self) {
        for (name, entry) in shipped::functions() {
            if !self.functions.iter().any(|function| function.namespace == PUBLIC && function.name == *name) {
                self.add_function(oid_of_name(FUNCTION_RANGE, name), PUBLIC, name, entry, None);
            }
        }
    }

    /// Oid of a role by its name.
    pub fn role_oid(&self, name: &str) -> Option<u32> {
        match self.roles.is_empty() {
            true => (name == self.user).then_some(OWNER),
            false => role::oid_of(&self.roles, name),
        }
    }

    /// Name of a role by its oid.
    pub fn role_name(&self, oid: u32) -> Option<&str> {
        match self.roles.is_empty() {
            true => (oid == OWNER).then_some(&*self.user),
            false => role::name_of(&self.roles, oid),
        }
    }

    /// The relation with an oid.
    pub fn relation(&self, oid: u32) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.oid == oid)
    }

    /// The function with an oid.
    pub fn function(&self, oid: u32) -> Option<&Function> {
        self.functions.iter().find(|function| function.oid == oid)
    }

    /// A schema's name.
    pub fn namespace_name(&self, oid: u32) -> &str {
        self.namespaces.iter().find(|namespace| namespace.oid == oid).map_or("", |namespace| &namespace.name)
    }

    /// Tables and views (not indexes).
    pub fn tables(&self) -> impl Iterator<Item = &Relation> {
        self.relations.iter().filter(|relation| relation.kind != "i")
    }

    /// Whether a relation is found by its bare name.
    pub fn is_visible(&self, relation: &Relation) -> bool {
        let found = self.search_path.iter().find_map(|namespace| {
            self.relations.iter().find(|other| other.namespace == *namespace && other.name == relation.name)
        });
        found.is_some_and(|found| found.oid == relation.oid)
    }

    /// Finds a relation by a name as it is written in SQL, with or without schema, folded or quoted, or by its number.
    pub fn find_relation(&self, written: &str) -> Option<&Relation> {
        if let Ok(oid) = written.trim().parse() {
            return self.relation(oid);
        }
        let parts = name_parts(written)?;
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name),
            [schema, name] => (Some(schema), name),
            [database, schema, name] if *database == self.database => (Some(schema), name),
            _ => return None,
        };
        match schema {
            Some(schema) => {
                let namespace = self.namespaces.iter().find(|namespace| namespace.name == *schema)?.oid;
                self.relations.iter().find(|other| other.namespace == namespace && other.name == *name)
            }
            None => self.search_path.iter().find_map(|namespace| {
                self.relations.iter().find(|other| other.namespace == *namespace && other.name == *name)
            }),
        }
    }

    /// A relation's name as regclass prints it.
    pub fn relation_text(&self, oid: u32) -> String {
        match self.relation(oid) {
            None if oid == 0 => "-".to_owned(),
            None => oid.to_string(),
            Some(relation) if self.is_visible(relation) => quote_ident(&relation.name),
            Some(relation) => {
                format!("{}.{}", quote_ident(self.namespace_name(relation.namespace)), quote_ident(&relation.name))
            }
        }
    }
}
