//! Streams of a real interpreter, and streams that are none.

use std::process::Command;

use super::{
    kept::Kept,
    marshal::{Shape, canonical},
};

/// Everything that a code object can hold.
const SOURCE: &str = r#"
"""Docstring."""
import sys as système
class Place:
    "Has a docstring."
    limit: int = 10**40
    def show(self, *args, key=None, **more):
        def inner():
            return self, key, "not a name", b"bytes", 1.5, -0.0, 0.0, 2j, ..., True, False, -1, 2**31, -2**63
        return [inner for _ in args if key in {None, 1, "a", ("t", 2), b"b", 3.5, "two words", ...}]
    twice = (lambda: 1, lambda: 1)
words = ("two words", "not a name", ("two words", "ünïcode"), "x" * 300, "a b " * 100)
empty = (), "", b""
many = (0,) + tuple([1]) * 2
"#;

/// Prints the minor version and streams of [`SOURCE`]: as compiled, after every string was interned, after a
/// second process would have read it, and with each set in another order.
const STREAMS: &str = r#"
import marshal, sys
source = sys.stdin.read()
compiled = lambda: compile(source, "a/file.py", "exec", dont_inherit=True)
first = compiled()
kept = []
def intern(value):
    if isinstance(value, str):
        kept.append(sys.intern(value))
    elif isinstance(value, (tuple, frozenset)):
        for one in value:
            intern(one)
    elif hasattr(value, "co_consts"):
        kept.append(value)
        for name in dir(value):
            if name.startswith("co_") and not callable(getattr(value, name)) and name != "co_lnotab":
                kept.append(getattr(value, name))
                intern(getattr(value, name))
streams = [marshal.dumps(compiled())]
intern(first)
streams += [marshal.dumps(first), marshal.dumps(marshal.loads(marshal.dumps(first)))]
print(sys.version_info[1])
for stream in streams:
    print(stream.hex())
"#;

fn run(program: &str, seed: &str, input: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("python3")
        .args(["-S", "-c", program])
        .env("PYTHONHASHSEED", seed)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The interpreter's streams of [`SOURCE`], and the shape of its code objects.
fn streams() -> (Shape, Vec<Vec<u8>>) {
    let mut streams = Vec::new();
    let mut minor = 0;
    for seed in ["0", "1", "2"] {
        let said = run(STREAMS, seed, SOURCE);
        let (first, rest) = said.split_once('\n').expect("lines");
        minor = first.parse().expect("a number");
        streams.extend(rest.lines().map(unhex));
    }
    (Shape::of(minor).expect("a version that is known"), streams)
}

#[test]
fn streams_of_one_source_have_one_form_whatever_the_interpreter_did_before() {
    let (shape, streams) = streams();
    let mut distinct = streams.clone();
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() > 1, "the interpreter gave equal streams: this test shows nothing");
    let forms: Vec<Vec<u8>> =
        streams.iter().map(|stream| canonical(stream, shape).expect("a stream")).collect();
    assert!(forms.iter().all(|form| *form == forms[0]));
    assert_eq!(canonical(&forms[0], shape).as_ref(), Ok(&forms[0]));
    assert!(forms[0].len() <= streams.iter().map(Vec::len).min().expect("streams"));
}

#[test]
fn a_damaged_stream_is_an_error() {
    let (shape, streams) = streams();
    let form = canonical(&streams[0], shape).expect("a stream");
    for end in 0..form.len() {
        assert!(canonical(&form[..end], shape).is_err(), "cut at {end}");
    }
    for at in 0..form.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut damaged = form.clone();
            damaged[at] ^= bit;
            // Whatever comes out, it comes out.
            let _ = canonical(&damaged, shape);
        }
    }
    assert_eq!(canonical(&[&form[..], b"N"].concat(), shape), Err("1 bytes follow the code".into()));
    assert_eq!(canonical(b"?", shape), Err("an object of the unknown type '?'".into()));
    assert_eq!(canonical(b"r\0\0\0\0", shape), Err("it refers to an object 0 that is not there".into()));
    assert_eq!(
        canonical(b"\xa9\x01r\0\0\0\0", shape),
        Err("it refers to an object 0 that is not there".into())
    );
    assert_eq!(canonical(b"(\xff\xff\xff\x7f", shape), Err("it ends too early".into()));
    assert_eq!(canonical(b"s\xff\xff\xff\xff", shape), Err("a length is negative".into()));
    assert_eq!(canonical(&b")\x01".repeat(100_000), shape), Err("it is nested too deeply".into()));
}

/// Tuples in tuples, `deep` of them, each with the next one twice: as a reference the second time. `first` is the
/// place of the outermost one, `leaf` what the innermost one holds.
fn doubled(deep: u32, first: u32, leaf: u8) -> Vec<u8> {
    let mut stream = b"\xa9\x02".repeat(deep as usize);
    stream.extend([0xa9, 1, leaf]);
    for place in (first + 1..=first + deep).rev() {
        stream.push(b'r');
        stream.extend(place.to_le_bytes());
    }
    stream
}

/// Its members were compared by their bytes without references, which are as many as two to the power of the depth.
#[test]
fn a_set_of_tuples_that_hold_one_twice_and_again_is_sorted_at_once() {
    let shape = Shape::of(12).expect("a version that is known");
    let set = |leaves: [u8; 2]| {
        let members = [doubled(200, 0, leaves[0]), doubled(200, 201, leaves[1])].concat();
        canonical(&[&b">\x02\0\0\0"[..], &members].concat(), shape).expect("a stream")
    };
    let form = set(*b"NT");
    assert_eq!(form, set(*b"TN"), "members have an order of their own");
    assert_eq!(canonical(&form, shape), Ok(form));
}

#[test]
fn what_is_nested_by_references_is_refused_where_it_is_too_deep() {
    let shape = Shape::of(12).expect("a version that is known");
    let members: Vec<Vec<u8>> = (0..100_000_u32)
        .map(|at| match at.checked_sub(1) {
            None => b"\xa9\x01N".to_vec(),
            Some(before) => [&b"\xa9\x01r"[..], &before.to_le_bytes()].concat(),
        })
        .collect();
    let tuple = |count: usize| {
        let head = u32::try_from(count).expect("few").to_le_bytes();
        canonical(&[&b"("[..], &head, &members[..count].concat()].concat(), shape)
    };
    assert!(tuple(900).is_ok());
    assert_eq!(tuple(members.len()), Err("it is nested too deeply".into()));
}

#[test]
fn what_was_kept_is_read_as_it_was_unless_it_was_damaged() {
    let kept = Kept(
        [(3, Ok(b"bytecode".repeat(100))), (0, Err("SyntaxError: é".into())), (70_000, Ok(Vec::new()))]
            .into(),
    );
    let bytes = kept.render().expect("small enough");
    assert_eq!(Kept::parse(&bytes), Some(kept));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        assert!(Kept::parse(&damaged).is_none(), "changed at {at}");
        assert!(Kept::parse(&bytes[..at]).is_none(), "cut at {at}");
    }
    assert_eq!(Kept::parse(&Kept::default().render().expect("small enough")), Some(Kept::default()));
}
