use super::*;

fn log(id: Option<&str>, cluster: Option<&str>, leader_epoch: Option<i32>) -> LogIdentity {
    LogIdentity { id: id.map(str::to_owned), cluster: cluster.map(str::to_owned), leader_epoch }
}

fn is_other(stored: &LogIdentity, now: &LogIdentity) -> bool {
    matches!(continuity(stored, now), Continuity::Other(_))
}

#[test]
fn ids_decide_where_both_logs_have_one() {
    let stored = log(Some("a"), Some("x"), Some(7));
    assert_eq!(continuity(&stored, &log(Some("a"), Some("x"), Some(7))), Continuity::Same);
    // The cluster was given another id, or a leader epoch is not known: the topic's id is the same all the same.
    assert_eq!(continuity(&stored, &log(Some("a"), Some("y"), Some(0))), Continuity::Same);
    assert_eq!(continuity(&stored, &log(Some("a"), None, None)), Continuity::Same);
    assert_eq!(
        continuity(&stored, &log(Some("b"), Some("x"), Some(7))),
        Continuity::Other("its id is b, and was a".to_owned())
    );
}

#[test]
fn without_ids_another_cluster_is_another_log() {
    assert!(is_other(&log(None, Some("x"), Some(0)), &log(None, Some("y"), Some(5))));
    assert!(is_other(&log(Some("a"), Some("x"), None), &log(None, Some("y"), None)));
    assert!(!is_other(&log(None, Some("x"), None), &log(Some("a"), Some("x"), None)));
}

#[test]
fn without_ids_a_leader_epoch_that_fell_is_of_another_log() {
    let stored = log(None, Some("x"), Some(4));
    assert!(is_other(&stored, &log(None, Some("x"), Some(3))));
    assert!(is_other(&stored, &log(None, None, Some(0))));
    assert!(!is_other(&stored, &log(None, Some("x"), Some(4))));
    assert!(!is_other(&stored, &log(None, Some("x"), Some(9))));
    assert!(!is_other(&stored, &log(None, Some("x"), None)));
}

#[test]
fn what_was_never_known_stops_nothing() {
    for now in [log(None, None, None), log(Some("a"), Some("x"), Some(3))] {
        assert_eq!(continuity(&LogIdentity::default(), &now), Continuity::Same);
        assert_eq!(continuity(&now, &LogIdentity::default()), Continuity::Same);
    }
}

#[test]
fn the_stored_form_has_only_what_is_known() {
    let text = serde_json::to_string(&log(Some("a"), None, None)).unwrap();
    assert_eq!(text, r#"{"id":"a"}"#);
    assert_eq!(serde_json::from_str::<LogIdentity>("{}").unwrap(), LogIdentity::default());
}
