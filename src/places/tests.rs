use super::*;

fn sqlstate(result: Result<()>) -> &'static str {
    result.err().map_or("00000", |error| error.sqlstate().code())
}

#[test]
fn folders_are_taken_by_where_they_lead() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    std::fs::create_dir_all(data.join("inside")).unwrap();
    std::os::unix::fs::symlink("/etc", data.join("link")).unwrap();
    let data = data.to_str().unwrap().to_owned();
    let allowed = [data.clone(), "s3://bucket/prefix/".to_owned()];
    let places = Places::new(&allowed, None, Vec::new()).unwrap();
    let check = |place: &str| sqlstate(places.check_folder("option \"x\"", place));
    for good in ["", "/inside", "/inside/new/deeper", "/new/../inside"] {
        assert_eq!(check(&format!("{data}{good}")), "00000", "{good}");
        assert_eq!(check(&format!("file://{data}{good}")), "00000", "{good}");
    }
    for bad in ["/..", "/inside/../../x", "/link", "/link/x", "x"] {
        assert_eq!(check(&format!("{data}{bad}")), "42501", "{bad}");
    }
    assert_eq!(check("/etc"), "42501");
    assert_eq!(check("etc"), "42501");
    assert_eq!(check("s3://bucket/prefix"), "00000");
    assert_eq!(check("s3a://bucket/prefix/jobs"), "00000");
    assert_eq!(check("s3://bucket/prefixes"), "42501");
    assert_eq!(check("s3://other"), "42501");
    assert_eq!(check("s3://key:secret@bucket/prefix"), "22023");
    assert_eq!(check("ftp://bucket/prefix"), "22023");
}

#[test]
fn link_local_hosts_are_never_called() {
    let any = Places::anywhere();
    for host in [
        "169.254.169.254",
        "169.254.170.2",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "metadata.google.internal.",
    ] {
        assert_eq!(sqlstate(any.check_url("option", &format!("http://{host}:80/latest"))), "42501", "{host}");
        assert_eq!(sqlstate(any.check_servers("option", &format!("broker:9092,{host}:9092"))), "42501", "{host}");
    }
    for host in ["127.0.0.1", "10.0.0.1", "[::1]", "dynamodb.eu-west-1.amazonaws.com", "localhost"] {
        assert_eq!(sqlstate(any.check_url("option", &format!("https://{host}:8000"))), "00000", "{host}");
    }
}

#[test]
fn only_the_named_hosts_are_called_where_some_are_named() {
    let named = ["broker-1".to_owned(), "*.example.com".to_owned()];
    let places = Places::new(&[], Some(&named), vec!["Own".to_owned()]).unwrap();
    for good in ["broker-1:9092", "BROKER-1:9092", "a.example.com:1", "own:1", "PLAINTEXT://own:1"] {
        assert_eq!(sqlstate(places.check_servers("option", good)), "00000", "{good}");
    }
    for bad in ["broker-2:9092", "example.com:1", "notexample.com:1", "broker-1:9092,evil:1"] {
        assert_eq!(sqlstate(places.check_servers("option", bad)), "42501", "{bad}");
    }
}

#[test]
fn users_in_urls_are_refused_and_not_repeated() {
    let any = Places::anywhere();
    for url in ["http://user:canary@host/", "http://canary@host", "user:canary@host:9092"] {
        let error = any.check_servers("option", url).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(any.check_url("option", url).is_err());
    }
    assert!(any.check_url("option", "http://host/path@x").is_ok());
}
