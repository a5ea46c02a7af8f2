//! Rights as the system catalog shows them: what of them a role is shown, the arrays of pg_class and its kin, the rows of information_schema's
//! …_privileges and role_…_grants, and pg_foreign_data_wrapper, which lists the connectors.

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::model::{Function, Model, Namespace, OWNER, Relation};
use super::relation::{Row, list};
use crate::catalog::rights::{self, Access, Grant, Kind, PUBLIC, Privilege};
use crate::catalog::role::with_inherited;
use crate::sql::SessionView;

impl Relation {
    /// What rights on it are about.
    pub fn access_kind(&self) -> Kind {
        if self.kind == "v" { Kind::View } else { Kind::Table }
    }
}

impl Namespace {
    /// What rights on it are about.
    pub fn access_kind(&self) -> Kind {
        if self.name == "public" { Kind::PublicSchema } else { Kind::Schema }
    }
}

impl Model {
    /// Whether a role may do something with an object; what belongs to the server (no access) is read by everybody and changed by nobody
    /// but superusers, and its functions and schemas are for everybody.
    pub fn may(&self, role: u32, kind: Kind, access: Option<&Access>, privilege: Privilege, option: bool) -> bool {
        match access {
            Some(access) => rights::may(&self.roles, role, access, kind, privilege, option),
            None => {
                let is_for_all = matches!(privilege, Privilege::Select | Privilege::Usage | Privilege::Execute);
                rights::is_superuser(&self.roles, role) || !option && is_for_all
            }
        }
    }

    /// Whether the user may do anything at all with a relation, and so is shown it by information_schema.
    pub fn shows(&self, view: &SessionView, relation: &Relation) -> bool {
        if self.roles.is_empty() || view.is_unbound {
            return true;
        }
        let (kind, access) = (relation.access_kind(), relation.access.as_ref());
        let Some(role) = self.role_oid(&view.user) else { return false };
        kind.privileges().iter().any(|privilege| self.may(role, kind, access, *privilege, false))
    }

    /// Name of an owner.
    pub fn owner_name(&self, access: Option<&Access>) -> String {
        let owner = access.map_or(OWNER, |access| access.owner);
        self.role_name(owner).unwrap_or(&self.user).to_owned()
    }

    /// Sets rights as an array of aclitem, which is NULL where nobody has touched them.
    pub fn set_acl(&self, row: Row, column: &'static str, kind: Kind, access: Option<&Access>) -> Row {
        let name = |role: u32| self.role_name(role).map_or_else(|| role.to_string(), quoted);
        match access.and_then(|access| access.texts(kind, name)) {
            Some(texts) => {
                let texts: Vec<ScalarValue> = texts.into_iter().map(ScalarValue::from).collect();
                row.set(column, list(&texts, &DataType::Utf8))
            }
            None => row,
        }
    }
}

/// A name of a role as aclitem writes it.
fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|character| character.is_alphanumeric() || character == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The connectors.
pub fn pg_foreign_data_wrapper(model: &Model, _view: &SessionView) -> Vec<Row> {
    let row = |connector: &super::model::ConnectorRow| {
        let row = Row::new()
            .set("oid", connector.oid)
            .set("fdwname", connector.name.as_str())
            .set("fdwowner", connector.access.owner)
            .all(&["fdwhandler", "fdwvalidator"], 0_u32);
        model.set_acl(row, "fdwacl", Kind::Connector, Some(&connector.access))
    };
    model.connectors.iter().map(row).collect()
}

/// One right of a grant, for information_schema.
struct One {
    grantor: String,
    grantee: String,
    privilege: Privilege,
    option: bool,
}

/// The rights on an object that the user is concerned with: he, or a role that he is in, has them or gave them, or everybody has them.
/// `everybody`: with those of PUBLIC.
fn concerning(model: &Model, view: &SessionView, kind: Kind, access: Option<&Access>, everybody: bool) -> Vec<One> {
    let of_server = [Grant { grantee: PUBLIC, grantor: OWNER, privileges: [(Privilege::Select, false)].into() }];
    let (grants, owner) = match access {
        Some(access) => (access.grants(kind).into_owned(), access.owner),
        None => (of_server.to_vec(), OWNER),
    };
    let everything = model.roles.is_empty() || view.is_unbound;
    let own = model.role_oid(&view.user);
    let is_superuser = everything || own.is_some_and(|own| rights::is_superuser(&model.roles, own));
    let enabled = own.map(|own| with_inherited(&model.roles, own)).unwrap_or_default();
    let is_enabled = |role: u32| is_superuser || enabled.contains(&role);
    let name = |role: u32| match role {
        PUBLIC => "PUBLIC".to_owned(),
        role => model.role_name(role).unwrap_or_default().to_owned(),
    };
    let concerns = |grant: &&Grant| match grant.grantee {
        PUBLIC => everybody,
        grantee => is_enabled(grantee) || is_enabled(grant.grantor),
    };
    let one = |grant: &Grant| {
        let (grantor, grantee, is_owner) = (name(grant.grantor), name(grant.grantee), grant.grantee == owner);
        let one = move |(privilege, option): (&Privilege, &bool)| One {
            grantor: grantor.clone(),
            grantee: grantee.clone(),
            privilege: *privilege,
            option: *option || is_owner,
        };
        grant.privileges.iter().map(one).collect::<Vec<_>>()
    };
    grants.iter().filter(concerns).flat_map(one).collect()
}

