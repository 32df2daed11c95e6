//! An image's config and manifest (OCI image specification 1.1; Docker's schema 2 where the base has it).

use serde_json::{Map, Value, json};

use crate::words::{
    error::{Error, Kind, Result},
    vocab::{Sha256, timestamp},
};

/// What a search path is where a base says nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Engines with a classic store take 125 layers; some are left to whoever builds on it.
pub(crate) const LAYER_LIMIT: usize = 120;

/// Whose media types an image has. They are never mixed: engines take one family or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    /// The Open Container Initiative's.
    #[default]
    Oci,
    /// Docker's (manifest version 2, schema 2).
    Docker,
}

impl Family {
    /// The family of a manifest's media type.
    ///
    /// # Errors
    /// [`Kind::Usage`] for schema 1 and for what is no image's manifest.
    pub(crate) fn of(media_type: &str) -> Result<Family> {
        match media_type {
            "application/vnd.oci.image.manifest.v1+json" => Ok(Family::Oci),
            "application/vnd.docker.distribution.manifest.v2+json" => Ok(Family::Docker),
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => {
                Err(Error::new(Kind::Usage, "its manifest is Docker's schema 1; expected schema 2 or OCI")
                    .help("push the base again with a newer engine: `docker pull`, `docker push`"))
            }
            other => Err(Error::new(
                Kind::Usage,
                format!(
                    "its manifest is of the type {other:?}; expected an image's (OCI or Docker schema 2)"
                ),
            )),
        }
    }

    /// The media type of a manifest.
    pub(crate) fn manifest(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.manifest.v1+json",
            Family::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// The media type of a list of manifests.
    pub(crate) fn index(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.index.v1+json",
            Family::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// The media type of a config.
    pub(crate) fn config(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.config.v1+json",
            Family::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// The media type of a layer.
    pub(crate) fn layer(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Family::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// A blob as manifests name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Their number.
    pub size: u64,
}

impl Blob {
    /// The blob of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Blob {
        Blob { sha256: Sha256::of(bytes), size: bytes.len() as u64 }
    }
}

/// A layer that is added to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The gzip member.
    pub blob: Blob,
    /// The digest of the tar inside.
    pub diff_id: Sha256,
    /// What it holds, for `history`.
    pub holds: String,
}

/// A platform in the words of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, for `arm`.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of a marker environment's `platform_machine`; `None` for machines that images have no word for.
    pub(crate) fn of_machine(machine: &str) -> Option<Platform> {
        let (architecture, variant) = match machine {
            "x86_64" | "amd64" => ("amd64", None),
            "aarch64" | "arm64" => ("arm64", None),
            "armv7l" | "armv8l" => ("arm", Some("v7")),
            "armv6l" => ("arm", Some("v6")),
            "i386" | "i686" => ("386", None),
            same @ ("ppc64le" | "s390x" | "riscv64") => (same, None),
            "loongarch64" => ("loong64", None),
            _ => return None,
        };
        Some(Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }

    /// Whether an image of the platform `other` is one of this platform. A variant counts where both have one; arm64 is
    /// always v8.
    pub(crate) fn matches(&self, other: &Platform) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.architecture == "arm64"
                || self.variant.is_none()
                || other.variant.is_none()
                || self.variant == other.variant)
    }

    /// What a config or a descriptor's `platform` says.
    pub(crate) fn of_json(value: &Value) -> Platform {
        let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Platform {
            os: text("os").unwrap_or_default(),
            architecture: text("architecture").unwrap_or_default(),
            variant: text("variant"),
        }
    }

    /// As a descriptor has it.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("architecture".to_owned(), json!(self.architecture));
        map.insert("os".to_owned(), json!(self.os));
        if let Some(variant) = &self.variant {
            map.insert("variant".to_owned(), json!(variant));
        }
        Value::Object(map)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// What an image is to be, beside its layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The command, where it is not the base's.
    pub cmd: Option<Vec<String>>,
    /// The entry point, where it is not the base's.
    pub entrypoint: Option<Vec<String>>,
    /// Variables, on top of the base's.
    pub env: Vec<(String, String)>,
    /// The user.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Labels, on top of the base's.
    pub labels: Vec<(String, String)>,
}

/// What a base has that a new image needs; its layers stay where they are.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// Its media types.
    pub family: Family,
    /// Its config.
    pub config: Map<String, Value>,
    /// The descriptors of its layers, as they stand in its manifest.
    pub layers: Vec<Value>,
    /// The digest of its manifest, for annotations and keys.
    pub digest: Sha256,
    /// What it was called, for annotations.
    pub name: String,
}

