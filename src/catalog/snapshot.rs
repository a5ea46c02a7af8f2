//! What the catalog holds at one moment, and the changes that make the next moment of it. Knows no files and no secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::comment::{self, Commented};
use super::database::{DatabaseEntry, SchemaEntry};
use super::function::FunctionEntry;
use super::job::{DesiredState, JobEntry};
use super::object::Object;
use super::rights::{Access, GrantChange};
use super::role::{self, FIRST_ROLE, RoleChange, Roles};
use super::table::{TableEntry, ViewEntry};
use crate::connectors::SkippedRecords;
use crate::error::{Error, Result, SqlState};

/// Objects of users begin here; lower ones belong to the emulated system relations.
pub(super) const FIRST_OID: u32 = 16_384;
/// The database that is always there.
pub const DEFAULT_DATABASE: &str = "streamgate";
/// The schema that is always there.
pub const DEFAULT_SCHEMA: &str = "public";

/// Everything the catalog holds, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Databases by name; `streamgate` with schema `public` is always there.
    pub databases: BTreeMap<String, DatabaseEntry>,
    /// Jobs by name.
    pub jobs: BTreeMap<String, JobEntry>,
    /// Dropped jobs, by id, of which something may be left outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped_jobs: BTreeMap<String, JobEntry>,
    /// Roles by name; none: whoever connects on this machine is trusted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: Roles,
    /// Who may declare tables over which connector, as far as that was granted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connectors: BTreeMap<String, Access>,
    /// The next oid to give.
    pub next_oid: u32,
}

/// One change; a list of them is committed all or not at all. Names are (database, schema, object).
/// Object ids are given when the change is applied, whatever the entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds a schema; refused if it exists.
    CreateSchema { database: String, schema: String, comment: Option<String>, access: Access },
    /// Removes a schema; refused if it is not empty, unless `cascade`.
    DropSchema { database: String, schema: String, cascade: bool },
    /// Adds a table; refused if a table or view has the name.
    CreateTable { database: String, schema: String, name: String, entry: Box<TableEntry> },
    /// Removes a table.
    DropTable { database: String, schema: String, name: String },
    /// Adds a view, or replaces one.
    CreateView { database: String, schema: String, name: String, entry: Box<ViewEntry>, replace: bool },
    /// Removes a view.
    DropView { database: String, schema: String, name: String },
    /// Adds a function, or replaces one.
    CreateFunction { database: String, schema: String, name: String, entry: Box<FunctionEntry>, replace: bool },
    /// Removes a function.
    DropFunction { database: String, schema: String, name: String },
    /// Sets or removes a comment.
    Comment { database: String, of: Commented, text: Option<String> },
    /// Adds a job; refused if the name is taken.
    CreateJob { entry: Box<JobEntry> },
    /// Changes what is wanted of a job.
    SetJobState { name: String, desired: DesiredState },
    /// A job goes over records from its next start on.
    SkipRecords { name: String, records: Vec<SkippedRecords> },
    /// Removes a job; what it leaves outside is still to be removed.
    DropJob { name: String },
    /// Nothing is left of a dropped job.
    ForgetJob { id: String },
    /// Changes who may log in, and who is in which role.
    Role(Box<RoleChange>),
    /// Gives or takes rights on an object.
    Grant { object: Object, change: Box<GrantChange> },
    /// Gives an object to another owner.
    SetOwner { object: Object, owner: u32 },
    /// Takes away all that a role was given and gave.
    ForgetGrants { role: u32 },
}

impl Change {
    /// Whether the change concerns jobs.
    pub fn is_about_jobs(&self) -> bool {
        matches!(
            self,
            Change::CreateJob { .. } | Change::SetJobState { .. } | Change::SkipRecords { .. } | Change::DropJob { .. }
        )
    }
}

impl fmt::Display for Change {
    /// The statement that makes it, without what an object consists of: options may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateSchema { database, schema, .. } => write!(f, "CREATE SCHEMA {database}.{schema}"),
            Change::DropSchema { database, schema, .. } => write!(f, "DROP SCHEMA {database}.{schema}"),
            Change::CreateTable { database, schema, name, .. } => write!(f, "CREATE TABLE {database}.{schema}.{name}"),
            Change::DropTable { database, schema, name } => write!(f, "DROP TABLE {database}.{schema}.{name}"),
            Change::CreateView { database, schema, name, .. } => write!(f, "CREATE VIEW {database}.{schema}.{name}"),
            Change::DropView { database, schema, name } => write!(f, "DROP VIEW {database}.{schema}.{name}"),
            Change::CreateFunction { database, schema, name, .. } => {
                write!(f, "CREATE FUNCTION {database}.{schema}.{name}")
            }
            Change::DropFunction { database, schema, name } => write!(f, "DROP FUNCTION {database}.{schema}.{name}"),
            Change::Comment { database, of, .. } => write!(f, "COMMENT ON {of} of database {database}"),
            Change::CreateJob { entry } => write!(f, "CREATE JOB {}", entry.name),
            Change::SetJobState { name, desired } => write!(f, "job {name} is to be {desired:?}"),
            Change::SkipRecords { name, .. } => write!(f, "job {name} is to go over records"),
            Change::DropJob { name } => write!(f, "DROP JOB {name}"),
            Change::ForgetJob { id } => write!(f, "nothing is left of dropped job {id}"),
            Change::Role(change) => change.fmt(f),
            Change::Grant { object, change } => {
                let verb = if change.is_grant { "GRANT" } else { "REVOKE" };
                let words: Vec<&str> = change.privileges.iter().map(|privilege| privilege.word()).collect();
                write!(f, "{verb} {} ON {object}, role {}", words.join(", "), change.grantee)
            }
            Change::SetOwner { object, owner } => write!(f, "{object} is of role {owner} now"),
            Change::ForgetGrants { role } => write!(f, "the grants of role {role} are forgotten"),
        }
    }
}

