//! JSON records → columns, directed by the schema: one pass of serde_json over the record's bytes, in which only the wanted
//! fields are taken (by the text of their values) and everything else is skipped. No allocation for a scalar.

use std::collections::HashMap;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{Field, Fields};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scalar::{self, Problem};
use super::{Options, Reading};
use crate::error::{Error, Result, SqlState};
use crate::formats::columns::Column;
use crate::formats::{Decoded, Decoder};

/// Names remembered for the positional hint, at most.
const HINTS_MAX: usize = 256;

/// The row has no value for a column yet.
const MISSING: u8 = 0;
/// It has one by a name in another case.
const BY_OTHER_CASE: u8 = 1;
/// It has one by exactly the declared name.
const BY_NAME: u8 = 2;
/// It has one that nothing replaces.
const OVERLAID: u8 = 3;

/// What a key of an object stands for.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Index into `columns`; absent for a key that nobody wants.
    column: Option<usize>,
    /// The name is written as in the declaration.
    is_exact: bool,
}

pub(in crate::formats) struct JsonDecoder {
    /// All declared fields, wanted or not: a key belongs to the field of exactly its name first.
    fields: Fields,
    exact: HashMap<String, usize>,
    /// For each declared field, its column.
    column_of: Vec<Option<usize>>,
    /// The wanted columns in projection order, then those that are only watched because they may not be NULL.
    columns: Vec<(std::sync::Arc<Field>, Column)>,
    projected: usize,
    /// Keys by their place in the last records: records of one topic mostly look alike.
    hints: Vec<(Box<str>, Slot)>,
    options: Reading,
    rows: usize,
    /// For each column whether this row has it.
    filled: Vec<u8>,
}

impl JsonDecoder {
    pub(in crate::formats) fn new(fields: &Fields, projection: &[usize], options: Options) -> Result<Self> {
        // Of all columns: CREATE TABLE asks for none, and is to hear of those that no record could fill.
        scalar::check_types(fields)?;
        for field in fields {
            Column::new(field.data_type())?;
        }
        let mut wanted = projection.to_vec();
        // Rows with NULL in a NOT NULL column are bad rows, whichever columns a query asks for.
        wanted.extend((0..fields.len()).filter(|index| !fields[*index].is_nullable() && !projection.contains(index)));
        let mut column_of = vec![None; fields.len()];
        let mut columns = Vec::with_capacity(wanted.len());
        for index in wanted {
            column_of[index] = Some(columns.len());
            columns.push((fields[index].clone(), Column::new(fields[index].data_type())?));
        }
        Ok(Self {
            exact: fields.iter().enumerate().rev().map(|(index, field)| (field.name().clone(), index)).collect(),
            fields: fields.clone(),
            column_of,
            filled: vec![MISSING; columns.len()],
            columns,
            projected: projection.len(),
            hints: Vec::new(),
            options: Reading::new(options),
            rows: 0,
        })
    }

    fn slot(&mut self, place: usize, name: &str) -> Slot {
        if let Some((hint, slot)) = self.hints.get(place)
            && **hint == *name
        {
            return *slot;
        }
        let field = match self.exact.get(name) {
            Some(index) => Some((*index, true)),
            None => self.fields.iter().position(|field| field.name().eq_ignore_ascii_case(name)).map(|i| (i, false)),
        };
        let slot = Slot {
            column: field.and_then(|(index, _)| self.column_of[index]),
            is_exact: field.is_some_and(|(_, is_exact)| is_exact),
        };
        if place == self.hints.len() && place < HINTS_MAX {
            self.hints.push((name.into(), slot));
        }
        slot
    }

    fn cut(&mut self, rows: usize) {
        for (_, column) in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = rows;
    }

