//! `--push`: to Debian's registry, and to servers that answer as the specification lets them.

use std::{fs, sync::Mutex};

use serde_json::json;

use super::registry::{EMPTY, debians, plain, push, server};
use crate::support::{
    package::{Package, greeter, noise},
    project::Project,
};

fn project() -> Project {
    Project::with_wheels(&[
        Package::new(&greeter("demo", "1.0").file("demo_data.bin", noise(200_000))),
        Package::simple("other", "1.0"),
    ])
}

#[test]
fn debians_registry_takes_an_image_and_what_it_has_is_not_sent_again() {
    let project = project();
    let (_registry, port) = debians(&project);
    let to = format!("127.0.0.1:{port}/team/shop:one");
    let first = push(&project, &to, &[]);
    first.succeeds();
    let link =
        project.path("registry/docker/registry/v2/repositories/team/shop/_manifests/tags/one/current/link");
    assert_eq!(fs::read_to_string(&link).expect("a tag"), first.stdout.trim_end());
    let again = push(&project, &to, &[]);
    again.succeeds();
    assert_eq!(again.stdout, first.stdout);
    assert!(again.stderr.contains("(0 B)"), "{}", again.stderr);
    // The settings are in the config alone: no layer goes again.
    let other = push(&project, &to.replace("one", "two"), &["--env", "A=B"]);
    other.succeeds();
    assert!(!other.stderr.contains("kB)") && !other.stderr.contains("(0 B)"), "{}", other.stderr);
}

