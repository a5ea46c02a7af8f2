use crate::sql::parser::secret_options::mask;

#[test]
fn secrets_in_a_statement_are_masked() {
    let text = "CREATE TABLE t (a INT) WITH ('aws.credentials.basic.secretkey' = 'canary', 'topic' = 'o', \
                'properties.sasl.password'='it''s', 'properties.ssl.key.password' = '')";
    assert_eq!(
        mask(text),
        "CREATE TABLE t (a INT) WITH ('aws.credentials.basic.secretkey' = '******', 'topic' = 'o', \
         'properties.sasl.password'='******', 'properties.ssl.key.password' = '')"
    );
}
