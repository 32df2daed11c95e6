//! Userinfo of URLs in any text: what stands between a scheme and an `@`, in whatever way the text is quoted.

use std::borrow::Cow;

/// Userinfo that our own advice writes.
const PLACEHOLDERS: [&str; 2] = ["${USER}:${TOKEN}", "USER:PASSWORD"];

/// What a text is to be afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A text to read.
    Readable,
    /// JSON of the same structure: nothing is taken out across the end of a string.
    Json,
}

/// One character as whoever wrote the text meant it. Quoted once or more often (JSON, TOML, Rust's and Python's way to
/// show a string), a tab is `\t`, `\u0009`, `\\t`, and a quotation mark `\"`: backslashes and what they write are one.
#[derive(Clone, Copy)]
struct Glyph {
    meant: char,
    /// Where it begins in the text, its backslashes included.
    at: usize,
    /// How many backslashes stand before a quotation mark.
    slashes: usize,
    /// Whether backslashes write it. Such a character is part of a word, whatever it is: it was part of one
    /// when the text was quoted.
    written: bool,
}

/// The text with the userinfo of each URL in it replaced. Only a user of ssh, who is no secret, stays.
pub(super) fn without_userinfo(text: &str, kept: Kept) -> Cow<'_, str> {
    // An `@` may be written with a backslash as well.
    if !text.contains(['@', '\\']) {
        return Cow::Borrowed(text);
    }
    let glyphs = glyphs(text);
    let mut out = String::new();
    // Up to where `out` has the text.
    let mut done = 0;
    let mut next = 0;
    while let Some(colon) = (next..glyphs.len()).find(|&n| glyphs[n].meant == ':') {
        next = colon + 1;
        let Some(start) = after_slashes(&glyphs, colon) else { continue };
        next = start;
        let word = Word { opener: opener(&glyphs, colon), kept };
        let Some(at) = at_sign(&glyphs, start, word, is_scheme(&glyphs[..colon], &["ssh"])) else { continue };
        let userinfo = &text[glyphs[start].at..glyphs[at].at];
        next = at;
        if PLACEHOLDERS.contains(&userinfo) {
            continue;
        }
        out.push_str(&text[done..glyphs[start].at]);
        out.push_str("****");
        done = glyphs[at].at;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// The text's characters as they are meant.
fn glyphs(text: &str) -> Vec<Glyph> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let slashes = text.len() - at - text[at..].trim_start_matches('\\').len();
        let mut glyph = Glyph { meant: c, at, slashes, written: false };
        if slashes == 0 {
            at += c.len_utf8();
            out.push(glyph);
        } else if let Some((meant, length, written)) = escape(&text[at + slashes..]) {
            (glyph.meant, glyph.written) = (meant, written);
            at += slashes + length;
            out.push(glyph);
        } else {
            out.extend((at..at + slashes).map(|at| Glyph { meant: '\\', at, slashes: 0, written: false }));
            at += slashes;
        }
    }
    out
}

/// What backslashes and the beginning of this text write, the length of it, and whether it is another character than
/// the one that stands there.
fn escape(after: &str) -> Option<(char, usize, bool)> {
    let code = |digits: &str, length: usize| {
        let code = u32::from_str_radix(digits, 16).ok()?;
        // Half of a pair is no character, and nothing that counts here.
        Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), length, true))
    };
    let fixed = |count: usize| code(after.get(1..=count)?, count + 1);
    match after.chars().next()? {
        't' => Some(('\t', 1, true)),
        'n' => Some(('\n', 1, true)),
        'r' => Some(('\r', 1, true)),
        '0' => Some(('\0', 1, true)),
        'b' => Some(('\u{8}', 1, true)),
        'f' => Some(('\u{c}', 1, true)),
        'u' if after.starts_with("u{") => {
            let end = after.find('}')?;
            code(&after[2..end], end + 1)
        }
        'u' => fixed(4),
        'U' => fixed(8),
        'x' => fixed(2),
        c @ ('"' | '\'' | '`' | '/') => Some((c, 1, false)),
        _ => None,
    }
}

