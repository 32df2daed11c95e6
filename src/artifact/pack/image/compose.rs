//! Putting layers on a base, or on nothing: the config and the manifest that come of it.

use serde_json::{Map, Value, json};

use super::{Base, Blob, Family, Image, Layer, Platform, Settings, bytes, descriptor};
use crate::words::vocab::timestamp;

/// What a search path is where a base says nothing.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puts layers on a base, or on nothing. `place` is where the environment is, absolute; `created` in seconds since 1970.
pub(crate) fn compose(
    base: Option<&Base>,
    layers: &[Layer],
    settings: &Settings,
    platform: &Platform,
    place: &str,
    created: i64,
    annotations: &[(String, String)],
) -> Image {
    let family = base.map_or(Family::Oci, |base| base.family);
    let created = timestamp(created);
    let mut config = base.map_or_else(Map::new, |base| base.config.clone());
    // What an engine notes about the container that an image was made from.
    for stale in [
        "container",
        "container_config",
        "docker_version",
        "id",
        "parent",
        "Size",
        "moby.buildkit.buildinfo.v1",
    ] {
        config.remove(stale);
    }
    config.insert("created".to_owned(), json!(created));
    if base.is_none()
        && let Value::Object(own) = platform.to_json()
    {
        config.extend(own);
    }
    let mut run = match config.remove("config") {
        Some(Value::Object(run)) => run,
        _ => Map::new(),
    };
    apply(&mut run, settings, place);
    config.insert("config".to_owned(), Value::Object(run));

    let mut diff_ids =
        config.get("rootfs").and_then(|rootfs| rootfs["diff_ids"].as_array()).cloned().unwrap_or_default();
    let before = diff_ids.len();
    diff_ids.extend(layers.iter().map(|layer| json!(format!("sha256:{}", layer.diff_id))));
    config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    let mut history = config.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    // There must be one entry for each layer: scanners and builders count.
    let counted = history.iter().filter(|one| one["empty_layer"] != json!(true)).count();
    if counted != before {
        history = vec![json!({ "created": created, "comment": "a layer of the base" }); before];
    }
    history.extend(
        layers
            .iter()
            .map(|layer| json!({ "created": created, "created_by": "venvoy pack", "comment": layer.holds })),
    );
    config.insert("history".to_owned(), Value::Array(history));
    let config = bytes(&Value::Object(config));

    let mut all: Vec<Value> = base.map_or_else(Vec::new, |base| base.layers.clone());
    all.extend(layers.iter().map(|layer| layer.descriptor(family)));
    let mut manifest = Map::new();
    manifest.insert("schemaVersion".to_owned(), json!(2));
    manifest.insert("mediaType".to_owned(), json!(family.manifest()));
    manifest.insert("config".to_owned(), descriptor(family.config(), &Blob::of(&config)));
    manifest.insert("layers".to_owned(), Value::Array(all));
    // Docker's schema has none.
    if family == Family::Oci && !annotations.is_empty() {
        let all: Map<String, Value> =
            annotations.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        manifest.insert("annotations".to_owned(), Value::Object(all));
    }
    let platform = base.map_or_else(|| platform.clone(), Base::platform);
    Image { family, config, manifest: bytes(&Value::Object(manifest)), platform }
}

/// What is run, and how.
fn apply(run: &mut Map<String, Value>, settings: &Settings, place: &str) {
    let mut env: Vec<(String, String)> = run
        .get("Env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|one| {
            one.split_once('=').map_or((one.to_owned(), String::new()), |(a, b)| (a.to_owned(), b.to_owned()))
        })
        .collect();
    let mut set = |name: &str, value: String| match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => env.push((name.to_owned(), value)),
    };
    for (name, value) in &settings.env {
        set(name, value.clone());
    }
    let bin = format!("{place}/bin");
    let path = env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path.as_str());
    let first = path.split(':').next() == Some(bin.as_str());
    let path = if first { path.to_owned() } else { format!("{bin}:{path}") };
    match env.iter_mut().find(|(name, _)| name == "PATH") {
        Some((_, old)) => *old = path,
        None => env.insert(0, ("PATH".to_owned(), path)),
    }
    let env: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    run.insert("Env".to_owned(), json!(env));
    if let Some(entrypoint) = &settings.entrypoint {
        run.insert("Entrypoint".to_owned(), json!(entrypoint));
        // As in a Dockerfile: a new entry point takes the base's arguments back.
        run.remove("Cmd");
    }
    if let Some(cmd) = &settings.cmd {
        run.insert("Cmd".to_owned(), json!(cmd));
    }
    if let Some(user) = &settings.user {
        run.insert("User".to_owned(), json!(user));
    }
    if let Some(workdir) = &settings.workdir {
        run.insert("WorkingDir".to_owned(), json!(workdir));
    }
    if !settings.labels.is_empty() {
        let mut labels = match run.remove("Labels") {
            Some(Value::Object(labels)) => labels,
            _ => Map::new(),
        };
        for (name, value) in &settings.labels {
            labels.insert(name.clone(), json!(value));
        }
        run.insert("Labels".to_owned(), Value::Object(labels));
    }
}