impl Snapshot {
    /// What a new server has.
    pub fn initial() -> Self {
        let schemas = BTreeMap::from([(DEFAULT_SCHEMA.to_owned(), SchemaEntry::default())]);
        Self {
            databases: BTreeMap::from([(
                DEFAULT_DATABASE.to_owned(),
                DatabaseEntry { schemas, ..DatabaseEntry::default() },
            )]),
            jobs: BTreeMap::new(),
            dropped_jobs: BTreeMap::new(),
            roles: Roles::new(),
            connectors: BTreeMap::new(),
            next_oid: FIRST_OID,
        }
    }

    /// A schema.
    pub fn schema(&self, database: &str, schema: &str) -> Option<&SchemaEntry> {
        self.databases.get(database)?.schemas.get(schema)
    }

    /// Ids under which rows of local tables are stored.
    pub fn local_tables(&self) -> BTreeSet<&str> {
        let schemas = self.databases.values().flat_map(|database| database.schemas.values());
        let tables = schemas.flat_map(|schema| schema.tables.values());
        tables.filter_map(|table| Some(table.declaration.local.as_ref()?.id.as_str())).collect()
    }

    fn database_mut(&mut self, database: &str) -> Result<&mut DatabaseEntry> {
        self.databases.get_mut(database).ok_or_else(|| {
            Error::not_found(format!("database \"{database}\" does not exist")).code(SqlState::InvalidCatalogName)
        })
    }

    fn schema_mut(&mut self, database: &str, schema: &str) -> Result<&mut SchemaEntry> {
        self.database_mut(database)?.schemas.get_mut(schema).ok_or_else(|| {
            Error::not_found(format!("schema \"{schema}\" does not exist")).code(SqlState::InvalidSchemaName)
        })
    }