/// The first character of the authority, behind a scheme's colon.
fn after_slashes(glyphs: &[Glyph], colon: usize) -> Option<usize> {
    let after = &glyphs[colon + 1..];
    let count = if is_scheme(&glyphs[..colon], &["http", "https", "ftp", "ws", "wss"]) {
        // Those who read URLs forgive any number of slashes here, none among them, and backslashes.
        after.iter().take_while(|glyph| is_left_out(glyph) || matches!(glyph.meant, '/' | '\\')).count()
    } else {
        let mut counted = after.iter().enumerate().filter(|(_, glyph)| !is_left_out(glyph));
        let (first, second) = (counted.next()?, counted.next()?);
        if first.1.meant != '/' || second.1.meant != '/' {
            return None;
        }
        second.0 + 1
    };
    (count < after.len()).then_some(colon + 1 + count)
}

/// What those who read URLs leave out, wherever it stands.
fn is_left_out(glyph: &Glyph) -> bool {
    matches!(glyph.meant, '\t' | '\n' | '\r')
}

/// Whether a text ends in the name of one of these schemes, of which every URL has a host.
fn is_scheme(before: &[Glyph], schemes: &[&str]) -> bool {
    let word = |parted: bool| -> String {
        let meant =
            before.iter().rev().filter(|glyph| !parted || !is_left_out(glyph)).map(|glyph| glyph.meant);
        meant.take_while(char::is_ascii_alphanumeric).take(6).collect()
    };
    [word(false), word(true)].iter().any(|word| {
        schemes.iter().any(|scheme| word.chars().rev().map(|c| c.to_ascii_lowercase()).eq(scheme.chars()))
    })
}

/// The quotation marks that stand before a URL, if there are any: one, or the three of TOML.
fn opener(glyphs: &[Glyph], colon: usize) -> Option<Opener> {
    let of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    // A tab or line end that is written stands inside of what is quoted.
    let inside = |glyph: &Glyph| of_scheme(glyph.meant) || glyph.written && is_left_out(glyph);
    let begin = glyphs[..colon].iter().rposition(|glyph| !inside(glyph))?;
    // Spaces and control characters before a URL are no part of it to those who read it.
    let end = glyphs[..=begin]
        .iter()
        .rposition(|glyph| !(glyph.meant.is_whitespace() || glyph.meant.is_control()))?;
    let mark = glyphs[end];
    if mark.written || !matches!(mark.meant, '"' | '\'' | '`' | '<') {
        return None;
    }
    let same = |glyph: &&Glyph| glyph.meant == mark.meant && glyph.slashes == mark.slashes;
    let thrice = glyphs[..=end].iter().rev().take(3).filter(same).count() == 3;
    Some(Opener { mark, count: if thrice { 3 } else { 1 } })
}

/// What opens a quotation.
#[derive(Clone, Copy)]
struct Opener {
    mark: Glyph,
    count: usize,
}

impl Opener {
    /// Whether the quotation is closed where these characters stand.
    fn is_closed_by(self, glyphs: &[Glyph]) -> bool {
        let closer = if self.mark.meant == '<' { '>' } else { self.mark.meant };
        // With each time that a text is quoted, the backslashes before a mark double and one is added: those of
        // a mark inside of this quotation are another rest of this division, meant ones add nothing to it.
        let turn = 2 * (self.mark.slashes + 1);
        let closes = |glyph: &Glyph| {
            !glyph.written && glyph.meant == closer && glyph.slashes % turn == self.mark.slashes
        };
        glyphs.len() >= self.count && glyphs[..self.count].iter().all(closes)
    }
}

/// Where a URL ends: with the quotation that it is all of, or else with the word.
#[derive(Clone, Copy)]
struct Word {
    opener: Option<Opener>,
    kept: Kept,
}

impl Word {
    /// Whether the URL has ended where these characters stand.
    fn ends_before(self, glyphs: &[Glyph]) -> bool {
        let Some(glyph) = glyphs.first().filter(|glyph| !glyph.written) else { return false };
        // A quotation mark without backslashes, or with those that are meant themselves.
        let bare = glyph.meant == '"' && glyph.slashes.is_multiple_of(2);
        match self.opener {
            Some(opener) => opener.is_closed_by(glyphs) || bare && self.kept == Kept::Json,
            None => bare || glyph.meant.is_whitespace() && !is_left_out(glyph),
        }
    }
}

