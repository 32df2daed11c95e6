use super::{compose::DEFAULT_PATH, *};

fn layer(n: u8) -> Layer {
    Layer {
        blob: Blob { sha256: Sha256([n; 32]), size: u64::from(n) },
        diff_id: Sha256([n + 100; 32]),
        holds: format!("package{n}"),
        toc: None,
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
    let history = json!([{"created_by": "a"}, {"created_by": "b", "empty_layer": true}, {"created_by": "c"}]);
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
fn a_base_of_dockers_types_becomes_one_of_ocis_whole() {
    let mut base = base(&json!([]), Family::Docker);
    base.layers[0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    base.layers[0]["urls"] = json!(["https://elsewhere.example/layer"]);
    let image = compose(
        Some(&base.into_oci()),
        &[layer(3)],
        &Settings::default(),
        &amd64(),
        "/.venv",
        0,
        &[("x".into(), "y".into())],
    );
    let text = String::from_utf8(image.manifest.clone()).expect("UTF-8");
    assert!(!text.contains("vnd.docker"), "{text}");
    let manifest = parsed(&image.manifest);
    assert_eq!(manifest["mediaType"], json!(Family::Oci.manifest()));
    assert_eq!(manifest["layers"][0]["urls"], json!(["https://elsewhere.example/layer"]));
    assert_eq!(manifest["layers"][1]["mediaType"], json!(Family::Oci.layer()));
    assert_eq!(manifest["annotations"], json!({"x": "y"}));
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
