//! Where reading a topic begins and ends, as the options of its table say. Makes no request.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::options::OptionKind::{Number, Text};
use crate::options::{OptionEntry, OptionReader, list, option_entries};

option_entries! {
    /// Where reading begins.
    pub(super) STARTUP:
    STARTUP_MODE = OptionEntry::choice("scan.startup.mode",
        &["earliest-offset", "latest-offset", "group-offsets", "timestamp", "specific-offsets"],
        "Where reading begins. A job that starts again goes on where its checkpoint is.").or("group-offsets");
    STARTUP_OFFSETS = OptionEntry::new("scan.startup.specific-offsets", Text,
        "An offset for each partition, `partition:0,offset:42;partition:1,offset:300`; others begin at the group's. \
         For `specific-offsets`.");
    STARTUP_MILLIS = OptionEntry::new("scan.startup.timestamp-millis", Number,
        "Milliseconds since 1970: the first record of this time or later. For `timestamp`.");
}

option_entries! {
    /// Where reading ends.
    pub(super) BOUNDED:
    BOUNDED_MODE = OptionEntry::choice("scan.bounded.mode",
        &["unbounded", "latest-offset", "group-offsets", "timestamp", "specific-offsets"],
        "Where reading ends. A query always ends at what is the end when it begins, at the latest.").or("unbounded");
    BOUNDED_OFFSETS = OptionEntry::new("scan.bounded.specific-offsets", Text,
        "An offset for each partition, before which reading ends; others are not read. For `specific-offsets`.");
    BOUNDED_MILLIS = OptionEntry::new("scan.bounded.timestamp-millis", Number,
        "Milliseconds since 1970: reading ends before the first record of this time or later. For `timestamp`.");
}

/// Where reading begins (`scan.startup.mode`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// The oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// Where the group has committed; where it has not, the oldest record (or the newest, by `auto.offset.reset`).
    Group {
        /// `properties.auto.offset.reset` = latest.
        else_latest: bool,
    },
    /// The first record of this time or later.
    Timestamp(i64),
    /// An offset for each partition; others as `Group`.
    Offsets(BTreeMap<i32, i64>),
}

/// Where reading ends (`scan.bounded.mode`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounded {
    /// Never.
    No,
    /// At what is the end when reading begins.
    Latest,
    /// Where the group has committed.
    Group,
    /// Before the first record of this time or later.
    Timestamp(i64),
    /// Before an offset for each partition; others are not read.
    Offsets(BTreeMap<i32, i64>),
}

pub(super) fn take_startup(options: &mut OptionReader, reset: &str) -> Result<Startup> {
    let mode = options.take_choice_or(&STARTUP_MODE)?;
    let offsets = options.take(&STARTUP_OFFSETS);
    let timestamp: Option<i64> = options.take_parsed(&STARTUP_MILLIS)?;
    if offsets.is_some() && mode != "specific-offsets" {
        return Err(Error::invalid(
            "option \"scan.startup.specific-offsets\" needs 'scan.startup.mode' = 'specific-offsets'",
        ));
    }
    if timestamp.is_some() && mode != "timestamp" {
        return Err(Error::invalid("option \"scan.startup.timestamp-millis\" needs 'scan.startup.mode' = 'timestamp'"));
    }
    Ok(match mode {
        "earliest-offset" => Startup::Earliest,
        "latest-offset" => Startup::Latest,
        "group-offsets" => Startup::Group { else_latest: reset == "latest" },
        "timestamp" => Startup::Timestamp(timestamp.ok_or_else(|| {
            Error::invalid("'scan.startup.mode' = 'timestamp' needs option \"scan.startup.timestamp-millis\"")
        })?),
        _ => Startup::Offsets(parse_offsets(
            "scan.startup.specific-offsets",
            &offsets.ok_or_else(|| {
                Error::invalid(
                    "'scan.startup.mode' = 'specific-offsets' needs option \"scan.startup.specific-offsets\"",
                )
            })?,
        )?),
    })
}

pub(super) fn take_bounded(options: &mut OptionReader) -> Result<Bounded> {
    let mode = options.take_choice_or(&BOUNDED_MODE)?;
    let offsets = options.take(&BOUNDED_OFFSETS);
    let timestamp: Option<i64> = options.take_parsed(&BOUNDED_MILLIS)?;
    if offsets.is_some() && mode != "specific-offsets" {
        return Err(Error::invalid(
            "option \"scan.bounded.specific-offsets\" needs 'scan.bounded.mode' = 'specific-offsets'",
        ));
    }
    if timestamp.is_some() && mode != "timestamp" {
        return Err(Error::invalid("option \"scan.bounded.timestamp-millis\" needs 'scan.bounded.mode' = 'timestamp'"));
    }
    Ok(match mode {
        "unbounded" => Bounded::No,
        "latest-offset" => Bounded::Latest,
        "group-offsets" => Bounded::Group,
        "timestamp" => Bounded::Timestamp(timestamp.ok_or_else(|| {
            Error::invalid("'scan.bounded.mode' = 'timestamp' needs option \"scan.bounded.timestamp-millis\"")
        })?),
        _ => Bounded::Offsets(parse_offsets(
            "scan.bounded.specific-offsets",
            &offsets.ok_or_else(|| {
                Error::invalid(
                    "'scan.bounded.mode' = 'specific-offsets' needs option \"scan.bounded.specific-offsets\"",
                )
            })?,
        )?),
    })
}

/// Reads `partition:0,offset:42;partition:1,offset:300`.
fn parse_offsets(option: &str, text: &str) -> Result<BTreeMap<i32, i64>> {
    let read = |pair: &str| -> Option<(i32, i64)> {
        let (partition, offset) = pair.split_once(',')?;
        let partition = partition.trim().strip_prefix("partition:")?.trim().parse().ok()?;
        let offset = offset.trim().strip_prefix("offset:")?.trim().parse().ok()?;
        (partition >= 0 && offset >= 0).then_some((partition, offset))
    };
    list(text)
        .iter()
        .map(|pair| {
            read(pair).ok_or_else(|| {
                Error::invalid(format!("option \"{option}\": cannot read '{pair}'"))
                    .hint("Write partition:0,offset:42;partition:1,offset:300.")
            })
        })
        .collect()
}
