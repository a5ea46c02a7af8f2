use futures::FutureExt;
use tempfile::TempDir;

use super::*;

fn die(folder: &TempDir) {
    std::fs::write(folder.path().join(SIGN), "it was aborted\n").unwrap();
}

#[tokio::test]
async fn a_job_that_is_in_danger_at_three_deaths_is_refused_until_it_is_allowed() {
    let folder = TempDir::new().unwrap();
    for deaths in 0..3 {
        let starts = Starts::open(folder.path());
        assert_eq!(starts.refusal("a"), None, "after {deaths} deaths");
        let _danger = starts.begin("a").await;
        die(&folder);
    }
    let starts = Starts::open(folder.path());
    assert_eq!(starts.refusal("a"), Some((3, "it was aborted".to_owned())));
    assert!(!folder.path().join(SIGN).exists());
    // The records outlive further processes.
    let starts = Starts::open(folder.path());
    assert!(starts.refusal("a").is_some());
    starts.allow("a");
    assert_eq!(starts.refusal("a"), None);
    let _danger = starts.begin("a").await;
    die(&folder);
    assert!(Starts::open(folder.path()).refusal("a").is_some(), "one more death is enough");
}

#[tokio::test]
async fn who_ends_the_process_without_a_sign_blames_nobody() {
    let folder = TempDir::new().unwrap();
    for _ in 0..5 {
        let starts = Starts::open(folder.path());
        assert_eq!(starts.refusal("a"), None);
        let _danger = starts.begin("a").await;
    }
}

#[tokio::test]
async fn a_proven_job_leaves_nothing_and_one_that_has_ended_keeps_its_deaths() {
    let folder = TempDir::new().unwrap();
    let starts = Starts::open(folder.path());
    starts.begin("proven").await.proven().await;
    starts.begin("ended").await.ended().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let _danger = starts.begin("ended").await;
    die(&folder);
    let starts = Starts::open(folder.path());
    starts.begin("ended").await.ended().await;
    assert_eq!(Starts::open(folder.path()).inner.records.lock()["ended"].deaths, 1);
}

#[tokio::test]
async fn a_job_of_two_deaths_starts_when_no_other_is_in_danger() {
    let folder = TempDir::new().unwrap();
    for _ in 0..2 {
        let _danger = Starts::open(folder.path()).begin("a").await;
        die(&folder);
    }
    let starts = Starts::open(folder.path());
    let other = starts.begin("b").await;
    let mut alone = Box::pin(starts.begin("a"));
    assert!(alone.as_mut().now_or_never().is_none());
    other.proven().await;
    alone.await.proven().await;
}
