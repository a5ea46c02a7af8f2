use super::*;
use crate::waits::Reason;

#[test]
fn what_lasts_is_shown_once_and_another_job_with_its_state() {
    let now = Instant::now() + Duration::from_secs(100);
    let wait = |reason: Reason, seconds: u64| Wait { reason, since: now - Duration::from_secs(seconds) };
    let waits = [
        (None, wait(Reason::job("writer"), 30)),
        (None, wait(Reason::job("writer"), 20)),
        (Some("sink-0"), wait(Reason::new("acknowledgements of table \"t\""), 5)),
        (None, wait(Reason::job("busy"), 4)),
        (None, wait(Reason::job("gone"), 3)),
        (Some("source-0"), wait(Reason::new("an answer"), 0)),
    ];
    let state_of = |job: &str| match job {
        "writer" => Some(JobState::Paused),
        "busy" => Some(JobState::Running),
        _ => None,
    };
    let shown = shown(&waits, now, 1_000_000, &state_of);
    let texts: Vec<_> = shown.iter().map(|wait| (wait.reason.as_str(), wait.node.as_deref(), wait.since_ms)).collect();
    assert_eq!(
        texts,
        [
            ("job \"writer\", which is PAUSED", None, 970_000),
            ("acknowledgements of table \"t\"", Some("sink-0"), 995_000),
            ("job \"busy\"", None, 996_000),
            ("job \"gone\"", None, 997_000),
        ]
    );
}
