use clap::Parser;

use super::{DemoOptions, Tamper, temporary_data_dir};
use crate::config::Settings;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    options: DemoOptions,
}

fn flags(text: &str) -> Flags {
    Flags::try_parse_from(std::iter::once("demo").chain(text.split_whitespace())).unwrap()
}

#[test]
fn without_settings_a_demo_has_a_folder_of_its_own() {
    let flags = flags("--orders 10 --check --tamper item --listen 127.0.0.1:0");
    let config = flags.options.config(&flags.settings).unwrap();
    assert_eq!(config.data_dir, temporary_data_dir());
    assert_eq!(flags.options.tamper, Some(Tamper::Item));
}

#[test]
fn given_settings_stand() {
    let flags = flags("--data-dir streamgate-data --listen 127.0.0.1:1 --log info");
    let config = flags.options.config(&flags.settings).unwrap();
    assert_eq!(config.data_dir.to_str(), Some("streamgate-data"));
    assert_eq!((config.listen.port(), config.log.as_str()), (1, "info"));
}

#[test]
fn a_check_needs_an_end() {
    assert!(Flags::try_parse_from(["demo", "--check"]).is_err());
    let flags = flags("--rate 0");
    assert!(flags.options.config(&flags.settings).is_err());
}
