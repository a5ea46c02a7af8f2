//! Dates and times: DataFusion's functions that stand beside ours.

use super::entry;
use crate::functions::entry::Entry;

const OF_TEXT_OR_NUMBER: &[&str] = &["text → timestamptz", "bigint → timestamptz"];

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "date_part",
        &["datepart"],
        &[
            "text, timestamp → integer",
            "text, date → integer",
            "text, timestamptz → integer",
            "text, interval → integer",
        ],
        "A part of a date, a time or an interval, as EXTRACT gives it; `dow` counts from Sunday \
         as 0. `second` and `millisecond` have their fraction, `epoch` is a number of seconds.",
    )
    .example("DATE_PART('year', DATE '2024-01-05')", "2024"),
    entry("make_date", &[], &["integer, integer, integer → date"], "The date of a year, a month and a day.")
        .example("MAKE_DATE(2024, 1, 5)", "2024-01-05"),
    entry("make_time", &[], &["integer, integer, integer → time"], "The time of hours, minutes and seconds.")
        .example("MAKE_TIME(13, 4, 5)", "13:04:05"),
    entry("to_time", &[], &["text → time"], "A time that is written as `13:04:05`.")
        .example("TO_TIME('13:04:05')", "13:04:05"),
    entry("to_timestamp_micros", &[], OF_TEXT_OR_NUMBER, "A timestamp of a text, or of microseconds since 1970.")
        .example("TO_TIMESTAMP_MICROS(1500000)", "1970-01-01 00:00:01.5+00"),
    entry("to_timestamp_millis", &[], OF_TEXT_OR_NUMBER, "A timestamp of a text, or of milliseconds since 1970.")
        .example("TO_TIMESTAMP_MILLIS(1500)", "1970-01-01 00:00:01.5+00"),
    entry("to_timestamp_nanos", &[], OF_TEXT_OR_NUMBER, "A timestamp of a text, or of nanoseconds since 1970.")
        .example("TO_TIMESTAMP_NANOS(1500000000)", "1970-01-01 00:00:01.5+00"),
    entry("to_timestamp_seconds", &[], OF_TEXT_OR_NUMBER, "A timestamp of a text, or of seconds since 1970.")
        .example("TO_TIMESTAMP_SECONDS(1)", "1970-01-01 00:00:01+00"),
    entry(
        "to_unixtime",
        &[],
        &["timestamp → bigint", "date → bigint", "text → bigint"],
        "The seconds from 1970 to a timestamp, a date or a text of one.",
    )
    .example("TO_UNIXTIME(TIMESTAMP '1970-01-01 00:01:00')", "60"),
];
