//! `maxwell-json`: `{"data":{…},"old":{…},"type":"insert|update|delete"}`; `old` has only the fields that an update changed.
//! `bootstrap-insert` is an insert; the start and the end of a bootstrap are passed over.

use std::sync::Arc;

use datafusion::arrow::datatypes::Fields;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::change_json::{ChangeDecoder, ChangeEncoder, Envelope, Push, RowText, Wrapping, bad, parse, unknown_kind};
use super::json::{self, Options};
use super::options::FormatOptions;
use super::{Decoder, Encoder, Format};
use crate::changelog::{Changelog, RowKind};
use crate::error::Result;
use crate::options::OptionGroups;

/// As in `'format' = 'maxwell-json'`.
pub(super) const NAME: &str = "maxwell-json";

const WRAPPING: Wrapping =
    Wrapping { insert: (r#"{"data":"#, r#","type":"insert"}"#), delete: (r#"{"data":"#, r#","type":"delete"}"#) };

/// All options.
pub(super) const OPTIONS: OptionGroups = &[json::COMMON];

/// Reads the options.
///
/// # Errors
/// An option has a value that it cannot have.
pub(super) fn open(mut options: FormatOptions<'_>) -> Result<Arc<dyn Format>> {
    Ok(Arc::new(MaxwellJson { options: Options::take(&mut options)? }))
}

/// The format with its options.
struct MaxwellJson {
    options: Options,
}

impl Format for MaxwellJson {
    fn name(&self) -> &'static str {
        NAME
    }

    fn changelog(&self) -> Changelog {
        Changelog::Retract
    }

    fn decoder(&self, fields: &Fields, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(ChangeDecoder::new(MaxwellEnvelope, fields, projection, &self.options)?))
    }

    fn encoder(&self, fields: &Fields) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(ChangeEncoder::new(WRAPPING, fields, &self.options)?))
    }
}

struct MaxwellEnvelope;

#[derive(Deserialize)]
struct MaxwellRecord<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    old: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

impl Envelope for MaxwellEnvelope {
    fn rows(&self, record: &[u8], push: Push<'_>) -> Result<()> {
        let change: MaxwellRecord<'_> = parse(record)?;
        let data = || change.data.map(RawValue::get).ok_or_else(|| bad("has no \"data\", the changed row"));
        match change.kind.map(RawValue::get) {
            Some(r#""insert""# | r#""bootstrap-insert""#) => push(RowKind::Insert, RowText::Whole(data()?)),
            Some(r#""delete""#) => push(RowKind::Delete, RowText::Whole(data()?)),
            Some(r#""update""#) => {
                let base = data()?;
                let over =
                    change.old.map(RawValue::get).ok_or_else(|| bad("has no \"old\", though it is an update"))?;
                push(RowKind::UpdateBefore, RowText::Overlaid { base, over })?;
                push(RowKind::UpdateAfter, RowText::Whole(base))
            }
            Some(r#""bootstrap-start""# | r#""bootstrap-complete""#) => Ok(()),
            other => Err(unknown_kind("type", other)),
        }
    }
}
