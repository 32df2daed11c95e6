//! Registries that are each unlike the others in something, as their documentation or their bug trackers say: a row each in
//! `docs/registries.md`.

use std::{collections::BTreeSet, fs, sync::Mutex};

use serde_json::json;

use super::{
    base::base,
    image::layers,
    registry::{EMPTY, Log, having, of_bytes, plain, push, server, with_body},
};
use crate::support::{
    package::{Package, greeter, noise},
    project::Project,
};

fn project() -> Project {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    project
}

/// A server of tokens, which say which scopes were asked for. `counts` picks those that count.
fn tokens(counts: fn(&[String]) -> Vec<String>) -> (u16, Log) {
    of_bytes(move |_, _, path, _| {
        let query = url::Url::parse(&format!("http://x{path}")).expect("a URL");
        let scopes: Vec<String> = query
            .query_pairs()
            .filter(|(key, _)| key == "scope")
            .map(|(_, value)| value.into_owned())
            .collect();
        let token = counts(&scopes).join("+").replace(':', ".");
        Some(with_body("200 OK", "", json!({ "token": token }).to_string().as_bytes()))
    })
}

/// A registry with the image `base`, which wants tokens from there: to push one for that, to mount one for both.
fn wanting_tokens(project: &Project, tokens: u16) -> (u16, Log) {
    let usual = having(&project.path("project/base"));
    of_bytes(move |_, method, path, authorization| {
        let has = |scope: &str| authorization.is_some_and(|text| text.contains(scope));
        let may = match (method, path.contains("mount=")) {
            ("GET", _) => has("repository.base.pull"),
            ("POST", true) => has("repository.base.pull") && has("repository.team/shop.pull,push"),
            _ => has("repository.team/shop.pull,push"),
        };
        if !may {
            let challenge = format!("Bearer realm=\"http://127.0.0.1:{tokens}/token\",service=\"reg\"");
            return Some(
                format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{EMPTY}").into_bytes(),
            );
        }
        if path.contains("mount=") {
            return Some(format!("201 Created\r\n{EMPTY}").into_bytes());
        }
        Some(usual(method, path))
    })
}

/// Whether the base's layer was sent by the last run.
fn was_sent(project: &Project, log: &Log) -> bool {
    let below = layers(&project.path("project/base"))[0].clone();
    let log = log.lock().expect("a lock");
    log.iter().any(|(method, path, ..)| method == "PUT" && path.ends_with(&below[7..]))
}

#[test]
fn docker_hub_and_ghcr_mount_with_a_token_for_both_repositories() {
    let project = project();
    let (tokens, _) = tokens(<[String]>::to_vec);
    let (port, log) = wanting_tokens(&project, tokens);
    let from = format!("127.0.0.1:{port}/base:3.11");
    push(&project, &format!("127.0.0.1:{port}/team/shop:one"), &["--base", &from]).succeeds();
    assert!(!was_sent(&project, &log));
}

#[test]
fn gitlab_counts_the_last_scope_alone_and_gets_the_layers_sent() {
    let project = project();
    let (tokens, _) = tokens(|scopes| scopes.last().cloned().into_iter().collect());
    let (port, log) = wanting_tokens(&project, tokens);
    let from = format!("127.0.0.1:{port}/base:3.11");
    push(&project, &format!("127.0.0.1:{port}/team/shop:one"), &["--base", &from]).succeeds();
    assert!(was_sent(&project, &log));
}

#[test]
fn gitlabs_job_logs_in_to_its_own_registry() {
    let wants = |_, method: &str, path: &str, authorization: Option<&str>| {
        // "job:t0ken"
        let right = authorization == Some("Basic am9iOnQwa2Vu");
        let refusal = format!("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n{EMPTY}");
        Some(if right { plain(method, path) } else { refusal })
    };
    let (port, _) = server(wants);
    let own = |registry: &str| {
        Project::with_wheels(&[Package::simple("demo", "1.0")])
            .variable("CI_REGISTRY", registry)
            .variable("CI_REGISTRY_USER", "job")
            .variable("CI_REGISTRY_PASSWORD", "t0ken")
    };
    let to = format!("127.0.0.1:{port}/shop:one");
    push(&own(&format!("127.0.0.1:{port}")), &to, &[]).succeeds();
    for run in [
        push(&own("127.0.0.1:1"), &to, &[]),
        push(&own(&format!("127.0.0.1:{port}")), &to, &["--no-ci-credentials"]),
    ] {
        assert_eq!(run.code, Some(6), "{}", run.stderr);
        assert!(!run.stderr.contains("t0ken"), "{}", run.stderr);
    }
}

