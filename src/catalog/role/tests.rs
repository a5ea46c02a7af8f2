use super::*;

fn options(superuser: bool, login: bool) -> RoleOptions {
    RoleOptions {
        is_superuser: Some(superuser),
        can_login: Some(login),
        verifier: Some(Some("reference".to_owned())),
        ..RoleOptions::default()
    }
}

fn roles(changes: &[RoleChange]) -> Result<Roles> {
    let mut roles = Roles::new();
    let mut next = 100;
    for change in changes {
        apply(&mut roles, change, || {
            next += 1;
            next
        })?;
    }
    Ok(roles)
}

fn create(name: &str, options: RoleOptions) -> RoleChange {
    RoleChange::Create { name: name.to_owned(), options }
}

fn grant(role: &str, member: &str) -> RoleChange {
    RoleChange::Grant { role: role.to_owned(), member: member.to_owned(), admin: false }
}

#[test]
fn the_first_role_can_let_others_in_and_stays() {
    let without_password = RoleOptions { verifier: Some(None), ..options(true, true) };
    for refused in [options(false, true), options(true, false), without_password] {
        let error = roles(&[create("a", refused)]).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::ObjectNotInPrerequisiteState);
    }
    let first = create("a", options(true, true));
    let all = roles(&[first.clone(), create("b", RoleOptions::default())]).unwrap();
    assert_eq!((all["a"].oid, all["b"].oid), (FIRST_ROLE, 101));
    let drop = RoleChange::Drop { name: "a".to_owned() };
    assert_eq!(roles(&[first.clone(), drop]).unwrap_err().sqlstate(), SqlState::DependentObjectsStillExist);
    let alter = RoleChange::Alter { name: "a".to_owned(), options: options(false, true) };
    assert_eq!(roles(&[first.clone(), alter]).unwrap_err().sqlstate(), SqlState::InsufficientPrivilege);
    let rename = RoleChange::Rename { name: "a".to_owned(), to: "z".to_owned() };
    assert_eq!(roles(&[first, rename]).unwrap()["z"].oid, FIRST_ROLE);
}

#[test]
fn roles_are_in_roles_but_in_no_circle() {
    let plain = RoleOptions::default;
    let mut changes =
        vec![create("a", options(true, true)), create("b", plain()), create("c", plain()), create("d", plain())];
    changes.extend([grant("b", "c"), grant("c", "d")]);
    let all = roles(&changes).unwrap();
    assert!(is_member(&all, all["d"].oid, all["b"].oid) && !is_member(&all, all["b"].oid, all["d"].oid));
    assert_eq!(with_inherited(&all, all["d"].oid), [all["d"].oid, all["c"].oid, all["b"].oid]);
    for (role, member) in [("d", "b"), ("b", "b")] {
        let circle = [&changes[..], &[grant(role, member)]].concat();
        assert_eq!(roles(&circle).unwrap_err().sqlstate(), SqlState::InvalidGrantOperation);
    }
    let alone = RoleOptions { inherits: Some(false), ..plain() };
    let all = roles(&[&changes[..], &[RoleChange::Alter { name: "c".to_owned(), options: alone }]].concat()).unwrap();
    assert_eq!(with_inherited(&all, all["d"].oid), [all["d"].oid, all["c"].oid], "c does not hand on what it is in");
    let all = roles(&[&changes[..], &[RoleChange::Drop { name: "c".to_owned() }]].concat()).unwrap();
    assert!(all["d"].member_of.is_empty());
}
