//! Where rights are kept, which is with the object that they are on; and the changes of them. Knows no rule of who may do what (`rights`).

use super::object::Object;
use super::rights::{Access, Kind};
use super::snapshot::{Change, DEFAULT_SCHEMA, Snapshot};
use crate::error::{Error, Result, SqlState};

impl Snapshot {
    /// Whose an object is and who may do what with it; `None`: there is none of that name.
    pub fn access(&self, object: &Object) -> Option<(Kind, Access)> {
        match object {
            Object::Database { database } => Some((Kind::Database, self.databases.get(database)?.access.clone())),
            Object::Schema { database, schema } => {
                Some((kind_of_schema(schema), self.schema(database, schema)?.access.clone()))
            }
            Object::Relation { database, schema, name } => {
                let schema = self.schema(database, schema)?;
                let table = schema.tables.get(name).map(|table| (Kind::Table, table.access.clone()));
                table.or_else(|| Some((Kind::View, schema.views.get(name)?.access.clone())))
            }
            Object::Function { database, schema, name } => {
                Some((Kind::Function, self.schema(database, schema)?.functions.get(name)?.access.clone()))
            }
            Object::Job { name } => Some((Kind::Job, self.jobs.get(name)?.access.clone())),
            Object::Connector { name } => {
                Some((Kind::Connector, self.connectors.get(name).cloned().unwrap_or_default()))
            }
        }
    }

    /// The same, to change it.
    fn access_mut(&mut self, object: &Object) -> Option<(Kind, &mut Access)> {
        match object {
            Object::Database { database } => Some((Kind::Database, &mut self.databases.get_mut(database)?.access)),
            Object::Schema { database, schema } => {
                let entry = self.databases.get_mut(database)?.schemas.get_mut(schema)?;
                Some((kind_of_schema(schema), &mut entry.access))
            }
            Object::Relation { database, schema, name } => {
                let schema = self.databases.get_mut(database)?.schemas.get_mut(schema)?;
                match schema.tables.get_mut(name) {
                    Some(table) => Some((Kind::Table, &mut table.access)),
                    None => Some((Kind::View, &mut schema.views.get_mut(name)?.access)),
                }
            }
            Object::Function { database, schema, name } => {
                let schema = self.databases.get_mut(database)?.schemas.get_mut(schema)?;
                Some((Kind::Function, &mut schema.functions.get_mut(name)?.access))
            }
            Object::Job { name } => Some((Kind::Job, &mut self.jobs.get_mut(name)?.access)),
            Object::Connector { name } => Some((Kind::Connector, self.connectors.entry(name.clone()).or_default())),
        }
    }

    /// Applies a change of rights.
    ///
    /// # Errors
    /// Its object is not there, or it does not fit.
    pub(super) fn change_access(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Grant { object, change } => {
                let (kind, access) = self.access_mut(object).ok_or_else(|| missing(object))?;
                access.apply(kind, change)
            }
            Change::SetOwner { object, owner } => {
                self.access_mut(object).ok_or_else(|| missing(object))?.1.give_to(*owner);
                Ok(())
            }
            Change::ForgetGrants { role } => {
                for object in self.objects() {
                    if let Some((_, access)) = self.access_mut(&object) {
                        access.forget(*role);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// All objects, those of the databases first.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::new();
        for (database, entry) in &self.databases {
            objects.push(Object::Database { database: database.clone() });
            for (schema, entry) in &entry.schemas {
                let (database, schema) = (database.clone(), schema.clone());
                objects.push(Object::Schema { database: database.clone(), schema: schema.clone() });
                let relation = |name: &String| Object::Relation {
                    database: database.clone(),
                    schema: schema.clone(),
                    name: name.clone(),
                };
                objects.extend(entry.tables.keys().chain(entry.views.keys()).map(relation));
                let function = |name: &String| Object::Function {
                    database: database.clone(),
                    schema: schema.clone(),
                    name: name.clone(),
                };
                objects.extend(entry.functions.keys().map(function));
            }
        }
        objects.extend(self.jobs.keys().map(|name| Object::Job { name: name.clone() }));
        objects.extend(self.connectors.keys().map(|name| Object::Connector { name: name.clone() }));
        objects
    }

    /// Whether the relation of that oid is there, and who may do what with it.
    pub fn relation_of_oid(&self, oid: u32) -> Option<(Kind, &str, &Access)> {
        self.databases.values().flat_map(|database| database.schemas.values()).find_map(|schema| {
            let table = schema.tables.iter().find(|(_, table)| table.oid == oid);
            let table = table.map(|(name, table)| (Kind::Table, name.as_str(), &table.access));
            let view = || schema.views.iter().find(|(_, view)| view.oid == oid);
            table.or_else(|| view().map(|(name, view)| (Kind::View, name.as_str(), &view.access)))
        })
    }

    /// What depends on a role, in words: `owner of table t`, `privileges for table t`.
    pub fn dependants(&self, role: u32) -> Vec<String> {
        let of = |object: &Object| {
            let (kind, access) = self.access(object)?;
            let what = format!("{} {}", kind.noun(), object.name());
            if access.owner == role {
                return Some(format!("owner of {what}"));
            }
            access.mentions(role).then(|| format!("privileges for {what}"))
        };
        self.objects().iter().filter_map(of).collect()
    }
}

fn kind_of_schema(schema: &str) -> Kind {
    if schema == DEFAULT_SCHEMA { Kind::PublicSchema } else { Kind::Schema }
}

fn missing(object: &Object) -> Error {
    Error::not_found(format!("{} does not exist", object.to_string().to_lowercase())).code(SqlState::UndefinedObject)
}
