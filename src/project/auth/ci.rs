//! GitLab CI's own tokens: which there are, and to which server they go.

use url::Url;

use super::{AuthOptions, CredentialOrigin, Found};
use crate::words::{
    error::{Error, Kind},
    vocab::{Credentials, Realm, Secret},
};

/// The variables that name GitLab's server, in the order in which they count. CI_SERVER_HOST has CI_SERVER_PORT beside
/// it.
const SERVER: [&str; 4] = ["CI_SERVER_HOST", "CI_SERVER_FQDN", "CI_SERVER_URL", "CI_API_V4_URL"];

/// Where GitLab's server is, as far as is known.
enum Server {
    /// A variable says so.
    Named(&'static str, Realm),
    /// Of the lock's sources, the one https host that has GitLab's package API.
    Only(Realm),
    /// Several have it.
    Several(Vec<Realm>),
    /// Nothing names it.
    Unknown,
}

/// The tokens of a job and their place.
pub(super) struct Ci {
    allowed: bool,
    deploy: Option<(String, Secret)>,
    job: Option<Secret>,
    server: Server,
}

impl Ci {
    pub(super) fn new<'u>(options: &AuthOptions, sources: impl Iterator<Item = &'u Url>) -> Self {
        let variable = |name| options.variable(name);
        let deploy = variable("CI_DEPLOY_USER").zip(variable("CI_DEPLOY_PASSWORD"));
        Ci {
            allowed: options.ci,
            deploy: deploy.map(|(user, password)| (user.to_owned(), Secret::new(password))),
            job: variable("CI_JOB_TOKEN").map(Secret::new),
            server: Server::of(options, sources),
        }
    }

    /// The token for a realm. A deploy token exists only where the project's owners made one for this purpose, so it
    /// comes before the job token that always exists. Only over https.
    pub(super) fn for_realm(&self, realm: &Realm) -> Option<Found> {
        let (Server::Named(_, server) | Server::Only(server)) = &self.server else { return None };
        if self.allowed && server == realm { self.token() } else { None }
    }

    fn token(&self) -> Option<Found> {
        let found = |user: &str, password: &Secret, origin| Found {
            credentials: Credentials::new(user, password.clone()),
            origin,
        };
        match (&self.deploy, &self.job) {
            (Some((user, password)), _) => Some(found(user, password, CredentialOrigin::CiDeployToken)),
            (None, Some(token)) => Some(found("gitlab-ci-token", token, CredentialOrigin::CiJobToken)),
            (None, None) => None,
        }
    }

    /// Why there is a token and nobody can say whether it is for this realm.
    pub(super) fn doubt(&self, realm: &Realm) -> Option<Error> {
        let Server::Several(servers) = &self.server else { return None };
        let token = self.token().filter(|_| self.allowed && servers.contains(realm))?;
        let servers: Vec<String> = servers.iter().map(place).collect();
        let message = format!(
            "{} is set, but not for which of {} it is: it was sent to none of them",
            token.origin,
            servers.join(" and ")
        );
        Some(Error::new(Kind::Auth, message).help(
            "pass CI_SERVER_HOST as well (in a Dockerfile: ARG CI_SERVER_HOST, and --build-arg CI_SERVER_HOST), or \
             give the password in netrc",
        ))
    }

    /// What to say where the server was not named but found out.
    pub(super) fn notice(&self) -> Option<String> {
        let Server::Only(server) = &self.server else { return None };
        let token = self.token().filter(|_| self.allowed)?;
        let place = place(server);
        Some(format!(
            "{} goes to {place}, the one source with GitLab's package API (CI_SERVER_HOST, which would name it, is \
             not set)",
            token.origin
        ))
    }

    /// How messages say that tokens were looked for, and why those that are set are not for this realm.
    pub(super) fn looked_in(&self, realm: Option<&Realm>) -> Option<String> {
        let token = self.token();
        let is_named = matches!(self.server, Server::Named(..));
        let Some(token) = token else {
            let none = if self.allowed {
                "CI_JOB_TOKEN and CI_DEPLOY_PASSWORD"
            } else {
                "not CI_JOB_TOKEN, because of --no-ci-credentials"
            };
            return is_named.then(|| none.to_owned());
        };
        let name = token.origin;
        if !self.allowed {
            return Some(format!("not {name}, because of --no-ci-credentials"));
        }
        Some(match &self.server {
            Server::Named(variable, server) if realm.is_none_or(|realm| realm != server) => {
                format!("{name} (it is for https://{}, which {variable} names)", place(server))
            }
            Server::Only(server) if realm.is_none_or(|realm| realm != server) => {
                format!(
                    "{name} (it is for https://{}, the one source with GitLab's package API)",
                    place(server)
                )
            }
            Server::Named(..) | Server::Only(_) => name.to_string(),
            Server::Several(_) => {
                format!("{name} (it is not clear for which source: CI_SERVER_HOST is not set)")
            }
            Server::Unknown => format!(
                "{name} (neither CI_SERVER_HOST nor the path of an https source, /api/v4/projects/…/packages/pypi, \
                 says where it belongs)"
            ),
        })
    }
}

impl Server {
    fn of<'u>(options: &AuthOptions, sources: impl Iterator<Item = &'u Url>) -> Self {
        for name in SERVER {
            let Some(value) = options.variable(name) else { continue };
            let port = options.variable("CI_SERVER_PORT").filter(|_| name == "CI_SERVER_HOST");
            let text = match (name, port) {
                ("CI_SERVER_HOST", Some(port)) => format!("https://{value}:{port}/"),
                ("CI_SERVER_HOST" | "CI_SERVER_FQDN", _) => format!("https://{value}/"),
                _ => value.to_owned(),
            };
            // What is no URL names nobody, and no other variable is believed in its place.
            let realm = Url::parse(&text).ok().and_then(|url| Realm::of(&url));
            return match realm.filter(|realm| realm.scheme == "https") {
                Some(realm) => Server::Named(name, realm),
                None => Server::Unknown,
            };
        }
        let mut found: Vec<Realm> = Vec::new();
        for realm in
            sources.filter(|url| url.scheme() == "https" && has_package_api(url)).filter_map(Realm::of)
        {
            if !found.contains(&realm) {
                found.push(realm);
            }
        }
        match found.len() {
            0 => Server::Unknown,
            1 => Server::Only(found.remove(0)),
            _ => Server::Several(found),
        }
    }
}

/// Whether a URL's path is one of GitLab's package API: `…/api/v4/projects/7/packages/pypi/…`, or of a group.
fn has_package_api(url: &Url) -> bool {
    let Some(parts) = url.path_segments() else { return false };
    let parts: Vec<&str> = parts.collect();
    let api = parts.windows(3).position(|w| w[..2] == ["api", "v4"] && matches!(w[2], "projects" | "groups"));
    api.is_some_and(|at| parts[at + 3..].windows(2).any(|w| w == ["packages", "pypi"]))
}

fn place(realm: &Realm) -> String {
    if realm.port == 443 { realm.host.clone() } else { format!("{}:{}", realm.host, realm.port) }
}
