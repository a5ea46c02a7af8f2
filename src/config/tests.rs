use super::*;

fn file(text: &str) -> File {
    file::parse(text).unwrap()
}

fn refused(settings: &Flags, text: &str) -> String {
    match file::parse(text).and_then(|file| Config::merge(settings, file, None)) {
        Ok(_) => String::new(),
        Err(error) => format!("{error}"),
    }
}

#[test]
fn nothing_configured_means_the_embedded_backends_on_loopback() {
    let config = Config::merge(&Flags::default(), File::default(), None).unwrap();
    assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
    assert_eq!(config.kafka, KafkaBackend::Embedded { port: EmbeddedPort { first: 9439, more: 200 } });
    assert_eq!(config.dynamodb, DynamoDbBackend::Embedded { port: EmbeddedPort { first: 8439, more: 200 } });
    let settings = Flags { kafka_embedded_port: Some(7), ..Flags::default() };
    let config = Config::merge(&settings, File::default(), None).unwrap();
    assert_eq!(
        config.kafka,
        KafkaBackend::Embedded { port: EmbeddedPort { first: 7, more: 0 } },
        "that one and no other"
    );
}

#[test]
fn settings_go_over_the_file() {
    let settings = Flags { kafka_bootstrap_servers: Some("flag:1".to_owned()), ..Flags::default() };
    let config = Config::merge(
        &settings,
        file("max_connections = 7\n[kafka]\nbootstrap_servers = 'file:1'\n[kafka.properties]\n'sasl.username' = 'u'"),
        None,
    )
    .unwrap();
    assert_eq!(config.max_connections, 7);
    let properties = BTreeMap::from([("sasl.username".to_owned(), "u".to_owned())]);
    assert_eq!(config.kafka, KafkaBackend::Cluster { bootstrap_servers: "flag:1".to_owned(), properties });
}

#[test]
fn embedded_false_refuses_and_a_region_alone_means_aws() {
    let config =
        Config::merge(&Flags::default(), file("[kafka]\nembedded = false\n[aws]\nregion = 'eu-west-1'"), None).unwrap();
    assert_eq!(config.kafka, KafkaBackend::None);
    let region = Some("eu-west-1".to_owned());
    assert_eq!(config.dynamodb, DynamoDbBackend::Aws { endpoint: None, region, credentials: None });
}

#[test]
fn an_error_in_the_file_has_its_place_and_what_was_meant() {
    for (text, expected) in [
        (
            "\nlissten = '127.0.0.1:1'",
            "line 2, column 1, key lissten: unknown field `lissten` (did you mean `listen`?)",
        ),
        (
            "listen = '127.0.0.1:1'\n[kafka]\n# servers\nbootstrap_server = 'x'",
            "line 4, column 1, key kafka.bootstrap_server: unknown field `bootstrap_server` (did you mean `bootstrap_servers`?)",
        ),
        ("[kafak]\nembedded = true", "line 1, column 2, key kafak: unknown field `kafak` (did you mean `kafka`?)"),
        (
            "max_connections = 'many'",
            "line 1, column 19, key max_connections: invalid type: string \"many\", expected a whole number",
        ),
        (
            "[aws]\nembedded_port = 70000",
            "line 2, column 17, key aws.embedded_port: invalid value: integer `70000`, expected a port between 0 and 65535",
        ),
        ("aws = 3", "line 1, column 7, key aws: invalid type: integer `3`, expected a table of keys"),
        ("log_format = 'jsn'", "line 1, column 14, key log_format: unknown variant `jsn` (did you mean `json`?)"),
    ] {
        assert_eq!(refused(&Flags::default(), text), expected);
    }
    // What is no TOML at all has a place too.
    assert!(refused(&Flags::default(), "log = 'x'\nlisten").starts_with("line 2, column "));
}

#[test]
fn what_is_out_of_range_or_contradicts_is_refused() {
    let none = Flags::default();
    assert_eq!(refused(&none, "job_threads = 0"), "job_threads must be at least 1");
    assert_eq!(refused(&none, "max_connections = 0"), "max_connections must be at least 1");
    assert_eq!(refused(&Flags { job_threads: Some(0), ..none.clone() }, ""), "job_threads must be at least 1");
    for filter in ["debugg", "streamgate=loud", "info,,=", "inf"] {
        let error = refused(&Flags { log: Some(filter.to_owned()), ..none.clone() }, "");
        assert!(error.starts_with(&format!("log filter \"{filter}\" cannot be read: ")), "{filter}: {error}");
    }
    for filter in ["off", "info,dynoxide=error", "WARN", "streamgate::kafka=debug", "streamgate"] {
        assert_eq!(refused(&Flags { log: Some(filter.to_owned()), ..none.clone() }, ""), "", "{filter}");
    }
    assert!(refused(&none, "[kafka.properties]\n'sasl.username' = 'u'").contains("bootstrap_servers is not set"));
    for text in ["[aws]\nendpoint = 'http://u:canary@x'", "[kafka]\nbootstrap_servers = 'u:canary@x:1'"] {
        let error = refused(&none, text);
        assert!(error.contains("a user and password in a URL") && !error.contains("canary"), "{error}");
    }
    assert!(refused(&none, "[aws]\nendpoint = 'localhost:8000'").contains("is not a URL"));
    for host in ["http://x", "a b", "x/y", "", "x:9092", "*"] {
        let error = refused(&none, &format!("allowed_hosts = ['ok.example', '{host}']"));
        assert_eq!(error, format!("allowed_hosts: \"{host}\" is not a host"), "{host}");
    }
    for host in ["kafka-1", "10.0.0.7", "::1", "*.example.org"] {
        assert_eq!(refused(&none, &format!("allowed_hosts = ['{host}']")), "", "{host}");
    }
    let error = refused(&none, "query_memory = '900 tb'");
    assert!(error.starts_with("query_memory of 989560464998400 bytes is more than the "), "{error}");
}

