//! The topic settings that the broker has: their defaults (Kafka's), their checks, and what a log does by them.
//! A setting that would have no effect is refused rather than stored.

use std::collections::BTreeMap;

use super::log::LogSettings;

/// Config types of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean = 1,
    Text = 2,
    Int = 3,
    Long = 5,
    List = 7,
}

pub struct Setting {
    pub name: &'static str,
    pub default: &'static str,
    pub kind: Kind,
    accepts: fn(&str) -> bool,
}

pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        default: "delete",
        kind: Kind::List,
        // Kafka promises no time by which a log is compacted; here it never is, and keeps everything.
        accepts: |value| value.split(',').all(|policy| matches!(policy.trim(), "delete" | "compact")),
    },
    Setting { name: "compression.type", default: "producer", kind: Kind::Text, accepts: |value| value == "producer" },
    Setting {
        name: "max.message.bytes",
        default: "1048588",
        kind: Kind::Int,
        accepts: |value| value.parse::<i32>().is_ok_and(|bytes| bytes >= 0),
    },
    Setting {
        name: "message.timestamp.type",
        default: "CreateTime",
        kind: Kind::Text,
        accepts: |value| value == "CreateTime",
    },
    Setting { name: "min.insync.replicas", default: "1", kind: Kind::Int, accepts: |value| value == "1" },
    Setting {
        name: "retention.bytes",
        default: "-1",
        kind: Kind::Long,
        accepts: |value| value.parse::<i64>().is_ok_and(|bytes| bytes >= -1),
    },
    Setting {
        name: "retention.ms",
        default: "604800000",
        kind: Kind::Long,
        accepts: |value| value.parse::<i64>().is_ok_and(|ms| ms >= -1),
    },
    Setting {
        name: "segment.bytes",
        default: "1073741824",
        kind: Kind::Int,
        accepts: |value| value.parse::<i32>().is_ok_and(|bytes| bytes >= 14),
    },
];

/// Checks a topic's own settings and makes of them what its partitions need.
pub fn settings(config: &BTreeMap<String, String>) -> Result<LogSettings, String> {
    for (name, value) in config {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            return Err(format!("the embedded broker has no topic setting \"{name}\""));
        };
        if !(setting.accepts)(value) {
            return Err(format!("the embedded broker does not accept \"{value}\" for topic setting \"{name}\""));
        }
    }
    // Defaults are numbers, and own values were checked above.
    let number = |name: &str| value_of(config, name).parse::<i64>().unwrap_or(-1);
    let keeps_everything = value_of(config, "cleanup.policy").split(',').all(|policy| policy.trim() != "delete");
    let bound = |name: &str| Some(number(name)).filter(|bound| *bound >= 0 && !keeps_everything);
    Ok(LogSettings {
        segment_bytes: number("segment.bytes").unsigned_abs(),
        batch_bytes_max: usize::try_from(number("max.message.bytes")).unwrap_or(usize::MAX),
        retention_ms: bound("retention.ms"),
        retention_bytes: bound("retention.bytes").map(i64::unsigned_abs),
    })
}

/// A topic's own value, or the default.
pub fn value_of<'a>(config: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    let default = SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default);
    config.get(name).map_or(default, String::as_str)
}
