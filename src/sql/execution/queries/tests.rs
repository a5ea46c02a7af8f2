use std::sync::mpsc;

use super::*;

/// Holds a thread until the other end is dropped.
fn without_a_pause(held: mpsc::Receiver<()>) -> Result<()> {
    held.recv().map_err(|_| Error::invalid("released"))
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_with_other_threads_when_all_are_held_and_those_are_counted_until_they_end() {
    let queries = Arc::new(Queries::start(2).unwrap());
    let mut holders = Vec::new();
    for _ in 0..2 {
        let (release, held) = mpsc::channel();
        let (queries, begun) = (queries.clone(), Arc::new(tokio::sync::Notify::new()));
        let notify = begun.clone();
        let waiting = tokio::spawn(async move {
            queries
                .compute(move || {
                    notify.notify_one();
                    without_a_pause(held)
                })
                .await
        });
        begun.notified().await;
        // Whoever waited gives up.
        waiting.abort();
        holders.push(release);
    }
    assert_eq!(queries.compute(|| Ok(7)).await.unwrap(), 7);
    assert_eq!(queries.replaced(), 1);
    while queries.unstoppable() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    holders.clear();
    while queries.unstoppable() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Their threads end with them.
    while queries.shared.counts.pools.load(Ordering::Relaxed) > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(queries.compute(|| Ok(8)).await.unwrap(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_told_so_and_ends_at_its_next_pause() {
    let queries = Queries::start(1).unwrap();
    let (sender, ended) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let work = queries.run(|interrupt| async move {
        let _ends = sender;
        let _ = begun.send(interrupt.clone());
        let given_up = loop {
            tokio::task::yield_now().await;
            if let Err(given_up) = interrupt.check() {
                break given_up;
            }
        };
        Err::<(), _>(given_up)
    });
    let interrupt = tokio::select! {
        interrupt = has_begun => interrupt.unwrap(),
        _ = work => panic!("it has no end"),
    };
    // The loop ended with what it held.
    assert!(ended.await.is_err());
    assert!(interrupt.check().is_err());
    assert_eq!(queries.unstoppable(), 0);
}

#[tokio::test]
async fn work_that_panics_is_an_error_of_its_statement() {
    let queries = Queries::start(1).unwrap();
    let error = queries.compute(|| -> Result<()> { std::panic::resume_unwind(Box::new(())) }).await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "XX000");
    assert_eq!(queries.compute(|| Ok(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn after_the_end_nothing_begins() {
    let queries = Queries::start(1).unwrap();
    queries.shutdown();
    assert_eq!(queries.compute(|| Ok(())).await.unwrap_err().sqlstate().code(), "57P01");
}
