use super::ALL;

#[test]
fn codes_have_five_characters_and_are_told_once() {
    let mut codes: Vec<&str> = ALL.iter().map(|state| state.code()).collect();
    assert!(codes.iter().all(|code| code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    let count = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), count);
    assert!(codes.is_sorted());
}