#[test]
fn a_token_is_fetched_with_the_login_and_both_scopes_and_goes_to_the_registry_alone() {
    let project = project();
    let (storage, stored) = server(|_, _, _, _| Some(format!("201 Created\r\n{EMPTY}")));
    let (tokens, asked) = server(|_, _, _, authorization| {
        let body = "{\"token\": \"t0ken\"}";
        let right = authorization == Some("Basic bWU6cGFzczp3b3Jk");
        let status = if right { "200 OK" } else { "401 Unauthorized" };
        Some(format!("{status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    });
    let (port, log) = server(move |_, method, path, authorization| {
        if authorization != Some("Bearer t0ken") {
            let challenge = format!("Bearer realm=\"http://127.0.0.1:{tokens}/token\",service=\"reg\"");
            return Some(format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{EMPTY}"));
        }
        if method == "POST" {
            return Some(format!(
                "202 Accepted\r\nLocation: http://localhost:{storage}/put?sig=1\r\n{EMPTY}"
            ));
        }
        Some(plain(method, path))
    });
    let auths = json!({"auths": {format!("127.0.0.1:{port}"): {"auth": "bWU6cGFzczp3b3Jk"}}});
    project.write("home/.docker/config.json", auths.to_string());
    push(&project, &format!("127.0.0.1:{port}/team/shop:one"), &[]).succeeds();
    let asked = asked.lock().expect("a lock");
    assert!(asked.iter().all(|(_, path, ..)| path.contains("scope=repository%3Ateam%2Fshop%3Apull%2Cpush")
        && path.contains("service=reg")));
    let stored = stored.lock().expect("a lock");
    // Three layers and the config; no credentials, and each body is what its digest says.
    assert_eq!(stored.len(), 4);
    for (method, path, authorization, digest, length) in stored.iter() {
        assert_eq!((method.as_str(), authorization), ("PUT", &None), "{path}");
        assert!(
            path.starts_with("/put?sig=1&digest=sha256") && path.ends_with(digest) && *length > 0,
            "{path}"
        );
    }
    let log = log.lock().expect("a lock");
    let (method, path, ..) = log.last().expect("requests");
    assert_eq!((method.as_str(), path.as_str()), ("PUT", "/v2/team/shop/manifests/one"));
}

#[test]
fn an_upload_that_is_dropped_begins_again() {
    let project = project();
    let dropped = Mutex::new(2);
    let (port, log) = server(move |_, method, path, _| {
        if method == "PUT" && path.starts_with("/upload") {
            let mut left = dropped.lock().expect("a lock");
            if *left > 0 {
                *left -= 1;
                // Forgotten, as after a broken connection.
                return (*left == 0).then(|| format!("404 Not Found\r\n{EMPTY}"));
            }
        }
        Some(plain(method, path))
    });
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let log = log.lock().expect("a lock");
    let posts = log.iter().filter(|(method, ..)| method == "POST").count();
    assert!(posts > 4, "{posts}");
}

#[test]
fn a_registry_that_refuses_or_lies_is_named_and_no_secret_is_shown() {
    let project = project();
    let auths =
        |port: u16| json!({"auths": {format!("127.0.0.1:{port}"): {"auth": "bWU6cGFzczp3b3Jk"}}}).to_string();
    let (port, _) = server(|_, _, _, _| {
        let body = "{\"errors\": [{\"code\": \"DENIED\", \"message\": \"not yours\"}]}";
        Some(format!("403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    });
    let refused = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("refused a request without a login: 403"), "{}", refused.stderr);
    project.write("home/.docker/config.json", auths(port));
    let refused = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert!(refused.stderr.contains("refused the login it was given: 403"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("pass:word") && !refused.stderr.contains("bWU6"), "{}", refused.stderr);
    let (port, _) = server(|_, method, path, _| {
        if path.contains("/manifests/") {
            return Some(format!("201 Created\r\nDocker-Content-Digest: sha256:00\r\n{EMPTY}"));
        }
        Some(plain(method, path))
    });
    let lied = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert_eq!(lied.code, Some(8), "{}", lied.stderr);
    assert!(lied.stderr.contains("says that it stored sha256:00, expected sha256:"), "{}", lied.stderr);
    push(&project, "shop:one", &[])
        .fails(2, &["error: \"shop:one\" is no image in a registry: it names no registry"]);
    let down = push(&project, "127.0.0.1:1/shop:one", &[]);
    assert_eq!(down.code, Some(7), "{}", down.stderr);
    push(&project, "127.0.0.1:1/shop:one", &["--offline"])
        .fails(2, &["error: --offline and an image of a registry (127.0.0.1:1/shop:one) exclude each other"]);
}

#[test]
fn a_registry_need_not_say_how_long_a_blob_is() {
    let project = project();
    let (port, log) = server(|_, method, path, _| {
        Some(match method {
            "HEAD" if path.contains("/blobs/") => "200 OK\r\nConnection: close\r\n\r\n".to_owned(),
            _ => plain(method, path),
        })
    });
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let log = log.lock().expect("a lock");
    // It has all of them: the manifest alone is sent.
    let sent: Vec<_> = log.iter().filter(|(method, ..)| method != "HEAD" && method != "GET").collect();
    assert!(sent.len() == 1 && sent[0].0 == "PUT" && sent[0].1.contains("/manifests/"), "{sent:?}");
}

#[test]
fn a_registry_that_takes_neither_all_at_once_nor_a_part_is_an_error_that_says_so() {
    let project = project();
    let (port, log) = server(|_, method, path, _| {
        Some(match method {
            "PUT" if path.starts_with("/upload") => format!("413 Too Large\r\n{EMPTY}"),
            "PATCH" => format!("405 Method Not Allowed\r\n{EMPTY}"),
            _ => plain(method, path),
        })
    });
    let run = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    assert!(run.stderr.contains("405") && run.stderr.contains("cannot push the blob"), "{}", run.stderr);
    let log = log.lock().expect("a lock");
    assert!(
        log.iter().all(|(_, path, ..)| !path.contains("/manifests/") || !path.contains("one")),
        "{log:?}"
    );
}

#[test]
fn the_time_of_layers_and_of_a_push_is_shown() {
    let project = project();
    let (_registry, port) = debians(&project);
    let run = push(&project, &format!("127.0.0.1:{port}/shop:one"), &["--timings=json"]);
    run.succeeds();
    let report = run.json();
    let of = |part: &str| {
        let parts = report["parts"].as_array().expect("parts").iter();
        parts.filter(|one| one["part"] == part && one["bytes"].as_u64() > Some(0)).count()
    };
    // Two packages' layers and the rest's; the config with them.
    assert_eq!((of("compress"), of("push")), (3, 4), "{report}");
    let stages: Vec<&str> = report["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .filter_map(|stage| stage["name"].as_str())
        .collect();
    assert!(stages.contains(&"Packing") && stages.last() == Some(&"Pushing"), "{stages:?}");
    project.run(&["warm", "--find-links", "../wheels", "--timings=../warm.html"]).succeeds();
    assert!(project.read("warm.html").contains("venvoy timings"));
    let both = project.run(&["pack", "--output", "-", "--timings=json"]);
    both.ends_with(2);
    assert!(both.stderr.contains("both go to standard output"), "{}", both.stderr);
}
