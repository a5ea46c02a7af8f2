//! For whom a statement is planned, also within the views and functions that it names. Knows no planner.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::Need;
use crate::sql::privileges::Actor;

/// For whom a statement is planned.
#[derive(Clone)]
pub(super) struct Asking {
    /// Whose statement it is.
    pub(super) caller: Actor,
    /// The owner of the view whose text is planned.
    pub(super) of_view: Option<u32>,
    /// What has been needed so far.
    pub(super) needs: Arc<Mutex<BTreeSet<Need>>>,
}

impl Asking {
    pub(super) fn of(caller: Actor) -> Self {
        Self { caller, of_view: None, needs: Arc::default() }
    }

    /// For the text of a view.
    pub(super) fn in_view(&self, owner: u32) -> Self {
        Self { of_view: Some(owner), ..self.clone() }
    }

    /// For the body of a function.
    pub(super) fn in_function(&self) -> Self {
        Self { of_view: None, ..self.clone() }
    }

    pub(super) fn actor(&self) -> Actor {
        match (self.caller, self.of_view) {
            (Actor::Everything, _) => Actor::Everything,
            (_, Some(owner)) => Actor::Role(owner),
            (caller, None) => caller,
        }
    }
}
