use super::*;

fn range(text: &str) -> AddressRange {
    text.parse().unwrap()
}

fn rule(address: &str, role: &str, method: Method) -> AccessRule {
    AccessRule {
        address: (!address.is_empty()).then(|| range(address)),
        role: (!role.is_empty()).then(|| Names::One(role.to_owned())),
        database: None,
        tls: None,
        method,
    }
}

fn asking<'a>(address: &str, role: &'a str) -> Asking<'a> {
    Asking { address: address.parse().unwrap(), role, database: "streamgate", is_tls: true }
}

#[test]
fn ranges_have_the_addresses_with_their_first_bits() {
    for (text, address, expected) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("10.0.0.7", "10.0.0.7", true),
        ("10.0.0.7", "10.0.0.6", false),
        ("0.0.0.0/0", "1.2.3.4", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "fe80::1", true),
        ("::/0", "1.2.3.4", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
    ] {
        assert_eq!(range(text).contains(address.parse().unwrap()), expected, "{text} {address}");
    }
    for wrong in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "1.2.3.4/-1"] {
        assert!(wrong.parse::<AddressRange>().is_err(), "{wrong}");
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let access = Access::new(
        None,
        vec![
            rule("127.0.0.1", "me", Method::Trust),
            rule("10.0.0.66", "", Method::Reject),
            rule("10.0.0.0/8", "app", Method::Scram),
        ],
    )
    .unwrap();
    let method = |address, role| access.method(&asking(address, role), true).map_err(|error| error.to_string());
    assert_eq!(method("127.0.0.1", "me"), Ok(Method::Trust));
    assert_eq!(method("10.0.0.1", "app"), Ok(Method::Scram));
    assert_eq!(
        method("10.0.0.66", "app").unwrap_err(),
        "a rule of [[access]] rejects connections for host \"10.0.0.66\", user \"app\", database \"streamgate\", TLS"
    );
    for (address, role) in [("127.0.0.1", "app"), ("10.0.0.1", "me"), ("::1", "me")] {
        assert!(method(address, role).unwrap_err().starts_with("no rule of [[access]] for host"), "{address} {role}");
    }
}

#[test]
fn without_rules_this_machine_is_trusted_until_there_are_roles() {
    let method = |auth, address, has_roles| {
        Access::new(auth, Vec::new()).unwrap().method(&asking(address, "me"), has_roles).unwrap()
    };
    for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(method(None, here, false), Method::Trust, "{here}");
        assert_eq!(method(None, here, true), Method::Scram, "{here}");
        assert_eq!(method(Some(Method::Trust), here, true), Method::Trust, "{here}");
        assert_eq!(method(Some(Method::Scram), here, false), Method::Scram, "{here}");
    }
    for has_roles in [false, true] {
        for auth in [None, Some(Method::Trust), Some(Method::Scram)] {
            assert_eq!(method(auth, "10.0.0.1", has_roles), Method::Scram, "other machines are never trusted");
        }
    }
}

#[test]
fn rules_that_trust_other_machines_are_refused() {
    for address in ["", "0.0.0.0/0", "10.0.0.0/8", "127.0.0.0/7", "::/0", "::1/127"] {
        let error = Access::new(None, vec![rule(address, "", Method::Trust)]).unwrap_err();
        assert!(error.message().starts_with("access rule 1 trusts "), "{address}: {error}");
    }
    for address in ["127.0.0.0/8", "127.0.0.1", "::1"] {
        assert!(Access::new(None, vec![rule(address, "", Method::Trust)]).is_ok(), "{address}");
    }
    assert!(Access::new(Some(Method::Scram), vec![rule("", "", Method::Scram)]).is_err());
    for method in [Method::Cert, Method::Reject] {
        assert!(Access::new(Some(method), Vec::new()).is_err());
    }
}

#[test]
fn other_machines_come_by_tls_unless_it_is_said() {
    let rules = vec![
        AccessRule { tls: Some(TlsNeed::Require), ..rule("10.0.0.0/8", "", Method::Cert) },
        rule("", "", Method::Scram),
    ];
    let access = Access::new(None, rules).unwrap();
    assert_eq!(access.needs(), (true, true));
    let method = |access: &Access, address, is_tls| {
        access.method(&Asking { is_tls, ..asking(address, "me") }, true).map_err(|error| error.message().to_owned())
    };
    assert_eq!(method(&access, "10.0.0.1", true), Ok(Method::Cert));
    assert_eq!(method(&access, "11.0.0.1", true), Ok(Method::Scram));
    assert_eq!(method(&access, "127.0.0.1", false), Ok(Method::Scram));
    let clear = method(&access, "10.0.0.1", false).unwrap_err();
    assert_eq!(clear, "TLS is required for host \"10.0.0.1\", user \"me\", database \"streamgate\", no encryption");
    // A rule that requires TLS is not about the others: the next one is.
    assert_eq!(method(&access.without_tls(true), "10.0.0.1", false), Ok(Method::Scram));
}

#[test]
fn other_machines_are_listened_to_with_logins_and_tls_only() {
    let listen = |access: &Access, address: &str, has_tls, has_roles| {
        access.check_listen(address.parse().unwrap(), has_tls, has_roles).map_err(|error| error.message().to_owned())
    };
    let access = Access::default();
    for here in ["127.0.0.1:1", "[::1]:1"] {
        assert!(listen(&access, here, false, false).is_ok(), "{here}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
        assert!(
            listen(&access, address, false, true).unwrap_err().contains(": without TLS only loopback"),
            "{address}"
        );
        assert!(listen(&access, address, true, false).unwrap_err().contains(": without logins only"), "{address}");
        assert!(listen(&access, address, true, true).is_ok(), "{address}");
        let clear = Access::default().without_tls(true);
        assert!(listen(&clear, address, false, true).is_ok() && listen(&clear, address, false, false).is_err());
    }
}