/// The `@` that ends the userinfo of the authority which begins here: its last one.
fn at_sign(glyphs: &[Glyph], start: usize, word: Word, of_ssh: bool) -> Option<usize> {
    let delimits = |glyph: &Glyph| !glyph.written && matches!(glyph.meant, '/' | '?' | '#');
    let first =
        |ends: &dyn Fn(usize) -> bool| (start..glyphs.len()).find(|&n| ends(n)).unwrap_or(glyphs.len());
    let last = |end: usize| (start..end).rfind(|&n| glyphs[n].meant == '@');
    let end = first(&|n| delimits(&glyphs[n]) || word.ends_before(&glyphs[n..]));
    match last(end) {
        Some(at) if of_ssh && glyphs[start..at].iter().all(|glyph| glyph.meant != ':') => None,
        // A password with a slash, a question mark or a hash sign in it, which nobody can read as a URL: the message that
        // says so must not show it.
        None if !of_ssh && !is_host(&glyphs[start..end]) => last(first(&|n| word.ends_before(&glyphs[n..]))),
        found => found,
    }
}

/// Whether an authority without an `@` is a host, maybe with a port, and not a user and the beginning of a password.
fn is_host(authority: &[Glyph]) -> bool {
    let text: String = authority.iter().map(|glyph| glyph.meant).collect();
    let port = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((_, port)) => port.strip_prefix(':').unwrap_or(port),
        None => text.split_once(':').map_or("", |(_, port)| port),
    };
    port.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        without_userinfo(text, Kept::Readable).into_owned()
    }

    #[test]
    fn userinfo_is_shown_nowhere() {
        assert_eq!(
            shown("got \"https://u:can@ry@h.example/x\", expected http://canary@[::1]:80"),
            "got \"https://****@h.example/x\", expected http://****@[::1]:80"
        );
        // Whoever reads URLs forgives these.
        for (text, expected) in [
            ("https:///u:canary@h.example", "https:///****@h.example"),
            ("HTTP:\\\\u:canary@h.example", "HTTP:\\\\****@h.example"),
            ("git+https:u:canary@h.example/x", "git+https:****@h.example/x"),
            ("https://u\tv:canary@h.example", "https://****@h.example"),
            ("https:/\t/u:can\nary@h.example", "https:/\t/****@h.example"),
            ("ht\ntps:u:canary@h.example", "ht\ntps:****@h.example"),
            ("postgres:/\n/u:canary@h.example", "postgres:/\n/****@h.example"),
            ("'https://u:can\"a ry@h.example', a@b", "'https://****@h.example', a@b"),
            ("<https://u:can'ary@h.example>, a@b", "<https://****@h.example>, a@b"),
            ("ssh://u:can\\ary@h.example/x", "ssh://****@h.example/x"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown("git+ssh://git@h.example/x"), "git+ssh://git@h.example/x");
        assert_eq!(shown("ssh://u:canary@h.example/x"), "ssh://****@h.example/x");
        for text in [
            "https://${USER}:${TOKEN}@h.example/…",
            "mail@h.example",
            "https://h.example/@scope/x",
            "https://h.example:8443/@scope/x",
            "http://[::1]:80/@scope/x http://[::1]/@scope",
            "file:///a/b@c/d",
            "refused by https: mail@h.example",
            "https://h.example\n  to: mail@h.example",
            "\"https://h.example\", 'https://h.example' and `https://h.example`: mail@h.example",
            "git@h.example:a/b@v1",
            "ssh://h.example:group/project@v1",
            "C:\\https\\u0040",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn a_tab_written_as_backslash_and_t_does_not_end_userinfo() {
        for (text, expected) in [
            (r#""https://u:can\tary@h.example/x""#, r#""https://****@h.example/x""#),
            (r"https://u:can\u0009ary@h.example/x", "https://****@h.example/x"),
            (r"https://u:can\u{9}ary@h.example/x", "https://****@h.example/x"),
            (r"https://u:can\nary@h.example/x", "https://****@h.example/x"),
            (r"https://u:can\\ary@h.example/x", "https://****@h.example/x"),
            (r#"\"https://u:can\\\"ary@h.example\", \"a@b\""#, r#"\"https://****@h.example\", \"a@b\""#),
            (r#""https://u:canary\\", "a@b""#, r#""https://u:canary\\", "a@b""#),
            (r"https:\/\/u:canary@h.example\/@x", r"https:\/\/****@h.example\/@x"),
            (r"postgres:\/\/u:canary@h.example\/x", r"postgres:\/\/****@h.example\/x"),
            (r"https:/\t/u:canary@h.example/x", r"https:/\t/****@h.example/x"),
            (r#""\0https://u x:canary@h.example/x""#, r#""\0https://****@h.example/x""#),
            (r#"" https://u x:canary@h.example/x""#, r#"" https://****@h.example/x""#),
            (r#""ht\ttps://u x:canary@h.example/x""#, r#""ht\ttps://****@h.example/x""#),
            (
                r"https\u003a\u002f\u002Fu:canary\u0040h.example/x",
                r"https\u003a\u002f\u002F****\u0040h.example/x",
            ),
            (r"https://u\x3acanary\U00000040h.example/x", r"https://****\U00000040h.example/x"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    /// Each URL was once looked through to the end of the text: this took minutes.
    #[test]
    fn a_long_list_of_urls_costs_what_its_length_is() {
        let list = "https://h.example/a@b\n".repeat(20_000);
        assert!(matches!(without_userinfo(&list, Kept::Readable), Cow::Borrowed(_)));
    }

    #[test]
    fn a_password_that_makes_a_url_unreadable_is_not_shown() {
        for text in [
            "https://u:can/ary@h.example/x",
            "https://u:can#ary@h.example/x",
            "https://u:can?a/ry@h.example/x",
        ] {
            assert_eq!(shown(text), "https://****@h.example/x");
            assert_eq!(shown(&format!("{text:?} of a@b")), "\"https://****@h.example/x\" of a@b");
        }
    }

    /// What quotes a text.
    const QUOTES: [fn(&str) -> String; 3] = [
        |text| serde_json::Value::from(text).to_string(),
        |text| format!("{text:?}"),
        // Of several lines it begins with an empty one.
        |text| toml::Value::from(text.replace('\n', "")).to_string(),
    ];

    proptest! {
        #[test]
        fn no_password_is_shown_however_often_it_is_quoted(
            parts in proptest::collection::vec(
                prop_oneof![
                    prop::sample::select(vec![
                        "\t", "\n", "\r", "\\", "\"", "'", "`", " ", "<", ">", ":", "@", ";", "\\t", "\\u0009", "\\\"",
                        "\u{8}", "\u{c}", "\u{1b}", "\u{a0}", "\u{202e}", "{", "}", "é", "😀", "%40", "t", "u", "x",
                    ]).prop_map(str::to_owned),
                    any::<char>().prop_filter("ends an authority", |c| !"/?#".contains(*c)).prop_map(String::from),
                ],
                0..5,
            ),
            quotes in proptest::collection::vec(prop::sample::select(QUOTES.to_vec()), 1..4),
        ) {
            let url = format!("https://canary:{}canary@h.example/x", parts.join("canary"));
            let text = quotes.iter().fold(url, |text, quote| quote(&text));
            let once = shown(&text);
            prop_assert!(!once.contains("canary"), "{text} is shown as {once}");
            prop_assert_eq!(shown(&once), once);
        }

        #[test]
        fn json_stays_json(
            strings in proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof![
                        prop::sample::select(vec![
                            "https:", "ssh:", "//", "u:canary", "@", "h.example", "\\", "\"", "'", "\t", "\\u0040", "\u{8}",
                            "<", " ", "\\\\", "n", "u", "/",
                        ]).prop_map(str::to_owned),
                        any::<char>().prop_map(String::from),
                    ],
                    0..12,
                ),
                0..6,
            ),
        ) {
            let strings: Vec<String> = strings.iter().map(|parts| parts.concat()).collect();
            let text = serde_json::to_string(&strings).expect("JSON");
            let shown = without_userinfo(&text, Kept::Json);
            let read: Result<Vec<String>, _> = serde_json::from_str(&shown);
            prop_assert!(read.is_ok(), "{text} became {shown}: {read:?}");
            let read = read.expect("JSON");
            prop_assert_eq!(read.len(), strings.len());
            for (read, string) in read.iter().zip(&strings) {
                prop_assert!(read == string || read.contains("****"), "{:?} became {:?}", string, read);
            }
        }
    }
}