fn granted(one: &One) -> Row {
    Row::new()
        .set("grantor", one.grantor.as_str())
        .set("grantee", one.grantee.as_str())
        .set("privilege_type", one.privilege.word())
        .set("is_grantable", if one.option { "YES" } else { "NO" })
}

fn of_tables(model: &Model, view: &SessionView, everybody: bool) -> Vec<Row> {
    let rows = |relation: &Relation| {
        let rows = concerning(model, view, relation.access_kind(), relation.access.as_ref(), everybody);
        let row = |one: &One| {
            granted(one)
                .set("table_catalog", model.database.as_str())
                .set("table_schema", model.namespace_name(relation.namespace).to_owned())
                .set("table_name", relation.name.as_str())
                .set("with_hierarchy", if one.privilege == Privilege::Select { "YES" } else { "NO" })
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    model.tables().flat_map(rows).collect()
}

/// Rights on tables and views.
pub fn table_privileges(model: &Model, view: &SessionView) -> Vec<Row> {
    of_tables(model, view, true)
}

/// The same without those of everybody.
pub fn role_table_grants(model: &Model, view: &SessionView) -> Vec<Row> {
    of_tables(model, view, false)
}

fn of_columns(model: &Model, view: &SessionView, everybody: bool) -> Vec<Row> {
    use Privilege::{Insert, References, Select, Update};
    let mut rows = Vec::new();
    for relation in model.tables() {
        for one in concerning(model, view, relation.access_kind(), relation.access.as_ref(), everybody) {
            if ![Insert, References, Select, Update].contains(&one.privilege) {
                continue;
            }
            for column in &relation.columns {
                rows.push(
                    granted(&one)
                        .set("table_catalog", model.database.as_str())
                        .set("table_schema", model.namespace_name(relation.namespace).to_owned())
                        .set("table_name", relation.name.as_str())
                        .set("column_name", column.name.as_str()),
                );
            }
        }
    }
    rows
}

/// Rights on tables and views, for each of their columns.
pub fn column_privileges(model: &Model, view: &SessionView) -> Vec<Row> {
    of_columns(model, view, true)
}

/// The same without those of everybody.
pub fn role_column_grants(model: &Model, view: &SessionView) -> Vec<Row> {
    of_columns(model, view, false)
}

fn of_routines(model: &Model, view: &SessionView, everybody: bool) -> Vec<Row> {
    let rows = |function: &Function| {
        let default = Access::default();
        let access = function.access.as_ref().unwrap_or(&default);
        let row = |one: &One| {
            granted(one)
                .all(&["specific_catalog", "routine_catalog"], model.database.as_str())
                .all(&["specific_schema", "routine_schema"], model.namespace_name(function.namespace).to_owned())
                .set("specific_name", format!("{}_{}", function.name, function.oid))
                .set("routine_name", function.name.as_str())
        };
        concerning(model, view, Kind::Function, Some(access), everybody).iter().map(row).collect::<Vec<_>>()
    };
    model.functions.iter().flat_map(rows).collect()
}

/// Rights on functions.
pub fn routine_privileges(model: &Model, view: &SessionView) -> Vec<Row> {
    of_routines(model, view, true)
}

/// The same without those of everybody.
pub fn role_routine_grants(model: &Model, view: &SessionView) -> Vec<Row> {
    of_routines(model, view, false)
}

fn of_usage(model: &Model, view: &SessionView, everybody: bool) -> Vec<Row> {
    let rows = |connector: &super::model::ConnectorRow| {
        let row = |one: &One| {
            granted(one)
                .set("object_catalog", model.database.as_str())
                .set("object_schema", "")
                .set("object_name", connector.name.as_str())
                .set("object_type", "FOREIGN DATA WRAPPER")
        };
        let access = Some(&connector.access);
        concerning(model, view, Kind::Connector, access, everybody).iter().map(row).collect::<Vec<_>>()
    };
    model.connectors.iter().flat_map(rows).collect()
}

/// Rights on connectors.
pub fn usage_privileges(model: &Model, view: &SessionView) -> Vec<Row> {
    of_usage(model, view, true)
}

/// The same without those of everybody.
pub fn role_usage_grants(model: &Model, view: &SessionView) -> Vec<Row> {
    of_usage(model, view, false)
}
