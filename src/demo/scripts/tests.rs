use super::{SCRIPTS, insert_target};

#[test]
fn the_demo_runs_what_psql_runs() {
    let pipeline = include_str!("../../../sql/pipeline.sql");
    let included: Vec<&str> = pipeline.lines().filter_map(|line| line.strip_prefix("\\ir ")).collect();
    let run: Vec<&str> = SCRIPTS.iter().map(|script| script.path).collect();
    assert_eq!(run, included);
}

#[test]
fn the_feature_job_is_the_users_script() {
    let ours = SCRIPTS.iter().find(|script| script.path == "jobs/user_features.sql").unwrap();
    let (_comment, statement) = ours.text.split_once('\n').unwrap();
    assert_eq!(statement, include_str!("../../../tests/seed/4_feature_job.sql"));
}

#[test]
fn a_jobs_target_is_found_in_its_statement() {
    assert_eq!(insert_target("-- a\nINSERT INTO user_features (\nuser_id"), Some("user_features"));
    assert_eq!(insert_target("CREATE TABLE t (a INT)"), None);
}
