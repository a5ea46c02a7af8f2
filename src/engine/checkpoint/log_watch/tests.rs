use super::*;
use crate::connectors::Position;

fn log(id: &str) -> LogIdentity {
    LogIdentity { id: Some(id.to_owned()), ..LogIdentity::default() }
}

fn found(log: SplitLog) -> Vec<Found> {
    let name = "topic \"orders\", partition 0,".to_owned();
    vec![Found { source: "source".to_owned(), split: "orders/0".to_owned(), name, log }]
}

fn known(id: &str) -> Logs {
    Logs::from([("source".to_owned(), [("orders/0".to_owned(), log(id))].into())])
}

fn positions() -> Positions {
    Positions::from([("source".to_owned(), [("orders/0".to_owned(), Position::Offset(400))].into())])
}

#[test]
fn the_same_log_goes_on_and_one_that_was_not_known_is_learned() {
    let Verdict::Same(learned) = judge(&known("a"), &positions(), &found(SplitLog::Is(log("a")))) else { panic!() };
    assert!(learned.is_empty());
    // A checkpoint from before logs were known.
    let Verdict::Same(learned) = judge(&Logs::new(), &positions(), &found(SplitLog::Is(log("a")))) else { panic!() };
    assert_eq!(learned, [("source".to_owned(), "orders/0".to_owned(), log("a"))]);
}

#[test]
fn another_log_and_a_missing_one_are_told_with_name_and_position() {
    let Verdict::Other(error) = judge(&known("a"), &positions(), &found(SplitLog::Is(log("b")))) else { panic!() };
    let text = "topic \"orders\", partition 0, is another log than the one that was read up to offset 400: its id is b, and was a";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let Verdict::Gone(error) = judge(&known("a"), &positions(), &found(SplitLog::Gone)) else { panic!() };
    assert_eq!(error.to_string(), "topic \"orders\", partition 0, was deleted: it was read up to offset 400");
}

#[test]
fn a_log_fails_the_job_when_it_is_missing_again_and_again() {
    let gone = || Ok(Verdict::Gone(Error::corrupt("gone")));
    let mut watch = Watch::default();
    assert!(matches!(watch.after(gone()), After::Waits(_)));
    assert!(matches!(watch.after(gone()), After::Waits(_)));
    assert!(matches!(watch.after(Ok(Verdict::Same(Vec::new()))), After::Well(_)));
    assert!(matches!(watch.after(gone()), After::Waits(_)));
    assert!(matches!(watch.after(gone()), After::Waits(_)));
    assert!(matches!(watch.after(gone()), After::Fails(_)));
    assert!(matches!(watch.after(Err(Error::unavailable("away"))), After::Waits(_)));
    assert!(matches!(watch.after(Ok(Verdict::Other(Error::corrupt("other")))), After::Fails(_)));
}
