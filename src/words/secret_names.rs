//! Which variables hold secrets, by their names.

/// Words that mark a variable as a secret when its name, split at `_`, holds one of them.
const SECRET_WORDS: &[&str] = &[
    "APIKEY",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
    "JWT",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PAT",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "TOKENS",
];

/// Endings that do.
const SECRET_ENDINGS: &[&str] = &[
    "_API_KEY",
    "_ACCESS_KEY",
    "_ACCESS_KEY_ID",
    "_PRIVATE_KEY",
    "_SIGNING_KEY",
    "_ENCRYPTION_KEY",
    "PASSWORD",
    "TOKEN",
];

/// Names that hold such a word and no secret.
const HARMLESS: &[&str] = &["SSH_AUTH_SOCK", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"];

/// Where GitLab CI puts the passwords that venvoy takes from there.
const CI_PASSWORDS: &[&str] = &["CI_JOB_TOKEN", "CI_DEPLOY_PASSWORD", "CI_REGISTRY_PASSWORD"];

/// Whether a variable is named like one that holds a secret, in any letter case.
pub(crate) fn names_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !HARMLESS.contains(&upper.as_str())
        && (upper.split('_').any(|word| SECRET_WORDS.contains(&word))
            || SECRET_ENDINGS.iter().any(|ending| upper.ends_with(ending)))
}

/// Whether a variable holds a password that venvoy itself takes from there: of them no child needs any. Others named
/// like secrets may be what a keyring's backend logs in with.
pub(crate) fn names_own_secret(name: &str) -> bool {
    name.starts_with("VENVOY_INDEX_") && name.ends_with("_PASSWORD") || CI_PASSWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_our_own_secret_is_a_secret_to_all() {
        for name in
            ["VENVOY_INDEX_MAIN_PASSWORD", "CI_JOB_TOKEN", "CI_DEPLOY_PASSWORD", "CI_REGISTRY_PASSWORD"]
        {
            assert!(names_own_secret(name) && names_secret(name), "{name}");
        }
        for name in
            ["AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", "MYTOKEN", "DB_PASS", "SYSTEM_ACCESSTOKEN"]
        {
            assert!(names_secret(name) && !names_own_secret(name), "{name}");
        }
        for name in ["SSH_AUTH_SOCK", "XAUTHORITY", "PATH", "COMPASS", "VENVOY_INDEX_MAIN_USERNAME"] {
            assert!(!names_secret(name) && !names_own_secret(name), "{name}");
        }
    }
}
