//! Positions in a statement: characters from 1.

use datafusion::sql::sqlparser::tokenizer::{Location, Span};

/// Characters of a text, to turn lines and columns into positions.
#[derive(Debug, Clone)]
pub struct Places {
    line_starts: Vec<usize>,
    end: usize,
}

impl Places {
    /// Indexes a text.
    pub fn new(text: &str) -> Self {
        let mut line_starts = vec![0];
        let mut end = 0;
        for c in text.chars() {
            end += 1;
            if c == '\n' {
                line_starts.push(end);
            }
        }
        Self { line_starts, end }
    }

    /// Characters of the text.
    pub fn len(&self) -> usize {
        self.end
    }

    /// The position of a place, counted from 1; the end of the text for the parser's "nowhere".
    pub fn position(&self, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(0);
        let column = usize::try_from(place.column).unwrap_or(0);
        match line.checked_sub(1).and_then(|line| self.line_starts.get(line)) {
            Some(start) => start + column,
            None => self.end + 1,
        }
    }

    /// The position where a span begins, if it is one of this text.
    pub fn of(&self, span: Span) -> Option<usize> {
        (span != Span::empty()).then(|| self.position(span.start))
    }
}