impl Base {
    /// A base from the bytes of its manifest and config.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a base of a kind that nothing can be put on.
    pub(crate) fn new(manifest: &[u8], media_type: Option<&str>, config: &[u8], name: &str) -> Result<Base> {
        let damaged = |what: &str| {
            Error::new(Kind::Integrity, format!("its {what} is not what the OCI specification says"))
        };
        let digest = Sha256::of(manifest);
        let manifest: Value =
            serde_json::from_slice(manifest).map_err(|error| damaged("manifest").because(error))?;
        let media_type = manifest["mediaType"].as_str().or(media_type);
        let family = Family::of(media_type.unwrap_or_else(|| match manifest["schemaVersion"].as_u64() {
            Some(1) => "application/vnd.docker.distribution.manifest.v1+json",
            _ => Family::Oci.manifest(),
        }))?;
        let layers = manifest["layers"].as_array().cloned().ok_or_else(|| damaged("manifest"))?;
        let config: Value =
            serde_json::from_slice(config).map_err(|error| damaged("config").because(error))?;
        let Value::Object(config) = config else { return Err(damaged("config")) };
        let diff_ids = config.get("rootfs").and_then(|rootfs| rootfs["diff_ids"].as_array());
        if diff_ids.is_none_or(|ids| ids.len() != layers.len()) {
            return Err(Error::new(
                Kind::Integrity,
                format!(
                    "its config lists {} layers and its manifest {}",
                    diff_ids.map_or(0, Vec::len),
                    layers.len()
                ),
            ));
        }
        if layers.len() >= LAYER_LIMIT {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "it has {} layers; expected fewer than {LAYER_LIMIT}, as engines take no more than 125 in all",
                    layers.len()
                ),
            )
            .help("squash the base, or use one with fewer layers"));
        }
        Ok(Base { family, config, layers, digest, name: name.to_owned() })
    }

    /// Its platform.
    pub(crate) fn platform(&self) -> Platform {
        Platform::of_json(&Value::Object(self.config.clone()))
    }

    /// A variable of its environment.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        let list = self.config.get("config")?["Env"].as_array()?;
        list.iter().filter_map(Value::as_str).find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The bytes of an image's config and manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its media types.
    pub family: Family,
    /// The config.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// What it runs on.
    pub platform: Platform,
}

impl Image {
    /// What names its manifest.
    pub(crate) fn descriptor(&self) -> Value {
        descriptor(self.family.manifest(), &Blob::of(&self.manifest))
    }

    /// The manifest as lists of manifests have it.
    pub(crate) fn row(&self) -> Value {
        let mut row = self.descriptor();
        row["platform"] = self.platform.to_json();
        row
    }
}

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
    all.extend(layers.iter().map(|layer| descriptor(family.layer(), &layer.blob)));
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

/// A descriptor.
pub(crate) fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", blob.sha256), "size": blob.size })
}

