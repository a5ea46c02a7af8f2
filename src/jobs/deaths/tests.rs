use super::*;

const DANGER: Record = Record { deaths: 0, is_in_danger: true, sign: String::new() };

#[test]
fn only_a_death_with_a_sign_counts_and_only_for_jobs_in_danger() {
    assert_eq!(after_process(DANGER, None).deaths, 0);
    assert_eq!(after_process(Record { deaths: 2, ..DANGER }, None), Record { deaths: 2, ..Record::default() });
    let died = after_process(Record { deaths: 2, ..DANGER }, Some("abort"));
    assert_eq!(died, Record { deaths: 3, is_in_danger: false, sign: "abort".to_owned() });
    assert_eq!(after_process(Record { deaths: 1, ..Record::default() }, Some("abort")).deaths, 1);
}

#[test]
fn three_deaths_set_a_job_aside_and_from_two_on_it_starts_alone() {
    assert_eq!([0, 1, 2, 3, 4].map(start), [Start::Now, Start::Now, Start::Alone, Start::Never, Start::Never]);
}

#[test]
fn a_checkpoint_idleness_or_time_proves_a_job() {
    let since = |seconds, has_read, has_checkpoint| {
        is_proven(SinceOpened { time: Duration::from_secs(seconds), has_read, has_checkpoint })
    };
    assert!(since(0, true, true));
    assert!(!since(30, true, false));
    assert!(since(60, true, false));
    assert!(!since(4, false, false));
    assert!(since(5, false, false));
}

#[test]
fn memory_is_looked_at_the_more_often_the_nearer_its_end_is() {
    let (gib, ms) = (1 << 30, Duration::from_millis);
    let far = Memory { resident: gib, limit: 64 * gib, available: 60 * gib, total: 64 * gib };
    assert_eq!(next_look(Some(far)), ms(250));
    assert_eq!(next_look(Some(Memory { resident: 50 * gib, ..far })), ms(149));
    assert_eq!(next_look(Some(Memory { resident: 52 * gib, ..far })), ms(20));
    // Others have taken the machine's memory; this process holds much of it.
    assert_eq!(next_look(Some(Memory { resident: 20 * gib, available: 4 * gib, ..far })), ms(99));
    // It may take 15 GiB before it counts as the one that does.
    assert_eq!(next_look(Some(Memory { available: gib, ..far })), ms(250));
    // It could not be read.
    assert_eq!(next_look(None), ms(20));
}

/// What the same job and the same poisoned record do over and over, and what innocent jobs beside it suffer.
#[test]
fn of_many_jobs_that_begin_together_only_the_guilty_one_is_set_aside() {
    let mut records = vec![Record::default(); 4];
    let guilty = 2;
    for _process in 0..20 {
        if start(records[guilty].deaths) == Start::Never {
            break;
        }
        // Those that may start together are in danger together; one that starts alone after them comes when they are proven.
        let mut alone: Vec<usize> = Vec::new();
        for (job, record) in records.iter_mut().enumerate() {
            match start(record.deaths) {
                Start::Now => record.is_in_danger = true,
                Start::Alone => alone.push(job),
                Start::Never => {}
            }
        }
        if !records[guilty].is_in_danger {
            records.iter_mut().filter(|record| record.is_in_danger).for_each(|record| *record = Record::default());
            for job in alone {
                records[job].is_in_danger = true;
                if job == guilty {
                    break;
                }
                records[job] = Record::default();
            }
        }
        records = records.into_iter().map(|record| after_process(record, Some("abort"))).collect();
    }
    let set_aside: Vec<usize> = (0..4).filter(|job| start(records[*job].deaths) == Start::Never).collect();
    assert_eq!(set_aside, [guilty]);
}

#[test]
fn want_of_memory_is_seen_before_the_end() {
    let gib = |count: u64| count << 30;
    let memory =
        |resident, limit, available| memory_sign(Memory { resident, limit, available, total: gib(64) }).is_some();
    assert!(!memory(gib(2), gib(4), gib(30)));
    assert!(memory(gib(4) * 9 / 10, gib(4), gib(30)));
    assert!(memory(gib(20), gib(64), gib(2)));
    assert!(!memory(gib(2), gib(64), gib(2)), "others have taken the memory");
}
