use super::{Literal, Node, parse_bytes};

fn item(text: &str) -> Node {
    Node::Item(Some(text.to_owned()))
}

#[test]
fn bytes_are_hexadecimal_or_escaped() {
    assert_eq!(parse_bytes("\\xdeadBEEF").unwrap(), [0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(parse_bytes("\\x DE AD").unwrap(), [0xde, 0xad]);
    assert_eq!(parse_bytes("abc\\\\d\\001\\377").unwrap(), b"abc\\d\x01\xff");
    assert_eq!(parse_bytes("").unwrap(), b"");
    for (wrong, code) in [("\\xd", "22023"), ("\\xzz", "22023"), ("a\\b", "22P02"), ("\\400", "22P02")] {
        assert_eq!(parse_bytes(wrong).unwrap_err().sqlstate().code(), code, "{wrong}");
    }
}

#[test]
fn literals_of_arrays() {
    let read = |text| Literal::read(text).unwrap();
    assert_eq!(read("{}"), Node::Array(Vec::new()));
    assert_eq!(
        read(" { a , \"b,\\\"c\" , NULL, \"NULL\", n\\ull } "),
        Node::Array(vec![item("a"), item("b,\"c"), Node::Item(None), item("NULL"), item("null")])
    );
    assert_eq!(
        read("{{1,2},{3}}"),
        Node::Array(vec![Node::Array(vec![item("1"), item("2")]), Node::Array(vec![item("3")])])
    );
    for wrong in ["", "a", "{1,2", "{1,}", "{1}}", "{a{b}", "{\"a", "{,}"] {
        assert_eq!(Literal::read(wrong).unwrap_err().sqlstate().code(), "22P02", "{wrong}");
    }
}
