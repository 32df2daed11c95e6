//! `auth`: which credentials each source of the lock would get.

use serde::Serialize;

use crate::{
    packages::{fetch::Answer, http::Client, index::parse_page},
    project::lock::{Entry, EntryOrigin},
    run::options::{Common, IndexOptions, LockOptions},
    words::error::{Error, Result},
};
use crate::{
    run::{
        inputs::Inputs,
        supply::{
            session::client,
            sources::{Index, Sources, page_url},
        },
    },
    words::{
        progress::Progress,
        vocab::{shown_scheme, shown_text},
    },
};

/// One source and its credentials, never the secret.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AuthRow {
    /// The source's name.
    pub source: String,
    /// Its URL without userinfo.
    pub url: String,
    /// The user that would be sent; empty for a token without one, nothing where nothing is known.
    pub user: Option<String>,
    /// Where the credentials come from, or where they were looked for.
    pub origin: String,
    /// What the index answered, where it was asked.
    pub answer: Option<String>,
    /// Whether the source can be used as far as is known.
    pub ok: bool,
}

/// Says for each source of the lock which credentials it would get; with `check` it is asked.
pub(crate) fn auth(
    common: &Common,
    lock: &LockOptions,
    options: &IndexOptions,
    check: bool,
    progress: &dyn Progress,
) -> Result<Vec<AuthRow>> {
    let lock = LockOptions { deploy: false, ignore_pipfile: true, ..lock.clone() };
    let inputs = Inputs::read(common, &lock, progress)?;
    let sources = Sources::new(&inputs.lock, inputs.pipfile.as_ref(), options)?;
    let entries: Vec<&Entry> = inputs.lock.categories.iter().flat_map(|(_, entries)| entries).collect();
    let client = client(common, options, &sources, &[], progress)?;
    Ok(sources
        .all()
        .zip(sources.names())
        .map(|(index, name)| match index {
            Ok(index) => row(&index, &client, check.then_some((&sources, entries.as_slice()))),
            Err(error) => AuthRow {
                source: shown_text(name).into_owned(),
                url: String::new(),
                user: None,
                origin: one_line(&error),
                answer: None,
                ok: false,
            },
        })
        .collect())
}

fn row(index: &Index, client: &Client, check: Option<(&Sources<'_>, &[&Entry])>) -> AuthRow {
    let url = index.url.url();
    let mut row = AuthRow {
        source: index.name.clone(),
        url: index.url.to_string(),
        user: None,
        origin: String::new(),
        answer: None,
        ok: true,
    };
    if !matches!(url.scheme(), "http" | "https" | "file") {
        row.ok = false;
        let scheme = shown_scheme(url).unwrap_or("another scheme, or none");
        row.origin = format!("{scheme}: indexes cannot be asked; expected https, http or file");
        return row;
    }
    let store = client.store();
    let found = match store.lookup(url, Some(&index.url)) {
        // What a run would find out after a 401.
        Ok(None) => store.after_refusal(url, Some(&index.url)),
        found => found,
    };
    match found {
        Ok(Some(found)) => {
            row.user = Some(found.credentials.username.clone());
            row.origin = found.origin.to_string();
        }
        Ok(None) => {
            row.origin = format!("no credentials (looked in {})", store.looked_in(url, Some(&index.url)));
        }
        Err(error) => {
            row.origin = one_line(&error);
            row.ok = false;
        }
    }
    if let Some((sources, entries)) = check {
        match ask(index, client, sources, entries) {
            Ok(answer) => row.answer = Some(answer),
            Err(error) => {
                row.answer = Some(one_line(&error));
                row.ok = false;
            }
        }
    }
    row
}

/// Asks for the first package that belongs to the source: that is the question a run asks.
fn ask(index: &Index, client: &Client, sources: &Sources<'_>, entries: &[&Entry]) -> Result<String> {
    let belongs = |entry: &&&Entry| {
        entry.origin == EntryOrigin::Index
            && sources.of(entry).is_ok_and(|of| of.iter().any(|of| of.name == index.name))
    };
    let Some(entry) = entries.iter().find(belongs) else {
        return Ok("not asked: no package of the lock belongs to it".to_owned());
    };
    match client.page(&page_url(index, &entry.name), &index.url)? {
        Answer::Page(page) => {
            let files = parse_page(page.content_type.as_deref(), &page.body, &page.url)?;
            let files = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
            Ok(format!("ok: {files} of {}", entry.name))
        }
        Answer::NotFound(error) => Err(error),
    }
}

fn one_line(error: &Error) -> String {
    error.report().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
