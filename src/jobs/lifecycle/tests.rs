use super::*;

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
        (Some(Stopped), Some(JobState::Held), false, Action::Nothing),
        (Some(Paused), Some(JobState::Retrying), false, Action::End),
        (Some(Stopped), Some(JobState::Stopped), false, Action::Nothing),
        (None, Some(JobState::Running), false, Action::End),
        (None, None, false, Action::Nothing),
    ] {
        assert_eq!(decide(desired, actual, resumed), action, "{desired:?} {actual:?} {resumed}");
    }
}

#[test]
fn outages_are_retried_for_ever_and_defects_a_few_times() {
    assert_eq!(after_failure(ErrorKind::Unavailable, 1000), AfterFailure::Retry);
    assert_eq!(after_failure(ErrorKind::Internal, 1), AfterFailure::Retry);
    assert_eq!(after_failure(ErrorKind::Internal, DEFECTS_IN_A_ROW), AfterFailure::GiveUp);
    assert_eq!(after_failure(ErrorKind::Invalid, 1), AfterFailure::GiveUp);
}
