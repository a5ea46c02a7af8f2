use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn answers_take_longer_each_time_and_then_there_are_none() {
    let attempts = Attempts::new(4, SECOND);
    let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
    let delays: Vec<u64> = (0..3).map(|_| attempts.failed(one, 0).as_secs()).collect();
    assert_eq!(delays, [1, 2, 4]);
    assert!(attempts.admit(one, 0).is_ok());
    assert_eq!(attempts.failed(one, 0), DELAY_MAX);
    assert_eq!(attempts.admit(one, 59_999).unwrap_err().message(), "too many failed logins from this address");
    assert!(attempts.admit(other, 0).is_ok());
    assert!(attempts.admit(one, 60_000).is_ok());
    assert_eq!(attempts.failed(one, 60_000), SECOND, "a clean sheet");
}

#[test]
fn who_comes_in_has_a_clean_sheet() {
    let attempts = Attempts::new(2, SECOND);
    let one = address("::ffff:10.0.0.1");
    attempts.failed(one, 0);
    attempts.succeeded(address("10.0.0.1"));
    assert_eq!(attempts.failed(one, 0), SECOND);
    for _ in 0..100 {
        assert!(attempts.failed(one, 0) <= DELAY_MAX);
    }
}

#[test]
fn a_network_of_ipv6_counts_as_one() {
    let attempts = Attempts::new(1, SECOND);
    attempts.failed(address("2001:db8::1"), 0);
    assert!(attempts.admit(address("2001:db8::ffff:ffff"), 0).is_err());
    assert!(attempts.admit(address("2001:db8:0:1::1"), 0).is_ok());
    assert!(attempts.admit(address("::1"), 0).is_ok());
}
