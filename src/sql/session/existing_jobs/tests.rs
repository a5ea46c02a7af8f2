use super::is_same_statement;

#[test]
fn blanks_comments_and_the_case_of_words_make_no_other_statement() {
    let statement = "INSERT INTO t SELECT a, 'x  y' FROM s WHERE a > 1";
    assert!(is_same_statement(statement, "insert into T\n  select A, -- the key\n 'x  y' from s where a>1"));
    assert!(!is_same_statement(statement, "INSERT INTO t SELECT a, 'x y' FROM s WHERE a > 1"));
    assert!(!is_same_statement(statement, "INSERT INTO t SELECT \"A\", 'x  y' FROM s WHERE a > 1"));
    assert!(!is_same_statement(statement, "INSERT INTO t SELECT a, 'x  y' FROM s WHERE a > 2"));
}
