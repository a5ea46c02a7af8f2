use super::*;

const OWNER: u32 = 20;
const ANN: u32 = 21;
const BOB: u32 = 22;
const CYD: u32 = 23;

fn change(is_grant: bool, grantor: u32, grantee: u32, option: bool) -> GrantChange {
    GrantChange { is_grant, privileges: vec![Privilege::Select], option, grantor, grantee, cascade: false }
}

fn name(role: u32) -> String {
    match role {
        OWNER => "owner",
        ANN => "ann",
        BOB => "bob",
        CYD => "cyd",
        _ => "other",
    }
    .to_owned()
}

fn texts(access: &Access) -> Vec<String> {
    access.texts(Kind::Table, name).unwrap()
}

fn given_on() -> Access {
    let mut access = Access::owned_by(OWNER);
    access.apply(Kind::Table, &change(true, OWNER, ANN, true)).unwrap();
    access.apply(Kind::Table, &change(true, ANN, BOB, true)).unwrap();
    access.apply(Kind::Table, &change(true, BOB, CYD, false)).unwrap();
    access
}

#[test]
fn what_nobody_has_touched_has_the_rights_of_its_kind() {
    let access = Access::owned_by(OWNER);
    assert!(access.allows(Kind::Table, &[OWNER], Privilege::Select, false));
    assert!(!access.allows(Kind::Table, &[ANN], Privilege::Select, false));
    assert!(access.allows(Kind::Function, &[ANN], Privilege::Execute, false));
    assert!(access.allows(Kind::PublicSchema, &[ANN], Privilege::Usage, false));
    assert!(!access.allows(Kind::PublicSchema, &[ANN], Privilege::Create, false));
    assert!(!access.allows(Kind::Schema, &[ANN], Privilege::Usage, false));
    assert!(!access.allows(Kind::Connector, &[ANN], Privilege::Usage, false));
    assert!(access.texts(Kind::Table, name).is_none());
    assert!(Access::default().is_default() && !access.is_default());
}

#[test]
fn rights_print_as_postgres_prints_them() {
    assert_eq!(texts(&given_on()), ["owner=arwdDxt/owner", "ann=r*/owner", "bob=r*/ann", "cyd=r/bob"]);
}

#[test]
fn what_was_given_on_holds_what_it_came_from() {
    let mut access = given_on();
    let error = access.apply(Kind::Table, &change(false, OWNER, ANN, false)).unwrap_err();
    assert_eq!(
        (error.message(), error.sqlstate()),
        ("dependent privileges exist", SqlState::DependentObjectsStillExist)
    );
    assert_eq!(access, given_on(), "nothing is changed");
    let all = GrantChange { cascade: true, ..change(false, OWNER, ANN, false) };
    access.apply(Kind::Table, &all).unwrap();
    assert_eq!(texts(&access), ["owner=arwdDxt/owner"]);
    // The right to give on goes alone.
    let mut access = given_on();
    access.apply(Kind::Table, &GrantChange { option: true, ..all }).unwrap();
    assert_eq!(texts(&access), ["owner=arwdDxt/owner", "ann=r/owner"]);
    // Who has it from somebody else, too, goes on.
    let mut access = given_on();
    access.apply(Kind::Table, &change(true, OWNER, BOB, true)).unwrap();
    access.apply(Kind::Table, &GrantChange { cascade: true, ..change(false, OWNER, ANN, false) }).unwrap();
    assert_eq!(texts(&access), ["owner=arwdDxt/owner", "cyd=r/bob", "bob=r*/owner"]);
}

#[test]
fn everybody_cannot_be_given_the_right_to_give_on() {
    let mut access = Access::owned_by(OWNER);
    let error = access.apply(Kind::Table, &change(true, OWNER, PUBLIC, true)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::InvalidGrantOperation);
    access.apply(Kind::Table, &change(true, OWNER, PUBLIC, false)).unwrap();
    assert_eq!(texts(&access), ["owner=arwdDxt/owner", "=r/owner"]);
    assert!(access.allows(Kind::Table, &[CYD], Privilege::Select, false));
}

#[test]
fn a_new_owner_has_what_the_old_one_had() {
    let mut access = given_on();
    access.give_to(ANN);
    assert_eq!(
        texts(&access),
        ["ann=arwdDxtr*/ann".replace("arwdDxtr*", "ar*wdDxt"), "bob=r*/ann".into(), "cyd=r/bob".into()]
    );
    let mut untouched = Access::owned_by(OWNER);
    untouched.give_to(ANN);
    assert_eq!(untouched, Access::owned_by(ANN));
}

#[test]
fn an_owner_may_lose_his_rights_but_not_the_right_to_give_them() {
    let mut access = Access::owned_by(OWNER);
    access.apply(Kind::Table, &change(false, OWNER, OWNER, false)).unwrap();
    assert!(!access.allows(Kind::Table, &[OWNER], Privilege::Select, false));
    assert!(access.allows(Kind::Table, &[OWNER], Privilege::Select, true));
    assert_eq!(texts(&access), ["owner=awdDxt/owner"]);
}

#[test]
fn what_was_kept_before_there_were_owners_is_the_first_roles() {
    let text = r#"{"oid": 1, "parameters": [], "returns": "INT", "body": "SELECT 1"}"#;
    let entry: crate::catalog::FunctionEntry = serde_json::from_str(text).unwrap();
    assert_eq!(entry.access, Access { owner: FIRST_ROLE, grants: None });
    assert!(!serde_json::to_string(&entry).unwrap().contains("access"), "and is kept as before");
}
