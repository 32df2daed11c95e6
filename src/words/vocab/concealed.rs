//! Values of variables that stand in the visible part of a URL.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use url::Url;

use super::Secret;

/// Values shorter than this are no secrets, and would be struck out of innocent words.
const SHORTEST: usize = 6;

/// Which values came into the path or query of a URL through a variable (`https://host/${TOKEN}/simple`).
///
/// Some registries have their tokens there. A URL is shown in messages, recorded and written down, so every
/// way out replaces these values by the variable's name. Clones share what they know.
#[derive(Clone, Default)]
pub struct Concealed(Arc<Mutex<Vec<(String, Secret)>>>);

impl Concealed {
    /// Remembers the value of the variable `name`, as it is, as a URL's path writes it, and as messages and JSON quote it.
    pub fn add(&self, name: &str, value: &str) {
        let mut known = self.0.lock();
        let quoted = Secret::new(value).quoted().into_iter().map(|secret| secret.expose().to_owned());
        for form in [value.to_owned(), in_path(value)].into_iter().chain(quoted) {
            if form.len() >= SHORTEST && known.iter().all(|(_, secret)| secret.expose() != form) {
                known.push((name.to_owned(), Secret::new(form)));
            }
        }
        // The longest first: one value may be part of another.
        known.sort_by_key(|(_, secret)| std::cmp::Reverse(secret.expose().len()));
    }

    /// The values themselves.
    pub fn secrets(&self) -> Vec<Secret> {
        let known = self.0.lock();
        known.iter().map(|(_, secret)| secret.clone()).collect()
    }

    /// The text with every such value replaced by `${NAME}`.
    pub fn hide(&self, text: &str) -> String {
        let known = self.0.lock();
        known.iter().fold(text.to_owned(), |text, (name, secret)| {
            text.replace(secret.expose(), &format!("${{{name}}}"))
        })
    }

    /// The URL that [`Concealed::hide`] was given, with today's values. Names of unknown variables stay.
    pub fn reveal(&self, hidden: &str) -> String {
        let known = self.0.lock();
        known.iter().fold(hidden.to_owned(), |text, (name, secret)| {
            text.replace(&format!("${{{name}}}"), &in_path(secret.expose()))
        })
    }
}

impl fmt::Debug for Concealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// A text as it reads once it is in the path of a URL.
fn in_path(text: &str) -> String {
    // Parsing cannot fail: the text comes after the host.
    Url::parse(&format!("http://h/{text}"))
        .map_or_else(|_| text.to_owned(), |url| url.as_str()["http://h/".len()..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_by_their_names_in_both_forms() {
        let concealed = Concealed::default();
        concealed.add("TOKEN", "canary one");
        concealed.clone().add("SHORT", "simpl");
        let url = "https://host.example/canary%20one/simple/";
        assert_eq!(concealed.hide(url), "https://host.example/${TOKEN}/simple/");
        assert_eq!(concealed.hide("cannot expand canary one"), "cannot expand ${TOKEN}");
        assert_eq!(concealed.reveal(&concealed.hide(url)), url);
        assert!(!format!("{concealed:?}").contains("canary"));
    }

    #[test]
    fn a_value_is_replaced_where_it_is_quoted() {
        let concealed = Concealed::default();
        let value = "can\"ary\tone\u{7f}\u{1}";
        concealed.add("TOKEN", value);
        let json = serde_json::json!({ "value": value }).to_string();
        assert_eq!(concealed.hide(&json), r#"{"value":"${TOKEN}"}"#);
        assert_eq!(concealed.hide(&format!("got {value:?}")), r#"got "${TOKEN}""#);
    }

    #[test]
    fn a_value_inside_a_longer_one_leaves_nothing_of_it() {
        let concealed = Concealed::default();
        concealed.add("PART", "canary");
        concealed.add("WHOLE", "canary-and-more");
        assert_eq!(concealed.hide("/canary-and-more/canary/"), "/${WHOLE}/${PART}/");
    }
}