    /// Adds one object as a row; on an error the columns are as before.
    fn row<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), String>
    where
        D::Error: std::fmt::Display,
    {
        self.filled.fill(MISSING);
        let nulled = self.options.nulled.get();
        let outcome = self.read(json);
        self.end_row(outcome, nulled)
    }

    /// Values that did not fit and became NULL since the last call.
    pub(in crate::formats) fn take_nulled(&mut self) -> usize {
        self.options.nulled.take()
    }

    /// Adds the object that `text` is as a row.
    ///
    /// # Errors
    /// Why it is none; the columns are as before.
    pub(in crate::formats) fn push_row(&mut self, text: &str) -> Result<(), String> {
        self.row(&mut serde_json::Deserializer::from_str(text))
    }

    /// Adds the object `base` as a row, with the fields of `over` in place of its own.
    ///
    /// # Errors
    /// As [`Self::push_row`].
    pub(in crate::formats) fn push_overlaid_row(&mut self, base: &str, over: &str) -> Result<(), String> {
        self.filled.fill(MISSING);
        let nulled = self.options.nulled.get();
        let mut outcome = self.read(&mut serde_json::Deserializer::from_str(over));
        if outcome.is_ok() {
            for filled in self.filled.iter_mut().filter(|filled| **filled != MISSING) {
                *filled = OVERLAID;
            }
            outcome = self.read(&mut serde_json::Deserializer::from_str(base));
        }
        self.end_row(outcome, nulled)
    }

    /// Fills the row that is begun with what an object has.
    fn read<'de, D: Deserializer<'de>>(&mut self, json: D) -> Result<(), String>
    where
        D::Error: std::fmt::Display,
    {
        let mut problem = None;
        let read = json.deserialize_map(RowVisitor { decoder: self, problem: &mut problem });
        match (read, problem) {
            (Err(error), _) => Err(format!("is no JSON object of one row: {error}")),
            (Ok(()), Some(problem)) => Err(told(&problem)),
            (Ok(()), None) => Ok(()),
        }
    }

    /// `nulled`: the count before the row, which stands again if the row is none.
    fn end_row(&mut self, outcome: Result<(), String>, nulled: usize) -> Result<(), String> {
        match outcome.and_then(|()| self.fill_missing().map_err(|problem| told(&problem))) {
            Ok(()) => {
                self.rows += 1;
                Ok(())
            }
            Err(text) => {
                self.cut(self.rows);
                self.options.nulled.set(nulled);
                Err(text)
            }
        }
    }

    fn fill_missing(&mut self) -> Result<(), Problem> {
        for ((field, column), filled) in self.columns.iter_mut().zip(&self.filled) {
            if *filled == MISSING {
                if self.options.fail_on_missing_field {
                    return Err(Problem::new("is missing").within(field.name()));
                }
                if !field.is_nullable() {
                    return Err(Problem::new("is NULL, but declared NOT NULL").within(field.name()));
                }
                column.append_null();
            }
        }
        Ok(())
    }

    fn single(&mut self, record: &[u8]) -> Result<(), String> {
        // Checking the whole text once is cheaper than each string in it.
        match std::str::from_utf8(record) {
            Ok(text) => self.only_row(serde_json::Deserializer::from_str(text)),
            Err(_) => self.only_row(serde_json::Deserializer::from_slice(record)),
        }
    }

    /// Adds the object behind which nothing else may come.
    fn only_row<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        mut json: serde_json::Deserializer<R>,
    ) -> Result<(), String> {
        let before = self.rows;
        self.row(&mut json)?;
        json.end().map_err(|error| {
            self.cut(before);
            format!("goes on after its end: {error}")
        })
    }

    fn several(&mut self, record: &[u8]) -> Result<Decoded, String> {
        let rows: Vec<&RawValue> =
            serde_json::from_slice(record).map_err(|error| format!("is no JSON array: {error}"))?;
        let (before, mut decoded) = (self.rows, Decoded::default());
        for row in rows {
            match self.row(&mut serde_json::Deserializer::from_str(row.get())) {
                Ok(()) => decoded.rows += 1,
                Err(_) if self.options.ignore_parse_errors => decoded.skipped += 1,
                Err(text) => {
                    self.cut(before);
                    return Err(text);
                }
            }
        }
        Ok(decoded)
    }
}

fn told(problem: &Problem) -> String {
    format!("field \"{}\" {}", problem.path, problem.what)
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, record: &[u8]) -> Result<Decoded> {
        let skipped = Decoded { rows: 0, skipped: 1, nulled: 0 };
        self.take_nulled();
        // Nothing in it is no row (a tombstone), as in Flink.
        let Some(first) = record.iter().find(|byte| !byte.is_ascii_whitespace()) else { return Ok(skipped) };
        let outcome = if *first == b'[' {
            self.several(record)
        } else {
            self.single(record).map(|()| Decoded { rows: 1, ..Decoded::default() })
        };
        match outcome {
            Ok(decoded) => Ok(Decoded { nulled: self.take_nulled(), ..decoded }),
            Err(_) if self.options.ignore_parse_errors => Ok(skipped),
            Err(text) => Err(Error::row(format!("record {text}")).code(SqlState::InvalidTextRepresentation)),
        }
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn truncate(&mut self, len: usize) {
        self.cut(len.min(self.rows));
    }

    fn push_blank(&mut self) {
        for (field, column) in &mut self.columns {
            column.append_blank(field.is_nullable());
        }
        self.rows += 1;
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows = 0;
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (_, column) in &mut self.columns {
            arrays.push(column.finish()?);
        }
        arrays.truncate(self.projected);
        Ok(arrays)
    }
}

/// Finds the slot of the key at `place`.
struct KeySeed<'a> {
    decoder: &'a mut JsonDecoder,
    place: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Slot;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Slot, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Slot;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Slot, E> {
        Ok(self.decoder.slot(self.place, name))
    }
}

struct RowVisitor<'a> {
    decoder: &'a mut JsonDecoder,
    problem: &'a mut Option<Problem>,
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { decoder, problem } = self;
        let mut place = 0;
        while let Some(slot) = map.next_key_seed(KeySeed { decoder, place })? {
            place += 1;
            let rank = if slot.is_exact { BY_NAME } else { BY_OTHER_CASE };
            let Some(index) = slot.column.filter(|index| problem.is_none() && decoder.filled[*index] <= rank) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = map.next_value::<&RawValue>()?;
            let (field, column) = &mut decoder.columns[index];
            if decoder.filled[index] != MISSING {
                // Of a field given twice, the last one counts.
                column.truncate(decoder.rows);
            }
            match scalar::append(column, raw.get(), field.is_nullable(), &decoder.options) {
                Ok(()) => decoder.filled[index] = rank,
                // The rest is still read: a record that is no JSON at all is another matter.
                Err(found) => *problem = Some(found.within(field.name())),
            }
        }
        Ok(())
    }
}
