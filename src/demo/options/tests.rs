use clap::Parser;

use super::{DemoOptions, Tamper, temporary_data_dir};
use crate::config::Flags;

#[derive(Parser)]
struct DemoFlags {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    options: DemoOptions,
}

fn demo(text: &str) -> DemoFlags {
    DemoFlags::try_parse_from(std::iter::once("demo").chain(text.split_whitespace())).unwrap()
}

#[test]
fn without_settings_a_demo_has_a_folder_of_its_own() {
    let demo = demo("--orders 10 --check --tamper item --listen 127.0.0.1:0");
    let config = demo.options.config(&demo.flags).unwrap();
    assert_eq!(config.data_dir, temporary_data_dir());
    assert_eq!(demo.options.tamper, Some(Tamper::Item));
}

#[test]
fn given_settings_stand() {
    let demo = demo("--data-dir streamgate-data --listen 127.0.0.1:1 --log info");
    let config = demo.options.config(&demo.flags).unwrap();
    assert_eq!(config.data_dir.to_str(), Some("streamgate-data"));
    assert_eq!((config.listen.port(), config.log.as_str()), (1, "info"));
}

#[test]
fn a_check_needs_an_end() {
    assert!(DemoFlags::try_parse_from(["demo", "--check"]).is_err());
    let demo = demo("--rate 0");
    assert!(demo.options.config(&demo.flags).is_err());
}