#[test]
fn harbor_refuses_a_mount_with_401_and_gets_the_layers_sent() {
    let project = project();
    let usual = having(&project.path("project/base"));
    let (port, log) = of_bytes(move |_, method, path, _| {
        if path.contains("mount=") {
            return Some(with_body("401 Unauthorized", "", br#"{"errors": [{"code": "UNAUTHORIZED"}]}"#));
        }
        Some(usual(method, path))
    });
    let from = format!("127.0.0.1:{port}/base:3.11");
    push(&project, &format!("127.0.0.1:{port}/team/shop:one"), &["--base", &from]).succeeds();
    assert!(was_sent(&project, &log));
}

/// What was sent with PATCH, and whether any blob was in the body of a PUT.
fn patched(log: &Log) -> (Vec<usize>, bool) {
    let log = log.lock().expect("a lock");
    let sizes = log.iter().filter(|(method, ..)| method == "PATCH").map(|(.., size)| *size).collect();
    let whole = log
        .iter()
        .any(|(method, path, .., size)| method == "PUT" && path.starts_with("/upload") && *size > 0);
    (sizes, whole)
}

#[test]
fn artifactory_wants_patch_and_gets_each_blob_in_one_of_them() {
    let project = project();
    let bodies = Mutex::new(BTreeSet::new());
    let (port, log) = server(move |_, method, path, _| {
        let mut bodies = bodies.lock().expect("a lock");
        Some(match method {
            "PATCH" => {
                bodies.insert(path.to_owned());
                format!("202 Accepted\r\nLocation: {path}&patched=1\r\n{EMPTY}")
            }
            "PUT" if path.starts_with("/upload") && !path.contains("patched") => {
                format!("400 Bad Request\r\n{EMPTY}")
            }
            _ => plain(method, path),
        })
    });
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let (sizes, whole) = patched(&log);
    // One was refused with PUT, if not more at once; then all went by PATCH: two layers and the config.
    assert!(whole && sizes.len() == 3 && sizes.iter().all(|size| *size > 0), "{sizes:?}");
}

#[test]
fn ghcr_takes_four_mebibytes_at_once() {
    let project =
        Project::with_wheels(&[Package::new(&greeter("demo", "1.0").stored("demo.bin", noise(9_000_000)))]);
    let (port, log) = of_bytes(|_, method, path, _| {
        Some(match method {
            "PATCH" => format!("202 Accepted\r\nLocation: {path}\r\n{EMPTY}").into_bytes(),
            _ => plain(method, path).into_bytes(),
        })
    });
    let limited = limited(port, 4 << 20);
    push(&project, &format!("127.0.0.1:{limited}/shop:one"), &[]).succeeds();
    let (sizes, _) = patched(&log);
    let mut large: Vec<usize> = sizes.iter().copied().filter(|size| *size > 100_000).collect();
    large.sort_unstable();
    assert!(large.len() == 3 && large[2] == 4 << 20 && large[1] == 4 << 20, "{sizes:?}");
}

/// A proxy in front of a server that refuses larger bodies with 413.
fn limited(port: u16, limit: usize) -> u16 {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::{Ipv4Addr, TcpListener, TcpStream},
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let own = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> Option<()> {
                let mut reader = BufReader::new(stream.try_clone().ok()?);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).ok().filter(|&count| count > 0)?;
                }
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                });
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).ok()?;
                if body.len() > limit {
                    return stream.write_all(format!("HTTP/1.1 413 Too Large\r\n{EMPTY}").as_bytes()).ok();
                }
                let mut behind = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
                behind.write_all(&[head.as_bytes(), &body].concat()).ok()?;
                std::io::copy(&mut behind, &mut stream).ok().map(drop)
            });
        }
    });
    own
}

#[test]
fn ecr_and_google_get_every_blob_in_one_piece() {
    let project = project();
    let (port, log) = server(|_, method, path, _| Some(plain(method, path)));
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let (sizes, whole) = patched(&log);
    assert!(whole && sizes.is_empty());
}

#[test]
fn a_piece_that_is_dropped_in_silence_is_noticed() {
    let project = project();
    let (port, _) = server(|_, method, path, _| {
        Some(match method {
            "PATCH" => format!("202 Accepted\r\nLocation: {path}\r\nRange: 0-9\r\n{EMPTY}"),
            "PUT" if path.starts_with("/upload") => format!("415 Unsupported\r\n{EMPTY}"),
            _ => plain(method, path),
        })
    });
    let run = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    assert!(run.stderr.contains("kept the bytes up to 9 of those up to "), "{}", run.stderr);
}

