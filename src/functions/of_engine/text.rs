//! Texts and bytes: DataFusion's functions that Postgres and Flink call the same.

use super::entry;
use crate::functions::entry::Entry;

const TEXT: &[&str] = &["text → text"];
const LENGTH: &[&str] = &["text → integer"];
const TEST: &[&str] = &["text, text → boolean"];
const PLACE: &[&str] = &["text, text → integer"];
const TRIM: &[&str] = &["text → text", "text, text → text"];
const HASH: &[&str] = &["text → bytea", "bytea → bytea"];
const COUNTED: &[&str] = &["text, text, bigint → text"];

pub(super) const ENTRIES: &[Entry] = &[
    entry("ascii", &[], LENGTH, "The code of the first character.").example("ASCII('A')", "65"),
    entry("bit_length", &[], LENGTH, "How many bits a text has in UTF-8.").example("BIT_LENGTH('abc')", "24"),
    entry("btrim", &["trim"], TRIM, "The text without blanks, or without the given characters, at both ends.")
        .example("BTRIM('xxabxx', 'x')", "ab"),
    entry("character_length", &["char_length", "length"], LENGTH, "How many characters a text has.")
        .example("CHAR_LENGTH('Größe')", "5"),
    entry("chr", &[], &["bigint → text"], "The character of a code.").example("CHR(65)", "A"),
    entry("contains", &[], TEST, "Whether the second text stands in the first.").example("CONTAINS('abc', 'bc')", "t"),
    entry("decode", &[], &["text, text → bytea"], "Bytes of a text in `hex` or `base64`.")
        .example("DECODE('6162', 'hex')", "\\x6162"),
    entry(
        "digest",
        &[],
        HASH_BY_NAME,
        "The hash of a text or of bytes by the algorithm of that name, such as `sha256`.",
    )
    .example("ENCODE(DIGEST('a', 'md5'), 'hex')", "0cc175b9c0f1b6a831c399e269772661"),
    entry("encode", &[], &["bytea, text → text", "text, text → text"], "Bytes as a text in `hex` or `base64`.")
        .example("ENCODE('ab', 'base64')", "YWI="),
    entry("ends_with", &[], TEST, "Whether the first text ends with the second.")
        .example("ENDS_WITH('abc', 'bc')", "t"),
    entry(
        "find_in_set",
        &[],
        PLACE,
        "The place, from 1, of a text in a list whose parts are separated by commas; 0 if it is none \
         of them.",
    )
    .example("FIND_IN_SET('b', 'a,b,c')", "2"),
    entry("initcap", &[], TEXT, "Each word with a capital letter first and small letters behind it.")
        .example("INITCAP('two words')", "Two Words"),
    entry(
        "levenshtein",
        &[],
        PLACE,
        "How many characters must be put in, left out or changed to make one text of the other.",
    )
    .example("LEVENSHTEIN('kitten', 'sitting')", "3"),
    entry("lower", &[], TEXT, "The text in small letters.").example("LOWER('Abc')", "abc"),
    entry("ltrim", &[], TRIM, "The text without blanks, or without the given characters, at its beginning.")
        .example("LTRIM('xxab', 'x')", "ab"),
    entry("md5", &[], &["text → text", "bytea → text"], "The MD5 hash, as hexadecimal digits.")
        .example("MD5('a')", "0cc175b9c0f1b6a831c399e269772661"),
    entry("octet_length", &[], LENGTH, "How many bytes a text has in UTF-8.").example("OCTET_LENGTH('Größe')", "7"),
    entry(
        "overlay",
        &[],
        &["text, text, bigint → text", "text, text, bigint, bigint → text"],
        "The first text with the second in place of its characters from a place on, as many as the \
         second has or as are given.",
    )
    .example("OVERLAY('abcd' PLACING 'xx' FROM 2)", "axxd"),
    entry(
        "regexp_count",
        &[],
        &["text, text → bigint", "text, text, bigint → bigint", "text, text, bigint, text → bigint"],
        "How often a regular expression matches, from a place on, with flags such as `i`.",
    )
    .example("REGEXP_COUNT('abcabc', 'b')", "2"),
    entry(
        "regexp_instr",
        &[],
        &["text, text → bigint", "text, text, bigint → bigint"],
        "The place, from 1, of the first match of a regular expression; 0 if there is none.",
    )
    .example("REGEXP_INSTR('abc', 'b')", "2"),
    entry(
        "regexp_like",
        &[],
        &["text, text → boolean", "text, text, text → boolean"],
        "Whether a regular expression matches a part of the text, with flags such as `i`.",
    )
    .example("REGEXP_LIKE('abc', 'B', 'i')", "t"),
    entry(
        "regexp_match",
        &[],
        &["text, text → text[]", "text, text, text → text[]"],
        "The groups of the first match of a regular expression, or the match if it has no groups.",
    )
    .example("REGEXP_MATCH('a1', '([a-z])([0-9])')", "{a,1}"),
    entry("reverse", &[], TEXT, "The characters in the opposite order.").example("REVERSE('abc')", "cba"),
    entry("rtrim", &[], TRIM, "The text without blanks, or without the given characters, at its end.")
        .example("RTRIM('abxx', 'x')", "ab"),
    entry("sha224", &[], HASH, "The SHA-224 hash."),
    entry("sha256", &[], HASH, "The SHA-256 hash.").example("SUBSTR(ENCODE(SHA256('a'), 'hex'), 1, 8)", "ca978112"),
    entry("sha384", &[], HASH, "The SHA-384 hash."),
    entry("sha512", &[], HASH, "The SHA-512 hash."),
    entry(
        "split_part",
        &[],
        COUNTED,
        "The part of that number, from 1, of a text that is split at a delimiter; an empty text if \
         there is none.",
    )
    .example("SPLIT_PART('a,b,c', ',', 2)", "b"),
    entry("starts_with", &[], TEST, "Whether the first text begins with the second.")
        .example("STARTS_WITH('abc', 'ab')", "t"),
    entry(
        "strpos",
        &["instr", "position"],
        PLACE,
        "The place, from 1, of the second text in the first; 0 if it is not there.",
    )
    .example("STRPOS('abc', 'c')", "3"),
    entry(
        "substr_index",
        &["substring_index"],
        COUNTED,
        "What stands before the delimiter of that number, or, if the number is negative, behind that \
         one counted from the end.",
    )
    .example("SUBSTR_INDEX('a.b.c', '.', 2)", "a.b"),
    entry("to_hex", &[], &["bigint → text"], "A whole number as hexadecimal digits.").example("TO_HEX(255)", "ff"),
    entry(
        "translate",
        &[],
        &["text, text, text → text"],
        "The text with each character of the second text replaced by the one at its place in the \
         third.",
    )
    .example("TRANSLATE('abc', 'ab', 'xy')", "xyc"),
    entry("upper", &[], TEXT, "The text in capital letters.").example("UPPER('abc')", "ABC"),
    entry("uuid", &[], &["→ text"], "A random UUID (version 4).").volatile(),
];

const HASH_BY_NAME: &[&str] = &["text, text → bytea", "bytea, text → bytea"];