#[test]
fn listen_takes_names_and_leaves_the_port_out() {
    let listen = |text: &str| {
        let settings = Flags { listen: Some(text.to_owned()), ..Flags::default() };
        Config::merge(&settings, File::default(), None).map(|config| config.listen.to_string())
    };
    assert_eq!(listen("localhost:7").unwrap(), "127.0.0.1:7");
    assert_eq!(listen("localhost").unwrap(), "127.0.0.1:5439");
    assert_eq!(listen("7101").unwrap(), "127.0.0.1:7101");
    assert_eq!(listen("127.0.0.1").unwrap(), "127.0.0.1:5439");
    assert_eq!(listen("[::1]:7").unwrap(), "[::1]:7");
    assert_eq!(listen("::1").unwrap(), "[::1]:5439");
    for bad in ["", "localhost:70000", "no such host:1"] {
        assert!(listen(bad).unwrap_err().message().starts_with("listen: cannot find address"), "{bad}");
    }
}

#[test]
fn unknown_variables_are_refused() {
    let check = |name: &str| environment::check([name.to_owned()].into_iter());
    for known in
        ["STREAMGATE_LISTEN", "STREAMGATE_AWS_SECRET_ACCESS_KEY", "STREAMGATE_TEST_X", "STREAMGATE_KILL_AT", "PATH"]
    {
        assert!(check(known).is_ok(), "{known}");
    }
    let error = check("STREAMGATE_LISTN").unwrap_err();
    assert_eq!(error.message(), "unknown environment variable STREAMGATE_LISTN");
    assert_eq!(error.hint_text(), Some("Did you mean STREAMGATE_LISTEN?"));
}

#[test]
fn sizes_have_units_and_bounds() {
    let config = |text: &str| Config::merge(&Flags::default(), file(text), None);
    let defaults = config("").unwrap();
    assert_eq!(defaults.max_message_bytes, 64 << 20);
    assert!(defaults.query_memory_bytes >= 64 << 20);
    let set = config("max_message_size = '1 mb'\nquery_memory = '2 gb'").unwrap();
    assert_eq!((set.max_message_bytes, set.query_memory_bytes), (1 << 20, 2 << 30));
    let flags = Flags { query_memory: Some("128 mb".parse().unwrap()), ..Flags::default() };
    assert_eq!(Config::merge(&flags, file("query_memory = '2 gb'"), None).unwrap().query_memory_bytes, 128 << 20);
    for wrong in ["max_message_size = '1 kb'", "max_message_size = '1 gb'", "query_memory = '1 mb'"] {
        assert!(config(wrong).is_err(), "{wrong}");
    }
    assert!(toml::from_str::<File>("query_memory = 'much'").unwrap_err().to_string().contains("no memory size"));
}

#[test]
fn access_and_tls_that_contradict_are_refused() {
    for (text, expected) in [
        ("auth = 'scram'\n[[access]]\nmethod = 'scram'", "auth and [[access]] are both set"),
        ("auth = 'cert'", "auth is trust or scram"),
        ("[[access]]\nmethod = 'trust'", "access rule 1 trusts everybody"),
        ("tls_key = 'k'", "tls_certificate and tls_key belong together"),
        ("tls_client_ca = 'c'", "tls_client_ca and tls_min_version are for TLS, and there is none"),
        ("[[access]]\ntls = 'require'\nmethod = 'scram'", "a rule of [[access]] requires TLS, and there is none"),
        (
            "tls_certificate = 'c'\ntls_key = 'k'\n[[access]]\nmethod = 'cert'",
            "a rule of [[access]] has the method cert, and tls_client_ca is not set",
        ),
    ] {
        assert_eq!(refused(&Flags::default(), text), expected, "{text}");
    }
    let error = refused(&Flags::default(), "[[access]]\nmethod = 'scram'\naddres = '::1'");
    assert!(error.contains("unknown field `addres`"), "{error}");
}
