//! docs/reference/settings.md, written from the definitions. `UPDATE_EXPECT=1 cargo test --lib the_reference_page` writes it.

use std::fmt::Write as _;

use super::definitions::{ALIASES, DEFINITIONS, Definition};
use crate::options::setting::Kind;

/// The page.
pub(super) fn page() -> String {
    let mut page = "# Settings\n\nWritten by the tests from the code: change it there. `SET 'name' = 'value'` (or `SET name = value`) sets one for the \
                    session, `RESET` goes\nback to the default, `SHOW ALL` shows all. A duration is a number with a unit: `500 ms`, `10 s`, `5 min`, `1 h`, `30 d`.\n"
        .to_owned();
    let part = |title: &str, text: &str, wanted: &dyn Fn(&Definition) -> bool| {
        let mut part = format!("\n## {title}\n\n{text}\n\n| name | takes | default | |\n|---|---|---|---|\n");
        for definition in DEFINITIONS.iter().filter(|definition| wanted(definition)) {
            let default =
                if definition.default.is_empty() { String::new() } else { format!("`{}`", definition.default) };
            let takes = definition.kind.describe();
            let _ = writeln!(part, "| `{}` | {takes} | {default} | {} |", definition.name, definition.description);
        }
        part
    };
    let is_fixed = |definition: &Definition| matches!(definition.kind, Kind::DefaultOnly | Kind::ReadOnly);
    page += &part("Of jobs", "A job keeps those of the session that submits it.", &|definition| definition.of_jobs);
    page += &part("Of sessions", "They hold for the session that sets them.", &|definition| {
        !definition.of_jobs && !is_fixed(definition)
    });
    page += &part(
        "That only tell",
        "They are known so that scripts and drivers may ask for them, or set them to what they are.",
        &|definition| is_fixed(definition),
    );
    page += "\n## Other names\n\n| name | means |\n|---|---|\n";
    for (alias, name) in ALIASES {
        let _ = writeln!(page, "| `{alias}` | `{name}` |");
    }
    page
}
