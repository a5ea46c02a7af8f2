use super::*;

/// One source, in words: found splits are `c<a+b` with the splits they follow; positions `a@5`; open ids; ended ones `a:1` with their task; ids
/// that are over. A recomputed epoch has ends like positions, and its own ids that are over.
#[derive(Default)]
struct Case {
    found: &'static str,
    positions: Option<&'static str>,
    open: &'static str,
    ended: &'static str,
    over: &'static str,
    recomputed: Option<(&'static str, &'static str)>,
}

fn positions(text: &str) -> BTreeMap<String, Position> {
    let position = |word: &str| {
        let (id, offset) = word.split_once('@').unwrap();
        (id.to_owned(), Position::Offset(offset.parse().unwrap()))
    };
    text.split_whitespace().map(position).collect()
}

fn found(word: &str) -> FoundSplit {
    let (id, parents) = word.split_once('<').unwrap_or((word, ""));
    let split = Split { id: id.to_owned(), resource: format!("r/{id}"), group: None };
    let parents = parents.split('+').filter(|parent| !parent.is_empty()).map(str::to_owned).collect();
    FoundSplit { split, parents }
}

impl Case {
    fn facts<T>(&self, take: impl FnOnce(&Facts<'_>) -> T) -> T {
        let found: Vec<FoundSplit> = self.found.split_whitespace().map(found).collect();
        let stored = self.positions.map(positions);
        let ended = self.ended.split_whitespace().map(|word| {
            let (id, task) = word.split_once(':').unwrap();
            (id, task.parse().unwrap())
        });
        let has = |words: &'static str| move |id: &str| words.split_whitespace().any(|word| word == id);
        let is_over = has(self.over);
        let was_over = has(self.recomputed.map_or("", |(_, over)| over));
        let ends = self.recomputed.map(|(ends, _)| positions(ends));
        take(&Facts {
            found: &found,
            positions: stored.as_ref(),
            open: self.open.split_whitespace().collect(),
            ended: ended.collect(),
            is_over: &is_over,
            recomputed: self.recomputed.map(|_| Recomputed { ends: ends.as_ref(), is_over: &was_over }),
        })
    }

    /// `a declared, b from 5 to 9, c beginning on 1; 2 wait`
    fn planned(&self) -> String {
        let Plan { openings, waiting } = self.facts(plan);
        let opening = |opening: &Opening| {
            let start = match &opening.start {
                Start::AsDeclared => "declared".to_owned(),
                Start::Beginning => "beginning".to_owned(),
                Start::At(position) => format!("from {position}"),
            };
            let end = opening.end.as_ref().map_or(String::new(), |end| format!(" to {end}"));
            let task = opening.task.map_or(String::new(), |task| format!(" on {task}"));
            format!("{} {start}{end}{task}", opening.split.id)
        };
        let mut text = openings.iter().map(opening).collect::<Vec<_>>().join(", ");
        if waiting > 0 {
            text += &format!("; {waiting} wait");
        }
        text
    }

    fn expected(&self) -> String {
        self.facts(|facts| facts.expected().into_iter().collect::<Vec<_>>().join(" "))
    }
}

#[test]
fn a_fresh_job_begins_as_declared_and_what_is_new_later_at_its_beginning() {
    assert_eq!(Case { found: "a b", ..Case::default() }.planned(), "a declared, b declared");
    // A source without splits has begun too.
    assert_eq!(Case { found: "a", positions: Some(""), ..Case::default() }.planned(), "a beginning");
    let later = Case { found: "a b c", positions: Some("a@5 b@0"), open: "a", ..Case::default() };
    assert_eq!(later.planned(), "b from 0, c beginning");
    assert_eq!(Case { found: "a", positions: Some("a@5"), open: "a", ..Case::default() }.planned(), "");
}

#[test]
fn what_has_ended_is_not_opened_again() {
    let ended = Case { found: "a b c", positions: Some("c@7"), ended: "a:0", over: "b", ..Case::default() };
    assert_eq!(ended.planned(), "c from 7");
    assert_eq!(ended.expected(), "c");
}

#[test]
fn a_split_waits_for_its_parents_and_follows_them_on_their_task() {
    let found = "a b c<a d<b e<c+d";
    assert_eq!(Case { found, ..Case::default() }.planned(), "a declared, b declared; 3 wait");
    let running = Case { found, positions: Some("a@0 b@0"), open: "a b", ..Case::default() };
    assert_eq!(running.planned(), "; 3 wait");
    // The end of `a` is in no checkpoint yet: its task goes on with its child. Then any may.
    let ended = Case { open: "b", ended: "a:1", ..Case { found, positions: Some("a@9 b@0"), ..Case::default() } };
    assert_eq!(ended.planned(), "c beginning on 1; 2 wait");
    let decided = Case { open: "b", over: "a", ..Case { found, positions: Some("b@0"), ..Case::default() } };
    assert_eq!(decided.planned(), "c beginning; 2 wait");
}

#[test]
fn a_split_with_parents_on_two_tasks_waits_until_their_ends_are_decided() {
    let found = "a b c<a+b";
    let case = |ended, over| Case { found, positions: Some("a@9 b@9"), ended, over, ..Case::default() };
    assert_eq!(case("a:0", "").planned(), "b from 9; 1 wait");
    assert_eq!(case("a:0 b:1", "").planned(), "; 1 wait");
    assert_eq!(case("a:1 b:1", "").planned(), "c beginning on 1");
    // Between the report and the decision an end is known to both.
    assert_eq!(case("a:0 b:1", "a b").planned(), "; 1 wait");
    assert_eq!(case("b:1", "a").planned(), "c beginning on 1");
    assert_eq!(case("", "a b").planned(), "c beginning");
}

#[test]
fn a_parent_that_is_not_there_any_more_is_not_waited_for() {
    // Its records are gone, and nothing of it was ever read.
    assert_eq!(Case { found: "c<a", ..Case::default() }.planned(), "c declared");
    assert_eq!(Case { found: "c<a", positions: Some(""), over: "a", ..Case::default() }.planned(), "c beginning");
    // A job that begins anew, with its first checkpoint lost, reads what follows in full whatever is declared.
    assert_eq!(Case { found: "c<a", ended: "a:0", ..Case::default() }.planned(), "c beginning on 0");
}

#[test]
fn what_must_be_there_is_what_has_positions_and_has_not_ended() {
    let case = Case { positions: Some("a@1 b@2 c@3"), open: "a", ended: "b:0", over: "c", ..Case::default() };
    assert_eq!(case.expected(), "a");
    assert_eq!(Case { positions: Some("a@1"), recomputed: Some(("a@4 b@5", "")), ..Case::default() }.expected(), "a b");
    assert_eq!(Case::default().expected(), "");
}

#[test]
fn a_lost_epoch_reads_its_splits_up_to_their_ends_and_those_that_ended_in_it_whole() {
    let case =
        Case { found: "a b c d", positions: Some("a@1 b@2"), recomputed: Some(("a@4 c@5", "b")), ..Case::default() };
    // `d` was found only later.
    assert_eq!(case.planned(), "a from 1 to 4, b from 2, c beginning to 5");
    // From the beginning of the job.
    let fresh = Case { found: "a b", recomputed: Some(("a@4 b@5", "")), ..Case::default() };
    assert_eq!(fresh.planned(), "a declared to 4, b declared to 5");
}

#[test]
fn a_lost_epoch_whose_splits_follow_each_other_is_read_by_one_task() {
    let found = "a b c<a d<c";
    let case = |open, ended| Case {
        found,
        positions: Some("a@1 b@2"),
        open,
        ended,
        recomputed: Some(("b@4 c@5", "a")),
        ..Case::default()
    };
    assert_eq!(case("", "").planned(), "a from 1 on 0, b from 2 to 4 on 0; 1 wait");
    assert_eq!(case("b", "a:0").planned(), "c beginning to 5 on 0");
}
