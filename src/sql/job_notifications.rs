//! Changes of the states of jobs, told to whoever listens: `LISTEN streamgate_jobs`.

use std::sync::Arc;

use serde_json::json;

use super::activity::{Activity, Notification};
use crate::jobs::{Jobs, StateChange};

/// The channel.
const CHANNEL: &str = "streamgate_jobs";
/// Characters of an error that are told.
const ERROR_CHARACTERS_MAX: usize = 1000;

/// Tells listeners of every change from now on.
pub(super) fn tell(jobs: &Jobs, activity: &Arc<Activity>) {
    let activity = Arc::clone(activity);
    jobs.on_state_change(move |change| {
        let (channel, payload) = (CHANNEL.into(), payload(&change).into());
        activity.channels.publish(&[Notification { process_id: 0, channel, payload }]);
    });
}

fn payload(change: &StateChange<'_>) -> String {
    let at = chrono::DateTime::from_timestamp_millis(change.at_ms)
        .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    let mut payload = json!({ "job": change.job, "from": change.from.name(), "to": change.to.name(), "at": at });
    if let Some(error) = change.error {
        let text = error.to_string();
        payload["error"] = text.chars().take(ERROR_CHARACTERS_MAX).collect::<String>().into();
    }
    payload.to_string()
}
