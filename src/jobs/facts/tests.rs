use super::*;

fn in_state(state: JobState) -> Facts {
    Facts { state, ..Facts::new(1) }
}

fn happens(facts: Facts, events: impl IntoIterator<Item = Event>) -> Facts {
    events.into_iter().fold(facts, |facts, event| facts.after(event, 2))
}

#[test]
fn the_time_is_that_of_the_last_change_of_the_state() {
    let facts = Facts::new(1).after(Event::Starts, 2);
    assert_eq!((facts.state, facts.since_ms), (JobState::Starting, 1));
    let facts = facts.after(Event::RunBegins { again: false }, 3).after(Event::Opened, 4);
    assert_eq!((facts.state, facts.since_ms), (JobState::Running, 3));
    let facts = facts.after(Event::Failed(Error::internal("a defect")), 5);
    assert_eq!((facts.state, facts.since_ms), (JobState::Running, 3));
    let facts = facts.after(Event::Ends, 6).after(Event::Rests(JobState::Paused), 7);
    assert_eq!((facts.state, facts.since_ms), (JobState::Paused, 7));
}

#[test]
fn a_job_that_is_told_to_end_says_so_whatever_its_task_does() {
    for event in [Event::RunBegins { again: false }, Event::Opened, Event::Retries] {
        assert_eq!(happens(Facts::new(1), [Event::Ends, event.clone()]).state, JobState::Stopping, "{event:?}");
    }
    assert_eq!(happens(Facts::new(1), [Event::Ends, Event::Starts]).state, JobState::Starting);
}

#[test]
fn a_job_that_failed_runs_when_it_has_opened_everything() {
    let retried = happens(Facts::new(1), [Event::Failed(Error::unavailable("away")), Event::Retries]);
    assert_eq!((retried.state, retried.restarts), (JobState::Retrying, 1));
    let begun = happens(retried, [Event::RunBegins { again: true }]);
    assert_eq!(begun.state, JobState::Retrying);
    let opened = happens(begun, [Event::Opened]);
    assert_eq!((opened.state, opened.restarts), (JobState::Running, 1));
    assert_eq!(opened.last_error.map(|(at, error)| (at, error.message().to_owned())), Some((2, "away".to_owned())));
}

#[test]
fn where_a_task_failed_is_known_until_the_next_one_begins() {
    let at = FailedAt(Some(RecordPlace { split: "t/0".to_owned(), offset: 7 }));
    let failed = happens(Facts::new(1), [Event::GivenUp(at.clone()), Event::Rests(JobState::Failed)]);
    assert_eq!((failed.state, &failed.failed), (JobState::Failed, &Some(at.clone())));
    let paused = happens(failed, [Event::Desired(DesiredState::Paused), Event::Rests(JobState::Paused), Event::Starts]);
    assert_eq!(paused.failed, Some(at));
    assert_eq!(happens(paused, [Event::RunBegins { again: false }]).failed, None);
}

#[test]
fn a_job_that_is_set_aside_says_why() {
    let facts = happens(Facts::new(1), [Event::SetAside(JobState::Held, Error::unavailable("held"))]);
    assert_eq!((facts.state, facts.since_ms), (JobState::Held, 2));
    assert_eq!(facts.last_error.map(|(at, error)| (at, error.message().to_owned())), Some((2, "held".to_owned())));
}

#[test]
fn a_savepoint_ends_what_runs_and_holds_the_job_until_it_is_let_go() {
    for state in [JobState::Starting, JobState::Running, JobState::Retrying, JobState::Stopping] {
        assert_eq!(happens(in_state(state), [Event::SavepointAsked]).state, JobState::Stopping, "{state:?}");
    }
    for state in [JobState::Paused, JobState::Failed, JobState::Finished] {
        assert_eq!(happens(in_state(state), [Event::SavepointAsked]).state, state);
    }
    let old = Facts { savepoint: Some("of another one".to_owned()), ..in_state(JobState::Running) };
    let asked = happens(old, [Event::SavepointAsked]);
    assert_eq!((asked.is_held, &asked.savepoint), (true, &None));
    let saved = happens(asked, [Event::Stopped(Some("place".to_owned())), Event::Rests(JobState::Stopped)]);
    assert_eq!((saved.is_held, saved.savepoint.as_deref()), (true, Some("place")));
    let taken = happens(saved, [Event::SavepointTaken, Event::Desired(DesiredState::Stopped)]);
    assert_eq!((taken.is_held, &taken.savepoint), (true, &None));
    assert!(happens(taken.clone(), [Event::Desired(DesiredState::Running)]).is_held);
    assert!(!happens(taken.clone(), [Event::Released]).is_held);
    assert!(!happens(taken, [Event::Desired(DesiredState::Paused)]).is_held);
}
