use super::*;

fn in_state(state: JobState) -> Facts {
    Facts { state, ..Facts::new(0) }
}

#[test]
fn a_job_is_brought_where_it_is_wanted() {
    use DesiredState::{Paused, Running, Stopped};
    for (desired, actual, resumed, action) in [
        (Some(Running), None, false, Action::Start),
        (Some(Running), Some(JobState::Paused), true, Action::Start),
        (Some(Running), Some(JobState::Running), false, Action::Nothing),
        (Some(Running), Some(JobState::Failed), false, Action::Nothing),
        (Some(Running), Some(JobState::Failed), true, Action::Start),
        (Some(Running), Some(JobState::Held), false, Action::Nothing),
        (Some(Running), Some(JobState::Held), true, Action::Start),
        (Some(Running), Some(JobState::Quarantined), false, Action::Nothing),
        (Some(Stopped), Some(JobState::Held), false, Action::Rest(JobState::Stopped)),
        (Some(Paused), Some(JobState::Retrying), false, Action::End),
        (Some(Stopped), Some(JobState::Stopped), false, Action::Nothing),
        (None, Some(JobState::Running), false, Action::End),
        (None, None, false, Action::Nothing),
    ] {
        let facts = actual.map(in_state);
        assert_eq!(decide(desired, facts.as_ref(), resumed), action, "{desired:?} {actual:?} {resumed}");
    }
}

const STATES: [JobState; 10] = [
    JobState::Held,
    JobState::Starting,
    JobState::Running,
    JobState::Retrying,
    JobState::Stopping,
    JobState::Paused,
    JobState::Stopped,
    JobState::Failed,
    JobState::Quarantined,
    JobState::Finished,
];

#[test]
fn stop_and_pause_work_in_every_state() {
    for (desired, rest) in [(DesiredState::Stopped, JobState::Stopped), (DesiredState::Paused, JobState::Paused)] {
        for state in STATES {
            let expected = match state {
                state if state.is_active() => Action::End,
                state if state == rest => Action::Nothing,
                _ => Action::Rest(rest),
            };
            assert_eq!(decide(Some(desired), Some(&in_state(state)), false), expected, "{desired:?} {state:?}");
            // The task that is told to end leaves no other state, also if it fails on the way.
            if state != JobState::Finished {
                assert_eq!(ended(Some(state), Some(desired)), rest, "{desired:?} {state:?}");
            }
        }
        assert_eq!(ended(None, Some(desired)), rest);
    }
    assert_eq!(ended(Some(JobState::Failed), Some(DesiredState::Running)), JobState::Failed);
}

#[test]
fn only_a_running_job_makes_a_savepoint_of_now() {
    let of_now: Vec<_> = STATES.into_iter().filter(|state| saving(&in_state(*state)) == Saving::LastEpoch).collect();
    assert_eq!(of_now, [JobState::Running]);
}

#[test]
fn outages_are_retried_for_ever_and_defects_a_few_times() {
    assert_eq!(after_failure(ErrorKind::Unavailable, 1000), AfterFailure::Retry);
    assert_eq!(after_failure(ErrorKind::Internal, 1), AfterFailure::Retry);
    assert_eq!(after_failure(ErrorKind::Internal, DEFECTS_IN_A_ROW), AfterFailure::GiveUp);
    for kind in [ErrorKind::Invalid, ErrorKind::Row] {
        assert_eq!((after_failure(kind, 1), given_up(kind)), (AfterFailure::GiveUp, JobState::Failed));
    }
}

#[test]
fn a_job_that_is_held_for_a_savepoint_is_left_until_it_is_dropped() {
    for state in STATES {
        let held = Facts { is_held: true, ..in_state(state) };
        for desired in [DesiredState::Running, DesiredState::Stopped] {
            assert_eq!(decide(Some(desired), Some(&held), true), Action::AwaitSavepoint, "{desired:?} {state:?}");
        }
        let dropped = if state.is_active() { Action::End } else { Action::Nothing };
        assert_eq!(decide(None, Some(&held), false), dropped, "{state:?}");
    }
}

#[test]
fn a_job_whose_outside_does_not_answer_is_shown_as_tried_again() {
    let outage = || Error::unavailable("no answer");
    let state = |facts: &Facts, stuck: Option<Error>, is_open: bool| {
        let (state, error) = shown(facts, stuck, is_open, 9);
        (state, error.map(|(at, _)| at))
    };
    let running = in_state(JobState::Running);
    assert_eq!(state(&running, None, false), (JobState::Running, None));
    assert_eq!(state(&running, Some(outage()), true), (JobState::Retrying, Some(9)));
    let failed_before = Facts { last_error: Some((5, outage())), ..running };
    assert_eq!(state(&failed_before, None, false), (JobState::Retrying, Some(5)));
    assert_eq!(state(&failed_before, None, true), (JobState::Running, Some(5)), "the error is kept");
    let defect = Facts { last_error: Some((5, Error::internal("a defect"))), ..failed_before.clone() };
    assert_eq!(state(&defect, None, false), (JobState::Running, Some(5)));
    let paused = Facts { state: JobState::Paused, ..failed_before };
    assert_eq!(state(&paused, Some(outage()), false), (JobState::Paused, Some(5)));
}
