//! URL, environment and netrc in, credentials per realm out.
