use tracing::subscriber::{NoSubscriber, with_default};

use super::*;

#[test]
fn nobody_is_asked_for_a_command_that_nobody_sees() {
    let span = with_default(NoSubscriber::default(), || of_statement(|| unreachable!("the span is disabled")));
    assert!(span.is_disabled());
}
