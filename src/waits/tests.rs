use futures::FutureExt;
use tokio::sync::oneshot;

use super::*;

fn texts(waits: &Waits) -> Vec<String> {
    waits.now().into_iter().map(|wait| wait.reason.text).collect()
}

#[test]
fn a_wait_lasts_as_long_as_its_guard() {
    let waits = Waits::default();
    let first = waits.begin("a topic".to_owned());
    let second = waits.begin(Reason::job("writer"));
    assert_eq!(texts(&waits), ["a topic", "job \"writer\""]);
    drop(first);
    assert_eq!(waits.now()[0].reason.job.as_deref(), Some("writer"));
    drop(second);
    assert_eq!(texts(&waits), [""; 0]);
}

#[test]
fn a_named_wait_keeps_its_beginning_while_its_reason_is_the_same() {
    let waits = Waits::default();
    waits.set("broker", "a broker".to_owned());
    let since = waits.now()[0].since;
    waits.set("broker", "a broker".to_owned());
    assert_eq!(waits.now()[0].since, since);
    waits.set("broker", "another".to_owned());
    assert_eq!(texts(&waits), ["another"]);
    waits.clear("broker");
    waits.clear("broker");
    assert_eq!(texts(&waits), [""; 0]);
}

#[test]
fn only_what_is_not_ready_waits_and_a_future_that_is_dropped_waits_no_more() {
    let waits = Waits::default();
    let ready = waits.during(|| -> String { unreachable!("it is ready") }, async { 7 });
    assert_eq!(ready.now_or_never(), Some(7));

    let (sender, receiver) = oneshot::channel::<u8>();
    let mut future = Box::pin(waits.during(|| "an answer".to_owned(), receiver));
    assert!(future.as_mut().now_or_never().is_none());
    assert_eq!(texts(&waits), ["an answer"]);
    sender.send(1).unwrap();
    assert_eq!(future.now_or_never(), Some(Ok(1)));
    assert_eq!(texts(&waits), [""; 0]);

    let mut given_up = Box::pin(waits.during(|| "nothing".to_owned(), std::future::pending::<()>()));
    assert!(given_up.as_mut().now_or_never().is_none());
    assert_eq!(texts(&waits), ["nothing"]);
    drop(given_up);
    assert_eq!(texts(&waits), [""; 0]);
}
