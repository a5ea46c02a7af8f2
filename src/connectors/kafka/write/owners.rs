//! Who owns a job's transactions: each opening of them has a name of its own, which stands in the progress topic. A process that has
//! owned them and opens them anew, after a failure say, first looks whether somebody else has taken them over meanwhile: then it stops,
//! for it would shut the rightful owner out. Whoever opens them for the first time takes them over: somebody has started the job there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

/// The names under which a process has owned transactions, by cluster and transactional id. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(super) struct Owners {
    known: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

/// Whether transactions may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayOpen {
    Yes,
    /// Somebody else owns them now.
    No,
}

/// Decides: `mine` are the names under which this process has owned them, `last` is the one that stands last in the progress topic.
pub(super) fn may_open(mine: &BTreeSet<String>, last: Option<&str>) -> MayOpen {
    match last {
        Some(last) if !mine.is_empty() && !mine.contains(last) => MayOpen::No,
        _ => MayOpen::Yes,
    }
}

impl Owners {
    /// Those of this process.
    pub fn of_process() -> Self {
        static OF_PROCESS: LazyLock<Owners> = LazyLock::new(Owners::default);
        OF_PROCESS.clone()
    }

    /// The names under which the transactions were owned here.
    pub fn mine(&self, transactions: &str) -> BTreeSet<String> {
        self.known.lock().get(transactions).cloned().unwrap_or_default()
    }

    /// They are owned here under another name from now on.
    pub fn note(&self, transactions: &str, owner: &str) {
        self.known.lock().entry(transactions.to_owned()).or_default().insert(owner.to_owned());
    }

    /// They are owned elsewhere. Whoever opens them here after that wants to take them over: a person has resumed the job.
    pub fn give_up(&self, transactions: &str) {
        self.known.lock().remove(transactions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn who_opens_for_the_first_time_takes_over_and_who_opens_anew_does_not() {
        assert_eq!(may_open(&names(&[]), None), MayOpen::Yes);
        assert_eq!(may_open(&names(&[]), Some("other")), MayOpen::Yes);
        assert_eq!(may_open(&names(&["a"]), Some("a")), MayOpen::Yes);
        assert_eq!(may_open(&names(&["a", "b"]), Some("a")), MayOpen::Yes);
        assert_eq!(may_open(&names(&["a", "b"]), Some("other")), MayOpen::No);
        // The topic was emptied or made anew: nobody else is known.
        assert_eq!(may_open(&names(&["a"]), None), MayOpen::Yes);
    }

    #[test]
    fn what_is_given_up_is_taken_over_by_the_next_who_opens() {
        let owners = Owners::default();
        owners.note("t", "a");
        owners.note("t", "b");
        owners.note("u", "c");
        assert_eq!(owners.mine("t"), names(&["a", "b"]));
        owners.give_up("t");
        assert_eq!((owners.mine("t"), owners.mine("u")), (names(&[]), names(&["c"])));
    }
}
