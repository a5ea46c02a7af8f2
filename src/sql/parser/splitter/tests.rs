use super::*;

fn texts(message: &str) -> Vec<String> {
    split(message).unwrap().into_iter().map(|statement| statement.text).collect()
}

#[test]
fn semicolons_in_quotes_and_comments_do_not_split() {
    assert_eq!(
        texts("select ';' ; select \";\" -- ;\n; select 1 /* ; /* ; */ */;;"),
        ["select ';'", "select \";\" -- ;", "select 1 /* ; /* ; */ */",]
    );
    assert_eq!(
        texts("a $$ ; $$ ; b $x$ ; $$ ; $x$; select $1; c"),
        ["a $$ ; $$", "b $x$ ; $$ ; $x$", "select $1", "c"]
    );
    assert_eq!(texts(r"select E'\';' ; select 'a\' ; -- only a comment"), [r"select E'\';'", r"select 'a\'"]);
}

#[test]
fn statement_sets_are_one_statement() {
    assert_eq!(texts("BEGIN STATEMENT SET; insert into a select 1; END; select 1").len(), 2);
    assert_eq!(texts("EXECUTE STATEMENT SET BEGIN insert into a select 1; insert into b select 2; END; x").len(), 2);
    for set in [
        "EXPLAIN PLAN FOR STATEMENT SET BEGIN insert into a select case when true then 1 end; insert into b select 2; END",
        "CREATE JOB \"My Job\" IF NOT EXISTS AS EXECUTE STATEMENT SET BEGIN insert into a select 1; END",
        "CREATE JOB IF NOT EXISTS j AS BEGIN STATEMENT SET; insert into a select 1; END",
    ] {
        assert_eq!(texts(&format!("select 1; {set}; select 2")), ["select 1", set, "select 2"]);
    }
    assert_eq!(texts("BEGIN; select 1; END"), ["BEGIN", "select 1", "END"]);
    assert_eq!(texts("create table job as statement set begin; a").len(), 2);
}

#[test]
fn a_statement_set_may_come_in_pieces() {
    for (piece, opens) in [
        ("BEGIN STATEMENT SET;", true),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", true),
        ("EXPLAIN STATEMENT SET BEGIN nonsense", true),
        ("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;", false),
        ("BEGIN", false),
        ("INSERT INTO a SELECT 1", false),
    ] {
        assert_eq!(opens_statement_set(piece), opens, "{piece}");
    }
}

#[test]
fn offsets_count_characters() {
    let statements = split("-- 创建表\nselect '中' ; select 2").unwrap();
    assert_eq!(statements[0].offset, 7);
    assert_eq!(statements[1].offset, 20);
    assert_eq!(statements[1].text, "select 2");
}

#[test]
fn unterminated_quotes_have_a_position() {
    let error = split("select 1; select 'a").unwrap_err();
    assert_eq!((error.sqlstate().code(), error.position()), ("42601", Some(18)));
    assert_eq!(split("/* a").unwrap_err().position(), Some(1));
}