#[test]
fn azures_identity_tokens_are_exchanged_by_post() {
    let project = project();
    let (tokens, asked) = server(|_, method, path, _| {
        let body = "{\"access_token\": \"t0ken\"}";
        let right = method == "POST" && path == "/oauth2/token";
        let status = if right { "200 OK" } else { "401 Unauthorized" };
        Some(format!("{status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    });
    let (port, _) = server(move |_, method, path, authorization| {
        if authorization != Some("Bearer t0ken") {
            let challenge =
                format!("Bearer realm=\"http://127.0.0.1:{tokens}/oauth2/token\",service=\"reg\"");
            return Some(format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{EMPTY}"));
        }
        Some(plain(method, path))
    });
    let auths = json!({"auths": {format!("127.0.0.1:{port}"): {"identitytoken": "refresh-canary"}}});
    project.write("home/.docker/config.json", auths.to_string());
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let asked = asked.lock().expect("a lock");
    // It goes in the body, never in a URL.
    assert!(asked.iter().all(|(_, path, authorization, _, size)| !path.contains("canary")
        && authorization.is_none()
        && *size > 0));
}

#[test]
fn helpers_give_logins_and_what_they_do_wrong_is_told_without_secrets() {
    let wants = |_, method: &str, path: &str, authorization: Option<&str>| {
        let right = authorization == Some("Basic am9iOnQwa2Vu");
        let refusal = format!("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n{EMPTY}");
        Some(if right { plain(method, path) } else { refusal })
    };
    let (port, _) = server(wants);
    let with = |script: &str| {
        let project = Project::with_wheels(&[Package::simple("demo", "1.0")])
            .program("docker-credential-test", script)
            .variable("REGISTRY_AUTH_FILE", "../auth.json");
        let config = json!({"credHelpers": {format!("127.0.0.1:{port}"): "test"}});
        project.write("auth.json", config.to_string());
        push(&project, &format!("127.0.0.1:{port}/shop:one"), &[])
    };
    let gives = r#"read host; [ "$1 $host" = "get 127.0.0.1:PORT" ] && echo '{"Username": "job", "Secret": "t0ken"}'"#;
    with(&gives.replace("PORT", &port.to_string()).replace("read host;", "host=$(cat);")).succeeds();
    let nothing = with("cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
    assert!(nothing.stderr.contains("refused a request without a login: 401"), "{}", nothing.stderr);
    for (script, why) in [
        ("cat >/dev/null; echo secret-canary >&2; exit 1", "it failed"),
        ("cat >/dev/null; echo '{\"Secret\": \"secret-canary\"'", "its answer is not JSON"),
        ("cat >/dev/null; echo '{\"Secret\": \"secret-canary\"}'", "its answer has no user and secret"),
    ] {
        let run = with(script);
        assert_eq!(run.code, Some(6), "{}", run.stderr);
        assert!(
            run.stderr.contains(&format!(
                "docker-credential-test does not give the login for 127.0.0.1:{port}: {why}"
            )),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    }
}

#[test]
fn uploads_follow_a_redirect_to_storage_without_a_login() {
    let project = project();
    let (storage, stored) = server(|_, _, _, _| Some(format!("201 Created\r\n{EMPTY}")));
    let (port, _) = server(move |_, method, path, authorization| {
        if authorization.is_none() {
            return Some(format!("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n{EMPTY}"));
        }
        if method == "PUT" && path.starts_with("/upload") {
            return Some(format!(
                "307 Temporary Redirect\r\nLocation: http://localhost:{storage}{path}\r\n{EMPTY}"
            ));
        }
        Some(plain(method, path))
    });
    let auths = json!({"auths": {format!("127.0.0.1:{port}"): {"auth": "am9iOnQwa2Vu"}}});
    project.write("home/.config/containers/auth.json", auths.to_string());
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let stored = stored.lock().expect("a lock");
    assert!(
        stored.len() == 3
            && stored.iter().all(|(_, _, authorization, _, size)| authorization.is_none() && *size > 0)
    );
}

#[test]
fn a_login_of_netrc_is_exchanged_for_a_token_too() {
    let project = project();
    let (tokens, asked) = server(|_, _, _, _| {
        let body = "{\"token\": \"t0ken\"}";
        Some(format!("200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    });
    let (port, _) = server(move |_, method, path, authorization| {
        if authorization != Some("Bearer t0ken") {
            let challenge = format!("Bearer realm=\"http://127.0.0.1:{tokens}/token\"");
            return Some(format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{EMPTY}"));
        }
        Some(plain(method, path))
    });
    let project =
        project.file("home/.netrc", &format!("machine 127.0.0.1:{port} login job password t0ken\n"));
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let asked = asked.lock().expect("a lock");
    assert!(
        asked.iter().all(|(_, _, authorization, ..)| authorization.as_deref() == Some("Basic am9iOnQwa2Vu"))
    );
    assert!(fs::metadata(project.path("home/.netrc")).is_ok());
}
