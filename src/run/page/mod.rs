//! Pages: one HTML file each that needs nothing else. Names and paths on them come from packages, so they are data.

/// How every page looks: colours for light and dark, and text.
const STYLE: &str = include_str!("style.css");

/// A template with its marks, `<!--{NAME}-->`, filled in: `style` with what all pages share, others by `part`. A mark
/// that `part` does not know becomes nothing.
pub(crate) fn fill(template: &str, part: impl Fn(&str) -> Option<String>) -> String {
    let mut page = String::with_capacity(template.len() + (256 << 10));
    let mut rest = template;
    // The marks are the template's own: what is put in their place is not looked at again.
    while let Some((before, after)) = rest.split_once("<!--{") {
        page.push_str(before);
        let (mark, after) = after.split_once("}-->").unwrap_or((after, ""));
        match mark {
            "style" => page.push_str(STYLE.trim_end()),
            mark => page.push_str(&part(mark).unwrap_or_default()),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Text for HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Letters that turn text around, and what is no letter at all.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_place_of_a_mark_is_not_looked_at_again() {
        let page = fill("<b><!--{name}--></b><!--{none}-->.", |mark| {
            (mark == "name").then(|| "<!--{name}-->".into())
        });
        assert_eq!(page, "<b><!--{name}--></b>.");
        assert!(fill("<style><!--{style}--></style>", |_| None).contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(
            escape("<a href='x'>&\u{202e}\u{7}\""),
            "&lt;a href=&#39;x&#39;&gt;&amp;\u{fffd}\u{fffd}&quot;"
        );
    }
}
