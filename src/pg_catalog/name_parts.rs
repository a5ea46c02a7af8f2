//! Names as they are written in SQL, in their parts.

/// Parts of `a."B c".d`, folded where unquoted.
pub fn name_parts(written: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut characters = written.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next()? {
                    '"' if characters.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    other => part.push(other),
                }
            }
        } else {
            while let Some(character) = characters.next_if(|&character| character != '.') {
                part.extend(character.to_lowercase());
            }
        }
        parts.push(part);
        match characters.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}
