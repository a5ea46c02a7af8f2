use super::*;

fn of(tasks: usize) -> Epochs {
    Epochs::new(Facts { tasks, first: 1, checkpoints: true, has_deferred: false })
}

fn deferring() -> Epochs {
    Epochs::new(Facts { tasks: 1, first: 1, checkpoints: true, has_deferred: true })
}

fn event(text: &str) -> Event {
    let number = || text.trim_start_matches(char::is_alphabetic).parse().unwrap();
    match text.trim_end_matches(|letter: char| letter.is_numeric()) {
        "passed" => Event::Passed(number()),
        "ended" => Event::Ended,
        "decided" => Event::Decided,
        "tick" => Event::Tick(number()),
        "full" => Event::Full,
        "stop" => Event::Wanted(Wanted::Stop),
        "save" => Event::Wanted(Wanted::StopWithSavepoint("s".to_owned())),
        "late" => Event::Late,
        "failed" => Event::Failed(Error::unavailable("the sink is away")),
        "looked" => Event::Looked,
        other => panic!("no event {other}"),
    }
}

fn shown(step: Step) -> String {
    match step {
        Step::Wait => "-".to_owned(),
        Step::Begin(number) => format!("begin{number}"),
        Step::Complete => "complete".to_owned(),
        Step::Finish(None) => "finished".to_owned(),
        Step::Finish(Some(Wanted::StopWithSavepoint(folder))) => format!("saved:{folder}"),
        Step::Finish(Some(_)) => "stopped".to_owned(),
        Step::GiveUp => "give-up".to_owned(),
        Step::Fail(error) => format!("fail:{error}"),
    }
}

/// Events and what comes of each: `tick1 → begin1, passed1 → complete`.
#[track_caller]
fn check(mut epochs: Epochs, expected: &str) {
    let mut steps = Vec::new();
    for part in expected.split(", ") {
        let name = part.split(" → ").next().unwrap();
        steps.push(format!("{name} → {}", shown(epochs.on(event(name)))));
    }
    assert_eq!(steps.join(", "), expected);
}

#[test]
fn one_epoch_at_a_time_is_on_its_way() {
    check(
        of(2),
        "tick1 → begin1, tick2 → -, full → -, passed1 → -, tick3 → -, passed1 → complete, \
         tick4 → -, full → -, looked → -, decided → -, tick4 → begin2, passed2 → -, passed2 → complete, decided → -",
    );
}

#[test]
fn an_idle_job_begins_none() {
    check(of(1), "tick0 → -, tick7 → begin1, passed1 → complete, decided → -, tick7 → -, tick8 → begin2");
}

#[test]
fn what_is_full_does_not_wait_for_the_interval() {
    check(of(1), "full → begin1, passed1 → complete, full → -, decided → -, full → begin2");
}

#[test]
fn a_barrier_of_another_epoch_does_not_count() {
    check(of(2), "passed1 → -, tick1 → begin1, passed1 → -, passed0 → -, passed2 → -, passed1 → complete, passed1 → -");
}

#[test]
fn a_job_that_stops_has_a_last_epoch() {
    check(of(2), "stop → begin1, tick5 → -, passed1 → -, passed1 → complete, decided → stopped");
}

#[test]
fn the_epoch_on_its_way_is_not_the_last_one() {
    // A barrier is out.
    check(
        of(1),
        "tick1 → begin1, stop → -, passed1 → complete, decided → begin2, passed2 → complete, decided → stopped",
    );
    // Its decision is pending: what was read meanwhile is in none yet.
    check(
        of(1),
        "tick1 → begin1, passed1 → complete, stop → -, decided → begin2, passed2 → complete, decided → stopped",
    );
}

#[test]
fn writes_that_wait_for_a_decision_are_acknowledged_with_one_more_epoch() {
    check(deferring(), "stop → begin1, passed1 → complete, decided → begin2, passed2 → complete, decided → stopped");
    check(deferring(), "ended → begin1, passed1 → complete, decided → begin2, passed2 → complete, decided → finished");
}

#[test]
fn a_savepoint_is_of_the_last_decided_epoch() {
    check(of(1), "save → begin1, passed1 → complete, decided → saved:s");
    check(
        of(1),
        "tick1 → begin1, save → -, passed1 → complete, decided → begin2, passed2 → complete, decided → saved:s",
    );
    // What was wanted first holds.
    check(of(1), "save → begin1, stop → -, passed1 → complete, decided → saved:s");
}

#[test]
fn an_end_is_waited_for_only_so_long() {
    check(of(1), "stop → begin1, late → give-up");
    check(of(1), "tick1 → begin1, passed1 → complete, stop → -, late → give-up");
    let no_savepoint = "fail:the sinks did not acknowledge in time, so that there is no savepoint";
    for before in ["save → begin1", "save → begin1, passed1 → complete", "tick1 → begin1, save → -"] {
        let mut epochs = of(1);
        for part in before.split(", ") {
            epochs.on(event(part.split(" → ").next().unwrap()));
        }
        assert_eq!(shown(epochs.on(event("late"))), no_savepoint);
    }
}

#[test]
fn a_job_is_finished_when_all_tasks_have_ended() {
    check(of(2), "ended → -, ended → begin1, passed1 → -, passed1 → complete, decided → finished");
    // While an epoch is on its way: what came behind its barrier needs another one.
    check(
        of(2),
        "tick1 → begin1, ended → -, passed1 → -, ended → -, passed1 → complete, decided → begin2, passed2 → -, \
         passed2 → complete, decided → finished",
    );
    // A stop adds none.
    check(of(1), "ended → begin1, stop → -, passed1 → complete, decided → stopped");
}

#[test]
fn a_task_that_fails_ends_the_job_at_once() {
    let fail = "fail:the sink is away";
    for before in ["looked", "tick1", "tick1, passed1", "stop", "stop, passed1", "ended", "save"] {
        let mut epochs = of(1);
        for name in before.split(", ") {
            epochs.on(event(name));
        }
        assert_eq!(shown(epochs.on(event("failed"))), fail, "after {before}");
    }
}

#[test]
fn what_is_computed_again_has_its_last_epoch_only() {
    let again = || Epochs::new(Facts { tasks: 1, first: 7, checkpoints: false, has_deferred: false });
    check(again(), "tick1 → -, full → -, ended → begin7, passed7 → complete, decided → finished");
    assert!(!again().may_begin());
}

#[test]
fn a_first_epoch_counts_as_one() {
    let mut epochs = of(1);
    assert_eq!(epochs.begin(), 1);
    assert!(!epochs.may_begin());
    assert!(epochs.passed(1));
    assert!(!epochs.may_begin());
    epochs.decided();
    assert!(epochs.may_begin());
    check(epochs, "tick1 → begin2");
}