/// JSON without blanks, its keys in the order in which they were put in.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(n: u8) -> Layer {
        Layer {
            blob: Blob { sha256: Sha256([n; 32]), size: u64::from(n) },
            diff_id: Sha256([n + 100; 32]),
            holds: format!("package{n}"),
        }
    }

    fn amd64() -> Platform {
        Platform::of_machine("x86_64").expect("known")
    }

    fn parsed(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("JSON")
    }

    #[test]
    fn an_image_from_nothing_has_layers_history_and_a_path() {
        let image = compose(None, &[layer(1), layer(2)], &Settings::default(), &amd64(), "/.venv", 0, &[]);
        let config = parsed(&image.config);
        assert_eq!(config["config"]["Env"], json!([format!("PATH=/.venv/bin:{DEFAULT_PATH}")]));
        assert_eq!((config["os"].as_str(), config["architecture"].as_str()), (Some("linux"), Some("amd64")));
        assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2));
        assert_eq!(config["history"].as_array().map(Vec::len), Some(2));
        let manifest = parsed(&image.manifest);
        assert_eq!(manifest["config"]["digest"], json!(format!("sha256:{}", Sha256::of(&image.config))));
        assert_eq!(manifest["layers"][1]["size"], json!(2));
    }

    fn base(history: &Value, family: Family) -> Base {
        let config = json!({
            "architecture": "amd64", "os": "linux", "docker_version": "20.10", "container": "c0ffee",
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.9.18", "LANG=C.UTF-8"],
                "Cmd": ["python3"], "Labels": {"a": "1"}, "Volumes": {"/data": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:aa", "sha256:bb"]},
            "history": history,
        });
        let layers = json!([
            {"mediaType": family.layer(), "digest": "sha256:11", "size": 5},
            {"mediaType": family.layer(), "digest": "sha256:22", "size": 6},
        ]);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": family.manifest(), "config": {}, "layers": layers});
        Base::new(&bytes(&manifest), None, &bytes(&config), "base").expect("a base")
    }

    #[test]
    fn a_base_keeps_what_it_has_and_gets_what_is_new() {
        let history =
            json!([{"created_by": "a"}, {"created_by": "b", "empty_layer": true}, {"created_by": "c"}]);
        let base = base(&history, Family::Docker);
        assert_eq!(base.env("PYTHON_VERSION"), Some("3.9.18"));
        let settings = Settings {
            cmd: Some(vec!["gunicorn".into()]),
            env: vec![("LANG".into(), "C".into()), ("X".into(), "1=2".into())],
            user: Some("1099".into()),
            labels: vec![("b".into(), "2".into())],
            ..Settings::default()
        };
        let image =
            compose(Some(&base), &[layer(3)], &settings, &amd64(), "/.venv", 0, &[("x".into(), "y".into())]);
        let config = parsed(&image.config);
        assert_eq!(
            config["config"]["Env"],
            json!(["PATH=/.venv/bin:/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.9.18", "LANG=C", "X=1=2"])
        );
        assert_eq!(config["config"]["Cmd"], json!(["gunicorn"]));
        assert_eq!(config["config"]["User"], json!("1099"));
        assert_eq!(config["config"]["Labels"], json!({"a": "1", "b": "2"}));
        assert_eq!(config["config"]["Volumes"], json!({"/data": {}}));
        assert_eq!(config["history"].as_array().map(Vec::len), Some(4));
        assert!(config["container"].is_null() && config["docker_version"].is_null());
        let manifest = parsed(&image.manifest);
        assert_eq!(manifest["mediaType"], json!(Family::Docker.manifest()));
        let types: Vec<_> =
            manifest["layers"].as_array().expect("layers").iter().map(|one| &one["mediaType"]).collect();
        assert_eq!(types, [&json!(Family::Docker.layer()); 3]);
        assert!(manifest["annotations"].is_null(), "Docker's schema has none");
    }

    #[test]
    fn a_base_without_history_gets_one_that_counts() {
        for history in [Value::Null, json!([]), json!([{"created_by": "only one"}])] {
            let image = compose(
                Some(&base(&history, Family::Oci)),
                &[layer(3)],
                &Settings::default(),
                &amd64(),
                "/.venv",
                0,
                &[],
            );
            let config = parsed(&image.config);
            let history = config["history"].as_array().expect("history");
            assert_eq!(history.len(), 3);
            assert!(history.iter().all(|one| one["empty_layer"].is_null()));
        }
    }

    #[test]
    fn a_new_entry_point_takes_the_bases_command_back() {
        let settings = Settings { entrypoint: Some(vec!["app".into()]), ..Settings::default() };
        let image = compose(Some(&base(&json!([]), Family::Oci)), &[], &settings, &amd64(), "/.venv", 0, &[]);
        let config = parsed(&image.config);
        assert_eq!(config["config"]["Entrypoint"], json!(["app"]));
        assert!(config["config"]["Cmd"].is_null());
    }

    #[test]
    fn bases_that_nothing_can_be_put_on_are_refused() {
        let old = json!({"schemaVersion": 1, "name": "x", "fsLayers": []});
        let error = Base::new(&bytes(&old), None, b"{}", "base").expect_err("schema 1");
        assert!(error.report().contains("schema 1"), "{}", error.report());
        let list = json!({"mediaType": Family::Oci.index(), "manifests": []});
        assert!(Base::new(&bytes(&list), None, b"{}", "base").is_err());
        let many = |count: usize| {
            let layers = vec![json!({"digest": "sha256:11", "size": 1, "mediaType": "x"}); count];
            let ids = vec!["sha256:aa"; count];
            Base::new(
                &bytes(&json!({"schemaVersion": 2, "layers": layers})),
                None,
                &bytes(&json!({"rootfs": {"diff_ids": ids}})),
                "base",
            )
        };
        assert!(many(119).is_ok());
        let error = many(120).expect_err("too many");
        assert!(error.report().contains("120 layers"), "{}", error.report());
        let uneven = Base::new(
            &bytes(&json!({"schemaVersion": 2, "layers": [{}]})),
            None,
            &bytes(&json!({"rootfs": {"diff_ids": []}})),
            "base",
        );
        assert!(uneven.expect_err("uneven").report().contains("lists 0 layers and its manifest 1"));
    }

    #[test]
    fn variants_count_where_both_have_one() {
        let arm = |variant: Option<&str>| Platform {
            os: "linux".into(),
            architecture: "arm".into(),
            variant: variant.map(str::to_owned),
        };
        assert!(arm(Some("v7")).matches(&arm(None)) && arm(Some("v7")).matches(&arm(Some("v7"))));
        assert!(!arm(Some("v7")).matches(&arm(Some("v6"))) && !arm(None).matches(&amd64()));
    }
}
