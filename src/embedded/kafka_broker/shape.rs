//! Checks a request body against the layout of its message before the decoder sees it. The decoder reserves memory for as many elements
//! as an array claims to have; a few bytes could ask it for more than there is, which would end the process.
//!
//! A layout is a row of words: `1 2 4 8` fixed bytes, `s` string, `b` bytes, `[ … ]` array of values, `{ … }` array of structs;
//! `@5` or `@2-4` behind a word says in which versions it is there.

/// Whether the body, in a message with (`flexible`) or without tagged fields, has the layout and every array is as long as it says.
pub fn fits(layout: &str, mut body: &[u8], version: i16, flexible: bool) -> bool {
    let words: Vec<&str> = layout.split_whitespace().collect();
    let walk = Walk { version, flexible };
    walk.fields(&words, &mut body).and_then(|()| walk.tagged_fields(&mut body)).is_some()
}

struct Walk {
    version: i16,
    flexible: bool,
}

impl Walk {
    fn fields(&self, words: &[&str], body: &mut &[u8]) -> Option<()> {
        let mut at = 0;
        while at < words.len() {
            let (word, versions) = words[at].split_once('@').unwrap_or((words[at], "0"));
            let present = self.is_in(versions)?;
            at += 1;
            match word {
                "[" | "{" => {
                    let end = at + length_of_inside(&words[at..])?;
                    if present {
                        self.array(&words[at..end], word == "{", body)?;
                    }
                    at = end + 1;
                }
                _ if !present => {}
                "s" => self.skip_string(body)?,
                "b" => self.skip_bytes(body)?,
                width => skip(body, width.parse().ok()?)?,
            }
        }
        Some(())
    }

    fn array(&self, inside: &[&str], of_structs: bool, body: &mut &[u8]) -> Option<()> {
        let count = if self.flexible {
            varint(body)?.checked_sub(1)
        } else {
            length(i64::from(fixed::<4>(body).map(i32::from_be_bytes)?))?
        };
        // No element is smaller than a byte.
        let count = count.unwrap_or(0);
        if count > body.len() {
            return None;
        }
        for _ in 0..count {
            self.fields(inside, body)?;
            if of_structs {
                self.tagged_fields(body)?;
            }
        }
        Some(())
    }

    fn skip_string(&self, body: &mut &[u8]) -> Option<()> {
        let bytes = if self.flexible {
            varint(body)?.checked_sub(1)
        } else {
            length(i64::from(fixed::<2>(body).map(i16::from_be_bytes)?))?
        };
        skip(body, bytes.unwrap_or(0))
    }

    fn skip_bytes(&self, body: &mut &[u8]) -> Option<()> {
        let bytes = if self.flexible {
            varint(body)?.checked_sub(1)
        } else {
            length(i64::from(fixed::<4>(body).map(i32::from_be_bytes)?))?
        };
        skip(body, bytes.unwrap_or(0))
    }

    fn tagged_fields(&self, body: &mut &[u8]) -> Option<()> {
        if self.flexible {
            for _ in 0..varint(body)? {
                varint(body)?;
                let bytes = varint(body)?;
                skip(body, bytes)?;
            }
        }
        Some(())
    }

    fn is_in(&self, versions: &str) -> Option<bool> {
        let (first, last) = versions.split_once('-').unwrap_or((versions, "99"));
        Some((first.parse().ok()?..=last.parse().ok()?).contains(&self.version))
    }
}

/// Words up to the bracket that closes what was opened before them.
fn length_of_inside(words: &[&str]) -> Option<usize> {
    let mut depth = 1;
    words.iter().position(|word| {
        depth += i32::from(word.starts_with(['[', '{'])) - i32::from(matches!(*word, "]" | "}"));
        depth == 0
    })
}

/// -1 stands for null; anything below is an error.
fn length(value: i64) -> Option<Option<usize>> {
    if value == -1 { Some(None) } else { usize::try_from(value).ok().map(Some) }
}

fn skip(body: &mut &[u8], bytes: usize) -> Option<()> {
    *body = body.get(bytes..)?;
    Some(())
}

fn fixed<const N: usize>(body: &mut &[u8]) -> Option<[u8; N]> {
    let value = *body.first_chunk::<N>()?;
    skip(body, N)?;
    Some(value)
}

fn varint(body: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for index in 0..5 {
        let [byte] = fixed::<1>(body)?;
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