    fn job_mut(&mut self, name: &str) -> Result<&mut JobEntry> {
        self.jobs.get_mut(name).ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))
    }

    fn give_oid(&mut self) -> u32 {
        self.next_oid = self.next_oid.max(FIRST_OID) + 1;
        self.next_oid - 1
    }

    /// Applies one change.
    ///
    /// # Errors
    /// It does not fit.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::CreateSchema { database, schema, comment, access } => {
                self.create_schema(database, schema, comment.clone(), access.clone())?
            }
            Change::DropSchema { database, schema, cascade } => self.drop_schema(database, schema, *cascade)?,
            Change::CreateTable { database, schema, name, entry } => {
                self.refuse_taken_relation(database, schema, name)?;
                let mut entry = entry.as_ref().clone();
                entry.oid = self.give_oid();
                self.schema_mut(database, schema)?.tables.insert(name.clone(), entry);
            }
            Change::DropTable { database, schema, name } => {
                if self.schema_mut(database, schema)?.tables.remove(name).is_none() {
                    return Err(
                        Error::not_found(format!("table \"{name}\" does not exist")).code(SqlState::UndefinedTable)
                    );
                }
            }
            Change::CreateView { database, schema, name, entry, replace } => {
                self.create_view(database, schema, name, entry.as_ref().clone(), *replace)?
            }
            Change::DropView { database, schema, name } => {
                if self.schema_mut(database, schema)?.views.remove(name).is_none() {
                    return Err(
                        Error::not_found(format!("view \"{name}\" does not exist")).code(SqlState::UndefinedTable)
                    );
                }
            }
            Change::CreateFunction { database, schema, name, entry, replace } => {
                self.create_function(database, schema, name, entry.as_ref().clone(), *replace)?
            }
            Change::DropFunction { database, schema, name } => {
                if self.schema_mut(database, schema)?.functions.remove(name).is_none() {
                    return Err(
                        Error::not_found(format!("function {name} does not exist")).code(SqlState::UndefinedFunction)
                    );
                }
            }
            Change::Comment { database, of, text } => comment::set(self.database_mut(database)?, of, text.clone())?,
            Change::CreateJob { entry } => {
                if self.jobs.contains_key(&entry.name) {
                    return Err(Error::invalid(format!("job \"{}\" already exists", entry.name))
                        .code(SqlState::DuplicateObject));
                }
                self.jobs.insert(entry.name.clone(), entry.as_ref().clone());
            }
            Change::SetJobState { name, desired } => self.job_mut(name)?.desired = *desired,
            Change::SkipRecords { name, records } => {
                let skips = &mut self.job_mut(name)?.skips;
                records.iter().cloned().for_each(|records| records.add(skips));
            }
            Change::DropJob { name } => {
                let missing = || Error::not_found(format!("job \"{name}\" does not exist"));
                let job = self.jobs.remove(name).ok_or_else(missing)?;
                self.dropped_jobs.insert(job.id.clone(), job);
            }
            Change::ForgetJob { id } => {
                self.dropped_jobs.remove(id);
            }
            Change::Role(change) => {
                self.refuse_dependants(change)?;
                let mut roles = std::mem::take(&mut self.roles);
                let applied = role::apply(&mut roles, change, || self.give_oid());
                self.roles = roles;
                applied?;
            }
            Change::Grant { .. } | Change::SetOwner { .. } | Change::ForgetGrants { .. } => {
                self.change_access(change)?
            }
        }
        Ok(())
    }

    /// A role on which something depends is not dropped.
    fn refuse_dependants(&self, change: &RoleChange) -> Result<()> {
        let RoleChange::Drop { name } = change else { return Ok(()) };
        let Some(role) = self.roles.get(name).filter(|role| role.oid != FIRST_ROLE) else { return Ok(()) };
        let dependants = self.dependants(role.oid);
        if dependants.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(format!("role \"{name}\" cannot be dropped because some objects depend on it"))
            .code(SqlState::DependentObjectsStillExist)
            .detail(dependants.join("\n"))
            .hint(format!(
                "REASSIGN OWNED BY {name} TO … gives its objects away, DROP OWNED BY {name} takes its rights."
            )))
    }

    /// Adds a schema, empty.
    fn create_schema(&mut self, database: &str, schema: &str, comment: Option<String>, access: Access) -> Result<()> {
        let entry = self.database_mut(database)?;
        if entry.schemas.contains_key(schema) {
            return Err(Error::invalid(format!("schema \"{schema}\" already exists")).code(SqlState::DuplicateSchema));
        }
        let new = SchemaEntry { comment, access, ..SchemaEntry::default() };
        entry.schemas.insert(schema.to_owned(), new);
        Ok(())
    }

    /// Removes a schema, one that is not empty only if `cascade`.
    fn drop_schema(&mut self, database: &str, schema: &str, cascade: bool) -> Result<()> {
        let entry = self.schema_mut(database, schema)?;
        let is_empty = entry.tables.is_empty() && entry.views.is_empty() && entry.functions.is_empty();
        if !is_empty && !cascade {
            return Err(Error::invalid(format!("cannot drop schema {schema} because other objects depend on it"))
                .code(SqlState::DependentObjectsStillExist)
                .hint("Use DROP … CASCADE to drop them too."));
        }
        if let Some(database) = self.databases.get_mut(database) {
            database.schemas.remove(schema);
        }
        Ok(())
    }

    /// Adds a view; one that takes the place of another keeps its oid and its comments.
    fn create_view(
        &mut self,
        database: &str,
        schema: &str,
        name: &str,
        mut entry: ViewEntry,
        replace: bool,
    ) -> Result<()> {
        match self.schema_mut(database, schema)?.views.get(name).filter(|_| replace) {
            Some(old) => {
                entry.oid = old.oid;
                entry.access = old.access.clone();
                comment::keep_of_view(&mut entry, old);
            }
            None => {
                self.refuse_taken_relation(database, schema, name)?;
                entry.oid = self.give_oid();
            }
        }
        self.schema_mut(database, schema)?.views.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Adds a function; one that takes the place of another keeps its oid and its comment.
    fn create_function(
        &mut self,
        database: &str,
        schema: &str,
        name: &str,
        mut entry: FunctionEntry,
        replace: bool,
    ) -> Result<()> {
        match self.schema_mut(database, schema)?.functions.get(name) {
            Some(_) if !replace => {
                return Err(
                    Error::invalid(format!("function \"{name}\" already exists")).code(SqlState::DuplicateFunction)
                );
            }
            Some(old) => {
                entry.oid = old.oid;
                entry.access = old.access.clone();
                comment::keep_of_function(&mut entry, old);
            }
            None => entry.oid = self.give_oid(),
        }
        self.schema_mut(database, schema)?.functions.insert(name.to_owned(), entry);
        Ok(())
    }

    fn refuse_taken_relation(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        let entry = self.schema_mut(database, schema)?;
        if entry.tables.contains_key(name) || entry.views.contains_key(name) {
            return Err(Error::invalid(format!("relation \"{name}\" already exists")).code(SqlState::DuplicateTable));
        }
        Ok(())
    }
}
